"""Training rows kept to judge plausibility, and what says as much without them."""

from typing import Any, NamedTuple

import numpy as np

from .frames import take
from .space import FeatureSpace

__all__ = [
    "ColumnSummary",
    "Reference",
    "draw_reference",
    "observed_rows",
    "summarise",
    "top_up",
]


# Encoded rows, and the class index of each.
Reference = tuple[np.ndarray, np.ndarray]


class ColumnSummary(NamedTuple):
    """Reference whose rows are nobody: within each class every column is sorted.

    Enough for plausibility, a sum over columns: its value, and what minimises it, are
    those of the rows. Nothing may be learnt from it.
    """

    encoded: np.ndarray
    codes: np.ndarray


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
    joined = np.concatenate(encoded), np.concatenate(codes)
    return ColumnSummary(*joined) if isinstance(reference, ColumnSummary) else joined


def observed_rows(reference: Reference | None) -> Reference | None:
    """Reference where it holds rows that were observed, else None."""
    return None if isinstance(reference, ColumnSummary) else reference


def summarise(reference: Reference | None, space: FeatureSpace) -> Reference | None:
    """Put each raw column of the rows of a class into an order of its own.

    The columns of a category stay together, so that it stays one.

    Parameters
    ----------
    reference : pair of ndarray or None
    space : FeatureSpace

    Returns
    -------
    summary : ColumnSummary or None
    """
    if reference is None:
        return None
    encoded, codes = reference
    block = space.owner.copy()
    for group in space.groups:  # 0/1 columns that the user has made of a category
        block[list(group.columns)] = block[list(group.columns)].min()
    flat = encoded.reshape(len(encoded), -1).copy()
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        for k in np.unique(block):
            cells = np.ix_(rows, np.flatnonzero(block == k))
            values = flat[cells]
            flat[cells] = values[np.lexsort(values.T)]
    return ColumnSummary(flat.reshape(encoded.shape), codes)
