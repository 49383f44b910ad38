"""The map between a raw table and the model input, both ways."""

from .adapters import TransformerAdapter, register_adapter
from .space import FeatureSpace

__all__ = ["FeatureSpace", "TransformerAdapter", "register_adapter"]
