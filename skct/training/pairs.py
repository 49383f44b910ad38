"""Counterfactuals of an epoch and what they are paired with (Sec. III-A)."""

from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor

__all__ = [
    "Pairs",
    "draw_near_neighbours",
    "draw_neighbours",
    "draw_targets",
    "atypicality",
    "interpolate",
    "packed",
    "split",
    "off_support_score",
]


N_CANDIDATES = 10  # rows that the nearest neighbour is chosen from
N_REFERENCE, N_HELD_OUT = 300, 200  # rows of a class that typical distances come from
N_NEAREST = 3
BLOCK = 512  # rows whose distances fit the cache


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


def draw_near_neighbours(
    factual: Tensor, target: Tensor, X: Tensor, y: Tensor, rng: Generator
) -> Tensor:
    """The nearest to each factual (L1) of several drawn rows of its target class."""
    drawn = draw_neighbours(target.repeat(N_CANDIDATES), y, rng)
    drawn = drawn.view(N_CANDIDATES, -1)
    distance = torch.stack([(X[i] - factual).abs().flatten(1).sum(1) for i in drawn])
    return drawn.gather(0, distance.argmin(0, keepdim=True)).squeeze(0)


def atypicality(
    x: Tensor, target: Tensor, X: Tensor, y: Tensor, rng: Generator
) -> Tensor:
    """How untypical rows are for their target class, from 0 to 1.

    A row's distance to a class is the mean L1 distance to its 3 nearest members, among
    at most 300. Up to 200 other members of the class tell which distances are usual.

    Parameters
    ----------
    x : Tensor of shape (n, *features)
    target : int64 Tensor of shape (n,)
    X : Tensor of shape (n_rows, *features)
        Training rows.
    y : int64 Tensor of shape (n_rows,)
    rng : torch.Generator

    Returns
    -------
    score : Tensor of shape (n,)
        0 for a row no farther than the median member of the class, 1 for one that is
        farther than all of them, and in between linear in the rank. 1 for a class that
        has a single row.
    """
    x, X = x.flatten(1), X.flatten(1)
    score = torch.ones(len(x), dtype=x.dtype, device=x.device)
    order = torch.randperm(len(y), generator=rng).to(y.device)
    for k in target.unique():
        members = order[y[order] == k]
        n = min(N_REFERENCE, (len(members) + 1) // 2)
        reference, others = X[members[:n]], X[members[n : n + N_HELD_OUT]]
        if len(others):
            usual = nearest_distance(others, reference).sort().values
            distance = nearest_distance(x[target == k], reference)
            rank = torch.searchsorted(usual, distance).to(x.dtype) / len(others)
            # Ranks of members are uniform: half of them score 0, the rest up to 1.
            score[target == k] = (2 * rank - 1).clamp_min(0)
    return score


def nearest_distance(x: Tensor, reference: Tensor) -> Tensor:
    """Mean L1 distance of each row to its nearest rows of a reference."""
    k = min(N_NEAREST, len(reference))
    binary = ((reference == 0) | (reference == 1)).all(0)
    distances = (l1_distance(block, reference, binary) for block in x.split(BLOCK))
    return torch.cat([d.topk(k, largest=False).values.mean(1) for d in distances])


def l1_distance(x: Tensor, reference: Tensor, binary: Tensor) -> Tensor:
    """L1 distance of all pairs of rows.

    From columns of a reference that are `binary`, 0 or 1, it is linear in between, so
    that a matrix product does; exact to a few units in the last place of the sums. The
    others are added up in the cache, which on images is three times as fast as `cdist`.
    """
    distance = x.new_zeros(len(x), len(reference))
    difference = torch.empty_like(distance)
    columns = (rows[:, ~binary].t().contiguous() for rows in (x, reference))
    for ours, theirs in zip(*columns, strict=True):
        torch.sub(ours[:, None], theirs, out=difference)
        distance += difference.abs_()
    # With r in {0, 1} and c = clip(x, 0, 1): |x - r| = |x - c| + c + r - 2 c r.
    ours, theirs = x[:, binary], reference[:, binary]
    inside = ours.clamp(0, 1)
    constant = (ours - inside).abs_().add_(inside).sum(1, keepdim=True)
    distance.add_(constant).add_(theirs.sum(1))
    return distance.addmm_(inside, theirs.t(), alpha=-2).clamp_min_(0)


def packed(pairs: Any) -> Tensor:
    """Rows of a chunk for one forward pass: nascent, counterfactual, neighbour."""
    return torch.cat([pairs.nascent, pairs.counterfactual, pairs.neighbour])


def interpolate(
    nascent: Tensor, counterfactual: Tensor, neighbour: Tensor, mixing: Tensor
) -> Tensor:
    """Rows that searches pass, in four blocks of as many as there are pairs.

    Nascent counterfactuals; rows on the lines from there, and from the neighbours, to
    the counterfactuals, `mixing` of the way along; and the counterfactuals.
    """
    mixing = mixing.view(-1, *(1,) * (nascent.dim() - 1))
    between = [torch.lerp(s, counterfactual, mixing) for s in (nascent, neighbour)]
    return torch.cat([nascent, *between, counterfactual])


def off_support_score(x: Tensor, X: Tensor, rng: Generator) -> Tensor:
    """How far rows are from all data, from 0 to 1 as in `atypicality`."""
    one_class = torch.zeros(len(x) + len(X), dtype=torch.long, device=x.device)
    return atypicality(x, one_class[: len(x)], X, one_class[len(x) :], rng)


def split(pairs: Any, n_chunks: int) -> list:
    """Near-equal consecutive chunks of the same kind; None for an empty one."""
    columns = [torch.tensor_split(column, n_chunks) for column in pairs]
    chunks = [type(pairs)(*chunk) for chunk in zip(*columns, strict=True)]
    return [chunk if len(chunk.target) else None for chunk in chunks]
