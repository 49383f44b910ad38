"""The lower half of a report: a card for each row."""

import numpy as np

from ..encoding.frames import objects
from .formatting import show, show_change
from .html import markup, tag
from .parts import feature, hidden, section, sign, table, value, way
from .summary import FIGURES, figure, label, verdict

__all__ = ["cards"]


MAX_FEATURES = 50  # of one card; images have hundreds

CHECK = "M2 8.5l2-2 3 3 5.5-6 2 2L7 13.5Z"
CROSS = "M3 5l2-2 3 3 3-3 2 2-3 3 3 3-2 2-3-3-3 3-2-2 3-3Z"


def cards(explanation, max_rows, level):
    """Section with a card for each of the first rows."""
    n = len(explanation)
    shown = explanation[: n if max_rows is None else max_rows]
    before, after, moved = shown._sides()
    heads = features(explanation, before.columns)
    old, new = objects(before), objects(after)
    made = [
        card(shown, i, heads, old[i], new[i], moved[i], level + 1)
        for i in range(len(shown))
    ]
    note = (
        f"The first {len(shown):,} of {n:,} answers; {n - len(shown):,} are left out."
    )
    content = [tag("p", note)] if len(shown) < n else []
    content.append(tag("div", made, class_="cards"))
    return section("Case by case", content, level=level)


def features(explanation, names):
    """Name and mark of each feature."""
    words = explanation.mutability
    words = ["both"] * len(names) if words is None else words
    pairs = zip(names, words, strict=True)
    return [markup(feature(show(name), word)) for name, word in pairs]


def card(explanation, i, heads, old, new, moved, level):
    """What one row would have to change."""
    valid = explanation.valid[i]
    labels = show(explanation.predicted[i]), show(explanation.target[i])
    return tag(
        "article",
        tag("div", heading(explanation, i, level), state(valid), class_="top"),
        tag("p", way(*labels)),
        note(explanation, i),
        changes(heads, old, new, np.flatnonzero(moved)),
        figures(explanation, i) if valid else "",
        unchanged(heads, old, np.flatnonzero(~moved), moved.any()),
        class_="card" if valid else "card failed",
    )


def heading(explanation, i, level):
    """Who the card is about."""
    number = ""
    if explanation.alternative is not None:
        number = tag(
            "span", f" alternative {explanation.alternative[i]}", class_="quiet"
        )
    return tag(f"h{level}", "Case ", value(label(explanation, i)), number)


def state(valid):
    """Whether there is an answer, as a sign and in words."""
    if valid:
        return tag("span", sign(CHECK), " valid answer", class_="state good")
    return tag("span", sign(CROSS), " no valid answer", class_="state bad")


def note(explanation, i):
    """Why there is no answer, or what else there is to say."""
    text = verdict(explanation, i) if explanation.valid[i] else explanation.reason[i]
    return tag("p", text[:1].upper() + text[1:], ".") if text else ""


def changes(heads, old, new, columns):
    """Table of what would have to change."""
    if not len(columns):
        return ""
    rows = []
    for j in columns[:MAX_FEATURES]:
        was, becomes = show_change(old[j], new[j])
        rows.append((heads[j], value(was), tag("b", value(becomes))))
    caption = hidden("What would have to change")
    content = table(caption, ("Feature", "Now", "Would have to be"), rows)
    return [content, rest(len(columns))]


def unchanged(heads, old, columns, beside_changes):
    """Table of what stays, folded away."""
    if not len(columns):
        return ""
    rows = [(heads[j], value(show(old[j]))) for j in columns[:MAX_FEATURES]]
    caption = hidden("What stays as it is")
    name = f"{len(columns):,} feature{'' if len(columns) == 1 else 's'}"
    return tag(
        "details",
        tag("summary", f"{name} unchanged" if beside_changes else f"All {name}"),
        table(caption, ("Feature", "Now"), rows),
        rest(len(columns)),
    )


def rest(n):
    """How many features a table leaves out."""
    if n <= MAX_FEATURES:
        return ""
    return tag("p", f"and {n - MAX_FEATURES} further features", class_="quiet")


def figures(explanation, i):
    """What the answer costs and how good it is."""
    pairs = [
        tag("div", tag("dt", name), tag("dd", figure(key, values[i])))
        for key, name in FIGURES.items()
        if (values := getattr(explanation, key)) is not None
    ]
    return tag("dl", pairs, class_="figures")
