"""HTML elements that escape their content."""

from html import escape

from .formatting import visible

__all__ = ["Html", "markup", "tag", "void"]


class Html(str):
    """Text that is markup already; all other text is escaped."""

    __slots__ = ()


def markup(part):
    """Anything as markup: text is escaped, markup and lists of it pass."""
    if isinstance(part, Html):
        return part
    if isinstance(part, (list, tuple)):
        return Html("".join(markup(item) for item in part))
    return Html(escape(visible(str(part))))


def tag(name, /, *content, **attributes):
    """Element with its content; attributes as keywords (``class_`` for class)."""
    return Html(f"<{name}{settings(attributes)}>{markup(content)}</{name}>")


def void(name, /, **attributes):
    """Element without content, such as ``meta``."""
    return Html(f"<{name}{settings(attributes)}>")


def settings(attributes):
    """Attributes as they stand in a start tag."""
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(str(text))}"'
        for name, text in attributes.items()
    )
