"""Tuning by plausibility where trials are stopped early, and through a Pipeline."""

import numpy as np
import pandas as pd
import pytest
from conftest import people, quick
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.model_selection import HalvingGridSearchCV, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skct.scoring import get_scorer

plausibility = get_scorer("neg_implausibility")
N_EPOCHS = 4


def run_study(n_trials):
    """A study that scores the plausibility of counterfactuals after every epoch."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X_train, X_valid, y_train, y_valid = train_test_split(
        *load_iris(return_X_y=True), test_size=40, random_state=0
    )

    def objective(trial):
        clf = quick(lambda_div=trial.suggest_float("lambda_div", 0.01, 2.0, log=True))
        clf.set_params(net__lr=trial.suggest_float("lr", 1e-4, 0.05, log=True))
        for epoch in range(1, N_EPOCHS + 1):
            clf.partial_fit(X_train, y_train)
            score = plausibility(clf, X_valid, y_valid)
            trial.report(score, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return score

    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=0),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1),
    )
    study.optimize(objective, n_trials=n_trials)
    return study


def trials_by_state(study):
    groups = {"PRUNED": [], "COMPLETE": []}
    for trial in study.trials:
        groups[trial.state.name].append(trial)
    return groups


@pytest.fixture(scope="module")
def study():
    return run_study(8)


def test_optuna_prunes_trials_that_are_less_plausible_than_the_median(study):
    pruned = trials_by_state(study)["PRUNED"]
    assert pruned
    for trial in pruned:
        last = max(trial.intermediate_values)
        earlier = [  # the pruner looks at complete ones only
            t.intermediate_values
            for t in study.trials[: trial.number]
            if t.state.name == "COMPLETE"
        ]
        rivals = [values[last] for values in earlier if last in values]
        assert max(trial.intermediate_values.values()) < np.median(rivals)


def test_the_best_trial_is_complete_and_more_plausible_than_the_worst(study):
    complete = trials_by_state(study)["COMPLETE"]
    assert study.best_trial.number in [trial.number for trial in complete]
    assert study.best_value > min(trial.value for trial in complete)
    assert study.best_value == study.best_trial.intermediate_values[N_EPOCHS]


def test_a_seeded_study_is_the_same_every_time(study):
    again = run_study(4)
    for one, other in zip(study.trials, again.trials, strict=False):
        assert one.state == other.state
        assert one.params == other.params
        assert one.intermediate_values == other.intermediate_values


def test_halving_spends_epochs_of_a_net_behind_a_pipeline():
    X, y = people(100)
    encode = make_column_transformer(
        (StandardScaler(), make_column_selector(dtype_include="number")),
        (
            OneHotEncoder(sparse_output=False),
            make_column_selector(dtype_exclude="number"),
        ),
    )
    pipe = Pipeline([("encode", encode), ("ct", quick(mutability={"age": "none"}))])
    search = HalvingGridSearchCV(
        pipe.set_output(transform="pandas"),
        {"ct__lambda_div": [0.1, 0.5]},
        resource="ct__net__max_epochs",
        min_resources=2,
        max_resources=4,
        factor=2,
        scoring=plausibility,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    results = pd.DataFrame(search.cv_results_)
    assert results.groupby("n_resources").size().to_dict() == {2: 2, 4: 1}
    assert np.isfinite(results["mean_test_score"]).all()
    assert search.best_estimator_[-1].n_iter_ == 4
