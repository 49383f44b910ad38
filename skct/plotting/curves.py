"""Displays of results: robust accuracy, ablation, and the history of a training."""

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from ..explain.explained_model import Explainable, unwrap
from ..explain.explainer import as_explainer
from ..robustness import robust_accuracy
from ..utils.plotting import COLOURS, BaseDisplay, legend_beside, plot_colours
from ..utils.validation import label_codes, wrong

__all__ = ["AblationDisplay", "HistoryDisplay", "RobustAccuracyDisplay"]


MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINE_STYLES = ("-", "--", ":", "-.")
# What a method is called decides its place and its colour, in every figure.
METHODS = {"plain": "0.35", "BL": "0.35"}


METHODS |= dict(zip(("AR", "CD", "CT"), COLOURS[:3], strict=True))
LOSSES = ("train_loss", "valid_loss", "classification", "divergence", "adversarial")
PANELS = {
    "Loss": (*LOSSES, "ridge", "slope"),
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

    def __init__(self, scores):
        require_columns(scores, ("model", "epsilon", "accuracy"), "scores")
        missing = [name for name in ("attack", "data") if name not in scores.columns]
        self.scores = scores.assign(**dict.fromkeys(missing, ""))

    @classmethod
    def from_dict(cls, scores, *, epsilons, attack="", ax=None):
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
        cls, estimators, X, y, *, epsilons, attack="pgd", ax=None, **options
    ):
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
                view, table = as_explainer(estimator).inspect(X)
                data = view.space.encode(table), label_codes(y, view.classes)
                scores[name] = robust_accuracy(view.module, *data, **options)
            heading = getattr(kind, "__name__", kind)
            tables.append(score_table(scores, epsilons, heading))
        return cls(pd.concat(tables, ignore_index=True)).plot(ax=ax)

    def _facets(self):
        return [order_of(self.scores[name]) for name in ("attack", "data")]

    def _layout(self):
        nrows, ncols = map(len, self._facets())
        size = 1.5 + 2.9 * ncols, 0.9 + 2.4 * nrows
        share = {"sharex": "col", "sharey": True}
        return {"nrows": nrows, "ncols": ncols, "figsize": size, **share}

    def _draw(self, axes):
        attacks, data = self._facets()
        self.axes_, self.lines_ = axes, {}
        for (i, j), panel in np.ndenumerate(axes):
            self._draw_panel(panel, attacks[i], data[j])
        for panel in axes[-1]:
            size = "Perturbation size \N{GREEK SMALL LETTER EPSILON}"
            panel.set_xlabel(f"{size}\n(max-norm, model-input units)")
        for panel in axes[:, 0]:
            panel.set_ylabel("Robust accuracy")
        legend_beside(axes[0, -1], "Model")

    def _draw_panel(self, ax, attack, data):
        here = self.scores["attack"].eq(attack) & self.scores["data"].eq(data)
        models = order_of(self.scores["model"])
        for k, (name, colour) in enumerate(method_colours(models).items()):
            mine = self.scores[here & self.scores["model"].eq(name)]
            by_size = mine.groupby("epsilon")["accuracy"]
            mean, spread = by_size.mean(), by_size.std(ddof=1).fillna(0)
            (self.lines_[attack, data, name],) = ax.plot(
                mean.index,
                mean,
                color=colour,
                marker=MARKERS[k % len(MARKERS)],
                linestyle=LINE_STYLES[k % len(LINE_STYLES)],
                markersize=max(7.5 - k, 4),  # one behind another shows
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
    >>> from skct.plotting import AblationDisplay
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
        by_data = table[order_of(table.columns)].groupby(level="data", sort=False)
        order = pd.unique(runs["data"])
        mean, std = by_data.mean().loc[order], by_data.std(ddof=1).loc[order]
        return cls(mean, std, label=label).plot(ax=ax)

    def _layout(self):
        n_data, n = self.mean.shape
        return {"figsize": (2.2 + 0.22 * n_data * (n + 1), 3.4)}

    def _draw(self, axes):
        ax = self.ax_ = axes[0, 0]
        n_data, n = self.mean.shape
        width, self.bars_ = 0.8 / n, {}
        for k, (name, colour) in enumerate(method_colours(self.mean.columns).items()):
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

    def __init__(self, history):
        require_columns(history, ("epoch",), "history")
        self.history = history

    @classmethod
    def from_estimator(cls, estimator, *, ax=None):
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

    def _panels(self):
        """Columns that have values, by panel."""
        full = self.history.columns[self.history.notna().any()]
        panels = {
            label: [name for name in names if name in full]
            for label, names in PANELS.items()
        }
        return {label: names for label, names in panels.items() if names}

    def _layout(self):
        n = len(self._panels())
        return {"nrows": n, "figsize": (6.5, 0.8 + 1.6 * n), "sharex": True}

    def _draw(self, axes):
        from matplotlib.ticker import MaxNLocator

        self.axes_, self.lines_ = axes[:, 0], {}
        for ax, (label, names) in zip(self.axes_, self._panels().items(), strict=True):
            self._draw_panel(ax, label, names)
        self.axes_[-1].set_xlabel("Epoch")
        self.axes_[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
        self.figure_.align_ylabels(self.axes_)

    def _draw_panel(self, ax, label, names):
        epoch = self.history["epoch"]
        for colour, name in zip(COLOURS, names, strict=False):
            style = {"linewidth": 2.2} if name == "train_loss" else {}
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


def draw_grid(ax, axis="both"):
    """Pale grid behind what is drawn."""
    ax.grid(axis=axis, color="0.9")
    ax.set_axisbelow(True)


def order_of(values):
    """Distinct values: the methods of the paper in their order, then as they come."""
    seen = list(pd.unique(pd.Series(list(values))))
    return [v for v in METHODS if v in seen] + [v for v in seen if v not in METHODS]


def method_colours(names):
    """Method -> colour; those of the paper have theirs."""
    known = {name: METHODS[name] for name in names if name in METHODS}
    others = [name for name in names if name not in known]
    spare = [c for c in plot_colours(len(names)) if c not in known.values()]
    return known | dict(zip(others, spare, strict=False))


def require_columns(frame, names, owner):
    """Raise if a tidy frame lacks columns."""
    if not isinstance(frame, pd.DataFrame):
        raise wrong(owner, "a DataFrame", type(frame).__name__)
    missing = [name for name in names if name not in frame.columns]
    if missing:
        raise ValueError(
            f"{owner} needs the columns {list(names)}; {missing} are missing from "
            f"{list(frame.columns)}."
        )


def score_table(scores, epsilons, attack):
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
