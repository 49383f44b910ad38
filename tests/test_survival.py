"""What recourse withstands: closed forms, invariants, and refits of each kind."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick
from joblib import parallel_config
from scipy.stats import norm
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_blobs
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from test_robustness import DIRECTION, box, linear, make_rows, margin

from skct import CounterfactualExplainer, robustness
from skct.robustness import recourse_robustness, recourse_survival


def test_both_can_be_had_from_robustness():
    assert robustness.recourse_survival is recourse_survival
    assert robustness.recourse_robustness is recourse_robustness


# -------------------------------------------------------------- noise on recourse


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_on_a_linear_model_has_a_closed_form(noise):
    X, y = make_rows(50)
    result = recourse_robustness(
        linear, X, y, noise=noise, n_draws=2000, random_state=0
    )
    expected = norm.cdf(margin(X, y) / (noise * np.linalg.norm(DIRECTION)))
    np.testing.assert_allclose(result, expected, atol=0.05)
    assert np.abs(result - expected).mean() < 0.01
    assert result.std() > 0.1


def test_without_noise_robustness_is_validity():
    X, y = make_rows()
    result = recourse_robustness(linear, X, y, noise=0, n_draws=3)
    assert np.array_equal(result, margin(X, y) > 0)


def test_noise_is_seeded_and_does_not_depend_on_rows_that_follow():
    X, y = make_rows()
    options = {"noise": 0.5, "n_draws": 20, "random_state": 0}
    result = recourse_robustness(linear, X, y, **options)
    assert np.array_equal(result, recourse_robustness(linear, X, y, **options))
    assert np.array_equal(
        result[:9], recourse_robustness(linear, X[:9], y[:9], **options)
    )


def test_noise_moves_only_what_may_move_to_values_that_exist(applicants, fitted):
    X, _ = applicants
    factual = fitted.feature_space_.encode(X)
    seen = []

    def model(x):
        seen.append(x.detach().clone())
        return fitted.module_(x)

    target = np.zeros(len(X), dtype=int)
    recourse_robustness(
        model,
        factual,
        target,
        noise=2.0,
        n_draws=3,
        constraints=fitted.constraints_,
        factual=factual,
        random_state=0,
    )
    noisy = [x for x in seen if len(x) == len(X)]
    assert len(noisy) == 3
    for x in noisy:
        table = fitted.feature_space_.decode(x.numpy(), like=X)
        for column in ("age", "married"):
            pd.testing.assert_series_equal(table[column], X[column])
        assert (table["education"].cat.codes >= X["education"].cat.codes).all()
        assert (table["job"] != X["job"]).any()
        np.testing.assert_allclose(
            fitted.feature_space_.encode(table), x, atol=1e-4
        )  # what the model saw is a row of a table


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"noise": -1}, "'noise' parameter must be a number >= 0"),
        ({"n_draws": 0}, "'n_draws' parameter must be an integer >= 1"),
        ({"factual": [[0.0, 0, 0]]}, "Pass both or none"),
        ({"constraints": box()}, "Pass both or none"),
        (
            {"constraints": box(), "factual": [[0.0, 0.0]]},
            r"shape of counterfactual, \(1, 3\). Got \(1, 2\)",
        ),
    ],
)
def test_wrong_parameters_are_refused(params, message):
    with pytest.raises(ValueError, match=message):
        recourse_robustness(linear, [[1.0, 2.0, 3.0]], [0], **params)


# -------------------------------------------------------------------- retraining


def two_blobs():
    X, y = make_blobs(120, 2, centers=[[-2, 0], [2, 0]], random_state=0)
    return X, np.array(["left", "right"])[y]


@pytest.mark.filterwarnings("ignore:.*rows are already predicted as their target")
def test_far_counterfactuals_are_stable_and_near_ones_are_not():
    X, y = two_blobs()
    clf = quick(epochs=8, random_state=None).fit(X, y)
    line = np.column_stack([np.linspace(-3, 3, 60), np.zeros(60)])
    answer = clf.explain(line, target="right")
    valid = np.ones(60, dtype=bool)
    answer = replace(answer, counterfactual=line, valid=valid)  # from no to yes
    share = recourse_survival(clf, answer, X, y, n_models=4, random_state=0)
    assert share.shape == (60,)
    assert share[0] == 0
    assert share[-1] == 1
    assert (np.diff(share) >= 0).all()
    assert ((share > 0) & (share < 1)).any()
    invalid = replace(answer, valid=~valid)
    assert not recourse_survival(clf, invalid, X, y, n_models=1, random_state=0).any()


def in_frames():
    return (*people(150), quick(epochs=2))


def in_arrays():
    return (*two_blobs(), quick(epochs=2, random_state=None))


def in_a_pipeline():
    X, y = people(150)
    X = X[["age", "income", "job"]]
    front = make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["job"]), remainder=StandardScaler()
    )
    return X, y, make_pipeline(front, quick(epochs=2, preprocessor=None))


@pytest.mark.parametrize("make", [in_frames, in_arrays, in_a_pipeline])
@pytest.mark.filterwarnings("ignore:.*rows have no valid counterfactual")
def test_survival_of_frames_arrays_and_pipelines(make):
    X, y, estimator = make()
    estimator.fit(X, y)
    before = torch.get_rng_state()
    answer = CounterfactualExplainer(estimator).explain(X[:20])
    options = {"n_models": 2, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # those of the refits are silenced
        share = recourse_survival(estimator, answer, X, y, **options)
    assert share.shape == (20,)
    assert np.isin(share, [0.0, 0.5, 1.0]).all()
    assert (share[~answer.valid] == 0).all()
    assert np.array_equal(share, recourse_survival(estimator, answer, X, y, **options))
    assert torch.equal(torch.get_rng_state(), before)


def test_models_can_be_fitted_at_the_same_time():
    X, y, clf = in_arrays()
    answer = clf.fit(X, y).explain(X[:10])
    options = {"n_models": 3, "random_state": 0}
    alone = recourse_survival(clf, answer, X, y, **options)
    with parallel_config(backend="threading"):
        together = recourse_survival(clf, answer, X, y, n_jobs=2, **options)
    assert np.array_equal(alone, together)


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_a_class_of_one_row_stays_in_every_sample():
    X, y = two_blobs()
    y = y.astype(object)
    y[0] = "rare"
    clf = quick(epochs=1).fit(X, y)
    answer = clf.explain(X[:3])
    assert recourse_survival(clf, answer, X, y, n_models=3, random_state=0).shape == (
        3,
    )


def test_survival_refuses_what_it_cannot_retrain(fitted, applicants):
    X, y = applicants
    answer = fitted.explain(X[:2])
    for frozen in (FrozenEstimator(fitted), make_pipeline(FrozenEstimator(fitted))):
        with pytest.raises(ValueError, match="FrozenEstimator.*pass the estimator"):
            recourse_survival(frozen, answer, X, y)
    with pytest.raises(ValueError, match="can be fitted anew"):
        recourse_survival(fitted.module_, answer, X, y)
    with pytest.raises(ValueError, match="must be a CounterfactualExplanation"):
        recourse_survival(fitted, answer.counterfactual, X, y)
    with pytest.raises(ValueError, match="'n_models' parameter must be an integer"):
        recourse_survival(fitted, answer, X, y, n_models=0)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        recourse_survival(fitted, answer, X, y[:-1])
