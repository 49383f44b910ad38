"""`RecourseDisplay`: the heat table of recourse."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..encoding.frames import as_frame
from ..utils.plotting import BaseDisplay
from ..utils.validation import check_count, wrong
from .formatting import show
from .summary import Explanation, before_after, unsure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RecourseDisplay"]


MAX_COLUMNS = 25  # images have hundreds

# What is drawn of an explanation.
ATTRIBUTES = (
    *("factual", "counterfactual", "row", "predicted", "target"),
    *("valid", "mature", "cost", "alternative"),
)

CHARACTER = 0.065  # width in inches, about, of a character in a cell


class RecourseDisplay(BaseDisplay):
    """Heat table of recourse: who would have to change what, and to which value.

    Tables of more than 25 columns show those that change most often. A row is "unsure"
    where its counterfactual is valid, but less convincing than was asked for.

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
    >>> explanation = clf.explain(X[:3], target=1, confidence=0.5)
    >>> display = RecourseDisplay.from_explanation(explanation)
    >>> [label.get_text()[:4] for label in display.ax_.get_yticklabels()]
    ['0 (c', '1 (c', '2 (c']
    """

    def __init__(self, explanation: Explanation, *, max_rows: int = 20) -> None:
        if not all(hasattr(explanation, name) for name in ATTRIBUTES):
            allowed = "a CounterfactualExplanation, the result of explain"
            raise wrong("explanation", allowed, type(explanation).__name__)
        if not len(explanation):
            raise ValueError("The explanation holds no row that could be drawn.")
        check_count("max_rows", max_rows)
        self.explanation = explanation[:max_rows]

    @classmethod
    def from_explanation(
        cls,
        explanation: Explanation,
        *,
        ax: "Axes | None" = None,
        max_rows: int = 20,
    ) -> "RecourseDisplay":
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

    def _layout(self) -> dict[str, Any]:
        before, after, moved = self._cells()
        texts = [show(after.iat[i, j]) for i, j in np.argwhere(moved)]
        longest = min(max(map(len, texts), default=4), 10)
        n_rows, n_columns = before.shape
        width = 1.8 + (0.3 + CHARACTER * longest) * n_columns
        return {"figsize": (width, 1.8 + 0.28 * n_rows)}

    def _draw(self, axes: np.ndarray) -> None:
        ax = self.ax_ = axes[0, 0]
        before, after, moved = self._cells()
        shade = shades(before, after, moved)
        # Small changes are to be seen, too. The limits are wider than the values, so
        # that no cell gets so dark that the text in it cannot be read.
        signed = np.sign(shade) * (0.2 + 0.8 * np.abs(shade))
        signed = np.ma.masked_where(~(np.abs(shade) > 0), signed)
        ax.imshow(signed, cmap="RdBu_r", vmin=-1.8, vmax=1.8, aspect="auto")
        unordered = np.ma.masked_where(~np.isnan(shade), np.ones(shade.shape))
        ax.imshow(unordered, cmap="Greys", vmin=0, vmax=4.5, aspect="auto")
        inches = ax.get_position().width * ax.figure.bbox.width / ax.figure.dpi
        for i, j in np.argwhere(moved):
            write_cell(ax, i, j, after.iat[i, j], inches / before.shape[1])
        for i in np.flatnonzero(~self.explanation.valid).tolist():
            cross_out(ax, i, before.shape[1])
        self._label(ax, before.columns)
        ax.set_title(title(shade), fontsize=9)

    def _cells(self) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
        """Tables before and after, and what changes, of the columns that are drawn."""
        before, after, moved = before_after(self.explanation)
        keep = np.sort(np.argsort(-moved.sum(0), kind="stable")[:MAX_COLUMNS])
        return before.iloc[:, keep], after.iloc[:, keep], moved[:, keep]

    def _label(self, ax: "Axes", names: pd.Index) -> None:
        n = len(self.explanation)
        texts = [shorten(str(name), 24) for name in names]
        ax.set_xticks(range(len(names)), texts, fontsize=9)
        for text in ax.get_xticklabels():
            text.set(rotation=40, ha="right", rotation_mode="anchor", parse_math=False)
        ax.set_yticks(range(n), [self._row_label(i) for i in range(n)], fontsize=9)
        ax.set_xticks(np.arange(-0.5, len(names)), minor=True)
        ax.set_yticks(np.arange(-0.5, n), minor=True)
        ax.grid(which="minor", color="lightgrey", linewidth=0.5)
        ax.tick_params(which="both", length=0)
        n_all = as_frame(self.explanation.factual, self.explanation.row).shape[1]
        if n_all > len(names):
            ax.set_xlabel(f"{len(names)} of {n_all} columns, those that change most")
        ax.spines[:].set_color("lightgrey")

    def _row_label(self, i: int) -> str:
        """Index label, number of the alternative, and what the counterfactual costs."""
        row = str(self.explanation.row[i])
        if self.explanation.alternative is not None:
            row = f"{row}/{self.explanation.alternative[i]}"
        if not self.explanation.valid[i]:
            return f"{row} (none)"
        note = ", unsure" if unsure(self.explanation)[i] else ""
        return f"{row} (cost {self.explanation.cost[i]:.1f}{note})"


def shades(before: pd.DataFrame, after: pd.DataFrame, moved: np.ndarray) -> np.ndarray:
    """Signed size of each change relative to the largest in its column.

    NaN where a category without an order changes.
    """
    shade = np.zeros(before.shape)
    for j in range(before.shape[1]):
        old, new = ranks(before.iloc[:, j]), ranks(after.iloc[:, j])
        if old is None or new is None:
            shade[moved[:, j], j] = np.nan
        else:
            step = np.where(moved[:, j], np.nan_to_num(new - old), 0.0)
            shade[:, j] = step / (np.abs(step).max() or 1.0)
    return shade


def ranks(values: pd.Series) -> np.ndarray | None:
    """Column as floats, an ordered category by its position; None without an order."""
    if getattr(values.dtype, "ordered", False):
        return values.cat.codes.to_numpy(dtype=float)
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=float, na_value=np.nan)
    return None


def title(shade: np.ndarray) -> str:
    """Title that explains the colours that occur."""
    colours = {
        "red: up": (shade > 0).any(),
        "blue: down": (shade < 0).any(),
        "grey: another category": np.isnan(shade).any(),
    }
    legend = ", ".join(text for text, occurs in colours.items() if occurs)
    return f"New values ({legend or 'nothing changes'})"


def shorten(text: str, length: int) -> str:
    """Text that fits, with an ellipsis where something is cut."""
    if len(text) <= length:
        return text
    return text[: length - 1].rstrip() + "\N{HORIZONTAL ELLIPSIS}"


def write_cell(ax: "Axes", i: int, j: int, value: Any, width: float) -> None:
    """Write a new value into its cell, `width` inches wide.

    Long numbers are written smaller, since their digits count; long text is cut.
    """
    text, fits = show(value), max(int((width - 0.05) / CHARACTER), 4)
    size = 8 * max(min(1, fits / max(len(text), 1)), 0.75)
    if isinstance(value, str):
        text = shorten(text, int(8 * fits / size))
    cell = ax.text(j, i, text, fontsize=size, ha="center", va="center")
    cell.set_parse_math(False)  # "$" is a category


def cross_out(ax: "Axes", i: int, n_columns: int) -> None:
    """Say in row i that there is no valid counterfactual."""
    ax.axhspan(i - 0.5, i + 0.5, color="0.94", zorder=0.5)
    middle = (n_columns - 1) / 2
    cell = ax.text(middle, i, "no valid counterfactual", ha="center", va="center")
    cell.set(color="0.4", fontsize=8, fontstyle="italic")
