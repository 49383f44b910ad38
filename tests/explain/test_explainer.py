import math
import warnings
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import people, quick
from scipy import sparse
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from torch import nn

from skct import CounterfactualExplainer, ECCCoGenerator, GenericGenerator, search
from skct.exceptions import ConstraintWarning, SearchWarning
from skct.explain.evaluate import below
from skct.scoring import get_scorer


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True, as_frame=True)
    return quick(epochs=40).fit(X, y), X, y


# ------------------------------------------------------------------------- promises


def test_answers_keep_columns_types_index_and_constraints(fitted, denied):
    answer = fitted.explain(denied, target="approved")
    after = answer.counterfactual
    assert after.dtypes.equals(denied.dtypes)
    assert after.index.equals(denied.index)
    for name in ("age", "married"):
        assert (after[name] == denied[name]).all()
    assert (after["education"].cat.codes >= denied["education"].cat.codes).all()
    assert set(after["job"]) <= {"clerk", "cook", "nurse"}
    assert after["children"].between(0, 3).all()
    assert after["income"].min() >= 0
    assert answer.valid.mean() > 0.9


def test_valid_is_what_the_model_says_about_the_table_that_is_returned(fitted, denied):
    answer = fitted.explain(denied, target="approved")
    predicted = fitted.predict(answer.counterfactual)
    assert ((predicted == "approved") == answer.valid).all()
    probability = fitted.predict_proba(answer.counterfactual)[:, 0]
    np.testing.assert_allclose(probability, answer.probability, atol=1e-6)


def test_what_did_not_move_keeps_its_bits(fitted, denied):
    denied = denied.assign(income=denied["income"] + 1e-9 * np.arange(len(denied)))
    answer = fitted.explain(denied, target="approved")
    moved = answer.counterfactual["income"] != denied["income"]
    assert 0 < moved.sum() < len(denied)
    untouched = answer.counterfactual["income"][~moved].to_numpy()
    assert (untouched == denied["income"][~moved].to_numpy()).all()


def test_cost_is_l1_in_iqrs_and_implausibility_in_the_units_of_the_model(
    applicants, fitted, denied
):
    X, y = applicants
    answer = fitted.explain(denied[:20], target="approved")
    numeric = X[["age", "income", "children"]]
    scale = numeric.quantile(0.75) - numeric.quantile(0.25)
    numbers = (
        answer.counterfactual[scale.index].astype(float) - denied[:20][scale.index]
    )
    expected = (numbers.abs() / scale).sum(axis=1)
    for name in ("job", "education", "married"):
        expected += answer.counterfactual[name] != denied[:20][name]
    np.testing.assert_allclose(answer.cost, expected, rtol=1e-4, atol=1e-5)

    def coordinates(table):
        codes = pd.get_dummies(table[["job", "education", "married"]].astype(str))
        z = (table[scale.index] - numeric.median()) / scale
        return pd.concat([z / np.sqrt(1 + (z / 3) ** 2), codes / 2], axis=1)

    both = coordinates(pd.concat([answer.counterfactual, X[y == "approved"]]))
    distance = cdist(both[:20].astype(float), both[20:].astype(float), "cityblock")
    np.testing.assert_allclose(answer.implausibility, distance.mean(1), rtol=1e-4)


def test_n_changed_counts_raw_columns(fitted, denied):
    answer = fitted.explain(denied, target="approved")
    counts = answer.changes()["row"].value_counts()
    got = counts.reindex(answer.row[answer.valid], fill_value=0).to_numpy()
    assert (got == answer.n_changed[answer.valid]).all()


def test_default_target_is_the_runner_up(iris):
    clf, X, _ = iris
    answer = clf.explain(X)
    second = clf.predict_proba(X).argsort(1)[:, -2]
    assert (answer.target == clf.classes_[second]).all()
    assert (answer.predicted == clf.predict(X)).all()


def test_one_target_or_one_per_row(iris):
    clf, X, _ = iris
    rows = X[clf.predict(X) == 0][:6]
    targets = [1, 2, 1, 2, 1, 2]
    answer = CounterfactualExplainer(clf, target=1).explain(rows, target=targets)
    assert answer.target.tolist() == targets
    single = CounterfactualExplainer(clf, target=2).explain(rows)
    assert (single.target == 2).all()


