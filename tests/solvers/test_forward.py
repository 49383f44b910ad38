"""Gradients of the search, by hand and by leaves, against one graph of everything."""

import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.nn.functional import cross_entropy

from skct import (
    MLP,
    BaseGenerator,
    Constraints,
    ECCCoGenerator,
    GenericGenerator,
    search,
)
from skct.generators import SearchState
from skct.solvers.forward import DenseForward, dense_layers, forward_of


def counted(module):
    """A module that something listens to."""
    module[0].register_forward_hook(lambda *args: None)
    return module


def replaced(module):
    """A module whose first layer was given another forward."""
    layer, forward = module[0], module[0].forward
    layer.forward = lambda x: 2 * forward(x)
    return module


class Tripled(nn.Sequential):
    """A stack that is called in its own way."""

    def __call__(self, x):
        return 3 * super().__call__(x)


def squeezed(module):
    """A stack with a layer that is not ReLU."""
    return nn.Sequential(*module, nn.Tanh())


@pytest.mark.parametrize("sizes", [(), (7,), (16, 8, 4)])
@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_dense_layers_pull_back_what_autograd_does(sizes, shape):
    torch.manual_seed(0)
    model = MLP(shape if len(shape) > 1 else shape[0], 3, hidden_layer_sizes=sizes)
    x, gradient = torch.randn(40, *shape), torch.randn(40, 3)
    logits, pull_back = forward_of(model)(x)
    leaf = x.clone().requires_grad_()
    expected = model(leaf)
    assert isinstance(forward_of(model), DenseForward)
    assert torch.equal(logits, expected)
    (wanted,) = torch.autograd.grad(expected, leaf, gradient)
    torch.testing.assert_close(pull_back(gradient), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "model",
    [
        counted(MLP(4, 2)),
        squeezed(MLP(4, 2)),
        replaced(MLP(4, 2)),
        Tripled(*MLP(4, 2)),
        MLP(4, 2, activation="tanh"),
        nn.Sequential(nn.Linear(4, 2, bias=False)),
        nn.Linear(4, 2),
    ],
)
def test_other_models_go_through_autograd(model):
    forward = forward_of(model)
    assert not isinstance(forward, DenseForward)
    x, gradient = torch.randn(9, 4), torch.randn(9, 2)
    leaf = x.clone().requires_grad_()
    (wanted,) = torch.autograd.grad(model(leaf), leaf, gradient)
    logits, pull_back = forward(x)
    assert not logits.requires_grad
    assert torch.equal(pull_back(gradient), wanted)


def total(x):
    """Two logits, whose gradient is one number for all features."""
    return torch.stack([x.sum(1), -x.sum(1)], dim=1)


def test_a_gradient_that_is_one_number_can_be_written_to():
    _, pull_back = forward_of(total)(torch.randn(3, 4))
    assert pull_back(torch.ones(3, 2)).add_(1.0).shape == (3, 4)


class Halved(GenericGenerator):
    """A latent space in which the distance does not have the units of the code."""

    latent = True

    def encode(self, x):
        return (x / 2).tanh()

    def decode(self, z):
        return 2 * z.clamp(-0.99, 0.99).atanh()


class CallsTheModel(BaseGenerator):
    """A penalty that looks at more than the state and its logits."""

    def __init__(self, model=None, *, max_iter=30, step_size=0.1, threshold=0.5):
        super().__init__(max_iter=max_iter, step_size=step_size, threshold=threshold)
        self.model = model

    def penalty(self, state):
        mirrored = self.model(2 * state.factual - state.x)
        return 0.1 * (mirrored.square() + state.logits * state.x[:, :1]).sum(1)


class Constant(BaseGenerator):
    """A penalty without a gradient."""

    def penalty(self, state):
        return torch.ones(len(state.x))


with torch.random.fork_rng():
    torch.manual_seed(0)
    MODELS = {"dense": MLP(3, 2), "other": MLP(3, 2, activation="tanh")}
PENALTIES = {
    "distance": GenericGenerator(lambda_cost=0.1),
    "no distance": GenericGenerator(lambda_cost=0.0),
    "deviations": GenericGenerator(lambda_cost=0.1, distance="mad").fit(
        torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    ),
    "energy": ECCCoGenerator(lambda_cost=0.1),
    "latent": Halved(lambda_cost=0.1),
    "constant": Constant(),
}


def descended(model, rows, target, generator, weights=None):
    """States of a plain loop that differentiates network and penalty in one graph."""
    z = generator.encode(rows)
    for step in range(1, generator.max_iter + 1):
        z = z.detach().requires_grad_()
        x = generator.decode(z)
        logits = model(x)
        given = rows, logits, target, step, generator.max_iter
        state = SearchState(x, *given, weights)
        loss = cross_entropy(logits, target, reduction="none")
        (gradient,) = torch.autograd.grad((loss + generator.penalty(state)).sum(), z)
        if weights is not None and not generator.latent:
            gradient = gradient / weights
        z = z - generator.step_size * gradient
    return generator.decode(z).detach()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("name", [*PENALTIES, "calls the model"])
