"""Every generator through the same protocol, and the parts that are its own."""

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch
from conftest import quick
from sklearn.base import clone
from sklearn.datasets import load_iris, make_moons
from sklearn.exceptions import NotFittedError

from skct import (
    BaseGenerator,
    Constraints,
    CounterfactualExplainer,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
    search,
)
from skct.generators import SearchState, make_generator
from skct.generators.eccco import energy_schedule
from skct.metrics import implausibility
from skct.testing import check_generator


class TowardsCentre(BaseGenerator):
    """What a user would write: pull counterfactuals towards the centre of the data."""

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
    # The penalty grows by lambda_cost with the distance, all else equal; None: it
    # depends.
    keeps_distance: bool | None = True

    def __repr__(self):
        return repr(self.generator)


CASES = [
    Case(GenericGenerator(lambda_cost=0.1, threshold=0.7)),
    Case(ECCCoGenerator(lambda_cost=0.1, threshold=0.7)),
    Case(TowardsCentre(pull=0.2, threshold=0.7), keeps_distance=False),
    Case(
        GenericGenerator(distance="mad", lambda_cost=0.1, threshold=0.7),
        keeps_distance=None,
    ),
    Case(
        REVISEGenerator(
            lambda_cost=0.1, threshold=0.7, step_size=1.0, n_epochs=50, random_state=0
        )
    ),
    Case(GravitationalGenerator(lambda_cost=0.1, threshold=0.7), keeps_distance=None),
]
cases = pytest.mark.parametrize(
    "case", [c for c in CASES if c.keeps_distance is not None], ids=repr
)
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


def anchored(generator, state):
    return state._replace(anchors=generator.anchors(state.factual, state.target))


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


@pytest.mark.parametrize(
    "generator",
    [case.generator for case in CASES if not isinstance(case.generator, TowardsCentre)],
    ids=repr,
)
def test_what_fit_learns_is_declared(generator):
    learnt = vars(fitted(generator)).keys() - generator.get_params().keys()
    declared = set(generator.fitted_attributes)
    learns_nothing = getattr(generator, "distance", "") == "l1"
    assert learnt == (set() if learns_nothing else declared)
    assert generator.holds_training_rows == ("rows_" in declared)


@generators
def test_constructor_stores_what_it_is_given_without_a_look(generator):
    for name in generator.get_params():
        given = type(generator)(**{name: "nonsense"})
        assert getattr(given, name) == "nonsense"


@generators
@pytest.mark.parametrize("shape", [(4,), (1, 5, 5)])
def test_penalty_has_one_finite_value_and_a_gradient_per_row(generator, shape):
    generator = fitted(generator, shape)
    state = anchored(generator, make_state(shape))
    penalty = generator.penalty(state)
    assert penalty.shape == (12,)
    assert penalty.isfinite().all()
    (gradient,) = torch.autograd.grad(penalty.sum(), state.x)
    assert (gradient != 0).flatten(1).any(1).all()


@generators
def test_penalty_of_a_row_does_not_depend_on_the_others(generator):
    generator = fitted(generator)
    state = anchored(generator, make_state())
    together = generator.penalty(state)
    for i in range(12):
        row = slice(i, i + 1)
        alone = state._replace(
            x=state.x[row],
            factual=state.factual[row],
            logits=state.logits[row],
            target=state.target[row],
            anchors=None if state.anchors is None else state.anchors[row],
        )
        torch.testing.assert_close(generator.penalty(alone), together[row])


@cases
def test_penalty_of_a_generator_that_keeps_distance_grows_with_it(case):
    generator = fitted(case.generator)
    state = anchored(generator, make_state())
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


@generators
def test_every_generator_keeps_the_promises_of_the_protocol(generator):
    check_generator(generator)


class Leaky(BaseGenerator):
    """Breaks one promise each."""

    def __init__(self, *, flaw="", **kwargs):
        super().__init__(**kwargs)
        self.flaw = flaw

    @classmethod
    def _get_param_names(cls):
        return ["flaw", "lambda_cost", "max_iter", "step_size", "threshold"]

    def check(self):
        return self if self.flaw == "check" else super().check()

    def fit(self, X, y=None):
        if self.flaw == "global state":
            torch.rand(1)
        if self.flaw == "write":
            X.zero_()
        return self

    def encode(self, x):
        noise = 0.0
        if self.flaw == "code":
            noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(id(x)))
        return x + noise

    def decode(self, z):
        return z[:, :1] if self.flaw == "shape" else z

    def penalty(self, state):
        change = (state.x - state.factual).abs().flatten(1)
        if self.flaw == "mean":
            return change.mean().expand(len(change))
        if self.flaw == "infinite":
            return change.sum(1) * torch.inf
        if self.flaw == "matrix":
            return change
        return change.sum(1)


