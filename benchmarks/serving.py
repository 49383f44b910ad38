"""What a service or a search over settings feels: prediction, import, a million rows.

    SKCT_DATA=... python benchmarks/serving.py [predict import million grid]

`predict`: probabilities of 10,000 numeric rows, with ``preprocessor=None`` and "auto",
beside the bare torch module and plain skorch. `import`: the package beside skorch.
`million`: 1,000,000 rows of 20 numbers through `explain`, in one process and in two
with half of them each, beside 100,000 rows; seconds and peak of memory. `grid`: a grid
search with ``n_jobs=2`` beside ``n_jobs=1``.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from race import race, show

ROWS = 1_000_000
IMPORTS = {
    "skct": "from skct import CounterfactualTrainingClassifier",
    "skorch": "import skorch",
}


def table(n, d=20, seed=0):
    import numpy as np

    X = np.random.default_rng(seed).normal(size=(n, d))
    return X, (X[:, :5].sum(1) + 0.5 * X[:, 5] ** 2 > 0).astype(int)


def fitted(preprocessor="auto", epochs=5):
    from skct import CounterfactualTrainingClassifier

    X, y = table(10_000)
    clf = CounterfactualTrainingClassifier(preprocessor=preprocessor, random_state=0)
    return clf.set_params(net__max_epochs=epochs, net__lr=0.01).fit(X, y)


def predict(repeats):
    """Milliseconds for 10,000 rows."""
    import numpy as np
    import torch
    from skorch import NeuralNetClassifier

    torch.set_num_threads(1)
    X, _ = table(10_000, seed=1)
    clf, auto = fitted(None), fitted()
    rows = torch.tensor(X, dtype=torch.float32)
    single = np.asarray(X, dtype="float32")
    net = NeuralNetClassifier(clf.module_, criterion=torch.nn.CrossEntropyLoss)
    net.initialize()

    def bare():
        with torch.no_grad():
            return clf.module_(rows).softmax(1).numpy()

    sides = {
        "torch module": bare,
        "skct, preprocessor=None": lambda: clf.predict_proba(X),
        "skct, auto": lambda: auto.predict_proba(X),
        "plain skorch": lambda: net.predict_proba(single),
    }
    seconds = race(sides, 4 * repeats)
    return [
        {"side": side, "ms": 1000 * s, "times the module": s / seconds["torch module"]}
        for side, s in seconds.items()
    ]


def imports(repeats):
    """Seconds of a fresh interpreter."""

    def work(line):
        subprocess.run([sys.executable, "-c", line], check=True)

    seconds = race({k: lambda v=v: work(v) for k, v in IMPORTS.items()}, repeats)
    ratio = {"times skorch": seconds["skct"] / seconds["skorch"]}
    return [{f"{side}, s": s for side, s in seconds.items()} | ratio]


def explain_rows(n):
    """Explain n rows in this process; seconds, and peak of memory above the start."""
    import warnings

    import torch

    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    clf, (X, _) = fitted(), table(n, seed=2)
    clf.explain(X[:1000])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    answer = clf.explain(X)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "valid": float(answer.valid.mean()),
        "peak MB": peak / 1024,
        "MB above start": (peak - before) / 1024,
    }


def million(repeats):
    """One and ten parts of the rows, in one process and in two."""
    rows = []
    for n, processes in ((ROWS // 10, 1), (ROWS, 1), (ROWS, 2)):
        command = [sys.executable, __file__, "--explain", str(n // processes)]
        started = [
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            for _ in range(processes)
        ]
        found = [json.loads(p.communicate()[0].splitlines()[-1]) for p in started]
        seconds = max(each["seconds"] for each in found)
        row = {"rows": n, "processes": processes, "seconds": seconds}
        row |= {"rows/s": n / seconds}
        for name in ("peak MB", "MB above start"):
            row[f"{name}, all processes"] = sum(each[name] for each in found)
        rows.append(row | {"valid": statistics.mean(each["valid"] for each in found)})
    return rows


def grid(repeats):
    """Twelve settings, five folds, and a last fit on all rows in one process."""
    from sklearn.model_selection import GridSearchCV

    from skct import CounterfactualTrainingClassifier
    from skct.scoring import counterfactual_scorer

    X, y = table(4_000)
    clf = CounterfactualTrainingClassifier(random_state=0)
    clf.set_params(net__max_epochs=15)
    settings = {
        "lambda_div": [0.1, 0.3, 0.5],
        "lambda_adv": [0.1, 0.25],
        "generator__threshold": [0.5, 0.75],
    }
    scorer = counterfactual_scorer(("accuracy", "neg_implausibility", "validity"))

    def search(n_jobs):
        options = {"scoring": scorer, "refit": "accuracy", "cv": 5, "n_jobs": n_jobs}
        GridSearchCV(clf, settings, **options).fit(X, y)

    seconds = race({n: lambda n=n: search(n) for n in (1, 2)}, max(2, repeats // 2))
    return [
        {"1 job, s": seconds[1], "2 jobs, s": seconds[2]}
        | {"times": seconds[1] / seconds[2]}
    ]


PARTS = {"predict": predict, "import": imports, "million": million, "grid": grid}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--explain", type=int, help="rows, in this process")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.explain:
        print(json.dumps(explain_rows(options.explain)))
        return
    for name in options.parts or PARTS:
        print(f"\n{name}\n")
        show(PARTS[name](options.repeats))


if __name__ == "__main__":
    main()
