"""Gradients that are written out, against autograd on the definitions."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from skct import MLP
from skct.losses import (
    counterfactual_loss,
    divergence,
    energy,
    log_odds,
    margin_divergence,
    relative_energy,
    ridge,
    slope_penalty,
    stall_penalty,
)
from skct.solvers.forward import DenseForward, dense_layers
from skct.training.written_out import (
    margin_terms,
    paper_terms,
    slope_penalty_and_gradient,
    stall_penalty_and_gradient,
)

CLOSE = {
    torch.float32: {"rtol": 1e-5, "atol": 1e-6},
    torch.float64: {"rtol": 1e-12, "atol": 1e-14},
}
WEIGHTS = {"lambda_div": 0.5, "lambda_adv": 0.3}
N_BATCH, N = 13, 7


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def paper(logits, y, label, target, weight):
    """Eq. 2 as `losses` defines it, and written out."""
    batch, nascent, ours, theirs = logits.split([N_BATCH, N, N, N])
    energies = energy(theirs, target), energy(ours, target)
    mature, weights = weight > 0.4, {**WEIGHTS, "lambda_reg": 0.2}
    expected = counterfactual_loss(
        cross_entropy(batch, y),
        cross_entropy(nascent, label),
        divergence(*energies, mature),
        ridge(*energies, mature),
        **weights,
    )
    found = paper_terms(logits.detach(), y, label, target, mature, **weights)
    return expected, *found


def margin(logits, y, label, target, weight):
    """As `paper`, for the package's own objective without slopes."""
    batch, nascent, ours, theirs = logits.split([N_BATCH, N, N, N])
    energies = relative_energy(theirs, target), relative_energy(ours, target)
    expected = counterfactual_loss(
        cross_entropy(batch, y),
        cross_entropy(nascent, label),
        margin_divergence(*energies, weight),
        torch.zeros_like(weight),
        **WEIGHTS,
        lambda_reg=0.2,
    )
    found = margin_terms(logits.detach(), y, label, target, weight, **WEIGHTS)
    return expected, *found


@pytest.mark.parametrize("both", [paper, margin])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("dtype", CLOSE)
def test_terms_at_the_logits(both, n_classes, dtype):
    rng = generator()
    logits = torch.randn(N_BATCH + 3 * N, n_classes, generator=rng, dtype=dtype)
    logits = (3 * logits).requires_grad_()
    y = torch.randint(n_classes, (N_BATCH,), generator=rng)
    label, target = (torch.randint(n_classes, (N,), generator=rng) for _ in range(2))
    weight = torch.rand(N, generator=rng, dtype=dtype)
    expected, terms, gradient = both(logits, y, label, target, weight)
    (wanted,) = torch.autograd.grad(expected.total, logits)
    close = CLOSE[dtype]
    torch.testing.assert_close(torch.stack(terms), torch.stack(expected), **close)
    torch.testing.assert_close(gradient, wanted, **close)


def some_slopes(scale):
    """Gradients of log-odds, one of them 0, mostly of lengths around `scale`."""
    slopes = scale * torch.randn(60, 5, generator=generator(), dtype=torch.float64)
    slopes[7] = 0
    return slopes.requires_grad_()


@pytest.mark.parametrize("scale", [1e-12, 0.3, 1.0, 3.0, 1e12])
@pytest.mark.parametrize("n_fixed", [0, 2, 5])
def test_penalty_on_slopes(scale, n_fixed):
    slopes, fixed = some_slopes(scale), torch.arange(5) < n_fixed
    void = torch.linspace(0, 1, 60, dtype=torch.float64)
    expected = slope_penalty(slopes, fixed, void)
    (wanted,) = torch.autograd.grad(expected.sum(), slopes)
    penalty, gradient = slope_penalty_and_gradient(slopes.detach(), fixed, void)
    torch.testing.assert_close(penalty, expected, rtol=1e-12, atol=1e-14)
    atol = 1e-12 * float(wanted.abs().max())
    torch.testing.assert_close(gradient, wanted, rtol=1e-12, atol=atol)


def test_penalty_on_slopes_at_the_ends_of_the_band():
    slopes = torch.tensor([[1.5, 0.0], [0.0, 1.5], [6.0, 0.0]], requires_grad=True)
    fixed, void = torch.tensor([True, False]), torch.zeros(3)
    (wanted,) = torch.autograd.grad(slope_penalty(slopes, fixed, void).sum(), slopes)
    _, gradient = slope_penalty_and_gradient(slopes.detach(), fixed, void)
    torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-12, 0.3, 1.0, 1e12])
def test_penalty_on_flat_ends(scale):
    slopes, rng = some_slopes(scale), generator(1)
    direction = torch.randn(60, 5, generator=rng, dtype=torch.float64)
    direction[11] = 0  # the search has met its neighbour
    short = torch.rand(60, generator=rng) < 0.7
    expected = stall_penalty(slopes, direction, short)
    (wanted,) = torch.autograd.grad(expected.sum(), slopes)
    found = stall_penalty_and_gradient(slopes.detach(), direction, short)
    torch.testing.assert_close(found, (expected, wanted), **CLOSE[torch.float64])


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("sizes", [(), (8,), (8, 6, 4)])
@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_slopes_of_dense_layers_and_what_depends_on_them(n_classes, sizes, shape):
    """Against second derivatives by autograd: weights, and biases through logits."""
    torch.manual_seed(0)
    n_features = shape if len(shape) > 1 else shape[0]
    model = MLP(n_features, n_classes, hidden_layer_sizes=sizes).double()
    x = torch.randn(40, *shape, dtype=torch.float64, requires_grad=True)
    target = torch.arange(40) % n_classes
    odds = log_odds(model(x), target).sum()
    (wanted,) = torch.autograd.grad(odds, x, create_graph=True)
    pull = torch.randn(40, x[0].numel(), dtype=torch.float64)
    (wanted.flatten(1).sin() * pull).sum().backward()
    expected = [p.grad for p in model.parameters()]
    model.zero_grad()

    dense = DenseForward(dense_layers(model))
    slopes, passed = dense.slopes(x.detach(), target)
    torch.testing.assert_close(slopes, wanted.flatten(1), **CLOSE[torch.float64])
    dense.accumulate_slopes(passed, slopes.cos() * pull)
    for parameter, theirs in zip(model.parameters(), expected, strict=True):
        mine = parameter.grad
        if theirs is None or mine is None:  # nothing depends on some biases
            left = mine if theirs is None else theirs
            assert left is None or not left.any()
        else:
            torch.testing.assert_close(mine, theirs, **CLOSE[torch.float64])
