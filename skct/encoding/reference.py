"""Training rows kept to judge plausibility."""

import numpy as np

from .frames import take

__all__ = ["draw_reference", "top_up"]


def draw_reference(space, X, codes, rng, n_rows=1000):
    """At most `n_rows` encoded rows per class, with their class indices, or None."""
    order = rng.permutation(len(codes))
    rows = [order[codes[order] == k][:n_rows] for k in np.unique(codes)]
    rows = np.sort(np.concatenate(rows))
    return (space.encode(take(X, rows)), codes[rows]) if len(rows) else None


def top_up(reference, more, n_rows):
    """Reference rows, with further ones for classes that have less than `n_rows`."""
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
