"""The report of an explanation: a document of its own, or a part of a notebook."""

from .._version import __version__
from .cards import cards
from .html import Html, tag, void
from .overview import overview
from .parts import section
from .style import PAGE, SCOPED

__all__ = ["document", "fragment"]


# No script, no image, no font, nothing from the network.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'"

LEAD = "With these changes the model would decide as asked."

GLOSSARY = {
    "Would have to be": (
        "With these values, and all others as they are, the model would decide for "
        "the target. Other answers may exist."
    ),
    "Valid": "The model assigns the case, changed as shown, to its target.",
    "Cost": (
        "How far the answer is from the case: the sum of the changes in standard "
        "deviations; another category counts 1. Columns may have been given weights. "
        "Smaller is better."
    ),
    "Implausibility": (
        "Mean distance of the answer from observed cases of the target class, in "
        "the same units. Smaller looks more like them."
    ),
    "Target probability": (
        "Probability of the target according to the model, for the changed case."
    ),
    "Limits": (
        "The answers describe the model, not the world: they do not say that a "
        "change is possible for this person, nor what else it would cause."
    ),
}


def document(explanation, groups, max_rows):
    """Complete HTML page, for a file or a mail."""
    title = f"Counterfactual explanations: {count(explanation)}"
    head = [
        void("meta", charset="utf-8"),
        void("meta", name="viewport", content="width=device-width, initial-scale=1"),
        void("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("title", title),
        tag("style", Html(PAGE + SCOPED)),
    ]
    body = tag(
        "main",
        tag("h1", "What would have to change"),
        tag("p", f"{title}. {LEAD}"),
        overview(explanation, groups, level=2),
        cards(explanation, max_rows, level=2),
        section("How to read this report", glossary(explanation), level=2),
        tag("p", f"Made with skct {__version__}.", class_="quiet"),
        class_="skct-report",
    )
    page = tag("html", tag("head", head), tag("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def fragment(explanation, max_rows):
    """Part of a notebook: its style reaches nothing else there."""
    parts = overview(explanation, None, level=4), cards(explanation, max_rows, level=4)
    style = tag("style", Html(SCOPED))
    return str(tag("div", style, parts, class_="skct-report", lang="en"))


def glossary(explanation):
    """What the figures mean, as far as they occur."""
    left_out = "Implausibility" if explanation.implausibility is None else None
    items = [
        (tag("dt", name), tag("dd", text))
        for name, text in GLOSSARY.items()
        if name != left_out
    ]
    return tag("dl", items, class_="glossary")


def count(explanation):
    """How many answers there are."""
    return f"{len(explanation):,} answer{'' if len(explanation) == 1 else 's'}"