def test_the_search_descends_on_class_loss_and_penalty(name, kind, weighted):
    model, rng = MODELS[kind], torch.Generator().manual_seed(1)
    rows, target = torch.randn(70, 3, generator=rng), torch.arange(70) % 2
    weights = torch.rand(70, 3, generator=rng) + 0.5 if weighted else None
    generator = CallsTheModel(model)
    if name in PENALTIES:
        generator = clone(PENALTIES[name])
        vars(generator).update(vars(PENALTIES[name]))
    generator.set_params(max_iter=13, threshold=0.999999)
    free = Constraints.unbounded((3,))
    found = search(model, rows, target, generator, free, weights=weights)
    expected = descended(model, rows, target, generator, weights)
    torch.testing.assert_close(found.counterfactual, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found.counterfactual, rows, atol=1e-2)


def test_a_step_differentiates_no_network_but_through_the_pull_back():
    """What a penalty sees of the logits is a leaf: their graph has no network in it."""
    seen = []

    class Curious(BaseGenerator):
        def penalty(self, state):
            seen.append(state)
            return state.logits.sum(1)

    model = MODELS["other"]
    rows = torch.randn(5, 3)
    free = Constraints.unbounded((3,))
    search(model, rows, torch.zeros(5, dtype=torch.long), Curious(), free)
    assert seen
    assert all(state.logits.is_leaf and state.x.requires_grad for state in seen)


def found_by(model, rows, **options):
    """Search with settings that never mature."""
    generator = ECCCoGenerator(threshold=0.999999, max_iter=5)
    target = torch.arange(len(rows)) % 2
    free = Constraints.unbounded(tuple(rows.shape[1:]))
    return search(model, rows, target, generator, free, **options)


def test_a_layer_that_overwrites_its_input_leaves_the_rows_alone():
    torch.manual_seed(0)
    plain = nn.Sequential(nn.ReLU(), nn.Linear(4, 2))
    hasty = nn.Sequential(nn.ReLU(inplace=True), plain[1])
    rows = torch.randn(80, 4)
    before = rows.clone()
    found = found_by(hasty, rows)
    assert torch.equal(rows, before)
    expected = found_by(plain, rows).counterfactual
    torch.testing.assert_close(found.counterfactual, expected)


class Remembered(torch.autograd.Function):
    """A backward pass that returns a tensor which the model keeps."""

    @staticmethod
    def forward(ctx, x, kept):
        ctx.kept = kept
        return torch.stack([-x.sum(1), x.sum(1)], dim=1)

    @staticmethod
    def backward(ctx, gradient):
        return ctx.kept, None


def test_what_belongs_to_the_model_is_not_written_to():
    kept = torch.ones(80, 4)
    found_by(lambda x: Remembered.apply(x, kept), torch.randn(80, 4))
    assert torch.equal(kept, torch.ones(80, 4))


def test_a_model_without_gradient_stays_where_it_is():
    rows = torch.randn(80, 4)
    found = found_by(lambda x: torch.zeros(len(x), 2), rows)
    assert torch.equal(found.counterfactual, rows)


def test_few_rows_of_large_images_are_one_block():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256 * 256, 2))
    assert found_by(model, torch.randn(3, 3, 256, 256)).n_iter.tolist() == [5] * 3


def test_autocast_goes_through_autograd():
    with torch.autocast("cpu", torch.bfloat16):
        assert not isinstance(forward_of(MLP(4, 2)), DenseForward)


def test_hooks_on_all_modules_are_heard():
    handle = nn.modules.module.register_module_forward_hook(lambda *args: None)
    try:
        assert not isinstance(forward_of(MLP(4, 2)), DenseForward)
    finally:
        handle.remove()


@pytest.mark.parametrize("sizes", [(), (7,), (7, 5, 6)])
def test_gradients_of_the_weights_are_those_of_autograd(sizes):
    torch.manual_seed(0)
    model = MLP(4, 3, hidden_layer_sizes=sizes)
    model[-1].bias.requires_grad_(False)
    x, slope = torch.randn(20, 4), torch.randn(20, 3)
    for _ in range(2):  # gradients add up
        model(x).backward(slope)
    expected = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    dense = DenseForward(dense_layers(model))
    for _ in range(2):
        logits, states = dense.states(x.clone())
        dense.accumulate(states, slope)
    torch.testing.assert_close(logits, model(x).detach())
    for parameter, wanted in zip(model.parameters(), expected, strict=True):
        if wanted is None:
            assert parameter.grad is None
        else:
            torch.testing.assert_close(parameter.grad, wanted, rtol=1e-5, atol=1e-5)


def test_what_listens_to_gradients_of_weights_is_heard():
    for register in ("register_hook", "register_post_accumulate_grad_hook"):
        model = MLP(4, 2)
        getattr(model[0].weight, register)(lambda *args: None)
        assert dense_layers(model) is None
