"""Many fits and answers in one process, and very large tables; Linux only.

    OMP_NUM_THREADS=1 python benchmarks/load.py [--quick]

`many`: 200 fits and 10,000 calls of `explain` in turn, on a table of numbers and
categories; memory in use and open files after a tenth of them (caches are warm then)
and at the end. `fit`: 2,000,000 rows of 20 numbers, one epoch of counterfactual
training with default settings. `explain`: 1,000,000 rows. The last two print memory
at the peak, beside that of the raw table. Each part runs in a process of its own.
`--quick` does a thousandth of the rows and a few of the calls.
"""

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

from race import show
from serving import fitted, table

PARTS = {
    "many": {"fits": 200, "explains": 10_000},
    "fit": {"n": 2_000_000},
    "explain": {"n": 1_000_000},
}
QUICK = {
    "many": {"fits": 10, "explains": 100},
    "fit": {"n": 2_000},
    "explain": {"n": 1_000},
}


def resident():
    """Megabytes of memory in use now, without garbage."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak():
    """Megabytes of memory at the peak of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def people(n=300, seed=0):
    """A small table of numbers, integers and categories, and labels."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 70, n),
            "income": rng.gamma(4.0, 10.0, n),
            "job": rng.choice(["clerk", "cook", "nurse"], n),
            "married": rng.random(n) < 0.5,
        }
    )
    return X, np.where(X["income"] + 0.3 * X["age"] > 50, "yes", "no")


def many(fits, explains):
    """Rounds of one fit and some explanations; what is in use after each tenth."""
    from skct import CounterfactualTrainingClassifier

    X, y = people()
    clf = CounterfactualTrainingClassifier(random_state=0)
    clf.set_params(net__max_epochs=5, net__lr=0.01)
    rows, each, started = [], explains // fits, time.perf_counter()
    for i in range(1, fits + 1):
        clf.fit(X, y)
        for j in range(each):
            clf.explain(X[j % 290 : j % 290 + 1 + j % 10])
        if i in (fits // 10, fits // 2, fits):
            rows.append(
                {
                    "fits": i,
                    "explains": i * each,
                    "seconds": time.perf_counter() - started,
                    "MB in use": resident(),
                    "open files": len(os.listdir("/proc/self/fd")),
                    "threads": threading.active_count(),
                }
            )
    return rows


def fit(n):
    """One epoch on n rows."""
    from skct import CounterfactualTrainingClassifier

    X, y = table(n)
    clf = CounterfactualTrainingClassifier(random_state=0).set_params(net__max_epochs=1)
    before, started = resident(), time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - started
    return [
        figures(X, before, seconds) | {"accuracy": clf.score(X[:10_000], y[:10_000])}
    ]


def explain(n):
    """Answers for n rows."""
    clf, (X, _) = fitted(), table(n, seed=2)
    before, started = resident(), time.perf_counter()
    answer = clf.explain(X)
    seconds = time.perf_counter() - started
    return [figures(X, before, seconds) | {"valid": float(answer.valid.mean())}]


def figures(X, before, seconds):
    """Size, time and memory of one large call."""
    return {
        "rows": len(X),
        "seconds": seconds,
        "rows/s": len(X) / seconds,
        "raw table MB": X.nbytes / 2**20,
        "MB before": before,
        "peak MB": peak(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help=", ".join(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--alone", action="store_true", help="in this process, as JSON")
    options = parser.parse_args()
    sizes = QUICK if options.quick else PARTS
    for name in options.parts or PARTS:
        if options.alone:
            import torch

            torch.set_num_threads(1)
            warnings.simplefilter("ignore")
            print(json.dumps(globals()[name](**sizes[name])))
            continue
        command = [sys.executable, __file__, name, "--alone"]
        command += ["--quick"] * options.quick
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        print(f"\n{name}\n", flush=True)
        show(json.loads(done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    main()
