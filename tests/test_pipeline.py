"""Pipelines, nets and modules explained in the columns of the raw table."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from skorch import NeuralNetClassifier
from torch import nn

from skct import CounterfactualExplainer, ECCCoGenerator
from skct.exceptions import ColumnWarning, ConstraintWarning, SearchWarning

NUMBERS, CATEGORIES = ["age", "income", "children"], ["job", "education", "married"]
LEVELS = ["school", "bachelor", "master"]
FIXED = {"age": "none", "married": "none"}


def classifier(epochs=8, **params):
    """A classifier that trains in a fraction of a second."""
    return quick(epochs, generator=ECCCoGenerator(max_iter=5), **params)


def encoder(numeric=None, categorical=None):
    """The usual ColumnTransformer."""
    return ColumnTransformer(
        [
            ("num", numeric or StandardScaler(), NUMBERS),
            ("cat", categorical or OneHotEncoder(sparse_output=False), CATEGORIES),
        ]
    )


def to_float32(invertible=True):
    """What a skorch net needs in front of it."""
    inverse = np.asarray if invertible else None
    return FunctionTransformer(np.float32, inverse, check_inverse=False)


PIPELINES = {
    "plain": lambda: make_pipeline(encoder(), classifier()),
    "scaled after": lambda: make_pipeline(encoder(), StandardScaler(), classifier()),
    "encoded once": lambda: make_pipeline(encoder(), classifier(preprocessor=None)),
    "pandas": lambda: make_pipeline(
        encoder().set_output(transform="pandas"), classifier()
    ),
    "sparse": lambda: make_pipeline(
        encoder(categorical=OneHotEncoder()).set_params(sparse_threshold=1.0),
        classifier(),
    ),
    "drop first": lambda: make_pipeline(
        encoder(categorical=OneHotEncoder(drop="first")), classifier()
    ),
    "ordinal": lambda: make_pipeline(
        encoder(categorical=OrdinalEncoder()), classifier()
    ),
    "quantile": lambda: make_pipeline(
        encoder(QuantileTransformer(n_quantiles=100)), classifier()
    ),
    "nested": lambda: make_pipeline(make_pipeline(encoder()), classifier()),
}


@pytest.fixture(scope="module")
def fit(applicants):
    """Fit each kind of pipeline once."""
    known = {}

    def fitted(kind):
        if kind not in known:
            known[kind] = PIPELINES[kind]().fit(*applicants)
        return known[kind]

    return fitted


@pytest.fixture
def rows(applicants):
    X, _ = applicants
    return X[:30]


def assert_raw(answer, X, *, fixed=("age", "married")):
    """Same columns, types and index; immutable columns, categories and integers."""
    table = answer.counterfactual
    assert list(table.columns) == list(X.columns)
    assert list(table.dtypes) == list(X.dtypes)
    assert table.index.equals(X.index)
    for name in fixed:
        pd.testing.assert_series_equal(table[name], X[name], check_exact=True)
    assert set(table["job"]) <= {"clerk", "cook", "nurse"}
    assert set(table["education"]) <= set(LEVELS)
    assert table["children"].between(0, 3).all()
    assert answer.n_changed[answer.valid].min() > 0


# ------------------------------------------------------------------------- classifiers


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_fitted_pipeline_is_explained_in_raw_columns(fit, rows, kind):
    pipe = fit(kind)
    answer = CounterfactualExplainer(pipe, mutability=FIXED).explain(rows)
    assert_raw(answer, rows)
    assert answer.valid.all()
    predicted = pipe.predict(answer.counterfactual)
    np.testing.assert_array_equal(predicted, answer.target)
    np.testing.assert_array_equal(pipe.predict(rows), answer.predicted)
    proba = pipe.predict_proba(answer.counterfactual)
    columns = np.searchsorted(pipe.classes_, answer.target)
    chosen = proba[np.arange(len(rows)), columns]
    np.testing.assert_allclose(chosen, answer.probability, atol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "scaled after", "pandas"])
def test_fit_changes_the_reference_rows_and_not_the_cheapest_answers(
    fit, applicants, rows, kind
):
    X, y = applicants
    explainer = CounterfactualExplainer(
        fit(kind), mutability=FIXED, plausibility_weight=0.0, random_state=0
    )
    before = explainer.explain(rows)
    explainer.fit(X[:40], y[:40])
    after = explainer.explain(rows)
    assert explainer.estimator_ is explainer.estimator
    assert_raw(after, rows)
    pd.testing.assert_frame_equal(after.counterfactual, before.counterfactual)
    np.testing.assert_allclose(after.cost, before.cost)
    assert not np.allclose(after.implausibility, before.implausibility)


def test_transform_is_the_table_of_counterfactuals(fit, rows):
    explainer = CounterfactualExplainer(fit("plain"), mutability=FIXED)
    expected = explainer.explain(rows).counterfactual
    pd.testing.assert_frame_equal(explainer.transform(rows), expected)


def test_a_row_has_the_same_answer_alone_and_in_company(fit, rows):
    pipe = fit("plain")
    explainer = CounterfactualExplainer(pipe, mutability=FIXED)
    together = explainer.transform(rows[:6])
    alone = pd.concat([explainer.transform(rows[i : i + 1]) for i in range(6)])
    encoded = (pipe[:-1].transform(table) for table in (together, alone))
    np.testing.assert_allclose(*encoded, atol=1e-5)


def test_the_target_is_given_in_labels(fit, rows):
    pipe = fit("plain")
    denied = rows[pipe.predict(rows) == "denied"]
    answer = CounterfactualExplainer(pipe).explain(denied, target="approved")
    assert set(pipe.predict(answer.counterfactual)) == {"approved"}


@pytest.mark.parametrize("encoding", ["one-hot", "ordinal"])
def test_words_and_domains_in_raw_columns_hold_in_front_of_a_pipeline(
    fit, applicants, encoding
):
    X, y = applicants
    levels = [["clerk", "cook", "nurse"], LEVELS, [False, True]]
    kind = OneHotEncoder if encoding == "one-hot" else OrdinalEncoder
    pipe = make_pipeline(encoder(categorical=kind(categories=levels)), classifier())
    pipe.fit(X, y)
    explainer = CounterfactualExplainer(
        pipe,
        mutability={"education": "increase", "age": "decrease", "married": "none"},
        domain={"income": (30, 60), "job": ["cook", "nurse"], "children": (0, 2)},
    )
    inside = X[X["income"].between(30, 60) & (X["job"] != "clerk")]
    inside = inside[inside["children"] < 3][:40]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = explainer.explain(inside)
    table = answer.counterfactual
    assert_raw(answer, inside, fixed=["married"])
    assert answer.valid.sum() > 10
    assert (table["education"].cat.codes >= inside["education"].cat.codes).all()
    assert (table["age"] <= inside["age"]).all()
    assert table["income"].between(30, 60).all()
    assert set(table["job"]) <= {"cook", "nurse"}
    assert table["children"].max() <= 2


@pytest.mark.filterwarnings("ignore:Domain:skct.exceptions.ConstraintWarning")
def test_what_the_classifier_was_trained_with_is_inherited(applicants, rows):
    X, y = applicants
    clf = classifier(
        mutability={"age": "none", "job": "none", "income": "increase"},
        domain={"num__children": (-1.0, 1.0)},
    )
    pipe = make_pipeline(encoder().set_output(transform="pandas"), clf).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = CounterfactualExplainer(pipe).explain(rows)
    assert_raw(answer, rows, fixed=["age", "job"])
    assert (answer.counterfactual["income"] >= rows["income"]).all()
    assert answer.counterfactual["income"].gt(rows["income"]).any()
    mean, scale = X["children"].mean(), X["children"].std(ddof=0)
    low = np.minimum(rows["children"], mean - scale)
    high = np.maximum(rows["children"], mean + scale)
    assert answer.counterfactual["children"].between(low, high).all()


def test_a_raw_name_that_one_hot_columns_share_is_accepted_in_training(applicants):
    clf = classifier(mutability={"education": "none", "num__age": "increase"})
    pipe = make_pipeline(encoder().set_output(transform="pandas"), clf)
    constraints = pipe.fit(*applicants)[-1].constraints_
    names = list(pipe[:-1].get_feature_names_out())
    stuck = ~(constraints.can_increase | constraints.can_decrease).numpy()
    frozen = [name for name, is_stuck in zip(names, stuck, strict=True) if is_stuck]
    assert frozen == sorted(f"cat__education_{level}" for level in LEVELS)
    assert not constraints.can_decrease[names.index("num__age")]


@pytest.mark.parametrize("domain", ["inherit", "auto", {"children": (0, 3)}])
@pytest.mark.parametrize("with_fit", [False, True])
def test_unlisted_columns_stay_in_the_range_of_training(
    fit, applicants, domain, with_fit
):
    X, y = applicants
    words = dict.fromkeys(["job", "education", "married", "income"], "none")
    explainer = CounterfactualExplainer(fit("plain"), mutability=words, domain=domain)
    if with_fit:
        explainer.fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        table = explainer.transform(X[:20])
    assert table["age"].between(X["age"].min(), X["age"].max()).all()
    assert not table["age"].equals(X["age"][:20])


def test_no_domain_lets_rows_leave_the_range_of_training(fit, applicants):
    X, _ = applicants
    words = dict.fromkeys(["job", "education", "married", "income"], "none")
    explainer = CounterfactualExplainer(
        fit("plain"), mutability=words, domain=None, confidence=0.99
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        table = explainer.transform(X[:20])
    assert not table["age"].between(X["age"].min(), X["age"].max()).all()


def test_a_factual_outside_a_given_domain_is_counted(fit, rows):
    explainer = CounterfactualExplainer(fit("plain"), domain={"age": (30, 50)})
    outside = int((~rows["age"].between(30, 50)).sum())
    with pytest.warns(ConstraintWarning, match=f"{outside} factuals.*'age'"):
        explainer.explain(rows)


@pytest.mark.parametrize("kind", ["plain", "quantile"])
@pytest.mark.parametrize(("more", "steps"), [(500, 200), (1000, 400)])
def test_rows_outside_the_range_of_training_are_explained_without_fit(
    fit, rows, kind, more, steps
):
    """25 and 50 standard deviations; slopes are gentle, so the way takes its steps."""
    pipe = fit(kind)
    rich = rows.assign(income=rows["income"] + more)
    rich = rich[pipe.predict(rich) == "approved"]
    generator = ECCCoGenerator(max_iter=steps)
    explainer = CounterfactualExplainer(
        pipe, generator=generator, mutability={**FIXED, "children": "none"}
    )
    answer = explainer.explain(rich, target="denied")
    assert_raw(answer, rich)
    assert answer.valid.all()
    assert set(pipe.predict(answer.counterfactual)) == {"denied"}


def test_unknown_categories_are_explained(applicants, rows):
    handles = OneHotEncoder(handle_unknown="ignore")
    pipe = make_pipeline(encoder(categorical=handles), classifier()).fit(*applicants)
    new = rows.assign(job="pilot")
    explainer = CounterfactualExplainer(pipe, mutability={"job": "none"})
    with pytest.warns(ColumnWarning, match="'job' .* 100.0% .*: 'pilot'"):
        answer = explainer.explain(new)
    assert set(answer.counterfactual["job"]) == {"pilot"}
    assert answer.valid.all()


def test_missing_values_in_front_of_an_imputer_stay(applicants, rows):
    X, y = applicants
    X = X.assign(age=X["age"].astype("Int64").where(X["age"] > 25))
    impute = make_pipeline(SimpleImputer(), StandardScaler())
    pipe = make_pipeline(encoder(impute), classifier()).fit(X, y)
    some = X[:40]
    answer = CounterfactualExplainer(pipe, mutability={"age": "none"}).explain(some)
    assert some["age"].isna().any()
    pd.testing.assert_series_equal(answer.counterfactual["age"], some["age"])
    assert not answer.counterfactual.drop(columns="age").isna().to_numpy().any()


def test_dropped_columns_come_back_as_they_were(applicants, rows):
    X, y = applicants
    parts = [("num", StandardScaler(), ["income"]), ("cat", OneHotEncoder(), ["job"])]
    pipe = make_pipeline(ColumnTransformer(parts), classifier()).fit(X, y)
    answer = CounterfactualExplainer(pipe).explain(rows)
    assert_raw(answer, rows, fixed=["age", "education", "married", "children"])


@pytest.mark.parametrize(
    "bent",
    [
        PowerTransformer(),
        QuantileTransformer(n_quantiles=100),
        FunctionTransformer(np.log1p, np.expm1),
    ],
    ids=lambda step: type(step).__name__,
)
def test_integers_behind_a_bent_scale_are_searched_as_integers(bent):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({f"count {i}": rng.poisson(2.0, 300) for i in range(4)})
    y = (X.sum(axis=1) + rng.normal(0, 0.5, 300) > 8).astype(int)
    pipe = make_pipeline(bent, classifier()).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = CounterfactualExplainer(pipe).explain(X)
    assert (answer.counterfactual.dtypes == X.dtypes).all()
    assert answer.valid.mean() > 0.95


# ------------------------------------------------------------------ frozen and unfitted


@pytest.mark.parametrize("frozen", ["whole", "last step", "first step"])
def test_frozen_parts_are_explained(fit, rows, frozen):
    pipe = fit("plain")
    estimator = {
        "whole": FrozenEstimator(pipe),
        "last step": make_pipeline(pipe[0], FrozenEstimator(pipe[-1])),
        "first step": make_pipeline(FrozenEstimator(pipe[0]), pipe[-1]),
    }[frozen]
    expected = CounterfactualExplainer(pipe, mutability=FIXED).transform(rows)
    explainer = CounterfactualExplainer(estimator, mutability=FIXED)
    pd.testing.assert_frame_equal(explainer.transform(rows), expected)


def test_a_frozen_pipeline_survives_a_clone_of_the_explainer(fit, applicants, rows):
    frozen = FrozenEstimator(fit("plain"))
    explainer = clone(CounterfactualExplainer(frozen, mutability=FIXED))
    answer = explainer.fit(*applicants).explain(rows)
    assert explainer.estimator_ is frozen
    assert_raw(answer, rows)


def test_an_unfitted_pipeline_is_cloned_and_fitted(applicants, rows):
    pipe = make_pipeline(encoder(), classifier())
    explainer = CounterfactualExplainer(pipe, mutability=FIXED, random_state=0)
    with pytest.raises(NotFittedError):
        explainer.explain(rows)
    answer = explainer.fit(*applicants).explain(rows)
    assert explainer.estimator_ is not pipe
    assert not hasattr(pipe[0], "transformers_")
    assert not hasattr(pipe[-1], "net_")
    assert_raw(answer, rows)
    predicted = explainer.estimator_.predict(answer.counterfactual)
    np.testing.assert_array_equal(predicted, answer.target)


def test_open_seeds_are_drawn_from_that_of_the_explainer(applicants, rows):
    pipe = make_pipeline(encoder(), classifier(epochs=2, random_state=None))

    def fitted(seed):
        explainer = CounterfactualExplainer(pipe, random_state=seed)
        return explainer.fit(*applicants).estimator_

    first, again, other = (fitted(seed).predict_proba(rows) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert pipe[-1].random_state is None


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mutability": {"Age": "none"}}, "Unknown feature 'Age'.*Did you mean 'age'"),
        ({"mutability": {"num__age": "none"}}, "Unknown feature 'num__age'"),
        ({"mutability": {"job": "increase"}}, "'job' needs an order"),
        ({"domain": {"job": ["Cook"]}}, "Unknown category 'Cook'.*mean 'cook'"),
        ({"target": "granted"}, "Unknown label 'granted' in target"),
    ],
)
def test_wrong_names_raise_in_raw_terms(fit, rows, params, message):
    with pytest.raises(ValueError, match=message):
        CounterfactualExplainer(fit("plain"), **params).explain(rows)


def test_another_order_of_columns_raises(fit, rows):
    with pytest.raises(ValueError, match="same order"):
        CounterfactualExplainer(fit("plain")).explain(rows[rows.columns[::-1]])


def test_a_step_that_cannot_be_inverted_is_named(applicants, rows):
    pipe = make_pipeline(encoder(), PCA(4), classifier(epochs=1)).fit(*applicants)
    with pytest.raises(ValueError, match=r"PCA .*step 'pca'.*Replace it"):
        CounterfactualExplainer(pipe).explain(rows)


# -------------------------------------------------------------------- skorch and torch


class Linear(nn.Module):
    """Logits, or probabilities for `NLLLoss`."""

    def __init__(self, n_features=2, softmax=False):
        super().__init__()
        self.layer = nn.Linear(n_features, 2)
        self.softmax = softmax

    def forward(self, x):
        logits = self.layer(x)
        return logits.softmax(1) if self.softmax else logits


def make_net(loss, n_features=2):
    """A skorch net that returns logits, or probabilities as skorch's default wants."""
    criterion = {"criterion": nn.CrossEntropyLoss} if loss == "cross-entropy" else {}
    return NeuralNetClassifier(
        Linear,
        module__n_features=n_features,
        module__softmax=loss == "nll",
        optimizer=torch.optim.Adam,
        lr=0.1,
        max_epochs=15,
        train_split=None,
        verbose=0,
        **criterion,
    )


