"""`Snapper`: categories and integers of a search, from step to step."""

from copy import copy

import torch
from torch.nn.utils.rnn import pad_sequence

__all__ = ["Snapper"]


LEAD = 0.01  # share of a step beyond "on" that is kept, to tell who is ahead
FROZEN = -1e30  # score of a category that cannot be chosen; finite, to subtract


class Snapper:
    """`Constraints.balance` and `discretize` for rows that move a little at a time.

    In most steps most rows keep their categories, which shows in the scores alone; only
    the other rows are snapped anew. At a tie a category stays.

    Parameters
    ----------
    constraints : Constraints
    factual, low, high : Tensor of shape (n, *features)
        Rows, which `keep` thins out, and their ``constraints.bounds``.
    """

    per_row = ("scale", "shift", "movable", "share", "winner", "always")

    def __init__(self, constraints, factual, low, high):
        self.constraints = constraints
        self.integers = (constraints.step.flatten() > 0).nonzero().squeeze(1)
        if constraints.groups:
            self.prepare(*(part.flatten(1) for part in (factual, low, high)))

    def prepare(self, factual, low, high):
        """Scores of categories: ``scale * x + shift``, 0 for all other columns."""
        groups = self.constraints.grouping
        self.member = factual.new_zeros(factual.shape[1], len(groups.sizes))
        self.member[groups.columns] = groups.member
        grouped = self.member.sum(1) > 0
        self.grouped, self.free = grouped.to(factual), (~grouped).to(factual)
        movable = (high > low) & grouped
        self.movable = movable.to(factual)
        self.scale = torch.where(movable, 1.0 / (high - low), 0.0)
        self.shift = torch.where(movable, -low * self.scale, 0.0)
        self.shift[grouped & ~movable] = FROZEN
        self.share = 1.0 / (self.movable @ self.member + groups.baseline).clamp(min=1)
        self.padded = pad_sequence(
            [torch.tensor(g.columns) for g in self.constraints.groups],
            batch_first=True,
            padding_value=factual.shape[1],
        ).to(factual.device)
        on = ((factual > self.constraints.lower.flatten()) & grouped).to(factual)
        position = torch.arange(factual.shape[1], device=on.device, dtype=on.dtype)
        self.winner = ((on * position) @ self.member).long()
        n_on = on @ self.member
        self.always = (groups.may_be_off | (n_on != 1)).any(1)
        self.winner[self.always] = 0

    @classmethod
    def merged(cls, snappers):
        """Snapper of the rows of several."""
        snapper = copy(snappers[0])
        if snapper.constraints.groups:
            for name in cls.per_row:
                values = [getattr(part, name) for part in snappers]
                setattr(snapper, name, torch.cat(values))
        return snapper

    def keep(self, rows):
        """Forget all other rows."""
        if self.constraints.groups:
            for name in self.per_row:
                setattr(self, name, getattr(self, name).index_select(0, rows))

    def balance(self, gradient):
        """As `Constraints.balance`, in place."""
        if self.constraints.groups:
            flat = gradient.flatten(1)
            mean = ((flat * self.movable) @ self.member).mul_(self.share)
            flat.sub_(mean @ self.member.T)
        return gradient

    def clamp(self, x, low, high):
        """Into the box; of two categories that would leave it, the first stays ahead.

        Otherwise both would stand at "on" for good.
        """
        inside = x.clamp(low, high)
        if not self.constraints.groups:
            return inside
        beyond = (x - inside).flatten(1).clamp_(min=0).mul_(self.grouped)
        return inside.flatten(1).add_(beyond, alpha=LEAD).reshape(x.shape)

    def snap(self, x, before, factual, low, high):
        """As `Constraints.discretize`, for states that were `before` a step ago."""
        if not self.constraints.is_discrete:
            return x
        parts = (part.flatten(1) for part in (x, before, factual, low, high))
        flat, before, factual, low, high = parts
        snapped = flat.clone()
        if len(self.integers):
            self.snap_integers(snapped, factual, low, high)
        if self.constraints.levels:
            args = snapped.reshape(x.shape), factual.reshape(x.shape), low, high
            snapped = self.constraints.snap_levels(*args).flatten(1)
        if self.constraints.groups:
            snapped = self.snap_groups(flat, snapped, before, factual, low, high)
        return snapped.reshape(x.shape)

    def snap_integers(self, snapped, factual, low, high):
        """Put integers on their lattice, in place."""
        columns = self.integers
        x, factual, low, high = (
            part.index_select(1, columns) for part in (snapped, factual, low, high)
        )
        step, origin = (
            part.flatten()[columns]
            for part in (self.constraints.step, self.constraints.origin)
        )
        lattice = (origin + ((x - origin) / step).round() * step).clamp(low, high)
        near = ((lattice - factual).abs() < 0.5 * step) | (x == factual)
        snapped.index_copy_(1, columns, torch.where(near, factual, lattice))

    def snap_groups(self, x, snapped, before, factual, low, high):
        """Categories as before, but for rows where another one has a higher score."""
        score = torch.addcmul(self.shift, x, self.scale)
        score -= score.gather(1, self.winner) @ self.member.T
        snapped = (snapped * self.free).addcmul_(before, self.grouped)
        rows = ((score.amax(1) > 0) & ~self.always).nonzero().squeeze(1)
        if len(rows):
            old = self.winner[rows]
            new = self.best(score[rows], old)
            ends = (end[rows].gather(1, at) for end, at in ((low, old), (high, new)))
            block = (
                snapped[rows].scatter_(1, old, next(ends)).scatter_(1, new, next(ends))
            )
            snapped[rows], self.winner[rows] = block, new
        rows = self.always.nonzero().squeeze(1)
        if len(rows):
            shape = (-1, *self.constraints.lower.shape)
            some = [part[rows].reshape(shape) for part in (x, factual, low, high)]
            again = self.constraints.discretize(some[0], some[1], some[2:])
            snapped[rows] = again.flatten(1)
        return snapped

    def best(self, ahead, present):
        """Column with the highest score in each group; the present one at a tie."""
        nothing = torch.full_like(ahead[:, :1], -torch.inf)
        each = torch.cat([ahead, nothing], 1)[:, self.padded.flatten()]
        best, place = each.reshape(len(ahead), *self.padded.shape).max(2)
        column = self.padded.gather(1, place.t()).t()
        return torch.where(best > 0, column, present)
