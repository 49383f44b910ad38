"""One epoch of counterfactual training beside plain and adversarial training.

    SKCT_DATA=... python benchmarks/training.py [--repeats 5] [--threads 1 2]

"CT" is the paper's objective; "CT, default" has its default number of counterfactuals
and a teacher that is fitted before the clock runs. The other sides get the same rows,
module, optimiser and batch size: `plain skorch` is `skorch.NeuralNetClassifier` with
torch's own DataLoader, `ART` is the trainer `AdversarialTrainerMadryPGD` of the
adversarial-robustness-toolbox with ten steps. The
authors of the paper give for their own package 2.3 to 2.8 times a plain epoch, on the
network and the sizes of the workload "upstream".
"""

import argparse
import json
import sys
import warnings
from functools import partial
from pathlib import Path

from race import in_threads, race, show

FOLDER = Path(__file__).parents[1] / "examples" / "paper"
PAPER = {"objective": "paper"}
WARM = 3  # epochs before the clock runs


def workloads():
    """Name -> rows, classes, hidden layers, batch, counterfactuals, constraints."""
    sys.path.insert(0, str(FOLDER))
    import numpy as np
    from data import load

    from skct import Constraints

    moons, adult = load("Moon"), load("Adult")
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(8000, 128)).astype("float32")
    labels = (rows[:, :8].sum(1) > 0).astype("int64")
    numbers = sorted(set(range(len(adult.lower))) - set(adult.one_hot))
    ends = ((float(adult.lower[i]), float(adult.upper[i])) for i in numbers)
    snapped = Constraints.from_spec(
        {numbers[0]: "none"},
        dict(zip(numbers, ends, strict=True)),
        feature_names=range(len(adult.lower)),
        groups=groups_of(adult),
    )
    free = Constraints.unbounded((128,))
    sets = {
        "moons, 3,000 x 2": (moons, (32,), 30, 1000, moons.constraints()),
        "Adult, 25,049 x 108": (adult, (32,), 1000, 5000, adult.constraints()),
        "Adult, categories snapped": (adult, (32,), 1000, 5000, snapped),
    }
    found = {
        name: (task.X_train, task.y_train, *settings)
        for name, (task, *settings) in sets.items()
    }
    found["upstream, 8,000 x 128"] = (rows, labels, (256, 256), 128, 128, free)
    return found


def groups_of(task):
    """Neighbouring 0/1 columns that add up to 1 in every row."""
    import numpy as np

    from skct.constraints import Group

    groups, start = [], 0
    while start < len(task.one_hot):
        total, stop = np.zeros(len(task.X_train)), start
        while total.min() < 1 and stop < len(task.one_hot):
            total = total + task.X_train[:, task.one_hot[stop]]
            stop += 1
        groups.append(Group(tuple(int(c) for c in task.one_hot[start:stop])))
        start = stop
    return groups


def plain_net(X, y, hidden, batch_size):
    import torch
    from skorch import NeuralNetClassifier

    from skct import MLP

    return NeuralNetClassifier(
        MLP(X.shape[1], int(y.max()) + 1, hidden_layer_sizes=hidden),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        batch_size=batch_size,
        max_epochs=WARM,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def counterfactual_net(
    X, y, hidden, batch_size, n_counterfactuals, constraints, **options
):
    from skct import CounterfactualNet

    return CounterfactualNet(
        module__hidden_layer_sizes=hidden,
        batch_size=batch_size,
        max_epochs=WARM,
        n_counterfactuals=n_counterfactuals,
        constraints=constraints,
        random_state=0,
        **options,
    )


def epoch_of(net, X, y):
    """Function that trains a warm net for one further epoch."""
    net.fit(X, y)
    return partial(net.fit_loop, X, y, epochs=1)


def toolbox_epoch(X, y, hidden, batch_size):
    """One epoch of ART's trainer; its attack keeps its own batch size, 32."""
    import torch
    from art.defences.trainer import AdversarialTrainerMadryPGD
    from art.estimators.classification import PyTorchClassifier

    from skct import MLP

    module = MLP(X.shape[1], 2, hidden_layer_sizes=hidden)
    classifier = PyTorchClassifier(
        module,
        torch.nn.CrossEntropyLoss(),
        X.shape[1:],
        2,
        optimizer=torch.optim.Adam(module.parameters(), lr=1e-3),
        device_type="cpu",
    )
    trainer = AdversarialTrainerMadryPGD(
        classifier, nb_epochs=1, batch_size=batch_size, eps=0.3, max_iter=10
    )
    return lambda: quietly(trainer.fit, X, y)


def quietly(work, *arguments):
    """Call without the progress bars and warnings of others."""
    import contextlib
    import io

    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work(*arguments)


def measure(threads, repeats):
    """Median seconds of every side of every workload."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    answer = {}
    for name, (X, y, hidden, batch, number, constraints) in workloads().items():
        ours = (X, y, hidden, batch, number, constraints)
        sides = {
            "CT": epoch_of(counterfactual_net(*ours, **PAPER), X, y),
            "CT, fused Adam": epoch_of(
                counterfactual_net(*ours, **PAPER, optimizer__fused=True), X, y
            ),
            "CT, default": epoch_of(
                counterfactual_net(X, y, hidden, batch, 0.15, constraints), X, y
            ),
            "plain skorch": epoch_of(plain_net(X, y, hidden, batch), X, y),
        }
        if name.startswith("moons"):
            sides["ART, 10 PGD steps"] = toolbox_epoch(X, y, hidden, batch)
        answer[name] = race(sides, repeats)
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    if len(options.threads) == 1:
        print(json.dumps(measure(options.threads[0], options.repeats)))
        return
    rows = []
    repeats = ("--repeats", options.repeats)
    for threads, found in in_threads(__file__, *repeats, threads=options.threads):
        for name, seconds in found.items():
            row = {"workload": name, "threads": threads}
            row |= {f"{side}, s": value for side, value in seconds.items()}
            for other in ("plain skorch", "ART, 10 PGD steps"):
                if other in seconds:
                    row[f"CT / {other}"] = seconds["CT"] / seconds[other]
            for side in ("CT, fused Adam", "CT, default"):
                row[f"{side} / plain skorch"] = seconds[side] / seconds["plain skorch"]
            rows.append(row)
    show(rows)


if __name__ == "__main__":
    main()