@pytest.mark.parametrize(
    ("flaw", "promise"),
    [
        ("check", "check must refuse max_iter=-1"),
        ("global state", "global random state"),
        ("write", "must not write"),
        ("shape", "decode must give the shape"),
        ("mean", "must not depend on other rows"),
        ("infinite", "must be finite"),
        ("matrix", "must be of shape"),
    ],
)
def test_a_broken_promise_is_named(flaw, promise):
    check_generator(Leaky())
    with pytest.raises(AssertionError, match=promise):
        check_generator(Leaky(flaw=flaw))


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


def test_mad_weighted_distance_by_hand():
    """Deviations of 2, 0 (a constant column counts plainly) and 0.5."""
    rows = torch.tensor([[0.0, 7, 1.0], [2.0, 7, 1.5], [4.0, 7, 2.0]])
    generator = GenericGenerator(distance="mad", lambda_cost=1.0).fit(rows)
    state = SearchState(
        x=torch.tensor([[1.0, 1.0, 1.0]]),
        factual=torch.zeros(1, 3),
        logits=torch.zeros(1, 2),
        target=torch.tensor([0]),
        step=1,
        max_iter=30,
    )
    assert generator.penalty(state).tolist() == [0.5 + 1.0 + 2.0]
    weighted = state._replace(weights=torch.tensor([2.0, 1.0, 1.0]))
    assert generator.penalty(weighted).tolist() == [1.0 + 1.0 + 2.0]


def test_gravity_by_hand():
    """Two neighbours of the target class, the nearest of three."""
    rows = torch.tensor([[0.0], [1.0], [3.0], [50.0], [0.2]])
    generator = GravitationalGenerator(
        n_neighbours=2, lambda_gravity=2.0, lambda_cost=0.5
    ).fit(rows, torch.tensor([1, 1, 1, 0, 0]))
    factual, target = torch.tensor([[2.5], [0.5]]), torch.tensor([1, 0])
    anchors = generator.anchors(factual, target)
    assert anchors.squeeze(2).tolist() == [[3.0, 1.0], [pytest.approx(0.2), 50.0]]
    state = SearchState(
        x=torch.tensor([[2.0], [0.0]]),
        factual=factual,
        logits=torch.zeros(2, 2),
        target=target,
        step=1,
        max_iter=30,
        anchors=anchors,
    )
    expected = [0.5 * 0.5 + 2.0 * 1.0, 0.5 * 0.5 + 2.0 * 25.1]
    torch.testing.assert_close(generator.penalty(state), torch.tensor(expected))


def test_gravity_draws_counterfactuals_to_the_neighbours():
    factual, target = make_rows(40)
    rows, classes = make_rows(50)
    free = Constraints.unbounded((4,))
    gap = []
    for pull in (0.0, 2.0):
        generator = GravitationalGenerator(lambda_gravity=pull, threshold=0.95)
        generator.fit(rows, classes)
        found = search(model, factual, target, generator, free).counterfactual
        anchors = generator.anchors(factual, target)
        gap.append((found.unsqueeze(1) - anchors).abs().sum(2).mean())
    assert gap[1] < 0.7 * gap[0]


def test_gravity_counts_the_rows_of_a_small_class_in_turn():
    rows, classes = torch.tensor([[0.0], [1.0], [9.0]]), torch.tensor([0, 0, 1])
    generator = GravitationalGenerator(n_neighbours=5).fit(rows, classes)
    anchors = generator.anchors(torch.zeros(2, 1), torch.tensor([0, 1])).squeeze(2)
    assert anchors.tolist() == [[0.0, 1.0, 0.0, 1.0, 0.0], [9.0] * 5]
    alone = generator.anchors(torch.tensor([[7.0], [8.0]]), torch.tensor([0, 2]))
    assert alone[1].squeeze(1).tolist() == [8.0] * 5


def test_gravity_keeps_a_part_of_many_rows():
    rows = torch.arange(100.0)[:, None]
    generator = GravitationalGenerator(n_reference=10).fit(rows, (rows >= 90)[:, 0] * 1)
    kept = generator.rows_.squeeze(1)
    assert len(kept) == 20
    assert kept[[0, 9, 10, 19]].tolist() == [0, 89, 90, 99]
    assert kept[:10].diff().min() >= 9


@pytest.mark.parametrize(
    "generator",
    [REVISEGenerator(), GravitationalGenerator(), GenericGenerator(distance="mad")],
    ids=repr,
)
def test_what_has_to_learn_says_so(generator):
    factual, target = make_rows(4)
    with pytest.raises(NotFittedError, match=type(generator).__name__):
        search(model, factual, target, generator, Constraints.unbounded((4,)))


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (GenericGenerator, "distance", "l2"),
        (REVISEGenerator, "latent_dim", 0),
        (REVISEGenerator, "hidden_size", 1.5),
        (REVISEGenerator, "n_epochs", 0),
        (GravitationalGenerator, "lambda_gravity", -1),
        (GravitationalGenerator, "n_neighbours", 0),
        (GravitationalGenerator, "n_reference", "all"),
    ],
)
def test_parameters_of_their_own_are_checked(cls, name, value):
    with pytest.raises(ValueError, match=f"'{name}' parameter of {cls.__name__}"):
        cls(**{name: value}).check()


