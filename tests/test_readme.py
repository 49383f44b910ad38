"""The code of README and docs runs as written."""

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import people
from sklearn.utils import Bunch

import skct
from skct import datasets
from skct.testing import check_generator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, flags=re.S)


def test_the_ten_lines_run(capsys):
    (block,) = [b for b in BLOCKS if "load_diabetes" in b]
    names = {}
    exec(block, names)
    answer = names["answer"]
    assert answer.valid.mean() > 0.9
    assert (answer.counterfactual["age"] == answer.factual["age"]).all()
    assert (answer.counterfactual["bmi"] <= answer.factual["bmi"]).all()
    assert answer.counterfactual["bp"].between(60, 140).all()
    assert "bmi" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:Missing values in")
def test_a_csv_becomes_a_report(tmp_path, monkeypatch):
    (block,) = [b for b in BLOCKS if "read_csv" in b]
    assert len(block.strip().splitlines()) <= 11
    X, y = people(200)
    table = X.assign(sex=np.where(np.arange(200) % 3, "f", "m"), decision=y)
    table.loc[table.index[::9], ["income", "job"]] = np.nan
    table.to_csv(tmp_path / "applicants.csv", index=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(skct.CounterfactualNet.__init__.__kwdefaults__, "lr", 0.01)
    monkeypatch.setitem(
        skct.CounterfactualNet.__init__.__kwdefaults__, "max_epochs", 20
    )
    names = {}
    exec(block, names)
    answer = names["answer"]
    assert answer.valid.mean() > 0.9
    assert answer.counterfactual["age"].equals(answer.factual["age"])
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert report.count("<article") == min(len(answer), 100)


def test_the_generator_of_your_own_runs():
    (block,) = [b for b in BLOCKS if "class Sparse" in b]
    names = {**vars(skct)}
    exec(block, names)
    check_generator(names["Sparse"](lambda_cost=0.01))


def test_the_documented_generator_keeps_the_protocol_in_less_than_25_lines():
    text = (ROOT / "docs" / "generators.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    assert len(block.strip().splitlines()) < 25
    names = {}
    exec(block, names)
    check_generator(names["Dense"]())


@pytest.mark.filterwarnings("ignore:.*hardly differ")
def test_several_answers_run(fitted, denied):
    (block,) = [b for b in BLOCKS if "n_alternatives" in b]
    block = block.replace('"slow"', '"approved"')
    exec(block, {"clf": fitted, "fast": denied[:2]})


def grid_search():
    (block,) = [b for b in BLOCKS if "GridSearchCV" in b]
    return block


@pytest.mark.slow
@pytest.mark.skipif("SKCT_DATA" not in os.environ, reason="needs SKCT_DATA")
def test_the_grid_search_runs_as_written():
    names = {}
    exec(grid_search(), names)
    search = names["search"]
    table = pd.DataFrame(search.cv_results_)
    assert len(table) == 8
    assert search.best_index_ == table["mean_test_neg_confidence_gap"].idxmax()
    assert np.isfinite(table.filter(like="mean_test").to_numpy()).all()
    assert table["mean_test_validity"].min() > 0.9


@pytest.mark.filterwarnings("ignore:.*have (no valid|a) counterfactual")
def test_the_grid_search_runs_on_a_small_table(monkeypatch):
    """As written, but for the data, one value of each list, and few epochs."""
    defaults = skct.CounterfactualNet.__init__.__kwdefaults__
    monkeypatch.setitem(defaults, "max_epochs", 5)
    X, y = people(60)
    X = X.rename(columns={"job": "personal_status_sex", "married": "foreign_worker"})
    X = X.astype({"personal_status_sex": "category", "foreign_worker": "category"})
    credit = Bunch(data=X, target=np.where(y == "denied", "bad", "good"))
    monkeypatch.setattr(datasets, "fetch_german_credit", lambda: credit)
    names = {}
    exec(re.sub(r"\[([\d.]+), [\d.]+\]", r"[\1]", grid_search()), names)
    assert names["search"].best_params_ == {
        "ct__lambda_div": 0.5,
        "ct__objective__epsilon": 0.1,
        "ct__net__lr": 0.001,
    }


def test_every_public_name_can_be_imported():
    for name in skct.__all__:
        assert getattr(skct, name) is not None


@pytest.mark.parametrize("word", ["pip install", "pytest", "plot_01_quickstart.py"])
def test_the_two_commands_are_there(word):
    assert word in README
