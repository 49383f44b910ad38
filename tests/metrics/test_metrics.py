"""Metrics: closed forms, scipy and scikit-learn, and what is refused."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist, pdist
from sklearn.metrics.pairwise import rbf_kernel

from skct.metrics import (
    blocks,
    burden,
    cost,
    diversity,
    implausibility,
    mad_weights,
    median_length_scale,
    mmd,
    plausibility,
    redundancy,
    validity,
)

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
@pytest.mark.parametrize("n_neighbours", [None, 2])
def test_an_empty_list_has_no_implausibility(norm, n_neighbours):
    result = implausibility([], cloud(4), norm=norm, n_neighbours=n_neighbours)
    assert result.shape == (0,)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("empty", [np.zeros((0, 3)), []])
def test_an_empty_reference_is_refused(norm, empty):
    with pytest.raises(ValueError, match="reference is empty"):
        implausibility(cloud(4), empty, norm=norm)


def test_another_number_of_features_is_refused():
    with pytest.raises(ValueError, match="numbers of features differ: 3 and 2"):
        implausibility(cloud(4), cloud(4, 2))


@pytest.mark.parametrize("norm", [0, 3, "l1", None])
def test_an_unknown_norm_is_refused(norm):
    with pytest.raises(ValueError, match=r"'norm' parameter must be one of \(1, 2\)"):
        implausibility(cloud(4), cloud(4), norm=norm)


@pytest.mark.parametrize("norm", [1, 2])
@pytest.mark.parametrize("n_features", [2, 40])  # a tree, and all pairs
@pytest.mark.parametrize("n_neighbours", [1, 4])
def test_nearest_rows_are_those_of_a_sorted_distance_matrix(
    norm, n_features, n_neighbours
):
    points, reference = cloud(20, n_features), cloud(90, n_features, seed=1)
    distance = np.sort(cdist(points, reference, NORMS[norm]), axis=1)
    result = implausibility(points, reference, norm=norm, n_neighbours=n_neighbours)
    np.testing.assert_allclose(result, distance[:, :n_neighbours].mean(1))


@quick
@given(tables | tied, tables | tied)
def test_all_neighbours_are_all_rows(points, reference):
    result = implausibility(points, reference, n_neighbours=len(reference))
    np.testing.assert_allclose(
        result, implausibility(points, reference), rtol=1e-9, atol=1e-8
    )


def test_an_observed_row_is_its_own_nearest():
    reference = 1e3 + cloud(50, 30)
    result = implausibility(reference[:5], reference, norm=2, n_neighbours=1)
    assert (result == 0).all()


@pytest.mark.parametrize("n_neighbours", [0, -1, 5, 2.0, True, "all"])
def test_as_many_neighbours_as_there_are_rows(n_neighbours):
    with pytest.raises(ValueError, match="'n_neighbours'.*between 1 and.* rows, 4"):
        implausibility(cloud(2), cloud(4), n_neighbours=n_neighbours)


# ------------------------------------------------------------------------------ mmd


def naive_mmd(a, b, length_scale):
    """Unbiased estimate of Gretton et al. (2012), Eq. 3, with scipy's distances."""

    def kernel(x, y):
        return np.exp(-cdist(x, y, "sqeuclidean") / (2 * length_scale**2))

    m, n = len(a), len(b)
    within = (kernel(a, a).sum() - m) / (m * (m - 1))
    among = (kernel(b, b).sum() - n) / (n * (n - 1))
    return within + among - 2 * kernel(a, b).mean()


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


