"""The teacher objective: what is proposed, who labels it, and what the net learns."""

import warnings

import numpy as np
import pytest
import torch
from conftest import people, quick
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import cross_entropy, softmax

from skct import (
    Constraints,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
    TeacherObjective,
)
from skct.attribution import integrated_gradients, sensitivity
from skct.constraints import Group
from skct.exceptions import SearchWarning
from skct.training.objective import Outputs, SearchTask
from skct.training.proposals import exchange, step_along_fixed, walk
from skct.training.teacher import TeacherPairs, default_teacher

GROUP = [3, 4, 5]
PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}


def constraints():
    lower, upper = np.full(6, -3.0), np.full(6, 3.0)
    lower[GROUP], upper[GROUP] = 0.0, 1.0
    words = ["both", "none", "increase", "both", "both", "both"]
    return Constraints.from_arrays(
        lower, upper, words, (6,), groups=(Group(tuple(GROUP)),)
    )


def task(n=90):
    rng = torch.Generator().manual_seed(0)
    X = torch.randn(n, 6, generator=rng).clamp(-3, 3)
    X[:, GROUP] = torch.eye(3)[torch.randint(3, (n,), generator=rng)]
    y = (X[:, 0] + X[:, 1] > 0).long()
    model = nn.Linear(6, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[0.0] * 6, [2.0, 1.0, 0.5, 1.0, 0.0, -1.0]]))
        model.bias.zero_()
    target = 1 - model(X).argmax(1)
    return SearchTask(
        *(model, X, y, target, X, y, ECCCoGenerator(), constraints()),
        *(torch.Generator().manual_seed(1), None),
    )


@pytest.mark.parametrize("propose", [walk, exchange])
def test_proposals_keep_constraints_and_go_towards_the_target(propose):
    given = task()
    with torch.no_grad():
        x = propose(given)
        told = [
            softmax(given.model(rows), 1).gather(1, given.target[:, None]).mean()
            for rows in (given.factual, x)
        ]
    assert torch.equal(given.constraints.project(x, given.factual), x)
    assert torch.equal(x[:, 1], given.factual[:, 1])
    assert (x[:, GROUP].sum(1) == 1).all()
    assert told[1] > told[0] + 0.1
    with torch.no_grad():
        again = propose(given._replace(rng=torch.Generator().manual_seed(1)))
        assert torch.equal(again, x)
        assert not torch.equal(propose(given), x)  # its generator has moved on


def test_exchanged_values_are_those_of_a_row_of_the_target_class():
    given = task()
    with torch.no_grad():
        x = exchange(given)
    changed = x != given.factual
    # A category counts once; at most three raw columns are taken over.
    n_columns = changed[:, :3].sum(1) + changed[:, GROUP].any(1)
    assert n_columns.max() <= 3
    for i, row in enumerate(x):
        donors = given.X[given.y == given.target[i]]
        where = changed[i] & torch.tensor([True, True, False, True, True, True])
        assert (donors[:, where] == row[where]).all(1).any()


def test_walks_are_as_long_as_drawn():
    """On a nearly flat model none arrives: lengths are uniform up to eight."""
    given = task(300)
    given = given._replace(constraints=Constraints.unbounded((6,)))
    with torch.no_grad():
        given.model.weight.mul_(1e-6)
        length = (walk(given) - given.factual).abs().sum(1)
    assert length.max() <= 8.0
    assert float(length.mean()) == pytest.approx(4.0, abs=0.4)


def test_a_step_goes_along_immutable_features_only_and_hurts():
    given = task()
    x = step_along_fixed(
        *(given.model, given.factual, given.label, given.constraints, 0.3, given.rng)
    )
    moved = x - given.factual
    assert (moved[:, [0, 2, *GROUP]] == 0).all()
    assert moved.abs().max() <= 0.3 + 1e-6
    with torch.no_grad():
        before, after = (
            cross_entropy(given.model(r), given.label) for r in (given.factual, x)
        )
    assert after > before
    free = Constraints.unbounded((6,))
    same = step_along_fixed(
        given.model, given.factual, given.label, free, 0.3, given.rng
    )
    assert torch.equal(same, given.factual)


def test_divergence_is_zero_where_net_and_teacher_agree():
    logits = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    target, zeros = torch.zeros(8, dtype=torch.long), torch.zeros(8, 2)
    opinion = softmax(logits, 1)
    mature = torch.ones(8, dtype=torch.bool)
    rows = zeros, target, zeros, zeros, target, zeros
    pairs = TeacherPairs(*rows, mature, opinion)
    outputs = Outputs(logits, logits, None, None)
    divergence, _ = TeacherObjective().terms(pairs, outputs)
    torch.testing.assert_close(divergence, torch.zeros(8), atol=1e-6, rtol=0)
    other = Outputs(logits.roll(1, 0), logits, None, None)
    p, q = softmax(logits.roll(1, 0), 1), opinion
    expected = (q * (q / p).log()).sum(1)
    torch.testing.assert_close(TeacherObjective().terms(pairs, other)[0], expected)


