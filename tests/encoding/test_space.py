"""`FeatureSpace`: raw table to model input and back, rules, distances."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import sparse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    StandardScaler,
)

from skct.constraints import Group
from skct.encoding import FeatureSpace
from skct.exceptions import ImputationWarning
from skct.preprocessing import BOUND, TableEncoder, bend

SIZES = pd.CategoricalDtype(["small", "medium", "large"], ordered=True)
NUMBERS = ["age", "income", "height", "kids", "rate", "code", "flag"]
CATEGORIES = ["job", "town", "state", "size", "member", "smoker"]
ENCODED_NAMES = [
    *("num__age", "num__hours"),
    *("cat__workclass_gov", "cat__workclass_private", "cat__workclass_self"),
    "cat__sex_male",
]


def some(values, rng, n, missing=None, share=0.2):
    """Draw `n` values, some of them missing, as objects."""
    drawn = rng.choice(np.array(values, dtype=object), n)
    drawn[1 : int(share * n)] = missing
    return drawn


@pytest.fixture(scope="module")
def table():
    """Every kind of column, with missing values where the type knows them."""
    rng, n = np.random.default_rng(0), 24
    income = rng.gamma(2.0, 1e4, n)
    income[:3] = -0.0, np.nan, 0.1 + 0.2
    letters = some(["a", "b", "c"], rng, n)
    frame = {
        "age": rng.integers(18, 90, n),
        "income": income,
        "height": rng.normal(1.7, 0.1, n).astype("float32"),
        "kids": pd.array(some([0, 1, 2, 5], rng, n, pd.NA), dtype="Int64"),
        "rate": pd.array(some([0.5, 1.25, 2.0], rng, n, pd.NA), dtype="Float64"),
        "code": pd.Series(some([10, 20, 30], rng, n, share=0), dtype=object),
        "flag": rng.integers(0, 2, n).astype("int8"),
        "job": pd.Series(some(["cook", "nurse", "Köchin"], rng, n), dtype="str"),
        "town": pd.Series(letters, dtype=object),
        "state": pd.Series(letters, dtype="string"),
        "size": pd.Categorical(some(SIZES.categories, rng, n), dtype=SIZES),
        "member": rng.random(n) < 0.5,
        "smoker": pd.array(some([True, False], rng, n, pd.NA), dtype="boolean"),
    }
    return pd.DataFrame(frame).set_axis([f"person {i}" for i in range(n)])


@pytest.fixture(scope="module")
def space(table):
    return auto_space(table)


def auto_space(X):
    """Space of `preprocessor='auto'`, without the warning on missing values."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImputationWarning)
        return FeatureSpace(TableEncoder().fit(X), X)


def assert_same_bits(left, right):
    """Equality that sees types, index, missing values and the sign of zero."""
    pd.testing.assert_frame_equal(left, right, check_exact=True)
    for position, dtype in enumerate(left.dtypes):
        if isinstance(dtype, np.dtype) and dtype.kind == "f":
            columns = (t.iloc[:, position].to_numpy() for t in (left, right))
            a, b = (column.tobytes() for column in columns)
            assert a == b


def feasible(space, X, constraints, seed, spread=3.0):
    """Random model-input points that a search could end in."""
    factual = torch.from_numpy(space.encode(X))
    noise = np.random.default_rng(seed).normal(0, spread, factual.shape)
    point = factual + torch.from_numpy(noise).float()
    point = constraints.project(point, factual)
    return constraints.discretize(point, factual).numpy()


# ------------------------------------------------------------------------- round trip


def test_a_table_that_has_not_moved_keeps_every_bit(space, table):
    assert_same_bits(space.decode(space.encode(table), like=table), table)


def test_new_rows_that_have_not_moved_keep_every_bit(space, table):
    new = table.iloc[[5, 0, 1]].assign(age=[17, 99, 50], job=["pilot", None, "cook"])
    assert_same_bits(space.decode(space.encode(new), like=new), new)


def test_rules_do_not_touch_what_has_not_moved(space, table):
    rules = space.rules({"age": "none"}, {"age": (30, 40), "income": (0, 1)})
    assert_same_bits(space.decode(space.encode(table), table, rules), table)


@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "u1", "?"])
def test_arrays_without_preprocessor_keep_every_bit(dtype):
    X = np.random.default_rng(0).normal(0, 3, (6, 4)).astype(dtype)
    space = FeatureSpace(None, X)
    decoded = space.decode(space.encode(X), like=X)
    assert decoded.dtype == X.dtype
    assert decoded.tobytes() == X.tobytes()


