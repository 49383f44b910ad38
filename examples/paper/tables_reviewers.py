"""Tables of what reviewers asked for, as Markdown: mean +- sd over training seeds.

Each takes the results and, where models depend on it, the version.
"""

from analyses import GROUPS
from models import REVIEWERS
from tables import markdown, spread

GENERATORS = {"ECCCo": "free", "Generic": "generic", "REVISE": "revise"}
TRAINED = ("BL", "CT")
QUALITY = {
    "IP": ("ip", 2),
    "IP*": ("mmd_5.0", 4),
    "cost": ("cost", 2),
    "validity": ("validity", 2),
}


def generators(results, version="V2"):
    """Other generators at test time: does REVISE on BL make training unnecessary?

    Threshold 0.95, unconstrained, no distance penalty but REVISE's own of 0.001. IP
    and cost count valid answers only, IP* all. REVISE sees the training rows at test
    time.
    """
    rows = []
    for data in analysed(results, version, "revise ip"):
        for label, (score, digits) in QUALITY.items():
            row = [
                spread(results.values(data, who, version, f"{mode} {score}"), digits)
                for who in TRAINED
                for mode in GENERATORS.values()
            ]
            rows.append([data, label, *row])
    names = [f"{who} + {name}" for who in TRAINED for name in GENERATORS]
    return markdown(["data", "score", *names], rows)


def baselines(results, version="V2"):
    """Other generators and objectives in training, beside BL and CT."""
    rows = []
    for data in results.data:
        for who in (*TRAINED, *REVIEWERS):
            row = baseline(results, data, who, version)
            if set(row) != {"-"}:
                rows.append([data, who, *row])
    header = ["data", "model", "accuracy", "PGD 0.1", "IP, reduction in %"]
    header += ["IP*, reduction in %", "validity", "training, s"]
    return markdown(header, rows)


def baseline(results, data, who, version):
    """Words about one model; "-" where there is nothing, as for BL against itself."""
    against = () if who == "BL" else ("free ip", "free mmd_5.0")
    gains = [results.reduction(data, who, version, score) for score in against]

    def of(score, digits=2):
        return spread(results.values(data, who, version, score), digits)

    return [
        *(of("accuracy", 3), of("pgd 0.1", 3)),
        *([spread(gain, 1) for gain in gains] or ["-", "-"]),
        *(of("free validity"), of("seconds train", 1)),
    ]


def plausibility(results, version="V2"):
    """Distance from the five nearest rows, and MMD with the median heuristic.

    ECCCo with an energy weight of 1, threshold 0.95; smaller is better.
    """
    columns = {
        "5 nearest": ("plausibility nearest", 2),
        "MMD, median": ("plausibility mmd", 4),
    }
    return by_model(results, version, columns)


def faithfulness(results, version="V2"):
    """Distance from the model's own samples of the target class; smaller is better.

    Chains that start anywhere in the domain, and at training rows.
    """
    columns = {"from the domain": ("faith box", 2), "from rows": ("faith rows", 2)}
    return by_model(results, version, columns)


def stability(results, version="V2"):
    """Share of valid counterfactuals that retraining, or noise of 0.1, leaves valid.

    ECCCo with an energy weight of 1, threshold 0.5; larger is better. The other models
    differ in their seed, which both the weights at the start and the targets of the
    training searches come from.
    """
    columns = {"other seeds": ("retraining kept", 2), "noise": ("noise kept", 2)}
    return by_model(results, version, columns)


def by_model(results, version, columns):
    """One row per data set, and for each score one column per analysed model."""
    rows, models = [], models_with(results, [score for score, _ in columns.values()])
    for data in results.data:
        row = [
            spread(results.values(data, who, version, score), digits)
            for score, digits in columns.values()
            for who in models
        ]
        if set(row) != {"-"}:
            rows.append([data, *row])
    names = [f"{label}, {who}" for label in columns for who in models]
    return markdown(["data", *names], rows)


def burden(results, version="V2"):
    """Burden of recourse to >50K on Adult by sex and by race.

    All test rows predicted <=50K; categories and age cannot change, threshold 0.5. The
    burden counts people without a valid answer at the worst cost of those with one.
    """
    models, rows = models_with(results, burden_scores(results)), []
    for name in GROUPS:
        for group in groups(results, name):
            for who in models:
                key = f"burden {name} {group}"
                words = [
                    spread(results.values("Adult", who, version, f"{key} {score}"), n)
                    for score, n in (("n", 0), ("cost", 2), ("validity", 2))
                ]
                filled = results.values("Adult", who, version, f"{key} burden")
                rows.append([name, group, who, *words, spread(filled)])
    header = ["by", "group", "model", "n", "cost of valid", "validity", "burden"]
    return markdown(header, rows)


def burden_scores(results):
    """Columns with a burden."""
    return [c for c in results.runs if c.startswith("burden ")]


def groups(results, name):
    """Groups that have a burden, the largest first."""
    head, tail = f"burden {name} ", " n"
    sizes = {
        column[len(head) : -len(tail)]: results.runs[column].max()
        for column in burden_scores(results)
        if column.startswith(head) and column.endswith(tail)
    }
    return sorted(sizes, key=sizes.get, reverse=True)


def models_with(results, scores):
    """Models with any of the scores, BL and CT first."""
    known = results.runs.reindex(columns=scores).notna().any(axis=1)
    models = set(results.runs["model"][known])
    return sorted(models, key=lambda who: ((*TRAINED, who).index(who), who))


def analysed(results, version, score):
    """Data sets with a score of BL or CT."""
    return [
        data
        for data in results.data
        if any(len(results.values(data, who, version, score)) for who in TRAINED)
    ]


TABLES = {
    "Generators at test time": generators,
    "Generators and objectives in training": baselines,
    "Plausibility by other measures": plausibility,
    "Faithfulness": faithfulness,
    "Stability of recourse": stability,
    "Burden of recourse on Adult": burden,
}
