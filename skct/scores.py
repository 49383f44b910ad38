"""The scores: one function each on what an `Evaluation` has found.

A score of your own is a function here and an entry in `SCORES`; `scoring` makes scorers
of them.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.metrics import get_scorer as get_sklearn_scorer
from sklearn.utils import column_or_1d
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from . import attribution, metrics, robustness
from .constraints.spec import resolve_position
from .encoding.frames import get_column
from .explain.explained_model import Explainable, ExplainedModel, unwrap
from .explain.explainer import CounterfactualExplainer
from .explain.explanation import CounterfactualExplanation
from .explain.judge import as_table, default_judge
from .metrics.invalid import fallback_rows, penalize_invalid
from .utils.polars import as_pandas

__all__ = ["NAMES", "NEED_GROUP", "SCORES", "Evaluation"]


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
        if self.options.confidence is not None:
            explainer.set_params(confidence=self.options.confidence)
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
        """Factuals in coordinates of the model input."""
        return self.coordinates(self.encoded)

    @cached_property
    def counterfactual(self) -> np.ndarray:
        """Counterfactuals in coordinates of the model input."""
        return self.coordinates(self.encoded_counterfactual)

    def coordinates(self, encoded: np.ndarray) -> np.ndarray:
        """Units of the model input; a changed category counts 1."""
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


def recourse_survival(evaluation: Evaluation) -> float:
    """Mean share of retrained models under which counterfactuals stay valid."""
    if len(np.unique(evaluation.labels)) < 2:
        return 0.0  # nothing can be retrained
    return robustness.recourse_survival(
        evaluation.estimator,
        evaluation.explanation,
        evaluation.X,
        evaluation.y,
        n_models=evaluation.options.n_models,
        n_jobs=1,  # the search over models is what runs in parallel
        **evaluation.seed,
    ).mean()


def neg_confidence_gap(evaluation: Evaluation) -> float:
    """Minus the distance of told from judged probability; the judge is fitted to X."""
    explanation, judge = evaluation.explanation, evaluation.options.judge
    valid = explanation.valid
    if not valid.any() or len(np.unique(evaluation.y)) < 2:
        return -1.0
    judge = default_judge() if judge is None else clone(judge)
    judge.fit(as_table(evaluation.X), evaluation.y)
    proba = judge.predict_proba(as_table(explanation.counterfactual)[valid])
    column = pd.Index(judge.classes_).get_indexer(explanation.target[valid])
    judged = np.where(column < 0, 0.0, proba[np.arange(len(proba)), column])
    gap = metrics.confidence_gap(explanation.probability[valid], judged)
    # A row without an answer is the largest gap, or models win by finding few.
    return -(valid.mean() * gap + (~valid).mean())


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
    "recourse_survival": recourse_survival,
    "neg_confidence_gap": neg_confidence_gap,
    "neg_burden_gap": neg_burden_gap,
    "burden_ratio": burden_ratio,
}
NAMES = tuple(SCORES)
NEED_GROUP = ("neg_burden_gap", "burden_ratio")