@pytest.fixture
def numbers(applicants):
    """Two numeric columns as float32, and labels that they explain."""
    X = np.random.default_rng(0).normal(size=(120, 2)).astype(np.float32)
    return X, np.where(X.sum(1) + 0.2 > 0, "approved", "denied")


@pytest.fixture(autouse=True)
def _same_start():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


LOSSES = pytest.mark.parametrize("loss", ["cross-entropy", "nll"])


@LOSSES
def test_a_fitted_net_is_explained_in_the_labels_of_fit(numbers, loss):
    X, y = numbers
    codes = (y == "denied").astype(np.int64)
    net = make_net(loss).fit(X, codes)
    explainer = CounterfactualExplainer(net).fit(X, y)
    answer = explainer.explain(X[:20])
    assert explainer.estimator_ is net
    labels = np.array(["approved", "denied"])
    np.testing.assert_array_equal(labels[net.predict(X[:20])], answer.predicted)
    predicted = labels[net.predict(answer.counterfactual)]
    np.testing.assert_array_equal(predicted, answer.target)
    column = np.searchsorted(labels, answer.target)
    probability = net.predict_proba(answer.counterfactual)[np.arange(20), column]
    np.testing.assert_allclose(answer.probability, probability, atol=1e-4)
    assert answer.counterfactual.dtype == X.dtype


