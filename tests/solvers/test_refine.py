"""Refinement: cheaper and sparser, and nothing lost."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from torch import nn

from skct import Constraints, GenericGenerator, search
from skct.constraints import Group
from skct.preprocessing import unbend
from skct.solvers import SearchResult, refine

# Columns: two free, one frozen, one that only rises, an integer, a category of three.
WORDS = ["both", "both", "none", "increase", "both", "both", "both", "both"]
INTEGER, GROUP, N_FEATURES = 4, [5, 6, 7], 8
THRESHOLD = 0.6


def make_constraints():
    lower, upper = np.full(8, -np.inf), np.full(8, np.inf)
    lower[GROUP], upper[GROUP] = 0.0, 1.0
    lower[0], upper[0] = -1.0, 1.0
    return Constraints.from_arrays(
        lower,
        upper,
        WORDS,
        (N_FEATURES,),
        groups=(Group(tuple(GROUP)),),
        step=np.eye(N_FEATURES)[INTEGER],
    )


def make_net(seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(N_FEATURES, 16), nn.Tanh(), nn.Dropout(0.5), nn.Linear(16, 3)
        )
    with torch.no_grad():
        net[0].weight *= 2
        net[3].weight *= 4
    return net


class Found:
    """A search that overshoots, and what `refine` makes of it."""

    def __init__(self, seed=0, weights=None):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(150, N_FEATURES))
        rows[:, INTEGER] = rng.integers(-3, 4, size=150)
        rows[:, GROUP] = np.eye(3)[rng.integers(3, size=150)]
        self.factual = torch.tensor(rows, dtype=torch.float32)
        self.target = torch.tensor(rng.integers(3, size=150))
        self.net, self.constraints = make_net(seed), make_constraints()
        generator = GenericGenerator(threshold=THRESHOLD, step_size=0.5, max_iter=8)
        self.result = search(
            self.net, self.factual, self.target, generator, self.constraints
        )
        self.weights = weights
        self.refined = self.refine()

    def refine(self, rows=slice(None), **options):
        result = SearchResult(*(values[rows] for values in self.result))
        factual = self.factual[rows]
        given = (self.net, result, factual, self.constraints, THRESHOLD, self.weights)
        return refine(*given, **options)

    def cost(self, x):
        """A change of category counts 1: two columns by one half."""
        change = (x - self.factual).abs()
        change[:, GROUP] /= 2
        return (change if self.weights is None else change * self.weights).sum(1)

    @property
    def moved(self):
        return self.result.mature & (self.result.n_iter > 0)


@pytest.fixture(scope="module", params=[0, 1, 2])
def found(request):
    return Found(request.param)


def linear(*weights):
    """Logits [0, w @ x - 1]."""
    weights = torch.tensor(weights)

    def model(x):
        score = x.flatten(1) @ weights - 1
        return torch.stack([torch.zeros_like(score), score], dim=1)

    return model


def by_hand(counterfactual):
    """A mature result with target 1."""
    x = torch.tensor(counterfactual)
    ones = torch.ones(len(x), dtype=torch.long)
    return SearchResult(x, x, ones, ones.bool(), ones)


# ------------------------------------------------------------------------- promises


def test_never_more_costly_and_usually_cheaper(found):
    before, after = found.cost(found.result.counterfactual), found.cost(found.refined)
    assert (after <= before + 1e-5).all()
    assert (after < before)[found.moved].float().mean() > 0.8
    assert found.moved.sum() > 20


def test_fewer_features_change(found):
    before = (found.result.counterfactual != found.factual)[found.moved].sum(1)
    after = (found.refined != found.factual)[found.moved].sum(1)
    assert (after <= before).float().mean() > 0.95
    assert after.float().mean() < 0.7 * before.float().mean()


def test_never_more_costly_with_weights_either():
    found = Found(weights=torch.tensor([9.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0]))
    before = found.cost(found.result.counterfactual)
    assert (found.cost(found.refined) <= before + 1e-5).all()
    assert (found.refined != found.result.counterfactual).any()


def test_mature_rows_stay_mature(found):
    found.net.eval()
    with torch.no_grad():
        probability = found.net(found.refined).softmax(1)
    probability = probability[torch.arange(150), found.target]
    assert (probability[found.result.mature] >= THRESHOLD).all()


def test_constraints_hold(found):
    x, factual = found.refined, found.factual
    assert torch.equal(found.constraints.project(x, factual), x)
    assert torch.equal(found.constraints.discretize(x, factual), x)
    assert torch.equal(x[:, 2], factual[:, 2])
    assert torch.equal(x[:, INTEGER], x[:, INTEGER].round())
    assert torch.equal(x[:, GROUP].sort(1).values, torch.eye(3)[[2] * 150])


def test_what_is_immature_or_was_mature_at_the_start_is_returned_as_it_is(found):
    for rows in (~found.result.mature, found.result.n_iter == 0):
        assert rows.any()
        assert torch.equal(found.refined[rows], found.result.counterfactual[rows])


def test_rows_are_refined_one_by_one(found):
    for i in range(0, 150, 10):
        alone = found.refine(slice(i, i + 1))[0]
        torch.testing.assert_close(alone, found.refined[i], rtol=0, atol=1e-5)


def test_neither_the_model_nor_the_result_is_touched():
    found = Found()
    found.net.train()
    found.net[1].eval()
    modes = [module.training for module in found.net.modules()]
    before = [values.clone() for values in found.result]
    random_state = torch.get_rng_state()
    with torch.no_grad():
        refined = found.refine()
    assert [module.training for module in found.net.modules()] == modes
    assert all(map(torch.equal, found.result, before))
    assert all(p.grad is None for p in found.net.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(refined, found.refined)
    assert not refined.requires_grad


def test_an_empty_result_stays_empty():
    assert Found().refine(slice(0)).shape == (0, N_FEATURES)


# --------------------------------------------------------------------- closed forms


def test_features_that_the_model_ignores_go_back():
    factual = torch.zeros(3, 5)
    result = by_hand([[3.0, 1.0, -1.0, 0.5, 2.0]] * 3)
    free = Constraints.unbounded((5,))
    refined = refine(linear(1.0, 0.0, 0.0, 0.0, 0.0), result, factual, free, 0.5)
    assert (refined[:, 0] > 0).all()
    assert (refined[:, 1:] == 0).all()


def test_an_overshooting_counterfactual_comes_back_to_the_threshold():
    """p = 1/2 at x = 1; eight halvings of the way from 0 to 3."""
    free = Constraints.unbounded((1,))
    refined = refine(linear(1.0), by_hand([[3.0]]), torch.zeros(1, 1), free, 0.5)
    assert 1.0 <= refined.item() <= 1.0 + 3 / 2**8 + 1e-3


def test_one_of_five_equal_features_does_it_alone():
    free = Constraints.unbounded((5,))
    result, factual = by_hand([[0.4] * 5]), torch.zeros(1, 5)
    refined = refine(linear(*[1.0] * 5), result, factual, free, 0.5)
    assert (refined != 0).sum() == 1
    assert 1.0 <= refined.sum() <= 1.01


def test_no_more_features_stay_changed_than_are_needed():
    """None of five equal features can be worth more than 0.4: three of them reach 1."""
    bound = 0.4 * np.ones(5)
    boxed = Constraints.from_arrays(-bound, bound, ["both"] * 5, (5,))
    result, factual = by_hand([[0.4] * 5]), torch.zeros(1, 5)
    refined = refine(linear(*[1.0] * 5), result, factual, boxed, 0.5)
    assert (refined != 0).sum() == 3
    assert 1.0 <= refined.sum() <= 1.01


@pytest.mark.parametrize("costly", [0, 1])
def test_the_more_costly_of_two_equal_features_goes_back(costly):
    weights = torch.ones(2)
    weights[costly] = 10.0
    free = Constraints.unbounded((2,))
    result, factual = by_hand([[1.5, 1.5]]), torch.zeros(1, 2)
    refined = refine(linear(1.0, 1.0), result, factual, free, 0.5, weights)
    assert refined[0, costly] == 0
    assert refined[0, 1 - costly] >= 1


@pytest.mark.parametrize(("worth", "kept"), [(0.0, False), (9.0, True)])
def test_a_category_goes_back_as_a_whole_or_not_at_all(worth, kept):
    lower, upper = [0.0] * 3 + [-np.inf], [1.0] * 3 + [np.inf]
    groups = (Group((0, 1, 2)),)
    constraints = Constraints.from_arrays(
        lower, upper, ["both"] * 4, (4,), groups=groups
    )
    factual = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    result = by_hand([[0.0, 0.0, 1.0, 2.0]])
    model = linear(0.0, 0.0, worth, 1.0)
    refined = refine(model, result, factual, constraints, 0.5)
    expected = [0.0, 0.0, 1.0] if kept else [1.0, 0.0, 0.0]
    assert refined[0, :3].tolist() == expected
    assert (refined[0, 3] == 0) == kept


def test_a_category_counts_by_what_its_change_is_worth_not_by_what_it_is_worth():
    """From a category worth 5 to one worth 4: undone first, then one number will do."""
    lower, upper = [0.0] * 2 + [-np.inf] * 2, [1.0] * 2 + [np.inf] * 2
    constraints = Constraints.from_arrays(
        lower, upper, ["both"] * 4, (4,), groups=(Group((0, 1)),)
    )

    def model(x):
        return linear(5.0, 4.0, 1.0, 1.0)(x) - torch.tensor([0.0, 5.0])

    factual = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    result = by_hand([[0.0, 1.0, 1.8, 1.8]])
    refined = refine(model, result, factual, constraints, 0.5)
    assert refined[0, :2].tolist() == [1.0, 0.0]
    assert (refined[0, 2:] > 0).sum() == 1


def test_infinite_log_odds_are_halved():
    def model(x):
        score = (x - 1) * 1e39  # beyond float32
        return torch.cat([torch.zeros_like(score), score], dim=1)

    free = Constraints.unbounded((1,))
    refined = refine(model, by_hand([[3.0]]), torch.zeros(1, 1), free, 0.5)
    assert 1.0 < refined.item() < 1.5


def test_an_integer_comes_back_in_whole_steps():
    one = np.ones(1)
    constraints = Constraints.from_arrays(-9 * one, 9 * one, ["both"], (1,), step=one)
    result, factual = by_hand([[8.0]]), torch.zeros(1, 1)
    refined = refine(linear(0.4), result, factual, constraints, 0.5)
    assert refined.item() == 3.0  # 0.4 * 3 > 1 > 0.4 * 2


def test_images_keep_their_shape():
    free = Constraints.unbounded((1, 2, 2))
    result = by_hand([[[[3.0, 1.0], [0.0, -1.0]]]])
    refined = refine(
        linear(1.0, 0.0, 0.0, 0.0), result, torch.zeros(1, 1, 2, 2), free, 0.5
    )
    assert refined.shape == (1, 1, 2, 2)
    assert (refined.flatten()[1:] == 0).all()


# ----------------------------------------------------------------------- plausibility


def plain(x):
    """As `linear(1.0, 1.0)`, for rows of target 1 at (0, 0)."""
    return linear(1.0, 1.0)(x)


def with_reference(weight, rows, result=None, model=plain):
    reference = torch.tensor(rows), torch.ones(len(rows), dtype=torch.long)
    free = Constraints.unbounded((2,))
    result = by_hand([[1.5, 1.5]]) if result is None else result
    factual = torch.zeros_like(result.counterfactual)
    options = {"plausibility_weight": weight, "reference": reference}
    return refine(model, result, factual, free, 0.5, **options)


@pytest.mark.parametrize("liked", [0, 1])
def test_of_two_equal_features_the_plausible_one_moves(liked):
    rows = [[0.0, 0.0], [0.0, 0.0]]
    for row in rows:
        row[liked] = 3.0
    refined = with_reference(0.5, rows)
    assert refined[0, liked] >= 1
    assert refined[0, 1 - liked] == 0


def test_below_the_weight_of_a_feature_nothing_moves_for_plausibility_alone():
    rows = [[5.0, 9.0], [6.0, 9.0], [7.0, 9.0]]
    refined = with_reference(0.99, rows)
    assert 1.0 <= refined.sum() <= 1.01
    assert (refined != 0).sum() == 1


def test_a_large_weight_leads_to_the_median():
    rows = [[5.0, 9.0], [6.0, 9.0], [7.0, 9.0]]
    assert with_reference(50.0, rows).tolist() == [[6.0, 9.0]]


def test_a_weight_of_two_stops_where_three_quarters_lie_ahead():
    """J rises again where the fraction of rows behind exceeds (1 - 1/2) / 2 = 1/4."""
    rows = [[float(i), 0.0] for i in range(1, 102)]
    refined = with_reference(2.0, rows)
    assert refined[0, 0] == 26.0
    assert refined[0, 1] == 0.0


def test_reference_rows_of_other_classes_do_not_count():
    rows = torch.tensor([[5.0, 9.0]]), torch.zeros(1, dtype=torch.long)
    free = Constraints.unbounded((2,))
    given = plain, by_hand([[1.5, 1.5]]), torch.zeros(1, 2), free, 0.5
    far = refine(*given, plausibility_weight=50.0, reference=rows)
    assert torch.equal(far, refine(*given))


def test_a_common_category_is_taken_up_for_its_own_sake():
    constraints = Constraints.from_arrays(
        [0.0] * 3 + [-np.inf],
        [1.0] * 3 + [np.inf],
        ["both"] * 4,
        (4,),
        groups=(Group((0, 1, 2)),),
    )
    rows = torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 9 + [[1.0, 0.0, 0.0, 0.0]])
    reference = rows, torch.ones(10, dtype=torch.long)
    given = linear(0.0, 0.0, 0.0, 1.0), by_hand([[1.0, 0.0, 0.0, 2.0]])
    factual = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    for weight, expected in ((0.9, [1.0, 0.0, 0.0]), (2.0, [0.0, 1.0, 0.0])):
        options = {"plausibility_weight": weight, "reference": reference}
        refined = refine(*given, factual, constraints, 0.5, **options)
        assert refined[0, :3].tolist() == expected


def test_weight_buys_plausibility_with_cost(found):
    """On average; the reference are rows drawn at random."""
    rng = torch.Generator().manual_seed(0)
    rows = found.factual[torch.randint(150, (60,), generator=rng)]
    reference = rows, torch.randint(3, (60,), generator=rng)
    costs, distances = [], []
    for weight in (0.0, 0.5, 1.5, 5.0):
        x = found.refine(plausibility_weight=weight, reference=reference)
        costs.append(found.cost(x)[found.moved].mean().item())
        ours, targets = x[found.moved], found.result.target[found.moved]
        each = (ours[:, None] - rows).abs().sum(2) * (targets[:, None] == reference[1])
        distances.append(each.sum().item())
    assert costs[1:] == sorted(costs[1:])
    assert costs[0] < 1.02 * costs[1]
    assert distances == sorted(distances, reverse=True)


def test_a_bent_feature_is_moved_while_it_is_cheaper_than_another():
    """Log-odds u + x / 2, to reach log-odds of 2.5 from 0.

    Either feature alone costs 4.52 (far out on the bend) or 5. A step of u costs
    (1 + (z / 3) ** 2) ** 1.5 as much as one of z; where that is 2, at z = 2.30, x is as
    good, and the way of least cost is 2.30 + 1.35 = 3.65.
    """
    net = nn.Linear(2, 2)
    with torch.no_grad():
        net.bias.zero_()
        net.weight.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.5]]))
    constraints = Constraints.from_arrays(
        [-2.99, -9.0], [2.99, 9.0], ["both"] * 2, (2,), bend=[3.0, np.inf]
    )
    factual, target = torch.zeros(1, 2), torch.ones(1, dtype=torch.long)
    threshold = 1 / (1 + np.exp(-2.5))
    generator = GenericGenerator(threshold=threshold, max_iter=500, lambda_cost=0.0)
    result = search(net, factual, target, generator, constraints)
    (u, x), *_ = refine(net, result, factual, constraints, threshold)
    assert u + x / 2 >= 2.5
    z = unbend(u.double(), 3.0)
    assert 3.65 < z + x < 3.65 * 1.1


def test_wide_tables_change_a_few_columns():
    """Two of 600 columns decide; where their range ends it takes some more."""
    rng = np.random.default_rng(7)
    X = pd.DataFrame(rng.normal(size=(200, 600))).add_prefix("gene")
    y = (X["gene0"] + X["gene1"] > 0).astype(int)
    answer = quick(5).fit(X, y).explain(X[:40])
    assert answer.valid.all()
    assert answer.n_changed.max() < 40  # a gradient moves all of them
