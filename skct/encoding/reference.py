"""Training rows kept to judge plausibility."""

from typing import Any

import numpy as np

from .frames import take
from .space import FeatureSpace

__all__ = ["draw_reference", "top_up"]


# Encoded rows, and the class index of each.
Reference = tuple[np.ndarray, np.ndarray]


def draw_reference(
    space: FeatureSpace,
    X: Any,
    codes: np.ndarray,
    rng: np.random.Generator | int,
    n_rows: int = 1000,
) -> Reference | None:
    """Draw at most `n_rows` rows per class and encode them.

    Parameters
    ----------
    space : FeatureSpace
    X : DataFrame, ndarray or sparse matrix of shape (n, *features)
    codes : ndarray of shape (n,)
        Class indices.
    rng : Generator or int
        A seed draws from a stream of its own.
    n_rows : int, default=1000

    Returns
    -------
    reference : pair of ndarray, or None
        Encoded rows in the order of X, and their class indices; None for `n_rows=0`.
    """
    order = np.random.default_rng(rng).permutation(len(codes))
    drawn = [order[codes[order] == k][:n_rows] for k in np.unique(codes)]
    rows = np.sort(np.concatenate(drawn))
    return (space.encode(take(X, rows)), codes[rows]) if len(rows) else None


def top_up(
    reference: Reference | None, more: Reference | None, n_rows: int
) -> Reference | None:
    """Add rows of `more` for classes with fewer than `n_rows`; None stays None."""
    if reference is None or more is None:
        return reference
    encoded, codes = (list(part) for part in zip(reference, strict=True))
    for code in np.unique(more[1]):
        lacking = n_rows - int((reference[1] == code).sum())
        if lacking > 0:
            rows = np.flatnonzero(more[1] == code)[:lacking]
            encoded.append(more[0][rows])
            codes.append(more[1][rows])
    return np.concatenate(encoded), np.concatenate(codes)
