import copy

import numpy as np
import pytest
import torch
from conftest import skorch_net
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from slope_objective import Slope
from torch import nn
from torch.utils.data import DataLoader

from skct import (
    MLP,
    Constraints,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
    GenericGenerator,
    PaperObjective,
)
from skct.distributed import DistributedCounterfactualNet
from skct.exceptions import DivergenceWarning
from skct.losses import energy
from skct.training.loader import BatchLoader
from skct.training.pairs import draw_neighbours, draw_targets, split


def blobs(n=120, n_classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    X = rng.normal(size=(n, 3)) + 2.0 * y[:, None]
    return X.astype(np.float32), y


def make(seed=0, **params):
    torch.manual_seed(seed)
    params = {"max_epochs": 4, "batch_size": 32, "lr": 0.01, **params}
    return CounterfactualNet(random_state=0, **params)


def weights(net):
    return [p.detach().clone() for p in net.module_.parameters()]


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}


class Listed(Dataset):
    """A dataset with rows of its own making."""

    def transform(self, X, y):
        return np.asarray(X) + 1, np.asarray(y)


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dataset", [Dataset, Listed])
def test_batch_loader_gives_the_batches_of_torch(shuffle, dataset):
    X = np.random.default_rng(0).normal(size=(103, 3)).astype("float32")
    epochs, states = [], []
    for loader in (DataLoader, BatchLoader):
        torch.manual_seed(0)
        batches = loader(dataset(X, np.arange(103)), batch_size=10, shuffle=shuffle)
        epochs.append([tuple(batch) for _ in range(2) for batch in batches])
        states.append(torch.get_rng_state())
    assert len(epochs[0]) == len(epochs[1]) == 22
    for theirs, ours in zip(*epochs, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(theirs, ours, strict=True))
        assert ours[1].dtype == theirs[1].dtype
    assert torch.equal(*states)


def test_batch_loader_takes_arrays_as_they_lie():
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    frozen = X.copy()
    frozen.setflags(write=False)
    for rows in (X[::-1], frozen, np.broadcast_to(X[0], (10, 2))):
        batches = BatchLoader(Dataset(rows, y[::-1]), batch_size=4)
        taken = [torch.cat(column) for column in zip(*batches, strict=True)]
        np.testing.assert_array_equal(taken[0], rows)
        np.testing.assert_array_equal(taken[1], y[::-1])


@pytest.mark.parametrize("iterator", [BatchLoader, DataLoader])
def test_all_lambdas_zero_is_skorch_bit_for_bit(iterator):
    X, y = blobs()
    ours = make(**PLAIN).fit(X, y)
    torch.manual_seed(0)
    theirs = skorch_net(3, lr=0.01, max_epochs=4, iterator_train=iterator).fit(X, y)
    assert same(weights(ours), weights(theirs))


def test_a_net_still_in_burn_in_equals_a_plain_net_bit_for_bit():
    X, y = blobs()
    assert same(weights(make(burn_in=1.0).fit(X, y)), weights(make(**PLAIN).fit(X, y)))


def test_burn_in_is_a_share_of_the_epochs():
    net = make(burn_in=0.5).fit(*blobs())
    assert ["mature" in epoch for epoch in net.history] == [False, False, True, True]


def paper_pair(module, pairs, i):
    """Divergence and ridge of one pair, Eq. 3 and 4, from rows one by one."""
    t, ends = pairs.target[i], (pairs.neighbour[i], pairs.counterfactual[i])
    plus, minus = (-module(row[None])[0, t] for row in ends)
    return float(pairs.mature[i]) * torch.stack([plus - minus, plus**2 + minus**2])


def slope_pair(module, pairs, i):
    """Gap and slopes of one pair of `Slope`, from a row and its Jacobian."""
    t, ends = pairs.target[i], (pairs.neighbour[i], pairs.counterfactual[i])
    plus, minus = (-module(row[None])[0, t] for row in ends)

    def odds(x):
        p = module(x).softmax(0)[t]
        return torch.log(p / (1 - p))

    slope = torch.autograd.functional.jacobian(odds, ends[1], create_graph=True)
    return torch.stack([plus - minus, slope.square().sum() + slope[FIXED] ** 2])


