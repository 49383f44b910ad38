"""What a counterfactual may change: mutability, domain, categories, integers."""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..utils.validation import parameter_error, wrong
from .spec import resolve_domain, resolve_mutability

__all__ = ["Constraints", "Group"]


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
        One category has no column of its own: all columns off stands for it.
    baseline_allowed : bool, default=True
        Whether the domain allows that category.
    """

    columns: tuple[int, ...]
    ordered: bool = False
    baseline: bool = False
    baseline_allowed: bool = True


class Grouping(NamedTuple):
    """All groups together: C columns in G groups."""

    columns: slice | list  # positions in the flattened model input
    sizes: list  # columns of each group
    first: Tensor  # (G,) place of its first one among the C columns
    member: Tensor  # (C, G) 1 where a column belongs to a group
    baseline: Tensor  # (G,) 1 where one category has no column
    may_be_off: Tensor  # (G,) whether that category may be chosen

    def spread(self, mask):
        """What holds for groups, column by column."""
        return (mask.float() @ self.member.T).bool()

    def total(self, values):
        """Sum over the columns of each group, column by column."""
        return (values @ self.member) @ self.member.T


@dataclass(frozen=True, eq=False)
class Constraints:
    """Mutability, domain, categories and integers as one frozen value.

    All tensors have the shape of one model input, ``(*features,)``, and its units.
    Mutability is a box around the factual, one-sided or empty, so that domain and
    mutability together are a single clamp (Sec. III-D of [1]_). The reference code
    masks each step instead; both agree for "none".

    Parameters
    ----------
    lower, upper : Tensor of shape (*features,)
        Domain; ``-inf`` / ``inf`` where open. In a column of a group these are the
        values of "off" and "on" (equal for a category that is not allowed).
    can_increase, can_decrease : bool Tensor of shape (*features,)
        Directions in which a feature may move.
    groups : tuple of Group
        One-hot blocks.
    step : Tensor of shape (*features,), optional
        Distance of neighbouring values of an integer feature; 0 = continuous.
    origin : Tensor of shape (*features,), optional
        Any value on the lattice of an integer feature.
    levels : tuple of (int, Tensor), default=()
        Position (in the flattened input) and sorted values of integer features that
        are not evenly spaced, behind a power transform say.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> import torch
    >>> from skct import Constraints
    >>> constraints = Constraints.from_spec(
    ...     {"age": "none", "income": "increase"},
    ...     {"income": (0, 10)},
    ...     feature_names=["age", "income"],
    ... )
    >>> factual = torch.tensor([[30.0, 4.0]])
    >>> constraints.project(torch.tensor([[25.0, 12.0]]), factual)
    tensor([[30., 10.]])
    """

    lower: Tensor
    upper: Tensor
    can_increase: Tensor
    can_decrease: Tensor
    groups: tuple[Group, ...] = ()
    step: Tensor | None = None
    origin: Tensor | None = None
    levels: tuple[tuple[int, Tensor], ...] = ()

    def __post_init__(self):
        self._check()
        zeros = torch.zeros_like(self.lower)
        for name in ("step", "origin"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, zeros)
        self._bound_by_lattice()

    def _check(self):
        """Check types, shapes and groups, which the search takes for granted."""
        shape = getattr(self.lower, "shape", None)
        for name in (
            "lower",
            "upper",
            "can_increase",
            "can_decrease",
            "step",
            "origin",
        ):
            value = getattr(self, name)
            if value is None and name in ("step", "origin"):
                continue
            if not isinstance(value, Tensor) or value.shape != shape:
                allowed = "a Tensor of the shape of one row, as all the others"
                raise parameter_error(self, name, allowed, value)
        size = self.lower.numel()
        for group in self.groups:
            columns = group.columns if isinstance(group, Group) else ()
            if not columns or not all(0 <= c < size for c in columns):
                allowed = f"a tuple of Group, with columns from 0 to {size - 1}"
                raise parameter_error(self, "groups", allowed, self.groups)

    def _bound_by_lattice(self):
        """Draw the bounds of integers in to the lattice, but for float rounding."""
        whole = self.step > 0
        step = torch.where(whole, self.step, 1.0)
        low = self.origin + step * ((self.lower - self.origin) / step - 1e-3).ceil()
        high = self.origin + step * ((self.upper - self.origin) / step + 1e-3).floor()
        near_low = (low - self.lower).abs() <= 2e-3 * step
        near_high = (high - self.upper).abs() <= 2e-3 * step
        lower = torch.where(whole & ~near_low, low, self.lower)
        upper = torch.where(whole & ~near_high, high, self.upper)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def from_spec(cls, mutability=None, domain=None, *, feature_names, groups=()):
        """Build constraints from words and bounds per model-input feature.

        Parameters
        ----------
        mutability : dict, array-like or None
            Feature name or position -> "both" | "none" | "increase" | "decrease",
            or one word per feature. Unlisted features are "both".
        domain : dict or None
            Feature name or position -> (low, high), either end None. Unlisted
            features are unbounded.
        feature_names : array-like of str
            One name per feature, in the shape of one model input.
        groups : sequence of Group, default=()
            One-hot blocks; their columns lie between 0 and 1.

        Returns
        -------
        constraints : Constraints

        Raises
        ------
        ValueError
            For an unknown feature or word, or a lower bound above the upper one.
        """
        names = np.asarray(feature_names, dtype=object)
        words = resolve_mutability(mutability, names.ravel(), names.shape)
        bounds = resolve_domain(domain, names.ravel())
        lower = np.full(names.size, -np.inf)
        upper = np.full(names.size, np.inf)
        box = cls.from_arrays(lower, upper, words, names.shape, groups=tuple(groups))
        for group in box.groups:
            lower[list(group.columns)], upper[list(group.columns)] = 0.0, 1.0
        for position, (low, high) in bounds.items():
            lower[position] = lower[position] if low is None else low
            upper[position] = upper[position] if high is None else high
        return cls.from_arrays(lower, upper, words, names.shape, groups=tuple(groups))

    @classmethod
    def from_arrays(cls, lower, upper, words, shape, **others):
        """Build constraints from flat arrays, one entry per model-input feature."""
        words = np.asarray(words, dtype=object)

        def tensor(values, dtype):
            return torch.as_tensor(np.asarray(values), dtype=dtype).reshape(shape)

        return cls(
            tensor(lower, torch.float32),
            tensor(upper, torch.float32),
            tensor((words == "both") | (words == "increase"), torch.bool),
            tensor((words == "both") | (words == "decrease"), torch.bool),
            **{
                name: tensor(value, torch.float32)
                if name in ("step", "origin")
                else value
                for name, value in others.items()
            },
        )

    @classmethod
    def unbounded(cls, shape):
        """Every feature continuous, free to move, in both directions."""
        size = int(np.prod(shape))
        infinite = np.full(size, np.inf)
        return cls.from_arrays(-infinite, infinite, ["both"] * size, shape)

    @property
    def n_features(self):
        """Number of model-input features."""
        return self.lower.numel()

    @property
    def fixed(self):
        """Features that cannot change, bool Tensor of shape (*features,)."""
        return ~(self.can_increase | self.can_decrease)

    def bounds(self, factual):
        """Box in which the counterfactuals of `factual` lie; computed once a search.

        Parameters
        ----------
        factual : Tensor of shape (n, *features)

        Returns
        -------
        low, high : Tensor of shape (n, *features)
            The factual itself lies inside, whatever the domain says.
        """
        low = torch.minimum(
            torch.where(self.can_decrease, self.lower, torch.inf), factual
        )
        high = torch.maximum(
            torch.where(self.can_increase, self.upper, -torch.inf), factual
        )
        if self.groups:
            low, high = self._group_bounds(factual.flatten(1), low, high)
        return low, high

    def _group_bounds(self, factual, low, high):
        """Close a group whose category is frozen, and the wrong side of an order."""
        shape = low.shape
        low, high = low.flatten(1).clone(), high.flatten(1).clone()
        lower, upper = self.lower.flatten(), self.upper.flatten()
        can_up, can_down = self.can_increase.flatten(), self.can_decrease.flatten()
        for group in self.groups:
            columns = torch.tensor(group.columns, device=low.device)
            values = factual[:, columns]
            active = values > lower[columns]
            up, down = can_up[columns].all(), can_down[columns].all()
            if group.ordered and up != down:
                rank = torch.arange(len(columns), device=low.device) + group.baseline
                current = (active * rank).sum(1, keepdim=True)
                allowed = rank >= current if up else rank <= current
                on = torch.maximum(upper[columns].expand_as(values), values)
                off = torch.minimum(lower[columns].expand_as(values), values)
                low[:, columns] = torch.where(allowed, off, values)
                high[:, columns] = torch.where(allowed, on, values)
                low[:, columns] = torch.where(active, off, low[:, columns])
                known = active.any(1, keepdim=True) | group.baseline
                low[:, columns] = torch.where(known, low[:, columns], values)
                high[:, columns] = torch.where(known, high[:, columns], values)
            else:
                stuck = (active & (low[:, columns] >= values)).any(1, keepdim=True)
                low[:, columns] = torch.where(stuck, values, low[:, columns])
                high[:, columns] = torch.where(stuck, values, high[:, columns])
        return low.reshape(shape), high.reshape(shape)

    def project(self, x, factual):
        """Move `x` into the box of `factual`: idempotent, the factual stays put.

        Parameters
        ----------
        x, factual : Tensor of shape (n, *features)

        Returns
        -------
        projected : Tensor of shape (n, *features)
        """
        return x.clamp(*self.bounds(factual))

    def protect(self, neighbour, counterfactual):
        """Hide forbidden directions from the contrastive divergence (Sec. III-D).

        Parameters
        ----------
        neighbour : Tensor of shape (n, *features)
            Observed rows of the target class.
        counterfactual : Tensor of shape (n, *features)

        Returns
        -------
        protected : Tensor of shape (n, *features)
            The neighbour where both directions are open, the counterfactual where
            none is, and the larger (smaller) of the two where a feature can only
            increase (decrease), so that the model is not taught to tell the two
            apart by what nobody can change.
        """
        floor = torch.maximum(neighbour, counterfactual)
        protected = torch.where(self.can_decrease, neighbour, floor)
        ceiling = torch.minimum(protected, counterfactual)
        result = torch.where(self.can_increase, protected, ceiling)
        return self._protect_ordered(result, neighbour, counterfactual)

    def _protect_ordered(self, result, neighbour, counterfactual):
        """One-way categories: the neighbour's unless it lies on the wrong side."""
        for group in self.groups:
            columns = torch.tensor(group.columns, device=result.device)
            up = self.can_increase.flatten()[columns].all()
            down = self.can_decrease.flatten()[columns].all()
            if not group.ordered or up == down:
                continue
            lower = self.lower.flatten()[columns]
            rank = torch.arange(len(columns), device=result.device) + group.baseline
            theirs = neighbour.flatten(1)[:, columns]
            ours = counterfactual.flatten(1)[:, columns]
            gap = (((theirs > lower) * rank) - ((ours > lower) * rank)).sum(1)
            wrong = (gap < 0 if up else gap > 0).unsqueeze(1)
            flat = result.flatten(1).clone()
            flat[:, columns] = torch.where(wrong, ours, theirs)
            result = flat.reshape(result.shape)
        return result

    def balance(self, gradient, low, high):
        """Make a search step in a group a choice: what one column gains, others lose.

        Subtracts the mean over the columns that can move, as a projection on the
        simplex would. Otherwise two columns that both rise end in a tie at "on".

        Parameters
        ----------
        gradient, low, high : Tensor of shape (n, *features)
            Gradient of the search, and `bounds` of the factuals.

        Returns
        -------
        balanced : Tensor of shape (n, *features)
        """
        if not self.groups:
            return gradient
        groups, flat = self.grouping, gradient.flatten(1).clone()
        movable = (high > low).flatten(1)[:, groups.columns].float()
        block = flat[:, groups.columns] * movable
        count = (movable @ groups.member + groups.baseline).clamp(min=1)
        mean = (block @ groups.member) / count
        flat[:, groups.columns] = block - mean @ groups.member.T
        return flat.reshape(gradient.shape)

    def discretize(self, x, factual=None, bounds=None):
        """Snap categories and integers: what the model sees and what is returned.

        Parameters
        ----------
        x : Tensor of shape (n, *features)
            Relaxed state, inside the box.
        factual : Tensor of shape (n, *features), optional
            Where given, what has not moved keeps its bits, and only categories and
            integers that the factual may reach are taken.
        bounds : pair of Tensor, optional
            ``self.bounds(factual)``, where the caller has it already.

        Returns
        -------
        snapped : Tensor of shape (n, *features)
        """
        if not self.is_discrete:
            return x
        if bounds is None:
            bounds = (
                (self.lower, self.upper) if factual is None else self.bounds(factual)
            )
        low, high = bounds
        snapped = x
        if self._has_lattice:
            step = torch.where(self.step > 0, self.step, 1.0)
            lattice = self.origin + ((x - self.origin) / step).round() * step
            snapped = torch.where(self.step > 0, lattice.clamp(low, high), x)
            if factual is not None:
                near = (snapped - factual).abs() < 0.5 * self.step
                snapped = torch.where(near | (x == factual), factual, snapped)
        if self.levels:
            snapped = self.snap_levels(snapped, factual, low, high)
        if self.groups:
            snapped = self._snap_groups(x, snapped, factual, low, high)
        return snapped

    def snap_levels(self, x, factual, low, high):
        """Integers whose encoding is bent: the nearest encoded integer."""
        flat = x.flatten(1).clone()
        low, high = (
            end.flatten(-self.lower.dim()).expand_as(flat) for end in (low, high)
        )
        for column, values in self.levels:
            middle = (values[1:] + values[:-1]) / 2
            near = values[torch.bucketize(flat[:, column].contiguous(), middle)]
            near = near.clamp(low[:, column], high[:, column])
            if factual is not None:
                known = factual.flatten(1)[:, column]
                near = torch.where((near - known).abs() < 1e-5, known, near)
            flat[:, column] = near
        return flat.reshape(x.shape)

    def _snap_groups(self, x, snapped, factual, low, high):
        """Switch on the column with the highest score in each group, all at once."""
        groups, flat = self.grouping, x.flatten(1)
        low, high = (
            end.flatten(-self.lower.dim()).expand_as(flat)[:, groups.columns]
            for end in (low, high)
        )
        x_block = flat[:, groups.columns]
        score = torch.where(high > low, (x_block - low) / (high - low), -torch.inf)
        best, place = zip(
            *[part.max(1) for part in score.split(groups.sizes, 1)], strict=True
        )
        best, winner = torch.stack(best, 1), torch.stack(place, 1) + groups.first
        block = low.scatter(1, winner, high.gather(1, winner))
        known = None if factual is None else factual.flatten(1)[:, groups.columns]
        empty = groups.may_be_off.expand_as(best)
        if known is not None:
            off = self.lower.flatten()[groups.columns]
            empty = empty | ((known > off).float() @ groups.member == 0)
        if empty.any():  # rows that may have no column on
            rest = 1.0 - score.clamp(min=0.0) @ groups.member
            block = torch.where(groups.spread(empty & (rest > best)), low, block)
        if known is not None:
            moved = (x_block != known).float() @ groups.member > 0
            block = torch.where(groups.spread(moved), block, known)
        out = snapped.flatten(1).clone()
        out[:, groups.columns] = block
        return out.reshape(x.shape)

    @cached_property
    def grouping(self):
        """Groups as tensors, so that a step hardly has to loop over them."""
        columns = [c for group in self.groups for c in group.columns]
        sizes = [len(group.columns) for group in self.groups]
        owner = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
        adjacent = columns == list(range(columns[0], columns[0] + len(columns)))
        may_be_off = [
            g.baseline and g.baseline_allowed and not self._rises(g)
            for g in self.groups
        ]
        device = self.lower.device
        return Grouping(
            columns=slice(columns[0], columns[-1] + 1) if adjacent else columns,
            sizes=sizes,
            first=(torch.tensor(sizes).cumsum(0) - torch.tensor(sizes)).to(device),
            member=torch.eye(len(sizes))[owner].to(device),
            baseline=torch.tensor([float(g.baseline) for g in self.groups]).to(device),
            may_be_off=torch.tensor(may_be_off).to(device),
        )

    def _rises(self, group):
        """Whether the category can only go up, so never back to the baseline."""
        columns = list(group.columns)
        can_fall = self.can_decrease.flatten()[columns].all()
        return bool(group.ordered and not can_fall)

    @cached_property
    def _has_lattice(self):
        return bool((self.step > 0).any())

    @cached_property
    def is_discrete(self):
        """Whether any feature is a category or an integer."""
        return bool(self.groups) or bool(self.levels) or self._has_lattice

    def __and__(self, other):
        """Intersection: what both allow."""
        if not isinstance(other, Constraints):
            return NotImplemented
        if self.lower.shape != other.lower.shape:
            raise ValueError(
                f"Constraints of shape {tuple(self.lower.shape)} and "
                f"{tuple(other.lower.shape)} do not intersect; both must be about one "
                "model input."
            )
        mine = self.step >= other.step
        taken = {column for group in self.groups for column in group.columns}
        more = tuple(g for g in other.groups if taken.isdisjoint(g.columns))
        return replace(
            self,
            lower=torch.maximum(self.lower, other.lower),
            upper=torch.minimum(self.upper, other.upper),
            can_increase=self.can_increase & other.can_increase,
            can_decrease=self.can_decrease & other.can_decrease,
            groups=self.groups + more,
            levels=self.levels + other.levels,
            step=torch.where(mine, self.step, other.step),
            origin=torch.where(mine, self.origin, other.origin),
        )

    def shape_only(self):
        """Categories and integers without mutability and domain."""
        free = torch.ones_like(self.can_increase)
        infinite = torch.full_like(self.lower, torch.inf)
        lower, upper = -infinite, infinite
        for group in self.groups:
            columns = list(group.columns)
            off, on = self.lower.flatten()[columns], self.upper.flatten()[columns]
            lower.view(-1)[columns] = off
            upper.view(-1)[columns] = torch.where(on > off, on, on.max())
        return replace(
            self,
            lower=lower,
            upper=upper,
            can_increase=free,
            can_decrease=free,
            groups=tuple(replace(g, baseline_allowed=True) for g in self.groups),
        )

    def to(self, device):
        """Copy with all tensors on `device`."""
        moved = {
            field.name: getattr(self, field.name).to(device)
            for field in fields(self)
            if field.name not in ("groups", "levels")
        }
        moved["levels"] = tuple((c, v.to(device)) for c, v in self.levels)
        return replace(self, **moved)


def check_constraints(constraints, X):
    """Check that constraints are those of the model input."""
    if constraints is None:
        return
    shape = tuple(X.shape[1:])
    allowed = f"None or Constraints of shape {shape}, such as clf.constraints_"
    if not isinstance(constraints, Constraints):
        raise wrong("constraints", allowed, constraints)
    if tuple(constraints.lower.shape) != shape:
        raise wrong("constraints", allowed, tuple(constraints.lower.shape))
