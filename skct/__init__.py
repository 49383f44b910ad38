"""Counterfactual training: classifiers that give plausible, actionable explanations."""

from .auditing import AuditResult, audit
from .classifier import CounterfactualTrainingClassifier
from .constraints import Constraints
from .explain import CounterfactualExplainer, CounterfactualExplanation
from .generators import (
    BaseGenerator,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
)
from .solvers import search
from .training import (
    MLP,
    CounterfactualNet,
    Objective,
    PaperObjective,
    TeacherObjective,
)
from .utils.version import __version__

__all__ = [
    "MLP",
    "AuditResult",
    "BaseGenerator",
    "Constraints",
    "CounterfactualExplainer",
    "CounterfactualExplanation",
    "CounterfactualNet",
    "CounterfactualTrainingClassifier",
    "ECCCoGenerator",
    "GenericGenerator",
    "GravitationalGenerator",
    "Objective",
    "PaperObjective",
    "REVISEGenerator",
    "TeacherObjective",
    "__version__",
    "audit",
    "search",
]