@pytest.mark.parametrize("target", [7, "virginica", [0, 1]])
def test_an_unknown_target_raises(iris, target):
    clf, X, _ = iris
    with pytest.raises(ValueError, match="target"):
        clf.explain(X[:3], target=target)


def test_rows_already_there_come_back_unchanged_with_one_warning(fitted, applicants):
    X, _ = applicants
    n_done = int((fitted.predict(X) == "approved").sum())
    with pytest.warns(SearchWarning, match=f"{n_done} of 300 rows") as caught:
        answer = fitted.explain(X, target="approved")
    assert sum("already" in str(w.message) for w in caught) == 1
    done = answer.predicted == "approved"
    assert answer.valid[done].all()
    assert (answer.cost[done] == 0).all()
    pd.testing.assert_frame_equal(answer.counterfactual[done], X[done])


def test_a_row_that_failed_is_kept_with_a_reason(fitted, denied):
    frozen = dict.fromkeys(denied.columns, "none")
    explainer = CounterfactualExplainer(fitted, mutability=frozen)
    with pytest.warns(SearchWarning, match="no valid counterfactual"):
        answer = explainer.explain(denied[:4], target="approved")
    assert not answer.valid.any()
    assert all("no feature may move" in text for text in answer.reason)
    pd.testing.assert_frame_equal(answer.counterfactual, denied[:4])
    assert len(answer.changes()) == 0
    assert np.isfinite(answer.cost).all()
    assert "no valid counterfactual" in str(answer)


def test_rows_are_independent_of_their_batch(fitted, denied):
    explainer = CounterfactualExplainer(fitted)
    together = explainer.explain(denied, target="approved")
    order = np.random.default_rng(0).permutation(len(denied))
    mixed = explainer.explain(denied.iloc[order], target="approved")
    small = CounterfactualExplainer(fitted, batch_size=7).explain(denied, "approved")
    encode = fitted.feature_space_.encode
    reference = encode(together.counterfactual)
    shuffled = encode(mixed.counterfactual)[np.argsort(order)]
    np.testing.assert_allclose(shuffled, reference, atol=1e-5)
    np.testing.assert_allclose(encode(small.counterfactual), reference, atol=1e-5)
    alone = explainer.explain(denied[3:4], target="approved")
    np.testing.assert_allclose(encode(alone.counterfactual), reference[3:4], atol=1e-5)


# ----------------------------------------------------------------- what it wraps


def test_works_without_fit_around_a_fitted_classifier(fitted, denied):
    explainer = CounterfactualExplainer(fitted)
    answer = explainer.explain(denied[:3])
    pd.testing.assert_frame_equal(
        answer.counterfactual, fitted.explain(denied[:3]).counterfactual
    )
    pd.testing.assert_frame_equal(
        explainer.transform(denied[:3]), answer.counterfactual
    )


def test_a_fitted_estimator_is_used_as_it_is(fitted, applicants):
    explainer = CounterfactualExplainer(fitted).fit(*applicants)
    assert explainer.estimator_ is fitted
    frozen = CounterfactualExplainer(FrozenEstimator(fitted)).fit(*applicants)
    assert frozen.estimator_.estimator is fitted


def test_an_unfitted_one_is_cloned_seeded_and_fitted(applicants):
    X, y = applicants
    clf = quick(epochs=3, random_state=None)
    first, second = (
        CounterfactualExplainer(clf, random_state=0).fit(X, y) for _ in range(2)
    )
    assert not hasattr(clf, "net_")
    assert clf.random_state is None
    assert first.transform(X[:9]).equals(second.transform(X[:9]))


def test_clone_forgets_a_fit_and_frozen_estimator_does_not(fitted, denied):
    with pytest.raises(NotFittedError):
        clone(CounterfactualExplainer(fitted)).explain(denied)
    frozen = CounterfactualExplainer(FrozenEstimator(fitted))
    assert len(clone(frozen).explain(denied[:2])) == 2


def test_reference_rows_are_those_of_fit(iris):
    clf, X, y = iris
    rows = X[clf.predict(X) == 0][:3]
    far = X.assign(**{"petal length (cm)": X["petal length (cm)"] + 100})
    near = CounterfactualExplainer(clf).fit(X, y).explain(rows)
    other = CounterfactualExplainer(clf).fit(far, y).explain(rows)
    assert (other.implausibility > near.implausibility + 1).all()


