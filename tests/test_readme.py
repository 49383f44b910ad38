"""The README's code runs as written."""

import re
from pathlib import Path

import pytest

import skct

README = (Path(__file__).parent.parent / "README.md").read_text()
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


def test_the_generator_of_your_own_runs():
    (block,) = [b for b in BLOCKS if "class Sparse" in b]
    exec(block, {**vars(skct)})


def test_every_public_name_can_be_imported():
    for name in skct.__all__:
        assert getattr(skct, name) is not None


@pytest.mark.parametrize("word", ["pip install", "pytest", "plot_01_quickstart.py"])
def test_the_two_commands_are_there(word):
    assert word in README
