"""Metrics: closed forms, scipy and scikit-learn, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import rbf_kernel

from skct import metrics
from skct.metrics import cost, implausibility, mmd, redundancy, validity

NORMS = {1: "cityblock", 2: "euclidean"}
quick = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def cloud(n, n_features=3, seed=0, shift=0.0):
    return np.random.default_rng(seed).normal(shift, size=(n, n_features))


# ------------------------------------------------------------------ implausibility


def test_implausibility_by_hand():
    reference = [[0.0, 0.0], [3.0, 4.0]]
    points = [[0.0, 0.0], [3.0, 0.0]]
    assert implausibility(points, reference).tolist() == [3.5, 3.5]
    assert implausibility(points, reference, norm=2).tolist() == [2.5, 3.5]


@pytest.mark.parametrize("norm", [1, 2])
def test_implausibility_is_the_mean_distance_of_scipy(norm):
    points, reference = cloud(20), cloud(301, seed=1, shift=2.0)
    expected = cdist(points, reference, NORMS[norm]).mean(1)
    np.testing.assert_allclose(implausibility(points, reference, norm=norm), expected)


numbers = st.floats(-1e6, 1e6)
ties = st.sampled_from([-1.0, 0.0, 0.5, 1e6])
tables = st.integers(1, 8).flatmap(lambda n: arrays(float, (n, 2), elements=numbers))
tied = st.integers(1, 8).flatmap(lambda n: arrays(float, (n, 2), elements=ties))


@quick
@given(tables | tied, tables | tied)
def test_sorting_gives_the_same_l1_distance_as_all_pairs(points, reference):
    expected = cdist(points, reference, "cityblock").mean(1)
    result = implausibility(points, reference)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-8)


def test_a_common_offset_costs_no_digits():
    points, reference = (np.round(256 * x) / 256 for x in (cloud(5), cloud(50, seed=1)))
    shifted = implausibility(points + 2.0**40, reference + 2.0**40)
    expected = implausibility(points, reference)
    np.testing.assert_allclose(shifted, expected, rtol=1e-12)


@pytest.mark.parametrize("norm", [1, 2])
def test_images_count_as_flat_rows(norm):
    points, reference = cloud(4, 12), cloud(6, 12, seed=1)
    images = points.reshape(4, 1, 3, 4), reference.reshape(6, 1, 3, 4)
    np.testing.assert_array_equal(
        implausibility(*images, norm=norm), implausibility(points, reference, norm=norm)
    )


def test_float32_is_judged_in_float64():
    points = np.float32([[2**24]])
    reference = np.float32([[0.0], [1.0]])
    assert implausibility(points, reference).tolist() == [2**24 - 0.5]


@pytest.mark.parametrize("norm", [1, 2])
def test_no_counterfactuals_have_no_implausibility(norm):
    assert implausibility(np.zeros((0, 3)), cloud(4), norm=norm).shape == (0,)


@pytest.mark.parametrize("norm", [1, 2])
def test_an_empty_reference_is_refused(norm):
    with pytest.raises(ValueError, match="reference is empty"):
        implausibility(cloud(4), np.zeros((0, 3)), norm=norm)


def test_another_number_of_features_is_refused():
    with pytest.raises(ValueError, match="numbers of features differ: 3 and 2"):
        implausibility(cloud(4), cloud(4, 2))


@pytest.mark.parametrize("norm", [0, 3, "l1", None])
def test_an_unknown_norm_is_refused(norm):
    with pytest.raises(ValueError, match=r"'norm' parameter must be one of \(1, 2\)"):
        implausibility(cloud(4), cloud(4), norm=norm)


# ------------------------------------------------------------------------------ mmd


def test_mmd_of_two_and_two_points_by_hand():
    """Kernel values at the distances 1 and 2, for a length-scale of 1."""
    near, far = np.exp(-0.5), np.exp(-2.0)
    within, among, between = near, near, (near + far + 1 + near) / 4
    expected = within + among - 2 * between
    result = mmd([[0.0], [1.0]], [[1.0], [2.0]], length_scale=1.0)
    assert result == pytest.approx(expected)


@pytest.mark.parametrize("length_scale", [0.5, 5.0])
def test_mmd_is_that_of_the_kernel_of_scikit_learn(length_scale):
    a, b = cloud(30), cloud(41, seed=1, shift=1.0)

    def kernel(x, y):
        return rbf_kernel(x, y, gamma=1 / (2 * length_scale**2))

    def off_diagonal(x):
        values = kernel(x, x)
        return values[~np.eye(len(x), dtype=bool)].mean()

    expected = off_diagonal(a) + off_diagonal(b) - 2 * kernel(a, b).mean()
    assert mmd(a, b, length_scale=length_scale) == pytest.approx(expected, rel=1e-9)


def test_mmd_has_a_length_scale_of_five_by_default():
    a, b = cloud(10), cloud(10, seed=1, shift=1.0)
    assert mmd(a, b) == mmd(a, b, length_scale=5.0)
    assert mmd(a, b) != mmd(a, b, length_scale=0.5)


def test_mmd_is_unbiased_between_samples_of_one_distribution():
    values = [mmd(cloud(20, seed=s), cloud(20, seed=1000 + s)) for s in range(200)]
    error = np.std(values) / np.sqrt(200)
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0


def test_mmd_is_symmetric_and_grows_as_samples_part():
    a = cloud(20)
    values = [mmd(a, cloud(20, seed=1, shift=shift)) for shift in (0.0, 1.0, 3.0, 9.0)]
    assert (np.diff(values) > 0).all()
    b = cloud(20, seed=1, shift=1.0)
    assert mmd(a, b) == pytest.approx(mmd(b, a))


@pytest.mark.parametrize(("m", "n"), [(1, 5), (5, 1)])
def test_mmd_needs_two_rows_on_each_side(m, n):
    message = f"at least two rows.*Got {m} counterfactuals and {n} reference rows"
    with pytest.raises(ValueError, match=message):
        mmd(cloud(m), cloud(n))


@pytest.mark.parametrize(("m", "n"), [(0, 5), (5, 0)])
def test_mmd_of_an_empty_sample_is_refused_in_words(m, n):
    with pytest.raises(ValueError, match="at least two rows|reference is empty"):
        mmd(cloud(m), cloud(n))


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_blocks_do_not_show(monkeypatch, chunk):
    a, b = cloud(13), cloud(17, seed=1)
    expected = implausibility(a, b, norm=2), mmd(a, b)
    monkeypatch.setattr(metrics, "CHUNK", chunk)
    np.testing.assert_allclose(implausibility(a, b, norm=2), expected[0])
    assert mmd(a, b) == pytest.approx(expected[1])


# ----------------------------------------------------------- cost and its relatives


@pytest.mark.parametrize(("norm", "expected"), [(0, [2, 0]), (1, [7, 0]), (2, [5, 0])])
def test_cost_by_hand(norm, expected):
    factual, counterfactual = np.zeros((2, 3)), [[3.0, 0.0, -4.0], [0.0, 0.0, 0.0]]
    assert cost(factual, counterfactual, norm=norm).tolist() == expected


@pytest.mark.parametrize(
    ("norm", "expected"), [(0, 12), (1, 3 + 40), (2, np.hypot(3, 40))]
)
def test_cost_with_weights_by_hand(norm, expected):
    weights = [1.0, 1.0, 10.0] if norm else [2.0, 1.0, 10.0]
    result = cost([[0.0] * 3], [[3.0, 0.0, -4.0]], norm=norm, weights=weights)
    assert result == pytest.approx([expected])


@pytest.mark.parametrize("norm", [1, 2])
def test_cost_is_the_distance_of_scipy(norm):
    a, b = cloud(9), cloud(9, seed=1)
    expected = cdist(a, b, NORMS[norm]).diagonal()
    np.testing.assert_allclose(cost(a, b, norm=norm), expected)


def test_validity_is_the_share_of_hits():
    assert validity([1, 2, 3, 3], [1, 2, 3, 4]) == 0.75
    assert validity(np.array(["a", "b"], dtype=object), ["a", "a"]) == 0.5


def test_redundancy_is_the_share_of_features_left_alone():
    counterfactual = [[0.0, 0.0, 1.0, 1e-12], [0.0, 0.0, 0.0, 0.0]]
    assert redundancy(np.zeros((2, 4)), counterfactual).tolist() == [0.5, 1.0]


@pytest.mark.parametrize("metric", [cost, redundancy])
def test_pairs_must_match(metric):
    with pytest.raises(ValueError, match="numbers of rows differ: 4 and 3"):
        metric(cloud(4), cloud(3))
    with pytest.raises(ValueError, match="numbers of features differ: 3 and 2"):
        metric(cloud(4), cloud(4, 2))


@pytest.mark.parametrize("metric", [cost, redundancy])
def test_no_pairs_have_no_cost(metric):
    assert metric(np.zeros((0, 3)), np.zeros((0, 3))).shape == (0,)


@pytest.mark.parametrize("norm", [3, -1, "l1"])
def test_cost_refuses_an_unknown_norm(norm):
    with pytest.raises(ValueError, match=r"one of \(0, 1, 2\)"):
        cost(cloud(2), cloud(2), norm=norm)


@pytest.mark.parametrize(("predicted", "target"), [([], []), ([1, 2], [1])])
def test_validity_refuses_nothing_and_unequal_lengths(predicted, target):
    with pytest.raises(ValueError, match="of one length and not empty"):
        validity(predicted, target)
