import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick, skorch_net
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GridSearchCV,
    HalvingGridSearchCV,
    KFold,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn

from skct import (
    MLP,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    GenericGenerator,
)
from skct.exceptions import ConstraintWarning, ImputationWarning, SearchWarning
from skct.utils.random import seeded


def weights(clf):
    return [p.detach().numpy().copy() for p in clf.module_.parameters()]


def same(first, second):
    return all(
        np.array_equal(a, b)
        for a, b in zip(weights(first), weights(second), strict=True)
    )


# ------------------------------------------------------------------------ fitting


def test_raw_mixed_table_in_labels_of_the_user_out(applicants, fitted):
    X, y = applicants
    assert set(fitted.predict(X)) <= {"approved", "denied"}
    assert fitted.score(X, y) > 0.85
    assert list(fitted.feature_names_in_) == list(X.columns)
    probability = fitted.predict_proba(X)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)


def test_history_is_one_row_per_epoch_with_terms_and_seconds(fitted):
    history = fitted.history_
    assert len(history) == fitted.n_iter_ == 15
    wanted = {"classification", "divergence", "adversarial", "ridge", "mature"}
    wanted |= {"n_iter", "search_seconds", "update_seconds", "train_loss"}
    assert wanted <= set(history.columns)
    assert history["mature"].between(0, 1).all()
    assert history.notna().all(axis=None)


def test_module_maps_model_input_to_logits_in_eval_mode(applicants, fitted):
    X, _ = applicants
    assert not fitted.module_.training
    logits = fitted.module_(torch.from_numpy(fitted.feature_space_.encode(X)))
    assert logits.shape == (len(X), 2)
    np.testing.assert_allclose(
        fitted.decision_function(X),
        (logits[:, 1] - logits[:, 0]).detach().numpy(),
        rtol=1e-5,
        atol=1e-6,
    )


def test_three_classes_give_three_columns():
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    clf = quick(epochs=40).fit(X, names)
    assert clf.decision_function(X).shape == (150, 3)
    assert clf.score(X, names) > 0.9


def test_all_lambdas_zero_is_skorch_on_the_encoded_table(applicants):
    X, y = applicants
    clf = quick(epochs=3, lambda_div=0, lambda_adv=0, lambda_reg=0).fit(X, y)
    net = skorch_net(clf.feature_space_.encode(X).shape[1], max_epochs=3)
    with torch.random.fork_rng():
        torch.manual_seed(clf.seed_)
        net.fit(clf.feature_space_.encode(X), (y == "denied").astype(np.int64))
    theirs = [p.detach().numpy() for p in net.module_.parameters()]
    assert all(np.array_equal(a, b) for a, b in zip(weights(clf), theirs, strict=True))


def test_same_seed_same_bits_and_the_global_state_is_untouched(applicants):
    X, y = applicants
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = quick(epochs=3).fit(X, y)
    first.explain(X[first.predict(X) == "denied"], target="approved")
    after = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    torch.manual_seed(2)
    assert same(first, quick(epochs=3).fit(X, y))
    assert not same(first, quick(epochs=3, random_state=1).fit(X, y))


SCRIPT = """
import sys; sys.path.insert(0, sys.argv[1])
import hashlib, torch
torch.set_num_threads(1)
from conftest import people, quick
X, y = people()
clf = quick(epochs=3).fit(X, y)
answer = clf.explain(X[clf.predict(X) == "denied"][:20]).to_frame().to_csv()
print(hashlib.sha256(answer.encode() + clf.module_[0].weight.detach().numpy().tobytes())
      .hexdigest())
"""


def test_same_seed_same_bits_in_two_processes():
    folder = str(__file__).rsplit("test_classifier", 1)[0]
    prints = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT, folder],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert len(prints[0]) > 60
    assert prints[0] == prints[1]


def test_frames_arrays_and_sparse_matrices_train_the_same_net():
    X, y = load_iris(return_X_y=True, as_frame=True)
    frame, array, matrix = (
        quick(epochs=3).fit(table, y)
        for table in (X, X.to_numpy(), sparse.csr_matrix(X.to_numpy()))
    )
    assert same(frame, array)
    assert same(frame, matrix)


