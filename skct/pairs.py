"""Counterfactuals of an epoch and what they are paired with (Sec. III-A)."""

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Pairs", "draw_neighbours", "draw_targets", "packed", "split"]


class Pairs(NamedTuple):
    """Counterfactuals of one epoch with their rows and neighbours."""

    nascent: Tensor
    label: Tensor
    counterfactual: Tensor
    neighbour: Tensor
    target: Tensor
    mature: Tensor


def draw_targets(predicted, y, rng):
    """Draw a class uniformly among those of `y` other than the predicted one."""
    classes = torch.unique(y).cpu()
    allowed = classes[None, :] != predicted.cpu()[:, None]
    draws = torch.multinomial(allowed.float(), 1, generator=rng).squeeze(1)
    return classes[draws].to(predicted.device)


def draw_neighbours(target, y, rng):
    """Draw for each target the index of one training row of that class."""
    order = torch.argsort(y, stable=True)
    counts = torch.bincount(y, minlength=int(target.max()) + 1)
    starts = counts.cumsum(0) - counts
    share = torch.rand(len(target), generator=rng).to(target.device)
    offset = (share * counts[target]).long().clamp(max=counts[target] - 1)
    return order[starts[target] + offset]


def packed(pairs):
    """Rows of a chunk for one forward pass: nascent, counterfactual, neighbour."""
    return torch.cat([pairs.nascent, pairs.counterfactual, pairs.neighbour])


def split(pairs, n_chunks):
    """Near-equal consecutive chunks; None for an empty one."""
    columns = [torch.tensor_split(column, n_chunks) for column in pairs]
    chunks = [Pairs(*chunk) for chunk in zip(*columns, strict=True)]
    return [chunk if len(chunk.target) else None for chunk in chunks]
