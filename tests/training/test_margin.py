"""The margin objective: neighbours, weights, and what training on it does."""

import pickle
import warnings
from functools import partial

import numpy as np
import pytest
import torch
from conftest import quick as quick_of_any
from scipy.spatial.distance import cdist
from sklearn.datasets import load_iris, make_circles, make_classification
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import scale
from torch import nn

from skct import (
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
)
from skct.exceptions import SearchWarning
from skct.training.margin import threshold_with_margin
from skct.training.pairs import (
    atypicality,
    draw_near_neighbours,
    draw_neighbours,
    interpolate,
    nearest_distance,
    off_support_score,
)

quick = partial(quick_of_any, objective="margin", n_counterfactuals=0.3)
PLAIN = {"lambda_div": 0.0, "lambda_adv": 0.0, "lambda_reg": 0.0}


def circles():
    return make_circles(600, noise=0.05, factor=0.5, random_state=0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(n, d=3, seed=0):
    made = np.random.default_rng(seed).normal(size=(n, d))
    return torch.tensor(made, dtype=torch.float32)


# ------------------------------------------------------------------------- neighbours


def test_a_near_neighbour_is_a_row_of_the_target_class():
    X, y = rows(200), torch.arange(200) % 4
    target = torch.arange(50) % 4
    found = draw_near_neighbours(rows(50, seed=1), target, X, y, generator())
    assert torch.equal(y[found], target)


def test_a_near_neighbour_is_the_nearest_of_the_ten_drawn():
    X, y, factual = rows(200), torch.arange(200) % 4, rows(50, seed=1)
    target = torch.arange(50) % 4
    found = draw_near_neighbours(factual, target, X, y, generator())
    again = generator()
    drawn = np.stack([draw_neighbours(target, y, again) for _ in range(10)])
    distance = np.abs(X.numpy()[drawn] - factual.numpy()).sum(2)
    expected = drawn[distance.argmin(0), np.arange(50)]
    assert found.tolist() == expected.tolist()


def test_neighbours_of_images_are_rows_too():
    X, y = rows(40, 16).reshape(40, 1, 4, 4), torch.arange(40) % 2
    found = draw_near_neighbours(X[:5], torch.ones(5).long(), X, y, generator())
    assert (y[found] == 1).all()
    share = atypicality(X[:5], torch.ones(5).long(), X, y, generator())
    assert share.shape == (5,)


# ---------------------------------------------------------------------------- weights


def test_atypicality_against_scipy():
    X, y, x = rows(61), torch.arange(61) % 2, 2 * rows(30, seed=1)
    target = torch.arange(30) % 2
    found = atypicality(x, target, X, y, generator())
    order = torch.randperm(61, generator=generator()).numpy()
    for k in (0, 1):
        members = X.numpy()[[i for i in order if y[i] == k]]
        half = -(-len(members) // 2)
        reference, others = members[:half], members[half:]

        def distance(a, reference=reference):
            return np.sort(cdist(a, reference, "cityblock"), 1)[:, :3].mean(1)

        usual, mine = distance(others), distance(x[target == k].numpy())
        rank = (usual[None, :] < mine[:, None]).mean(1)
        expected = np.clip(2 * rank - 1, 0, None)
        np.testing.assert_allclose(found[target == k], expected, atol=1e-6)


@pytest.mark.parametrize("n_binary", [0, 2, 4])
def test_distances_from_columns_of_zeros_and_ones_against_scipy(n_binary):
    """Also of rows whose values lie in between, or outside."""
    reference, x = rows(30, 4), 2 * rows(40, 4, seed=1)
    reference[:, :n_binary] = (reference[:, :n_binary] > 0).float()
    found = nearest_distance(x, reference)
    nearest = np.sort(cdist(x, reference, "cityblock"), 1)[:, :3].mean(1)
    np.testing.assert_allclose(found, nearest, rtol=1e-5)
    assert torch.equal(nearest_distance(reference, reference[:1])[:1], torch.zeros(1))


def test_members_have_the_share_of_a_uniform_rank_and_far_rows_count_in_full():
    X, y = rows(3000), torch.zeros(3000).long()
    fresh = rows(2000, seed=1)
    share = atypicality(fresh, torch.zeros(2000).long(), X, y, generator())
    assert share.mean() == pytest.approx(0.25, abs=0.03)  # of max(0, 2 U - 1)
    assert (share == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    far = atypicality(fresh + 50, torch.zeros(2000).long(), X, y, generator())
    assert (far == 1).all()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_classes_of_few_rows(n):
    X, y = rows(n), torch.zeros(n).long()
    share = atypicality(X + 9, torch.zeros(n).long(), X, y, generator())
    assert (share == 1).all()


def test_rows_beyond_a_block_have_the_same_share(monkeypatch):
    X, y, x = rows(100), torch.zeros(100).long(), rows(50, seed=1)
    whole = atypicality(x, torch.zeros(50).long(), X, y, generator())
    monkeypatch.setattr("skct.training.pairs.BLOCK", 7)
    assert torch.equal(whole, atypicality(x, torch.zeros(50).long(), X, y, generator()))


# ---------------------------------------------------------------- ways of the searches


def test_void_is_where_no_class_has_rows():
    X = torch.cat([rows(1500), rows(1500, seed=1) + 20])  # two classes far apart
    fresh = torch.cat([rows(500, seed=2), rows(500, seed=3) + 20])
    assert off_support_score(fresh, X, generator()).mean() == pytest.approx(
        0.25, abs=0.05
    )
    assert (off_support_score(fresh[:500] + 10, X, generator()) == 1).all()


def test_ways_lead_from_both_ends_to_the_counterfactual():
    nascent, counterfactual, neighbour = (rows(2, seed=seed) for seed in range(3))
    passed = interpolate(nascent, counterfactual, neighbour, torch.tensor([0.0, 1.0]))
    first, last = passed[::2], passed[1::2]
    start, target = nascent[0], neighbour[0]
    assert torch.equal(first, torch.stack([start, start, target, counterfactual[0]]))
    assert torch.equal(last, torch.stack([nascent[1], *[counterfactual[1]] * 3]))


def test_searches_of_training_go_one_logit_beyond_the_threshold():
    X, y = load_iris(return_X_y=True)
    clf = quick().fit(X, y)
    encoded = torch.as_tensor(clf.feature_space_.encode(X))
    target = (torch.as_tensor(clf.predict(X)) + 1) % 3
    label = torch.zeros_like(target)
    rows = encoded, label, encoded, label, target  # X, y, factual, label, target
    found = clf.net_._search_counterfactuals(*rows, torch.Generator())
    p = clf.module_(found.counterfactual).softmax(1)
    reached = p.gather(1, target[:, None]).squeeze(1) >= threshold_with_margin(0.5)
    assert torch.equal(found.mature, reached)
    assert reached.any()
    assert clf.generator_.threshold == 0.5


# --------------------------------------------------------------------------- training


def test_history_says_how_implausible_the_counterfactuals_were():
    X, y = load_iris(return_X_y=True)
    clf = quick(epochs=5).fit(X, y)
    share = clf.history_["implausible"]
    assert share.between(0, 1).all()
    assert 0 < share.mean() < 1
    paper = quick(epochs=2, objective="paper").fit(X, y)
    assert "implausible" not in paper.history_


def test_same_seed_same_bits_and_global_state_untouched():
    X, y = load_iris(return_X_y=True, as_frame=True)
    state = torch.get_rng_state()
    first, second = (quick(epochs=5).fit(X, y) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), state)
    assert (first.predict_proba(X) == second.predict_proba(X)).all()
    twin = pickle.loads(pickle.dumps(first))
    assert (twin.predict_proba(X) == first.predict_proba(X)).all()


def test_without_weights_it_is_the_plain_network():
    X, y = load_iris(return_X_y=True)
    ours = quick(epochs=3, **PLAIN).fit(X, y)
    theirs = quick(epochs=3, objective="paper", **PLAIN).fit(X, y)
    assert (ours.predict_proba(X) == theirs.predict_proba(X)).all()


def test_constraints_hold_in_training():
    X, y = load_iris(return_X_y=True, as_frame=True)
    clf = quick(epochs=40, mutability={X.columns[0]: "none"}).fit(X, y)
    others = X[clf.predict(X) != 1]
    answer = clf.explain(others, target=1)
    assert (answer.counterfactual.iloc[:, 0] == others.iloc[:, 0]).all()
    assert answer.valid.all()


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("epochs", [40, 100])
def test_searches_between_distant_classes_do_not_get_stuck(epochs):
    """Without the penalty on flat ends up to a quarter did, after 40 and 100 epochs.

    With it, after 100 epochs, some do in 4 of 40 seeds (up to 12 % of the rows); which
    seeds these are is decided by rounding.
    """
    X, y = load_iris(return_X_y=True)
    valid = []
    for seed in range(3):
        clf = quick(epochs=epochs, random_state=seed).fit(X, y)
        patient = CounterfactualExplainer(clf, generator=ECCCoGenerator(max_iter=200))
        valid.append(patient.explain(X).valid.mean())
    assert np.mean(valid) > 0.98
    assert epochs > 40 or min(valid) > 0.98


@pytest.mark.parametrize("seed", range(3))
def test_a_rare_class_can_be_reached_and_is_told_as_well_as_by_the_plain_network(seed):
    """7 %: most of its rows are taken for the other class, and teach nothing then."""
    X, y = make_classification(
        1500, 8, n_informative=4, weights=[0.93], flip_y=0.05, random_state=seed
    )
    ours = quick(epochs=30, random_state=seed).fit(X[::2], y[::2])
    plain = quick(epochs=30, random_state=seed, **PLAIN).fit(X[::2], y[::2])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        assert ours.explain(X[1::2]).valid.mean() > 0.95
    mine, theirs = (
        roc_auc_score(y[1::2], clf.predict_proba(X[1::2])[:, 1])
        for clf in (ours, plain)
    )
    assert mine > theirs - 0.01


class Attention(nn.Module):
    """One token per feature; attention that is fast has no second derivative."""

    def __init__(self, n_features_in, n_classes):
        super().__init__()
        self.embed = nn.Linear(1, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1)
        self.head = nn.Linear(8, n_classes)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x[..., None])).mean(1))


