"""`Path`: rows on their way from factual to counterfactual."""

from copy import copy
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ..constraints.snapping import Snapper
from ..generators.base import SearchState, has_gradient
from ..utils.model import MIN_ROWS, filled_up
from .forward import forward_of

__all__ = ["Found", "Path"]


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


class Found(NamedTuple):
    """What a search has reached so far, for all rows."""

    counterfactual: Tensor
    nascent: Tensor
    n_iter: Tensor


class Path:
    """State of a search: the rows still moving, and what the others have reached.

    Parameters
    ----------
    model, generator, constraints, epsilon
        As in `search`.
    found : Found
        Where results are written.
    rows : Tensor of shape (n,)
        Positions of these rows there.
    factual, target, weights
        As in `search`.
    """

    def __init__(
        self,
        model,
        generator,
        constraints,
        epsilon,
        found,
        rows,
        factual,
        target,
        weights=None,
    ):
        self.model, self.generator, self.constraints = model, generator, constraints
        self.forward = forward_of(model)
        self.has_gradient = has_gradient(generator)
        self.epsilon, self.found, self.n_steps = epsilon, found, 0
        # One entry per row that is still searched; `keep` thins them out.
        self.rows, self.factual, self.target = rows, factual.detach(), target
        self.weights = weights
        self.low, self.high = constraints.bounds(self.factual)
        self.snapper = Snapper(constraints.discrete, self.factual, self.low, self.high)
        self.anchors = generator.anchors(self.factual, target)
        self.z = generator.encode(self.factual).detach()  # relaxed or latent state
        self.hard = self.factual  # what the model sees of it
        self.inside = torch.ones_like(target, dtype=torch.bool)  # the epsilon ball
        self.moving = torch.ones_like(target, dtype=torch.bool)

    def advance(self, step):
        """Take one step with every row that is not mature; False when none is left."""
        look = self.look_closely if self.has_gradient else self.look_anyhow
        probability, gradient = look(step)
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
            return self.tame(total if at_input is None else total.add_(at_input))

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
            z = self.snapper.clamp(z)
        self.z = z
        with torch.no_grad():
            self.hard = self.snapper.snap(self.decode(z), previous)
        if self.epsilon is not None:
            change = (self.hard - self.factual).abs_().flatten(1).amax(1)
            inside = change <= self.epsilon
            left = self.inside & self.moving & ~inside
            self.write(self.found.nascent, left, previous)
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
        self.write(self.found.counterfactual, done, self.hard)
        self.found.n_iter[self.rows[done]] = self.n_steps
        if self.epsilon is not None:
            self.write(self.found.nascent, done & self.inside, self.hard)
        self.moving = self.moving & ~done

    def write(self, column, mask, values):
        """Put some rows of `values` where they belong."""
        some = mask.nonzero().squeeze(1)
        rows = self.rows.index_select(0, some)
        column.index_copy_(0, rows, values.index_select(0, some))

    # ------------------------------------------------------- rows that are searched

    def compact(self):
        """Drop settled rows once they are an eighth."""
        if 8 * int(self.moving.sum()) <= 7 * len(self.rows):
            self.drop_settled()

    def drop_settled(self):
        """Keep the rows that move, and others to fill up a small matrix."""
        if len(self.rows) <= MIN_ROWS:
            return
        self.keep(filled_up(self.moving))

    def keep(self, rows):
        """Forget all other rows."""
        for name in PER_ROW:
            value = getattr(self, name)
            kept = None if value is None else value.index_select(0, rows)
            setattr(self, name, kept)
        self.snapper = self.snapper.take(rows)

    def part(self, rows):
        """A path of some of the rows."""
        path = copy(self)
        path.keep(rows)
        return path

    @classmethod
    def merged(cls, paths):
        """One path of the rows of several that are equally far; see `drop_settled`."""
        path = copy(paths[0])
        for name in PER_ROW:
            values = [getattr(part, name) for part in paths]
            setattr(path, name, None if values[0] is None else torch.cat(values))
        path.snapper = Snapper.cat([part.snapper for part in paths])
        path.drop_settled()
        return path

    def present(self):
        """Where all rows are now."""
        state = self.found.counterfactual.clone()
        state[self.rows[self.moving]] = self.hard[self.moving]
        return state

    def finish(self):
        """Write down where the rows are that still move."""
        self.settle(self.moving)
