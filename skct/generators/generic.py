"""`GenericGenerator`: the closest counterfactual, after Wachter et al."""

from typing import Self

import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import metrics
from ..utils.validation import check_option
from .base import BaseGenerator, SearchState, distance

__all__ = ["GenericGenerator"]


class GenericGenerator(BaseGenerator):
    """Closest counterfactuals: class loss plus L1 distance, after Wachter et al. [1]_.

    Parameters
    ----------
    max_iter, step_size, threshold, lambda_cost
        As in `BaseGenerator`.
    distance : {"l1", "mad"}, default="l1"
        "l1": plain sum over features, as in the paper's code. "mad": each feature
        divided by its median absolute deviation in the training rows, as Wachter et al.
        have it; features whose deviation is 0 (most one-hot columns) count plainly.

    References
    ----------
    .. [1] Wachter, Mittelstadt and Russell, "Counterfactual Explanations Without
       Opening the Black Box", 2018.

    Examples
    --------
    >>> from skct import GenericGenerator
    >>> GenericGenerator(threshold=0.9)
    GenericGenerator(threshold=0.9)
    """

    fitted_attributes = ("scale_",)

    def __init__(
        self,
        *,
        max_iter: int = 30,
        step_size: float = 0.1,
        threshold: float = 0.5,
        lambda_cost: float = 0.001,
        distance: str = "l1",
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.distance = distance

    def check(self) -> Self:
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        check_option(self, "distance", ("l1", "mad"))
        return self

    def fit(self, X: Tensor, y: Tensor | None = None) -> Self:
        """Learn the deviation of each feature, where the distance asks for it."""
        if self.distance == "mad":
            weights = metrics.mad_weights(X.flatten(1).cpu().numpy())
            self.scale_ = torch.as_tensor(weights, dtype=X.dtype, device=X.device)
            self.scale_ = self.scale_.reshape(X.shape[1:])
        return self

    def penalty(self, state: SearchState) -> Tensor:
        """L1 distance from the factual, of shape (n,)."""
        return self.lambda_cost * distance(state, self._scale(state))

    def _scale(self, state: SearchState) -> Tensor | None:
        """Factor of each feature's distance; None where all count alike."""
        if self.distance == "l1":
            return None
        check_is_fitted(self, "scale_")
        return self.scale_.to(state.x.device)
