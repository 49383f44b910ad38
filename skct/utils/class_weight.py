"""`class_weight` of a classifier as weights of a torch criterion."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from sklearn.utils import compute_class_weight

from .validation import check_option, is_number, parameter_error, unknown_name

__all__ = ["criterion_weight", "same_weight"]


def criterion_weight(owner: Any, classes: np.ndarray, y: np.ndarray) -> Any:
    """Weights of the classes in the criterion, by ``owner.class_weight``, or None."""
    if owner.class_weight is None:
        return None
    if isinstance(owner.class_weight, str):
        check_option(owner, "class_weight", ("balanced",))
    elif not hasattr(owner.class_weight, "items"):
        allowed = "a dict, 'balanced' or None"
        raise parameter_error(owner, "class_weight", allowed, owner.class_weight)
    else:
        check_weights(owner, classes)
    if isinstance(owner.class_weight, str) and len(np.unique(y)) < len(classes):
        raise ValueError(
            "class_weight='balanced' needs rows of every class; in partial_fit "
            "give a dict of weights instead."
        )
    if isinstance(owner.class_weight, str):
        weight = compute_class_weight("balanced", classes=classes, y=y)
    else:
        weight = [owner.class_weight.get(label, 1.0) for label in classes.tolist()]
    return torch.as_tensor(weight, dtype=torch.float32)


def same_weight(one: Any, other: Any) -> bool:
    """Whether two weights of a criterion, either of them perhaps None, are the same."""
    if one is None or other is None:
        return one is other
    return torch.equal(one, other)


def check_weights(owner: Any, classes: np.ndarray) -> None:
    """Check a dict `class_weight`.

    As in scikit-learn it may name labels that y lacks, such as a fold without a
    rare class, if it has a weight for every label of y: then they are no slips.
    """
    given, known = owner.class_weight, classes.tolist()
    if not set(known) <= set(given):
        for label in given:
            if label not in known:
                raise unknown_name("label", label, known, "class_weight")
    values = given.values()
    if not (
        all(is_number(w) and 0 <= w < np.inf for w in values)
        and any(given.get(label, 1.0) for label in known)
    ):
        allowed = "a dict of finite weights >= 0, not all of them 0"
        raise parameter_error(owner, "class_weight", allowed, given)