def test_frames_without_preprocessor_keep_every_bit(table):
    X = table[["age", "height", "flag", "member"]]
    space = FeatureSpace(None, X)
    assert_same_bits(space.decode(space.encode(X), like=X), X)


def test_without_preprocessor_the_model_input_is_the_table():
    X = np.array([[1.5, 2.0], [-3.0, 0.25]])
    np.testing.assert_array_equal(FeatureSpace(None, X).encode(X), X)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_comes_back_sparse(kind):
    X = kind(np.array([[0.0, 2.0, 0.1], [4.0, 0.0, 0.0], [0.0, 7.0, 0.0]]))
    space = FeatureSpace(TableEncoder().fit(X.toarray()), X)
    encoded = space.encode(X)
    back = space.decode(encoded, like=X)
    assert type(back) is kind
    np.testing.assert_array_equal(back.toarray(), X.toarray())
    encoded[0] = encoded[1]
    first = space.decode(encoded, like=X).toarray()[0]
    np.testing.assert_allclose(first, [4.0, 0.0, 0.0], atol=1e-6)


def test_images_keep_their_shape_and_move_pixel_by_pixel():
    X = np.random.default_rng(0).random((5, 1, 2, 3))
    space = FeatureSpace(None, X)
    encoded = space.encode(X)
    assert encoded.shape == X.shape
    encoded[2, 0, 1, 2] += 0.5
    expected = X.copy()
    expected[2, 0, 1, 2] += 0.5
    np.testing.assert_allclose(space.decode(encoded, like=X), expected, rtol=1e-6)


def test_columns_of_the_same_name_are_kept_apart():
    X = pd.DataFrame([[1, "u", 5.0], [3, "v", 7.0]], columns=["x", "x", "x"])
    space = auto_space(X)
    encoded = space.encode(X)
    assert_same_bits(space.decode(encoded, like=X), X)
    encoded[0, 1:3] = encoded[1, 1:3]
    assert space.decode(encoded, like=X).iloc[0].tolist() == [1, "v", 5.0]


def test_a_table_of_categories_alone_has_a_space():
    X = pd.DataFrame({"a": list("uvu"), "b": [True, False, False]})
    space = auto_space(X)
    assert_same_bits(space.decode(space.encode(X), like=X), X)


def test_transformer_and_schema_are_the_whole_space(space, table):
    schema = pickle.loads(pickle.dumps(space.schema))
    again = FeatureSpace.from_schema(space.transformer, schema)
    encoded = space.encode(table)
    np.testing.assert_array_equal(again.encode(table), encoded)
    moved = encoded[::-1]
    rules = again.rules({"age": "increase"}, {"income": (0, 1e5)})
    assert rules == space.rules({"age": "increase"}, {"income": (0, 1e5)})
    assert_same_bits(
        again.decode(moved, table, rules), space.decode(moved, table, rules)
    )


def test_the_template_row_is_nobodys(space, table):
    template = space.schema.template
    assert list(template.dtypes) == list(table.dtypes)
    assert template.index.tolist() == [0]
    assert template["income"].iloc[0] == table["income"].median()
    assert template["job"].iloc[0] == min(table["job"].dropna())


# ------------------------------------------------------------------------ what moved


@pytest.mark.parametrize("name", NUMBERS + CATEGORIES)
def test_a_moved_column_decodes_to_the_raw_value_it_encodes(space, table, name):
    position = table.columns.get_loc(name)
    columns = list(space.columns[position].encoded)
    source = table[name].last_valid_index()
    encoded = space.encode(table)
    encoded[:, columns] = encoded[table.index.get_loc(source), columns]
    decoded = space.decode(encoded, like=table)
    assert decoded[name].dtype == table[name].dtype
    moved = decoded[name][space.encode(table)[:, columns[0]] != encoded[0, columns[0]]]
    assert len(moved)
    for value in moved:
        if name in ("income", "height", "rate"):
            assert value == pytest.approx(table.loc[source, name], rel=1e-5)
        else:
            assert value == table.loc[source, name]
    assert_same_bits(decoded.drop(columns=name), table.drop(columns=name))


@pytest.mark.parametrize("name", ["income", "kids", "rate", "job", "size", "smoker"])
def test_a_missing_value_stays_missing_until_its_column_moves(space, table, name):
    row = table[name].isna().to_numpy().nonzero()[0][0]
    position = table.columns.get_loc(name)
    columns = list(space.columns[position].encoded)
    encoded = space.encode(table)
    others = np.delete(np.arange(encoded.shape[1]), columns)
    encoded[row, others] = encoded[-1, others]
    assert pd.isna(space.decode(encoded, like=table)[name].iloc[row])
    distances = np.abs(encoded[:, columns] - encoded[row, columns]).sum(1)
    other = distances.argmax()
    encoded[row, columns] = encoded[other, columns]
    after = space.decode(encoded, like=table)[name].iloc[row]
    assert after == pytest.approx(table[name].iloc[other])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "Int16", "Int64"])
