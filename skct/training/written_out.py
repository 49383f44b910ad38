"""A step of training without autograd: gradients of the objectives, written out.

`losses` has the definitions; here are the same values, with their derivatives.
"""

import math

import torch
from torch.nn.functional import softplus

from ..losses import HIGH, LOW, MARGIN, LossTerms, log_odds
from .pairs import on_the_way, packed

__all__ = [
    "margin_step",
    "margin_terms",
    "paper_step",
    "paper_terms",
    "slope_penalty_and_gradient",
    "stall_penalty_and_gradient",
]


def paper_step(dense, X, y, pairs, **weights):
    """Gradient of Eq. 2 at a batch and its counterfactuals, added to ``.grad``.

    Parameters
    ----------
    dense : DenseForward
    X : Tensor of shape (n_batch, *features)
    y : int64 Tensor of shape (n_batch,)
    pairs : Pairs
    **weights : float
        `lambda_div`, `lambda_adv` and `lambda_reg`.

    Returns
    -------
    terms : LossTerms
    logits : Tensor of shape (n_rows, n_classes)
        Those of the batch first.
    """
    logits, states = dense.states(torch.cat([X, packed(pairs)]))
    labels = y, pairs.label, pairs.target, pairs.weight
    terms, gradient = paper_terms(logits, *labels, **weights)
    dense.accumulate(states, gradient)
    return terms, logits


def margin_step(dense, X, y, pairs, fixed, *, lambda_reg, **weights):
    """As `paper_step`, for ``objective="margin"``.

    `fixed`, of shape (n_features,), says which features cannot change.
    """
    n, target = len(pairs.target), pairs.target
    logits, states = dense.states(torch.cat([X, packed(pairs)]))
    recognised = log_odds(logits[-n:], target) > 0
    labels = y, pairs.label, target, pairs.weight * recognised
    terms, gradient = margin_terms(logits, *labels, **weights)
    if lambda_reg:
        short = (log_odds(logits[-2 * n : -n], target) < 0) & recognised
        penalty = slope_step(dense, pairs, short, fixed, lambda_reg)
        total = terms.total + lambda_reg * penalty
        terms = terms._replace(total=total, regulariser=penalty)
    dense.accumulate(states, gradient)
    return terms, logits


def slope_step(dense, pairs, short, fixed, lambda_reg):
    """`CounterfactualNet.slope_terms`; adds its gradient, weighted, to ``.grad``."""
    n, ends = len(short), (pairs.counterfactual, pairs.neighbour)
    x = on_the_way(pairs.nascent, *ends, pairs.share)
    slopes, passed = dense.slopes(x, pairs.target.repeat(4))
    band, gradient = slope_penalty_and_gradient(slopes, fixed, pairs.void.T.flatten())
    direction = (pairs.neighbour - pairs.counterfactual).flatten(1)
    stall, pull = stall_penalty_and_gradient(slopes[-n:], direction, short)
    gradient /= 4  # blocks of n rows, whose mean it is
    gradient[-n:] += pull
    dense.accumulate_slopes(passed, gradient.mul_(lambda_reg / n))
    return band.mean() + stall.mean()


def paper_terms(
    logits, y, label, target, mature, *, lambda_div, lambda_adv, lambda_reg
):
    """Eq. 2 with cross-entropy, and its gradient at the logits.

    The same as `losses.counterfactual_loss` on the parts that `losses` defines, without
    a graph of small operations.

    Parameters
    ----------
    logits : Tensor of shape (n_batch + 3 * n, n_classes)
        Of the batch, and of nascent counterfactuals, mature ones and neighbours.
    y : int64 Tensor of shape (n_batch,)
    label, target : int64 Tensor of shape (n,)
        Labels of the nascent counterfactuals, target classes of the others.
    mature : bool Tensor of shape (n,)
    lambda_div, lambda_adv, lambda_reg : float

    Returns
    -------
    terms : LossTerms
    gradient : Tensor, in the shape of the logits
    """
    n, first = len(target), len(y) + len(target)
    classification, adversarial, gradient = cross_entropies(
        logits, y, label, lambda_adv
    )
    targets = torch.cat([target, target])[:, None]
    value = logits[first:].gather(1, targets).squeeze(1)  # minus the energy
    share = torch.cat([mature, mature]).to(value.dtype).div_(n)
    sign = share.clone()
    sign[n:].neg_()
    shared = share * value
    by_value = (sign * lambda_div).add_(shared * (2 * lambda_reg))
    gradient[first:].scatter_(1, targets, by_value[:, None])
    contrast, squares = sign @ value, shared @ value
    total = classification + lambda_div * contrast
    total = total + lambda_adv * adversarial + lambda_reg * squares
    return LossTerms(total, classification, contrast, adversarial, squares), gradient


