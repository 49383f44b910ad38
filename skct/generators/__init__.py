"""Generators: what the search minimises besides the class loss."""

from .base import BaseGenerator, SearchState
from .eccco import ECCCoGenerator
from .generic import GenericGenerator
from .gravitational import GravitationalGenerator
from .registry import make_generator
from .revise import REVISEGenerator

__all__ = [
    "BaseGenerator",
    "ECCCoGenerator",
    "GenericGenerator",
    "GravitationalGenerator",
    "REVISEGenerator",
    "SearchState",
    "make_generator",
]
