"""Metrics of counterfactuals: pure functions on arrays, computed in float64."""

from dataclasses import dataclass
from math import inf, prod

import numpy as np
import pandas as pd
import torch
from scipy.spatial.distance import cdist, pdist
from scipy.stats import median_abs_deviation
from sklearn.neighbors import NearestNeighbors

from ._validation import as_array, as_floats, is_integer, is_number, wrong

__all__ = [
    "Burden",
    "burden",
    "cost",
    "diversity",
    "implausibility",
    "mad_weights",
    "median_length_scale",
    "mmd",
    "redundancy",
    "validity",
]

CHUNK = 2**22  # entries of a block of distances: 32 MB
TILE = 512  # rows on each side of a block of kernel values: stays in the cache
MEDIAN_ROWS = 2000  # rows whose pairs decide the median distance


def implausibility(counterfactual, reference, *, norm=1, n_neighbours=None):
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
    n_neighbours : int, optional
        Average over that many nearest rows of `reference`, which asks for a place
        near some rows instead of near the middle of all. None: all rows, as in the
        paper.

    Returns
    -------
    implausibility : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If a number is not finite, the numbers of features differ, `reference` is
        empty, `norm` is unknown, or `n_neighbours` is not between 1 and n_reference.

    Notes
    -----
    IP of Eq. 6 of [1]_. The reference code averages over 1000 draws with replacement;
    here over all rows, exactly. Memory stays bounded: L1 over all rows sorts each
    column, the others go block by block.

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> from skct.metrics import implausibility
    >>> implausibility([[0.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]])
    array([2.])
    >>> implausibility([[0.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]], n_neighbours=1)
    array([1.])
    """
    counterfactual, reference = as_pair(counterfactual, reference)
    check_norm(norm)
    if n_neighbours is not None:
        check_neighbours(n_neighbours, len(reference))
    if not len(counterfactual):
        return np.zeros(0)
    if n_neighbours is not None:
        return nearest_distance(counterfactual, reference, norm, n_neighbours)
    if norm == 2:
        return by_blocks(
            lambda rows: cdist(rows, reference).mean(1), counterfactual, len(reference)
        )
    return sum(
        mean_absolute_difference(x, r)
        for x, r in zip(counterfactual.T, reference.T, strict=True)
    )


def nearest_distance(counterfactual, reference, norm, n_neighbours):
    """Mean distance from the nearest rows of the reference.

    Distances are taken anew from the rows that were found: those of the search come out
    of matrix products, whose rounding differs from one processor to the next.
    """
    metric = {1: "manhattan", 2: "euclidean"}[norm]
    nearest = NearestNeighbors(n_neighbors=n_neighbours, metric=metric).fit(reference)

    def judge(rows):
        found = reference[nearest.kneighbors(rows, return_distance=False)]
        return np.linalg.norm(rows[:, None] - found, ord=norm, axis=2).mean(1)

    return by_blocks(judge, counterfactual, n_neighbours * reference.shape[1])


def by_blocks(judge, rows, width):
    """One value per row from `judge`, which needs `width` entries for each row."""
    size = max(1, CHUNK // width)
    starts = range(0, len(rows), size)
    return np.concatenate([judge(rows[i : i + size]) for i in starts] or [np.zeros(0)])


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
    length_scale : float or "median", default=5.0
        Of the Gaussian kernel ``exp(-d^2 / (2 length_scale^2))``, in the units of the
        columns. "median": that of `median_length_scale`. It depends on the two
        samples, so fix a number to compare several models.

    Returns
    -------
    mmd : float

    Raises
    ------
    ValueError
        If a sample has fewer than two rows, a number is not finite, the numbers of
        features differ, or `length_scale` is not positive.

    Notes
    -----
    IP* of Eq. 7-8 of [1]_. The paper writes a length-scale of 0.5; its code ran, and
    its numbers come from, 5.0. Distances come from matrix products of centred rows:
    with columns of a spread of a million length-scales (raw incomes, say) nearby
    rows lose digits, and nearly all pairs count as infinitely far anyway.

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
    if isinstance(length_scale, str) and length_scale == "median":
        length_scale = median_length_scale(counterfactual, reference)
    check_length_scale(length_scale)
    # The median: one wild row must not move the centre away from all others.
    centre = np.median(reference, axis=0)
    a, b = (
        torch.from_numpy((rows - centre) / length_scale).split(TILE)
        for rows in (counterfactual, reference)
    )
    between = sum(gaussian_kernel(x, y).sum().item() for x in a for y in b)
    within, among = kernel_within(a), kernel_within(b)
    return within / (m * (m - 1)) + among / (n * (n - 1)) - 2.0 * between / (m * n)


def kernel_within(tiles):
    """Sum of the kernel over all ordered pairs of two different rows of a sample."""
    total = 0.0
    for i, tile in enumerate(tiles):
        total += gaussian_kernel(tile, tile).triu(1).sum().item()
        total += sum(gaussian_kernel(tile, t).sum().item() for t in tiles[i + 1 :])
    return 2.0 * total


def gaussian_kernel(a, b):
    """``exp(-|x - y|^2 / 2)`` of all pairs; torch's exp is several times numpy's."""
    squares = a.square().sum(1, keepdim=True) + b.square().sum(1)
    return torch.addmm(squares, a, b.T, beta=-0.5).clamp_(max=0.0).exp_()


def median_length_scale(counterfactual, reference):
    """Median Euclidean distance between two rows of the pooled sample.

    A length-scale for `mmd` that adapts to the number of features and their units [1]_.

    Parameters
    ----------
    counterfactual : array-like of shape (n, n_features)
    reference : array-like of shape (n_reference, n_features)

    Returns
    -------
    length_scale : float
        Always positive. Where more than half of the pairs coincide: the median of the
        positive distances; where all do: 1.

    Raises
    ------
    ValueError
        If a number is not finite, the numbers of features differ or `reference` is
        empty.

    Notes
    -----
    Exact up to 2000 rows in all; beyond, 2000 evenly spaced rows of the pooled sample
    stand in for it, so the result is deterministic and memory stays bounded.

    References
    ----------
    .. [1] Gretton et al., "A Kernel Two-Sample Test", 2012, Sec. 8.

    Examples
    --------
    >>> from skct.metrics import median_length_scale
    >>> median_length_scale([[0.0], [1.0]], [[3.0]])
    2.0
    """
    counterfactual, reference = as_pair(counterfactual, reference)
    m, n = len(counterfactual), len(reference)
    rows = np.arange(m + n)
    if len(rows) > MEDIAN_ROWS:
        rows = np.linspace(0, m + n - 1, MEDIAN_ROWS).round().astype(int)
    first, second = counterfactual[rows[rows < m]], reference[rows[rows >= m] - m]
    # Without counterfactuals their number of columns may be unknown.
    distance = pdist(np.concatenate([first, second]) if len(first) else second)
    if not distance.any():
        return 1.0
    return float(np.median(distance) or np.median(distance[distance > 0]))


def cost(factual, counterfactual, *, norm=1, weights=None):
    """Distance of each counterfactual from its factual.

    Smaller is better.

    Parameters
    ----------
    factual, counterfactual : array-like of shape (n, n_features)
    norm : {0, 1, 2}, default=1
        Number of changed features, L1 or L2 distance.
    weights : array-like of shape (n_features,), optional
        Cost of one unit of each feature, or of touching it with ``norm=0``; those of
        `mad_weights`, say. None: 1 each.

    Returns
    -------
    cost : ndarray of shape (n,)

    Raises
    ------
    ValueError
        If a number is not finite, the shapes differ, `norm` is unknown, or `weights`
        are not one non-negative number per feature.

    Examples
    --------
    >>> from skct.metrics import cost
    >>> cost([[0.0, 0.0]], [[1.0, -2.0]], weights=[1.0, 10.0])
    array([21.])
    """
    factual, counterfactual = as_matched(factual, counterfactual)
    check_norm(norm, (0, 1, 2))
    change = np.abs(counterfactual - factual)
    if norm == 0:
        change = (change > 0).astype(float)
    change *= as_weights(weights, change.shape[1])
    if norm == 2:
        return np.sqrt(np.square(change, out=change).sum(1))
    return change.sum(1)


def mad_weights(X):
    """Weights of features: 1 / median absolute deviation from the median.

    With them the L1 cost does not depend on units, and a change counts for more in a
    feature that varies little [1]_.

    Parameters
    ----------
    X : array-like of shape (n, n_features)
        Observed rows, in the units of what the weights are for.

    Returns
    -------
    weights : ndarray of shape (n_features,)
        For `cost` and `diversity`. 1 where the deviation is 0, as in DiCE: constant
        columns and those where more than half of the rows agree, most binary ones.

    Raises
    ------
    ValueError
        If `X` is empty or a number is not finite.

    References
    ----------
    .. [1] Wachter, Mittelstadt and Russell, "Counterfactual Explanations Without
       Opening the Black Box", 2018.

    Examples
    --------
    >>> from skct.metrics import mad_weights
    >>> mad_weights([[0.0, 1.0], [4.0, 1.0], [8.0, 1.0]])
    array([0.25, 1.  ])
    """
    X = as_rows("X", X)
    if not len(X):
        raise ValueError("X is empty; pass at least one observed row.")
    deviation = median_abs_deviation(X, axis=0)
    return 1.0 / np.where(deviation > 0, deviation, 1.0)


def diversity(alternatives, *, weights=None):
    """Mean L1 distance between the alternatives of each row.

    Larger means that the alternatives offer more of a choice.

    Parameters
    ----------
    alternatives : array-like of shape (n, k, n_features), k >= 1
        k counterfactuals for each of n factuals.
    weights : array-like of shape (n_features,), optional
        Weight of one unit of each feature. None: 1 each.

    Returns
    -------
    diversity : ndarray of shape (n,)
        Mean over the pairs of alternatives; 0 for a single alternative.

    Raises
    ------
    ValueError
        For fewer than three dimensions, no alternative, a number that is not finite,
        or `weights` that are not one non-negative number per feature.

    Notes
    -----
    The diversity of [1]_ as a mean of distances, without its kernel and determinant.

    References
    ----------
    .. [1] Mothilal, Sharma and Tan, "Explaining Machine Learning Classifiers through
       Diverse Counterfactual Explanations", 2020.

    Examples
    --------
    >>> from skct.metrics import diversity
    >>> diversity([[[0.0, 0.0], [1.0, 0.0], [0.0, 3.0]]])
    array([2.66666667])
    """
    alternatives = as_floats("alternatives", alternatives)
    if alternatives.ndim < 3 or not alternatives.shape[1]:
        raise ValueError(
            "The 'alternatives' parameter must have the shape (n, k, n_features) with "
            f"k >= 1. Got {alternatives.shape}."
        )
    n, k = alternatives.shape[:2]
    alternatives = alternatives.reshape(n, k, prod(alternatives.shape[2:]))
    check_finite("alternatives", alternatives)
    weights = as_weights(weights, alternatives.shape[2])
    # In sorted order the j-th of k values enters j distances with plus and k - 1 - j
    # with minus.
    signs = (2.0 * np.arange(k) - (k - 1)) / max(1, k * (k - 1) // 2)

    def mean_distance(block):
        block = block - block[:, :1].astype(float)
        block.sort(axis=1)
        return block @ weights @ signs

    return by_blocks(mean_distance, alternatives, max(1, k * len(weights)))


@dataclass(frozen=True, eq=False)
class Burden:
    """Burden of recourse by group, as `burden` returns it.

    Parameters
    ----------
    table : DataFrame
        One row per group: `n` (its rows), `cost` (mean over its valid rows; NaN only
        where there is none) and `validity` (share of valid rows).
    cost_gap : float
        Largest minus smallest cost of a group; 0 is equal.
    cost_ratio : float
        Smallest divided by largest cost of a group, between 0 and 1; 1 is equal.
    validity_gap, validity_ratio : float
        The same of validity.
    """

    table: pd.DataFrame
    cost_gap: float
    cost_ratio: float
    validity_gap: float
    validity_ratio: float


def burden(cost, valid, group):
    """Mean cost and validity of recourse in each group of people.

    Parameters
    ----------
    cost : array-like of shape (n,)
        Cost of each counterfactual, such as ``explanation.cost``.
    valid : array-like of bool, shape (n,)
        Whether each counterfactual reaches its target.
    group : array-like of shape (n,)
        Group of each person. Those whose group is missing (None or NaN) form one of
        their own, so that nobody drops out unseen.

    Returns
    -------
    burden : Burden
        A table and the gaps and ratios between its rows. A group without a valid row
        has no mean cost, and the cost gap and ratio leave it out; its validity of 0
        shows in the others. With fewer than two groups to compare, or only zeros, a
        gap is 0 and a ratio 1: never NaN.

    Raises
    ------
    ValueError
        If the lengths differ, `valid` holds anything but True and False, or the cost
        of a valid row is negative or not finite (that of others is not looked at).

    Notes
    -----
    Burden is the mean cost of recourse of a group [1]_. The mean is over valid rows
    only, so read it beside the validity: a group is not well off because its few
    answers are cheap.

    References
    ----------
    .. [1] Sharma, Henderson and Ghosh, "CERTIFAI: A Common Framework to Provide
       Explanations and Analyse the Fairness and Robustness of Black-box Models",
       2020.

    Examples
    --------
    >>> from skct.metrics import burden
    >>> result = burden([1.0, 3.0, 4.0, 9.0], [True, True, True, False], list("aabb"))
    >>> result.table
       n  cost  validity
    a  2   2.0       1.0
    b  2   4.0       0.5
    >>> result.cost_gap, result.cost_ratio
    (2.0, 0.5)
    """
    cost, valid = as_floats("cost", cost), as_array("valid", valid)
    shapes = cost.shape, valid.shape, np.shape(group)
    if len(set(shapes)) > 1 or cost.ndim != 1:
        raise ValueError(
            "cost, valid and group must be of one length. Got shapes "
            f"{shapes[0]}, {shapes[1]} and {shapes[2]}; give one value per row to each."
        )
    group = pd.Series(group).reset_index(drop=True)
    valid = as_flags("valid", valid)
    check_finite("cost", cost[valid])
    if (cost[valid] < 0).any():
        raise ValueError(
            "The 'cost' parameter must not be negative in a valid row. Got "
            f"{cost[valid].min()}."
        )
    rows = pd.DataFrame({"cost": np.where(valid, cost, np.nan), "valid": valid})
    table = rows.groupby(group, dropna=False, observed=True).agg(
        n=("valid", "size"), cost=("cost", "mean"), validity=("valid", "mean")
    )
    return Burden(table, *gap_and_ratio(table.cost), *gap_and_ratio(table.validity))


def gap_and_ratio(values):
    """Largest minus smallest, and smallest by largest, of what is not missing."""
    values = values.dropna()
    if values.empty or values.max() == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return high - low, low / high


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
    predicted, target = as_array("predicted", predicted), as_array("target", target)
    if predicted.shape != target.shape or not predicted.size or not predicted.ndim:
        raise ValueError(
            "predicted and target must be of one length and not empty. Got shapes "
            f"{predicted.shape} and {target.shape}; give one label per row to each."
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

    Raises
    ------
    ValueError
        If a number is not finite or the shapes differ.

    Examples
    --------
    >>> from skct.metrics import redundancy
    >>> redundancy([[0.0, 0.0]], [[1.0, 0.0]])
    array([0.5])
    """
    factual, counterfactual = as_matched(factual, counterfactual)
    return (factual == counterfactual).mean(1)


