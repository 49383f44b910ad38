"""The objective of a refinement against its definition."""

import pytest
import torch

from skct import Constraints
from skct.constraints import Group
from skct.solvers.coordinate import AscentRows, CategoryMoves
from skct.solvers.cost_model import LEAST_COST, CostModel

WEIGHTS = torch.tensor([[1.0, 2.0, 0.5], [3.0, 1.0, 1.0]])


def make(plausibility_weight, weights=WEIGHTS):
    rng = torch.Generator().manual_seed(0)
    factual = torch.randn(2, 3, generator=rng)
    reference = torch.randn(41, 3, generator=rng) + 1.0, torch.arange(41) % 2
    free, target = Constraints.unbounded((3,)), torch.tensor([1, 0])
    return CostModel(factual, target, free, weights, plausibility_weight, reference), (
        reference
    )


def objective(costs, reference, x):
    """Cost plus implausibility of each feature, by hand."""
    value = costs.weights * (x - costs.factual).abs()
    for i, k in enumerate(costs.target):
        rows = reference[0][reference[1] == k]
        value[i] += costs.plausibility_weight * (x[i] - rows).abs().mean(0)
    return value


@pytest.mark.parametrize("at_factual", [False, True])
@pytest.mark.parametrize("plausibility_weight", [0.0, 0.7, 4.0])
def test_costs_of_moves_are_one_sided_derivatives(plausibility_weight, at_factual):
    costs, reference = make(plausibility_weight)
    rng = torch.Generator().manual_seed(1)
    x = costs.factual if at_factual else torch.randn(2, 3, generator=rng)
    h, least = 1e-4, LEAST_COST * costs.weights
    for move, sign in zip(costs.of_moves(x), (1, -1), strict=True):
        # No row of the reference lies in between, so that the slope is constant.
        rise = objective(costs, reference, x.double() + sign * h)
        slope = (rise - objective(costs, reference, x.double())) / h
        torch.testing.assert_close(
            move, slope.float().maximum(least), atol=1e-3, rtol=0
        )


@pytest.mark.parametrize("plausibility_weight", [0.0, 0.7, 1.5, 4.0])
def test_the_minimum_is_lower_than_every_point_of_a_grid(plausibility_weight):
    costs, reference = make(plausibility_weight)
    least = objective(costs, reference, costs.minimum())
    for value in torch.linspace(-3, 4, 200):
        tried = objective(costs, reference, torch.full((2, 3), value.item()))
        assert (tried >= least - 0.05).all()  # between two rows of the reference
    if plausibility_weight <= 0.5:
        assert torch.equal(costs.minimum(), costs.factual)


def test_a_change_of_category_costs_half_of_both_columns_and_gains_the_difference():
    """Columns 0 to 2 are a category, of which 1 is on; column 3 is a number."""
    constraints = Constraints.from_arrays(
        [0.0] * 3 + [-9.0],
        [1.0] * 3 + [9.0],
        ["both"] * 4,
        (4,),
        groups=(Group((0, 1, 2), baseline=True),),
    )
    x = torch.tensor([[0.0, 1.0, 0.0, 5.0]])
    up, down = (
        torch.tensor([[1.0, 2.0, 3.0, 4.0]]),
        torch.tensor([[5.0, 6.0, 7.0, 8.0]]),
    )
    position, budget = torch.tensor([0]), torch.ones(1)
    rows = AscentRows(position, position, budget, up, up, down, x, x, x, x)
    moves = CategoryMoves(constraints.discrete.groups)
    slope = torch.tensor([[0.5, -1.0, 4.0, -3.0]])
    width = torch.tensor([[1.0, 1.0, 1.0, 18.0]])
    sign, gain, cost = moves.gains(rows, slope, width)
    assert sign.tolist() == [[1, -1, 1, -1]]
    assert gain.tolist() == [[1.5, 1.0, 5.0, 3.0]]
    assert cost.tolist() == [[0.5 * 1 + 0.5 * 6, 6.0, 0.5 * 3 + 0.5 * 6, 8.0]]
    low, high = torch.zeros(1, 4), torch.ones(1, 4)
    for column, expected in ((2, [0, 0, 1, 5]), (1, [0, 0, 0, 5]), (3, [0, 1, 0, 5])):
        at, moved = torch.tensor([[column]]), torch.tensor([[True]])
        z = moves.apply_category_change(x, x, at, moved, low, high)
        assert z.tolist() == [expected]
        stays = moves.apply_category_change(x, x, at, ~moved, low, high)
        assert torch.equal(stays, x)