def test_integers_are_rounded_and_keep_their_type(dtype):
    X = pd.DataFrame({"x": pd.array([3, 8, 1, 4], dtype=dtype)})
    space = auto_space(X)
    values = X.to_numpy(dtype=float)
    for step, expected in [(0.4, X), (0.8, X + 1)]:
        encoded = space.transformer.transform(values + step)
        assert_same_bits(space.decode(encoded, like=X), expected)


@pytest.mark.parametrize("dtype", [float, "Float64", "float32"])
def test_zeros_and_ones_stay_so_in_columns_of_floats(dtype):
    X = pd.DataFrame({"x": pd.Series([0, 1, 1], dtype=dtype)})
    space = auto_space(X)
    moved = space.decode(np.array([[0.8], [0.7], [0.1]]), like=X)
    assert moved["x"].tolist() == [1, 1, 0]


@pytest.mark.parametrize("as_frame", [False, True])
def test_small_integer_types_do_not_overflow(as_frame):
    X = np.array([[1], [250]], dtype=np.uint8)
    X = pd.DataFrame(X) if as_frame else X
    space = FeatureSpace(None, X)
    moved = np.array([[-4.0], [300.0]], dtype=np.float32)
    decoded = np.asarray(space.decode(moved, X, space.rules(None, None)))
    assert decoded.ravel().tolist() == [0, 255]


def test_integers_in_arrays_of_objects_stay_integers():
    X = np.array([[30, "cook"], [50, "nurse"], [41, "cook"]], dtype=object)
    space = auto_space(X)
    decoded = space.decode(space.encode(X)[::-1], like=X)
    assert decoded[:, 0].tolist() == [41, 50, 30]
    assert all(isinstance(value, int) for value in decoded[:, 0])


@pytest.mark.parametrize("as_frame", [False, True])
def test_numbers_written_as_text_stay_text_and_keep_their_digits(as_frame):
    X = np.array([["1234567"], ["1234512"], ["1234599"]], dtype=object)
    X = pd.DataFrame(X, dtype=object) if as_frame else X
    space = auto_space(X)
    decoded = space.decode(space.encode(X)[::-1], X, space.rules())
    values = np.asarray(decoded)[:, 0].tolist()
    assert all(isinstance(value, str) for value in values)
    found = [float(value) for value in values]
    assert found == pytest.approx([1234599, 1234512, 1234567], abs=0.01)


def test_objects_of_whole_and_broken_numbers_are_not_rounded():
    X = pd.DataFrame({"x": pd.Series([1, 2.4, 3.75], dtype=object)})
    space = auto_space(X)
    decoded = space.decode(space.encode(X)[::-1], like=X)
    assert decoded["x"].tolist() == pytest.approx([3.75, 2.4, 1])


@pytest.mark.parametrize("values", [["a", 1, "b", "a"], [1, "a", "b", 1]])
@pytest.mark.parametrize("as_frame", [False, True])
def test_categories_of_mixed_types_decode_to_themselves(values, as_frame):
    X = np.array(values, dtype=object)[:, None]
    X = pd.DataFrame(X, dtype=object) if as_frame else X
    space = auto_space(X)
    decoded = space.decode(space.encode(X)[[1, 2, 0, 3]], like=X)
    expected = [values[i] for i in (1, 2, 0, 3)]
    assert np.asarray(decoded, dtype=object)[:, 0].tolist() == expected


def test_intervals_are_categories_like_others():
    X = pd.DataFrame({"x": pd.cut([1, 5, 9, 3], [0, 4, 8, 12])})
    space = auto_space(X)
    assert space.columns[0].ordered
    decoded = space.decode(space.encode(X)[::-1], like=X)
    pd.testing.assert_frame_equal(decoded, X[::-1].reset_index(drop=True))


def test_relaxed_categories_are_those_of_the_nearest_code(space, table):
    column = space.columns[table.columns.get_loc("size")]
    codes = column.codes + np.random.default_rng(0).uniform(-0.05, 0.05, (3, 3))
    relaxed = np.zeros((3, space.encode(table).shape[1]))
    relaxed[:, list(column.encoded)] = codes
    assert column.category_index(relaxed).tolist() == [0, 1, 2]


