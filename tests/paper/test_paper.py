"""The reproduction of the paper in `examples/paper`, on a reduced case."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
sys.path.insert(0, str(FOLDER))

import cells  # noqa: E402
import data  # noqa: E402
import protocol  # noqa: E402
import published  # noqa: E402
import reference  # noqa: E402
import report  # noqa: E402
import reproduce  # noqa: E402
import results  # noqa: E402

from skct.training import Outputs, Pairs  # noqa: E402

# ----------------------------------------------------------------- data


@pytest.mark.parametrize("name", ["LS", "OL", "Circ", "Moon"])
def test_synthetic_sets_have_the_rows_of_the_paper(name):
    task = data.load(name)
    assert task.X_train.shape == (3000, 2)
    assert task.X_test.shape == (900, 2)
    assert task.protected == (0,)
    assert task.X_train.dtype == np.float32
    assert np.bincount(task.y_train).min() > 1400


def small_table(n=200):
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "a": rng.integers(0, 9, n),
            "job": rng.choice(["cook", "nurse"], n),
            "b": 100 * rng.normal(size=n),
        }
    )


def test_encoding_learns_from_the_first_rows_and_keeps_the_order():
    table = small_table()
    X, names, one_hot = data.encode(table, n_fit=160)
    assert names == ["a", "job_cook", "job_nurse", "b"]
    assert one_hot == (1, 2)
    np.testing.assert_allclose(X[:160, [0, 3]].mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(X[:160, [0, 3]].std(0, ddof=1), 1)
    assert set(np.unique(X[:, 1:3])) == {0.0, 1.0}


def test_tabular_tests_on_the_last_rows():
    table = small_table(5000)
    target = (table["b"] > 0).map({True: "yes", False: "no"})
    task = data.tabular(table, target, "b")
    assert task.X_train.shape == (3000, 4)
    np.testing.assert_array_equal(task.y_test, (table["b"][4000:] > 0).astype(int))
    assert task.protected == (3,)


def test_hull_is_two_sigma_or_the_range_if_wider():
    X = np.array([[-1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [1.0, 100.0]])
    lower, upper = data.hull(X)
    np.testing.assert_allclose(lower, [-2.0, 25 - 2 * X[:, 1].std()])
    np.testing.assert_allclose(upper, [2.0, 25 + 2 * X[:, 1].std()])
    wide = np.r_[np.zeros(99), 50.0][:, None]
    assert data.hull(wide)[1] == 50.0


def test_balanced_draw_with_replacement():
    y = np.repeat([0, 1, 2], [3, 50, 7])
    rows = data.draw_balanced(y, 20, np.random.default_rng(0))
    assert np.bincount(y[rows]).tolist() == [20, 20, 20]


def test_constraints_fix_columns_and_know_no_groups():
    task = data.load("LS")
    constraints = task.constraints(fixed=(0,))
    assert not constraints.can_increase[0]
    assert constraints.can_increase[1]
    assert constraints.groups == ()


@pytest.mark.slow
@pytest.mark.skipif("SKCT_DATA" not in os.environ, reason="needs SKCT_DATA")
@pytest.mark.parametrize(
    ("name", "shape", "n_test", "protected"),
    [
        ("Adult", (25_048, 108), 6_513, (0,)),
        ("CH", (15_504, 8), 4_126, (1,)),
        ("Cred", (9_617, 33), 2_655, (14,)),
        ("GMSC", (12_371, 10), 3_343, (1,)),
        ("MNIST", (10_000, 784), 10_000, (*range(140), *range(644, 784))),
    ],
)
def test_real_sets_have_the_rows_of_the_paper(name, shape, n_test, protected):
    task = data.load(name)
    assert task.X_train.shape == shape
    assert len(task.X_test) == n_test
    assert task.protected == protected
    assert (task.X_train >= task.lower - 1e-4).all()
    assert (task.X_train <= task.upper + 1e-4).all()


def test_evaluation_mixes_the_number_of_adult_into_its_category():
    X = np.array([[0.3, 1.0, 0.0, -0.5], [0.3, 0.0, 1.0, 1.5]], dtype=np.float32)
    task = data.Task(X, None, X, None, X[0], X[0], mixed=(1, 2, 3))
    np.testing.assert_allclose(task.snap(X), [[0.3, 1, 0, 0], [0.3, 0, 0, 1]])
    assert task._replace(mixed=()).snap(X) is X
    table = small_table(5000).rename(columns={"a": "job_num"})
    assert data.tabular(table, table["b"] > 0, "b", mixed="job").mixed == (0, 1, 2)


# ----------------------------------------------------------------- reference semantics


def test_immature_pair_costs_its_ridge():
    neighbour, counterfactual = torch.tensor([[3.0, 2.0], [-1.0, -5.0]])
    target, mature = torch.zeros(2).long(), torch.tensor([True, False])
    pairs = Pairs(*[None] * 4, target, None, mature)
    outputs = Outputs(counterfactual[:, None], neighbour[:, None], None, None)
    divergence, ridge = reference.ReferenceObjective().terms(pairs, outputs)
    assert divergence.tolist() == [-4.0, 0.0]
    assert ridge.tolist() == [10.0, 8.0]


def test_label_of_the_adversarial_term():
    truth, predicted = torch.tensor([0, 1]), torch.tensor([1, 1])
    labels = {
        version: reference.ReferenceNet(version=version)
        .objective.adversarial_target(truth, predicted)
        .tolist()
        for version in ("V1", "V2")
    }
    assert labels == {"V1": [1, 1], "V2": [0, 1]}


def test_first_weights_are_drawn_as_flux_does():
    net = reference.ReferenceNet()
    net._infer_shapes(np.zeros((4, 2), dtype="float32"), np.array([0, 1, 0, 1]))
    first, _, last = net.initialize().module_
    assert not first.bias.any()
    assert not last.bias.any()
    assert 0.35 < first.weight.abs().max() < (6 / (2 + 32)) ** 0.5


def test_weights_of_the_models():
    settings = data.SETTINGS["Circ"]
    assert set(reference.weights("BL", settings).values()) == {0.0}
    assert reference.weights("CT", settings)["lambda_reg"] == 0.5
    whole = reference.weights("CT", settings)
    assert reference.weights("CT-constrained", settings) == whole
    bare = reference.weights(reference.BARE, settings)
    assert bare == {"lambda_div": 0.5, "lambda_adv": 0.0, "lambda_reg": 0.0}
    assert not reference.depends_on_version(reference.BARE, settings)
    assert reference.depends_on_version("CT-constrained", settings)


def test_interrupted_training_is_no_result(monkeypatch):
    monkeypatch.setattr(reference.ReferenceNet, "fit_loop", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reference.train(data.load("LS"), data.SETTINGS["LS"], "BL", "any", 0, epochs=2)


def interrupted(*args, **kwargs):
    raise KeyboardInterrupt


# ----------------------------------------------------------------- protocol


def linear_task():
    """Two clouds on a line, and the model that tells them apart by the first column."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    task = data.Task(X, y, X, y, *data.hull(X), protected=(0,), one_hot=(2,))
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-2.0, 0.0, -1.0], [2.0, 0.0, 1.0]]))
        model.bias.zero_()
    return model, task


