"""Scorers: plausibility, cost and robustness of recourse for `GridSearchCV`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer as get_sklearn_scorer
from sklearn.metrics import get_scorer_names
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from . import attribution, metrics, robustness
from .constraints.spec import resolve_position
from .encoding.frames import get_column
from .exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from .explain.explained_model import Explainable, ExplainedModel, unwrap
from .explain.explainer import CounterfactualExplainer
from .explain.explanation import CounterfactualExplanation
from .generators.base import BaseGenerator
from .generators.registry import make_generator
from .metrics.invalid import fallback_rows, penalize_invalid
from .utils.polars import as_pandas
from .utils.quiet import quiet
from .utils.validation import check_integer, check_real, parameter_error, unknown_name

__all__ = [
    "CounterfactualScorer",
    "SingleScorer",
    "counterfactual_scorer",
    "get_scorer",
]


@dataclass(frozen=True)
class CounterfactualScorer:
    """Scorer of several metrics at once; made by `counterfactual_scorer`.

    Called as ``scorer(estimator, X, y)``, it returns a dict of floats, as
    `cross_validate` and `GridSearchCV` understand it.
    """

    names: tuple[str, ...]
    generator: str | BaseGenerator | None = None
    group: object = None
    length_scale: float | str = 5.0
    epsilon: float = 0.1
    noise: float = 0.1
    n_alternatives: int = 3
    n_models: int = 5
    random_state: int = 0

    def __call__(
        self, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike
    ) -> dict[str, float]:
        """Score a fitted classifier, or a Pipeline that ends in one."""
        evaluation = Evaluation(estimator, X, y, self)
        # "validity" already says how many searches fail, and cross-validation would
        # repeat the warnings in every fold.
        with quiet(SearchWarning, ConstraintWarning, ImputationWarning):
            return {name: evaluation.score(name) for name in self.names}

    def __repr__(self) -> str:
        return f"counterfactual_scorer({self._arguments(self.names)})"

    def _arguments(self, names: str | tuple[str, ...]) -> str:
        """Arguments in code, without those that have their default."""
        given = [
            f"{f.name}={getattr(self, f.name)!r}"
            for f in fields(self)[1:]
            if getattr(self, f.name) != f.default
        ]
        return ", ".join([repr(names), *given])


@dataclass(frozen=True)
class SingleScorer:
    """Scorer of one metric, made by `get_scorer`; returns a float."""

    scorer: CounterfactualScorer

    def __call__(self, estimator: BaseEstimator, X: ArrayLike, y: ArrayLike) -> float:
        """Score a fitted classifier, or a Pipeline that ends in one."""
        (value,) = self.scorer(estimator, X, y).values()
        return value

    def __repr__(self) -> str:
        return f"get_scorer({self.scorer._arguments(self.scorer.names[0])})"


def counterfactual_scorer(
    names: Sequence[str] = (
        "accuracy",
        "neg_implausibility",
        "neg_cost",
        "validity",
    ),
    **options: Any,
) -> CounterfactualScorer:
    """Make a scorer of several metrics that searches counterfactuals once.

    Greater is better for all of them. Factuals are all rows of X, the target of each is
    its runner-up class, and the reference rows are those of (X, y) (the classifier's
    own for a class that is missing there). Distances are in standardised units.

    Every row counts, so that a model is never rewarded for having few valid
    counterfactuals, and no score is NaN. A row without one gets the largest distance
    between a row of X and a reference row of its target class, and at least the largest
    of the valid rows. In the MMD its factual stands in, or a row of another class where
    the factual is of the target class itself. Shares count it as 0; the share of such
    rows adds as much of the largest cost to the gap of the burden, and takes as much
    from its ratio.

    Parameters
    ----------
    names : sequence of str
        Scores, which are the keys of the result: those of scikit-learn, such as
        "accuracy" and "roc_auc", and

        {scores}
    **options
        generator : str, BaseGenerator or None, default=None
            Search; None: as in `CounterfactualExplainer`. Name one where the grid goes
            over generators, so that all are compared by the same.
        group : str or int, default=None
            Raw column of the protected attribute, for the burden.
        length_scale : float or "median", default=5.0
            Of the MMD's kernel.
        epsilon : float, default=0.1
            Radius of the attack, in model-input units.
        noise : float, default=0.1
            Standard deviation of the noise in the recourse, in model-input units.
        n_alternatives : int, default=3
            Counterfactuals per row, for the diversity.
        n_models : int, default=5
            Models to train on bootstrap samples of (X, y), for the stability.
        random_state : int, default=0
            Seed of attacks, noise, samples and retrained models.

    Returns
    -------
    scorer : CounterfactualScorer

    Raises
    ------
    ValueError
        For an unknown name or option, or a burden without `group`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.scoring import counterfactual_scorer
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf = clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y)
    >>> scorer = counterfactual_scorer(("accuracy", "neg_cost", "validity"))
    >>> sorted(scorer(clf, X, y))
    ['accuracy', 'neg_cost', 'validity']
    """
    several = hasattr(names, "__iter__") and not isinstance(names, str)
    given: tuple[Any, ...] = tuple(names) if several else (names,)
    known = [f.name for f in fields(CounterfactualScorer)[1:]]
    for option in options:
        if option not in known:
            raise unknown_name("option", option, known, "counterfactual_scorer")
    scorer = CounterfactualScorer(given, **options)
    check_scorer(scorer)
    return scorer


def get_scorer(name: str, **options: Any) -> SingleScorer:
    """Make a scorer of one metric, for `HalvingGridSearchCV` or `OptunaSearchCV`.

    Parameters
    ----------
    name : str
        As in `counterfactual_scorer`.
    **options
        As in `counterfactual_scorer`.

    Returns
    -------
    scorer : SingleScorer
        Called as ``scorer(estimator, X, y)``, it returns a float.

    Raises
    ------
    ValueError
        For an unknown name or option.

    Examples
    --------
    >>> from skct.scoring import get_scorer
    >>> get_scorer("neg_implausibility")
    get_scorer('neg_implausibility')
    """
    return SingleScorer(counterfactual_scorer((name,), **options))


def check_scorer(scorer: CounterfactualScorer) -> None:
    """Check names and options of a scorer."""
    known = [*NAMES, *get_scorer_names()]
    for name in scorer.names:
        if name not in known:
            raise unknown_name("score", name, known, "counterfactual_scorer")
        if name in NEED_GROUP and scorer.group is None:
            raise ValueError(
                f"{name!r} compares groups of people: pass group=, the raw column of "
                "the protected attribute."
            )
    if not scorer.names or len(set(scorer.names)) < len(scorer.names):
        raise parameter_error(scorer, "names", "different names", scorer.names)
    for name in ("epsilon", "noise"):
        check_real(scorer, name, low=0)
    for name in ("n_alternatives", "n_models"):
        check_integer(scorer, name, low=1)
    check_integer(scorer, "random_state", low=0)
    if not isinstance(scorer.length_scale, str) or scorer.length_scale != "median":
        check_real(scorer, "length_scale", low=0, open_low=True)
    if scorer.generator is not None:
        make_generator(scorer.generator).check()


class Evaluation:
    """A model and the rows it is scored on: what scores share, computed on demand."""

    def __init__(self, estimator: Any, X: Any, y: ArrayLike, options: Any):
        inner = unwrap(estimator)[1]
        if not isinstance(inner, Explainable):
            raise ValueError(
                "The scorer needs a CounterfactualTrainingClassifier, or a Pipeline "
                f"that ends in one. Got {type(inner).__name__}."
            )
        check_is_fitted(inner)
        self.estimator, self.X, self.options = estimator, X, options
        self.y = column_or_1d(y)
        check_consistent_length(X, self.y)
        self.seed = {"random_state": options.random_state}

    def score(self, name: str) -> float:
        """One score, of `SCORES` or of scikit-learn; greater is better."""
        if name in SCORES:
            return float(SCORES[name](self))
        return float(get_sklearn_scorer(name)(self.estimator, self.X, self.y))

    @cached_property
    def explainer(self) -> CounterfactualExplainer:
        """What searches."""
        explainer = CounterfactualExplainer(
            self.estimator, generator=self.options.generator, **self.seed
        )
        kept_nothing = unwrap(self.estimator)[1].reference_ is None
        if self.options.generator is not None and kept_nothing:
            explainer.fit(self.X, self.y)  # the generator may have to learn
        return explainer

    @cached_property
    def explanation(self) -> CounterfactualExplanation:
        """Counterfactuals of all rows, for their runner-up classes."""
        return self.explainer.explain(self.X)

    @cached_property
    def inspected(self) -> tuple[ExplainedModel, Any]:
        """Model, encoding and constraints, and X, checked and dense."""
        return self.explainer.inspect(self.X)

    @property
    def model(self) -> ExplainedModel:
        """Model, encoding and constraints."""
        return self.inspected[0]

    @cached_property
    def encoded(self) -> np.ndarray:
        """Model input of the factuals."""
        return self.model.space.encode(self.inspected[1])

    @cached_property
    def encoded_counterfactual(self) -> np.ndarray:
        """Model input of the counterfactuals."""
        return self.model.space.encode(as_pandas(self.explanation.counterfactual))

    def codes(self, labels: ArrayLike) -> np.ndarray:
        """Class indices; -1 for a label that the model does not know."""
        return pd.Index(self.model.classes).get_indexer(np.asarray(labels))

    @cached_property
    def labels(self) -> np.ndarray:
        """Class index of each row, or -1."""
        return self.codes(self.y)

    @cached_property
    def target(self) -> np.ndarray:
        """Class index of each target."""
        return self.codes(self.explanation.target)

    @cached_property
    def costs(self) -> np.ndarray:
        """L1 cost of each row, invalid ones penalised."""
        return self.penalized(self.explanation.cost)

    @cached_property
    def factual(self) -> np.ndarray:
        """Factuals in standardised units."""
        return self.coordinates(self.encoded)

    @cached_property
    def counterfactual(self) -> np.ndarray:
        """Counterfactuals in standardised units."""
        return self.coordinates(self.encoded_counterfactual)

    def coordinates(self, encoded: np.ndarray) -> np.ndarray:
        """Standardised units, in which a changed category counts 1."""
        return self.model.space.coordinates(encoded)[0]

    def reference(self, code: int) -> np.ndarray:
        """Rows of a class: those passed, else the classifier's own, else all passed."""
        rows = self.encoded[self.labels == code]
        if not len(rows) and self.model.reference is not None:
            stored, codes = self.model.reference
            rows = stored[codes == code]
        return self.coordinates(rows) if len(rows) else self.factual

    def penalized(self, distances: np.ndarray) -> np.ndarray:
        """Distances of all rows, invalid ones penalised."""
        given = self.explanation.valid, self.target, self.factual, self.reference
        return penalize_invalid(distances, *given)

    def alternatives(self) -> np.ndarray:
        """Coordinates of the alternatives, shape (n, k, n_coordinates).

        Invalid ones repeat the first of their row, which adds nothing to the diversity.
        """
        k = self.options.n_alternatives
        explanation = self.explainer.explain(self.X, n_alternatives=k)
        encoded = self.model.space.encode(as_pandas(explanation.counterfactual))
        valid = explanation.valid.reshape(-1, k, 1)
        places = self.coordinates(encoded).reshape(len(self.y), k, -1)
        return np.where(valid, places, places[:, :1])

    def burden(self) -> metrics.Burden:
        """Mean costs by group; invalid rows count with their penalty."""
        names = self.model.space.feature_names
        position = resolve_position(self.options.group, names, "group")
        group = get_column(self.inspected[1], position)
        return metrics.burden(self.costs, np.ones(len(self.costs), dtype=bool), group)


