"""Cells of the reproduction: one trained and evaluated model each, one file each."""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import NamedTuple

import torch
from data import SETTINGS, load
from models import build, depends_on_version, train
from protocol import BOUND, PLAUSIBLE, accuracy, attention, recourse, robustness
from reference import EPOCHS, LEARNING_RATE, VERSIONS
from safetensors.torch import load_file, save

import skct

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
WEIGHTS = ".safetensors"
QUICK = {"epochs": 5, "lr": 0.01, "n_rows": 100, "n_rounds": 3}


class Cell(NamedTuple):
    """One model on one data set with one seed."""

    data: str
    seed: int
    model: str
    version: str  # "any" where the versions do not differ

    def path(self, folder):
        """File of the result; the weights lie beside it, as ".safetensors"."""
        return Path(folder) / f"{'-'.join(map(str, self))}.json"

    def module(self, folder, task):
        """Trained module, in eval mode, as `run_cell` wrote it."""
        n_classes = int(task.y_train.max()) + 1
        module = build(self.model, task.X_train.shape[1], n_classes)
        module.load_state_dict(load_file(self.path(folder).with_suffix(WEIGHTS)))
        return module.eval()


def cells_of(data, seeds, models, versions=VERSIONS):
    """All cells, seed by seed, so that an early stop leaves whole seeds."""
    return [
        Cell(name, seed, model, version)
        for seed in range(seeds)
        for name in data
        for model in models
        for version in versions_of(name, model, versions)
    ]


def versions_of(name, model, versions):
    """Versions in which a model has to be trained."""
    return versions if depends_on_version(model, SETTINGS[name]) else ("any",)


def run_cell(cell, folder, quick=False):
    """Train, evaluate, and write weights and result; each file is whole or not there.

    A cell is finished when its result is there, which is written last.
    """
    torch.set_num_threads(1)  # the same result on any machine, with any --jobs
    forget_peak()
    result, module = evaluate_cell(cell, **(QUICK if quick else {}))
    result["memory_mb"] = peak_megabytes()
    path = cell.path(folder)
    write_atomically(path.with_suffix(WEIGHTS), save(module.state_dict()))
    write_atomically(path, json.dumps(result, indent=1).encode())
    return cell, result["seconds"]["total"]


def evaluate_cell(cell, epochs=EPOCHS, lr=LEARNING_RATE, n_rows=None, n_rounds=None):
    """Result of one cell as plain lists and numbers, and the trained module.

    Seconds are those of the processor, which other jobs hardly change.
    """
    started = time.process_time()
    task, settings = load(cell.data), SETTINGS[cell.data]
    loaded = time.process_time()
    who, length = (cell.model, cell.version, cell.seed), {"epochs": epochs, "lr": lr}
    module, history, messages = train(task, settings, *who, **length)
    trained = time.process_time()
    scores = evaluate(cell.model, module, task, n_rows, n_rounds)
    ended = time.process_time()
    result = {
        **cell._asdict(),
        "settings": settings._asdict() | length,
        **scores,
        "history": history,
        "warnings": messages,
        "seconds": {
            "load": loaded - started,
            "train": trained - loaded,
            "evaluate": ended - trained,
            "total": ended - started,
        },
        "software": {"skct": skct.__version__, "torch": torch.__version__},
    }
    return result, module


def evaluate(model, module, task, n_rows=None, n_rounds=None):
    """What the paper reports about this kind of model."""
    size = {"n_rows": n_rows} if n_rows else {}
    rounds = size | ({"n_rounds": n_rounds} if n_rounds else {})
    scores = {"accuracy": accuracy(module, task)}
    constrained = model.endswith("constrained")
    if not constrained:
        scores["free"] = recourse(module, task, **PLAUSIBLE, **size)
        scores["robust"] = robustness(module, task, **size)
    if model == "BL" or constrained:
        scores["bound"] = recourse(module, task, **BOUND, **size)
        scores["sensitivity"] = attention(module, task, **rounds)
    return scores


# ---------------------------------------------------------------------- file and memory


def write_atomically(path, content):
    """Write bytes so that the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f"{path.suffix}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def forget_peak():
    """Start the peak of memory anew where the system can (Linux)."""
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def peak_megabytes():
    """Largest resident memory since `forget_peak`, else of the whole process."""
    if STATUS.is_file():
        for line in STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
