"""Several different counterfactuals of one row: weighted searches, chosen by a DPP."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import gmean

from ..encoding.frames import free_name
from .explained_model import ExplainedModel
from .explanation import CounterfactualExplanation

__all__ = ["greedy_dpp", "random_feature_weights", "select_alternatives"]


CANDIDATES = 4  # per alternative asked for
SPREAD = 2.0  # log standard deviation of the weights
LEAST = 0.3  # least weight: no step is more than some three times as long
REPEATS = "repeats alternative"  # begins the reason of one that hardly differs
SAME = 0.05  # share of the cost within which two counterfactuals count as one


def random_feature_weights(n_alternatives: int, n_columns: int) -> np.ndarray:
    """Weights of the raw columns, one line per candidate; the first are all 1.

    A search in which some columns cost more and others less finds another
    counterfactual. All rows get the same weights, so that the counterfactuals of a row
    do not depend on other rows.
    """
    if n_alternatives == 1:
        return np.ones((1, n_columns))
    rng = np.random.default_rng(0)  # the same weights in every call, for every row
    n_candidates = CANDIDATES * n_alternatives
    lines = np.exp(SPREAD * rng.standard_normal((n_candidates - 1, n_columns)))
    # A geometric mean of 1: on average, columns cost what they cost without weights.
    lines = lines / gmean(lines, axis=1, keepdims=True)
    lines = lines.clip(min=LEAST)
    return np.concatenate([np.ones((1, n_columns)), lines])


def greedy_dpp(
    distance: np.ndarray, cost: np.ndarray, rank: np.ndarray, n_alternatives: int
) -> np.ndarray:
    """Pick diverse candidates of every row by a determinantal point process.

    Greedy maximisation of the determinant of q_i q_j exp(-d_ij / c) over the chosen
    ones, with quality q = exp(-cost / 2c): distances and costs count relative to the
    cost c of the first candidate. Kernel and determinant are those of DPP diversity in
    DiCE (Mothilal et al., 2020), with an exponential in place of 1 / (1 + d), whose
    scale is not that of the problem.

    Parameters
    ----------
    distance : ndarray of shape (n, n_candidates, n_candidates)
    cost : ndarray of shape (n, n_candidates)
    rank : ndarray of shape (n, n_candidates)
        What counts before diversity: 0 (or False) for candidates that are not valid,
        1 (True) for valid ones, 2 for those that are mature, too.
    n_alternatives : int

    Returns
    -------
    chosen : int ndarray of shape (n, n_alternatives)
        The first candidate, or the best one where that is not valid, comes first.
    """
    # The determinant of a kernel is the product of the pivots of its Cholesky factor.
    # `gain` holds the pivot that each candidate would add, and `factors` the rows of
    # the factor for all candidates; taking one updates both, so that no determinant is
    # ever computed (Chen et al., "Fast greedy MAP inference for DPP", 2018).
    everyone = np.arange(len(cost))
    scale = np.where(cost[:, :1] > 0, cost[:, :1], 1.0)
    quality = np.exp(-cost / (2 * scale))
    valid = rank > 0
    first = np.where(valid[:, 0], 0, np.where(valid, -cost, -np.inf).argmax(1))
    kernel = quality[:, :, None] * quality[:, None, :]
    kernel = kernel * np.exp(-distance / scale[:, :, None])
    gain = quality**2  # by how much a candidate multiplies the determinant, at most 1
    taken = np.zeros(cost.shape, dtype=bool)
    factors = np.zeros((len(cost), n_alternatives, cost.shape[1]))
    chosen = np.empty((len(cost), n_alternatives), dtype=int)
    for k in range(n_alternatives):
        # Gains are at most 1, so that 2 puts a candidate before all of lower rank.
        best = np.where(taken, -np.inf, gain + 2 * rank).argmax(1) if k else first
        chosen[:, k], taken[everyone, best] = best, True
        known = factors[everyone, :k, best]
        left = kernel[everyone, best] - np.einsum("nk,nkc->nc", known, factors[:, :k])
        pivot, own = gain[everyone, best], quality[everyone, best] ** 2
        new = pivot > 1e-12 * own  # a repetition adds no direction
        step = left / np.sqrt(np.where(new, pivot, 1.0))[:, None]
        factors[:, k] = np.where(new[:, None], step, 0.0)
        gain = np.maximum(gain - factors[:, k] ** 2, 0.0)
    return chosen


def select_alternatives(
    model: ExplainedModel,
    candidates: CounterfactualExplanation,
    weights: np.ndarray,
    n_alternatives: int,
) -> CounterfactualExplanation:
    """Explanation with `n_alternatives` rows per factual.

    Parameters
    ----------
    model : ExplainedModel
    candidates : CounterfactualExplanation
        All rows by the first weights, then all rows by the second, ...
    weights : ndarray of shape (n_raw_columns,)
        Cost of each column.
    n_alternatives : int
    """
    n_candidates = len(random_feature_weights(n_alternatives, 1))
    n = len(candidates) // n_candidates
    rank = candidates.valid + candidates.mature.astype(int)
    cost, rank = (part.reshape(n_candidates, n).T for part in (candidates.cost, rank))
    distance = distances(model, candidates.counterfactual, weights, n_candidates)
    chosen = greedy_dpp(distance, cost, rank, n_alternatives)
    everyone = np.repeat(np.arange(n), n_alternatives)
    picked = candidates[chosen.ravel() * n + everyone]
    alternative = np.tile(np.arange(n_alternatives), n)
    return replace(
        picked,
        alternative=alternative,
        factual=numbered(picked.factual, alternative),
        counterfactual=numbered(picked.counterfactual, alternative),
        reason=repeats(picked, distance, chosen, cost[:, 0]),
    )


def distances(
    model: ExplainedModel, table: Any, weights: np.ndarray, n_candidates: int
) -> np.ndarray:
    """Cost of going from one candidate to another, (n, n_candidates, n_candidates)."""
    coordinates, owner = model.space.cost_coordinates(model.space.encode(table))
    places = (coordinates * weights[owner]).reshape(n_candidates, -1, len(owner))
    columns = [np.abs(places - place).sum(2) for place in places]
    return np.stack(columns, axis=2).transpose(1, 0, 2)


def numbered(table: Any, alternative: np.ndarray) -> Any:
    """A frame gets a further index level; other tables stay."""
    if not hasattr(table, "iloc"):
        return table
    levels = [table.index.get_level_values(k) for k in range(table.index.nlevels)]
    names = ["row" if table.index.names == [None] else n for n in table.index.names]
    names.append(free_name("alternative", [*names, *table.columns]))
    return table.set_axis(
        pd.MultiIndex.from_arrays([*levels, alternative], names=names)
    )


def repeats(
    picked: CounterfactualExplanation,
    distance: np.ndarray,
    chosen: np.ndarray,
    cost: np.ndarray,
) -> np.ndarray:
    """Reasons, with a note where a row hardly differs from an earlier alternative."""
    reason = picked.reason.copy()
    n, k = chosen.shape
    between = np.take_along_axis(distance, chosen[:, :, None], axis=1)
    between = np.take_along_axis(between, chosen[:, None, :], axis=2)
    same = np.tril(between <= SAME * cost[:, None, None], -1)
    changed = (picked.predicted != picked.target).reshape(n, k)
    found = picked.valid.reshape(n, k) & same.any(2) & changed
    for i, j in np.argwhere(found):
        reason[i * k + j] = f"{REPEATS} {same[i, j].argmax()}"
    return reason