@LOSSES
def test_an_unfitted_net_is_fitted_to_text_labels(numbers, loss):
    X, y = numbers
    net = make_net(loss)
    explainer = CounterfactualExplainer(net, random_state=0).fit(X, y)
    denied = X[y == "denied"][:10] - 1
    answer = explainer.explain(denied, target="approved")
    assert not net.initialized_
    assert answer.valid.all()
    assert set(answer.predicted) == {"denied"}
    np.testing.assert_array_equal(
        explainer.estimator_.predict(answer.counterfactual), 0
    )


@LOSSES
@pytest.mark.parametrize("fitted", [False, True])
def test_a_pipeline_around_a_net_is_explained_in_raw_columns(
    applicants, rows, loss, fitted
):
    X, y = applicants
    pipe = make_pipeline(encoder(), to_float32(), make_net(loss, n_features=11))
    if fitted:
        pipe.fit(X, (y == "denied").astype(np.int64))
    explainer = CounterfactualExplainer(pipe, mutability=FIXED, domain="auto")
    answer = explainer.fit(X, y).explain(rows)
    assert_raw(answer, rows)
    assert answer.valid.all()
    labels = np.array(["approved", "denied"])
    predicted = labels[explainer.estimator_.predict(answer.counterfactual)]
    np.testing.assert_array_equal(predicted, answer.target)