def test_factuals_are_balanced_and_targets_differ():
    model, task = linear_task()
    rows, target = protocol.draw_factuals(model, task, 100, np.random.default_rng(0))
    predicted = protocol.predict(model, task.X_test[rows])
    assert np.bincount(predicted).tolist() == [50, 50]
    assert (target != predicted).all()


def test_recourse_keeps_fixed_columns():
    model, task = linear_task()
    free = protocol.recourse(model, task, threshold=0.5, constrained=False)
    bound = protocol.recourse(model, task, threshold=0.5, constrained=True)
    assert free["validity"] == 1.0
    assert len(free["by_weight"]) == len(protocol.ENERGY_WEIGHTS)
    # The age and the category are all that the model looks at.
    assert bound["validity"] == 0.0
    assert bound["ip"] is None
    assert bound["by_weight"][0]["cost"] is None


def test_attention_to_protected_columns():
    model, task = linear_task()
    found = protocol.attention(model, task, n_rows=200, n_rounds=3)
    assert found["share"] > 0.5
    assert len(found["rounds"]["range"]) == 3


# ----------------------------------------------------------------- the cells


def stub(cell, folder, quick=False):
    """A cell that is finished at once."""
    cells.write_atomically(cell.path(folder), json.dumps(cell._asdict()).encode())
    return cell, 0.0


