"""Snapping from step to step, and of single states."""

import numpy as np
import pytest
import torch

from skct import Constraints
from skct.constraints import Group
from skct.constraints.snapping import Snapper

SIZE = 12
PLAIN = (Group((1, 2, 3)), Group((6, 7, 8, 9)))
APART = (Group((1, 5, 9)), Group((2, 11)))
BASELINE = (Group((1, 2, 3), baseline=True), Group((6, 7)))
FORBIDDEN = (Group((1, 2), baseline=True, baseline_allowed=False), Group((6, 7, 8)))
ORDERED = (Group((1, 2, 3), ordered=True), Group((6, 7, 8, 9)))


def make(groups, words=(), forbidden=()):
    lower, upper = np.full(SIZE, -3.0), np.full(SIZE, 3.0)
    step = np.zeros(SIZE)
    step[[0, 10]] = 0.5, 1.0
    for group in groups:
        columns = list(group.columns)
        lower[columns], upper[columns], step[columns] = 0.0, 1.0, 0.0
    upper[list(forbidden)] = 0.0
    given = np.full(SIZE, "both", dtype=object)
    for position, word in dict(words).items():
        given[position] = word
    levels = ((4, torch.tensor([-3.0, -1.0, 0.0, 0.4, 3.0])),)
    return Constraints.from_arrays(
        lower, upper, given, (SIZE,), groups=tuple(groups), step=step, levels=levels
    )


