"""An explanation as HTML: plain values, and the templates that show them.

What the report says, and in which order, is in ``templates/``; what it looks like is in
``report.css``, and for a document of its own in ``page.css``.
"""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..encoding.frames import objects
from ..utils.version import __version__
from .formatting import show, show_change, visible
from .summary import (
    FIGURES,
    Explanation,
    before_after,
    by_group,
    feature_uses,
    figure_text,
    group_burden,
    mutability_of_columns,
    percent,
    remark,
    row_label,
    unsure,
)

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["document", "fragment"]


# Images have hundreds of features.
MAX_FEATURES = 20  # of the overview
MAX_CARD_FEATURES = 50  # of each table of a card
MAX_CLASS_PAIRS = 10


def document(explanation: Explanation, groups: object, max_rows: int | None) -> str:
    """Complete HTML page, for a file or a mail."""
    return render(
        "page.html",
        **report_values(explanation, groups, max_rows),
        has_implausibility=explanation.implausibility is not None,
        version=__version__,
    )


def fragment(explanation: Explanation, max_rows: int) -> str:
    """Part of a notebook: its style reaches nothing else there."""
    return render("notebook.html", **report_values(explanation, None, max_rows))


# ------------------------------------------------------------------------ templates


def render(name: str, **values: Any) -> str:
    """Fill in a template."""
    return environment().get_template(f"templates/{name}").render(values)


@cache
def environment() -> "Environment":
    """Make the environment of the templates, in which all values are escaped."""
    import jinja2  # not at the top, since most programs make no report

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("skct.reports", "."),
        autoescape=True,
        finalize=printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"percent": percent, "thousands": "{:,}".format}
    return templates


def printable(value: object) -> object:
    """Text with control characters written out; markup made by a macro passes.

    Jinja calls this on the value of every expression before it escapes it, so that no
    template can forget to.
    """
    return value if hasattr(value, "__html__") else visible(str(value))


# --------------------------------------------------------------------------- values


def report_values(
    explanation: Explanation, groups: object, max_rows: int | None
) -> dict[str, Any]:
    """All that ``report.html`` shows: numbers, texts, and lists of them."""
    shown, summary = explanation[:max_rows], explanation.summary()
    found, several = explanation.valid.any(), explanation.alternative is not None
    return {
        "n_rows": len(explanation),
        "n_cases": len(pd.unique(explanation.row)) if several else None,
        "n_valid": int(explanation.valid.sum()),
        "n_unsure": int(unsure(explanation).sum()),
        "fraction_valid": summary["valid"],
        "means": [figure(key, summary[key]) for key in FIGURES if key in summary],
        "class_pairs": class_pairs(explanation),
        "features": features(explanation) if found else None,
        "groups": None if groups is None else group_values(explanation, groups),
        "cards": cards(shown),
        "n_more_cards": len(explanation) - len(shown),
    }


def figure(key: str, value: Any) -> dict[str, str]:
    """One of `FIGURES` with its name."""
    return {"name": FIGURES[key], "text": figure_text(key, value)}


def head(items: list, n: int) -> dict[str, Any]:
    """The first n items, and how many more there are."""
    return {"shown": items[:n], "n_more": max(len(items) - n, 0)}


def class_pairs(explanation: Explanation) -> dict[str, Any]:
    """Pairs of predicted class and target, the most frequent first."""
    labels = {
        name: [show(label) for label in getattr(explanation, name)]
        for name in ("predicted", "target")
    }
    pairs = pd.DataFrame({**labels, "valid": explanation.valid})
    counts = pairs.groupby(list(labels))["valid"].agg(["size", "sum"])
    counts = counts.sort_values("size", ascending=False, kind="stable")
    found = [
        {"predicted": predicted, "target": target, "n_rows": n, "n_valid": n_valid}
        for (predicted, target), n, n_valid in counts.itertuples()
    ]
    return head(found, MAX_CLASS_PAIRS)


def features(explanation: Explanation) -> dict[str, Any]:
    """Which features the valid counterfactuals change, and in which direction."""
    uses = feature_uses(explanation)
    unused = [use for use in uses if not use.n_changes]
    immutable = [use.name for use in unused if use.mutability == "none"]
    unchanged = [use.name for use in unused if use.mutability != "none"]
    return {
        "changed": head([use for use in uses if use.n_changes], MAX_FEATURES),
        "immutable": head(immutable, MAX_FEATURES),
        "unchanged": head(unchanged, MAX_FEATURES),
    }


def group_values(explanation: Explanation, groups: object) -> dict[str, Any]:
    """Averages of each group, and the gaps between groups."""
    averages = by_group(explanation, groups)
    burden = group_burden(explanation, groups)
    others = [key for key in FIGURES if key in averages and key != "cost"]
    max_cost = averages["cost"].max()
    rows = [
        {
            "name": show(group),
            "n_rows": int(row["n_rows"]),
            "valid": row["valid"],
            "cost": figure_text("cost", row["cost"]),
            "relative_cost": row["cost"] / max_cost if row["cost"] > 0 else None,
            "others": [figure_text(key, row[key]) for key in others],
        }
        for group, row in averages.iterrows()
    ]
    return {
        "name": show(averages.index.name),
        "rows": rows,
        "others": [FIGURES[key] for key in others],
        "cost_gap": figure_text("cost", burden.cost_gap),
        "validity_gap": f"{100 * burden.validity_gap:.0f}",
    }


def cards(explanation: Explanation) -> list[dict[str, Any]]:
    """What each row would have to change."""
    before, after, moved = before_after(explanation)
    names = [show(name) for name in before.columns]
    columns = list(zip(names, mutability_of_columns(explanation), strict=True))
    old, new = objects(before), objects(after)
    return [
        card(explanation, i) | cells(columns, old[i], new[i], moved[i])
        for i in range(len(explanation))
    ]


def card(explanation: Explanation, i: int) -> dict[str, Any]:
    """Which row it is, whether there is a counterfactual, and what it costs."""
    valid, alternative = bool(explanation.valid[i]), explanation.alternative
    text = remark(explanation, i) if valid else str(explanation.reason[i])
    return {
        "label": row_label(explanation, i),
        "alternative": None if alternative is None else int(alternative[i]),
        "valid": valid,
        "unsure": bool(unsure(explanation)[i]),
        "predicted": show(explanation.predicted[i]),
        "target": show(explanation.target[i]),
        "remark": text[:1].upper() + text[1:],
        "figures": [
            figure(key, values[i])
            for key in FIGURES
            if (values := getattr(explanation, key)) is not None
        ],
    }


def cells(
    columns: list[tuple[str, str]], old: np.ndarray, new: np.ndarray, moved: np.ndarray
) -> dict[str, Any]:
    """Cells of one row that change, and those that stay; of many, the first."""
    changed, kept = np.flatnonzero(moved), np.flatnonzero(~moved)
    n = MAX_CARD_FEATURES
    return {
        "changes": [columns[j] + show_change(old[j], new[j]) for j in changed[:n]],
        "n_more_changes": max(len(changed) - n, 0),
        "unchanged": [(*columns[j], show(old[j])) for j in kept[:n]],
        "n_unchanged": len(kept),
        "n_more_unchanged": max(len(kept) - n, 0),
    }
