"""Train and evaluate the models of the paper, cell by cell.

    python examples/paper/reproduce.py --data all --seeds 5 --out results/

A cell is one model on one data set with one seed; its result is one JSON file. Files
that are there are kept, so a stopped run goes on where it was: Ctrl-C loses no more
than the cells that were running. Real data come from the folder in SKCT_DATA.
"""

import argparse
import sys
from pathlib import Path

from cells import cells_of, run_cell
from data import MORE, NAMES
from jobs import run_all
from models import MODELS, PAPER
from reference import VERSIONS

GROUPS = {"all": NAMES, "more": MORE}


def run_missing(cells, folder, *, quick=False, jobs=1):
    """Run the cells that have no file yet; return the exit code."""
    missing = [cell for cell in cells if not cell.path(folder).is_file()]
    print(f"{len(cells)} cells, {len(cells) - len(missing)} of them finished before")
    return run_all(run_cell, missing, folder, quick, jobs=jobs)


def parse(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data",
        nargs="+",
        default=["all"],
        choices=[*GROUPS, *NAMES, *MORE],
        help="all: the paper's nine; more: the three that reviewers asked for",
    )
    parser.add_argument("--seeds", type=int, default=5, help="training seeds")
    parser.add_argument("--models", nargs="+", default=PAPER, choices=MODELS)
    parser.add_argument("--versions", nargs="+", default=VERSIONS, choices=VERSIONS)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--quick", action="store_true", help="5 fast epochs, 100 rows, into OUT/quick"
    )
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run what the command line asks for; return the exit code."""
    options = parse(arguments)
    data = [name for word in options.data for name in GROUPS.get(word, (word,))]
    cells = cells_of(
        dict.fromkeys(data), options.seeds, options.models, options.versions
    )
    folder = options.out / "quick" if options.quick else options.out
    return run_missing(cells, folder, quick=options.quick, jobs=options.jobs)


if __name__ == "__main__":
    sys.exit(main())