def test_images_train_without_a_preprocessor():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 1, 28, 28)), rng.integers(0, 3, 60)
    clf = quick(epochs=2, preprocessor=None).fit(X, y)
    answer = clf.explain(X[:4].astype(np.float32))
    assert answer.counterfactual.shape == (4, 1, 28, 28)
    assert answer.counterfactual.dtype == np.float32
    with pytest.raises(ValueError, match="dim 4"):
        quick(epochs=2).fit(X, y)


def test_missing_values_are_imputed_with_one_warning():
    X, y = people(120)
    X = X.astype({"children": "Int64"})
    X.loc[X.index[:5], "income"] = np.nan
    X.loc[X.index[3:9], "job"] = None
    X.loc[X.index[:2], "children"] = pd.NA
    with pytest.warns(ImputationWarning, match="'income'") as caught:
        clf = quick(epochs=2).fit(X, y)
    assert len(caught) == 1
    answer = clf.explain(X[:10])
    gone = X[:10].isna().to_numpy()
    assert not (answer.counterfactual.isna().to_numpy() & ~gone).any()


def test_a_fitted_object_holds_nobodys_row_without_reference_rows():
    X, y = people(150)
    X["income"] = np.random.default_rng(0).permutation(150) * 7.13 + 0.0123
    clf = quick(epochs=2, n_reference=0).fit(X, y)
    template = clf.feature_space_.schema.template
    assert not (X.astype(str) == template.astype(str).to_numpy()).all(axis=1).any()
    assert template["income"].iloc[0] not in set(X["income"])


def test_class_weight_moves_predictions_towards_the_rare_class():
    X, y = people(300)
    rare = (y == "approved").cumsum() <= 25
    keep = (y == "denied") | rare
    X, y = X[keep], y[keep]
    share = [
        (
            quick(epochs=10, class_weight=weight).fit(X, y).predict(X) == "approved"
        ).mean()
        for weight in (None, "balanced", {"approved": 30.0, "denied": 1.0})
    ]
    assert share[0] < share[1] < share[2]


def test_burn_in_delays_counterfactuals(applicants):
    clf = quick(epochs=4, burn_in=0.5).fit(*applicants)
    assert clf.history_["mature"].isna().tolist() == [True, True, False, False]


# ------------------------------------------------------------------ going on with it


def test_partial_fit_trains_one_epoch_and_keeps_what_the_first_call_fixed(applicants):
    X, y = applicants
    clf = quick()
    for start in range(0, 300, 100):
        rows = slice(start, start + 100)
        clf.partial_fit(X[rows], y[rows], classes=["approved", "denied"])
        if start == 0:
            space, constraints = clf.feature_space_, clf.constraints_
    assert clf.n_iter_ == 3
    assert clf.feature_space_ is space
    assert clf.constraints_ is constraints
    with pytest.raises(ValueError, match="Unknown label 'maybe' in y"):
        clf.partial_fit(X[:2], ["maybe", "denied"])


def test_partial_fit_is_reproducible(applicants):
    X, y = applicants
    first, second = (quick() for _ in range(2))
    for clf in (first, second):
        for _ in range(3):
            clf.partial_fit(X, y)
    assert same(first, second)


def test_warm_start_goes_on_and_a_fresh_fit_does_not(applicants):
    X, y = applicants
    clf = quick(epochs=3, warm_start=True).fit(X, y)
    once = copy.deepcopy(weights(clf))
    clf.fit(X, y)
    assert clf.n_iter_ == 6
    assert not np.array_equal(once[0], weights(clf)[0])
    clf.set_params(warm_start=False).fit(X, y)
    assert clf.n_iter_ == 3
    assert np.array_equal(once[0], weights(clf)[0])


