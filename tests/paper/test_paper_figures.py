"""Figures of `examples/paper`, and the report that shows them."""

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgba
from safetensors.torch import save_file

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
sys.path.insert(0, str(FOLDER))

import cells  # noqa: E402
import data  # noqa: E402
import figures  # noqa: E402
import figures_models as drawn  # noqa: E402
import report  # noqa: E402
from figures_ablation import METHODS, AblationDisplay  # noqa: E402

from skct import MLP  # noqa: E402
from skct.attribution import integrated_gradients  # noqa: E402
from skct.plotting import RobustAccuracyDisplay  # noqa: E402

plt = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


# --------------------------------------------------------------- Fig. 1


@pytest.fixture(scope="module")
def linear():
    return drawn.linear_panels()


@pytest.fixture(scope="module")
def effects(linear):
    return drawn.linear_effects(*linear)


def test_answers_of_counterfactual_training_lie_deeper(effects):
    assert effects.depth.b > effects.depth.a + 0.04


def test_depth_is_that_of_the_last_step(effects):
    """A linear model cannot push both classes' answers away from its boundary."""
    assert effects.fine_depth.b < effects.fine_depth.a
    assert effects.fine_depth.b < effects.depth.b - 0.05


def test_immutable_age_matters_less(effects):
    assert effects.age.d < 0.6 * effects.age.c
    assert effects.cost.d < 0.8 * effects.cost.c
    assert effects.mature.d == 1.0


@pytest.mark.slow
def test_boundary_tilts_from_four_of_five_starts():
    tilted = 0
    for seed in range(5):
        _, panels = drawn.linear_panels(seed)
        age = [drawn.weight_of_age(panel.module) for panel in panels]
        tilted += age[3] < 0.8 * age[2]
    assert tilted >= 4


def test_conventional_training_knows_no_mutability(linear, effects):
    _, panels = linear
    assert panels[0].module is panels[2].module
    assert effects.age.a == effects.age.c


def test_training_leaves_the_global_seed_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    drawn.linear_panels(epochs=1)
    assert torch.rand(1) == expected


def test_depth_by_hand():
    X = np.array([[0.0, 0.0], [4.0, 0.0]], dtype=np.float32)
    task = SimpleNamespace(X_train=X, y_train=np.array([0, 1]))
    assert drawn.depth(task, np.array([[1.0, 9.0], [2.0, 0.0]])) == 0.375


def test_weight_of_age_by_hand():
    module = MLP(2, 2, hidden_layer_sizes=())
    with torch.no_grad():
        module[0].weight.copy_(torch.tensor([[1.0, 2.0], [0.0, -1.0]]))
    assert drawn.weight_of_age(module) == 0.25


def test_caption_says_the_two_numbers(linear, effects, monkeypatch):
    monkeypatch.setattr(drawn, "linear_panels", lambda: linear)
    ((title, figure, caption),) = drawn.draw_linear()
    assert title == "Fig. 1"
    assert [ax.get_title()[:3] for ax in figure.axes] == ["(a)", "(b)", "(c)", "(d)"]
    assert [ax.get_xlabel() for ax in figure.axes[1:3]] == ["age", "age (immutable)"]
    assert f"{effects.depth.b:.2f} with CT (b)" in caption
    assert f"{effects.age.d:.2f} with CT (d)" in caption


def test_green_line_is_where_the_prediction_changes(linear):
    task, panels = linear
    xx, yy, response = drawn.probabilities(panels[0].module, task, resolution=5)
    corner = torch.tensor([[xx[0, -1], yy[0, -1]]])
    expected = panels[0].module(corner).softmax(1)[0].detach()
    np.testing.assert_allclose(response[0, -1], expected, rtol=1e-6)
    assert xx.min() < task.lower[0]
    assert yy.max() > task.upper[1]


# --------------------------------------------------------------- stored weights


def digits(n_each=3):
    """Ten sorts of images, each with a bright row of its own."""
    y = np.repeat(np.arange(10), n_each)
    X = np.full((len(y), 28, 28), -1.0, dtype=np.float32)
    X[np.arange(len(y)), 8 + y] = 1.0
    X, ones = X.reshape(len(y), -1), np.ones(784, dtype=np.float32)
    edges = (*range(140), *range(644, 784))
    return data.Task(X, y, X, y, -ones, ones, edges)