@pytest.mark.parametrize("size", [1, 7, 100])
def test_blocks_do_not_show(monkeypatch, size):
    a, b, triples = cloud(13), cloud(17, seed=1), cloud(65).reshape(13, 5, 3)

    def values():
        return [
            implausibility(a, b, norm=2),
            implausibility(a, b, n_neighbours=2),
            mmd(a, b),
            diversity(triples),
        ]

    expected = values()
    monkeypatch.setattr(blocks, "CHUNK", size)
    monkeypatch.setattr(plausibility, "TILE", size)
    for result, value in zip(values(), expected, strict=True):
        np.testing.assert_allclose(result, value, rtol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_mmd_by_matrix_products_is_that_of_scipy(offset):
    """More rows than a tile, columns of unlike size, and an offset."""
    scale = np.geomspace(0.1, 10, 20)
    a = offset + scale * cloud(600, 20)
    b = offset + scale * cloud(1100, 20, seed=1, shift=0.2)
    for length_scale in (5.0, 20.0):
        expected = naive_mmd(a, b, length_scale)
        result = mmd(a, b, length_scale=length_scale)
        assert result == pytest.approx(expected, abs=1e-10)


def test_one_wild_row_costs_the_others_no_digits():
    a, b = cloud(20), cloud(30, seed=1, shift=0.5)
    a[3], b[0] = 1e9, -1e9
    assert mmd(a, b) == pytest.approx(naive_mmd(a, b, 5.0), abs=1e-12)


samples = st.integers(2, 8).flatmap(
    lambda n: arrays(float, (n, 2), elements=st.floats(-100, 100))
)
scales = st.floats(0.1, 100)


@quick
@given(samples, samples, scales, st.floats(-1e4, 1e4), st.floats(0.01, 100))
def test_mmd_knows_neither_order_nor_origin_nor_unit(a, b, scale, shift, unit):
    expected = mmd(a, b, length_scale=scale)
    assert np.isfinite(expected)
    others = [
        mmd(b, a, length_scale=scale),
        mmd(a[::-1], np.roll(b, 1, axis=0), length_scale=scale),
        mmd(a + shift, b + shift, length_scale=scale),
        mmd(unit * a, unit * b, length_scale=unit * scale),
    ]
    assert others == pytest.approx([expected] * 4, abs=1e-7)


@pytest.mark.parametrize("value", [0, -1.0, np.inf, np.nan, "mean", None, True])
def test_a_length_scale_must_be_positive(value):
    with pytest.raises(ValueError, match="'length_scale' parameter of mmd must be a p"):
        mmd(cloud(4), cloud(4), length_scale=value)


def test_the_median_length_scale_by_hand():
    """Distances 1, 3 and 2; then 0, 4 and 4."""
    assert median_length_scale([[0.0], [1.0]], [[3.0]]) == 2.0
    assert median_length_scale([[0.0]], [[0.0], [4.0]]) == 4.0


def test_the_median_length_scale_is_that_of_all_pairs():
    a, b = cloud(40), cloud(30, seed=1, shift=1.0)
    expected = np.median(pdist(np.concatenate([a, b])))
    assert median_length_scale(a, b) == expected
    assert mmd(a, b, length_scale="median") == mmd(a, b, length_scale=expected)


def test_where_most_rows_coincide_the_median_is_over_the_others():
    a = [[0.0]] * 9
    assert median_length_scale(a, [[0.0], [3.0]]) == 3.0
    assert median_length_scale(a, a) == 1.0
    assert mmd(a, a, length_scale="median") == 0.0
    assert median_length_scale([], [[5.0]]) == 1.0


def test_evenly_spaced_rows_stand_in_for_a_large_sample(monkeypatch):
    a, b = cloud(300), cloud(900, seed=1)
    exact = median_length_scale(a, b)
    monkeypatch.setattr(plausibility, "MEDIAN_ROWS", 400)
    first = median_length_scale(a, b)
    assert first == pytest.approx(exact, rel=0.05)
    assert first != exact
    assert median_length_scale(a, b) == first


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


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 2.0, -1.0], [1.0, np.nan, 1.0], [1.0, np.inf, 1.0], []]
)
@pytest.mark.parametrize("norm", [0, 1, 2])
def test_weights_are_one_number_per_feature(norm, weights):
    with pytest.raises(ValueError, match="'weights' parameter must hold"):
        cost(cloud(2), cloud(2), norm=norm, weights=weights)
    with pytest.raises(ValueError, match="'weights' parameter must hold"):
        diversity(cloud(6).reshape(2, 3, 3), weights=weights)