@pytest.mark.parametrize("kind", [NeuralNetClassifier, CounterfactualNet])
def test_a_trained_skorch_net_is_fine_tuned_and_itself_left_alone(kind):
    X, y = load_iris(return_X_y=True)
    X = ((X - X.mean(0)) / X.std(0)).astype(np.float32)
    torch.manual_seed(0)
    net = kind(
        MLP(4, 3),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.02,
        max_epochs=30,
        train_split=None,
        verbose=0,
        **(
            {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}
            if kind != NeuralNetClassifier
            else {}
        ),
    ).fit(X, y)
    trained = copy.deepcopy(net.module_.state_dict())
    net.set_params(max_epochs=1)
    clf = CounterfactualTrainingClassifier(
        net, preprocessor=None, warm_start=True, random_state=0
    ).fit(X, y)
    assert clf.n_iter_ == 31
    assert clf.history_["mature"].notna().sum() == 1
    assert clf.score(X, y) > 0.9
    assert all(torch.equal(v, net.module_.state_dict()[k]) for k, v in trained.items())
    assert not same_state(trained, clf.module_.state_dict())
    assert len(net.history) == 30


def same_state(first, second):
    return all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_parameters_of_a_plain_skorch_net_are_taken_over(applicants):
    net = NeuralNetClassifier(
        MLP,
        module__hidden_layer_sizes=(5,),
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=0.3,
        max_epochs=2,
        train_split=None,
        verbose=0,
    )
    clf = CounterfactualTrainingClassifier(net, random_state=0).fit(*applicants)
    assert isinstance(clf.net_.optimizer_, torch.optim.SGD)
    assert clf.net_.lr == 0.3
    assert clf.module_[0].out_features == 5
    assert not net.initialized_


# ------------------------------------------------------------------------- tuning


def test_nested_parameters_of_the_default_object():
    clf = CounterfactualTrainingClassifier()
    assert clf.get_params()["net__max_epochs"] == 100
    assert clf.get_params()["generator__lambda_energy"] == 5.0
    clf.set_params(net__lr=0.1, net__module__hidden_layer_sizes=(4,))
    clf.set_params(generator__threshold=0.7)
    copied = clone(clf)
    assert copied.net.lr == 0.1
    assert copied.generator.threshold == 0.7
    clf.set_params(generator="generic", generator__max_iter=7)
    assert clf.generator.get_params() == GenericGenerator(max_iter=7).get_params()
    with pytest.raises(ValueError, match="Invalid parameter 'nett'"):
        clf.set_params(nett__lr=1)


def test_grid_search_in_a_pipeline_over_net_generator_and_weights(applicants):
    X, y = applicants
    encoder = ColumnTransformer(
        [
            ("num", StandardScaler(), ["age", "income", "children"]),
            ("cat", OneHotEncoder(), ["job"]),
        ]
    )
    pipeline = make_pipeline(encoder, quick(epochs=2))
    name = "counterfactualtrainingclassifier"
    grid = {
        f"{name}__net__module__hidden_layer_sizes": [(4,), (8,)],
        f"{name}__generator__threshold": [0.5, 0.8],
        f"{name}__lambda_div": [0.0, 0.5],
    }
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_estimator_[-1].module_[0].out_features in (4, 8)


def test_halving_search_over_epochs_of_the_default_object(applicants):
    X, y = applicants
    search = HalvingGridSearchCV(
        CounterfactualTrainingClassifier(random_state=0),
        {"net__lr": [0.001, 0.02]},
        resource="net__max_epochs",
        factor=2,
        max_resources=4,
        min_resources=2,
        cv=2,
        random_state=0,
    ).fit(X[:100], y[:100])
    assert search.best_params_["net__max_epochs"] == 4


def test_cross_validation_and_pickle(applicants):
    X, y = applicants
    scores = cross_validate(quick(epochs=3), X, y, cv=2, return_estimator=True)
    clf = scores["estimator"][0]
    again = pickle.loads(pickle.dumps(clf))
    assert np.array_equal(again.predict_proba(X), clf.predict_proba(X))
    assert again.explain(X[:5]).to_json() == clf.explain(X[:5]).to_json()


# ------------------------------------------------------------------ wrong input


