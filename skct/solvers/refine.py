"""`refine`: make mature counterfactuals cheaper and sparser without losing them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..constraints.snapping import Snapper
from ..losses import log_odds
from ..utils.model import blocks, evaluation_mode, pad
from ..utils.rows import Rows
from .coordinate import coordinate_ascent
from .cost_model import CostModel, bend_of, move_costs
from .forward import forward_of
from .search import SearchResult

__all__ = ["refine"]


MORE_STEPS = 50  # of an ascent whose rows have budget left
N_CUTS = 6
CUTS_OF_BUDGET = CUTS_OF_STEP = 3
# A line search keeps this far away from the ends of its interval, and goes this much
# further than where it expects the threshold, as fractions of the interval.
CLEARANCE = 0.05
OVERSHOOT = 0.02
SPARE = 1e-4  # added to the threshold: tolerance for float32 rounding


def refine(
    model: Callable[[Tensor], Tensor],
    result: SearchResult,
    factual: Tensor,
    constraints: Constraints,
    threshold: float,
    weights: Tensor | None = None,
    *,
    plausibility_weight: float = 0.0,
    reference: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """Make counterfactuals of a search cheaper, sparser and more plausible.

    A gradient step overshoots, and moves every feature. Here each row starts again,
    with what its counterfactual costs as a budget: it takes up to ten steps, each on
    the one feature with the highest gain per cost, and the last step ends on the
    threshold. A row that does not get there keeps its counterfactual, less all that it
    does not need: the features with the least effect per cost return to the factual,
    and the rest moves back along a straight line. All rows together.

    Parameters
    ----------
    model : callable
        Maps a batch to logits.
    result : SearchResult
    factual : Tensor of shape (n, *features)
    constraints : Constraints
    threshold : float
        Target probability to keep.
    weights : Tensor of shape (*features,) or (n, *features), optional
        Cost of each feature.
    plausibility_weight : float, default=0.0
        What a unit of implausibility is worth in units of cost. Where it exceeds the
        weight of a feature, that moves closer to the target class even if the model
        does not ask for it.
    reference : pair of Tensor, optional
        Encoded rows and their class indices, for implausibility.

    Returns
    -------
    counterfactual : Tensor of shape (n, *features)
        A mature row stays mature; what is immature, or was mature at the start, is
        returned as it is. No counterfactual becomes more costly, unless the
        plausibility weight is larger than that of a feature.
    """
    rows = (result.mature & (result.n_iter > 0)).nonzero().squeeze(1)
    if len(rows) == 0:
        return result.counterfactual
    if weights is not None:
        weights = weights.expand_as(factual)
    found = FoundRows(result.counterfactual, factual, result.target, weights)
    task = RefineTask(model, constraints, threshold, plausibility_weight, reference)
    out = result.counterfactual.clone()
    with evaluation_mode(model), torch.no_grad():
        for block in blocks(rows, factual[rows]):
            out[block] = refine_block(task, found.take(block))
    return out


class RefineTask(NamedTuple):
    """What is the same for all rows; see `refine`."""

    model: Callable[[Tensor], Tensor]
    constraints: Constraints
    threshold: float
    plausibility_weight: float
    reference: tuple[Tensor, Tensor] | None


@dataclass
class FoundRows(Rows):
    """Rows to refine."""

    x: Tensor  # (n, *features) counterfactual that a search has found
    factual: Tensor  # (n, *features)
    target: Tensor  # (n,) class index
    weights: Tensor | None  # (n, *features) cost of each feature

    def padded(self) -> "FoundRows":
        """As many rows as a matrix kernel needs; the last one counts several times."""
        weights = None if self.weights is None else pad(self.weights)
        return FoundRows(pad(self.x), pad(self.factual), pad(self.target), weights)


def refine_block(task: RefineTask, given: FoundRows) -> Tensor:
    """`refine` of rows that are held in memory together, all of them to be refined."""
    n, rows = len(given.x), given.padded()
    costs = CostModel(
        rows.factual,
        rows.target,
        task.constraints,
        rows.weights,
        task.plausibility_weight,
        task.reference,
    )
    refiner, start = Refiner(task, rows), costs.minimum()
    budget = costs.cost(refiner.shrink(rows.x, CUTS_OF_BUDGET).flatten(1), start)
    before, after, reached = coordinate_ascent(
        task.model,
        costs,
        start,
        task.constraints,
        refiner.bounds,
        budget=budget,
        threshold=refiner.probability,
        more_steps=MORE_STEPS,
    )
    refined = refiner.last_step(before, after)
    reached &= costs.cost(refined.flatten(1), start) <= budget
    reached &= refiner.margin(refined) >= 0
    lost = (~reached[:n]).nonzero().squeeze(1)
    if len(lost):
        rows = given.take(lost).padded()
        refiner = Refiner(task, rows)
        rest = refiner.shrink(refiner.sparsify(rows.x, rows.weights))
        refined[lost] = rest[: len(lost)]
    return refined[:n]


class Refiner:
    """Line searches of rows towards their factuals, within constraints."""

    def __init__(self, task: RefineTask, rows: FoundRows):
        self.model, self.forward = task.model, forward_of(task.model)
        self.factual, self.target = rows.factual, rows.target
        self.groups, self.bend = task.constraints.groups, bend_of(task.constraints)
        self.probability = min(task.threshold + SPARE, 1.0 - 1e-7)
        self.log_odds = math.log(self.probability / (1.0 - self.probability))
        self.bounds = task.constraints.bounds(rows.factual)
        self.snapper = Snapper(task.constraints.discrete, rows.factual, *self.bounds)
        self.snapped = rows.factual

    def margin(self, x: Tensor) -> Tensor:
        """Log-odds of the target beyond those of the threshold; >= 0 is mature."""
        return log_odds(self.forward(x)[0], self.target) - self.log_odds

    def cut(
        self,
        x: Tensor,
        start: Tensor,
        candidate: Callable[[Tensor], Tensor],
        n_cuts: int = N_CUTS,
    ) -> Tensor:
        """Candidate of a small fraction in [0, 1] that is mature.

        ``candidate(0)`` is `start`, where the margin is negative as a rule;
        ``candidate(1)`` is `x`, where it is not, and which is returned if nothing
        smaller is mature.
        """
        # The invariant: the candidate of `high` is mature and is `best`, that of `low`
        # is not; `above` and `below` are their margins.
        low, below = torch.zeros(len(x), device=x.device), self.margin(start)
        high, above, best = torch.ones_like(low), self.margin(x), x
        for i in range(n_cuts):
            # Regula falsi and bisection in turn. Along a line the logits of a ReLU
            # network are piecewise linear: once the interval lies in one piece, the
            # line through both margins hits 0 at below / (below - above).
            # Bisection is for the time before that.
            fraction: Tensor | float = 0.5
            if i % 2 == 0:  # infinite log-odds have no ratio
                fraction = below / (below - above)
                fraction = fraction.clamp(CLEARANCE, 1 - CLEARANCE).nan_to_num(0.5)
            # A bit further than the root, so that `high` comes down to it.
            middle = low + (fraction + OVERSHOOT) * (high - low)
            tried = candidate(middle)
            margin = self.margin(tried)
            good = margin >= 0
            best = torch.lerp(best, tried, expand(good, x).to(x))  # a fast `where`
            high = torch.where(good, middle, high)
            above = torch.where(good, margin, above)
            low = torch.where(good, low, middle)
            below = torch.where(good, below, margin)
        return best

    def between(self, start: Tensor, end: Tensor, fraction: Tensor) -> Tensor:
        """What the model sees of a point on the way from one state to another."""
        return self.snap(start + expand(fraction, end) * (end - start))

    def snap(self, x: Tensor) -> Tensor:
        """What the model sees of a state."""
        self.snapped = self.snapper.snap(x.clamp(*self.bounds), self.snapped)
        return self.snapped

    def shrink(self, x: Tensor, n_cuts: int = N_CUTS) -> Tensor:
        """Move back along the straight line to the factual."""
        return self.cut(
            x, self.factual, lambda t: self.between(self.factual, x, t), n_cuts
        )

    def last_step(self, before: Tensor, after: Tensor) -> Tensor:
        """Cut the last step of an ascent where the threshold is."""
        end, start = self.snap(after), self.snap(before)
        return self.cut(
            end, start, lambda t: self.between(before, after, t), CUTS_OF_STEP
        )

    def sparsify(self, x: Tensor, weights: Tensor | None) -> Tensor:
        """Put the least useful features back, as many as possible."""
        rank, n_changed = self.rank(x, weights)

        def candidate(fraction: Tensor) -> Tensor:
            keep = rank < expand(torch.ceil(fraction * n_changed), rank)
            return torch.where(keep.reshape(x.shape), x, self.factual)

        return self.cut(x, self.factual, candidate)

    def rank(self, x: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
        """Usefulness of each changed feature (0 = most), groups moving as one.

        To first order, putting feature j back loses slope_j * change_j of the target's
        log-probability, and saves |change_j| times its weight.
        """
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            logits = self.model(point).log_softmax(1)
            score = logits.gather(1, self.target[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, point)
        change = (x - self.factual).flatten(1)
        weights = None if weights is None else weights.flatten(1)
        cost = move_costs(x.flatten(1), self.factual.flatten(1), weights, self.bend)
        gain = gradient.flatten(1) * change
        for group in self.groups:
            columns = list(group.columns)
            gain[:, columns] = gain[:, columns].sum(1, keepdim=True)
            cost[:, columns] = cost[:, columns].sum(1, keepdim=True)
        moved = cost > 0
        gain_per_cost = torch.where(moved, gain / cost.clamp(min=1e-12), -torch.inf)
        order = gain_per_cost.argsort(dim=1, descending=True, stable=True)
        # The inverse of the permutation: place of each feature in that order.
        places = torch.arange(order.shape[1], device=x.device).expand_as(order)
        rank = torch.empty_like(order).scatter_(1, order, places)
        for group in self.groups:
            columns = list(group.columns)
            rank[:, columns] = rank[:, columns].amin(1, keepdim=True)
        return rank, moved.sum(1)


def expand(per_row: Tensor, like: Tensor) -> Tensor:
    """One value per row, in the number of dimensions of `like`."""
    return per_row.reshape(-1, *[1] * (like.dim() - 1))