def test_points_of_no_category_leave_the_raw_one(space, table):
    columns = list(space.columns[table.columns.get_loc("job")].encoded)
    encoded = space.encode(table)
    encoded[:, columns] = 0.0
    assert_same_bits(space.decode(encoded, like=table), table)


def test_bounds_remove_what_rounding_adds(space, table):
    rules = space.rules({"income": "increase"}, {"height": (1.6, 1.7)})
    encoded = space.encode(table)
    encoded[:, [1, 2]] += np.float32([-9.0, 9.0])
    decoded = space.decode(encoded, table, rules)
    present = table["income"].notna()
    assert (decoded["income"] >= table["income"])[present].all()
    assert (decoded["height"] <= np.maximum(table["height"], 1.7)).all()


# --------------------------------------------------------------------- hard-to-encode


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_model_input_that_is_not_finite_raises(bad):
    space = FeatureSpace(None, np.ones((3, 2)))
    with pytest.raises(ValueError, match="NaN, infinity or a value too large"):
        space.encode(np.array([[1.0, bad]]))


def test_text_without_preprocessor_raises_by_name():
    X = pd.DataFrame({"age": [1, 2], "job": ["cook", "nurse"]})
    with pytest.raises(ValueError, match="'job' holds categories"):
        FeatureSpace(None, X)


def test_a_cell_that_is_no_category_raises_by_name_and_type():
    X = pd.DataFrame({"age": [1, 2], "job": [3, {"cook": 1}]})
    with pytest.raises(TypeError, match="'job' holds a dict"):
        FeatureSpace(None, X)


# --------------------------------------------------------------------- one-hot groups


def one_hot(*positions, width=3):
    """Rows of a one-hot block."""
    return np.eye(width)[list(positions)]


def test_neighbouring_columns_that_sum_to_one_are_groups():
    numbers = np.array([[1.5], [2.5], [3.5], [7.0]])
    flag = np.array([[1], [1], [0], [0]])
    X = np.hstack([numbers, one_hot(0, 1, 2, 1), flag, one_hot(0, 1, 1, 0, width=2)])
    expected = (Group((1, 2, 3)), Group((5, 6)))
    assert FeatureSpace(None, X).groups == expected
    assert auto_space(X).groups == expected
    assert auto_space(pd.DataFrame(X).astype("Float64")).groups == expected


def test_two_blocks_side_by_side_are_two_groups():
    X = np.hstack([one_hot(0, 1, 2, 0), one_hot(1, 1, 0, 2)])
    assert FeatureSpace(None, X).groups == (Group((0, 1, 2)), Group((3, 4, 5)))


@pytest.mark.parametrize(
    "X",
    [
        np.vstack([one_hot(0, 1, 2), [[0, 0, 0]]]),
        np.vstack([one_hot(0, 1, 2), [[1, 1, 0]]]),
        2 * one_hot(0, 1, 2),
        one_hot(0, 1, 2) * [1, 1, 0.5],
        np.insert(one_hot(0, 1, 0, width=2), 1, [0.3, 0.1, 0.2], axis=1),
        np.ones((3, 1)),
    ],
    ids=["none on", "two on", "twos", "half", "apart", "constant"],
)
def test_other_columns_are_no_group(X):
    assert FeatureSpace(None, X).groups == ()
    assert auto_space(X).groups == ()


def test_a_found_group_moves_as_one_category():
    X = np.hstack([one_hot(0, 1, 2, 1), [[0.1], [0.9], [0.5], [0.4]]])
    space = FeatureSpace(None, X)
    constraints = space.constraints(space.rules())
    for seed in range(5):
        decoded = space.decode(feasible(space, X, constraints, seed), like=X)
        assert np.isin(decoded[:, :3], (0, 1)).all()
        assert (decoded[:, :3].sum(1) == 1).all()


# ------------------------------------------------------------------------- mutability


def words(rules):
    """Mutability by column."""
    return [rule.mutability for rule in rules]


@pytest.fixture
def trio():
    """One number, one category, one order."""
    frame = {
        "age": [20, 30, 40, 31],
        "job": ["cook", "nurse", "cook", "pilot"],
        "size": pd.Categorical(["small", "large", "medium", "small"], dtype=SIZES),
    }
    return auto_space(pd.DataFrame(frame))


def test_unlisted_columns_may_move_both_ways(trio):
    assert words(trio.rules()) == ["both"] * 3
    assert words(trio.rules({})) == ["both"] * 3


