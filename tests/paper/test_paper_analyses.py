"""What reviewers of the paper asked for, in `examples/paper`, on a reduced case."""

import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

FOLDER = Path(__file__).parents[2] / "examples" / "paper"
sys.path.insert(0, str(FOLDER))

import analyse  # noqa: E402
import analyses  # noqa: E402
import cells  # noqa: E402
import data  # noqa: E402
import protocol  # noqa: E402
import reproduce  # noqa: E402
import results  # noqa: E402
import tables  # noqa: E402
import tables_reviewers  # noqa: E402

from skct import ECCCoGenerator, GenericGenerator  # noqa: E402

# ----------------------------------------------------------------- more data sets


def test_more_sets_are_none_of_the_papers():
    assert data.MORE == ("HELOC", "COMPAS", "German")
    assert len(data.NAMES) == 9
    assert set(data.SETTINGS) == set(data.LOADERS) == {*data.NAMES, *data.MORE}


def test_codes_become_categories():
    table = pd.DataFrame({"a": [4, -8, 2, -7, 100], "b": [1, 2, 3, 4, 5]})
    found = data.spell_codes(table)
    assert found.columns.tolist() == ["a", "a_code", "b"]
    assert found["a"].tolist() == [4, 3, 2, 3, 100]  # the last row is a test row
    assert found["a_code"].tolist() == ["code 0", "code -8", "code 0", "code -7"] + [
        "code 0"
    ]


def test_command_line_knows_groups_of_sets(tmp_path, monkeypatch):
    done = []

    def run_cell(cell, folder, quick):
        done.append(cell.data)
        return cell, 0.0

    monkeypatch.setattr(reproduce, "run_cell", run_cell)
    line = ["--models", "BL", "--seeds", "1", "--out", str(tmp_path), "--data"]
    assert reproduce.main([*line, "more", "Circ", "German"]) == 0
    assert done == [*data.MORE, "Circ"]
    done.clear()
    assert reproduce.main([*line, "all"]) == 0
    assert tuple(done) == data.NAMES


@pytest.mark.slow
@pytest.mark.skipif("SKCT_DATA" not in os.environ, reason="needs SKCT_DATA")
@pytest.mark.parametrize(
    ("name", "shape", "n_test", "protected", "n_categories"),
    [
        ("HELOC", (6_896, 45), 1_975, (3,), 22),
        ("COMPAS", (4_771, 15), 1_443, (2,), 10),
        ("German", (700, 61), 200, (44,), 54),
    ],
)
def test_more_sets_have_their_rows(name, shape, n_test, protected, n_categories):
    task = data.load(name)
    assert task.X_train.shape == shape
    assert len(task.X_test) == n_test
    assert task.protected == protected
    assert len(task.one_hot) == n_categories
    assert data.SETTINGS[name].n_counterfactuals <= len(task.X_train)
    assert abs(task.y_train.mean() - task.y_test.mean()) < 0.05
    assert np.isfinite(task.X_train).all()
    again = data.load(name)
    np.testing.assert_array_equal(task.X_train, again.X_train)


@pytest.mark.slow
@pytest.mark.skipif("SKCT_DATA" not in os.environ, reason="needs SKCT_DATA")
def test_people_of_adult_are_the_test_rows():
    people, task = analyses.adults(), data.load("Adult")
    assert len(people) == len(task.X_test)
    age = task.X_test[:, task.protected[0]]
    assert np.corrcoef(people["age"], age)[0, 1] == pytest.approx(1.0)


# ----------------------------------------------------------------- one model


