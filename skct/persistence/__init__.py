"""A fitted classifier as one file without pickle, and back."""

from .mixin import PersistenceMixin

__all__ = ["PersistenceMixin"]
