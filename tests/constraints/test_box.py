"""What a counterfactual may change: boxes, words, categories, integers."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import OneHotEncoder

from skct import Constraints
from skct.constraints import Group
from skct.encoding import FeatureSpace

WORDS = ["both", "none", "increase", "decrease"]
N_FEATURES = 5
quick = settings(max_examples=60, deadline=None, derandomize=True, database=None)

numbers = st.floats(-1e3, 1e3, width=32)
rows = arrays(np.float32, (4, N_FEATURES), elements=numbers).map(torch.from_numpy)
words = st.lists(st.sampled_from(WORDS), min_size=N_FEATURES, max_size=N_FEATURES)
ends = st.tuples(numbers | st.none(), numbers | st.none()).map(
    lambda pair: tuple(sorted(pair)) if None not in pair else pair
)
domains = st.dictionaries(st.integers(0, N_FEATURES - 1), ends)


def box(words, domain=None, **others):
    names = [f"x{i}" for i in range(len(words))]
    return Constraints.from_spec(words, domain, feature_names=names, **others)


def one_hot(index, size):
    return torch.eye(size)[torch.as_tensor(index)]


def lattice(n, step=1.0, origin=0.0, low=-np.inf, high=np.inf, word="both"):
    full = np.full(n, 1.0)
    return Constraints.from_arrays(
        low * full,
        high * full,
        [word] * n,
        (n,),
        step=step * full,
        origin=origin * full,
    )


def categories(size, word="both", upper=None, continuous=0, **group):
    """One group of `size` columns, then continuous ones."""
    upper = [1.0] * size if upper is None else upper
    return Constraints.from_arrays(
        [0.0] * size + [-np.inf] * continuous,
        upper + [np.inf] * continuous,
        [word] * size + ["both"] * continuous,
        (size + continuous,),
        groups=(Group(tuple(range(size)), **group),),
    )


def reachable(constraints, factual, n=300):
    """Distinct snapped states of many relaxed ones, feasible for one factual."""
    factual = torch.as_tensor(factual, dtype=torch.float32).expand(n, -1)
    relaxed = torch.rand(n, factual.shape[1], generator=torch.manual_seed(0))
    state = constraints.project(relaxed, factual)
    return set(map(tuple, constraints.discretize(state, factual).tolist()))


# ------------------------------------------------------------------------ project


@quick
@given(rows, rows, words, domains)
def test_project_is_idempotent(x, factual, words, domain):
    constraints = box(words, domain)
    once = constraints.project(x, factual)
    assert torch.equal(constraints.project(once, factual), once)


@quick
@given(rows, words, domains)
def test_factual_is_feasible_whatever_the_domain_says(factual, words, domain):
    assert torch.equal(box(words, domain).project(factual, factual), factual)


@quick
@given(rows, rows, words, domains)
def test_words_hold_and_immutable_features_keep_their_bits(x, factual, words, domain):
    change = box(words, domain).project(x, factual) - factual
    words = np.array(words)
    assert (change[:, words == "none"] == 0).all()
    assert (change[:, words == "increase"] >= 0).all()
    assert (change[:, words == "decrease"] <= 0).all()


@quick
@given(rows, rows, domains)
def test_domain_holds_where_the_factual_lies_inside(x, factual, domain):
    constraints = box(["both"] * N_FEATURES, domain)
    factual = factual.clamp(constraints.lower, constraints.upper)
    projected = constraints.project(x, factual)
    assert (projected >= constraints.lower).all()
    assert (projected <= constraints.upper).all()


@quick
@given(rows, rows, words, domains)
def test_what_is_feasible_does_not_move(x, factual, words, domain):
    constraints = box(words, domain)
    low, high = constraints.bounds(factual)
    inside = (x >= low) & (x <= high)
    assert torch.equal(constraints.project(x, factual)[inside], x[inside])


def test_factual_outside_the_domain_may_stay_or_come_closer_but_not_leave_further():
    factual = torch.full((3, 1), 12.0)
    x = torch.tensor([[15.0], [11.0], [-1.0]])
    projected = box(["both"], {0: (0, 10)}).project(x, factual)
    assert projected.ravel().tolist() == [12.0, 11.0, 0.0]


def test_shape_of_an_image_is_kept():
    names = np.arange(784).reshape(1, 28, 28)
    words = np.full((1, 28, 28), "both", dtype=object)
    words[:, :5] = "none"
    constraints = Constraints.from_spec(words, {783: (-1, 1)}, feature_names=names)
    factual = torch.zeros(2, 1, 28, 28)
    projected = constraints.project(factual + 3, factual)
    assert constraints.lower.shape == projected.shape[1:]
    assert constraints.n_features == 784
    assert (projected[:, :, :5] == 0).all()
    assert (projected[:, :, 5:].flatten(1)[:, :-1] == 3).all()
    assert (projected[:, 0, -1, -1] == 1).all()


# ---------------------------------------------------------------------- from_spec


def test_names_and_positions_say_the_same():
    names = ["age", "income"]
    by_name = Constraints.from_spec(
        {"age": "none"}, {"income": (0, None)}, feature_names=names
    )
    by_position = Constraints.from_spec(
        {0: "none"}, {-1: (0, None)}, feature_names=names
    )
    for constraints in (by_name, by_position):
        assert constraints.can_increase.tolist() == [False, True]
        assert constraints.can_decrease.tolist() == [False, True]
        assert constraints.lower.tolist() == [-np.inf, 0]
        assert constraints.upper.tolist() == [np.inf, np.inf]


def test_nothing_given_is_unbounded():
    given = Constraints.from_spec(feature_names=["a", "b", "c"])
    free = Constraints.unbounded((3,))
    for name in ("lower", "upper", "can_increase", "can_decrease", "step"):
        assert torch.equal(getattr(given, name), getattr(free, name))
    assert not given.is_discrete


@pytest.mark.parametrize(
    ("mutability", "domain", "pieces"),
    [
        ({"Age": "none"}, None, ["'Age'", "mutability", "Did you mean 'age'?"]),
        ({"age": "up"}, None, ["'age'", "'up'", "'increase'", "'decrease'"]),
        ({7: "none"}, None, ["7", "mutability", "'age'", "'income'"]),
        ({True: "none"}, None, ["True", "mutability", "'age'"]),
        (["none"], None, ["'mutability'", "(1,)", "(2,)", "one word per feature"]),
        (["none", 1], None, ["'income'", "1", "'none'"]),
        ("none", None, ["'mutability'", "'none'", "['none'] * n_features"]),
        (None, {"wage": (0, 1)}, ["'wage'", "domain", "'income'"]),
        (None, {"age": (5, 1)}, ["'age'", "(5, 1)", "swap"]),
        (None, {"age": (0, np.nan)}, ["'age'", "nan", "None for an open end"]),
        (None, {"age": ("a", "b")}, ["'age'", "('a', 'b')", "(low, high)"]),
        (None, {"age": 3}, ["'age'", "3", "(low, high)"]),
        (None, {"age": (0, 1, 2)}, ["'age'", "(0, 1, 2)", "(low, high)"]),
        (None, (0, 1), ["'domain'", "(0, 1)", "dict"]),
    ],
)
def test_error_names_parameter_value_and_remedy(mutability, domain, pieces):
    with pytest.raises(ValueError) as error:
        Constraints.from_spec(mutability, domain, feature_names=["age", "income"])
    missing = [piece for piece in pieces if piece not in str(error.value)]
    assert not missing, str(error.value)


def test_a_name_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="stands for 2 columns.*use positions"):
        Constraints.from_spec({"a": "none"}, feature_names=["a", "a"])


# ------------------------------------------------------------------------ protect


@quick
@given(rows, rows, words)
def test_protect_follows_the_three_rules_of_the_paper(neighbour, counterfactual, words):
    pair = neighbour, counterfactual
    expected = {
        "both": neighbour,
        "none": counterfactual,
        "increase": torch.maximum(*pair),
        "decrease": torch.minimum(*pair),
    }
    protected = box(words).protect(*pair)
    for column, word in enumerate(words):
        assert torch.equal(protected[:, column], expected[word][:, column])


@pytest.mark.parametrize(
    ("word", "theirs", "ours", "expected"),
    [
        ("increase", 2, 1, 2),
        ("increase", 0, 1, 1),
        ("decrease", 0, 1, 0),
        ("decrease", 2, 1, 1),
        ("both", 2, 1, 2),
        ("none", 2, 1, 1),
    ],
)
@pytest.mark.parametrize("baseline", [False, True])
def test_protect_keeps_ordered_categories_whole(word, theirs, ours, expected, baseline):
    codes = torch.eye(3)
    if baseline:  # the lowest category has no column
        codes = codes[:, 1:]
    constraints = categories(codes.shape[1], word, ordered=True, baseline=baseline)
    protected = constraints.protect(codes[[theirs]], codes[[ours]])
    assert torch.equal(protected, codes[[expected]])


# ------------------------------------------------------------------- categories


group_words = st.sampled_from(["both", "none"])
relaxed = arrays(np.float32, (6, 4), elements=st.floats(-0.5, 1.5, width=32))


@quick
@given(relaxed, st.integers(0, 3), group_words, st.sets(st.integers(0, 3), min_size=1))
def test_a_group_always_ends_in_one_allowed_category(x, current, word, allowed):
    upper = [float(i in allowed) for i in range(4)]
    constraints = categories(4, word, upper)
    factual = one_hot([current] * 6, 4)
    state = constraints.project(torch.from_numpy(x), factual)
    snapped = constraints.discretize(state, factual)
    assert torch.equal(snapped.sort(1).values, one_hot([3] * 6, 4))
    assert set(snapped.argmax(1).tolist()) <= allowed | {current}
    assert torch.equal(constraints.project(snapped, factual), snapped)


def test_the_highest_score_wins():
    x = torch.tensor([[0.4, 0.5, 0.1], [0.4, 0.3, 0.41]])
    snapped = categories(3).discretize(x, one_hot([0, 0], 3))
    assert snapped.argmax(1).tolist() == [1, 2]


def test_every_allowed_category_can_be_reached_and_no_other():
    assert reachable(categories(3, upper=[1.0, 0.0, 1.0]), [1, 0, 0]) == {
        (1, 0, 0),
        (0, 0, 1),
    }


def test_a_category_that_is_not_allowed_may_be_left_and_kept():
    constraints = categories(3, upper=[0.0, 1.0, 1.0])
    factual = one_hot([0], 3)
    assert torch.equal(constraints.discretize(factual, factual), factual)
    assert reachable(constraints, [1, 0, 0]) == set(map(tuple, torch.eye(3).tolist()))
    assert (1, 0, 0) not in reachable(constraints, [0, 1, 0])


def test_without_a_factual_only_allowed_categories_are_taken():
    x = torch.rand(50, 3, generator=torch.manual_seed(0))
    snapped = categories(3, upper=[1.0, 0.0, 1.0]).discretize(x)
    assert (snapped.sum(1) == 1).all()
    assert set(snapped.argmax(1).tolist()) == {0, 2}


def test_frozen_categories_do_not_move():
    assert reachable(categories(3, "none"), [0, 1, 0]) == {(0, 1, 0)}


def test_a_frozen_column_freezes_a_group_only_while_it_is_on():
    constraints = box(["none", "both", "both"], groups=(Group((0, 1, 2)),))
    assert reachable(constraints, [1, 0, 0]) == {(1, 0, 0)}
    assert reachable(constraints, [0, 1, 0]) == {(0, 1, 0), (0, 0, 1)}


@pytest.mark.parametrize(
    ("word", "current", "expected"),
    [
        ("increase", 1, {1, 2, 3}),
        ("decrease", 1, {0, 1}),
        ("increase", 3, {3}),
        ("decrease", 0, {0}),
        ("both", 1, {0, 1, 2, 3}),
        ("none", 1, {1}),
    ],
)
@pytest.mark.parametrize("baseline", [False, True])
def test_ordered_categories_move_one_way(word, current, expected, baseline):
    codes = torch.eye(4)
    if baseline:  # a dropped first level: all columns off
        codes = codes[:, 1:]
    constraints = categories(codes.shape[1], word, ordered=True, baseline=baseline)
    levels = {tuple(code): level for level, code in enumerate(codes.tolist())}
    found = reachable(constraints, codes[current])
    assert {levels[state] for state in found} == expected


def test_ordered_categories_respect_the_domain_too():
    constraints = categories(4, "increase", [1.0, 1.0, 0.0, 1.0], ordered=True)
    found = {state.index(1.0) for state in reachable(constraints, [0, 1, 0, 0])}
    assert found == {1, 3}


def test_one_way_words_freeze_categories_without_an_order():
    for word in ("increase", "decrease"):
        assert reachable(categories(3, word), [0, 1, 0]) == {(0, 1, 0)}


def test_a_dropped_level_is_all_columns_off():
    x = torch.tensor([[0.2, 0.1], [0.2, 0.7], [0.9, 0.1]])
    factual = one_hot([0, 0, 0], 2)
    expected = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    constraints = categories(2, baseline=True)
    assert torch.equal(constraints.discretize(x, factual), expected)
    assert torch.equal(constraints.discretize(x), expected)


def test_a_dropped_level_that_is_not_allowed_is_never_chosen():
    table = pd.DataFrame({"letter": list("abcabc")})
    encoder = OneHotEncoder(drop="first", sparse_output=False).fit(table)
    space = FeatureSpace(encoder, table)
    constraints = space.constraints(space.rules(domain={"letter": ["b", "c"]}))
    assert reachable(constraints, [1, 0]) == {(1, 0), (0, 1)}


def test_without_a_dropped_level_some_column_is_on():
    x = torch.tensor([[0.2, 0.1]])
    assert categories(2).discretize(x, one_hot([0], 2)).tolist() == [[1.0, 0.0]]


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("word", WORDS)
def test_an_unknown_category_stays_unknown_while_unmoved(word, ordered):
    constraints = categories(3, word, continuous=1, ordered=ordered)
    factual = torch.zeros(1, 4)
    x = torch.tensor([[0.0, 0.0, 0.0, 5.0]])
    assert torch.equal(constraints.project(x, factual), x)
    assert torch.equal(constraints.discretize(x, factual), x)


def test_an_unknown_category_becomes_known_once_one_outweighs_the_rest():
    x = torch.tensor([[0.1, 0.8, 0.0], [0.1, 0.3, 0.0]])
    snapped = categories(3).discretize(x, torch.zeros(2, 3))
    assert snapped.tolist() == [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]


def test_an_unknown_level_has_no_order_to_move_along():
    constraints = categories(3, "increase", ordered=True)
    assert reachable(constraints, [0, 0, 0]) == {(0, 0, 0)}


def test_columns_of_a_group_need_not_be_neighbours_nor_zero_and_one():
    constraints = Constraints.from_arrays(
        [-0.5, -np.inf, -2.0],
        [1.5, np.inf, 3.0],
        ["both"] * 3,
        (3,),
        groups=(Group((0, 2)),),
    )
    factual = torch.tensor([[1.5, 7.0, -2.0]])
    x = torch.tensor([[0.5, 8.0, 0.75]])  # scores 0.5 and 0.55
    assert constraints.discretize(x, factual).tolist() == [[-0.5, 8.0, 3.0]]


def test_several_groups_are_snapped_each_on_its_own():
    groups = (Group((0, 1)), Group((2, 3, 4)))
    constraints = box(["both"] * 5, groups=groups)
    x = torch.tensor([[0.1, 0.9, 0.3, 0.2, 0.5]])
    factual = torch.tensor([[1.0, 0.0, 1.0, 0.0, 0.0]])
    assert constraints.discretize(x, factual).tolist() == [[0, 1, 0, 0, 1]]


def test_columns_outside_of_groups_pass_unchanged():
    x = torch.tensor([[0.1, 0.9, 0.123]])
    factual = torch.tensor([[1.0, 0.0, 0.5]])
    snapped = categories(2, continuous=1).discretize(x, factual)
    assert torch.equal(snapped[:, 2], x[:, 2])


# ----------------------------------------------------------------------- integers


@quick
@given(rows, rows, st.floats(0.125, 3, width=32), numbers)
def test_integers_land_on_their_lattice_or_stay(x, factual, step, origin):
    snapped = lattice(N_FEATURES, step, origin).discretize(x, factual)
    count = (snapped.double() - origin) / step
    near = (count - count.round()).abs() * step < 1e-3
    assert (near | (snapped == factual)).all()
    assert ((snapped - x).abs() <= 1.01 * step + 1e-3).all()


def test_integers_snap_to_the_nearest_value_by_hand():
    x = torch.tensor([[1.4, 1.6, -0.3, 9.0]])
    factual = torch.tensor([[0.0, 0.0, 5.0, 2.0]])
    snapped = lattice(4, low=-8.0, high=8.0).discretize(x, factual)
    assert snapped.tolist() == [[1, 2, 0, 8]]


@quick
@given(
    rows,
    st.sampled_from(WORDS),
    arrays(np.float32, 4, elements=st.floats(-3, 3, width=32)),
)
def test_integers_obey_their_word_even_off_the_lattice(factual, word, shift):
    constraints = lattice(N_FEATURES, word=word)
    x = constraints.project(factual + torch.from_numpy(shift)[:, None], factual)
    snapped = constraints.discretize(x, factual)
    assert torch.equal(constraints.project(snapped, factual), snapped)


def test_an_integer_that_has_not_moved_far_keeps_its_bits():
    factual = torch.tensor([[2.3, 0.1 + 0.2]])  # imputed, so between two integers
    x = factual + torch.tensor([[0.1, -0.1]])
    assert torch.equal(lattice(2).discretize(x, factual), factual)


def test_an_imputed_integer_halfway_between_two_keeps_its_bits_while_unmoved():
    factual = torch.tensor([[1.5, 2.5]])
    assert torch.equal(lattice(2).discretize(factual, factual), factual)


def test_an_integer_stays_on_its_lattice_where_the_bound_is_between_two():
    constraints = lattice(1, high=3.7, low=0.5)
    x, factual = torch.tensor([[3.7], [0.5]]), torch.tensor([[2.0], [2.0]])
    assert constraints.discretize(x, factual).ravel().tolist() == [3.0, 1.0]


def test_discretize_is_the_identity_without_categories_and_integers():
    constraints, x = Constraints.unbounded((3,)), torch.randn(2, 3)
    assert constraints.discretize(x, torch.zeros(2, 3)) is x


def test_an_image_with_integers_and_groups_keeps_its_shape():
    free = Constraints.unbounded((1, 28, 28))
    constraints = Constraints(
        torch.zeros_like(free.lower),
        torch.ones_like(free.upper),
        free.can_increase,
        free.can_decrease,
        groups=(Group((0, 1)), Group((782, 783))),
        step=torch.full((1, 28, 28), 0.5),
    )
    factual = torch.zeros(2, 1, 28, 28)
    factual[..., 0, 0] = factual[..., -1, -1] = 1
    x = factual + 0.3 * (1 - 2 * factual)
    x[1, 0, 0, :2] = torch.tensor([0.2, 0.6])
    for snapped in (constraints.discretize(x), constraints.discretize(x, factual)):
        assert snapped.shape == x.shape
        assert snapped[:, 0, 0, 0].tolist() == [1.0, 0.0]
        assert snapped[:, 0, 0, 1].tolist() == [0.0, 1.0]
        assert (snapped[:, 0, -1, -2:] == torch.tensor([0.0, 1.0])).all()
        assert (snapped[:, 0, 1:27] == 0.5).all()


@quick
@given(relaxed, arrays(np.float32, (6, 2), elements=st.floats(-3, 3, width=32)))
def test_unmoved_rows_keep_their_bits(codes, more):
    """Also codes that are no valid one-hots: the factual always stays what it is."""
    factual = torch.from_numpy(np.hstack([codes, more]))
    constraints = Constraints.from_arrays(
        [0.0] * 4 + [-np.inf] * 2,
        [1.0] * 4 + [np.inf] * 2,
        ["both"] * 6,
        (6,),
        groups=(Group((0, 1, 2, 3)),),
        step=[0.0] * 4 + [1.0, 0.0],
    )
    assert torch.equal(constraints.discretize(factual, factual), factual)


# ---------------------------------------------------------------- whole constraints


@quick
@given(rows, rows, words, words, domains, domains)
def test_intersection_allows_what_both_allow(x, factual, words, others, first, second):
    one, two = box(words, first), box(others, second)
    both = (one & two).project(x, factual)
    for constraints in (one, two):
        assert torch.equal(constraints.project(both, factual), both)


@quick
@given(rows, rows, words, domains)
def test_intersection_with_everything_changes_nothing(x, factual, words, domain):
    one, free = box(words, domain), Constraints.unbounded((N_FEATURES,))
    expected = one.project(x, factual)
    assert torch.equal((one & free).project(x, factual), expected)
    assert torch.equal((free & one).project(x, factual), expected)


def test_intersection_takes_groups_and_integers_from_both_sides():
    plain = box(["both"] * 3, groups=(Group((0, 1)),))
    whole = lattice(3)
    for both in (plain & whole, whole & plain):
        assert both.groups == (Group((0, 1)),)
        assert both.step.tolist() == [1, 1, 1]
    assert (plain & plain).groups == plain.groups


def test_intersection_forbids_a_category_that_one_side_forbids():
    one, two = categories(3, upper=[0.0, 1.0, 1.0]), categories(3, upper=[1.0, 1, 0])
    assert reachable(one & two, [0, 1, 0]) == {(0, 1, 0)}


def test_shape_only_forgets_words_and_bounds_but_not_categories_and_integers():
    constraints = Constraints.from_arrays(
        [0.0, 0.0, 0.0],
        [1.0, 1.0, 5.0],
        ["none"] * 3,
        (3,),
        groups=(Group((0, 1)),),
        step=[0.0, 0.0, 1.0],
    )
    x, factual = torch.tensor([[0.2, 0.7, 8.6]]), torch.tensor([[1.0, 0.0, 2.0]])
    free = constraints.shape_only()
    assert torch.equal(free.project(x, factual), x)
    assert free.discretize(x, factual).tolist() == [[0.0, 1.0, 9.0]]


def test_shape_only_allows_the_categories_that_were_not_allowed():
    narrow, wide = categories(3, upper=[0.0, 1.0, 1.0]), categories(3)
    free = wide & narrow.shape_only()
    assert reachable(free, [0, 1, 0]) == reachable(wide, [0, 1, 0])


def test_to_moves_every_tensor_and_keeps_the_rest():
    constraints = categories(2, continuous=1, ordered=True)
    moved = constraints.to("meta")
    for name in ("lower", "upper", "can_increase", "can_decrease", "step", "origin"):
        assert getattr(moved, name).device.type == "meta"
        assert getattr(constraints, name).device.type == "cpu"
    assert moved.groups == constraints.groups


def test_constraints_are_frozen():
    with pytest.raises(AttributeError):
        Constraints.unbounded((2,)).lower = torch.zeros(2)