FIXED = 2


@pytest.mark.parametrize(
    ("objective", "pair"), [("paper", paper_pair), (Slope(), slope_pair)]
)
@pytest.mark.parametrize(("n_classes", "threshold"), [(2, 0.55), (3, 0.34)])
def test_the_objective_is_that_of_a_slow_independent_computation(
    objective, pair, n_classes, threshold
):
    """One full-batch step of plain descent moves the weights along its gradient."""
    X, y = blobs(40, n_classes)
    net = make(
        objective=objective,
        optimizer=torch.optim.SGD,
        lr=0.1,
        max_epochs=1,
        batch_size=-1,
        n_counterfactuals=1.0,
        lambda_div=0.7,
        lambda_adv=0.3,
        lambda_reg=0.2,
        generator=ECCCoGenerator(threshold=threshold, step_size=1.0),
        constraints=Constraints.from_spec(
            {FIXED: "none"}, feature_names=["a", "b", "c"]
        ),
    )
    captured = {}

    class Spy(CounterfactualNet):
        def _make_pairs(self, X, y):
            captured["module"] = copy.deepcopy(self.module_)
            captured["pairs"] = super()._make_pairs(X, y)
            return captured["pairs"]

    net.__class__ = Spy
    net.fit(X, y)
    module, pairs = captured["module"], captured["pairs"]
    assert 0 < pairs.mature.float().mean() < 1
    loss = nn.functional.cross_entropy
    total = loss(module(torch.tensor(X)), torch.tensor(y))
    total = total + 0.3 * loss(module(pairs.nascent), pairs.label)
    for i in range(40):
        total = total + pair(module, pairs, i) @ torch.tensor([0.7, 0.2]) / 40
    total.backward()
    for before, after in zip(
        module.parameters(), net.module_.parameters(), strict=True
    ):
        expected = before.detach() - 0.1 * before.grad
        torch.testing.assert_close(after.detach(), expected, rtol=1e-4, atol=1e-6)


def test_targets_are_uniform_over_the_classes_other_than_the_predicted_one():
    rng = torch.Generator().manual_seed(0)
    predicted = torch.arange(3).repeat(2000)
    target = draw_targets(predicted, torch.tensor([0, 1, 2]), rng)
    counts = torch.zeros(3, 3)
    counts.index_put_((predicted, target), torch.ones(6000), accumulate=True)
    assert (counts.diag() == 0).all()
    off = counts[~torch.eye(3, dtype=bool)]
    assert (off / 2000 - 0.5).abs().max() < 0.05


def test_targets_are_classes_that_have_training_rows():
    rng = torch.Generator().manual_seed(0)
    target = draw_targets(torch.zeros(50, dtype=torch.long), torch.tensor([0, 2]), rng)
    assert (target == 2).all()


def test_neighbours_are_uniform_training_rows_of_the_target_class():
    rng = torch.Generator().manual_seed(0)
    y = torch.tensor([2, 0, 1, 0, 2, 0])
    target = torch.tensor([0, 1, 2]).repeat(3000)
    rows = draw_neighbours(target, y, rng)
    assert (y[rows] == target).all()
    share = torch.bincount(rows[target == 0], minlength=6)[[1, 3, 5]] / 3000
    assert (share - 1 / 3).abs().max() < 0.05


def test_chunks_are_consecutive_near_equal_and_lose_nothing():
    X, y = blobs()
    net = make(max_epochs=1).fit(X, y)
    net.history.new_epoch()
    pairs = net._make_pairs(torch.tensor(X), torch.tensor(y))
    chunks = split(pairs, 7)
    sizes = [len(chunk.target) for chunk in chunks]
    assert max(sizes) - min(sizes) <= 1
    assert torch.equal(torch.cat([c.counterfactual for c in chunks]), pairs[2])
    assert split(pairs, 1000)[-1] is None


def test_every_factual_is_drawn_at_most_once_and_the_number_is_capped():
    X, y = blobs(50)
    net = make(n_counterfactuals=1000, max_epochs=1).fit(X, y)
    assert net._n_rows(50) == 50
    net.set_params(n_counterfactuals=0.3)
    assert net._n_rows(50) == 15


def test_protected_neighbours_agree_with_their_counterfactuals():
    X, y = blobs()
    constraints = Constraints.from_spec({0: "none"}, feature_names=[0, 1, 2])
    net = make(constraints=constraints, max_epochs=1).fit(X, y)
    net.history.new_epoch()
    pairs = net._make_pairs(torch.tensor(X), torch.tensor(y))
    assert torch.equal(pairs.neighbour[:, 0], pairs.counterfactual[:, 0])
    assert not torch.equal(pairs.neighbour[:, 1], pairs.counterfactual[:, 1])


def test_the_search_leaves_no_trace_in_dropout_and_batch_norm():
    """Running statistics are those of the observed batches, and only of those."""

    class Noisy(nn.Sequential):
        def __init__(self, n_features_in, n_classes):
            super().__init__(
                nn.BatchNorm1d(n_features_in),
                nn.Linear(n_features_in, 8),
                nn.Dropout(0.5),
                nn.Linear(8, n_classes),
            )

    X, y = blobs()
    trained = make(module=Noisy).fit(X, y)
    plain = make(module=Noisy, **PLAIN).fit(X, y)
    assert torch.equal(trained.module_[0].running_mean, plain.module_[0].running_mean)
    assert not same(weights(trained), weights(plain))


def test_lbfgs_sees_the_same_counterfactuals_in_every_closure():
    X, y = blobs()
    net = make(optimizer=torch.optim.LBFGS, lr=1.0, batch_size=-1).fit(X, y)
    assert net.score(X, y) > 0.8


def test_validation_split_and_dropped_batches_keep_every_chunk_in_place():
    X, y = blobs()
    net = make(
        train_split=ValidSplit(4, stratified=True), iterator_train__drop_last=True
    )
    net.fit(X, y)
    assert "valid_loss" in net.history[-1]
    assert "mature" in net.history[-1]
    held_out = make(train_split=predefined_split(Dataset(*blobs(seed=1)))).fit(X, y)
    assert "valid_acc" in held_out.history[-1]


def test_images_and_a_convolution():
    class Conv(nn.Sequential):
        def __init__(self, n_classes):
            super().__init__(
                nn.Conv2d(1, 2, 3),
                nn.BatchNorm2d(2),
                nn.ReLU(),
                nn.Flatten(),
                nn.Dropout(0.2),
                nn.Linear(2 * 26 * 26, n_classes),
            )

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 1, 28, 28)).astype(np.float32)
    y = rng.integers(0, 3, 60)
    net = make(module=Conv, max_epochs=2).fit(X, y)
    assert net.predict_proba(X).shape == (60, 3)
    assert 0 <= net.history[-1]["mature"] <= 1


def test_a_module_that_returns_probabilities_is_understood():
    class Soft(nn.Sequential):
        def __init__(self, n_features_in, n_classes):
            super().__init__(nn.Linear(n_features_in, n_classes), nn.Softmax(dim=1))

    X, y = blobs()
    net = make(module=Soft, criterion=nn.NLLLoss, lr=0.05, max_epochs=10).fit(X, y)
    x = torch.tensor(X)
    torch.testing.assert_close(
        net.logit_module()(x).softmax(1), net.module_(x), rtol=1e-4, atol=1e-5
    )
    assert net.score(X, y) > 0.85


@pytest.mark.parametrize("n_outputs", [1, 3])
def test_wrong_number_of_logits_is_named(n_outputs):
    net = make(module=nn.Linear(3, n_outputs))
    with pytest.raises(ValueError, match=rf"shape \(2, {n_outputs}\).*2 classes"):
        net.fit(*blobs())


