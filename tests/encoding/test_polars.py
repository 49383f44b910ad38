"""Polars frames go in and come out, in their own types."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.compose import make_column_transformer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier
from skct.exceptions import SearchWarning
from skct.scoring import get_scorer
from skct.utils.polars import as_pandas, as_polars

pl = pytest.importorskip("polars")

LEVELS = pl.Enum(["school", "college", "university"])
FIXED = {"age": "none", "married": "none"}


def classifier(**params):
    clf = CounterfactualTrainingClassifier(random_state=0, **params)
    return clf.set_params(net__max_epochs=15, net__lr=0.01)


def make_people(n=200):
    rng = np.random.default_rng(0)
    income = rng.lognormal(3.5, 0.4, n)
    job = rng.choice(["clerk", "cook", "nürse"], n)
    frame = pl.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "income": income,
            "children": pl.Series(rng.integers(0, 4, n), dtype=pl.UInt8),
            "job": pl.Series(job, dtype=pl.Categorical),
            "degree": pl.Series(rng.choice(LEVELS.categories, n), dtype=LEVELS),
            "married": rng.random(n) < 0.5,
        }
    )
    return frame, np.where(income + 10 * (job == "nürse") > 38, "yes", "no")


@pytest.fixture(scope="module")
def people():
    return make_people()


@pytest.fixture(scope="module")
def clf(people):
    return classifier(mutability=FIXED | {"degree": "increase"}).fit(*people)


def test_a_polars_frame_is_learnt_like_the_same_pandas_frame(people, clf):
    X, y = people
    frame = as_pandas(X)
    other = classifier(mutability=FIXED | {"degree": "increase"}).fit(frame, y)
    np.testing.assert_array_equal(clf.feature_names_in_, X.columns)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(frame))
    np.testing.assert_array_equal(clf.predict_proba(X), clf.predict_proba(frame))


def test_answers_are_polars_frames_in_the_types_of_the_table(people, clf):
    X = people[0][:20]
    answer = clf.explain(X)
    table = answer.counterfactual
    assert isinstance(table, pl.DataFrame)
    assert answer.factual.equals(X)
    assert table.schema == X.schema
    assert table[list(FIXED)].equals(X[list(FIXED)])
    same = clf.explain(as_pandas(X))
    pd.testing.assert_frame_equal(as_pandas(table), same.counterfactual)
    pd.testing.assert_frame_equal(answer.changes(), same.changes())
    assert answer.to_html() == same.to_html()
    assert answer.to_json() == same.to_json()
    explainer = CounterfactualExplainer(clf)
    assert explainer.transform(X).equals(table)
    assert explainer.set_output(transform="polars").transform(X).equals(table)


def test_its_frame_says_who_is_meant(people, clf):
    X = people[0][:10]
    frame = clf.explain(X[5:]).to_frame()
    assert isinstance(frame, pl.DataFrame)
    assert frame.columns[: X.width + 1] == [*X.columns, "row"]
    assert frame["row"].to_list() == [0, 1, 2, 3, 4]
    assert frame["target"].dtype == pl.String
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)  # that some are alike
        several = clf.explain(X[:2], n_alternatives=3)
    assert several.factual["age"].to_list() == np.repeat(X["age"][:2], 3).tolist()
    assert several.to_frame()["alternative"].to_list() == [0, 1, 2] * 2
    assert several[::3].factual.equals(X[:2])


def test_a_pipeline_on_polars_frames_is_explained_in_polars_frames(people):
    X, y = people
    encoder = make_column_transformer(
        (StandardScaler(), ["age", "income", "children"]),
        (OneHotEncoder(sparse_output=False), ["job", "degree", "married"]),
    )
    pipe = make_pipeline(encoder, classifier(mutability={"degree": "none"}))
    pipe.set_output(transform="polars").fit(X, y)
    explainer = CounterfactualExplainer(pipe, mutability={"age": "none"})
    answer = explainer.explain(X[:20])
    assert answer.counterfactual.schema == X.schema
    assert answer.counterfactual["degree"].equals(X["degree"][:20])
    np.testing.assert_array_equal(
        pipe.predict(answer.counterfactual)[answer.valid], answer.target[answer.valid]
    )


def test_polars_frames_go_through_cross_validation_with_a_scorer(people):
    X, y = people
    X = X.drop("job")  # the order of polars' categories is that of the rows
    scores = [
        cross_val_score(
            classifier(), table, y, scoring=get_scorer("neg_implausibility"), cv=2
        )
        for table in (X, as_pandas(X))
    ]
    np.testing.assert_array_equal(*scores)


def test_a_lazy_frame_is_refused_with_the_remedy(people):
    X, y = people
    with pytest.raises(TypeError, match=r"pass X.collect\(\)"):
        classifier().fit(X.lazy(), y)


WHOLE = st.integers(-(2**40), 2**40)
CELLS = {
    pl.Int64: WHOLE,
    pl.UInt8: st.integers(0, 255),
    pl.Float32: st.floats(width=32),
    pl.Float64: st.floats(),
    pl.Boolean: st.booleans(),
    pl.String: st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    pl.Categorical: st.sampled_from(["a", "ü", ""]),
    LEVELS: st.sampled_from(list(LEVELS.categories)),
}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_table_that_does_not_change_comes_back_with_every_bit(data):
    n = data.draw(st.integers(1, 6))
    columns = [
        pl.Series(f"c{i}", data.draw(cells(kind, n)), dtype=kind)
        for i, kind in enumerate(data.draw(st.lists(st.sampled_from(list(CELLS)))))
    ]
    table = pl.DataFrame(columns)
    back = as_polars(as_pandas(table), table)
    assert back.schema == table.schema
    assert back.equals(table)


def cells(kind, n):
    return st.lists(st.none() | CELLS[kind], min_size=n, max_size=n)
