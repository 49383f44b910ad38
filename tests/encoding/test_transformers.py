"""Walking through fitted scikit-learn transformers, there and back."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA
from sklearn.feature_selection import VarianceThreshold
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier
from skct.encoding import FeatureSpace
from skct.encoding.transformers import categories, inverse_numeric, sources
from skct.exceptions import SearchWarning
from skct.preprocessing import TableEncoder

NUMBERS, CATEGORIES = ["age", "income"], ["sex", "job", "school"]
ORDER = ["low", "mid", "high"]
LEVELS = pd.CategoricalDtype(ORDER, ordered=True)

NUMERIC = {
    "standard": StandardScaler(),
    "min-max": MinMaxScaler(),
    "max-abs": MaxAbsScaler(),
    "robust": RobustScaler(),
    "quantile": QuantileTransformer(n_quantiles=40),
    "normal quantile": QuantileTransformer(
        n_quantiles=40, output_distribution="normal"
    ),
    "power": PowerTransformer(),
    "box-cox": PowerTransformer(method="box-cox"),
    "log": FunctionTransformer(np.log1p, np.expm1),
    "negative": FunctionTransformer(np.negative, np.negative),
    "passthrough": "passthrough",
    "impute, scale": make_pipeline(SimpleImputer(), StandardScaler()),
    "log, scale": make_pipeline(
        FunctionTransformer(np.log1p, np.expm1), StandardScaler()
    ),
}
CATEGORICAL = {
    "one-hot": OneHotEncoder(sparse_output=False),
    "sparse one-hot": OneHotEncoder(),
    "drop first": OneHotEncoder(drop="first", sparse_output=False),
    "drop if binary": OneHotEncoder(drop="if_binary", sparse_output=False),
    "ordinal": OrdinalEncoder(),
    "impute, one-hot": make_pipeline(
        SimpleImputer(strategy="most_frequent"), OneHotEncoder(sparse_output=False)
    ),
    "one-hot, scale": make_pipeline(
        OneHotEncoder(sparse_output=False), StandardScaler()
    ),
}


@pytest.fixture(scope="module")
def table():
    rng, n = np.random.default_rng(0), 40
    frame = {
        "age": rng.integers(18, 80, n),
        "income": rng.gamma(2.0, 1000.0, n),
        "sex": rng.choice(["f", "m"], n),
        "job": pd.Categorical(rng.choice(["clerk", "cook", "nurse"], n)),
        "school": pd.Series(rng.choice(["a", "b", "c", "ü"], n), dtype=object),
    }
    return pd.DataFrame(frame).set_axis([f"person {i}" for i in range(n)])


def columns(numeric, categorical=CATEGORICAL["one-hot"], **kwargs):
    """The usual ColumnTransformer."""
    parts = [("num", numeric, NUMBERS), ("cat", categorical, CATEGORIES)]
    return ColumnTransformer(parts, **kwargs)


def fitted_space(transformer, X):
    """Space of a clone fitted to X."""
    y = np.arange(len(X)) % 2
    return FeatureSpace(clone(transformer).fit(X, y), X)


def assert_inverts(transformer, X):
    """Unmoved rows keep their bits; rows moved onto others become those."""
    space = fitted_space(transformer, X)
    encoded = space.encode(X)
    pd.testing.assert_frame_equal(space.decode(encoded, like=X), X, check_exact=True)
    order = np.random.default_rng(1).permutation(len(X))
    moved = space.decode(encoded[order], like=X)
    assert list(moved.dtypes) == list(X.dtypes)
    assert moved.index.equals(X.index)
    for column in space.columns:
        expected = X[column.name].iloc[order if column.encoded else slice(None)]
        if column.name == "income":
            np.testing.assert_allclose(moved["income"], expected, rtol=1e-4)
        else:
            assert moved[column.name].tolist() == expected.tolist()
    return space


# --------------------------------------------------------------- transformer x encoder


# Parts of a ColumnTransformer are independent: a cross through the table will do.
PAIRS = [(n, c) for n in NUMERIC for c in ("one-hot", "ordinal")]
PAIRS += [("standard", c) for c in CATEGORICAL]


@pytest.mark.parametrize(("numeric", "categorical"), dict.fromkeys(PAIRS))
def test_transformers_and_encoders_are_inverted(table, numeric, categorical):
    assert_inverts(columns(NUMERIC[numeric], CATEGORICAL[categorical]), table)


@pytest.mark.parametrize("categorical", ["one-hot", "drop first", "ordinal"])
@pytest.mark.parametrize("numeric", ["standard", "impute, scale", "passthrough"])
def test_set_output_makes_no_difference(table, numeric, categorical):
    plain = columns(NUMERIC[numeric], CATEGORICAL[categorical])
    named = clone(plain).set_output(transform="pandas")
    space = assert_inverts(named, table)
    expected = fitted_space(plain, table).encode(table)
    np.testing.assert_array_equal(space.encode(table), expected)
    assert space.encoded_names[0] == "num__age"


@pytest.mark.parametrize(
    "transformer",
    [
        columns(StandardScaler(), OneHotEncoder(drop=["m", "cook", "c"])),
        make_pipeline(columns(StandardScaler()), StandardScaler()),
        make_pipeline(columns(StandardScaler(), sparse_threshold=1.0), MaxAbsScaler()),
        make_pipeline(columns("passthrough"), "passthrough"),
        make_pipeline(make_pipeline(columns(MinMaxScaler())), FunctionTransformer()),
        make_pipeline(columns(StandardScaler()), VarianceThreshold()),
        columns(
            make_pipeline(
                SimpleImputer(),
                ColumnTransformer(
                    [("second", StandardScaler(), [1]), ("first", "passthrough", [0])]
                ),
            )
        ),
        columns("passthrough", transformer_weights={"num": 1.0}),
        columns(StandardScaler(), verbose_feature_names_out=False),
    ],
    ids=[
        "drop given",
        "scaled twice",
        "sparse",
        "passthrough",
        "nested pipelines",
        "selector",
        "nested columns",
        "unit weights",
        "short names",
    ],
)
def test_nested_transformers_are_inverted(table, transformer):
    assert_inverts(transformer, table)


def test_weights_of_parts_are_undone(table):
    weights = {"num": 3.0, "cat": 0.5}
    assert_inverts(columns(StandardScaler(), transformer_weights=weights), table)


def test_frozen_steps_are_inverted(table):
    inner = columns(StandardScaler()).fit(table)
    assert_inverts(make_pipeline(FrozenEstimator(inner)), table)


def test_the_automatic_encoder_may_follow_scikit_learn(table):
    assert_inverts(make_pipeline(columns(StandardScaler()), TableEncoder()), table)


def test_infrequent_categories_stay_unless_they_move(table):
    X = pd.DataFrame({"x": list("aaaabbbbcd")})
    space = fitted_space(OneHotEncoder(min_frequency=3), X)
    encoded = space.encode(X)
    pd.testing.assert_frame_equal(space.decode(encoded, like=X), X)
    encoded[[0, 9]] = encoded[[9, 4]]
    moved = space.decode(encoded, like=X)["x"]
    assert moved[0] in ("c", "d")
    assert moved[9] == "b"


@pytest.mark.parametrize("dtype", ["int64", "uint8", "Int64", "float64", "category"])
def test_numbers_may_be_categories(dtype):
    X = pd.DataFrame({"x": pd.Series([10, 30, 20, 10], dtype=dtype)})
    encoder = ColumnTransformer([("cat", OneHotEncoder(), ["x"])])
    space = fitted_space(encoder, X)
    pd.testing.assert_frame_equal(space.decode(space.encode(X), like=X), X)
    moved = space.decode(space.encode(X)[[1, 2, 3, 0]], like=X)["x"]
    assert moved.dtype == X["x"].dtype
    assert moved.tolist() == [30, 20, 10, 10]


@pytest.mark.parametrize("dtype", ["bool", "boolean", object])
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=repr)
def test_truth_values_may_be_categories(encoder, dtype):
    X = pd.DataFrame({"x": pd.Series([True, False, False], dtype=dtype)})
    space = fitted_space(encoder, X)
    moved = space.decode(space.encode(X)[::-1], like=X)["x"]
    assert moved.dtype == X["x"].dtype
    assert moved.tolist() == [False, False, True]


# --------------------------------------------------------------------- missing values


@pytest.mark.parametrize(
    ("column", "encoder"),
    [
        ([1.0, np.nan, 5.0, 2.0], make_pipeline(SimpleImputer(), StandardScaler())),
        (pd.array([1, pd.NA, 5, 2], dtype="Int64"), SimpleImputer(strategy="median")),
        (["u", None, "v", "w"], OneHotEncoder()),
        (pd.Categorical(["u", None, "v", "w"]), OneHotEncoder()),
        (["u", None, "v", "w"], OrdinalEncoder(encoded_missing_value=-1)),
        (
            pd.Categorical(["u", None, "v", "w"]),
            make_pipeline(
                SimpleImputer(strategy="constant", fill_value="missing"),
                OneHotEncoder(),
            ),
        ),
    ],
    ids=["scaled", "Int64", "one-hot", "categorical", "ordinal", "constant"],
)
def test_missing_values_stay_and_are_never_given(column, encoder):
    X = pd.DataFrame({"x": column})
    space = fitted_space(encoder, X)
    encoded = space.encode(X)
    pd.testing.assert_frame_equal(space.decode(encoded, like=X), X, check_exact=True)
    constraints = space.constraints(space.rules())
    factual, known = torch.from_numpy(encoded), set(X["x"].dropna())
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 3, encoded.shape)
        point = constraints.project(factual + torch.from_numpy(noise).float(), factual)
        point = constraints.discretize(point, factual).numpy()
        moved = space.decode(point, X, space.rules())["x"]
        assert moved[[0, 2, 3]].notna().all()
        if space.columns[0].categories is not None:
            assert set(moved.dropna()) <= known


def test_an_imputed_column_of_text_may_leave_its_missing_value():
    X = pd.DataFrame({"x": ["u", np.nan, "v", "v"]})
    encoder = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
    space = fitted_space(encoder, X)
    moved = space.decode(space.encode(X)[[0, 0, 2, 3]], like=X)["x"]
    assert moved.tolist() == ["u", "u", "v", "v"]


# -------------------------------------------------------------------- column selectors


SELECTORS = {
    "names": (NUMBERS, CATEGORIES),
    "index": (pd.Index(NUMBERS), np.array(CATEGORIES)),
    "positions": ([0, 1], [2, 3, 4]),
    "negative positions": ([-5, -4], [-3, -2, -1]),
    "slices": (slice(0, 2), slice(2, None)),
    "slices of names": (slice("age", "income"), slice("sex", None)),
    "masks": ([True, True, False, False, False], np.array([0, 0, 1, 1, 1], bool)),
    "callables": (lambda X: NUMBERS, lambda X: [2, 3, 4]),
    "column selectors": (
        make_column_selector(dtype_include="number"),
        make_column_selector(dtype_exclude="number"),
    ),
    "pattern": (
        make_column_selector(pattern="age|income"),
        make_column_selector(pattern="^[sj]"),
    ),
    "other order": (["income", "age"], ["school", "sex", "job"]),
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_selectors_of_all_kinds_are_resolved(table, selector):
    numbers, texts = SELECTORS[selector]
    one_hot = OneHotEncoder(sparse_output=False)
    parts = [("cat", one_hot, texts), ("num", StandardScaler(), numbers)]
    assert_inverts(ColumnTransformer(parts), table)


def test_selectors_that_find_nothing_are_skipped(table):
    parts = [
        ("num", StandardScaler(), NUMBERS),
        ("dates", StandardScaler(), make_column_selector(dtype_include="datetime")),
        ("cat", OneHotEncoder(), CATEGORIES),
    ]
    assert_inverts(ColumnTransformer(parts), table)


@pytest.mark.parametrize("remainder", ["passthrough", RobustScaler()], ids=repr)
def test_the_remainder_is_inverted(table, remainder):
    parts = [("cat", OneHotEncoder(sparse_output=False), CATEGORIES)]
    assert_inverts(ColumnTransformer(parts, remainder=remainder), table)


def test_dropped_columns_are_copied(table):
    parts = [("num", StandardScaler(), ["income"]), ("drop", "drop", ["sex"])]
    space = assert_inverts(ColumnTransformer(parts), table)
    assert [column.encoded for column in space.columns] == [(), (0,), (), (), ()]


def test_columns_that_a_selector_removes_are_copied(table):
    X = table.assign(income=5.0)[NUMBERS]
    space = assert_inverts(make_pipeline(VarianceThreshold(), StandardScaler()), X)
    assert [column.encoded for column in space.columns] == [(0,), ()]


def test_arrays_are_inverted_by_position():
    X = np.random.default_rng(0).normal(size=(9, 3))
    parts = [("last", MinMaxScaler(), [2]), ("first", StandardScaler(), [0])]
    space = fitted_space(ColumnTransformer(parts, remainder="passthrough"), X)
    encoded = space.encode(X)
    assert space.decode(encoded, like=X).tobytes() == X.tobytes()
    np.testing.assert_allclose(space.decode(encoded[::-1], X), X[::-1], rtol=1e-5)


# --------------------------------------------------------------- sources and categories


def test_sources_lead_each_output_back_to_its_column(table):
    fitted = make_pipeline(columns(StandardScaler()), StandardScaler()).fit(table)
    n_categories = [table[name].nunique() for name in CATEGORIES]
    expected = np.repeat(range(5), [1, 1, *n_categories])
    assert sources(fitted, 5) == [(i,) for i in expected]


def test_categories_are_those_of_the_encoder(table):
    known = categories(columns(StandardScaler()).fit(table), 5)
    assert sorted(known) == [2, 3, 4]
    assert known[3] == (("clerk", "cook", "nurse"), False)


CONSTANT = SimpleImputer(strategy="constant", fill_value="?")


@pytest.mark.parametrize(
    "imputer",
    [
        CONSTANT,
        make_pipeline(CONSTANT),
        ColumnTransformer([("constant", CONSTANT, [0])], remainder="passthrough"),
        "frozen",
    ],
    ids=["alone", "in a pipeline", "in a ColumnTransformer", "frozen"],
)
def test_what_a_constant_imputer_fills_in_is_no_category(imputer):
    X = np.array([["a", "u"], [np.nan, "v"], ["b", "u"]], dtype=object)
    if imputer == "frozen":
        imputer = FrozenEstimator(clone(CONSTANT).fit(X))
    pipe = make_pipeline(imputer, OneHotEncoder(sparse_output=False)).fit(X)
    assert categories(pipe, 2) == {0: (("a", "b"), False), 1: (("u", "v"), False)}
    space = FeatureSpace(pipe, X)
    assert space.columns[0].categories == ("a", "b")
    assert space.decode(space.encode(X), like=X).tolist()[0] == ["a", "u"]


def test_a_given_order_of_ordinal_codes_is_an_order():
    X = pd.DataFrame({"x": ORDER})
    assert categories(OrdinalEncoder(categories=[ORDER]).fit(X), 1)[0] == (
        tuple(ORDER),
        True,
    )
    for encoder in (OrdinalEncoder(), OneHotEncoder(categories=[ORDER])):
        assert categories(encoder.fit(X), 1)[0][1] is False


def test_the_inverse_leaves_categories_open(table):
    fitted = columns(StandardScaler()).fit(table)
    raw = inverse_numeric(fitted, fitted.transform(table), 5)
    np.testing.assert_allclose(raw[:, :2], table[NUMBERS])
    assert np.isnan(raw[:, 2:]).all()


# ------------------------------------------------------------------ direction and order


def wander(space, X, rules, seeds=range(5)):
    """Yield decoded random points that satisfy the constraints."""
    constraints = space.constraints(rules)
    factual = torch.from_numpy(space.encode(X))
    for seed in seeds:
        noise = np.random.default_rng(seed).normal(0, 3, factual.shape)
        point = constraints.project(factual + torch.from_numpy(noise).float(), factual)
        yield space.decode(constraints.discretize(point, factual).numpy(), X, rules)


@pytest.mark.parametrize("numeric", ["negative", "standard", "quantile", "log"])
def test_one_way_words_and_bounds_mean_raw_units(table, numeric):
    space = fitted_space(columns(NUMERIC[numeric]), table)
    rules = space.rules({"age": "increase", "income": "decrease"}, {"age": (20, 60)})
    high, moved = np.maximum(table["age"], 60), 0
    for decoded in wander(space, table, rules):
        assert (decoded["age"] >= table["age"]).all()
        assert (decoded["age"] <= high).all()
        assert (decoded["income"] <= table["income"]).all()
        moved += (decoded[NUMBERS] != table[NUMBERS]).to_numpy().sum()
    assert moved > 50


@pytest.mark.parametrize(
    "encoder",
    [
        TableEncoder(),
        OneHotEncoder(categories=[ORDER]),
        OneHotEncoder(categories=[ORDER], drop="first"),
        OrdinalEncoder(categories=[ORDER]),
        make_pipeline(OneHotEncoder(categories=[ORDER], sparse_output=False)),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("word", "sign"), [("increase", 1), ("decrease", -1)])
def test_one_way_words_follow_the_declared_order(encoder, word, sign):
    X = pd.DataFrame({"x": pd.Categorical(ORDER, dtype=LEVELS)})
    space = fitted_space(encoder, X)
    seen = set()
    for decoded in wander(space, X, space.rules({"x": word}), range(20)):
        change = sign * (decoded["x"].cat.codes - X["x"].cat.codes)
        assert (change >= 0).all()
        seen |= set(change)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize(
    "encoder",
    [
        OneHotEncoder(),  # sorts: high, low, mid
        OneHotEncoder(drop="first"),
        OneHotEncoder(categories=[ORDER], drop=["mid"]),
        OrdinalEncoder(),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("word", "sign"), [("increase", 1), ("decrease", -1)])
def test_an_encoder_in_another_order_obeys_one_way_words_or_refuses(
    encoder, word, sign
):
    X = pd.DataFrame({"x": pd.Categorical(ORDER, dtype=LEVELS)})
    space = fitted_space(encoder, X)
    try:
        rules = space.rules({"x": word})
    except ValueError as error:
        assert "order" in str(error)  # noqa: PT017
        return
    for decoded in wander(space, X, rules, range(20)):
        assert (sign * (decoded["x"].cat.codes - X["x"].cat.codes) >= 0).all()


# --------------------------------------------------------------- awkward but invertible


@pytest.mark.parametrize(
    "transformer",
    [
        PowerTransformer(method="box-cox"),
        FunctionTransformer(np.log, np.exp),
        FunctionTransformer(np.reciprocal, np.reciprocal),
    ],
    ids=repr,
)
def test_transformers_defined_above_zero_are_never_asked_below(transformer):
    X = pd.DataFrame({"x": [0.3, 0.5, 2.0, 3.0]})
    space = fitted_space(transformer, X)
    moved = space.decode(space.encode(X)[::-1], like=X)
    np.testing.assert_allclose(moved["x"], X["x"][::-1], rtol=1e-5)


CLIPPING = [QuantileTransformer(n_quantiles=30), MinMaxScaler(clip=True)]


@pytest.mark.parametrize("transformer", CLIPPING, ids=repr)
def test_a_row_outside_the_training_range_moves_to_the_point_found(transformer):
    X = pd.DataFrame({"x": np.linspace(0, 50, 30)})
    space = fitted_space(transformer, X)
    outlier = pd.DataFrame({"x": [100.0]})
    assert space.decode(space.encode(outlier), like=outlier).equals(outlier)
    moved = space.decode(np.array([[0.8]]), like=outlier)
    assert moved["x"][0] == pytest.approx(40.0)


@pytest.mark.parametrize("transformer", CLIPPING, ids=repr)
def test_rows_outside_the_training_range_do_not_count_as_lossy(transformer):
    X = pd.DataFrame({"x": np.linspace(0, 50, 30)})
    fitted = clone(transformer).fit(X)
    space = FeatureSpace(fitted, pd.DataFrame({"x": [100.0, 20.0]}), learn=False)
    assert space.encode(X).max() == pytest.approx(1.0)


# ------------------------------------------------------------------------------ refused


REFUSED = [
    PCA(2),
    KBinsDiscretizer(3, quantile_method="averaged_inverted_cdf"),
    PolynomialFeatures(2),
    SplineTransformer(),
    Normalizer(),
    Binarizer(),
    FunctionTransformer(np.log1p),
    SimpleImputer(add_indicator=True),
    FeatureUnion([("a", StandardScaler()), ("b", MinMaxScaler())]),
]


@pytest.mark.parametrize("step", REFUSED, ids=lambda step: type(step).__name__)
def test_steps_without_an_inverse_are_named_with_the_remedy(table, step):
    X = table.assign(income=table["income"].where(table["age"] > 20))
    X = X if isinstance(step, SimpleImputer) else table
    name = type(step).__name__
    part = make_pipeline("passthrough", step)
    message = rf"{name} \(.*step 'num', step '{name.lower()}'.*Replace it"
    with pytest.raises(ValueError, match=message):
        fitted_space(columns(part), X)


def test_target_encoder_is_named_with_the_remedy(table):
    with pytest.raises(ValueError, match="TargetEncoder .*step 'cat'.*Replace it"):
        fitted_space(columns(StandardScaler(), TargetEncoder(cv=2)), table)


def test_a_whole_table_mixed_into_components_is_refused(table):
    with pytest.raises(ValueError, match=r"PCA \(preprocessor, step 'pca'\)"):
        fitted_space(make_pipeline(StandardScaler(), PCA(2)), table[NUMBERS])


def test_an_inverse_that_is_none_is_found_out(table):
    rounding = FunctionTransformer(
        lambda X: np.round(X, -2), lambda X: X, check_inverse=False
    )
    with pytest.raises(ValueError, match="loses information about column 'age'"):
        fitted_space(columns(rounding), table)


def test_a_number_that_feeds_two_outputs_is_refused_by_name(table):
    parts = [("a", StandardScaler(), NUMBERS), ("b", MinMaxScaler(), ["age"])]
    with pytest.raises(ValueError, match="'age' feeds 2 columns"):
        fitted_space(ColumnTransformer(parts), table)


def test_a_category_that_feeds_two_encoders_is_refused_by_name(table):
    parts = [("a", OneHotEncoder(), CATEGORIES), ("b", OrdinalEncoder(), ["job"])]
    with pytest.raises(ValueError, match="'job'"):
        fitted_space(ColumnTransformer(parts), table)


def test_categories_passed_through_as_numbers_are_refused_by_name():
    X = pd.DataFrame({"x": pd.Categorical([1, 2, 3])})
    with pytest.raises(ValueError, match="'x' holds categories"):
        fitted_space(ColumnTransformer([("keep", "passthrough", ["x"])]), X)


# ------------------------------------------------------------------------- vectorisers


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    n = 200
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "job": rng.choice(["clerk", "cook", "nurse"], n),
            "sex": rng.choice(["f", "m"], n),
            "income": rng.lognormal(3, 0.5, n),
            "married": rng.random(n) < 0.5,
            "empty": np.nan,
        }
    )
    X.loc[3, "income"] = np.nan
    X.loc[5, "job"] = None
    score = X["income"].fillna(20) / 10 + (X["job"] == "nurse") + X["married"]
    return X, np.where(score > 3.3, "approved", "denied")


def vectorized(**params):
    skrub = pytest.importorskip("skrub")
    clf = CounterfactualTrainingClassifier(random_state=0)
    clf.set_params(net__max_epochs=15, net__lr=0.01)
    steps = SimpleImputer(), StandardScaler()
    return make_pipeline(skrub.TableVectorizer(**params), *steps, clf)


@pytest.mark.parametrize(
    "params",
    [{}, {"low_cardinality": OrdinalEncoder()}, {"low_cardinality": "drop"}],
    ids=["one-hot", "ordinal", "drop"],
)
def test_a_table_vectorizer_is_explained_in_raw_columns(people, params):
    X, y = people
    pipe = vectorized(**params).fit(X, y)
    explainer = CounterfactualExplainer(pipe, mutability={"age": "none"})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = explainer.explain(X[:40])
    table = answer.counterfactual
    assert list(table.dtypes) == list(X.dtypes)
    assert answer.valid.mean() > 0.8
    valid = answer.valid
    np.testing.assert_array_equal(
        pipe.predict(table)[valid], answer.target[valid].astype(object)
    )
    pd.testing.assert_series_equal(table["age"], X["age"][:40])
    assert set(table["job"].dropna()) <= {"clerk", "cook", "nurse"}
    assert set(table["sex"]) <= {"f", "m"}
    changed = set(answer.changes()["feature"])
    assert "income" in changed
    assert "empty" not in changed
    assert params.get("low_cardinality") != "drop" or not changed & {"job", "sex"}


def test_a_column_that_a_vectorizer_cannot_give_back_is_named(people):
    X, y = people
    X = X.assign(day=pd.date_range("2020", periods=len(X)))
    pipe = vectorized().fit(X, y)
    with pytest.raises(ValueError, match="DatetimeEncoder.*column 'day'"):
        CounterfactualExplainer(pipe).explain(X[:3])


def test_bools_behind_a_scaler_are_searched_as_yes_or_no():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=300), "m": rng.random(300) < 0.5})
    y = (X["a"] + 2 * X["m"] > 1).astype(int)
    clf = CounterfactualTrainingClassifier(random_state=0)
    pipe = make_pipeline(StandardScaler(), clf.set_params(net__lr=0.01)).fit(X, y)
    reachable = X[X["a"].between(-0.7, 0.7)][:40]
    answer = CounterfactualExplainer(pipe, mutability={"a": "none"}).explain(reachable)
    assert answer.valid.all()
    assert answer.counterfactual["m"].dtype == bool
    assert (answer.counterfactual["m"] != reachable["m"]).all()


def test_a_category_of_one_value_that_its_encoder_drops_keeps_its_type():
    X = pd.DataFrame({"age": [1.5, 2.0], "job": np.array(["cook"] * 2, dtype=object)})
    encoder = OneHotEncoder(drop="first", handle_unknown="ignore")
    columns = ColumnTransformer([("job", encoder, ["job"])], remainder="passthrough")
    space = FeatureSpace(columns.fit(X), X)
    assert space.encode(X).tolist() == [[1.5], [2.0]]
    model = quick(epochs=60, preprocessor=columns).fit(X, [0, 1])
    answer = model.explain(X, confidence=0.5)  # two rows teach no more
    assert answer.valid.all()
    assert list(answer.counterfactual["job"]) == ["cook"] * 2
