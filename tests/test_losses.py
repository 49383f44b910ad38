"""The training objective on two rows, by hand, and its gradients."""

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


def test_log_odds_are_those_of_the_probability_of_the_target():
    p = LOGITS.softmax(1).gather(1, TARGET[:, None]).squeeze(1)
    torch.testing.assert_close(log_odds(LOGITS, TARGET), torch.log(p / (1 - p)))


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
