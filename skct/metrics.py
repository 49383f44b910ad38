"""Metrics of counterfactuals: pure functions on arrays, computed in float64."""

from math import prod

import numpy as np
from scipy.spatial.distance import cdist

__all__ = ["cost", "implausibility", "mmd", "redundancy", "validity"]

CHUNK = 2**22  # entries of a distance block: 32 MB


def implausibility(counterfactual, reference, *, norm=1):
    """Mean distance of each counterfactual from observed rows of its target class.

    Smaller is better. The unit is that of the columns, so scale first.

    Parameters
    ----------
    counterfactual : array-like of shape (n, n_features)
        Points to judge, in the units of `reference`.
    reference : array-like of shape (n_reference, n_features)
        Observed rows of the target class.
    norm : {1, 2}, default=1
        L1 or L2 distance.

    Returns
    -------
    implausibility : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the numbers of features differ, `reference` is empty or `norm` is unknown.

    Notes
    -----
    IP of Eq. 6 of [1]_. The reference code averages over 1000 draws with replacement;
    here over all rows, exactly.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from skct.metrics import implausibility
    >>> implausibility([[0.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]])
    array([2.])
    """
    counterfactual, reference = as_pair(counterfactual, reference)
    check_norm(norm)
    if norm == 1:
        return sum(
            mean_absolute_difference(x, r)
            for x, r in zip(counterfactual.T, reference.T, strict=True)
        )
    size = max(1, CHUNK // len(reference))
    parts = [
        cdist(counterfactual[i : i + size], reference).mean(1)
        for i in range(0, len(counterfactual), size)
    ]
    return np.concatenate(parts) if parts else np.zeros(0)


def mean_absolute_difference(x, reference):
    """Mean of ``|x_i - r|`` over all r, for one column, by sorting."""
    reference = np.sort(reference)
    centre = reference[len(reference) // 2]
    x, reference = x - centre, reference - centre
    below = np.searchsorted(reference, x)
    sums = np.concatenate([[0.0], np.cumsum(reference)])
    n = len(reference)
    return (x * (2 * below - n) + sums[-1] - 2 * sums[below]) / n


def mmd(counterfactual, reference, *, length_scale=5.0):
    """Unbiased squared maximum mean discrepancy between two samples.

    Near zero (and possibly below) where both come from one distribution; larger means
    less plausible as a group.

    Parameters
    ----------
    counterfactual : array-like of shape (n, n_features), n >= 2
    reference : array-like of shape (n_reference, n_features), n_reference >= 2
    length_scale : float, default=5.0
        Of the Gaussian kernel ``exp(-d^2 / (2 length_scale^2))``, in the units of the
        columns.

    Returns
    -------
    mmd : float

    Raises
    ------
    ValueError
        If a sample has fewer than two rows, or the numbers of features differ.

    Notes
    -----
    IP* of Eq. 7-8 of [1]_. The paper writes a length-scale of 0.5; its code ran, and
    its numbers come from, 5.0.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from skct.metrics import mmd
    >>> mmd([[0.0], [0.0]], [[100.0], [100.0]])
    2.0
    """
    counterfactual, reference = as_pair(counterfactual, reference)
    m, n = len(counterfactual), len(reference)
    if min(m, n) < 2:
        raise ValueError(
            f"mmd needs at least two rows in each sample. Got {m} counterfactuals and "
            f"{n} reference rows."
        )
    within = kernel_sum(counterfactual, counterfactual, length_scale) - m
    among = kernel_sum(reference, reference, length_scale) - n
    between = kernel_sum(counterfactual, reference, length_scale)
    return float(
        within / (m * (m - 1)) + among / (n * (n - 1)) - 2.0 * between / (m * n)
    )


def kernel_sum(a, b, length_scale):
    """Sum of the Gaussian kernel over all pairs, block by block."""
    size = max(1, CHUNK // len(b))
    return sum(
        np.exp(cdist(a[i : i + size], b, "sqeuclidean") / (-2 * length_scale**2)).sum()
        for i in range(0, len(a), size)
    )


def cost(factual, counterfactual, *, norm=1, weights=None):
    """Distance of each counterfactual from its factual.

    Smaller is better.

    Parameters
    ----------
    factual, counterfactual : array-like of shape (n, n_features)
    norm : {0, 1, 2}, default=1
        Number of changed features, L1 or L2 distance.
    weights : array-like of shape (n_features,), optional
        Cost of one unit of each feature.

    Returns
    -------
    cost : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If the shapes differ or `norm` is unknown.

    Examples
    --------
    >>> from skct.metrics import cost
    >>> cost([[0.0, 0.0]], [[1.0, -2.0]], weights=[1.0, 10.0])
    array([21.])
    """
    factual, counterfactual = as_pair(factual, counterfactual, same_length=True)
    check_norm(norm, (0, 1, 2))
    change = np.abs(counterfactual - factual)
    if norm == 0:
        change = (change > 0).astype(float)
    if weights is not None:
        change = change * np.asarray(weights, dtype=float)
    return np.sqrt((change**2).sum(1)) if norm == 2 else change.sum(1)


def validity(predicted, target):
    """Share of counterfactuals that the model assigns to their target class.

    Parameters
    ----------
    predicted, target : array-like of shape (n,)
        Labels.

    Returns
    -------
    validity : float
        Between 0 and 1; 1 is best.

    Raises
    ------
    ValueError
        If the lengths differ or are zero.

    Examples
    --------
    >>> from skct.metrics import validity
    >>> validity(["yes", "no"], ["yes", "yes"])
    0.5
    """
    predicted, target = np.asarray(predicted), np.asarray(target)
    if predicted.shape != target.shape or not predicted.size:
        raise ValueError(
            "predicted and target must be of one length and not empty. Got shapes "
            f"{predicted.shape} and {target.shape}."
        )
    return float(np.mean(predicted == target))


def redundancy(factual, counterfactual):
    """Share of features that each counterfactual leaves as they are.

    Parameters
    ----------
    factual, counterfactual : array-like of shape (n, n_features)

    Returns
    -------
    redundancy : ndarray of shape (n,)
        Between 0 and 1; larger means sparser.

    Examples
    --------
    >>> from skct.metrics import redundancy
    >>> redundancy([[0.0, 0.0]], [[1.0, 0.0]])
    array([0.5])
    """
    factual, counterfactual = as_pair(factual, counterfactual, same_length=True)
    return (factual == counterfactual).mean(1)


def as_pair(first, second, same_length=False):
    """Two float64 arrays of rows with the same features."""
    first = np.asarray(first, dtype=float)
    second = np.asarray(second, dtype=float)
    first, second = (a.reshape(len(a), prod(a.shape[1:])) for a in (first, second))
    if len(first) and first.shape[1] != second.shape[1]:
        raise ValueError(
            f"The numbers of features differ: {first.shape[1]} and {second.shape[1]}."
        )
    if same_length and len(first) != len(second):
        raise ValueError(f"The numbers of rows differ: {len(first)} and {len(second)}.")
    if not len(second) and len(first):
        raise ValueError("reference is empty; pass at least one row.")
    return first, second


def check_norm(norm, allowed=(1, 2)):
    """Check the order of a norm."""
    if norm not in allowed:
        raise ValueError(
            f"The 'norm' parameter must be one of {allowed}. Got {norm!r}."
        )
