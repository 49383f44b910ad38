"""An explanation as text for a terminal, at most 88 columns wide."""

import numpy as np

from ._cells import objects, show, show_change
from ._recourse import MEANS, figure, label, verdict

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
    names = {"probability": "target probability", "n_changed": "changed features"}
    texts = [
        f"{names.get(name, name)} {figure(name, summary[name])}"
        for name in MEANS
        if name in summary
    ]
    return cut(f"mean {', '.join(texts)}", WIDTH)


def cases(explanation):
    """A head line for each row and its changes below, all in the same columns."""
    before, after, moved = explanation._sides()
    old, new = objects(before), objects(after)
    names = [cut(show(name), NAME) for name in before.columns]
    lists = []
    for i in range(len(explanation)):
        columns = np.flatnonzero(moved[i])
        shown = columns[:MAX_CHANGES]
        lines = [
            (names[j], *(cut(t, VALUE) for t in show_change(old[i, j], new[i, j])))
            for j in shown
        ]
        lists.append((lines, len(columns) - len(shown)))
    everything = [line for lines, _ in lists for line in lines]
    widths = [max((len(line[k]) for line in everything), default=0) for k in (0, 1)]
    blocks = []
    for i, (lines, left_out) in enumerate(lists):
        blocks.append("\n" + head(explanation, i))
        for name, was, becomes in lines:
            blocks.append(f"    {name:<{widths[0]}}  {was:>{widths[1]}} -> {becomes}")
        if left_out:
            blocks.append(f"    ... and {left_out} more changes")
    return blocks


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
