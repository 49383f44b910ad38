"""`Rule`: what may happen to each raw column, in raw units."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..constraints.spec import (
    check_bounds,
    check_word,
    resolve_mutability,
    resolve_once,
)
from ..exceptions import ConstraintWarning
from ..utils.caller import warn
from ..utils.validation import unknown_name
from .frames import Table, get_column
from .schema import RawColumn, TableSchema

__all__ = [
    "Rule",
    "cast_within",
    "feasible_range",
    "outside_domain",
    "resolve_rules",
    "warn_outside",
]


ONE_WAY = ("increase", "decrease")


class Rule(NamedTuple):
    """What may happen to one raw column, in raw units.

    Parameters
    ----------
    mutability : {"both", "increase", "decrease", "none"}, default="both"
        Directions in which it may change.
    low, high : float
        Bounds of a number; infinite where open.
    categories : tuple, optional
        Allowed categories; None for a number.
    given : bool, default=False
        The user has given the bounds or categories; they are not just those observed.
    """

    mutability: str = "both"
    low: float = -np.inf
    high: float = np.inf
    categories: tuple | None = None
    given: bool = False


def resolve_rules(
    schema: TableSchema, mutability: Any = None, domain: Any = "auto"
) -> list[Rule]:
    """Resolve user-given mutability and domain, one rule per raw column.

    Parameters
    ----------
    schema : TableSchema
    mutability, domain
        As in `CounterfactualTrainingClassifier`.

    Returns
    -------
    rules : list of Rule

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
        # Columns that a dict does not name stay within what was observed, as with
        # "auto"; only None opens all of them.
        low, high = (low, high) if domain is not None else (-np.inf, np.inf)
        rules.append(Rule(direction, low, high, column.categories))
    seen: dict = {}
    for key, bounds in domain_items(domain):
        position = resolve_once(key, schema.feature_names, "domain", seen)
        rules[position] = with_domain(schema.columns[position], rules[position], bounds)
    return rules


def domain_items(domain: Any) -> Any:
    """Column and bounds of each entry of a domain dict."""
    if domain is None or (isinstance(domain, str) and domain == "auto"):
        return []
    if not hasattr(domain, "items"):
        raise ValueError(
            "The 'domain' parameter must be 'auto', None or a dict from column to "
            f"(low, high) or to allowed categories. Got {domain!r} instead."
        )
    return domain.items()


def check_one_way(column: RawColumn, direction: str) -> None:
    """Check that a one-way mutability is given to a column with an order."""
    if column.categories is not None and direction in ONE_WAY and not column.ordered:
        raise ValueError(
            f"The mutability {direction!r} of column {column.name!r} needs an order, "
            "but its categories have none, or the preprocessor encodes them in another "
            "one; make it an ordered pandas.Categorical and one-hot encode it, or use "
            "'both' or 'none'."
        )


def with_domain(column: RawColumn, rule: Rule, bounds: Any) -> Rule:
    """Rule with the user's bounds or allowed categories."""
    if column.categories is None:
        low, high = check_bounds(column.name, bounds)
        low = -np.inf if low is None else float(low)
        high = np.inf if high is None else float(high)
        if column.integer:
            # The outermost integers inside; rounding to the nearest may leave the
            # domain.
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


def expand_names(schema: TableSchema, mutability: Any) -> Any:
    """Accept raw names for encoded columns (``age`` for ``num__age``).

    A classifier behind a `ColumnTransformer` sees the names that this makes up, while
    users think of the raw table.
    """
    if not hasattr(mutability, "items"):
        return mutability
    known = set(schema.feature_names)
    expanded = {}
    for key, direction in mutability.items():
        matches = [key]
        if isinstance(key, str) and key not in known:
            matches = match_raw_name(schema, key) or [key]
        if len(matches) > 1 or matches[0] != key:
            check_word(key, direction)
            if len(matches) > 1 and direction in ONE_WAY:
                raise ValueError(
                    f"The mutability {direction!r} of {key!r} needs an order, but the "
                    "name stands for one-hot columns; use 'both' or 'none'."
                )
        expanded.update(dict.fromkeys(matches, direction))
    return expanded