def test_mutability_by_name_position_and_array_agree(trio):
    by_name = trio.rules({"age": "increase", "job": "none"})
    assert words(by_name) == ["increase", "none", "both"]
    assert trio.rules({0: "increase", -2: "none"}) == by_name
    assert trio.rules(["increase", "none", "both"]) == by_name
    assert trio.rules(np.array(["increase", "none", "both"])) == by_name


def test_mutability_of_images_has_their_shape():
    X = np.random.default_rng(0).random((4, 2, 3))
    space = FeatureSpace(None, X)
    mask = np.full((2, 3), "both")
    mask[1, 0] = "none"
    constraints = space.constraints(space.rules(mask))
    assert constraints.can_increase.tolist() == (mask == "both").tolist()
    with pytest.raises(ValueError, match=r"shape \(6,\)"):
        space.rules(mask.ravel())


@pytest.mark.parametrize(
    ("mutability", "message"),
    [
        ({"Age": "none"}, "Unknown feature 'Age' in mutability.*Did you mean 'age'"),
        ({"agee": "none"}, "Unknown feature 'agee' in mutability.*Did you mean 'age'"),
        ({3: "none"}, "Unknown feature 3 in mutability"),
        ({"age": "up"}, "mutability of feature 'age' must be one of 'both', 'none'"),
        ({"age": None}, "mutability of feature 'age' must be one of"),
        (["none", "none"], r"shape \(2,\), but one row of X has shape \(3,\)"),
        ("none", "must be a dict from feature to word"),
        ({"job": "increase"}, "'increase' of column 'job' needs an order"),
        ({"job": "decrease"}, "'decrease' of column 'job' needs an order"),
    ],
)
def test_wrong_mutability_raises_with_the_remedy(trio, mutability, message):
    with pytest.raises(ValueError, match=message):
        trio.rules(mutability)


def test_a_name_that_two_columns_share_raises():
    space = FeatureSpace(None, pd.DataFrame(np.eye(3), columns=["x", "x", "y"]))
    with pytest.raises(ValueError, match="'x' in mutability stands for 2 columns"):
        space.rules({"x": "none"})
    assert words(space.rules({0: "none"})) == ["none", "both", "both"]


@pytest.mark.parametrize(("word", "sign"), [("increase", 1), ("decrease", -1)])
def test_one_way_words_hold_for_ordered_categories(trio, word, sign):
    X = pd.DataFrame(
        {
            "age": [20] * 3,
            "job": ["cook"] * 3,
            "size": pd.Categorical(SIZES.categories, dtype=SIZES),
        }
    )
    constraints = trio.constraints(trio.rules({"size": word}))
    before, seen = X["size"].cat.codes, set()
    for seed in range(20):
        decoded = trio.decode(feasible(trio, X, constraints, seed), like=X)
        change = sign * (decoded["size"].cat.codes - before)
        assert (change >= 0).all()
        seen |= set(change)
    assert seen == {0, 1, 2}


# ----------------------------------------------------------------------------- domain


def test_the_automatic_domain_is_the_observed_range(trio):
    age, job, _ = trio.rules()
    assert (age.low, age.high) == (20, 40)
    assert job.categories == ("cook", "nurse", "pilot")
    constraints = trio.constraints(trio.rules())
    ends = pd.DataFrame({"age": [20, 40], "job": "cook", "size": "small"})
    expected = trio.encode(ends)[:, 0]
    np.testing.assert_allclose([constraints.lower[0], constraints.upper[0]], expected)


def test_no_domain_is_unbounded(trio):
    age, job, _ = trio.rules(domain=None)
    assert (age.low, age.high) == (-np.inf, np.inf)
    assert job.categories == ("cook", "nurse", "pilot")
    constraints = trio.constraints(trio.rules(domain=None))
    # A bent column ends where float32 does: a hundred interquartile ranges out.
    far = bend(np.float64(100), BOUND)
    assert constraints.lower[0] == pytest.approx(-far)
    assert constraints.upper[0] == pytest.approx(far)
    X = np.arange(6.0).reshape(3, 2)
    plain = FeatureSpace(StandardScaler().fit(X), X)
    assert plain.constraints(plain.rules(domain=None)).upper[0] == np.inf


def test_listed_columns_have_their_domain_and_the_others_the_observed_one(space, table):
    rules = dict(zip(table, space.rules(None, {"age": (0, None)}), strict=True))
    assert (rules["age"].low, rules["age"].high) == (0, np.inf)
    assert rules["height"].low == table["height"].min()
    assert rules["rate"].high == table["rate"].max()
    rules = space.rules(None, {1: (None, 5.5)})
    assert (rules[1].low, rules[1].high) == (-np.inf, 5.5)