def as_rows(name, values):
    """Float64 rows, flat where they are images, and finite."""
    values = as_floats(name, values)
    if not values.ndim:
        raise wrong(name, "an array of shape (n, n_features)", values.item())
    values = values.reshape(len(values), prod(values.shape[1:]))
    check_finite(name, values)
    return values


def as_pair(counterfactual, reference):
    """Two samples with the same features, the second one not empty."""
    counterfactual = as_rows("counterfactual", counterfactual)
    reference = as_rows("reference", reference)
    if not len(reference) and len(counterfactual):
        raise ValueError("reference is empty; pass at least one row.")
    check_same_features(counterfactual, reference)
    return counterfactual, reference


def as_matched(factual, counterfactual):
    """Two tables of the same shape."""
    factual = as_rows("factual", factual)
    counterfactual = as_rows("counterfactual", counterfactual)
    check_same_features(factual, counterfactual)
    if len(factual) != len(counterfactual):
        raise ValueError(
            f"The numbers of rows differ: {len(factual)} and {len(counterfactual)}; "
            "give each factual its counterfactual."
        )
    return factual, counterfactual


def as_weights(weights, n_features):
    """One non-negative weight per feature; 1 each by default."""
    if weights is None:
        return np.ones(n_features)
    weights = as_floats("weights", weights).ravel()
    check_finite("weights", weights)
    if len(weights) != n_features or (weights < 0).any():
        raise ValueError(
            "The 'weights' parameter must hold one non-negative number for each of "
            f"the {n_features} features. Got {weights}."
        )
    return weights