def test_a_failing_fit_leaves_a_fitted_object_as_it_was(applicants):
    X, y = applicants
    clf = quick(epochs=2).fit(X, y)
    before = clf.predict_proba(X)
    with pytest.raises(ValueError, match="mutability"):
        clf.set_params(mutability={"nobody": "none"}).fit(X, y)
    assert np.array_equal(clf.predict_proba(X), before)


def test_one_class_only(applicants):
    X, _ = applicants
    with pytest.raises(ValueError, match=r"2 classes.*\['yes'\]"):
        quick().fit(X, ["yes"] * len(X))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_where_they_are_not_allowed(value):
    X, y = load_iris(return_X_y=True)
    X[3, 1] = value
    preprocessor = None if np.isnan(value) else "auto"
    with pytest.raises(ValueError, match="NaN|infinity"):
        quick(preprocessor=preprocessor).fit(X, y)


def test_infinity_in_a_frame(applicants):
    X, y = applicants
    X = X.copy()
    X.iloc[0, 1] = np.inf
    with pytest.raises(ValueError, match=r"'income' contains infinity"):
        quick().fit(X, y)


def test_columns_missing_or_in_another_order(applicants, fitted):
    X, _ = applicants
    for table in (X[X.columns[::-1]], X.drop(columns="job")):
        for method in (fitted.predict, fitted.explain):
            with pytest.raises(ValueError, match="feature names should match"):
                method(table)


def test_wrong_number_of_logits(applicants):
    clf = CounterfactualTrainingClassifier(CounterfactualNet(nn.Linear(11, 1)))
    with pytest.raises(ValueError, match=r"logits of shape \(2, 1\).*2 classes"):
        clf.fit(*applicants)


def test_missing_label(applicants):
    X, y = applicants
    y = y.astype(object)
    y[0] = None
    with pytest.raises(ValueError, match="y contains NaN"):
        quick().fit(X, y)


def test_counterfactuals_that_do_not_mature_are_warned_about(applicants):
    clf = quick(epochs=2, objective="paper").set_params(generator__threshold=0.999)
    with pytest.warns(SearchWarning, match=r"0% .*threshold=0.999.*max_iter=30"):
        clf.fit(*applicants)


# -------------------------------------------------------------------- progress


def test_quiet_by_default_and_a_bar_with_terms_on_request(applicants, capsys):
    quick(epochs=2).fit(*applicants)
    assert capsys.readouterr() == ("", "")
    quick(epochs=2, verbose=1).fit(*applicants)
    bar = capsys.readouterr().err
    assert "2/2" in bar
    assert "divergence=" in bar
    assert "mature=" in bar
    quick(epochs=2, verbose=2).fit(*applicants)
    assert "search_seconds" in capsys.readouterr().out


# ------------------------------------------------------------- bugs that were fixed


@pytest.mark.filterwarnings("ignore::skct.exceptions.DivergenceWarning")
@pytest.mark.parametrize("lr", [1e2, 1e4, 1e6, 1e8, 1e20])
@pytest.mark.parametrize("batch_size", [32, -1])
@pytest.mark.parametrize("lambdas", [0.0, 1e6])
def test_no_learning_rate_leaves_a_net_that_is_not_finite(lr, batch_size, lambdas):
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(
        optimizer=torch.optim.SGD, lr=lr, max_epochs=5, batch_size=batch_size
    )
    clf = CounterfactualTrainingClassifier(
        net, lambda_div=lambdas, lambda_adv=0, lambda_reg=0, random_state=0
    ).fit(X, y)
    assert np.isfinite(clf.predict_proba(X)).all()
    assert np.isfinite(clf.decision_function(X)).all()


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_warm_start_follows_changed_parameters(applicants):
    X, y = applicants
    clf = quick(epochs=3, warm_start=True).fit(X, y)
    clf.set_params(
        mutability={"income": "none"},
        net__max_epochs=2,
        net__lr=0.5,
        class_weight={"approved": 9.0, "denied": 1.0},
    ).fit(X, y)
    assert clf.n_iter_ == 5
    assert clf.net_.optimizer_.param_groups[0]["lr"] == 0.5
    assert clf.net_.criterion_.weight.tolist() == [9.0, 1.0]
    answer = clf.explain(X)
    assert (answer.counterfactual["income"] == X["income"]).all()


