"""The net, its objectives, and what it trains on."""

from .mlp import MLP
from .net import CounterfactualNet
from .objective import Objective, Outputs, Searched, SearchTask
from .pairs import Pairs
from .paper import PaperObjective
from .teacher import TeacherObjective

__all__ = [
    "MLP",
    "CounterfactualNet",
    "Objective",
    "Outputs",
    "Pairs",
    "PaperObjective",
    "SearchTask",
    "Searched",
    "TeacherObjective",
]