def cross_entropies(logits, y, label, lambda_adv):
    """Mean losses of batch and nascent counterfactuals, and their gradient at all."""
    right = torch.cat([y, label])[:, None]
    gradient = torch.zeros_like(logits)
    log_p = logits[: len(right)].log_softmax(1)
    gain = log_p.gather(1, right)
    slope = torch.exp(log_p, out=gradient[: len(right)])
    slope.scatter_add_(1, right, torch.full_like(gain, -1.0))
    slope[: len(y)].div_(len(y))
    slope[len(y) :].mul_(lambda_adv / len(label))
    return -gain[: len(y)].mean(), -gain[len(y) :].mean(), gradient


def margin_terms(logits, y, label, target, weight, *, lambda_div, lambda_adv):
    """All of ``objective="margin"`` but the penalty on slopes, and its gradient.

    Parameters
    ----------
    logits, y, label, target
        As in `paper_terms`.
    weight : Tensor of shape (n,)
    lambda_div, lambda_adv : float

    Returns
    -------
    terms : LossTerms
        With a regulariser of 0.
    gradient : Tensor, in the shape of the logits
    """
    n, first = len(target), len(y) + len(target)
    classification, adversarial, gradient = cross_entropies(
        logits, y, label, lambda_adv
    )
    targets = torch.cat([target, target])[:, None]
    value = logits[first:].gather(1, targets).squeeze(1)
    energies = logits[first:].mean(1) - value
    lack = MARGIN + energies[n:] - energies[:n]
    contrast = weight @ softplus(lack) / n
    pull = (weight * lack.sigmoid_()).mul_(lambda_div / n)
    pull = torch.cat([-pull, pull])[:, None]
    gradient[first:].copy_(pull / logits.shape[1]).scatter_add_(1, targets, -pull)
    total = classification + lambda_div * contrast + lambda_adv * adversarial
    nothing = torch.zeros_like(total)
    return LossTerms(total, classification, contrast, adversarial, nothing), gradient


def slope_penalty_and_gradient(slopes, fixed, void):
    """`losses.slope_penalty` of slopes of shape (n, n_features), and its gradient."""
    square = slopes.square().sum(1)
    length = (square + 1e-12).sqrt()
    lack = (1 - length / LOW).clamp_min_(0)
    high = void * math.log(LOW / HIGH) + math.log(HIGH)
    excess = (length.log() - high).clamp_min_(0)
    factor = (excess / length - lack / LOW).div_(length / 2)
    penalty = lack.add_(excess).square_()
    if not fixed.any():
        return penalty, slopes * factor[:, None]
    along = slopes * fixed
    scale = square.clamp_min(LOW**2)
    share = along.square().sum(1) / scale
    factor -= torch.where(square >= LOW**2, 2 * share / scale, 0.0)
    gradient = slopes * factor[:, None]
    return penalty + share, gradient.addcdiv_(along, scale[:, None], value=2)


def stall_penalty_and_gradient(slopes, direction, short):
    """`losses.stall_penalty` of slopes of shape (n, n_features), and its gradient."""
    direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-6)
    flat = (1 - slopes.norm(dim=1) / LOW).clamp_min_(0).mul_(short)
    lack = (1 - (slopes * direction).sum(1) / LOW).clamp_min_(0)
    pull = flat * lack
    return pull * lack, direction * (pull * (-2 / LOW))[:, None]
