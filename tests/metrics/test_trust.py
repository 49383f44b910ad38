"""Survival and the gap between told and judged probability, by hand."""

import numpy as np
import pytest

from skct.metrics import confidence_gap, survival


def test_survival_counts_the_models_that_agree():
    predicted = [["yes", "no", "no"], ["yes", "yes", "no"], ["yes", "no", "no"]]
    assert np.allclose(survival(predicted, ["yes", "yes", "yes"]), [1, 1 / 3, 0])
    assert np.allclose(survival(predicted, ["no", "yes", "no"]), [0, 1 / 3, 1])


def test_labels_longer_than_those_of_the_target_are_no_match():
    assert survival([["b", "bb"]], ["b", "b"]).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("predicted", "target"),
    [
        (["yes"], ["yes"]),
        (np.empty((0, 1)), ["yes"]),
        ([["yes"]], ["yes", "no"]),
        ([["yes"]], "yes"),
    ],
)
def test_survival_names_shapes_that_do_not_fit(predicted, target):
    with pytest.raises(ValueError, match=r"\(n_models, n\).*Got shapes"):
        survival(predicted, target)


def test_the_gap_is_between_averages():
    assert confidence_gap([0.9, 0.5], [0.5, 0.5]) == pytest.approx(0.2)
    assert confidence_gap([0.5, 0.5], [0.9, 0.5]) == pytest.approx(0.2)
    # They differ about rows, but not on average.
    assert confidence_gap([0.9, 0.1], [0.1, 0.9]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("told", "judged", "message"),
    [
        ([], [], "'told' parameter must be probabilities.*at least one row"),
        ([1.5], [0.5], "'told' parameter must be probabilities.*1.5"),
        ([0.5], [-0.1], "'judged' parameter must be probabilities"),
        ([0.5], [np.nan], "'judged' parameter must be probabilities"),
        (["a"], [0.5], "'told' parameter must hold real numbers"),
    ],
)
def test_what_is_no_probability_is_refused(told, judged, message):
    with pytest.raises(ValueError, match=message):
        confidence_gap(told, judged)
