"""`RecourseDisplay`: the heat table of recourse."""

import numpy as np
import pandas as pd

from ..encoding.frames import as_frame, changed
from ..explain.explanation import CounterfactualExplanation
from ..utils.plotting import BaseDisplay
from ..utils.validation import check_count, wrong
from .formatting import show

__all__ = ["RecourseDisplay"]


MAX_COLUMNS = 25  # images have hundreds


class RecourseDisplay(BaseDisplay):
    """Heat table of recourse: who would have to change what, and to which value.

    Tables of more than 25 columns show those that change most often.

    Parameters
    ----------
    explanation : CounterfactualExplanation
    max_rows : int, default=20
        Rows to show.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.plotting import RecourseDisplay
    >>> X, y = load_iris(return_X_y=True, as_frame=True)
    >>> clf = CounterfactualTrainingClassifier(random_state=0)
    >>> clf = clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y)
    >>> display = RecourseDisplay.from_explanation(clf.explain(X[:3], target=1))
    >>> [label.get_text()[:4] for label in display.ax_.get_yticklabels()]
    ['0 (c', '1 (c', '2 (c']
    """

    def __init__(self, explanation, *, max_rows=20):
        if not isinstance(explanation, CounterfactualExplanation):
            allowed = "a CounterfactualExplanation, the result of explain"
            raise wrong("explanation", allowed, type(explanation).__name__)
        if not len(explanation):
            raise ValueError("The explanation holds no row that could be drawn.")
        check_count("max_rows", max_rows)
        self.explanation = explanation[:max_rows]

    @classmethod
    def from_explanation(cls, explanation, *, ax=None, max_rows=20):
        """Draw the heat table of an explanation.

        Parameters
        ----------
        explanation : CounterfactualExplanation
        ax : matplotlib Axes, optional
        max_rows : int, default=20
            Rows to show.

        Returns
        -------
        display : RecourseDisplay
        """
        return cls(explanation, max_rows=max_rows).plot(ax=ax)

    def _layout(self):
        before, after, moved = self._cells()
        texts = [show(after.iat[i, j]) for i, j in np.argwhere(moved)]
        longest = min(max(map(len, texts), default=4), 10)
        n_rows, n_columns = before.shape
        width = 1.8 + (0.3 + 0.065 * longest) * n_columns
        return {"figsize": (width, 1.8 + 0.28 * n_rows)}

    def _draw(self, axes):
        ax = self.ax_ = axes[0, 0]
        before, after, moved = self._cells()
        shade = shades(before, after, moved)
        signed = np.sign(shade) * (0.2 + 0.8 * np.abs(shade))  # small ones show too
        signed = np.ma.masked_where(~(np.abs(shade) > 0), signed)
        ax.imshow(signed, cmap="RdBu_r", vmin=-1.8, vmax=1.8, aspect="auto")
        other = np.ma.masked_where(~np.isnan(shade), np.ones(shade.shape))
        ax.imshow(other, cmap="Greys", vmin=0, vmax=4.5, aspect="auto")
        room = ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi
        for i, j in np.argwhere(moved):
            write_cell(ax, i, j, after.iat[i, j], room / before.shape[1])
        for i in np.flatnonzero(~self.explanation.valid):
            cross_out(ax, i, before.shape[1])
        self._label(ax, before.columns)
        ax.set_title(key(shade), fontsize=9)

    def _cells(self):
        """Tables before and after, and what moved, without surplus columns."""
        before = as_frame(self.explanation.factual, self.explanation.row)
        after = as_frame(self.explanation.counterfactual, self.explanation.row)
        moved = changed(before, after) & self.explanation.valid[:, None]
        keep = np.sort(np.argsort(-moved.sum(0), kind="stable")[:MAX_COLUMNS])
        return before.iloc[:, keep], after.iloc[:, keep], moved[:, keep]

    def _label(self, ax, names):
        n = len(self.explanation)
        names = [shorten(str(name), 24) for name in names]
        ax.set_xticks(range(len(names)), names, fontsize=9)
        for text in ax.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor", parse_math=False)
        ax.set_yticks(range(n), [self.label(i) for i in range(n)], fontsize=9)
        ax.set_xticks(np.arange(-0.5, len(names)), minor=True)
        ax.set_yticks(np.arange(-0.5, n), minor=True)
        ax.grid(which="minor", color="lightgrey", linewidth=0.5)
        ax.tick_params(which="both", length=0)
        n_all = as_frame(self.explanation.factual, self.explanation.row).shape[1]
        if n_all > len(names):
            ax.set_xlabel(f"{len(names)} of {n_all} columns, those that change most")
        ax.spines[:].set_color("lightgrey")

    def label(self, i):
        """Row label: its name, its alternative, and what the answer costs."""
        row = str(self.explanation.row[i])
        if self.explanation.alternative is not None:
            row = f"{row}/{self.explanation.alternative[i]}"
        if not self.explanation.valid[i]:
            return f"{row} (none)"
        return f"{row} (cost {self.explanation.cost[i]:.1f})"


def shades(before, after, moved):
    """Signed size of each change relative to the largest in its column.

    NaN where a category without an order changes.
    """
    shade = np.zeros(before.shape)
    for j in range(before.shape[1]):
        old, new = ranks(before.iloc[:, j]), ranks(after.iloc[:, j])
        if old is None:
            shade[moved[:, j], j] = np.nan
        else:
            step = np.where(moved[:, j], np.nan_to_num(new - old), 0.0)
            shade[:, j] = step / (np.abs(step).max() or 1.0)
    return shade


def ranks(values):
    """Column as floats, an ordered category by its position; None without an order."""
    if getattr(values.dtype, "ordered", False):
        return values.cat.codes.to_numpy(dtype=float)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return None


def key(shade):
    """What the colours say that occur."""
    words = {
        "red: up": (shade > 0).any(),
        "blue: down": (shade < 0).any(),
        "grey: another category": np.isnan(shade).any(),
    }
    said = ", ".join(text for text, occurs in words.items() if occurs)
    return f"New values ({said or 'nothing changes'})"


def shorten(text, length):
    """Text that fits, with an ellipsis where something is cut."""
    if len(text) <= length:
        return text
    return text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def write_cell(ax, i, j, value, room):
    """New value in a table; a number shrinks to fit in `room` inches, text is cut."""
    text, fits = show(value), max(int((room - 0.05) / 0.065), 4)
    size = 8 * max(min(1, fits / max(len(text), 1)), 0.75)
    if isinstance(value, str):
        text = shorten(text, int(8 * fits / size))
    style = {"ha": "center", "va": "center", "parse_math": False}  # "$" is a category
    ax.text(j, i, text, fontsize=size, **style)


def cross_out(ax, i, n_columns):
    """Say in row i of a table that there is no answer."""
    ax.axhspan(i - 0.5, i + 0.5, color="0.94", zorder=0.5)
    style = {"color": "0.4", "fontsize": 8, "fontstyle": "italic"}
    middle = (n_columns - 1) / 2
    ax.text(middle, i, "no valid counterfactual", ha="center", va="center", **style)
