"""`coordinate_ascent`: to the target class, one feature at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..constraints.groups import GroupTables
from ..constraints.snapping import Snapper
from ..preprocessing import bend
from ..utils.model import MIN_ROWS, padded_positions
from ..utils.rows import Rows
from .cost_model import (
    LEAST_COST,
    CostModel,
    bend_slope,
    move_costs,
    straightened,
)
from .forward import forward_of

__all__ = ["ascend", "coordinate_ascent"]


N_STEPS = 10
FAR = 1e30  # an open end; finite, so that times 0 it is 0
MOST_MOVING = 3 / 4  # finished rows are dropped once they are a quarter


def coordinate_ascent(
    model: Callable[[Tensor], Tensor],
    costs: CostModel,
    start: Tensor,
    constraints: Constraints,
    bounds: tuple[Tensor, Tensor],
    *,
    budget: Tensor,
    threshold: float,
    more_steps: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Go from the cheapest point, one feature at a time, until the target is reached.

    Steepest ascent where distance is an L1 norm. Each step spends its part of the
    budget on the feature with the best ratio of gain, in log-odds of the target, to
    cost; a category changes as a whole. No feature turns back.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits.
    costs : CostModel
    start : Tensor of shape (n, n_features)
        Where to begin, ``costs.minimum()``.
    constraints : Constraints
    bounds : pair of Tensor of shape (n, *features)
        ``constraints.bounds(factual)``.
    budget : Tensor of shape (n,)
        Cost to spend.
    threshold : float
        Target probability to reach.
    more_steps : int, default=0
        After the ten that the budget is parted into, for rows that have not spent all
        of it: in a wide table many columns come to the end of their range.

    Returns
    -------
    before, after : Tensor of shape (n, *features)
        Relaxed states before and after the last step, also of rows that do not get
        there.
    reached : bool Tensor of shape (n,)
    """
    ascent = CoordinateAscent(
        model, costs, start, constraints, bounds, budget, threshold
    )
    for steps_left in range(N_STEPS, 0, -1):
        if not ascent.advance(steps_left):
            return ascent.result()
    for _ in range(more_steps):
        if not ascent.has_moved() or not ascent.advance(1):
            break
    return ascent.result()


def ascend(
    model: Callable[[Tensor], Tensor],
    costs: CostModel,
    constraints: Constraints,
    like: Tensor,
    *,
    budget: Tensor,
    threshold: float,
) -> Tensor:
    """What the model sees at the end of an ascent, wherever that is.

    Parameters
    ----------
    model, costs, constraints, budget, threshold
        As in `coordinate_ascent`.
    like : Tensor of shape (n, *features)
        The factuals.

    Returns
    -------
    x : Tensor of shape (n, *features)
    """
    bounds = constraints.bounds(like)
    _, after, _ = coordinate_ascent(
        model,
        costs,
        costs.minimum(),
        constraints,
        bounds,
        budget=budget,
        threshold=threshold,
    )
    return Snapper(constraints.discrete, like, *bounds).snap(after.clamp(*bounds), like)


@dataclass
class AscentRows(Rows):
    """Rows that have not reached the threshold yet."""

    position: Tensor  # (n,) where their results belong
    target: Tensor  # (n,) class index
    budget: Tensor  # (n,) what is left of it
    weights: Tensor  # (n, n_features) as are all others
    cost_up: Tensor  # increase of the objective per unit, at the start
    cost_down: Tensor
    start: Tensor
    z: Tensor  # relaxed state
    previous: Tensor  # the one before
    x: Tensor  # what the model sees of it


