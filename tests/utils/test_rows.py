"""Rows that are thinned out and joined."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from skct.utils.rows import Rows


@dataclass
class Pairs(Rows):
    x: Tensor
    weights: Tensor | None


def test_all_columns_are_taken_together_and_none_stays_none():
    rows = Pairs(torch.arange(6.0).reshape(3, 2), None).take(torch.tensor([2, 0]))
    assert rows.x.tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert rows.weights is None
    rows = Pairs(torch.arange(3), torch.arange(3) * 10).take(torch.tensor([1]))
    assert (rows.x.tolist(), rows.weights.tolist()) == ([1], [10])


def test_what_is_taken_is_a_copy():
    rows = Pairs(torch.zeros(3), torch.zeros(3))
    rows.take(torch.arange(3)).x.add_(1)
    assert rows.x.tolist() == [0, 0, 0]


@pytest.mark.parametrize("weights", [None, torch.ones(2)])
def test_parts_are_joined_in_their_order(weights):
    parts = [Pairs(torch.full((2,), float(i)), weights) for i in range(2)]
    rows = Pairs.cat(parts)
    assert rows.x.tolist() == [0, 0, 1, 1]
    assert rows.weights is None if weights is None else len(rows.weights) == 4
