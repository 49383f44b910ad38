"""Counterfactuals for a teacher to label, and steps along what cannot change."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.nn.functional import cross_entropy

from ..constraints import Constraints
from ..constraints.snapping import Snapper
from ..solvers.coordinate import ascend
from ..solvers.cost_model import CostModel
from ..utils.model import blocks
from .objective import SearchTask
from .pairs import draw_neighbours

__all__ = ["exchange", "step_along_fixed", "walk"]

# Of a walk: the longest, in units of the model input, and the highest target
# probability; reference rows and weight of the implausibility it minimises.
LONGEST = 8.0
SUREST = 0.99
N_REFERENCE = 1000
PLAUSIBILITY_WEIGHT = 0.5
# Of an exchange: how many are tried for each row, and the most columns taken over.
N_TRIED = 4
MOST_COLUMNS = 3


def walk(task: SearchTask) -> Tensor:
    """Walks of the explainer's refinement from the factuals, each of random length.

    Returns
    -------
    x : Tensor of shape (n, *features)
        Where a walk has spent its length, or has reached the target probability that
        is drawn for all of them.
    """
    factual, target = task.factual, task.target
    length = LONGEST * torch.rand(len(factual), generator=task.rng)
    threshold = 0.5 + (SUREST - 0.5) * float(torch.rand((), generator=task.rng))
    drawn = torch.randperm(len(task.X), generator=task.rng)[:N_REFERENCE]
    reference = task.X[drawn], task.y[drawn]
    x = torch.empty_like(factual)
    for rows in blocks(torch.arange(len(factual)), factual):
        costs = CostModel(
            *(factual[rows], target[rows], task.constraints, None),
            PLAUSIBILITY_WEIGHT,
            reference,
        )
        x[rows] = ascend(
            *(task.model, costs, task.constraints, factual[rows]),
            budget=length[rows].to(factual),
            threshold=threshold,
        )
    return x


def exchange(task: SearchTask) -> Tensor:
    """Factuals with some columns of observed rows of the target class.

    One to three raw columns that may change, a category as a whole; of four tries the
    one with the highest target probability.

    Returns
    -------
    x : Tensor of shape (n, *features)
    """
    n, shape = len(task.factual), task.factual.shape
    donor = draw_neighbours(task.target.repeat(N_TRIED), task.y, task.rng)
    factual, target = task.factual.repeat(N_TRIED, *[1] * (len(shape) - 1)), task.target
    low, high = task.constraints.bounds(factual)
    taken = draw_columns(len(factual), task.constraints, task.rng).to(factual.device)
    x = torch.where(taken.reshape(factual.shape), task.X[donor], factual)
    snapper = Snapper(task.constraints.discrete, factual, low, high)
    x = snapper.snap(x.clamp(low, high), factual)
    probability = torch.cat([task.model(part) for part in blocks(x, x)]).softmax(1)
    told = probability.gather(1, target.repeat(N_TRIED)[:, None]).view(N_TRIED, n)
    best = told.argmax(0)
    return x.unflatten(0, (N_TRIED, n))[best, torch.arange(n, device=best.device)]


def draw_columns(n: int, constraints: Constraints, rng: Generator) -> Tensor:
    """Draw which features of n rows are exchanged: one to three raw columns of each.

    Returns
    -------
    taken : bool Tensor of shape (n, n_features)
    """
    column = torch.arange(constraints.n_features)
    for group in constraints.groups:
        column[list(group.columns)] = min(group.columns)
    _, column = column.unique(return_inverse=True)
    n_columns = torch.randint(1, MOST_COLUMNS + 1, (n, 1), generator=rng)
    order = torch.rand(n, int(column.max()) + 1, generator=rng).argsort(1)
    return (order.argsort(1) < n_columns)[:, column]


def step_along_fixed(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    label: Tensor,
    constraints: Constraints,
    epsilon: float,
    rng: Generator,
) -> Tensor:
    """One signed step against the label, along immutable features only.

    From a random start within `epsilon` of the rows, and clipped to that (fast gradient
    sign method); all other features stay as they are. The rows themselves where every
    feature may change.

    Returns
    -------
    x : Tensor of shape (n, *features)
    """
    if not constraints.fixed.any():
        return x
    radius = epsilon * constraints.fixed.to(x)
    start = radius * (2 * torch.rand(x.shape, generator=rng).to(x) - 1)
    with torch.enable_grad():
        point = (x + start).requires_grad_()
        loss = cross_entropy(model(point), label)
        (gradient,) = torch.autograd.grad(loss, point, materialize_grads=True)
    return x + (start + radius * gradient.sign()).clamp(-radius, radius)
