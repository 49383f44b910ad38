"""Pieces that all parts of a report share: sections, tables, marks and bars."""

from .html import Html, markup, tag

__all__ = [
    "bar",
    "feature",
    "hidden",
    "mark",
    "section",
    "sign",
    "table",
    "value",
    "way",
]


LOCK = "M4 7V5a4 4 0 0 1 8 0v2h1v8H3V7Zm2 0h4V5a2 2 0 0 0-4 0Z"
RISE = "M8 2l5 6H9.5v6h-3V8H3Z"
FALL = "M8 14l5-6H9.5V2h-3v6H3Z"
MARKS = {
    "none": (LOCK, "cannot change"),
    "increase": (RISE, "may only rise"),
    "decrease": (FALL, "may only fall"),
}


def section(title, *content, level):
    """Part of a page under a heading of that level."""
    return tag("section", tag(f"h{level}", title), content, class_="section")


def table(caption, head, rows):
    """Table whose first column names the rows."""
    lines = [
        tag("tr", tag("th", name, scope="row"), [tag("td", cell) for cell in cells])
        for name, *cells in rows
    ]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", [tag("th", name, scope="col") for name in head])),
        tag("tbody", lines),
    )


def value(text):
    """Text that comes from the table, kept apart in its direction of writing."""
    return tag("bdi", text)


def feature(name, word="both"):
    """A feature, which may break after an underscore, with its mark."""
    return [tag("bdi", Html(markup(name).replace("_", "_<wbr>"))), mark(word)]


def hidden(text):
    """Words for those who listen to the page."""
    return tag("span", text, class_="sr")


def sign(path):
    """Small drawing beside words that say the same."""
    drawing = tag("path", d=path, fill="currentColor", fill_rule="evenodd")
    return tag("svg", drawing, viewBox="0 0 16 16", aria_hidden="true")


def mark(word):
    """What a feature must not do, as a sign and in words; often nothing."""
    if word not in MARKS:
        return ""
    path, text = MARKS[word]
    return tag("span", sign(path), f" {text}", class_="mark")


def way(predicted, target):
    """From one class to another."""
    arrow = tag("span", " \N{RIGHTWARDS ARROW} ", aria_hidden="true")
    now, then = (
        tag("span", text, class_="quiet") for text in ("predicted ", "target ")
    )
    return [now, value(predicted), arrow, hidden(", "), then, value(target)]


def bar(share, text):
    """A share of 1 as a text and a bar; drawn, because print drops backgrounds."""
    full = tag("rect", class_="rest", width="100", height="8")
    part = tag("rect", width=f"{100 * share:.1f}", height="8")
    drawing = tag(
        "svg",
        full,
        part,
        viewBox="0 0 100 8",
        preserveAspectRatio="none",
        aria_hidden="true",
    )
    return tag("div", text, drawing, class_="share")
