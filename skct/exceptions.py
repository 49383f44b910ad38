"""Warnings that name what happened, how often, and what to change."""

from sklearn.exceptions import ConvergenceWarning

__all__ = [
    "CheckpointWarning",
    "ColumnWarning",
    "ConstraintWarning",
    "DivergenceWarning",
    "ImputationWarning",
    "ReferenceWarning",
    "SearchWarning",
]


class SearchWarning(ConvergenceWarning):
    """Counterfactuals were not needed, or were not found, for some rows."""


class ConstraintWarning(UserWarning):
    """A factual lies outside its domain; it keeps its value."""


class ImputationWarning(UserWarning):
    """The training table had missing values, which were imputed."""


class ColumnWarning(UserWarning):
    """A column is not what it seems to be, or not what it was in training."""


class DivergenceWarning(ConvergenceWarning):
    """Training met a loss or weight that is not finite and stopped early."""


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written; training goes on."""


class ReferenceWarning(UserWarning):
    """A file holds no reference rows, so that explanations may differ."""
