"""What each part of the objective brings, as bars: Fig. 6 of the paper."""

import numpy as np
import pandas as pd

from skct.plotting.curves import colours_by_model, require_columns
from skct.utils.plotting import COLOURS, BaseDisplay, draw_grid, legend_beside

# The paper's methods look alike in all figures, and stand in this order.
METHODS = {"plain": "0.35", "BL": "0.35"}
METHODS |= dict(zip(("AR", "CD", "CT"), COLOURS[:3], strict=True))


class AblationDisplay(BaseDisplay):
    """What each part of the objective brings, Fig. 6 of the paper.

    One group of bars per data set, one bar per objective.

    Parameters
    ----------
    mean : DataFrame of shape (n_data, n_objectives)
        Height of the bars.
    std : DataFrame like `mean`
        Length of the error bars; NaN: none.
    label : str, default="Reduction vs plain net (%)"
        What the bars measure.

    Attributes
    ----------
    bars_ : dict of matplotlib BarContainer, by objective

    Examples
    --------
    >>> import pandas as pd
    >>> from figures_ablation import AblationDisplay
    >>> runs = pd.DataFrame(
    ...     [("moons", "plain", 0, 2.0), ("moons", "CT", 0, 1.0),
    ...      ("moons", "plain", 1, 2.0), ("moons", "CT", 1, 1.5)],
    ...     columns=["data", "objective", "seed", "implausibility"],
    ... )
    >>> display = AblationDisplay.from_frame(
    ...     runs, value="implausibility", baseline="plain"
    ... )
    >>> float(display.mean.loc["moons", "CT"])
    37.5
    """

    def __init__(self, mean, std, *, label="Reduction vs plain net (%)"):
        self.mean, self.std, self.label = mean, std, label

    @classmethod
    def from_frame(
        cls, runs, *, value, baseline=None, label="Reduction vs plain net (%)", ax=None
    ):
        """Average over seeds and draw.

        Parameters
        ----------
        runs : DataFrame
            Tidy: columns data, objective, seed and `value`, one line each.
        value : str
            Column to show: reductions in %, or raw values where `baseline` is given.
        baseline : str, optional
            Objective that the others are compared with, seed by seed: the bars are
            ``100 * (1 - value / value of the baseline)``.
        label : str, default="Reduction vs plain net (%)"
            What the bars measure.
        ax : matplotlib Axes, optional
        """
        keys = ["data", "objective", "seed"]
        require_columns(runs, (*keys, value), "runs")
        if runs.duplicated(keys).any():
            raise ValueError(f"runs has several lines of the same {keys}.")
        table = runs.pivot(index=["data", "seed"], columns="objective", values=value)
        if baseline is not None:
            if baseline not in table or table[baseline].isna().any():
                raise ValueError(
                    f"The baseline {baseline!r} needs a run for every data set and "
                    "seed."
                )
            others = table.drop(columns=baseline)
            table = 100 * (1 - others.div(table[baseline], axis=0))
        names = colours_by_model(list(table.columns), METHODS)
        by_data = table[list(names)].groupby(level="data", sort=False)
        data = pd.unique(runs["data"])
        mean, std = by_data.mean().loc[data], by_data.std(ddof=1).loc[data]
        return cls(mean, std, label=label).plot(ax=ax)

    def _layout(self):
        n_data, n = self.mean.shape
        return {"figsize": (2.2 + 0.22 * n_data * (n + 1), 3.4)}

    def _draw(self, axes):
        ax = self.ax_ = axes[0, 0]
        n_data, n = self.mean.shape
        width, self.bars_ = 0.8 / n, {}
        colours = colours_by_model(list(self.mean.columns), METHODS)
        for k, (name, colour) in enumerate(colours.items()):
            self.bars_[name] = ax.bar(
                np.arange(n_data) - 0.4 + (k + 0.5) * width,
                self.mean[name],
                width,
                yerr=self.std[name].fillna(0),
                color=colour,
                label=str(name),
                error_kw={"elinewidth": 1, "capsize": 2.5},
            )
        ax.set_xticks(range(n_data), [str(name) for name in self.mean.index])
        ax.set_xlim(-0.6, n_data - 0.4)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set_ylabel(f"{self.label}\nmean \N{PLUS-MINUS SIGN} 1 SD over seeds")
        draw_grid(ax, "y")
        ax.spines[["top", "right"]].set_visible(False)
        legend_beside(ax, "Objective")
