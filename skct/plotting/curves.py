"""`RobustAccuracyDisplay` and `HistoryDisplay`: curves over radii and epochs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..explain.explained_model import Explainable, unwrap
from ..explain.explainer import as_explainer
from ..robustness import robust_accuracy
from ..utils.plotting import (
    COLOURS,
    BaseDisplay,
    draw_grid,
    legend_beside,
    plot_colours,
)
from ..utils.validation import label_codes, wrong

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["HistoryDisplay", "RobustAccuracyDisplay"]

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", ":", "-.")
LOSSES = ("train_loss", "valid_loss", "classification", "divergence", "adversarial")
PANELS = {
    "Loss": LOSSES,
    "Share mature": ("mature",),
    "Search steps": ("n_iter",),
    "Seconds": ("dur", "search_seconds", "update_seconds"),
}
LABELS = {"train_loss": "total (weighted)", "valid_loss": "validation", "dur": "epoch"}
LABELS |= {"search_seconds": "search", "update_seconds": "update"}


class RobustAccuracyDisplay(BaseDisplay):
    """Accuracy under attack over the size of the perturbation, Fig. 5 of the paper.

    One panel per attack (rows) and data set (columns). Lines are means, bands one
    standard deviation where a point has several values (seeds).

    Parameters
    ----------
    scores : DataFrame
        Tidy: columns model, epsilon, accuracy and, optionally, attack and data.
    colours : dict of str to matplotlib colour, optional
        Models that are to look alike in several figures; they come first, in the order
        of the dict. Others follow as they come, in the colours that are left.

    Attributes
    ----------
    lines_ : dict of matplotlib Line2D, by (attack, data, model)

    Examples
    --------
    >>> from skct.plotting import RobustAccuracyDisplay
    >>> scores = {"plain": [0.9, 0.5, 0.1], "CT": [0.9, 0.8, 0.7]}
    >>> display = RobustAccuracyDisplay.from_dict(scores, epsilons=[0, 0.05, 0.1])
    >>> [line.get_label() for line in display.lines_.values()]
    ['plain', 'CT']
    """

    def __init__(self, scores: pd.DataFrame, *, colours: dict | None = None):
        require_columns(scores, ("model", "epsilon", "accuracy"), "scores")
        missing = [name for name in ("attack", "data") if name not in scores.columns]
        self.scores = scores.assign(**dict.fromkeys(missing, ""))
        self.colours = colours or {}

    @classmethod
    def from_dict(
        cls,
        scores: dict,
        *,
        epsilons: Sequence[float] | np.ndarray,
        attack: str = "",
        ax: Any = None,
    ) -> Self:
        """Draw the accuracies of several models.

        Parameters
        ----------
        scores : dict of array-like of shape (n_epsilons,)
            Model -> accuracies.
        epsilons : array-like of shape (n_epsilons,)
        attack : str, default=""
            Heading.
        ax : matplotlib Axes, optional
        """
        return cls(score_table(scores, epsilons, attack)).plot(ax=ax)

    @classmethod
    def from_estimators(
        cls,
        estimators: dict,
        X: ArrayLike,
        y: ArrayLike,
        *,
        epsilons: Sequence[float] | np.ndarray,
        attack: str | Callable | Sequence = "pgd",
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Attack fitted models and draw what remains of their accuracy.

        Parameters
        ----------
        estimators : dict of fitted CounterfactualTrainingClassifier
            Name -> classifier (or Pipeline that ends in one).
        X : DataFrame or array-like of shape (n, *features)
            Test rows.
        y : array-like of shape (n,)
        epsilons : array-like of shape (n_epsilons,)
            Radii in the max-norm, in model-input units.
        attack : str, callable or list of them, default="pgd"
            As in `skct.robustness.robust_accuracy`; one panel each.
        ax : matplotlib Axes or sequence of them, optional
            One per attack.
        **options
            Passed to the attack, such as ``random_state=0`` to `pgd`.
        """
        if not hasattr(estimators, "items"):
            raise wrong("estimators", "a dict from name to classifier", estimators)
        tables, y = [], np.asarray(y)
        for kind in attack if isinstance(attack, (list, tuple)) else [attack]:
            options |= {"epsilons": epsilons, "attack": kind}
            scores = {}
            for name, estimator in estimators.items():
                model, table = as_explainer(estimator).inspect(X)
                data = model.space.encode(table), label_codes(y, model.classes)
                scores[name] = robust_accuracy(model.module, *data, **options)
            heading = getattr(kind, "__name__", kind)
            tables.append(score_table(scores, epsilons, heading))
        return cls(pd.concat(tables, ignore_index=True)).plot(ax=ax)

    def _facets(self) -> list[list]:
        return [list(self.scores[name].unique()) for name in ("attack", "data")]

    def _layout(self) -> dict[str, Any]:
        nrows, ncols = map(len, self._facets())
        size = 1.5 + 2.9 * ncols, 0.9 + 2.4 * nrows
        linked = {"sharex": "col", "sharey": True}
        return {"nrows": nrows, "ncols": ncols, "figsize": size, **linked}

    def _draw(self, axes: np.ndarray) -> None:
        attacks, data = self._facets()
        self.axes_ = axes
        self.lines_: dict[tuple, Any] = {}
        for (i, j), panel in np.ndenumerate(axes):
            self._draw_panel(panel, attacks[i], data[j])
        for panel in axes[-1]:
            size = "Perturbation size \N{GREEK SMALL LETTER EPSILON}"
            panel.set_xlabel(f"{size}\n(max-norm, model-input units)")
        for panel in axes[:, 0]:
            panel.set_ylabel("Robust accuracy")
        legend_beside(axes[0, -1], "Model")

    def _draw_panel(self, ax: "Axes", attack: str, data: str) -> None:
        shown = self.scores["attack"].eq(attack) & self.scores["data"].eq(data)
        models = list(self.scores["model"].unique())
        colours = colours_by_model(models, self.colours)
        for k, (name, colour) in enumerate(colours.items()):
            rows = self.scores[shown & self.scores["model"].eq(name)]
            by_radius = rows.groupby("epsilon")["accuracy"]
            mean, spread = by_radius.mean(), by_radius.std(ddof=1).fillna(0)
            (self.lines_[attack, data, name],) = ax.plot(
                mean.index,
                mean,
                color=colour,
                marker=MARKERS[k % len(MARKERS)],
                linestyle=LINE_STYLES[k % len(LINE_STYLES)],
                markersize=max(7.5 - k, 4),  # coinciding lines remain visible
                label=str(name),
            )
            if (spread > 0).any():
                band = mean - spread, mean + spread
                ax.fill_between(mean.index, *band, color=colour, alpha=0.2, linewidth=0)
        attack = attack.upper() if attack in ("fgsm", "pgd") else attack
        heading = ", ".join(str(part) for part in (data, attack) if part != "")
        ax.set_title(heading, fontsize=10)
        ax.set_ylim(0, 1.02)
        draw_grid(ax)


