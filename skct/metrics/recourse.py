"""What counterfactuals ask for: cost, sparsity, diversity, and burden by group."""

from dataclasses import dataclass
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import median_abs_deviation

from ..utils.validation import as_array, as_floats, wrong
from .blocks import by_blocks
from .checks import as_flags, as_matched, as_rows, as_weights, check_finite, check_norm

__all__ = [
    "Burden",
    "burden",
    "confidence_gap",
    "cost",
    "diversity",
    "mad_weights",
    "redundancy",
    "survival",
    "validity",
]


def cost(
    factual: ArrayLike,
    counterfactual: ArrayLike,
    *,
    norm: int = 1,
    weights: ArrayLike | None = None,
) -> np.ndarray:
    """Distance of each counterfactual from its factual.

    Smaller is better.

    Parameters
    ----------
    factual, counterfactual : array-like of shape (n, n_features)
    norm : {0, 1, 2}, default=1
        Number of changed features, L1 or L2 distance.
    weights : array-like of shape (n_features,), optional
        Cost of one unit of each feature, or of touching it with ``norm=0``; those of
        `mad_weights`, for example. None: 1 each.

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


def mad_weights(X: ArrayLike) -> np.ndarray:
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


def diversity(
    alternatives: ArrayLike, *, weights: ArrayLike | None = None
) -> np.ndarray:
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

    def mean_distance(block: np.ndarray) -> np.ndarray:
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


def burden(cost: ArrayLike, valid: ArrayLike, group: ArrayLike) -> Burden:
    """Mean cost and validity of recourse in each group.

    Parameters
    ----------
    cost : array-like of shape (n,)
        Cost of each counterfactual, such as ``explanation.cost``.
    valid : array-like of bool, shape (n,)
        Whether each counterfactual reaches its target.
    group : array-like of shape (n,)
        Group of each row. Rows whose group is missing (None or NaN) form a group, so
        that none is left out silently.

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
        of a valid row is negative or not finite (invalid rows may have any cost).

    Notes
    -----
    Burden is the mean cost of recourse of a group [1]_. The mean is over valid rows
    only, so read it beside the validity: a group is not well off because its few
    valid counterfactuals are cheap.

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


def gap_and_ratio(values: pd.Series) -> tuple[float, float]:
    """Largest minus smallest, and smallest by largest, of what is not missing."""
    values = values.dropna()
    if values.empty or values.max() == 0:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    return high - low, low / high


def validity(predicted: ArrayLike, target: ArrayLike) -> float:
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


def redundancy(factual: ArrayLike, counterfactual: ArrayLike) -> np.ndarray:
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


def confidence_gap(told: ArrayLike, judged: ArrayLike) -> float:
    """Mean distance of what a model tells from what a judge finds.

    Parameters
    ----------
    told, judged : array-like of shape (n,)
        Target probabilities of counterfactuals, by the model that gave them and by one
        that was fitted to other rows.

    Returns
    -------
    gap : float
        Distance of the two means, between 0 and 1; smaller is more honest.

    Raises
    ------
    ValueError
        If one of them is empty, or holds a number that is no probability.

    Notes
    -----
    Of means and not of rows: two good models differ about single rows, but where the
    advice is sound they agree about its average.

    Examples
    --------
    >>> from skct.metrics import confidence_gap
    >>> round(confidence_gap([0.9, 0.7], [0.6, 0.6]), 2)
    0.2
    """
    told, judged = as_probabilities("told", told), as_probabilities("judged", judged)
    return float(abs(np.mean(told) - np.mean(judged)))


def as_probabilities(name: str, values: ArrayLike) -> np.ndarray:
    """Float64 array of at least one probability."""
    values = as_floats(name, values)
    if not values.size or not ((values >= 0) & (values <= 1)).all():
        allowed = "probabilities, between 0 and 1, of at least one row"
        raise wrong(name, allowed, values)
    return values


def survival(predicted: ArrayLike, target: ArrayLike) -> np.ndarray:
    """Share of models that assign each counterfactual to its target class.

    Parameters
    ----------
    predicted : array-like of shape (n_models, n)
        Labels that each model predicts for the counterfactuals, such as those of
        models that were trained again on other samples of the rows.
    target : array-like of shape (n,)
        Labels that were to be reached.

    Returns
    -------
    survival : ndarray of shape (n,)
        Between 0 and 1; larger is better.

    Raises
    ------
    ValueError
        If there is no model, or not one label per counterfactual.

    Examples
    --------
    >>> from skct.metrics import survival
    >>> survival([["yes", "no"], ["yes", "yes"]], ["yes", "yes"])
    array([1. , 0.5])
    """
    predicted, target = as_array("predicted", predicted), as_array("target", target)
    rows = predicted.shape[1:]
    if predicted.ndim != 2 or rows != target.shape or not len(predicted):
        raise ValueError(
            "predicted must be of shape (n_models, n) with at least one model, and "
            f"target of shape (n,). Got shapes {predicted.shape} and {target.shape}; "
            "give each model a row, and each counterfactual a column and a target."
        )
    return (predicted == target).mean(0)
