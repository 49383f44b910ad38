"""What is drawn corresponds to the data; no comparison of pixels."""

import re
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from conftest import quick
from sklearn.datasets import load_digits, load_iris, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skct
from skct import CounterfactualExplainer, robustness
from skct.attribution import integrated_gradients
from skct.plotting import (
    AttributionDisplay,
    DecisionSurfaceDisplay,
    HistoryDisplay,
    ImageGridDisplay,
    RobustAccuracyDisplay,
)
from skct.utils.plotting import COLOURS

# Rows without an answer are drawn too.
pytestmark = pytest.mark.filterwarnings("ignore::skct.exceptions.SearchWarning")


@pytest.fixture(autouse=True)
def no_traces(monkeypatch):
    """No plot shows itself or changes rcParams; figures are closed afterwards."""
    monkeypatch.setattr(plt, "show", lambda *a, **k: pytest.fail("show was called"))
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before
    plt.close("all")


@pytest.fixture(scope="module")
def moons():
    X, y = make_moons(150, noise=0.1, random_state=0)
    X = pd.DataFrame(X, columns=["age", "debt"])
    y = np.where(y == 1, "paid", "failed")
    clf = quick(epochs=25, mutability={"age": "none"}).fit(X, y)
    factuals = X[clf.predict(X) == "failed"].iloc[:6]
    return clf, X, y, factuals


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(n_class=3, return_X_y=True)
    words = np.full((8, 8), "both", dtype=object)
    words[0] = "none"
    clf = quick(epochs=8, preprocessor=None, mutability=words.ravel())
    return clf.fit(X / 16, y), X / 16, y


def texts(labels):
    return [label.get_text() for label in labels]


# -------------------------------------------------------------------------- all alike


def history():
    return pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_loss": [0.7, 0.9, 0.8],
            "classification": [np.nan, 0.5, 0.4],
            "mature": [np.nan, 0.5, 1.0],
            "n_iter": [np.nan, 20.0, 10.0],
            "dur": [0.1, 0.2, 0.2],
            "search_seconds": [np.nan, 0.1, 0.1],
        }
    )


def one_panel():
    grid = np.meshgrid([0.0, 1.0, 2.0], [0.0, 1.0])
    right = np.tile([0.1, 0.4, 0.9], (2, 1))
    surface = DecisionSurfaceDisplay(
        *grid,
        np.stack([1 - right, right], axis=-1),
        np.array([[0.0, 0.0], [2.0, 1.0]]),
        np.array([0, 1]),
        np.array([[[0.0, 0.0], [1.0, 0.5], [2.0, 0.5]]]),
        target=np.array([1]),
        valid=np.array([True]),
        classes=np.array([0, 1]),
    )
    images = np.arange(12.0).reshape(2, 2, 3)
    return [
        surface,
        ImageGridDisplay(images, images + 1),
        AttributionDisplay([[0.2, 0.8], [0.5, 0.5]], ["no", "yes"]),
        AttributionDisplay(images, ["no", "yes"], image_shape=(2, 3)),
        RobustAccuracyDisplay.from_dict({"a": [1, 0.5]}, epsilons=[0, 0.1]),
        HistoryDisplay(history()[["epoch", "train_loss"]]),
    ]


@pytest.mark.parametrize("k", range(6))
def test_ax_that_is_given_is_drawn_on(k):
    display = one_panel()[k]
    plt.close("all")
    figure, ax = plt.subplots()
    current, _ = plt.subplots()
    assert display.plot(ax=ax) is display
    assert display.figure_ is figure
    assert ax.has_data()
    assert plt.gcf() is current
    assert len(plt.get_fignums()) == 2


@pytest.mark.parametrize("k", range(6))
def test_new_figure_draws_without_warning(k):
    display = one_panel()[k].plot()
    display.figure_.canvas.draw()
    assert display.figure_.get_layout_engine() is not None


def test_matplotlib_is_not_imported_before_something_is_drawn():
    sources = list(Path(skct.__file__).parent.rglob("*.py"))
    assert len(sources) > 60
    for source in sources:
        assert not re.search(r"^(from|import) matplotlib", source.read_text(), re.M)


def test_number_of_axes_has_to_fit():
    _, axes = plt.subplots(3)
    with pytest.raises(ValueError, match=r"4 panels; 'ax' must hold as many.*Got 3"):
        HistoryDisplay(history()).plot(ax=axes)


# ---------------------------------------------------------------------------- recourse


