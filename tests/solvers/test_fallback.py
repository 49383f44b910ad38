import pytest
import torch

from skct import Constraints, GenericGenerator, search
from skct.solvers.descent import conviction
from skct.solvers.fallback import try_other_ways

N_FEATURES = 3


def island(x):
    """Logits of a model without slope: the target is where x0 and x1 exceed 1."""
    inside = (x[:, 0] > 1) & (x[:, 1] > 1)
    odds = torch.where(inside, 3.0, -3.0) + 0 * x.sum(1)
    return torch.stack([torch.zeros_like(odds), odds], 1)


def hill(x):
    """Logits of a model whose target probability rises up to sigmoid(1)."""
    odds = (x[:, 0] - 1).clamp(max=1.0)
    return torch.stack([torch.zeros_like(odds), odds], 1)


def box(**mutability):
    names = ["a", "b", "c"]
    return Constraints.from_spec(mutability, None, feature_names=names)


def searched(model, constraints, threshold, n=12, max_iter=20):
    factual = torch.randn(n, N_FEATURES, generator=torch.Generator().manual_seed(0))
    factual = factual.clamp(max=0.9)
    generator = GenericGenerator(threshold=threshold, max_iter=max_iter)
    target = torch.ones(n, dtype=torch.int64)
    result = search(model, factual, target, generator, constraints, keep_best=True)
    return factual, result


def told(model, x, target):
    logits = model(x)
    probability = logits.softmax(1).gather(1, target[:, None]).squeeze(1)
    return conviction(logits, probability, target)


MEMBERS = (
    torch.tensor([[1.5, 1.2, 0.0], [4.0, 4.0, 4.0], [0.0, 0.0, 0.0]]),
    torch.tensor([1, 1, 0]),
)


def test_without_any_slope_a_row_takes_over_the_values_of_the_nearest_member():
    factual, result = searched(island, box(), 0.9)
    assert not result.mature.any()
    found = try_other_ways(island, result, factual, box(), 0.9, None, MEMBERS)
    assert found.mature.all()
    assert (found.counterfactual == MEMBERS[0][0]).all()
    assert not try_other_ways(island, result, factual, box(), 0.9).mature.any()


def test_what_must_not_move_does_not_move():
    constraints = box(c="none")
    factual, result = searched(island, constraints, 0.9)
    found = try_other_ways(island, result, factual, constraints, 0.9, None, MEMBERS)
    assert found.mature.all()
    assert torch.equal(found.counterfactual[:, 2], factual[:, 2])
    locked = box(a="none")
    factual, result = searched(island, locked, 0.9)
    found = try_other_ways(island, result, factual, locked, 0.9, None, MEMBERS)
    assert not found.mature.any()
    assert torch.equal(found.counterfactual[:, 0], factual[:, 0])


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_no_row_becomes_less_convincing_and_one_that_is_valid_stays(threshold):
    """Up to sigmoid(1) = 0.73: what is asked for beyond that is not reached."""
    factual, result = searched(hill, box(), threshold, n=60, max_iter=12)
    found = try_other_ways(hill, result, factual, box(), threshold, None, MEMBERS)
    before, after = (
        told(hill, each.counterfactual, result.target) for each in (result, found)
    )
    stays = before > 1  # assigned to the target by the search
    assert 0.1 < stays.float().mean() < 0.9
    assert torch.equal(found.counterfactual[stays], result.counterfactual[stays])
    assert torch.equal(found.mature[stays], result.mature[stays])
    assert (after >= before).all()
    assert (after > 1).all()
    assert (found.mature[~stays] == (threshold < 0.73)).all()


def test_a_costly_feature_makes_a_member_far():
    """Both members reach it; the first differs in b, which is dear, the other in c."""
    members = torch.tensor([[0.0, 9.0, 1.1], [3.0, 2.0, 9.0]]), torch.tensor([1, 1])

    def model(x):
        odds = torch.where((x - x.round()).abs().sum(1) < 0.2, 3.0, -3.0)
        return torch.stack([torch.zeros_like(odds), odds + 0 * x.sum(1)], 1)

    factual = torch.tensor([[0.4, 2.4, 1.4]]).repeat(8, 1)
    target = torch.ones(8, dtype=torch.int64)
    generator = GenericGenerator(threshold=0.9, max_iter=3)
    result = search(model, factual, target, generator, box())
    for weights, nearest in (
        (torch.tensor([1.0, 1.0, 1.0]), 0),
        (torch.tensor([1.0, 9.0, 1.0]), 1),
    ):
        found = try_other_ways(model, result, factual, box(), 0.9, weights, members)
        assert (found.counterfactual == members[0][nearest]).all()


def test_a_row_alone_gets_what_it_gets_in_company():
    factual, result = searched(island, box(), 0.9)
    together = try_other_ways(island, result, factual, box(), 0.9, None, MEMBERS)
    one = type(result)(*(part[3:4] for part in result))
    alone = try_other_ways(island, one, factual[3:4], box(), 0.9, None, MEMBERS)
    torch.testing.assert_close(alone.counterfactual, together.counterfactual[3:4])