def linear_task(n=400, **columns):
    """Two clouds that the first of three columns tells apart, and the model for it."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    y = (X[:, 0] > 0).astype(np.int64)
    task = data.Task(X, y, X, y, *data.hull(X), **columns)
    model = torch.nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[-2.0, 0.0, 0.0], [2.0, 0.0, 0.0]]))
        model.bias.zero_()
    return model, task


@pytest.fixture
def trained(monkeypatch):
    """Makes what the parts look at, without a file."""

    def make(model, task, seed=0):
        monkeypatch.setitem(data.LOADERS, "made", lambda: task)
        cell = cells.Cell("made", seed, "BL", "any")
        found = analyses.Trained(cell, "", analyses.QUICK)
        found.module = model
        forget()
        return found

    yield make
    forget()


def forget():
    """Empty the caches: the next data may have the same name."""
    analyses.task_of.cache_clear()
    analyses.learn.cache_clear()


def test_recourse_takes_any_generators():
    model, task = linear_task()
    asked = {"threshold": 0.95, "constrained": False, "n_rows": 100}
    grid = protocol.recourse(model, task, **asked)
    single = protocol.recourse(model, task, **asked, generators=[analyses.ECCCO])
    assert single["by_weight"] == [grid["by_weight"][2]]
    assert single["ip"] == grid["by_weight"][2]["ip"]
    assert analyses.ECCCO.lambda_energy == 1.0


def test_search_leaves_the_generator_as_it_is():
    model, task = linear_task()
    generator = GenericGenerator(threshold=0.7)
    rows, target = np.flatnonzero(task.y_test == 0)[:3], np.ones(3, dtype=int)
    asked = {"threshold": 0.9, "constrained": False}
    found = protocol.find(model, task, rows, target, generator, **asked)
    assert generator.threshold == 0.7
    reached = model(found.counterfactual).softmax(1)[:, 1]
    assert (reached[found.mature] >= 0.9).all()


def test_generic_is_eccco_without_energy(trained):
    model, task = linear_task()
    bare = ECCCoGenerator(max_iter=50, lambda_cost=0.0, lambda_energy=0.0)
    asked = {**analyses.PLAUSIBLE, "n_rows": 100, "generators": [bare]}
    expected = protocol.recourse(model, task, **asked)
    found = analyses.generic(trained(model, task))
    assert found == {k: v for k, v in expected.items() if k != "by_weight"}


def test_revise_depends_on_the_seed_only(trained):
    model, task = linear_task(n=200)
    first, again, other = (
        analyses.revise(trained(model, task, seed)) for seed in (0, 0, 1)
    )
    assert first == again != other


def test_models_of_one_seed_share_the_autoencoder(trained):
    model, task = linear_task(n=200)
    found = trained(model, task)
    once = analyses.learn("made", 0, 2)
    analyses.revise(found)
    assert analyses.learn("made", 0, 2) is once
    assert analyses.learn("made", 0, 1) is not once


def test_noise_invalidates_as_the_normal_distribution_says(trained):
    """Valid by a hair: about half of the noise goes the wrong way."""
    model, task = linear_task()
    with torch.no_grad():
        model.weight.mul_(100)  # a sharp boundary: the step past it is large
    far = analyses.noise(trained(model, task))["kept"]
    with torch.no_grad():
        model.weight.div_(10_000)  # a flat one: the search stops where it crosses
    near = analyses.noise(trained(model, task))["kept"]
    assert far > 0.95
    assert 0.4 < near < 0.65


def test_length_scale_is_the_datas_and_not_the_models(trained):
    model, task = linear_task()
    other = torch.nn.Linear(3, 2)
    first, second = (analyses.plausibility(trained(m, task)) for m in (model, other))
    assert first["length_scale"] == second["length_scale"]
    assert first["nearest"] < 2


# ----------------------------------------------------------------- burden


def test_burden_counts_failures_at_the_worst_cost():
    price, valid = np.array([1.0, 3.0, 4.0, 99.0]), np.array([True, True, True, False])
    found = analyses.by_group("sex", price, valid, np.array(list("aabb")))
    assert found["sex a cost"] == found["sex a burden"] == 2.0
    assert (found["sex b cost"], found["sex b burden"]) == (4.0, 4.0)
    assert (found["sex b n"], found["sex b validity"]) == (2, 0.5)
    alone = analyses.by_group("sex", price, valid, np.array(list("aaab")))
    assert alone["sex b cost"] is None
    assert alone["sex b burden"] == 4.0
    json.dumps(alone, allow_nan=False)


def test_burden_looks_at_those_without_the_good_answer(monkeypatch, trained):
    """Groups are those of the raw rows; who has further to go has the larger burden."""
    model, task = linear_task(n=300, protected=(2,))
    far = task.X_test[:, 0] < -0.7
    sex = np.where(far, "far", "near")
    people = pd.DataFrame({"sex": sex, "race": "one"}, index=np.arange(300)[::-1])
    monkeypatch.setattr(analyses, "adults", lambda: people)
    found = analyses.burdens(trained(model, task))
    low = task.X_test[:, 0] < 0
    assert found["sex far n"] == far.sum()
    assert found["sex near n"] == (low & ~far).sum()
    assert found["race one n"] == low.sum()
    assert found["race one validity"] == 1.0
    distance = -task.X_test[low & ~far, 0].mean()
    assert distance < found["sex near cost"] < distance + 0.5
    assert found["sex far cost"] > found["sex near cost"] + 0.5


def test_burden_keeps_age_and_categories(monkeypatch, trained):
    model, task = linear_task(protected=(0,))
    people = pd.DataFrame({"sex": "x", "race": "y"}, index=range(400))
    monkeypatch.setattr(analyses, "adults", lambda: people)
    assert analyses.burdens(trained(model, task))["sex x validity"] == 0.0
    task = task._replace(protected=(), mixed=(0, 1))
    assert analyses.burdens(trained(model, task))["sex x validity"] == 0.0


# ----------------------------------------------------------------- the reduced case


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    """Two seeds of BL and CT, trained and analysed through the command lines."""
    folder = tmp_path_factory.mktemp("results")
    line = ["--data", "Circ", "--seeds", "2", "--versions", "V2", "--quick"]
    assert reproduce.main([*line, "--models", "BL", "CT", "--out", str(folder)]) == 0
    assert analyse.main([str(folder), "--quick"]) == 0
    return folder


@pytest.fixture
def copied(analysed, tmp_path):
    """A copy to change."""
    shutil.copytree(analysed, tmp_path / "copy")
    return tmp_path / "copy"


def read(folder, cell):
    """Analyses of a cell."""
    path = analyse.path_of(cells.Cell(*cell), folder / "quick")
    return json.loads(path.read_text())


FIRST, SECOND = ("Circ", 0, "CT", "V2"), ("Circ", 1, "CT", "V2")


def test_analyses_are_complete(analysed):
    files = sorted(file.name for file in (analysed / "quick" / "analyses").iterdir())
    assert files == [
        "Circ-0-BL-any.json",
        "Circ-0-CT-V2.json",
        "Circ-1-BL-any.json",
        "Circ-1-CT-V2.json",
    ]
    for cell in (FIRST, SECOND):
        content = read(analysed, cell)
        wanted = {*analyses.parts_of(cells.Cell(*cell)), "retraining"}
        assert set(content["parts"]) == wanted
        assert ("bound" in wanted) == (content["model"] == "CT")
        assert set(content["seconds"]) == set(content["parts"])
        assert content["parts"]["retraining"]["n_models"] == 1
        for part in content["parts"].values():
            assert all(value is not None for value in part.values())


def test_a_second_run_has_nothing_to_do(analysed, capsys):
    folder = analysed / "quick" / "analyses"
    before = {file: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert analyse.main([str(analysed), "--quick"]) == 0
    assert "4 cells, 4 of them analysed before" in capsys.readouterr().out
    assert before == {file: file.stat().st_mtime_ns for file in folder.iterdir()}


def test_what_is_missing_is_made_and_the_rest_is_kept(copied):
    path = analyse.path_of(cells.Cell(*FIRST), copied / "quick")
    before = json.loads(path.read_text())
    less = {**before, "parts": dict(before["parts"])}
    del less["parts"]["generic"]
    less["parts"]["noise"] = {"kept": "as it was"}
    path.write_text(json.dumps(less))
    assert analyse.main([str(copied), "--quick"]) == 0
    after = json.loads(path.read_text())["parts"]
    assert after["generic"] == before["parts"]["generic"]
    assert after["noise"] == {"kept": "as it was"}


def test_other_weights_and_other_seeds_are_noticed(copied):
    folder = copied / "quick"
    first, second = cells.Cell(*FIRST), cells.Cell(*SECOND)
    assert analyse.missing(first, folder) == []
    copy_cell(second, first._replace(seed=2), folder)
    assert analyse.missing(first, folder) == ["retraining"]
    copy_cell(second, first, folder)
    assert set(analyse.missing(first, folder)) == {
        *analyses.parts_of(first),
        "retraining",
    }


def copy_cell(source, goal, folder):
    """Give one cell the result and the weights of another."""
    for suffix in (".json", cells.WEIGHTS):
        paths = [cell.path(folder).with_suffix(suffix) for cell in (source, goal)]
        shutil.copy(*paths)


def test_a_model_is_stable_against_itself(copied):
    folder = copied / "quick"
    copy_cell(cells.Cell(*FIRST), cells.Cell(*SECOND), folder)
    assert analyse.main([str(copied), "--quick"]) == 0
    assert read(copied, FIRST)["parts"]["retraining"]["kept"] == 1.0


def test_one_seed_has_no_stability(copied):
    for file in (copied / "quick").rglob("Circ-1-*"):
        file.unlink()
    shutil.rmtree(copied / "quick" / "analyses")
    first = cells.Cell(*FIRST)
    assert analyse.missing(first, copied / "quick") == list(analyses.parts_of(first))


def test_adult_alone_has_a_burden():
    assert "burden" in analyses.parts_of(cells.Cell("Adult", 0, "BL", "any"))
    assert "burden" not in analyses.parts_of(cells.Cell("Circ", 0, "BL", "any"))


def test_only_whole_cells_of_the_asked_models_count(copied):
    folder = copied / "quick"
    copy_cell(
        cells.Cell(*FIRST), cells.Cell("Circ", 0, "CT-div-constrained", "any"), folder
    )
    cells.Cell(*SECOND).path(folder).unlink()
    found = analyses.finished(folder, ("CT", "CT-div-constrained"), ("V2",))
    assert found == [FIRST, ("Circ", 0, "CT-div-constrained", "any")]
    assert analyses.finished(folder, ("CT",), ("V1",)) == []


def test_a_stopped_run_says_how_to_go_on(copied, monkeypatch, capsys):
    def stopped(cell, folder, quick):
        raise KeyboardInterrupt

    shutil.rmtree(copied / "quick" / "analyses")
    monkeypatch.setattr(analyse, "analyse", stopped)
    assert analyse.main([str(copied), "--quick"]) == 130
    assert "the same command goes on" in capsys.readouterr().out


# ----------------------------------------------------------------- the tables


def test_tables_have_the_numbers(analysed):
    found = results.Results(analysed / "quick")
    parts = [read(analysed, cell)["parts"] for cell in (FIRST, SECOND)]
    expected = pd.Series([part["revise"]["ip"] for part in parts])
    table = tables_reviewers.generators(found, "V2")
    first = next(line for line in table.splitlines() if "| IP |" in line)
    assert first.split(" | ")[-1] == f"{tables.spread(expected)} |"
    ours = found.values("Circ", "BL", "V2", "free ip")
    assert first.split(" | ")[2] == tables.spread(ours)
    kept = pd.Series([part["retraining"]["kept"] for part in parts])
    assert tables.spread(kept) in tables_reviewers.stability(found, "V2")
    for table in (tables_reviewers.faithfulness, tables_reviewers.plausibility):
        assert len(table(found, "V2").splitlines()) == 3


def test_table_of_baselines_leaves_out_what_there_is_not(analysed):
    found = results.Results(analysed / "quick")
    lines = tables_reviewers.baselines(found, "V2").splitlines()
    assert [line.split(" | ")[1] for line in lines[2:]] == ["BL", "CT"]
    gain = tables.spread(found.reduction("Circ", "CT", "V2", "free ip"), 1)
    assert lines[3].split(" | ")[4] == gain
    assert lines[2].split(" | ")[4] == "-"


def test_circles_training_is_plausible_by_other_measures_too(analysed):
    found = results.Results(analysed / "quick")
    for score in ("plausibility nearest", "plausibility mmd", "faith box"):
        base, ours = (found.values("Circ", m, "V2", score) for m in ("BL", "CT"))
        assert (ours < base).all()


def test_table_of_burdens(tmp_path):
    parts = analyses.by_group(
        "sex", np.array([1.0, 2.0]), np.array([True, True]), [*"ab"]
    )
    for model, version in (("BL", "any"), ("CT", "V2")):
        cell = cells.Cell("Adult", 0, model, version)
        whole = {**cell._asdict(), "history": {}}
        cells.write_atomically(cell.path(tmp_path), json.dumps(whole).encode())
        content = json.dumps({"parts": {"burden": parts}}, default=int).encode()
        cells.write_atomically(analyse.path_of(cell, tmp_path), content)
    table = tables_reviewers.burden(results.Results(tmp_path), "V2")
    assert "| sex | b | CT | 1 | 2.00 | 1.00 | 2.00 |" in table
    assert len(table.splitlines()) == 2 + 4


def test_tables_of_a_set_without_published_numbers(analysed, tmp_path):
    for file in (analysed / "quick").glob("Circ-*.json"):
        content = file.read_text().replace('"Circ"', '"German"')
        (tmp_path / file.name.replace("Circ", "German")).write_text(content)
    found = results.Results(tmp_path)
    assert found.data == ["German"]
    for table in (tables.anchors, tables.reductions, tables.one_seed):
        assert "German" in table(found)
    for name in ("validity", "sensitivities", "accuracies", "attacks", "ablation"):
        line = getattr(tables, name)(found, "V2").splitlines()[2]
        assert line.startswith("| German |")
        assert "-" in line.split(" | ")
    assert "German" in tables.effort(found, "V2")
    for table in tables_reviewers.TABLES.values():  # nothing is analysed
        assert table(found, "V2").startswith("|")


def test_every_part_is_made_of_plain_numbers(trained):
    found = trained(*linear_task(n=200))
    for part in analyses.PARTS.values():
        json.dumps(part(found), allow_nan=False)
