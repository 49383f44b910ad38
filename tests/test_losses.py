"""The training objective on two rows, by hand, and its gradients."""

import math

import pytest
import torch

from skct.losses import (
    LossTerms,
    counterfactual_loss,
    divergence,
    energy,
    log_odds,
    ridge,
)
from skct.training.margin import (
    margin_divergence,
    relative_energy,
    slope_penalty,
    stall_penalty,
    threshold_with_margin,
)

LOGITS = torch.tensor([[1.0, -2.0, 0.5], [3.0, 4.0, -1.0]])
TARGET = torch.tensor([1, 0])
BOTH, FIRST = torch.tensor([True, True]), torch.tensor([True, False])
NEIGHBOUR, COUNTERFACTUAL = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 5.0])


def objective(div, reg, **weights):
    weights = {"lambda_div": 0.5, "lambda_adv": 0.25, "lambda_reg": 0.1} | weights
    parts = torch.tensor(0.7), torch.tensor(0.4)
    return counterfactual_loss(*parts, div, reg, **weights)


def test_energy_is_minus_the_target_logit():
    assert energy(LOGITS, TARGET).tolist() == [2.0, -3.0]


def test_divergence_is_the_energy_gap_of_each_pair():
    assert divergence(NEIGHBOUR, COUNTERFACTUAL, BOTH).tolist() == [-2.0, -7.0]


def test_ridge_is_the_sum_of_both_squares():
    assert ridge(NEIGHBOUR, COUNTERFACTUAL, BOTH).tolist() == [10.0, 29.0]


def test_relative_energy_is_what_the_target_logit_lacks_to_the_mean():
    expected = torch.tensor([-0.5 / 3 + 2.0, 2.0 - 3.0])
    torch.testing.assert_close(relative_energy(LOGITS, TARGET), expected)
    shifted = LOGITS + torch.tensor([[100.0], [-30.0]])  # which changes no probability
    torch.testing.assert_close(relative_energy(shifted, TARGET), expected)


def test_margin_divergence_by_hand():
    weight = torch.tensor([0.5, 0.0])
    found = margin_divergence(NEIGHBOUR, COUNTERFACTUAL, weight)
    assert found.tolist() == pytest.approx([0.5 * math.log1p(math.exp(-1.0)), 0.0])


def test_margin_divergence_stops_pushing_where_the_margin_is_kept():
    gap = torch.tensor([-20.0, 0.0, 20.0], requires_grad=True)
    loss = margin_divergence(gap, torch.zeros(3), torch.ones(3))
    (slope,) = torch.autograd.grad(loss.sum(), gap)
    assert slope[0] < 1e-6 < 0.7 < slope[1] < 0.8 < slope[2] <= 1


def test_log_odds_are_those_of_the_probability_of_the_target():
    p = LOGITS.softmax(1).gather(1, TARGET[:, None]).squeeze(1)
    torch.testing.assert_close(log_odds(LOGITS, TARGET), torch.log(p / (1 - p)))


FREE, NO_DATA = torch.tensor([False, False]), torch.ones(2)


def along(*slopes):
    """Gradients of these lengths, in the direction (3, -4)."""
    return torch.tensor(slopes)[:, None] * torch.tensor([0.6, -0.8])


def test_slopes_inside_the_band_cost_nothing():
    found = slope_penalty(along(1.501, 3.0, 5.99), FREE, torch.zeros(3))
    assert found.tolist() == [0.0, 0.0, 0.0]


def test_slopes_outside_the_band_cost_the_square_of_their_distance():
    found = slope_penalty(along(0.75, 12.0), FREE, torch.zeros(2))
    assert found.tolist() == pytest.approx([0.5**2, math.log(2) ** 2], rel=1e-5)


def test_the_farther_from_data_the_gentler_slopes_have_to_be():
    off_support = torch.linspace(0, 1, 5)
    found = slope_penalty(along(*[6.0] * 5), FREE, off_support)
    expected = (off_support * math.log(6 / 1.5)) ** 2
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_the_share_of_the_slope_along_fixed_features_is_added():
    gradient = torch.tensor([[1.0, 3**0.5], [2.0, 0.0], [0.0, 2.0]])
    found = slope_penalty(gradient, torch.tensor([True, False]), torch.zeros(3))
    assert found.tolist() == pytest.approx([0.25, 1.0, 0.0])


def test_no_slope_at_all_has_a_finite_penalty_and_gradient():
    gradient = torch.zeros(2, 2, requires_grad=True)
    penalty = slope_penalty(gradient, torch.tensor([True, False]), NO_DATA)
    assert penalty.tolist() == pytest.approx([1.0, 1.0], abs=1e-5)
    (pull,) = torch.autograd.grad(penalty.sum(), gradient)
    assert pull.isfinite().all()


def test_where_a_search_got_stuck_slopes_towards_data_are_asked_for():
    """By hand: stuck (half, wholly, on the way up), and over the boundary."""
    gradient = torch.tensor([[0.75, 0.0], [0.0, 0.0], [3.0, 0.0], [0.0, 0.0]])
    direction = torch.tensor([[0.0, 5.0]] * 4)
    short = torch.tensor([True, True, True, False])
    found = stall_penalty(gradient, direction, short)
    assert found.tolist() == [0.5, 1.0, 0.0, 0.0]
    towards = stall_penalty(gradient[:1], direction[:1].flip(1), short[:1])
    assert towards.tolist() == [0.5 * 0.5**2]