def test_a_diverging_loss_stops_and_keeps_the_last_good_weights():
    X, y = blobs()

    class Explode(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.calls = nn.Linear(3, 2), 0

        def forward(self, x):
            self.calls += self.training
            return self.linear(x) * (torch.inf if self.calls > 10 else 1.0)

    net = make(module=Explode, max_epochs=8, **PLAIN)
    with pytest.warns(DivergenceWarning, match=r"epoch 3.*learning rate \(lr\)"):
        net.fit(X, y)
    good = make(module=Explode, max_epochs=2, **PLAIN).fit(X, y)
    assert len(net.history) == 2
    assert same(weights(net), weights(good))


@pytest.mark.parametrize("objective", ["paper", "teacher", Slope()])
@pytest.mark.filterwarnings("ignore::skct.exceptions.DivergenceWarning")
def test_no_gradient_is_left_of_a_step_that_diverged(objective):
    net = make(lr=1e30, optimizer=torch.optim.SGD, objective=objective).fit(*blobs())
    assert net._dense_pass() is not None
    assert [p.grad for p in net.module_.parameters()] == [None] * 4


def test_exploding_energies_never_leave_a_net_that_is_not_finite():
    X, y = blobs()
    net = make(optimizer=torch.optim.SGD, lr=1e4, lambda_div=100.0, lambda_reg=0.0)
    with pytest.warns(DivergenceWarning, match="lambda_reg"):
        net.fit(X, y)
    assert np.isfinite(net.predict_proba(X)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lambda_div", -1),
        ("lambda_adv", "much"),
        ("lambda_reg", float("nan")),
        ("burn_in", 1.5),
        ("objective__epsilon", None),
        ("n_counterfactuals", 0),
        ("n_counterfactuals", 1.5),
        ("n_counterfactuals", True),
        ("objective", "mine"),
        ("generator", "best"),
    ],
)
def test_wrong_parameters_are_named(name, value):
    with pytest.raises(ValueError, match=name.removeprefix("objective__")):
        make(**{name: value}).fit(*blobs())


def test_generator_parameters_are_reached_through_the_net():
    net = make(generator__threshold=0.8, max_epochs=1).fit(*blobs())
    assert net.generator_.threshold == 0.8
    net.set_params(generator__threshold=0.6).partial_fit(*blobs())
    assert net.generator_.threshold == 0.6
    net.set_params(generator=GenericGenerator()).partial_fit(*blobs())
    assert isinstance(net.generator_, GenericGenerator)


class ReferenceObjective(PaperObjective):
    """Label of the first version of the paper, and its ridge on immature pairs."""

    def adversarial_target(self, y_true, y_predicted):
        return y_predicted

    def terms(self, pairs, outputs):
        plus, minus = (
            energy(logits, pairs.target)
            for logits in (outputs.neighbour, outputs.counterfactual)
        )
        other = torch.where(pairs.mature, minus, plus)
        return plus - other, plus.square() + other.square()


def test_an_objective_of_ones_own_rebuilds_the_reference_code():
    X, y = blobs()
    options = {"max_epochs": 2, "generator__threshold": 0.95, "lr": 3e-3}
    net = make(objective=ReferenceObjective(), **options).fit(X, y)
    ours = make(objective="paper", **options).fit(X, y)
    assert net.history[0]["mature"] < 1
    assert net.history[0]["ridge"] > ours.history[0]["ridge"]


def test_energy_is_minus_the_target_logit():
    logits = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert energy(logits, torch.tensor([1, 0])).tolist() == [-2.0, -3.0]