def test_without_reference_rows_there_is_no_implausibility(applicants):
    X, y = applicants
    answer = quick(epochs=5, n_reference=0).fit(X, y).explain(X[:3])
    assert answer.implausibility is None
    assert "implausibility" not in answer.to_frame()
    assert "implausibility" not in answer.summary()
    assert "implausibility" not in answer.to_json()


@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.95])
def test_a_bare_module_with_a_closed_form_answer(confidence):
    """Logits (0, x0): x0 = logit(confidence) is cheapest, other columns untouched."""
    module = nn.Linear(3, 2)
    with torch.no_grad():
        module.weight.zero_()
        module.bias.zero_()
        module.weight[1, 0] = 1.0
    X = np.random.default_rng(0).normal(size=(40, 3)) - [2.0, 0, 0]
    y = np.where(np.arange(40) % 2, "yes", "no")
    explainer = CounterfactualExplainer(
        module, generator=GenericGenerator(max_iter=999), confidence=confidence
    )
    answer = explainer.fit(X, y).explain(X[X[:, 0] < 0], target="yes")
    assert answer.valid.all()
    assert (answer.counterfactual[:, 1:] == answer.factual[:, 1:]).all()
    wanted = math.log(confidence / (1 - confidence))
    np.testing.assert_allclose(answer.counterfactual[:, 0], wanted, atol=0.02)
    assert answer.mature.all()
    with pytest.raises(NotFittedError):
        CounterfactualExplainer(module).explain(X)


def test_given_constraints_replace_the_trained_ones(fitted, denied):
    explainer = CounterfactualExplainer(
        fitted,
        mutability={"income": "none"},
        domain={"age": (18, 99), "job": ["clerk", "nurse"]},
    )
    rows = denied[denied["job"] != "cook"]
    answer = explainer.explain(rows, target="approved", confidence=0.5)
    assert (answer.counterfactual["income"] == answer.factual["income"]).all()
    assert (answer.counterfactual["age"] != answer.factual["age"]).any()
    assert "cook" not in set(answer.counterfactual["job"])


def test_factuals_outside_their_domain_are_warned_about_and_kept(fitted, denied):
    explainer = CounterfactualExplainer(
        fitted, domain={"age": (18, 30)}, mutability={"age": "none"}
    )
    n = int((denied["age"] > 30).sum())
    with pytest.warns(ConstraintWarning, match=f"{n} factuals.*'age'"):
        answer = explainer.explain(denied, target="approved")
    assert (answer.counterfactual["age"] == denied["age"]).all()


def test_dear_features_are_changed_less(fitted, denied):
    plain = CounterfactualExplainer(fitted).explain(denied, target="approved")
    dear = CounterfactualExplainer(fitted, feature_weights={"income": 50.0})
    dear = dear.explain(denied, target="approved")

    def moved(answer):
        change = answer.counterfactual["income"] - answer.factual["income"]
        return change.abs().mean()

    assert moved(dear) < 0.7 * moved(plain)


def test_refine_is_never_dearer_and_keeps_validity(fitted, denied):
    rough = CounterfactualExplainer(fitted, refine=False).explain(denied, "approved")
    fine = CounterfactualExplainer(fitted).explain(denied, "approved")
    both = rough.valid
    assert fine.valid[both].all()
    assert (fine.cost[both] <= rough.cost[both] + 1e-5).all()
    assert fine.cost[both].mean() < 0.9 * rough.cost[both].mean()
    assert fine.n_changed[both].mean() < rough.n_changed[both].mean()


def test_the_default_generator_is_the_trained_one_made_patient(applicants):
    X, y = applicants
    trained = ECCCoGenerator(max_iter=25, threshold=0.55, lambda_energy=0.5)
    clf = quick(epochs=6, generator=trained).fit(X, y)
    view = CounterfactualExplainer(clf, confidence=0.6).inspect(X)[0]
    assert view.generator.max_iter == 200
    assert view.generator.threshold == 0.6
    assert clf.generator_.threshold == 0.55
    assert view.generator.lambda_energy == 0.5


