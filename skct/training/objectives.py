"""Objectives by name."""

from __future__ import annotations

from typing import Any

from sklearn.base import clone

from ..utils.validation import wrong
from .objective import Objective
from .paper import PaperObjective
from .teacher import TeacherObjective

__all__ = ["LAMBDAS", "OBJECTIVES", "make_objective", "objective_of"]

LAMBDAS = ("lambda_div", "lambda_adv", "lambda_reg")

OBJECTIVES: dict[str, type[Objective]] = {
    "paper": PaperObjective,
    "teacher": TeacherObjective,
}


def make_objective(objective: Any, **settings: Any) -> Objective:
    """Objective from a name, or a copy of an instance, with other settings if given.

    Raises
    ------
    ValueError
        For another name or type, or a setting that is out of range.
    """
    if isinstance(objective, str) and objective in OBJECTIVES:
        made = OBJECTIVES[objective]()
    elif isinstance(objective, Objective):
        made = clone(objective)
    else:
        allowed = f"one of {list(OBJECTIVES)}, or an instance of an Objective class"
        raise wrong("objective", allowed, objective)
    made.set_params(**settings).check()
    return made


def objective_of(net: Any) -> Objective:
    """Objective of a net, with the settings that the net has been given for it."""
    given = {name: getattr(net, name) for name in LAMBDAS}
    weights = {name: value for name, value in given.items() if value is not None}
    return make_objective(net.objective, **net.get_params_for("objective") | weights)
