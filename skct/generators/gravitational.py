"""`GravitationalGenerator`: counterfactuals drawn to rows of the target class."""

from typing import Self

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..utils.validation import check_integer, check_real, wrong
from .base import BaseGenerator, SearchState, distance

__all__ = ["GravitationalGenerator"]


class GravitationalGenerator(BaseGenerator):
    """Counterfactuals drawn towards observed rows of their target class [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    lambda_gravity : float, default=0.1
        Weight of the mean L1 distance from the neighbours.
    n_neighbours : int, default=10
        Neighbours of a factual: its nearest rows of the target class.
    n_reference : int, default=1000
        Rows per class that `fit` keeps, evenly spaced in the table.

    Attributes
    ----------
    rows_ : Tensor of shape (n_kept, *features)
    classes_of_rows_ : int64 Tensor of shape (n_kept,)

    Notes
    -----
    Departures from the reference code: neighbours are those of the factual and stay
    the same throughout a search, so that the objective does not change from step to
    step, and 10 instead of 50; a weight of 0.1 instead of 0.5, with which the pull
    stops rows whose neighbours lie on the wrong side of the decision boundary.

    References
    ----------
    .. [1] Altmeyer et al., "Endogenous Macrodynamics in Algorithmic Recourse", 2023.

    Examples
    --------
    >>> from skct import GravitationalGenerator
    >>> GravitationalGenerator(lambda_gravity=1.0)
    GravitationalGenerator(lambda_gravity=1.0)
    """

    fitted_attributes = ("rows_", "classes_of_rows_")
    holds_training_rows = True

    def __init__(
        self,
        *,
        max_iter: int = 30,
        step_size: float = 0.1,
        threshold: float = 0.5,
        lambda_cost: float = 0.001,
        lambda_gravity: float = 0.1,
        n_neighbours: int = 10,
        n_reference: int = 1000,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.lambda_gravity = lambda_gravity
        self.n_neighbours = n_neighbours
        self.n_reference = n_reference

    def check(self) -> Self:
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_real(self, "lambda_gravity", low=0)
        check_integer(self, "n_neighbours", low=1)
        check_integer(self, "n_reference", low=1)
        return self

    def fit(self, X: Tensor, y: Tensor | None = None) -> Self:
        """Keep rows of each class.

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : int64 Tensor of shape (n,)

        Returns
        -------
        self : GravitationalGenerator
        """
        if y is None or len(y) != len(X):
            allowed = f"{len(X)} class indices, one per row of X"
            raise wrong("y", allowed, None if y is None else tuple(y.shape))
        rows = torch.cat(
            [
                evenly_spaced((y == k).nonzero()[:, 0], self.n_reference)
                for k in y.unique()
            ]
        )
        self.rows_, self.classes_of_rows_ = X[rows].clone(), y[rows].clone()
        return self

    def anchors(self, factual: Tensor, target: Tensor) -> Tensor:
        """Neighbours of each factual; where its target class has no row, itself.

        Parameters
        ----------
        factual : Tensor of shape (n, *features)
        target : int64 Tensor of shape (n,)

        Returns
        -------
        anchors : Tensor of shape (n, n_neighbours, *features)
        """
        check_is_fitted(self, "rows_")
        rows = self.rows_.to(factual.device)
        classes = self.classes_of_rows_.to(factual.device)
        # Positions among the rows kept and, behind them, the factuals.
        nearest = torch.empty(
            len(factual), self.n_neighbours, dtype=torch.long, device=factual.device
        )
        for k in target.unique():
            of_class, searched = (classes == k).nonzero()[:, 0], target == k
            if not len(of_class):
                # No reference row of this class: use the factual, zero gradient.
                nearest[searched] = len(rows) + searched.nonzero()
                continue
            gap = torch.cdist(
                factual[searched].flatten(1), rows[of_class].flatten(1), p=1
            )
            size = min(self.n_neighbours, len(of_class))
            order = gap.topk(size, dim=1, largest=False).indices
            # A class with fewer rows than neighbours: the same ones again and again.
            repeated = torch.arange(self.n_neighbours, device=factual.device) % size
            nearest[searched] = of_class[order[:, repeated]]
        return torch.cat([rows, factual])[nearest]

    def penalty(self, state: SearchState) -> Tensor:
        """L1 distances from the factual and from its neighbours, of shape (n,)."""
        assert state.anchors is not None  # `anchors` always returns some
        gap = (state.x.unsqueeze(1) - state.anchors).abs().flatten(2).sum(2).mean(1)
        return self.lambda_cost * distance(state) + self.lambda_gravity * gap


def evenly_spaced(rows: Tensor, n: int) -> Tensor:
    """At most `n` of the rows, evenly spaced."""
    if len(rows) <= n:
        return rows
    # No random numbers, so that a fit leaves no trace in any stream; and a table sorted
    # by some column is covered from end to end.
    return rows[torch.linspace(0, len(rows) - 1, n, device=rows.device).long()]
