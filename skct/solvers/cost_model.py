"""`CostModel`: what a refinement minimises, cost plus implausibility."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..preprocessing import unbend, unbend_slope

__all__ = [
    "LEAST_COST",
    "CostModel",
    "bend_of",
    "bend_slope",
    "move_costs",
    "straightened",
]


# A move costs at least this fraction of the feature's weight. Where plausibility pays
# for a move, its cost is 0 or negative, and gain per cost would have no order.
LEAST_COST = 0.05
# A change of category moves two columns: each counts one half.
CATEGORY_WEIGHT = 0.5
# Of the bound of a bend, in float32: some two thousand units of cost.
LARGEST_FRACTION = 1.0 - 1e-6


class CostModel:
    r"""Objective of a refinement, separable and convex, row by row.

    .. math:: J(x) = \sum_j w_j |z_j(x_j) - z_j(f_j)|
              + \lambda \sum_j \mathrm{mean}_r |x_j - r_j|

    with the factual f and reference rows r of the target class: (weighted) cost plus
    implausibility, in the units of both. z undoes the bend of a feature, if it is bent.
    Columns of a category count one half each.

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
        self,
        factual: Tensor,
        target: Tensor,
        constraints: Constraints,
        weights: Tensor | None,
        plausibility_weight: float,
        reference: tuple[Tensor, Tensor] | None,
    ):
        self.factual, self.target = factual.flatten(1), target
        self.weights = torch.ones_like(self.factual)
        if weights is not None:
            self.weights = weights.flatten(1)
        self.bend = bend_of(constraints)
        self.column_weight = torch.ones_like(self.factual[0])
        for group in constraints.groups:
            self.column_weight[list(group.columns)] = CATEGORY_WEIGHT
        self.plausibility_weight = plausibility_weight
        # Class -> its reference rows, (n_features, n_rows), each feature sorted.
        self.sorted_reference: dict[int, Tensor] = {}
        if plausibility_weight and reference is not None:
            rows, classes = reference
            for k in target.unique().tolist():
                if (classes == k).any():
                    columns = rows[classes == k].flatten(1).t()
                    self.sorted_reference[k] = columns.sort(1).values.contiguous()

    def by_class(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Rows, as positions, and sorted reference of each class that has one."""
        for k, reference in self.sorted_reference.items():
            rows = (self.target == k).nonzero().squeeze(1)
            if len(rows):
                yield rows, reference

    def of_moves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Increase of J per unit of each feature, upwards and downwards.

        Parameters
        ----------
        x : Tensor of shape (n, n_features)
            Where the movement starts.

        Returns
        -------
        up, down : Tensor of shape (n, n_features)
            At least a twentieth of the feature's price.
        """
        # One-sided derivatives. Of w |x - f|: w away from the factual, -w towards it.
        side, weights = (x - self.factual).sign(), self.prices(x)
        up = weights * (1 + 2 * side.clamp(max=0))
        down = weights * (1 - 2 * side.clamp(min=0))
        # Of the mean of |x - r|, upwards: every row at or below x falls behind, every
        # row above comes closer, (n_at_most - (n - n_at_most)) / n. Downwards alike.
        for rows, reference in self.by_class():
            here, n = x[rows].t().contiguous(), reference.shape[1]
            n_at_most = torch.searchsorted(reference, here, right=True)
            n_below = torch.searchsorted(reference, here)
            up[rows] += self.plausibility_weight * (2 * n_at_most - n).t() / n
            down[rows] += self.plausibility_weight * (n - 2 * n_below).t() / n
        least = LEAST_COST * weights
        return up.maximum(least), down.maximum(least)

    def minimum(self) -> Tensor:
        """The x with the least J, of shape (n, n_features); constraints aside."""
        # On the way from f into the reference, once a fraction q of its rows has been
        # passed, J changes by w - lambda (1 - 2 q) per unit. It falls until q is
        # (1 - w / lambda) / 2, and never if w >= lambda. So x is f clamped to the
        # quantiles q and 1 - q of the reference.
        weights = self.prices(self.factual)
        if self.plausibility_weight <= weights.min():
            return self.factual
        x = self.factual.clone()
        for rows, reference in self.by_class():
            n = reference.shape[1]
            ratio, here = weights[rows].t() / self.plausibility_weight, x[rows].t()
            first = ((1 - ratio).clamp(min=0) / 2 * (n - 1)).round().long()
            low, high = reference.gather(1, first), reference.gather(1, n - 1 - first)
            x[rows] = torch.where(ratio < 1, here.clamp(low, high), here).t()
        return x

    def prices(self, x: Tensor) -> Tensor:
        """What a small step of each feature costs where it stands at `x`."""
        return (
            self.weights
            if self.bend is None
            else self.weights * bend_slope(x, self.bend)
        )

    def cost(self, x: Tensor, start: Tensor) -> Tensor:
        """Cost of going from one state to another, both (n, n_features), of (n,)."""
        moves = move_costs(x, start, self.weights, self.bend)
        return (moves * self.column_weight).sum(1)


def bend_of(constraints: Constraints) -> Tensor | None:
    """Bound of each feature of the flattened input; None if none is bent."""
    bend = constraints.bend.flatten()
    return bend if bend.isfinite().any() else None


def straightened(x: Tensor, bend: Tensor | None) -> Tensor:
    """State in the units of costs."""
    return x if bend is None else unbend(x, bend, LARGEST_FRACTION)


def bend_slope(x: Tensor, bend: Tensor) -> Tensor:
    """Units of cost per unit of the model input."""
    return unbend_slope(x, bend, LARGEST_FRACTION)


def move_costs(
    x: Tensor, start: Tensor, weights: Tensor | None, bend: Tensor | None
) -> Tensor:
    """Cost of the move of each feature, of shape (n, n_features)."""
    change = (straightened(x, bend) - straightened(start, bend)).abs()
    return change if weights is None else change * weights
