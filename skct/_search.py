"""`search`: the one batched gradient search, used by training and explaining."""

from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ._gradient import forward_of
from ._snap import Snapper
from .generators import SearchState, has_gradient

__all__ = ["SearchResult", "evaluation_mode", "search", "trace"]

# Matrix kernels round differently below some 32 rows: smaller batches are padded, so
# that a row gets the same answer alone and in company.
MIN_ROWS = 64

# Blocks of rows with so many numbers stay in the cache of a CPU core.
BLOCK = 2**17

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
    "inside",
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
    columns = [blocks(column, factual) for column in (factual, target, weights)]
    with evaluation_mode(model), torch.enable_grad():
        found = [
            search_block(model, *block, generator, constraints, epsilon)
            for block in zip(*columns, strict=True)
        ]
    return (
        found[0]
        if len(found) == 1
        else SearchResult(*map(torch.cat, zip(*found, strict=True)))
    )


def blocks(values, like):
    """Split rows so that a block of `like` fits a cache; an accelerator has one."""
    n_blocks = 1
    if like.device.type == "cpu":
        wanted = round(len(like) * max(like[0].numel(), 64) / BLOCK)
        n_blocks = max(1, min(wanted, len(like) // MIN_ROWS))
    return [None] * n_blocks if values is None else values.tensor_split(n_blocks)


def search_block(model, factual, target, weights, generator, constraints, epsilon):
    """`search` of rows that are held in memory together."""
    n = len(factual)
    factual, target, weights = (pad(t) for t in (factual, target, weights))
    path = Path(model, factual, target, generator, constraints, epsilon, weights)
    for step in range(1, generator.max_iter + 1):
        if not path.advance(step):
            break
    return SearchResult(*(values[:n] for values in path.result()))


def pad(values):
    """Repeat the last row until there are `MIN_ROWS`; None stays None."""
    if values is None or len(values) >= MIN_ROWS:
        return values
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
        states = [path.present()]
        for step in range(1, generator.max_iter + 1):
            if not path.advance(step):
                break
            states.append(path.present())
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
        self.forward = forward_of(model)
        self.look = self.look_closely if has_gradient(generator) else self.look_anyhow
        self.epsilon, self.weights = epsilon, weights
        self.all_target = target
        self.counterfactual = factual.detach().clone()
        self.nascent = self.counterfactual.clone()
        self.n_iter = torch.zeros_like(target)
        self.n_steps = 0
        # One entry per row that is still searched; `compact` thins them out.
        self.rows = torch.arange(len(factual), device=factual.device)
        self.factual, self.target = factual.detach(), target
        self.low, self.high = constraints.bounds(self.factual)
        self.snapper = Snapper(constraints, self.factual, self.low, self.high)
        self.anchors = generator.anchors(self.factual, target)
        self.z = generator.encode(self.factual).detach()  # relaxed or latent state
        self.hard = self.factual  # what the model sees of it
        self.inside = torch.ones_like(target, dtype=torch.bool)  # the epsilon ball
        self.moving = torch.ones_like(target, dtype=torch.bool)

    def advance(self, step):
        """Take one step with every row that is not mature; False when none is left."""
        probability, gradient = self.look(step)
        reached = probability.gather(1, self.target[:, None]).squeeze(1)
        self.settle(self.moving & (reached >= self.generator.threshold))
        if not self.moving.any():
            return False
        self.move(gradient())
        self.n_steps = step
        self.compact()
        return True

    # ------------------------------------------------------------------ the gradient

    def look_closely(self, step):
        """Probabilities, and a function that returns the gradient of the objective.

        Both the class loss and the penalty are differentiated by hand.
        """
        logits, pull_back = self.forward(self.hard)
        probability = logits.softmax(1)

        def gradient():
            state = self.state(self.z, logits, step)
            at_input, at_logits = self.generator.penalty_gradient(state)
            loss = probability.scatter_add(
                1, self.target[:, None], -torch.ones_like(logits[:, :1])
            )
            total = pull_back(loss if at_logits is None else loss.add_(at_logits))
            return self.tame(total if at_input is None else total + at_input)

        return probability, gradient

    def look_anyhow(self, step):
        """As `look_closely`, differentiated automatically: any penalty, any code."""
        z = self.z.detach().requires_grad_()  # a leaf of its own, `hard` may be z
        x = self.decode(z)
        logits = self.model(self.hard + (x - x.detach()))  # straight through

        def gradient():
            objective = cross_entropy(logits, self.target, reduction="none")
            objective = objective + self.generator.penalty(self.state(x, logits, step))
            return self.tame(torch.autograd.grad(objective.sum(), z)[0])

        return logits.detach().softmax(1), gradient

    def state(self, x, logits, step):
        """What a penalty may look at."""
        return SearchState(
            x,
            self.factual,
            logits,
            self.target,
            step,
            self.generator.max_iter,
            self.weights,
            self.anchors,
        )

    def tame(self, gradient):
        """Shorter along dear features, balanced in groups; not finite counts as 0."""
        if self.weights is not None and not self.generator.latent:
            gradient = gradient / self.weights.clamp(min=1e-6)
        gradient = gradient.detach().nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        if self.generator.latent:
            return gradient
        return self.snapper.balance(gradient)

    # ------------------------------------------------------------------ the movement

    def move(self, gradient):
        """Step against the gradient, and see which rows leave the epsilon ball.

        Rows that have settled move along until `compact`; nobody looks at them.
        """
        previous, z = self.hard, gradient.mul_(-self.generator.step_size).add_(self.z)
        if not self.generator.latent:
            z = z.clamp_(self.low, self.high)
        self.z = z
        with torch.no_grad():
            self.hard = self.snapper.snap(
                self.decode(z), previous, self.factual, self.low, self.high
            )
        if self.epsilon is not None:
            change = (self.hard - self.factual).abs_().flatten(1).amax(1)
            inside = change <= self.epsilon
            left = self.inside & self.moving & ~inside
            self.nascent[self.rows[left]] = previous[left]
            self.inside = inside

    def decode(self, z):
        """State in model-input space, inside the box but relaxed."""
        if not self.generator.latent:
            return z
        return self.generator.decode(z).clamp(self.low, self.high)

    def settle(self, done):
        """Write down where rows are that move no further."""
        if not done.any():
            return
        rows, near = self.rows[done], done & self.inside
        self.counterfactual[rows] = self.hard[done]
        self.n_iter[rows] = self.n_steps
        if self.epsilon is not None:
            self.nascent[self.rows[near]] = self.hard[near]
        self.moving = self.moving & ~done

    def compact(self):
        """Drop settled rows once they are a quarter."""
        n_moving = int(self.moving.sum())
        if len(self.rows) <= MIN_ROWS or 4 * n_moving > 3 * len(self.rows):
            return
        keep = self.moving.nonzero().squeeze(1)
        if len(keep) < MIN_ROWS:  # settled rows fill up, so that kernels stay the same
            rest = (~self.moving).nonzero().squeeze(1)
            keep = torch.cat([keep, rest[: MIN_ROWS - len(keep)]])
        for name in PER_ROW:
            value = getattr(self, name)
            setattr(self, name, None if value is None else value[keep])
        self.snapper.keep(keep)

    def present(self):
        """Where all rows are now."""
        state = self.counterfactual.clone()
        state[self.rows[self.moving]] = self.hard[self.moving]
        return state

    def result(self):
        """Judge every row on the state that is returned."""
        self.settle(self.moving)
        with torch.no_grad():
            probability = self.model(self.counterfactual.clone()).softmax(1)
        reached = probability.gather(1, self.all_target[:, None]).squeeze(1)
        return SearchResult(
            self.counterfactual,
            self.nascent,
            self.all_target,
            reached >= self.generator.threshold,
            self.n_iter,
        )
