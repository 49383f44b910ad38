"""Every check of scikit-learn, with nothing expected to fail."""

import pytest
from conftest import quick
from sklearn.utils.estimator_checks import (
    check_estimator,
    parametrize_with_checks,
)

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier

FAST = quick(epochs=8)


@parametrize_with_checks([FAST, CounterfactualExplainer(FAST, random_state=0)])
@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.filterwarnings("ignore:Can't check dok sparse matrix:UserWarning")
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "estimator",
    [
        CounterfactualTrainingClassifier(),
        quick(class_weight="balanced"),
        quick(generator="generic", burn_in=0.5),
        quick(preprocessor=None),
    ],
)
def test_other_configurations_pass_every_check_too(estimator):
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    assert len(results) > 50
    assert [r["check_name"] for r in results if r["status"] != "passed"] == []
