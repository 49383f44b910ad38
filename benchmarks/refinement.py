"""What a counterfactual costs and how plausible it is, by the plausibility weight.

    SKCT_DATA=... python benchmarks/refinement.py docs/performance

On the two kept tasks (see `tasks.py`), for the plain network given there and for one of
the same shape by counterfactual training (default settings): counterfactuals as the
search leaves them, and refined with weights from 0 to 5; beside them a plain gradient
loop and the nearest training row. Milliseconds are of the processor, for 1,000 rows, on
one thread.
"""

import argparse
import statistics
import time
import warnings
from pathlib import Path

import numpy as np
import tasks
import torch
from race import show
from searching import loop

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier
from skct.metrics import cost, implausibility

WEIGHTS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.025, 1.1, 1.25, 1.5, 2.0, 3.0, 5.0)


def networks(task):
    """Name -> model to explain."""
    clf = CounterfactualTrainingClassifier(
        preprocessor=None, objective="paper", early_stopping=False, random_state=0
    )
    clf.set_params(net__module__hidden_layer_sizes=(32, 32))
    return {"plain": task.module(), "CT": clf.fit(task.X_train, task.y_train).module_}


def targets(task, module):
    """The targets given, or the other class where the network is already there."""
    with torch.no_grad():
        logits = module(torch.tensor(task.X, dtype=torch.float32))
    return 1 - logits.argmax(1).numpy()


def evaluate(task, target, found, valid):
    """Figures of the counterfactuals of one way to find them."""
    far = np.empty(len(found))
    for k in (0, 1):
        rows, seen = target == k, task.X_train[task.y_train == k]
        far[rows] = implausibility(found[rows], seen)
    return {
        "valid": float(valid.mean()),
        "cost": float(cost(task.X, found)[valid].mean()),
        "changed": float((found != task.X)[valid].sum(1).mean()),
        "implausibility": float(far[valid].mean()),
    }


def explained(task, module, target, **options):
    """Figures of our counterfactuals, and milliseconds."""
    explainer = CounterfactualExplainer(module, domain=None, confidence=0.5, **options)
    explainer.fit(task.X_train, task.y_train)
    seconds = []
    for _ in range(6):
        started = time.process_time()
        explanation = explainer.explain(task.X, target=target)
        seconds.append(time.process_time() - started)
    figures = evaluate(
        task, target, np.asarray(explanation.counterfactual), explanation.valid
    )
    return figures | {"ms": 1000 * statistics.median(seconds[1:])}


def others(task, module, target):
    """A loop that one would write, and the nearest training row of that class."""
    X = torch.tensor(task.X, dtype=torch.float32)
    train = torch.tensor(task.X_train, dtype=torch.float32)
    with torch.no_grad():
        predicted = module(train).argmax(1).numpy()
    end = loop(module, X, torch.tensor(target), 0.02)
    with torch.no_grad():
        reached = module(end).argmax(1).numpy() == target
    yield "gradient loop, steps of 0.02", end.numpy().astype(float), reached
    nearest = np.empty_like(task.X)
    for k in (0, 1):
        seen = task.X_train[predicted == k]
        for i in np.flatnonzero(target == k):
            nearest[i] = seen[np.abs(seen - task.X[i]).sum(1).argmin()]
    yield "nearest training row", nearest, np.ones(len(target), dtype=bool)


def compare(name):
    """Rows of the table for one task."""
    task, rows = tasks.load(name), []
    for kind, module in networks(task).items():
        target = targets(task, module)
        given = {"task": name, "network": kind}
        for way, found, valid in others(task, module, target):
            rows.append(given | {"way": way, **evaluate(task, target, found, valid)})
        rough = explained(task, module, target, refine=False)
        rows.append(given | {"way": "refine=False", **rough})
        for weight in WEIGHTS:
            figures = explained(task, module, target, plausibility_weight=weight)
            rows.append(given | {"way": f"weight {weight:g}", **figures})
    return rows


def figure(rows, path):
    """Cost against implausibility, a panel for each task."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row["task"] for row in rows))
    fig, axes = plt.subplots(1, len(names), figsize=(11, 5), layout="constrained")
    for ax, name in zip(axes, names, strict=True):
        for kind, color in (("plain", "tab:blue"), ("CT", "tab:orange")):
            mine = [r for r in rows if (r["task"], r["network"]) == (name, kind)]
            line = [r for r in mine if r["way"].startswith("weight")]
            x, y = ([r[key] for r in line] for key in ("cost", "implausibility"))
            ax.plot(x, y, "o-", color=color, label=f"skct, {kind} network")
            for row in line if kind == "plain" else ():
                if row["way"].split()[1] in ("0", "0.5", "1.1", "1.5", "3", "5"):
                    at = row["cost"], row["implausibility"]
                    ax.annotate(row["way"][7:], at, (5, 4), textcoords="offset points")
            for marker, row in zip("x+D", mine, strict=False):
                at = row["cost"], row["implausibility"]
                ax.plot(*at, marker, color=color, label=f"{row['way']}, {kind}")
        ax.set(title=name, xlabel="mean L1 cost", ylabel="implausibility")
        ax.grid(visible=True, alpha=0.3)
    handles, labels = axes[-1].get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
    fig.suptitle("What plausibility costs; numbers are plausibility weights")
    path.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows = [row for name in ("moons", "tab10") for row in compare(name)]
    show(rows)
    figure(rows, options.folder / "tradeoff.png")


if __name__ == "__main__":
    main()