def test_recourse_writes_the_new_values_of_valid_rows(fitted, denied):
    explanation = fitted.explain(denied[:8], target="approved")
    valid = np.arange(len(explanation)) != 2
    explanation = replace(explanation, valid=explanation.valid & valid)
    ax = explanation.plot().ax_
    written = texts(ax.texts)
    n_failed = int((~explanation.valid).sum())
    assert written.count("no valid counterfactual") == n_failed
    assert len(written) == len(explanation.changes()) + n_failed
    assert texts(ax.get_xticklabels()) == list(denied.columns)
    assert texts(ax.get_yticklabels())[2] == f"{denied.index[2]} (none)"


def test_recourse_colours_direction(fitted, denied):
    factual = denied[:2].copy()
    counterfactual = factual.copy()
    counterfactual["income"] = factual["income"] + [10.0, -5.0]
    counterfactual["education"] = pd.Categorical(
        ["master", "master"],
        categories=factual["education"].cat.categories,
        ordered=True,
    )
    factual["education"] = counterfactual["education"].cat.set_categories(
        factual["education"].cat.categories
    )
    factual.loc[factual.index[0], "education"] = "school"
    counterfactual["job"] = ["$5 and $6_{", factual["job"].iloc[1]]
    explanation = replace(
        fitted.explain(denied[:2], target="approved"),
        factual=factual,
        counterfactual=counterfactual,
        valid=np.ones(2, dtype=bool),
    )
    ax = explanation.plot().ax_
    ax.figure.canvas.draw()  # a "$" is no formula
    signed, other = (image.get_array() for image in ax.images)
    income, job, education = (
        denied.columns.get_loc(c) for c in ("income", "job", "education")
    )
    assert signed[0, income] == 1
    assert signed[1, income] == pytest.approx(-0.6)  # half the largest change
    assert signed[0, education] == 1
    assert bool(signed.mask[1, education])  # as it was
    assert not other.mask[0, job]
    assert other.mask.sum() == other.size - 1
    assert "grey: another category" in ax.get_title()


def test_recourse_names_alternatives(fitted, denied):
    explanation = fitted.explain(denied[:2])[[0, 0, 1]]
    explanation = replace(explanation, alternative=np.array([0, 1, 0]))
    names = texts(explanation.plot().ax_.get_yticklabels())
    a, b = denied.index[:2]
    starts = (f"{a}/0 (", f"{a}/1 (", f"{b}/0 (")
    assert all(n.startswith(s) for n, s in zip(names, starts, strict=True))


def test_recourse_of_many_columns_shows_those_that_change(digits):
    clf, X, _ = digits
    explanation = clf.explain(X[:1])
    display = explanation.plot()
    names = {int(t) for t in texts(display.ax_.get_xticklabels())}
    assert len(names) == 25
    changing = set(explanation.changes()["feature"])
    assert changing <= names or names <= changing
    assert display.ax_.get_xlabel().startswith("25 of 64 columns")


def test_recourse_of_no_rows_is_an_error(fitted, denied):
    with pytest.raises(ValueError, match="no row that could be drawn"):
        fitted.explain(denied[:1])[:0].plot()


# ----------------------------------------------------------------------------- surface


def test_surface_draws_points_paths_and_ends(moons):
    clf, X, y, factuals = moons
    display = DecisionSurfaceDisplay.from_estimator(
        clf, X, y, factuals, target="paid", grid_resolution=15
    )
    explanation = CounterfactualExplainer(clf, refine=False).explain(factuals, "paid")
    ends = explanation.counterfactual.to_numpy()
    paths = display.paths_.get_segments()
    assert len(paths) == len(factuals)
    for path, start, end in zip(paths, factuals.to_numpy(), ends, strict=True):
        np.testing.assert_array_equal(path[0], start)
        np.testing.assert_array_equal(path[-1], end)
        np.testing.assert_allclose(path[-2], end, atol=1e-4)  # where the search ended
        assert (path[:, 0] == start[0]).all()  # immutable
    np.testing.assert_array_equal(display.factuals_.get_offsets(), factuals)
    np.testing.assert_array_equal(
        display.counterfactuals_.get_offsets(), ends[explanation.valid]
    )
    for label, points in zip(clf.classes_, display.points_, strict=True):
        np.testing.assert_array_equal(points.get_offsets(), X[y == label])
    assert display.surface_.get_array().shape == (15, 15)
    corner = pd.DataFrame([[display.xx[0, 0], display.yy[0, 0]]], columns=X.columns)
    np.testing.assert_allclose(
        display.surface_.get_array()[0, 0], clf.predict_proba(corner)[0, 1], rtol=1e-4
    )
    assert display.ax_.get_xlabel() == "age (immutable)"
    assert display.ax_.get_ylabel() == "debt"


