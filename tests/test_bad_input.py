"""A catalogue of bad input: what is done, what is raised, what the message has to say.

Every message names the parameter, the value and the remedy; nothing half-fitted stays
behind, nothing that was passed is changed, and no global random state moves.
"""

import copy
import datetime
import pickle
import random
import traceback
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    Normalizer,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skct import (
    MLP,
    Constraints,
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
    GenericGenerator,
    GravitationalGenerator,
    REVISEGenerator,
    attribution,
    datasets,
    metrics,
    plotting,
    robustness,
    scoring,
    search,
)
from skct.constraints import Group
from skct.testing import check_generator

# ------------------------------------------------------------------- what is shared


class Case(NamedTuple):
    """One slip: its name, what is done, words of the message, type of the error."""

    name: str
    do: object
    words: tuple
    error: type = ValueError


def table(cases):
    """Parametrise a test over cases, with their names as ids."""
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


class Linear(nn.Module):
    """Two inputs, two logits, and something done to them."""

    def __init__(self, spoil=lambda logits: logits):
        super().__init__()
        self.inner, self.spoil = nn.Linear(2, 2), spoil

    def forward(self, x):
        return self.spoil(self.inner(x))


def two_logits(x):
    return torch.cat([-x[:, :1], x[:, :1]], dim=1)