def test_the_pull_of_a_stuck_search_is_in_the_direction_of_data():
    gradient = torch.tensor([[0.1, 0.0]], requires_grad=True)
    direction = torch.tensor([[0.0, 2.0]])
    penalty = stall_penalty(gradient, direction, torch.tensor([True]))
    (pull,) = torch.autograd.grad(penalty.sum(), gradient)
    assert pull[0, 0] == 0 > pull[0, 1]


def test_a_raised_threshold_is_one_logit_higher():
    p = torch.tensor([0.01, 0.5, 0.95], dtype=torch.float64)
    found = torch.tensor(
        [threshold_with_margin(each) for each in p.tolist()], dtype=torch.float64
    )
    torch.testing.assert_close(torch.logit(found), torch.logit(p) + 1)
    assert threshold_with_margin(math.nextafter(1, 0)) < 1


def test_immature_pairs_weigh_nothing_in_both_terms():
    assert divergence(NEIGHBOUR, COUNTERFACTUAL, FIRST).tolist() == [-2.0, 0.0]
    assert ridge(NEIGHBOUR, COUNTERFACTUAL, FIRST).tolist() == [10.0, 0.0]


@pytest.mark.parametrize("term", [divergence, ridge])
def test_an_immature_pair_gets_no_gradient(term):
    energies = [e.clone().requires_grad_() for e in (NEIGHBOUR, COUNTERFACTUAL)]
    for gradient in torch.autograd.grad(term(*energies, FIRST).sum(), energies):
        assert gradient[0] != 0
        assert gradient[1] == 0


@pytest.mark.parametrize("term", [divergence, ridge])
def test_an_immature_pair_that_ran_off_weighs_nothing_either(term):
    """1e25 squared is beyond float32: 0 times infinity must not reach the loss."""
    energies = torch.tensor([1.0, -1e25]), torch.tensor([3.0, torch.inf])
    assert term(*energies, FIRST)[1] == 0


def test_objective_weighs_its_four_terms_by_hand():
    terms = objective(
        divergence(NEIGHBOUR, COUNTERFACTUAL, BOTH),
        ridge(NEIGHBOUR, COUNTERFACTUAL, BOTH),
    )
    expected = LossTerms(
        total=0.7 + 0.5 * -4.5 + 0.25 * 0.4 + 0.1 * 19.5,
        classification=0.7,
        divergence=-4.5,
        adversarial=0.4,
        regulariser=19.5,
    )
    assert [float(term) for term in terms] == pytest.approx(expected)


def test_means_run_over_all_pairs_immature_ones_included():
    terms = objective(
        divergence(NEIGHBOUR, COUNTERFACTUAL, FIRST),
        ridge(NEIGHBOUR, COUNTERFACTUAL, FIRST),
    )
    assert (terms.divergence, terms.regulariser) == (-1.0, 5.0)


def test_without_weights_the_objective_is_the_classification_loss():
    zero = {"lambda_div": 0.0, "lambda_adv": 0.0, "lambda_reg": 0.0}
    terms = objective(NEIGHBOUR, COUNTERFACTUAL, **zero)
    assert torch.equal(terms.total, terms.classification)


@pytest.mark.parametrize(
    ("weight", "term"),
    [
        ("lambda_div", "divergence"),
        ("lambda_adv", "adversarial"),
        ("lambda_reg", "regulariser"),
    ],
)
def test_each_weight_acts_on_its_own_term(weight, term):
    zero = {"lambda_div": 0.0, "lambda_adv": 0.0, "lambda_reg": 0.0}
    terms = objective(NEIGHBOUR, COUNTERFACTUAL, **zero | {weight: 2.0})
    expected = terms.classification + 2.0 * getattr(terms, term)
    torch.testing.assert_close(terms.total, expected)


def test_gradients_are_right():
    def total(logits, others, classification, adversarial):
        energies = energy(logits, TARGET), energy(others, TARGET)
        weights = {"lambda_div": 0.5, "lambda_adv": 0.25, "lambda_reg": 0.1}
        terms = counterfactual_loss(
            classification,
            adversarial,
            divergence(*energies, FIRST),
            ridge(*energies, FIRST),
            **weights,
        )
        return terms.total

    rng = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(shape, generator=rng, dtype=torch.float64, requires_grad=True)
        for shape in ((2, 3), (2, 3), (), ())
    ]
    assert torch.autograd.gradcheck(total, inputs)


def test_fixed_point_of_divergence_and_ridge():
    """Logits of +-lambda_div / (2 lambda_reg) are where training comes to rest."""
    energies = torch.tensor([-2.5]), torch.tensor([2.5])
    energies = [e.requires_grad_() for e in energies]
    mature = torch.tensor([True])
    total = objective(divergence(*energies, mature), ridge(*energies, mature)).total
    for gradient in torch.autograd.grad(total, energies):
        assert gradient.item() == pytest.approx(0, abs=1e-7)
