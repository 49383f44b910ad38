"""An explanation as text for a terminal, at most 88 columns wide."""

import numpy as np

from ..encoding.frames import objects
from .formatting import show, show_change
from .summary import (
    FIGURES,
    Explanation,
    before_after,
    figure_text,
    remark,
    row_label,
    unsure,
)

__all__ = ["as_text"]


WIDTH = 88
MAX_CHANGES = 12  # of one row; images have hundreds
NAME, VALUE = 28, 25  # widest feature name and value before they are cut


def as_text(explanation: Explanation, max_rows: int) -> str:
    """Counts, averages, the changes of the first rows, and failures further down."""
    parts = [repr(explanation)]
    if explanation.valid.any():
        parts.append(averages(explanation))
    parts += changes(explanation[:max_rows])
    left_out = len(explanation) - max_rows
    if left_out > 0:
        parts.append(f"\n... and {left_out} more rows; see changes() or to_html()")
        parts += failures(explanation, max_rows)
    return "\n".join(parts)


def averages(explanation: Explanation) -> str:
    """Averages over the valid rows in one line."""
    summary = explanation.summary()
    texts = [
        f"{name.lower()} {figure_text(key, summary[key])}"
        for key, name in FIGURES.items()
        if key in summary
    ]
    return cut(f"mean {', '.join(texts)}", WIDTH)


def changes(explanation: Explanation) -> list[str]:
    """A headline for each row and its changes below, aligned over all rows."""
    before, after, moved = before_after(explanation)
    names = [cut(show(name), NAME) for name in before.columns]
    old, new = objects(before), objects(after)
    texts = {
        (i, j): [cut(text, VALUE) for text in show_change(old[i, j], new[i, j])]
        for i in range(len(explanation))
        for j in np.flatnonzero(moved[i])[:MAX_CHANGES]
    }
    name_width = max((len(names[j]) for _, j in texts), default=0)
    value_width = max((len(text) for text, _ in texts.values()), default=0)
    lines = []
    for i in range(len(explanation)):
        lines.append(f"\n{headline(explanation, i)}")
        lines += [
            f"    {names[j]:<{name_width}}  {old_text:>{value_width}} -> {new_text}"
            for (row, j), (old_text, new_text) in texts.items()
            if row == i
        ]
        if moved[i].sum() > MAX_CHANGES:
            lines.append(f"    ... and {moved[i].sum() - MAX_CHANGES} more changes")
    return lines


def headline(explanation: Explanation, i: int) -> str:
    """Which row, from which class to which, and at what cost or why not."""
    name = show(explanation.row[i])
    if explanation.alternative is not None:
        name += f", alternative {explanation.alternative[i]}"
    classes = f"{show(explanation.predicted[i])} -> {show(explanation.target[i])}"
    parts = [f"row {name}: {classes}"]
    if explanation.valid[i]:
        cost, chance = explanation.cost[i], explanation.probability[i]
        parts.append(f"cost {figure_text('cost', cost)}")
        parts.append(f"probability {figure_text('probability', chance)}")
    return with_note(", ".join(parts), remark(explanation, i))


def with_note(text: str, note: str) -> str:
    """A line and a note, which goes to a second line if both are too long for one."""
    if not note:
        return cut(text, WIDTH)
    if len(text) + len(note) + 2 <= WIDTH:
        return f"{text}; {note}"
    return f"{cut(text, WIDTH)}\n    {cut(note, WIDTH - 4)}"


def failures(explanation: Explanation, start: int) -> list[str]:
    """The first five rows from `start` on that did not get what was asked for."""
    failed = ~explanation.valid | unsure(explanation)
    failed = start + np.flatnonzero(failed[start:])
    lines = [
        with_note(f"row {row_label(explanation, i)}", remark(explanation, i))
        for i in failed[:5]
    ]
    if len(failed) > 5:
        lines.append(f"... and {len(failed) - 5} more without what was asked for")
    return lines


def cut(text: str, length: int) -> str:
    """Text that fits, with three dots where something is missing."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
