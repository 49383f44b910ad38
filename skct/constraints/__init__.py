"""What a counterfactual may change: mutability, domain, categories, integers."""

from .box import Constraints, Group

__all__ = ["Constraints", "Group"]
