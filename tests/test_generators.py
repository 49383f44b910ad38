"""Every generator through the same protocol, and the parts that are its own."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from sklearn.base import clone

from skct import (
    BaseGenerator,
    Constraints,
    ECCCoGenerator,
    GenericGenerator,
    search,
)
from skct.generators import SearchState, energy_schedule, make_generator


class TowardsCentre(BaseGenerator):
    """What a user would write: pull answers towards the centre of the data."""

    def __init__(
        self, *, max_iter=30, step_size=0.1, threshold=0.5, lambda_cost=0.001, pull=0.1
    ):
        super().__init__(
            max_iter=max_iter,
            step_size=step_size,
            threshold=threshold,
            lambda_cost=lambda_cost,
        )
        self.pull = pull

    def fit(self, X, y=None):
        self.centre_ = X.mean(0)
        return self

    def penalty(self, state):
        return self.pull * (state.x - self.centre_).square().flatten(1).sum(1)


class Case(NamedTuple):
    generator: BaseGenerator
    keeps_distance: bool = True  # the penalty grows with the distance, all else equal

    def __repr__(self):
        return repr(self.generator)


CASES = [
    Case(GenericGenerator(lambda_cost=0.1, threshold=0.7)),
    Case(ECCCoGenerator(lambda_cost=0.1, threshold=0.7)),
    Case(TowardsCentre(pull=0.2, threshold=0.7), keeps_distance=False),
]
cases = pytest.mark.parametrize("case", CASES, ids=repr)
generators = pytest.mark.parametrize(
    "generator", [c.generator for c in CASES], ids=repr
)


def make_rows(n=12, shape=(4,)):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(n, *shape, generator=rng)
    return x, torch.randint(3, (n,), generator=rng)


def model(x):
    """Three logits, with a fixed random direction each."""
    rng = torch.Generator().manual_seed(1)
    x = x.flatten(1)
    return x.tanh() @ torch.randn(x.shape[1], 3, generator=rng)


def make_state(shape=(4,), **changes):
    factual, target = make_rows(shape=shape)
    x = (factual + 0.3).requires_grad_()
    state = SearchState(x, factual, model(x), target, step=1, max_iter=30)
    return state._replace(**changes)


def fitted(generator, shape=(4,)):
    return clone(generator).fit(*make_rows(50, shape))


# ----------------------------------------------------------------------- protocol


@generators
def test_clone_copies_the_parameters_and_nothing_else(generator):
    copy = clone(fitted(generator))
    assert copy.get_params() == generator.get_params()
    assert vars(copy) == copy.get_params()
    copy.set_params(max_iter=7)
    assert copy.max_iter == 7
    assert generator.max_iter == 30


@generators
def test_constructor_stores_what_it_is_given_without_a_look(generator):
    for name in generator.get_params():
        given = type(generator)(**{name: "nonsense"})
        assert getattr(given, name) == "nonsense"


@generators
@pytest.mark.parametrize("shape", [(4,), (1, 5, 5)])
def test_penalty_has_one_finite_value_and_a_gradient_per_row(generator, shape):
    state = make_state(shape)
    penalty = fitted(generator, shape).penalty(state)
    assert penalty.shape == (12,)
    assert penalty.isfinite().all()
    (gradient,) = torch.autograd.grad(penalty.sum(), state.x)
    assert (gradient != 0).flatten(1).any(1).all()


@generators
def test_penalty_of_a_row_does_not_depend_on_the_others(generator):
    generator, state = fitted(generator), make_state()
    together = generator.penalty(state)
    for i in range(12):
        row = slice(i, i + 1)
        alone = state._replace(
            x=state.x[row],
            factual=state.factual[row],
            logits=state.logits[row],
            target=state.target[row],
        )
        torch.testing.assert_close(generator.penalty(alone), together[row])


@cases
def test_penalty_of_a_generator_that_keeps_distance_grows_with_it(case):
    generator, state = fitted(case.generator), make_state()
    far = state._replace(x=state.x + 0.7)  # the logits stay
    difference = (generator.penalty(far) - generator.penalty(state)).detach()
    if case.keeps_distance:
        torch.testing.assert_close(difference, torch.full((12,), 4 * 0.7 * 0.1))
    else:
        assert (difference < 0).any()


@generators
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_iter", 0),
        ("max_iter", 2.5),
        ("step_size", 0),
        ("step_size", -0.1),
        ("threshold", 0),
        ("threshold", 1),
        ("threshold", 75),
        ("threshold", float("nan")),
        ("lambda_cost", -1),
        ("lambda_cost", "0.1"),
        ("lambda_cost", None),
    ],
)
def test_error_names_parameter_class_and_value(generator, name, value):
    wrong = clone(generator).set_params(**{name: value})
    with pytest.raises(ValueError) as error:
        wrong.check()
    expected = f"The {name!r} parameter of {type(generator).__name__} must be"
    assert str(error.value).startswith(expected)
    assert f"Got {value!r} instead." in str(error.value)


@generators
def test_check_and_fit_return_the_generator(generator):
    generator = clone(generator)
    assert generator.check() is generator
    assert generator.fit(*make_rows()) is generator


@generators
def test_search_with_it_is_feasible_honest_and_repeatable(generator):
    generator = fitted(generator)
    factual, target = make_rows(40)
    words = ["both", "none", "increase", "both"]
    constraints = Constraints.from_spec(words, {0: (-1, 1)}, feature_names=range(4))
    result = search(model, factual, target, generator, constraints, epsilon=0.3)
    again = search(model, factual, target, generator, constraints, epsilon=0.3)
    x = result.counterfactual
    assert torch.equal(constraints.project(x, factual), x)
    probability = model(x).softmax(1)[torch.arange(40), target]
    assert torch.equal(result.mature, probability >= generator.threshold)
    assert (result.mature & (result.n_iter > 0)).any()
    assert all(map(torch.equal, result, again))


# --------------------------------------------------------------------- their formulas


def test_generic_penalty_is_the_weighted_l1_distance_by_hand():
    state = SearchState(
        x=torch.tensor([[1.0, -2.0], [0.0, 0.5]]),
        factual=torch.tensor([[0.0, 0.0], [0.0, 1.0]]),
        logits=torch.zeros(2, 2),
        target=torch.tensor([0, 1]),
        step=1,
        max_iter=30,
    )
    generator = GenericGenerator(lambda_cost=0.5)
    assert generator.penalty(state).tolist() == [1.5, 0.25]
    weighted = state._replace(weights=torch.tensor([1.0, 10.0]))
    assert generator.penalty(weighted).tolist() == [10.5, 2.5]


def test_eccco_penalty_by_hand():
    """T = 50: b = 2, a = 0.2, so the factor at step 1 is 0.2 * 3 ** -0.9."""
    state = SearchState(
        x=torch.tensor([[1.0]]),
        factual=torch.tensor([[0.0]]),
        logits=torch.tensor([[3.0, -4.0]]),
        target=torch.tensor([1]),
        step=1,
        max_iter=50,
    )
    energy = 4.0 + 1e-3 * 4.0**2
    expected = 0.25 * 1.0 + 2.0 * 0.2 * 3**-0.9 * energy
    penalty = ECCCoGenerator(lambda_cost=0.25, lambda_energy=2.0).penalty(state)
    torch.testing.assert_close(penalty, torch.tensor([expected]))


def test_eccco_without_energy_is_generic():
    factual, target = make_rows()
    free = Constraints.unbounded((4,))
    generic, eccco, short = (
        search(model, factual, target, generator, free)
        for generator in (
            GenericGenerator(max_iter=12),
            ECCCoGenerator(max_iter=12, lambda_energy=0.0),
            ECCCoGenerator(max_iter=12, lambda_energy=9.0),  # 12 < 13: switched off
        )
    )
    assert torch.equal(generic.counterfactual, eccco.counterfactual)
    assert torch.equal(generic.counterfactual, short.counterfactual)


def test_energy_pulls_the_target_logit_up():
    factual, target = make_rows()
    free = Constraints.unbounded((4,))
    logits = [
        model(search(model, factual, target, generator, free).counterfactual)
        for generator in (
            ECCCoGenerator(threshold=0.99, lambda_energy=20.0),
            GenericGenerator(threshold=0.99),
        )
    ]
    with_energy, without = (z[torch.arange(12), target] for z in logits)
    assert (with_energy > without).all()


@pytest.mark.parametrize(
    ("max_iter", "first", "last"),
    [
        (5, 0.0, 0.0),
        (25, 0.0536, 0.0053),
        (30, 0.0536, 0.0046),
        (50, 0.0744, 0.0057),
        (100, 0.0940, 0.0061),
    ],
)
def test_energy_schedule_is_that_of_the_reference_code(max_iter, first, last):
    """Table of method.md 2.3, four decimals (0.00455 became 0.0046 there)."""
    assert energy_schedule(1, max_iter) == pytest.approx(first, abs=6e-5)
    assert energy_schedule(max_iter, max_iter) == pytest.approx(last, abs=6e-5)


def test_energy_schedule_decays_and_rounds_half_to_even():
    schedule = [energy_schedule(step, 30) for step in range(1, 31)]
    assert (np.diff(schedule) < 0).all()
    assert energy_schedule(1, 12) == 0  # 0.48 -> 0
    assert energy_schedule(1, 13) > 0  # 0.52 -> 1
    assert energy_schedule(1, 62) == energy_schedule(1, 50)  # 2.48 -> 2


def test_lambda_energy_is_checked():
    with pytest.raises(
        ValueError, match="'lambda_energy' parameter of ECCCoGenerator must be"
    ):
        ECCCoGenerator(lambda_energy=-1).check()


# --------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("name", "cls"), [("generic", GenericGenerator), ("eccco", ECCCoGenerator)]
)
def test_a_name_stands_for_the_defaults(name, cls):
    made = make_generator(name)
    assert type(made) is cls
    assert made.get_params() == cls().get_params()


def test_defaults_are_those_of_the_paper():
    assert ECCCoGenerator().get_params() == {
        "max_iter": 30,
        "step_size": 0.1,
        "threshold": 0.5,
        "lambda_cost": 0.001,
        "lambda_energy": 5.0,
    }


@generators
def test_an_instance_is_copied_without_what_it_learnt(generator):
    given = fitted(generator)
    made = make_generator(given)
    assert made is not given
    assert vars(made) == given.get_params()


@pytest.mark.parametrize("wrong", ["Eccco", None, 3, GenericGenerator])
def test_anything_else_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match="'generator' parameter.*'generic'") as error:
        make_generator(wrong)
    assert repr(wrong) in str(error.value)


def test_a_generator_without_a_penalty_says_so():
    with pytest.raises(NotImplementedError, match="BaseGenerator must define"):
        BaseGenerator().penalty(make_state())


def test_a_third_party_generator_steers_the_search():
    """`TowardsCentre` above, 20 lines, does what it says."""
    factual, target = make_rows(40)
    free = Constraints.unbounded((4,))
    strong, weak = (
        search(
            model,
            factual,
            target,
            TowardsCentre(pull=pull, threshold=0.99).fit(torch.zeros(1, 4)),
            free,
        )
        for pull in (1.0, 0.0)
    )
    assert strong.counterfactual.norm() < 0.7 * weak.counterfactual.norm()
