"""`CostModel`: what a refinement minimises, cost plus implausibility."""

from collections.abc import Iterator

import torch
from torch import Tensor

from ..constraints.box import Constraints

__all__ = ["CostModel"]


# A move costs at least this fraction of the feature's weight. Where plausibility pays
# for a move, its cost is 0 or negative, and gain per cost would have no order.
LEAST_COST = 0.05
# A change of category moves two columns: each counts one half.
CATEGORY_WEIGHT = 0.5


class CostModel:
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
            At least a twentieth of the feature's weight.
        """
        # One-sided derivatives. Of w |x - f|: w away from the factual, -w towards it.
        side = (x - self.factual).sign()
        up = self.weights * (1 + 2 * side.clamp(max=0))
        down = self.weights * (1 - 2 * side.clamp(min=0))
        # Of the mean of |x - r|, upwards: every row at or below x falls behind, every
        # row above comes closer, (n_at_most - (n - n_at_most)) / n. Downwards alike.
        for rows, reference in self.by_class():
            here, n = x[rows].t().contiguous(), reference.shape[1]
            n_at_most = torch.searchsorted(reference, here, right=True)
            n_below = torch.searchsorted(reference, here)
            up[rows] += self.plausibility_weight * (2 * n_at_most - n).t() / n
            down[rows] += self.plausibility_weight * (n - 2 * n_below).t() / n
        least = LEAST_COST * self.weights
        return up.maximum(least), down.maximum(least)

    def minimum(self) -> Tensor:
        """The x with the least J, of shape (n, n_features); constraints aside."""
        # On the way from f into the reference, once a fraction q of its rows has been
        # passed, J changes by w - lambda (1 - 2 q) per unit. It falls until q is
        # (1 - w / lambda) / 2, and never if w >= lambda. So x is f clamped to the
        # quantiles q and 1 - q of the reference.
        if self.plausibility_weight <= self.weights.min():
            return self.factual
        x = self.factual.clone()
        for rows, reference in self.by_class():
            n = reference.shape[1]
            ratio, here = self.weights[rows].t() / self.plausibility_weight, x[rows].t()
            first = ((1 - ratio).clamp(min=0) / 2 * (n - 1)).round().long()
            low, high = reference.gather(1, first), reference.gather(1, n - 1 - first)
            x[rows] = torch.where(ratio < 1, here.clamp(low, high), here).t()
        return x

    def cost(self, change: Tensor) -> Tensor:
        """Weighted L1 norm of changes of shape (n, n_features), of shape (n,)."""
        return (change.abs() * self.weights * self.column_weight).sum(1)
