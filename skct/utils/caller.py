"""What belongs to the caller: warnings point at his line, torch keeps his settings."""

import contextlib
import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import torch

__all__ = ["in_own_torch", "warn", "warnings_last"]

Function = TypeVar("Function", bound=Callable)

PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
# Decorators around our functions: of contextlib, and scikit-learn's `set_output`.
WRAPPERS = (contextlib.__file__, os.path.join("sklearn", "utils", "_set_output.py"))


# Warnings that wait for the end of what they are about; None: they do not wait.
HELD: ContextVar[list | None] = ContextVar("held", default=None)


@contextlib.contextmanager
def warnings_last() -> Iterator[None]:
    """Let warnings of the package wait; after an error, which comes alone, none comes.

    Otherwise advice on missing values stands in front of every unrelated error.
    """
    if HELD.get() is not None:  # one is enough
        yield
        return
    held: list = []
    token = HELD.set(held)
    try:
        yield
    finally:
        HELD.reset(token)
    for message, category in held:
        warn(message, category)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn about the line that called into the package, however deep this is in it."""
    held = HELD.get()
    if held is not None:
        held.append((message, category))
        return
    frame, level = inspect.currentframe(), 1
    while frame is not None and is_ours(frame.f_code.co_filename):
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
