"""`walk`: steepest ascent to the target class where distance is an L1 norm."""

import torch

from ..constraints.snapping import Snapper
from ..utils.model import MIN_ROWS, filled_up
from .forward import forward_of

__all__ = ["Price", "walk"]


N_STEPS = 10
FAR = 1e30  # an open end; finite, so that times 0 it is 0
PER_ROW = (
    "rows",
    "target",
    "left",
    "low",
    "high",
    "start",
    "factual",
    "weights",
    "up",
    "down",
    "z",
    "previous",
    "x",
)


def walk(model, price, start, constraints, bounds, budget, limit):
    """Go from the cheapest point, one feature at a time, until the target is reached.

    Each step spends its share of the budget on the feature with the best ratio of gain,
    in log-odds of the target, to price at the start; a category changes as a whole. No
    feature turns back.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits.
    price : Price
    start : Tensor of shape (n, n_features)
        Where to begin, ``price.minimum()``.
    constraints : Constraints
    bounds : pair of Tensor of shape (n, *features)
        ``constraints.bounds(factual)``.
    budget : Tensor of shape (n,)
        Cost to spend.
    limit : float
        Target probability to reach.

    Returns
    -------
    before, after : Tensor of shape (n, *features)
        Relaxed states before and after the last step.
    reached : bool Tensor of shape (n,)
    """
    walker = Walker(model, price, start, constraints, bounds, budget, limit)
    for steps_left in range(N_STEPS, 0, -1):
        if not walker.advance(steps_left):
            break
    return walker.result()


class Walker:
    """Rows that are on their way, and where the others have arrived."""

    def __init__(self, model, price, start, constraints, bounds, budget, limit):
        self.forward, self.constraints = forward_of(model), constraints
        self.limit, self.shape = limit, bounds[0].shape[1:]
        self.lattice = constraints.step.flatten()
        self.reached = torch.zeros_like(price.target, dtype=torch.bool)
        # One entry per row that is on its way; `compact` thins them out.
        self.rows = torch.arange(len(budget), device=budget.device)
        self.factual, self.target = price.factual, price.target
        self.weights, self.left = price.weights, budget
        self.low, self.high = (end.flatten(1).clamp(-FAR, FAR) for end in bounds)
        self.snapper = Snapper(constraints.discrete, self.factual, self.low, self.high)
        self.z, self.x = start.clamp(self.low, self.high), self.factual
        self.start = self.z = self.previous = self.snap()
        self.up, self.down = price.of_moves(self.start)
        if self.snapper.groups is not None:
            self.prepare_groups(self.snapper.groups)
        self.before, self.after = self.z.clone(), self.z.clone()

    def prepare_groups(self, groups):
        """Tables of groups: who belongs where, and what "off" is."""
        member = groups.member
        self.off = groups.off
        self.may_be_off = groups.may_be_off
        nothing = torch.zeros_like(member[:, :1])
        self.columns_of = torch.cat([member, nothing], 1).T.contiguous()
        self.group_of = torch.cat([member, 0.5 + nothing], 1).argmax(1)

    def snap(self):
        """What the model sees of the state."""
        self.x = self.snapper.snap(self.z, self.x)
        return self.x

    def look(self):
        """State as the model sees it, target probability, and a way back to x."""
        x = self.snap()
        with torch.enable_grad():
            logits, pull_back = self.forward(x.reshape(-1, *self.shape))
        probability = logits.softmax(1)
        reached = probability.gather(1, self.target[:, None]).squeeze(1) >= self.limit
        return x, reached, probability, pull_back

    def advance(self, steps_left):
        """One step with every row that has not arrived; False when all have."""
        x, reached, probability, pull_back = self.look()
        self.settle(reached)
        if bool(reached.all()):
            return False
        # The gradient of the log-odds, but for a positive factor in each row.
        uphill = probability.neg_().scatter_add_(
            1, self.target[:, None], torch.ones_like(probability[:, :1])
        )
        slope = pull_back(uphill).flatten(1)
        self.step(x, slope.nan_to_num_(nan=0.0, posinf=0.0, neginf=0.0), steps_left)
        self.compact(reached)
        return True

    def step(self, x, slope, steps_left):
        """Move each row along the feature that is worth most."""
        sign, gain = slope.sign(), slope.abs()
        if self.constraints.groups:
            sign, gain, price = self.offers(x, slope, sign, gain)
        else:
            price = choice(sign, self.up, self.down)
        room = (choice(sign, self.high, self.low) - self.z).abs_()
        onward = ((self.z - self.start) * sign).sign_().add_(1).clamp_(max=1)
        worth = gain.div_(price).mul_(onward).mul_(room.sign())
        worth, column = worth.max(1, keepdim=True)
        room, weight, sign = (p.gather(1, column) for p in (room, self.weights, sign))
        length = self.left[:, None].clamp(min=0.0) / (steps_left * weight)
        length = torch.where(length > 0, length.maximum(self.lattice[column]), 0.0)
        length = torch.where(worth > 0, length.minimum(room), 0.0)
        self.left = self.left - (length * weight).squeeze(1)
        self.previous, z = self.z, self.z.scatter_add(1, column, sign * length)
        if self.constraints.groups:
            z = self.switched(z, x, column, length > 0)
        self.z = z.clamp_(self.low, self.high)

    def offers(self, x, slope, sign, gain):
        """Sign, gain and price of each column's move, where a category's is a change.

        A column that is on can only be left for the category without one.
        """
        member, grouped, free = (
            getattr(self.snapper.groups, name) for name in ("member", "grouped", "free")
        )
        on = self.on(x)
        value = slope * (self.high - self.low).mul_(grouped)
        held, paid, n_on = (
            (part @ member) @ member.T for part in (value * on, self.down * on, on)
        )
        change = (value - held).clamp_(min=0).mul_(grouped - on)
        change -= (value * on).clamp_(max=0).mul_(member @ self.may_be_off)
        sign = sign * free + grouped - 2 * on
        price = choice(sign, self.up, self.down)
        both = (self.up * (1 - 0.5 * n_on)).add_(paid, alpha=0.5)
        price = torch.lerp(price, both, grouped - on)
        return sign, gain * free + change, price

    def on(self, x):
        """1 for columns of categories that are on, else 0."""
        return (x - self.off).sign_().clamp_(min=0).mul_(self.snapper.groups.grouped)

    def switched(self, z, x, column, moves):
        """States in which a category that is taken up replaces the one before."""
        group = self.group_of[column.squeeze(1)]
        changed = self.columns_of.index_select(0, group) * moves
        taken = torch.zeros_like(x).scatter_(1, column, moves.to(x)) - self.on(x)
        taken = taken.clamp_(min=0).mul_(changed)
        block = self.low * changed + (self.high - self.low) * taken
        return (z * (1 - changed)).add_(block)

    def settle(self, reached):
        """Write down the last step of rows that have arrived."""
        new = (reached & ~self.reached[self.rows]).nonzero().squeeze(1)
        rows = self.rows[new]
        self.before.index_copy_(0, rows, self.previous.index_select(0, new))
        self.after.index_copy_(0, rows, self.z.index_select(0, new))
        self.reached[rows] = True

    def compact(self, reached):
        """Drop rows that have arrived, once they are a quarter."""
        n_left = len(reached) - int(reached.sum())
        if len(reached) <= MIN_ROWS or 4 * n_left > 3 * len(reached):
            return
        keep = filled_up(~reached)
        for name in PER_ROW:
            setattr(self, name, getattr(self, name).index_select(0, keep))
        self.snapper = self.snapper.take(keep)

    def result(self):
        """Last steps, and who has arrived; the last state counts, too."""
        self.settle(self.look()[1])
        shape = (-1, *self.shape)
        return self.before.reshape(shape), self.after.reshape(shape), self.reached


