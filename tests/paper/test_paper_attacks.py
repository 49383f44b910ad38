"""AutoAttack of `examples/paper`: strength, a closed form, and what it leaves alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from attack_cases import (
    BAD_BATCHES,
    DIRECTION,
    GOOD,
    assert_leaves_no_trace,
    linear,
    make_rows,
    margin,
    trained,
)

from skct.robustness import robust_accuracy

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
sys.path.insert(0, str(FOLDER))

from attacks import autoattack  # noqa: E402


@pytest.mark.parametrize("n_classes", [2, 3])
def test_it_is_at_least_as_strong_as_pgd(n_classes):
    net, X, y = trained(n_classes)
    X, y = X[:15], y[:15]
    attacked = autoattack(net, X, y, epsilon=0.2, random_state=0)
    assert attacked.dtype == np.float32
    assert np.abs(attacked - X).max() <= 0.2 + 1e-6
    with torch.no_grad():
        standing = net(torch.tensor(attacked)).argmax(1).numpy() == y
    (projected,) = robust_accuracy(net, X, y, epsilons=0.2, random_state=0)
    assert 0 < standing.mean() <= projected < 1


def test_a_linear_model_has_a_closed_form():
    X, y = make_rows(20)
    wanted = margin(X, y) > 0.1 * np.abs(DIRECTION).sum()
    options = {"epsilons": 0.1, "attack": autoattack, "random_state": 0}
    assert robust_accuracy(linear, X, y, **options) == wanted.mean()


def test_radius_zero_changes_nothing():
    X, y = make_rows()
    assert np.array_equal(autoattack(linear, X, y, epsilon=0), X)


def test_the_model_and_the_global_random_states_are_left_as_they_were(capfd):
    assert_leaves_no_trace(autoattack)
    assert capfd.readouterr() == ("", "")


def test_a_module_inside_a_function_gets_no_gradients():
    net, X, y = trained()
    autoattack(lambda x: net(x), X[:3], y[:3], epsilon=0.2, random_state=0)
    assert all(p.grad is None for p in net.parameters())


def test_images_and_logits_that_look_like_probabilities_are_fine():

    def half(x):  # logits 0.5 and 0.5 at a row of ones, which the toolbox tries
        z = x.flatten(1).mean(1) - 0.5
        return torch.stack([1 - z, z], dim=1)

    X = np.float32([0.9, 1.1, 1.5])[:, None, None, None] * np.ones((3, 1, 5, 5))
    attacked = autoattack(half, X, [0, 1, 1], epsilon=0.2)
    assert attacked.shape == X.shape
    moved = np.abs(attacked - X).reshape(3, -1).max(1) > 0
    assert moved.tolist() == [True, True, False]


@pytest.mark.parametrize("missing", ["art.attacks.evasion", "multiprocess"])
def test_without_the_toolbox_the_error_says_what_to_install(missing, monkeypatch):
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ImportError, match="pip install adversarial-robustness-toolbox"):
        autoattack(linear, *make_rows())


@pytest.mark.parametrize("case", BAD_BATCHES)
def test_wrong_batches_are_refused(case):
    given, message = BAD_BATCHES[case]
    given = {"model": linear, **GOOD, **given}
    with pytest.raises(ValueError, match=message):
        autoattack(given["model"], given["X"], given["y"])


@pytest.mark.parametrize("epsilon", [-1, "0.1", np.inf, np.nan, True])
def test_wrong_radii_are_refused(epsilon):
    with pytest.raises(ValueError, match="'epsilon' parameter must be a number >= 0"):
        autoattack(linear, *GOOD.values(), epsilon=epsilon)
