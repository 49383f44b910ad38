"""How much accuracy is left under attack, and how long recourse lasts.

The attacks, `fgsm` and `pgd`, are in `skct.solvers.attacks`.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import resample
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length

from .constraints.box import Constraints, check_constraints
from .encoding.frames import take
from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explain.explained_model import seed_open_states
from .explain.explanation import CounterfactualExplanation
from .solvers.attacks import Model, fgsm, pgd
from .utils.model import check_batch, check_features, is_right
from .utils.polars import as_pandas
from .utils.random import draw_seed
from .utils.validation import as_floats, check_count, check_number, wrong

__all__ = [
    "fgsm",
    "pgd",
    "recourse_robustness",
    "recourse_survival",
    "robust_accuracy",
]

ATTACKS: dict[str, Callable] = {"fgsm": fgsm, "pgd": pgd}


def robust_accuracy(
    model: Model,
    X: ArrayLike,
    y: ArrayLike,
    *,
    epsilons: ArrayLike = (0.1,),
    attack: str | Callable = "pgd",
    **options: Any,
) -> np.ndarray:
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

    def count_robust(epsilon: float) -> int:
        if epsilon == 0 or not len(X_right):
            return len(X_right)
        x = attack(model, X_right.numpy(), y_right.numpy(), epsilon=epsilon, **options)
        x = torch.from_numpy(as_floats("attack", x)).float()
        if x.shape != X_right.shape:
            allowed = f"a callable that returns rows of shape {tuple(X_right.shape)}"
            raise wrong("attack", allowed, tuple(x.shape))
        return int(is_right(model, x, y_right).sum())

    return np.array([count_robust(epsilon) for epsilon in epsilons]) / len(X)


def recourse_robustness(
    model: Model,
    counterfactual: ArrayLike,
    target: ArrayLike,
    *,
    noise: float = 0.1,
    n_draws: int = 50,
    constraints: Constraints | None = None,
    factual: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
) -> np.ndarray:
    """Share of noisy versions of each counterfactual that still reach its target.

    Parameters
    ----------
    model : callable
        Maps a float32 batch of shape (n, *features) to logits of shape
        (n, n_classes), such as ``clf.module_``.
    counterfactual : array-like of shape (n, *features)
        Model input, such as ``clf.feature_space_.encode(explanation.counterfactual)``.
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
    if constraints is not None and factual is not None:
        start = check_features(factual, "factual")
        if start.shape != x.shape:
            allowed = f"of the shape of counterfactual, {tuple(x.shape)}"
            raise wrong("factual", allowed, tuple(start.shape))
        box = constraints.bounds(start)
    seed = draw_seed(random_state)
    reached = torch.zeros(len(x))
    for draw in range(n_draws):
        # A stream of numpy for each draw: its first numbers do not depend on how many
        # follow, so the noise of a row does not depend on the rows after it.
        rng = np.random.default_rng([seed, draw])
        normal = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32))
        noisy = x + noise * normal
        if constraints is not None:
            noisy = constraints.discretize(noisy.clamp(*box), start, box)
        reached += is_right(model, noisy, target)
    return reached.numpy().astype(float) / n_draws


def recourse_survival(
    estimator: BaseEstimator,
    explanation: CounterfactualExplanation,
    X: ArrayLike | sparse.sparray,
    y: ArrayLike,
    *,
    n_models: int = 10,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> np.ndarray:
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
        each class as in `y`) and with fresh seeds where `random_state` is None.
    random_state : int, RandomState or None, default=None
        Seed of the samples and of the fresh seeds.
    n_jobs : int or None, default=None
        Models fitted at the same time, as in scikit-learn.

    Returns
    -------
    survival : ndarray of shape (n,)
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
    >>> from skct.robustness import recourse_survival
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf = clf.set_params(net__max_epochs=20, net__lr=0.01).fit(X, y)
    >>> explanation = clf.explain(X[:3], target=1, confidence=0.5)
    >>> share = recourse_survival(clf, explanation, X, y, n_models=2, random_state=0)
    >>> share.shape
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
    with refit_warnings_ignored():
        reached = Parallel(n_jobs=n_jobs)(
            delayed(reached_after_refit)(estimator, explanation, X, y, seed)
            for seed in seeds
        )
    return np.mean(reached, axis=0) * explanation.valid


@contextmanager
def refit_warnings_ignored() -> Iterator[None]:
    """Ignore what fits and searches of many models would repeat.

    Not `quiet`: its lock would be held while threads wait for it that fit the models.
    """
    with warnings.catch_warnings():  # scikit-learn's Parallel passes the filters on
        for known in (SearchWarning, ConstraintWarning, ImputationWarning):
            warnings.simplefilter("ignore", known)
        yield


def reached_after_refit(
    estimator: BaseEstimator,
    explanation: CounterfactualExplanation,
    X: Any,
    y: np.ndarray,
    seed: np.random.SeedSequence,
) -> np.ndarray:
    """Which counterfactuals a model of a bootstrap sample assigns to their target."""
    rng = np.random.default_rng(seed)
    estimator = clone(estimator)
    seed_open_states(estimator, rng)
    random_state = int(rng.integers(2**31 - 1))
    rows = resample(np.arange(len(y)), stratify=y, random_state=random_state)
    estimator.fit(take(X, rows), y[rows])
    return estimator.predict(explanation.counterfactual) == explanation.target


def check_refittable(estimator: BaseEstimator) -> None:
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
