"""Running many cells, one after another or in several processes."""

import multiprocessing
import signal
import time
from concurrent.futures import ProcessPoolExecutor, as_completed


def run_all(work, cells, folder, quick, *, jobs=1):
    """Do the work for every cell; print a line for each.

    Parameters
    ----------
    work : callable
        ``work(cell, folder, quick)`` returns the cell and the seconds that it took.
    cells : list of Cell
    folder : Path
        Where results are.
    quick : bool
    jobs : int, default=1
        Processes.

    Returns
    -------
    code : int
        What the command is to exit with: 0, 1 if a cell ended with an error, 130 after
        Ctrl-C.
    """
    run = one_by_one if jobs == 1 else in_parallel
    failed, started = False, time.perf_counter()
    outcomes = run(work, cells, (folder, quick), jobs)
    try:
        for i, (cell, outcome) in enumerate(outcomes, start=1):
            error = isinstance(outcome, Exception)
            text, failed = (outcome, True) if error else (f"{outcome:.1f} s", failed)
            line = f"[{i}/{len(cells)}, {time.perf_counter() - started:.0f} s]"
            print(line, *cell, text, flush=True)
    except KeyboardInterrupt:
        print(f"Stopped. What is finished is in {folder}; the same command goes on.")
        return 130
    return int(failed)


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
