"""Whether a generator or an objective keeps the promises of its protocol."""

from copy import deepcopy
from typing import Any

import torch
from sklearn.base import clone
from torch import Tensor, nn

from .constraints import Constraints, Group
from .generators.base import BaseGenerator, SearchState
from .generators.eccco import ECCCoGenerator
from .generators.registry import seed_generator
from .solvers.search import SearchResult, search
from .training.net import CounterfactualNet
from .training.objective import Objective, Outputs, Searched, SearchTask
from .training.objectives import LAMBDAS
from .training.pairs import packed
from .training.passes import ModulePass
from .utils.random import seeded
from .utils.validation import wrong

__all__ = ["check_generator", "check_objective"]


def check_generator(generator: BaseGenerator) -> None:
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


def task(shape: tuple[int, ...], n: int = 80) -> tuple[Tensor, Tensor, nn.Module]:
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


def constraints_for(shape: tuple[int, ...]) -> Constraints:
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


def check_parameters(generator: BaseGenerator) -> None:
    """Constructor, clone, and the checks of `check`."""
    check_constructor(generator)
    assert generator.check() is generator, "check must return the generator"
    for name in ("max_iter", "step_size", "threshold"):
        assert refuses(clone(generator).set_params(**{name: -1}), name), (
            f"check must refuse {name}=-1 and name it; call super().check()"
        )


def check_constructor(part: BaseGenerator | Objective) -> None:
    """Every parameter is stored as it was given."""
    kind: Any = type(part)
    for name in part.get_params():
        marker = object()
        stored = getattr(kind(**{name: marker}), name)
        assert stored is marker, f"{kind.__name__}.__init__ must store {name} as it is"


def refuses(generator: BaseGenerator | Objective, name: str) -> bool:
    """Whether `check` raises a ValueError that names the parameter."""
    try:
        generator.check()
    except ValueError as error:
        return name in str(error)
    return False


def check_fit(generator: BaseGenerator, x: Tensor, target: Tensor) -> BaseGenerator:
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


def check_code(generator: BaseGenerator, x: Tensor) -> None:
    """Latent codes are deterministic, and decode to rows."""
    z = generator.encode(x)
    assert len(z) == len(x), "encode must give one code per row"
    assert torch.equal(z, generator.encode(x)), "encode must be deterministic"
    decoded = generator.decode(z)
    assert decoded.shape == x.shape, "decode must give the shape of a row"
    if not generator.latent:
        assert torch.equal(decoded, x), "a code of its own needs latent = True"


def check_penalty(
    generator: BaseGenerator, x: Tensor, target: Tensor, model: nn.Module
) -> None:
    """One finite differentiable value per row, whatever the other rows are."""
    anchors, elsewhere = generator.anchors(x, target), x.roll(1, dims=0)

    def penalty(rows: slice) -> tuple[Tensor, Tensor]:
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


def check_search(
    generator: BaseGenerator,
    x: Tensor,
    target: Tensor,
    model: nn.Module,
    constraints: Constraints,
) -> None:
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


# ------------------------------------------------------------------------- objectives


# Columns that the history of a net has already.
HISTORY = (
    *("epoch", "dur", "batches", "train_loss", "valid_loss", "valid_acc"),
    *("train_batch_count", "valid_batch_count", "mature", "n_iter"),
    *("classification", "divergence", "adversarial"),
    *("search_seconds", "update_seconds"),
)


def check_objective(objective: Objective) -> None:
    """Check on small made-up data that an objective works in training.

    Parameters
    ----------
    objective : Objective
        Of any class; it is cloned, not touched.

    Raises
    ------
    AssertionError
        That names the promise which is not kept.
    ValueError
        For something else than an objective, or parameters that it refuses itself.

    Notes
    -----
    The protocol: parameters are stored as given and checked in `check`; `search` draws
    from its own random numbers only, leaves the generator it is given alone, and finds
    counterfactuals that satisfy the constraints; `pair` draws alike
    and returns tensors with one row per counterfactual; `terms` gives one finite,
    differentiable value per pair that depends on no other pair, since pairs are shared
    out over mini-batches; a net trains on it. For tables and images alike.

    Examples
    --------
    >>> from skct import Objective
    >>> from skct.testing import check_objective
    >>> class Pull(Objective):
    ...     regulariser = "squares"
    ...     def terms(self, pairs, outputs):
    ...         gap = outputs.neighbour - outputs.counterfactual
    ...         return gap.abs().sum(1), gap.square().sum(1)
    >>> check_objective(Pull())
    """
    if not isinstance(objective, Objective):
        raise wrong("objective", "an instance of an Objective class", objective)
    check_settings(objective)
    for shape in [(5,), (1, 4, 4)]:
        x, y, model = task(shape)
        constraints = constraints_for(shape)
        searched = check_objective_search(objective, x, y, model, constraints)
        pairs = check_pair(objective, x, y, searched, constraints)
        check_terms(objective, pairs, model, constraints)
        check_training(objective, x, y, constraints)