class HistoryDisplay(BaseDisplay):
    """Course of training: loss terms, counterfactuals that matured, and time.

    Panels share the epoch axis; those without data (a plain net searches nothing) are
    left out.

    Parameters
    ----------
    history : DataFrame
        ``clf.history_``, one row per epoch.

    Attributes
    ----------
    lines_ : dict of matplotlib Line2D, by column of the history

    Examples
    --------
    >>> import pandas as pd
    >>> from skct.plotting import HistoryDisplay
    >>> history = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.7, 0.6]})
    >>> list(HistoryDisplay(history).plot().lines_)
    ['train_loss']
    """

    def __init__(self, history: pd.DataFrame):
        require_columns(history, ("epoch",), "history")
        self.history = history

    @classmethod
    def from_estimator(cls, estimator: BaseEstimator, *, ax: Any = None) -> Self:
        """Draw the history of a fitted classifier, or a Pipeline that ends in one.

        Parameters
        ----------
        estimator : CounterfactualTrainingClassifier or Pipeline
        ax : sequence of matplotlib Axes, optional
            One per panel.

        Returns
        -------
        display : HistoryDisplay
        """
        inner = unwrap(estimator)[1]
        if not isinstance(inner, Explainable):
            allowed = "a CounterfactualTrainingClassifier, or a Pipeline ending in one"
            raise wrong("estimator", allowed, inner)
        check_is_fitted(inner)
        return cls(inner.history_).plot(ax=ax)

    def _panels(self) -> dict[str, list[str]]:
        """Columns that have values, by panel."""
        full = self.history.columns[self.history.notna().any()]
        panels = {
            label: [name for name in names if name in full]
            for label, names in PANELS.items()
        }
        # The objective's regulariser, whatever its name, comes after that loss.
        terms = list(self.history.columns)
        if "adversarial" in terms[:-1]:
            regulariser = terms[terms.index("adversarial") + 1]
            panels["Loss"] += [regulariser] * (regulariser in full)
        return {label: names for label, names in panels.items() if names}

    def _layout(self) -> dict[str, Any]:
        n = len(self._panels())
        return {"nrows": n, "figsize": (6.5, 0.8 + 1.6 * n), "sharex": True}

    def _draw(self, axes: np.ndarray) -> None:
        from matplotlib.ticker import MaxNLocator

        self.axes_ = axes[:, 0]
        self.lines_: dict[str, Any] = {}
        for ax, (label, names) in zip(self.axes_, self._panels().items(), strict=True):
            self._draw_panel(ax, label, names)
        self.axes_[-1].set_xlabel("Epoch")
        self.axes_[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        self.figure_.align_ylabels(self.axes_)

    def _draw_panel(self, ax: "Axes", label: str, names: list[str]) -> None:
        epoch = self.history["epoch"]
        for colour, name in zip(COLOURS, names, strict=False):
            style: dict[str, Any] = {"linewidth": 2.2} if name == "train_loss" else {}
            style |= {"color": colour, "label": LABELS.get(name, name)}
            (self.lines_[name],) = ax.plot(epoch, self.history[name], **style)
        searched = self.history.get("mature", epoch).notna()
        if not searched.iloc[0]:
            start = epoch[searched].min() - 0.5
            ax.axvspan(epoch.iloc[0] - 0.5, start, color="0.92", zorder=0)
            if "train_loss" in names:
                ax.set_title("grey: burn-in", fontsize=9, loc="left")
        if "train_loss" not in names:
            ax.set_ylim(0, 1.03 if "mature" in names else None)
        ax.set_ylabel(label)
        draw_grid(ax)
        if len(names) > 1:
            legend_beside(ax, top=1.05)


def colours_by_model(models: Sequence, chosen: dict) -> dict:
    """Model -> colour: chosen ones first, in their order, then what is left over."""
    known = {name: chosen[name] for name in chosen if name in models}
    others = [name for name in models if name not in known]
    unused = [c for c in plot_colours(len(models)) if c not in known.values()]
    return known | dict(zip(others, unused, strict=False))


def require_columns(frame: pd.DataFrame, names: Sequence[str], owner: str) -> None:
    """Raise if a tidy frame lacks columns."""
    if not isinstance(frame, pd.DataFrame):
        raise wrong(owner, "a DataFrame", type(frame).__name__)
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"{owner} needs the columns {list(names)}; {missing} are missing from "
            f"{list(frame.columns)}."
        )


def score_table(
    scores: dict, epsilons: Sequence[float] | np.ndarray, attack: object
) -> pd.DataFrame:
    """Tidy table of accuracies given by model."""
    if not hasattr(scores, "values"):
        raise wrong("scores", "a dict from model to accuracies", scores)
    lengths = {len(values) for values in scores.values()} if scores else {0}
    if lengths != {len(epsilons)} or not len(epsilons):
        raise ValueError(
            "The 'scores' parameter must hold one accuracy per radius for each model. "
            f"Got lengths {sorted(lengths)} for {len(epsilons)} epsilons."
        )
    table = pd.DataFrame(scores).assign(epsilon=epsilons, attack=attack)
    return table.melt(["epsilon", "attack"], var_name="model", value_name="accuracy")