class CoordinateAscent:
    """Rows that have not reached the threshold, and results of all rows."""

    def __init__(
        self,
        model: Callable[[Tensor], Tensor],
        costs: CostModel,
        start: Tensor,
        constraints: Constraints,
        bounds: tuple[Tensor, Tensor],
        budget: Tensor,
        threshold: float,
    ):
        self.forward, self.threshold = forward_of(model), threshold
        self.shape = bounds[0].shape[1:]
        self.smallest_step, self.bend = constraints.step.flatten(), costs.bend
        low, high = (end.flatten(1).clamp(-FAR, FAR) for end in bounds)
        self.snapper = Snapper(constraints.discrete, costs.factual, low, high)
        z = start.clamp(low, high)
        x = self.snapper.snap(z, costs.factual)
        self.rows = AscentRows(
            torch.arange(len(budget), device=budget.device),
            costs.target,
            budget,
            costs.weights,
            *costs.of_moves(x),
            start=x,
            z=x,
            previous=x,
            x=x,
        )
        self.moves = None
        if self.snapper.groups is not None:
            self.moves = CategoryMoves(self.snapper.groups)
        # For all rows, in the order in which they were given.
        self.before, self.after = x.clone(), x.clone()
        self.reached = torch.zeros_like(costs.target, dtype=torch.bool)

    def advance(self, steps_left: int) -> bool:
        """One step with every row below the threshold; False when none is left."""
        reached, probability, pull_back = self.look()
        self.record(reached)
        if bool(reached.all()):
            return False
        # The log-odds l_t - log sum_{j != t} exp(l_j) have the gradient 1 at the target
        # and -p_j / (1 - p_t) at the others. Times 1 - p_t, which is positive and the
        # same for all features of a row, that is the one-hot target minus p.
        at_logits = probability.neg_().scatter_add_(
            1, self.rows.target[:, None], torch.ones_like(probability[:, :1])
        )
        slope = pull_back(at_logits).flatten(1)
        self.step(slope.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0), steps_left)
        self.drop_recorded(reached)
        return True

    def has_moved(self) -> bool:
        """Whether the last step has moved a row that may still get there."""
        return not torch.equal(self.rows.previous, self.rows.z)

    def look(self) -> tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]:
        """Who has reached the threshold, probabilities, and the pull-back."""
        rows = self.rows
        rows.x = self.snapper.snap(rows.z, rows.x)
        with torch.enable_grad():
            logits, pull_back = self.forward(rows.x.reshape(-1, *self.shape))
        probability = logits.softmax(1)
        of_target = probability.gather(1, rows.target[:, None]).squeeze(1)
        return of_target >= self.threshold, probability, pull_back

    def step(self, slope: Tensor, steps_left: int) -> None:
        """Move each row along the feature with the highest gain per cost.

        To first order, moving feature j by d gains ``|slope_j| |d|`` and costs
        ``cost_j |d|``: all that is spent goes to the feature with the best ratio.
        """
        rows, low, high = self.rows, self.snapper.box.low, self.snapper.box.high
        sign, gain = slope.sign(), slope.abs()
        cost = by_sign(sign, rows.cost_up, rows.cost_down)
        if self.moves is not None:
            sign, gain, cost = self.moves.gains(rows, slope, high - low)
        slack = (by_sign(sign, high, low) - rows.z).abs_()
        # (z - start) * sign is negative where the move would turn back: the mask is
        # min(sign(.) + 1, 1), 0 there and else 1.
        forward_mask = ((rows.z - rows.start) * sign).sign_().add_(1).clamp_(max=1)
        gain_per_cost = gain.div_(cost).mul_(forward_mask).mul_(slack.sign())
        gain_per_cost, column = gain_per_cost.max(1, keepdim=True)
        slack, weight, sign = (
            part.gather(1, column) for part in (slack, rows.weights, sign)
        )
        # An equal part of what is left for each step that is left; an integer moves by
        # one at least, and nothing moves out of the box. What a move costs here is its
        # distance times the weight: the cost of the whole
        # path is checked at its end, by `refine`.
        part = rows.budget[:, None].clamp(min=0.0) / (steps_left * weight)
        here = rows.z.gather(1, column)
        length = self.length(here, sign * part, column)
        least = self.smallest_step[column]
        length = torch.where(length > 0, length.maximum(least), 0.0)
        length = torch.where(gain_per_cost > 0, length.minimum(slack), 0.0)
        spent = self.spent(here, sign * length, column)
        rows.budget = rows.budget - (spent * weight).squeeze(1)
        rows.previous = rows.z
        z = rows.z.scatter_add(1, column, sign * length)
        if self.moves is not None:
            z = self.moves.apply_category_change(
                z, rows.x, column, length > 0, low, high
            )
        rows.z = z.clamp_(low, high)
        if self.bend is not None:
            before, after = (bend_slope(s, self.bend) for s in (rows.previous, rows.z))
            dearer, least = (after - before) * rows.weights, LEAST_COST * rows.weights
            rows.cost_up = (rows.cost_up + dearer).maximum(least)
            rows.cost_down = (rows.cost_down + dearer).maximum(least)

    def length(self, here: Tensor, part: Tensor, column: Tensor) -> Tensor:
        """How far a feature moves for a (signed) part of the budget."""
        if self.bend is None:
            return part.abs()
        bound = self.bend[column]
        return (bend(straightened(here, bound) + part, bound) - here).abs()

    def spent(self, here: Tensor, move: Tensor, column: Tensor) -> Tensor:
        """What a move of a feature costs, for a weight of 1."""
        if self.bend is None:
            return move.abs()
        return move_costs(here + move, here, None, self.bend[column])

    def record(self, reached: Tensor) -> None:
        """Write down the last step of rows that have reached the threshold."""
        rows = self.rows
        new = (reached & ~self.reached[rows.position]).nonzero().squeeze(1)
        position = rows.position[new]
        self.before.index_copy_(0, position, rows.previous.index_select(0, new))
        self.after.index_copy_(0, position, rows.z.index_select(0, new))
        self.reached[position] = True

    def drop_recorded(self, reached: Tensor) -> None:
        """Drop rows that have reached the threshold, once they are a quarter."""
        n, n_left = len(reached), len(reached) - int(reached.sum())
        if n <= MIN_ROWS or n_left > MOST_MOVING * n:
            return
        keep = padded_positions(~reached)
        self.rows, self.snapper = self.rows.take(keep), self.snapper.take(keep)

    def result(self) -> tuple[Tensor, Tensor, Tensor]:
        """Last steps, and which rows have reached the threshold by them."""
        self.record(self.look()[0])
        reached = self.reached.clone()
        self.record(torch.ones_like(self.rows.target, dtype=torch.bool))
        shape = (-1, *self.shape)
        return self.before.reshape(shape), self.after.reshape(shape), reached


