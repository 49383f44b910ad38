"""`explain`, raw table in and raw table out, beside what people use today.

    pip install -e . dice-ml NICEx  # in an environment of its own
    SKCT_DATA=... python benchmarks/explaining.py [--seconds 60] [--data adult ...]

On the two kept tasks (see `tasks.py`) and on Adult with a classifier of ours, whose raw
table of numbers and words every side gets. Ours: 1,000 and 100,000 rows, with default
settings and others. DiCE: each method that needs no gradient, one answer per row, as
many of the same rows as it does within the seconds given. NICE: `proximity`. The loop
(SGD, steps of 0.02) and the nearest training row are for orientation. One thread; rows
per second of processor time.
"""

import argparse
import os
import time
import warnings

import numpy as np
import pandas as pd
import tasks
import torch
from race import show

from skct import CounterfactualExplainer, CounterfactualTrainingClassifier

ADULT_FIXED = {"age": "none", "sex": "none", "race": "none", "native_country": "none"}


class AsEstimator:
    """A network with the manners of scikit-learn, for those who ask for them."""

    def __init__(self, module):
        self.module = module

    def predict_proba(self, X):
        """Probabilities of shape (n, 2)."""
        rows = torch.tensor(np.asarray(X, dtype="float32"))
        with torch.no_grad():
            return self.module(rows).softmax(1).numpy().astype(float)

    def predict(self, X):
        """Class indices."""
        return self.predict_proba(X).argmax(1)


class Problem:
    """Rows to explain, with their targets, a model, and its training rows."""

    def __init__(self, name):
        self.name = name
        getattr(self, "prepare_adult" if name == "adult" else "prepare_kept")()

    def prepare_kept(self):
        """One of the kept tasks."""
        task = tasks.load(self.name)
        self.columns = [f"x{i}" for i in range(task.X.shape[1])]
        self.X = pd.DataFrame(task.X, columns=self.columns)
        self.train = pd.DataFrame(task.X_train, columns=self.columns)
        self.labels, self.target = task.y_train, task.target
        self.module, self.numbers = task.module(), self.columns
        self.estimator = AsEstimator(self.module)
        self.explained = self.module

    def prepare_adult(self):
        """A table of numbers and words, and a classifier trained on it."""
        from skct.datasets import fetch_adult

        X, y = fetch_adult(return_X_y=True, as_frame=True)
        words = X.select_dtypes(exclude="number").columns
        X[words] = X[words].astype(object).fillna("unknown")
        y = (y == y.iloc[0]).astype(int).to_numpy()
        clf = CounterfactualTrainingClassifier(
            objective="paper", early_stopping=False, random_state=0
        )
        clf.set_params(net__max_epochs=10).fit(X[:10_000], y[:10_000])
        self.train, self.labels = X[:10_000], y[:10_000]
        self.X = X[10_000:11_000].reset_index(drop=True)
        self.target = 1 - clf.predict(self.X)
        self.columns, self.numbers = list(X), [c for c in X if c not in set(words)]
        self.estimator = self.explained = clf

    def explainer(self, **options):
        """Ours, with reference rows; to the boundary, where the others stop."""
        options = {"confidence": 0.5, **options}
        explainer = CounterfactualExplainer(self.explained, **options)
        return explainer.fit(self.train, self.labels)

    def judge(self, answers, rows):
        """Validity, and means over valid answers, for all sides alike."""
        before, owner = self.coordinates(self.X.iloc[rows])
        after, _ = self.coordinates(answers)
        valid = np.asarray(self.estimator.predict(answers)) == self.target[rows]
        change = np.zeros((len(rows), len(self.columns)))
        np.add.at(change.T, owner, np.abs(after - before).T)
        seen, _ = self.coordinates(self.train)
        far = np.full(len(rows), np.nan)
        for k in (0, 1):
            ours = valid & (self.target[rows] == k)
            theirs = seen[self.labels == k][:2000]
            far[ours] = [np.abs(theirs - x).sum(1).mean() for x in after[ours]]
        return {
            "valid": float(valid.mean()),
            "cost": float(change[valid].sum(1).mean()),
            "changed": float((change[valid] > 1e-6).sum(1).mean()),
            "implausibility": float(np.nanmean(far)),
        }

    def coordinates(self, table):
        """Standardised units, and the raw column of each."""
        if self.name != "adult":
            return table.to_numpy(dtype=float), np.arange(table.shape[1])
        space = self.estimator.feature_space_
        return space.coordinates(space.encode(table))


def timed(work, *arguments):
    """Result, and seconds of the processor."""
    started = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = work(*arguments)
    return result, time.process_time() - started


def ours(problem, n, **options):
    explainer = problem.explainer(**options)
    where = np.arange(n) % len(problem.X)
    X, target = problem.X.iloc[where], problem.target[where]
    timed(explainer.explain, X[:100], target[:100])
    answer, seconds = timed(explainer.explain, X, target)
    first = answer.counterfactual.iloc[: len(problem.X)]
    return first, np.arange(len(first)), n / seconds


