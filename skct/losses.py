"""The training objective, Eq. 2-5 of the paper, as pure functions on tensors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = [
    "LossTerms",
    "counterfactual_loss",
    "divergence",
    "energy",
    "log_odds",
    "ridge",
]


class LossTerms(NamedTuple):
    """The objective and its parts, so that logging needs no second forward pass."""

    total: Tensor
    classification: Tensor
    divergence: Tensor
    adversarial: Tensor
    regulariser: Tensor


def energy(logits: Tensor, target: Tensor) -> Tensor:
    """Energy of each row under its target class: minus the target logit.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    target : int64 Tensor of shape (n,)

    Returns
    -------
    energy : Tensor of shape (n,)
        Smaller means that the model finds the row more like its target class.

    Notes
    -----
    E(x, y) = -M(x)[y], Sec. III-B of [1]_.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.
    """
    return -logits.gather(1, target[:, None]).squeeze(1)


def divergence(
    energy_neighbour: Tensor, energy_counterfactual: Tensor, mature: Tensor
) -> Tensor:
    """Contrastive divergence of each pair, Equation 3; 0 for immature pairs.

    Parameters
    ----------
    energy_neighbour : Tensor of shape (n,)
        Energies of observed rows of the target class.
    energy_counterfactual : Tensor of shape (n,)
        Energies of the counterfactuals.
    mature : bool Tensor of shape (n,)
        Whether the counterfactual reached the threshold.

    Returns
    -------
    divergence : Tensor of shape (n,)
    """
    return torch.where(mature, energy_neighbour - energy_counterfactual, 0.0)


def ridge(
    energy_neighbour: Tensor, energy_counterfactual: Tensor, mature: Tensor
) -> Tensor:
    """Squared energies of each pair, Equation 4; 0 for immature pairs.

    The reference code leaves the ridge on immature pairs; here they carry no weight.

    Parameters
    ----------
    energy_neighbour, energy_counterfactual : Tensor of shape (n,)
    mature : bool Tensor of shape (n,)

    Returns
    -------
    ridge : Tensor of shape (n,)
    """
    squares = energy_neighbour.square() + energy_counterfactual.square()
    return torch.where(mature, squares, 0.0)


def log_odds(logits: Tensor, target: Tensor) -> Tensor:
    """Log-odds of the target class against all others together.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    target : int64 Tensor of shape (n,)

    Returns
    -------
    log_odds : Tensor of shape (n,)
        Above 0 where the target is more probable than not.
    """
    others = logits.scatter(1, target[:, None], -math.inf).logsumexp(1)
    return -energy(logits, target) - others


def counterfactual_loss(
    classification: Tensor,
    adversarial: Tensor,
    divergence: Tensor,
    regulariser: Tensor,
    *,
    lambda_div: float,
    lambda_adv: float,
    lambda_reg: float,
) -> LossTerms:
    """Weigh the four terms of the objective, Equation 2.

    Parameters
    ----------
    classification, adversarial : Tensor of shape ()
        The net's own loss on the batch and on the nascent counterfactuals.
    divergence, regulariser : Tensor of shape (n,)
        One value per pair; means run over all pairs of the chunk, immature ones
        included. The regulariser is the ridge or what stands in its place.
    lambda_div, lambda_adv, lambda_reg : float
        Weights.

    Returns
    -------
    terms : LossTerms
    """
    mean_divergence, mean_regulariser = divergence.mean(), regulariser.mean()
    total = (
        classification
        + lambda_div * mean_divergence
        + lambda_adv * adversarial
        + lambda_reg * mean_regulariser
    )
    return LossTerms(
        total, classification, mean_divergence, adversarial, mean_regulariser
    )
