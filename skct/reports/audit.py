"""What `audit` has found, as text and HTML."""

from typing import Any

import pandas as pd

from ..utils.version import __version__
from .html import render

__all__ = ["NAMES", "document", "fragment", "text"]


# Figures in the order in which they are shown, and what they are called.
NAMES = {
    "accuracy": "accuracy",
    "log_loss": "log-loss",
    "validity": "validity",
    "told": "told probability",
    "judged": "judged probability",
    "gap": "gap",
    "survival": "survival",
    "cost": "cost",
    "n_changed": "changed columns",
    "distance": "distance",
    "cost_at_real": "cost at real",
    "distance_at_real": "distance at real",
    "n_changed_at_real": "changed at real",
    "protected_share": "protected share",
    "seconds": "seconds of a fit",
}


def text(summary: pd.DataFrame, target: Any, confidence: float) -> str:
    """Table for a terminal: a line for each figure, a column for each estimator."""
    table = pd.DataFrame(
        cells(summary), index=list(NAMES.values()), columns=summary.index
    )
    return f"{headline(summary, target, confidence)}\n{table.to_string()}"


def document(summary: pd.DataFrame, target: Any, confidence: float) -> str:
    """Complete HTML page."""
    return render("audit_page.html", **values(summary, target, confidence))


def fragment(summary: pd.DataFrame, target: Any, confidence: float) -> str:
    """Part of a notebook."""
    return render("audit.html", **values(summary, target, confidence))


def values(summary: pd.DataFrame, target: Any, confidence: float) -> dict[str, Any]:
    """All that the templates show."""
    return {
        "headline": headline(summary, target, confidence),
        "estimators": [str(name) for name in summary.index],
        "lines": list(zip(NAMES.values(), cells(summary), strict=True)),
        "version": __version__,
    }


def headline(summary: pd.DataFrame, target: Any, confidence: float) -> str:
    """What was audited."""
    rows = summary["n_explained", "mean"].iloc[0]
    return (
        f"Advice to {rows:.0f} held-out rows per fold, target {target}, at a "
        f"confidence of {confidence:g}; mean over folds +- standard deviation"
    )


def cells(summary: pd.DataFrame) -> list[list[str]]:
    """Texts of each figure, one for each estimator."""
    return [
        [cell(summary.loc[name, figure]) for name in summary.index] for figure in NAMES
    ]


def cell(figure: pd.Series) -> str:
    """Mean, and spread if there are several folds."""
    mean, std = figure["mean"], figure["std"]
    if pd.isna(mean):
        return "-"
    return f"{mean:.3f}" if pd.isna(std) else f"{mean:.3f} +- {std:.3f}"