def test_the_domain_of_integers_holds_integers(trio):
    (age, *_) = trio.rules(None, {"age": (20.2, 29.7)})
    assert (age.low, age.high) == (21, 29)
    with pytest.raises(ValueError, match="integer column 'age' holds no integer"):
        trio.rules(None, {"age": (20.2, 20.7)})


def test_only_allowed_categories_are_reached(trio):
    rules = trio.rules(None, {"job": ["nurse", "pilot"]})
    constraints = trio.constraints(rules)
    X = pd.DataFrame({"age": 20, "job": ["cook", "nurse", "pilot"], "size": "small"})
    seen = set()
    for seed in range(20):
        decoded = trio.decode(feasible(trio, X, constraints, seed), like=X)
        assert (decoded["job"] != "cook").iloc[1:].all()
        seen |= set(decoded["job"].iloc[1:])
    assert seen == {"nurse", "pilot"}


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ({"Age": (0, 1)}, "Unknown feature 'Age' in domain.*Did you mean 'age'"),
        ({"age": (5, 1)}, r"'age' must have low <= high"),
        ({"age": 5}, r"'age' must be a pair \(low, high\)"),
        ({"age": (1, 2, 3)}, r"'age' must be a pair \(low, high\)"),
        ({"age": (np.nan, 1)}, r"'age' must be a pair \(low, high\)"),
        ({"age": ("0", 1)}, r"'age' must be a pair \(low, high\)"),
        (
            {"job": ["Nurse"]},
            "Unknown category 'Nurse' in.*'job'.*Did you mean 'nurse'",
        ),
        ({"job": "nurse"}, "'job' must list its allowed categories"),
        ({"size": ["small", "huge"]}, "Unknown category 'huge'"),
        ("observed", "must be 'auto', None or a dict"),
        ([(0, 1)], "must be 'auto', None or a dict"),
    ],
)
def test_wrong_domains_raise_with_the_remedy(trio, domain, message):
    with pytest.raises(ValueError, match=message):
        trio.rules(None, domain)


# ---------------------------------------------- raw names in front of encoded columns


@pytest.fixture
def encoded_space():
    """Model input as a ColumnTransformer with `set_output('pandas')` hands it on."""
    rng = np.random.default_rng(0)
    numbers, male = rng.normal(size=(8, 2)), rng.integers(0, 2, (8, 1))
    X = np.hstack([numbers, np.eye(3)[rng.integers(0, 3, 8)], male])
    return FeatureSpace(None, pd.DataFrame(X, columns=ENCODED_NAMES))


@pytest.mark.parametrize(
    ("name", "stuck"),
    [("age", [0]), ("workclass", [2, 3, 4]), ("sex", [5]), ("num__hours", [1])],
)
def test_raw_names_stand_for_their_encoded_columns(encoded_space, name, stuck):
    expected = ["none" if i in stuck else "both" for i in range(6)]
    assert words(encoded_space.rules({name: "none"})) == expected


def test_one_way_words_pass_to_single_columns_only(encoded_space):
    assert words(encoded_space.rules({"age": "increase"}))[0] == "increase"
    with pytest.raises(ValueError, match="'workclass' needs an order"):
        encoded_space.rules({"workclass": "increase"})


def test_a_columns_own_name_comes_first():
    X = pd.DataFrame(np.eye(3), columns=["age", "num__age", "x"])
    assert words(FeatureSpace(None, X).rules({"age": "none"})) == [
        "none",
        "both",
        "both",
    ]


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["num__age", "log__age", "num__x"], "age"),
        (["cat__marital_no", "cat__marital_status_a", "num__x"], "marital"),
    ],
)
def test_raw_names_that_match_several_columns_raise(names, key):
    X = pd.DataFrame(np.random.default_rng(0).normal(size=(5, 3)), columns=names)
    with pytest.raises(ValueError, match=f"'{key}' in mutability stands for several"):
        FeatureSpace(None, X).rules({key: "none"})


def test_raw_names_have_no_bounds_in_encoded_units(encoded_space):
    with pytest.raises(ValueError, match="Unknown feature 'age' in domain"):
        encoded_space.rules(None, {"age": (0, 90)})


# -------------------------------------------------------------------------- distances


def distances(space, before, after):
    """L1 distance of two tables in the units of cost, by raw column."""
    old, owner = space.cost_coordinates(space.encode(before))
    new, _ = space.cost_coordinates(space.encode(after))
    change = np.abs(new - old)
    sums = [change[:, owner == i].sum(1) for i in range(len(space.columns))]
    return np.stack(sums, axis=1)


