"""Attacks on a model, and the accuracy that it keeps under them.

`recourse_robustness` and `stability` of `skct.stability` can be had from here, too.
"""

from collections.abc import Callable
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ._model_input import (
    CHUNK,
    check_batch,
    check_constraints,
    is_right,
    logits_of,
)
from ._random import draw_seed, seeded
from ._search import evaluation_mode
from ._validation import as_floats, check_count, check_number, wrong
from .stability import recourse_robustness, stability

__all__ = [
    "autoattack",
    "fgsm",
    "pgd",
    "recourse_robustness",
    "robust_accuracy",
    "stability",
]


def fgsm(model, X, y, *, epsilon=0.1, constraints=None):
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
            attacked[rows] = climb(model, X[rows], y[rows], box, epsilon, 1)
    return attacked.numpy()


def pgd(
    model,
    X,
    y,
    *,
    epsilon=0.1,
    step_size=0.01,
    n_steps=40,
    n_restarts=1,
    random_start=True,
    constraints=None,
    random_state=None,
):
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
    standing = torch.arange(len(X))
    with evaluation_mode(model), torch.enable_grad():
        for restart in range(n_restarts):
            start = X + epsilon * uniform(X, seed, restart) if random_start else X
            for rows in standing.split(CHUNK):
                low, high = box = ball(X[rows], epsilon, constraints)
                x = start[rows].clamp(low, high)
                x = climb(model, x, y[rows], box, step_size, n_steps)
                score = damage(model, x, y[rows])
                better = score > highest[rows]
                worst[rows[better]] = x[better]
                highest[rows[better]] = score[better]
            standing = standing[highest[standing] < torch.inf]
            if not len(standing):
                break
    return worst.numpy()


def autoattack(model, X, y, *, epsilon=0.1, random_state=None):
    """AutoAttack [1]_ of the Adversarial Robustness Toolbox, as far as it suits tables.

    Needs ``pip install "skct[attack]"``.

    Parameters
    ----------
    model, X, y
        As in `fgsm`.
    epsilon : float, default=0.1
        Max-norm radius, in model-input units.
    random_state : int, RandomState or None, default=None
        Seed; the global random states are given back as they were.

    Returns
    -------
    attacked : ndarray of shape (n, *features), float32
        Rows that no attack fools come back unchanged.

    Raises
    ------
    ImportError
        Without the toolbox.
    ValueError
        As in `fgsm`.

    Notes
    -----
    APGD on the cross-entropy, APGD on the difference of logits ratio (from three
    classes on: it divides by the gap to the third logit), then DeepFool in place of
    FAB. The Square attack draws squares in images and is left out. The first step of
    APGD is twice the radius, as in the paper. There are no constraints, since the
    toolbox knows none of the kind; use `pgd` with restarts.

    References
    ----------
    .. [1] Croce and Hein, "Reliable Evaluation of Adversarial Robustness with an
       Ensemble of Diverse Parameter-free Attacks", 2020.

    Examples
    --------
    >>> import torch
    >>> from skct.robustness import autoattack
    >>> model = lambda x: torch.stack([0 * x[:, 0], 2 * x[:, 0] - x[:, 1]], dim=1)
    >>> attacked = autoattack(model, [[1.0, 1.9]], [1])  # doctest: +SKIP
    >>> model(torch.from_numpy(attacked)).argmax(1)  # doctest: +SKIP
    tensor([0])
    """
    check_number("epsilon", epsilon)
    X, y = check_batch(model, X, y)
    try:
        import multiprocess  # noqa: F401  (AutoAttack imports it when it attacks)
        from art.attacks.evasion import AutoAttack
        from art.estimators.classification import PyTorchClassifier
    except ImportError as error:
        raise ImportError(
            "autoattack needs the Adversarial Robustness Toolbox and multiprocess; "
            'install them with pip install "skct[attack]".'
        ) from error
    seed, epsilon = draw_seed(random_state), float(epsilon)
    if epsilon == 0:
        return X.numpy()
    with evaluation_mode(model), torch.enable_grad(), seeded(seed), numpy_seeded(seed):
        n_classes = logits_of(model, X[:1]).shape[1]
        target = PyTorchClassifier(
            Shifted(model), None, tuple(X.shape[1:]), n_classes, device_type="cpu"
        )
        attacks = toolbox_attacks(target, epsilon)
        attack = AutoAttack(target, eps=epsilon, attacks=attacks)
        found = attack.generate(X.numpy(), y.numpy())
    return torch.from_numpy(found).clamp(*ball(X, epsilon, None)).numpy()


