"""Tables and labels of odd types, and what is said about wrong ones."""

import numpy as np
import pandas as pd
import pytest
from conftest import quick

from skct.exceptions import SearchWarning

rng = np.random.default_rng(0)
X = pd.DataFrame({"age": rng.integers(18, 80, 80), "b": rng.normal(size=80)})
y = (X["b"] > 0).astype(int).to_numpy()

LABELS = {
    "float16": y.astype("float16"),
    "big endian": y.astype(">i4"),
    "big endian floats": y.astype(">f8"),
    "objects": pd.Series(y, dtype=object),
    "masked, none of them": np.ma.array(y, mask=np.zeros(80, bool)),
    "bools": y == 1,
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_type_train_the_same(kind):
    clf = quick(3).fit(X, LABELS[kind])
    np.testing.assert_array_equal(
        clf.predict_proba(X), quick(3).fit(X, y).predict_proba(X)
    )
    assert set(clf.predict(X)) <= {0, 1}
    np.testing.assert_array_equal(clf.predict(X), clf.predict_proba(X).argmax(1))


def test_masked_labels_are_missing():
    with pytest.raises(ValueError, match="masked labels"):
        quick(1).fit(X, np.ma.array(y, mask=np.arange(80) == 3))


def test_masked_cells_are_missing():
    masked = np.ma.array(X.to_numpy(), mask=np.zeros((80, 2), bool))
    masked[3, 0] = np.ma.masked
    masked.data[3, 0] = 1e9
    with pytest.warns(UserWarning, match="Missing values in 1 of 2"):
        clf = quick(1).fit(masked, y)
    assert clf.feature_space_.observed[1][0] < 100


def test_a_list_of_dicts_is_told_how_to_be_a_table():
    with pytest.raises(ValueError, match=r"pass pd\.DataFrame\(X\)"):
        quick(1).fit(X.to_dict("records"), y)


def test_names_alone_are_no_mutability():
    with pytest.raises(ValueError, match=r"pass \{'age': 'none'\}"):
        quick(1, mutability=["age"]).fit(X, y)


def test_where_nothing_may_move_more_steps_are_no_remedy():
    clf = quick(3, mutability={"age": "none", "b": "none"}).fit(X, y)
    with pytest.warns(SearchWarning, match="no valid") as caught:
        clf.explain(X[:3])
    (text,) = (str(w.message) for w in caught)
    assert "Raise max_iter" not in text
    assert "Loosen mutability or domain" in text


def test_model_columns_have_names_of_their_own():
    table = pd.DataFrame({"a_b": list("cd") * 40, "a": ["b_c", "e"] * 40})
    names = quick(1).fit(table, y).feature_space_.encoded_names
    assert list(names) == ["a_b=c", "a_b=d", "a=b_c", "a=e"]


def test_polars_integers_of_128_bits():
    pl = pytest.importorskip("polars")
    if not hasattr(pl, "Int128"):
        pytest.skip("this version has none")
    ages = pl.Series(X["age"].tolist(), dtype=pl.Int128)
    table = pl.DataFrame({"age": ages, "b": X["b"].to_numpy()})
    clf = quick(20).fit(table, y)
    answer = clf.explain(table[:20], confidence=0.5)
    assert answer.counterfactual.schema == table.schema
