"""What is inside the object to explain: steps in front, model, labels, references."""

from copy import copy
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from torch import nn

from ..constraints import Constraints
from ..encoding.rules import Rule
from ..encoding.space import FeatureSpace
from ..encoding.transformers import is_identity
from ..generators.base import BaseGenerator
from ..utils.model import (
    LogProbability,
    batched_logits,
    check_model,
    check_outputs,
    check_single_precision,
)

__all__ = [
    "Explainable",
    "ExplainedModel",
    "class_labels",
    "compose",
    "feature_space",
    "is_fitted",
    "is_net",
    "is_search",
    "logit_module",
    "rules_and_constraints",
    "seed_open_states",
    "unwrap",
]


N_JUDGED = 1000  # rows that tell whether outputs are logits


class Explainable:
    """A classifier that, once fitted, brings all that an explanation needs."""

    module_: nn.Module
    net_: NeuralNet
    classes_: np.ndarray
    preprocessor_: Any
    feature_space_: FeatureSpace
    rules_: list
    constraints_: Constraints
    reference_: tuple[np.ndarray, np.ndarray] | None
    generator_: BaseGenerator
    seed_: int
    history_: pd.DataFrame


class ExplainedModel(NamedTuple):
    """Everything an explanation needs, however the model came.

    Attributes
    ----------
    module : torch.nn.Module
        Model input -> logits of shape (n, n_classes).
    space : FeatureSpace
        The map between table and model input.
    rules : list of Rule
        What may happen to each raw column.
    constraints : Constraints
        The same on the model input.
    classes : ndarray of shape (n_classes,)
        Labels in the order of the logits.
    reference : pair of ndarray or None
        Encoded training rows and their class indices.
    generator : BaseGenerator
        What the search minimises, and the target probability at which it stops.
    """

    module: nn.Module
    space: FeatureSpace
    rules: list
    constraints: Constraints
    classes: np.ndarray
    reference: tuple[np.ndarray, np.ndarray] | None
    generator: BaseGenerator

    def asked_for(self, confidence: float) -> Self:
        """The same with a search for a target probability of at least `confidence`."""
        # Of more than two classes the target may have less than a half, and another
        # one more; with a half it is the most probable one in any case.
        generator = copy(self.generator).set_params(threshold=max(confidence, 0.5))
        return self._replace(generator=generator)


def unwrap(estimator: Any) -> tuple[list, Any]:
    """Fitted steps in front, and the model inside.

    Behind Pipelines, FrozenEstimators, and searches such as `GridSearchCV`, of which
    the best estimator predicts.
    """
    front: list = []
    while isinstance(estimator, (FrozenEstimator, Pipeline)) or is_search(estimator):
        if isinstance(estimator, Pipeline):
            front += [s for s in estimator.steps[:-1] if takes_part(s[1])]
            estimator = estimator.steps[-1][1] if estimator.steps else None
        else:
            inside = getattr(estimator, "estimator", None)
            estimator = getattr(estimator, "best_estimator_", inside)
    return front, estimator


def is_search(estimator: Any) -> bool:
    """Whether this is a search for the best of many settings, fitted or not."""
    # scikit-learn's base class is private, and other packages have their own.
    return all(hasattr(estimator, n) for n in ("estimator", "refit", "error_score"))


def takes_part(step: Any) -> bool:
    """Whether a step of a Pipeline changes the rows that are predicted.

    Samplers of imbalanced-learn's Pipeline draw rows in fit alone.
    """
    samples = hasattr(step, "fit_resample") and not hasattr(step, "transform")
    return not (samples or is_identity(step))


def is_net(estimator: Any) -> bool:
    """Whether a model is a skorch net, whose labels are class indices."""
    return isinstance(estimator, NeuralNet)


def is_fitted(inner: Any) -> bool:
    """Whether the model can be explained as it is."""
    if isinstance(inner, nn.Module):
        return True
    return bool(inner.initialized_ if is_net(inner) else hasattr(inner, "module_"))


def seed_open_states(estimator: Any, rng: np.random.Generator) -> None:
    """Seed every `random_state` that is still None."""
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if name.split("__")[-1] == "random_state" and value is None:
            estimator.set_params(**{name: int(rng.integers(2**31 - 1))})


def logit_module(inner: Any) -> nn.Module:
    """Torch module from model input to logits."""
    if isinstance(inner, Explainable):
        return inner.module_
    module = inner if isinstance(inner, nn.Module) else inner.module_
    check_single_precision(module)
    if is_net(inner) and isinstance(inner.criterion_, nn.NLLLoss):
        return LogProbability(module)
    return module


def compose(front: list, classifier: Explainable | None) -> Pipeline | None:
    """One transformer from raw table to model input, of fitted parts."""
    steps = list(front)
    if classifier is not None and classifier.preprocessor_ is not None:
        steps.append(("preprocessor", classifier.preprocessor_))
    return Pipeline(steps) if steps else None


def feature_space(estimator: Any, X: Any, *, learn: bool) -> FeatureSpace:
    """Map between the table in front of an estimator and the model input.

    `learn` says that X holds training rows; otherwise only its names and types are
    read, and observed ranges are those of the classifier.
    """
    front, inner = unwrap(estimator)
    if not isinstance(inner, Explainable):
        return FeatureSpace(compose(front, None), X, learn=learn)
    if not front:
        return inner.feature_space_
    space = FeatureSpace(compose(front, inner), X, learn=learn)
    if not learn:
        space.copy_ranges_from(inner.feature_space_)
    return space


def class_labels(
    estimator: Any, space: FeatureSpace, X: Any, y: np.ndarray
) -> np.ndarray:
    """Labels of the model: its own, or those of y, else 0 ... n_classes - 1."""
    inner = unwrap(estimator)[1]
    if isinstance(inner, Explainable):
        return inner.classes_
    rows, module = space.encode(X[:N_JUDGED]), logit_module(inner)
    n_classes = check_model(module, torch.from_numpy(rows[:1]))
    raw = module.module if isinstance(module, LogProbability) else module
    check_outputs(batched_logits(raw, rows), takes_log=raw is not module)
    labels = np.unique(y)
    return labels if len(labels) == n_classes else np.arange(n_classes)


def rules_and_constraints(
    estimator: Any, space: FeatureSpace, mutability: Any, domain: Any
) -> tuple[list[Rule], Constraints]:
    """Rules in raw units and constraints on the model input.

    `mutability` and `domain` are those of an explainer: "inherit" takes what the
    classifier was trained with; a net or module is unconstrained.
    """
    front, inner = unwrap(estimator)
    classifier = inner if isinstance(inner, Explainable) else None
    inherits = is_inherit(mutability), is_inherit(domain)
    default_domain = None if classifier is None else "auto"
    rules = space.rules(
        None if inherits[0] else mutability, default_domain if inherits[1] else domain
    )
    if classifier is None:
        return rules, space.constraints(rules)
    trained = space.rules_from(classifier.constraints_) if front else classifier.rules_
    rules = [
        (old if inherits[1] else new)._replace(
            mutability=(old if inherits[0] else new).mutability
        )
        for old, new in zip(trained, rules, strict=True)
    ]
    constraints = space.constraints(rules)
    if front:
        # Categories and integers that only the classifier's own encoding knows.
        constraints = constraints & classifier.constraints_.shape_only()
    return rules, constraints


def is_inherit(value: Any) -> bool:
    """Whether a constraint parameter has its default."""
    return isinstance(value, str) and value == "inherit"
