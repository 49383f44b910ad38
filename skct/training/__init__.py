"""The net, its objective, and what it trains on."""

from .mlp import MLP
from .net import CounterfactualNet

__all__ = ["CounterfactualNet", "MLP"]
