"""Seeds and torch's random state, without a trace in the global ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch
from sklearn.utils import check_random_state

from .validation import wrong

__all__ = ["as_random_state", "draw_seed", "seeded"]


Seed: TypeAlias = int | np.random.RandomState | None

# `torch.random.fork_rng` is global to the process: fits in threads take turns. The
# lock is re-entrant, since a generator seeds its own learning inside of a fit.
_RNG_LOCK = threading.RLock()


def draw_seed(random_state: Seed) -> int:
    """Seed from a random state; None never touches the global one."""
    if random_state is None:
        # Shifted to 31 bits, the range of the seeds that are drawn from a RandomState.
        return int(np.random.SeedSequence().generate_state(1)[0] >> 1)
    return int(as_random_state(random_state).randint(2**31 - 1))


def as_random_state(random_state: Seed) -> np.random.RandomState:
    """RandomState of a seed; the error names the parameter."""
    try:
        return check_random_state(random_state)
    except ValueError as error:
        allowed = "an integer in [0, 2**32), a numpy RandomState or None"
        raise wrong("random_state", allowed, random_state) from error


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed torch inside, and give the caller's random state back."""
    with _RNG_LOCK, torch.random.fork_rng(devices=cuda_devices()):
        torch.manual_seed(seed)
        yield


def cuda_devices() -> range:
    """Every GPU, listed so that `fork_rng` does not warn about them."""
    return range(torch.cuda.device_count())
