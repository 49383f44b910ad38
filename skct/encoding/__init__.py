"""The map between a raw table and the model input, both ways."""

from .space import FeatureSpace

__all__ = ["FeatureSpace"]
