"""What an explanation says about its cases, in plain values: for page and terminal."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from ..constraints.spec import resolve_position
from ..encoding.frames import as_frame, objects
from ..metrics.recourse import burden
from .formatting import is_missing, show, visible

__all__ = [
    "FIGURES",
    "FeatureUse",
    "by_group",
    "feature_uses",
    "figure",
    "group_burden",
    "label",
    "percent",
    "verdict",
]


FIGURES = {
    "cost": "Cost",
    "implausibility": "Implausibility",
    "probability": "Target probability",
    "n_changed": "Changes",
}


class FeatureUse(NamedTuple):
    """How often valid answers change a feature, and which way."""

    name: object
    word: str
    times: int
    way: str


def feature_uses(explanation):
    """Features that valid answers change, the most frequent first, and the others.

    Returns
    -------
    uses : list of FeatureUse
    """
    before, after, moved = explanation._sides()
    old, new = objects(before), objects(after)
    uses = []
    for j in np.argsort(-moved.sum(0), kind="stable"):
        rows = moved[:, j]
        way = direction(old[rows, j], new[rows, j]) if rows.any() else ""
        word = "both" if explanation.mutability is None else explanation.mutability[j]
        uses.append(FeatureUse(before.columns[j], word, int(rows.sum()), way))
    return uses


def direction(old, new):
    """Which way a feature goes, in words: up or down, or the commonest new value."""
    step = steps(old, new)
    if step is None:
        counts = pd.Series([show(value) for value in new], dtype=object).value_counts()
        return mostly(f"to {counts.index[0]}", counts.iloc[0] / len(new))
    if not len(step):
        return "from missing to a number"
    ups = (step > 0).mean()
    way = mostly("up", ups) if ups >= 0.5 else mostly("down", 1 - ups)
    median = float(np.median(step))
    return f"{way}; median change {'+' if median > 0 else ''}{show(median)}"


def mostly(way, share):
    """A way with the share that goes it."""
    return f"always {way}" if share == 1 else f"{way} in {percent(share)}"


def steps(old, new):
    """Differences of numbers, where there were any; None for other values."""
    known = np.array([not is_missing(value) for value in old], dtype=bool)
    kinds = (int, float, np.number)
    for value in [*old[known], *new]:
        if not isinstance(value, kinds) or isinstance(value, bool):
            return None
    return new[known].astype(float) - old[known].astype(float)


def label(explanation, i):
    """Case `i` in words: its row label, and which alternative it is."""
    row = show(explanation.row[i])
    if explanation.alternative is None:
        return row
    return f"{row} / {explanation.alternative[i]}"


def verdict(explanation, i):
    """What there is to say about case `i` beside its changes; often nothing."""
    reason = visible(explanation.reason[i])
    if not explanation.valid[i]:
        return f"no valid counterfactual; {reason}"
    if explanation.predicted[i] == explanation.target[i]:
        return "already predicted as the target; nothing has to change"
    if not explanation.mature[i]:
        low = "target probability below the threshold of the search"
        return f"{low}; {reason}" if reason else low
    return reason


def group_burden(explanation, groups):
    """Cost and validity by group, with the gaps between groups."""
    group = group_of(explanation, groups)
    return burden(explanation.cost, explanation.valid, group)


def by_group(explanation, groups):
    """Averages of each group, as `CounterfactualExplanation.by_group` returns them."""
    group = group_of(explanation, groups)
    table = burden(explanation.cost, explanation.valid, group).table
    figures = {
        name: np.where(explanation.valid, getattr(explanation, name), np.nan)
        for name in FIGURES
        if name != "cost" and getattr(explanation, name) is not None
    }
    rows = pd.DataFrame(figures)
    means = rows.groupby(group, dropna=False, observed=True).mean()
    table = table.rename(columns={"n": "n_rows", "validity": "valid"})
    table = table[["n_rows", "valid", "cost"]].assign(**means)
    return table.rename_axis("group" if group.name is None else group.name)


def group_of(explanation, groups):
    """Group of each row, from a column of the table or as it was given."""
    frame = as_frame(explanation.factual, explanation.row)
    is_name = isinstance(groups, tuple) and groups in frame.columns
    if is_name or np.ndim(groups) == 0:
        position = resolve_position(groups, list(frame.columns), "groups")
        groups = frame.iloc[:, position]
    if np.shape(groups) != (len(explanation),):
        each = " (the alternatives of a row count one by one)"
        raise ValueError(
            "The 'groups' parameter must be a column of the table or hold one value "
            f"for each of the {len(explanation)} answers"
            f"{each if explanation.alternative is not None else ''}. Got an array of "
            f"shape {np.shape(groups)}."
        )
    return pd.Series(groups).reset_index(drop=True)


def percent(share):
    """A share in percent, where all and none mean all and none."""
    if 0 < share < 0.005:
        return "<1%"
    if 0.995 <= share < 1:
        return ">99%"
    return f"{share:.0%}"


def figure(name, value):
    """One of the figures of an answer, as text."""
    if is_missing(value):
        return "unknown"
    if name == "probability":
        return f"{value:.1%}"
    if isinstance(value, (int, np.integer)):
        return str(value)
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:.2f}"
