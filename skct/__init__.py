"""Counterfactual training: classifiers that give plausible, actionable explanations."""

from ._search import search
from ._version import __version__
from .classifier import CounterfactualTrainingClassifier
from .constraints import Constraints
from .explainer import CounterfactualExplainer
from .explanation import CounterfactualExplanation
from .generators import (
    BaseGenerator,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
)
from .module import MLP
from .net import CounterfactualNet

__all__ = [
    "MLP",
    "BaseGenerator",
    "Constraints",
    "CounterfactualExplainer",
    "CounterfactualExplanation",
    "CounterfactualNet",
    "CounterfactualTrainingClassifier",
    "ECCCoGenerator",
    "GenericGenerator",
    "GravitationalGenerator",
    "REVISEGenerator",
    "__version__",
    "search",
]
