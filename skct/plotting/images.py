"""`ImageGridDisplay` and `AttributionDisplay`: images and feature attributions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from ..attribution import integrated_gradients
from ..encoding.space import FeatureSpace
from ..explain.explainer import as_explainer
from ..explain.explanation import CounterfactualExplanation
from ..reports.summary import unsure
from ..utils.plotting import COLOURS, BaseDisplay, class_colours, legend_beside
from ..utils.validation import as_floats, check_count, is_integer, label_codes, wrong

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

__all__ = ["AttributionDisplay", "ImageGridDisplay"]

UNITS = {
    "share": "Share of |attribution| (%)",
    "absolute": "Mean |attribution| (logits)",
    "signed": "Mean attribution (logits)",
}


class ImageGridDisplay(BaseDisplay):
    """Factual images beside their counterfactuals, Fig. 3 of the paper.

    One row per factual; in columns the factual (framed), the counterfactuals of each
    method or target and, if wanted, the differences.

    Parameters
    ----------
    factual : array-like of shape (n, height, width)
        Or (n, 1, height, width), or (n, height * width) with `image_shape`.
    counterfactual : array-like like `factual`, or dict of them
        Column heading -> images.
    image_shape : (height, width), optional
        For flat images.
    predicted : array-like of shape (n,), optional
        Labels of the factuals, written above them.
    target : array-like of shape (n,), or dict of them, optional
        Labels of the counterfactuals, written above them.
    row_labels : sequence of str, optional
    difference : bool, default=False
        Add counterfactual minus factual (red: brighter, blue: darker).

    Attributes
    ----------
    images_ : dict of matplotlib AxesImage, by (row, column)

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skct.plotting import ImageGridDisplay
    >>> digits = load_digits().images
    >>> display = ImageGridDisplay(digits[:2], {"CT": digits[2:4]}, target=[2, 3])
    >>> len(display.plot().images_)
    4
    """

    def __init__(
        self,
        factual: ArrayLike,
        counterfactual: ArrayLike | dict[str, ArrayLike],
        *,
        image_shape: tuple[int, int] | None = None,
        predicted: Sequence | np.ndarray | None = None,
        target: Sequence | np.ndarray | dict[str, Any] | None = None,
        row_labels: Sequence[str] | None = None,
        difference: bool = False,
    ):
        if not isinstance(counterfactual, dict):
            counterfactual = {"counterfactual": counterfactual}
        if not isinstance(target, dict):
            target = dict.fromkeys(counterfactual, target)
        self.factual = as_images(factual, image_shape, "factual")
        self.counterfactual = {
            name: as_images(images, image_shape, f"counterfactual {name!r}")
            for name, images in counterfactual.items()
        }
        for name, images in self.counterfactual.items():
            if images.shape != self.factual.shape:
                raise ValueError(
                    f"The counterfactuals {name!r} have shape {images.shape}, the "
                    f"factuals {self.factual.shape}."
                )
        self.target, self.predicted = target, predicted
        self.row_labels, self.difference = row_labels, difference

    @classmethod
    def from_explanation(
        cls,
        explanation: CounterfactualExplanation | dict[str, CounterfactualExplanation],
        *,
        image_shape: tuple[int, int] | None = None,
        difference: bool = False,
        max_rows: int = 8,
        ax: Any = None,
    ) -> Self:
        """Draw the images of one or several explanations of the same factuals.

        Parameters
        ----------
        explanation : CounterfactualExplanation, or dict of them
            Column heading (method or target) -> explanation.
        image_shape, difference
            As above.
        max_rows : int, default=8
            Rows to show.
        ax : matplotlib Axes, optional
        """
        if not isinstance(explanation, dict):
            explanation = {"counterfactual": explanation}
        check_count("max_rows", max_rows)
        for given in explanation.values() or [None]:
            if not isinstance(given, CounterfactualExplanation):
                allowed = "a CounterfactualExplanation, or a dict of them"
                raise wrong("explanation", allowed, type(given).__name__)
        shown = {name: e[:max_rows] for name, e in explanation.items()}
        first = next(iter(shown.values()))
        for name, other in shown.items():
            if not np.array_equal(np.asarray(other.factual), np.asarray(first.factual)):
                raise ValueError(
                    f"The explanation {name!r} is about other factuals than the first; "
                    "explain the same rows."
                )
        return cls(
            first.factual,
            {name: e.counterfactual for name, e in shown.items()},
            image_shape=image_shape,
            predicted=first.predicted if len(shown) == 1 else None,
            target={name: target_labels(e) for name, e in shown.items()},
            row_labels=[f"row {row}" for row in first.row],
            difference=difference,
        ).plot(ax=ax)

    def _layout(self) -> dict[str, Any]:
        n_columns = 1 + len(self.counterfactual) * (1 + self.difference)
        return {"figsize": (0.8 + 1.1 * n_columns, 0.5 + 1.25 * len(self.factual))}

    def _draw(self, axes: np.ndarray) -> None:
        ax = self.ax_ = axes[0, 0]
        names, styles, stacks, captions = zip(*self._columns(), strict=True)
        self.images_ = draw_mosaic(ax, stacks, styles, captions)
        for i in range(len(self.factual)):
            draw_frame(ax, self.images_[i, 0])
        ax.set_xticklabels(names)
        blank = [""] * len(self.factual)
        ax.set_yticklabels(blank if self.row_labels is None else self.row_labels)

    def _columns(self) -> list[tuple]:
        """Heading, style, images and captions of each column."""
        blank, stacks = [""] * len(self.factual), self.counterfactual
        everything = np.stack([self.factual, *stacks.values()])
        grey = {"cmap": "gray", "vmin": everything.min(), "vmax": everything.max()}
        labels = blank if self.predicted is None else map(str, self.predicted)
        columns = [("factual", grey, self.factual, list(labels))]
        for name, images in stacks.items():
            labels = self.target.get(name)
            if labels is not None:
                labels = [f"\N{RIGHTWARDS ARROW} {label}" for label in labels]
            columns.append((str(name), grey, images, labels or blank))
        if self.difference:
            largest = np.abs(everything - self.factual).max() or 1.0
            signed = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest}
            for name, images in stacks.items():
                change = images - self.factual
                columns.append((f"{name}\nchange", signed, change, blank))
        return columns


class AttributionDisplay(BaseDisplay):
    """Feature attributions by class, Fig. 4 of the paper.

    Bars per feature for tables, a heat map per class for images.

    Parameters
    ----------
    attribution : array-like of shape (n_classes, *features)
        Mean attribution per class.
    classes : sequence of shape (n_classes,)
    feature_names : sequence of str, optional
        For tables.
    protected : array-like of bool of shape (*features,), optional
        Immutable features, which are marked.
    image_shape : (height, width), optional
        Draw heat maps.
    unit : str, optional
        Says what is shown; if left out, the mean absolute attribution.

    Attributes
    ----------
    bars_ : list of matplotlib BarContainer, one per class; tables only
    images_ : dict of matplotlib AxesImage, by (0, column); images only

    Examples
    --------
    >>> from skct.plotting import AttributionDisplay
    >>> display = AttributionDisplay(
    ...     [[0.2, 0.8], [0.1, 0.9]], ["no", "yes"], ["age", "income"],
    ...     protected=[True, False],
    ... )
    >>> [label.get_text() for label in display.plot().ax_.get_yticklabels()]
    ['age (protected)', 'income']
    """

    def __init__(
        self,
        attribution: ArrayLike,
        classes: Sequence | np.ndarray,
        feature_names: Sequence[str] | np.ndarray | None = None,
        *,
        protected: ArrayLike | None = None,
        image_shape: tuple[int, int] | None = None,
        unit: str = "Mean |attribution|",
    ):
        attribution = as_floats("attribution", attribution)
        if image_shape is not None:
            attribution = as_images(attribution, image_shape, "attribution")
        elif attribution.ndim != 2:
            raise ValueError(
                "attribution must have shape (n_classes, n_features), or come with "
                f"image_shape. Got {attribution.shape} instead."
            )
        if not hasattr(classes, "__len__"):
            raise wrong("classes", "a sequence of labels", classes)
        if len(attribution) != len(classes):
            raise ValueError(
                f"attribution has {len(attribution)} rows for {len(classes)} classes."
            )
        shape = attribution.shape[1:]
        if protected is None:
            protected = np.zeros(shape, dtype=bool)
        if feature_names is None:
            feature_names = [f"feature {j}" for j in range(np.prod(shape))]
        given: dict[str, Any] = {"feature_names": feature_names, "protected": protected}
        for name, values in given.items():
            if np.size(values) != np.prod(shape):
                allowed = f"one value for each of {np.prod(shape)} features"
                raise wrong(name, allowed, values)
        self.attribution, self.classes = attribution, list(classes)
        self.feature_names = [str(name) for name in feature_names]
        self.protected = np.reshape(protected, shape).astype(bool)
        self.image_shape, self.unit = image_shape, unit

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        X: ArrayLike,
        y: ArrayLike,
        *,
        kind: str = "share",
        image_shape: tuple[int, int] | None = None,
        ax: Any = None,
    ) -> Self:
        """Integrated gradients of each row's own class, averaged by class.

        Attributions of encoded columns are added up to raw columns.

        Parameters
        ----------
        estimator : CounterfactualTrainingClassifier
            Fitted; or an explainer around one, or a Pipeline that ends in one. Columns
            that it may not change at all are marked as protected.
        X : DataFrame or array-like of shape (n, *features)
        y : array-like of shape (n,)
        kind : {"share", "absolute", "signed"}, default="share"
            "absolute": mean absolute attribution to the logit. "share": the same in %
            of its sum over features, which compares between models. "signed": mean
            attribution.
        image_shape : (height, width), optional
            Draw heat maps.
        ax : matplotlib Axes, optional
        """
        if kind not in UNITS:
            raise ValueError(
                f"The 'kind' parameter must be one of {list(UNITS)}. Got {kind!r} "
                "instead."
            )
        model, table = as_explainer(estimator).inspect(X)
        codes = label_codes(np.asarray(y), model.classes)
        encoded = model.space.encode(table)
        raw = by_column(model.space, integrated_gradients(model.module, encoded, codes))
        return cls(
            by_class(raw, codes, model.classes, kind),
            model.classes,
            model.space.feature_names,
            protected=[rule.mutability == "none" for rule in model.rules],
            image_shape=image_shape,
            unit=UNITS[kind],
        ).plot(ax=ax)

    def _layout(self) -> dict[str, Any]:
        n, size = len(self.classes), self.attribution[0].size
        if self.image_shape is not None:
            return {"figsize": (1.2 * n + 0.8, 1.9)}
        return {"figsize": (6.0, 1.2 + size * max(0.3, 0.12 * n))}

    def _draw(self, axes: np.ndarray) -> None:
        ax = self.ax_ = axes[0, 0]
        draw = self._draw_bars if self.image_shape is None else self._draw_images
        draw(ax)

    def _draw_bars(self, ax: "Axes") -> None:
        n_classes, n = self.attribution.shape
        height, self.bars_ = 0.8 / n_classes, []
        for k, (label, colour) in enumerate(class_colours(self.classes).items()):
            place = np.arange(n) - 0.4 + (k + 0.5) * height
            style = {"height": height, "color": colour, "label": str(label)}
            self.bars_.append(ax.barh(place, self.attribution[k], **style))
        names = list(self.feature_names)
        for j in np.flatnonzero(self.protected):
            ax.axhspan(j - 0.5, j + 0.5, color="0.92", zorder=0)
            names[j] += " (protected)"
        ax.set_yticks(range(n), names)
        ax.set_ylim(n - 0.5, -0.5)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_xlabel(self.unit)
        ax.spines[["top", "right"]].set_visible(False)
        legend_beside(ax, "Class")

    def _draw_images(self, ax: "Axes") -> None:
        from matplotlib.collections import LineCollection

        high, low, cmap = np.abs(self.attribution).max() or 1.0, 0, "viridis"
        colour = COLOURS[5]
        if (self.attribution < 0).any():
            low, cmap, colour = -high, "RdBu_r", "black"
        style = {"cmap": cmap, "vmin": low, "vmax": high}
        stacks = self.attribution[:, None]
        self.images_ = draw_mosaic(ax, stacks, [style] * len(stacks))
        edges = np.array(edges_of(self.protected)).reshape(-1, 2, 2)
        for image in self.images_.values():
            shifted = edges + [image.get_extent()[0], 0]
            ax.add_collection(LineCollection(shifted, colors=colour, linewidths=1.3))
        ax.set_xticklabels([str(label) for label in self.classes])
        ax.set_yticks([])
        shown = self.images_[0, 0]
        ax.figure.colorbar(shown, ax=ax, label=self.unit, fraction=0.02, pad=0.01)
        if self.protected.any():
            ax.set_xlabel("Class (framed: protected pixels)")


def target_labels(explanation: CounterfactualExplanation) -> list[str]:
    """Target labels, with a note where a counterfactual is not what was asked for."""
    notes = np.where(unsure(explanation), " (unsure)", "")
    notes = np.where(explanation.valid, notes, " (failed)")
    return [f"{t}{note}" for t, note in zip(explanation.target, notes, strict=True)]


def as_images(
    values: ArrayLike, image_shape: tuple[int, int] | None, name: str
) -> np.ndarray:
    """Images of shape (n, height, width) from the forms in which they are kept."""
    values = as_floats(name, values)
    if image_shape is not None:
        if np.shape(image_shape) != (2,) or not all(map(is_integer, image_shape)):
            raise wrong("image_shape", "None or (height, width)", image_shape)
        if values[:1].size not in (0, np.prod(image_shape)):
            raise ValueError(
                f"The 'image_shape' {tuple(image_shape)} does not fit {name} of shape "
                f"{values.shape}; give (height, width) of one image."
            )
        return values.reshape(len(values), *image_shape)
    if values.ndim == 4 and values.shape[1] == 1:
        return values[:, 0]
    if values.ndim != 3:
        raise ValueError(
            f"{name} must have shape (n, height, width), (n, 1, height, width), or "
            f"(n, height * width) with image_shape. Got {values.shape} instead."
        )
    return values


def draw_mosaic(
    ax: "Axes",
    stacks: Sequence[np.ndarray] | np.ndarray,
    styles: Sequence[dict],
    captions: Sequence | None = None,
) -> dict:
    """Columns of images on one Axes; the drawn images by (row, column).

    Each column has images, a style for `imshow` and, where wanted, captions.
    """
    (n_rows, height, width), n_columns = stacks[0].shape, len(stacks)
    captions = [] if captions is None else captions
    written = any(map(any, captions))
    pitch_x, pitch_y = 1.12 * width, (1.25 if written else 1.08) * height
    drawn = {}
    for i, j in np.ndindex(n_rows, n_columns):
        left, top = j * pitch_x, i * pitch_y
        extent = (left, left + width, top + height, top)
        drawn[i, j] = ax.imshow(stacks[j][i], extent=extent, **styles[j])
        if written:
            place: dict[str, Any] = {"ha": "center", "va": "bottom", "fontsize": 8}
            ax.text(left + width / 2, top - 0.03 * height, captions[j][i], **place)
    margin, head = 0.02 * width, 0.2 * height * written
    ax.set_xlim(-margin, (n_columns - 1) * pitch_x + width + margin)
    ax.set_ylim((n_rows - 1) * pitch_y + height + margin, -margin - head)
    ax.set_aspect("equal")
    ax.set_xticks(np.arange(n_columns) * pitch_x + width / 2)
    ax.set_yticks(np.arange(n_rows) * pitch_y + height / 2)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return drawn


def draw_frame(ax: "Axes", image: "AxesImage") -> None:
    """Frame around one image of a mosaic."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = image.get_extent()
    style: dict[str, Any] = {"fill": False, "edgecolor": COLOURS[0], "linewidth": 2}
    ax.add_patch(Rectangle((left, top), right - left, bottom - top, **style))


