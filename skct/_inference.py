"""Logits of a module, whatever it is: batches, devices, probabilities."""

import numpy as np
import torch
from torch import nn

from ._path import MIN_ROWS
from ._search import evaluation_mode

__all__ = [
    "LogProbability",
    "batched_logits",
    "check_single_precision",
    "log_probability",
    "logits_shape",
    "module_device",
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
