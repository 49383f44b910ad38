"""An explanation as text for a terminal, at most 88 columns wide."""

import numpy as np

from ..encoding.frames import objects
from .formatting import show, show_change
from .summary import FIGURES, figure, label, verdict

__all__ = ["as_text"]


WIDTH = 88
MAX_CHANGES = 12  # of one row; images have hundreds
NAME, VALUE = 28, 25  # widest feature name and value before they are cut


def as_text(explanation, max_rows):
    """Counts, averages, and the changes of the first rows; then what failed below."""
    parts = [repr(explanation)]
    if explanation.valid.any():
        parts.append(averages(explanation))
    parts += cases(explanation[:max_rows])
    left_out = len(explanation) - max_rows
    if left_out > 0:
        parts.append(f"\n... and {left_out} more rows; see changes() or to_html()")
        parts += failures(explanation, max_rows)
    return "\n".join(parts)


def averages(explanation):
    """Averages over the valid rows in one line."""
    summary = explanation.summary()
    texts = [
        f"{name.lower()} {figure(key, summary[key])}"
        for key, name in FIGURES.items()
        if key in summary
    ]
    return cut(f"mean {', '.join(texts)}", WIDTH)


def cases(explanation):
    """A head line for each row and its changes below, all in the same columns."""
    before, after, moved = explanation._sides()
    names = [cut(show(name), NAME) for name in before.columns]
    old, new = objects(before), objects(after)
    changes = {
        (i, j): [cut(text, VALUE) for text in show_change(old[i, j], new[i, j])]
        for i in range(len(explanation))
        for j in np.flatnonzero(moved[i])[:MAX_CHANGES]
    }
    width = max((len(names[j]) for _, j in changes), default=0)
    room = max((len(was) for was, _ in changes.values()), default=0)
    lines = []
    for i in range(len(explanation)):
        lines.append(f"\n{head(explanation, i)}")
        lines += [
            f"    {names[j]:<{width}}  {was:>{room}} -> {becomes}"
            for (row, j), (was, becomes) in changes.items()
            if row == i
        ]
        if moved[i].sum() > MAX_CHANGES:
            lines.append(f"    ... and {moved[i].sum() - MAX_CHANGES} more changes")
    return lines


def head(explanation, i):
    """Who, from which class to which, and at what cost or why not."""
    name = show(explanation.row[i])
    if explanation.alternative is not None:
        name += f", alternative {explanation.alternative[i]}"
    classes = f"{show(explanation.predicted[i])} -> {show(explanation.target[i])}"
    parts = [f"row {name}: {classes}"]
    if explanation.valid[i]:
        cost, chance = explanation.cost[i], explanation.probability[i]
        parts.append(f"cost {figure('cost', cost)}")
        parts.append(f"probability {figure('probability', chance)}")
    note = verdict(explanation, i)
    return wrapped(", ".join(parts), note)


def wrapped(text, note):
    """A line and a note, on a line of its own where they do not fit on one."""
    if not note:
        return cut(text, WIDTH)
    if len(text) + len(note) + 2 <= WIDTH:
        return f"{text}; {note}"
    return f"{cut(text, WIDTH)}\n    {cut(note, WIDTH - 4)}"


def failures(explanation, start):
    """The first five rows from `start` on that have no valid counterfactual."""
    failed = start + np.flatnonzero(~explanation.valid[start:])
    lines = [
        wrapped(f"row {label(explanation, i)}", verdict(explanation, i))
        for i in failed[:5]
    ]
    if len(failed) > 5:
        lines.append(f"... and {len(failed) - 5} more without a valid counterfactual")
    return lines


def cut(text, length):
    """Text that fits, with three dots where something is missing."""
    return text if len(text) <= length else f"{text[: length - 3]}..."
