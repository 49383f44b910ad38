"""Display classes; matplotlib is imported only when something is drawn.

A display holds its data; `plot` draws it and keeps what was drawn: `figure_`, `ax_` (or
`axes_`, an array, where there are several panels) and artists. The `from_...` methods
compute the data, plot, and return the display.

Figures of the paper are those of Altmeyer et al., "Counterfactual Training: Teaching
Models Plausible and Actionable Explanations", 2026.
"""

from ..reports.heatmap import RecourseDisplay
from .audit import AuditDisplay
from .curves import HistoryDisplay, RobustAccuracyDisplay
from .images import AttributionDisplay, ImageGridDisplay
from .surface import DecisionSurfaceDisplay

__all__ = [
    "AttributionDisplay",
    "AuditDisplay",
    "DecisionSurfaceDisplay",
    "HistoryDisplay",
    "ImageGridDisplay",
    "RecourseDisplay",
    "RobustAccuracyDisplay",
]
