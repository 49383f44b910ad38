"""The baselines of `examples/paper`: each does what it is known for."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
sys.path.insert(0, str(FOLDER))

import baselines  # noqa: E402
import data  # noqa: E402
import models  # noqa: E402
import protocol  # noqa: E402
import reference  # noqa: E402

from skct.robustness import robust_accuracy  # noqa: E402

SETTINGS = data.Settings(100, 100, 0.5, 0.0)
LENGTH = {"epochs": 12, "lr": 0.02}


def brittle_task(n=500):
    """One column that is right in 9 of 10 rows, and many that an attack turns round.

    Together, the many say more than the one, so that a plain net listens to them.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 2 * n)
    sign = 2.0 * y - 1
    robust = np.where(rng.random(2 * n) < 0.9, sign, -sign)
    brittle = 0.08 * sign[:, None] + 0.1 * rng.normal(size=(2 * n, 9))
    X = np.column_stack([robust, brittle]).astype(np.float32)
    return data.Task(X[:n], y[:n], X[n:], y[n:], *data.hull(X))


@pytest.fixture(scope="module")
def task():
    return brittle_task()


@pytest.fixture(scope="module")
def plain(task):
    net, _ = reference.train(task, SETTINGS, "BL", "any", 0, **LENGTH)
    return net.module_


@pytest.fixture(scope="module")
def circles():
    """A fifth of the circles."""
    whole = data.load("Circ")
    return whole._replace(X_train=whole.X_train[:600], y_train=whole.y_train[:600])


def under_attack(module, task):
    """Accuracy at the radius of the training."""
    found = robust_accuracy(module, task.X_test, task.y_test, random_state=0)
    return float(found[0])


# ----------------------------------------------------------------- what they are for


@pytest.mark.parametrize("model", ["PGD-AT", "TRADES"])
def test_adversarial_training_makes_robust(model, task, plain):
    if model == "TRADES":
        pytest.importorskip("art")
    module, _, _ = baselines.train(task, SETTINGS, model, 0, **LENGTH)
    assert protocol.accuracy(plain, task) > 0.95
    assert protocol.accuracy(module, task) > 0.85
    assert under_attack(plain, task) < 0.6
    assert under_attack(module, task) > under_attack(plain, task) + 0.2


def test_attack_of_the_training_grows_to_its_radius(task):
    net = baselines.PGDNet(n_steps=3, max_epochs=4, ramp=0.5)
    net._infer_shapes(task.X_train, task.y_train)
    with torch.random.fork_rng():
        net.initialize()
    X, y = torch.from_numpy(task.X_train[:20]), torch.from_numpy(task.y_train[:20])
    for radius in (0.05, 0.1, 0.1):
        net.history.new_epoch()
        moved = (net.attack(X, y) - X).abs()
        assert 0.5 * radius < moved.max() <= radius + 1e-6


def energy_gap(module, task):
    """Mean energy of uniform noise minus that of test rows."""
    rng = np.random.default_rng(0)
    noise = rng.uniform(task.lower, task.upper, task.X_test.shape).astype(np.float32)
    with torch.no_grad():
        noise, rows = (
            baselines.energy(module(torch.from_numpy(x))).mean()
            for x in (noise, task.X_test)
        )
    return float(noise - rows)


def test_joint_model_gives_data_a_low_energy(circles):
    module, history, messages = baselines.train(circles, SETTINGS, "JEM", 0, **LENGTH)
    net, _ = reference.train(circles, SETTINGS, "BL", "any", 0, **LENGTH)
    assert energy_gap(net.module_, circles) < 0  # further out, a plain net is surer
    assert energy_gap(module, circles) > 0.2
    assert protocol.accuracy(module, circles) > 0.95
    assert len(history["divergence"]) == LENGTH["epochs"]
    assert messages == []


