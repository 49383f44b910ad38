"""Warnings point at the caller's line, and torch's global state is the caller's."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from sklearn.datasets import load_iris

from skct import CounterfactualExplainer
from skct.utils.caller import in_own_torch


@pytest.mark.parametrize(
    "act",
    [
        lambda X, y: quick(1).fit(X.mask(X < 1), y),  # imputation
        lambda X, y: quick(1, domain={0: (6, 7)}).fit(X.to_numpy(), y),
        lambda X, y: quick(1).fit(X, y).explain(X),
        lambda X, y: CounterfactualExplainer(quick(1).fit(X, y)).transform(X),
    ],
)
def test_warnings_point_at_the_line_of_the_caller(act):
    X, y = load_iris(return_X_y=True, as_frame=True)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        act(X, y)
    files = {w.filename for w in caught if "skct" in w.category.__module__}
    assert files == {__file__}


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("objective", ["teacher", "paper"])
@pytest.mark.parametrize("generator", ["eccco", "revise", "gravitational"])
def test_another_default_dtype_changes_no_bit(objective, generator, request):
    X, y = load_iris(return_X_y=True)

    def run():
        clf = quick(2, objective=objective, generator=generator).fit(X, y)
        clf.partial_fit(X, y)
        return clf.predict_proba(X), clf.explain(X[:30], target=1).counterfactual

    single = run()
    request.getfixturevalue("double")
    for mine, theirs in zip(run(), single, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert torch.get_default_dtype() == torch.float64


def test_the_default_dtype_comes_back_after_an_error(double):
    @in_own_torch
    def fail():
        assert torch.ones(1).dtype == torch.float32
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.ones(1).dtype == torch.float64


def test_a_warning_inside_another_package_is_told_there():
    """A search of scikit-learn calls fit: its line is the caller's then."""
    table = pd.DataFrame({"a": [1.0, np.nan] * 30, "b": range(60)})
    from sklearn.model_selection import cross_val_score

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cross_val_score(quick(1), table, [0, 1] * 30, cv=2)
    files = {w.filename for w in caught if "imputed" in str(w.message)}
    assert len(files) == 1
    assert "sklearn" in files.pop()
