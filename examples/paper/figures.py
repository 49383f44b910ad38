"""Figures of the report, drawn by the displays of `skct.plotting`.

Every `draw_...` yields (title, matplotlib Figure, caption).
"""

from pathlib import Path

import pandas as pd
from figures_ablation import METHODS, AblationDisplay
from figures_models import draw_attribution, draw_images, draw_linear, draw_surfaces
from models import PAPER
from published import ROBUST as ATTACKED
from results import robust_scores

from skct.plotting import HistoryDisplay, RobustAccuracyDisplay

SCORES = {"free ip": "IP", "free mmd_5.0": "IP-star"}
ROBUST = "Accuracy on attacked test rows, mean over the seeds that are finished."
ABLATION = (
    "Full CT beside its two halves, adversarial (AR) and contrastive (CD); bars: mean "
    "over seeds, lines: their standard deviation."
)
HISTORY = "Course of one training: the terms of the loss, and how many searches mature."


def draw_all(results, folder):
    """Draw what there are results for.

    Returns
    -------
    figures : list of (title, path, caption)
    """
    import matplotlib

    matplotlib.use("Agg")
    Path(folder).mkdir(parents=True, exist_ok=True)
    drawn = draw_one_by_one(results)
    return [(title, save(fig, folder, title), text) for title, fig, text in drawn]


def draw_one_by_one(results):
    """All figures, in the order of the report."""
    yield from draw_linear()
    yield from draw_images(results)
    yield from draw_attribution(results)
    for version in results.versions:
        yield from draw_robustness(results, version)
        yield from draw_ablation(results, version)
    yield from draw_surfaces(results)
    for data in results.data:
        yield from draw_history(results, data)


def save(figure, folder, title):
    """Write one figure in 256 colours; its name is its title in small letters."""
    import matplotlib.pyplot as plt
    from PIL import Image

    words = "".join(c if c.isalnum() else " " for c in title.lower()).split()
    path = Path(folder) / f"{'-'.join(words)}.png"
    figure.savefig(path, dpi=110, bbox_inches="tight")
    plt.close(figure)
    with Image.open(path) as drawn:
        small = drawn.convert("RGB").quantize(256)
    small.save(path, optimize=True)
    return path


def draw_robustness(results, version):
    """Fig. 5: the paper's models, on its data sets that attacks can hurt."""
    scores = robust_scores(results, version)
    if scores is not None:
        scores = scores[scores["model"].isin(PAPER)]
        hurt = scores["data"].isin({data for data, _ in ATTACKED})
        scores = scores[hurt] if hurt.any() else scores
        order = pd.Categorical(scores["data"], results.data)
        scores = scores.iloc[order.codes.argsort(kind="stable")]
        figure = RobustAccuracyDisplay(scores, colours=METHODS).plot().figure_
        yield f"Fig. 5, {version}", figure, ROBUST


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
            figure = AblationDisplay(mean, std, label=label).plot().figure_
            yield f"Fig. 6, {SCORES[score]}, {version}", figure, ABLATION


def draw_history(results, data):
    """Course of training of the first CT model (V2 where there is one)."""
    cells = [c for c in results.cells if c["data"] == data and c["model"] == "CT"]
    if cells:
        cell = min(cells, key=lambda c: (c["version"] != "V2", c["seed"]))
        title = f"Training of CT on {data}, {cell['version']}, seed {cell['seed']}"
        figure = HistoryDisplay(pd.DataFrame(cell["history"])).plot().figure_
        yield title, figure, HISTORY
