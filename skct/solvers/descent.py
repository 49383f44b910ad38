"""`Descent`: the steps of a gradient search, from factuals to counterfactuals.

What a step does in categories and integers is in `constraints.snapping`; all else about
a step is here.
"""

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..constraints.box import Constraints
from ..constraints.snapping import Snapper
from ..generators.base import BaseGenerator, SearchState
from ..utils.model import MIN_ROWS, padded_positions
from ..utils.rows import Rows
from .forward import PullBack, forward_of

__all__ = ["Descent", "FactualRows", "SearchBuffers", "SearchTask"]


# A weight below this one does not make a step longer still.
LEAST_WEIGHT = 1e-6
# Finished rows are dropped once they are an eighth: copying the others costs about as
# much as taking a step with them.
MOST_MOVING = 7 / 8


class SearchBuffers(NamedTuple):
    """What a search has reached so far, for all of its rows."""

    counterfactual: Tensor
    nascent: Tensor
    n_iter: Tensor

    @classmethod
    def start(cls, factual: Tensor, target: Tensor) -> Self:
        """No row has moved yet."""
        return cls(factual.clone(), factual.clone(), torch.zeros_like(target))


class SearchTask(NamedTuple):
    """What is the same for all rows of a search; see `search`."""

    model: Callable[[Tensor], Tensor]
    generator: BaseGenerator
    constraints: Constraints
    epsilon: float | None
    buffers: SearchBuffers
    keep_best: bool = False


@dataclass
class FactualRows(Rows):
    """Rows to search."""

    position: Tensor  # (n,) where their results belong
    factual: Tensor  # (n, *features)
    target: Tensor  # (n,) class index
    weights: Tensor | None  # (n, *features) cost of each feature


@dataclass
class SearchRows(FactualRows):
    """Rows that are searched."""

    anchors: Tensor | None  # (n, ...) what the penalty needs
    z: Tensor  # (n, ...) relaxed or latent state
    x_discrete: Tensor  # (n, *features) what the model sees of it
    inside: Tensor  # (n,) whether the path has not left the epsilon ball
    moving: Tensor  # (n,) whether the counterfactual is still to be found
    best: Tensor | None  # (n, *features) most convincing state, where that is kept
    best_score: Tensor  # (n,) its `conviction`