def template(task, n_hidden=32):
    """MLP that compares an image with the mean of each class."""
    module = MLP(784, 10, hidden_layer_sizes=(n_hidden,))
    means = torch.stack(
        [torch.tensor(task.X_train[task.y_train == k][0]) for k in range(10)]
    )
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module[0].weight[:10] = (means + 1) / 28
        module[2].weight[:, :10] = 2 * torch.eye(10)
    return module


def store(module, folder, *cell):
    """Leave a cell as `run_cell` does, without scores."""
    path = cells.Cell(*cell).path(folder)
    save_file(module.state_dict(), path.with_suffix(cells.WEIGHTS))
    path.write_text("{}")


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Results of MNIST with sham images and models."""
    task = digits()
    monkeypatch.setattr(drawn, "load", lambda name: task)
    for model, version in (("BL", "any"), ("CT", "V2"), ("CT-constrained", "V2")):
        store(template(task), tmp_path, "MNIST", 0, model, version)
    return SimpleNamespace(folder=tmp_path, task=task)


def test_a_zero_and_nine_other_digits_for_two_models(images):
    ((title, figure, caption),) = drawn.draw_images(images)
    (ax,) = figure.axes
    assert title == "Fig. 3"
    assert len(ax.images) == 2 * 10
    assert [t.get_text() for t in ax.get_xticklabels()][1:] == [*"123456789"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["BL", "CT"]
    assert len(ax.patches) == 2  # frames
    assert "energy weight 1," in caption


def test_words_over_the_images_are_what_the_model_says(images):
    module = template(images.task)
    answers, words = drawn.other_digits(module, images.task, row=0)
    assert answers.shape == (9, 784)
    logits = module(torch.as_tensor(answers))
    predicted, sure = logits.argmax(1), logits.softmax(1).max(1).values
    assert words == [f"{k}: {p:.0%}" for k, p in zip(predicted, sure, strict=True)]


def test_attribution_has_an_image_per_class_and_a_row_per_model(images):
    ((title, figure, caption),) = drawn.draw_attribution(images)
    assert title == "Fig. 4"
    rows = [ax for ax in figure.axes if len(ax.images) == 10]
    assert [ax.get_ylabel() for ax in rows] == ["BL", "CT\nconstrained"]
    assert "0% of all absolute values for BL" in caption  # the sham looks elsewhere


def test_attribution_is_the_mean_of_each_class():
    task = digits(n_each=40)
    maps = drawn.attribution(template(task), task)
    exact = integrated_gradients(
        template(task), task.X_test[::40], np.arange(10), n_steps=20
    )
    assert maps.shape == (10, 784)
    # Baselines are 0 in the mean; the first layer looks at one row of pixels.
    np.testing.assert_allclose(maps.sum(1), exact.sum(1), atol=0.3)


def test_surfaces_of_the_sets_that_are_finished(tmp_path):
    for name in ("LS", "Moon"):
        store(MLP(2, 2), tmp_path, name, 0, "BL", "any")
    store(MLP(2, 2), tmp_path, "LS", 0, "CT", "V2")
    ((_, figure, _),) = drawn.draw_surfaces(SimpleNamespace(folder=tmp_path))
    assert [ax.get_title() for ax in figure.axes] == ["LS: BL", "LS: CT"]
    assert len(figure.legends) == 1


@pytest.mark.parametrize(
    "draw", [drawn.draw_images, drawn.draw_attribution, drawn.draw_surfaces]
)
def test_nothing_is_drawn_without_weights(tmp_path, draw):
    results = SimpleNamespace(folder=tmp_path)
    for data_name in ("MNIST", "LS"):
        cells.Cell(data_name, 0, "BL", "any").path(tmp_path).write_text("{}")
    assert list(draw(results)) == []


def test_rows_are_those_that_all_models_predict_right():
    task = digits()
    sure, mute = template(task), MLP(784, 10)
    with torch.no_grad():
        for parameter in mute.parameters():
            parameter.zero_()  # says 0 to everything
    assert drawn.agreed_rows(task, [sure, mute], 0, 2).tolist() == [0, 1]
    assert drawn.agreed_rows(task, [sure, mute], 1, 2).tolist() == []
    assert drawn.agreed_rows(task, [sure], 1, 2).tolist() == [3, 4]


# --------------------------------------------------------------- Fig. 6


def runs():
    rows = [
        (data, objective, seed, value + seed)
        for data, values in {"LS": (10, 4, 2), "Moon": (20, 22, 8)}.items()
        for objective, value in zip(("plain", "CD", "CT"), values, strict=True)
        for seed in range(3)
    ]
    return pd.DataFrame(rows, columns=["data", "objective", "seed", "ip"])


def test_ablation_bars_and_error_bars():
    display = AblationDisplay.from_frame(runs(), value="ip", baseline="plain")
    assert list(display.bars_) == ["CD", "CT"]
    reduction = [100 * (1 - (2 + s) / (10 + s)) for s in range(3)]
    bar = display.bars_["CT"][0]
    assert bar.get_height() == pytest.approx(np.mean(reduction))
    (whiskers,) = display.bars_["CT"].errorbar.lines[2]
    low, high = whiskers.get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(np.std(reduction, ddof=1))
    assert [label.get_text() for label in display.ax_.get_xticklabels()] == [
        "LS",
        "Moon",
    ]
    assert "1 SD" in display.ax_.get_ylabel()


def test_ablation_of_given_reductions_and_one_seed():
    one = runs().query("seed == 0 and objective != 'plain'")
    display = AblationDisplay.from_frame(one, value="ip")
    assert [bar.get_height() for bar in display.bars_["CD"]] == [4, 22]
    assert display.std.isna().all(axis=None)


def test_colours_of_objectives_agree_between_figures():
    ablation = AblationDisplay.from_frame(runs(), value="ip")
    scores = pd.DataFrame({"model": ["CT", "mine", "plain"], "epsilon": 0.1})
    scores = scores.assign(accuracy=1.0)
    robust = RobustAccuracyDisplay(scores, colours=METHODS).plot()
    assert [name for *_, name in robust.lines_] == ["plain", "CT", "mine"]
    for name in ("CT", "plain"):
        line = to_rgba(robust.lines_["", "", name].get_color())
        assert ablation.bars_[name][0].get_facecolor() == line
    colours = {to_rgba(line.get_color()) for line in robust.lines_.values()}
    assert len(colours) == 3


def test_ablation_is_drawn_on_the_ax_that_is_given():
    table = runs().pivot_table("ip", "data", "objective")
    figure, ax = plt.subplots()
    display = AblationDisplay(table, table / 10)
    assert display.plot(ax=ax) is display
    assert display.figure_ is figure
    assert ax.has_data()
    figure.canvas.draw()


def test_ablation_refuses_wrong_tables():
    table = runs()
    with pytest.raises(ValueError, match="'runs'"):
        AblationDisplay.from_frame({}, value="ip")
    with pytest.raises(ValueError, match=r"\['mmd'\] are missing"):
        AblationDisplay.from_frame(table, value="mmd")
    with pytest.raises(ValueError, match="several lines"):
        AblationDisplay.from_frame(pd.concat([table, table]), value="ip")
    for baseline, lines in (("BL", table), ("plain", table.drop(index=0))):
        with pytest.raises(ValueError, match=f"baseline '{baseline}' needs a run"):
            AblationDisplay.from_frame(lines, value="ip", baseline=baseline)


# --------------------------------------------------------------- the report


def test_figures_are_small_files(tmp_path):
    figure, axes = plt.subplots()
    axes.imshow(np.random.default_rng(0).normal(size=(50, 50)))
    path = figures.save(figure, tmp_path, "Fig. 9, a & b")
    assert path.name == "fig-9-a-b.png"
    assert path.stat().st_size < 100_000
    assert not plt.get_fignums()


def test_report_has_sections_by_version_words_and_captions(tmp_path, monkeypatch):
    tables = {
        "Once": lambda results: "one table",
        "Twice": lambda results, version: f"table of {version}",
        "Default": lambda results, version="V2": "another",
    }
    monkeypatch.setattr(report, "SECTIONS", tables)
    monkeypatch.setattr(report, "DISCUSSION", tmp_path / "discussion.md")
    results = SimpleNamespace(versions=["V1", "V2"])
    picture = ("Fig. 9", Path("docs/paper/fig-9.png"), "What to see.")
    text = report.write(results, [picture])
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    assert titles == [
        *("## Once", "## Twice, V1", "## Twice, V2", "## Default", "## Fig. 9")
    ]
    assert "![Fig. 9](paper/fig-9.png)\n\nWhat to see." in text
    (tmp_path / "discussion.md").write_text("## By hand\n")
    text = report.write(results, [picture])
    assert text.index("# The paper") < text.index("By hand") < text.index("Once")