# One function per score; users read the first line of its docstring.


def validity(evaluation: Evaluation) -> float:
    """Share of rows with a valid counterfactual."""
    return evaluation.explanation.valid.mean()


def redundancy(evaluation: Evaluation) -> float:
    """Mean share of columns that stay as they are."""
    explanation = evaluation.explanation
    n_columns = len(evaluation.model.space.feature_names)
    return ((1 - explanation.n_changed / n_columns) * explanation.valid).mean()


def neg_cost(evaluation: Evaluation) -> float:
    """Minus the mean L1 cost."""
    return -evaluation.costs.mean()


def neg_implausibility(evaluation: Evaluation) -> float:
    """Minus the mean L1 distance from observed rows of the target class."""
    target, distances = evaluation.target, np.empty(len(evaluation.target))
    for code in np.unique(target):
        after = evaluation.counterfactual[target == code]
        reference = evaluation.reference(code)
        distances[target == code] = metrics.implausibility(after, reference)
    return -evaluation.penalized(distances).mean()


def neg_mmd(evaluation: Evaluation) -> float:
    """Minus the squared MMD to observed rows of the target class, mean over rows."""
    length_scale, total = evaluation.options.length_scale, 0.0
    after = evaluation.counterfactual.copy()
    for code in np.unique(evaluation.target):
        rows = evaluation.target == code
        lost = np.flatnonzero(rows & ~evaluation.explanation.valid)
        after[lost] = evaluation.factual[fallback_rows(lost, evaluation.labels, code)]
        samples = after[rows], evaluation.reference(code)
        # An unbiased estimate takes two rows: a single one counts twice.
        pair = (np.repeat(x, 2, axis=0) if len(x) == 1 else x for x in samples)
        total += rows.mean() * metrics.mmd(*pair, length_scale=length_scale)
    return -total


