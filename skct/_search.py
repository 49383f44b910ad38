"""`search`: the one batched gradient search, used by training and explaining."""

from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from .generators import SearchState

__all__ = ["SearchResult", "evaluation_mode", "search", "trace"]

# Matrix kernels round differently below some 32 rows: smaller batches are padded, so
# that a row gets the same answer alone and in company.
MIN_ROWS = 64

PER_ROW = (
    "rows",
    "factual",
    "target",
    "low",
    "high",
    "anchors",
    "weights",
    "z",
    "hard",
    "moving",
)


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
    n = len(factual)
    if n == 0:
        empty = torch.zeros(0, dtype=torch.long, device=factual.device)
        return SearchResult(factual, factual, target, empty.bool(), empty)
    if weights is not None:
        weights = weights.expand_as(factual)
    if n < MIN_ROWS:
        factual, target, weights = (pad(t) for t in (factual, target, weights))
    with evaluation_mode(model), torch.enable_grad():
        path = Path(model, factual, target, generator, constraints, epsilon, weights)
        for step in range(1, generator.max_iter + 1):
            if not path.advance(step):
                break
        result = path.result()
    return SearchResult(*(values[:n] for values in result))


def pad(values):
    """Repeat the last row until there are `MIN_ROWS`; None stays None."""
    if values is None:
        return None
    missing = MIN_ROWS - len(values)
    return torch.cat([values, values[-1:].expand(missing, *values.shape[1:])])


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
    with evaluation_mode(model), torch.enable_grad():
        path = Path(model, factual, target, generator, constraints)
        states = [path.counterfactual.clone()]
        for step in range(1, generator.max_iter + 1):
            if not path.advance(step):
                break
            states.append(path.counterfactual.clone())
    return torch.stack(states)


class Path:
    """State of a search: the rows still moving, and what the others have reached."""

    def __init__(
        self,
        model,
        factual,
        target,
        generator,
        constraints,
        epsilon=None,
        weights=None,
    ):
        self.model, self.generator, self.constraints = model, generator, constraints
        self.epsilon, self.weights = epsilon, weights
        self.all_factual, self.all_target = factual.detach(), target
        self.counterfactual = self.all_factual.clone()
        self.nascent = self.all_factual.clone()
        self.n_iter = torch.zeros_like(target)
        # One entry per row that is still searched; `compact` thins them out.
        self.rows = torch.arange(len(factual), device=factual.device)
        self.factual, self.target = self.all_factual, target
        self.low, self.high = constraints.bounds(self.factual)
        self.anchors = generator.anchors(self.factual, target)
        self.z = generator.encode(self.factual).detach()  # relaxed or latent state
        self.hard = self.factual  # what the model sees of it
        self.moving = torch.ones_like(target, dtype=torch.bool)

    def advance(self, step):
        """Take one step with every row that is not mature; False when none is left."""
        z = self.z.detach().requires_grad_()  # a leaf of its own, `hard` may be z
        x = self.decode(z)
        logits = self.model(self.hard + (x - x.detach()))  # straight through
        reached = self.probability(logits.detach(), self.target)
        self.moving = self.moving & ~(reached >= self.generator.threshold)
        if not self.moving.any():
            return False
        moved = z.detach() - self.generator.step_size * self.gradient(
            z, x, logits, step
        )
        if not self.generator.latent:
            moved = moved.clamp(self.low, self.high)
        self.z = torch.where(expand(self.moving, moved), moved, z.detach())
        self.record(step)
        self.compact()
        return True

    def decode(self, z):
        """State in model-input space, inside the box but relaxed."""
        if not self.generator.latent:
            return z
        return self.generator.decode(z).clamp(self.low, self.high)

    def gradient(self, z, x, logits, step):
        """Gradient of class loss plus penalty; what is not finite counts as 0."""
        state = SearchState(
            x,
            self.factual,
            logits,
            self.target,
            step,
            self.generator.max_iter,
            self.weights,
            self.anchors,
        )
        objective = cross_entropy(logits, self.target, reduction="none")
        objective = objective + self.generator.penalty(state)
        (gradient,) = torch.autograd.grad(objective.sum(), z)
        if self.weights is not None and not self.generator.latent:
            gradient = gradient / self.weights.clamp(min=1e-6)
        gradient = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
        if self.generator.latent:
            return gradient
        return self.constraints.balance(gradient, self.low, self.high)

    def record(self, step):
        """Write down where the moving rows are now."""
        with torch.no_grad():
            self.hard = self.constraints.discretize(
                self.decode(self.z), self.factual, (self.low, self.high)
            )
        rows, hard = self.rows[self.moving], self.hard[self.moving]
        self.counterfactual[rows] = hard
        self.n_iter[rows] = step
        if self.epsilon is not None:
            change = (hard - self.factual[self.moving]).abs().flatten(1).amax(1)
            inside = change <= self.epsilon
            self.nascent[rows[inside]] = hard[inside]

    def compact(self):
        """Drop settled rows once they are the majority."""
        n_moving = int(self.moving.sum())
        if len(self.rows) <= MIN_ROWS or 2 * n_moving > len(self.rows):
            return
        keep = self.moving.nonzero().squeeze(1)
        if len(keep) < MIN_ROWS:  # settled rows fill up, so that kernels stay the same
            rest = (~self.moving).nonzero().squeeze(1)
            keep = torch.cat([keep, rest[: MIN_ROWS - len(keep)]])
        for name in PER_ROW:
            value = getattr(self, name)
            setattr(self, name, None if value is None else value[keep])

    def result(self):
        """Judge every row on the state that is returned."""
        with torch.no_grad():
            logits = self.model(self.counterfactual)
            probability = self.probability(logits, self.all_target)
        mature = probability >= self.generator.threshold
        return SearchResult(
            self.counterfactual, self.nascent, self.all_target, mature, self.n_iter
        )

    @staticmethod
    def probability(logits, target):
        """Softmax probability of the target."""
        return logits.softmax(1).gather(1, target[:, None]).squeeze(1)


def expand(mask, like):
    """Row mask in the number of dimensions of `like`."""
    return mask.reshape(-1, *[1] * (like.dim() - 1))
