"""Warnings kept quiet for a moment, also where threads run."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["quiet"]


# `warnings.catch_warnings` is global to the process: if two threads leave it in another
# order than they came, filters stay changed for good. So threads take turns. The lock
# is re-entrant: what is kept quiet may keep something quiet itself.
_FILTER_LOCK = threading.RLock()


@contextmanager
def quiet(*categories: type[Warning], message: str = "") -> Iterator[None]:
    """Ignore warnings of these categories whose text starts with `message`.

    Inside, nothing may wait for other threads: they may try to acquire the same lock.
    """
    with _FILTER_LOCK, warnings.catch_warnings():
        for category in categories:
            warnings.filterwarnings("ignore", message, category)
        yield
