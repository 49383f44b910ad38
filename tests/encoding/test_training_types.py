"""Requests whose columns have other types than in training."""

import io
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import people, quick

from skct import CounterfactualExplainer
from skct.exceptions import ColumnWarning

pytestmark = pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
rng = np.random.default_rng(0)
GRADES = rng.choice(["1", "2", "3"], 300)


def graded(dtype="str"):
    """Table whose grades decide, and a fitted classifier."""
    X = pd.DataFrame({"age": rng.integers(18, 80, 300), "grade": GRADES})
    X = X.astype({"grade": dtype})
    y = np.where(GRADES == "3", "yes", "no")
    return X, y, quick(30, mutability={"age": "none"}).fit(X, y)


SPELLINGS = {
    "integers": lambda grade: grade.astype(int),
    "nullable integers": lambda grade: grade.astype(int).astype("Int64"),
    "floats": lambda grade: grade.astype(float),
    "spaces": lambda grade: " " + grade.astype(object) + " ",
    "categories of integers": lambda grade: grade.astype(int).astype("category"),
    "objects": lambda grade: grade.astype(int).astype(object),
}


@pytest.mark.parametrize("dtype", ["str", object, "category"])
@pytest.mark.parametrize("kind", SPELLINGS)
def test_other_spellings_of_a_category_are_understood(kind, dtype):
    X, _, clf = graded(dtype)
    later = X.assign(grade=SPELLINGS[kind](X["grade"]))
    np.testing.assert_array_equal(clf.predict_proba(later), clf.predict_proba(X))
    no = clf.predict(X) == "no"
    wanted, answer = (clf.explain(T[no], target="yes") for T in (X, later))
    pd.testing.assert_frame_equal(answer.counterfactual, wanted.counterfactual)
    assert answer.valid.all()


def test_codes_with_zeros_in_front_are_no_numbers():
    zips = rng.choice(["02139", "00501"], 100)
    clf = quick(1).fit(pd.DataFrame({"a": range(100), "zip": zips}), zips == "02139")
    with pytest.warns(ColumnWarning, match="'zip' .*int64, in training .*: 2139"):
        clf.predict(pd.DataFrame({"a": [1], "zip": [2139]}))


@pytest.mark.parametrize("as_frame", [True, False])
def test_whole_numbers_in_a_request_are_answered_as_floats(as_frame):
    X = rng.uniform(0, 1, (400, 2))
    y = np.where(np.abs(X[:, 0] - 0.5) < 0.25, "good", "bad")
    table = pd.DataFrame(X, columns=["used", "late"]) if as_frame else X
    clf = quick(100, lambda_div=0, lambda_adv=0, lambda_reg=0).fit(table, y)
    floats = table[:1].copy()
    floats[:] = [[1.0, 0.0]]
    whole = floats.astype(int)
    wanted, answer = (clf.explain(row, target="good") for row in (floats, whole))
    assert wanted.valid.all()
    np.testing.assert_array_equal(answer.counterfactual, wanted.counterfactual)


@pytest.mark.parametrize("column", ["job", "married", "age", "income"])
def test_a_column_without_any_value_is_missing_in_every_row(column):
    """A CSV reads it as float64."""
    X, y = people(200)
    clf = quick(20).fit(X, y)
    denied = X[clf.predict(X) == "denied"]
    text = denied.assign(**{column: None}).to_csv(index=False)
    batch = pd.read_csv(io.StringIO(text))
    assert batch[column].dtype == float
    answer = clf.explain(batch, target="approved")
    one = pd.concat([batch.astype(object), denied[:1].astype(object)])
    wanted = clf.explain(one.astype(X.drop(columns=column).dtypes), target="approved")
    assert answer.valid.sum() >= wanted.valid[:-1].sum()
    assert answer.valid.mean() > 0.9


def test_a_category_that_was_not_in_training_is_told_once():
    X, _, clf = graded()
    new = X.assign(grade=np.where(np.arange(300) < 3, "Nine", X["grade"]))
    for act in (clf.predict, lambda T: clf.explain(T, confidence=0.5)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            act(new)
        told = [str(w.message) for w in caught if w.category is ColumnWarning]
        assert len(told) == 1
        assert "'grade'" in told[0]
        assert "1.0% of the rows" in told[0]
        assert "'Nine'" in told[0]


def test_another_case_is_told_with_what_may_be_meant():
    X, y = people(100)
    clf = quick(1).fit(X, y)
    strange = X[:5].assign(job=X["job"][:5].str.upper())
    with pytest.warns(ColumnWarning, match="Did you mean"):
        clf.predict(strange)


def test_integer_names_in_another_order_are_refused():
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=[7, 8, 9])
    clf = quick(1).fit(X, X[7] > 0)
    for act in (clf.predict, clf.explain, CounterfactualExplainer(clf).explain):
        with pytest.raises(ValueError, match=r"\[9, 8, 7\] in another order"):
            act(X[[9, 8, 7]])


def test_a_number_that_was_constant_in_training_is_told():
    X = pd.DataFrame({"a": rng.normal(size=60), "b": 5.0})
    clf = quick(1).fit(X, X["a"] > 0)
    clf.predict(X)
    with pytest.warns(ColumnWarning, match=r"'b' had the value 5 .* 25\.0%"):
        clf.predict(X[:4].assign(b=[5.0, 5.0, 6.0, 5.0]))


def test_polars_requests_of_whole_numbers_get_fractions():
    pl = pytest.importorskip("polars")
    X = rng.uniform(0, 1, (400, 2))
    y = np.where(np.abs(X[:, 0] - 0.5) < 0.25, "good", "bad")
    table = pl.DataFrame({"used": X[:, 0], "late": X[:, 1]})
    clf = quick(100, lambda_div=0, lambda_adv=0, lambda_reg=0).fit(table, y)
    answer = clf.explain(pl.DataFrame({"used": [1], "late": [0]}), target="good")
    assert answer.valid.all()
    assert 0.25 < answer.counterfactual["used"][0] < 0.75


def test_long_codes_are_compared_exactly():
    """Floats cannot tell these two apart."""
    codes = np.where(np.arange(60) % 2, "12345678901234567", "12345678901234568")
    X = pd.DataFrame({"age": range(60), "id": codes})
    clf = quick(5).fit(X, codes)
    later = X.assign(id=X["id"].astype("int64"))
    np.testing.assert_array_equal(clf.predict_proba(later), clf.predict_proba(X))
