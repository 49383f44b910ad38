"""Checks of what functions on models take: batches, targets, numbers."""

import numpy as np
import torch
from torch import nn

from ._inference import logits_shape, module_device
from ._search import MIN_ROWS, evaluation_mode
from ._validation import as_array, wrong
from .constraints import Constraints

CHUNK = 2048  # rows at once: bounds memory, and fits the cache


def model_device(model):
    """Where a model computes; a plain function does so on the CPU."""
    if isinstance(model, nn.Module):
        return module_device(model)
    return torch.device("cpu")


def logits_of(model, x):
    """Logits on the CPU; small batches are padded, so that rows are independent."""
    n = len(x)
    if n < MIN_ROWS:
        x = torch.cat([x, x[-1:].detach().expand(MIN_ROWS - n, *x.shape[1:])])
    return model(x.to(model_device(model))).cpu()[:n]


@torch.no_grad()
def is_right(model, X, y):
    """Whether the model assigns each row to its class."""
    with evaluation_mode(model):
        parts = [logits_of(model, x).argmax(1) for x in X.split(CHUNK)]
    return torch.cat(parts) == y


def check_model(model, X, least=2):
    """Check that a model returns one logit per class, and return their number."""
    if not callable(model):
        allowed = "a callable from model input to logits, such as clf.module_"
        raise wrong("model", allowed, type(model).__name__)
    shape = logits_shape(model, X[:1].to(model_device(model)))
    if len(shape) != 2 or shape[0] != 1 or shape[1] < least:
        raise ValueError(
            f"The model returned logits of shape {shape} for one row; it has to return "
            "one logit per class, shape (n, n_classes), two for binary."
        )
    return shape[1]


def check_features(X, name):
    """Model input as a float32 Tensor of its own."""
    allowed = (
        "encoded model input of shape (n, *features) with at least one row, such as "
        "clf.feature_space_.encode(table)"
    )
    try:
        X = torch.from_numpy(np.array(X, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise wrong(name, allowed, type(X).__name__) from error
    if X.dim() < 2 or not X.numel():
        raise wrong(name, allowed, tuple(X.shape))
    if not X.isfinite().all():
        raise ValueError(
            f"The {name!r} parameter must be finite, but holds NaN or infinity; "
            "impute first, as clf.feature_space_.encode(table) does."
        )
    return X


def check_batch(model, X, y, X_name="X", y_name="y"):
    """Model input and class indices as Tensors of their own."""
    X, y = check_features(X, X_name), as_array(y_name, y)
    n_classes = check_model(model, X)
    allowed = (
        f"{len(X)} class indices, integers from 0 to {n_classes - 1}, such as "
        "np.searchsorted(clf.classes_, labels)"
    )
    if y.shape != (len(X),) or y.dtype.kind not in "iu":
        raise wrong(y_name, allowed, f"{y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= n_classes:
        raise wrong(y_name, allowed, f"{y.min()} to {y.max()}")
    return X, torch.from_numpy(y.astype(np.int64))


def check_constraints(constraints, X):
    """Check that constraints are those of the model input."""
    if constraints is None:
        return
    shape = tuple(X.shape[1:])
    allowed = f"None or Constraints of shape {shape}, such as clf.constraints_"
    if not isinstance(constraints, Constraints):
        raise wrong("constraints", allowed, constraints)
    if tuple(constraints.lower.shape) != shape:
        raise wrong("constraints", allowed, tuple(constraints.lower.shape))
