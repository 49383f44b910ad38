"""Models as functions: modes, batches, devices, logits, and checks of their input."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from .validation import as_array, wrong

__all__ = [
    "LogProbability",
    "MIN_ROWS",
    "batched_logits",
    "blocks",
    "check_outputs",
    "check_single_precision",
    "evaluation_mode",
    "log_probability",
    "logits_shape",
    "module_device",
    "pad",
    "padded_positions",
    "sound_logits",
]


Model = Callable[[Tensor], Tensor]

# Matrix kernels round differently below some 32 rows: smaller batches are padded, so
# that a row gets the same counterfactual alone and in company.
MIN_ROWS = 64
# Blocks of rows with so many numbers stay in the cache of a CPU core.
BLOCK = 2**17
CHUNK = 2048  # rows at once: bounds memory, and fits the cache


class LogProbability(nn.Module):
    """Logits of a module that returns probabilities: their logarithm."""

    def __init__(self, module: nn.Module):
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        """Logarithm of the wrapped module's output."""
        return log_probability(self.module(x))


def log_probability(probability: Tensor) -> Tensor:
    """Logarithm that stays finite at 0, as skorch takes it for ``NLLLoss``."""
    return torch.log(probability + torch.finfo(probability.dtype).eps)


def batched_logits(
    module: nn.Module, encoded: np.ndarray, batch_size: int = 10_000
) -> Tensor:
    """Logits of encoded rows on the CPU; small batches are padded (see `MIN_ROWS`)."""
    device, n = module_device(module), len(encoded)
    rows = torch.from_numpy(np.ascontiguousarray(encoded))
    rows = pad(rows) if n else rows
    with torch.no_grad(), evaluation_mode(module):
        parts = [module(chunk.to(device)) for chunk in rows.split(batch_size)]
    return torch.cat(parts)[:n].detach().cpu()


def sound_logits(module: nn.Module, encoded: np.ndarray) -> Tensor:
    """Logits of encoded rows; a ValueError where they give no probabilities."""
    logits = batched_logits(module, encoded)
    if logits.sum().isfinite():  # so is each of them
        return logits
    undefined = logits.softmax(1).isnan().any(1).numpy()
    if undefined.any():
        raise ValueError(
            f"The network's logits are infinite or NaN for {undefined.sum()} of "
            f"{len(undefined)} rows, the first of them row {undefined.argmax()}: "
            "values there are too far from those in training, or the weights are not "
            "finite."
        )
    return logits


def check_outputs(outputs: Tensor, takes_log: bool) -> None:
    """Raise a ValueError where a module's outputs are of another kind than wanted.

    Parameters
    ----------
    outputs : Tensor of shape (n, n_classes)
        For some real rows.
    takes_log : bool
        Whether their logarithm is taken, as skorch does for ``NLLLoss``: then they have
        to be probabilities, and otherwise logits.
    """
    if outputs.dim() != 2 or not len(outputs):
        return
    sums_to_one = torch.allclose(outputs.sum(1), torch.ones(()).to(outputs), atol=1e-4)
    if (sums_to_one and bool((outputs >= 0).all())) == takes_log:
        return
    if takes_log:
        raise ValueError(
            "With criterion=torch.nn.NLLLoss skorch takes the logarithm of what the "
            "module returns, which has to be probabilities, and here is not. End the "
            "module in Softmax instead of LogSoftmax, or leave the last layer out and "
            "set criterion=torch.nn.CrossEntropyLoss."
        )
    raise ValueError(
        "The module returns probabilities (each row sums to 1), where logits are "
        "needed. Leave the softmax at its end out; or pass it in a skorch net with "
        "criterion=torch.nn.NLLLoss, which takes probabilities."
    )


def check_single_precision(
    module: nn.Module, cause: BaseException | None = None
) -> None:
    """Raise a ValueError if a module has weights of another type than float32."""
    others = {p.dtype for p in module.parameters() if p.dtype != torch.float32}
    if others:
        raise ValueError(
            f"The module has weights of type {others.pop()}, but counterfactuals are "
            "searched in float32; pass module.float(), or build it under "
            "torch.set_default_dtype(torch.float32)."
        ) from cause


def logits_shape(model: Model, x: Tensor) -> tuple[int, ...]:
    """Shape of what a model returns for a few rows; () where that is no tensor.

    What torch says about rows that do not fit becomes a ValueError about the model.
    """
    try:
        with torch.no_grad(), evaluation_mode(model):
            logits = model(x)
    except (IndexError, RuntimeError) as error:
        kind = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"The model cannot take rows of shape {tuple(x.shape[1:])} and type "
            f"{kind}: {error}. Pass model input that it was made for, in float32."
        ) from error
    return tuple(logits.shape) if isinstance(logits, torch.Tensor) else ()


