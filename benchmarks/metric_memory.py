"""Seconds and peak memory of the metrics on 100,000 x 100 float32 rows.

    OMP_NUM_THREADS=1 python benchmarks/metric_memory.py [--rows 100000]

Each metric runs in a process of its own; its peak holds what `import skct` takes, the
inputs and the work. CPU seconds do not depend on what else the machine is doing. What
measures every pair of rows one by one is asked of 1/50 of the counterfactuals.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from skct import metrics


def rows(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype="float32")


def pair(n, share=1):
    return rows(n // share, 100), rows(n, 100, seed=1)


def recourse(n):
    rng = np.random.default_rng(0)
    return rng.random(n), rng.random(n) < 0.8, rng.choice(["a", "b", "c"], n)


def nearest(counterfactual, reference):
    return metrics.implausibility(counterfactual, reference, n_neighbours=10)


CASES = {
    "import": (lambda n: (), lambda: None),
    "mmd": (pair, metrics.mmd),
    "median_length_scale": (pair, metrics.median_length_scale),
    "implausibility": (pair, metrics.implausibility),
    "implausibility, L2, 1/50": (
        lambda n: pair(n, 50),
        lambda a, b: metrics.implausibility(a, b, norm=2),
    ),
    "implausibility, 10 nearest, 1/50": (lambda n: pair(n, 50), nearest),
    "cost": (pair, metrics.cost),
    "mad_weights": (lambda n: (rows(n, 100),), metrics.mad_weights),
    "diversity, 3 alternatives": (lambda n: (rows(n, 3, 100),), metrics.diversity),
    "burden": (recourse, metrics.burden),
}


def run(case, n):
    make, metric = CASES[case]
    data = make(n)
    wall, cpu = time.perf_counter(), time.process_time()
    metric(*data)
    answer = {
        "seconds": time.perf_counter() - wall,
        "CPU seconds": time.process_time() - cpu,
        "inputs MB": sum(array.nbytes for array in data) / 2**20,
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(answer))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--case", choices=list(CASES))
    options = parser.parse_args()
    if options.case:
        run(options.case, options.rows)
        return
    measured = {}
    for case in CASES:
        command = [sys.executable, __file__, "--case", case]
        command += ["--rows", str(options.rows)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        measured[case] = json.loads(done.stdout)
    table = pd.DataFrame(measured).T
    table["above import MB"] = table["peak MB"] - table.loc["import", "peak MB"]
    print(table.round(1).to_string())


if __name__ == "__main__":
    main()
