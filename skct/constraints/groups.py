"""`Group`: columns that together encode one category, and what follows from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

__all__ = ["Group", "GroupColumns", "GroupTables"]


@dataclass(frozen=True)
class Group:
    """Columns that together encode one category.

    Parameters
    ----------
    columns : tuple of int
        Positions in the flattened model input, one per category, in category order.
    ordered : bool, default=False
        The categories are ordered, so that one-way mutability has a meaning.
    baseline : bool, default=False
        One category has no column: all columns off stands for it.
    baseline_allowed : bool, default=True
        Whether the domain allows that category.
    """

    columns: tuple[int, ...]
    ordered: bool = False
    baseline: bool = False
    baseline_allowed: bool = True


class GroupColumns(NamedTuple):
    """One group, and what the constraints say about its columns."""

    group: Group
    columns: Tensor  # (size,) positions in the flattened model input
    lower: Tensor  # (size,) values of "off"
    upper: Tensor  # (size,) values of "on"; that of "off" where it is not allowed
    can_rise: bool  # every column can increase: to later categories, if ordered
    can_fall: bool

    @property
    def is_one_way(self) -> bool:
        """Whether the category can move along its order in one direction alone."""
        return self.group.ordered and self.can_rise != self.can_fall

    @property
    def may_be_off(self) -> bool:
        """Whether a row can move to the category without a column."""
        # The baseline is the first category: what can only rise never gets there.
        out_of_reach = self.group.ordered and not self.can_fall
        return self.group.baseline and self.group.baseline_allowed and not out_of_reach

    def rank(self) -> Tensor:
        """Place of each column in the order of the categories."""
        size, device = len(self.columns), self.columns.device
        return torch.arange(size, device=device) + self.group.baseline

    def narrow(self, factual: Tensor, low: Tensor, high: Tensor) -> None:
        """Narrow the box to what holds for the category as a whole, in place.

        Parameters
        ----------
        factual, low, high : Tensor of shape (n, n_features)
            `low` and `high` hold what is allowed for each column by itself.
        """
        columns = self.columns
        ends = low[:, columns], high[:, columns]
        bounds = self._along_order if self.is_one_way else self._all_or_nothing
        low[:, columns], high[:, columns] = bounds(factual[:, columns], *ends)

    def _all_or_nothing(
        self, factual: Tensor, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Box that is closed where the category of the factual cannot be left."""
        active = factual > self.lower
        stuck = (active & (low >= factual)).any(1, keepdim=True)
        return torch.where(stuck, factual, low), torch.where(stuck, factual, high)

    def _along_order(
        self, factual: Tensor, low: Tensor, high: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Box that is open for the categories on one side of the factual's."""
        active, rank = factual > self.lower, self.rank()
        current = (active * rank).sum(1, keepdim=True)
        allowed = rank >= current if self.can_rise else rank <= current
        # An unknown category has no place in the order: it stays as it is.
        known = active.any(1, keepdim=True) | self.group.baseline
        off, on = self.lower.minimum(factual), self.upper.maximum(factual)
        low = torch.where(known & (allowed | active), off, factual)
        high = torch.where(known & allowed, on, factual)
        return low, high

    def protect(
        self, protected: Tensor, neighbour: Tensor, counterfactual: Tensor
    ) -> None:
        """Take the neighbour's category over, unless it lies on the wrong side.

        Parameters
        ----------
        protected, neighbour, counterfactual : Tensor of shape (n, n_features)
            The first is written to.
        """
        rank = self.rank()
        theirs, ours = neighbour[:, self.columns], counterfactual[:, self.columns]
        gap = (((theirs > self.lower) * rank) - ((ours > self.lower) * rank)).sum(1)
        wrong_side = (gap < 0 if self.can_rise else gap > 0).unsqueeze(1)
        protected[:, self.columns] = torch.where(wrong_side, ours, theirs)


class GroupTables(NamedTuple):
    """All groups together, so that a step of a search hardly loops over them.

    Groups are sorted by size, so that those of one size are handled together.
    """

    member: Tensor  # (n_features, n_groups) 1 where a column belongs to a group
    grouped: Tensor  # (n_features,) 1 for the columns of groups
    free: Tensor  # (n_features,) 1 for all others
    off: Tensor  # (n_features,) value of "off", 0 outside of groups
    baseline: Tensor  # (n_groups,) 1 where one category has no column
    may_be_off: Tensor  # (n_groups,) 1 where that category may be chosen
    by_size: tuple[Tensor, ...]  # positions, (number of groups of a size, size) each

    @classmethod
    def build(cls, parts: Sequence[GroupColumns], n_features: int) -> Self:
        """Tables of some groups, on their device and of their dtype."""
        parts = sorted(parts, key=lambda part: len(part.columns))
        like = parts[0].lower
        member = like.new_zeros(n_features, len(parts))
        off = like.new_zeros(n_features)
        by_size: dict[int, list[Tensor]] = {}
        for i, part in enumerate(parts):
            member[part.columns, i] = 1.0
            off[part.columns] = part.lower
            by_size.setdefault(len(part.columns), []).append(part.columns)
        grouped = member.sum(1).clamp(max=1)
        return cls(
            member,
            grouped,
            1 - grouped,
            off,
            like.new_tensor([float(part.group.baseline) for part in parts]),
            like.new_tensor([float(part.may_be_off) for part in parts]),
            tuple(torch.stack(columns) for columns in by_size.values()),
        )

    def to(self, like: Tensor) -> Self:
        """Tables of the dtype of some rows."""
        return self._replace(
            member=self.member.to(like),
            grouped=self.grouped.to(like),
            free=self.free.to(like),
            off=self.off.to(like),
            baseline=self.baseline.to(like),
            may_be_off=self.may_be_off.to(like),
        )

    def total(self, values: Tensor) -> Tensor:
        """Sum over the columns of each group, of shape (n, n_groups)."""
        return values @ self.member

    def spread(self, values: Tensor) -> Tensor:
        """Values of groups, of shape (n, n_groups), at each of their columns."""
        return values.to(self.member) @ self.member.T

    def best(self, score: Tensor) -> tuple[Tensor, Tensor]:
        """Highest score in each group and its column; the first of equal ones.

        Parameters
        ----------
        score : Tensor of shape (n, n_features)

        Returns
        -------
        best : Tensor of shape (n, n_groups)
        column : int64 Tensor of shape (n, n_groups)
        """
        highest, column = [], []
        for positions in self.by_size:
            block = score[:, positions.flatten()]
            block = block.reshape(len(score), *positions.shape)
            value, place = block.max(2)
            highest.append(value)
            column.append(positions.gather(1, place.t()).t())
        return torch.cat(highest, 1), torch.cat(column, 1)
