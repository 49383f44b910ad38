"""What each part of ``objective="margin"`` is good for: one at a time is left out.

    python examples/paper/ablations.py --data CH GMSC Cred Moon HELOC --seeds 5

A sixth of the training rows, at most 3,000, is held out; test rows are not looked at.
The plain network is trained on the same rows. Every line of the output file is one
trained net; what is there is kept. At the end it prints means and standard deviations
over seeds as tables, one for each measure.
"""

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest.mock import patch

import margin
import numpy as np
import protocol
import reference
import torch
from data import MORE, NAMES, SETTINGS, load
from sklearn.model_selection import train_test_split

from skct import MarginObjective
from skct.losses import log_odds
from skct.robustness import robust_accuracy
from skct.training.margin import LOW, slope_penalty
from skct.training.pairs import draw_neighbours

N_ROWS = 400  # factuals
EPOCHS = 100
MEASURES = {
    "accuracy, points more than plain": lambda s, p: (
        100 * (s["accuracy"] - p["accuracy"])
    ),
    "implausibility, less by %": lambda s, p: 100 * (1 - s["ip"] / p["ip"]),
    "MMD, less by %": lambda s, p: 100 * (1 - s["mmd"] / p["mmd"]),
    "cost, protected columns frozen, less by %": lambda s, p: (
        100 * (1 - s["cost"] / p["cost"])
    ),
    "validity": lambda s, p: 100 * s["validity"],
    "accuracy under PGD 0.1": lambda s, p: 100 * s["pgd"],
}
WHERE = "skct.training.margin"
TERMS = MarginObjective.terms


class Change(NamedTuple):
    """Something that stands in for a function of the package, or other parameters."""

    where: str = ""
    what: Any = None
    params: Any = MappingProxyType({})
    lr: float = 3e-3


def in_full(x, *_):
    return torch.ones(len(x))


def any_neighbour(factual, target, X, y, rng):
    return draw_neighbours(target, y, rng)


def whoever_it_is(objective, pairs, outputs):
    """All neighbours pass for recognised: they are asked about first."""
    odds = [lambda logits, target: torch.ones(len(logits)), log_odds]
    with patch(f"{WHERE}.log_odds", lambda *given: odds.pop(0)(*given)):
        return TERMS(objective, pairs, outputs)


def no_lower_end(gradient, fixed, off_support):
    length = gradient.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return slope_penalty(gradient * (LOW / length).clamp_min(1), fixed, off_support)


def no_upper_end(gradient, fixed, off_support):
    length = gradient.norm(dim=1, keepdim=True).clamp_min(1e-6)
    return slope_penalty(gradient * (LOW / length).clamp_max(1), fixed, off_support)


def everywhere(gradient, fixed, off_support):
    return slope_penalty(gradient, fixed, 0 * off_support)


def lower_everywhere(gradient, fixed, off_support):
    with patch(f"{WHERE}.HIGH", 4.0):
        return slope_penalty(gradient, fixed, 0 * off_support)


def nothing(gradient, direction, short):
    return 0 * gradient.sum(1)


CHANGES = {
    "default": Change(),
    "all pairs count alike": Change(f"{WHERE}.atypicality", in_full),
    "neighbours taken for another class count, too": Change(
        f"{WHERE}.MarginObjective.terms", whoever_it_is
    ),
    "any row of the class as neighbour": Change(
        f"{WHERE}.draw_near_neighbours", any_neighbour
    ),
    "searches to the threshold": Change(f"{WHERE}.threshold_with_margin", lambda p: p),
    "nothing where searches fell short": Change(f"{WHERE}.stall_penalty", nothing),
    "no lower end of the band": Change(f"{WHERE}.slope_penalty", no_lower_end),
    "no upper end": Change(f"{WHERE}.slope_penalty", no_upper_end),
    "upper end 6 everywhere": Change(f"{WHERE}.slope_penalty", everywhere),
    "upper end 4 everywhere": Change(f"{WHERE}.slope_penalty", lower_everywhere),
    "lambda_reg=0: no slopes": Change(params={"lambda_reg": 0.0}),
    "lambda_div=0: no divergence": Change(params={"lambda_div": 0.0}),
    "lambda_adv=0: no adversarial loss": Change(params={"lambda_adv": 0.0}),
    "lr=1e-3": Change(lr=1e-3),
    "epsilon=0.3": Change(params={"objective": MarginObjective(epsilon=0.3)}),
}


