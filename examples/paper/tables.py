"""Tables of the report: ours beside the published numbers, as Markdown."""

import published
from reference import VERSIONS
from results import LABELS

TIMED = ("BL", "CT", "CT-constrained")


def markdown(header, rows):
    """Table; numbers are already words."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def spread(values, digits=2):
    """Mean and, with several seeds, their standard deviation."""
    if not len(values):
        return "-"
    text = f"{values.mean():.{digits}f}"
    return f"{text} +- {values.std(ddof=1):.{digits}f}" if len(values) > 1 else text


def p_text(p):
    """P value as a word."""
    return "-" if p is None else f"{p:.3f}" if p >= 0.001 else "<0.001"


def number(value, digits=2):
    """Published number as a word."""
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def given(table, data, n):
    """Published numbers for a data set; n times None if it is none of the paper's."""
    return table.get(data, (None,) * n)


# ------------------------------------------------------------------------------- tables


def anchors(results, version="V2"):
    """BL beside what the paper has for it, with the relative deviation."""
    rows = []
    for data in results.data:
        ip, costs = published.ANCHORS.get(data, (None, (None, None)))
        row = [data]
        for score, low, high in (("free ip", ip, ip), ("bound cost", *costs)):
            values = results.values(data, "BL", version, score)
            row += [spread(values), between(low, high), deviation(values, low, high)]
        rows.append(row)
    header = ["data", "IP, BL", "paper", "off", "cost, BL", "paper", "off"]
    return markdown(header, rows)


def between(low, high):
    """Published range as a word."""
    if low is None:
        return "-"
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def deviation(values, low, high):
    """How far the mean lies from the published range, in % of its nearer end."""
    if not len(values) or low is None:
        return "-"
    mean = values.mean()
    nearest = min(max(mean, low), high)
    return f"{100 * (mean / nearest - 1):+.1f}%"


def reductions(results):
    """Table I: reduction of IP, IP* (both length-scales) and cost."""
    rows = []
    for data in results.data:
        for score, model, place in (
            ("free ip", "CT", 0),
            ("free mmd_5.0", "CT", 1),
            ("free mmd_0.5", "CT", None),
            ("bound cost", "CT-constrained", 2),
            ("free cost", "CT", "free"),
        ):
            row = [data, name_of(score)]
            for version in VERSIONS:
                who = data, model, version, score
                theirs = published_reduction(data, version, place)
                ours = spread(results.reduction(*who), 1)
                row += [ours, theirs, p_text(results.p_value(*who))]
            rows.append(row)
    header = ["data", "reduction of"]
    for version in VERSIONS:
        header += [f"ours {version}", f"paper {version}", "p"]
    return markdown(header, rows)


def name_of(score):
    """Name of a score in the table of reductions."""
    mode, key = score.split()
    if key != "cost":
        return LABELS[key]
    return "cost, constrained" if mode == "bound" else "cost, unconstrained"


def published_reduction(data, version, place):
    """Published reduction; None: the paper has none."""
    if place is None:
        return "-"
    if place == "free":
        return number(published.FREE_COST[version].get(data), 1)
    return number(given(published.REDUCTION[version], data, 3)[place], 1)


def absolutes(results, version):
    """Absolute values behind the reductions."""
    rows = []
    for data in results.data:
        row = [data]
        for score, model in (
            ("free ip", "CT"),
            ("free mmd_5.0", "CT"),
            ("bound cost", "CT-constrained"),
        ):
            digits = 4 if "mmd" in score else 2
            for who in (model, "BL"):
                row.append(spread(results.values(data, who, version, score), digits))
        rows.append(row)
    names = ("IP CT", "IP BL", "IP* CT", "IP* BL", "cost CT", "cost BL")
    return markdown(["data", *names], rows)


def validity(results, version):
    """Table III: validity, CT and BL, without and with constraints."""
    rows = []
    for data in results.data:
        theirs = given(published.VALIDITY[version], data, 4)
        asked = (("CT", "free"), ("BL", "free"), ("CT-constrained", "bound"))
        row = [data]
        for (who, mode), paper in zip((*asked, ("BL", "bound")), theirs, strict=True):
            values = results.values(data, who, version, f"{mode} validity")
            row += [spread(values), number(paper)]
        rows.append(row)
    header = ["data"]
    for name in ("CT", "BL", "CT, constrained", "BL, constrained"):
        header += [name, "paper"]
    return markdown(header, rows)