def module_device(module: nn.Module) -> torch.device:
    """Where the weights of a module are."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def model_device(model: Model) -> torch.device:
    """Where a model computes; a plain function does so on the CPU."""
    if isinstance(model, nn.Module):
        return module_device(model)
    return torch.device("cpu")


def logits_of(model: Model, x: Tensor) -> Tensor:
    """Logits on the CPU; small batches are padded, so that rows are independent."""
    n = len(x)
    if n < MIN_ROWS:  # as `pad`, but gradients reach each row once
        x = torch.cat([x, x[-1:].detach().expand(MIN_ROWS - n, *x.shape[1:])])
    return model(x.to(model_device(model))).cpu()[:n]


@torch.no_grad()
def is_right(model: Model, X: Tensor, y: Tensor) -> Tensor:
    """Whether the model assigns each row to its class."""
    with evaluation_mode(model):
        parts = [logits_of(model, x).argmax(1) for x in X.split(CHUNK)]
    return torch.cat(parts) == y


def check_model(model: Any, X: Tensor, least: int = 2) -> int:
    """Check that a model returns one logit per class, and return their number."""
    if not callable(model):
        allowed = "a callable from model input to logits, such as clf.module_"
        raise wrong("model", allowed, type(model).__name__)
    shape = logits_shape(model, X[:1].to(model_device(model)))
    if len(shape) != 2 or shape[0] != 1 or shape[1] < least:
        raise ValueError(
            f"The model returned logits of shape {shape} for one row; it has to return "
            "one logit per class, shape (n, n_classes), two for binary."
        )
    return shape[1]


def check_features(X: ArrayLike, name: str) -> Tensor:
    """Model input as a float32 Tensor of its own."""
    allowed = (
        "encoded model input of shape (n, *features) with at least one row, such as "
        "clf.feature_space_.encode(table)"
    )
    try:
        rows = torch.from_numpy(np.array(X, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise wrong(name, allowed, type(X).__name__) from error
    if rows.dim() < 2 or not rows.numel():
        raise wrong(name, allowed, tuple(rows.shape))
    if not rows.isfinite().all():
        raise ValueError(
            f"The {name!r} parameter must be finite, but holds NaN or infinity; "
            "impute first, as clf.feature_space_.encode(table) does."
        )
    return rows


def check_batch(
    model: Any, X: ArrayLike, y: ArrayLike, X_name: str = "X", y_name: str = "y"
) -> tuple[Tensor, Tensor]:
    """Model input and class indices as Tensors of their own."""
    rows, classes = check_features(X, X_name), as_array(y_name, y)
    n_classes = check_model(model, rows)
    allowed = (
        f"{len(rows)} class indices, integers from 0 to {n_classes - 1}, such as "
        "np.searchsorted(clf.classes_, labels)"
    )
    if classes.shape != (len(rows),) or classes.dtype.kind not in "iu":
        raise wrong(y_name, allowed, f"{classes.dtype} of shape {classes.shape}")
    if classes.min() < 0 or classes.max() >= n_classes:
        raise wrong(y_name, allowed, f"{classes.min()} to {classes.max()}")
    return rows, torch.from_numpy(classes.astype(np.int64))


@contextmanager
def evaluation_mode(model: Model) -> Iterator[None]:
    """Switch a module to eval mode, and give each submodule its own mode back."""
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


def blocks(values: Tensor, like: Tensor) -> tuple[Tensor, ...]:
    """Split rows so that a block of `like` fits a cache; an accelerator has one."""
    n_blocks = 1
    if like.device.type == "cpu":
        wanted = round(len(like) * max(like[0].numel(), 64) / BLOCK)
        n_blocks = max(1, min(wanted, len(like) // MIN_ROWS))
    return values.tensor_split(n_blocks)


def pad(values: Tensor) -> Tensor:
    """Repeat the last row until there are `MIN_ROWS`."""
    if len(values) >= MIN_ROWS:
        return values
    missing = MIN_ROWS - len(values)
    return torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])


def padded_positions(wanted: Tensor) -> Tensor:
    """Positions of the rows wanted, and of others up to `MIN_ROWS`."""
    keep = wanted.nonzero().squeeze(1)
    if len(keep) < MIN_ROWS:
        rest = (~wanted).nonzero().squeeze(1)
        keep = torch.cat([keep, rest[: MIN_ROWS - len(keep)]])
    return keep