def rows_of(constraints, n, rng, *, unknown=False):
    """Factuals with one category of each group, or none, or any."""
    x = torch.tensor(rng.normal(size=(n, SIZE)), dtype=torch.float32)
    x[:, [0, 10]] = x[:, [0, 10]].round()
    x[:, 4] = 0.4
    for group in constraints.groups:
        columns = list(group.columns)
        on = torch.tensor(rng.integers(len(columns) + group.baseline, size=n))
        x[:, columns] = torch.eye(len(columns) + 1)[on][:, : len(columns)]
        if unknown:
            x[: n // 3, columns] = 0.0
    return x


CASES = {
    "plain": make(PLAIN),
    "apart": make(APART),
    "baseline": make(BASELINE),
    "baseline forbidden": make(FORBIDDEN),
    "ordered, rising": make(ORDERED, {1: "increase", 2: "increase", 3: "increase"}),
    "frozen": make(PLAIN, {1: "none", 2: "none", 3: "none", 0: "none"}),
    "one not allowed": make(PLAIN, forbidden=(8,)),
    "numbers only": make(()),
}


def balanced_by_hand(constraints, gradient, low, high):
    """Gradient less its mean over the categories of a group that can be chosen."""
    balanced = gradient.clone()
    for group in constraints.groups:
        columns = list(group.columns)
        for i in range(len(gradient)):
            open_ = [c for c in columns if high[i, c] > low[i, c]]
            count = max(1, len(open_) + group.baseline)
            balanced[i, columns] -= gradient[i, open_].sum() / count
    return balanced


def snapped_by_hand(constraints, row, factual, low, high):
    """Categories of one state, in plain Python."""
    row, out = row.tolist(), list(factual)
    for group in constraints.groups:
        columns = group.columns
        if all(row[c] == factual[c] for c in columns):
            continue
        score = {
            c: (row[c] - low[c]) / (high[c] - low[c]) if high[c] > low[c] else -1e9
            for c in columns
        }
        best = max(columns, key=score.get)
        rest = 1 - sum(max(0, s) for s in score.values())
        rising = group.ordered and not constraints.can_decrease[columns[0]]
        may_be_off = group.baseline and group.baseline_allowed and not rising
        unknown = all(factual[c] == constraints.lower[c] for c in columns)
        off = (may_be_off or unknown) and rest > score[best]
        for c in columns:
            out[c] = high[c] if c == best and not off else low[c]
    return out


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_a_state_by_itself_is_snapped_as_by_hand(case, unknown):
    constraints, rng = CASES[case], np.random.default_rng(1)
    factual = rows_of(constraints, 60, rng, unknown=unknown)
    low, high = constraints.bounds(factual)
    noise = torch.tensor(rng.normal(size=factual.shape), dtype=torch.float32)
    x = (factual + 0.4 * noise).clamp(low, high)
    snapped = constraints.discretize(x, factual, (low, high))
    columns = [c for group in constraints.groups for c in group.columns]
    rows = zip(x, *(part.tolist() for part in (factual, low, high)), strict=True)
    expected = torch.tensor([snapped_by_hand(constraints, *row) for row in rows])
    assert torch.equal(snapped[:, columns], expected[:, columns])
    if constraints.groups and case != "frozen":
        assert (snapped[:, columns] != factual[:, columns]).any()


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_what_a_state_by_itself_would_be(case, unknown):
    constraints, rng = CASES[case], np.random.default_rng(0)
    factual = rows_of(constraints, 90, rng, unknown=unknown)
    low, high = constraints.bounds(factual)
    snapper = Snapper(constraints.discrete, factual, low, high)
    z = x_discrete = factual
    for step in range(15):
        gradient = torch.tensor(rng.normal(size=z.shape), dtype=torch.float32)
        expected = balanced_by_hand(constraints, gradient, low, high)
        balanced = snapper.balance(gradient)
        torch.testing.assert_close(  # where nothing can move it does not matter
            torch.where(high > low, balanced, 0.0),
            torch.where(high > low, expected, 0.0),
        )
        z = z + 0.2 * balanced
        z = torch.where(z > high - 1e-3, high - 1e-3 * torch.rand_like(z), z)  # no ties
        z = torch.where(z < low, low + 1e-3 * torch.rand_like(z), z).clamp(low, high)
        x_discrete = snapper.snap(z, x_discrete)
        assert torch.equal(x_discrete, constraints.discretize(z, factual, (low, high)))
        if step == 7:
            keep = torch.arange(0, 90, 2)
            z, x_discrete, factual, low, high = (
                part[keep] for part in (z, x_discrete, factual, low, high)
            )
            snapper = snapper.take(keep)
    if constraints.groups and case != "frozen":
        columns = list(constraints.groups[0].columns)
        assert (x_discrete[:, columns] != factual[:, columns]).any()


def test_at_a_tie_the_category_stays():
    constraints = make(PLAIN)
    factual = torch.zeros(1, SIZE)
    factual[0, [3, 6]] = 1.0
    snapper = Snapper(constraints.discrete, factual, *constraints.bounds(factual))
    z = factual.clone()
    z[0, 1] = 1.0  # as high as column 3, and before it
    snapped = snapper.snap(z, factual)
    assert torch.equal(snapped[:, 1:4], factual[:, 1:4])


def test_a_tie_is_one_whatever_the_values_of_on_and_off():
    """Standardised columns: only a division gives exactly 1 at "on"."""
    mean = torch.rand(9, generator=torch.manual_seed(0)).clamp(0.05, 0.95)
    lower, upper = -(mean / (1 - mean)).sqrt(), ((1 - mean) / mean).sqrt()
    groups = (Group(tuple(range(9))),)
    constraints = Constraints.from_arrays(
        lower, upper, ["both"] * 9, (9,), groups=groups
    )
    factual = torch.where(torch.eye(9) > 0, upper, lower)
    snapper = Snapper(constraints.discrete, factual, *constraints.bounds(factual))
    everything = upper.expand(9, -1)
    assert torch.equal(snapper.snap(everything, factual), factual)
    first = torch.where(torch.eye(9)[:1] > 0, upper, lower)
    snapped = constraints.discretize(everything, factual)
    assert torch.equal(snapped[1:], first.expand(8, -1))


def test_parts_that_are_joined_go_on_as_one():
    constraints, rng = CASES["plain"], np.random.default_rng(2)
    factual = rows_of(constraints, 40, rng)
    whole = Snapper(constraints.discrete, factual, *constraints.bounds(factual))
    x = factual + 0.3 * torch.tensor(rng.normal(size=factual.shape)).float()
    halves = [whole.take(rows) for rows in torch.arange(40).split(20)]
    joined = Snapper.cat(halves[::-1])
    expected, order = whole.snap(whole.clamp(x), factual), torch.arange(40).roll(20)
    found = joined.snap(joined.clamp(x[order]), factual[order])
    assert torch.equal(found, expected[order])
    free = Constraints.unbounded((SIZE,))
    parts = [Snapper(free.discrete, factual, factual, factual)] * 2
    assert len(Snapper.cat(parts).box.low) == 80


def test_images_and_unconstrained_rows_pass_as_they_are():
    free = Constraints.unbounded((1, 2, 2))
    x = torch.randn(5, 1, 2, 2)
    snapper = Snapper(free.discrete, x, *free.bounds(x))
    assert snapper.snap(x, x) is x
    assert torch.equal(snapper.balance(x.clone()), x)
    assert len(snapper.take(torch.tensor([0])).box.low) == 1


def test_of_two_categories_that_reach_on_the_one_that_rises_faster_is_ahead():
    constraints = make(PLAIN)
    factual = torch.zeros(2, SIZE)
    factual[:, [3, 6]] = 1.0
    low, high = constraints.bounds(factual)
    snapper = Snapper(constraints.discrete, factual, low, high)
    step = torch.zeros(2, SIZE)
    step[0, 1], step[0, 3] = 1.5, 0.1  # column 1 overtakes column 3, which is on
    step[1, 1], step[1, 3] = 1.5, 0.6  # it does not
    z = snapper.clamp(factual + step)
    snapped = snapper.snap(z, factual)
    assert snapped[:, 1:4].tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    free = [0, 4, 5, 10, 11]
    assert (z[:, free] <= high[:, free]).all()
