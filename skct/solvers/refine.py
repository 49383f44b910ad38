"""`refine`: make mature counterfactuals cheaper and sparser without losing them."""

import math

import torch

from ..constraints.snapping import Snapper
from ..utils.model import blocks, evaluation_mode, pad
from .coordinate import Price, walk
from .forward import forward_of

__all__ = ["refine"]


N_CUTS = 6
CUTS_OF_BUDGET = CUTS_OF_STEP = 3


def refine(
    model,
    result,
    factual,
    constraints,
    threshold,
    weights=None,
    *,
    plausibility_weight=0.0,
    reference=None,
):
    """Look for cheaper, sparser and more plausible answers than a search has found.

    A gradient step overshoots, and moves every feature. Here each row starts again,
    with what its answer costs as a budget: it takes up to ten steps, each on the one
    feature that gains most for its price, and the last step ends on the threshold. A
    row that does not get there keeps its answer, less all that it does not need: the
    features with the least effect for their price return to the factual, and the rest
    moves back along a straight line. All rows together.

    Parameters
    ----------
    model : callable
        Maps a batch to logits.
    result : SearchResult
    factual : Tensor of shape (n, *features)
    constraints : Constraints
    threshold : float
        Target probability to keep.
    weights : Tensor of shape (*features,) or (n, *features), optional
        Cost of each feature.
    plausibility_weight : float, default=0.0
        What a unit of implausibility is worth in units of cost. Where it exceeds the
        weight of a feature, that moves closer to the target class even if the model
        does not ask for it.
    reference : pair of Tensor, optional
        Encoded rows and their class indices, for implausibility.

    Returns
    -------
    counterfactual : Tensor of shape (n, *features)
        A mature row stays mature; what is immature, or was there at the start, is
        returned as it is. No answer becomes dearer, unless the plausibility weight is
        larger than that of a feature.
    """
    rows = (result.mature & (result.n_iter > 0)).nonzero().squeeze(1)
    if len(rows) == 0:
        return result.counterfactual
    if weights is not None:
        weights = weights.expand_as(factual)[rows]
    found = (result.counterfactual[rows], factual[rows], result.target[rows], weights)
    columns = [blocks(column, factual[rows]) for column in found]
    options = constraints, threshold, plausibility_weight, reference
    out = result.counterfactual.clone()
    with evaluation_mode(model), torch.no_grad():
        out[rows] = torch.cat(
            [
                refine_block(model, *block, *options)
                for block in zip(*columns, strict=True)
            ]
        )
    return out


def refine_block(
    model, x, factual, target, weights, constraints, threshold, factor, reference
):
    """`refine` of rows that are held in memory together, all of them to be refined."""
    n = len(x)
    x, factual, target, weights = (pad(t) for t in (x, factual, target, weights))
    price = Price(factual, target, constraints, weights, factor, reference)
    refiner = Refiner(model, factual, target, constraints, threshold)
    start = price.minimum()
    budget = price.cost(refiner.shrink(x, CUTS_OF_BUDGET).flatten(1) - start)
    options = start, constraints, refiner.bounds, budget, refiner.probability
    before, after, reached = walk(model, price, *options)
    found = refiner.last_step(before, after)
    reached &= price.cost(found.flatten(1) - start) <= budget
    reached &= refiner.margin(found) >= 0
    lost = (~reached[:n]).nonzero().squeeze(1)
    if len(lost):
        some = (None if t is None else pad(t[lost]) for t in (factual, target, weights))
        factual, target, weights = some
        refiner = Refiner(model, factual, target, constraints, threshold)
        rest = refiner.shrink(refiner.sparsify(pad(x[lost]), weights))
        found[lost] = rest[: len(lost)]
    return found[:n]


