"""Checks of an explainer's parameters."""

from typing import Any

import numpy as np
from skorch import NeuralNet
from torch import nn

from ..generators.registry import make_generator
from ..utils.random import as_random_state
from ..utils.validation import check_integer, check_real, parameter_error
from .explained_model import Explainable, is_search, unwrap

__all__ = ["check_parameters"]

MOST_SHOWN = 200  # characters of an estimator in an error


def check_parameters(explainer: Any) -> None:
    """Raise a ValueError that names the first parameter out of range."""
    inner = unwrap(explainer.estimator)[1]
    if not is_explainable(inner):
        allowed = (
            "a CounterfactualTrainingClassifier, a skorch net, a torch module, or a "
            "Pipeline, FrozenEstimator or search around one"
        )
        if is_explainable(unwrap(getattr(inner, "estimator", None))[1]):
            allowed += (
                f"; what the model says is changed by {type(inner).__name__}, so fit "
                "and pass the model itself"
            )
        given = explainer.estimator
        given = given if len(repr(given)) < MOST_SHOWN else type(inner)
        raise parameter_error(explainer, "estimator", allowed, given)
    outer = explainer.estimator
    if is_search(outer) and hasattr(outer, "cv_results_") and not outer.refit:
        allowed = "a search with refit=True, which keeps the best model"
        raise parameter_error(explainer, "estimator", allowed, type(outer))
    as_random_state(explainer.random_state)
    check_integer(explainer, "verbose", low=0)
    if explainer.batch_size is not None:
        check_integer(explainer, "batch_size", low=1)
    if not isinstance(explainer.refine, (bool, np.bool_)):
        raise parameter_error(explainer, "refine", "True or False", explainer.refine)
    check_real(explainer, "plausibility_weight", low=0)
    check_real(explainer, "confidence", low=0, high=1, open_low=True, open_high=True)
    if explainer.generator is not None:
        make_generator(explainer.generator).check()


def is_explainable(inner: Any) -> bool:
    """Whether this is a model whose counterfactuals can be searched."""
    return isinstance(inner, (Explainable, NeuralNet, nn.Module))
