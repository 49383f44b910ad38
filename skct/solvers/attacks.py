"""Gradient attacks on a model in a max-norm ball: `fgsm` and `pgd`.

Users import them from `skct.robustness`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..constraints.box import Constraints, check_constraints
from ..losses import log_odds
from ..utils.model import CHUNK, check_batch, evaluation_mode, logits_of
from ..utils.random import draw_seed
from ..utils.validation import check_count, check_number, wrong

__all__ = ["fgsm", "pgd"]

Model: TypeAlias = Callable[[Tensor], Tensor]
Box: TypeAlias = tuple[Tensor, Tensor]  # lowest and highest values


def fgsm(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epsilon: float = 0.1,
    constraints: Constraints | None = None,
) -> np.ndarray:
    """Fast gradient sign method: one step of `epsilon` against the true class [1]_.

    Parameters
    ----------
    model : callable
        Maps a float32 batch of shape (n, *features) to logits of shape
        (n, n_classes), such as ``clf.module_``.
    X : array-like of shape (n, *features)
        Model input, such as ``clf.feature_space_.encode(table)``.
    y : array-like of shape (n,)
        Index of the true class, such as ``np.searchsorted(clf.classes_, labels)``.
    epsilon : float, default=0.1
        Max-norm radius, in model-input units.
    constraints : Constraints, optional
        Domain and mutability that the attacker has to respect, such as
        ``clf.constraints_``; None: every feature is free, as in the paper.

    Returns
    -------
    attacked : ndarray of shape (n, *features), float32
        ``x + epsilon * sign(gradient of the cross-entropy)``.

    Raises
    ------
    ValueError
        For a negative radius, input that is not finite, labels that are no class
        indices, or constraints of another shape.

    Notes
    -----
    The gradient is taken of the log-odds against the true class. Cross-entropy is their
    softplus, so the sign is the same, but it does not vanish where the model is so
    confident that its softmax rounds to one. Columns of a category move one by one.

    References
    ----------
    .. [1] Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial
       Examples", 2015.

    Examples
    --------
    >>> import torch
    >>> from skct.robustness import fgsm
    >>> model = lambda x: torch.stack([0 * x[:, 0], 2 * x[:, 0] - x[:, 1]], dim=1)
    >>> fgsm(model, [[1.0, 1.0]], [1], epsilon=0.5)
    array([[0.5, 1.5]], dtype=float32)
    """
    check_number("epsilon", epsilon)
    X, y = check_batch(model, X, y)
    check_constraints(constraints, X)
    attacked = X.clone()
    with evaluation_mode(model), torch.enable_grad():
        for rows in torch.arange(len(X)).split(CHUNK):
            box = ball(X[rows], epsilon, constraints)
            attacked[rows] = ascend(model, X[rows], y[rows], box, epsilon, 1)
    return attacked.numpy()


def pgd(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epsilon: float = 0.1,
    step_size: float = 0.01,
    n_steps: int = 40,
    n_restarts: int = 1,
    random_start: bool = True,
    constraints: Constraints | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Projected gradient descent in a max-norm ball, with restarts [1]_.

    Parameters
    ----------
    model, X, y
        As in `fgsm`.
    epsilon : float, default=0.1
        Max-norm radius, in model-input units.
    step_size : float, default=0.01
        Length of a step in each feature; the paper's, as is `n_steps`.
    n_steps : int, default=40
        Steps of each restart.
    n_restarts : int, default=1
        Random starts; from the second on only for rows that no start has fooled yet.
    random_start : bool, default=True
        Start anywhere in the ball; False: at the row itself.
    constraints : Constraints, optional
        As in `fgsm`.
    random_state : int, RandomState or None, default=None
        Seed of the starts; the global random state is never touched.

    Returns
    -------
    attacked : ndarray of shape (n, *features), float32
        The last step of the restart that fools the model, else of the one with the
        highest loss. With constraints, what may not move keeps its bits.

    Raises
    ------
    ValueError
        As in `fgsm`; for parameters out of range, or several restarts without random
        start.

    Notes
    -----
    See `fgsm` about the gradient. Where the radius exceeds half of
    ``n_steps * step_size``, some starts cannot reach the far corner. A start depends on
    the seed, the restart and the position of the row only: rows that follow do not
    change it.

    References
    ----------
    .. [1] Madry et al., "Towards Deep Learning Models Resistant to Adversarial
       Attacks", 2018.

    Examples
    --------
    >>> import torch
    >>> from skct.robustness import pgd
    >>> model = lambda x: torch.stack([0 * x[:, 0], 2 * x[:, 0] - x[:, 1]], dim=1)
    >>> pgd(model, [[1.0, 1.0]], [1], epsilon=0.125, random_state=0)
    array([[0.875, 1.125]], dtype=float32)
    """
    check_number("epsilon", epsilon)
    check_number("step_size", step_size)
    check_count("n_steps", n_steps)
    check_count("n_restarts", n_restarts)
    if not isinstance(random_start, (bool, np.bool_)):
        raise wrong("random_start", "True or False", random_start)
    if n_restarts > 1 and not random_start:
        raise wrong("n_restarts", "1 without random_start, all are alike", n_restarts)
    X, y = check_batch(model, X, y)
    check_constraints(constraints, X)
    seed = draw_seed(random_state)
    worst, highest = X.clone(), torch.full((len(X),), -torch.inf)
    unfooled = torch.arange(len(X))
    with evaluation_mode(model), torch.enable_grad():
        for restart in range(n_restarts):
            start = X + epsilon * uniform(X, seed, restart) if random_start else X
            for rows in unfooled.split(CHUNK):
                box = ball(X[rows], epsilon, constraints)
                x = start[rows].clamp(*box)
                x = ascend(model, x, y[rows], box, step_size, n_steps)
                score = attack_loss(model, x, y[rows])
                better = score > highest[rows]
                worst[rows[better]] = x[better]
                highest[rows[better]] = score[better]
            unfooled = unfooled[highest[unfooled] < torch.inf]
            if not len(unfooled):
                break
    return worst.numpy()


