"""How users write mutability and domain: words, bounds, names and positions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..utils.validation import MUTABILITY_WORDS, is_number, unknown_name

__all__ = [
    "check_bounds",
    "check_word",
    "resolve_domain",
    "resolve_mutability",
    "resolve_once",
    "resolve_position",
]


def resolve_position(key: Any, names: Sequence[Any] | np.ndarray, where: str) -> int:
    """Position of a feature given by name, or by position where there are no names."""
    matches = [i for i, name in enumerate(names) if name == key]
    if len(matches) == 1:
        return matches[0]
    if len(matches) > 1:
        raise ValueError(
            f"The name {key!r} in {where} stands for {len(matches)} columns; rename "
            "them or use positions."
        )
    is_position = isinstance(key, (int, np.integer)) and not isinstance(key, bool)
    if is_position and -len(names) <= key < len(names):
        return int(key) % len(names)
    raise unknown_name("feature", key, list(names), where)


def resolve_once(
    key: Any, names: Sequence[Any] | np.ndarray, where: str, seen: dict[int, Any]
) -> int:
    """Position of a feature that no earlier key of the dict stands for."""
    position = resolve_position(key, names, where)
    if position in seen:
        raise ValueError(
            f"{seen[position]!r} and {key!r} in {where} are the same feature; list it "
            "once."
        )
    seen[position] = key
    return position


def resolve_mutability(
    mutability: Mapping[Any, str] | ArrayLike | None,
    names: Sequence[Any] | np.ndarray,
    shape: tuple[int, ...],
) -> np.ndarray:
    """One mutability word per feature, as a flat object array."""
    words = np.full(len(names), "both", dtype=object)
    if mutability is None:
        return words
    if isinstance(mutability, str):
        raise ValueError(
            "The 'mutability' parameter must be a dict from feature to word, or one "
            f"word per feature. Got the string {mutability!r} instead; for all "
            f"features alike use [{mutability!r}] * n_features."
        )
    if hasattr(mutability, "items"):
        seen: dict[int, Any] = {}
        for key, word in mutability.items():
            position = resolve_once(key, names, "mutability", seen)
            words[position] = check_word(key, word)
        return words
    given = np.asarray(mutability, dtype=object)
    if given.ndim == 0:
        raise ValueError(
            "The 'mutability' parameter must be a dict from feature to word, or one "
            f"word per feature. Got {mutability!r} instead."
        )
    listed = set(given.ravel().tolist())
    if listed and listed <= set(names) - set(MUTABILITY_WORDS):
        frozen = dict.fromkeys(given.ravel().tolist(), "none")
        raise ValueError(
            "The 'mutability' parameter lists names of columns, but says nothing of "
            f"them; to keep them as they are, pass {frozen!r}."
        )
    if given.shape != tuple(shape):
        raise ValueError(
            f"The 'mutability' array has shape {given.shape}, but one row of X has "
            f"shape {tuple(shape)}; give one word per feature, or a dict."
        )
    for position, word in enumerate(given.ravel()):
        words[position] = check_word(names[position], word)
    return words


def check_word(feature: Any, word: Any) -> str:
    """Check one mutability word."""
    if not isinstance(word, str) or word not in MUTABILITY_WORDS:
        allowed = ", ".join(repr(w) for w in MUTABILITY_WORDS)
        raise ValueError(
            f"The mutability of feature {feature!r} must be one of {allowed}. "
            f"Got {word!r} instead."
        )
    return word


def resolve_domain(
    domain: Mapping[Any, tuple[float | None, float | None]] | None,
    names: Sequence[Any] | np.ndarray,
) -> dict[int, tuple[float | None, float | None]]:
    """Bounds by position, for the listed features only."""
    if domain is None:
        return {}
    if not hasattr(domain, "items"):
        raise ValueError(
            "The 'domain' parameter must be 'auto', None or a dict from feature to "
            f"(low, high) or to allowed categories. Got {domain!r} instead."
        )
    resolved: dict[int, tuple[float | None, float | None]] = {}
    seen: dict[int, Any] = {}
    for key, bounds in domain.items():
        position = resolve_once(key, names, "domain", seen)
        resolved[position] = check_bounds(key, bounds)
    return resolved


def check_bounds(feature: Any, bounds: Any) -> tuple[float | None, float | None]:
    """Check one pair (low, high) of a numeric feature."""
    pair = tuple(bounds) if isinstance(bounds, (tuple, list, np.ndarray)) else ()
    if len(pair) != 2 or not all(b is None or is_number(b) and b == b for b in pair):
        raise ValueError(
            f"The domain of feature {feature!r} must be a pair (low, high) of "
            f"numbers, None for an open end. Got {bounds!r} instead."
        )
    low, high = pair
    if low == np.inf or high == -np.inf:
        raise ValueError(
            f"The domain of feature {feature!r} holds no number. Got {pair!r}; give "
            "None for an open end."
        )
    if low is not None and high is not None and low > high:
        raise ValueError(
            f"The domain of feature {feature!r} must have low <= high. Got "
            f"({low!r}, {high!r}) instead; swap the two."
        )
    return low, high