def stops_at(n):
    """A `run_cell` during which Ctrl-C comes when `n` cells are done."""
    done = []

    def run_cell(cell, folder, quick=False):
        if len(done) == n:
            raise KeyboardInterrupt
        done.append(cell)
        return stub(cell, folder, quick)

    return run_cell


def test_cells_share_what_does_not_depend_on_the_version():
    every = cells.cells_of(["Circ", "CH"], 2, reference.MODELS)
    assert len(every) == len(set(every)) == 2 * (8 + 8)
    assert every[0] == ("Circ", 0, "BL", "any")
    assert [c.seed for c in every] == [0] * 16 + [1] * 16


def test_a_stopped_run_goes_on(tmp_path, monkeypatch, capsys):
    line = ["--data", "Circ", "--seeds", "2", "--out", str(tmp_path)]
    monkeypatch.setattr(reproduce, "run_cell", stops_at(3))
    assert reproduce.main(line) == 130
    first = {file: file.stat().st_mtime_ns for file in tmp_path.iterdir()}
    assert len(first) == 3
    assert "the same command goes on" in capsys.readouterr().out
    monkeypatch.setattr(reproduce, "run_cell", stub)
    assert reproduce.main(line) == 0
    assert len(list(tmp_path.iterdir())) == 16
    assert all(file.stat().st_mtime_ns == time for file, time in first.items())
    assert "16 cells, 3 of them finished" in capsys.readouterr().out


def test_an_error_ends_one_cell_only(tmp_path, monkeypatch, capsys):
    def run_cell(cell, folder, quick=False):
        if cell.model == "CT":
            raise ValueError("no data")
        return stub(cell, folder, quick)

    monkeypatch.setattr(reproduce, "run_cell", run_cell)
    line = ["--data", "CH", "--seeds", "1", "--out", str(tmp_path)]
    assert reproduce.main(line) == 1
    assert len(list(tmp_path.iterdir())) == 6
    assert "no data" in capsys.readouterr().out


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "cell.json"
    with pytest.raises(TypeError):
        cells.write_atomically(path, "not bytes")
    assert list(tmp_path.iterdir()) == []


def test_peak_of_memory_is_plausible():
    cells.forget_peak()
    assert 50 < cells.peak_megabytes() < 100_000


