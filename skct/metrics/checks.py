"""Checks of what the metrics take."""

from math import inf, prod
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from ..utils.validation import as_floats, is_integer, is_number, wrong


def as_rows(name: str, values: ArrayLike) -> np.ndarray:
    """Float64 rows, flat where they are images, and finite."""
    values = as_floats(name, values)
    if not values.ndim:
        raise wrong(name, "an array of shape (n, n_features)", values.item())
    values = values.reshape(len(values), prod(values.shape[1:]))
    check_finite(name, values)
    return values


def as_pair(
    counterfactual: ArrayLike, reference: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Two samples with the same features, the second one not empty."""
    counterfactual = as_rows("counterfactual", counterfactual)
    reference = as_rows("reference", reference)
    if not len(reference) and len(counterfactual):
        raise ValueError("reference is empty; pass at least one row.")
    check_same_features(counterfactual, reference)
    return counterfactual, reference


def as_matched(
    factual: ArrayLike, counterfactual: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
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


def as_weights(weights: ArrayLike | None, n_features: int) -> np.ndarray:
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


def as_flags(name: str, values: np.ndarray) -> np.ndarray:
    """Array of bool from True and False, or 1 and 0."""
    if pd.isna(values).any() or not np.isin(values, [0, 1]).all():
        others = [v for v in values.tolist() if pd.isna(v) or v not in (0, 1)]
        raise ValueError(
            f"The {name!r} parameter must hold only True and False. Got {others[0]!r}."
        )
    return values.astype(bool)


def check_same_features(first: np.ndarray, second: np.ndarray) -> None:
    """Check the numbers of columns of two tables; an empty list has no columns."""
    if len(first) and len(second) and first.shape[1] != second.shape[1]:
        raise ValueError(
            f"The numbers of features differ: {first.shape[1]} and {second.shape[1]}; "
            "give both tables the same columns."
        )


def check_finite(name: str, values: np.ndarray) -> None:
    """Check that no number is NaN or infinite."""
    finite = np.isfinite(values)
    if not finite.all():
        raise ValueError(
            f"The {name!r} parameter must hold finite numbers. Got NaN or infinity in "
            f"{(~finite).sum()} of {finite.size} places; drop or impute those rows."
        )


def check_norm(norm: int, allowed: tuple[int, ...] = (1, 2)) -> None:
    """Check the order of a norm."""
    if not is_number(norm) or norm not in allowed:
        raise ValueError(
            f"The 'norm' parameter must be one of {allowed}. Got {norm!r}."
        )


def check_neighbours(n_neighbours: int, n_reference: int) -> None:
    """Check how many nearest rows are asked for."""
    if not is_integer(n_neighbours) or not 1 <= n_neighbours <= n_reference:
        raise ValueError(
            "The 'n_neighbours' parameter must be None or an integer between 1 and "
            f"the number of reference rows, {n_reference}. Got {n_neighbours!r}."
        )


def check_length_scale(length_scale: Any) -> None:
    """Check the length-scale of a kernel."""
    if not is_number(length_scale) or not 0 < length_scale < inf:
        raise ValueError(
            "The 'length_scale' parameter of mmd must be a positive number or "
            f"'median'. Got {length_scale!r}."
        )