def test_sparse_in_sparse_out(iris):
    clf, X, y = iris
    matrix = sparse.csr_matrix(X.to_numpy())
    clf = quick(epochs=5).fit(matrix, y)
    answer = clf.explain(matrix[:4], confidence=0.5)
    assert sparse.issparse(answer.counterfactual)
    assert answer.counterfactual.shape == (4, 4)
    assert answer.to_frame().shape[0] == 4


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
def test_pipeline_that_learnt_from_mostly_zeros():
    rng = np.random.default_rng(0)
    matrix = sparse.random(60, 4, density=0.2, format="csr", random_state=0)
    y = rng.integers(0, 2, 60)
    front = ColumnTransformer([("as it is", "passthrough", [0, 1, 2, 3])])
    pipeline = make_pipeline(front, quick(epochs=2, preprocessor=None)).fit(matrix, y)
    answer = CounterfactualExplainer(pipeline).explain(matrix[:4])
    assert sparse.issparse(answer.counterfactual)


def test_frames_arrays_and_pandas_output(iris):
    clf, X, y = iris
    explainer = CounterfactualExplainer(FrozenEstimator(clf))
    assert isinstance(explainer.transform(X[:3]), pd.DataFrame)
    array = quick(epochs=5).fit(X.to_numpy(), y)
    explainer = CounterfactualExplainer(FrozenEstimator(array), confidence=0.5)
    assert explainer.transform(X.to_numpy()[:3]).shape == (3, 4)
    names = CounterfactualExplainer(clf).fit(X, y).get_feature_names_out()
    assert list(names) == list(X.columns)
    framed = CounterfactualExplainer(array, confidence=0.5).fit(X.to_numpy(), y)
    framed.set_output(transform="pandas")
    assert framed.transform(X.to_numpy()[:3]).shape == (3, 4)


def test_explain_works_where_gradients_are_off_and_touches_no_gradient(iris):
    clf, X, _ = iris
    before = [p.grad.clone() for p in clf.module_.parameters()]
    with torch.no_grad():
        first = clf.explain(X[:5])
    assert first.to_json() == clf.explain(X[:5]).to_json()
    after = [p.grad.clone() for p in clf.module_.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_images():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 1, 28, 28)).astype(np.float32)
    y = rng.integers(0, 3, 40)
    mutability = np.full((1, 28, 28), "both", dtype=object)
    mutability[0, :5] = "none"
    clf = quick(epochs=3, preprocessor=None, mutability=mutability).fit(X, y)
    answer = clf.explain(X[:6])
    assert (answer.counterfactual[:, 0, :5] == X[:6, 0, :5]).all()
    assert (answer.counterfactual[:, 0, 5:] != X[:6, 0, 5:]).any()


def test_a_progress_bar_on_request(fitted, denied, capsys):
    CounterfactualExplainer(fitted).explain(denied[:5])
    assert capsys.readouterr().err == ""
    CounterfactualExplainer(fitted, verbose=1, batch_size=2).explain(denied[:5])
    assert "Explaining" in capsys.readouterr().err


# ------------------------------------------------------------------ wrong input


def test_something_that_cannot_be_explained(applicants):
    X, y = applicants
    with pytest.raises(ValueError, match=r"'estimator'.*CounterfactualTraining"):
        CounterfactualExplainer(ECCCoGenerator()).fit(X, y)


def test_search_is_a_function_not_a_module():
    assert callable(search)


# ------------------------------------------------------- the claim, in its small form


@pytest.mark.filterwarnings("ignore:Domain:skct.exceptions.ConstraintWarning")
def test_adult_like_constraints_hold_in_every_single_counterfactual():
    X, y = people(2000, seed=3)
    clf = quick(
        epochs=3,
        mutability={"age": "none", "education": "increase", "children": "decrease"},
        domain={"income": (5, 90)},
    ).fit(X, y)
    inside = X[X["income"].between(5, 90)]
    answer = CounterfactualExplainer(clf, refine=False).explain(inside)
    after = answer.counterfactual
    assert (after["age"].to_numpy() == inside["age"].to_numpy()).all()
    assert (after["education"].cat.codes >= inside["education"].cat.codes).all()
    assert (after["children"] <= inside["children"]).all()
    assert after["income"].between(5, 90).all()
    assert after["children"].dtype == np.int8


