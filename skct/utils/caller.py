"""What belongs to the caller: warnings point at his line, torch keeps his settings."""

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import torch

__all__ = ["in_own_torch", "warn"]

Function = TypeVar("Function", bound=Callable)

PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
# Decorators around our functions: of contextlib, and scikit-learn's `set_output`.
WRAPPERS = (contextlib.__file__, os.path.join("sklearn", "utils", "_set_output.py"))


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the line that called into the package, however deep this is in it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and is_ours(frame.f_code.co_filename):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def is_ours(path: str) -> bool:
    """Whether a file belongs to the package, or to a decorator around its functions."""
    return path.startswith(PACKAGE) or path.endswith(WRAPPERS)


def in_own_torch(function: Function) -> Function:
    """Decorate what computes with torch, whatever its caller has set.

    Inference mode, which `enable_grad` does not lift, is off, and new tensors are in
    single precision. Both are as they were afterwards.
    """

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.inference_mode(False), single_precision():
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


@contextlib.contextmanager
def single_precision() -> Iterator[None]:
    """Make new tensors float32 where another library has changed that default."""
    before = torch.get_default_dtype()
    if before == torch.float32:  # nothing global is touched
        yield
        return
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
