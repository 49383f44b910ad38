"""What a counterfactual may change: mutability, domain, categories, integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..utils.validation import parameter_error, wrong
from .groups import Group, GroupColumns, GroupTables
from .snapping import DiscreteColumns, snap_once
from .spec import resolve_domain, resolve_mutability

__all__ = ["Constraints"]


# Fraction of a step by which a bound may miss the lattice of an integer in float32.
LATTICE_TOLERANCE = 1e-3


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
    bend : Tensor of shape (*features,), optional
        Of each feature that is bent, its bound (`skct.preprocessing.bend`), else inf.

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
    # None becomes zeros, and infinity for `bend`, in `__post_init__`.
    step: Tensor = None  # type: ignore[assignment]
    origin: Tensor = None  # type: ignore[assignment]
    levels: tuple[tuple[int, Tensor], ...] = ()
    bend: Tensor = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        check_fields(self)
        zeros = torch.zeros_like(self.lower)
        for name in ("step", "origin"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, zeros)
        if self.bend is None:
            object.__setattr__(self, "bend", torch.full_like(self.lower, torch.inf))
        self._bound_by_lattice()

    def _bound_by_lattice(self) -> None:
        """Draw the bounds of integers in to the lattice.

        A bound between two integers becomes the one inside. A bound that is an integer,
        but for rounding in float32, keeps its bits.
        """
        whole = self.step > 0
        step, origin = torch.where(whole, self.step, 1.0), self.origin
        # The tolerance lets `ceil` and `floor` find the integer that a bound just
        # misses; the comparison after it is twice as wide, to be sure to see that one.
        tolerance = LATTICE_TOLERANCE
        low = origin + step * ((self.lower - origin) / step - tolerance).ceil()
        high = origin + step * ((self.upper - origin) / step + tolerance).floor()
        near_low = (low - self.lower).abs() <= 2 * tolerance * step
        near_high = (high - self.upper).abs() <= 2 * tolerance * step
        lower = torch.where(whole & ~near_low, low, self.lower)
        upper = torch.where(whole & ~near_high, high, self.upper)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @classmethod
    def from_spec(
        cls,
        mutability: Mapping[Any, str] | ArrayLike | None = None,
        domain: Mapping[Any, tuple[float | None, float | None]] | None = None,
        *,
        feature_names: ArrayLike,
        groups: Sequence[Group] = (),
    ) -> Self:
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
        flat_names = names.ravel().tolist()
        given = resolve_mutability(mutability, flat_names, names.shape)
        bounds = resolve_domain(domain, flat_names)
        lower = np.full(names.size, -np.inf)
        upper = np.full(names.size, np.inf)
        box = cls.from_arrays(lower, upper, given, names.shape, groups=tuple(groups))
        for group in box.groups:
            lower[list(group.columns)], upper[list(group.columns)] = 0.0, 1.0
        for position, (low, high) in bounds.items():
            lower[position] = lower[position] if low is None else low
            upper[position] = upper[position] if high is None else high
        return cls.from_arrays(lower, upper, given, names.shape, groups=tuple(groups))

    @classmethod
    def from_arrays(
        cls,
        lower: ArrayLike,
        upper: ArrayLike,
        mutability: ArrayLike,
        shape: tuple[int, ...],
        **others: Any,
    ) -> Self:
        """Build constraints from flat arrays, one entry per model-input feature.

        Parameters
        ----------
        lower, upper : array-like of shape (n_features,)
        mutability : array-like of str of shape (n_features,)
        shape : tuple of int
            Of one model input.
        **others
            `groups`, `step`, `origin`, `levels` and `bend`.

        Returns
        -------
        constraints : Constraints
        """
        mutability = np.asarray(mutability, dtype=object)

        def tensor(values: ArrayLike, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.as_tensor(np.asarray(values), dtype=dtype).reshape(shape)

        for name in others.keys() & {"step", "origin", "bend"}:
            others[name] = tensor(others[name])
        up, down = (
            (mutability == "both") | (mutability == word)
            for word in ("increase", "decrease")
        )
        return cls(
            tensor(lower),
            tensor(upper),
            tensor(up, torch.bool),
            tensor(down, torch.bool),
            **others,
        )

    @classmethod
    def unbounded(cls, shape: tuple[int, ...]) -> Self:
        """Every feature continuous, free to move, in both directions.

        Parameters
        ----------
        shape : tuple of int
            Of one model input.

        Returns
        -------
        constraints : Constraints
        """
        size = int(np.prod(shape))
        infinite = np.full(size, np.inf)
        return cls.from_arrays(-infinite, infinite, ["both"] * size, shape)

    @property
    def n_features(self) -> int:
        """Number of model-input features."""
        return self.lower.numel()

    @property
    def fixed(self) -> Tensor:
        """Features that cannot change, bool Tensor of shape (*features,)."""
        return ~(self.can_increase | self.can_decrease)

    def bounds(self, factual: Tensor) -> tuple[Tensor, Tensor]:
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
        if not self.groups:
            return low, high
        flat_low, flat_high = low.flatten(1).clone(), high.flatten(1).clone()
        for part in self._group_columns:
            part.narrow(factual.flatten(1), flat_low, flat_high)
        return flat_low.reshape(low.shape), flat_high.reshape(high.shape)

    def project(self, x: Tensor, factual: Tensor) -> Tensor:
        """Move `x` into the box of `factual`: idempotent, the factual stays put.

        Parameters
        ----------
        x, factual : Tensor of shape (n, *features)

        Returns
        -------
        projected : Tensor of shape (n, *features)
        """
        return x.clamp(*self.bounds(factual))

    def protect(self, neighbour: Tensor, counterfactual: Tensor) -> Tensor:
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
        one_way = [part for part in self._group_columns if part.is_one_way]
        if not one_way:
            return result
        flat = result.flatten(1).clone()
        for part in one_way:
            part.protect(flat, neighbour.flatten(1), counterfactual.flatten(1))
        return flat.reshape(result.shape)

    def discretize(
        self,
        x: Tensor,
        factual: Tensor | None = None,
        bounds: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
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
        low, high = (end.expand_as(x) for end in bounds)
        return snap_once(self.discrete, x, factual, low, high)

    @cached_property
    def discrete(self) -> DiscreteColumns:
        """Columns that are not continuous, for a `Snapper`."""
        step, groups = self.step.flatten(), None
        integers = (step > 0).nonzero().squeeze(1)
        if self.groups:
            groups = GroupTables.build(self._group_columns, self.n_features)
        origin = self.origin.flatten()[integers]
        lattice = integers, step[integers], origin, self.levels
        return DiscreteColumns(*lattice, groups, *domain_of_numbers(self))

    @cached_property
    def _group_columns(self) -> list[GroupColumns]:
        """Each group beside what holds for its columns."""
        parts = []
        for group in self.groups:
            columns = torch.tensor(group.columns, device=self.lower.device)
            lower, upper, can_rise, can_fall = (
                part.flatten()[columns]
                for part in (
                    self.lower,
                    self.upper,
                    self.can_increase,
                    self.can_decrease,
                )
            )
            can_move = bool(can_rise.all()), bool(can_fall.all())
            parts.append(GroupColumns(group, columns, lower, upper, *can_move))
        return parts

    @property
    def is_discrete(self) -> bool:
        """Whether any feature is a category or an integer."""
        return bool(self.discrete)

    def __and__(self, other: "Constraints") -> "Constraints":
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
            bend=torch.minimum(self.bend, other.bend),
        )

    def shape_only(self) -> "Constraints":
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

    def to(self, device: torch.device | str) -> "Constraints":
        """Copy with all tensors on a device.

        Parameters
        ----------
        device : torch.device or str

        Returns
        -------
        constraints : Constraints
        """
        moved = {
            field.name: getattr(self, field.name).to(device)
            for field in fields(self)
            if field.name not in ("groups", "levels")
        }
        moved["levels"] = tuple((c, v.to(device)) for c, v in self.levels)
        return replace(self, **moved)


def domain_of_numbers(constraints: Constraints) -> tuple[Tensor, Tensor]:
    """Flat bounds; infinite in groups, where they are the values of "off" and "on"."""
    grouped = [column for group in constraints.groups for column in group.columns]
    lower, upper = (
        end.flatten().clone() for end in (constraints.lower, constraints.upper)
    )
    lower[grouped], upper[grouped] = -torch.inf, torch.inf
    return lower, upper


def check_constraints(constraints: Any, X: Tensor) -> None:
    """Check that constraints are those of the model input."""
    if constraints is None:
        return
    shape = tuple(X.shape[1:])
    allowed = f"None or Constraints of shape {shape}, such as clf.constraints_"
    if not isinstance(constraints, Constraints):
        raise wrong("constraints", allowed, constraints)
    if tuple(constraints.lower.shape) != shape:
        raise wrong("constraints", allowed, tuple(constraints.lower.shape))


def check_fields(constraints: Constraints) -> None:
    """Check types, shapes and groups, which the search takes for granted."""
    shape = getattr(constraints.lower, "shape", None)
    ends = ("lower", "upper", "can_increase", "can_decrease")
    for name in (*ends, "step", "origin", "bend"):
        value = getattr(constraints, name)
        if value is None and name not in ends:
            continue
        if not isinstance(value, Tensor) or value.shape != shape:
            allowed = "a Tensor of the shape of one row, as all the others"
            raise parameter_error(constraints, name, allowed, value)
    size = constraints.lower.numel()
    for group in constraints.groups:
        columns = group.columns if isinstance(group, Group) else ()
        if not columns or not all(0 <= c < size for c in columns):
            allowed = f"a tuple of Group, with columns from 0 to {size - 1}"
            raise parameter_error(constraints, "groups", allowed, constraints.groups)
