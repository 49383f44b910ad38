"""The variational autoencoder that REVISE searches in."""

import torch
from torch import Tensor, nn

from ..utils.random import seeded

__all__ = ["VAE", "fit_vae"]


BATCH_SIZE = 128  # less for small tables: at least 20 batches an epoch, of 8 rows
LEARNING_RATE = 3e-3
# Variance of the reconstruction error, in standardised units. A variance that is learnt
# starts at 1 and leaves the code empty where features hardly depend on each other.
NOISE = 0.1


class VAE(nn.Module):
    """Autoencoder of flattened rows with a Gaussian code.

    Standardises its input itself, so that features count alike whatever their units.

    Parameters
    ----------
    location, scale : Tensor of shape (n_features,)
        Mean and standard deviation of each feature.
    latent_dim, hidden_size : int
    """

    location: Tensor
    scale: Tensor

    def __init__(
        self, location: Tensor, scale: Tensor, *, latent_dim: int, hidden_size: int
    ):
        super().__init__()
        n_features = len(location)
        self.register_buffer("location", location)
        self.register_buffer("scale", scale)
        self.encoder = nn.Sequential(
            nn.Linear(n_features, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, 2 * latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, hidden_size),
            nn.ReLU(),
            nn.Linear(hidden_size, n_features),
        )

    def encode(self, x: Tensor) -> Tensor:
        """Mean code of each row: deterministic."""
        return self.posterior((x - self.location) / self.scale)[0]

    def decode(self, z: Tensor) -> Tensor:
        """Row of each code."""
        return self.decoder(z) * self.scale + self.location

    def posterior(self, standardised: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the code."""
        return self.encoder(standardised).chunk(2, dim=1)

    def loss(self, standardised: Tensor, noise: Tensor) -> Tensor:
        """Negative evidence lower bound per row."""
        # Gaussian likelihood of variance NOISE, and the divergence of the code from the
        # standard normal: (mean^2 + variance - log variance - 1) / 2 per unit.
        mean, log_variance = self.posterior(standardised)
        rebuilt = self.decoder(mean + noise * (log_variance / 2).exp())
        error = (rebuilt - standardised).square().sum(1) / NOISE
        divergence = mean.square() + log_variance.exp() - log_variance - 1
        return (error + divergence.sum(1)).mean() / 2


def fit_vae(
    X: Tensor, *, latent_dim: int, hidden_size: int, n_epochs: int, seed: int
) -> VAE:
    """Train a VAE; same seed, same bits, and no trace in the global random state.

    Parameters
    ----------
    X : float Tensor of shape (n, n_features)
    latent_dim, hidden_size, n_epochs, seed : int

    Returns
    -------
    vae : VAE
        In eval mode, its weights frozen.
    """
    location, scale = X.mean(0), X.std(0, correction=0)
    scale = torch.where(scale > 0, scale, 1.0)
    with seeded(seed), torch.enable_grad():
        vae = VAE(location, scale, latent_dim=latent_dim, hidden_size=hidden_size)
        vae.to(X.device)
        optimizer = torch.optim.Adam(vae.parameters(), lr=LEARNING_RATE)
        standardised = (X - location) / scale
        batch_size = min(BATCH_SIZE, max(8, len(X) // 20))
        for _ in range(n_epochs):
            for rows in torch.randperm(len(X)).split(batch_size):
                noise = torch.randn(len(rows), latent_dim).to(X.device)
                optimizer.zero_grad()
                vae.loss(standardised[rows.to(X.device)], noise).backward()
                optimizer.step()
    return vae.requires_grad_(False).eval()
