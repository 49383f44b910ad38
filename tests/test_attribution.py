"""Integrated gradients and sensitivity to protected features."""

import numpy as np
import pytest
import torch
from torch import nn

from skct.attribution import integrated_gradients, sensitivity

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