@quick
@given(tables, st.floats(-100, 100), st.floats(0, 100, allow_subnormal=False))
def test_cost_knows_no_origin_and_scales_with_weights(points, shift, weight):
    other = np.zeros_like(points)
    expected = cost(points, other)
    moved = cost(points + shift, other + shift)
    np.testing.assert_allclose(moved, expected, atol=1e-8)
    np.testing.assert_allclose(
        cost(points, other, weights=[weight, weight]), weight * expected
    )
    np.testing.assert_array_equal(cost(other, points), expected)


def test_mad_weights_by_hand():
    """Deviations from the medians 2, 5 and 0, the last two mostly 0."""
    X = [[0.0, 5.0, 0.0], [1.0, 5.0, 0.0], [2.0, 5.0, 0.0], [4.0, 5.0, 0.0]]
    X = [*X, [10.0, 5.0, 1.0]]
    assert mad_weights(X).tolist() == [0.5, 1.0, 1.0]


def test_mad_weights_are_those_of_a_naive_loop():
    X = cloud(31, 4) * [1.0, 10.0, 0.1, 5.0]
    expected = []
    for column in X.T:
        middle = sorted(column)[15]
        expected.append(1 / sorted(abs(value - middle) for value in column)[15])
    np.testing.assert_allclose(mad_weights(X), expected)


def test_with_mad_weights_cost_has_no_unit():
    X, factual, counterfactual = cloud(50), cloud(5, seed=1), cloud(5, seed=2)
    unit = np.array([1.0, 1000.0, 0.001])
    np.testing.assert_allclose(
        cost(unit * factual, unit * counterfactual, weights=mad_weights(unit * X)),
        cost(factual, counterfactual, weights=mad_weights(X)),
    )


def test_one_row_has_no_deviation_and_none_is_refused():
    assert mad_weights([[1.0, 2.0]]).tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="X is empty"):
        mad_weights(np.zeros((0, 2)))


# ------------------------------------------------------------------------ diversity


@pytest.mark.parametrize("k", [1, 2, 5])
@pytest.mark.parametrize("weights", [None, [1.0, 10.0, 0.0]])
def test_diversity_is_the_mean_over_pairs(k, weights):
    alternatives = cloud(4 * k).reshape(4, k, 3)
    scale = np.ones(3) if weights is None else np.array(weights)
    expected = [
        np.mean([(scale * np.abs(a - b)).sum() for a, b in combinations(row, 2)] or [0])
        for row in alternatives
    ]
    np.testing.assert_allclose(diversity(alternatives, weights=weights), expected)


@quick
@given(arrays(float, (2, 4, 3), elements=numbers), st.permutations(range(4)), numbers)
def test_diversity_is_the_distance_of_scipy_in_any_order(values, order, shift):
    expected = [pdist(row, "cityblock").mean() for row in values]
    result = diversity(values[:, order] + shift)
    np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-8)


def test_diversity_of_images_and_of_nobody():
    images = cloud(6, 4).reshape(2, 3, 1, 2, 2)
    expected = diversity(images.reshape(2, 3, 4))
    np.testing.assert_array_equal(diversity(images), expected)
    assert diversity(np.zeros((0, 3, 2))).shape == (0,)


@pytest.mark.parametrize("shape", [(4, 3), (4, 0, 3), (4,)])
def test_diversity_wants_alternatives_in_the_second_place(shape):
    with pytest.raises(ValueError, match=r"the shape \(n, k, n_features\)"):
        diversity(np.zeros(shape))


# --------------------------------------------------------------------------- burden


def test_burden_by_hand():
    result = burden(
        [1.0, 2.0, 50.0, 6.0, 6.0],
        [True, True, False, True, True],
        pd.Series(["f", "f", "f", "m", "m"], index=range(10, 15), name="sex"),
    )
    assert result.table.index.name == "sex"
    assert result.table.n.to_dict() == {"f": 3, "m": 2}
    assert result.table.cost.to_dict() == {"f": 1.5, "m": 6.0}
    assert result.table.validity.to_dict() == {"f": 2 / 3, "m": 1.0}
    assert (result.cost_gap, result.cost_ratio) == (4.5, 0.25)
    assert (result.validity_gap, result.validity_ratio) == (1 - 2 / 3, 2 / 3)