def ascend(
    model: Model, x: Tensor, y: Tensor, box: Box, step_size: float, n_steps: int
) -> Tensor:
    """Steps along the sign of the gradient of the loss, each back into the box."""
    for _ in range(n_steps):
        x = x.detach().requires_grad_()
        # Not the cross-entropy: its float32 gradient is 0 where the model is confident.
        odds = log_odds(logits_of(model, x), y)
        (gradient,) = torch.autograd.grad(-odds.sum(), x)
        x = x.detach().add_(gradient.sign_(), alpha=step_size).clamp_(*box)
    return x


def ball(X: Tensor, epsilon: float, constraints: Constraints | None) -> Box:
    """Lower and upper ends of the max-norm ball inside domain and mutability."""
    low, high = X - epsilon, X + epsilon
    if constraints is None:
        return low, high
    lower, upper = constraints.bounds(X)
    return torch.maximum(low, lower), torch.minimum(high, upper)


@torch.no_grad()
def attack_loss(model: Model, x: Tensor, y: Tensor) -> Tensor:
    """Loss of each row; infinite where the model is fooled, which nothing beats."""
    logits = logits_of(model, x)
    fooled = logits.argmax(1) != y
    return (-log_odds(logits, y)).masked_fill(fooled, torch.inf)


def uniform(X: Tensor, seed: int, draw: int) -> Tensor:
    """Noise in [-1, 1) for one draw.

    numpy's, whose first numbers do not depend on how many follow: the start of a row
    does not depend on the rows after it.
    """
    rng = np.random.default_rng([seed, draw])
    return torch.from_numpy(2 * rng.random(X.shape, dtype=np.float32) - 1)