def robust_accuracy(model, X, y, *, epsilons=(0.1,), attack="pgd", **options):
    """Share of rows that the model gets right, and still gets right under attack.

    Parameters
    ----------
    model, X, y
        As in `fgsm`.
    epsilons : float or array-like of shape (n_epsilons,), default=(0.1,)
        Max-norm radii, in model-input units; 0 gives the clean accuracy.
    attack : {"fgsm", "pgd", "autoattack"} or callable, default="pgd"
        A callable is called as ``attack(model, X, y, epsilon=epsilon, **options)``.
    **options
        Passed to the attack, such as ``n_restarts=10``, ``random_state=0`` or
        ``constraints=clf.constraints_`` for `pgd`.

    Returns
    -------
    accuracy : ndarray of shape (n_epsilons,)
        Between 0 and 1; larger is better. An upper bound of the true one, since an
        attack may fail where another would not.

    Raises
    ------
    ValueError
        As in `fgsm`, or for an unknown attack.

    Notes
    -----
    Rows that are wrong already are not attacked, so that no radius beats the clean
    accuracy. Each value depends on its own radius only.

    Examples
    --------
    >>> import torch
    >>> from skct.robustness import robust_accuracy
    >>> model = lambda x: torch.cat([-x, x], dim=1)
    >>> X, y = [[-1.0], [0.05], [2.0]], [0, 1, 1]
    >>> robust_accuracy(model, X, y, epsilons=[0, 0.1], random_state=0).round(3)
    array([1.   , 0.667])
    """
    if isinstance(attack, str) and attack in ATTACKS:
        attack = ATTACKS[attack]
    if not callable(attack):
        raise wrong("attack", f"a callable or one of {', '.join(ATTACKS)}", attack)
    epsilons = np.atleast_1d(epsilons).tolist()
    for epsilon in epsilons:
        check_number("epsilons", epsilon)
    X, y = check_batch(model, X, y)
    right = is_right(model, X, y)
    X_right, y_right = X[right], y[right]

    def standing(epsilon):
        if epsilon == 0 or not len(X_right):
            return len(X_right)
        x = attack(model, X_right.numpy(), y_right.numpy(), epsilon=epsilon, **options)
        x = torch.from_numpy(as_floats("attack", x)).float()
        if x.shape != X_right.shape:
            allowed = f"a callable that returns rows of shape {tuple(X_right.shape)}"
            raise wrong("attack", allowed, tuple(x.shape))
        return int(is_right(model, x, y_right).sum())

    return np.array([standing(epsilon) for epsilon in epsilons]) / len(X)


ATTACKS: dict[str, Callable] = {"fgsm": fgsm, "pgd": pgd, "autoattack": autoattack}


# --------------------------------------------------------------------------- kernels


def log_odds_against(logits, y):
    """Log-odds against the true class; their softplus is the cross-entropy."""
    y = y[:, None]
    others = logits.scatter(1, y, -torch.inf).logsumexp(1)
    return others - logits.gather(1, y).squeeze(1)


def climb(model, x, y, box, step_size, n_steps):
    """Steps along the sign of the gradient of the loss, each back into the box."""
    for _ in range(n_steps):
        x = x.detach().requires_grad_()
        loss = log_odds_against(logits_of(model, x), y)
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        x = x.detach().add_(gradient.sign_(), alpha=step_size).clamp_(*box)
    return x


def ball(X, epsilon, constraints):
    """Lower and upper ends of the max-norm ball inside domain and mutability."""
    low, high = X - epsilon, X + epsilon
    if constraints is None:
        return low, high
    lower, upper = constraints.bounds(X)
    return torch.maximum(low, lower), torch.minimum(high, upper)


@torch.no_grad()
def damage(model, x, y):
    """Loss of each row; infinite where the model is fooled."""
    logits = logits_of(model, x)
    fooled = logits.argmax(1) != y
    return log_odds_against(logits, y).masked_fill(fooled, torch.inf)


def uniform(X, seed, draw):
    """Noise in [-1, 1); numpy's, since what comes first does not depend on the size."""
    rng = np.random.default_rng([seed, draw])
    return torch.from_numpy(2 * rng.random(X.shape, dtype=np.float32) - 1)


# --------------------------------------------------------------------------- toolbox


def toolbox_attacks(target, epsilon):
    """The parts of AutoAttack that work on tables and on any number of classes."""
    from art.attacks.evasion import AutoProjectedGradientDescent, DeepFool

    quiet = {"batch_size": CHUNK, "verbose": False}
    size = {"eps": epsilon, "eps_step": 2 * epsilon}
    losses = ["cross_entropy", "difference_logits_ratio"][: target.nb_classes - 1]
    attacks = [
        AutoProjectedGradientDescent(target, **size, loss_type=loss, **quiet)
        for loss in losses
    ]
    deepfool = DeepFool(target, epsilon=1e-3, nb_grads=target.nb_classes, **quiet)
    return [*attacks, deepfool]


class Shifted(nn.Module):
    """A model whose largest logit is moved to -1, which no loss notices.

    The toolbox refuses what might be probabilities.
    """

    def __init__(self, model):
        super().__init__()
        self.logits = lambda x: logits_of(model, x)  # hidden: no submodule to touch

    def forward(self, x):
        """Logits, shifted."""
        logits = InputGradient.apply(x, self.logits)
        return logits - logits.detach().amax(1, keepdim=True) - 1


class InputGradient(torch.autograd.Function):
    """Apply a function; `backward`, which the toolbox calls, reaches the input only.

    So neither a module nor one hidden in a function gets gradients in its parameters.
    """

    @staticmethod
    def forward(ctx, x, function):
        """Build a graph of its own."""
        ctx.x = x.detach().requires_grad_()
        with torch.enable_grad():
            ctx.out = function(ctx.x)
        return ctx.out.detach()

    @staticmethod
    def backward(ctx, gradient):
        """Gradient of the input alone."""
        (out,) = torch.autograd.grad(ctx.out, ctx.x, gradient, retain_graph=True)
        return out, None


@contextmanager
def numpy_seeded(seed):
    """Seed numpy's global state inside, which the toolbox draws from; give it back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
