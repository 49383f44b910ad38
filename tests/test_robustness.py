"""Attacks: closed forms, invariants, and ART as a referee."""

from functools import partial

import numpy as np
import pytest
import torch
from art.attacks import evasion
from art.estimators.classification import PyTorchClassifier
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
from torch import nn

from skct import Constraints
from skct.robustness import fgsm, pgd, recourse_robustness, robust_accuracy
from skct.solvers import attacks

ATTACKS = [fgsm, partial(pgd, n_restarts=2, random_state=0)]
NAMES = ["fgsm", "pgd"]


def corner(X, y, epsilon):
    return X - epsilon * (2 * y[:, None] - 1) * np.sign(DIRECTION)


@pytest.fixture(scope="module")
def mlp():
    return trained()


@pytest.fixture(scope="module")
def three():
    return trained(3)


def box():
    return Constraints.from_spec(
        {0: "none", 1: "increase"}, {2: (-1.0, 1.0)}, feature_names=["a", "b", "c"]
    )


# ------------------------------------------------------------------- linear models


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_a_linear_model_is_attacked_at_the_corner(attack):
    X, y = make_rows()
    attacked = attack(linear, X, y, epsilon=0.1)
    np.testing.assert_allclose(attacked, corner(X, y, 0.1), atol=1e-6)