def test_a_class_that_the_teacher_has_not_seen_has_probability_zero():
    X, y = torch.randn(60, 2), torch.arange(60) % 2
    objective = TeacherObjective().fit(X, y * 2)
    opinion = objective.opinion(X.numpy())
    assert opinion.shape == (60, 3)
    assert (opinion[:, 1] == 0).all()
    np.testing.assert_allclose(opinion.sum(1), 1)
    alone = TeacherObjective().fit(X, torch.ones_like(y)).opinion(X.numpy())
    assert np.array_equal(alone, np.tile([0.0, 1.0], (60, 1)))


def test_the_teacher_is_the_one_that_is_given_and_hears_class_weights():
    X, y = torch.randn(200, 2), (torch.arange(200) % 10 == 0).long()
    given = LogisticRegression()
    objective = TeacherObjective(teacher=given).fit(X, y)
    assert isinstance(objective.teacher_, LogisticRegression)
    assert not hasattr(given, "coef_")
    weighted = TeacherObjective(teacher=given).fit(X, y, torch.tensor([1.0, 9.0]))
    assert weighted.opinion(X.numpy())[:, 1].mean() == pytest.approx(0.5, abs=0.05)
    assert objective.opinion(X.numpy())[:, 1].mean() == pytest.approx(0.1, abs=0.01)


def test_the_default_teacher_asks_for_large_leaves():
    for n_rows, leaf in [(10_000, 40), (300, 20), (30, 5)]:
        teacher = default_teacher(n_rows)
        assert isinstance(teacher, HistGradientBoostingClassifier)
        assert teacher.min_samples_leaf == leaf


def test_advice_is_told_as_the_teacher_would():
    """Rows that are explained are none of those that were trained on."""
    X, y = people(600)
    gap = {}
    for name, setting in {
        "plain": PLAIN,
        "teacher": {"n_counterfactuals": 1.0, "lambda_div": 5.0},
    }.items():
        clf = quick(epochs=40, **setting).fit(X[:400], y[:400])
        rows = X[400:][clf.predict(X[400:]) == "denied"]
        answer = clf.explain(rows, target="approved", confidence=0.7)
        encoded = torch.as_tensor(clf.feature_space_.encode(X[:400]))
        codes = torch.as_tensor(np.searchsorted(clf.classes_, y[:400]))
        teacher = TeacherObjective().fit(encoded, codes)
        column = list(clf.classes_).index("approved")
        found = clf.feature_space_.encode(answer.counterfactual)
        gap[name] = np.abs(
            answer.probability - teacher.opinion(found)[:, column]
        ).mean()
    assert gap["teacher"] < 0.8 * gap["plain"]


def test_immutable_columns_lose_their_share_of_the_attributions():
    X, y = people(300)
    shares = []
    for mutability in ({}, {"married": "none"}):
        clf = quick(epochs=30, mutability=mutability).fit(X, y)
        names = list(clf.feature_space_.encoded_names)
        columns = [names.index(f"married_{flag}") for flag in (False, True)]
        codes = np.searchsorted(clf.classes_, clf.predict(X))
        encoded = clf.feature_space_.encode(X)
        gradients = integrated_gradients(clf.module_, encoded, codes)
        shares.append(sensitivity(gradients, columns, standardize="share"))
    assert shares[1] < 0.7 * shares[0]


def test_a_teacher_that_sees_the_same_rows_gives_the_same_bits():
    X, y = people(120)
    first, second = (quick(epochs=3).fit(X, y) for _ in range(2))
    assert np.array_equal(first.predict_proba(X), second.predict_proba(X))
    other = CounterfactualTrainingClassifier(
        objective=TeacherObjective(teacher=LogisticRegression()), random_state=0
    )
    other.set_params(net__max_epochs=3).fit(X, y)
    assert not np.array_equal(first.predict_proba(X), other.predict_proba(X))


def test_partial_fit_on_the_same_rows_asks_the_same_teacher():
    X, y = people(160)
    clf = quick(epochs=1).fit(X[:120], y[:120])
    teachers = []
    for rows in (slice(120), slice(120), slice(120, None)):
        clf.partial_fit(X[rows], y[rows])
        teachers.append(clf.net_.objective_.teacher_)
    assert teachers[0] is teachers[1]
    assert teachers[1] is not teachers[2]
    clf.set_params(objective__epsilon=0.1).partial_fit(X, y)
    assert clf.net_.objective_.epsilon == 0.1


def test_a_rare_class_can_be_reached_and_is_told_as_well_as_by_the_plain_network():
    """7 %: most of its rows are taken for the other class."""
    better = []
    for seed in range(3):
        X, y = make_classification(
            1500, 8, n_informative=4, weights=[0.93], flip_y=0.05, random_state=seed
        )
        ours = quick(epochs=30, random_state=seed).fit(X[::2], y[::2])
        plain = quick(epochs=30, random_state=seed, **PLAIN).fit(X[::2], y[::2])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SearchWarning)
            assert ours.explain(X[1::2]).valid.mean() > 0.95
        mine, theirs = (
            roc_auc_score(y[1::2], clf.predict_proba(X[1::2])[:, 1])
            for clf in (ours, plain)
        )
        better.append(mine - theirs)
    assert np.mean(better) > -0.01