def test_a_cast_without_an_inverse_is_named(applicants, rows):
    X, y = applicants
    pipe = make_pipeline(encoder(), to_float32(False), make_net("nll", n_features=11))
    with pytest.raises(ValueError, match=r"FunctionTransformer .*Replace it"):
        CounterfactualExplainer(pipe).fit(X, y)


@pytest.fixture
def threshold():
    """Module with the logits [0, 4 (x0 - 2.2)]: class 1 begins at x0 = 2.2."""
    module = Linear()
    with torch.no_grad():
        module.layer.weight.copy_(torch.tensor([[0.0, 0.0], [4.0, 0.0]]))
        module.layer.bias.copy_(torch.tensor([0.0, -8.8]))
    return module


@pytest.mark.parametrize("labels", [["no", "yes"], [7, 3], [False, True]], ids=repr)
def test_a_module_is_explained_in_the_labels_of_fit(threshold, labels):
    X = np.array([[1.0, 5.0], [1.5, -5.0], [2.5, 0.0], [3.0, 1.0]])
    low, high = np.sort(labels)
    y = np.where(X[:, 0] > 2.2, high, low)
    explainer = CounterfactualExplainer(threshold).fit(X, y)
    answer = explainer.explain(X)
    assert explainer.estimator_ is threshold
    assert answer.predicted.tolist() == [low, low, high, high]
    assert answer.target.tolist() == [high, high, low, low]
    assert answer.valid.all()
    assert (answer.counterfactual[:2, 0] > 2.2).all()
    assert (answer.counterfactual[2:, 0] < 2.2).all()
    np.testing.assert_array_equal(answer.counterfactual[:, 1], X[:, 1])


