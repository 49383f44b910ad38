"""Train and evaluate the models of the paper, cell by cell.

    python examples/paper/reproduce.py --data all --seeds 5 --out results/

A cell is one model on one data set with one seed; its result is one JSON file. Files
that are there are kept, so a stopped run goes on where it was: Ctrl-C loses no more
than the cells that were running. Real data come from the folder in SKCT_DATA.
"""

import argparse
import multiprocessing
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from cells import cells_of, run_cell
from data import NAMES
from models import MODELS, PAPER
from reference import VERSIONS


def run_all(cells, folder, *, quick=False, jobs=1):
    """Run the cells that have no file yet; return how many failed."""
    missing = [cell for cell in cells if not cell.path(folder).is_file()]
    print(f"{len(cells)} cells, {len(cells) - len(missing)} of them finished before")
    run = one_by_one if jobs == 1 else in_parallel
    failed, started = 0, time.perf_counter()
    for i, (cell, outcome) in enumerate(run(missing, folder, quick, jobs), start=1):
        failed += isinstance(outcome, Exception)
        text = outcome if isinstance(outcome, Exception) else f"{outcome:.1f} s"
        since = time.perf_counter() - started
        line = f"[{i}/{len(missing)}, {since:.0f} s]"
        print(line, *cell, text, flush=True)
    return failed


def attempt(cell, folder, quick):
    """Run one cell; an error ends this cell only."""
    try:
        return run_cell(cell, folder, quick)
    except Exception as error:  # noqa: BLE001  (named in the log; the others go on)
        return cell, error


def one_by_one(cells, folder, quick, jobs):
    """Outcomes of the cells, computed in this process."""
    for cell in cells:
        yield attempt(cell, folder, quick)


def in_parallel(cells, folder, quick, jobs):
    """Outcomes of the cells, as they come from `jobs` processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, ignore_interrupts) as pool:
        futures = [pool.submit(attempt, cell, folder, quick) for cell in cells]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:  # Ctrl-C, or the caller has seen enough
            pool.shutdown(wait=False, cancel_futures=True)
            for child in multiprocessing.active_children():
                child.terminate()
            raise


def ignore_interrupts():
    """Leave Ctrl-C to the parent: skorch would take it for an early stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def parse(arguments=None):
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["all"], choices=["all", *NAMES])
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
    data = NAMES if "all" in options.data else options.data
    cells = cells_of(data, options.seeds, options.models, options.versions)
    folder = options.out / "quick" if options.quick else options.out
    try:
        return int(run_all(cells, folder, quick=options.quick, jobs=options.jobs) > 0)
    except KeyboardInterrupt:
        print(f"Stopped. What is finished is in {folder}; the same command goes on.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
