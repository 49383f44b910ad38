"""Snapping from step to step against the definition, `Constraints.discretize`."""

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


@pytest.mark.parametrize("unknown", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_what_the_definition_makes_of_it(case, unknown):
    constraints, rng = CASES[case], np.random.default_rng(0)
    factual = rows_of(constraints, 90, rng, unknown=unknown)
    low, high = constraints.bounds(factual)
    snapper = Snapper(constraints, factual, low, high)
    z = hard = factual
    for step in range(15):
        gradient = torch.tensor(rng.normal(size=z.shape), dtype=torch.float32)
        expected = constraints.balance(gradient.clone(), low, high)
        balanced = snapper.balance(gradient)
        torch.testing.assert_close(  # where nothing can move it does not matter
            torch.where(high > low, balanced, 0.0),
            torch.where(high > low, expected, 0.0),
        )
        z = z + 0.2 * balanced
        z = torch.where(z > high - 1e-3, high - 1e-3 * torch.rand_like(z), z)  # no ties
        z = torch.where(z < low, low + 1e-3 * torch.rand_like(z), z).clamp(low, high)
        hard = snapper.snap(z, hard, factual, low, high)
        assert torch.equal(hard, constraints.discretize(z, factual, (low, high)))
        if step == 7:
            keep = torch.arange(0, 90, 2)
            z, hard, factual, low, high = (
                part[keep] for part in (z, hard, factual, low, high)
            )
            snapper.keep(keep)
    if constraints.groups and case != "frozen":
        columns = list(constraints.groups[0].columns)
        assert (hard[:, columns] != factual[:, columns]).any()


def test_at_a_tie_the_category_stays():
    constraints = make(PLAIN)
    factual = torch.zeros(1, SIZE)
    factual[0, [3, 6]] = 1.0
    snapper = Snapper(constraints, factual, *constraints.bounds(factual))
    z = factual.clone()
    z[0, 1] = 1.0  # as high as column 3, and before it
    hard = snapper.snap(z, factual, factual, *constraints.bounds(factual))
    assert torch.equal(hard[:, 1:4], factual[:, 1:4])


def test_images_and_unconstrained_rows_pass_as_they_are():
    free = Constraints.unbounded((1, 2, 2))
    x = torch.randn(5, 1, 2, 2)
    snapper = Snapper(free, x, *free.bounds(x))
    assert snapper.snap(x, x, x, x, x) is x
    assert torch.equal(snapper.balance(x.clone()), x)
    snapper.keep(torch.tensor([0]))


def test_of_two_categories_that_reach_on_the_one_that_rises_faster_is_ahead():
    constraints = make(PLAIN)
    factual = torch.zeros(2, SIZE)
    factual[:, [3, 6]] = 1.0
    low, high = constraints.bounds(factual)
    snapper = Snapper(constraints, factual, low, high)
    step = torch.zeros(2, SIZE)
    step[0, 1], step[0, 3] = 1.5, 0.1  # column 1 overtakes column 3, which is on
    step[1, 1], step[1, 3] = 1.5, 0.6  # it does not
    z = snapper.clamp(factual + step, low, high)
    hard = snapper.snap(z, factual, factual, low, high)
    assert hard[:, 1:4].tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    free = [0, 4, 5, 10, 11]
    assert (z[:, free] <= high[:, free]).all()