def test_a_module_keeps_raw_types_and_constraints(threshold):
    X = pd.DataFrame({"x": [1, 3, 0, 4], "free": [0.5, 1.5, 2.5, 3.5]})
    explainer = CounterfactualExplainer(threshold, domain={"x": (0, 4)})
    table = explainer.fit(X, [0, 1, 0, 1]).explain(X, target=[1, 0, 1, 0])
    table = table.counterfactual
    assert table["x"].dtype == X["x"].dtype
    assert table["x"].iloc[[0, 2]].between(3, 4).all()
    assert table["x"].iloc[[1, 3]].between(0, 2).all()
    pd.testing.assert_series_equal(table["free"], X["free"])


def test_a_module_has_to_be_fitted_with_labels(threshold):
    with pytest.raises(NotFittedError):
        CounterfactualExplainer(threshold).explain(np.ones((2, 2)))


def test_a_module_behind_a_fitted_transformer_is_explained_in_raw_units(threshold):
    X = pd.DataFrame({"money": [1000.0, 9000.0, 5000.0, 6000.0], "age": [3, 4, 5, 6]})
    scaler = StandardScaler().fit(X)
    front = make_pipeline(scaler, threshold)
    explainer = CounterfactualExplainer(front).fit(X, [0, 1, 0, 0])
    answer = explainer.explain(X[:1], target=1)
    border = X["money"].mean() + 2.2 * X["money"].std(ddof=0)
    assert answer.valid.all()
    assert border < answer.counterfactual["money"].iloc[0] < 1.2 * border
    assert answer.counterfactual["age"].iloc[0] == 3


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_what_is_measured_without_a_fit_does_not_depend_on_the_first_row():
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.integers(0, 200, 90), "b": rng.integers(0, 9, 90)})
    pipe = make_pipeline(QuantileTransformer(n_quantiles=4), classifier())
    pipe.fit(X, X["a"] + 10 * X["b"] > 120)
    explainer = CounterfactualExplainer(pipe, generator=ECCCoGenerator())
    together = explainer.explain(X).counterfactual
    assert not together.equals(X)
    alone = [explainer.explain(X[i : i + 1]).counterfactual for i in range(0, 90, 6)]
    pd.testing.assert_frame_equal(pd.concat(alone), together[::6])


def test_an_order_that_the_encoder_does_not_keep_is_named():
    sizes = pd.CategoricalDtype(["low", "middle", "high"], ordered=True)
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"size": pd.Series(rng.choice(sizes.categories, 60), dtype=sizes)})
    pipe = make_pipeline(OrdinalEncoder(), classifier()).fit(X, X["size"] == "high")
    explainer = CounterfactualExplainer(pipe, mutability={"size": "increase"})
    with pytest.raises(ValueError, match="the preprocessor encodes them in another"):
        explainer.explain(X)
