"""Integrated gradients, sensitivity, and samples of the model's own classes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients
from scipy.stats import kstest, truncexpon, uniform
from torch import nn

from skct import Constraints, attribution
from skct.attribution import (
    faithfulness,
    integrated_gradients,
    sample_conditional,
    sensitivity,
)
from skct.constraints import Group
from skct.metrics import implausibility

WEIGHTS = np.float32([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])


def linear(x):
    return x.flatten(1) @ torch.from_numpy(WEIGHTS).T + 7.0


@pytest.fixture
def net():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(3, 16),
            nn.BatchNorm1d(16),
            nn.Tanh(),
            nn.Dropout(0.5),
            nn.Linear(16, 2),
        )


def make_rows(n=10, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 3)).astype(np.float32), rng.integers(2, size=n)


def logit(model, X, target):
    with torch.no_grad():
        logits = model(torch.as_tensor(X, dtype=torch.float32)).numpy()
    return logits[np.arange(len(X)), target]


# ----------------------------------------------------------------- integrated gradients


@pytest.mark.parametrize("baseline", [None, 0.5, [1.0, 2.0, 3.0]])
def test_a_linear_model_is_attributed_by_its_weights(baseline):
    X, target = make_rows()
    expected = WEIGHTS[target] * (X - (0.0 if baseline is None else baseline))
    result = integrated_gradients(linear, X, target, baseline=baseline, n_steps=3)
    np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize("zero", [True, False])
def test_attributions_add_up_to_the_difference_of_logits(net, zero):
    X, target = make_rows()
    baseline = np.zeros_like(X) if zero else make_rows(seed=1)[0]
    result = integrated_gradients(
        net, X, target, baseline=None if zero else baseline, n_steps=200
    )
    net.eval()
    difference = logit(net, X, target) - logit(net, baseline, target)
    np.testing.assert_allclose(result.sum(1), difference, atol=1e-4)
    assert np.abs(difference).min() > 1e-3


def test_the_midpoint_rule_is_exact_for_a_square():
    def model(x):
        return torch.stack([x[:, 0].square(), x[:, 1]], dim=1)

    result = integrated_gradients(model, [[3.0, 5.0]], [0], n_steps=4)
    np.testing.assert_allclose(result, [[9.0, 0.0]], atol=1e-5)


def test_a_feature_that_the_model_ignores_gets_nothing():
    X, _ = make_rows()
    result = integrated_gradients(linear, X, np.ones(10, dtype=int))
    assert (result[:, 0] == 0).all()
    assert (result[:, 1:] != 0).all()


def test_rows_are_attributed_one_by_one(net):
    X, target = make_rows()
    together = integrated_gradients(net, X, target)
    alone = [integrated_gradients(net, X[[i]], target[[i]])[0] for i in range(len(X))]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_images_keep_their_shape():
    X, target = make_rows()
    result = integrated_gradients(linear, X.reshape(10, 1, 3, 1), target)
    assert result.shape == (10, 1, 3, 1)
    np.testing.assert_allclose(
        result.reshape(10, 3), integrated_gradients(linear, X, target)
    )


def test_the_model_is_left_as_it_was(net):
    net.train()
    net[3].eval()
    modes = [module.training for module in net.modules()]
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    with torch.no_grad():
        integrated_gradients(net, *make_rows())
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(net.state_dict()[name], state[name]) for name in state)
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("n_steps", [2, 20])
def test_integrated_gradients_are_those_of_captum(n_steps):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        module = nn.Sequential(
            nn.Linear(3, 32),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(32, 2),
        )
        module(5 * torch.randn(100, 3))  # statistics that are not those of a start
    X, target = make_rows(40)
    baseline = make_rows(40, seed=1)[0]
    result = integrated_gradients(module, X, target, baseline=baseline, n_steps=n_steps)
    expected = IntegratedGradients(module.eval()).attribute(
        torch.from_numpy(X),
        torch.from_numpy(baseline),
        target=torch.from_numpy(target),
        n_steps=n_steps,
        method="riemann_middle",
    )
    np.testing.assert_allclose(result, expected.detach().numpy(), atol=1e-5)


def test_batches_do_not_show(net, monkeypatch):
    X, target = make_rows()
    baseline = make_rows(seed=1)[0]
    expected = integrated_gradients(net, X, target, baseline=baseline)
    monkeypatch.setattr(attribution, "BATCH_SIZE", 3)
    result = integrated_gradients(net, X, target, baseline=baseline)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_no_rows_have_no_attribution(net):
    assert integrated_gradients(net, np.zeros((0, 3)), []).shape == (0, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X": np.full((10, 3), np.nan)}, "'X' parameter must hold finite"),
        ({"target": [0, 1]}, r"each of 10 rows. Got an array of shape \(2,\)"),
        ({"target": ["yes"] * 10}, "'target' parameter must hold class indices"),
        ({"target": np.zeros(10)}, "'target' parameter must hold class indices"),
        ({"target": [-1] * 10}, "integers from 0"),
        ({"target": [2] * 10}, "class indices below 2, the number of logits. Got 2"),
        ({"baseline": [1.0, 2.0]}, r"'baseline' .* of shape \(10, 3\)"),
        ({"baseline": np.inf}, "'baseline' parameter must hold finite"),
        ({"n_steps": 0}, "'n_steps' parameter must be an integer >= 1. Got 0"),
        ({"n_steps": 2.5}, "'n_steps' parameter must be an integer"),
        ({"model": lambda x: x[:, 0]}, r"logits of shape \(1,\).*one logit per class"),
    ],
)
def test_integrated_gradients_name_what_is_wrong(changes, message):
    X, target = make_rows()
    params = {"model": linear, "X": X, "target": target, **changes}
    with pytest.raises(ValueError, match=message):
        integrated_gradients(**params)


# ---------------------------------------------------------------------- sensitivity


def test_range_shifts_and_scales_mean_attributions_by_hand():
    attribution = [[1.0, -1.0, 5.0, 2.0], [3.0, -3.0, 7.0, 2.0]]  # means 2, -2, 6, 2
    assert sensitivity(attribution, [0]) == 0.5
    assert sensitivity(attribution, [1]) == 0.0
    assert sensitivity(attribution, [2]) == 1.0
    assert sensitivity(attribution, [0, 2]) == 0.75


def test_range_of_two_features_takes_the_absolute_value_by_hand():
    attribution = [[-1.0, 2.0], [-1.0, 4.0]]  # means -1 and 3
    assert sensitivity(attribution, [0]) == 0.25
    assert sensitivity(attribution, [1]) == 0.75


def test_share_is_that_of_the_mean_absolute_attribution_by_hand():
    attribution = [[1.0, -1.0, 2.0], [-1.0, 3.0, 0.0]]  # mean sizes 1, 2, 1
    assert sensitivity(attribution, [0], standardize="share") == 0.25
    assert sensitivity(attribution, [0, 1], standardize="share") == 0.75
    assert sensitivity(attribution, range(3), standardize="share") == 1.0


def test_features_of_images_are_counted_in_flat_order():
    attribution = np.arange(8.0).reshape(2, 1, 2, 2)  # means 2, 3, 4, 5
    assert sensitivity(attribution, [3]) == 1.0
    assert sensitivity(attribution, [1]) == pytest.approx(1 / 3)


def test_an_unknown_standardisation_is_refused():
    with pytest.raises(ValueError, match="'range' or 'share'. Got 'max' instead"):
        sensitivity([[1.0, 2.0]], [0], standardize="max")


@pytest.mark.parametrize(
    ("values", "features", "message"),
    [
        (np.zeros((0, 3)), [0], "at least one row and one feature. Got 0 rows"),
        ([[1.0, 2.0]], [], "one feature. Got 1 rows and 0"),
        ([[1.0, np.nan]], [0], "'attribution' parameter must hold finite"),
    ],
)
@pytest.mark.parametrize("standardize", ["range", "share"])
def test_sensitivity_of_nothing_is_refused(values, features, message, standardize):
    with pytest.raises(ValueError, match=message):
        sensitivity(values, features, standardize=standardize)


# --------------------------------------------------------------- sample_conditional

MEAN, WIDTH = torch.tensor([-1.0, 2.0]), torch.tensor([0.5, 1.0])
WIDE = [-8.0, -8.0], [8.0, 8.0]


def gaussians(x):
    """Class 0 is a Gaussian with these means and widths, class 1 its mirror image."""
    distance = [((x - side * MEAN) / WIDTH).square().sum(1) / 2 for side in (1, -1)]
    return -torch.stack(distance, dim=1)


def slope(c):
    """Energy -c x in every feature for class 1."""
    return lambda x: torch.stack([0 * x[:, 0], c * x.sum(1)], dim=1)


UNIT = [0.0, 0.0], [1.0, 1.0]
SHORT = {"n_samples": 1000, "n_steps": 500, "step_size": 0.02, "random_state": 0}
SMALL = {**SHORT, "step_size": 0.002}


@pytest.mark.parametrize(("target", "side"), [(0, 1.0), (1, -1.0)])
def test_chains_sample_the_gaussian_of_their_class(target, side):
    """Four standard errors, and the bias of a finite step: 1 / (1 - step / 4 var)."""
    samples = sample_conditional(gaussians, target, WIDE, **SHORT)
    mean, width = side * MEAN.numpy(), WIDTH.numpy()
    assert samples.shape == (1000, 2)
    assert (np.abs(samples.mean(0) - mean) < 4 * width / np.sqrt(1000)).all()
    variance = width**2 / (1 - 0.02 / (4 * width**2))
    share = samples.var(0) / variance
    assert (np.abs(share - 1) < 4 * np.sqrt(2 / 1000)).all()
    assert abs(np.corrcoef(samples.T)[0, 1]) < 4 / np.sqrt(1000)


@pytest.mark.parametrize("c", [0.0, 4.0])
def test_chains_sample_a_truncated_exponential_between_bounds(c):
    """Reflection leaves no heap at the bounds; KS with 2000 independent values."""
    samples = sample_conditional(slope(c), 1, UNIT, **SMALL)
    law = truncexpon(c, scale=1 / c) if c else uniform()
    assert kstest(1 - samples.ravel().astype(float), law.cdf).pvalue > 0.01
    assert not np.isin(samples, UNIT).any()


def test_without_noise_chains_climb_to_the_mode():
    samples = sample_conditional(gaussians, 0, WIDE, **{**SHORT, "noise": 0.0})
    np.testing.assert_allclose(samples, np.tile(MEAN, (1000, 1)), atol=0.1)


def test_chains_start_where_they_are_told():
    """Two wells far apart: no chain gets from one to the other."""

    def wells(x):
        return -50 * torch.minimum((x - 2).square(), (x + 2).square())

    params = {**SHORT, "step_size": 0.001}
    everywhere = sample_conditional(wells, 0, ([-4.0], [4.0]), **params)
    share = (everywhere > 0).mean()
    assert 0.4 < share < 0.6
    right = sample_conditional(wells, 0, ([-4.0], [4.0]), start=[[1.5]], **params)
    assert (right > 0).all()


def test_samples_stay_in_the_domain_and_constants_stay_put():
    bounds = [0.0, 5.0], [1.0, 5.0]
    samples = sample_conditional(slope(1000.0), 1, bounds, **SMALL)
    assert (samples[:, 1] == 5.0).all()
    assert ((samples >= 0) & (samples <= [1, 5])).all()


def test_categories_and_integers_come_out_whole():
    """Relaxed columns: the one with slope 2 wins with probability E[z], z ~ exp(2z)."""
    constraints = Constraints.from_spec(
        domain={0: (0, 3)}, feature_names=range(3), groups=(Group((1, 2)),)
    )
    constraints = replace(constraints, step=torch.tensor([1.0, 0.0, 0.0]))
    weights = torch.tensor([0.0, 0.0, 2.0])
    samples = sample_conditional(
        lambda x: (x @ weights)[:, None], 0, constraints, **SHORT
    )
    assert set(samples[:, 0]) == {0.0, 1.0, 2.0, 3.0}
    assert (np.sort(samples[:, 1:], axis=1) == [0.0, 1.0]).all()
    expected = 1 / (1 - np.exp(-2)) - 1 / 2
    assert samples[:, 2].mean() == pytest.approx(expected, abs=4 * 0.015)


def test_images_are_sampled_in_their_shape():
    low, high = np.zeros((1, 2, 2)), np.ones((1, 2, 2))
    samples = sample_conditional(
        lambda x: x.flatten(1), 3, (low, high), n_samples=7, n_steps=5
    )
    assert samples.shape == (7, 1, 2, 2)


def test_the_seed_decides_and_leaves_no_trace(net):
    net.train()
    state = {name: value.clone() for name, value in net.state_dict().items()}
    random_state = torch.get_rng_state()
    bounds = [-2.0] * 3, [2.0] * 3
    with torch.no_grad():
        first, again, other = (
            sample_conditional(net, 1, bounds, n_steps=20, random_state=seed)
            for seed in (0, 0, 1)
        )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert all(module.training for module in net.modules())
    assert all(torch.equal(net.state_dict()[name], state[name]) for name in state)
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bounds": ([0.0, -np.inf], [1.0, 1.0])}, "finite ends, low <= high, in"),
        ({"bounds": ([0.0, 2.0], [1.0, 1.0])}, "finite ends, low <= high, in"),
        ({"bounds": Constraints.unbounded((2,))}, "or chains drift away"),
        ({"target": 2}, "class indices below 2"),
        ({"target": -1}, "'target' parameter must be an integer >= 0"),
        ({"target": "yes"}, "'target' parameter must be an integer >= 0"),
        ({"n_samples": 0}, "'n_samples' parameter must be an integer >= 1"),
        ({"n_steps": 0}, "'n_steps' parameter must be an integer >= 1"),
        ({"step_size": 0}, "'step_size' parameter must be a number > 0"),
        ({"step_size": np.nan}, "'step_size' parameter must be a number > 0"),
        ({"noise": -1.0}, "'noise' parameter must be a number >= 0"),
        ({"start": [[1.0]]}, r"'start' parameter must hold rows of shape \(2,\)"),
        ({"start": np.zeros((0, 2))}, "'start' parameter must hold rows"),
        ({"start": [[0.0, np.nan]]}, "'start' parameter must hold finite"),
    ],
)
def test_sampling_names_what_is_wrong(changes, message):
    params = {"model": gaussians, "target": 0, "bounds": UNIT, **changes}
    with pytest.raises(ValueError, match=message):
        sample_conditional(**params)


# --------------------------------------------------------------------- faithfulness


def test_low_energy_is_faithful():
    """Each class has its own samples; distance grows with the energy."""
    points = [MEAN.numpy(), 0 * MEAN.numpy(), -MEAN.numpy()]
    zero, one = (
        faithfulness(gaussians, points, [y] * 3, WIDE, **SHORT) for y in (0, 1)
    )
    assert (np.diff(zero) > 1).all()
    assert (np.diff(one) < -1).all()


def test_faithfulness_is_the_mean_distance_of_a_gaussian():
    """At the mean of a Gaussian: E|x - mean| = width * sqrt(2 / pi), summed."""
    result = faithfulness(gaussians, [MEAN.numpy()], [0], WIDE, **SHORT)
    expected = float(WIDTH.sum()) * np.sqrt(2 / np.pi)
    assert result == pytest.approx([expected], rel=0.05)


def test_rows_of_a_class_share_samples_whoever_else_is_there():
    rng = np.random.default_rng(0)
    points, target = rng.normal(size=(8, 2)), rng.integers(2, size=8)
    params = {"n_samples": 30, "n_steps": 50, "random_state": 3}
    together = faithfulness(gaussians, points, target, WIDE, **params)
    for y in (0, 1):
        rows = target == y
        alone = faithfulness(gaussians, points[rows], target[rows], WIDE, **params)
        np.testing.assert_allclose(together[rows], alone)
    again = faithfulness(gaussians, points, target, WIDE, **params)
    np.testing.assert_array_equal(together, again)


def test_faithfulness_is_implausibility_among_the_samples():
    points, params = [[0.0, 1.0], [3.0, -2.0]], {"n_samples": 20, "n_steps": 30}
    result = faithfulness(gaussians, points, [1, 1], WIDE, random_state=5, **params)
    generator = np.random.RandomState(5)
    seed = attribution.draw_seed(generator)
    samples = sample_conditional(gaussians, 1, WIDE, random_state=seed, **params)
    np.testing.assert_array_equal(result, implausibility(points, samples))


def test_no_counterfactuals_have_no_faithfulness():
    assert faithfulness(gaussians, np.zeros((0, 2)), [], WIDE).shape == (0,)


def test_faithfulness_names_what_is_wrong():
    with pytest.raises(ValueError, match="'counterfactual' parameter must hold finite"):
        faithfulness(gaussians, [[np.nan, 0.0]], [0], WIDE)
    with pytest.raises(ValueError, match="'target' parameter must hold class indices"):
        faithfulness(gaussians, [[0.0, 0.0]], ["yes"], WIDE)
    with pytest.raises(ValueError, match="numbers of features differ: 3 and 2"):
        faithfulness(gaussians, [[0.0] * 3], [0], WIDE, n_steps=1)
    with pytest.raises(TypeError, match="n_chains"):
        faithfulness(gaussians, [[0.0, 0.0]], [0], WIDE, n_chains=3)