def recourse(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random(n), rng.random(n) < 0.7, rng.choice(list("abc"), n)


def test_burden_is_that_of_a_naive_loop():
    price, valid, group = recourse()
    result = burden(price, valid, group)
    costs, validities = [], []
    for name in "abc":
        rows = [i for i in range(60) if group[i] == name]
        paid = [price[i] for i in rows if valid[i]]
        costs.append(sum(paid) / len(paid))
        validities.append(len(paid) / len(rows))
    np.testing.assert_allclose(result.table.cost, costs)
    np.testing.assert_allclose(result.table.validity, validities)
    assert result.cost_gap == pytest.approx(max(costs) - min(costs))
    assert result.cost_ratio == pytest.approx(min(costs) / max(costs))
    assert result.validity_gap == pytest.approx(max(validities) - min(validities))
    assert result.validity_ratio == pytest.approx(min(validities) / max(validities))


def test_the_order_of_people_does_not_matter():
    price, valid, group = recourse()
    order = np.random.default_rng(1).permutation(60)
    shuffled = burden(price[order], valid[order], group[order])
    expected = burden(price, valid, group)
    pd.testing.assert_frame_equal(shuffled.table, expected.table)


def test_a_group_without_answers_has_no_cost_but_a_validity():
    result = burden([1.0, 4.0, 9.0, np.nan], [1, 1, 0, 0], ["a", "b", "c", "c"])
    assert np.isnan(result.table.cost["c"])
    assert (result.cost_gap, result.cost_ratio) == (3.0, 0.25)
    assert (result.validity_gap, result.validity_ratio) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("price", "valid", "group"),
    [([], [], []), ([2.0], [True], ["a"]), ([2.0, 1.0], [False] * 2, [0, 1])]
    + [([0.0, 0.0], [True] * 2, [0, 1])],
)
def test_nothing_to_compare_is_equal(price, valid, group):
    result = burden(price, valid, group)
    assert (result.cost_gap, result.cost_ratio) == (0.0, 1.0)
    assert (result.validity_gap, result.validity_ratio) == (0.0, 1.0)


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_people_without_a_group_form_one(missing):
    result = burden([1.0, 3.0, 5.0], [True] * 3, ["a", missing, missing])
    assert result.table.n.tolist() == [1, 2]
    assert result.table.index.isna().tolist() == [False, True]
    assert result.cost_gap == 3.0


def test_categories_keep_their_order_and_absent_ones_stay_out():
    group = pd.Categorical(["low", "high", "high"], ["low", "high", "none"])
    result = burden([1.0, 2.0, 3.0], [True] * 3, group)
    assert result.table.index.tolist() == ["low", "high"]


def test_burden_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="of one length"):
        burden([1.0], [True, True], ["a", "b"])
    with pytest.raises(ValueError, match="'cost' parameter must hold finite"):
        burden([np.inf], [True], ["a"])
    with pytest.raises(ValueError, match="'cost' parameter must not be negative"):
        burden([-1.0], [True], ["a"])
    for valid in ([0.9], ["yes"], pd.array([None], dtype="boolean")):
        with pytest.raises(ValueError, match="'valid' parameter must hold only True"):
            burden([1.0], valid, ["a"])


# --------------------------------------------------------- validity, shared refusals


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("metric", "names"),
    [
        (implausibility, ("counterfactual", "reference")),
        (mmd, ("counterfactual", "reference")),
        (median_length_scale, ("counterfactual", "reference")),
        (cost, ("factual", "counterfactual")),
        (redundancy, ("factual", "counterfactual")),
    ],
)
def test_numbers_that_are_not_finite_are_refused_by_name(metric, names, bad):
    broken = cloud(4)
    broken[1, 2] = bad
    for name, tables in zip(
        names, [(broken, cloud(4)), (cloud(4), broken)], strict=True
    ):
        with pytest.raises(ValueError, match=f"'{name}' .* finite.*in 1 of 12 places"):
            metric(*tables)


def test_unfinished_alternatives_and_rows_are_refused():
    with pytest.raises(ValueError, match="'alternatives' parameter must hold finite"):
        diversity(np.full((1, 2, 3), np.nan))
    with pytest.raises(ValueError, match="'X' parameter must hold finite"):
        mad_weights([[np.inf]])
