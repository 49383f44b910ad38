"""Time of an epoch of counterfactual training on one and on two processes.

    python benchmarks/distributed.py [--epochs 3] [--objective paper]

Each process has one thread. CPU seconds are those of the busiest process: what an epoch
would take if every process had a core of its own and messages took no time.
"""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
from sklearn.datasets import make_classification

from skct.distributed import DistributedCounterfactualNet


def worker(epochs, objective):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group("gloo")
    X, y = make_classification(
        20_000, n_features=50, n_informative=20, n_classes=3, random_state=0
    )
    net = DistributedCounterfactualNet(
        max_epochs=1,
        objective=objective,
        batch_size=1024,
        module__hidden_layer_sizes=(512, 512),
        random_state=0,
        warm_start=True,
    ).fit(X.astype("float32"), y)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(epochs):
        net.fit(X.astype("float32"), y)
    cpu_seconds = [None] * dist.get_world_size()
    dist.all_gather_object(cpu_seconds, (time.process_time() - cpu) / epochs)
    if dist.get_rank() == 0:
        history = net.history[-epochs:]
        figures = {
            "seconds": (time.perf_counter() - wall) / epochs,
            "search": np.mean([epoch["search_seconds"] for epoch in history]),
            "updates": np.mean([epoch["update_seconds"] for epoch in history]),
            "CPU seconds": max(cpu_seconds),
            "loss": history[-1]["train_loss"],
        }
        print(json.dumps(figures))
    dist.destroy_process_group()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--objective", choices=["teacher", "paper"], default="teacher")
    options = parser.parse_args()
    if "RANK" in os.environ:
        worker(options.epochs, options.objective)
        return
    table = {}
    for n in (1, 2):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        command += ["--nproc_per_node", str(n), __file__]
        command += ["--epochs", str(options.epochs), "--objective", options.objective]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, stdout=subprocess.PIPE, check=True, env=environment
        )
        table[n] = json.loads(done.stdout)
    print(pd.DataFrame(table).T.round(3).rename_axis("processes").to_string())


if __name__ == "__main__":
    main()
