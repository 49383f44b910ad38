"""What the paper's protocol measures: the script behind that part of docs/paper.md."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "paper"))

import data  # noqa: E402
import steps  # noqa: E402


def linear(slope):
    """Two classes, told apart by the first column: log-odds of `slope` a unit."""
    return lambda x: torch.stack([torch.zeros(len(x)), slope * x[:, 0]], 1)


@pytest.mark.parametrize("slope", [0.5, 1.0, 8.0])
@pytest.mark.parametrize("confidence", [0.5, 0.8])
def test_cut_counterfactuals_end_where_the_confidence_is_met(slope, confidence):
    low, high = torch.tensor([[-2.0, 1.0]]), torch.tensor([[20.0, 3.0]])
    target = torch.tensor([1])
    found = steps.bisect(linear(slope), low, high, target, confidence)
    wanted = np.log(confidence / (1 - confidence)) / slope
    assert found[0, 0].item() == pytest.approx(wanted, abs=1e-4)
    on_the_line = 1 + 2 * (found[0, 0].item() + 2) / 22
    assert found[0, 1].item() == pytest.approx(on_the_line, abs=1e-4)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """One data set, one seed, few epochs, through the command line."""
    path = tmp_path_factory.mktemp("steps") / "steps.jsonl"
    command = ["--data", "Circ", "--seeds", "1", "--quick", "--out", str(path)]
    assert steps.main(command) == 0
    size = path.stat().st_size
    assert steps.main(command) == 0  # nothing is missing
    assert path.stat().st_size == size
    return pd.DataFrame(steps.finished(path)).set_index("model")


def test_dividing_the_logits_changes_the_steps_and_not_the_model(lines):
    plain, divided = lines.loc["BL"], lines.loc["BL / 4"]
    assert divided["accuracy"] == plain["accuracy"]
    assert divided["ip"] < 0.8 * plain["ip"]
    assert divided["cost"] < 0.9 * plain["cost"]
    # Where the boundary is met, little of that is left for those who reach it.
    assert abs(divided["cost at 0.5"] / plain["cost at 0.5"] - 1) < 0.1


def test_the_table_has_every_model(lines):
    table = steps.table(lines.reset_index())
    for model in ("BL / 8", "one-step", "CT", "CT-default"):
        assert f"| Circ | {model} |" in table


def test_one_step_nets_learn_from_both_the_batch_and_its_attack():
    task = data.load("Moon")
    short = {"epochs": 2, "lr": 0.01}
    modules = [
        steps.train(model, task, data.SETTINGS["Moon"], 0, **short)
        for model in ("BL", "one-step", "one-step")
    ]
    plain, first, second = (
        torch.cat([p.flatten() for p in module.parameters()]) for module in modules
    )
    assert torch.equal(first, second)
    assert not torch.equal(plain, first)
