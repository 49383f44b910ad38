"""What is asked of an explanation, and what there is to say about the outcome."""

import warnings

import numpy as np
import torch

from ..exceptions import SearchWarning
from ..utils.validation import unknown_name

__all__ = ["target_codes", "warn_about"]


def target_codes(target, n, classes):
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


def warn_about(explanation, generator):
    """Count rows that needed no change, have no counterfactual or too few of them."""
    if explanation.alternative is not None:
        warn_about_alternatives(explanation)
        explanation = explanation[explanation.alternative == 0]
    n = len(explanation)
    n_done = int((explanation.predicted == explanation.target).sum())
    if n_done:
        warnings.warn(
            f"{n_done} of {n} rows are already predicted as their target and come "
            "back unchanged.",
            SearchWarning,
            stacklevel=3,
        )
    n_failed = int((~explanation.valid).sum())
    if n_failed:
        warnings.warn(
            f"{n_failed} of {n} rows have no valid counterfactual within "
            f"max_iter={generator.max_iter}; see `reason`. Raise max_iter, or loosen "
            "mutability or domain.",
            SearchWarning,
            stacklevel=3,
        )


def warn_about_alternatives(explanation):
    """Count alternatives beside a valid first one that are not valid, or not new."""
    n_each = int(explanation.alternative.max()) + 1 if len(explanation) else 1
    first_valid = np.repeat(explanation.valid[::n_each], n_each)
    lost = ~explanation.valid & first_valid
    same = explanation.valid & (explanation.reason != "")
    same = ("hardly differ from an earlier one of their row", same)
    for what, rows in (("are not valid, though the first one is", lost), same):
        if rows.any():
            warnings.warn(
                f"{rows.sum()} of {len(explanation)} alternatives {what}; see "
                "`reason`. Ask for fewer, or loosen mutability or domain.",
                SearchWarning,
                stacklevel=4,
            )