def test_surface_takes_explanations_explainers_and_pipelines(moons):
    clf, X, y, factuals = moons
    explainer = CounterfactualExplainer(clf, mutability={"age": "increase"})
    explanation = explainer.explain(factuals, "paid")
    display = DecisionSurfaceDisplay.from_estimator(
        explainer, X, y, explanation, grid_resolution=5
    )
    ends = [path[-1] for path in display.paths_.get_segments()]
    np.testing.assert_array_equal(ends, explanation.counterfactual)
    assert display.ax_.get_xlabel() == "age (can only increase)"

    pipeline = make_pipeline(StandardScaler(), quick(epochs=2)).fit(X, y)
    display = DecisionSurfaceDisplay.from_estimator(
        pipeline, X, y, X[pipeline.predict(X) == "paid"][:2], grid_resolution=5
    )
    assert len(display.paths_.get_segments()) == 2


def test_surface_of_three_classes_blends_their_colours():
    X, y = load_iris(return_X_y=True)
    X = X[:, 2:]
    clf = quick(epochs=5).fit(X, y)
    display = DecisionSurfaceDisplay.from_estimator(
        clf, X, y, X[:3], grid_resolution=12
    )
    assert display.colorbar_ is None
    assert display.surface_.get_array().shape == (12, 12, 3)
    assert display.ax_.get_xlabel() == "feature 0"


def test_surface_marks_rows_without_an_answer():
    display = one_panel()[0]
    display.valid = np.array([False])
    display.plot()
    assert len(display.counterfactuals_.get_offsets()) == 0
    np.testing.assert_array_equal(display.failed_.get_offsets(), [[2.0, 0.5]])


def test_surface_refuses_other_tables(fitted, applicants):
    X, y = applicants
    with pytest.raises(ValueError, match="2 features.*on 6 features"):
        DecisionSurfaceDisplay.from_estimator(fitted, X, y, X[:2])
    words = X[["age", "job"]]
    clf = quick(epochs=1).fit(words, y)
    with pytest.raises(ValueError, match="numeric columns.*'job'.*categories"):
        DecisionSurfaceDisplay.from_estimator(clf, words, y, words[:2])


def test_surface_refuses_unknown_labels_and_unfitted_models(moons):
    clf, X, y, factuals = moons
    with pytest.raises(ValueError, match="Unknown label 'x'"):
        DecisionSurfaceDisplay.from_estimator(clf, X, ["x"] * len(X), factuals)
    with pytest.raises(NotFittedError):
        DecisionSurfaceDisplay.from_estimator(quick(), X, y, factuals)


# ------------------------------------------------------------------------------ images


def test_image_grid_holds_images_differences_and_targets(digits):
    clf, X, _ = digits
    explanations = {
        "a": clf.explain(X[:2], target=[2, 2]),
        "b": clf.explain(X[:2], target=[1, 2]),
    }
    display = ImageGridDisplay.from_explanation(
        explanations, image_shape=(8, 8), difference=True
    )
    assert sorted(display.images_) == [(i, j) for i in range(2) for j in range(5)]
    drawn = {place: image.get_array() for place, image in display.images_.items()}
    for i in range(2):
        np.testing.assert_array_equal(drawn[i, 0].ravel(), X[i])
        for j, name in enumerate("ab"):
            after = explanations[name].counterfactual[i]
            np.testing.assert_array_equal(drawn[i, 1 + j].ravel(), after)
            np.testing.assert_allclose(drawn[i, 3 + j].ravel(), after - X[i])
    names = ["factual", "a", "b", "a\nchange", "b\nchange"]
    assert texts(display.ax_.get_xticklabels()) == names
    captions = texts(display.ax_.texts)
    assert captions[1].startswith("\N{RIGHTWARDS ARROW} 2")
    assert captions[2].startswith("\N{RIGHTWARDS ARROW} 1")
    limits = {display.images_[0, j].get_clim() for j in range(3)}
    assert len(limits) == 1  # grey values compare
    low, high = display.images_[0, 3].get_clim()
    assert low == -high


