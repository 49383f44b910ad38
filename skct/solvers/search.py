"""`search`: the one batched gradient search, used by training and explaining."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..constraints.box import Constraints
from ..generators.base import BaseGenerator
from ..utils.caller import in_own_torch
from ..utils.model import blocks, evaluation_mode, pad
from ..utils.validation import is_number, wrong
from .descent import Descent, FactualRows, SearchBuffers, SearchTask

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


@in_own_torch
def search(
    model: Callable[[Tensor], Tensor],
    factual: Tensor,
    target: Tensor,
    generator: BaseGenerator,
    constraints: Constraints,
    *,
    epsilon: float | None = None,
    weights: Tensor | None = None,
    keep_best: bool = False,
) -> SearchResult:
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
        Cost of each feature; steps along costly features are shorter.
    keep_best : bool, default=False
        What a row that never meets the threshold is left with: the state of its path
        with the highest target probability, those first that are assigned to the
        target. False: its last state, as in the reference code.

    Returns
    -------
    result : SearchResult
        A row that meets the threshold at the start has ``n_iter=0``. A row that never
        does holds a feasible state, with ``mature=False``.

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
    factual, target, weights = map(outside_inference, (factual, target, weights))
    n = len(factual)
    if n == 0:
        empty = torch.zeros(0, dtype=torch.long, device=factual.device)
        return SearchResult(factual, factual, target, empty.bool(), empty)
    if weights is not None:
        weights = pad(weights.expand_as(factual))
    factual, target = pad(factual.detach()), pad(target)
    position = torch.arange(len(factual), device=factual.device)
    rows = FactualRows(position, factual, target, weights)
    buffers = SearchBuffers.start(factual, target)
    task = SearchTask(model, generator, constraints, epsilon, buffers, keep_best)
    with evaluation_mode(model), torch.enable_grad():
        # A generator: each block is in the cache when it takes its first steps.
        parts = (Descent(task, rows.take(at)) for at in blocks(position, factual))
        descend(parts, generator.max_iter)
        mature = reaches_threshold(
            model, buffers.counterfactual, target, generator.threshold
        )
    counterfactual, nascent, n_iter = (part[:n] for part in buffers)
    return SearchResult(counterfactual, nascent, target[:n], mature[:n], n_iter)


def outside_inference(tensor: Any) -> Any:
    """Copy of a tensor that was made in inference mode and can carry no gradient."""
    made_inside = tensor is not None and tensor.is_inference()
    return tensor.clone() if made_inside else tensor


def check_task(
    model: Any,
    factual: Any,
    target: Any,
    generator: Any,
    constraints: Any,
    epsilon: Any,
    weights: Any,
) -> None:
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


def is_tensor(value: Any, floating: bool) -> bool:
    """Whether a value is a Tensor of floats, or else of indices."""
    if not isinstance(value, Tensor):
        return False
    return value.is_floating_point() if floating else value.dtype == torch.int64


def descend(parts: Iterable[Descent], max_iter: int) -> None:
    """Take all steps, block by block; now and then join the rows that are left.

    A block stays in the cache for a few steps, the next time for three times as many.
    """
    first, last = 1, 2
    while first <= max_iter:
        steps = range(first, min(last, max_iter) + 1)
        left = [part for part in parts if all(map(part.advance, steps))]
        if not left:
            return
        parts, first, last = regrouped(left), steps[-1] + 1, 3 * last
    for part in parts:
        part.finish()


def regrouped(parts: Sequence[Descent]) -> list[Descent]:
    """Blocks of the rows that are left, as large as the cache allows."""
    whole = Descent.cat(parts) if len(parts) > 1 else parts[0]
    factual = whole.rows.factual
    indices = blocks(torch.arange(len(factual), device=factual.device), factual)
    return [whole.take(index) for index in indices] if len(indices) > 1 else [whole]


def reaches_threshold(
    model: Callable[[Tensor], Tensor],
    counterfactual: Tensor,
    target: Tensor,
    threshold: float,
) -> Tensor:
    """Whether the target probability of each row reaches the threshold."""
    with torch.no_grad():
        probability = torch.cat(
            [
                model(x.clone()).softmax(1)
                for x in blocks(counterfactual, counterfactual)
            ]
        )
    return probability.gather(1, target[:, None]).squeeze(1) >= threshold


def trace(
    model: Callable[[Tensor], Tensor],
    factual: Tensor,
    target: Tensor,
    generator: BaseGenerator,
    constraints: Constraints,
) -> Tensor:
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
    factual = factual.detach()
    position = torch.arange(len(factual), device=factual.device)
    rows = FactualRows(position, factual, target, None)
    buffers = SearchBuffers.start(factual, target)
    with evaluation_mode(model), torch.enable_grad():
        task = SearchTask(model, generator, constraints, None, buffers)
        descent = Descent(task, rows)
        states = [descent.present()]
        for step in range(1, generator.max_iter + 1):
            if not descent.advance(step):
                break
            states.append(descent.present())
    return torch.stack(states)