def diversity(evaluation: Evaluation) -> float:
    """Mean L1 distance between the alternatives of a row."""
    return metrics.diversity(evaluation.alternatives()).mean()


def neg_faithfulness(evaluation: Evaluation) -> float:
    """Minus the mean L1 distance from samples of the model's own target class."""
    module, encoded = evaluation.model.module, evaluation.encoded_counterfactual
    bounds = evaluation.encoded.min(0), evaluation.encoded.max(0)
    distances = attribution.faithfulness(
        module, encoded, evaluation.target, bounds, **evaluation.seed
    )
    return -evaluation.penalized(distances).mean()


def neg_sensitivity(evaluation: Evaluation) -> float:
    """Minus the share of integrated gradients on features that cannot change."""
    view = evaluation.model
    free = view.constraints.can_increase | view.constraints.can_decrease
    immutable = np.flatnonzero(~free.flatten().numpy())
    if not len(immutable):
        return 0.0
    predicted = evaluation.codes(evaluation.estimator.predict(evaluation.X))
    gradients = attribution.integrated_gradients(
        view.module, evaluation.encoded, predicted
    )
    return -attribution.sensitivity(gradients, immutable, standardize="share")


def robust_accuracy(evaluation: Evaluation) -> float:
    """Accuracy under PGD attacks of radius `epsilon`."""
    known = evaluation.labels >= 0  # other labels count as wrong
    if not known.any():
        return 0.0
    data = evaluation.encoded[known], evaluation.labels[known]
    options = {"epsilons": (evaluation.options.epsilon,), **evaluation.seed}
    (accuracy,) = robustness.robust_accuracy(evaluation.model.module, *data, **options)
    return accuracy * known.mean()


