"""What an explanation says about its rows, in plain values: for page and terminal."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from ..constraints.spec import resolve_position
from ..encoding.frames import as_frame, changed, objects
from ..metrics.recourse import Burden, burden
from .formatting import is_missing, show, visible

__all__ = [
    "FIGURES",
    "Explanation",
    "FeatureUse",
    "before_after",
    "by_group",
    "feature_uses",
    "figure_text",
    "group_burden",
    "mutability_of_columns",
    "percent",
    "remark",
    "row_label",
    "unsure",
]


# A CounterfactualExplanation, which imports the reports and not the other way round.
Explanation: TypeAlias = Any

FIGURES = {
    "cost": "Cost",
    "implausibility": "Implausibility",
    "probability": "Target probability",
    "n_changed": "Changes",
}


class FeatureUse(NamedTuple):
    """How many valid counterfactuals change a feature, and in which direction."""

    name: str
    mutability: str
    n_changes: int
    typical_change: str


def before_after(
    explanation: Explanation,
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Frames before and after, and which cells differ in rows with a valid answer."""
    before = as_frame(explanation.factual, explanation.row)
    after = as_frame(explanation.counterfactual, explanation.row)
    return before, after, changed(before, after) & explanation.valid[:, None]


def feature_uses(explanation: Explanation) -> list[FeatureUse]:
    """Features that valid counterfactuals change, most frequent first; then the others.

    Returns
    -------
    uses : list of FeatureUse
    """
    before, after, moved = before_after(explanation)
    old, new = objects(before), objects(after)
    mutability = mutability_of_columns(explanation)
    uses = []
    for j in np.argsort(-moved.sum(0), kind="stable"):
        rows = moved[:, j]
        change = typical_change(old[rows, j], new[rows, j]) if rows.any() else ""
        name = show(before.columns[j])
        uses.append(FeatureUse(name, mutability[j], int(rows.sum()), change))
    return uses


def mutability_of_columns(explanation: Explanation) -> list[str]:
    """What was allowed for each column of the table; "both" where that is unknown."""
    if explanation.mutability is None:
        return ["both"] * as_frame(explanation.factual, explanation.row).shape[1]
    return list(explanation.mutability)


def typical_change(old: np.ndarray, new: np.ndarray) -> str:
    """Describe the changes of a feature: up or down, or the most common new value."""
    step = numeric_differences(old, new)
    if step is None:
        counts = pd.Series([show(value) for value in new], dtype=object).value_counts()
        return mostly(f"to {counts.index[0]}", counts.iloc[0] / len(new))
    if not len(step):
        return "from missing to a number"
    ups = (step > 0).mean()
    change = mostly("up", ups) if ups >= 0.5 else mostly("down", 1 - ups)
    median = float(np.median(step))
    return f"{change}; median change {'+' if median > 0 else ''}{show(median)}"


def mostly(change: str, fraction: float) -> str:
    """A change with the fraction of rows that it describes."""
    if fraction == 1:
        return f"always {change}"
    return f"{change} in {percent(fraction)}"


def numeric_differences(old: np.ndarray, new: np.ndarray) -> np.ndarray | None:
    """Differences where the old number is known; None if a value is not a number."""
    known = np.array([not is_missing(value) for value in old], dtype=bool)
    kinds = (int, float, np.number)
    for value in [*old[known], *new]:
        if not isinstance(value, kinds) or isinstance(value, bool):
            return None
    return new[known].astype(float) - old[known].astype(float)


def row_label(explanation: Explanation, i: int) -> str:
    """Index label of row `i`, with the number of the alternative if there are any."""
    row = show(explanation.row[i])
    if explanation.alternative is None:
        return row
    return f"{row} / {explanation.alternative[i]}"


def unsure(explanation: Explanation) -> np.ndarray:
    """Rows with a valid counterfactual that is less convincing than was asked for."""
    changed = explanation.predicted != explanation.target
    return explanation.valid & ~explanation.mature & changed


def remark(explanation: Explanation, i: int) -> str:
    """Why row `i` has no valid counterfactual, or what is special about it; or ""."""
    reason = visible(explanation.reason[i])
    if not explanation.valid[i]:
        return f"no valid counterfactual; {reason}"
    if explanation.predicted[i] == explanation.target[i]:
        return "already predicted as the target; nothing has to change"
    if not explanation.mature[i] and not reason:
        return "target probability below the confidence asked for"
    return reason


def group_burden(explanation: Explanation, groups: object) -> Burden:
    """Cost and validity by group, with the gaps between groups."""
    group = group_of_rows(explanation, groups)
    return burden(explanation.cost, explanation.valid, group)


def by_group(explanation: Explanation, groups: object) -> pd.DataFrame:
    """Averages of each group, as `CounterfactualExplanation.by_group` returns them."""
    group = group_of_rows(explanation, groups)
    table = burden(explanation.cost, explanation.valid, group).table
    figures = {
        name: np.where(explanation.valid, getattr(explanation, name), np.nan)
        for name in FIGURES
        if name != "cost" and getattr(explanation, name) is not None
    }
    rows = pd.DataFrame({"mature": explanation.mature, **figures})
    means = rows.groupby(group, dropna=False, observed=True).mean()
    table = table.rename(columns={"n": "n_rows", "validity": "valid"})
    table = table[["n_rows", "valid", "cost"]].assign(**means)
    table.insert(2, "mature", table.pop("mature"))
    name = "group" if group.name is None else group.name
    return table.rename_axis([name])  # in a list, since a MultiIndex names by tuples


def group_of_rows(explanation: Explanation, groups: Any) -> pd.Series:
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


def percent(fraction: float) -> str:
    """A fraction in percent: 0% and 100% only for none and all."""
    if 0 < fraction < 0.005:
        return "<1%"
    if 0.995 <= fraction < 1:
        return ">99%"
    return f"{fraction:.0%}"


def figure_text(name: str, value: Any) -> str:
    """One of `FIGURES` as text."""
    if is_missing(value):
        return "unknown"
    if name == "probability":
        return f"{value:.1%}"
    if isinstance(value, (int, np.integer)):
        return str(value)
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:.2f}"
