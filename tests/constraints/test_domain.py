"""A counterfactual that moves a number puts it into its domain."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from sklearn.preprocessing import StandardScaler

from skct import Constraints, CounterfactualExplainer, GenericGenerator, search
from skct.exceptions import ConstraintWarning, SearchWarning

pytestmark = [
    pytest.mark.filterwarnings(f"ignore::skct.exceptions.{kind.__name__}")
    for kind in (ConstraintWarning, SearchWarning)
]


def table(n=300):
    rng = np.random.default_rng(3)
    X = pd.DataFrame(
        {
            "term": rng.choice([12, 24, 36, 48, 60], n),
            "age": rng.integers(18, 80, n),
            "saved": rng.normal(size=n),
            "rate": rng.normal(size=n).astype("float32"),
        }
    )
    return X, np.where(X["term"] / 12 + X["saved"] + X["rate"] > 3, "yes", "no")


DOMAINS = [
    {"term": (36, 60)},
    {"term": (20.5, 30)},
    {"saved": (1, 2)},
    {"saved": (-1.5, 0.3), "rate": (0.2, None), "term": (None, 40)},
]


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("objective", ["teacher", "paper"])
@pytest.mark.parametrize("preprocessor", ["auto", StandardScaler()])
def test_what_moves_is_inside(domain, objective, preprocessor):
    X, y = table()
    clf = quick(
        20,
        domain=domain,
        mutability={"age": "none"},
        objective=objective,
        preprocessor=preprocessor,
    ).fit(X, y)
    moved_at_all = 0
    for refine in (True, False):
        answer = CounterfactualExplainer(clf, refine=refine).explain(X)
        for name, (low, high) in domain.items():
            before, after = X[name], answer.counterfactual[name]
            moved = (after != before).to_numpy()
            low, high = (
                -np.inf if low is None else low,
                np.inf if high is None else high,
            )
            assert after[moved].between(low, high).all()
            moved_at_all += (moved & ~before.between(low, high).to_numpy()).sum()
    assert moved_at_all > 0  # and some came from outside


def test_the_observed_range_is_a_domain_too():
    X, y = table()
    clf = quick(20, mutability=dict.fromkeys(("term", "age", "rate"), "none")).fit(X, y)
    far = X.assign(saved=X["saved"] + 20)
    after = clf.explain(far, confidence=0.5).counterfactual["saved"]
    moved = (after != far["saved"]).to_numpy()
    assert moved.any()
    assert after[moved].between(X["saved"].min(), X["saved"].max()).all()


@pytest.mark.parametrize(("word", "moves"), [("increase", True), ("decrease", False)])
def test_one_way_numbers_enter_the_domain_or_stay(word, moves):
    """The target lies above 1, the domain is 2 to 3, the factual at 0."""
    box = Constraints.from_spec({"x": word}, {"x": (2, 3)}, feature_names=["x"])
    found = search(
        lambda x: torch.cat([1 - x, x - 1], 1),
        torch.zeros(1, 1),
        torch.tensor([1]),
        GenericGenerator(lambda_cost=0.0, max_iter=200),
        box,
    )
    assert found.counterfactual.item() == (2.0 if moves else 0.0)
    assert found.mature.item() == moves