class Watched(MLP):
    """The default network, in which something listens to a layer."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self[0].register_forward_hook(lambda *args: None)


@pytest.mark.parametrize("objective", ["paper", "teacher", Slope()])
def test_one_pass_and_two_passes_train_the_same_net(objective):
    X, y = blobs()
    nets = [
        make(module=module, objective=objective).fit(X, y) for module in (MLP, Watched)
    ]
    assert [net._dense_pass() is not None for net in nets] == [True, False]
    for one, two in zip(*(net.module_.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


class Penalised(CounterfactualNet):
    """A loss with a part that comes from the weights, not from the rows."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        loss = super().get_loss(y_pred, y_true, *args, **kwargs)
        return loss + 0.01 * sum(p.square().sum() for p in self.module_.parameters())


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (CounterfactualNet, {"criterion__label_smoothing": 0.1}),
        (CounterfactualNet, {"criterion__weight": torch.tensor([1.0, 2.0])}),
        (CounterfactualNet, {"criterion": nn.MultiMarginLoss}),
        (Penalised, {}),
    ],
)
def test_any_loss_trains_the_same_net_on_both_passes(kind, options):
    X, y = blobs()
    nets = []
    for module in (MLP, Watched):
        torch.manual_seed(0)
        net = kind(module, random_state=0, max_epochs=3, lr=0.01, **options)
        nets.append(net.fit(X, y))
    assert [net._dense_pass() is not None for net in nets] == [True, False]
    for one, two in zip(*(net.module_.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["infer", "logits"])
@pytest.mark.parametrize("base", [CounterfactualNet, DistributedCounterfactualNet])
def test_a_subclass_that_evaluates_in_its_own_way_is_asked(base, name):
    def own(self, *args, **params):
        return getattr(base, name)(self, *args, **params)

    kinds = base, type("Own", (base,), {name: own})
    net, other = (kind(MLP(3, 2)).initialize() for kind in kinds)
    assert net._dense_pass() is not None
    assert other._dense_pass() is None


@pytest.mark.parametrize("objective", ["paper", "teacher", Slope()])
@pytest.mark.parametrize("module", [MLP, Watched])
def test_a_module_may_be_of_double_precision(module, objective):
    X, y = blobs()
    net = make(module=module(3, 2).double(), objective=objective)
    net.fit(X.astype(np.float64), y)
    assert {p.dtype for p in net.module_.parameters()} == {torch.float64}
    assert np.isfinite(net.history[-1]["train_loss"])


class Replacing(torch.optim.Optimizer):
    """Gradient descent that gives each parameter new storage."""

    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure):
        loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                p.data = p.data - group["lr"] * p.grad
        return loss


