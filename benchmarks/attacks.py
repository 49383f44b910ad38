"""Attacks of `skct.robustness` beside those of the Adversarial Robustness Toolbox.

    SKCT_DATA=... python benchmarks/attacks.py [--epochs 100] [--rows 4126]

Robust accuracy and seconds on test rows of California housing (binarised, balanced),
for the plain network and for counterfactual training with default settings, at max-norm
radii 0.03 and 0.1 of the standardised features. Both sides get the same module, rows
and batch size; rows count as robust if they are right before and after the attack.
AutoAttack has no counterpart of ours: beside it stands PGD with ten restarts.
"""

import argparse
import os
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from art.attacks import evasion
from art.estimators.classification import PyTorchClassifier

from skct import CounterfactualTrainingClassifier
from skct.robustness import fgsm, pgd, robust_accuracy
from skct.utils.model import CHUNK

# Before this script's own folder, where `attacks` is this script.
sys.path.insert(0, str(Path(__file__).parents[1] / "examples" / "paper"))
from attacks import autoattack  # noqa: E402

MODELS = {"plain": {"lambda_div": 0.0, "lambda_adv": 0.0, "lambda_reg": 0.0}, "CT": {}}
MADRY = {"eps_step": 0.01, "max_iter": 40, "batch_size": CHUNK, "verbose": False}


def load():
    path = Path(os.environ["SKCT_DATA"]) / "california_housing_balanced.parquet"
    table = pd.read_parquet(path).sample(frac=1.0, random_state=0)
    X, y = table.drop(columns="target"), table["target"].to_numpy()
    n_train = int(0.8 * len(X))
    return X[:n_train], y[:n_train], X[n_train:], y[n_train:]


def toolbox(model, X, y, *, epsilon, attack):
    classifier = PyTorchClassifier(
        model, torch.nn.CrossEntropyLoss(), X.shape[1:], 2, device_type="cpu"
    )
    return attack(classifier, eps=epsilon).generate(X, y)


def pairs():
    """Name -> (ours, theirs)."""
    fast, projected = evasion.FastGradientMethod, evasion.ProjectedGradientDescent

    def restarts(n):
        return partial(projected, num_random_init=n, **MADRY)

    return {
        "FGSM": (fgsm, partial(toolbox, attack=partial(fast, batch_size=CHUNK))),
        "PGD-40": (
            partial(pgd, random_state=0),
            partial(toolbox, attack=restarts(1)),
        ),
        "PGD-40 x 10": (
            partial(pgd, n_restarts=10, random_state=0),
            partial(toolbox, attack=restarts(10)),
        ),
        "PGD-40 x 10 : AutoAttack": (
            partial(pgd, n_restarts=10, random_state=0),
            partial(autoattack, random_state=0),
        ),
    }


def measure(model, X, y, epsilon, attack):
    started = time.perf_counter()
    (accuracy,) = robust_accuracy(model, X, y, epsilons=epsilon, attack=attack)
    return accuracy, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--rows", type=int, default=None, help="test rows to attack")
    options = parser.parse_args()
    np.random.seed(0)  # noqa: NPY002 (the toolbox draws from the global state)
    X_train, y_train, X_test, y_test = load()
    rows = []
    for name, params in MODELS.items():
        clf = CounterfactualTrainingClassifier(
            objective="paper", early_stopping=False, random_state=0, **params
        )
        clf.set_params(net__max_epochs=options.epochs).fit(X_train, y_train)
        X = clf.feature_space_.encode(X_test)[: options.rows]
        y = np.searchsorted(clf.classes_, y_test)[: options.rows]
        (clean,) = robust_accuracy(clf.module_, X, y, epsilons=0)
        for epsilon in (0.03, 0.1):
            for attack, (ours, theirs) in pairs().items():
                accuracy, seconds = measure(clf.module_, X, y, epsilon, ours)
                their_accuracy, their_seconds = measure(
                    clf.module_, X, y, epsilon, theirs
                )
                rows.append(
                    {
                        "model": name,
                        "clean": clean,
                        "epsilon": epsilon,
                        "attack": attack,
                        "ours": accuracy,
                        "ART": their_accuracy,
                        "ours s": seconds,
                        "ART s": their_seconds,
                        "ours / ART": seconds / their_seconds,
                    }
                )
    print(pd.DataFrame(rows).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