# ----------------------------------------------------------------- the reduced case


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Two synthetic sets, one seed, few epochs, through the command line."""
    folder = tmp_path_factory.mktemp("results")
    models = ["BL", "CT", "CT-constrained"]
    line = ["--data", "OL", "Circ", "--seeds", "1", "--versions", "V2", "--quick"]
    line += ["--models", *models, "--out", str(folder)]
    assert reproduce.main(line) == 0
    return results.Results(folder / "quick")


def test_reduced_case_is_complete(finished):
    assert len(finished.cells) == 6
    assert finished.data == ["OL", "Circ"]
    for cell in finished.cells:
        assert cell["memory_mb"] > 50
        assert cell["seconds"]["train"] > 0
        assert len(cell["history"]["epoch"]) == cell["settings"]["epochs"]


def test_weights_are_kept(finished):
    cell = cells.Cell("Circ", 0, "CT", "V2")
    task = data.load("Circ")
    module = cell.module(finished.folder, task)
    (written,) = [
        c for c in finished.cells if c["data"] == "Circ" and c["model"] == "CT"
    ]
    assert protocol.accuracy(module, task) == written["accuracy"]


def change(finished, name, model, score):
    """Value of a model minus that of BL."""
    pair = finished.pair(name, model, "V2", score).iloc[0]
    return pair["ours"] - pair["base"]


def test_circles_training_makes_answers_plausible_cheap_and_valid(finished):
    assert finished.reduction("Circ", "CT", "V2", "free ip")[0] > 30
    assert finished.reduction("Circ", "CT", "V2", "free mmd_5.0")[0] > 0
    assert finished.reduction("Circ", "CT", "V2", "free cost")[0] > 20
    assert change(finished, "Circ", "CT", "free validity") > 0.2


def test_circles_recourse_with_a_protected_column(finished):
    assert finished.reduction("Circ", "CT-constrained", "V2", "bound cost")[0] > 20
    assert change(finished, "Circ", "CT-constrained", "bound validity") > 0
    assert change(finished, "Circ", "CT-constrained", "sensitivity range") < 0


def test_overlap_defeats_plausibility_but_recourse_is_cheaper(finished):
    """As in the paper: CT loses IP* and validity on OL, and gains in cost."""
    assert abs(finished.reduction("OL", "CT", "V2", "free ip")[0]) < 10
    assert finished.reduction("OL", "CT", "V2", "free mmd_5.0")[0] < 0
    assert finished.reduction("OL", "CT", "V2", "free cost")[0] > 0
    assert change(finished, "OL", "CT", "free validity") < 0
    assert change(finished, "OL", "CT-constrained", "bound validity") < 0


def test_training_costs_little_accuracy(finished):
    for name in finished.data:
        assert abs(change(finished, name, "CT", "accuracy")) < 0.02


def test_attacks_cost_accuracy(finished):
    scores = results.robust_scores(finished, "V2")
    assert set(scores["model"]) == {"BL", "CT"}
    curves = scores.groupby(["data", "model", "attack"])["accuracy"]
    assert (curves.first() >= curves.last()).all()


def test_report_stands_ours_beside_the_papers(finished, tmp_path, capsys):
    folder = finished.folder
    assert report.main([str(folder), "--figures", str(tmp_path / "paper")]) == 0
    text = capsys.readouterr().out
    assert "| 56.3 |" in text
    assert "| 58.9 |" in text
    assert "CPU minutes for the paper" in text
    pictures = {file.name for file in (tmp_path / "paper").iterdir()}
    assert {"fig-5-v2.png", "fig-6-ip-v2.png"} <= pictures
    assert all(f"(paper/{name})" in text for name in pictures)


def test_report_needs_results(tmp_path):
    with pytest.raises(FileNotFoundError, match="run reproduce"):
        results.Results(tmp_path)


def test_significance_is_over_seeds(tmp_path):
    for seed, (ours, base) in enumerate([(1.0, 2.0), (1.1, 2.0), (0.9, 2.1)]):
        for model, ip in (("CT", ours), ("BL", base)):
            cell = cells.Cell("LS", seed, model, "any")
            scores = {"free": {"ip": ip}, "history": {}}
            content = json.dumps(cell._asdict() | scores).encode()
            cells.write_atomically(cell.path(tmp_path), content)
    found = results.Results(tmp_path)
    assert found.p_value("LS", "CT", "V2", "free ip") < 0.05
    assert found.reduction("LS", "CT", "V2", "free ip")[0] == 50.0
    assert found.p_value("LS", "AR", "V2", "free ip") is None


def test_published_numbers_name_all_sets():
    tables = [published.ACCURACY, published.ABLATION, published.ANCHORS]
    for both in ("REDUCTION", "FREE_COST", "VALIDITY", "SENSITIVITY"):
        tables += getattr(published, both).values()
    assert all(tuple(sorted(t)) == tuple(sorted(data.NAMES)) for t in tables)
    average = np.mean([row[0] for row in published.REDUCTION["V2"].values()])
    assert average == pytest.approx(15.64, abs=0.01)
    assert np.mean(list(published.FREE_COST["V1"].values())) == pytest.approx(
        2.75, abs=0.01
    )
