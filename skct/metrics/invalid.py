"""What invalid counterfactuals count as, so that a model never gains by having them.

An average over valid rows alone rewards a model that finds counterfactuals for few,
easy rows; one over the invalid results as they are rewards those that stay near their
factuals.
"""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist

from .blocks import by_blocks

__all__ = ["fallback_rows", "penalize_invalid"]


def penalize_invalid(
    distances: np.ndarray,
    valid: np.ndarray,
    target: np.ndarray,
    factual: np.ndarray,
    reference: Callable[[int], np.ndarray],
) -> np.ndarray:
    """Distances of all rows, where invalid ones get the worst of their target class.

    That is the largest distance between a factual and a row of ``reference(class)``,
    and at least the largest distance of a valid row.
    """
    distances = np.array(distances, dtype=float)
    worst = distances[valid].max(initial=0.0)
    for code in np.unique(target[~valid]):
        rows = ~valid & (target == code)
        distances[rows] = max(worst, largest_distance(factual, reference(code)))
    return distances


def largest_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest L1 distance between a row of `a` and a row of `b`."""
    return by_blocks(lambda rows: cdist(rows, b, "cityblock").max(1), a, len(b)).max()


def fallback_rows(rows: np.ndarray, labels: np.ndarray, code: int) -> np.ndarray:
    """Positions of the factuals that replace invalid counterfactuals in a sample.

    Their own, unless those are of the target class: they would look perfectly
    plausible, so rows of other classes replace them, where there are any.
    """
    other = np.flatnonzero(labels != code)
    if not len(other):
        return rows
    return np.where(
        labels[rows] == code, other[np.arange(len(rows)) % len(other)], rows
    )
