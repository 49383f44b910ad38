"""`REVISEGenerator`: counterfactuals by a search in a latent space."""

from typing import Self

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ..utils.random import as_random_state, draw_seed
from ..utils.validation import check_integer
from .base import BaseGenerator, SearchState, distance
from .vae import fit_vae

__all__ = ["REVISEGenerator"]


class REVISEGenerator(BaseGenerator):
    """Counterfactuals on the data manifold: the search moves a latent code [1]_.

    `fit` trains a variational autoencoder on the encoded training rows. The search
    descends on the code of a row and looks at the decoded point, projected on the
    constraints.

    Parameters
    ----------
    max_iter : int, default=30
        As in `BaseGenerator`.
    step_size : float, default=0.1
        Step of the plain gradient descent, in units of the code, whose prior is the
        standard normal distribution.
    threshold, lambda_cost
        As in `BaseGenerator`.
    latent_dim : int or None, default=None
        Size of the code; None: the number of features, at most 8.
    hidden_size : int, default=32
        Units of the one hidden layer of encoder and decoder.
    n_epochs : int, default=100
        Epochs of the autoencoder.
    random_state : int, RandomState or None, default=None
        Seed of the autoencoder; None: that of the classifier or explainer around.

    Attributes
    ----------
    vae_ : VAE

    Notes
    -----
    Departures from the reference code: encoding is deterministic and happens once (it
    draws a new code around every step); the decoded point is projected on domain and
    mutability (it ignores mutability); the reconstruction error counts five times as
    much, and features are standardised first; ReLU instead of sigmoid and tanh. The
    first step moves a row to its reconstruction, so that nascent counterfactuals are
    the factuals themselves where that lies further away than epsilon.

    References
    ----------
    .. [1] Joshi et al., "Towards Realistic Individual Recourse and Actionable
       Explanations in Black-Box Decision Making Systems", 2019.

    Examples
    --------
    >>> import torch
    >>> from skct import REVISEGenerator
    >>> rows = torch.randn(100, 3, generator=torch.Generator().manual_seed(0))
    >>> generator = REVISEGenerator(latent_dim=2, n_epochs=5, random_state=0).fit(rows)
    >>> generator.decode(generator.encode(rows)).shape
    torch.Size([100, 3])
    """

    latent = True
    fitted_attributes = ("vae_", "shape_")

    def __init__(
        self,
        *,
        max_iter: int = 30,
        step_size: float = 0.1,
        threshold: float = 0.5,
        lambda_cost: float = 0.001,
        latent_dim: int | None = None,
        hidden_size: int = 32,
        n_epochs: int = 100,
        random_state: int | np.random.RandomState | None = None,
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.latent_dim = latent_dim
        self.hidden_size = hidden_size
        self.n_epochs = n_epochs
        self.random_state = random_state

    def check(self) -> Self:
        """Raise a ValueError that names the first parameter out of range."""
        super().check()
        if self.latent_dim is not None:
            check_integer(self, "latent_dim", low=1)
        check_integer(self, "hidden_size", low=1)
        check_integer(self, "n_epochs", low=1)
        as_random_state(self.random_state)
        return self

    def fit(self, X: Tensor, y: Tensor | None = None) -> Self:
        """Train the autoencoder.

        Parameters
        ----------
        X : Tensor of shape (n, *features)
        y : ignored

        Returns
        -------
        self : REVISEGenerator
        """
        # The autoencoder is a dense one: images lose their shape here, and get it in
        # `decode`.
        flat = X.flatten(1)
        self.vae_ = fit_vae(
            flat,
            latent_dim=self.latent_dim or min(flat.shape[1], 8),
            hidden_size=self.hidden_size,
            n_epochs=self.n_epochs,
            seed=draw_seed(self.random_state),
        )
        self.shape_ = tuple(X.shape[1:])
        return self

    def encode(self, x: Tensor) -> Tensor:
        """Mean code of each row, of shape (n, latent_dim)."""
        check_is_fitted(self, "vae_")
        return self.vae_.encode(x.flatten(1))

    def decode(self, z: Tensor) -> Tensor:
        """Row of each code, of shape (n, *features)."""
        check_is_fitted(self, "vae_")
        return self.vae_.decode(z).reshape(-1, *self.shape_)

    def penalty(self, state: SearchState) -> Tensor:
        """L1 distance between the decoded point and the factual, of shape (n,)."""
        return self.lambda_cost * distance(state)
