"""Helpers that know nothing of counterfactuals."""