class Refiner:
    """Bisection of rows towards their factuals, within constraints."""

    def __init__(self, model, factual, target, constraints, threshold):
        self.model, self.forward = model, forward_of(model)
        self.factual, self.target = factual, target
        self.constraints = constraints
        self.probability = min(threshold + 1e-4, 1.0 - 1e-7)  # a hair to spare
        self.limit = math.log(self.probability / (1.0 - self.probability))
        self.bounds = constraints.bounds(factual)
        self.snapper = Snapper(constraints.discrete, factual, *self.bounds)
        self.snapped = factual

    def margin(self, x):
        """Log-odds of the target beyond those of the threshold."""
        logits = self.forward(x)[0]
        target = self.target[:, None]
        ours, others = logits.gather(1, target), logits.scatter(1, target, -torch.inf)
        return (ours - others.logsumexp(1, keepdim=True)).squeeze(1) - self.limit

    def cut(self, x, start, candidate, n_cuts=N_CUTS):
        """Candidate of a small share in [0, 1] that holds; `x` is that of 1.

        Halves the interval and interpolates in turn: along a line, the logits of a ReLU
        network are piecewise linear.
        """
        low, below = torch.zeros(len(x), device=x.device), self.margin(start)
        high, above, best = torch.ones_like(low), self.margin(x), x
        for i in range(n_cuts):
            share = 0.5
            if i % 2 == 0:  # infinite log-odds have no ratio
                share = (below / (below - above)).clamp(0.05, 0.95).nan_to_num(0.5)
            middle = low + (share + 0.02) * (high - low)
            tried = candidate(middle)
            margin = self.margin(tried)
            good = margin >= 0
            best = torch.lerp(best, tried, expand(good, x).to(x))  # a fast `where`
            high, above = (
                torch.where(good, middle, high),
                torch.where(good, margin, above),
            )
            low, below = (
                torch.where(good, low, middle),
                torch.where(good, below, margin),
            )
        return best

    def between(self, start, end, share):
        """What the model sees of a point on the way from one state to another."""
        return self.snap(start + expand(share, end) * (end - start))

    def snap(self, x):
        """What the model sees of a state."""
        self.snapped = self.snapper.snap(x.clamp(*self.bounds), self.snapped)
        return self.snapped

    def shrink(self, x, n_cuts=N_CUTS):
        """Move back along the straight line to the factual."""
        return self.cut(
            x, self.factual, lambda share: self.between(self.factual, x, share), n_cuts
        )

    def last_step(self, before, after):
        """Cut the last step of a walk where the threshold is."""
        end, start = self.snap(after), self.snap(before)
        return self.cut(
            end, start, lambda share: self.between(before, after, share), CUTS_OF_STEP
        )

    def sparsify(self, x, weights):
        """Put the least useful features back, as many as possible."""
        rank, n_changed = self.rank(x, weights)

        def candidate(share):
            keep = rank < expand(torch.ceil(share * n_changed), rank)
            return torch.where(keep.reshape(x.shape), x, self.factual)

        return self.cut(x, self.factual, candidate)

    def rank(self, x, weights):
        """Usefulness of each changed feature (0 = most), groups moving as one."""
        with torch.enable_grad():
            point = x.detach().requires_grad_()
            logits = self.model(point).log_softmax(1)
            score = logits.gather(1, self.target[:, None]).sum()
            (gradient,) = torch.autograd.grad(score, point)
        change = (x - self.factual).flatten(1)
        price = change.abs()
        if weights is not None:
            price = price * weights.flatten(1)
        gain = gradient.flatten(1) * change
        for group in self.constraints.groups:
            columns = list(group.columns)
            gain[:, columns] = gain[:, columns].sum(1, keepdim=True)
            price[:, columns] = price[:, columns].sum(1, keepdim=True)
        moved = price > 0
        use = torch.where(moved, gain / price.clamp(min=1e-12), -torch.inf)
        order = use.argsort(dim=1, descending=True, stable=True)
        rank = torch.empty_like(order).scatter_(
            1, order, torch.arange(order.shape[1], device=x.device).expand_as(order)
        )
        for group in self.constraints.groups:
            columns = list(group.columns)
            rank[:, columns] = rank[:, columns].amin(1, keepdim=True)
        return rank, moved.sum(1)


def expand(mask, like):
    """Row mask in the number of dimensions of `like`."""
    return mask.reshape(-1, *[1] * (like.dim() - 1))