@pytest.mark.parametrize("shape", [(2, 6, 5), (2, 1, 6, 5), (2, 30)])
def test_image_grid_takes_all_forms(shape):
    images = np.random.default_rng(0).random(shape)
    given = (6, 5) if len(shape) == 2 else None
    display = ImageGridDisplay(images, {"CT": images}, image_shape=given).plot()
    np.testing.assert_array_equal(
        display.images_[1, 0].get_array(), images.reshape(2, 6, 5)[1]
    )


def test_image_grid_refuses_what_does_not_fit(digits):
    clf, X, _ = digits
    with pytest.raises(ValueError, match="height \\* width\\) with image_shape"):
        ImageGridDisplay(X[:2], X[:2])
    with pytest.raises(ValueError, match=r"image_shape' \(4, 4\) does not fit factual"):
        ImageGridDisplay(X[:2], X[:2], image_shape=(4, 4))
    with pytest.raises(ValueError, match="counterfactuals 'CT' have shape"):
        ImageGridDisplay(X[:2], {"CT": X[:1]}, image_shape=(8, 8))
    pair = {"a": clf.explain(X[:1], target=1), "b": clf.explain(X[1:2], target=2)}
    with pytest.raises(ValueError, match="'b' is about other factuals"):
        ImageGridDisplay.from_explanation(pair, image_shape=(8, 8))


# ------------------------------------------------------------------------- attribution


def test_attribution_bars_are_class_means_of_raw_columns(applicants, fitted):
    X, y = applicants
    display = AttributionDisplay.from_estimator(fitted, X, y, kind="absolute")
    codes = np.searchsorted(fitted.classes_, y)
    encoded = fitted.feature_space_.encode(X)
    values = integrated_gradients(fitted.module_, encoded, codes)
    jobs = [j for j, owner in enumerate(fitted.feature_space_.owner) if owner == 2]
    wanted = np.abs(values[codes == 1][:, jobs].sum(1)).mean()
    assert len(jobs) == 3
    assert len(display.bars_) == 2
    assert display.bars_[1][2].get_width() == pytest.approx(wanted, rel=1e-5)
    names = texts(display.ax_.get_yticklabels())
    assert names[0] == "age (protected)"
    assert names[1] == "income"
    assert "logits" in display.ax_.get_xlabel()


def test_attribution_shares_add_up_and_signs_stay(applicants, fitted):
    X, y = applicants
    share = AttributionDisplay.from_estimator(fitted, X, y)
    for bars in share.bars_:
        assert sum(bar.get_width() for bar in bars) == pytest.approx(100)
    signed = AttributionDisplay.from_estimator(fitted, X, y, kind="signed")
    assert signed.attribution.min() < 0


def test_attribution_heat_maps_and_protected_pixels(digits):
    clf, X, y = digits
    display = AttributionDisplay.from_estimator(clf, X, y, image_shape=(8, 8))
    assert len(display.images_) == 3
    for k in range(3):
        drawn = display.images_[0, k].get_array()
        np.testing.assert_array_equal(drawn, display.attribution[k])
    assert display.protected.sum() == 8
    frames = display.ax_.collections
    assert len(frames) == 3
    assert len(frames[0].get_segments()) == 2 * 8 + 2  # around the top row


def test_attribution_refuses_wrong_input(digits):
    clf, X, y = digits
    with pytest.raises(ValueError, match="'kind' parameter must be one of.*'mean'"):
        AttributionDisplay.from_estimator(clf, X, y, kind="mean")
    with pytest.raises(ValueError, match=r"no rows of the classes \['2'\]"):
        AttributionDisplay.from_estimator(clf, X[y < 2], y[y < 2])
    with pytest.raises(ValueError, match="3 rows for 2 classes"):
        AttributionDisplay(np.ones((3, 2)), ["a", "b"])
    with pytest.raises(ValueError, match="or come with image_shape"):
        AttributionDisplay(np.ones((2, 3, 3)), ["a", "b"])


# --------------------------------------------------------------------- robust accuracy


