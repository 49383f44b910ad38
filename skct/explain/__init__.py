"""Explaining: from a fitted model to counterfactuals in raw units."""

from .explainer import CounterfactualExplainer
from .explanation import CounterfactualExplanation

__all__ = ["CounterfactualExplainer", "CounterfactualExplanation"]
