"""The training objective, Eq. 2-5 of the paper, as pure functions on tensors."""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import softplus

__all__ = [
    "LossTerms",
    "counterfactual_loss",
    "divergence",
    "energy",
    "log_odds",
    "margin_divergence",
    "raised",
    "relative_energy",
    "ridge",
    "slope_penalty",
    "stall_penalty",
]


MARGIN = 1.0  # in logits: of relative energies, and of log-odds over a threshold
LOW = 1.5  # least slope of the log-odds, in logits per unit of the model input
HIGH = 6.0  # largest slope where there are data; where there are none: LOW


class LossTerms(NamedTuple):
    """The objective and its parts, so that logging needs no second forward pass."""

    total: Tensor
    classification: Tensor
    divergence: Tensor
    adversarial: Tensor
    regulariser: Tensor


def energy(logits, target):
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


def divergence(energy_neighbour, energy_counterfactual, mature):
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


def ridge(energy_neighbour, energy_counterfactual, mature):
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


def relative_energy(logits, target):
    """Energy of each row against the mean over all classes.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
    target : int64 Tensor of shape (n,)

    Returns
    -------
    energy : Tensor of shape (n,)
        0 where all logits are the same: the divergence cannot be had by raising all.
    """
    return energy(logits, target) + logits.mean(1)


def margin_divergence(energy_neighbour, energy_counterfactual, weight):
    """Divergence that is content with a margin of 1, by weight.

    Departs from Equation 3, which pushes without end where the ridge does not stop it.

    Parameters
    ----------
    energy_neighbour, energy_counterfactual : Tensor of shape (n,)
        Relative energies.
    weight : Tensor of shape (n,)

    Returns
    -------
    divergence : Tensor of shape (n,)
    """
    return weight * softplus(MARGIN + energy_neighbour - energy_counterfactual)


def log_odds(logits, target):
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


def raised(threshold):
    """Target probability whose log-odds are by the margin above those of another."""
    odds = math.exp(MARGIN) * threshold
    return min(odds / (1 - threshold + odds), math.nextafter(1, 0))


def slope_penalty(gradient, fixed, void):
    """How far slopes are from a band, and how much of them lies along fixed features.

    Takes the place of the ridge, Equation 4, which bounds the energies and with them
    how sure the model can be. The slope is the length of the gradient of the log-odds.
    At least 1.5 logits per unit, or searches of a fixed step do not arrive; at most 6
    where data may speak for a steep boundary, and down to 1.5 where there are none, or
    they leap over it. Along features that cannot change, no search gets anywhere.

    Parameters
    ----------
    gradient : Tensor of shape (n, n_features)
        Of the log-odds, in logits per unit of the model input.
    fixed : bool Tensor of shape (n_features,)
        Features that cannot change.
    void : Tensor of shape (n,)
        How far from data a row is, from 0 to 1.

    Returns
    -------
    penalty : Tensor of shape (n,)
        Squared distance from the band, a share of its lower end below and on a
        logarithmic scale above; plus the share of the squared slope along fixed
        features.
    """
    square = gradient.square().sum(1)
    slope = (square + 1e-12).sqrt()
    high = HIGH ** (1 - void) * LOW**void
    outside = (1 - slope / LOW).clamp_min(0) + (slope / high).log().clamp_min(0)
    share = gradient[:, fixed].square().sum(1) / square.clamp_min(LOW**2)
    return outside.square() + share


def stall_penalty(gradient, direction, short):
    """How flat it is towards observed rows where a search stopped on flat ground.

    Parameters
    ----------
    gradient : Tensor of shape (n, n_features)
        Of the log-odds at the counterfactuals, in logits per unit of the model input.
    direction : Tensor of shape (n, n_features)
        From there to a row of the target class.
    short : bool Tensor of shape (n,)
        Whether the search stopped short of the boundary.

    Returns
    -------
    penalty : Tensor of shape (n,)
        Square of what the slope in that direction lacks to 1.5 logits per unit, as a
        share; times what the slope as a whole lacks. 0 for a search that did arrive.
    """
    flat = (1 - gradient.detach().norm(dim=1) / LOW).clamp_min(0)
    rise = (gradient * direction).sum(1) / direction.norm(dim=1).clamp_min(1e-6)
    return short * flat * (1 - rise / LOW).clamp_min(0).square()


def counterfactual_loss(
    classification,
    adversarial,
    divergence,
    regulariser,
    *,
    lambda_div,
    lambda_adv,
    lambda_reg,
):
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