def test_a_changed_category_counts_one_and_numbers_in_interquartile_ranges(trio):
    before = pd.DataFrame({"age": [20, 30], "job": "cook", "size": "small"})
    after = pd.DataFrame(
        {"age": [40, 30], "job": ["nurse", "pilot"], "size": ["small", "large"]}
    )
    low, high = np.percentile([20, 30, 40, 31], [25, 75])
    expected = [[20 / (high - low), 1, 0], [0, 1, 1]]
    np.testing.assert_allclose(distances(trio, before, after), expected, rtol=1e-5)


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(),
        OneHotEncoder(drop="first"),
        OrdinalEncoder(),
        OneHotEncoder(min_frequency=2),
    ],
    ids=repr,
)
def test_a_changed_category_counts_one_however_it_is_encoded(encoder):
    X = pd.DataFrame({"x": list("abcdeaabbf")})
    space = FeatureSpace(encoder.fit(X), X)
    change = distances(space, X[:6], X[:6].assign(x=list("baaaba")))
    assert change.ravel().tolist() == [1, 1, 1, 1, 1, 0]


def test_a_changed_category_of_a_found_group_counts_one():
    X = np.hstack([one_hot(0, 1, 2, 1), [[0.1], [0.9], [0.5], [0.4]]])
    space = FeatureSpace(None, X)
    change = distances(space, X, X[[1, 1, 1, 1]])
    np.testing.assert_allclose(change[:, :3].sum(1), [1, 0, 1, 0])


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(handle_unknown="ignore"),
        OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        make_pipeline(
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            StandardScaler(),
        ),
    ],
    ids=["one-hot", "ordinal", "one-hot, scale"],
)
def test_leaving_an_unknown_category_counts_one(encoder):
    X = pd.DataFrame({"x": list("ab" * 90 + "cdefgh")})
    space = FeatureSpace(encoder.fit(X), X)
    change = distances(space, pd.DataFrame({"x": ["z", "z"]}), X[:2])
    assert change.ravel().tolist() == [1, 1]


# ------------------------------------------------------------- awkward transformers


@pytest.mark.parametrize("domain", ["auto", None])
@pytest.mark.parametrize(
    "transformer",
    [StandardScaler(), FunctionTransformer(np.negative, np.negative)],
    ids=["scaled", "negated"],
)
def test_zeros_and_ones_reach_each_other_behind_any_transformer(transformer, domain):
    X = np.array([[0.0], [0.0], [1.0], [0.0]])
    space = FeatureSpace(transformer.fit(X), X)
    constraints = space.constraints(space.rules(domain=domain))
    ends = space.encode(np.array([[0.0], [1.0]]))
    factual = torch.from_numpy(ends)
    far = torch.from_numpy(100 * (ends[::-1] - ends))
    found = constraints.project(factual + far, factual)
    np.testing.assert_allclose(found, ends[::-1], atol=1e-6)


def test_columns_whose_encoding_falls_are_no_group():
    X = np.eye(3)[[0, 1, 2, 0, 1]]
    assert FeatureSpace(StandardScaler().fit(X), X).groups == (Group((0, 1, 2)),)
    negated = FunctionTransformer(np.negative, np.negative).fit(X)
    assert FeatureSpace(negated, X).groups == ()


def test_a_value_beyond_the_range_of_a_bent_encoder_stays():
    X = -(np.random.default_rng(0).exponential(size=(50, 1)) ** 3)
    transformer = PowerTransformer().fit(X)
    space = FeatureSpace(transformer, X)
    beyond = space.encode(X[:3]) + np.float32(1e4)
    assert np.isfinite(space.decode(beyond, X[:3])).all()
    beyond = space.encode(X[:3]) - np.float32(1e4)
    assert np.isfinite(space.decode(beyond, X[:3])).all()


def test_the_column_that_is_too_large_for_float32_is_named():
    X = pd.DataFrame({"small": [1.0, 2.0], "large": [1.0, 1e200]})
    with pytest.raises(ValueError, match="column 'large'"):
        FeatureSpace(None, X).encode(X)


# ------------------------------------------------------------------------- properties