def test_attention_can_be_trained():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(Attention, max_epochs=2)
    clf = CounterfactualTrainingClassifier(net, objective="margin", random_state=0)
    clf.fit(X, y)
    assert np.isfinite(clf.history_["slope"]).all()


class Sine(torch.autograd.Function):
    """Differentiable once."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient * ctx.saved_tensors[0].cos()


class Once(nn.Linear):
    def __init__(self, n_features_in, n_classes):
        super().__init__(n_features_in, n_classes)

    def forward(self, x):
        return Sine.apply(super().forward(x))


def test_a_module_without_second_derivatives_is_told_what_to_set():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(Once, max_epochs=1)
    clf = CounterfactualTrainingClassifier(net, objective="margin")
    with pytest.raises(ValueError, match=r"objective='paper', or lambda_reg=0"):
        clf.fit(X, y)
    for remedy in ({"objective": "paper"}, {"lambda_reg": 0.0}):
        assert clf.set_params(**remedy).fit(X, y).n_iter_ == 1
        clf.set_params(objective="margin")


def trained(seed, **setting):
    """Classifier of one half of the circles, and the other half."""
    X, y = circles()
    X = scale(X).astype(np.float32)
    net = CounterfactualNet(max_epochs=60, batch_size=32, lr=5e-3)
    options = {"objective": "margin", "n_counterfactuals": 0.3, "preprocessor": None}
    clf = CounterfactualTrainingClassifier(net, random_state=seed, **options, **setting)
    return clf.fit(X[::2], y[::2]), X[1::2], y[1::2]


@pytest.mark.parametrize("seed", range(3))
def test_answers_are_nearer_to_real_rows_at_the_same_accuracy(seed):
    distance, accuracy = {}, {}
    for name, setting in {"margin": {}, "plain": PLAIN}.items():
        clf, X, y = trained(seed, **setting)
        wanted = ECCCoGenerator(max_iter=200, threshold=0.95)
        explainer = CounterfactualExplainer(clf, generator=wanted, refine=False)
        answer = explainer.explain(X)
        assert answer.valid.all()
        to_real = [
            np.sort(np.abs(X[y == k] - row).sum(1))[:5].mean()
            for row, k in zip(answer.counterfactual, answer.target, strict=True)
        ]
        distance[name], accuracy[name] = np.mean(to_real), clf.score(X, y)
    assert accuracy["margin"] >= accuracy["plain"] - 0.02
    assert distance["margin"] < 0.6 * distance["plain"]


def test_slopes_are_gentler_than_those_of_the_plain_network():
    """On circles the plain net rises by 12 logits per unit, three times the band."""
    slope = {}
    for name, setting in {"margin": {}, "plain": PLAIN}.items():
        clf, X, _ = trained(0, **setting)
        x = torch.tensor(X, requires_grad=True)
        logits = clf.module_(x)
        (gradient,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), x)
        slope[name] = gradient.norm(dim=1).quantile(0.9)
    assert slope["margin"] < 0.7 * slope["plain"]
