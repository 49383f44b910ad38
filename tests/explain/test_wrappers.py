"""What an explainer finds inside searches, Pipelines with samplers, other wrappers."""

import numpy as np
import pandas as pd
import pytest
from conftest import people, quick
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from skct import CounterfactualExplainer
from skct.scoring import get_scorer

pytestmark = pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")


def table(n=120):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(n, 2)), columns=["a", "b"])
    return X, np.where(X["a"] > 0, "yes", "no")


def searches():
    grid, inner = {"lambda_div": [0.0, 0.5]}, make_pipeline(StandardScaler(), quick(3))
    behind = {f"counterfactualtrainingclassifier__{k}": v for k, v in grid.items()}
    return {
        "grid": GridSearchCV(quick(3), grid, cv=2),
        "random": RandomizedSearchCV(quick(3), grid, n_iter=1, cv=2, random_state=0),
        "pipeline inside": GridSearchCV(inner, behind, cv=2),
        "pipeline around": make_pipeline(
            StandardScaler(), GridSearchCV(quick(3), grid, cv=2)
        ),
    }


@pytest.mark.parametrize("kind", searches())
def test_a_search_is_explained_by_its_best_estimator(kind):
    X, y = table()
    search = searches()[kind].fit(X, y)
    best = getattr(search, "best_estimator_", search)
    for wrapped in (search, FrozenEstimator(search)):
        answer = CounterfactualExplainer(wrapped).explain(X[:20])
        wanted = CounterfactualExplainer(best).explain(X[:20])
        pd.testing.assert_frame_equal(answer.counterfactual, wanted.counterfactual)
    fitted = CounterfactualExplainer(searches()[kind]).fit(X, y)
    assert fitted.explain(X[:20]).valid.all()


@pytest.mark.parametrize("kind", searches())
def test_nested_cross_validation_has_scores(kind):
    X, y = table()
    for name in ("neg_cost", "validity"):
        scores = cross_val_score(
            searches()[kind], X, y, cv=2, scoring=get_scorer(name), error_score="raise"
        )
        assert np.isfinite(scores).all()


def test_a_search_without_a_best_estimator_says_what_it_needs():
    X, y = table()
    search = GridSearchCV(quick(1), {"lambda_div": [0, 1]}, cv=2, refit=False)
    with pytest.raises(ValueError, match="refit=True"):
        CounterfactualExplainer(search.fit(X, y)).explain(X)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda clf: CalibratedClassifierCV(clf, cv=2),
        lambda clf: TunedThresholdClassifierCV(clf, cv=2),
        FixedThresholdClassifier,
    ],
)
def test_wrappers_that_change_what_is_predicted_are_refused_by_name(wrap):
    X, y = table()
    wrapped = wrap(quick(1)).fit(X, y)
    with pytest.raises(ValueError, match=type(wrapped).__name__) as error:
        CounterfactualExplainer(wrapped).explain(X)
    assert "fit and pass the model itself" in str(error.value)
    assert len(str(error.value)) < 500


class Twice(BaseEstimator):
    """A sampler, as those of imbalanced-learn: fit_resample and no transform."""

    def fit_resample(self, X, y):
        return pd.concat([X, X]), np.concatenate([y, y])


class SamplingPipeline(Pipeline):
    """Of imbalanced-learn, what counts here: samplers are skipped in predict."""

    def _iter(self, with_final=True, filter_passthrough=True):
        for i, name, step in super()._iter(with_final, filter_passthrough):
            if not hasattr(step, "fit_resample"):
                yield i, name, step

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            else:
                X = step.fit(X).set_output(transform="pandas").transform(X)
        self.steps[-1][1].fit(X, y)
        return self


@pytest.mark.parametrize("place", [0, 1])
def test_samplers_are_left_out_as_in_predict(place):
    X, y = table()
    steps = [("scale", StandardScaler()), ("clf", quick(20))]
    steps.insert(place, ("twice", Twice()))
    pipe = SamplingPipeline(steps).fit(X, y)
    answer = CounterfactualExplainer(pipe).explain(X[:40])
    assert answer.valid.all()
    assert (pipe.predict(answer.counterfactual) == answer.target).all()
    fitted = CounterfactualExplainer(pipe).fit(X, y).explain(X[:40])
    assert fitted.valid.all()


def test_a_sampler_in_front_of_a_raw_table():
    X, y = people(200)
    pipe = SamplingPipeline([("twice", Twice()), ("clf", quick(20))]).fit(X, y)
    denied = X[pipe.predict(X) == "denied"]
    answer = CounterfactualExplainer(pipe).explain(denied, target="approved")
    assert (answer.counterfactual.dtypes == X.dtypes).all()
    assert (pipe.predict(answer.counterfactual) == "approved")[answer.valid].all()