# ------------------------------------------------------------- bugs that were fixed


def test_fit_around_a_fitted_classifier_checks_its_columns(fitted, applicants):
    X, y = applicants
    for table in (X[X.columns[::-1]], X.rename(columns=str.upper), X.iloc[:, :4]):
        with pytest.raises(ValueError, match="feature names should match"):
            CounterfactualExplainer(fitted).fit(table, y)


def test_pandas_output_and_names_without_fit(fitted, denied):
    explainer = CounterfactualExplainer(fitted).set_output(transform="pandas")
    assert isinstance(explainer.transform(denied[:3]), pd.DataFrame)
    assert list(explainer.get_feature_names_out()) == list(denied.columns)


def test_parameters_set_after_fit_count(fitted, applicants, denied):
    explainer = CounterfactualExplainer(fitted).fit(*applicants)
    explainer.set_params(mutability={"income": "none"}, confidence=0.5)
    answer = explainer.explain(denied[:20], target="approved")
    assert (answer.counterfactual["income"] == answer.factual["income"]).all()


@pytest.mark.filterwarnings("ignore:Domain:skct.exceptions.ConstraintWarning")
def test_narrow_floats_stay_inside_the_domain():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 3)), columns=list("abc")).astype("float32")
    X = X.clip(-0.1, 0.7)
    for table in (X, X.to_numpy()):
        names = X.columns if table is X else range(3)
        clf = quick(epochs=5, domain=dict.fromkeys(names, (-0.1, 0.7)))
        clf.fit(table, X["a"] > 0.2)
        answer = CounterfactualExplainer(clf, refine=False).explain(table)
        after, before = (
            np.asarray(t, dtype=float) for t in (answer.counterfactual, table)
        )
        moved = after != before
        assert moved.any()
        assert ((after[moved] >= -0.1) & (after[moved] <= 0.7)).all()


def test_the_reason_names_columns_outside_the_domain(fitted, denied):
    far = denied[:2].assign(income=[-5.0, 20.0])
    explainer = CounterfactualExplainer(
        fitted, mutability=dict.fromkeys(denied.columns, "none"), domain="auto"
    )
    with pytest.warns(SearchWarning, match="no valid counterfactual"):
        answer = explainer.explain(far, target="approved")
    assert not answer.valid.any()
    assert ["'income' lies outside" in text for text in answer.reason] == [True, False]


def test_slices_of_any_sparse_format(iris):
    _, X, y = iris
    matrix = sparse.coo_matrix(X.to_numpy())
    answer = quick(epochs=5).fit(matrix, y).explain(matrix, confidence=0.4)[:3]
    assert answer.counterfactual.shape == (3, 4)


def test_a_module_in_double_precision_is_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=r"float64.*module.float\(\)"):
        CounterfactualExplainer(nn.Linear(4, 3).double()).fit(X, y)


def test_the_hint_has_the_type_of_the_label(iris):
    clf, X, _ = iris
    with pytest.raises(ValueError, match=r"Unknown label '1'.*Did you mean 1\?"):
        clf.explain(X[:2], target="1")


# ------------------------------------------------------------- tables of unusual types


def test_decimals_come_back_as_decimals():
    cents = np.random.default_rng(0).integers(0, 1000, 80)
    X = pd.DataFrame({"price": [Decimal(int(c)) / 100 for c in cents]})
    answer = quick().fit(X, cents > 500).explain(X[:20])
    assert answer.valid.all()
    assert {type(v) for v in answer.counterfactual["price"]} == {Decimal}


def test_sparse_columns_of_a_frame_come_back_sparse():
    counts = np.random.default_rng(0).integers(0, 9, 80)
    X = pd.DataFrame({"n": pd.arrays.SparseArray(counts * 1.0), "m": 1.0})
    answer = quick().fit(X, counts > 4).explain(X[:20])
    assert answer.valid.all()
    assert answer.counterfactual.dtypes.equals(X.dtypes)


@pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")
@pytest.mark.parametrize("as_frame", [True, False], ids=["frame", "array"])
@pytest.mark.parametrize("word", ["increase", "decrease"])
def test_integers_beyond_the_precision_of_floats_do_not_turn_back(as_frame, word):
    stamp = 2**60 + np.random.default_rng(0).integers(0, 50_000, 80)
    X = pd.DataFrame({"stamp": stamp}) if as_frame else stamp[:, None]
    clf = quick(mutability={0: word}).fit(X, stamp - 2**60 > 25_000)
    after = np.asarray(clf.explain(X).counterfactual)[:, 0]
    assert (after != stamp).any()
    assert ((after >= stamp) if word == "increase" else (after <= stamp)).all()


@pytest.mark.parametrize("as_frame", [True, False], ids=["frame", "array"])
def test_the_largest_integers_do_not_overflow(as_frame):
    rng = np.random.default_rng(0)
    high = np.where(rng.random(80) < 0.5, 2**64 - 1, 2**63).astype("uint64")
    X = pd.DataFrame({"n": high}) if as_frame else high[:, None]
    clf = quick(mutability={0: "increase"}, domain=None).fit(X, high > 2**63)
    after = np.asarray(clf.explain(X[high == 2**63]).counterfactual)[:, 0]
    assert (after >= 2**63).all()


def test_rows_that_lack_a_category_may_get_it(denied, fitted):
    explainer = CounterfactualExplainer(fitted, target="approved")
    whole = explainer.explain(denied)
    below = (denied["education"] != "master").to_numpy()
    part = denied[below].copy()
    part["education"] = part["education"].cat.remove_unused_categories()
    answer = explainer.explain(part).counterfactual
    expected = whole[below].counterfactual["education"]
    assert (expected == "master").any()
    pd.testing.assert_series_equal(answer["education"], expected)
    assert list(part["education"].cat.categories) == ["school", "bachelor"]


def test_a_row_of_an_object_column_is_written_alike_alone_and_in_company():
    values = [1, 2.5, np.float32(0.1), 4]
    column = np.array(np.random.default_rng(0).choice(np.array(values, object), 80))
    X = pd.DataFrame({"n": column}, dtype=object)
    clf = quick().fit(X, column.astype(float) > 2)
    rows = X[X["n"] == 1]
    together = clf.explain(X).counterfactual.loc[rows.index, "n"]
    alone = clf.explain(rows[:1]).counterfactual["n"].iloc[0]
    assert alone == pytest.approx(together.iloc[0], abs=1e-5)
    assert alone != round(alone)


# ----------------------------------------------------------------------- confidence


