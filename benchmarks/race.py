"""Both sides of a comparison in one run: alternating, medians, ratios.

Other scripts import this one; it is not run by itself.
"""

import json
import statistics
import subprocess
import sys
import time

__all__ = ["in_threads", "race", "show"]


def race(sides, repeats=5, budget=60.0):
    """Time functions in turn.

    Parameters
    ----------
    sides : dict of callable
    repeats : int
        Rounds, after one that does not count.
    budget : float
        Seconds after which no further round is begun.

    Returns
    -------
    medians : dict of float
        Seconds of wall time by side.
    """
    times = {name: [] for name in sides}
    started = time.perf_counter()
    for i in range(repeats + 1):
        for name, work in sides.items():
            before = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - before)
        if i and time.perf_counter() - started > budget:
            break
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def in_threads(script, *arguments, threads=(1, 2)):
    """Run ``script ... --threads n`` in processes of their own; yield their answers.

    Thread pools are set up once per process, before anything is imported.
    """
    for n in threads:
        command = [sys.executable, script, *map(str, arguments), "--threads", str(n)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        yield n, json.loads(done.stdout.splitlines()[-1])


def show(rows):
    """Print rows, dicts of text and numbers, as a table in Markdown."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(text(row.get(name, "")) for name in names) + " |")


def text(value):
    """Three significant digits of a number."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