def protection(results, version):
    """Cost and validity with protected columns, by what training knew of them.

    CT: they were free in training. CT-constrained: protected. CT-div-constrained:
    protected, and trained on class loss and divergence only, as the authors'
    configuration of the four synthetic sets says.
    """
    models, rows = ("BL", "CT", "CT-constrained", "CT-div-constrained"), []
    for data in results.data:
        theirs = {
            "cost": given(published.CONSTRAINED_COST[version], data, 2),
            "validity": given(published.VALIDITY[version], data, 4)[2:],
        }
        for score, (ct, bl) in theirs.items():
            ours = (
                spread(results.values(data, who, version, f"bound {score}"))
                for who in models
            )
            rows.append([data, score, *ours, number(bl), number(ct)])
    return markdown(["data", "of", *models, "BL, paper", "CT, paper"], rows)


def sensitivities(results, version):
    """Table II: standardised integrated gradients of the protected columns."""
    rows = []
    for data in results.data:
        row, theirs = [data], given(published.SENSITIVITY[version], data, 2)
        for who, paper in zip(("CT-constrained", "BL"), theirs, strict=True):
            ranged, share = (
                results.values(data, who, version, f"sensitivity {kind}")
                for kind in ("range", "share")
            )
            row += [spread(ranged), number(paper), spread(share)]
        rows.append(row)
    header = ["data", "CT", "paper", "CT, share", "BL", "paper", "BL, share"]
    return markdown(header, rows)


def accuracies(results, version):
    """Clean accuracy of all models, and the published one."""
    models = ("BL", "CT", "AR", "CD")
    rows = []
    for data in results.data:
        ours = [
            spread(results.values(data, who, version, "accuracy"), 3) for who in models
        ]
        ct, bl = given(published.ACCURACY, data, 2)
        rows.append([data, *ours, number(bl), number(ct)])
    return markdown(["data", *models, "BL, paper", "CT, paper (V1)"], rows)


def attacks(results, version):
    """Robust accuracy at the largest radius."""
    rows, models = [], ("BL", "AR", "CD", "CT")
    for data in results.data:
        for attack in ("fgsm", "pgd"):
            theirs = published.ROBUST.get((data, attack), {}) if version == "V2" else {}
            row = [data, attack.upper()]
            for who in models:
                ours = results.values(data, who, version, f"{attack} 0.1")
                row += [spread(ours), number(theirs.get(who))]
            rows.append(row)
    header = ["data", "attack"]
    for who in models:
        header += [who, "paper"]
    return markdown(header, rows)


def ablation(results, version):
    """Fig. 6: reduction of IP and IP* by AR, CD and CT."""
    rows = []
    for data in results.data:
        theirs, row = iter(given(published.ABLATION, data, 6)), [data]
        for score in ("free ip", "free mmd_5.0"):
            for who in ("AR", "CD", "CT"):
                ours = spread(results.reduction(data, who, version, score), 1)
                row += [ours, number(next(theirs), 1)]
        rows.append(row)
    header = ["data"]
    for score in ("IP", "IP*"):
        for who in ("AR", "CD", "CT"):
            header += [f"{score} {who}", "paper"]
    return markdown(header, rows)


def effort(results, version):
    """Seconds, memory and maturity of the cells."""
    rows = []
    for data in results.data:
        for who in ("BL", "CT", "AR", "CD", "CT-constrained"):

            def of(score, data=data, who=who):
                return results.values(data, who, version, score)

            rows.append(
                [
                    *(data, who, spread(of("seconds train"), 1)),
                    *(spread(of("seconds evaluate"), 1), spread(of("memory_mb"), 0)),
                    *(spread(of("mature first")), spread(of("mature last"))),
                ]
            )
    header = ["data", "model", "train, s", "evaluate, s", "peak MB"]
    header += ["mature, first epoch", "last epoch"]
    return markdown(header, rows)


def one_seed(results):
    """CPU seconds that one seed takes, beside those of the paper.

    Theirs are derived from what the authors say about wall time and the CPUs that they
    reserved, for training one CT model.
    """
    runs, lines = results.runs, []
    asked = runs["model"].isin(TIMED)
    runs = runs[asked & runs["version"].isin(("any", results.versions[-1]))]
    seconds = runs.groupby(["data", "model"])["seconds total"].mean().unstack()
    seconds = seconds.reindex([d for d in results.data if d in seconds.index])
    for data, row in seconds.iterrows():
        each = [number(row.get(m), 0) for m in TIMED]
        minutes = published.CPU_MINUTES.get(data)
        theirs = "-" if minutes is None else f"{60 * minutes}"
        lines.append([data, *each, f"{row.sum():.0f}", theirs])
    total = seconds[seconds.index.isin(published.CPU_MINUTES)].sum().sum() / 60
    header = ["data", *(f"{m}, s" for m in TIMED), "sum, s", "paper, CT, s"]
    words = f"{total:.1f} CPU minutes for the paper's data sets."
    return markdown(header, lines) + "\n" + words
