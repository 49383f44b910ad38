"""Text columns that look like something else: numbers, dates, identifiers."""

import re
from collections.abc import Sequence

__all__ = ["advice_on_text"]

SHARE = 0.9  # of the different values have to look alike
FEWEST_DATES = 5  # different values that are called dates
MOST_CODES = 20  # different whole numbers that may well be codes
MANY = 50  # different values of a column that is worth a word

NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?", re.IGNORECASE)
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
CODE = re.compile(r"0\d+")  # 02139: no number is written like that
DATE = re.compile(
    r"(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([ T].*)?"
)


def advice_on_text(name: object, values: Sequence, n_rows: int, most: int) -> str:
    """What to do about a text column that looks like something else; "" if nothing.

    Parameters
    ----------
    name : object
        Of the column.
    values : sequence
        Its different values.
    n_rows : int
        Rows that hold one.
    most : int
        Different values that a category may have.
    """
    if not all(isinstance(value, str) for value in values):
        return ""
    texts = [value.strip() for value in values]
    column = f"X[{name!r}]"
    n_dates = sum(DATE.fullmatch(text) is not None for text in texts)
    if n_dates >= max(SHARE * len(texts), FEWEST_DATES):
        return (
            f"{n_dates:,} of its {len(texts):,} different values look like dates. "
            f"Make a number of them first: {column} = (pd.to_datetime({column}, "
            "errors='coerce') - pd.Timestamp('2000-01-01')).dt.days"
        )
    n_numbers, cleaning = as_numbers(texts)
    if n_numbers >= SHARE * len(texts):
        say_so = f"say so: {column} = {column}.astype('category')"
        return (
            f"{n_numbers:,} of its {len(texts):,} different values look like numbers. "
            f"If they are, convert them first: {column} = pd.to_numeric({column}"
            f"{cleaning}, errors='coerce'). If they are codes, "
            f"{say_so if len(texts) <= most else 'group them'}"
        )
    if len(texts) > max(MANY, n_rows / 2):
        return (
            f"it holds {len(texts):,} different values in {n_rows:,} rows. A name or "
            "an identifier? Drop it, or group it"
        )
    return ""


def as_numbers(texts: Sequence[str]) -> tuple[int, str]:
    """How many texts look like numbers, and what pandas has to do first to read them.

    None if they are codes: whole numbers of which there are few, or with leading zeros.
    """
    bare = [text.rstrip("% ") for text in texts]
    found = [t for t in bare if NUMBER.fullmatch(t) or THOUSANDS.fullmatch(t)]
    whole = all(t.lstrip("+-").isdigit() for t in found)
    percent = any(text.endswith("%") for text in texts)
    few = whole and not percent and len(found) <= MOST_CODES
    if few or any(CODE.fullmatch(t) for t in found):
        return 0, ""
    cleaning = ".str.rstrip('% ')" if percent else ""
    with_comma = [t for t in found if "," in t]
    if with_comma:
        thousands = all(THOUSANDS.fullmatch(t) for t in with_comma)
        cleaning += f".str.replace(',', {'' if thousands else '.'!r})"
    return len(found), cleaning