def as_flags(name, values):
    """Array of bool from True and False, or 1 and 0."""
    if pd.isna(values).any() or not np.isin(values, [0, 1]).all():
        odd = [v for v in values.tolist() if pd.isna(v) or v not in (0, 1)][0]
        raise ValueError(
            f"The {name!r} parameter must hold only True and False. Got {odd!r}."
        )
    return values.astype(bool)


def check_same_features(first, second):
    """Check the numbers of columns of two tables; an empty list has no columns."""
    if len(first) and len(second) and first.shape[1] != second.shape[1]:
        raise ValueError(
            f"The numbers of features differ: {first.shape[1]} and {second.shape[1]}; "
            "give both tables the same columns."
        )


def check_finite(name, values):
    """Check that no number is NaN or infinite."""
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"The {name!r} parameter must hold finite numbers. Got NaN or infinity in "
            f"{(~finite).sum()} of {finite.size} places; drop or impute those rows."
        )


def check_norm(norm, allowed=(1, 2)):
    """Check the order of a norm."""
    if not is_number(norm) or norm not in allowed:
        raise ValueError(
            f"The 'norm' parameter must be one of {allowed}. Got {norm!r}."
        )


def check_neighbours(n_neighbours, n_reference):
    """Check how many nearest rows are asked for."""
    if not is_integer(n_neighbours) or not 1 <= n_neighbours <= n_reference:
        raise ValueError(
            "The 'n_neighbours' parameter must be None or an integer between 1 and "
            f"the number of reference rows, {n_reference}. Got {n_neighbours!r}."
        )


def check_length_scale(length_scale):
    """Check the length-scale of a kernel."""
    if not is_number(length_scale) or not 0 < length_scale < inf:
        raise ValueError(
            "The 'length_scale' parameter of mmd must be a positive number or "
            f"'median'. Got {length_scale!r}."
        )
