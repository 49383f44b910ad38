"""What invalid counterfactuals count as: closed forms on few rows."""

import numpy as np
import pytest

from skct.metrics import blocks
from skct.metrics.invalid import fallback_rows, penalize_invalid

FACTUAL = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.0]])
REFERENCE = {0: np.array([[0.0, 1.0]]), 1: np.array([[5.0, 0.0], [0.0, 9.0]])}


@pytest.mark.parametrize("chunk", [1, 2**20])
def test_an_invalid_row_gets_the_largest_distance_to_its_target_class(
    chunk, monkeypatch
):
    monkeypatch.setattr(blocks, "CHUNK", chunk)
    target, valid = np.array([0, 1, 1]), np.array([True, False, True])
    given = np.array([1.0, 2.0, 3.0])
    penalized = penalize_invalid(given, valid, target, FACTUAL, REFERENCE.get)
    assert penalized.tolist() == [1.0, 11.0, 3.0]
    assert given.tolist() == [1.0, 2.0, 3.0]


def test_an_invalid_row_never_counts_less_than_a_valid_one():
    target, valid = np.array([0, 1, 1]), np.array([False, True, True])
    given = np.array([1.0, 50.0, 3.0])
    penalized = penalize_invalid(given, valid, target, FACTUAL, REFERENCE.get)
    assert penalized.tolist() == [50.0, 50.0, 3.0]


def test_without_valid_rows_every_row_gets_the_penalty():
    target, valid = np.array([0, 1, 1]), np.zeros(3, dtype=bool)
    penalized = penalize_invalid(np.zeros(3), valid, target, FACTUAL, REFERENCE.get)
    assert penalized.tolist() == [3.0, 11.0, 11.0]


def test_a_factual_of_another_class_stands_in_for_itself():
    labels = np.array([0, 1, 0, 1])
    assert fallback_rows(np.array([0, 2]), labels, 1).tolist() == [0, 2]


def test_factuals_of_the_target_class_are_replaced_by_others_in_turn():
    labels = np.array([0, 1, 1, 1, 0, 1])
    rows = np.array([1, 2, 3, 4])
    assert fallback_rows(rows, labels, 1).tolist() == [0, 4, 0, 4]


def test_where_all_rows_are_of_the_target_class_they_stay():
    rows = np.array([0, 1])
    assert fallback_rows(rows, np.array([1, 1]), 1).tolist() == [0, 1]