def test_partial_fit_takes_batches_of_a_single_class(applicants):
    X, y = applicants
    clf = quick()
    for label in ("denied", "approved", "denied"):
        clf.partial_fit(X[y == label], y[y == label], classes=["approved", "denied"])
    assert clf.n_iter_ == 3
    answer = clf.explain(X[:9], confidence=0.5)
    assert np.isfinite(answer.implausibility).all()
    with pytest.raises(ValueError, match="'classes' parameter.*first call"):
        clf.partial_fit(X, y, classes=["approved", "denied", "maybe"])
    with pytest.raises(ValueError, match="class_weight='balanced'"):
        quick(class_weight="balanced").partial_fit(
            X[y == "denied"], y[y == "denied"], classes=["approved", "denied"]
        )


def test_without_a_seed_the_global_state_is_untouched_too(applicants):
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    position = np.random.get_state()[2]  # noqa: NPY002
    torch_state = torch.get_rng_state()
    first, second = (quick(1, random_state=None).fit(*applicants) for _ in range(2))
    assert first.seed_ != second.seed_
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert np.random.get_state()[2] == position  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_a_column_named_twice_raises():
    X, y = load_iris(return_X_y=True, as_frame=True)
    for params in (
        {"mutability": {0: "none", X.columns[0]: "both"}},
        {"domain": {0: (0, 9), X.columns[0]: (0, 8)}},
    ):
        with pytest.raises(ValueError, match="same feature"):
            quick(**params).fit(X, y)


def test_a_failing_fit_on_another_table_keeps_the_old_names(applicants):
    X, y = applicants
    clf = quick(epochs=2).fit(X, y)
    with pytest.raises(ValueError, match="nobody"):
        clf.set_params(mutability={"nobody": "none"}).fit(X.iloc[:, :3], y)
    assert clf.predict(X).shape == y.shape


def test_columns_may_have_tuples_as_names():
    X, y = load_iris(return_X_y=True, as_frame=True)
    X.columns = pd.MultiIndex.from_product([["leaf", "bloom"], ["long", "wide"]])
    clf = quick(epochs=5, mutability={("leaf", "long"): "none"}).fit(X, y)
    answer = clf.explain(X[:5], confidence=0.4)
    assert (answer.counterfactual[("leaf", "long")] == X[:5][("leaf", "long")]).all()


def test_more_wrong_input(applicants):
    X, y = applicants
    with pytest.raises(ValueError, match="'class_weight'.*>= 0"):
        quick(class_weight={"approved": -1.0}).fit(X, y)
    with pytest.raises(ValueError, match="X had no column names.*set_output"):
        quick(mutability={"age": "none"}).fit(X[["age", "income"]].to_numpy(), y)


@pytest.mark.filterwarnings("error")
def test_training_rows_outside_a_given_domain_are_warned_about(applicants):
    X, y = applicants
    n = int((X["age"] > 60).sum())
    with pytest.warns(ConstraintWarning, match=f"{n} factuals.*'age'"):
        quick(epochs=20, domain={"age": (18, 60)}).fit(X, y)


def test_a_fold_without_a_class_may_still_be_given_its_weight():
    X, y = load_iris(return_X_y=True)
    clf = quick(epochs=2, class_weight={0: 2.0, 1: 1.0, 2: 5.0})
    found = cross_validate(clf, X, y, cv=KFold(3), error_score="raise")
    assert np.isfinite(found["test_score"]).all()
    clf.set_params(class_weight={0: 2.0, 7: 5.0})
    with pytest.raises(ValueError, match="Unknown label 7 in class_weight"):
        clf.fit(X, y)