class Well(torch.nn.Module):
    """Logits whose energy is that of a normal density around (0.5, 0.5)."""

    def __init__(self):
        super().__init__()
        self.centre = torch.nn.Parameter(torch.full((2,), 0.5))

    def forward(self, x):
        energy = (x - self.centre).square().sum(1) / (2 * 0.5**2)
        return torch.stack([-energy, -energy], dim=1)


def test_chains_of_the_joint_model_sample_its_density():
    """With the noise that belongs to the step; the step adds 3% to the spread."""
    X = np.random.default_rng(0).uniform(-3, 3, (500, 2)).astype(np.float32)
    box = data.Constraints.from_arrays([-3.0] * 2, [3.0] * 2, ["both"] * 2, (2,))
    net = baselines.JEMNet(
        Well(),
        max_epochs=0,
        constraints=box,
        n_steps=100,
        restarts=0.0,
        step_size=0.05,
        noise=0.05**0.5,
        **baselines.PLAIN,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net.fit(X, (X[:, 0] > 0).astype(int))
        assert net.states_.std(0).min() > 1.5
        sample = net.sample(1000)
    torch.testing.assert_close(sample.mean(0), torch.full((2,), 0.5), atol=0.06, rtol=0)
    torch.testing.assert_close(sample.std(0), torch.full((2,), 0.5), atol=0.06, rtol=0)
    assert torch.equal(sample.sort(0)[0], net.states_.sort(0)[0])  # chains go on


def test_joint_model_that_diverges_keeps_the_last_good_weights(circles):
    length = {"epochs": 5, "lr": 1e5}
    module, history, messages = baselines.train(circles, SETTINGS, "JEM", 0, **length)
    assert len(history.get("epoch", [])) < 5
    assert any("no longer finite" in text for text in messages)
    assert all(weight.isfinite().all() for weight in module.parameters())


def test_probability_of_the_ensemble_is_the_mean(task):
    length = {"epochs": 1, "lr": 0.01}
    module, history, _ = baselines.train(task, SETTINGS, "ensemble", 0, **length)
    X = torch.from_numpy(task.X_test)
    with torch.no_grad():
        each = torch.stack([member(X).softmax(1) for member in module.members])
        torch.testing.assert_close(module(X).softmax(1), each.mean(0))
    assert each.std(0).mean() > 1e-3
    first, _ = reference.train(task, SETTINGS, "BL", "any", 0, **length)
    assert torch.equal(module.members[0][0].weight, first.module_[0].weight)
    assert {name: len(column) for name, column in history.items()} == {
        "epoch": 1,
        "dur": 1,
        "train_loss": 1,
    }


# ----------------------------------------------------------------- the same for all


@pytest.mark.parametrize("model", baselines.MODELS)
def test_same_seed_same_bits_and_no_trace(model, task):
    if model == "TRADES":
        pytest.importorskip("art")
    task = task._replace(X_train=task.X_train[:100], y_train=task.y_train[:100])
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    who, length = (task, SETTINGS, model, "any"), {"epochs": 2, "lr": 0.01}
    first, history, messages = models.train(*who, 3, **length)
    again, other = (models.train(*who, seed, **length)[0] for seed in (3, 4))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    X = torch.from_numpy(task.X_test)
    assert torch.equal(first(X), again(X))
    assert not torch.equal(first(X), other(X))
    assert not first.training
    assert history["epoch"] == [1, 2]
    assert messages == []
    fresh = models.build(model, 10, 2)
    fresh.load_state_dict(first.state_dict())
    assert torch.equal(first(X), fresh(X))
    assert not models.depends_on_version(model, SETTINGS)


@pytest.mark.parametrize("model", ["PGD-AT", "JEM", "ensemble"])
def test_interrupted_training_is_no_result(model, task, monkeypatch):
    monkeypatch.setattr(reference.ReferenceNet, "fit_loop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        models.train(task, SETTINGS, model, "any", 0, **LENGTH)


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt
