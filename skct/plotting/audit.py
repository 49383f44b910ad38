"""`AuditDisplay`: the figures of an audit, one panel each."""

from typing import Any

import numpy as np
import pandas as pd

from ..reports.audit import NAMES
from ..utils.plotting import BaseDisplay, draw_grid, plot_colours

__all__ = ["AuditDisplay"]


# Shown, and whether more is better.
PANELS = {
    "accuracy": True,
    "gap": False,
    "survival": True,
    "cost_at_real": False,
    "distance_at_real": False,
    "protected_share": False,
}


class AuditDisplay(BaseDisplay):
    """Figures of an audit: dots are folds, bars their means.

    Parameters
    ----------
    figures : DataFrame
        As `AuditResult.to_frame` gives them.

    Attributes
    ----------
    bars_ : dict of matplotlib BarContainer, by figure

    Examples
    --------
    >>> import pandas as pd
    >>> from skct.plotting import AuditDisplay
    >>> names = ["accuracy", "gap", "survival", "cost_at_real", "distance_at_real",
    ...     "protected_share"]
    >>> figures = pd.DataFrame({"estimator": ["plain", "default"]} | {
    ...     name: [0.5, 0.6] for name in names})
    >>> len(AuditDisplay(figures).plot().bars_)
    6
    """

    def __init__(self, figures: pd.DataFrame):
        self.figures = figures

    def _layout(self) -> dict[str, Any]:
        return {"nrows": 2, "ncols": 3, "figsize": (11, 6)}

    def _draw(self, axes: np.ndarray) -> None:
        self.bars_ = {}
        names = list(pd.unique(self.figures["estimator"]))
        colours = plot_colours(len(names))
        for ax, (figure, rising) in zip(axes.flat, PANELS.items(), strict=True):
            values = self.figures.groupby("estimator", sort=False)[figure]
            self.bars_[figure] = ax.bar(names, values.mean()[names], color=colours)
            places = self.figures["estimator"].map(names.index)
            ax.scatter(places, self.figures[figure], color="0.2", s=12, zorder=3)
            ax.set_title(
                f"{NAMES[figure]} ({'higher' if rising else 'lower'} is better)"
            )
            draw_grid(ax, axis="y")
