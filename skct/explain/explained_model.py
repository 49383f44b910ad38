"""What is inside the object to explain: front steps, model, labels, reference rows."""

from typing import NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from skorch import NeuralNet
from torch import nn

from ..classifier import CounterfactualTrainingClassifier
from ..constraints.box import Constraints
from ..encoding.space import FeatureSpace
from ..encoding.transformers import is_identity
from ..generators.base import BaseGenerator
from ..utils.model import LogProbability, check_single_precision

__all__ = [
    "View",
    "chain",
    "is_fitted",
    "is_net",
    "logit_module",
    "seed_open_states",
    "unwrap",
]


class View(NamedTuple):
    """Everything an explanation needs, however the model came."""

    module: nn.Module
    space: FeatureSpace
    rules: list
    constraints: Constraints
    classes: np.ndarray
    reference: tuple | None
    generator: BaseGenerator


def unwrap(estimator):
    """Fitted steps in front, and the model behind Pipelines and FrozenEstimators."""
    front = []
    while isinstance(estimator, (FrozenEstimator, Pipeline)):
        if isinstance(estimator, FrozenEstimator):
            estimator = estimator.estimator
        else:
            front += [s for s in estimator.steps[:-1] if not is_identity(s[1])]
            estimator = estimator.steps[-1][1] if estimator.steps else None
    return front, estimator


def is_net(estimator):
    """Whether a model is a skorch net, whose labels are class indices."""
    return isinstance(estimator, NeuralNet)


def is_fitted(inner):
    """Whether the model can be explained as it is."""
    if isinstance(inner, nn.Module):
        return True
    return bool(inner.initialized_ if is_net(inner) else hasattr(inner, "net_"))


def seed_open_states(estimator, rng):
    """Seed every `random_state` that is still None."""
    for name, value in sorted(estimator.get_params(deep=True).items()):
        if name.split("__")[-1] == "random_state" and value is None:
            estimator.set_params(**{name: int(rng.integers(2**31 - 1))})


def logit_module(inner):
    """Torch module from model input to logits."""
    if isinstance(inner, CounterfactualTrainingClassifier):
        return inner.module_
    module = inner if isinstance(inner, nn.Module) else inner.module_
    check_single_precision(module)
    if is_net(inner) and isinstance(inner.criterion_, nn.NLLLoss):
        return LogProbability(module)
    return module


def chain(front, classifier):
    """One transformer from raw table to model input, of fitted parts."""
    steps = list(front)
    if classifier is not None and classifier.preprocessor_ is not None:
        steps.append(("preprocessor", classifier.preprocessor_))
    return Pipeline(steps) if steps else None
