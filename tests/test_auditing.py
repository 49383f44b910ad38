"""`audit`: measures against their definitions, and what goes wrong."""

import dataclasses
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from conftest import people
from joblib import parallel_config
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import ShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

import skct.auditing
from skct import (
    AuditResult,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    audit,
)
from skct.auditing import as_seed, at_real
from skct.explain.judge import Judge
from skct.metrics import confidence_gap
from skct.preprocessing import TableEncoder

PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
FIXED = {"age": "none"}


def make(epochs=15, **settings):
    clf = CounterfactualTrainingClassifier(random_state=0, **PLAIN | settings)
    return clf.set_params(net__max_epochs=epochs, net__lr=0.01)


class Sure(ClassifierMixin, BaseEstimator):
    """A judge that is sure of the same probability whatever it sees."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.tile([0.25, 0.75], (len(X), 1))


def run(estimators=None, **options):
    X, y = people(240)
    options = {"cv": 2, "n_retrainings": 2, "n_rows": 30, "verbose": 0} | options
    estimators = (
        {"plain": make(), "short": make(4)} if estimators is None else estimators
    )
    return audit(estimators, X, y, target="approved", **options)


@pytest.fixture(scope="module")
def result():
    return run(mutability=FIXED)


def test_there_is_a_row_for_each_fold_and_estimator(result):
    frame = result.to_frame()
    assert frame["estimator"].tolist() == ["plain", "short"] * 2
    assert frame["fold"].tolist() == [0, 0, 1, 1]
    shares = ["accuracy", "validity", "told", "judged", "survival", "gap"]
    for name in (*shares, "protected_share"):
        assert frame[name].between(0, 1).all()
    for name in ("cost", "n_changed", "distance", "seconds"):
        assert (frame[name] > 0).all()
    assert (frame.groupby("fold")["n_explained"].nunique() == 1).all()


def test_the_same_seed_gives_the_same_figures(result):
    again = run(mutability=FIXED, n_jobs=2)
    columns = result.figures.columns.drop("seconds")
    pd.testing.assert_frame_equal(again.figures[columns], result.figures[columns])


def test_models_are_fitted_in_threads_too():
    found = []

    def in_threads():
        with parallel_config(backend="threading"):
            found.append(run({"a": make(1)}, n_jobs=2, n_rows=2, n_retrainings=1))

    # In a thread of its own, so that a deadlock is a failure and no silence.
    thread = Thread(target=in_threads, daemon=True)
    thread.start()
    thread.join(timeout=120)
    assert len(found) == 1


def test_seeds_of_all_kinds():
    assert as_seed(7) == as_seed(np.int64(7)) == 7
    state = np.random.RandomState(0)
    assert as_seed(state) != as_seed(state)
    assert as_seed(None) != as_seed(None)


def test_a_frozen_result_shows_means_and_spreads(result):
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.figures = None
    assert result.to_frame() is not result.figures
    summary = result.summary()
    mean = result.figures.groupby("estimator")["cost"].mean()
    np.testing.assert_allclose(summary["cost", "mean"][mean.index], mean)
    assert summary["cost", "mean"].map("{:.3f}".format).iloc[0] in repr(result)
    assert "survival" in result.to_html()
    assert "<html" not in result._repr_html_()
    assert len(result.plot().bars_) == 6


def test_names_of_estimators_are_escaped():
    X, y = people(120)
    result = audit(
        {"<b>bold</b>": make(2)},
        *(X, y),
        target="approved",
        cv=2,
        n_retrainings=1,
        verbose=0,
    )
    assert "<b>bold" not in result.to_html()


def test_the_gap_is_that_of_the_judge():
    result = run(judge=Sure())
    told, judged = (result.figures[name] for name in ("told", "judged"))
    # Labels are sorted: "approved" comes first, and is given 0.25.
    assert (judged == 0.25).all()
    assert (told >= result.confidence - 0.1).all()
    # Advice of all confidences is told at least .5, and judged .25.
    assert (result.figures["gap"] >= 0.25).all()
    assert confidence_gap([0.9, 0.5], [0.25]) == pytest.approx(0.45)
    # It is as convinced as by real members from the first step of the sweep on.
    assert (result.figures["cost_at_real"] < result.figures["cost"]).all()


def test_figures_where_the_judge_is_as_convinced_as_by_members():
    judge = Judge(None, "yes", 0.7, None, None)
    curve = pd.DataFrame({"judged": [0.5, 0.6, 0.8], "cost": [1.0, 2.0, 4.0]})
    assert at_real(curve, "cost", judge) == pytest.approx(3.0)
    assert np.isnan(at_real(curve, "cost", judge._replace(convinced=0.9)))


def test_cost_and_distance_of_the_judge_by_hand():
    X = pd.DataFrame({"a": [0.0, 1, 2, 3, 4, 5, 6, 7], "c": list("xyxyxyxy")})
    y = np.array([0, 1] * 4)
    encoder = TableEncoder().fit(X)
    model = make_pipeline(encoder, LogisticRegression())
    judge = Judge.fit(model, 1, (X, y), X[y == 1], encoder)
    moved = X.assign(a=X["a"] + 3.5, c="y")
    iqr = X["a"].quantile(0.75) - X["a"].quantile(0.25)
    expected = 3.5 / iqr + (X["c"] != "y")
    np.testing.assert_allclose(judge.cost(moved, X), expected)
    assert judge.distance(X[y == 1]).max() < judge.distance(X[y == 0]).min()


def test_survival_counts_the_models_that_agree():
    X, y = people(240)
    first, second = make().fit(X, y), make(epochs=4).fit(X, y)
    denied = X[first.predict(X) == "denied"][:10]
    answer = first.explain(denied, target="approved", confidence=0.5)
    agrees = second.predict(answer.counterfactual) == "approved"
    np.testing.assert_allclose(
        answer.survival([first, second]), (1 + agrees) / 2 * answer.valid
    )
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    for models in ([], first, pipe, [3], None):
        with pytest.raises(ValueError, match="'models' parameter must be a list"):
            answer.survival(models)


def test_pipelines_are_audited_and_arrays_are():
    X, y = people(240)
    numbers = X[["age", "income", "children"]].to_numpy(float)
    pipe = make_pipeline(StandardScaler(), make(4))
    options = {"cv": ShuffleSplit(1, random_state=0), "n_retrainings": 1, "verbose": 0}
    result = audit({"pipe": pipe}, numbers, y, target="approved", **options)
    assert isinstance(result, AuditResult)
    assert len(result.figures) == 1
    assert "+-" not in repr(result).split("\n", 1)[1]


class Convolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.outer = nn.Conv2d(1, 2, 2), nn.Linear(8, 2)

    def forward(self, x):
        return self.outer(self.inner(x).relu().flatten(1))


def test_images_reach_the_estimators_as_they_are():
    images = np.random.default_rng(0).normal(size=(80, 1, 3, 3)).astype("float32")
    y = (images[:, 0, 1, 1] > 0).astype(int)
    net = CounterfactualNet(Convolution, max_epochs=10, lr=0.02)
    clf = CounterfactualTrainingClassifier(
        net, preprocessor=None, random_state=0, **PLAIN
    )
    options = {"cv": 2, "n_retrainings": 1, "n_rows": 3, "verbose": 0}
    result = audit({"images": clf}, images, y, target=1, **options)
    assert (result.figures["cost"] > 0).all()
    assert (result.figures["n_explained"] == 3).all()


def test_sparse_and_polars_tables_are_audited_like_dense_ones():
    pl = pytest.importorskip("polars")
    X, y = people(120)
    numbers = X[["age", "income", "children"]].astype(float).reset_index(drop=True)
    options = {"cv": 2, "n_retrainings": 1, "n_rows": 3, "verbose": 0}
    tables = numbers.to_numpy(), csr_array(numbers), pl.from_pandas(numbers)
    dense, *others = (
        audit({"a": make()}, table, y, target="approved", **options).to_frame()
        for table in tables
    )
    for frame in others:
        told = ["told", "accuracy", "cost", "distance", "judged"]
        np.testing.assert_allclose(frame[told], dense[told], atol=1e-5)


def test_lengths_have_to_agree():
    X, y = people(120)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        audit({"a": make(1)}, X, y[:-1], target="approved")


def test_an_interrupt_keeps_the_folds_that_are_done(monkeypatch):
    done, fold = [], skct.auditing.audit_fold

    def stops(*args):
        if done:
            raise KeyboardInterrupt
        done.append(1)
        return fold(*args)

    monkeypatch.setattr(skct.auditing, "audit_fold", stops)
    with pytest.warns(UserWarning, match="1 of 2 folds"):
        result = run({"plain": make(2)})
    assert result.figures["fold"].tolist() == [0]
    with pytest.raises(KeyboardInterrupt):
        run({"plain": make(2)})


class Generous(CounterfactualTrainingClassifier):
    """Denies nobody in the folds that are listed, by the number of the fit."""

    n_fits = 0
    generous: tuple = ()

    def fit(self, X, y):
        self.number_ = Generous.n_fits
        Generous.n_fits += 1
        return super().fit(X, y)

    def predict(self, X):
        labels = super().predict(X)
        if self.number_ in Generous.generous:
            return np.full_like(labels, "approved")
        return labels


@pytest.mark.parametrize("generous", [(0,), (0, 2)])
def test_where_nobody_is_denied_the_other_folds_count(generous, monkeypatch):
    monkeypatch.setattr(Generous, "n_fits", 0)
    monkeypatch.setattr(Generous, "generous", generous)
    net = CounterfactualNet(max_epochs=2, lr=0.01)
    options = {"n_retrainings": 1, "n_rows": 5}
    estimators = {"generous": Generous(net, random_state=0, **PLAIN)}
    if len(generous) == 2:
        with pytest.raises(ValueError, match="No held-out row is denied 'approved'"):
            run(estimators, **options)
        return
    with pytest.warns(UserWarning, match="In 1 of 2 folds no held-out row"):
        frame = run(estimators, **options).to_frame()
    assert frame["n_explained"].tolist() == [0, 5]
    assert frame["cost"].isna().tolist() == [True, False]
    assert frame["accuracy"].notna().all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target": "maybe"}, "'target'.*approved.*maybe"),
        ({"target": None}, "'target'.*'approved', 'denied'. Got None"),
        ({"judge": LogisticRegression}, "'judge'.*predict_proba"),
        ({"judge": 3}, "'judge'.*Got 3"),
        ({"random_state": "x"}, "'random_state'.*'x'"),
        ({"cv": "x"}, "cv.*x"),
        ({"cv": 1}, "'cv' parameter must be an integer >= 2"),
        ({"cv": 200}, "'cv'"),
        ({"estimators": {}}, "'estimators'"),
        ({"estimators": [make()]}, "'estimators'"),
        ({"estimators": {"log": LogisticRegression()}}, "'log' cannot explain"),
        ({"estimators": {"a": CounterfactualTrainingClassifier}}, "'a' cannot explain"),
        ({"n_retrainings": 0}, "'n_retrainings'"),
        ({"n_rows": 0}, "'n_rows'"),
        ({"confidence": 1.5}, "'confidence'"),
    ],
)
def test_wrong_parameters_are_named(change, message):
    X, y = people(120)
    given = {"target": "approved", "cv": 2, "n_retrainings": 1, "verbose": 0} | change
    estimators = given.pop("estimators", {"plain": make(1)})
    with pytest.raises(ValueError, match=message):
        audit(estimators, X, y, **given)


def test_a_class_too_rare_to_hold_out_is_named():
    X, y = people(120)
    y = y.astype(object)
    y[0] = "rare"
    with pytest.raises(ValueError, match="'rare' of y is too rare.*has 1 rows.*'cv'"):
        audit({"plain": make(1)}, X, y, target="approved", verbose=0)
    unlucky = [(np.arange(2, 120), np.arange(2))]
    with pytest.raises(ValueError, match="of y is too rare.* 1 folds"):
        audit({"plain": make(1)}, X, y, target="approved", cv=unlucky)