def match_raw_name(schema: TableSchema, key: str) -> list:
    """Names of this table's columns that were encoded from one raw column.

    They are ``step__key``, or ``step__key_category`` for each category of `key`.
    """
    names = [str(name) for name in schema.feature_names]
    tails = [name.split("__", 1)[-1] for name in names]
    found = [i for i, tail in enumerate(tails) if tail == key]
    units: set = {(i,) for i in found}
    if not found:
        found = [i for i, tail in enumerate(tails) if tail.startswith(f"{key}_")]
        # ``key_`` may also begin the names of other raw columns (``marital_status``):
        # the columns found have to be of one step, and one group or all binary.
        units = {(unit_of(schema, i), names[i][: -len(tails[i])]) for i in found}
    if len(units) > 1:
        listed = ", ".join(repr(schema.feature_names[i]) for i in found[:4])
        raise ValueError(
            f"The name {key!r} in mutability stands for several columns ({listed}, "
            "...); use their own names."
        )
    return [schema.feature_names[i] for i in found]


def unit_of(schema: TableSchema, position: int) -> Any:
    """What a column belongs to: its one-hot group, the 0/1 columns, or itself."""
    encoded = set(schema.columns[position].encoded)
    for group in schema.groups:
        if encoded <= set(group.columns):
            return group.columns
    return "binary" if encoded and encoded <= set(schema.binary) else (position,)


def feasible_range(
    raw: np.ndarray, rules: list[Rule], value: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest raw number that each cell may change to.

    A factual outside of its domain, or at the edge of one-way mutability, may keep its
    value; if it moves inwards it enters the domain. Missing values have nothing to
    keep, and any number in the domain will do.

    Parameters
    ----------
    raw : ndarray of shape (n, n_features)
    rules : list of Rule
    value : ndarray of shape (n, n_features)
        What the numbers are to become.

    Returns
    -------
    floor, ceiling : ndarray of shape (n, n_features)
    """
    low = np.array([rule.low for rule in rules])
    high = np.array([rule.high for rule in rules])
    known = ~np.isnan(raw)
    # A factual outside of its domain is no error, since the table is what it is: the
    # range is stretched to where it stands, and no further.
    floor = np.where(known & ~(value > raw), np.fmin(low, raw), low)
    ceiling = np.where(known & ~(value < raw), np.fmax(high, raw), high)
    mutability = np.array([rule.mutability for rule in rules])
    floor = np.where((mutability == "increase") & known, np.fmax(raw, floor), floor)
    ceiling = np.where(
        (mutability == "decrease") & known, np.fmin(raw, ceiling), ceiling
    )
    return floor, ceiling


def outside_domain(
    schema: TableSchema, rules: list[Rule], X: Table, given_only: bool = True
) -> Iterator[tuple[object, np.ndarray]]:
    """Yield name and row mask of each column with factuals outside its domain.

    Parameters
    ----------
    schema : TableSchema
    rules : list of Rule
    X : DataFrame or ndarray of shape (n, *features)
    given_only : bool, default=True
        Leave out columns whose domain is what was observed.

    Yields
    ------
    name : object
    outside : bool ndarray of shape (n,)
    """
    numbers = None
    for i, rule in enumerate(rules):
        if given_only and not rule.given:
            continue
        if rule.categories is not None:
            values = pd.Series(np.asarray(get_column(X, i), dtype=object))
            outside = ~(values.isin(rule.categories) | values.isna()).to_numpy()
        else:
            # Converting the whole table is slow: once, and only if some rule needs it.
            numbers = schema.numbers(X) if numbers is None else numbers
            # Observed bounds may have been decoded from float32, unlike given ones.
            tolerance = 0.0 if rule.given else 1e-6 * np.abs(numbers[:, i])
            with np.errstate(invalid="ignore"):
                outside = numbers[:, i] < rule.low - tolerance
                outside |= numbers[:, i] > rule.high + tolerance
        if outside.any():
            yield schema.feature_names[i], outside


def cast_within(
    value: np.ndarray, dtype: np.dtype, floor: np.ndarray, ceiling: np.ndarray
) -> np.ndarray:
    """Numbers as `dtype` holds them, inside bounds of higher precision.

    Rounding to the nearest number can leave the bounds by one step of `dtype`, which is
    then taken back.
    """
    cast = np.asarray(value).astype(dtype)
    cast = np.where(cast > ceiling, np.nextafter(cast, dtype.type(-np.inf)), cast)
    return np.where(cast < floor, np.nextafter(cast, dtype.type(np.inf)), cast)


def warn_outside(schema: TableSchema, rules: list[Rule], X: Table) -> None:
    """Warn about factuals outside a domain that the user gave.

    Parameters
    ----------
    schema : TableSchema
    rules : list of Rule
    X : DataFrame or ndarray of shape (n, *features)
    """
    found = [
        f"{int(outside.sum())} factuals lie outside that of {name!r}"
        for name, outside in outside_domain(schema, rules, X)
    ]
    if found:
        warn(
            f"Domain: {'; '.join(found)}. They keep their value unless the search "
            "moves it inwards.",
            ConstraintWarning,
        )