@pytest.fixture(scope="module")
def w():
    """The world that all cases share; nobody may change it."""
    X, y = people(60)
    numbers = X[["age", "income"]].to_numpy(dtype=float)
    Z = (numbers - numbers.mean(0)) / numbers.std(0)
    clf = quick(epochs=2).fit(X, y)
    raw = quick(epochs=2, preprocessor=None).fit(Z, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = clf.explain(X[:4])
    return SimpleNamespace(
        X=X,
        y=y,
        numbers=numbers,
        Z=Z,
        codes=np.searchsorted(clf.classes_, y),
        clf=clf,
        raw=raw,
        answer=answer,
        explainer=CounterfactualExplainer(clf, random_state=0).fit(X, y),
        proba=clf.predict_proba(X),
        raw_proba=raw.predict_proba(Z),
    )


def global_random_state():
    state = np.random.get_state()  # noqa: NPY002
    of_torch = torch.get_rng_state().numpy().tobytes()
    return pickle.dumps((state, random.getstate())), of_torch


def refused(case, call):
    """Check that a call fails in the right way, and leaves no trace outside."""
    before = global_random_state()
    with pytest.raises(case.error) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is case.error, message
    missing = [word for word in case.words if word not in message]
    assert not missing, f"{missing} not in: {message}"
    where = traceback.extract_tb(caught.value.__traceback__)[-1].filename
    at_home = ("skct", "sklearn", "test_bad_input")
    assert any(name in where for name in at_home) or case.error is TypeError, where
    assert global_random_state() == before


def fitted_attributes(estimator):
    """What a fit has left: n_features_in_, net_, _learnt, ..."""
    known = set(estimator.get_params(deep=False))
    return {name for name in vars(estimator) if name not in known}


# ------------------------------------------------- classifier: constructor parameters


def given(name, params, *words):
    return Case(name, params, words)


PARAMETERS = [
    given("net of another kind", {"net": "mlp"}, "'net'", "'mlp'", "skorch"),
    given("net class", {"net": CounterfactualNet}, "'net'", "CounterfactualNet or a"),
    given("lr word", {"net__lr": "fast"}, "'lr'", "'fast'", "[0, 1e+38]"),
    given("lr negative", {"net__lr": -1}, "'lr'", "-1", "[0, 1e+38]"),
    given("epochs fraction", {"net__max_epochs": 2.5}, "'max_epochs'", "2.5", ">= 0"),
    given("epochs negative", {"net__max_epochs": -1}, "'max_epochs'", "-1", ">= 0"),
    given("batch of none", {"net__batch_size": 0}, "'batch_size'", "Got 0", ">= 1"),
    given("batch word", {"net__batch_size": "all"}, "'batch_size'", "'all'", ">= 1"),
    given("module number", {"net__module": 3}, "'module'", "Got 3", "a class"),
    given("optimizer word", {"net__optimizer": "adam"}, "'optimizer'", "'adam'", "cla"),
    given("criterion word", {"net__criterion": "ce"}, "'criterion'", "'ce'", "class"),
    given("device unknown", {"net__device": "gpu"}, "'device'", "'gpu'", "'cuda'"),
    given("device number", {"net__device": 3.5}, "'device'", "3.5", "'cpu'"),
    given("net's own weight", {"net__lambda_div": -3}, "'lambda_div'", "-3", "[0, inf"),
    given(
        "one hidden size",
        {"net__module__hidden_layer_sizes": 5},
        *("'hidden_layer_sizes' parameter of MLP", "Got 5", "(32,)"),
    ),
    given(
        "hidden size zero",
        {"net__module__hidden_layer_sizes": (0,)},
        *("'hidden_layer_sizes'", "(0,)", ">= 1"),
    ),
    given(
        "activation unknown",
        {"net__module__activation": "rleu"},
        *("'activation'", "'rleu'", "'relu'"),
    ),
    given(
        "preprocessor word",
        {"preprocessor": "scale"},
        "'preprocessor'",
        "'scale'",
        "'a",
    ),
    given(
        "preprocessor class",
        {"preprocessor": StandardScaler},
        *("'preprocessor'", "StandardScaler", "a transformer"),
    ),
    given(
        "scaler on words",
        {"preprocessor": StandardScaler()},
        *("preprocessor StandardScaler", "'nurse'", "ColumnTransformer"),
    ),
    given("words without one", {"preprocessor": None}, "'job'", "preprocessor='auto'"),
    given("objective", {"objective": "best"}, "'objective'", "'best'", "'paper'"),
    given(
        "objective array",
        {"objective": np.array(["paper", "x"])},
        *("'objective'", "'x'", "'paper'"),
    ),
    given("generator", {"generator": "ecco"}, "'generator'", "'ecco'", "'eccco'"),
    given("generator None", {"generator": None}, "'generator'", "None", "'eccco'"),
    given(
        "generator class",
        {"generator": ECCCoGenerator},
        *("'generator'", "ECCCoGenerator", "instance"),
    ),
    given("no steps", {"generator__max_iter": 0}, "'max_iter'", "Got 0", ">= 1"),
    given("percent", {"generator__threshold": 75}, "'threshold'", "75", "(0, 1)"),
    given(
        "generator seed",
        {"generator": REVISEGenerator(random_state="x")},
        *("'random_state'", "'x'", "RandomState"),
    ),
    given(
        "mutability unknown",
        {"mutability": {"agee": "none"}},
        *("mutability", "'agee'", "Did you mean 'age'"),
    ),
    given(
        "mutability word",
        {"mutability": {"age": "never"}},
        *("mutability of feature 'age'", "'never'", "'increase'"),
    ),
    given(
        "mutability order",
        {"mutability": {"job": "increase"}},
        *("'increase'", "'job'", "ordered pandas.Categorical"),
    ),
    given(
        "mutability string", {"mutability": "none"}, "'mutability'", "'none'", "dict"
    ),
    given("mutability number", {"mutability": 3}, "'mutability'", "Got 3", "dict"),
    given("mutability set", {"mutability": {"age"}}, "'mutability'", "{'age'}", "dict"),
    given(
        "mutability short",
        {"mutability": ["none"]},
        *("'mutability'", "(1,)", "(6,)", "one word per feature"),
    ),
    given(
        "mutability position", {"mutability": {9: "none"}}, "mutability", "9", "'age'"
    ),
    given(
        "domain unknown",
        {"domain": {"Income": (0, 1)}},
        *("domain", "'Income'", "'income'"),
    ),
    given("domain order", {"domain": {"income": (5, 1)}}, "'income'", "5", "swap"),
    given(
        "domain number", {"domain": {"income": 5}}, "'income'", "Got 5", "(low, high)"
    ),
    given("domain word", {"domain": "observed"}, "'domain'", "'observed'", "'auto'"),
    given(
        "domain of infinity",
        {"domain": {"age": (np.inf, np.inf)}},
        *("domain", "'age'", "(inf, inf)", "None for an open end"),
    ),
    given(
        "domain category",
        {"domain": {"job": ["clark"]}},
        *("domain", "'clark'", "Known categories", "'clerk'"),
    ),
    given("domain empty", {"domain": {"job": []}}, "'job'", "[]", "at least one"),
    given(
        "domain between integers",
        {"domain": {"children": (0.2, 0.8)}},
        *("domain", "'children'", "(0.2, 0.8)", "widen"),
    ),
    given("lambda_div", {"lambda_div": -0.1}, "'lambda_div'", "-0.1", "[0, inf)"),
    given("lambda_adv", {"lambda_adv": np.nan}, "'lambda_adv'", "nan", "[0, inf)"),
    given("lambda_reg", {"lambda_reg": np.inf}, "'lambda_reg'", "Got inf", "[0, inf)"),
    given("epsilon", {"objective__epsilon": "x"}, "'epsilon'", "'x'", "[0, inf)"),
    given("burn_in", {"burn_in": 2}, "'burn_in'", "Got 2", "[0, 1]"),
    given(
        "n_counterfactuals",
        {"n_counterfactuals": 0.0},
        *("'n_counterfactuals'", "0.0", "(0, 1]"),
    ),
    given("weight word", {"class_weight": "even"}, "'class_weight'", "'even'", "'bala"),
    given("weight list", {"class_weight": [1, 2]}, "'class_weight'", "[1, 2]", "dict"),
    given(
        "weight of nobody",
        {"class_weight": {"aproved": 2}},
        *("class_weight", "'aproved'", "Did you mean 'approved'"),
    ),
    given(
        "weight infinite",
        {"class_weight": {"denied": np.inf}},
        *("'class_weight'", "inf", "finite"),
    ),
    given("n_reference", {"n_reference": -1}, "'n_reference'", "-1", ">= 0"),
    given(
        "warm_start", {"warm_start": "yes"}, "'warm_start'", "'yes'", "True or False"
    ),
    given("seed word", {"random_state": "x"}, "'random_state'", "'x'", "RandomState"),
    given("seed negative", {"random_state": -1}, "'random_state'", "-1", "[0, 2**32)"),
    given(
        "seed of the new kind",
        {"random_state": np.random.default_rng(0)},
        *("'random_state'", "PCG64", "RandomState"),
    ),
    given("verbose", {"verbose": 1.5}, "'verbose'", "1.5", ">= 0"),
]


@table(PARAMETERS)
def test_a_wrong_parameter_of_the_classifier(case, w):
    fresh = quick(epochs=1).set_params(**case.do)
    refused(case, lambda: fresh.fit(w.X, w.y))
    assert not fitted_attributes(fresh)
    with pytest.raises(NotFittedError):
        check_is_fitted(fresh)
    used = copy.deepcopy(w.clf).set_params(**case.do)
    refused(case, lambda: used.fit(w.X, w.y))
    assert fitted_attributes(used) == fitted_attributes(w.clf)
    assert np.array_equal(used.predict_proba(w.X), w.proba)


NAMES = [
    Case("parameter", {"nett": 1}, ("'nett'", "Valid parameters", "'net'")),
    Case("of the net", {"net__foo": 1}, ("'foo'", "Valid parameters", "'lr'")),
    Case("of the generator", {"generator__foo": 1}, ("'foo'", "'threshold'")),
    Case("of a step", {"lr": 1}, ("'lr'", "Valid parameters", "'net'")),
]


@table(NAMES)
def test_an_unknown_name_in_set_params(case):
    refused(case, lambda: quick().set_params(**case.do))


# ----------------------------------------------------------------- tables and labels


def data(name, do, *words, error=ValueError, **params):
    return Case(name, (do, params), words, error)


PLAIN = {"preprocessor": None}
DAY = pd.Timestamp("2020-01-01")
TRAINING = [
    data("no table", lambda X, y: (None, y), "'X'", "None", "DataFrame"),
    data("file name", lambda X, y: ("t.csv", y), "'X'", "t.csv", "DataFrame"),
    data("dict", lambda X, y: (X.to_dict("list"), y), "'X'", "dict", "DataFrame"),
    data("rows of two lengths", lambda X, y: ([[1], [2, 3]], [0, 1]), "'X'", "length"),
    data("one column", lambda X, y: (X["age"], y), "Series", "(60,)", "to_frame"),
    data("one array", lambda X, y: (X["age"].to_numpy(), y), "1D array", "reshape(-1"),
    data("no rows", lambda X, y: (X[:0], y[:0]), "0x6", "minimum of 1"),
    data("no columns", lambda X, y: (X[[]], y), "60x0", "minimum of 1"),
    data("images", lambda X, y: (np.zeros((60, 2, 2)), y), "dim 3", "<= 2"),
    data(
        "same name twice",
        lambda X, y: (X.set_axis([*"abcdea"], axis=1), y),
        *("X", "'a'", "rename"),
    ),
    data(
        "infinity",
        lambda X, y: (X.assign(income=np.inf), y),
        *("'income'", "infinity", "replace"),
    ),
    data(
        "sparse infinity",
        lambda X, y: (sparse.csr_matrix(np.full((60, 2), np.inf)), y),
        *("X", "infinity"),
    ),
    data(
        "empty column",
        lambda X, y: (X.assign(income=np.nan), y),
        *("'income'", "no value", "drop it"),
    ),
    data(
        "dates", lambda X, y: (X.assign(born=DAY), y), "'born'", "datetime64", "convert"
    ),
    data(
        "durations",
        lambda X, y: (X.assign(time=pd.Timedelta(1, "D")), y),
        *("'time'", "timedelta64", "convert"),
    ),
    data(
        "complex column",
        lambda X, y: (X.assign(income=1j), y),
        *("'income'", "complex128", "convert"),
    ),
    data("complex array", lambda X, y: (np.ones((60, 2)) * 1j, y), "Complex", "not su"),
    data(
        "lists in cells",
        lambda X, y: (X.assign(tags=[[1, 2]] * len(X)), y),
        *("'tags'", "list", "drop it"),
    ),
    data(
        "objects in cells",
        lambda X, y: (X.assign(tags=[object() for _ in y]), y),
        *("'tags'", "object", "drop it"),
    ),
    data(
        "an identifier",
        lambda X, y: (
            pd.DataFrame({"id": [f"n{i}" for i in range(1200)]}),
            [0, 1] * 600,
        ),
        *("'id'", "1,200", "Drop it"),
    ),
    data(
        "names of two kinds",
        lambda X, y: (X.set_axis([0, *"bcdef"], axis=1), y),
        *("string names", "astype(str)"),
        error=TypeError,
    ),
    data(
        "NaN as it is",
        lambda X, y: (X[["age"]].where(X["age"] > 30), y),
        "X",
        "NaN",
        **PLAIN,
    ),
    data(
        "huge", lambda X, y: (X[["age"]] * 1e300, y), "X", "float32", "scale", **PLAIN
    ),
    data("words", lambda X, y: (X[["job"]], y), "'job'", "encode it", **PLAIN),
    data(
        "word array",
        lambda X, y: (X[["job"]].to_numpy(), y),
        *("Column 0", "categories", "encode it"),
        **PLAIN,
    ),
    data(
        "dates as they are",
        lambda X, y: (X[["age"]].assign(born=DAY), y),
        *("'born'", "datetime64", "Convert it"),
        **PLAIN,
    ),
    data("lengths", lambda X, y: (X, y[:-1]), "60", "59", "inconsistent"),
    data("no labels", lambda X, y: (X, None), "y", "None"),
    data("two columns of labels", lambda X, y: (X, np.c_[y, y]), "y", "1d", "(60, 2)"),
    data("name of a column", lambda X, y: (X, "job"), "y", "1d array"),
    data(
        "missing label", lambda X, y: (X, np.where(y == "denied", None, y)), "y", "drop"
    ),
    data(
        "regression", lambda X, y: (X, np.linspace(0, 1, 60)), "continuous", "discrete"
    ),
    data(
        "infinite label", lambda X, y: (X, [np.inf, 0.0] * 30), "y", "infinity", "every"
    ),
    data("one class", lambda X, y: (X, ["yes"] * 60), "y", "2 classes", "['yes']"),
    data("one row", lambda X, y: (X[:1], y[:1]), "y", "2 classes", "only 1 class"),
    data("two kinds", lambda X, y: (X, [*y[1:], DAY]), "y", "Timestamp", "convert"),
    data(
        "bytes",
        lambda X, y: (X, y.astype(bytes)),
        *("bytes", "Convert the labels"),
        error=TypeError,
    ),
]


@table(TRAINING)
def test_a_wrong_table_to_learn_from(case, w):
    make, params = case.do
    X, y = make(w.X, w.y)
    kept = pickle.dumps((X, y))
    for method in ("fit", "partial_fit"):
        fresh = quick(epochs=1, **params)
        refused(case, lambda: getattr(fresh, method)(X, y))  # noqa: B023
        assert not fitted_attributes(fresh)
        with pytest.raises(NotFittedError):
            check_is_fitted(fresh)
    used = copy.deepcopy(w.clf).set_params(**params)
    refused(case, lambda: used.fit(X, y))
    assert fitted_attributes(used) == fitted_attributes(w.clf)
    assert (used.n_features_in_, [*used.feature_names_in_]) == (6, [*w.X.columns])
    assert np.array_equal(used.predict_proba(w.X), w.proba)
    assert pickle.dumps((X, y)) == kept


CLASSES = [
    Case("one", ["denied"], ("'approved'", "Known labels: 'denied'")),
    Case("missing", ["approved", None], ("'classes'", "None", "none missing")),
    Case(
        "two dimensions", [["approved", "denied"]] * 2, ("'classes'", "one dimension")
    ),
    Case("number", 3, ("'classes'", "Got 3", "one dimension")),
]


@table(CLASSES)
def test_wrong_classes_of_partial_fit(case, w):
    fresh = quick(epochs=1)
    refused(case, lambda: fresh.partial_fit(w.X, w.y, classes=case.do))
    assert not fitted_attributes(fresh)


QUERIES = [
    Case("no table", lambda X: None, ("'X'", "None", "DataFrame")),
    Case("one row", lambda X: X.iloc[0], ("Series", "(6,)", "to_frame().T")),
    Case("flat list", lambda X: [1, 2, 3, 4, 5, 6], ("1D array", "reshape(1, -1)")),
    Case("no rows", lambda X: X[:0], ("0x6", "minimum of 1")),
    Case("order", lambda X: X[X.columns[::-1]], ("feature names", "same order")),
    Case("missing column", lambda X: X.drop(columns="job"), ("missing", "- job")),
    Case("extra column", lambda X: X.assign(zip=1), ("unseen", "- zip")),
    Case("other names", lambda X: X.rename(columns=str.upper), ("- AGE", "- age")),
    Case("too few", lambda X: X.to_numpy()[:, :2], ("2 features", "6 features")),
    Case("images", lambda X: np.zeros((2, 6, 1)), ("dim 3", "<= 2")),
    Case(
        "infinity", lambda X: X.assign(income=np.inf), ("'income'", "infinity", "rep")
    ),
    Case("word", lambda X: X.assign(income="much"), ("'income'", "much", "Convert")),
    Case("date", lambda X: X.assign(income=DAY), ("'income'", "datetime64", "Convert")),
    Case("complex", lambda X: X.assign(income=1j), ("'income'", "complex128", "Conve")),
    Case("lists", lambda X: X.assign(job=[["cook"]] * len(X)), ("'job'", "Convert it")),
]


@table(QUERIES)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize(
    "method", ["predict", "predict_proba", "decision_function", "explain"]
)
def test_a_wrong_table_to_ask_about(case, method, w):
    X = case.do(w.X)
    kept = pickle.dumps(X)
    refused(case, lambda: getattr(w.clf, method)(X))
    assert pickle.dumps(X) == kept
    assert np.array_equal(w.clf.predict_proba(w.X), w.proba)


RAW_QUERIES = [
    Case("columns", lambda Z: np.c_[Z, Z], ("4 features", "2 features")),
    Case("shape", lambda Z: Z[:, :, None], ("'X'", "(2,)", "(60, 2, 1)", "as in fit")),
    Case("NaN", lambda Z: Z * np.nan, ("X contains NaN",)),
    Case(
        "words", lambda Z: np.array([["a", "b"]]), ("'X'", "'a'", "Encode categories")
    ),
    Case(
        "dates", lambda Z: np.full((2, 2), DAY.to_datetime64()), ("'X'", "convert da")
    ),
    Case("huge", lambda Z: Z * 1e300, ("X", "float32", "scale it")),
]


@table(RAW_QUERIES)
@pytest.mark.parametrize("method", ["predict_proba", "explain"])
def test_a_wrong_array_where_nothing_is_preprocessed(case, method, w):
    refused(case, lambda: getattr(w.raw, method)(case.do(w.Z)))
    assert np.array_equal(w.raw.predict_proba(w.Z), w.raw_proba)


NOT_FITTED = [
    Case("predict", lambda w: quick().predict(w.X), ("not fitted yet", "Call 'fit'")),
    Case("proba", lambda w: quick().predict_proba(w.X), ("not fitted yet",)),
    Case("decision", lambda w: quick().decision_function(w.X), ("not fitted yet",)),
    Case("score", lambda w: quick().score(w.X, w.y), ("not fitted yet",)),
    Case("explain", lambda w: quick().explain(w.X), ("not fitted yet",)),
    Case(
        "explainer of an unfitted one",
        lambda w: CounterfactualExplainer(quick()).explain(w.X),
        ("CounterfactualExplainer", "not fitted yet"),
    ),
    Case(
        "explainer of a module",
        lambda w: CounterfactualExplainer(TWO).transform(w.Z),
        ("CounterfactualExplainer", "not fitted yet"),
    ),
    Case(
        "frozen before it was fitted",
        lambda w: CounterfactualExplainer(FrozenEstimator(quick())).fit(w.X, w.y),
        ("CounterfactualTrainingClassifier", "not fitted yet"),
    ),
    Case(
        "scorer",
        lambda w: scoring.get_scorer("validity")(quick(), w.X, w.y),
        ("CounterfactualTrainingClassifier", "not fitted yet"),
    ),
    Case(
        "history",
        lambda w: plotting.HistoryDisplay.from_estimator(quick()),
        ("not fitted yet",),
    ),
    Case(
        "encode", lambda w: REVISEGenerator().encode(torch.zeros(1, 2)), ("REVISEGen",)
    ),
    Case(
        "decode", lambda w: REVISEGenerator().decode(torch.zeros(1, 2)), ("REVISEGen",)
    ),
]


@table([case._replace(error=NotFittedError) for case in NOT_FITTED])
def test_what_is_asked_before_it_was_fitted(case, w):
    refused(case, lambda: case.do(w))


# ------------------------------------------------------------------------- explainer


EXPLAINERS = [
    given("generator", {"generator": "dice"}, "'generator'", "'dice'", "'eccco'"),
    given("its threshold", {"generator": ECCCoGenerator(threshold=75)}, "75", "(0, 1)"),
    given("mutability", {"mutability": {"agee": "none"}}, "'agee'", "mean 'age'"),
    given(
        "mutability string", {"mutability": "none"}, "'mutability'", "'none'", "dict"
    ),
    given("domain", {"domain": {"income": (3, 1)}}, "'income'", "(3, 1)", "swap"),
    given("domain word", {"domain": "all"}, "'domain'", "'all'", "'auto'"),
    given("target", {"target": "maybe"}, "target", "'maybe'", "'approved'"),
    given("target dict", {"target": {"a": 1}}, "target", "{'a': 1}", "'approved'"),
    given(
        "weights number", {"feature_weights": 3}, "'feature_weights'", "Got 3", "dict"
    ),
    given("weights short", {"feature_weights": [1.0]}, "'feature_weights'", "(6,)"),
    given("weight unknown", {"feature_weights": {"agee": 2}}, "'agee'", "'age'"),
    given("weight zero", {"feature_weights": {"age": 0}}, "'age': 0", "positive"),
    given("weight word", {"feature_weights": {"age": "x"}}, "'x'", "positive numbers"),
    given("weight list", {"feature_weights": {"age": [1, 2]}}, "[1, 2]", "positive"),
    given("weight twice", {"feature_weights": {"age": 1, 0: 2}}, "'age' and 0", "once"),
    given("refine", {"refine": "yes"}, "'refine'", "'yes'", "True or False"),
    given("plausibility", {"plausibility_weight": -1}, "'plausibility_weight'", "-1"),
    given("no end", {"plausibility_weight": np.inf}, "'plausibility_weight'", "inf"),
    given("batch_size", {"batch_size": 2.5}, "'batch_size'", "2.5", ">= 1"),
    given(
        "random_state", {"random_state": "x"}, "'random_state'", "'x'", "RandomState"
    ),
    given("verbose", {"verbose": -1}, "'verbose'", "-1", ">= 0"),
]


@table(EXPLAINERS)
def test_a_wrong_parameter_of_the_explainer(case, w):
    fresh = CounterfactualExplainer(w.clf, **case.do)
    refused(case, lambda: fresh.explain(w.X[:4]))
    refused(case, lambda: fresh.fit(w.X, w.y))
    assert not fitted_attributes(fresh)
    used = copy.copy(w.explainer).set_params(**case.do)
    refused(case, lambda: used.fit(w.X, w.y))
    assert fitted_attributes(used) == fitted_attributes(w.explainer)
    assert used._learnt is w.explainer._learnt
    assert np.array_equal(w.clf.predict_proba(w.X), w.proba)


KINDS = "CounterfactualTrainingClassifier, a skorch net, a torch module"
ESTIMATORS = [
    Case("None", None, ("'estimator'", "None", KINDS)),
    Case("class", CounterfactualTrainingClassifier, ("'estimator'", KINDS)),
    Case("function", two_logits, ("'estimator'", "two_logits", KINDS)),
    Case("generator", ECCCoGenerator(), ("'estimator'", "ECCCoGenerator()", KINDS)),
    Case("forest", LogisticRegression(), ("'estimator'", "LogisticRegression", KINDS)),
    Case("its pipeline", make_pipeline(LogisticRegression()), ("'estimator'", KINDS)),
    Case("empty pipeline", Pipeline([]), ("'estimator'", "steps=[]", KINDS)),
    Case("one logit", Linear(lambda z: z[:, :1]), ("(1, 1)", "one logit per class")),
    Case("no columns", Linear(lambda z: z[:, 0]), ("(1,)", "one logit per class")),
    Case("tuple", Linear(lambda z: (z, z)), ("shape ()", "one logit per class")),
    Case("array", Linear(lambda z: z.numpy()), ("shape ()", "one logit per class")),
    Case("nothing", Linear(lambda z: None), ("shape ()", "one logit per class")),
    Case("three axes", Linear(lambda z: z[None]), ("(1, 1, 2)", "one logit per class")),
    Case(
        "other input", nn.Linear(3, 2), ("rows of shape (2,)", "multiplied", "float32")
    ),
    Case("double", nn.Linear(2, 2).double(), ("float64", "module.float()")),
]


@table(ESTIMATORS)
def test_something_that_cannot_be_explained(case, w):
    explainer = CounterfactualExplainer(case.do)
    refused(case, lambda: explainer.fit(w.Z, w.codes))
    assert not fitted_attributes(explainer)


STEPS = [
    Case("mixes", PCA(2), ("PCA", "column by column")),
    Case("adds", PolynomialFeatures(), ("PolynomialFeatures", "inver")),
    Case("bins", KBinsDiscretizer(3, encode="ordinal"), ("KBinsDiscretizer", "inver")),
    Case("normalises", Normalizer(), ("Normalizer", "inver")),
]


@table(STEPS)
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_step_that_has_no_way_back(case, w):
    fresh = quick(epochs=1, preprocessor=clone(case.do))
    refused(case, lambda: fresh.fit(w.numbers, w.y))
    assert not fitted_attributes(fresh)
    pipe = make_pipeline(clone(case.do), quick(epochs=1, preprocessor=None))
    explainer = CounterfactualExplainer(pipe)
    refused(case, lambda: explainer.fit(w.numbers, w.y))
    assert not fitted_attributes(explainer)


# ------------------------------------------------------------------- everything else

A = [[0.0, 1.0], [2.0, 3.0]]
WORDS = [["a", "b"], ["c", "d"]]
WIDER, TWO = nn.Linear(3, 2), Linear()
FREE = Constraints.unbounded((2,))
ROWS, TARGET = torch.full((3, 2), -1.0), torch.ones(3, dtype=torch.long)
UNIT = ([0.0, 0.0], [1.0, 1.0])
IMAGES = np.zeros((2, 3, 3))


def find(model=two_logits, x=ROWS, t=TARGET, g=None, c=FREE, **options):
    return search(model, x, t, GenericGenerator() if g is None else g, c, **options)


def net(**params):
    return CounterfactualNet(max_epochs=1, **params)


def spec(mutability=None, domain=None, **options):
    return Constraints.from_spec(
        mutability, domain, feature_names=["age", "income"], **options
    )


def boxes(**changes):
    parts = {"lower": torch.zeros(2), "upper": torch.ones(2)}
    parts |= dict.fromkeys(("can_increase", "can_decrease"), torch.ones(2).bool())
    return Constraints(**{**parts, **changes})


def forked(call, *args):
    """Call what draws initial weights from torch's global state, as skorch does."""
    with torch.random.fork_rng():
        return call(*args)


def f32(w):
    return w.Z.astype("float32")


ASKING = [
    Case(
        "target", lambda w: w.clf.explain(w.X, "maybe"), ("target", "'maybe'", "'appr")
    ),
    Case("kind", lambda w: w.clf.explain(w.X, 3), ("target", "3", "'approved'")),
    Case("NaN", lambda w: w.clf.explain(w.X, np.nan), ("target", "nan", "'approved'")),
    Case("set", lambda w: w.clf.explain(w.X, {"approved"}), ("target", "'approved'")),
    Case("few", lambda w: w.clf.explain(w.X, ["denied"]), ("'target'", "(60)", "(1,)")),
    Case(
        "alternatives",
        lambda w: w.clf.explain(w.X, n_alternatives=0),
        ("'n_alternatives'", "Got 0", ">= 1"),
    ),
    Case("score", lambda w: w.clf.score(w.X, w.y[:-1]), ("59", "60", "inconsistent")),
    Case(
        "labels", lambda w: w.explainer.fit(w.X, ["maybe"] * 60), ("'maybe'", "'appr")
    ),
    Case("lengths", lambda w: w.explainer.fit(w.X, w.y[1:]), ("60", "59")),
    Case("no labels", lambda w: w.explainer.fit(w.X, None), ("y", "None")),
    Case(
        "columns", lambda w: w.explainer.fit(w.X.iloc[:, :3], w.y), ("missing", "- ma")
    ),
]
SPACE = [
    Case(
        "columns", lambda w: w.clf.feature_space_.encode(w.X[["age"]]), ("'X'", "(6,)")
    ),
    Case(
        "decoded",
        lambda w: w.clf.feature_space_.decode(np.zeros((2, 3)), w.X[:2]),
        ("'encoded'", "(2, 11)", "(2, 3)"),
    ),
]
ANSWER = [
    Case("too far", lambda w: w.answer[4], ("4 stands", "4 rows", "position")),
    Case("too far back", lambda w: w.answer[-5], ("-5", "4 rows", "position")),
    Case("column", lambda w: w.answer["age"], ("'age'", "by position")),
    Case("row and column", lambda w: w.answer[0, "age"], ("'age'", "by position")),
    Case("fraction", lambda w: w.answer[1.5], ("1.5", "by position")),
    Case("None", lambda w: w.answer[None], ("None", "by position")),
    Case("bool", lambda w: w.answer[True], ("True", "by position")),
    Case("mask", lambda w: w.answer[np.array([True])], ("[ True]", "4 rows", "mask")),
    Case("list", lambda w: w.answer[[9]], ("[9]", "4 rows", "list of positions")),
    Case("slice", lambda w: w.answer[:"a"], ("'a'", "4 rows", "slice")),
]
ANSWER = [case._replace(error=IndexError) for case in ANSWER]
NETS = [
    Case(
        "labels", lambda w: net().fit(f32(w), w.y), ("'y'", "class indices", "any kind")
    ),
    Case("below 0", lambda w: net().fit(f32(w), w.codes - 1), ("'y'", "from 0")),
    Case("floats", lambda w: net().fit(f32(w), w.codes + 0.0), ("'y'", "float64")),
    Case("none", lambda w: net().fit(f32(w), None), ("'y'", "class indices")),
    Case("float64", lambda w: forked(net().fit, w.Z, w.codes), ("float64", "float32")),
    Case(
        "list", lambda w: net().fit(w.Z.tolist(), w.codes), ("'X'", "'list'", "array")
    ),
    Case("no rows", lambda w: net().fit(f32(w)[:0], w.codes[:0]), ("'y'", "(0,)")),
    Case("module", lambda w: net(module=3).fit(f32(w), w.codes), ("'module'", "Got 3")),
    Case(
        "constraints",
        lambda w: net(constraints={"age": "none"}).fit(f32(w), w.codes),
        ("'constraints'", "'age'", "(2,)"),
    ),
    Case(
        "their shape",
        lambda w: net(constraints=Constraints.unbounded((3,))).fit(f32(w), w.codes),
        ("'constraints'", "Constraints of shape (2,)"),
    ),
    Case(
        "seed",
        lambda w: net(random_state="x").fit(f32(w), w.codes),
        ("'random_state'", "'x'", ">= 0"),
    ),
    Case("inputs", lambda w: MLP(0, 2), ("'n_features_in'", "Got 0", ">= 1")),
    Case("classes", lambda w: MLP(2, 1.5), ("'n_classes'", "1.5", ">= 1")),
    Case("sizes", lambda w: MLP(2, 2, hidden_layer_sizes="32"), ("'hidden_", "'32'")),
    Case(
        "activation", lambda w: MLP(2, 2, activation=["relu"]), ("'activation'", "['r")
    ),
]
GENERATORS = [
    Case(
        f"{cls.__name__}, {name}",
        lambda w, cls=cls, p={name: value}: cls(**p).check(),
        words,
    )
    for cls, name, value, *words in [
        (GenericGenerator, "max_iter", 2.5, "'max_iter' parameter of Gene", "2.5", "1"),
        (GenericGenerator, "step_size", 0, "'step_size'", "Got 0", "(0, inf)"),
        (GenericGenerator, "step_size", np.inf, "'step_size'", "Got inf", "(0, inf)"),
        (GenericGenerator, "lambda_cost", None, "'lambda_cost'", "None", "[0, inf)"),
        (GenericGenerator, "distance", "l2", "'distance'", "'l2'", "'l1', 'mad'"),
        (ECCCoGenerator, "threshold", 1, "'threshold'", "Got 1", "(0, 1)"),
        (ECCCoGenerator, "lambda_energy", -1, "'lambda_energy'", "-1", "[0, inf)"),
        (REVISEGenerator, "latent_dim", 0, "'latent_dim'", "Got 0", ">= 1"),
        (REVISEGenerator, "hidden_size", 1.5, "'hidden_size'", "1.5", ">= 1"),
        (REVISEGenerator, "n_epochs", 0, "'n_epochs'", "Got 0", ">= 1"),
        (REVISEGenerator, "random_state", -1, "'random_state'", "-1", "2**32"),
        (GravitationalGenerator, "lambda_gravity", "x", "'lambda_gravity'", "'x'"),
        (GravitationalGenerator, "n_neighbours", 0, "'n_neighbours'", "Got 0"),
        (GravitationalGenerator, "n_reference", "all", "'n_reference'", "'all'"),
    ]
]
GENERATORS += [
    Case("labels", lambda w: GravitationalGenerator().fit(ROWS, None), ("'y'", "None")),
    Case(
        "name", lambda w: check_generator("eccco"), ("'generator'", "'eccco'", "inst")
    ),
    Case(
        "class", lambda w: check_generator(ECCCoGenerator), ("'generator'", "instance")
    ),
]
CONSTRAINTS = [
    Case("feature", lambda w: spec({"Age": "none"}), ("'Age'", "Did you mean 'age'")),
    Case("word", lambda w: spec({"age": "up"}), ("'age'", "'up'", "'increase'")),
    Case(
        "bounds", lambda w: spec(None, {"age": (0, np.nan)}), ("'age'", "nan", "None")
    ),
    Case("group", lambda w: spec(groups=[(0, 1)]), ("'groups'", "(0, 1)", "Group")),
    Case("column", lambda w: spec(groups=[Group((1, 2))]), ("'groups'", "2", "0 to 1")),
    Case("empty", lambda w: spec(groups=[Group(())]), ("'groups'", "()", "0 to 1")),
    Case("array", lambda w: boxes(lower=np.zeros(2)), ("'lower'", "Tensor", "array")),
    Case("shape", lambda w: boxes(upper=torch.ones(3)), ("'upper'", "shape", "1., 1.")),
    Case("step", lambda w: boxes(step=torch.ones(3)), ("'step'", "shape of one row")),
    Case(
        "other", lambda w: FREE & Constraints.unbounded((3,)), ("(2,)", "(3,)", "one m")
    ),
    Case("number", lambda w: FREE & 3, ("Constraints", "int"), TypeError),
]
SEARCH = [
    Case("model", lambda w: find(model=w.clf), ("'model'", "callable", "Classifier")),
    Case("array", lambda w: find(x=ROWS.numpy()), ("'factual'", "Tensor", "array")),
    Case("integers", lambda w: find(x=ROWS.long()), ("'factual'", "float Tensor")),
    Case("NaN", lambda w: find(x=ROWS * np.nan), ("'factual'", "nan", "impute")),
    Case("one row", lambda w: find(x=ROWS[0]), ("'factual'", "(n, *features)")),
    Case("targets", lambda w: find(t=TARGET[:2]), ("'target'", "(3,)", "1, 1")),
    Case("float target", lambda w: find(t=TARGET.float()), ("'target'", "int64")),
    Case("one target", lambda w: find(t=1), ("'target'", "Got 1", "int64")),
    Case("negative target", lambda w: find(t=-TARGET), ("'target'", "-1", "indices")),
    Case("name", lambda w: find(g="generic"), ("'generator'", "'generic'", "instance")),
    Case(
        "steps", lambda w: find(g=GenericGenerator(max_iter=0)), ("'max_iter'", "Got 0")
    ),
    Case("no constraints", lambda w: find(c=None), ("'constraints'", "None", "(2,)")),
    Case("epsilon", lambda w: find(epsilon=-1), ("'epsilon'", "-1", ">= 0")),
    Case("weights", lambda w: find(weights=torch.ones(5)), ("'weights'", "(2,)")),
    Case("negative", lambda w: find(weights=-torch.ones(2)), ("'weights'", "positive")),
]
METRICS = [
    Case(
        "words", lambda w: metrics.implausibility(WORDS, A), ("'counterfactual'", "'a'")
    ),
    Case("lengths", lambda w: metrics.mmd(A, [[1], [2, 3]]), ("'reference'", "length")),
    Case("no rows", lambda w: metrics.implausibility(A, None), ("'reference'", "nan")),
    Case(
        "number", lambda w: metrics.mad_weights(3.0), ("'X'", "3.0", "(n, n_features)")
    ),
    Case("complex", lambda w: metrics.cost([[1j, 0]], A), ("'factual'", "complex128")),
    Case(
        "dates",
        lambda w: metrics.redundancy(A, np.full((2, 2), DAY.to_datetime64())),
        ("'counterfactual'", "datetime64", "convert dates"),
    ),
    Case(
        "empty", lambda w: metrics.implausibility(A, []), ("reference", "at least one")
    ),
    Case(
        "NaN", lambda w: metrics.cost(A, [[np.nan, 0]]), ("'counterfactual'", "impute")
    ),
    Case("rows", lambda w: metrics.cost(A, A[:1]), ("rows differ", "2 and 1", "each")),
    Case(
        "columns", lambda w: metrics.cost(A, [[1.0]]), ("features differ", "same col")
    ),
    Case(
        "norm", lambda w: metrics.cost(A, A, norm="l1"), ("'norm'", "'l1'", "(0, 1, 2)")
    ),
    Case(
        "norms", lambda w: metrics.cost(A, A, norm=np.ones(2)), ("'norm'", "(0, 1, 2)")
    ),
    Case("weights", lambda w: metrics.cost(A, A, weights="x"), ("'weights'", "'x'")),
    Case(
        "negative", lambda w: metrics.cost(A, A, weights=[1, -1]), ("'weights'", "-1")
    ),
    Case(
        "neighbours",
        lambda w: metrics.implausibility(A, A, n_neighbours=3),
        ("'n_neighbours'", "between 1 and", "Got 3"),
    ),
    Case("scale", lambda w: metrics.mmd(A, A, length_scale=0), ("'length_scale'", "0")),
    Case("flat", lambda w: metrics.diversity(A), ("'alternatives'", "(2, 2)", "(n, k")),
    Case("answers", lambda w: metrics.diversity([WORDS]), ("'alternatives'", "'a'")),
    Case("costs", lambda w: metrics.burden(["x"], [True], ["a"]), ("'cost'", "'x'")),
    Case(
        "valid", lambda w: metrics.burden([1], [0.5], ["a"]), ("'valid'", "0.5", "True")
    ),
    Case("group", lambda w: metrics.burden([1], [True], [["a"]]), ("group", "(1, 1)")),
    Case(
        "nothing", lambda w: metrics.validity(None, None), ("predicted", "()", "label")
    ),
]
SCORERS = [
    Case(
        "name",
        lambda w: scoring.get_scorer("acuracy"),
        ("'acuracy'", "Did you mean 'accuracy'"),
    ),
    Case(
        "number", lambda w: scoring.counterfactual_scorer(3), ("score 3", "'validity'")
    ),
    Case("none", lambda w: scoring.counterfactual_scorer(()), ("'names'", "different")),
    Case(
        "no group", lambda w: scoring.get_scorer("burden_ratio"), ("'burden", "group=")
    ),
    Case(
        "y",
        lambda w: scoring.get_scorer("neg_cost")(w.clf, w.X, w.y[1:]),
        ("60", "59", "inconsistent"),
    ),
    Case(
        "model",
        lambda w: scoring.get_scorer("validity")(LogisticRegression(), w.X, w.y),
        ("CounterfactualTrainingClassifier", "Got LogisticRegression"),
    ),
    Case(
        "group",
        lambda w: scoring.get_scorer("burden_ratio", group="maried")(w.clf, w.X, w.y),
        ("group", "'maried'", "'married'"),
    ),
]
SCORERS += [
    Case(
        f"option {name}",
        lambda w, name=name, value=value: scoring.get_scorer(
            "validity", **{name: value}
        ),
        words,
    )
    for name, value, *words in [
        ("generators", "eccco", "'generators'", "Did you mean 'generator'"),
        ("generator", "wachter", "'generator'", "'wachter'", "'eccco'"),
        ("length_scale", np.ones(2), "'length_scale'", "array", "(0, inf)"),
        ("epsilon", -1, "'epsilon'", "-1", "[0, inf)"),
        ("noise", "x", "'noise'", "'x'", "[0, inf)"),
        ("n_alternatives", 0, "'n_alternatives'", "Got 0", ">= 1"),
        ("n_models", 1.5, "'n_models'", "1.5", ">= 1"),
        ("random_state", None, "'random_state'", "None", ">= 0"),
    ]
]


def gradients(model=two_logits, X=A, target=(0, 1), **options):
    return attribution.integrated_gradients(model, X, target, **options)


def sample(target=1, bounds=UNIT, **options):
    return attribution.sample_conditional(two_logits, target, bounds, **options)


ATTRIBUTION = [
    Case("model", lambda w: gradients(model=w.clf), ("'model'", "clf.module_")),
    Case("array", lambda w: gradients(lambda x: x.numpy()), ("shape ()", "per class")),
    Case("width", lambda w: gradients(WIDER), ("(2,)", "multiplied", "float32")),
    Case("raw table", lambda w: gradients(X=w.X), ("'X'", "Encode categories")),
    Case(
        "one row", lambda w: gradients(X=[1.0, 2.0]), ("'X'", "(2,)", "(n, *features)")
    ),
    Case(
        "target", lambda w: gradients(target=[0, 5]), ("'target'", "below 2", "Got 5")
    ),
    Case(
        "labels", lambda w: gradients(target=["a", "b"]), ("'target'", "searchsorted")
    ),
    Case("baseline", lambda w: gradients(baseline="zero"), ("'baseline'", "'zero'")),
    Case("steps", lambda w: gradients(n_steps=0), ("'n_steps'", ">= 1", "Got 0")),
    Case(
        "position", lambda w: attribution.sensitivity(A, [7]), ("'features'", "7", "2")
    ),
    Case(
        "feature",
        lambda w: attribution.sensitivity(A, ["age"]),
        ("'features'", "'age'"),
    ),
    Case(
        "standardize",
        lambda w: attribution.sensitivity(A, [0], standardize="max"),
        ("'standardize'", "'max'", "'share'"),
    ),
    Case("bounds", lambda w: sample(bounds=3), ("'bounds'", "Got 3", "(low, high)")),
    Case(
        "three", lambda w: sample(bounds=(0, 1, 2)), ("'bounds'", "(0, 1, 2)", "pair")
    ),
    Case(
        "open", lambda w: sample(bounds=([-np.inf], [1])), ("'bounds'", "inf", "finite")
    ),
    Case("class", lambda w: sample(target=5), ("'target'", "below 2", "Got 5")),
    Case("chains", lambda w: sample(n_samples=0), ("'n_samples'", "Got 0", ">= 1")),
    Case("step", lambda w: sample(step_size=0), ("'step_size'", "Got 0", "> 0")),
    Case("noise", lambda w: sample(noise=-1), ("'noise'", "-1", ">= 0")),
    Case("start", lambda w: sample(start=[[1.0]]), ("'start'", "(2,)", "(1, 1)")),
    Case("no start", lambda w: sample(start=3), ("'start'", "(2,)", "shape ()")),
    Case(
        "seed", lambda w: sample(random_state="x"), ("'random_state'", "'x'", "2**32")
    ),
]


def attack(model=two_logits, X=A, y=(0, 1), by=robustness.pgd, **options):
    return by(model, X, y, **options)


def accuracy(kind, **options):
    return robustness.robust_accuracy(two_logits, A, [1, 1], attack=kind, **options)


def noisy(**options):
    return robustness.recourse_robustness(two_logits, A, [1, 1], **options)


ROBUSTNESS = [
    Case(
        "model", lambda w: attack(model=w.clf), ("'model'", "Classifier", "clf.module_")
    ),
    Case(
        "tuple", lambda w: attack(lambda x: (x,)), ("shape ()", "one logit per class")
    ),
    Case("width", lambda w: attack(WIDER), ("(2,)", "multiplied", "float32")),
    Case("raw table", lambda w: attack(X=w.X), ("'X'", "DataFrame", "encode(table)")),
    Case("labels", lambda w: attack(y=["a", "b"]), ("'y'", "<U1", "searchsorted")),
    Case(
        "ragged", lambda w: attack(y=[[1], [1, 2]]), ("'y'", "inhomogeneous", "array")
    ),
    Case("epsilon", lambda w: attack(epsilon="x"), ("'epsilon'", "'x'", ">= 0")),
    Case("step", lambda w: attack(step_size=-1), ("'step_size'", "-1", ">= 0")),
    Case("restarts", lambda w: attack(n_restarts=0), ("'n_restarts'", "Got 0", ">= 1")),
    Case(
        "start", lambda w: attack(random_start="x"), ("'random_start'", "'x'", "True")
    ),
    Case(
        "seed", lambda w: attack(random_state="x"), ("'random_state'", "'x'", "2**32")
    ),
    Case(
        "constraints",
        lambda w: attack(constraints="x"),
        ("'constraints'", "'x'", "(2,)"),
    ),
    Case("attack", lambda w: accuracy("PGD"), ("'attack'", "'PGD'", "pgd")),
    Case(
        "what it returns",
        lambda w: accuracy(lambda m, X, y, epsilon: None),
        ("'attack'", "rows of shape (1, 2)", "()"),
    ),
    Case(
        "radii", lambda w: accuracy("pgd", epsilons="x"), ("'epsilons'", "'x'", ">= 0")
    ),
    Case("noise", lambda w: noisy(noise=-1), ("'noise'", "-1", ">= 0")),
    Case("draws", lambda w: noisy(n_draws=0), ("'n_draws'", "Got 0", ">= 1")),
    Case(
        "box", lambda w: noisy(constraints=FREE), ("'constraints'", "'factual'", "both")
    ),
    Case(
        "explanation",
        lambda w: robustness.recourse_survival(w.clf, w.X, w.X, w.y),
        ("'explanation'", "explain"),
    ),
    Case(
        "class",
        lambda w: robustness.recourse_survival(CounterfactualNet, w.answer, w.X, w.y),
        ("'estimator'", "CounterfactualNet", "fitted anew"),
    ),
    Case(
        "models",
        lambda w: robustness.recourse_survival(w.clf, w.answer, w.X, w.y, n_models=0),
        ("'n_models'", "Got 0", ">= 1"),
    ),
]
SURFACE = plotting.DecisionSurfaceDisplay.from_estimator
ATTACKED = plotting.RobustAccuracyDisplay
GRID, BARS = plotting.ImageGridDisplay, plotting.AttributionDisplay
HISTORY, RECOURSE = plotting.HistoryDisplay, plotting.RecourseDisplay
PLOTS = [
    Case("rows", lambda w: w.answer.plot(max_rows="x"), ("'max_rows'", "'x'", ">= 1")),
    Case(
        "no rows", lambda w: w.answer.plot(max_rows=0), ("'max_rows'", "Got 0", ">= 1")
    ),
    Case("axes", lambda w: w.answer.plot(ax=3), ("'ax'", "Got 3", "matplotlib Axes")),
    Case("table", lambda w: RECOURSE(w.X), ("'explanation'", "DataFrame", "explain")),
    Case("empty", lambda w: RECOURSE(w.answer[:0]), ("explanation", "no row")),
    Case("features", lambda w: SURFACE(w.clf, w.X, w.y, w.X), ("2 features", "6 feat")),
    Case(
        "grid",
        lambda w: SURFACE(w.raw, w.Z, w.y, w.Z, grid_resolution=0),
        ("'grid_resolution'", "Got 0", ">= 2"),
    ),
    Case(
        "surface of what",
        lambda w: SURFACE(LogisticRegression(), w.Z, w.y, w.Z),
        ("'estimator'", "LogisticRegression", KINDS),
    ),
    Case(
        "history of what",
        lambda w: HISTORY.from_estimator(LogisticRegression()),
        ("'estimator'", "LogisticRegression", "CounterfactualTrainingClassifier"),
    ),
    Case("no frame", lambda w: HISTORY(None), ("'history'", "NoneType", "DataFrame")),
    Case(
        "epoch", lambda w: HISTORY(pd.DataFrame({"x": [1]})), ("history", "['epoch']")
    ),
    Case("scores", lambda w: ATTACKED({"a": 1}), ("'scores'", "'dict'", "DataFrame")),
    Case(
        "radii",
        lambda w: ATTACKED.from_dict({"a": [1, 2, 3]}, epsilons=[0, 1]),
        ("'scores'", "[3]", "2 epsilons", "one accuracy per radius"),
    ),
    Case(
        "models",
        lambda w: ATTACKED.from_estimators(w.raw, w.Z, w.y, epsilons=[0]),
        ("'estimators'", "Classifier", "dict"),
    ),
    Case(
        "flat images", lambda w: GRID(w.Z, w.Z), ("factual", "(60, 2)", "image_shape")
    ),
    Case("image words", lambda w: GRID(WORDS, WORDS), ("'factual'", "'a'", "Encode")),
    Case(
        "image size",
        lambda w: GRID(IMAGES, IMAGES, image_shape=3),
        ("'image_shape'", "Got 3", "(height, width)"),
    ),
    Case(
        "grid of tables",
        lambda w: GRID.from_explanation(w.X),
        ("'explanation'", "DataFrame", "CounterfactualExplanation"),
    ),
    Case(
        "grid of none", lambda w: GRID.from_explanation({}), ("'explanation'", "None")
    ),
    Case("classes", lambda w: BARS(A, ["a"]), ("2 rows", "1 classes")),
    Case("class number", lambda w: BARS(A, 3), ("'classes'", "Got 3", "labels")),
    Case(
        "names", lambda w: BARS(A, ["a", "b"], ["x"]), ("'feature_names'", "['x']", "2")
    ),
    Case(
        "protected",
        lambda w: BARS(A, ["a", "b"], protected=[True]),
        ("'protected'", "[True]", "each of 2"),
    ),
    Case(
        "kind",
        lambda w: BARS.from_estimator(w.raw, w.Z, w.y, kind="mean"),
        ("'kind'", "'mean'", "'share'"),
    ),
]
MAKERS = ("linearly_separable", "overlapping", "circles", "moons")
DATA = [
    Case(
        f"{name}, {option}",
        lambda w, name=name, option=option, value=value: getattr(
            datasets, f"make_{name}"
        )(**{option: value}),
        (f"'{option}'", repr(value), remedy),
    )
    for name in MAKERS
    for option, value, remedy in [
        ("n_samples", 0, ">= 2"),
        ("n_samples", 2.5, ">= 2"),
        ("random_state", "x", "RandomState"),
    ]
]
DATA += [
    Case(
        "subset",
        lambda w: datasets.fetch_adult(subset="x"),
        ("'subset'", "'x'", "'all'"),
    ),
    Case(
        "folder", lambda w: datasets.fetch_heloc(data_home=3), ("'data_home'", "Got 3")
    ),
    Case(
        "absent",
        lambda w: datasets.fetch_heloc(data_home="/nowhere"),
        ("'heloc.parquet'", "/nowhere", "SKCT_DATA"),
        FileNotFoundError,
    ),
    Case(
        "absent and balanced",
        lambda w: datasets.fetch_gmsc(balanced=True, data_home="/nowhere"),
        ("'gmsc_balanced.parquet'", "/nowhere", "SKCT_DATA"),
        FileNotFoundError,
    ),
]
GROUPS = {
    "asking": ASKING,
    "feature space": SPACE,
    "answer": ANSWER,
    "net": NETS,
    "generator": GENERATORS,
    "constraints": CONSTRAINTS,
    "search": SEARCH,
    "metrics": METRICS,
    "scorer": SCORERS,
    "attribution": ATTRIBUTION,
    "robustness": ROBUSTNESS,
    "plotting": PLOTS,
    "data sets": DATA,
}


@table(
    [c._replace(name=f"{g}: {c.name}") for g, group in GROUPS.items() for c in group]
)
def test_a_wrong_call(case, w):
    refused(case, lambda: case.do(w))
    assert np.array_equal(w.clf.predict_proba(w.X), w.proba)


def test_dates_in_cells_are_categories_that_can_be_named(w):
    # Not an error: a column of few different objects is a category, whatever it holds.
    X = w.X.assign(day=[datetime.date(2020, 1, 1 + i % 2) for i in range(60)])
    names = quick(epochs=1).fit(X, w.y).preprocessor_.get_feature_names_out()
    assert "day_2020-01-02" in names