@pytest.mark.parametrize("attack", [*NAMES, *ATTACKS])
def test_robust_accuracy_of_a_linear_model_has_a_closed_form(attack):
    X, y = make_rows()
    epsilons = np.array([0.0, 0.05, 0.1, 0.2])
    expected = margin(X, y) > epsilons[:, None] * np.abs(DIRECTION).sum()
    result = robust_accuracy(linear, X, y, epsilons=epsilons, attack=attack)
    np.testing.assert_allclose(result, expected.mean(1))
    assert result[-1] < result[0]


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_confidence_is_no_protection(attack):
    """A cross-entropy in float32 has no gradient where the logits are far apart."""
    X, y = make_rows()
    attacked = attack(lambda x: 1e4 * linear(x), X, y, epsilon=0.1)
    np.testing.assert_allclose(attacked, corner(X, y, 0.1), atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_the_gradient_is_that_of_the_cross_entropy(attack, three):
    net, X, y = three
    x = torch.tensor(X, requires_grad=True)
    loss = nn.functional.cross_entropy(net(x), torch.tensor(y), reduction="sum")
    (gradient,) = torch.autograd.grad(loss, x)
    expected = X + 1e-4 * gradient.sign().numpy()
    same = np.isclose(attack(net, X, y, epsilon=1e-4), expected, atol=1e-7)
    assert same.mean() > 0.99  # a kink may lie inside the ball


# ------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_attacks_stay_in_the_ball_and_respect_constraints(attack):
    X, y = make_rows()
    attacked = attack(linear, X, y, epsilon=0.3, constraints=box())
    assert attacked.dtype == np.float32
    assert np.abs(attacked - X).max() <= 0.3 + 1e-6
    assert (attacked[:, 0] == X[:, 0]).all()
    assert (attacked[:, 1] >= X[:, 1]).all()
    outside = np.abs(X[:, 2]) > 1  # a factual may stay outside, not go further
    assert outside.any()
    assert (np.abs(attacked[~outside, 2]) <= 1).all()
    assert (np.abs(attacked[outside, 2]) <= np.abs(X[outside, 2])).all()
    assert (attacked != X).any(0).tolist() == [False, True, True]


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_radius_zero_changes_nothing(attack):
    X, y = make_rows()
    assert np.array_equal(attack(linear, X, y, epsilon=0), X)


@pytest.mark.parametrize("attack", NAMES)
def test_radius_zero_is_the_clean_accuracy_and_larger_radii_cost_more(attack, mlp):
    net, X, y = mlp
    epsilons = [0.0, 0.02, 0.05, 0.1, 0.2, 0.3]
    result = robust_accuracy(net, X, y, epsilons=epsilons, attack=attack)
    with torch.no_grad():
        clean = (net(torch.tensor(X)).argmax(1).numpy() == y).mean()
    assert result[0] == clean
    assert (np.diff(result) <= 0).all()
    assert result[-1] < clean - 0.1
    assert robust_accuracy(net, X, y, epsilons=0.1, attack=attack) == result[3]


def test_more_restarts_never_help_the_defender():
    """The loss has two hills; only starts on the right side find the higher one."""

    def hills(x):
        height = torch.maximum(-x[:, 0] - 0.8, 2 * x[:, 0] - 1.4)
        return torch.stack([0 * height, -height], dim=1)

    X, y = np.zeros((300, 1), dtype=np.float32), np.ones(300, dtype=int)
    shares = [
        robust_accuracy(
            hills, X, y, epsilons=0.79, n_restarts=n, step_size=0.1, random_state=0
        ).item()
        for n in (1, 2, 5, 10)
    ]
    assert (np.diff(shares) <= 0).all()
    assert shares[0] > 0.3
    assert shares[-1] < 0.05


def test_where_no_restart_fools_the_highest_loss_is_kept():
    def hills(x):  # class 1 throughout; the right hill comes closer to class 0
        height = torch.maximum(-x[:, 0] - 2.0, 2 * x[:, 0] - 2.4)
        return torch.stack([0 * height, -height], dim=1)

    X, y = np.zeros((50, 1)), np.ones(50, dtype=int)
    once = pgd(hills, X, y, epsilon=1, step_size=0.1, random_state=0)
    often = pgd(hills, X, y, epsilon=1, step_size=0.1, n_restarts=20, random_state=0)
    assert (once < 0).any()
    np.testing.assert_allclose(often, 1.0)


def test_the_same_seed_gives_the_same_bits(mlp):
    net, X, y = mlp
    first, again, other = (
        pgd(net, X, y, n_steps=2, random_state=seed) for seed in (0, 0, 1)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_rows_that_follow_change_nothing(mlp, monkeypatch):
    net, X, y = mlp
    options = {"n_restarts": 3, "random_state": 0}
    X, y = X[:80], y[:80]
    together = pgd(net, X, y, **options)
    np.testing.assert_allclose(
        pgd(net, X[:10], y[:10], **options), together[:10], atol=1e-6
    )
    monkeypatch.setattr(attacks, "CHUNK", 17)
    np.testing.assert_allclose(pgd(net, X, y, **options), together, atol=1e-6)


def test_without_random_start_the_row_itself_is_the_start():
    X, y = make_rows()
    attacked = pgd(linear, X, y, n_steps=2, random_start=False)
    np.testing.assert_allclose(attacked, corner(X, y, 0.02), atol=1e-6)


@pytest.mark.parametrize("attack", ATTACKS, ids=NAMES)
def test_images_keep_their_shape(attack):
    flat = nn.Sequential(nn.Flatten(), nn.Linear(25, 3))
    X = np.random.default_rng(0).random((9, 1, 5, 5))
    y = np.arange(9) % 3
    attacked = attack(flat, X, y)
    assert attacked.shape == X.shape
    assert attacked.dtype == np.float32
    np.testing.assert_allclose(
        attacked.reshape(9, 25), attack(flat[1], X.reshape(9, 25), y), atol=1e-6
    )


CALLS = {
    "fgsm": fgsm,
    "pgd": pgd,
    "robust_accuracy": robust_accuracy,
    "recourse_robustness": recourse_robustness,
}


@pytest.mark.parametrize("name", CALLS)
def test_the_model_and_the_global_random_states_are_left_as_they_were(name, capfd):
    assert_leaves_no_trace(CALLS[name])
    assert capfd.readouterr() == ("", "")


# --------------------------------------------------------------- ART as a referee


def toolbox(net, X, y, attack, **options):
    classifier = PyTorchClassifier(
        net, nn.CrossEntropyLoss(), X.shape[1:], int(y.max()) + 1, device_type="cpu"
    )
    attacked = getattr(evasion, attack)(classifier, batch_size=1000, **options)
    attacked = attacked.generate(X, y)
    net.zero_grad()
    return attacked


@pytest.fixture(params=["mlp", "three"])
def referee(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("epsilon", [0.03, 0.1])
def test_fgsm_is_that_of_the_toolbox(referee, epsilon):
    net, X, y = referee
    theirs = toolbox(net, X, y, "FastGradientMethod", eps=epsilon)
    np.testing.assert_allclose(fgsm(net, X, y, epsilon=epsilon), theirs, atol=1e-6)


@pytest.mark.parametrize("epsilon", [0.03, 0.1, 0.2])
def test_pgd_is_as_strong_as_that_of_the_toolbox(referee, epsilon):
    net, X, y = referee

    def theirs(net, X, y, epsilon):
        options = {"eps_step": 0.01, "max_iter": 40, "verbose": False}
        name = "ProjectedGradientDescent"
        return toolbox(net, X, y, name, eps=epsilon, num_random_init=1, **options)

    ours = robust_accuracy(net, X, y, epsilons=epsilon, random_state=0)
    reference = robust_accuracy(net, X, y, epsilons=epsilon, attack=theirs)
    np.testing.assert_allclose(ours, reference, atol=0.01)
    assert 0 < ours < 0.96


# -------------------------------------------------------------------- wrong input


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("case", BAD_BATCHES)
def test_wrong_batches_are_refused(name, case):
    given, message = BAD_BATCHES[case]
    given = {"model": linear, **GOOD, **given}
    with pytest.raises(ValueError, match=message):
        CALLS[name](given["model"], given["X"], given["y"])


@pytest.mark.parametrize("attack", [fgsm, pgd])
@pytest.mark.parametrize("epsilon", [-1, "0.1", np.inf, np.nan, True])
def test_wrong_radii_are_refused(attack, epsilon):
    with pytest.raises(ValueError, match="'epsilon' parameter must be a number >= 0"):
        attack(linear, *GOOD.values(), epsilon=epsilon)


@pytest.mark.parametrize("attack", [fgsm, pgd, recourse_robustness])
def test_wrong_constraints_are_refused(attack):
    for wrong in ({"age": "none"}, Constraints.unbounded((4,))):
        with pytest.raises(ValueError, match=r"Constraints of shape \(3,\)"):
            attack(linear, *GOOD.values(), constraints=wrong)


@pytest.mark.parametrize(
    ("function", "params", "message"),
    [
        (pgd, {"step_size": None}, "'step_size' parameter must be a number >= 0"),
        (pgd, {"n_steps": 0}, "'n_steps' parameter must be an integer >= 1. Got 0"),
        (pgd, {"n_restarts": 1.5}, "'n_restarts' parameter must be an integer"),
        (pgd, {"n_restarts": 2, "random_start": False}, "1 without random_start"),
        (robust_accuracy, {"attack": "PGD"}, "callable or one of fgsm, pgd. Got 'PGD'"),
        (robust_accuracy, {"attack": "autoattack"}, "one of fgsm, pgd. Got 'autoa"),
        (robust_accuracy, {"attack": None}, "must be a callable or one of"),
        (robust_accuracy, {"epsilons": [0.1, -0.1]}, "'epsilons'.*Got -0.1"),
    ],
)
def test_wrong_parameters_are_refused(function, params, message):
    with pytest.raises(ValueError, match=message):
        function(linear, *GOOD.values(), **params)


def test_options_that_an_attack_does_not_know_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'n_steps'"):
        robust_accuracy(linear, [[1.0, 9.0, 0.0]], [1], attack="fgsm", n_steps=3)
