"""Scorers: their definitions, invalid rows, and scikit-learn's searches with them."""

import pickle
import warnings
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pandas as pd
import pytest
from conftest import people, quick
from joblib import parallel_config
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_diabetes
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skct import CounterfactualExplainer, ECCCoGenerator, GenericGenerator
from skct.metrics import mmd
from skct.scores import NAMES, SCORES, Evaluation
from skct.scoring import counterfactual_scorer, get_scorer

# The others need retrained models and a second of Langevin dynamics.
QUICK = tuple(
    name for name in NAMES if name not in ("recourse_survival", "neg_faithfulness")
)


@pytest.fixture(scope="module")
def blobs():
    """Three classes in the plane, numeric."""
    rng = np.random.default_rng(0)
    centres = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])
    y = rng.integers(3, size=150)
    return centres[y] + 0.7 * rng.normal(size=(150, 2)), np.array(list("abc"))[y]


@pytest.fixture(scope="module")
def clf(blobs):
    return quick(epochs=30, preprocessor=None, mutability=["both", "both"]).fit(*blobs)


@pytest.fixture(scope="module")
def hopeless(blobs):
    """A model of the same accuracy whose search never finds anything."""
    clf = quick(epochs=30, preprocessor=None, mutability=["none", "none"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return clf.fit(*blobs)


def scores(estimator, X, y, names=QUICK, **options):
    options = {"group": 0, **options}
    return counterfactual_scorer(names, **options)(estimator, X, y)


# --------------------------------------------------------------------- definitions


def test_definitions_where_every_row_has_an_answer(clf, blobs):
    X, y = blobs
    answer, got = clf.explain(X), scores(clf, X, y)
    assert answer.valid.all()
    after = answer.counterfactual
    distance = [
        cdist(after[[i]], X[y == answer.target[i]], "cityblock").mean()
        for i in range(len(X))
    ]
    group_mmd = [
        (answer.target == k).mean() * mmd(after[answer.target == k], X[y == k])
        for k in "abc"
    ]
    assert got["validity"] == 1
    assert got["neg_cost"] == pytest.approx(-np.abs(after - X).sum(1).mean(), rel=1e-5)
    assert got["neg_implausibility"] == pytest.approx(-np.mean(distance), rel=1e-5)
    assert got["neg_mmd"] == pytest.approx(-np.sum(group_mmd), rel=1e-4, abs=1e-6)
    assert got["redundancy"] == pytest.approx((after == X).mean(), abs=1e-6)
    assert got["neg_sensitivity"] == 0  # nothing is immutable


def test_names_of_scikit_learn_are_its_own_scores(clf, blobs):
    X, y = blobs
    got = scores(clf, X, y, ("accuracy", "neg_log_loss", "roc_auc_ovr"))
    assert got["accuracy"] == clf.score(X, y)
    assert got["roc_auc_ovr"] > 0.9
    assert list(got) == ["accuracy", "neg_log_loss", "roc_auc_ovr"]


def test_the_burden_compares_groups(applicants):
    X, y = applicants
    frozen = {"income": "none", "job": "none"}  # too much for some rows
    fitted = quick(epochs=15, mutability=frozen).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = fitted.explain(X)
    cost = pd.Series(answer.cost).where(answer.valid)
    names = ("neg_burden_gap", "burden_ratio", "neg_cost")
    got = scores(fitted, X, y, names, group="married")
    share = answer.valid.mean()
    assert 0.5 < share < 1
    lost = (-got["neg_cost"] - share * cost.mean()) / (1 - share)  # mean penalty
    means = cost.fillna(lost).groupby(X["married"].to_numpy()).mean()
    ratio = share * means.min() / means.max()
    assert got["burden_ratio"] == pytest.approx(ratio, abs=0.02)
    assert got["neg_burden_gap"] <= 0
    by_position = scores(fitted, X, y, ("burden_ratio",), group=4)
    assert by_position == {"burden_ratio": got["burden_ratio"]}


def test_robustness_falls_with_radius_and_noise(clf, blobs):
    X, y = blobs
    for name, option in [
        ("robust_accuracy", "epsilon"),
        ("recourse_robustness", "noise"),
    ]:
        values = [
            get_scorer(name, **{option: size})(clf, X, y) for size in (0.0, 0.1, 1.0)
        ]
        assert all(a >= b for a, b in pairwise(values))
        assert values[0] > values[-1]


def test_answers_far_from_the_boundary_are_more_stable(clf, blobs):
    X, y = blobs
    near, far = (
        get_scorer(
            "recourse_survival",
            generator=GenericGenerator(max_iter=200),
            confidence=confidence,
            n_models=2,
        )(clf, X, y)
        for confidence in (0.5, 0.9)
    )
    assert 0 < near < far - 0.2
    assert far <= 1


class Sure(ClassifierMixin, BaseEstimator):
    """A judge that has made up its mind about every row of a frame."""

    def __init__(self, probability=0.5):
        self.probability = probability

    def fit(self, X, y):
        assert isinstance(X, pd.DataFrame)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        return np.full((len(X), len(self.classes_)), self.probability)


def test_the_confidence_gap_is_between_model_and_judge(clf, hopeless, blobs):
    X, y = blobs
    told = clf.explain(X).probability.mean()
    for probability in (0.0, 0.5, 1.0):
        scorer = get_scorer("neg_confidence_gap", judge=Sure(probability))
        assert scorer(clf, X, y) == pytest.approx(-abs(told - probability))
        assert scorer(hopeless, X, y) == -1
    only = y != "c"  # the judge has not met the third class
    asked = clf.explain(X[only])
    judged = np.where(asked.target == "c", 0.0, 0.5).mean()
    gap = abs(asked.probability.mean() - judged)
    scorer = get_scorer("neg_confidence_gap", judge=Sure())
    assert scorer(clf, X[only], y[only]) == pytest.approx(-gap)


def test_rows_without_an_answer_are_the_largest_gap(applicants):
    X, y = applicants
    frozen = {"income": "none", "job": "none"}
    fitted = quick(epochs=15, mutability=frozen).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = fitted.explain(X)
    share, told = answer.valid.mean(), answer.probability[answer.valid].mean()
    got = get_scorer("neg_confidence_gap", judge=Sure(0.5))(fitted, X, y)
    assert 0 < share < 1
    assert got == pytest.approx(-(share * abs(told - 0.5) + 1 - share))


def test_the_default_judge_finds_out_who_exaggerates(clf, blobs):
    X, y = blobs
    honest = get_scorer("neg_confidence_gap")(clf, X, y)
    elsewhere = np.random.default_rng(0).permutation(y)  # where rows tell nothing
    assert get_scorer("neg_confidence_gap")(clf, X, elsewhere) < honest - 0.2
    assert get_scorer("neg_confidence_gap")(clf, X[y == "a"], y[y == "a"]) == -1


def test_a_grid_can_choose_by_survival_and_gap(applicants):
    X, y = applicants
    names = ("recourse_survival", "neg_confidence_gap")
    grid = GridSearchCV(
        quick(epochs=2),
        {"lambda_div": [0.0, 0.5]},
        scoring=counterfactual_scorer(names, n_models=1),
        refit="recourse_survival",
        cv=2,
        error_score="raise",
    )
    grid.fit(X[:80], y[:80])
    results = pd.DataFrame(grid.cv_results_).filter(like="mean_test_")
    assert ((results >= -1) & (results <= 1)).all(axis=None)
    assert grid.best_score_ == results["mean_test_recourse_survival"].max()


def test_faithfulness_is_a_distance_in_the_domain(clf, hopeless, blobs):
    X, y = blobs
    good, bad = (get_scorer("neg_faithfulness")(m, X, y) for m in (clf, hopeless))
    assert -np.ptp(X, axis=0).sum() < good < 0
    assert bad < good


def test_same_seed_same_scores(clf, blobs):
    assert scores(clf, *blobs) == scores(clf, *blobs)


# ------------------------------------------------------------------------ validity


def test_a_model_without_answers_never_wins(clf, hopeless, blobs):
    X, y = blobs
    good, bad = scores(clf, X, y), scores(hopeless, X, y)
    assert bad["validity"] == 0
    for name in set(QUICK) - {"robust_accuracy", "neg_sensitivity"}:
        if "burden" not in name:
            assert bad[name] < good[name], name
    for name in ("redundancy", "diversity", "recourse_robustness"):
        assert bad[name] == 0


def test_burden_and_mmd_do_not_reward_silence():
    """Everybody equally without an answer is not fair, and not plausible."""
    X, progression = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    y = (progression > progression.median()).to_numpy()
    mute = ["none"] * X.shape[1]
    names = ("neg_burden_gap", "burden_ratio", "neg_mmd")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        good = quick(epochs=20).fit(X, y)
        silent = quick(epochs=20, mutability=mute).fit(X, y)
        shuffled = np.random.default_rng(0).permutation(y)
        ignorant = quick(epochs=3, mutability=mute).fit(X, shuffled)
    best = scores(good, X, y, names, group="sex")
    for other in (silent, ignorant):
        worse = scores(other, X, y, names, group="sex")
        assert all(worse[name] < best[name] for name in names)


def test_an_invalid_row_counts_as_much_as_the_largest_distance(hopeless, blobs):
    X, y = blobs
    target = hopeless.predict(X)
    worst = {k: cdist(X, X[y == k], "cityblock").max() for k in "abc"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = hopeless.explain(X).target
    expected = -np.mean([worst[k] for k in target])
    got = scores(hopeless, X, y, ("neg_cost", "neg_implausibility"))
    assert got["neg_cost"] == pytest.approx(expected, rel=1e-5)
    assert got["neg_implausibility"] == pytest.approx(expected, rel=1e-5)


def test_an_invalid_row_never_counts_less_than_a_valid_one(blobs):
    """In a narrow domain some rows arrive, others do not."""
    X, y = blobs
    domain = {0: (-1.0, 1.2), 1: (-1.0, 1.2)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clf = quick(epochs=30, preprocessor=None, domain=domain).fit(X, y)
        answer = clf.explain(X)
    assert 0.05 < answer.valid.mean() < 0.95
    got = scores(clf, X, y, ("neg_cost",))["neg_cost"]
    valid = answer.valid.mean()
    least = valid * answer.cost[answer.valid].mean()
    least += (1 - valid) * answer.cost[answer.valid].max()
    assert -got >= least * (1 - 1e-6)


def test_in_the_mmd_an_invalid_row_stands_where_it_is(hopeless, blobs):
    X, y = blobs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        target = hopeless.explain(X).target
    apart = target != y  # where the factual is of the target class, another stands in
    X, y, target = X[apart], y[apart], target[apart]
    expected = [(target == k).mean() * mmd(X[target == k], X[y == k]) for k in "abc"]
    got = get_scorer("neg_mmd")(hopeless, X, y)
    assert got == pytest.approx(-np.sum(expected), rel=1e-4)


@pytest.mark.parametrize("rows", [[0], [0, 1], slice(5)])
def test_scores_of_few_rows_are_numbers(clf, hopeless, blobs, rows):
    X, y = blobs
    for model in (clf, hopeless):
        got = scores(model, X[rows], y[rows])
        assert set(got) == set(QUICK)
        assert np.isfinite(list(got.values())).all()


def test_a_class_missing_in_the_fold_is_judged_by_stored_rows(clf, blobs):
    X, y = blobs
    only = y != "c"
    target = clf.explain(X[only]).target
    assert "c" in target
    got = get_scorer("neg_implausibility")(clf, X[only], y[only])
    full = Evaluation(clf, X[only], y[only], counterfactual_scorer(("validity",)))
    np.testing.assert_allclose(full.reference(2), X[y == "c"], atol=1e-6)
    assert np.isfinite(got)


def test_a_label_that_the_model_never_saw_is_wrong_but_no_error(clf, blobs):
    X, y = blobs
    strange = np.where(np.arange(len(y)) < 15, "z", y)
    got = scores(clf, X, strange, ("robust_accuracy", "neg_implausibility", "accuracy"))
    assert np.isfinite(list(got.values())).all()
    assert got["robust_accuracy"] <= 0.9
    assert scores(clf, X, np.full(150, "z"), ("robust_accuracy",)) == {
        "robust_accuracy": 0.0
    }


def test_survival_of_one_class_is_zero_and_columns_of_labels_are_fine(clf, blobs):
    X, y = blobs
    only = y == "a"
    assert get_scorer("recourse_survival")(clf, X[only], y[only]) == 0
    assert get_scorer("validity")(clf, X, y[:, None]) == 1


def test_a_generator_learns_from_the_fold_where_the_model_kept_no_rows(blobs):
    X, y = blobs
    clf = quick(epochs=20, preprocessor=None, n_reference=0).fit(X, y)
    scorer = counterfactual_scorer(("validity", "neg_cost"), generator="gravitational")
    assert scorer(clf, X, y)["validity"] > 0.9


def test_scoring_is_silent_about_what_the_score_says(hopeless, blobs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores(hopeless, *blobs, ("validity", "neg_cost"))


# --------------------------------------------------------------- one search per fold


def test_many_scores_one_search(clf, blobs, monkeypatch):
    calls = []
    explain = CounterfactualExplainer.explain

    def counted(self, *args, **kwargs):
        calls.append(kwargs)
        return explain(self, *args, **kwargs)

    monkeypatch.setattr(CounterfactualExplainer, "explain", counted)
    scores(clf, *blobs, ("neg_cost", "neg_mmd", "validity", "neg_implausibility"))
    assert calls == [{}]
    scores(clf, *blobs, ("accuracy", "robust_accuracy", "neg_sensitivity"))
    assert len(calls) == 1


def test_the_generator_of_the_scorer_replaces_that_of_training(clf, blobs):
    far, near = (ECCCoGenerator(max_iter=200, step_size=size) for size in (9.0, 0.1))
    costs = [get_scorer("neg_cost", generator=g)(clf, *blobs) for g in (far, near)]
    assert costs[0] != costs[1]
    assert get_scorer("validity", generator="revise")(clf, *blobs) > 0.5


# ---------------------------------------------------------------- within scikit-learn


def pipeline(epochs=8):
    encode = make_column_transformer(
        (StandardScaler(), ["age", "income", "children"]),
        (OneHotEncoder(handle_unknown="ignore"), ["job", "education"]),
        ("passthrough", ["married"]),
    )
    clf = quick(epochs=epochs, preprocessor=None, mutability={"age": "none"})
    encode.set_output(transform="pandas")
    encode.set_params(onehotencoder__sparse_output=False)
    return make_pipeline(encode, clf)


def test_a_pipeline_scores_as_its_classifier_on_encoded_rows():
    X, y = people()
    pipe = pipeline(20).fit(X, y)
    names = ("accuracy", "validity", "robust_accuracy", "neg_sensitivity")
    whole = scores(pipe, X, y, names)
    last = scores(pipe[-1], pipe[:-1].transform(X), y, names)
    assert whole == pytest.approx(last, abs=0.02)
    assert whole["neg_sensitivity"] < 0
    frozen = scores(FrozenEstimator(pipe), X, y, names)
    assert frozen == whole


def test_grid_search_over_a_pipeline_with_refit_on_plausibility():
    X, y = people(150)
    name = "counterfactualtrainingclassifier"
    grid = {
        f"{name}__lambda_div": [0.5],
        f"{name}__generator__threshold": [0.5, 0.75],
    }
    names = ("accuracy", "neg_implausibility", "validity")
    search = GridSearchCV(
        pipeline(5),
        grid,
        scoring=counterfactual_scorer(names),
        refit="neg_implausibility",
        cv=2,
        error_score="raise",
    ).fit(X, y)
    table = pd.DataFrame(search.cv_results_)
    for score in names:
        assert np.isfinite(table[f"mean_test_{score}"]).all()
    best = table["mean_test_neg_implausibility"].idxmax()
    assert search.best_params_ == table["params"][best]
    assert search.predict(X[:3]).shape == (3,)
    assert search.score(X, y) < 0


def test_cross_validate_returns_every_score():
    X, y = people(150)
    scorer = counterfactual_scorer(("accuracy", "neg_cost", "neg_mmd"))
    result = cross_validate(pipeline(5), X, y, scoring=scorer, cv=2)
    for name in ("accuracy", "neg_cost", "neg_mmd"):
        assert np.isfinite(result[f"test_{name}"]).all()


def test_halving_search_spends_epochs():
    X, y = people(150)
    search = HalvingGridSearchCV(
        quick(epochs=4),
        {"lambda_div": [0.1, 0.5]},
        resource="net__max_epochs",
        min_resources=4,
        max_resources=12,
        factor=3,
        scoring=get_scorer("neg_implausibility"),
        cv=2,
        error_score="raise",
    ).fit(X, y)
    assert search.best_estimator_.n_iter_ in (4, 12)
    assert np.isfinite(search.best_score_)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.filterwarnings("ignore:.*is experimental")
def test_optuna_searches():
    optuna = pytest.importorskip("optuna")
    from optuna.distributions import FloatDistribution
    from optuna_integration import OptunaSearchCV

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    X, y = people(150)
    search = OptunaSearchCV(
        quick(epochs=5),
        {
            "lambda_div": FloatDistribution(0.01, 1.0, log=True),
            "generator__threshold": FloatDistribution(0.4, 0.9),
        },
        scoring=get_scorer("neg_implausibility"),
        n_trials=3,
        cv=2,
        random_state=0,
        error_score="raise",
    ).fit(X, y)
    assert search.best_score_ < 0
    assert set(search.best_params_) == {"lambda_div", "generator__threshold"}


def test_scorers_can_be_copied_sent_and_read():
    scorer = counterfactual_scorer(("accuracy", "neg_cost"), epsilon=0.2)
    assert pickle.loads(pickle.dumps(scorer)) == scorer
    assert (
        repr(scorer) == "counterfactual_scorer(('accuracy', 'neg_cost'), epsilon=0.2)"
    )
    single = get_scorer("neg_mmd", length_scale="median")
    assert pickle.loads(pickle.dumps(single)) == single
    assert repr(single) == "get_scorer('neg_mmd', length_scale='median')"
    search = GridSearchCV(quick(), {}, scoring=single)
    assert clone(search).scoring == single


def test_cross_val_score_takes_a_single_score():
    X, y = people(120)
    values = cross_val_score(
        quick(epochs=5), X, y, scoring=get_scorer("validity"), cv=2, error_score="raise"
    )
    assert ((values >= 0) & (values <= 1)).all()


# ------------------------------------------------------------------------ wrong input


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (("neg_implausability",), {}, "Did you mean 'neg_implausibility'"),
        (("acuracy",), {}, "Did you mean 'accuracy'"),
        ((), {}, "'names' parameter"),
        (("validity", "validity"), {}, "'names' parameter"),
        (("validity",), {"generators": "eccco"}, "Did you mean 'generator'"),
        (("validity",), {"generator": "wachter"}, "'generator' parameter"),
        (("burden_ratio",), {}, "pass group="),
        (("robust_accuracy",), {"epsilon": -1}, "'epsilon' parameter"),
        (("diversity",), {"n_alternatives": 0}, "'n_alternatives' parameter"),
        (("recourse_survival",), {"n_models": 1.5}, "'n_models' parameter"),
        (("neg_confidence_gap",), {"judge": 1}, "'judge' parameter.*DataFrame"),
        (("neg_mmd",), {"length_scale": "mean"}, "'length_scale' parameter"),
        (("neg_mmd",), {"random_state": "x"}, "'random_state' parameter"),
    ],
)
def test_wrong_names_and_options_are_named(names, options, message):
    with pytest.raises(ValueError, match=message):
        counterfactual_scorer(names, **options)


def test_a_model_that_is_not_ours_is_refused_by_name(blobs):
    X, y = blobs
    other = make_pipeline(LogisticRegression()).fit(X, y)
    with pytest.raises(ValueError, match="Got LogisticRegression"):
        get_scorer("validity")(other, X, y)


def test_an_unknown_group_is_named(fitted, applicants):
    with pytest.raises(ValueError, match="Did you mean 'married'"):
        get_scorer("burden_ratio", group="maried")(fitted, *applicants)


def test_survival_is_scored_beside_threads_without_waiting_for_them(blobs):
    X, y = blobs
    clf = quick(2, preprocessor=StandardScaler()).fit(X, y)
    scorer, scores = get_scorer("recourse_survival", n_models=2), []

    def run():
        with parallel_config("threading", n_jobs=2):
            scores.append(scorer(clf, X[:20], y[:20]))

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert len(scores) == 1


def test_every_score_is_listed_in_the_docstring_and_in_the_guide():
    guide = (Path(__file__).parents[1] / "docs/guide/scorers.md").read_text()
    documented = counterfactual_scorer.__doc__
    assert "{scores}" not in documented
    for name, score in SCORES.items():
        assert f'`"{name}"`' in guide
        assert f'- "{name}": {score.__doc__.splitlines()[0]}\n' in documented
