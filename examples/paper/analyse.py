"""Analyse trained models in ways that reviewers of the paper asked for.

    python examples/paper/analyse.py results/

Reads what reproduce.py wrote, and writes one JSON file per cell into the folder
`analyses` within. Parts that are there are kept while the weights are the same; the
share of counterfactuals that retraining leaves valid is computed anew when further
seeds have come. Real data come from the folder in SKCT_DATA.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path

import torch
from analyses import QUICK, Size, Trained, finished, parts_of, retraining
from cells import WEIGHTS, write_atomically
from jobs import run_all
from models import MODELS
from reference import VERSIONS
from results import ANALYSES


def analyse(cell, folder, quick=False):
    """Compute the parts of a cell that are missing, and write its file.

    Returns
    -------
    cell : Cell
    seconds : float
        Of the processor.
    """
    torch.set_num_threads(1)
    started = time.process_time()
    trained = Trained(cell, folder, QUICK if quick else Size())
    content, others = stored(cell, folder), siblings(cell, folder)
    for part in missing(cell, folder):
        begun = time.process_time()
        if part == "retraining":
            scores = retraining(trained, list(others)) | {"others": marks(others)}
        else:
            scores = parts_of(cell)[part](trained)
        content["parts"][part] = scores
        content["seconds"][part] = time.process_time() - begun
    text = json.dumps(content, indent=1, allow_nan=False)
    write_atomically(path_of(cell, folder), text.encode())
    return cell, time.process_time() - started


def missing(cell, folder):
    """Names of the parts that have to be computed."""
    parts, others = stored(cell, folder)["parts"], siblings(cell, folder)
    names = [name for name in parts_of(cell) if name not in parts]
    known = parts.get("retraining", {}).get("others", {})
    return names + ["retraining"] * (known != marks(others))


def stored(cell, folder):
    """What the file of a cell holds; nothing if the cell has other weights by now."""
    mark, path = digest(cell, folder), path_of(cell, folder)
    content = json.loads(path.read_text()) if path.is_file() else {}
    if content.get("weights") == mark:
        return content
    return {**cell._asdict(), "weights": mark, "parts": {}, "seconds": {}}


def siblings(cell, folder):
    """Cells that differ in the seed only, with the digests of their weights."""
    alike = finished(folder, (cell.model,), (cell.version,))
    return {
        other: digest(other, folder)
        for other in alike
        if other != cell and other._replace(seed=cell.seed) == cell
    }


def marks(others):
    """Digests by seed, as JSON has them."""
    return {str(cell.seed): mark for cell, mark in others.items()}


def digest(cell, folder):
    """Short name of the weights of a cell."""
    weights = cell.path(folder).with_suffix(WEIGHTS).read_bytes()
    return hashlib.sha256(weights).hexdigest()[:16]


def path_of(cell, folder):
    """File of the analyses of a cell."""
    return cell.path(Path(folder) / ANALYSES)


def parse(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="what reproduce.py wrote")
    parser.add_argument("--models", nargs="+", default=["BL", "CT"], choices=MODELS)
    parser.add_argument("--versions", nargs="+", default=["V2"], choices=VERSIONS)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--quick", action="store_true", help="100 rows, short chains, of RESULTS/quick"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Analyse the finished cells; return the exit code."""
    options = parse(arguments)
    folder = options.results / "quick" if options.quick else options.results
    cells = finished(folder, options.models, options.versions)
    todo = [cell for cell in cells if missing(cell, folder)]
    print(f"{len(cells)} cells, {len(cells) - len(todo)} of them analysed before")
    return run_all(analyse, todo, folder, options.quick, jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