def check_settings(objective: Objective) -> None:
    """Constructor, clone, checks, and what the class says about itself."""
    kind = type(objective)
    for name in (*LAMBDAS, "epsilon"):
        assert name in objective.get_params(), f"__init__ must have a parameter {name}"
    check_constructor(objective)
    assert objective.check() is objective, "check must return the objective"
    for name in ("lambda_div", "lambda_adv", "lambda_reg", "epsilon"):
        assert refuses(clone(objective).set_params(**{name: -1}), name), (
            f"check must refuse {name}=-1 and name it; call super().check()"
        )
    assert isinstance(kind.regulariser, str), "regulariser must be a name"
    assert kind.regulariser not in HISTORY, (
        f"the history has a column {kind.regulariser!r} already; name the regulariser "
        "otherwise"
    )


def check_objective_search(
    objective: Objective,
    x: Tensor,
    y: Tensor,
    model: nn.Module,
    constraints: Constraints,
) -> Searched:
    """Feasible counterfactuals, the same for the same seed; the generator is kept."""
    given, target = ECCCoGenerator(max_iter=10), (y + 1) % 3
    before, state = given.get_params(), torch.get_rng_state()
    fitted = clone(objective).fit(x, y)
    assert isinstance(fitted, Objective), "fit must return the objective"

    def with_generator(
        generator: BaseGenerator, *, epsilon: float | None = None
    ) -> SearchResult:
        return search(model, x, target, generator, constraints, epsilon=epsilon)

    result, again = (
        fitted.search(
            SearchTask(
                *(model, x, y, target, x, y, given, constraints),
                torch.Generator().manual_seed(0),
                with_generator,
            )
        )
        for _ in range(2)
    )
    assert given.get_params() == before, "search must not change the generator"
    assert torch.equal(torch.get_rng_state(), state), (
        "fit and search must leave torch's global random state alone"
    )
    for value, other in zip(result, again, strict=True):
        assert len(value) == len(x), "search must return one row per factual"
        assert torch.equal(value, other), "the same random numbers must find the same"
    found = result.counterfactual
    assert torch.equal(constraints.project(found, x), found), (
        "counterfactuals must satisfy the constraints"
    )
    return Searched(x, y, model(x).argmax(1), result)


def check_pair(
    objective: Objective,
    x: Tensor,
    y: Tensor,
    searched: Searched,
    constraints: Constraints,
) -> Any:
    """Named tensors with a row per counterfactual; the same for the same seed."""
    objective = clone(objective).fit(x, y)
    state, before = torch.get_rng_state(), x.clone()
    pairs, again = (
        objective.pair(x, y, searched, constraints, torch.Generator().manual_seed(0))
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), state), (
        "pair must draw from the generator that it is given only"
    )
    assert torch.equal(x, before), "pair must not write to the rows"
    for name in ("nascent", "label", "counterfactual", "neighbour", "target"):
        assert hasattr(pairs, name), f"pairs must have a field {name!r}"
    for value, other in zip(pairs, again, strict=True):
        assert torch.is_tensor(value), "pairs must be a named tuple of tensors"
        assert len(value) == len(x), "each field must hold one row per counterfactual"
        assert torch.equal(value, other), "the same random numbers must give same pairs"
    return pairs


def check_terms(
    objective: Objective, pairs: Any, model: nn.Module, constraints: Constraints
) -> None:
    """Two finite differentiable values per pair, whatever the other pairs are."""

    def terms(chunk: Any) -> Tensor:
        passes = ModulePass(model, model, model)
        _, output = passes.forward(chunk.nascent, packed(chunk))
        ours, theirs = output[len(chunk.target) :].split(len(chunk.target))
        outputs = Outputs(ours, theirs, passes.slopes, constraints)
        return torch.stack([*objective.terms(chunk, outputs)])

    n = len(pairs.target)
    together = terms(pairs)
    assert together.shape == (2, n), "terms must return two Tensors of shape (n,)"
    assert together.isfinite().all(), "terms must be finite"
    if together.requires_grad:
        gradients = torch.autograd.grad(
            together.sum(), list(model.parameters()), allow_unused=True
        )
        assert all(g is None or g.isfinite().all() for g in gradients), (
            "the gradient of the terms must be finite"
        )
    alone = terms(type(pairs)(*(value[3:5] for value in pairs)))
    assert torch.allclose(alone, together[:, 3:5], rtol=1e-4, atol=1e-5), (
        "the terms of a pair must not depend on other pairs"
    )


def check_training(
    objective: Objective, x: Tensor, y: Tensor, constraints: Constraints
) -> None:
    """A net learns something else than without counterfactuals, and nothing breaks."""
    learnt = []
    for given in (objective, clone(objective).set_params(**dict.fromkeys(LAMBDAS, 0))):
        net = CounterfactualNet(
            objective=given,
            constraints=constraints,
            max_epochs=2,
            batch_size=32,
            random_state=0,
        )
        with seeded(0):
            net.fit(x.numpy(), y.numpy())
        learnt.append(torch.cat([p.flatten() for p in net.module_.parameters()]))
        assert learnt[-1].isfinite().all(), "training must keep weights finite"
    if objective.trains_counterfactually:
        assert not torch.equal(*learnt), "training must learn from counterfactuals"