@pytest.mark.parametrize("weight", [{0: np.inf}, {0: 0, 1: 0, 2: 0}, {1: np.nan}])
def test_class_weights_that_cannot_be_trained_with_are_named(weight):
    with pytest.raises(ValueError, match="finite weights >= 0, not all of them 0"):
        quick(class_weight=weight).fit(*load_iris(return_X_y=True))


@pytest.mark.parametrize("largest", [1e300, 1.7e308])
def test_numbers_whose_squares_overflow_are_scaled(largest):
    X, y = load_iris(return_X_y=True)
    X[3, 1], X[60, 1] = largest, -largest
    clf = quick(epochs=2).fit(X, y)
    assert np.isfinite(clf.predict_proba(X)).all()
    encoded = clf.feature_space_.encode(X)
    assert 0.1 < encoded[:, 1].std() < 1
    assert encoded[3, 1] == encoded[:, 1].max() == -encoded[60, 1]
    assert np.isfinite(clf.feature_space_.decode(encoded, X)).all()


def test_bounds_beyond_float32_are_open_ends():
    X, y = load_iris(return_X_y=True)
    scaler = StandardScaler()
    clf = quick(epochs=2, preprocessor=scaler, domain={0: (-1e300, 1e300)}).fit(X, y)
    assert clf.constraints_.upper[0] == np.inf


def test_an_open_end_reaches_a_hundred_interquartile_ranges():
    X, y = load_iris(return_X_y=True)
    clf = quick(epochs=2, domain={0: (0, None)}).fit(X, y)
    end = clf.constraints_.upper.numpy()[None]
    (raw,) = clf.feature_space_.decode(end, X[:1], clf.rules_)
    low, median, high = np.percentile(X[:, 0], [25, 50, 75])
    assert raw[0] == pytest.approx(median + 100 * (high - low), rel=1e-3)


def test_rows_whose_logits_overflow_are_named_and_not_made_nan():
    X, y = load_iris(return_X_y=True)
    net = CounterfactualNet(MLP, max_epochs=2, module__hidden_layer_sizes=())
    clf = CounterfactualTrainingClassifier(net, preprocessor=None, random_state=0)
    clf.fit(X, y)
    with torch.no_grad():
        clf.module_[0].weight.mul_(1e5)
    far = X[:3].copy()
    far[1] = 3e38
    for method in (clf.predict_proba, clf.predict, clf.explain):
        with pytest.raises(ValueError, match="1 of 3 rows, the first of them row 1"):
            method(far)


# ------------------------------------------------------------------ early stopping


PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0}


@pytest.fixture(scope="module")
def many():
    return people(700)


def validation_loss_of(clf, X, y):
    """Loss on the rows that the last fit held out."""
    codes = pd.Index(clf.classes_).get_indexer(y)
    encoded = clf.feature_space_.encode(X)
    held_out = clf.net_.train_split(Dataset(encoded, codes), codes)[1].indices
    return validation_loss(clf, X.iloc[held_out], y[held_out])


def validation_loss(clf, X, y):
    codes = pd.Index(clf.classes_).get_indexer(y)
    p = clf.predict_proba(X).astype(float)
    return log_loss(codes, p / p.sum(1, keepdims=True))


@pytest.mark.parametrize("weights", [PLAIN, {}], ids=["plain", "counterfactual"])
def test_training_stops_where_held_out_rows_say_so_and_keeps_the_best(many, weights):
    X, y = many
    clf = quick(200, n_iter_no_change=3, **weights).fit(X, y)
    history = clf.history_
    assert clf.n_iter_ == len(history) == clf.best_epoch_ + 3 < 200
    assert history["valid_loss"].idxmin() == clf.best_epoch_ - 1
    shorter = quick(clf.best_epoch_, early_stopping=True, **weights).fit(X, y)
    np.testing.assert_array_equal(shorter.predict_proba(X), clf.predict_proba(X))


