"""Counterfactuals of an epoch and what they are paired with (Sec. III-A)."""

from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

__all__ = ["Pairs", "draw_neighbours", "draw_targets", "packed", "split"]


class Pairs(NamedTuple):
    """Counterfactuals of an epoch with what they are contrasted with, n of each.

    Attributes
    ----------
    nascent : Tensor of shape (n, *features)
        States of the searches close to the factuals: adversarial examples.
    label : int64 Tensor of shape (n,)
        Their label.
    counterfactual, neighbour : Tensor of shape (n, *features)
        End of each search, and an observed row of its target class.
    target : int64 Tensor of shape (n,)
    factual : Tensor of shape (n, *features)
    mature : bool Tensor of shape (n,)
    """

    nascent: Tensor
    label: Tensor
    counterfactual: Tensor
    neighbour: Tensor
    target: Tensor
    factual: Tensor
    mature: Tensor


def draw_targets(predicted: Tensor, y: Tensor, rng: Generator) -> Tensor:
    """Draw a class uniformly among those of `y` other than the predicted one."""
    classes = torch.unique(y).cpu()
    allowed = classes[None, :] != predicted.cpu()[:, None]
    draws = torch.multinomial(allowed.float(), 1, generator=rng).squeeze(1)
    return classes[draws].to(predicted.device)


def draw_neighbours(target: Tensor, y: Tensor, rng: Generator) -> Tensor:
    """Draw for each target the index of one training row of that class."""
    order = torch.argsort(y, stable=True)
    counts = torch.bincount(y, minlength=int(target.max()) + 1)
    starts = counts.cumsum(0) - counts
    u = torch.rand(len(target), generator=rng).to(target.device)
    # Float rounding may take u * count up to the count itself.
    offset = (u * counts[target]).long().clamp(max=counts[target] - 1)
    return order[starts[target] + offset]


def packed(pairs: Any) -> Tensor:
    """Rows of a chunk for one forward pass: nascent, counterfactual, neighbour."""
    return torch.cat([pairs.nascent, pairs.counterfactual, pairs.neighbour])


def split(pairs: Any, n_chunks: int) -> list:
    """Near-equal consecutive chunks of the same kind; None for an empty one."""
    columns = [torch.tensor_split(column, n_chunks) for column in pairs]
    chunks = [type(pairs)(*chunk) for chunk in zip(*columns, strict=True)]
    return [chunk if len(chunk.target) else None for chunk in chunks]
