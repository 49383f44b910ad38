"""Models as functions: modes, batches, devices, logits, and checks of their input."""

from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from .validation import as_array, wrong

__all__ = [
    "LogProbability",
    "MIN_ROWS",
    "batched_logits",
    "blocks",
    "check_single_precision",
    "evaluation_mode",
    "filled_up",
    "log_probability",
    "logits_shape",
    "module_device",
    "pad",
    "sound_logits",
]


class LogProbability(nn.Module):
    """Logits of a module that returns probabilities: their logarithm."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        """Logarithm of the wrapped module's output."""
        return log_probability(self.module(x))


def log_probability(probability):
    """Logarithm that stays finite at 0, as skorch takes it for ``NLLLoss``."""
    return torch.log(probability + torch.finfo(probability.dtype).eps)


def batched_logits(module, encoded, batch_size=10_000):
    """Logits of encoded rows on the CPU; small batches are padded (see `search`)."""
    device, n = module_device(module), len(encoded)
    encoded = torch.from_numpy(np.ascontiguousarray(encoded))
    if 0 < n < MIN_ROWS:
        last = encoded[-1:].expand(MIN_ROWS - n, *encoded.shape[1:])
        encoded = torch.cat([encoded, last])
    with torch.no_grad(), evaluation_mode(module):
        parts = [module(chunk.to(device)) for chunk in encoded.split(batch_size)]
    return torch.cat(parts)[:n].detach().cpu()


def sound_logits(module, encoded):
    """Logits of encoded rows; a ValueError where they give no probabilities."""
    logits = batched_logits(module, encoded)
    if logits.sum().isfinite():  # so is each of them
        return logits
    wrong = logits.softmax(1).isnan().any(1).numpy()
    if wrong.any():
        raise ValueError(
            f"The network's logits are infinite or NaN for {wrong.sum()} of "
            f"{len(wrong)} rows, the first of them row {wrong.argmax()}: values there "
            "are too far from those in training, or the weights are not finite."
        )
    return logits


def check_single_precision(module, cause=None):
    """Raise a ValueError if a module has weights of another type than float32."""
    wrong = {p.dtype for p in module.parameters() if p.dtype != torch.float32}
    if wrong:
        raise ValueError(
            f"The module has weights of type {wrong.pop()}, but counterfactuals are "
            "searched in float32; pass module.float()."
        ) from cause


def logits_shape(model, x):
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


def module_device(module):
    """Where the weights of a module are."""
    return next((p.device for p in module.parameters()), torch.device("cpu"))


CHUNK = 2048  # rows at once: bounds memory, and fits the cache


def model_device(model):
    """Where a model computes; a plain function does so on the CPU."""
    if isinstance(model, nn.Module):
        return module_device(model)
    return torch.device("cpu")


def logits_of(model, x):
    """Logits on the CPU; small batches are padded, so that rows are independent."""
    n = len(x)
    if n < MIN_ROWS:
        x = torch.cat([x, x[-1:].detach().expand(MIN_ROWS - n, *x.shape[1:])])
    return model(x.to(model_device(model))).cpu()[:n]


@torch.no_grad()
def is_right(model, X, y):
    """Whether the model assigns each row to its class."""
    with evaluation_mode(model):
        parts = [logits_of(model, x).argmax(1) for x in X.split(CHUNK)]
    return torch.cat(parts) == y


def check_model(model, X, least=2):
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


def check_features(X, name):
    """Model input as a float32 Tensor of its own."""
    allowed = (
        "encoded model input of shape (n, *features) with at least one row, such as "
        "clf.feature_space_.encode(table)"
    )
    try:
        X = torch.from_numpy(np.array(X, dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise wrong(name, allowed, type(X).__name__) from error
    if X.dim() < 2 or not X.numel():
        raise wrong(name, allowed, tuple(X.shape))
    if not X.isfinite().all():
        raise ValueError(
            f"The {name!r} parameter must be finite, but holds NaN or infinity; "
            "impute first, as clf.feature_space_.encode(table) does."
        )
    return X


def check_batch(model, X, y, X_name="X", y_name="y"):
    """Model input and class indices as Tensors of their own."""
    X, y = check_features(X, X_name), as_array(y_name, y)
    n_classes = check_model(model, X)
    allowed = (
        f"{len(X)} class indices, integers from 0 to {n_classes - 1}, such as "
        "np.searchsorted(clf.classes_, labels)"
    )
    if y.shape != (len(X),) or y.dtype.kind not in "iu":
        raise wrong(y_name, allowed, f"{y.dtype} of shape {y.shape}")
    if y.min() < 0 or y.max() >= n_classes:
        raise wrong(y_name, allowed, f"{y.min()} to {y.max()}")
    return X, torch.from_numpy(y.astype(np.int64))


# Blocks of rows with so many numbers stay in the cache of a CPU core.
BLOCK = 2**17


@contextmanager
def evaluation_mode(model):
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


def blocks(values, like):
    """Split rows so that a block of `like` fits a cache; an accelerator has one."""
    n_blocks = 1
    if like.device.type == "cpu":
        wanted = round(len(like) * max(like[0].numel(), 64) / BLOCK)
        n_blocks = max(1, min(wanted, len(like) // MIN_ROWS))
    return [None] * n_blocks if values is None else values.tensor_split(n_blocks)


def pad(values):
    """Repeat the last row until there are `MIN_ROWS`; None stays None."""
    if values is None or len(values) >= MIN_ROWS:
        return values
    missing = MIN_ROWS - len(values)
    return torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])


# Matrix kernels round differently below some 32 rows: smaller batches are padded, so
# that a row gets the same answer alone and in company.
MIN_ROWS = 64


def filled_up(wanted):
    """Positions of the rows wanted, and of others up to `MIN_ROWS`."""
    keep = wanted.nonzero().squeeze(1)
    if len(keep) < MIN_ROWS:
        rest = (~wanted).nonzero().squeeze(1)
        keep = torch.cat([keep, rest[: MIN_ROWS - len(keep)]])
    return keep