def test_with_early_stopping_a_plain_fit_is_that_of_skorch_bit_for_bit(many):
    X, y = many
    X = X[["age", "income", "children"]].to_numpy(dtype=float)
    X = (X - X.mean(0)) / X.std(0)
    clf = quick(60, preprocessor=None, n_iter_no_change=2, **PLAIN).fit(X, y)
    net = skorch_net(
        3,
        max_epochs=60,
        train_split=ValidSplit(0.1, stratified=True, random_state=clf.seed_),
        callbacks=[EarlyStopping(patience=2, load_best=True)],
    )
    encoded = clf.feature_space_.encode(X)
    with seeded(clf.seed_):
        net.fit(encoded, (y == clf.classes_[1]).astype("int64"))
    assert len(net.history) == clf.n_iter_ < 60
    np.testing.assert_array_equal(net.predict_proba(encoded), clf.predict_proba(X))


def test_early_stopping_is_off_for_tiny_tables_and_on_request(many, applicants):
    X, y = many
    assert "valid_loss" not in quick(2).fit(*applicants).history_
    off = quick(2, early_stopping=False).fit(X, y)
    assert "valid_loss" not in off.history_
    assert off.n_iter_ == off.best_epoch_ == 2
    assert "valid_loss" in quick(2, early_stopping=True).fit(*applicants).history_
    on = quick(2).fit(X, y)
    on.partial_fit(X, y)  # goes on with all rows
    assert np.isnan(on.history_["valid_loss"].iloc[-1])
    assert on.best_epoch_ == on.n_iter_ == 3


def test_a_warm_start_stops_by_its_own_epochs(many):
    clf = quick(40, n_iter_no_change=2, warm_start=True).fit(*many)
    first = clf.n_iter_
    clf.fit(*many)
    own = clf.history_["valid_loss"].iloc[first:]
    assert clf.best_epoch_ == own.idxmin() + 1 > first
    assert validation_loss_of(clf, *many) == pytest.approx(own.min(), rel=1e-4)


def test_the_net_that_was_given_is_not_touched(many):
    net = CounterfactualNet(max_epochs=2)
    CounterfactualTrainingClassifier(net).fit(*many)
    assert net.train_split is None
    assert net.callbacks is None


def test_a_stopping_rule_of_the_users_own_takes_the_place_of_ours(many):
    mine = EarlyStopping("train_loss", patience=1, threshold=10, threshold_mode="abs")
    clf = quick(40).set_params(net__callbacks=[mine]).fit(*many)
    assert clf.n_iter_ == 2
    rule = [type(unnamed) for _, unnamed in clf.net_.callbacks_]
    assert rule.count(EarlyStopping) == 1


def test_validation_rows_of_the_user_are_encoded_like_the_rest(many):
    X, y = many
    split = predefined_split(Dataset(X[:200].reset_index(drop=True), y[:200]))
    clf = quick(60).set_params(net__train_split=split).fit(X[200:], y[200:])
    best = clf.history_["valid_loss"].min()
    assert validation_loss(clf, X[:200], y[:200]) == pytest.approx(best, rel=1e-4)


def test_a_saved_classifier_knows_its_best_epoch(many, tmp_path):
    clf = quick(40, n_iter_no_change=2).fit(*many)
    clf.save(tmp_path / "file")
    again = CounterfactualTrainingClassifier.load(tmp_path / "file")
    assert again.best_epoch_ == clf.best_epoch_ < again.n_iter_
    assert again.n_iter_no_change == 2


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"early_stopping": "yes"}, "early_stopping"),
        ({"validation_fraction": 0}, "validation_fraction"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"early_stopping": True, "validation_fraction": 0.001}, "early_stopping"),
    ],
)
def test_wrong_settings_of_early_stopping_are_named(applicants, params, name):
    with pytest.raises(ValueError, match=f"'{name}'"):
        quick(**params).fit(*applicants)


def test_a_class_of_one_row_cannot_be_held_out(applicants):
    X, y = applicants
    y = y.astype(object)
    y[0] = "maybe"
    with pytest.raises(ValueError, match="'early_stopping'.*rarest class with 1"):
        quick(early_stopping=True).fit(X, y)
    assert len(quick(2).fit(X, y).classes_) == 3
