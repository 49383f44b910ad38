"""`check_generator`: whether a generator keeps the promises of the protocol."""

from copy import deepcopy

import torch
from sklearn.base import clone
from torch import nn

from .constraints import Constraints, Group
from .generators.base import BaseGenerator, SearchState
from .generators.registry import seed_generator
from .solvers.search import search
from .utils.random import seeded
from .utils.validation import wrong

__all__ = ["check_generator"]


def check_generator(generator):
    """Check on small made-up data that a generator works in training and explaining.

    Parameters
    ----------
    generator : BaseGenerator
        Of any class; it is cloned, not touched.

    Raises
    ------
    AssertionError
        That names the promise which is not kept.
    ValueError
        For something else than a generator, or parameters that it refuses itself.

    Notes
    -----
    The protocol: parameters are stored as given and checked in `check`; `fit` learns
    from encoded rows and leaves no trace in the global random state; `penalty` gives
    one finite, differentiable value per row that depends on no other row; a latent
    generator encodes deterministically and decodes to the shape of a row; a search
    keeps every constraint, finds the same counterfactual for a row alone and in
    company, and tells the truth about maturity. For tables and images alike.

    Examples
    --------
    >>> from skct import BaseGenerator
    >>> from skct.testing import check_generator
    >>> class Ridge(BaseGenerator):
    ...     def penalty(self, state):
    ...         change = (state.x - state.factual).flatten(1)
    ...         return self.lambda_cost * change.square().sum(1)
    >>> check_generator(Ridge(lambda_cost=0.1))
    """
    if not isinstance(generator, BaseGenerator):
        raise wrong("generator", "an instance of a BaseGenerator class", generator)
    check_parameters(generator)
    for shape in [(5,), (1, 4, 4)]:
        x, target, model = task(shape)
        fitted = check_fit(generator, x, target)
        check_code(fitted, x)
        check_penalty(fitted, x, target, model)
        check_search(fitted, x, target, model, constraints_for(shape))


def task(shape, n=80):
    """Rows, targets, and a small network with three logits."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, *shape, generator=rng)
    if shape == (5,):  # the last two columns are a category
        x[:, 3:] = torch.eye(2)[torch.randint(2, (n,), generator=rng)]
    target = torch.randint(3, (n,), generator=rng)
    with seeded(0):
        model = nn.Sequential(
            nn.Flatten(), nn.Linear(x[0].numel(), 16), nn.Tanh(), nn.Linear(16, 3)
        )
    return x, target, model


def constraints_for(shape):
    """An immutable feature, a one-way one, a bounded one and a category."""
    size = torch.Size(shape).numel()
    names = torch.arange(size).reshape(shape).numpy()
    groups = [Group((3, 4))] if shape == (5,) else []
    return Constraints.from_spec(
        {0: "none", 1: "increase"},
        {2: (-1.0, 1.0)},
        feature_names=names,
        groups=groups,
    )


def check_parameters(generator):
    """Constructor, clone, and the checks of `check`."""
    kind = type(generator)
    for name in generator.get_params():
        marker = object()
        stored = getattr(kind(**{name: marker}), name)
        assert stored is marker, f"{kind.__name__}.__init__ must store {name} as it is"
    assert generator.check() is generator, "check must return the generator"
    for name in ("max_iter", "step_size", "threshold"):
        assert refuses(clone(generator).set_params(**{name: -1}), name), (
            f"check must refuse {name}=-1 and name it; call super().check()"
        )


def refuses(generator, name):
    """Whether `check` raises a ValueError that names the parameter."""
    try:
        generator.check()
    except ValueError as error:
        return name in str(error)
    return False


def check_fit(generator, x, target):
    """Fit twice: same bits, and neither input nor global random state touched."""
    before, state = x.clone(), torch.get_rng_state()
    fitted, again = (
        seed_generator(clone(generator), 0).fit(x, target) for _ in range(2)
    )
    assert fitted is not None, "fit must return the generator"
    assert torch.equal(torch.get_rng_state(), state), (
        "fit must leave torch's global random state alone"
    )
    assert torch.equal(x, before), "fit must not write to the rows"
    assert torch.equal(fitted.encode(x), again.encode(x)), (
        "the same rows and random_state must give the same fit"
    )
    return deepcopy(fitted)


def check_code(generator, x):
    """Latent codes are deterministic, and decode to rows."""
    z = generator.encode(x)
    assert len(z) == len(x), "encode must give one code per row"
    assert torch.equal(z, generator.encode(x)), "encode must be deterministic"
    decoded = generator.decode(z)
    assert decoded.shape == x.shape, "decode must give the shape of a row"
    if not generator.latent:
        assert torch.equal(decoded, x), "a code of its own needs latent = True"


def check_penalty(generator, x, target, model):
    """One finite differentiable value per row, whatever the other rows are."""
    anchors, elsewhere = generator.anchors(x, target), x.roll(1, dims=0)

    def penalty(rows):
        point = elsewhere[rows].clone().requires_grad_()
        state = SearchState(
            point,
            x[rows],
            model(point),
            target[rows],
            step=1,
            max_iter=generator.max_iter,
            anchors=None if anchors is None else anchors[rows],
        )
        return point, generator.penalty(state)

    point, together = penalty(slice(None))
    assert together.shape == (len(x),), "penalty must be of shape (n,)"
    assert together.isfinite().all(), "penalty must be finite"
    if together.requires_grad:
        (gradient,) = torch.autograd.grad(together.sum(), point, allow_unused=True)
        assert gradient is None or gradient.isfinite().all(), (
            "the gradient of the penalty must be finite"
        )
    _, alone = penalty(slice(3, 4))
    assert torch.allclose(alone, together[3:4], atol=1e-5), (
        "the penalty of a row must not depend on other rows"
    )


def check_search(generator, x, target, model, constraints):
    """Feasible, honest, independent counterfactuals, without side effects."""
    state = torch.get_rng_state()
    result = search(model, x, target, generator, constraints, epsilon=0.3)
    found = result.counterfactual
    assert torch.equal(torch.get_rng_state(), state), (
        "the search must leave torch's global random state alone"
    )
    assert all(p.grad is None for p in model.parameters()), (
        "use torch.autograd.grad, not backward"
    )
    assert torch.equal(constraints.project(found, x), found), (
        "counterfactuals must satisfy the constraints"
    )
    with torch.no_grad():
        probability = model(found).softmax(1).gather(1, target[:, None])[:, 0]
    honest = torch.equal(result.mature, probability >= generator.threshold)
    assert honest, "mature must be what the model says about the counterfactual"
    few = search(model, x[:3], target[:3], generator, constraints, epsilon=0.3)
    assert torch.allclose(few.counterfactual, found[:3], atol=1e-5), (
        "a row must get the same counterfactual alone and in company"
    )