# ------------------------------------------------------------------------ REVISE's VAE


def correlated(n=400):
    """Three features on a line, with a little noise, in units far apart."""
    rng = torch.Generator().manual_seed(0)
    line = torch.randn(n, 1, generator=rng)
    noise = 0.1 * torch.randn(n, 3, generator=rng)
    scale = torch.tensor([1.0, 1000.0, 0.001])
    return (line * torch.tensor([1.0, -1.0, 2.0]) + noise) * scale + 5 * scale


def test_the_code_keeps_what_the_rows_have_in_common():
    rows = correlated()
    generator = REVISEGenerator(latent_dim=1, random_state=0).fit(rows)
    error = (generator.decode(generator.encode(rows)) - rows) / rows.std(0)
    assert error.square().mean() < 0.05


def test_codes_are_spread_like_the_prior():
    rows = correlated()
    code = REVISEGenerator(latent_dim=1, random_state=0).fit(rows).encode(rows)
    assert abs(code.mean()) < 0.3
    assert 0.5 < code.std() < 1.5


def test_constant_features_and_single_rows_do_not_break_the_code():
    rows = torch.zeros(1, 3)
    generator = REVISEGenerator(n_epochs=2, random_state=0).fit(rows)
    assert generator.decode(generator.encode(rows)).isfinite().all()


def test_seeds_govern_the_autoencoder():
    rows = correlated(50)

    def code(seed):
        generator = REVISEGenerator(n_epochs=2, random_state=seed)
        return generator.fit(rows).encode(rows)

    assert torch.equal(code(0), code(0))
    assert not torch.equal(code(0), code(1))
    assert not torch.equal(code(None), code(None))


@pytest.mark.parametrize("seed", range(3))
def test_revise_is_more_plausible_than_generic_on_the_moons_of_a_plain_net(seed):
    X, y = make_moons(600, noise=0.1, random_state=seed)
    clf = quick(
        epochs=30, lambda_div=0, lambda_adv=0, lambda_reg=0, random_state=seed
    ).fit(X, y)
    assert clf.score(X, y) > 0.97
    near, far = [], []
    for generator in (REVISEGenerator(random_state=seed), GenericGenerator()):
        generator.set_params(max_iter=200)
        explainer = CounterfactualExplainer(
            clf, generator=generator, confidence=0.9, refine=False
        )
        explanation = explainer.fit(X, y).explain(X)
        assert explanation.valid.mean() > 0.97
        far.append(explanation.implausibility.mean())
        near.append(
            np.mean(
                [
                    implausibility(
                        explanation.counterfactual[explanation.target == k],
                        X[y == k],
                        n_neighbours=5,
                    ).mean()
                    for k in (0, 1)
                ]
            )
        )
    assert far[0] < 0.97 * far[1]
    assert near[0] < 0.7 * near[1]


# --------------------------------------------------------------------- construction


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("generic", GenericGenerator),
        ("eccco", ECCCoGenerator),
        ("revise", REVISEGenerator),
        ("gravitational", GravitationalGenerator),
    ],
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


# ------------------------------------------------------------------- going on training


@pytest.mark.parametrize("name", ["gravitational", "revise"])
def test_batches_without_a_class_do_not_make_a_generator_forget(name):
    X, y = load_iris(return_X_y=True)
    clf = quick(epochs=1, generator=name)
    clf.set_params(**({"generator__n_epochs": 20} if name == "revise" else {}))
    clf.partial_fit(X[:50], y[:50], classes=[0, 1, 2]).partial_fit(X, y)
    after_all = clf.generator_
    clf.partial_fit(X[:50], y[:50]).partial_fit(X[:1], y[:1])
    assert clf.generator_ is after_all
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explanation = CounterfactualExplainer(clf, target=2).explain(X[:100])
    assert len(explanation) == 100
    if name == "gravitational":
        assert set(clf.generator_.classes_of_rows_.tolist()) == {0, 1, 2}


def test_new_parameters_or_classes_make_it_learn_again():
    X, y = load_iris(return_X_y=True)
    clf = quick(epochs=1, generator="gravitational")
    clf.partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    first = clf.generator_
    clf.partial_fit(X[100:], y[100:])
    assert clf.generator_ is not first
    assert set(clf.generator_.classes_of_rows_.tolist()) == {0, 1, 2}
    clf.set_params(generator__n_neighbours=3).partial_fit(X, y)
    assert clf.generator_.n_neighbours == 3


def test_an_explainer_with_an_open_seed_has_that_of_the_classifier():
    X, y = make_moons(100, noise=0.1, random_state=0)
    clf = quick(epochs=3).fit(X, y)
    explainer = CounterfactualExplainer(
        clf, generator=REVISEGenerator(n_epochs=2, max_iter=20)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (explainer.explain(X[:9]).counterfactual for _ in range(2))
    np.testing.assert_array_equal(first, second)
