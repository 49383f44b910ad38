"""Display classes; matplotlib is imported only when something is drawn."""

import numpy as np
import pandas as pd

from .explanation import as_frame, changed, show

__all__ = ["RecourseDisplay"]


class RecourseDisplay:
    """Heat table of recourse: who would have to change what, and to which value.

    Parameters
    ----------
    explanation : CounterfactualExplanation
    max_rows : int, default=20
        Rows to show.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    """

    def __init__(self, explanation, *, max_rows=20):
        self.explanation = explanation[:max_rows]

    @classmethod
    def from_explanation(cls, explanation, *, ax=None, max_rows=20):
        """Draw the heat table of an explanation.

        Parameters
        ----------
        explanation : CounterfactualExplanation
        ax : matplotlib Axes, optional
        max_rows : int, default=20

        Returns
        -------
        display : RecourseDisplay
        """
        return cls(explanation, max_rows=max_rows).plot(ax=ax)

    def plot(self, *, ax=None):
        """Draw, without showing.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            None: a new figure.

        Returns
        -------
        self : RecourseDisplay
        """
        import matplotlib.pyplot as plt

        before = as_frame(self.explanation.factual, self.explanation.row)
        after = as_frame(self.explanation.counterfactual, self.explanation.row)
        moved = changed(before, after) & self.explanation.valid[:, None]
        shade = shades(before, after, moved)
        if ax is None:
            size = (1.5 + 0.9 * before.shape[1], 1.2 + 0.32 * len(before))
            _, ax = plt.subplots(figsize=size, layout="constrained")
        ax.imshow(shade, cmap="RdBu_r", vmin=-1.6, vmax=1.6, aspect="auto")
        for i, j in np.argwhere(moved):
            text = show(after.iat[i, j])
            ax.text(j, i, text[:12], ha="center", va="center", fontsize=8)
        ax.set_xticks(range(before.shape[1]), [str(name) for name in before.columns])
        ax.tick_params(axis="x", labelrotation=45)
        ax.set_yticks(range(len(before)), [self.label(i) for i in range(len(before))])
        ax.set_xticks(np.arange(-0.5, before.shape[1]), minor=True)
        ax.set_yticks(np.arange(-0.5, len(before)), minor=True)
        ax.grid(which="minor", color="lightgrey", linewidth=0.5)
        ax.tick_params(which="minor", length=0)
        ax.set_title("New values (red: up, blue: down, blank: as it was)", fontsize=9)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def label(self, i):
        """Row label: its name, and what its counterfactual costs."""
        row = self.explanation.row[i]
        if not self.explanation.valid[i]:
            return f"{row} (none)"
        return f"{row} (cost {self.explanation.cost[i]:.1f})"


def shades(before, after, moved):
    """Signed size of each change, relative to the largest in its column."""
    shade = np.zeros(before.shape)
    for j in range(before.shape[1]):
        old, new = before.iloc[:, j], after.iloc[:, j]
        if pd.api.types.is_numeric_dtype(old.dtype):
            step = (new.astype(float) - old.astype(float)).to_numpy()
            step = np.where(moved[:, j], np.nan_to_num(step), 0.0)
            shade[:, j] = step / (np.abs(step).max() or 1.0)
        else:
            shade[:, j] = 0.4 * moved[:, j]
    return shade
