"""`Snapper`: relaxed states become rows with categories and integers."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from ..utils.rows import Rows
from .groups import GroupTables

__all__ = ["DiscreteColumns", "Snapper", "snap_once"]


# What a step goes beyond "on" is cut off, but for this fraction of it: of two
# categories that reach "on" in the same step, the one that rose faster is ahead.
LEAD = 0.01
FROZEN = -1e30  # score of a category that cannot be chosen; finite, to subtract
SAME_LEVEL = 1e-5  # distance below which an encoded integer is the factual's


class DiscreteColumns(NamedTuple):
    """Which columns of the flattened model input are not continuous.

    An integer is evenly spaced in the units of the model (``origin + k * step``), or it
    has a list of levels, as behind a power transform.
    """

    integers: Tensor  # (n_integers,) positions of evenly spaced integers
    step: Tensor  # (n_integers,) distance of neighbouring values
    origin: Tensor  # (n_integers,) any value
    levels: tuple[tuple[int, Tensor], ...]  # position and sorted values of the others
    groups: GroupTables | None
    lower: Tensor  # (n_features,) domain of numbers; infinite in columns of groups
    upper: Tensor

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(len(self.integers) or self.levels or self.groups)


@dataclass
class BoxRows(Rows):
    """Rows to snap and the box of each, flattened to (n, n_features)."""

    factual: Tensor | None
    low: Tensor
    high: Tensor


@dataclass
class CategoryRows(Rows):
    """Scores of the categories of each row, and which of them is on."""

    offset: Tensor  # (n, n_features) the score of a column is (x - offset) / width
    width: Tensor
    movable: Tensor  # (n, n_features) 1 for columns of groups that can move
    inverse_count: Tensor  # (n, n_groups) 1 / number of categories to choose from
    winner: Tensor  # (n, n_groups) column that is on
    may_be_off: Tensor  # (n, n_groups) whether all columns may be off
    afresh: Tensor  # (n,) whether a row is snapped from nothing in each step

    @classmethod
    def start(cls, groups: GroupTables, box: BoxRows, afresh: bool) -> Self:
        """Rows at their factuals."""
        grouped, free = groups.grouped > 0, groups.free > 0
        movable = (box.high > box.low) & grouped
        # Scores are 0 at "off" and 1 at "on", whatever their values, and exactly so: a
        # division where a product would round, and make a winner out of a tie.
        width = torch.where(movable, box.high - box.low, 1.0)
        width[:, free] = torch.inf  # no group: a score of 0
        offset = torch.where(movable, box.low, -FROZEN)
        offset[:, free] = 0.0
        count = groups.total(movable.to(width)) + groups.baseline
        winner = torch.zeros_like(count, dtype=torch.long)
        may_be_off = (groups.may_be_off > 0).expand(len(width), -1)
        rows = torch.full(width.shape[:1], afresh, device=width.device)
        if box.factual is not None:
            on = ((box.factual > groups.off) & grouped).to(width)
            position = torch.arange(len(groups.off), device=on.device, dtype=on.dtype)
            n_on = groups.total(on)
            # What the steps below keep up to date is one column that is on. A group
            # that is off, or may be switched off, has none.
            rows = rows | (may_be_off | (n_on != 1)).any(1)
            may_be_off = may_be_off | (n_on == 0)
            winner = torch.where(rows[:, None], 0, groups.total(on * position).long())
        return cls(
            offset,
            width,
            movable.to(width),
            1.0 / count.clamp(min=1),
            winner,
            may_be_off,
            rows,
        )


class Snapper:
    """Categories and integers of rows that move a little at a time.

    In most steps most rows keep their categories, which shows in the scores alone; only
    the other rows are snapped anew. At a tie a category stays.

    Parameters
    ----------
    discrete : DiscreteColumns
        ``constraints.discrete``.
    factual : Tensor of shape (n, *features) or None
        Where given, what has not moved keeps its bits, and a category may be unknown
        (all columns off) where it is unknown there.
    low, high : Tensor of shape (n, *features)
        Box of each row, ``constraints.bounds(factual)``.
    afresh : bool, default=False
        Snap each state by itself, whatever was on a step ago.
    """

    def __init__(
        self,
        discrete: DiscreteColumns,
        factual: Tensor | None,
        low: Tensor,
        high: Tensor,
        *,
        afresh: bool = False,
    ):
        self.discrete = discrete
        flat = None if factual is None else factual.flatten(1)
        self.box = BoxRows(flat, low.flatten(1), high.flatten(1))
        # Whether a number of some factual lies outside its domain.
        self.outside = flat is not None and bool((self._entry() != flat).any())
        self.groups: GroupTables | None = None
        self.categories: CategoryRows | None = None
        if discrete.groups is not None:
            self.groups = discrete.groups.to(low)
            self.categories = CategoryRows.start(self.groups, self.box, afresh)

    def take(self, index: Tensor) -> Self:
        """Snapper of some of the rows."""
        snapper = copy(self)
        snapper.box = self.box.take(index)
        if self.categories is not None:
            snapper.categories = self.categories.take(index)
        return snapper

    @classmethod
    def cat(cls, snappers: Sequence[Self]) -> Self:
        """Snapper of the rows of several."""
        snapper = copy(snappers[0])
        snapper.box = BoxRows.cat([part.box for part in snappers])
        snapper.outside = any(part.outside for part in snappers)
        categories = [part.categories for part in snappers if part.categories]
        if categories:
            snapper.categories = CategoryRows.cat(categories)
        return snapper

    # ---------------------------------------------------------------- a step's two ends

    def balance(self, gradient: Tensor) -> Tensor:
        """Make a step in a group a choice, in place: what one gains, others lose.

        Subtracts the mean over the columns that can move. Otherwise two columns that
        both rise end in a tie at "on".
        """
        if self.groups is None or self.categories is None:
            return gradient
        # One category of a group is on: scores s >= 0 lie on the simplex sum(s) = 1.
        # Its tangent space is sum(ds) = 0, on which minus the mean projects. A baseline
        # is one more category with score 1 - sum(s) and gradient 0: it adds 1 to the
        # count and nothing to the sum.
        flat, rows = gradient.flatten(1), self.categories
        mean = self.groups.total(flat * rows.movable).mul_(rows.inverse_count)
        flat.sub_(self.groups.spread(mean))
        return gradient

    def project(self, x: Tensor) -> Tensor:
        """Into the box."""
        flat = x.flatten(1).clamp(self.box.low, self.box.high)
        return flat.reshape(x.shape)

    def clamp(self, x: Tensor) -> Tensor:
        """Into the box; of two categories that would leave it, the first stays ahead.

        Otherwise both would stand at "on" for good.
        """
        flat = x.flatten(1)
        inside = flat.clamp(self.box.low, self.box.high)
        if self.groups is not None:
            beyond = (flat - inside).clamp_(min=0).mul_(self.groups.grouped)
            inside.add_(beyond, alpha=LEAD)
        return inside.reshape(x.shape)

    # ------------------------------------------------------------------------- snapping

    def snap(self, x: Tensor, before: Tensor) -> Tensor:
        """Snapped states.

        Parameters
        ----------
        x : Tensor of shape (n, *features)
            Relaxed states, inside the box.
        before : Tensor of shape (n, *features)
            What this method returned a step ago; the factuals at first.

        Returns
        -------
        snapped : Tensor of shape (n, *features)
        """
        if not (self.discrete or self.outside):
            return x
        flat = x.flatten(1)
        snapped = self._snap_numbers(flat)
        if self.outside:
            snapped = self._snap_to_domain(snapped)
        if self.groups is not None and self.categories is not None:
            snapped = self._snap_categories(
                self.groups, self.categories, flat, snapped, before.flatten(1)
            )
        return snapped.reshape(x.shape)

    def _snap_numbers(self, x: Tensor) -> Tensor:
        """Put integers on the nearest of their values, in a copy."""
        snapped = x.clone()
        if len(self.discrete.integers):
            self._snap_to_lattice(snapped)
        for column, values in self.discrete.levels:
            self._snap_to_levels(snapped, column, values)
        return snapped

    def _entry(self) -> Tensor:
        """Where each number enters its domain; itself if it is inside or cannot."""
        factual = self.box.factual
        assert factual is not None  # the caller has looked
        lower, upper = (self.discrete.lower, self.discrete.upper)
        entry = factual.clamp(lower.to(factual), upper.to(factual))
        return entry.clamp(self.box.low, self.box.high)

    def _snap_to_domain(self, snapped: Tensor) -> Tensor:
        """Numbers outside of their domain stay where they are, or enter it.

        The box reaches from the factual to the domain. What lies in between is none of
        both, and becomes the nearer one.
        """
        factual, entry = self.box.factual, self._entry()
        assert factual is not None
        between = (snapped - factual) * (snapped - entry) < 0
        enters = (snapped - entry).abs() < (snapped - factual).abs()
        return torch.where(between, torch.where(enters, entry, factual), snapped)

    def _snap_to_lattice(self, snapped: Tensor) -> None:
        """Put evenly spaced integers on their lattice, in place."""
        columns, step, origin = self.discrete[:3]
        x, low, high = (
            part.index_select(1, columns)
            for part in (snapped, self.box.low, self.box.high)
        )
        lattice = (origin + ((x - origin) / step).round() * step).clamp(low, high)
        if self.box.factual is not None:
            # A factual may lie between two integers, imputed say, and comes back there.
            factual = self.box.factual.index_select(1, columns)
            near = ((lattice - factual).abs() < 0.5 * step) | (x == factual)
            lattice = torch.where(near, factual, lattice)
        snapped.index_copy_(1, columns, lattice)

    def _snap_to_levels(self, snapped: Tensor, column: int, values: Tensor) -> None:
        """Put an integer with uneven distances on the nearest level, in place."""
        middle = (values[1:] + values[:-1]) / 2
        level = values[torch.bucketize(snapped[:, column].contiguous(), middle)]
        level = level.clamp(self.box.low[:, column], self.box.high[:, column])
        if self.box.factual is not None:
            factual = self.box.factual[:, column]
            near = (level - factual).abs() < SAME_LEVEL
            level = torch.where(near, factual, level)
        snapped[:, column] = level

    def _snap_categories(
        self,
        groups: GroupTables,
        rows: CategoryRows,
        x: Tensor,
        snapped: Tensor,
        before: Tensor,
    ) -> Tensor:
        """Categories as before, but for rows where another one has a higher score."""
        score = (x - rows.offset).div_(rows.width)
        held = groups.spread(score.gather(1, rows.winner))
        # Outside of groups score and held are 0, so that nothing seems to change there.
        # (`amax` takes a fifth of the time of a comparison and `any`.)
        overtaken = held.neg_().add_(score).amax(1) > 0
        changed = (overtaken | rows.afresh).nonzero().squeeze(1)
        snapped = (snapped * groups.free).addcmul_(before, groups.grouped)
        if len(changed):
            some = (part.index_select(0, changed) for part in (x, score))
            block = self._choose(groups, rows, changed, *some)
            numbers = snapped.index_select(0, changed)
            block = torch.where(groups.grouped > 0, block, numbers)
            snapped.index_copy_(0, changed, block)
        return snapped

    def _choose(
        self,
        groups: GroupTables,
        rows: CategoryRows,
        index: Tensor,
        x: Tensor,
        score: Tensor,
    ) -> Tensor:
        """Switch on the category with the highest score in each group of some rows.

        This is the rule, for single states and within a search: at a tie the category
        that is on stays on, or else the first wins; the category without a column wins
        with more than all others; a group that is as in the factual keeps its bits.

        `x` and `score` are of these rows. Columns outside of groups mean nothing in the
        result.
        """
        best, winner = groups.best(score)
        present = rows.winner.index_select(0, index)
        stays = (score.gather(1, present) >= best) & ~rows.afresh[index, None]
        winner = torch.where(stays, present, winner)
        rows.winner[index] = winner
        low, high = (
            end.index_select(0, index) for end in (self.box.low, self.box.high)
        )
        block = low.scatter(1, winner, high.gather(1, winner))
        may_be_off = rows.may_be_off.index_select(0, index)
        if may_be_off.any():  # the category without a column has what is left of 1
            rest = 1.0 - groups.total(score.clamp(min=0.0))
            off = groups.spread(may_be_off & (rest > best)) > 0
            block = torch.where(off, low, block)
        if self.box.factual is None:
            return block
        factual = self.box.factual.index_select(0, index)
        moved = groups.spread(groups.total((x != factual).to(x))) > 0
        return torch.where(moved, block, factual)


def snap_once(
    discrete: DiscreteColumns,
    x: Tensor,
    factual: Tensor | None,
    low: Tensor,
    high: Tensor,
) -> Tensor:
    """Snap single states; parameters as those of `Snapper`."""
    return Snapper(discrete, factual, low, high, afresh=True).snap(x, x)
