"""`refine`: make mature counterfactuals cheaper and sparser without losing them."""

import torch

from ._search import evaluation_mode

__all__ = ["refine"]

N_HALVINGS = 8


def refine(model, result, factual, constraints, threshold, weights=None):
    """Put back what a counterfactual does not need.

    First the features with the least effect for their cost return to the factual, as
    many as the threshold allows; then the rest moves back along a straight line. Both
    by bisection, all rows together. The result is never dearer than the input, and a
    mature row stays mature.

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

    Returns
    -------
    counterfactual : Tensor of shape (n, *features)
    """
    rows = (result.mature & (result.n_iter > 0)).nonzero().squeeze(1)
    if len(rows) == 0:
        return result.counterfactual
    if weights is not None:
        weights = weights.expand_as(factual)[rows]
    refiner = Refiner(model, factual[rows], result.target[rows], constraints, threshold)
    with evaluation_mode(model):
        x = refiner.sparsify(result.counterfactual[rows], weights)
        x = refiner.shrink(x)
    out = result.counterfactual.clone()
    out[rows] = x
    return out


class Refiner:
    """Bisection of rows towards their factuals, within constraints."""

    def __init__(self, model, factual, target, constraints, threshold):
        self.model, self.factual, self.target = model, factual, target
        self.constraints, self.threshold = constraints, threshold
        self.bounds = constraints.bounds(factual)

    def holds(self, x):
        """Rows whose target probability is at the threshold, with a hair to spare."""
        with torch.no_grad():
            probability = self.model(x).softmax(1)
        probability = probability.gather(1, self.target[:, None]).squeeze(1)
        return probability >= min(self.threshold + 1e-4, 1.0)

    def bisect(self, x, candidate):
        """Least share in [0, 1] of the way from the factual that still holds."""
        low = torch.zeros(len(x), device=x.device)
        high = torch.ones_like(low)
        best = x
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            tried = candidate(middle)
            good = self.holds(tried)
            best = torch.where(expand(good, x), tried, best)
            high = torch.where(good, middle, high)
            low = torch.where(good, low, middle)
        return best

    def shrink(self, x):
        """Move back along the straight line to the factual."""

        def candidate(share):
            point = self.factual + expand(share, x) * (x - self.factual)
            point = point.clamp(*self.bounds)
            return self.constraints.discretize(point, self.factual, self.bounds)

        return self.bisect(x, candidate)

    def sparsify(self, x, weights):
        """Put the least useful features back, as many as possible."""
        rank, n_changed = self.rank(x, weights)

        def candidate(share):
            keep = rank < expand(torch.ceil(share * n_changed), rank)
            return torch.where(keep.reshape(x.shape), x, self.factual)

        return self.bisect(x, candidate)

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