def edges_of(mask: np.ndarray) -> list:
    """Line segments around the marked pixels, in pixels, upper left corner (0, 0)."""
    # An edge is where neighbouring pixels differ; the rim counts as not marked.
    padded = np.pad(mask, 1)
    across = np.argwhere(padded[1:, 1:-1] != padded[:-1, 1:-1])
    down = np.argwhere(padded[1:-1, 1:] != padded[1:-1, :-1])
    return [[(x, y), (x + 1, y)] for y, x in across] + [
        [(x, y), (x, y + 1)] for y, x in down
    ]


def by_column(space: FeatureSpace, attribution: np.ndarray) -> np.ndarray:
    """Attributions of raw columns: sums over their encoded columns."""
    flat = attribution.reshape(len(attribution), -1)
    raw = np.zeros((len(flat), len(space.feature_names)))
    # Unlike `raw[:, owner] += flat`, this adds up repeated indices.
    np.add.at(raw.T, space.owner, flat.T)
    return raw


def by_class(
    attribution: np.ndarray, codes: np.ndarray, classes: np.ndarray, kind: str
) -> np.ndarray:
    """Mean over the rows of each class."""
    counts = np.bincount(codes, minlength=len(classes))
    if (counts == 0).any():
        empty = [str(label) for label in np.asarray(classes)[counts == 0]]
        raise ValueError(
            f"y has no rows of the classes {empty}; every class needs some."
        )
    values = attribution if kind == "signed" else np.abs(attribution)
    means = np.stack([values[codes == k].mean(0) for k in range(len(classes))])
    if kind == "share":
        means *= 100 / np.maximum(means.sum(1, keepdims=True), 1e-12)
    return means
