"""The batched search: closed forms, four rules, and a slow reference."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from skct import (
    Constraints,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
    search,
)
from skct.constraints import Group
from skct.solvers.search import trace

N_CLASSES = 3
# Columns: two free, one frozen, one that only rises, an integer, a category of three.
WORDS = ["both", "both", "none", "increase", "both", "both", "both", "both"]
LOWER = [-1.0, -np.inf, -np.inf, -np.inf, -3.0, 0.0, 0.0, 0.0]
UPPER = [1.0, np.inf, np.inf, 1.5, 3.0, 1.0, 1.0, 1.0]
INTEGER, GROUP = 4, (5, 6, 7)
N_FEATURES = len(WORDS)

generators = pytest.mark.parametrize(
    "generator",
    [
        GenericGenerator(threshold=0.8, lambda_cost=0.05, step_size=0.3),
        ECCCoGenerator(threshold=0.7, lambda_energy=2.0, step_size=0.3),
        GenericGenerator(threshold=0.8, step_size=0.3, distance="mad"),
        REVISEGenerator(threshold=0.7, step_size=0.3, n_epochs=100, random_state=0),
        GravitationalGenerator(threshold=0.7, step_size=0.3, lambda_gravity=0.3),
    ],
    ids=repr,
)


@pytest.fixture(autouse=True, scope="module")
def _generators_learn():
    """What they have to learn before a search: once for all tests."""
    for generator in generators.args[1]:
        generator.fit(*make_rows(200, seed=9))


def linear(*weights):
    """Logits [0, w @ x]."""
    weights = torch.tensor(weights)

    def model(x):
        score = x.flatten(1) @ weights
        return torch.stack([torch.zeros_like(score), score], dim=1)

    return model


def make_net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(N_FEATURES, 16), nn.Tanh(), nn.Linear(16, N_CLASSES)
        )
    with torch.no_grad():  # decided, so that the threshold is not met by chance
        net[0].weight *= 2
        net[2].weight *= 4
    return net


def make_rows(n, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, N_FEATURES))
    rows[:, INTEGER] = rng.integers(-3, 4, size=n)
    rows[:, GROUP] = np.eye(3)[rng.integers(3, size=n)]
    target = rng.integers(N_CLASSES, size=n)
    return torch.tensor(rows, dtype=torch.float32), torch.tensor(target)


def mixed_constraints():
    return Constraints.from_arrays(
        LOWER,
        UPPER,
        WORDS,
        (N_FEATURES,),
        groups=(Group(GROUP),),
        step=np.eye(N_FEATURES)[INTEGER],
    )


def boxed_constraints():
    return Constraints.from_arrays(LOWER, UPPER, WORDS, (N_FEATURES,))


def integer_constraints():
    step = np.eye(N_FEATURES)[INTEGER]
    return Constraints.from_arrays(LOWER, UPPER, WORDS, (N_FEATURES,), step=step)


def one_category(size, **group):
    ends = np.zeros(size), np.ones(size)
    groups = (Group(tuple(range(size)), **group),)
    return Constraints.from_arrays(*ends, ["both"] * size, (size,), groups=groups)


def free_constraints():
    return Constraints.unbounded((N_FEATURES,))


def find(model, factual, generator=None, constraints=None, **others):
    """Search for class 1, unconstrained unless told otherwise."""
    target = torch.ones(len(factual), dtype=torch.long)
    generator = generator or GenericGenerator()
    constraints = constraints or Constraints.unbounded(factual.shape[1:])
    return search(model, factual, target, generator, constraints, **others)


def target_probability(model, x, target):
    with torch.no_grad():
        return model(x).softmax(1)[torch.arange(len(x)), target]


def take(result, rows):
    return type(result)(*(values[rows] for values in result))


def assert_same(result, expected):
    for name in ("counterfactual", "nascent"):
        torch.testing.assert_close(
            getattr(result, name), getattr(expected, name), rtol=0, atol=1e-5
        )
    for name in ("target", "mature", "n_iter"):
        assert torch.equal(getattr(result, name), getattr(expected, name))


# ------------------------------------------------------------------- closed forms


def test_one_step_on_a_linear_model_by_hand():
    """p = 1/4 at the start, so the step is 0.1 * (1 - p) * w."""
    factual = torch.tensor([[-math.log(3.0), 0.0]])
    generator = GenericGenerator(max_iter=1, threshold=0.5, lambda_cost=7.0)
    result = find(linear(1.0, -2.0), factual, generator)
    expected = factual + 0.1 * 0.75 * torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(result.counterfactual, expected)
    assert result.n_iter.tolist() == [1]
    assert not result.mature.any()


def test_distance_pulls_back_from_the_second_step_on():
    factual = torch.tensor([[-5.0, 0.0]])
    generator = GenericGenerator(max_iter=2, lambda_cost=0.25)
    result = find(linear(1.0, 1.0), factual, generator)
    first = 0.1 * (1 - 1 / (1 + math.exp(5.0)))
    second = 0.1 * (1 - 1 / (1 + math.exp(5.0 - 2 * first))) - 0.1 * 0.25
    torch.testing.assert_close(result.counterfactual, factual + first + second)


@pytest.mark.parametrize("threshold", [0.4, 0.5, 0.75, 0.9])
def test_number_of_steps_on_a_linear_model_follows_the_scalar_recursion(threshold):
    weights, factual = torch.tensor([2.0, -1.0]), torch.tensor([[-0.7, 0.2]])
    generator = GenericGenerator(max_iter=200, threshold=threshold, lambda_cost=0.0)
    result = find(linear(2.0, -1.0), factual, generator)
    score, n_steps = -1.6, 0
    while (p := 1 / (1 + math.exp(-score))) < threshold:
        score, n_steps = score + 0.1 * (1 - p) * 5.0, n_steps + 1
    assert result.n_iter.tolist() == [n_steps]
    assert result.mature.all()
    torch.testing.assert_close(
        (result.counterfactual @ weights).item(), score, atol=1e-5, rtol=0
    )


def test_both_classes_are_searched_for_in_one_batch():
    factual, target = torch.tensor([[-1.0], [1.0]]), torch.tensor([1, 0])
    free = Constraints.unbounded((1,))
    result = search(linear(1.0), factual, target, GenericGenerator(), free)
    torch.testing.assert_close(result.counterfactual[0], -result.counterfactual[1])
    assert result.mature.all()


def test_a_latent_search_in_halved_units_takes_steps_four_times_as_long():
    class Halved(GenericGenerator):
        latent = True

        def encode(self, x):
            return x / 2

        def decode(self, z):
            return 2 * z

    factual, target = make_rows(8)
    long = GenericGenerator(step_size=0.2, threshold=0.9)
    short = Halved(step_size=0.05, threshold=0.9)
    results = [
        search(make_net(), factual, target, generator, free_constraints(), epsilon=0.3)
        for generator in (short, long)
    ]
    assert_same(*results)
    assert (results[0].n_iter > 1).any()


def test_a_latent_search_stays_in_the_box():
    class Shifted(GenericGenerator):
        latent = True

        def encode(self, x):
            return x + 3

        def decode(self, z):
            return z - 3.01  # a lossy decoder

    factual, target = make_rows(20)
    constraints = mixed_constraints()
    result = search(make_net(), factual, target, Shifted(step_size=0.5), constraints)
    x = result.counterfactual
    assert torch.equal(constraints.project(x, factual), x)
    assert torch.equal(x[:, 2], factual[:, 2])
    assert (x != factual).any()


# --------------------------------------------------------- against a slow reference


class SlowNet:
    """The tanh network of `make_net` in float64, with a gradient by hand."""

    def __init__(self, net):
        self.w, self.b, self.v, self.c = (
            p.detach().double().numpy()
            for p in (net[0].weight, net[0].bias, net[2].weight, net[2].bias)
        )

    def logits(self, x):
        self.hidden = np.tanh(self.w @ x + self.b)
        return self.v @ self.hidden + self.c

    def pull_back(self, slope):
        """Gradient with respect to x of `slope @ logits`, at the last x."""
        return self.w.T @ ((1 - self.hidden**2) * (self.v.T @ slope))


def softmax(logits):
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def slow_slope(logits, target, generator, step):
    """Gradient of class loss and energy with respect to the logits."""
    slope = softmax(logits)
    slope[target] -= 1
    if isinstance(generator, ECCCoGenerator):
        b = round(generator.max_iter / 25)
        factor = b / 10 * (b + step) ** -0.9
        energy = -logits[target]
        slope[target] -= generator.lambda_energy * factor * (1 + 2e-3 * energy)
    return slope


def slow_project(state, factual):
    moved = []
    for x, x0, word, low, high in zip(state, factual, WORDS, LOWER, UPPER, strict=True):
        low = x0 if word in ("none", "increase") else min(low, x0)
        high = x0 if word in ("none", "decrease") else max(high, x0)
        moved.append(min(max(x, low), high))
    return np.array(moved)


def slow_domain(shown, factual):
    """Numbers on their way into the domain are where they were, or at its edge."""
    moved = []
    for x, x0, word, low, high in zip(shown, factual, WORDS, LOWER, UPPER, strict=True):
        edge = min(max(x0, low), high)
        forbidden = {"increase": edge < x0, "decrease": edge > x0, "none": edge != x0}
        on_the_way = min(x0, edge) < x < max(x0, edge)
        if on_the_way and not forbidden.get(word, False):
            x = edge if abs(x - edge) < abs(x - x0) else x0
        moved.append(x)
    return np.array(moved)


def slow_search(net, factual, target, generator, kind, epsilon):
    """One row of method.md 2.1-2.3, in plain Python."""
    state = shown = nascent = factual
    n_iter = 0
    while True:
        logits = net.logits(shown)
        mature = softmax(logits)[target] >= generator.threshold
        if mature or n_iter == generator.max_iter:
            return shown, nascent, mature, n_iter
        n_iter += 1
        gradient = net.pull_back(slow_slope(logits, target, generator, n_iter))
        gradient = gradient + generator.lambda_cost * np.sign(state - factual)
        state = state - generator.step_size * gradient
        if kind != "free":
            state = slow_project(state, factual)
        shown = state.copy()
        if kind == "integer":
            shown[INTEGER] = round(state[INTEGER])
        if kind != "free":
            shown = slow_domain(shown, factual)
        if np.abs(shown - factual).max() <= epsilon:
            nascent = shown


@pytest.mark.parametrize("kind", ["free", "boxed", "integer"])
@pytest.mark.parametrize(
    "generator",
    [
        GenericGenerator(threshold=0.6, lambda_cost=0.1),
        GenericGenerator(threshold=0.5, max_iter=12, step_size=0.5),
        ECCCoGenerator(threshold=0.5),
        ECCCoGenerator(threshold=0.6, max_iter=50, lambda_energy=0.5, lambda_cost=0.0),
    ],
    ids=repr,
)
def test_search_agrees_with_a_slow_reference_row_by_row(generator, kind):
    factual, target = make_rows(24, seed=1)
    net = make_net(1)
    constraints = globals()[f"{kind}_constraints"]()
    result = search(net, factual, target, generator, constraints, epsilon=0.3)
    slow = [
        slow_search(SlowNet(net), row, goal, generator, kind, 0.3)
        for row, goal in zip(factual.double().numpy(), target.tolist(), strict=True)
    ]
    x, nascent, mature, n_iter = map(np.array, zip(*slow, strict=True))
    np.testing.assert_array_equal(result.n_iter, n_iter)
    np.testing.assert_array_equal(result.mature, mature)
    np.testing.assert_allclose(result.counterfactual, x, rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.nascent, nascent, rtol=0, atol=1e-5)
    # The comparison means something: rows differ in length and leave the ball.
    assert len(set(n_iter.tolist())) > 3
    assert (x != nascent).any()
    assert (nascent != factual.numpy()).any()


# ---------------------------------------------------------- rule 1: rows independent


@pytest.mark.parametrize("make", [free_constraints, mixed_constraints])
@pytest.mark.parametrize("n", [100, 300])
@generators
def test_a_row_gets_the_same_counterfactual_alone_and_in_company(generator, n, make):
    net, constraints = make_net(), make()
    factual, target = make_rows(n)
    result = search(net, factual, target, generator, constraints, epsilon=0.3)
    for i in range(0, n, n // 10):
        row = slice(i, i + 1)
        alone = search(
            net, factual[row], target[row], generator, constraints, epsilon=0.3
        )
        assert_same(alone, take(result, row))


@pytest.mark.parametrize("make", [free_constraints, mixed_constraints])
@generators
def test_permuted_rows_give_permuted_results(generator, make):
    net, constraints = make_net(), make()
    factual, target = make_rows(100)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    result = search(net, factual, target, generator, constraints, epsilon=0.3)
    permuted = search(
        net, factual[order], target[order], generator, constraints, epsilon=0.3
    )
    assert_same(permuted, take(result, order))


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 129])
def test_the_size_of_the_batch_does_not_show(n):
    net, constraints, generator = make_net(), mixed_constraints(), ECCCoGenerator()
    factual, target = make_rows(150)
    result = search(net, factual, target, generator, constraints, epsilon=0.3)
    part = search(net, factual[:n], target[:n], generator, constraints, epsilon=0.3)
    assert part.counterfactual.shape == (n, N_FEATURES)
    assert_same(part, take(result, slice(n)))


@pytest.mark.parametrize("make", [free_constraints, mixed_constraints])
@generators
def test_blocks_that_are_split_and_joined_do_not_show(generator, make, monkeypatch):
    net, (factual, target) = make_net(), make_rows(700)
    given = net, factual, target, generator, make()
    options = {"epsilon": 0.4, "weights": torch.rand(N_FEATURES) + 0.5}
    whole = search(*given, **options)
    steps = set(whole.n_iter.tolist())
    assert len(steps) > 6  # some rows are left over after two steps, and after six
    monkeypatch.setattr("skct.utils.model.BLOCK", 100 * 64)
    assert_same(search(*given, **options), whole)


def test_one_exploding_row_does_not_disturb_the_others():
    net, generator = make_net(), ECCCoGenerator()
    factual, target = make_rows(10)
    expected = search(net, factual, target, generator, free_constraints())
    wild = torch.cat([factual, torch.full((1, N_FEATURES), 1e30)])
    goals = torch.cat([target, target[:1]])
    result = search(net, wild, goals, generator, free_constraints())
    assert_same(take(result, slice(10)), expected)
    assert result.counterfactual.isfinite().all()


# ----------------------------------------------------------- rule 2: no side effects


class Noisy(nn.Sequential):
    """Everything that behaves differently in training, and one frozen part."""

    def __init__(self):
        super().__init__(
            nn.Linear(N_FEATURES, 16),
            nn.BatchNorm1d(16),
            nn.Dropout(0.5),
            nn.Sequential(nn.ReLU(), nn.BatchNorm1d(16)),
            nn.Linear(16, N_CLASSES),
        )


@pytest.fixture
def noisy():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = Noisy()
        net(torch.randn(50, N_FEATURES))  # running statistics of their own
    net.train()
    net[3][1].eval()  # deliberately frozen
    return net


def modes(net):
    return [module.training for module in net.modules()]


def test_modes_come_back_module_by_module(noisy):
    before = modes(noisy)
    assert len(set(before)) == 2
    search(noisy, *make_rows(5), GenericGenerator(), mixed_constraints())
    assert modes(noisy) == before


def test_modes_come_back_when_the_model_fails(noisy):
    before = modes(noisy)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        find(noisy, torch.zeros(3, 2))
    assert modes(noisy) == before


def test_parameters_and_running_statistics_are_untouched(noisy):
    before = {name: value.clone() for name, value in noisy.state_dict().items()}
    search(noisy, *make_rows(5), ECCCoGenerator(), free_constraints())
    for name, value in noisy.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(p.grad is None and p.requires_grad for p in noisy.parameters())


def test_dropout_and_batch_statistics_are_off_while_searching(noisy):
    rows = make_rows(5)
    result = search(noisy, *rows, ECCCoGenerator(), free_constraints(), epsilon=0.3)
    noisy.eval()
    expected = search(noisy, *rows, ECCCoGenerator(), free_constraints(), epsilon=0.3)
    assert_same(result, expected)


def test_global_random_state_is_untouched(noisy):
    before = torch.get_rng_state()
    search(noisy, *make_rows(5), ECCCoGenerator(), mixed_constraints())
    assert torch.equal(torch.get_rng_state(), before)


def test_search_works_without_gradients_around_it():
    rows, net = make_rows(5), make_net()
    expected = search(net, *rows, ECCCoGenerator(), free_constraints(), epsilon=0.3)
    with torch.no_grad():
        result = search(net, *rows, ECCCoGenerator(), free_constraints(), epsilon=0.3)
        assert not torch.is_grad_enabled()
    assert_same(result, expected)
    assert (result.n_iter > 0).any()


def test_inputs_are_not_written_to_and_results_carry_no_graph():
    factual, target = make_rows(5)
    kept = factual.clone(), target.clone()
    factual.requires_grad_()
    result = search(
        make_net(), factual, target, GenericGenerator(), mixed_constraints()
    )
    assert torch.equal(factual.detach(), kept[0])
    assert torch.equal(target, kept[1])
    assert factual.grad is None
    assert not any(values.requires_grad for values in result)
    assert (result.counterfactual != kept[0]).any()


# ------------------------------------------------------- rule 3: feasible and honest


@generators
@pytest.mark.parametrize("seed", range(4))
def test_every_state_is_feasible_and_immutable_bits_stay(generator, seed):
    factual, target = make_rows(80, seed)
    constraints = mixed_constraints()
    result = search(
        make_net(seed), factual, target, generator, constraints, epsilon=0.5
    )
    for x in (result.counterfactual, result.nascent):
        assert torch.equal(constraints.project(x, factual), x)
        assert torch.equal(constraints.discretize(x, factual), x)
        assert torch.equal(x[:, 2], factual[:, 2])
        assert torch.equal(x[:, INTEGER], x[:, INTEGER].round())
        assert torch.equal(x[:, GROUP].sort(1).values, torch.eye(3)[[2] * 80])
    moved = (result.counterfactual != factual).any(0)
    assert moved.sum() >= (6 if generator.latent else 7)


@generators
@pytest.mark.parametrize("seed", range(4))
def test_mature_is_what_the_model_says_about_the_counterfactual(generator, seed):
    factual, target = make_rows(200, seed)
    net = make_net(seed)
    result = search(net, factual, target, generator, mixed_constraints())
    final = target_probability(net, result.counterfactual, target)
    assert torch.equal(result.mature, final >= generator.threshold)
    assert (result.n_iter[~result.mature] == generator.max_iter).all()
    assert 0 < result.mature.float().mean() < 1


@generators
def test_a_row_that_is_there_already_takes_no_step(generator):
    factual, target = make_rows(80)
    net = make_net()
    there = target_probability(net, factual, target) >= generator.threshold
    result = search(net, factual, target, generator, mixed_constraints(), epsilon=0.3)
    assert torch.equal(result.n_iter == 0, there)
    assert result.mature[there].all()
    for x in (result.counterfactual, result.nascent):
        assert torch.equal(x[there], factual[there])
    assert 0 < there.sum() < 80


def test_a_threshold_that_is_met_exactly_counts():
    result = find(linear(1.0), torch.zeros(1, 1), GenericGenerator(threshold=0.5))
    assert result.mature.tolist() == [True]
    assert result.n_iter.tolist() == [0]


def test_a_row_that_cannot_move_is_returned_as_it_is():
    factual, target = make_rows(20)
    frozen = Constraints.from_spec(["none"] * N_FEATURES, feature_names=range(8))
    result = search(make_net(), factual, target, ECCCoGenerator(), frozen, epsilon=1.0)
    assert torch.equal(result.counterfactual, factual)
    assert torch.equal(result.nascent, factual)
    assert not result.mature.all()


# ---------------------------------------------------------------- rule 4: batched


def test_the_search_stops_when_every_row_is_mature():
    calls = []

    def model(x):
        calls.append(len(x))
        return linear(1.0)(x)

    factual = torch.linspace(-1, -0.1, 10)[:, None]
    result = find(model, factual, GenericGenerator(max_iter=1000))
    assert result.mature.all()
    assert len(calls) <= result.n_iter.max() + 2  # every state, and the verdict


# ------------------------------------------------------------------------- nascent


def test_nascent_lies_in_the_ball_and_the_next_state_does_not():
    factual, target = make_rows(50)
    net, constraints = make_net(), free_constraints()
    states = [
        search(net, factual, target, GenericGenerator(max_iter=t), constraints)
        for t in range(1, 31)
    ]
    path = torch.stack([factual, *(state.counterfactual for state in states)])
    inside = (path - factual).abs().amax(2) <= 0.3
    steps = torch.arange(31)[:, None]
    last = torch.where(inside, steps, 0).amax(0)
    result = search(net, factual, target, GenericGenerator(), constraints, epsilon=0.3)
    assert torch.equal(result.nascent, path[last, torch.arange(50)])


def test_a_state_on_the_edge_of_the_ball_is_inside():
    """A category that is left changes two columns by exactly one."""
    model, factual = linear(-3.0, 3.0), torch.tensor([[1.0, 0.0]])
    for epsilon, inside in ((1.0, True), (0.999, False)):
        result = find(model, factual, constraints=one_category(2), epsilon=epsilon)
        assert result.counterfactual.tolist() == [[0.0, 1.0]]
        assert torch.equal(result.nascent, result.counterfactual) == inside


@pytest.mark.parametrize("epsilon", [None, 0.0])
def test_without_a_ball_the_nascent_state_is_the_factual(epsilon):
    factual, _ = make_rows(20)
    result = find(make_net(), factual, epsilon=epsilon)
    assert torch.equal(result.nascent, factual)
    assert (result.counterfactual != factual).any()


def test_in_a_ball_without_end_the_nascent_state_is_the_counterfactual():
    factual, _ = make_rows(20)
    result = find(
        make_net(), factual, constraints=mixed_constraints(), epsilon=math.inf
    )
    assert torch.equal(result.nascent, result.counterfactual)
    assert (result.counterfactual != factual).any()


# ------------------------------------------------------------------ what may go wrong


@pytest.mark.parametrize("shape", [(3,), (1, 28, 28)])
def test_an_empty_batch_gives_an_empty_result(shape):
    result = find(linear(1.0), torch.zeros(0, *shape), epsilon=0.3)
    assert result.counterfactual.shape == result.nascent.shape == (0, *shape)
    assert len(result.target) == len(result.mature) == len(result.n_iter) == 0
    assert result.mature.dtype == torch.bool


@generators
@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_logits_that_are_not_finite_never_reach_the_states(generator, poison):
    net = make_net()

    def model(x):
        bad = (x[:, :1] > 0.2).float()
        return net(x) + torch.where(bad > 0, bad * poison, 0.0)

    factual, target = make_rows(60)
    result = search(model, factual, target, generator, mixed_constraints(), epsilon=0.3)
    assert result.counterfactual.isfinite().all()
    assert result.nascent.isfinite().all()
    final = target_probability(model, result.counterfactual, target)
    assert torch.equal(result.mature, final >= generator.threshold)
    assert not result.mature[factual[:, 0] > 0.2].any()


def test_one_entry_of_the_gradient_that_is_not_finite_leaves_the_others_alone():
    def model(x):
        score = x[:, 0].sqrt() + x[:, 1]  # infinite slope at 0
        return torch.stack([torch.zeros_like(score), score], dim=1)

    result = find(model, torch.tensor([[0.0, -1.0]]))
    assert result.counterfactual[0, 0] == 0
    assert result.counterfactual[0, 1] >= 0
    assert result.mature.all()


# --------------------------------------------------------------------------- weights


def test_a_feature_ten_times_as_costly_moves_a_tenth_as_far():
    factual = torch.full((1, 2), -1.0)
    generator = GenericGenerator(max_iter=100, lambda_cost=0.0)
    weights = torch.tensor([10.0, 1.0])
    result = find(linear(1.0, 1.0), factual, generator, weights=weights)
    costly, cheap = (result.counterfactual - factual)[0]
    assert result.mature.all()
    torch.testing.assert_close(10 * costly, cheap)


def test_costly_features_move_less_and_equal_weights_change_nothing():
    factual, target = make_rows(50)
    args = make_net(), factual, target, GenericGenerator(), free_constraints()
    costly = torch.ones(N_FEATURES)
    costly[0] = 20.0
    plain = search(*args)
    weighted = search(*args, weights=costly)
    moved = [
        (result.counterfactual - factual)[:, 0].abs().mean()
        for result in (weighted, plain)
    ]
    assert moved[0] < 0.2 * moved[1]
    assert_same(search(*args, weights=torch.ones(N_FEATURES)), plain)


# ------------------------------------------------------------- images and categories


def test_images_are_searched_in_their_own_shape():
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(784, generator=generator)
    factual = torch.rand(3, 1, 28, 28, generator=generator) - 0.5
    words = ["none"] * 140 + ["both"] * 644  # the five uppermost rows are frozen
    ones = np.ones(784)
    constraints = Constraints.from_arrays(-ones, ones, words, (1, 28, 28))
    target = 1 - linear(*weights.tolist())(factual).argmax(1)
    result = search(
        linear(*weights.tolist()),
        factual,
        target,
        ECCCoGenerator(),
        constraints,
        epsilon=0.05,
        weights=torch.ones(1, 28, 28),
    )
    assert result.counterfactual.shape == result.nascent.shape == factual.shape
    assert result.mature.all()
    assert torch.equal(result.counterfactual[:, :, :5], factual[:, :, :5])
    assert result.counterfactual.abs().max() <= 1
    assert (result.nascent - factual).abs().max() <= 0.05


@pytest.mark.parametrize("baseline", [False, True])
def test_a_category_can_be_the_way_to_the_target(baseline):
    size = 2 if baseline else 3
    codes = torch.eye(3)[:, -size:]

    def model(x):  # only the last category has the sign of the target
        score = 2 * x[:, -1] - 1 - 0.5 * x[:, :-1].sum(1)
        return torch.stack([torch.zeros_like(score), score], dim=1)

    result = find(model, codes, constraints=one_category(size, baseline=baseline))
    assert result.mature.all()
    assert torch.equal(result.counterfactual, codes[[2, 2, 2]])
    assert (result.n_iter > 0).tolist() == [True, True, False]


def test_a_dropped_level_can_be_the_way_to_the_target():
    def model(x):
        score = 1 - 2 * x.sum(1)
        return torch.stack([torch.zeros_like(score), score], dim=1)

    result = find(model, torch.eye(2), constraints=one_category(2, baseline=True))
    assert result.mature.all()
    assert (result.counterfactual == 0).all()


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_the_order_of_categories_does_not_decide_what_is_found(order):
    """The category at the start is good, another one better: both want to rise."""
    weights = torch.tensor([0.5, 5.0])[order]
    factual = torch.tensor([[1.0, 0.0]])[:, order]

    def model(x):
        score = x @ weights - 3
        return torch.stack([torch.zeros_like(score), score], dim=1)

    result = find(model, factual, constraints=one_category(2))
    assert torch.equal(result.counterfactual, 1 - factual)
    assert result.mature.all()


def test_imputed_integers_and_unknown_categories_that_no_step_moves_keep_their_bits():
    factual, _ = make_rows(5)
    factual[:, INTEGER], factual[:, GROUP] = 1.3, 0.0
    model = linear(1.0, *[0.0] * (N_FEATURES - 1))
    factual[:, 0] = -1.0
    result = find(model, factual, constraints=mixed_constraints())
    assert result.mature.all()
    assert torch.equal(result.counterfactual[:, 1:], factual[:, 1:])


# ----------------------------------------------------------------------------- paths


@generators
def test_a_trace_goes_from_the_factuals_to_the_counterfactuals(generator):
    factual, target = make_rows(80)
    net, constraints = make_net(), mixed_constraints()
    states = trace(net, factual, target, generator, constraints)
    result = search(net, factual, target, generator, constraints)
    assert torch.equal(states[0], factual)
    assert torch.equal(states[-1], result.counterfactual)
    assert len(states) == result.n_iter.max() + 1
    for state in states:
        assert torch.equal(constraints.project(state, factual), state)
    for row, stop in enumerate(result.n_iter.tolist()):
        assert (states[stop:, row] == states[-1, row]).all()
