"""Searching: gradient descent, coordinate steps, refinement."""

from .refine import refine
from .search import SearchResult, search

__all__ = ["SearchResult", "refine", "search"]
