"""Running many cells, one after another or in several processes."""

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor, as_completed


def run_all(work, cells, *arguments, jobs=1):
    """Do the work for every cell; print a line for each.

    Parameters
    ----------
    work : callable
        ``work(cell, *arguments)`` returns the cell and the seconds that it took.
    cells : list of Cell
    *arguments
        The same for all cells.
    jobs : int, default=1
        Processes.

    Returns
    -------
    failed : int
        Number of cells that ended with an error.
    """
    run = one_by_one if jobs == 1 else in_parallel
    failed, started = 0, time.perf_counter()
    for i, (cell, outcome) in enumerate(run(work, cells, arguments, jobs), start=1):
        failed += isinstance(outcome, Exception)
        text = outcome if isinstance(outcome, Exception) else f"{outcome:.1f} s"
        since = time.perf_counter() - started
        line = f"[{i}/{len(cells)}, {since:.0f} s]"
        print(line, *cell, text, flush=True)
    return failed


def attempt(work, cell, arguments):
    """Work on one cell; an error ends this cell only."""
    try:
        return work(cell, *arguments)
    except Exception as error:  # noqa: BLE001  (named in the log; the others go on)
        return cell, error


def one_by_one(work, cells, arguments, jobs):
    """Outcomes of the cells, computed in this process."""
    for cell in cells:
        yield attempt(work, cell, arguments)


def in_parallel(work, cells, arguments, jobs):
    """Outcomes of the cells, as they come from `jobs` processes."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, ignore_interrupts) as pool:
        futures = [pool.submit(attempt, work, cell, arguments) for cell in cells]
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
