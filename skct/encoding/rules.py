"""`Rule`: what may happen to each raw column, in raw units."""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..constraints.spec import (
    check_bounds,
    check_word,
    resolve_mutability,
    resolve_once,
)
from ..exceptions import ConstraintWarning
from ..utils.validation import unknown_name
from .frames import get_column

__all__ = [
    "Rule",
    "box",
    "outside_domain",
    "resolve_rules",
    "warn_outside",
    "within",
]


ONE_WAY = ("increase", "decrease")


class Rule(NamedTuple):
    """What may happen to one raw column, in raw units."""

    mutability: str = "both"
    low: float = -np.inf
    high: float = np.inf
    categories: tuple | None = None
    given: bool = False


def resolve_rules(schema, mutability=None, domain="auto"):
    """Resolve user-given mutability and domain, one rule per raw column.

    Raises
    ------
    ValueError
        Names the parameter, the column and the remedy.
    """
    resolved = resolve_mutability(
        expand_names(schema, mutability), schema.feature_names, schema.raw_shape
    )
    rules = []
    for column, direction, low, high in zip(
        schema.columns, resolved, *schema.observed, strict=True
    ):
        check_one_way(column, direction)
        low, high = (low, high) if domain is not None else (-np.inf, np.inf)
        rules.append(Rule(direction, low, high, column.categories))
    seen = {}
    for key, bounds in domain_items(domain):
        position = resolve_once(key, schema.feature_names, "domain", seen)
        rules[position] = with_domain(schema.columns[position], rules[position], bounds)
    return rules


def domain_items(domain):
    """Column and bounds of each entry of a domain dict."""
    if domain is None or (isinstance(domain, str) and domain == "auto"):
        return []
    if not hasattr(domain, "items"):
        raise ValueError(
            "The 'domain' parameter must be 'auto', None or a dict from column to "
            f"(low, high) or to allowed categories. Got {domain!r} instead."
        )
    return domain.items()


def check_one_way(column, direction):
    """Check that a one-way mutability is given to a column with an order."""
    if column.categories is not None and direction in ONE_WAY and not column.ordered:
        raise ValueError(
            f"The mutability {direction!r} of column {column.name!r} needs an order, "
            "but its categories have none, or the preprocessor encodes them in another "
            "one; make it an ordered pandas.Categorical and one-hot encode it, or use "
            "'both' or 'none'."
        )


def with_domain(column, rule, bounds):
    """Rule with the user's bounds or allowed categories."""
    if column.categories is None:
        low, high = check_bounds(column.name, bounds)
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
        if column.integer:
            low, high = np.ceil(low), np.floor(high)
        if low > high:
            raise ValueError(
                f"The domain {tuple(bounds)!r} of the integer column "
                f"{column.name!r} holds no integer; widen it."
            )
        return rule._replace(low=low, high=high, given=True)
    listed = hasattr(bounds, "__iter__") and not isinstance(bounds, str)
    allowed = tuple(bounds) if listed else ()
    if not allowed:
        raise ValueError(
            f"The domain of the categorical column {column.name!r} must list its "
            f"allowed categories, at least one. Got {bounds!r} instead."
        )
    for value in allowed:
        if value not in column.categories:
            where = f"the domain of {column.name!r}"
            raise unknown_name("category", value, column.categories, where)
    return rule._replace(categories=allowed, given=True)


def expand_names(schema, mutability):
    """Accept raw names for encoded columns (``age`` for ``num__age``)."""
    if not hasattr(mutability, "items"):
        return mutability
    known = set(schema.feature_names)
    expanded = {}
    for key, direction in mutability.items():
        matches = [key]
        if isinstance(key, str) and key not in known:
            matches = encoded_names(schema, key) or [key]
        if len(matches) > 1 or matches[0] != key:
            check_word(key, direction)
            if len(matches) > 1 and direction in ONE_WAY:
                raise ValueError(
                    f"The mutability {direction!r} of {key!r} needs an order, but the "
                    "name stands for one-hot columns; use 'both' or 'none'."
                )
        expanded.update(dict.fromkeys(matches, direction))
    return expanded


def encoded_names(schema, key):
    """Columns of this table that one raw name in front of it stands for."""
    names = [str(name) for name in schema.feature_names]
    tails = [name.split("__", 1)[-1] for name in names]
    found = [i for i, tail in enumerate(tails) if tail == key]
    units = {(i,) for i in found}
    if not found:
        found = [i for i, tail in enumerate(tails) if tail.startswith(f"{key}_")]
        units = {(unit_of(schema, i), names[i][: -len(tails[i])]) for i in found}
    if len(units) > 1:
        listed = ", ".join(repr(schema.feature_names[i]) for i in found[:4])
        raise ValueError(
            f"The name {key!r} in mutability stands for several columns ({listed}, "
            "...); use their own names."
        )
    return [schema.feature_names[i] for i in found]


def unit_of(schema, position):
    """What a column belongs to: its one-hot group, the 0/1 columns, or itself."""
    encoded = set(schema.columns[position].encoded)
    for group in schema.groups:
        if encoded <= set(group.columns):
            return group.columns
    return "binary" if encoded and encoded <= set(schema.binary) else (position,)


def box(raw, rules):
    """Floor and ceiling of raw numbers; the factual is always inside."""
    low = np.array([rule.low for rule in rules])
    high = np.array([rule.high for rule in rules])
    floor = np.where(np.isnan(raw), low, np.fmin(low, raw))
    ceiling = np.where(np.isnan(raw), high, np.fmax(high, raw))
    mutability = np.array([rule.mutability for rule in rules])
    floor = np.where((mutability == "increase") & ~np.isnan(raw), raw, floor)
    ceiling = np.where((mutability == "decrease") & ~np.isnan(raw), raw, ceiling)
    return floor, ceiling


def outside_domain(schema, rules, X, given_only=True):
    """Yield name and row mask of each column with factuals outside its domain."""
    numbers = None
    for i, rule in enumerate(rules):
        if given_only and not rule.given:
            continue
        if rule.categories is not None:
            values = pd.Series(np.asarray(get_column(X, i), dtype=object))
            outside = ~(values.isin(rule.categories) | values.isna()).to_numpy()
        else:
            numbers = schema.numbers(X) if numbers is None else numbers
            room = 0.0 if rule.given else 1e-6 * np.abs(numbers[:, i])  # of float32
            with np.errstate(invalid="ignore"):
                outside = numbers[:, i] < rule.low - room
                outside |= numbers[:, i] > rule.high + room
        if outside.any():
            yield schema.feature_names[i], outside


def within(value, dtype, floor, ceiling):
    """Numbers as `dtype` holds them, nudged where its rounding left the bounds."""
    cast = np.asarray(value).astype(dtype)
    cast = np.where(cast > ceiling, np.nextafter(cast, dtype.type(-np.inf)), cast)
    return np.where(cast < floor, np.nextafter(cast, dtype.type(np.inf)), cast)


def warn_outside(schema, rules, X, stacklevel=3):
    """Warn about factuals outside a domain that the user gave."""
    found = [
        f"{int(outside.sum())} factuals lie outside that of {name!r}"
        for name, outside in outside_domain(schema, rules, X)
    ]
    if found:
        warnings.warn(
            f"Domain: {'; '.join(found)}. They keep their value unless the search "
            "moves it inwards.",
            ConstraintWarning,
            stacklevel=stacklevel,
        )