@pytest.mark.parametrize("confidence", [0.5, 0.7, 0.95])
def test_counterfactuals_reach_the_confidence_or_say_what_they_reached(
    fitted, applicants, confidence
):
    X = applicants[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = fitted.explain(X, confidence=confidence)
    table = answer.counterfactual
    codes = pd.Index(fitted.classes_).get_indexer(answer.target)
    told = fitted.predict_proba(table)[np.arange(len(X)), codes]
    np.testing.assert_array_equal(told, answer.probability)
    assert (answer.mature == (answer.valid & (told >= confidence))).all()
    assert answer.mature.mean() > 0.9
    assert (answer.reason[answer.mature] == "").all()
    assert all(answer.reason[~answer.mature])
    assert answer.summary()["mature"] == answer.mature.mean()


def test_more_confidence_costs_more(fitted, applicants):
    X = applicants[0]
    costs = [
        fitted.explain(X, confidence=confidence).cost.mean()
        for confidence in (0.5, 0.7, 0.9)
    ]
    assert costs[0] < costs[1] < costs[2]


def flat_beyond(limit):
    """Module whose target probability rises along x0 up to a limit, and not further."""

    class Flat(nn.Module):
        def forward(self, x):
            odds = x[:, :1].clamp(max=math.log(limit / (1 - limit)))
            return torch.cat([torch.zeros_like(odds), odds], 1)

    return Flat()


def test_the_most_convincing_counterfactual_is_kept_where_the_confidence_is_too_high():
    X = np.random.default_rng(0).normal(size=(40, 2)) - [3.0, 0.0]
    y = np.arange(40) % 2
    explainer = CounterfactualExplainer(flat_beyond(0.6), confidence=0.8).fit(X, y)
    with pytest.warns(SearchWarning, match=r"40 of 40 rows .*confidence=0.8") as told:
        answer = explainer.explain(X, target=1)
    assert len(told) == 1
    assert answer.valid.all()
    assert not answer.mature.any()
    np.testing.assert_allclose(answer.probability, 0.6, atol=1e-6)
    assert set(answer.reason) == {"reached target probability 0.60, asked for 0.8"}
    assert answer.summary()["mature"] == 0
    assert explainer.explain(X, target=1, confidence=0.55).mature.all()


def test_flat_ground_in_front_of_the_target_is_crossed():
    """Slope 0 for a stretch: the descent stays there, steps along a column do not."""

    class Step(nn.Module):
        def forward(self, x):
            odds = 8 * torch.relu(x[:, :1] - 1) + 1e-4 * x[:, :1] - 2
            return torch.cat([torch.zeros_like(odds), odds], 1)

    X = np.linspace(-2, 0.5, 30)[:, None] + [[0.0, 0.0]]
    explainer = CounterfactualExplainer(Step()).fit(X + [[1.0, 0]], np.arange(30) % 2)
    answer = explainer.explain(X, target=1)
    assert answer.mature.all()
    rough = CounterfactualExplainer(Step(), refine=False).fit(X, np.arange(30) % 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert not rough.explain(X, target=1).valid.any()


def test_with_many_classes_a_low_confidence_still_gives_the_target(iris):
    clf, X, _ = iris
    answer = clf.explain(X[clf.predict(X) != 1], target=1, confidence=0.35)
    assert answer.valid.all()


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, 70, np.nan, "high", None])
def test_a_confidence_that_is_none_is_refused(fitted, applicants, confidence):
    X = applicants[0][:2]
    if confidence is not None:
        with pytest.raises(ValueError, match="'confidence'"):
            fitted.explain(X, confidence=confidence)
    with pytest.raises(ValueError, match="'confidence'"):
        CounterfactualExplainer(fitted, confidence=confidence).explain(X)


def test_scorers_pass_the_confidence_on(fitted, applicants):
    costs = [
        get_scorer("neg_cost", confidence=confidence)(fitted, *applicants)
        for confidence in (0.5, 0.8, None)
    ]
    assert costs[0] > costs[1] == costs[2]


@pytest.mark.parametrize(("rough", "kept"), [(0.8, 0.8), (0.4, 0.65), (0.66, 0.66)])
def test_a_refined_row_falls_back_to_what_is_more_convincing(monkeypatch, rough, kept):
    """What the refinement lost the search may still have; it may also have less."""
    X = np.zeros((3, 1)) - 2.0
    explainer = CounterfactualExplainer(flat_beyond(0.99)).fit(X, [0, 1, 0])

    def found(model, batch, weights, settings):
        odds = [np.full((3, 1), math.log(p / (1 - p))) for p in (0.65, rough)]
        return *(each.astype(np.float32) for each in odds), np.full(3, 9)

    monkeypatch.setattr("skct.explain.batch.find", found)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        answer = explainer.explain(X, target=1)
    np.testing.assert_allclose(answer.probability, kept, atol=1e-6)
    assert (answer.mature == (kept >= 0.7)).all()


def test_alternatives_short_of_the_confidence_are_no_repetitions():
    """What is said of one that stays below says nothing of the others."""
    X = np.random.default_rng(0).normal(size=(10, 2)) - [3.0, 0.0]
    explainer = CounterfactualExplainer(flat_beyond(0.6), confidence=0.8)
    explainer.fit(X, np.arange(10) % 2)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        answer = explainer.explain(X, target=1, n_alternatives=2)
    repeats = sum(reason.startswith("repeats") for reason in answer.reason)
    told = [str(each.message) for each in said if "hardly differ" in str(each.message)]
    assert [text.split()[0] for text in told] == [str(repeats)] * (repeats > 0)
    assert repeats < 20


@pytest.mark.parametrize(
    ("probability", "confidence", "text"),
    [(0.6, 0.7, "0.60"), (0.6999, 0.7, "0.6999"), (0.994, 0.995, "0.99")],
)
def test_what_was_reached_reads_as_less_than_what_was_asked_for(
    probability, confidence, text
):
    assert below(probability, confidence) == text
