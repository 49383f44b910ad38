"""`DecisionSurfaceDisplay`: probability over two features, data, and search paths."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_consistent_length

from ..encoding.frames import dense, take
from ..encoding.space import FeatureSpace
from ..explain.explained_model import ExplainedModel
from ..explain.explainer import as_explainer
from ..explain.explanation import CounterfactualExplanation
from ..solvers.search import trace
from ..utils.model import batched_logits, module_device
from ..utils.plotting import BaseDisplay, class_colours
from ..utils.validation import check_count, label_codes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = ["DecisionSurfaceDisplay"]


class DecisionSurfaceDisplay(BaseDisplay):
    """Predicted probability over two features, data, and the way to counterfactuals.

    Fig. 1 of the paper. Prefer `from_estimator`.

    Parameters
    ----------
    xx, yy, response : ndarray of shape (n_y, n_x), (n_y, n_x), (n_y, n_x, n_classes)
        Grid, as of `numpy.meshgrid`, in raw units; predicted probabilities on it.
    points, labels : ndarray of shape (n, 2) and (n,)
        Samples and their classes.
    paths : ndarray of shape (n_factuals, n_states, 2)
        From each factual to its counterfactual.
    target, valid : ndarray of shape (n_factuals,)
        Label asked for; whether the end of the path is a valid counterfactual.
    classes : ndarray of shape (n_classes,)
    feature_names : sequence of str, default=("feature 0", "feature 1")
    mutability : sequence of str, default=("both", "both")
        "both", "increase", "decrease" or "none" for each feature.

    Attributes
    ----------
    surface_, paths_, factuals_, counterfactuals_, failed_ : matplotlib artists
        Ends of paths that are not valid are in `failed_`; None without any.
    points_ : list of matplotlib PathCollection, one per class
    colorbar_ : matplotlib Colorbar, or None except for two classes

    Examples
    --------
    >>> from sklearn.datasets import make_moons
    >>> from skct import CounterfactualTrainingClassifier
    >>> from skct.plotting import DecisionSurfaceDisplay
    >>> X, y = make_moons(100, noise=0.1, random_state=0)
    >>> clf = CounterfactualTrainingClassifier(mutability={0: "none"}, random_state=0)
    >>> clf = clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y)
    >>> factuals = X[clf.predict(X) == 0][:5]
    >>> display = DecisionSurfaceDisplay.from_estimator(clf, X, y, factuals, target=1)
    >>> display.ax_.get_xlabel()
    'feature 0 (immutable)'
    """

    def __init__(
        self,
        xx: np.ndarray,
        yy: np.ndarray,
        response: np.ndarray,
        points: np.ndarray,
        labels: np.ndarray,
        paths: np.ndarray,
        *,
        target: np.ndarray,
        valid: np.ndarray,
        classes: np.ndarray,
        feature_names: Sequence[str] = ("feature 0", "feature 1"),
        mutability: Sequence[str] = ("both", "both"),
    ):
        self.xx, self.yy, self.response = xx, yy, response
        self.points, self.labels, self.paths = points, labels, paths
        self.target, self.valid, self.classes = target, valid, classes
        self.feature_names, self.mutability = feature_names, mutability

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        explanation: CounterfactualExplanation | ArrayLike,
        *,
        target: Any = None,
        grid_resolution: int = 200,
        ax: Any = None,
    ) -> Self:
        """Search paths and probabilities of a fitted model on two numeric columns.

        Parameters
        ----------
        estimator : CounterfactualTrainingClassifier or CounterfactualExplainer
            Fitted; or a Pipeline that ends in a fitted classifier. An explainer brings
            its own mutability, domain and generator.
        X : DataFrame or array-like of shape (n, 2)
            Samples to show, in raw units.
        y : array-like of shape (n,)
        explanation : CounterfactualExplanation, or table of shape (n_factuals, 2)
            Counterfactuals of this estimator, or factuals to explain.
        target : label or array-like, optional
            As in `explain`, where factuals are given.
        grid_resolution : int, default=200
            Grid points per axis.
        ax : matplotlib Axes, optional

        Notes
        -----
        Factuals are explained with ``refine=False`` if a classifier is given, so that
        paths end where the search did. A refined one adds a last, straight step.
        """
        check_count("grid_resolution", grid_resolution, low=2)
        explainer = as_explainer(estimator, refine=False)
        model, table = explainer.inspect(X)
        check_two_numeric_columns(model.space)
        check_consistent_length(X, y)
        label_codes(np.asarray(y), model.classes)
        if not isinstance(explanation, CounterfactualExplanation):
            explanation = explainer.explain(explanation, target)
        paths = search_paths(model, explanation)
        points = model.space.numbers(table)
        everything = np.concatenate([points, paths.reshape(-1, 2)])
        low, high = everything.min(0), everything.max(0)
        margin = 0.05 * (high - low)
        grid = surface(model, table, low - margin, high + margin, grid_resolution)
        names = model.space.feature_names
        return cls(
            *grid,
            points,
            np.asarray(y),
            paths,
            target=explanation.target,
            valid=explanation.valid,
            classes=model.classes,
            feature_names=[n if isinstance(n, str) else f"feature {n}" for n in names],
            mutability=[rule.mutability for rule in model.rules],
        ).plot(ax=ax)

    def _layout(self) -> dict[str, Any]:
        return {"figsize": (6.0, 4.8)}

    def _draw(self, axes: np.ndarray) -> None:
        ax = self.ax_ = axes[0, 0]
        self._draw_surface(ax)
        self._draw_points(ax)
        self._draw_paths(ax)
        ax.set_xlabel(self.feature_names[0])
        ax.set_ylabel(self.feature_names[1])
        mark_directions(ax, self.mutability)
        draw_legend(ax)

    def _draw_surface(self, ax: Any) -> None:
        """Probability as colour; thick lines where the prediction changes."""
        colours = class_colours(self.classes)
        extent = (*self.xx[0, [0, -1]], *self.yy[[0, -1], 0])
        style: dict[str, Any] = {"extent": extent, "origin": "lower", "aspect": "auto"}
        style["interpolation"] = "bilinear"
        self.colorbar_ = None
        if len(self.classes) == 2:
            style |= {"cmap": diverging(*colours.values()), "vmin": 0, "vmax": 1}
            self.surface_ = ax.imshow(self.response[..., 1], alpha=0.5, **style)
            label = f"Predicted probability of {self.classes[1]}"
            self.colorbar_ = ax.figure.colorbar(self.surface_, ax=ax, label=label)
        else:
            self.surface_ = ax.imshow(blend(self.response, colours), **style)
        ordered = np.sort(self.response, axis=-1)
        lead = ordered[..., -1] - ordered[..., -2]
        winner = self.response.argmax(-1)
        # The boundary of a class is where its lead over the best other class changes
        # sign. With two classes both boundaries are the same line.
        for k in range(len(self.classes) - 1 if self.colorbar_ else len(self.classes)):
            height = np.where(winner == k, lead, -lead)
            if height.min() < 0 < height.max():
                line = {"levels": [0], "colors": "0.25", "linewidths": 1.2}
                ax.contour(self.xx, self.yy, height, **line)

    def _draw_points(self, ax: Any) -> None:
        style = {"s": 14, "edgecolors": "white", "linewidths": 0.4, "zorder": 2}
        self.points_ = [
            ax.scatter(
                *self.points[self.labels == label].T, color=colour, label=label, **style
            )
            for label, colour in class_colours(self.classes).items()
        ]

    def _draw_paths(self, ax: Any) -> None:
        from matplotlib.collections import LineCollection

        self.paths_ = LineCollection(
            list(self.paths), colors="black", linewidths=0.9, label="search", zorder=3
        )
        ax.add_collection(self.paths_)
        colours = class_colours(self.classes)
        ends, style = self.paths[:, -1], {"edgecolors": "black", "zorder": 4}
        self.factuals_ = ax.scatter(
            *self.paths[:, 0].T, s=34, color="white", label="factual", **style
        )
        self.counterfactuals_ = ax.scatter(
            *ends[self.valid].T,
            s=130,
            marker="*",
            color=[colours[label] for label in self.target[self.valid]],
            linewidths=0.8,
            label="counterfactual",
            **style,
        )
        self.failed_ = None
        if not self.valid.all():
            style = {"marker": "x", "color": "black"}
            style["label"] = "no valid counterfactual"
            self.failed_ = ax.scatter(*ends[~self.valid].T, s=40, zorder=4, **style)


def check_two_numeric_columns(space: FeatureSpace) -> None:
    """Raise unless a model takes two numeric columns."""
    n = len(space.feature_names)
    if n != 2:
        raise ValueError(
            "DecisionSurfaceDisplay needs a model of 2 features. This one was fitted "
            f"on {n} features."
        )
    words = [str(c.name) for c in space.columns if c.categories is not None]
    if words:
        raise ValueError(
            f"DecisionSurfaceDisplay needs numeric columns. {words} hold categories."
        )


def search_paths(
    model: ExplainedModel, explanation: CounterfactualExplanation
) -> np.ndarray:
    """Search paths in raw units, of shape (n, n_states, n_features).

    From the factuals through the states of the search to the counterfactuals. Of rows
    that were not searched, and where alternatives are listed, only the ends are known.
    """
    factual = explanation.factual
    ends = (dense(t) for t in (factual, explanation.counterfactual))
    start, end = (model.space.numbers(t)[:, None] for t in ends)
    searched = explanation.n_iter > 0
    if explanation.alternative is not None or not searched.any():
        return np.concatenate([start, end], axis=1)
    device = module_device(model.module)
    states = trace(
        model.module,
        torch.from_numpy(model.space.encode(factual)).to(device),
        torch.from_numpy(label_codes(explanation.target, model.classes)).to(device),
        model.generator,
        model.constraints.to(device),
    )
    states = states.cpu().numpy()
    rows = np.tile(np.arange(states.shape[1]), len(states))
    flat = states.reshape(-1, *states.shape[2:])
    table = model.space.decode(flat, take(factual, rows), model.rules)
    raw = model.space.numbers(table).reshape(len(states), states.shape[1], -1)
    path = np.where(searched[:, None, None], raw.swapaxes(0, 1), start)
    return np.concatenate([path, end], axis=1)


def surface(
    model: ExplainedModel, X: Any, low: np.ndarray, high: np.ndarray, resolution: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grid between two corners, and the class probabilities on it."""
    xx, yy = np.meshgrid(*np.linspace(low, high, resolution).T)
    grid = np.column_stack([xx.ravel(), yy.ravel()])
    if hasattr(X, "columns"):
        grid = pd.DataFrame(grid, columns=X.columns)
    logits = batched_logits(model.module, model.space.encode(grid))
    return xx, yy, logits.softmax(1).numpy().reshape(*xx.shape, -1)