def validation(name):
    """A data set with a part of its training rows in place of the test rows."""
    task = load(name)
    size = min(3000, len(task.X_train) // 6)
    X, X_held, y, y_held = train_test_split(
        task.X_train,
        task.y_train,
        test_size=size,
        stratify=task.y_train,
        random_state=7,
    )
    return task._replace(X_train=X, y_train=y, X_test=X_held, y_test=y_held)


def trained(task, name, seed, change, epochs):
    """Net of that objective but for one change."""
    with ExitStack() as stack:
        if change.where:
            stack.enter_context(patch(change.where, change.what))
        net, _ = margin.train(
            task,
            SETTINGS[name],
            "CT-margin",
            seed,
            epochs=epochs,
            lr=change.lr / 3,
            **change.params,
        )
    return net.module_.eval()


def scores(module, task):
    """What the tables of the paper have, on the rows that were held out."""
    free = protocol.recourse(module, task, **protocol.PLAUSIBLE, n_rows=N_ROWS)
    bound = protocol.recourse(module, task, **protocol.BOUND, n_rows=N_ROWS)
    X, y = task.X_test[:1000], task.y_test[:1000]
    return {
        "accuracy": protocol.accuracy(module, task),
        "ip": free["ip"],
        "mmd": free["mmd_5.0"],
        "validity": free["validity"],
        "cost": bound["cost"],
        "pgd": float(
            robust_accuracy(
                module, X, y, epsilons=(0.1,), attack="pgd", random_state=0
            )[0]
        ),
    }


def run(names, seeds, path, epochs=EPOCHS):
    """Train what is missing in the file, plain networks first."""
    done = {tuple(row[:3]) for row in finished(path)}
    for name in names:
        task = validation(name)
        for seed in range(seeds):
            for change in ("plain", *CHANGES):
                if (change, name, seed) in done:
                    continue
                if change == "plain":
                    net, _ = reference.train(task, SETTINGS[name], "BL", "any", seed)
                    module = net.module_.eval()
                else:
                    module = trained(task, name, seed, CHANGES[change], epochs)
                row = change, name, seed, scores(module, task)
                with path.open("a") as file:
                    print(json.dumps(row), file=file)
                print(*row[:3])


def finished(path):
    """Rows of the file."""
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines]


def tables(rows):
    """Markdown, one table for each measure: changes by data sets."""
    found = {(change, name, seed): s for change, name, seed, s in rows}
    names = list(dict.fromkeys(name for _, name, _ in found))
    for title, measure in MEASURES.items():
        yield f"| {title} | " + " | ".join(names) + " |"
        yield "|---" * (len(names) + 1) + "|"
        for change in CHANGES:
            cells = []
            for name in names:
                values = [
                    measure(s, found["plain", name, seed])
                    for (c, n, seed), s in found.items()
                    if (c, n) == (change, name)
                ]
                spread = np.std(values, ddof=1) if len(values) > 1 else np.nan
                cells.append(f"{np.mean(values):.1f} +- {spread:.1f}" if values else "")
            yield f"| {change} | " + " | ".join(cells) + " |"
        yield ""


def main(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=[], choices=[*NAMES, *MORE])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("ablations.jsonl"))
    options = parser.parse_args(arguments)
    run(options.data, options.seeds, options.out)
    print(*tables(finished(options.out)), sep="\n")


if __name__ == "__main__":
    main()
