"""Plausibility and cost of counterfactuals: plain net against counterfactual training.

    python benchmarks/plausibility.py circles california --seeds 3

Protocol of the paper (its reference code, where the two differ): MLP with 32 ReLU
units, 100 epochs of Adam; counterfactuals by ECCCo without distance penalty, 50 steps,
five energy weights; averages over valid counterfactuals of the test rows. The domain is
the reference code's, two standard deviations around the mean or the observed range
where that is wider. Plausibility at threshold 0.95 without constraints, cost at
threshold 0.5 with the first (circles) or the age (California) column immutable. All
test rows are explained instead of 100 draws with replacement. California housing is
read from the folder in the environment variable SKCT_DATA. The paper's objective has
its settings for each data set.
"""

import argparse
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import make_circles
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skct import (
    CounterfactualExplainer,
    CounterfactualNet,
    CounterfactualTrainingClassifier,
    ECCCoGenerator,
)
from skct.exceptions import ConstraintWarning, SearchWarning
from skct.metrics import implausibility, mmd

ENERGY_WEIGHTS = (0.1, 0.5, 1.0, 5.0, 10.0)
PLAIN = {"lambda_div": 0, "lambda_adv": 0, "lambda_reg": 0, "net__lr": 1e-3}


def load_circles():
    X, y = make_circles(4500, noise=0.15, factor=0.01, random_state=42)
    return (X[:3000], y[:3000]), (X[3600:], y[3600:])


def load_california():
    path = Path(os.environ["SKCT_DATA"]) / "california_housing_balanced.parquet"
    table = pd.read_parquet(path)
    X, y = table.drop(columns="target").to_numpy(float), table["target"].to_numpy()
    n_train = int(0.8 * len(X))
    X = StandardScaler().fit(X[:n_train]).transform(X)
    X_train, _, y_train, _ = train_test_split(
        X[:n_train], y[:n_train], test_size=1000, stratify=y[:n_train], random_state=0
    )
    return (X_train, y_train), (X[n_train:], y[n_train:])


DATA = {
    # loader, batch, counterfactuals per epoch, lambda_reg, protected column
    "circles": (load_circles, 30, 1000, 0.5, 0),
    "california": (load_california, 1000, 5000, 0.25, 1),
}


def hull(X):
    mean, spread = X.mean(0), 2 * X.std(0)
    low, high = np.minimum(mean - spread, X.min(0)), np.maximum(mean + spread, X.max(0))
    return dict(enumerate(zip(low.tolist(), high.tolist(), strict=True)))


def options(setting):
    """Parameters of the classifier, those of the paper."""
    _, _, n_counterfactuals, lambda_reg, _ = setting
    return {
        "objective": "paper",
        "n_counterfactuals": n_counterfactuals,
        "lambda_reg": lambda_reg,
    }


def train(data, setting, seed, **params):
    clf = CounterfactualTrainingClassifier(
        CounterfactualNet(batch_size=setting[1]),
        preprocessor=None,
        domain=hull(data[0]),
        early_stopping=False,
        random_state=seed,
    )
    return clf.set_params(**params).fit(*data)


def explain(clf, X, confidence, weight, mutability):
    generator = ECCCoGenerator(max_iter=50, lambda_cost=0.0, lambda_energy=weight)
    explainer = CounterfactualExplainer(
        clf,
        generator=generator,
        confidence=confidence,
        mutability=mutability,
        refine=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SearchWarning)
        warnings.simplefilter("ignore", ConstraintWarning)
        return explainer.explain(X)


def judge(clf, test, mutability):
    """Mean implausibility, MMD, cost and validity over the energy weights."""
    X, y = test
    rows = []
    for weight in ENERGY_WEIGHTS:
        free = explain(clf, X, 0.95, weight, None)
        bound = explain(clf, X, 0.5, weight, mutability)
        classes = [
            (free.counterfactual[free.valid & (free.target == k)], X[y == k])
            for k in np.unique(y)
        ]
        classes = [(ours, theirs) for ours, theirs in classes if len(ours) > 1]
        rows.append(
            {
                "IP": np.concatenate(
                    [implausibility(*pair) for pair in classes]
                ).mean(),
                "IP*": np.mean([max(mmd(*pair), 0.0) for pair in classes]),
                "cost": bound.cost[bound.valid].mean(),
                "validity": free.valid.mean(),
                "validity, bound": bound.valid.mean(),
            }
        )
    return pd.DataFrame(rows).mean()


def run(name, seed):
    setting = DATA[name]
    data, test = setting[0]()
    mutability, how = {setting[-1]: "none"}, options(setting)
    plain = train(data, setting, seed, **PLAIN)
    started = time.perf_counter()
    trained = train(data, setting, seed, **how)
    seconds = time.perf_counter() - started
    bound = train(data, setting, seed, mutability=mutability, **how)
    before, after = judge(plain, test, mutability), judge(trained, test, mutability)
    after["cost"] = judge(bound, test, mutability)["cost"]
    change = 100 * (1 - after / before)
    return {
        "data": name,
        "seed": seed,
        "IP plain": before["IP"],
        "IP CT": after["IP"],
        "cost plain": before["cost"],
        "cost CT": after["cost"],
        **{f"{m} reduction %": change[m] for m in ("IP", "IP*", "cost")},
        "validity plain": before["validity"],
        "validity CT": after["validity"],
        "accuracy plain": plain.score(*test),
        "accuracy CT": trained.score(*test),
        "fit seconds": seconds,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", nargs="+", choices=list(DATA))
    parser.add_argument("--seeds", type=int, default=3)
    asked = parser.parse_args()
    cells = [(name, seed) for name in asked.data for seed in range(asked.seeds)]
    rows = [run(*cell) for cell in cells]
    table = pd.DataFrame(rows)
    print(table.round(3).T.to_string())
    print(table.groupby("data").mean(numeric_only=True).round(3).T.to_string())


if __name__ == "__main__":
    main()
