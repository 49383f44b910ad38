"""0/1 columns that somebody made of categories beforehand."""

import numpy as np
import pandas as pd
import pytest
from conftest import quick
from sklearn.preprocessing import StandardScaler

from skct.utils.indicators import named_blocks

pytestmark = [
    pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning"),
    pytest.mark.filterwarnings("ignore::skct.exceptions.ImputationWarning"),
]

WORTH = {"a": 0.0, "b": 0.8, "c": 1.2, "d": -0.6, "e": 0.4}


def raw(n=400, missing=False):
    """Income and region, and what decides."""
    rng = np.random.default_rng(3)
    region = rng.choice(list("abcde"), n)
    X = pd.DataFrame({"income": rng.normal(30, 8, n), "region": region})
    score = (X["income"] - 30) / 8 + X["region"].map(WORTH)
    y = np.where(score + rng.normal(0, 0.3, n) > 0.5, "yes", "no")
    if missing:
        X["region"] = X["region"].where(rng.uniform(size=n) > 0.1)
    return X, y


def dummies(X, dtype=int, **options):
    return pd.get_dummies(X, columns=["region"], dtype=dtype, **options)


def interleaved(X):
    """Two categories, their columns in turn."""
    other = np.random.default_rng(0).choice(list("uvw"), len(X))
    table = pd.get_dummies(X.assign(job=other), columns=["region", "job"], dtype=int)
    return table[sorted(table.columns, key=lambda name: name[::-1])]


KINDS = {
    "int": dummies,
    "first dropped": lambda X: dummies(X, drop_first=True),
    "bool": lambda X: dummies(X, bool),
    "bool, first dropped": lambda X: dummies(X, bool, drop_first=True),
    "float, first dropped": lambda X: dummies(X, float, drop_first=True),
    "uint8": lambda X: dummies(X, "uint8", drop_first=True),
    "nullable": lambda X: dummies(X, "boolean", drop_first=True),
    "sparse": lambda X: dummies(X, int, drop_first=True, sparse=True),
    "interleaved": interleaved,
    "a level without rows": lambda X: dummies(X).assign(region_f=0),
    "another separator": lambda X: dummies(X, prefix_sep="=", drop_first=True),
}


def n_on(table):
    """How many regions each row is in."""
    return table.filter(regex="^region").astype(float).sum(axis=1).to_numpy()


@pytest.mark.parametrize("preprocessor", ["auto", None])
@pytest.mark.parametrize("kind", KINDS)
def test_nobody_is_in_two_regions(kind, preprocessor):
    X, y = raw()
    X = KINDS[kind](X)
    if preprocessor is None:
        X = X.assign(income=StandardScaler().fit_transform(X[["income"]])[:, 0])
    clf = quick(20, mutability={"income": "none"}, preprocessor=preprocessor).fit(X, y)
    answer = clf.explain(X, confidence=0.5)
    after = answer.counterfactual
    assert set(n_on(after)) <= set(n_on(X))  # none of them only where that was seen
    assert (after.dtypes == X.dtypes).all()
    assert (n_on(after) <= 1).all()
    moved = (after.filter(regex="^region") != X.filter(regex="^region")).any(axis=1)
    assert moved.to_numpy()[answer.valid].any()
    if "region_f" in X:
        assert (after["region_f"] == 0).all()


def test_a_missing_region_is_none_of_them():
    X, y = raw(missing=True)
    X = dummies(X)
    assert (n_on(X) == 0).any()
    clf = quick(20, mutability={"income": "none"}).fit(X, y)
    (group,) = clf.feature_space_.groups
    assert group.baseline
    after = clf.explain(X, confidence=0.5).counterfactual
    assert set(n_on(after)) <= {0.0, 1.0}


def test_flags_that_meet_are_no_category():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.uniform(size=(200, 3)) < 0.4, columns=["has_a", "has_b", "c"])
    clf = quick(1).fit(X, X["has_a"] & X["has_b"])
    assert [len(group.columns) for group in clf.feature_space_.groups] == [2, 2, 2]
    clf = quick(1).fit(X.astype(int), X["has_a"] & X["has_b"])
    assert clf.feature_space_.groups == ()


def blocks(table):
    return list(named_blocks(list(table), table.to_numpy() == 1, range(table.shape[1])))


def test_blocks_by_hand():
    one_hot = np.repeat(np.eye(3, dtype=int), 10, axis=0)
    table = pd.DataFrame(one_hot, columns=["job_a_x", "job_a_y", "job_b"])
    assert blocks(table) == [((0, 1, 2), False)]
    assert blocks(table[["job_a_x", "job_a_y"]]) == [((0, 1), True)]
    table["job_b"] = [0, 1] * 15  # which meets the others
    assert blocks(table) == [((0, 1), True)]
    assert blocks(table.set_axis(["a", "b", "c"], axis=1)) == []
    assert blocks(table.set_axis([0, 1, 2], axis=1)) == []


@pytest.mark.parametrize(("n", "found"), [(20, False), (400, True)])
def test_rare_flags_that_never_meet_need_rows_to_tell(n, found):
    """0.2 rows would have both by chance, or 4."""
    flags = np.zeros((n, 2), dtype=int)
    flags[: n // 10, 0] = flags[-n // 10 :, 1] = 1
    table = pd.DataFrame(flags, columns=["is_young", "is_old"])
    assert bool(blocks(table)) == found