def recourse_robustness(evaluation: Evaluation) -> float:
    """Mean share of noisy versions of a counterfactual that stay valid."""
    view, encoded = evaluation.model, evaluation.encoded_counterfactual
    options = {"noise": evaluation.options.noise, "constraints": view.constraints}
    options |= {"factual": evaluation.encoded, **evaluation.seed}
    reached = robustness.recourse_robustness(
        view.module, encoded, evaluation.target, **options
    )
    return (reached * evaluation.explanation.valid).mean()


def stability(evaluation: Evaluation) -> float:
    """Mean share of retrained models under which counterfactuals stay valid."""
    if len(np.unique(evaluation.labels)) < 2:
        return 0.0  # nothing can be retrained
    return robustness.stability(
        evaluation.estimator,
        evaluation.explanation,
        evaluation.X,
        evaluation.y,
        n_models=evaluation.options.n_models,
        n_jobs=1,  # the search over models is what runs in parallel
        **evaluation.seed,
    ).mean()


def neg_burden_gap(evaluation: Evaluation) -> float:
    """Minus the largest difference between the mean costs of two groups."""
    # Two groups without any counterfactual are equal, but that is not fair.
    invalid = 1 - evaluation.explanation.valid.mean()
    return -(evaluation.burden().cost_gap + invalid * evaluation.costs.max())


def burden_ratio(evaluation: Evaluation) -> float:
    """Smallest mean cost of a group divided by the largest; 1 is equal."""
    return evaluation.burden().cost_ratio * evaluation.explanation.valid.mean()


SCORES: dict[str, Callable[[Evaluation], float]] = {
    "neg_implausibility": neg_implausibility,
    "neg_mmd": neg_mmd,
    "neg_cost": neg_cost,
    "validity": validity,
    "redundancy": redundancy,
    "diversity": diversity,
    "neg_faithfulness": neg_faithfulness,
    "neg_sensitivity": neg_sensitivity,
    "robust_accuracy": robust_accuracy,
    "recourse_robustness": recourse_robustness,
    "stability": stability,
    "neg_burden_gap": neg_burden_gap,
    "burden_ratio": burden_ratio,
}
NAMES = tuple(SCORES)
NEED_GROUP = ("neg_burden_gap", "burden_ratio")

# The summaries are the list in the docstring, so that each name stands in one place.
_SUMMARIES = {name: str(f.__doc__).splitlines()[0] for name, f in SCORES.items()}
counterfactual_scorer.__doc__ = (counterfactual_scorer.__doc__ or "").replace(
    "{scores}", "\n        ".join(f'- "{n}": {text}' for n, text in _SUMMARIES.items())
)
