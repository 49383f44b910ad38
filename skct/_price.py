"""`Price`: what it costs to move each feature, distance and plausibility together."""

import torch

__all__ = ["Price"]

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
