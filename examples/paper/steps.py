"""What the paper's protocol measures: the counterfactuals, or the size of its steps?

    python examples/paper/steps.py --data all --seeds 5 --out results/steps.jsonl

A step of the protocol is 0.1 times the gradient, and a search stops after the step that
crosses the threshold: whoever has larger logits takes longer steps and lands deeper in
the target class. So the table stands CT beside models that have seen no counterfactual:

- BL with its logits divided by 2, 4 and 8, which predicts the same;
- one-step: adversarial training with a single signed step;

and judges all models once more with every counterfactual *cut*: taken back along its
last step to where the target probability is what was asked for. Every line of the
output file is one trained net; what is there is kept.
"""

import argparse
import json
import sys
import time
from copy import copy
from pathlib import Path

import default
import numpy as np
import pandas as pd
import protocol
import reference
import torch
from baselines import RADIUS, PGDNet, train_net
from data import MORE, NAMES, SETTINGS, load
from jobs import run_all
from reference import EPOCHS, LEARNING_RATE
from tables import markdown, spread
from torch import nn

from skct.solvers.search import trace

MODELS = ("BL", "one-step", "CT", "CT-default")
DIVISORS = (2, 4, 8)
CONFIDENCES = (0.5, 0.8)
SCORES = ("ip", "mmd_5.0", "cost")
QUICK = {"epochs": 5, "lr": 0.01}


class OneStepNet(PGDNet):
    """Net that trains on each batch twice: as it is, and after one signed step."""

    def train_step_single(self, batch, **fit_params):
        """Gradient of a batch and of the same under attack, half of the loss each."""
        X, y = batch
        both = torch.cat([X, self.attack(X, y)]), torch.cat([y, y])
        # Not that of PGDNet, which attacks the batch once more.
        return super(PGDNet, self).train_step_single(both, **fit_params)


class Divided(nn.Module):
    """Module whose logits are divided: the same predictions, less sure."""

    def __init__(self, module, divisor):
        super().__init__()
        self.module, self.divisor = module, divisor

    def forward(self, x):
        """Logits of some rows."""
        return self.module(x) / self.divisor


def train(model, task, settings, seed, *, epochs, lr):
    """Module of one model, in eval mode."""
    length = {"epochs": epochs, "lr": lr}
    if model == "one-step":
        net = OneStepNet(n_steps=1, step_size=RADIUS)
        return train_net(net, task, settings, seed, **length)[0].eval()
    if model == "CT-default":
        return default.train(task, settings, seed, **length).module_.eval()
    net, _ = reference.train(task, settings, model, "V2", seed, **length)
    return net.module_.eval()


def evaluate(module, task, n_rows):
    """Scores by the protocol of the paper, and with the counterfactuals cut."""
    free = protocol.recourse(module, task, **protocol.PLAUSIBLE, n_rows=n_rows)
    bound = protocol.recourse(module, task, **protocol.BOUND, n_rows=n_rows)
    scores = {
        "accuracy": protocol.accuracy(module, task),
        "validity": free["validity"],
        **{score: free[score] for score in SCORES[:2]},
        "cost": bound["cost"],
    }
    for confidence, found in cut(module, task, n_rows).items():
        scores |= {f"{name} at {confidence}": value for name, value in found.items()}
    return scores


def cut(module, task, n_rows):
    """Scores of counterfactuals that end where each confidence is met."""
    rng = np.random.default_rng(0)
    rows, target = protocol.draw_factuals(module, task, n_rows, rng)
    target = torch.as_tensor(target)
    states = trace(
        module,
        torch.as_tensor(task.snap(task.X_test[rows])),
        target,
        copy(protocol.ECCCO).set_params(threshold=protocol.PLAUSIBLE["threshold"]),
        task.constraints((*task.one_hot, *task.mixed)),
    )
    told = torch.stack([told_by(module, state, target) for state in states])
    return {
        confidence: judge(module, task, rows, states, told, target, confidence)
        for confidence in CONFIDENCES
    }


def told_by(module, x, target):
    """Target probability of some rows."""
    with torch.no_grad():
        return module(x).softmax(1).gather(1, target[:, None]).squeeze(1)