def diverging(low: str, high: str) -> "Colormap":
    """Colour map from one colour over white to another."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("two classes", [low, "white", high])


def blend(response: np.ndarray, colours: dict) -> np.ndarray:
    """Colour of the winning class, the paler the less sure."""
    from matplotlib.colors import to_rgb

    rgb = np.array([to_rgb(colour) for colour in colours.values()])
    floor = 1 / len(rgb)  # the least probability of a winning class
    # White at the floor; at most 0.55, so that the points stand out.
    strength = 0.55 * (response.max(-1, keepdims=True) - floor) / (1 - floor)
    return 1 - strength * (1 - rgb[response.argmax(-1)])


def mark_directions(ax: "Axes", mutability: Sequence[str]) -> None:
    """Write on both axes in which direction a feature cannot move."""
    texts = {"increase": "can only increase", "decrease": "can only decrease"}
    texts["none"] = "immutable"
    for axis, direction in zip((ax.xaxis, ax.yaxis), mutability, strict=True):
        if direction in texts:
            axis.set_label_text(f"{axis.get_label_text()} ({texts[direction]})")
    if any(direction in texts for direction in mutability):
        draw_compass(ax, mutability)


def draw_compass(ax: "Axes", mutability: Sequence[str]) -> None:
    """Arrows where a point can go, crosses where it cannot."""
    from matplotlib.lines import Line2D
    from matplotlib.offsetbox import AnchoredOffsetbox, DrawingArea
    from matplotlib.patches import FancyArrowPatch

    area = DrawingArea(40, 40)
    directions = ((1, 0), (-1, 0), (0, 1), (0, -1))
    needed = ("increase", "decrease") * 2
    allowed = np.repeat(mutability, 2)
    for (x, y), given, need in zip(directions, allowed, needed, strict=True):
        if given in ("both", need):
            tip = 20 + 17 * x, 20 + 17 * y
            arrow: dict[str, Any] = {
                "arrowstyle": "-|>",
                "mutation_scale": 9,
                "color": "black",
            }
            area.add_artist(FancyArrowPatch((20, 20), tip, shrinkA=0, **arrow))
        else:
            cross: dict[str, Any] = {"marker": "x", "markersize": 6, "color": "0.4"}
            cross["linestyle"] = ""
            area.add_artist(Line2D([20 + 11 * x], [20 + 11 * y], **cross))
    box = AnchoredOffsetbox("lower left", child=area, pad=0.1, borderpad=0.3)
    box.patch.set(alpha=0.85, edgecolor="0.7")
    ax.add_artist(box)


def draw_legend(ax: "Axes") -> None:
    """Legend under the axes, a fixed distance below the label."""
    from matplotlib.transforms import ScaledTranslation

    below = ScaledTranslation(0, -42 / 72, ax.figure.dpi_scale_trans)
    place = {"bbox_to_anchor": (0.5, 0), "bbox_transform": ax.transAxes + below}
    style = {"ncols": 3, "frameon": False, "borderaxespad": 0, "fontsize": 9}
    ax.legend(loc="upper center", **place, **style)
