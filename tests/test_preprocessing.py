"""`TableEncoder`: what each kind of raw column becomes."""

import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder, RobustScaler

from skct.exceptions import ColumnWarning, ImputationWarning
from skct.preprocessing import (
    BOUND,
    MAX_CATEGORIES,
    CategoryColumn,
    NumericColumn,
    TableEncoder,
    bend,
    unbend,
    unbend_slope,
)

LETTERS = ["b", "a", "c", "a", "b", "b"]
FLAGS = [True, False, True, True, False, True]
SIZES = pd.CategoricalDtype(["small", "medium", "large"], ordered=True)


ONE = bend(np.float64(1), BOUND)  # one interquartile range


def encode(column, **more):
    """Encode a table of one column called x."""
    return TableEncoder().fit_transform(pd.DataFrame({"x": column, **more}))


def robust(X):
    """The same scaling by scikit-learn, which leaves out the bend."""
    z = RobustScaler().fit_transform(np.asarray(X, dtype=float))
    return z / np.sqrt(1 + (z / 3) ** 2)


def fit_quietly(table):
    """Fit where a missing value is beside the point."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImputationWarning)
        return TableEncoder().fit(table)


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("as_frame", [False, True])
def test_numbers_are_scaled_as_by_robust_scaler_and_bent(as_frame):
    X = np.random.default_rng(0).normal(50.0, [1e-3, 1.0, 1e6], size=(40, 3))
    table = pd.DataFrame(X, columns=list("abc")) if as_frame else X
    np.testing.assert_allclose(TableEncoder().fit_transform(table), robust(X))


def test_new_rows_are_scaled_by_the_training_rows():
    encoder = TableEncoder().fit(pd.DataFrame({"x": [0.0, 4.0]}))
    # Median 2, IQR 2: 8 is 3 IQRs out, and 3 / sqrt(1 + 1) from 0 once it is bent.
    np.testing.assert_allclose(encoder.transform([[8.0]]), [[3 / np.sqrt(2)]])


def test_where_most_values_are_equal_the_standard_deviation_is_the_scale():
    counts = np.array([0.0] * 90 + [98.0] * 10)
    (column,) = TableEncoder().fit(counts[:, None]).columns_
    assert (column.center, column.scale) == (0.0, pytest.approx(counts.std()))


def test_where_a_value_is_absurdly_far_the_standard_deviation_is_the_scale():
    values = np.append(np.arange(99.0), 1e12)
    encoder = TableEncoder().fit(values[:, None])
    assert encoder.columns_[0].scale == pytest.approx(values.std())
    back = encoder.inverse_numeric(encoder.transform(values[:, None]))[:, 0]
    np.testing.assert_allclose(back, values, atol=1e-3)


@pytest.mark.parametrize("size", [1e-12, 1e-3, 1.0, 1e5, 1e12, 1e200])
@pytest.mark.parametrize("tail", [1.0, 3.0])
def test_the_inverse_gives_numbers_of_every_size_and_tail_back(size, tail):
    values = size * np.random.default_rng(0).standard_normal((500, 1)) ** (2 * tail - 1)
    encoder = TableEncoder().fit(values)
    encoded = encoder.transform(values)
    assert np.abs(encoded).max() < BOUND
    assert (encoded[values.argsort(0)[:, 0]].ravel() == np.sort(encoded.ravel())).all()
    back = encoder.inverse_numeric(encoded)
    np.testing.assert_allclose(back, values, rtol=1e-6, atol=1e-9 * size)


def test_far_outside_encodings_are_bounded_and_their_inverse_is_finite():
    encoder = TableEncoder().fit(np.arange(9.0)[:, None])
    encoded = encoder.transform([[1e300], [-1e300]])
    np.testing.assert_allclose(encoded, [[BOUND], [-BOUND]])
    beyond = np.array([[BOUND], [7.0], [-BOUND], [-7.0]])
    raw = encoder.inverse_numeric(beyond)[:, 0]
    assert np.isfinite(raw).all()
    assert (raw * np.sign(beyond[:, 0]) > 1e6).all()


def test_a_column_without_bound_is_shifted_and_scaled_only():
    column = NumericColumn("x", 2.0, 4.0, 0.0)  # as in files of the first version
    np.testing.assert_array_equal(column.encode([2.0, 10.0, -6.0])[:, 0], [0, 2, -2])


def test_the_slope_of_the_inverse_is_its_difference_quotient():
    u, step = np.linspace(-2.9, 2.9, 31), 1e-6
    for bound in (BOUND, np.inf):
        quotient = (unbend(u + step, bound) - unbend(u - step, bound)) / (2 * step)
        np.testing.assert_allclose(unbend_slope(u, bound), quotient, rtol=1e-6)
        np.testing.assert_allclose(bend(unbend(u, bound), bound), u, rtol=1e-12)


@pytest.mark.parametrize("dtype", [int, float, "uint8", "Int64", "Float64", object])
def test_columns_of_zeros_and_ones_stay_as_they_are(dtype):
    values = [0, 1, 1, 0, 1]
    np.testing.assert_array_equal(encode(pd.Series(values, dtype=dtype))[:, 0], values)


def test_a_third_value_ends_the_exception_for_zeros_and_ones():
    assert encode([0, 1, 2]).min() < 0


@pytest.mark.parametrize(
    "values", [[Decimal("3"), Decimal("1.5")], [3, 1.5, 2], [3, 1, 2], [3, "1.5", 2]]
)
def test_object_columns_that_convert_to_numbers_are_numeric(values):
    expected = robust(np.array(values, float)[:, None])
    np.testing.assert_allclose(encode(pd.Series(values, dtype=object)), expected)


@pytest.mark.parametrize("dtype", ["Int64", "Float64", "Int8", "float32", "int16"])
def test_numeric_types_encode_alike(dtype):
    values = [5, 1, 2, 7]
    expected = robust(np.array(values, float)[:, None])
    np.testing.assert_allclose(encode(pd.Series(values, dtype=dtype)), expected)


@pytest.mark.parametrize("value", [5.0, 0.1, 1e9 / 3, -7])
def test_constant_numbers_encode_as_zero(value):
    encoder = TableEncoder().fit(pd.DataFrame({"x": [value] * 7}))
    assert abs(encoder.transform([[value]])[0, 0]) < 1e-6
    assert encoder.transform([[value + 1]])[0, 0] == pytest.approx(ONE)


def test_inverse_gives_numbers_back_and_leaves_categories_open():
    table = pd.DataFrame({"a": [3, 8, 1], "b": ["x", "y", "x"], "c": [0.5, 7, -2]})
    encoder = TableEncoder().fit(table)
    raw = encoder.inverse_numeric(encoder.transform(table))
    np.testing.assert_allclose(raw[:, [0, 2]], table[["a", "c"]])
    assert np.isnan(raw[:, 1]).all()


# ------------------------------------------------------------------------- categories


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(LETTERS, dtype="str"),
        pd.Series(LETTERS, dtype=object),
        pd.Series(LETTERS, dtype="string"),
        pd.Series(LETTERS, dtype="category"),
        pd.Series(FLAGS, dtype=bool),
        pd.Series(FLAGS, dtype="boolean"),
        pd.Series(FLAGS, dtype=object),
        pd.Series([30, 10, 20, 10], dtype="category"),
    ],
    ids=lambda column: f"{column.dtype}-{column.iloc[0]}",
)
def test_categories_are_encoded_as_by_one_hot_encoder(column):
    table = pd.DataFrame({"x": column})
    peer = OneHotEncoder(sparse_output=False)
    np.testing.assert_array_equal(encode(column), peer.fit_transform(table))


def test_encoded_columns_are_named_as_by_one_hot_encoder():
    table = pd.DataFrame({"letter": LETTERS, "flag": FLAGS})
    names = TableEncoder().fit(table).get_feature_names_out()
    assert list(names) == list(OneHotEncoder().fit(table).get_feature_names_out())


def test_ordered_categories_keep_the_declared_order():
    column = pd.Series(["large", "small", "medium", "small"], dtype=SIZES)
    (learnt,) = TableEncoder().fit(pd.DataFrame({"x": column})).columns_
    assert learnt == CategoryColumn("x", ("small", "medium", "large"), True, 0)
    peer = OneHotEncoder(categories=[list(SIZES.categories)], sparse_output=False)
    expected = peer.fit_transform(column.to_frame())
    np.testing.assert_array_equal(encode(column), expected)


def test_declared_categories_without_a_row_get_no_column():
    column = pd.Series(["large", "small"], dtype=SIZES)
    (learnt,) = TableEncoder().fit(pd.DataFrame({"x": column})).columns_
    assert learnt.categories == ("small", "large")


def test_unknown_categories_are_all_zero():
    encoder = TableEncoder().fit(pd.DataFrame({"x": LETTERS, "n": range(6)}))
    new = encoder.transform(pd.DataFrame({"x": ["z", "a"], "n": [0, 0]}))
    np.testing.assert_array_equal(new[:, :3], [[0, 0, 0], [1, 0, 0]])


def test_a_constant_category_is_one_column_of_ones():
    np.testing.assert_array_equal(encode(["same"] * 3), np.ones((3, 1)))


def test_arrays_of_objects_are_read_column_by_column():
    X = np.array([["f", 30], ["m", 50]], dtype=object)
    end = ONE
    expected = [[1, 0, -end], [0, 1, end]]
    np.testing.assert_allclose(TableEncoder().fit_transform(X), expected)


def test_encoded_columns_stand_in_the_order_of_the_table():
    table = pd.DataFrame({"n": [1, 2], "c": ["u", "v"], "b": [True, False]})
    encoder = TableEncoder().fit(table[["b", "n", "c"]])
    expected = ["b_False", "b_True", "n", "c_u", "c_v"]
    assert list(encoder.get_feature_names_out()) == expected
    assert encoder.sources_ == [0, 0, 1, 2, 2]


# --------------------------------------------------------------------- missing values


@pytest.mark.parametrize(
    ("column", "filled"),
    [
        (pd.Series([1.0, np.nan, 2.0, 6.0]), 2.0),
        (pd.Series([1.0, pd.NA, 2.0, 6.0], dtype="Float64"), 2.0),
        (pd.Series([1, pd.NA, 2, 6], dtype="Int64"), 2),
        (pd.Series([1, None, 2, 6], dtype=object), 2),
        (pd.Series([1, pd.NA, 2, 6], dtype=object), 2),
        (pd.Series([1, np.nan, 2, 6], dtype=object), 2),
        (pd.Series([1.0, np.nan, 1.0, 0.0]), 1.0),
        (pd.Series(["a", None, "b", "b"], dtype=object), "b"),
        (pd.Series(["a", np.nan, "b", "b"], dtype="str"), "b"),
        (pd.Series(["a", pd.NA, "b", "b"], dtype="string"), "b"),
        (pd.Series(["a", None, "b", "b"], dtype="category"), "b"),
        (pd.Series([True, pd.NA, False, False], dtype="boolean"), False),
        (pd.Series([True, None, False, False], dtype=object), False),
    ],
    ids=lambda value: getattr(value, "dtype", value),
)
def test_missing_values_count_as_median_or_most_frequent_category(column, filled):
    table = pd.DataFrame({"x": column})
    with pytest.warns(ImputationWarning) as caught:
        encoder = TableEncoder().fit(table)
    assert len(caught) == 1
    whole = column.astype(object)
    whole[1] = filled
    expected = encoder.transform(pd.DataFrame({"x": whole.astype(column.dtype)}))
    np.testing.assert_array_equal(encoder.transform(table), expected)
    assert np.isfinite(expected).all()


def test_one_warning_counts_the_missing_values_of_all_columns():
    table = pd.DataFrame({"a": [1, None, None, 3.0], "b": [None, "u", "v", "v"]})
    with pytest.warns(ImputationWarning, match=r"2 of 2 .*'a', 'b'") as log:
        TableEncoder().fit(table)
    assert len(log) == 1


def test_missing_values_of_new_rows_are_imputed_without_a_word():
    encoder = TableEncoder().fit(pd.DataFrame({"a": [1.0, 3.0, 8.0], "b": list("uvv")}))
    new = pd.DataFrame({"a": [np.nan, 3.0], "b": [None, "v"]})
    first, second = encoder.transform(new)  # a warning would be an error here
    np.testing.assert_array_equal(first, second)


def test_missing_values_in_arrays_are_imputed():
    with pytest.warns(ImputationWarning):
        encoded = TableEncoder().fit_transform(np.array([[1.0], [np.nan], [5.0]]))
    end = ONE
    np.testing.assert_allclose(encoded, [[-end], [0.0], [end]])


# ----------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ([np.nan, np.nan], "'x' holds no value at all"),
        (pd.Series([None, None], dtype=object), "'x' holds no value at all"),
        (pd.to_datetime(["2020-01-01", "2021-01-01"]), "'x' has the type datetime64"),
        (pd.to_timedelta([1, 2], unit="D"), "'x' has the type timedelta64"),
        ([1.0, 1j], "'x' has the type complex128"),
        ([1.0, np.inf], "'x' contains infinity"),
        (pd.Series([1.0, -np.inf], dtype=object), "'x' contains infinity"),
        (pd.array([1.0, np.inf], dtype="Float64"), "'x' contains infinity"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_columns_that_cannot_be_encoded_raise_by_name(column, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder().fit(pd.DataFrame({"x": column, "fine": [1, 2]}))


def test_an_identifier_column_raises_and_one_category_less_does_not():
    names = [f"person {i}" for i in range(MAX_CATEGORIES + 1)]
    with pytest.raises(ValueError, match="'x' holds 1,001 different categories"):
        TableEncoder().fit(pd.DataFrame({"x": names}))
    with pytest.warns(ColumnWarning, match="A name or an identifier"):
        assert encode(names[:-1]).shape == (MAX_CATEGORIES, MAX_CATEGORIES)


def test_text_in_a_column_that_was_numeric_raises_by_name():
    encoder = TableEncoder().fit(pd.DataFrame({"x": [1, 2], "y": [3, 4]}))
    with pytest.raises(ValueError, match="'y' is a number to the model"):
        encoder.transform(pd.DataFrame({"x": [1], "y": ["four"]}))


@pytest.mark.parametrize("as_frame", [False, True])
def test_infinity_in_new_rows_raises(as_frame):
    X = np.array([[1.0, 2.0], [3.0, 5.0]])
    encoder = TableEncoder().fit(X)
    new = np.array([[1.0, np.inf]])
    with pytest.raises(ValueError, match="infinity"):
        encoder.transform(pd.DataFrame(new) if as_frame else new)


@pytest.mark.parametrize("as_frame", [False, True])
def test_another_number_of_columns_raises(as_frame):
    encoder = TableEncoder().fit(np.array([[1.0, 2.0], [3.0, 5.0]]))
    new = np.array([[1.0], [2.0]])
    with pytest.raises(ValueError):
        encoder.transform(pd.DataFrame(new) if as_frame else new)


# ------------------------------------------------------------------- names and manners


def test_names_may_be_non_ascii():
    table = pd.DataFrame({"Größe": [1.6, 1.8], "出身": ["京都", "Köln"]})
    names = TableEncoder().fit(table).get_feature_names_out()
    assert list(names) == ["Größe", "出身_Köln", "出身_京都"]


def test_columns_of_the_same_name_are_kept_apart():
    table = pd.DataFrame([[1, "u", 5.0], [3, "v", 7.0]], columns=["x", "x", "x"])
    encoded = TableEncoder().fit_transform(table)
    end = ONE
    np.testing.assert_allclose(encoded, [[-end, 1, 0, -end], [end, 0, 1, end]])


def test_sparse_tables_encode_like_dense_ones():
    X = np.array([[0.0, 2.0], [4.0, 0.0], [0.0, 0.0]])
    encoded = TableEncoder().fit_transform(sparse.csr_matrix(X))
    np.testing.assert_array_equal(encoded, TableEncoder().fit_transform(X))


def test_set_output_names_the_encoded_columns():
    table = pd.DataFrame({"n": [1, 2], "c": ["u", "v"]}, index=["p", "q"])
    encoded = TableEncoder().set_output(transform="pandas").fit_transform(table)
    assert list(encoded.columns) == ["n", "c_u", "c_v"]
    assert list(encoded.index) == ["p", "q"]


def test_the_table_itself_is_not_changed():
    table = pd.DataFrame({"n": [1.0, np.nan], "c": ["u", None]})
    before = table.copy(deep=True)
    fit_quietly(table).transform(table)
    pd.testing.assert_frame_equal(table, before)


def test_a_clone_has_learnt_nothing():
    encoder = TableEncoder().fit(np.eye(3))
    assert not hasattr(clone(encoder), "columns_")


def test_what_differs_by_rounding_only_is_constant():
    stamp = 2.0**60 + 256 * np.random.default_rng(0).integers(0, 8, 50)
    encoded = TableEncoder().fit_transform(stamp[:, None])
    assert np.abs(encoded).max() < 1
