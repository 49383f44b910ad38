"""How the cost of a search and of an epoch grows, and its memory; as figures.

    python benchmarks/growth.py docs/performance

One property at a time, around 10,000 rows of 20 numbers, a network of 64 units, two
classes and at most 30 steps. `search` has steps so small that no row arrives: its cost
for the full number of steps. An epoch has batches of 128 and counterfactuals of 30 % of
the rows. Each point runs in a process of its own; memory is the peak above the start.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

BASE = {"rows": 10_000, "features": 20, "classes": 2, "steps": 30, "width": 64}
RANGES = {
    "rows": (1_000, 3_000, 10_000, 30_000, 100_000, 300_000),
    "features": (5, 10, 20, 50, 100, 200, 500),
    "classes": (2, 5, 10, 20, 50, 100),
    "steps": (5, 10, 30, 100, 300),
    "width": (8, 16, 32, 64, 128, 256, 512),
}


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def best(work, repeats=3):
    """Least seconds of a few runs, after one that does not count."""
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def measure(rows, features, classes, steps, width):
    """Seconds and megabytes of a search and of a training epoch."""
    import numpy as np
    import torch

    from skct import (
        MLP,
        Constraints,
        CounterfactualNet,
        ECCCoGenerator,
        search,
    )

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = MLP(features, classes, hidden_layer_sizes=(width,)).eval()
    X = torch.randn(rows, features)
    y = torch.arange(rows) % classes
    constraints = Constraints.unbounded((features,))
    stay = ECCCoGenerator(max_iter=steps, step_size=1e-6, threshold=0.999)
    before = peak()
    answer = {"search, s": best(lambda: search(model, X, y, stay, constraints))}
    answer["search, MB"] = peak() - before
    net = CounterfactualNet(
        module__hidden_layer_sizes=(width,),
        max_epochs=1,
        objective="paper",
        generator=ECCCoGenerator(max_iter=steps),
        random_state=0,
    )
    X, y = X.numpy(), np.asarray(y)
    net.fit(X, y)
    answer["epoch, s"] = best(lambda: net.fit_loop(X, y, epochs=1), repeats=2)
    return answer


def figures(found, folder):
    """One figure: a column for each property, a row for each quantity."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    quantities = ("search, s", "epoch, s", "search, MB")
    fig, axes = plt.subplots(
        3,
        len(RANGES),
        figsize=(15, 8),
        sharex="col",
        sharey="row",
        layout="constrained",
    )
    for column, (name, points) in enumerate(found.items()):
        for row, quantity in enumerate(quantities):
            ax, x = axes[row, column], [p[0] for p in points]
            ax.loglog(x, [max(p[1][quantity], 1e-3) for p in points], "o-")
            first = points[0][1][quantity]
            if row < 2:
                ax.loglog(x, [first * v / x[0] for v in x], ":", color="grey")
            ax.grid(visible=True, which="major", alpha=0.3)
            if column == 0:
                ax.set_ylabel(quantity)
        axes[-1, column].set_xlabel(name)
    fig.suptitle("Cost by size; dotted: in proportion")
    folder.mkdir(parents=True, exist_ok=True)
    fig.savefig(folder / "growth.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--point", help="settings of one point, in this process")
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(**json.loads(options.point))))
        return
    found = {}
    for name, values in RANGES.items():
        found[name] = []
        for value in values:
            point = json.dumps(BASE | {name: value})
            command = [sys.executable, __file__, "--point", point]
            done = subprocess.run(
                command, stdout=subprocess.PIPE, text=True, check=True
            )
            found[name].append((value, json.loads(done.stdout.splitlines()[-1])))
            print(name, *found[name][-1], flush=True)
    figures(found, options.folder)


if __name__ == "__main__":
    main()
