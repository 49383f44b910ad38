"""Attacks on a model, and how long recourse lasts."""

import warnings
from collections.abc import Callable

import numpy as np
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import resample
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length

from .constraints.box import check_constraints
from .encoding.frames import take
from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explain.explained_model import seed_open_states
from .explain.explanation import CounterfactualExplanation
from .losses import log_odds
from .utils.model import (
    CHUNK,
    check_batch,
    check_features,
    evaluation_mode,
    is_right,
    logits_of,
)
from .utils.polars import as_pandas
from .utils.random import draw_seed
from .utils.validation import as_floats, check_count, check_number, wrong

__all__ = [
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


def robust_accuracy(model, X, y, *, epsilons=(0.1,), attack="pgd", **options):
    """Share of rows that the model gets right, and still gets right under attack.

    Parameters
    ----------
    model, X, y
        As in `fgsm`.
    epsilons : float or array-like of shape (n_epsilons,), default=(0.1,)
        Max-norm radii, in model-input units; 0 gives the clean accuracy.
    attack : {"fgsm", "pgd"} or callable, default="pgd"
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


ATTACKS: dict[str, Callable] = {"fgsm": fgsm, "pgd": pgd}


# --------------------------------------------------------------------------- kernels


def climb(model, x, y, box, step_size, n_steps):
    """Steps along the sign of the gradient of the loss, each back into the box."""
    for _ in range(n_steps):
        x = x.detach().requires_grad_()
        odds = log_odds(logits_of(model, x), y)
        (gradient,) = torch.autograd.grad(-odds.sum(), x)
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
    return (-log_odds(logits, y)).masked_fill(fooled, torch.inf)


def uniform(X, seed, draw):
    """Noise in [-1, 1); numpy's, since what comes first does not depend on the size."""
    rng = np.random.default_rng([seed, draw])
    return torch.from_numpy(2 * rng.random(X.shape, dtype=np.float32) - 1)


def recourse_robustness(
    model,
    counterfactual,
    target,
    *,
    noise=0.1,
    n_draws=50,
    constraints=None,
    factual=None,
    random_state=None,
):
    """Share of noisy versions of each counterfactual that still reach its target.

    Parameters
    ----------
    model : callable
        Maps a float32 batch of shape (n, *features) to logits of shape
        (n, n_classes), such as ``clf.module_``.
    counterfactual : array-like of shape (n, *features)
        Model input, such as ``clf.feature_space_.encode(answer.counterfactual)``.
    target : array-like of shape (n,)
        Class index that each counterfactual is to reach.
    noise : float, default=0.1
        Standard deviation of the Gaussian noise, in model-input units.
    n_draws : int, default=50
        Noisy versions of each row.
    constraints : Constraints, optional
        Where given, together with `factual`: noise only on what may move, inside the
        domain, and snapped, so that categories and integers stay real.
    factual : array-like of shape (n, *features), optional
        Rows that the counterfactuals started from.
    random_state : int, RandomState or None, default=None
        Seed of the noise; the global random state is never touched.

    Returns
    -------
    robustness : ndarray of shape (n,)
        Between 0 and 1; larger is better.

    Raises
    ------
    ValueError
        For parameters out of range, input that is not finite, targets that are no
        class indices, or constraints without factuals.

    Notes
    -----
    One minus the invalidation rate of [1]_, by simulation. For a linear model it is the
    normal distribution function of ``margin / (noise * norm of the weights)``.

    References
    ----------
    .. [1] Pawelczyk et al., "Probabilistically Robust Recourse: Navigating the
       Trade-offs between Costs and Robustness in Algorithmic Recourse", 2023.

    Examples
    --------
    >>> import torch
    >>> from skct.robustness import recourse_robustness
    >>> model = lambda x: torch.cat([-x, x], dim=1)
    >>> recourse_robustness(model, [[-1.0], [1.0]], [1, 1], random_state=0)
    array([0., 1.])
    """
    check_number("noise", noise)
    check_count("n_draws", n_draws)
    x, target = check_batch(model, counterfactual, target, "counterfactual", "target")
    check_constraints(constraints, x)
    if (constraints is None) != (factual is None):
        raise ValueError(
            "The 'constraints' and 'factual' parameters belong together: a box is one "
            "around a factual. Pass both or none."
        )
    if factual is not None:
        factual = check_features(factual, "factual")
        if factual.shape != x.shape:
            allowed = f"of the shape of counterfactual, {tuple(x.shape)}"
            raise wrong("factual", allowed, tuple(factual.shape))
        box = constraints.bounds(factual)
    seed = draw_seed(random_state)
    reached = torch.zeros(len(x))
    for draw in range(n_draws):  # numpy's noise, and a stream each: rows that follow
        rng = np.random.default_rng([seed, draw])  # do not change those before
        normal = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        noisy = x + noise * normal
        if factual is not None:
            noisy = constraints.discretize(noisy.clamp(*box), factual, box)
        reached += is_right(model, noisy, target)
    return reached.numpy().astype(float) / n_draws


def stability(
    estimator, explanation, X, y, *, n_models=10, random_state=None, n_jobs=None
):
    """Share of retrained models that still assign each counterfactual to its target.

    Parameters
    ----------
    estimator : CounterfactualTrainingClassifier or Pipeline that ends in one
        The model that was explained; clones of it are fitted, it is not touched.
    explanation : CounterfactualExplanation
        Counterfactuals, in the columns and units of X.
    X : DataFrame, array-like or sparse matrix of shape (n_rows, *features)
        Training table.
    y : array-like of shape (n_rows,)
        Its labels.
    n_models : int, default=10
        Models to fit, each on a bootstrap sample of the rows (with as many rows of
        each class as in `y`) and with seeds of its own where `random_state` is open.
    random_state : int, RandomState or None, default=None
        Seed of the samples and of the open seeds.
    n_jobs : int or None, default=None
        Models fitted at the same time, as in scikit-learn.

    Returns
    -------
    stability : ndarray of shape (n,)
        Between 0 and 1; larger is better. 0 for a counterfactual that is not valid
        under the present model either.

    Raises
    ------
    ValueError
        For an estimator that cannot be fitted anew (a `FrozenEstimator`, a torch
        module), something else than an explanation, or no models.

    Notes
    -----
    After [1]_, who retrain with other seeds and with one row left out; a bootstrap
    sample is a stronger test. With an integer `random_state` in the estimator its
    own seed stays the same and only the rows differ.

    References
    ----------
    .. [1] Black, Wang and Fredrikson, "Consistent Counterfactuals for Deep Models",
       2022.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.robustness import stability
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf = clf.set_params(net__max_epochs=20, net__lr=0.01).fit(X, y)
    >>> answer = clf.explain(X[:3], target=1)
    >>> stability(clf, answer, X, y, n_models=2, random_state=0).shape
    (3,)
    """
    check_count("n_models", n_models)
    check_refittable(estimator)
    if not isinstance(explanation, CounterfactualExplanation):
        allowed = "a CounterfactualExplanation, the result of explain"
        raise wrong("explanation", allowed, explanation)
    X = as_pandas(X)
    X = X if hasattr(X, "iloc") or sparse.issparse(X) else np.asarray(X)
    y = np.asarray(y)
    check_consistent_length(X, y)
    seeds = np.random.SeedSequence(draw_seed(random_state)).spawn(n_models)
    with warnings.catch_warnings():  # whose filters Parallel hands on
        for seen_before in (SearchWarning, ConstraintWarning, ImputationWarning):
            warnings.simplefilter("ignore", seen_before)
        reached = Parallel(n_jobs=n_jobs)(
            delayed(reached_anew)(estimator, explanation, X, y, seed) for seed in seeds
        )
    return np.mean(reached, axis=0) * explanation.valid


def reached_anew(estimator, explanation, X, y, seed):
    """Which counterfactuals a model of a bootstrap sample assigns to their target."""
    rng = np.random.default_rng(seed)
    estimator = clone(estimator)
    seed_open_states(estimator, rng)
    seed = int(rng.integers(2**31 - 1))
    rows = resample(np.arange(len(y)), stratify=y, random_state=seed)
    estimator.fit(take(X, rows), y[rows])
    return estimator.predict(explanation.counterfactual) == explanation.target


def check_refittable(estimator):
    """Check that clones of an estimator can be fitted to other rows."""
    inner = estimator
    while isinstance(inner, Pipeline):
        inner = inner.steps[-1][1]
    if isinstance(inner, FrozenEstimator):
        raise ValueError(
            "The 'estimator' parameter holds a FrozenEstimator, whose model cannot be "
            "retrained; pass the estimator inside it."
        )
    needed = ("get_params", "fit", "predict")
    if isinstance(inner, type) or not all(hasattr(inner, name) for name in needed):
        allowed = "a classifier, or a Pipeline ending in one, that can be fitted anew"
        raise wrong("estimator", allowed, inner)
