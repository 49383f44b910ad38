"""What the displays share: their base class, axes and colours.

matplotlib is optional, so it is imported only where something is drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from .validation import wrong

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The palette of Okabe and Ito, which all forms of colour vision can tell apart.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#CC79A7"),
    *("#56B4E9", "#D55E00", "#000000", "#F0E442"),
)


class BaseDisplay:
    """A figure that holds its data.

    `_layout` gives the arguments of `matplotlib.pyplot.subplots`, `_draw` draws on the
    axes that it makes. What was drawn is kept: `figure_`, `ax_` or `axes_`, and more.
    """

    def plot(self, *, ax: Any = None) -> Self:
        """Draw, without showing.

        Parameters
        ----------
        ax : matplotlib Axes, or array of them, optional
            As many as there are panels; None: a new figure.

        Returns
        -------
        self : display
        """
        axes = axes_for(ax, **self._layout())
        self.figure_ = axes[0, 0].figure
        self._draw(axes)
        return self

    def _layout(self) -> dict[str, Any]:
        raise NotImplementedError

    def _draw(self, axes: np.ndarray) -> None:
        raise NotImplementedError


def axes_for(ax: Any, nrows: int = 1, ncols: int = 1, **options: Any) -> np.ndarray:
    """Grid of axes: new ones, or those given, whose number has to fit."""
    if ax is None:
        import matplotlib.pyplot as plt

        options |= {"layout": "constrained", "squeeze": False}
        return plt.subplots(nrows, ncols, **options)[1]
    axes = np.asarray(ax, dtype=object)
    if not all(hasattr(one, "figure") for one in axes.flat):
        raise wrong("ax", "a matplotlib Axes, or an array of them", ax)
    if axes.size != nrows * ncols:
        raise ValueError(
            f"This plot has {nrows * ncols} panels; 'ax' must hold as many Axes. "
            f"Got {axes.size} instead."
        )
    return axes.reshape(nrows, ncols)


def legend_beside(ax: "Axes", title: str | None = None, top: float = 1.0) -> None:
    """Legend to the right of the axes."""
    ax.legend(title=title, loc="upper left", bbox_to_anchor=(1, top), frameon=False)


def draw_grid(ax: "Axes", axis: Literal["both", "x", "y"] = "both") -> None:
    """Pale grid behind what is drawn."""
    ax.grid(axis=axis, color="0.9")
    ax.set_axisbelow(True)


def plot_colours(n: int) -> list:
    """N colours: from the palette, or from viridis where that is too small."""
    if n <= len(COLOURS):
        return list(COLOURS[:n])
    import matplotlib as mpl

    return [tuple(c) for c in mpl.colormaps["viridis"](np.linspace(0, 1, n))]


def class_colours(classes: Sequence | np.ndarray) -> dict:
    """Label -> colour."""
    return dict(zip(list(classes), plot_colours(len(classes)), strict=True))