def judge(module, task, rows, states, told, target, confidence):
    """Mean scores of the rows that meet a confidence, and how many those are."""
    met = told >= confidence
    reached = met.any(0)
    step = met.int().argmax(0).clamp_min(1)  # the first that meets it
    each = torch.arange(len(target))
    x = bisect(
        module, states[step - 1, each], states[step, each], target, confidence
    ).numpy()
    X, goal, kept = task.X_test[rows], target.numpy(), reached.numpy()
    predicted = protocol.predict(module, X)
    weight = kept / np.bincount(predicted)[predicted]  # every class counts alike
    return {
        "ip": protocol.average(protocol.distances(task, x, goal), weight),
        "mmd_5.0": protocol.divergence(task, x[kept], goal[kept], 5.0),
        "cost": protocol.average(np.abs(x - X).sum(1), weight),
        "reached": float(kept.mean()),
    }


def bisect(module, low, high, target, confidence, n_halvings=20):
    """Where on the line from `low` to `high` the confidence is met."""
    for _ in range(n_halvings):
        middle = (low + high) / 2
        met = (told_by(module, middle, target) >= confidence)[:, None]
        low, high = torch.where(met, low, middle), torch.where(met, middle, high)
    return high


def run_cell(cell, path, quick=False):
    """Train and evaluate one model, and write a line for each divisor of its logits."""
    torch.set_num_threads(1)  # the same result on any machine, with any --jobs
    started = time.process_time()
    name, seed, model = cell
    length = QUICK if quick else {"epochs": EPOCHS, "lr": LEARNING_RATE}
    n_rows = 100 if quick else protocol.N_ROWS
    task = load(name)
    module = train(model, task, SETTINGS[name], seed, **length)
    lines = {model: evaluate(module, task, n_rows)}
    for divisor in DIVISORS if model == "BL" else ():
        divided = Divided(module, divisor).eval()
        lines[f"BL / {divisor}"] = evaluate(divided, task, n_rows)
    rows = [
        {"data": name, "seed": seed, "trained": model, "model": who, **scores}
        for who, scores in lines.items()
    ]
    with path.open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    return cell, time.process_time() - started


def finished(path):
    """Lines of the file; none if it is not there."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def table(runs):
    """Markdown: reductions against BL of the same seed, in %."""
    runs = (
        runs.drop(columns="trained").set_index(["data", "model", "seed"]).sort_index()
    )
    groups = ("", *(f" at {confidence}" for confidence in CONFIDENCES))
    rows = []
    for data, model in dict.fromkeys(index[:2] for index in runs.index):
        ours, base = runs.loc[data, model], runs.loc[data, "BL"]
        base = base.loc[ours.index]
        gains = [
            spread(100 * (1 - ours[score + group] / base[score + group]), 0)
            for group in groups
            for score in SCORES
        ]
        points = spread(100 * (ours["accuracy"] - base["accuracy"]), 1)
        rows.append([data, model, points, spread(ours["validity"]), *gains])
    header = ["data", "model", "accuracy, points", "validity", "IP", "IP*", "cost"]
    for group in groups[1:]:
        header += [f"{score}, cut{group}" for score in ("IP", "IP*", "cost")]
    return markdown(header, rows)


def of_results(results):
    """Reductions against BL in %, by the protocol and with every counterfactual cut.

    Cut: taken back along its last step to a target probability of 0.5, the boundary, or
    0.8, over the rows that get there. "nan": none does. ECCCo, energy weight 1; the
    protocol has its five weights, and a net without protected columns for the cost.
    BL / 4: logits of BL divided by 4. One-step: adversarial training with one signed
    step. CT-default: the default objective of the package.
    """
    runs = finished(results.folder / "steps.jsonl")
    return table(pd.DataFrame(runs)) if runs else "-\n"


def main(arguments=None):
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", nargs="+", default=["all"], choices=["all", *NAMES, *MORE]
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("results/steps.jsonl"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--quick", action="store_true", help="5 epochs, 100 rows")
    options = parser.parse_args(arguments)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    names = NAMES if options.data == ["all"] else options.data
    cells = [
        (name, seed, model)
        for seed in range(options.seeds)
        for name in names
        for model in MODELS
    ]
    done = {(run["data"], run["seed"], run["trained"]) for run in finished(options.out)}
    missing = [cell for cell in cells if cell not in done]
    code = run_all(run_cell, missing, options.out, options.quick, jobs=options.jobs)
    print(table(pd.DataFrame(finished(options.out))))
    return code


if __name__ == "__main__":
    sys.exit(main())