@pytest.mark.parametrize("objective", ["paper", "teacher", Slope()])
def test_weights_may_be_replaced_instead_of_changed(objective):
    X, y = blobs()
    setting = {"optimizer": Replacing, "lr": 0.1, "objective": objective}
    nets = [make(module=module, **setting).fit(X, y) for module in (MLP, Watched)]
    for one, two in zip(*(net.module_.parameters() for net in nets), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


class Rounding(CounterfactualNet):
    """A net whose steps are in low precision."""

    def train_step_single(self, batch, **params):
        with torch.autocast("cpu", torch.bfloat16):
            return super().train_step_single(batch, **params)


@pytest.mark.parametrize("objective", ["paper", "teacher", Slope()])
def test_steps_in_low_precision_take_the_long_way(objective):
    net = Rounding(max_epochs=1, objective=objective).fit(*blobs())
    assert np.isfinite(net.history[-1]["train_loss"])


class Doubled(CounterfactualNet):
    """A net with logits of its own making."""

    def infer(self, x, **fit_params):
        self.sizes.append(len(x))
        return 2 * super().infer(x, **fit_params)


def test_a_net_that_infers_its_own_way_is_asked_batch_by_batch(monkeypatch):
    monkeypatch.setattr(Doubled, "sizes", [], raising=False)
    X, y = blobs(64)
    options = {"max_epochs": 1, "batch_size": 32, "n_counterfactuals": 64}
    net = Doubled(objective="paper", **options).fit(X, y)
    assert net._dense_pass() is None
    assert net._evaluates_in_its_own_way
    assert {32, 96} <= set(Doubled.sizes)
    assert 128 not in Doubled.sizes


# ------------------------------------------------------------- bugs that were fixed


class Normed(nn.Sequential):
    """A network with batch normalisation."""

    def __init__(self, n_features_in, n_classes):
        norm = nn.BatchNorm1d(n_features_in)
        super().__init__(norm, nn.Linear(n_features_in, n_classes))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_before_training_are_an_error(value):
    net = make().fit(*blobs())
    with torch.no_grad():
        net.module_[0].weight[0, 0] = value
    with pytest.raises(ValueError, match="not finite before the first step"):
        net.partial_fit(*blobs())


def test_running_statistics_that_overflow_stop_training():
    X, y = blobs()
    net = make(module=Normed)
    with pytest.warns(DivergenceWarning, match="scale the inputs"):
        net.fit(np.float32(1e25) * X, y)
    assert all(part.isfinite().all() for part in net.module_.state_dict().values())


def test_a_module_may_hold_infinity_where_it_is_meant():
    class Masked(MLP):
        def __init__(self, n_features_in, n_classes):
            super().__init__(n_features_in, n_classes)
            self.register_buffer("mask", torch.tensor(-torch.inf))

    assert len(make(module=Masked).fit(*blobs()).history) == 4


def test_a_batch_of_one_row_that_the_module_cannot_take_is_explained():
    X, y = blobs(n=65)
    with pytest.raises(ValueError, match="one row.*iterator_train__drop_last=True"):
        make(module=Normed).fit(X, y)
    net = make(module=Normed, iterator_train__drop_last=True).fit(X, y)
    assert np.isfinite(net.predict_proba(X)).all()


@pytest.mark.parametrize("lambdas", [{}, PLAIN])
def test_no_batch_at_all_is_explained(lambdas):
    options = {"batch_size": 500, "iterator_train__drop_last": True}
    with pytest.raises(ValueError, match="No batch is left of 120.*Lower batch_size"):
        make(**options, **lambdas).fit(*blobs())


def test_a_divergence_in_the_first_epoch_is_no_crash_in_early_stopping():
    X, y = blobs()
    stop = EarlyStopping("train_loss", load_best=True)
    net = make(optimizer=torch.optim.SGD, lr=1e20, callbacks=[stop])
    with pytest.warns(DivergenceWarning, match="epoch 1"):
        net.fit(X, y)
    assert len(net.history) == 0
    assert np.isfinite(net.predict_proba(X)).all()


@pytest.mark.parametrize("lambdas", [{}, PLAIN])
def test_a_batch_of_rows_without_weight_teaches_nothing(lambdas):
    """Its loss was 0 / 0, which stopped training."""
    X, y = blobs()
    weight = torch.tensor([0.0, 1.0])
    net = make(batch_size=1, criterion__weight=weight, max_epochs=2, **lambdas)
    net.fit(X, y)
    assert len(net.history) == 2
    assert np.isfinite(net.history[:, "train_loss"]).all()


@pytest.mark.parametrize("name", ["lambda_div", "lambda_adv", "lambda_reg"])
def test_weights_beyond_float32_end_in_the_warning(name):
    with pytest.warns(DivergenceWarning):
        make(**{name: 1e300}).fit(*blobs())


def test_a_learning_rate_beyond_float32_is_named():
    with pytest.raises(ValueError, match="'lr' parameter of CounterfactualNet"):
        make(lr=1e300).fit(*blobs())


@pytest.mark.parametrize("kind", [torch.float16, torch.float64])
def test_a_module_of_another_precision_is_named(kind):
    with pytest.raises(ValueError, match=r"pass module.float\(\)"):
        make(module=MLP(3, 2).to(kind)).fit(*blobs())


def test_logits_that_are_parameters_are_predicted():
    class Constant(nn.Module):
        def __init__(self, n_features_in, n_classes):
            super().__init__()
            self.level = nn.Parameter(torch.zeros(n_classes))

        def forward(self, x):
            return self.level.expand(len(x), -1)

    X, y = blobs()
    clf = CounterfactualTrainingClassifier(make(module=Constant), random_state=0)
    assert clf.fit(X, y).predict_proba(X).shape == (120, 2)
