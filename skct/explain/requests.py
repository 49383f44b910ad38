"""What is asked of an explanation, and what there is to say about the outcome."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..constraints.spec import resolve_once
from ..encoding.frames import take
from ..encoding.space import FeatureSpace
from ..exceptions import SearchWarning
from ..generators.base import BaseGenerator
from ..reports.summary import unsure
from ..utils.caller import warn
from ..utils.validation import is_number, parameter_error, unknown_name
from .alternatives import REPEATS
from .explanation import CounterfactualExplanation

__all__ = [
    "Batch",
    "Settings",
    "check_confidence",
    "target_codes",
    "warn_about",
]


# Begins the reason of a row that could not move.
STUCK = "no feature may move in a useful direction"


class Settings(NamedTuple):
    """What holds for all rows of an explanation."""

    weights: np.ndarray  # cost of each raw column
    n_alternatives: int
    refine: bool
    plausibility_weight: float
    confidence: float  # target probability to reach


class Batch(NamedTuple):
    """Rows to explain, encoded, with the class index that each is to reach."""

    X: Any
    rows: np.ndarray  # positions in the whole table
    encoded: np.ndarray
    logits: Tensor
    target: Tensor

    def repeated(self, times: int) -> "Batch":
        """All rows, and all of them again."""
        again = np.tile(np.arange(len(self.rows)), times)
        return Batch(*(take(part, again) for part in self))


def check_confidence(owner: Any, confidence: float, n_classes: int) -> None:
    """Raise a ValueError for less than what chance gives, or no probability at all."""
    chance = 1 / n_classes
    if not is_number(confidence) or not chance <= confidence < 1:
        allowed = (
            f"a target probability of at least {chance:.3g}, which chance gives with "
            f"{n_classes} classes, and below 1"
        )
        raise parameter_error(owner, "confidence", allowed, confidence)


def target_codes(target: Any, n: int, classes: np.ndarray) -> Tensor | None:
    """Class index that each row is to reach; None for the runner-up."""
    if target is None:
        return None
    labels = np.asarray(target, dtype=object if classes.dtype == object else None)
    if labels.ndim == 0:
        labels = np.full(n, labels[()], dtype=labels.dtype)
    if labels.shape != (n,):
        raise ValueError(
            f"The 'target' parameter must be one label or one per row ({n}). Got an "
            f"array of shape {labels.shape}."
        )
    known = classes.tolist()
    for label in labels.tolist():
        if label not in known:
            raise unknown_name("label", label, known, "target")
    return torch.tensor([known.index(label) for label in labels.tolist()])


def warn_about(
    explanation: CounterfactualExplanation, generator: BaseGenerator, confidence: float
) -> None:
    """Count rows that needed no change, and those that did not get all they wanted."""
    if explanation.alternative is not None:
        warn_about_alternatives(explanation)
        explanation = explanation[explanation.alternative == 0]
    n = len(explanation)
    n_done = int((explanation.predicted == explanation.target).sum())
    if n_done:
        warn(
            f"{n_done} of {n} rows are already predicted as their target and come "
            "back unchanged.",
            SearchWarning,
        )
    n_failed = int((~explanation.valid).sum())
    n_unsure = int(unsure(explanation).sum())
    if n_unsure:
        warn(
            f"{n_unsure} of {n} rows have a counterfactual that the model assigns to "
            f"their target, but with less than confidence={confidence:g}; see "
            "`reason`. Loosen mutability or domain, or ask for less confidence.",
            SearchWarning,
        )
    if n_failed:
        failed = explanation.reason[~explanation.valid]
        stuck = all(reason.startswith(STUCK) for reason in failed)
        remedy = "Loosen" if stuck else "Raise max_iter, or loosen"
        warn(
            f"{n_failed} of {n} rows have no valid counterfactual within "
            f"max_iter={generator.max_iter}; see `reason`. {remedy} mutability or "
            "domain.",
            SearchWarning,
        )


def warn_about_alternatives(explanation: CounterfactualExplanation) -> None:
    """Count alternatives beside a valid first one that are not valid, or not new."""
    assert explanation.alternative is not None  # the caller has looked
    n_each = int(explanation.alternative.max()) + 1 if len(explanation) else 1
    first_valid = np.repeat(explanation.valid[::n_each], n_each)
    lost = ~explanation.valid & first_valid
    repeats = [reason.startswith(REPEATS) for reason in explanation.reason]
    same = explanation.valid & np.array(repeats, dtype=bool)
    same = ("hardly differ from an earlier one of their row", same)
    for what, rows in (("are not valid, though the first one is", lost), same):
        if rows.any():
            warn(
                f"{rows.sum()} of {len(explanation)} alternatives {what}; see "
                "`reason`. Ask for fewer, or loosen mutability or domain.",
                SearchWarning,
            )


def column_weights(explainer: Any, space: FeatureSpace) -> np.ndarray:
    """Cost of each raw column, by the `feature_weights` of an explainer."""
    weights = np.ones(len(space.feature_names))
    given = explainer.feature_weights
    if given is None:
        return weights
    weights = weights.astype(object)
    seen: dict = {}
    if hasattr(given, "items"):
        for key, weight in given.items():
            where = "feature_weights"
            weights[resolve_once(key, space.feature_names, where, seen)] = weight
    elif np.shape(given) == tuple(space.raw_shape):
        weights = np.asarray(given, dtype=object).ravel()
    else:
        allowed = f"a dict or an array of shape {tuple(space.raw_shape)}"
        raise parameter_error(explainer, "feature_weights", allowed, given)
    if not all(is_number(w) and 0 < w < np.inf for w in weights):
        raise parameter_error(explainer, "feature_weights", "positive numbers", given)
    return weights.astype(float)