def test_robust_accuracy_lines_are_means_over_seeds():
    scores = pd.DataFrame(
        {
            "model": ["CT", "CT", "CT", "plain", "plain"],
            "attack": "pgd",
            "epsilon": [0.0, 0.1, 0.1, 0.0, 0.1],
            "accuracy": [0.9, 0.6, 0.8, 0.95, 0.1],
        }
    )
    display = RobustAccuracyDisplay(scores).plot()
    assert list(display.lines_) == [("pgd", "", "CT"), ("pgd", "", "plain")]
    line = display.lines_["pgd", "", "CT"]
    np.testing.assert_allclose(line.get_xydata(), [[0.0, 0.9], [0.1, 0.7]])
    (band,) = display.axes_[0, 0].collections
    low, high = band.get_paths()[0].get_extents().get_points()[:, 1]
    spread = np.std([0.6, 0.8], ddof=1)
    assert low == pytest.approx(0.7 - spread)
    assert high == pytest.approx(0.9)
    assert display.axes_[0, 0].get_title() == "PGD"


def test_models_with_chosen_colours_come_first():
    scores = pd.DataFrame({"model": list("abc"), "epsilon": 0.1, "accuracy": 0.5})
    chosen = {"none": "red", "c": COLOURS[0], "b": "0.35"}
    lines = RobustAccuracyDisplay(scores, colours=chosen).plot().lines_
    assert [name for *_, name in lines] == ["c", "b", "a"]
    colours = [line.get_color() for line in lines.values()]
    assert colours == [COLOURS[0], "0.35", COLOURS[1]]


def test_robust_accuracy_has_a_panel_per_attack_and_data_set():
    base = pd.DataFrame({"model": "CT", "epsilon": [0, 1], "accuracy": [1, 0.5]})
    scores = pd.concat(
        base.assign(attack=a, data=d)
        for a in ("fgsm", "pgd")
        for d in ("Adult", "CH", "Cred")
    )
    display = RobustAccuracyDisplay(scores).plot()
    assert display.axes_.shape == (2, 3)
    assert display.axes_[1, 2].get_title() == "Cred, PGD"
    assert len(display.figure_.findobj(mpl.legend.Legend)) == 1


def test_robust_accuracy_is_computed_for_fitted_models(moons):
    clf, X, y, _ = moons
    plain = quick(epochs=5, lambda_div=0, lambda_adv=0, lambda_reg=0).fit(X, y)
    display = RobustAccuracyDisplay.from_estimators(
        {"plain": plain, "CT": clf}, X, y, epsilons=[0, 0.3], attack=["fgsm"]
    )
    wanted = robustness.robust_accuracy(
        clf.module_,
        clf.feature_space_.encode(X),
        np.searchsorted(clf.classes_, y),
        epsilons=[0, 0.3],
        attack="fgsm",
    )
    line = display.lines_["fgsm", "", "CT"]
    np.testing.assert_allclose(line.get_ydata(), wanted)
    assert line.get_ydata()[0] == pytest.approx(clf.score(X, y))


def test_robust_accuracy_refuses_wrong_tables():
    with pytest.raises(ValueError, match=r"\['accuracy'\] are missing"):
        RobustAccuracyDisplay(pd.DataFrame({"model": [], "epsilon": []}))
    with pytest.raises(ValueError, match="one accuracy per radius"):
        RobustAccuracyDisplay.from_dict({"a": [1, 1, 1]}, epsilons=[0, 1])


# ----------------------------------------------------------------------------- history


def test_history_lines_are_the_columns(moons):
    clf = moons[0]
    display = HistoryDisplay.from_estimator(clf)
    assert {"train_loss", "divergence", "mature", "n_iter"} <= set(display.lines_)
    for name, line in display.lines_.items():
        np.testing.assert_array_equal(line.get_ydata(), clf.history_[name])
        np.testing.assert_array_equal(line.get_xdata(), clf.history_["epoch"])
    assert len(display.axes_) == 4
    first, *others = display.axes_
    assert all(first.get_shared_x_axes().joined(first, ax) for ax in others)


def test_history_of_a_plain_net_and_of_a_burn_in(moons):
    _, X, y, _ = moons
    plain = quick(epochs=2, lambda_div=0, lambda_adv=0, lambda_reg=0).fit(X, y)
    display = HistoryDisplay.from_estimator(plain)
    assert list(display.lines_) == ["train_loss", "dur"]
    late = quick(epochs=4, burn_in=0.5).fit(X, y)
    display = HistoryDisplay.from_estimator(late)
    assert np.isnan(display.lines_["mature"].get_ydata()).sum() == 2
    (grey,) = display.axes_[0].patches
    assert grey.get_x() == 0.5
    assert grey.get_width() == 2
    assert display.axes_[0].get_title(loc="left") == "grey: burn-in"


def test_history_needs_a_fit():
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(quick())
