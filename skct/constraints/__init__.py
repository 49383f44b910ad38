"""What a counterfactual may change: mutability, domain, categories, integers."""

from .box import Constraints
from .groups import Group

__all__ = ["Constraints", "Group"]