def choice(sign, upwards, downwards):
    """One of two by the sign; a fast `torch.where`."""
    return torch.lerp(downwards, upwards, sign.clamp(min=0))


LEAST = 0.05  # a price is at least this share of the feature's weight


class Price:
    r"""Objective of a refinement, separable and convex, row by row.

    .. math:: J(x) = \sum_j w_j |x_j - f_j| + \lambda \sum_j \mathrm{mean}_r |x_j - r_j|

    with the factual f and reference rows r of the target class: (weighted) cost plus
    implausibility, in the units of both. Columns of a category count one half each.

    Parameters
    ----------
    factual : Tensor of shape (n, *features)
    target : int64 Tensor of shape (n,)
    constraints : Constraints
    weights : Tensor of shape (n, *features) or None
        Cost of each feature.
    plausibility_weight : float
        The factor lambda.
    reference : pair of Tensor or None
        Encoded rows and their class indices; without it implausibility counts 0.
    """

    def __init__(
        self, factual, target, constraints, weights, plausibility_weight, reference
    ):
        self.factual, self.target = factual.flatten(1), target
        self.weights = torch.ones_like(self.factual)
        if weights is not None:
            self.weights = weights.flatten(1)
        self.share = torch.ones_like(self.factual[0])
        for group in constraints.groups:
            self.share[list(group.columns)] = 0.5
        self.tables = {}
        self.factor = plausibility_weight
        if plausibility_weight and reference is not None:
            rows, codes = reference
            for code in target.unique().tolist():
                if (codes == code).any():
                    columns = rows[codes == code].flatten(1).t()
                    self.tables[code] = columns.sort(1).values.contiguous()

    def by_class(self):
        """Rows, as positions, and sorted reference of each class that has one."""
        for code, table in self.tables.items():
            rows = (self.target == code).nonzero().squeeze(1)
            if len(rows):
                yield rows, table

    def of_moves(self, x):
        """Increase of J per unit of each feature, upwards and downwards.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Where the movement starts.

        Returns
        -------
        up, down : Tensor of shape (n, n_features)
            At least a twentieth of the feature's weight.
        """
        side = (x - self.factual).sign()  # towards the factual a move saves cost
        up = self.weights * (1 + 2 * side.clamp(max=0))
        down = self.weights * (1 - 2 * side.clamp(min=0))
        for rows, table in self.by_class():
            here, n = x[rows].t().contiguous(), table.shape[1]
            up_to = torch.searchsorted(table, here, right=True)
            below = torch.searchsorted(table, here)
            up[rows] += self.factor * (2 * up_to - n).t() / n
            down[rows] += self.factor * (n - 2 * below).t() / n
        least = LEAST * self.weights
        return up.maximum(least), down.maximum(least)

    def minimum(self):
        """The x with the least J, of shape (n, n_features); constraints aside."""
        if self.factor <= self.weights.min():
            return self.factual
        x = self.factual.clone()
        for rows, table in self.by_class():
            n = table.shape[1]
            weight, here = self.weights[rows].t() / self.factor, x[rows].t()
            first = ((1 - weight).clamp(min=0) / 2 * (n - 1)).round().long()
            low, high = table.gather(1, first), table.gather(1, n - 1 - first)
            x[rows] = torch.where(weight < 1, here.clamp(low, high), here).t()
        return x

    def cost(self, change):
        """Weighted L1 norm of changes of shape (n, n_features), of shape (n,)."""
        return (change.abs() * self.weights * self.share).sum(1)
