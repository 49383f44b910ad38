"""`ascend_failed`: another way to the target where gradient descent has failed."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..constraints.snapping import Snapper
from ..utils.model import evaluation_mode, pad
from .coordinate import coordinate_ascent
from .cost_model import CostModel
from .search import SearchResult, reaches_threshold

__all__ = ["ascend_failed"]

# What is spent, in turn; the last one crosses the box of any standardised column.
BUDGETS = (2.0, 8.0, 32.0, 128.0)


def ascend_failed(
    model: Callable[[Tensor], Tensor],
    result: SearchResult,
    factual: Tensor,
    constraints: Constraints,
    threshold: float,
    weights: Tensor | None = None,
) -> SearchResult:
    """Coordinate ascent from the factual, where a search did not reach the threshold.

    A step of gradient descent is proportional to the slope, so that a search comes to
    a halt on flat ground although there is a way. Steps along single features have a
    length of their own: it grows until a row gets there.

    Parameters
    ----------
    model, factual, constraints, threshold, weights
        As in `refine`.
    result : SearchResult

    Returns
    -------
    result : SearchResult
        Rows that get there are mature, and hold the state that does; the others are as
        they were.
    """
    left = (~result.mature).nonzero().squeeze(1)
    if not len(left):
        return result
    found, mature = result.counterfactual.clone(), result.mature.clone()
    if weights is not None:
        weights = weights.expand_as(factual)
    with evaluation_mode(model), torch.no_grad():
        for budget in BUDGETS:
            rows, n = factual[left], len(left)
            target = result.target[left]
            cost = None if weights is None else pad(weights[left])
            end = ascend(
                model, pad(rows), pad(target), constraints, threshold, cost, budget
            )[:n]
            there = reaches_threshold(model, end, target, threshold)
            found[left[there]], mature[left[there]] = end[there], True
            left = left[~there]
            if not len(left):
                break
    return result._replace(counterfactual=found, mature=mature)


def ascend(
    model: Callable[[Tensor], Tensor],
    factual: Tensor,
    target: Tensor,
    constraints: Constraints,
    threshold: float,
    weights: Tensor | None,
    budget: float,
) -> Tensor:
    """What the model sees at the end of an ascent that may spend a budget."""
    costs = CostModel(factual, target, constraints, weights, 0.0, None)
    bounds = constraints.bounds(factual)
    _, after, _ = coordinate_ascent(
        model,
        costs,
        costs.minimum(),
        constraints,
        bounds,
        budget=torch.full_like(costs.factual[:, 0], budget),
        threshold=threshold,
    )
    snapper = Snapper(constraints.discrete, factual, *bounds)
    return snapper.snap(after.clamp(*bounds), factual)
