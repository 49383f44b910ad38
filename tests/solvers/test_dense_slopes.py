"""Second-order gradients of dense layers, written out, against autograd."""

import pytest
import torch

from skct import MLP
from skct.losses import log_odds
from skct.solvers.forward import DenseForward, dense_layers

CLOSE = {"rtol": 1e-12, "atol": 1e-14}


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
    torch.testing.assert_close(slopes, wanted.flatten(1), **CLOSE)
    dense.accumulate_slopes(passed, slopes.cos() * pull)
    for parameter, theirs in zip(model.parameters(), expected, strict=True):
        mine = parameter.grad
        if theirs is None or mine is None:  # nothing depends on some biases
            left = mine if theirs is None else theirs
            assert left is None or not left.any()
        else:
            torch.testing.assert_close(mine, theirs, **CLOSE)
