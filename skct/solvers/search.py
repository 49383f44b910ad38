"""`search`: the one batched gradient search, used by training and explaining."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..generators.base import BaseGenerator
from ..utils.model import blocks, evaluation_mode, pad
from ..utils.validation import is_number, wrong
from .descent import Found, Path

__all__ = ["SearchResult", "search", "trace"]


class SearchResult(NamedTuple):
    """Counterfactuals and how they were found, one row per factual.

    `counterfactual` and `nascent` have the shape of the factuals; `target` holds class
    indices, `mature` whether the target probability of the counterfactual reaches the
    threshold, `n_iter` the steps taken.
    """

    counterfactual: Tensor
    nascent: Tensor
    target: Tensor
    mature: Tensor
    n_iter: Tensor


def search(
    model, factual, target, generator, constraints, *, epsilon=None, weights=None
):
    """Search one counterfactual per row by projected gradient descent.

    Parameters
    ----------
    model : callable
        Maps a batch of shape (n, *features) to logits of shape (n, n_classes). A
        module is searched in eval mode and gets its previous mode back.
    factual : float Tensor of shape (n, *features)
        Starting points, in model-input units.
    target : int64 Tensor of shape (n,)
        Class index that each counterfactual is to reach.
    generator : BaseGenerator
        Penalty, step size, threshold and number of steps.
    constraints : Constraints
        Every state of the search satisfies them.
    epsilon : float or None, default=None
        Radius of the max-norm ball around the factual for nascent counterfactuals:
        the last state on the path inside it. None: the factual itself.
    weights : Tensor of shape (*features,) or (n, *features), optional
        Cost of each feature; steps along dear features are shorter.

    Returns
    -------
    result : SearchResult
        A row that meets the threshold at the start has ``n_iter=0``. A row that never
        does holds its last feasible state, with ``mature=False``.

    Raises
    ------
    ValueError
        For a parameter of another type, shape or range than above.
    NotFittedError
        For a generator that learns from rows and has seen none.

    Notes
    -----
    Sec. III-A of [1]_ and its reference code: plain gradient descent, stopped row by
    row at the threshold. Departures: rows are searched together; categories and
    integers move in a relaxed state while the model sees the snapped one, gradient
    straight through (the reference code leaves them continuous in training and
    freezes categories at evaluation).

    References
    ----------
    .. [1] Altmeyer et al., "Counterfactual Training: Teaching Models Plausible and
       Actionable Explanations", 2026.

    Examples
    --------
    >>> import torch
    >>> from skct import Constraints, GenericGenerator, search
    >>> model = lambda x: torch.cat([-x, x], dim=1)
    >>> result = search(
    ...     model,
    ...     torch.tensor([[-1.0]]),
    ...     torch.tensor([1]),
    ...     GenericGenerator(),
    ...     Constraints.unbounded((1,)),
    ... )
    >>> result.mature
    tensor([True])
    """
    check_task(model, factual, target, generator, constraints, epsilon, weights)
    n = len(factual)
    if n == 0:
        empty = torch.zeros(0, dtype=torch.long, device=factual.device)
        return SearchResult(factual, factual, target, empty.bool(), empty)
    if weights is not None:
        weights = weights.expand_as(factual)
    factual, target, weights = (pad(t) for t in (factual.detach(), target, weights))
    found = Found(factual.clone(), factual.clone(), torch.zeros_like(target))
    rows = torch.arange(len(factual), device=factual.device)
    columns = [blocks(part, factual) for part in (rows, factual, target, weights)]
    options = model, generator, constraints, epsilon, found
    with evaluation_mode(model), torch.enable_grad():
        paths = (Path(*options, *block) for block in zip(*columns, strict=True))
        descend(paths, generator.max_iter)
        mature = judge(model, found.counterfactual, target, generator.threshold)
    counterfactual, nascent, n_iter = (part[:n] for part in found)
    return SearchResult(counterfactual, nascent, target[:n], mature[:n], n_iter)


def check_task(model, factual, target, generator, constraints, epsilon, weights):
    """Check what is to be searched; what the model returns shows in the search."""
    if not callable(model):
        raise wrong("model", "a callable from rows to logits", type(model).__name__)
    if not is_tensor(factual, True) or factual.dim() < 2:
        raise wrong("factual", "a float Tensor of shape (n, *features)", factual)
    if not factual.isfinite().all():
        raise wrong("factual", "finite; impute first", factual)
    n, shape = len(factual), tuple(factual.shape[1:])
    if (
        not is_tensor(target, False)
        or tuple(target.shape) != (n,)
        or (target < 0).any()
    ):
        allowed = f"an int64 Tensor of class indices of shape ({n},)"
        raise wrong("target", allowed, target)
    if not isinstance(generator, BaseGenerator):
        raise wrong("generator", "a BaseGenerator instance", generator)
    generator.check()
    fitting = isinstance(constraints, Constraints)
    if not fitting or tuple(constraints.lower.shape) != shape:
        raise wrong("constraints", f"Constraints of shape {shape}", constraints)
    if epsilon is not None and not (is_number(epsilon) and epsilon >= 0):
        raise wrong("epsilon", "a number >= 0 or None", epsilon)
    if weights is not None and not (
        is_tensor(weights, True)
        and weights.shape[-len(shape) :] == shape
        and weights.shape[: -len(shape)] in ((), (1,), (n,))
        and (weights > 0).all()
    ):
        allowed = f"None or a positive float Tensor of shape {shape} or {(n, *shape)}"
        raise wrong("weights", allowed, weights)


def is_tensor(value, floating):
    """Whether a value is a Tensor of floats, or else of indices."""
    if not isinstance(value, Tensor):
        return False
    return value.is_floating_point() if floating else value.dtype == torch.int64


def descend(paths, max_iter):
    """Take all steps, block by block; now and then join the rows that are left.

    A block stays in the cache for a few steps, the next time for three times as many.
    """
    first, last = 1, 2
    while first <= max_iter:
        steps = range(first, min(last, max_iter) + 1)
        left = [path for path in paths if all(map(path.advance, steps))]
        if not left:
            return
        paths, first, last = regrouped(left), steps[-1] + 1, 3 * last
    for path in paths:
        path.finish()


def regrouped(paths):
    """Blocks of the rows that are left, as large as the cache allows."""
    path = Path.merged(paths) if len(paths) > 1 else paths[0]
    parts = blocks(torch.arange(len(path.rows), device=path.rows.device), path.factual)
    return [path.part(rows) for rows in parts] if len(parts) > 1 else [path]


def judge(model, counterfactual, target, threshold):
    """Rows whose target probability reaches the threshold, on what is returned."""
    with torch.no_grad():
        probability = torch.cat(
            [
                model(x.clone()).softmax(1)
                for x in blocks(counterfactual, counterfactual)
            ]
        )
    return probability.gather(1, target[:, None]).squeeze(1) >= threshold


def trace(model, factual, target, generator, constraints):
    """States that a search goes through, for plots.

    Parameters
    ----------
    model, factual, target, generator, constraints
        As in `search`.

    Returns
    -------
    states : Tensor of shape (n_steps + 1, n, *features)
        From the factuals to the counterfactuals; a row that has stopped repeats its
        last state.
    """
    factual, rows = factual.detach(), torch.arange(len(factual), device=factual.device)
    found = Found(factual.clone(), factual.clone(), torch.zeros_like(target))
    with evaluation_mode(model), torch.enable_grad():
        path = Path(model, generator, constraints, None, found, rows, factual, target)
        states = [path.present()]
        for step in range(1, generator.max_iter + 1):
            if not path.advance(step):
                break
            states.append(path.present())
    return torch.stack(states)
