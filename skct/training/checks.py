"""Checks of what a net is given, and of what its module asks for."""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any

import numpy as np
import torch

from ..generators.registry import make_generator
from ..utils.validation import (
    check_integer,
    check_n_counterfactuals,
    check_real,
    parameter_error,
    wrong,
)
from .objectives import LAMBDAS, objective_of

__all__ = ["check_indices", "check_net", "sizes_wanted"]

LARGEST_LR = 1e38


def check_net(net: Any) -> None:
    """Raise a ValueError that names the first parameter out of range."""
    for name in LAMBDAS:
        if getattr(net, name) is not None:
            check_real(net, name, low=0)
    objective_of(net)
    check_real(net, "burn_in", low=0, high=1)
    check_n_counterfactuals(net)
    make_generator(net.generator).check()
    if net.lr != "auto":
        check_real(net, "lr", low=0, high=LARGEST_LR)
    check_integer(net, "max_epochs", low=0)
    if net.batch_size != -1:  # all rows at once, as in skorch
        check_integer(net, "batch_size", low=1)
    if net.random_state is not None:
        check_integer(net, "random_state", low=0)
    for name in ("module", "criterion", "optimizer"):
        if not callable(getattr(net, name)):
            allowed = "a class, or an instance of one"
            raise parameter_error(net, name, allowed, getattr(net, name))
    check_device(net)


def check_indices(y: Any, n_classes: int | None) -> None:
    """Check that labels are class indices: integers from 0, below `n_classes`."""
    y = np.asarray(y)
    known = y.dtype.kind in "iu" and y.ndim == 1 and y.size and y.min() >= 0
    if not known or (n_classes is not None and y.max() >= n_classes):
        end = "" if n_classes is None else f" to {n_classes - 1}"
        allowed = (
            f"class indices, integers from 0{end}, one per row; "
            "CounterfactualTrainingClassifier takes labels of any kind"
        )
        raise wrong("y", allowed, f"{y.dtype} of shape {y.shape}")


def check_device(net: Any) -> None:
    """Check that there is such a device."""
    try:
        kind = None if net.device is None else torch.device(net.device).type
    except (RuntimeError, TypeError) as error:
        allowed = "a torch device such as 'cpu' or 'cuda'"
        raise parameter_error(net, "device", allowed, net.device) from error
    if kind == "cuda" and not torch.cuda.is_available():
        allowed = "'cpu', since torch finds no GPU here"
        raise parameter_error(net, "device", allowed, net.device)


def accepted_arguments(module: Any) -> set[str]:
    """Names that a module class takes, through ``**kwargs`` up to its bases."""
    if not isinstance(module, type):
        return set(signature(module).parameters)
    names: set[str] = set()
    for base in module.__mro__:
        if "__init__" in vars(base):
            parameters = signature(vars(base)["__init__"]).parameters
            names |= set(parameters)
            if all(p.kind is not Parameter.VAR_KEYWORD for p in parameters.values()):
                break
    return names


def sizes_wanted(module: Any, input_shape: tuple, n_classes: int) -> dict[str, Any]:
    """Arguments that `module` accepts out of n_features_in and n_classes."""
    sizes = {
        "n_features_in": input_shape[0] if len(input_shape) == 1 else input_shape,
        "n_classes": n_classes,
    }
    return {k: v for k, v in sizes.items() if k in accepted_arguments(module)}
