"""A fitted classifier as one file without pickle, and back."""

from .classifier import load_classifier, save_classifier

__all__ = ["load_classifier", "save_classifier"]
