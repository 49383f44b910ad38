"""What recourse withstands: noise on the counterfactuals, retraining of the model."""

import warnings

import numpy as np
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils import resample
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_consistent_length

from ._model_input import (
    check_batch,
    check_constraints,
    check_features,
    is_right,
)
from ._random import draw_seed
from ._table import as_pandas, take
from ._validation import check_count, check_number, wrong
from ._view import seed_open_states
from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explanation import CounterfactualExplanation

__all__ = ["recourse_robustness", "stability"]


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
