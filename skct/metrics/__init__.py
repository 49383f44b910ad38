"""Metrics of counterfactuals: pure functions on arrays, computed in float64."""

from .plausibility import implausibility, median_length_scale, mmd
from .recourse import (
    Burden,
    burden,
    confidence_gap,
    cost,
    diversity,
    mad_weights,
    redundancy,
    survival,
    validity,
)

__all__ = [
    "Burden",
    "burden",
    "confidence_gap",
    "cost",
    "diversity",
    "implausibility",
    "mad_weights",
    "median_length_scale",
    "mmd",
    "redundancy",
    "survival",
    "validity",
]
