"""Checks of the parameters of a classifier."""

from __future__ import annotations

from typing import Any

import numpy as np
from skorch import NeuralNetClassifier

from ..generators.registry import make_generator
from ..utils.validation import (
    check_integer,
    check_n_counterfactuals,
    check_real,
    parameter_error,
)
from .checks import check_net
from .net import CounterfactualNet
from .objectives import LAMBDAS, make_objective

__all__ = ["check_parameters"]


def check_parameters(classifier: Any) -> None:
    """Raise a ValueError that names the first parameter out of range."""
    make_objective(classifier.objective)
    for name in LAMBDAS:
        if getattr(classifier, name) is not None:
            check_real(classifier, name, low=0)
    check_real(classifier, "burn_in", low=0, high=1)
    check_n_counterfactuals(classifier)
    check_integer(classifier, "n_reference", low=0)
    check_integer(classifier, "verbose", low=0)
    check_integer(classifier, "n_iter_no_change", low=1)
    check_real(
        classifier, "validation_fraction", low=0, high=1, open_low=True, open_high=True
    )
    stopping = classifier.early_stopping
    if not isinstance(stopping, (bool, np.bool_)) and stopping != "auto":
        allowed = "True, False or 'auto'"
        raise parameter_error(classifier, "early_stopping", allowed, stopping)
    if not isinstance(classifier.warm_start, (bool, np.bool_)):
        raise parameter_error(
            classifier, "warm_start", "True or False", classifier.warm_start
        )
    make_generator(classifier.generator).check()
    if isinstance(classifier.net, CounterfactualNet):
        check_net(classifier.net)
    if not (classifier.net is None or isinstance(classifier.net, NeuralNetClassifier)):
        allowed = "None, a CounterfactualNet or a skorch NeuralNetClassifier"
        raise parameter_error(classifier, "net", allowed, classifier.net)
    if not (
        classifier.preprocessor is None
        or classifier.preprocessor == "auto"
        or hasattr(classifier.preprocessor, "fit_transform")
        and not isinstance(classifier.preprocessor, type)
    ):
        allowed = "'auto', None or a transformer"
        raise parameter_error(
            classifier, "preprocessor", allowed, classifier.preprocessor
        )