class Descent:
    """Rows that are searched together, and how they move.

    Parameters
    ----------
    task : SearchTask
    given : FactualRows
    """

    def __init__(self, task: SearchTask, given: FactualRows):
        generator, factual = task.generator, given.factual.detach()
        self.task, self.n_steps = task, 0
        self.forward = forward_of(task.model)
        bounds = task.constraints.bounds(factual)
        self.snapper = Snapper(task.constraints.discrete, factual, *bounds)
        all_rows = torch.ones_like(given.target, dtype=torch.bool)
        self.rows = SearchRows(
            given.position,
            factual,
            given.target,
            given.weights,
            anchors=generator.anchors(factual, given.target),
            z=generator.encode(factual).detach(),
            x_discrete=factual,
            inside=all_rows,
            moving=all_rows,
            best=factual if task.keep_best else None,
            best_score=torch.zeros_like(factual.flatten(1)[:, 0]),
        )

    def advance(self, step: int) -> bool:
        """Take one step with every row that is not mature; False when none is left."""
        rows = self.rows
        logits, pull_back = self.forward(rows.x_discrete)
        probability = logits.softmax(1).gather(1, rows.target[:, None]).squeeze(1)
        self.update_best(logits, probability)
        self.record(rows.moving & (probability >= self.task.generator.threshold))
        if not rows.moving.any():
            return False
        self.move(self.precondition(self.gradient(logits, pull_back, step)))
        self.n_steps = step
        self.drop_recorded()
        return True

    # ------------------------------------------------------------------ the gradient

    def gradient(self, logits: Tensor, pull_back: PullBack, step: int) -> Tensor:
        """Gradient of class loss and penalty at the state, rows added up."""
        # The objective is f(z, logits(x_discrete(z))). Both arguments are leaves of the
        # graph, so that autograd sees a few small operations and no network:
        #     df/dz = d_z f + (d_logits f  d logits/d x_discrete)  dx/dz
        # The network's factor is `pull_back`. Snapping has no derivative; its gradient
        # goes straight through, d x_discrete/dx = 1. In model-input space x is z.
        rows, generator = self.rows, self.task.generator
        z, logits = rows.z.detach().requires_grad_(), logits.requires_grad_()
        x = self.decode(z)
        objective = cross_entropy(logits, rows.target, reduction="none")
        objective = objective + generator.penalty(self.state(x, logits, step))
        at_z, at_logits = torch.autograd.grad(
            objective,
            (z, logits),
            torch.ones_like(objective),  # the gradient of its sum, without summing
            allow_unused=True,
            retain_graph=generator.latent,
        )
        pulled = pull_back(at_logits)
        if generator.latent:
            (pulled,) = torch.autograd.grad(x, z, pulled)
        return pulled if at_z is None else pulled.add_(at_z)

    def state(self, x: Tensor, logits: Tensor, step: int) -> SearchState:
        """What a penalty may look at."""
        rows = self.rows
        return SearchState(
            x,
            rows.factual,
            logits,
            rows.target,
            step,
            self.task.generator.max_iter,
            rows.weights,
            rows.anchors,
        )

    def precondition(self, gradient: Tensor) -> Tensor:
        """Shorter along costly features, balanced in groups; not finite counts as 0."""
        latent, weights = self.task.generator.latent, self.rows.weights
        if weights is not None and not latent:
            gradient = gradient / weights.clamp(min=LEAST_WEIGHT)
        gradient = gradient.nan_to_num(nan=0.0, posinf=0.0, neginf=0.0)
        return gradient if latent else self.snapper.balance(gradient)

    # ------------------------------------------------------------------ the movement

    def move(self, gradient: Tensor) -> None:
        """Step against the gradient, and see which rows leave the epsilon ball.

        Rows that are recorded move along until they are dropped; nobody looks at them.
        """
        rows, generator, epsilon = self.rows, self.task.generator, self.task.epsilon
        z, before = gradient.mul_(-generator.step_size).add_(rows.z), rows.x_discrete
        rows.z = z if generator.latent else self.snapper.clamp(z)
        with torch.no_grad():
            rows.x_discrete = self.snapper.snap(self.decode(rows.z), before)
        if epsilon is not None:
            change = (rows.x_discrete - rows.factual).abs_().flatten(1).amax(1)
            inside = change <= epsilon
            leaves = rows.inside & rows.moving & ~inside
            self.write(self.task.buffers.nascent, leaves, before)
            rows.inside = inside

    def decode(self, z: Tensor) -> Tensor:
        """State in model-input space, inside the box but relaxed."""
        if not self.task.generator.latent:
            return z
        return self.snapper.project(self.task.generator.decode(z))

    # ------------------------------------------------------------------- the results

    def record(self, done: Tensor) -> None:
        """Write down where rows are that move no further."""
        if not done.any():
            return
        rows, buffers = self.rows, self.task.buffers
        self.write(buffers.counterfactual, done, rows.x_discrete)
        buffers.n_iter[rows.position[done]] = self.n_steps
        if self.task.epsilon is not None:
            self.write(buffers.nascent, done & rows.inside, rows.x_discrete)
        rows.moving = rows.moving & ~done

    def write(self, buffer: Tensor, mask: Tensor, values: Tensor) -> None:
        """Put some rows of `values` where they belong."""
        some = mask.nonzero().squeeze(1)
        position = self.rows.position.index_select(0, some)
        buffer.index_copy_(0, position, values.index_select(0, some))

    def finish(self) -> None:
        """Record the rows that still move: where they are, or where they were best."""
        if self.rows.best is not None:
            logits, _ = self.forward(self.rows.x_discrete)
            probability = logits.softmax(1).gather(1, self.rows.target[:, None])
            self.update_best(logits, probability.squeeze(1))
            self.rows.x_discrete = self.rows.best
        self.record(self.rows.moving)

    def update_best(self, logits: Tensor, probability: Tensor) -> None:
        """Keep states that are more convincing than all before; valid ones first."""
        rows = self.rows
        if rows.best is None:
            return
        score = conviction(logits, probability.detach(), rows.target)
        better = score > rows.best_score
        rows.best_score = torch.where(better, score, rows.best_score)
        better = better.reshape(-1, *[1] * (rows.best.dim() - 1))
        rows.best = torch.where(better, rows.x_discrete, rows.best)

    def present(self) -> Tensor:
        """Where all rows of the search are now."""
        rows, states = self.rows, self.task.buffers.counterfactual.clone()
        states[rows.position[rows.moving]] = rows.x_discrete[rows.moving]
        return states

    # ------------------------------------------------------- rows that are searched

    def drop_recorded(self, most_moving: float = MOST_MOVING) -> None:
        """Keep the rows that move, and others to fill up a small matrix.

        Nothing happens while more than a fraction of the rows moves.
        """
        n = len(self.rows.moving)
        if n <= MIN_ROWS or int(self.rows.moving.sum()) > most_moving * n:
            return
        keep = padded_positions(self.rows.moving)
        self.rows, self.snapper = self.rows.take(keep), self.snapper.take(keep)

    def take(self, index: Tensor) -> Self:
        """Descent of some of the rows."""
        part = copy(self)
        part.rows, part.snapper = self.rows.take(index), self.snapper.take(index)
        return part

    @classmethod
    def cat(cls, parts: Sequence[Self]) -> Self:
        """One descent of the rows of several that have taken as many steps."""
        whole = copy(parts[0])
        whole.rows = SearchRows.cat([part.rows for part in parts])
        whole.snapper = Snapper.cat([part.snapper for part in parts])
        whole.drop_recorded(most_moving=1.0)
        return whole


def conviction(logits: Tensor, probability: Tensor, target: Tensor) -> Tensor:
    """Order of states: by target probability, those assigned to the target first."""
    return probability + (logits.argmax(1) == target)