def one_by_one(problem, explain, seconds):
    """Answers of a side that takes row after row, within some seconds."""
    answers, rows, spent = [], [], 0.0
    for i in range(len(problem.X)):
        if spent > seconds:
            break
        found, took = timed(explain, problem.X.iloc[[i]], problem.target[i])
        spent += took
        if found is not None:
            answers.append(found.reset_index(drop=True))
            rows.append(i)
        asked = i + 1
    table = pd.concat(answers, ignore_index=True)[problem.columns]
    return table.astype(problem.X.dtypes), np.array(rows), asked / spent


def dice(problem, method, seconds):
    import dice_ml
    from raiutils.exceptions import UserConfigValidationException

    frame = problem.train.assign(outcome=problem.labels)
    data = dice_ml.Data(
        dataframe=frame, continuous_features=problem.numbers, outcome_name="outcome"
    )
    model = dice_ml.Model(model=problem.estimator, backend="sklearn")
    explainer = dice_ml.Dice(data, model, method=method)

    def explain(row, target):
        try:
            found = explainer.generate_counterfactuals(
                row, total_CFs=1, desired_class=int(target), verbose=False
            )
        except UserConfigValidationException:  # none found
            return None
        table = found.cf_examples_list[0].final_cfs_df
        return None if table is None or not len(table) else table.iloc[:1]

    return one_by_one(problem, explain, seconds)


def nice(problem, seconds):
    from nice import NICE

    explainer = NICE(
        predict_fn=problem.estimator.predict_proba,
        X_train=problem.train.to_numpy(copy=True),
        cat_feat=[],
        num_feat=list(range(len(problem.columns))),
        y_train=problem.labels,
        optimization="proximity",
    )

    def explain(row, target):
        return pd.DataFrame(
            explainer.explain(row.to_numpy(copy=True)), columns=problem.columns
        )

    return one_by_one(problem, explain, seconds)


def plain_loop(problem):
    from searching import loop

    X = torch.tensor(problem.X.to_numpy(), dtype=torch.float32)
    target = torch.tensor(problem.target)
    end, seconds = timed(loop, problem.module, X, target, 0.02)
    return as_frame(problem, end.numpy()), np.arange(len(X)), len(X) / seconds


def nearest_row(problem):
    X, train = problem.X.to_numpy(), problem.train.to_numpy()
    predicted = problem.estimator.predict(train)

    def find():
        out = np.empty_like(X)
        for k in (0, 1):
            rows, theirs = problem.target == k, train[predicted == k]
            out[rows] = [theirs[np.abs(theirs - x).sum(1).argmin()] for x in X[rows]]
        return out

    end, seconds = timed(find)
    return as_frame(problem, end), np.arange(len(X)), len(X) / seconds


def as_frame(problem, values):
    return pd.DataFrame(np.asarray(values, dtype=float), columns=problem.columns)


def sides(problem, seconds):
    """Name -> function that answers."""
    found = {
        "skct, 1,000 rows": lambda: ours(problem, 1000),
        "skct, 100,000 rows": lambda: ours(problem, 100_000),
        "skct, refine=False": lambda: ours(problem, 1000, refine=False),
    }
    for weight in (0.0, 1.025, 1.5, 3.0):
        found[f"skct, plausibility_weight={weight}"] = lambda weight=weight: ours(
            problem, 1000, plausibility_weight=weight
        )
    for method in ("random", "genetic", "kdtree"):
        found[f"DiCE {method}"] = lambda method=method: dice(problem, method, seconds)
    if problem.name != "adult":  # numbers only
        found["NICE"] = lambda: nice(problem, seconds)
        found["plain loop, SGD 0.02"] = lambda: plain_loop(problem)
        found["nearest training row"] = lambda: nearest_row(problem)
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--data", nargs="+", default=["moons", "tab10", "adult"])
    parser.add_argument("--sides", default="", help="only those with this in the name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    os.environ.setdefault("TQDM_DISABLE", "1")
    table = []
    for name in options.data:
        problem, speeds = Problem(name), {}
        for side, answer in sides(problem, options.seconds).items():
            if options.sides not in side and not side.startswith("skct, 1,000"):
                continue
            try:
                answers, rows, speeds[side] = answer()
            except ImportError as error:
                print(f"{name}, {side}: {error!r}", flush=True)
                continue
            row = {"data": name, "side": side, "rows": len(rows)}
            row |= {"rows/s": speeds[side], **problem.judge(answers, rows)}
            row["skct is faster by"] = speeds["skct, 1,000 rows"] / speeds[side]
            table.append(row)
            print(row, flush=True)
    show(table)


if __name__ == "__main__":
    main()
