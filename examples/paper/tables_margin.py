"""Table of the package's own objective beside the paper's, as Markdown."""

from tables import markdown, spread

MODELS = ("CT", "CT-margin")
VERSION = "V2"
GAINS = ("free ip", "free mmd_5.0")


def objectives(results):
    """The paper's objective (CT) and ``objective="margin"`` beside each other.

    CT is weighed for each data set, CT-margin has one setting for all. Reductions in %
    against BL with the same seed, cost with protected columns; validity without and
    with protection; accuracy against BL in points.
    """
    rows = [
        [data, who, *comparison(results, data, who)]
        for data in results.data
        for who in MODELS
        if len(results.values(data, "CT-margin", VERSION, "accuracy"))
    ]
    header = ["data", "model", "seeds", "IP", "IP*", "cost, protected", "validity"]
    header += ["validity, protected", "accuracy, points", "PGD 0.1"]
    return markdown(header, rows)


def comparison(results, data, who):
    """Words about one model."""
    bound = f"{who}-constrained"
    accuracy = results.pair(data, who, VERSION, "accuracy")
    gains = [results.reduction(data, who, VERSION, score) for score in GAINS]
    cost = results.reduction(data, bound, VERSION, "bound cost")
    return [
        str(len(accuracy)),
        *(spread(gain, 1) for gain in (*gains, cost)),
        spread(results.values(data, who, VERSION, "free validity")),
        spread(results.values(data, bound, VERSION, "bound validity")),
        spread(100 * (accuracy["ours"] - accuracy["base"]), 1),
        spread(results.values(data, who, VERSION, "pgd 0.1")),
    ]


TABLES = {"The package's own objective": objectives}
