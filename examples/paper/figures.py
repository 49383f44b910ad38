"""Figures of the report, drawn by the displays of `skct.plotting`."""

from pathlib import Path

import pandas as pd
from results import robust_scores

from skct.plotting import AblationDisplay, HistoryDisplay, RobustAccuracyDisplay

SCORES = {"free ip": "IP", "free mmd_5.0": "IP-star"}


def draw_all(results, folder):
    """Draw what there are results for.

    Returns
    -------
    figures : list of (title, path)
    """
    import matplotlib

    matplotlib.use("Agg")
    Path(folder).mkdir(parents=True, exist_ok=True)
    drawn = []
    for version in results.versions:
        drawn += [*draw_robustness(results, version), *draw_ablation(results, version)]
    drawn += [figure for data in results.data for figure in draw_history(results, data)]
    return [(title, save(display, folder, title)) for title, display in drawn]


def save(display, folder, title):
    """Write one figure; its name is its title in small letters."""
    import matplotlib.pyplot as plt

    words = "".join(c if c.isalnum() else " " for c in title.lower()).split()
    path = Path(folder) / f"{'-'.join(words)}.png"
    display.figure_.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(display.figure_)
    return path


def draw_robustness(results, version):
    """Fig. 5."""
    scores = robust_scores(results, version)
    if scores is not None:
        order = pd.Categorical(scores["data"], results.data)
        scores = scores.iloc[order.codes.argsort(kind="stable")]
        yield f"Fig. 5, {version}", RobustAccuracyDisplay(scores).plot()


def draw_ablation(results, version):
    """Fig. 6, one figure per score."""
    models = ("AR", "CD", "CT")
    for score, label in SCORES.items():
        table = {
            (data, model): results.reduction(data, model, version, score)
            for data in results.data
            for model in models
        }
        mean, std = (
            pd.DataFrame(
                [[statistic(table[d, m]) for m in models] for d in results.data],
                index=results.data,
                columns=models,
            )
            for statistic in (pd.Series.mean, pd.Series.std)
        )
        if mean.notna().any(axis=None):
            label = f"Reduction of {label} vs BL (%)"
            display = AblationDisplay(mean, std, label=label).plot()
            yield f"Fig. 6, {SCORES[score]}, {version}", display


def draw_history(results, data):
    """Course of training of the first CT model (V2 where there is one)."""
    cells = [c for c in results.cells if c["data"] == data and c["model"] == "CT"]
    if cells:
        cell = min(cells, key=lambda c: (c["version"] != "V2", c["seed"]))
        title = f"Training of CT on {data}, {cell['version']}, seed {cell['seed']}"
        yield title, HistoryDisplay(pd.DataFrame(cell["history"])).plot()
