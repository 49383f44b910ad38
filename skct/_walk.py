"""`walk`: steepest ascent to the target class where distance is an L1 norm."""

import torch

from ._gradient import forward_of
from ._path import MIN_ROWS

__all__ = ["walk"]

N_STEPS = 10
PER_ROW = ("rows", "target", "left", "low", "high", "start", "factual", "weights")
PER_ROW += ("up", "down", "z", "previous")


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
        self.low, self.high = (end.flatten(1) for end in bounds)
        self.z = start.clamp(self.low, self.high)
        self.start = self.z = self.previous = self.snap()
        self.up, self.down = price.of_moves(self.start)
        self.before, self.after = self.z.clone(), self.z.clone()

    def snap(self):
        """What the model sees of the state."""
        if not self.constraints.is_discrete:
            return self.z
        parts = (self.z, self.factual, self.low, self.high)
        x, factual, *bounds = (part.reshape(-1, *self.shape) for part in parts)
        return self.constraints.discretize(x, factual, bounds).flatten(1)

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
        rises = slope > 0
        gain, price = slope.abs(), torch.where(rises, self.up, self.down)
        if self.constraints.groups:
            rises, gain, price = self.offers(x, slope, rises, gain, price)
        room = torch.where(rises, self.high - self.z, self.z - self.low)
        onward = torch.where(rises, self.z >= self.start, self.z <= self.start)
        worth = torch.where(onward & (room > 0), gain / price, 0.0)
        worth, column = worth.max(1, keepdim=True)
        room, weight, up = (p.gather(1, column) for p in (room, self.weights, rises))
        length = self.left[:, None].clamp(min=0.0) / (steps_left * weight)
        length = torch.where(length > 0, length.maximum(self.lattice[column]), 0.0)
        length = torch.where(worth > 0, length.minimum(room), 0.0)
        self.left = self.left - (length * weight).squeeze(1)
        self.previous = self.z
        self.z = self.z.scatter_add(1, column, torch.where(up, length, -length))
        if self.constraints.groups:
            self.switch(x, column, length > 0)
        self.z = self.z.clamp(self.low, self.high)

    def offers(self, x, slope, rises, gain, price):
        """As given, but columns of categories stand for a change of category.

        A column that is on can only be left for the category without one.
        """
        groups = self.constraints.grouping
        columns, on = groups.columns, self.on(x)
        rises[:, columns] = ~on
        price[:, columns] = torch.where(on, self.down[:, columns], self.up[:, columns])
        value = slope[:, columns] * (self.high - self.low)[:, columns]
        held, paid = (groups.total(part * on) for part in (value, price[:, columns]))
        some_on = groups.spread(on.float() @ groups.member)
        both = torch.where(some_on & ~on, 0.5 * (paid - price[:, columns]), 0.0)
        price[:, columns] += both
        off = torch.where(groups.spread(groups.may_be_off), -value, 0.0)
        gain[:, columns] = torch.where(on, off, value - held).clamp(min=0.0)
        return rises, gain, price

    def on(self, x):
        """Which columns of categories are on."""
        columns = self.constraints.grouping.columns
        return x[:, columns] > self.constraints.lower.flatten()[columns]

    def switch(self, x, column, moves):
        """Let the category that is taken up replace the one before."""
        groups = self.constraints.grouping
        columns = groups.columns
        taken = torch.zeros_like(x, dtype=torch.bool).scatter_(1, column, moves)
        taken = taken[:, columns]
        changed = groups.spread(taken.float() @ groups.member)
        wanted = taken & ~self.on(x)
        block = torch.where(wanted, self.high[:, columns], self.low[:, columns])
        self.z[:, columns] = torch.where(changed, block, self.previous[:, columns])

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
        keep = (~reached).nonzero().squeeze(1)
        if len(keep) < MIN_ROWS:  # others fill up, so that kernels stay the same
            rest = reached.nonzero().squeeze(1)
            keep = torch.cat([keep, rest[: MIN_ROWS - len(keep)]])
        for name in PER_ROW:
            setattr(self, name, getattr(self, name).index_select(0, keep))

    def result(self):
        """Last steps, and who has arrived; the last state counts, too."""
        self.settle(self.look()[1])
        shape = (-1, *self.shape)
        return self.before.reshape(shape), self.after.reshape(shape), self.reached
