"""How the value of a cell is written."""

import re
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["is_missing", "show", "show_change", "to_json_value", "visible"]


# Control characters, lone surrogates, and marks that reorder the text around them.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def to_json_value(value: Any) -> bool | int | float | str | None:
    """A cell as a type that JSON knows."""
    if is_missing(value):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def is_missing(value: Any) -> bool:
    """Whether a cell holds None, NaN, NaT or NA."""
    return value is None or (np.ndim(value) == 0 and bool(pd.isna(value)))


def show(value: Any, digits: int = 5) -> str:
    """A cell as text: floats in five digits, dates without an empty time."""
    if is_missing(value):
        return "missing"
    if isinstance(value, (float, np.floating)):
        return show_float(float(value), digits)
    if isinstance(value, tuple):  # labels of a MultiIndex
        return ", ".join(show(part, digits) for part in value)
    if isinstance(value, np.datetime64):
        value = pd.Timestamp(value)
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return value.date().isoformat()
    text = visible(str(value))
    return text if text.strip() else repr(text)


def show_float(value: float, digits: int) -> str:
    """A float in `digits` significant digits, without cutting off whole ones."""
    if 10**digits - 0.5 <= abs(value) < 1e15:
        return f"{value:.0f}"
    return f"{value + 0.0:.{digits}g}"  # + 0.0: there is no minus zero


def show_change(old: Any, new: Any) -> tuple[str, str]:
    """Two different cells as texts, in as many digits as show the difference."""
    for digits in (5, 9, 17):
        texts = show(old, digits), show(new, digits)
        if texts[0] != texts[1]:
            break
    return texts


def visible(text: str) -> str:
    r"""Text with unsafe characters written out, such as a line break as ``\n``."""
    return UNSAFE.sub(lambda match: ascii(match.group())[1:-1], text)
