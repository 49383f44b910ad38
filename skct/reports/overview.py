"""The upper half of a report: averages, features that change, and groups."""

import pandas as pd

from .formatting import show
from .html import tag
from .parts import bar, feature, section, table, value, way
from .summary import FIGURES, by_group, feature_uses, figure, group_burden, percent

__all__ = ["overview"]


MAX_FEATURES = 20  # images have hundreds
MAX_WAYS = 10  # pairs of classes


def overview(explanation, groups, level):
    """Sections on all rows together."""
    parts = [section("At a glance", glance(explanation), level=level)]
    if explanation.valid.any():
        content = features(explanation)
        parts.append(section("What the answers change", content, level=level))
    if groups is not None:
        content = group_table(explanation, groups)
        parts.append(section("Group by group", content, level=level))
    return parts


def glance(explanation):
    """Counts and averages as tiles, and from which class to which."""
    summary = explanation.summary()
    share = tag("small", f"of {len(explanation):,} ({percent(summary['valid'])})")
    tiles = [tile("Valid answers", [f"{int(explanation.valid.sum()):,} ", share])]
    if explanation.alternative is not None:
        tiles.insert(0, tile("Cases", f"{len(pd.unique(explanation.row)):,}"))
    if explanation.valid.any():
        tiles += [
            tile(f"Mean {name.lower()}", figure(key, summary[key]))
            for key, name in FIGURES.items()
            if key in summary
        ]
    return [tag("dl", tiles, class_="tiles"), ways(explanation)]


def tile(name, content):
    """One figure with its name."""
    return tag("div", tag("dt", name), tag("dd", content), class_="tile")


def ways(explanation):
    """From which class to which, and how often an answer was found."""
    labels = {
        name: [show(label) for label in getattr(explanation, name)]
        for name in ("predicted", "target")
    }
    pairs = pd.DataFrame({**labels, "valid": explanation.valid})
    counts = pairs.groupby(list(labels))["valid"].agg(["size", "sum"])
    counts = counts.sort_values("size", ascending=False, kind="stable")
    lines = [
        tag("li", way(*names), f": {valid:,} of {size:,} valid")
        for names, size, valid in counts.head(MAX_WAYS).itertuples()
    ]
    if len(counts) > MAX_WAYS:
        lines.append(tag("li", f"and {len(counts) - MAX_WAYS} other pairs"))
    return tag("ul", lines, class_="ways")


def features(explanation):
    """Which features carry the changes, and which way they go."""
    uses = feature_uses(explanation)
    n_valid = int(explanation.valid.sum())
    used = [use for use in uses if use.times]
    rows = [
        (
            feature(show(use.name), use.word),
            frequency(use.times, n_valid),
            use.way,
        )
        for use in used[:MAX_FEATURES]
    ]
    head = "Feature", "Share of valid answers", "Typical change"
    content = [
        table("Features by the share of valid answers that change them", head, rows)
    ]
    if len(used) > MAX_FEATURES:
        content.append(tag("p", f"and {len(used) - MAX_FEATURES} further features"))
    content.append(untouched([use for use in uses if not use.times]))
    return tag("div", content, class_="panel")


def frequency(count, n):
    """A count and its share, as text and bar."""
    return bar(count / n, f"{percent(count / n)} ({count:,} of {n:,})")


def untouched(uses):
    """Features that no answer changes, the immutable ones apart."""
    texts = {
        "Cannot change": [use for use in uses if use.word == "none"],
        "Changed by no answer": [use for use in uses if use.word != "none"],
    }
    return [
        tag("p", f"{text}: ", enumeration(names), ".", class_="quiet")
        for text, names in texts.items()
        if names
    ]


def enumeration(uses):
    """Names of features with commas, as many as fit."""
    names = [feature(show(use.name)) for use in uses[:MAX_FEATURES]]
    if len(uses) > MAX_FEATURES:
        names.append(f"and {len(uses) - MAX_FEATURES} more")
    return [[", ", name] if i else name for i, name in enumerate(names)]


def group_table(explanation, groups):
    """Averages by group, and the gaps between groups."""
    averages = by_group(explanation, groups)
    means = {key: name for key, name in FIGURES.items() if key in averages}
    dearest = averages["cost"].max()
    rows = []
    for group, row in averages.iterrows():
        texts = {key: figure(key, row[key]) for key in means}
        if row["cost"] > 0:
            texts["cost"] = bar(row["cost"] / dearest, texts["cost"])
        valid = bar(row["valid"], percent(row["valid"]))
        n_rows = f"{row['n_rows']:,.0f}"
        rows.append((value(show(group)), n_rows, valid, *texts.values()))
    head = value(show(averages.index.name)), "Answers", "Valid", *means.values()
    content = table("Means over the valid answers of each group", head, rows)
    return tag("div", content, gaps(explanation, groups), class_="panel")


def gaps(explanation, groups):
    """How far the groups are apart."""
    burden = group_burden(explanation, groups)
    return tag(
        "p",
        "Largest difference between two groups: "
        f"{figure('cost', burden.cost_gap)} in mean cost, "
        f"{100 * burden.validity_gap:.0f} percentage points in valid answers. "
        "Read both together: few answers may be cheap ones.",
        class_="quiet",
    )
