"""`try_other_ways`: to the target where gradient descent has failed."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..constraints.snapping import Snapper
from ..utils.model import blocks, evaluation_mode
from .coordinate import ascend
from .cost_model import CostModel
from .descent import conviction
from .refine import FoundRows, RefineTask
from .search import SearchResult

__all__ = ["try_other_ways"]

# What is spent, in turn; the last one crosses the box of any column.
BUDGETS = (2.0, 8.0, 32.0, 128.0)
N_MEMBERS = 50  # whose values a row may take over
CHUNK = 10_000_000  # values held in memory to find them


def try_other_ways(
    model: Callable[[Tensor], Tensor],
    result: SearchResult,
    factual: Tensor,
    constraints: Constraints,
    threshold: float,
    weights: Tensor | None = None,
    reference: tuple[Tensor, Tensor] | None = None,
) -> SearchResult:
    """Go from the factual in other ways, where a search did not arrive at the target.

    A step of gradient descent is proportional to the slope, so that a search comes to
    a halt on flat ground although there is a way. Steps along single features have a
    length of their own: it grows until a row gets there. Where they fail, too, a row
    takes over what it may of a reference row that gets there.

    A row that is assigned to the target already, but short of the threshold, stays
    where it is: what such a long way adds to the probability is extrapolation, and
    models that are retrained do not agree with it.

    Parameters
    ----------
    model, factual, constraints, threshold, weights, reference
        As in `refine`.
    result : SearchResult

    Returns
    -------
    result : SearchResult
        Rows that get there are mature, and hold the state that does; others that the
        search has failed hold their most convincing state, which may be its own.
    """
    left = (~result.mature).nonzero().squeeze(1)
    if not len(left):
        return result
    if weights is not None:
        weights = weights.expand_as(factual)
    task = RefineTask(model, constraints, threshold, 0.0, reference)
    given = FoundRows(result.counterfactual, factual, result.target, weights)
    best, mature = result.counterfactual.clone(), result.mature.clone()
    with evaluation_mode(model), torch.no_grad():
        score = told(model, given.take(left).x, result.target[left])[1]
        failed = score < 1  # not assigned to the target
        left, score = left[failed], score[failed]
        for way in WAYS:
            if not len(left):
                break
            rows = given.take(left)
            end = way(task, rows.padded())[: len(left)]
            probability, new_score = told(model, end, rows.target)
            there = probability >= threshold
            better = there | (new_score > score)
            best[left[better]], mature[left[there]] = end[better], True
            left, score = left[~there], score.maximum(new_score)[~there]
    return result._replace(counterfactual=best, mature=mature)


def told(
    model: Callable[[Tensor], Tensor], x: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """Target probability and conviction of each row."""
    logits = torch.cat([model(part) for part in blocks(x, x)])
    probability = logits.softmax(1).gather(1, target[:, None]).squeeze(1)
    return probability, conviction(logits, probability, target)


def ascend_with(task: RefineTask, rows: FoundRows, budget: float) -> Tensor:
    """What the model sees at the end of an ascent that may spend a budget."""
    costs = CostModel(
        rows.factual, rows.target, task.constraints, rows.weights, 0.0, None
    )
    return ascend(
        task.model,
        costs,
        task.constraints,
        rows.factual,
        budget=torch.full_like(costs.factual[:, 0], budget),
        threshold=task.threshold,
    )


def nearest_member(task: RefineTask, rows: FoundRows) -> Tensor:
    """What a row becomes with the values of a row that is assigned to its target.

    As far as its box allows; of the nearest fifty the first that reaches the
    threshold, or the most convincing one.
    """
    out = rows.factual.clone()
    for index, members in members_of_target(task, rows):
        n = max(1, CHUNK // members.numel())
        for chunk in index.split(n):
            out[chunk] = put_on(task, rows.take(chunk), members)
    return out


def members_of_target(
    task: RefineTask, rows: FoundRows
) -> Iterator[tuple[Tensor, Tensor]]:
    """Positions of rows with one target, and reference rows that are convincing.

    Those that reach the threshold; where there are none, all assigned to the target.
    """
    if task.reference is None:
        return
    known = task.reference[0]
    logits = torch.cat([task.model(part) for part in blocks(known, known)])
    probability, assigned = logits.softmax(1), logits.argmax(1)
    for k in rows.target.unique().tolist():
        there = probability[:, k] >= task.threshold
        members = known[there if there.any() else assigned == k]
        if len(members):
            yield (rows.target == k).nonzero().squeeze(1), members


def put_on(task: RefineTask, rows: FoundRows, members: Tensor) -> Tensor:
    """Rows, all with one target, with the values of a member."""
    low, high = task.constraints.bounds(rows.factual)
    states = members.clamp(low[:, None], high[:, None])  # (n, n_members, *features)
    distance = (states - rows.factual[:, None]).abs()
    if rows.weights is not None:
        distance = distance * rows.weights[:, None]
    k = min(N_MEMBERS, len(members))
    nearest = distance.flatten(2).sum(2).topk(k, largest=False).indices
    n, everyone = len(nearest), torch.arange(len(nearest), device=nearest.device)
    again = everyone.repeat_interleave(k)
    snapper = Snapper(
        task.constraints.discrete, rows.factual[again], low[again], high[again]
    )
    x = snapper.snap(states[again, nearest.flatten()], rows.factual[again])
    probability, score = told(task.model, x, rows.target[again])
    # Scores are at most 2: the first that gets there comes before all others.
    order = torch.arange(k, 0, -1, device=x.device).repeat(n)
    score = torch.where(probability >= task.threshold, 2.0 + order, score)
    return x.unflatten(0, (n, k))[everyone, score.reshape(n, k).argmax(1)]


WAYS: tuple[Callable[[RefineTask, FoundRows], Tensor], ...] = (
    *(partial(ascend_with, budget=budget) for budget in BUDGETS),
    nearest_member,
)