def ranks(column):
    """Numbers and ordered categories as float64, missing values as NaN."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.cat.codes.astype(float).replace(-1.0, np.nan)
    return column.to_numpy(dtype=float, na_value=np.nan)


def assert_mutability(before, after, word):
    """Check one column against its word."""
    if word == "none":
        pd.testing.assert_series_equal(after, before, check_exact=True)
    elif word != "both":
        sign = 1 if word == "increase" else -1
        change = sign * (ranks(after) - ranks(before))
        assert np.nanmin(change, initial=0.0) >= 0


def assert_observed(before, after, ordered):
    """Check that a column stays inside the categories or the range it had."""
    if not ordered:
        assert set(after.dropna()) <= set(before.dropna())
        return
    old, new = ranks(before), ranks(after)
    assert np.nanmin(old) <= np.nanmin(new)
    assert np.nanmax(new) <= np.nanmax(old)


def series(values, missing, dtype):
    """Strategy of lists as columns; the first value is always there."""
    rest = st.one_of(values, st.just(missing)) if missing is not ... else values

    def build(first, others):
        return pd.Series([first, *others], dtype=object).astype(dtype)

    return lambda n: st.builds(
        build, values, st.lists(rest, min_size=n - 1, max_size=n - 1)
    )


PROPERTY = settings(deadline=None, derandomize=True, phases=[Phase.generate])
REAL = st.floats(-1e6, 1e6).map(lambda value: round(value, 4))
KINDS = {
    "real": series(REAL, np.nan, float),
    "real32": series(REAL, np.nan, "float32"),
    "nullable real": series(REAL, pd.NA, "Float64"),
    "whole": series(st.integers(-(10**6), 10**6), ..., "int64"),
    "tiny": series(st.integers(-128, 127), ..., "int8"),
    "nullable whole": series(st.integers(0, 20), pd.NA, "Int64"),
    "flag": series(st.integers(0, 1), ..., "int64"),
    "text": series(st.sampled_from(["a", "b", "ü"]), None, "str"),
    "object": series(st.sampled_from(["a", "b", "c"]), None, object),
    "bool": series(st.booleans(), ..., bool),
    "nullable bool": series(st.booleans(), pd.NA, "boolean"),
    "ordered": series(st.sampled_from(list(SIZES.categories)), None, SIZES),
}
ORDERLESS = ("text", "object", "bool")


@st.composite
def small_tables(draw):
    """A random mixed table, and a mutability that fits it."""
    n = draw(st.integers(2, 8))
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5))
    frame = {f"{i} {kind}": draw(KINDS[kind](n)) for i, kind in enumerate(kinds)}
    mutability = {}
    for name, kind in zip(frame, kinds, strict=True):
        known = ["both", "none"]
        known += [] if kind.endswith(ORDERLESS) else ["increase", "decrease"]
        mutability[name] = draw(st.sampled_from(known))
    return pd.DataFrame(frame).set_axis(range(7, 7 + n)), mutability


@settings(PROPERTY, max_examples=40)
@given(small_tables())
def test_every_table_comes_back_as_it_was(case):
    X, _ = case
    space = auto_space(X)
    assert_same_bits(space.decode(space.encode(X), like=X), X)


@settings(PROPERTY, max_examples=60)
@given(
    small_tables(),
    st.sampled_from(["auto", None]),
    st.integers(0, 1000),
    st.sampled_from([0.3, 30.0]),
)
def test_every_feasible_point_decodes_to_a_row_within_types_and_rules(
    case, domain, seed, spread
):
    X, mutability = case
    space = auto_space(X)
    rules = space.rules(mutability, domain)
    point = feasible(space, X, space.constraints(rules), seed, spread)
    decoded = space.decode(point, X, rules)
    assert list(decoded.dtypes) == list(X.dtypes)
    assert decoded.index.equals(X.index)
    for name in X:
        before, after = X[name], decoded[name]
        ordered = not name.endswith(ORDERLESS)
        assert not (after.isna() & before.notna()).any()
        assert_mutability(before, after, mutability[name])
        if domain == "auto" or not ordered:
            assert_observed(before, after, ordered)


@settings(PROPERTY, max_examples=40)
@given(
    arrays(
        st.sampled_from([np.float32, np.float64, np.int64]),
        array_shapes(min_dims=2, max_dims=4, max_side=4),
        elements=st.integers(-1000, 1000),
    )
)
def test_every_array_comes_back_as_it_was(X):
    space = FeatureSpace(None, X)
    decoded = space.decode(space.encode(X), like=X)
    assert decoded.dtype == X.dtype
    assert decoded.tobytes() == X.tobytes()


@settings(PROPERTY, max_examples=40)
@given(arrays(np.int64, (6, 3), elements=st.integers(-9999, 9999)), st.integers(0, 99))
def test_moved_numbers_decode_to_what_they_encode(X, seed):
    X = X / 64
    space = auto_space(X)
    point = space.encode(X)[np.random.default_rng(seed).permutation(len(X))]
    again = space.encode(space.decode(point, like=X))
    np.testing.assert_allclose(again, point, rtol=1e-5, atol=1e-5)
