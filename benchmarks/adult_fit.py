"""Time and memory of `fit` on the 32,561 training rows of Adult, beside plain skorch.

    SKCT_DATA=... python benchmarks/adult_fit.py [--epochs 100]

Each side runs in a process of its own: raw DataFrame in, default settings and the
paper's objective, against the same module, optimiser and batch size in
`skorch.NeuralNetClassifier` with torch's own DataLoader on the encoded table.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pandas as pd


def load():
    table = pd.read_parquet(Path(os.environ["SKCT_DATA"]) / "adult.parquet")
    table = table[table["split"] == "train"].drop(columns="split")
    return table.drop(columns="income"), table["income"]


def fit_counterfactual(X, y, epochs, **params):
    from skct import CounterfactualTrainingClassifier

    protected = {"age": "none", "sex": "none", "race": "none"}
    clf = CounterfactualTrainingClassifier(
        mutability=protected, early_stopping=False, random_state=0, **params
    )
    return clf.set_params(net__max_epochs=epochs), X, y


def fit_skorch(X, y, epochs):
    import torch
    from skorch import NeuralNetClassifier

    from skct import MLP
    from skct.preprocessing import TableEncoder

    encoded = TableEncoder().fit_transform(X).astype("float32")
    torch.manual_seed(0)
    net = NeuralNetClassifier(
        MLP,
        module__n_features_in=encoded.shape[1],
        module__n_classes=2,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=1e-3,
        max_epochs=epochs,
        batch_size=128,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return net, encoded, (y == ">50K").astype("int64").to_numpy()


SIDES = {
    "default": fit_counterfactual,
    "paper": partial(fit_counterfactual, objective="paper"),
    "plain skorch": fit_skorch,
}


def run(side, epochs):
    model, X, y = SIDES[side](*load(), epochs)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    model.fit(X, y)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = {
        "seconds": seconds,
        "peak MB": peak / 1024,
        "MB above start": (peak - before) / 1024,
        "accuracy": model.score(X, y),
    }
    print(json.dumps(answer))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--side", choices=list(SIDES))
    options = parser.parse_args()
    if options.side:
        run(options.side, options.epochs)
        return
    rows = {}
    for side in SIDES:
        command = [sys.executable, __file__, "--side", side]
        command += ["--epochs", str(options.epochs)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows[side] = json.loads(done.stdout)
    table = pd.DataFrame(rows)
    for side in ("default", "paper"):
        table[f"{side} / plain"] = table[side] / table["plain skorch"]
    print(table.round(3).to_string())


if __name__ == "__main__":
    main()