class CategoryMoves:
    """Moves of categories: one column is switched on, the one before it off.

    All tensors are of shape (n, n_features), with 1 and 0 for yes and no.
    """

    def __init__(self, groups: GroupTables):
        self.groups = groups
        member, no_group = groups.member, torch.zeros_like(groups.member[:, :1])
        # Group of each column, and columns of each group, with one more "group" that
        # has no columns, for those that belong to none.
        self.group_of = torch.cat([member, 0.5 + no_group], 1).argmax(1)
        self.columns_of = torch.cat([member, no_group], 1).T.contiguous()

    def is_on(self, x: Tensor) -> Tensor:
        """Columns of categories that are on."""
        return (x - self.groups.off).sign_().clamp_(min=0).mul_(self.groups.grouped)

    def gains(
        self, rows: AscentRows, slope: Tensor, width: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Sign, gain and cost of each column's move, where a category's is a change.

        Numbers have those of a unit step. A column that is off can be switched on, and
        the one that is on goes off; a column that is on can only be left for the
        category without one.
        """
        groups, on = self.groups, self.is_on(rows.x)
        off = groups.grouped - on
        # What a column adds to the log-odds while it is on, and what those of its group
        # add, and cost, that are on now: at most one.
        value = slope * width.mul_(groups.grouped)
        held, cost_held, n_on = (
            groups.spread(groups.total(part))
            for part in (value * on, rows.cost_down * on, on)
        )
        gain = (value - held).clamp_(min=0).mul_(off)
        # To the category without a column, if there is one: minus the column's value.
        may_be_off = groups.member @ groups.may_be_off
        gain -= (value * on).clamp_(max=0).mul_(may_be_off)
        sign = slope.sign() * groups.free + off - on
        # A change moves two columns, half of the cost of each; out of the category
        # without a column it moves one.
        cost = by_sign(sign, rows.cost_up, rows.cost_down)
        of_change = (rows.cost_up * (1 - 0.5 * n_on)).add_(cost_held, alpha=0.5)
        cost = torch.lerp(cost, of_change, off)
        return sign, slope.abs() * groups.free + gain, cost

    def apply_category_change(
        self,
        z: Tensor,
        x: Tensor,
        column: Tensor,
        moves: Tensor,
        low: Tensor,
        high: Tensor,
    ) -> Tensor:
        """States in which a category that is taken up replaces the one before.

        Parameters
        ----------
        z, x : Tensor of shape (n, n_features)
            States after the step, and what the model saw before it.
        column : int64 Tensor of shape (n, 1)
            Along which a row has moved, of a group or not.
        moves : bool Tensor of shape (n, 1)
            Whether it has moved at all.
        low, high : Tensor of shape (n, n_features)
        """
        group = self.group_of[column.squeeze(1)]
        changed = self.columns_of.index_select(0, group) * moves
        # The column is switched on, unless it was on: then all of its group are off.
        chosen = torch.zeros_like(x).scatter_(1, column, moves.to(x))
        switched_on = (chosen - self.is_on(x)).clamp_(min=0).mul_(changed)
        block = low * changed + (high - low) * switched_on
        return (z * (1 - changed)).add_(block)


def by_sign(sign: Tensor, upwards: Tensor, downwards: Tensor) -> Tensor:
    """One of two by the sign; a fast `torch.where`."""
    return torch.lerp(downwards, upwards, sign.clamp(min=0))
