"""Rows to predict or explain, in the types that their columns had in training."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from ..exceptions import ColumnWarning
from ..utils.caller import warn
from .frames import Column, Table, get_column
from .schema import RawColumn, TableSchema

__all__ = ["in_training_types"]

is_integer, is_float = pd.api.types.is_integer_dtype, pd.api.types.is_float_dtype
N_SHOWN = 3  # unknown categories that a warning lists


def in_training_types(schema: TableSchema, table: Table) -> Table:
    """Table whose columns hold what a counterfactual may need, as they did in training.

    A file or a request may read otherwise: numbers that happen to be whole become
    integers, codes of digits numbers, and a column without any value floats. What says
    the same is taken for the same, "3" for 3 and " a" for "a". Categories that training
    has not seen are told.

    Parameters
    ----------
    schema : TableSchema
    table : DataFrame or ndarray of shape (n, *features)

    Returns
    -------
    table : same type
        The very one where nothing differs. Integers stay integers where training had
        some, too.
    """
    if not hasattr(table, "iloc"):
        return array_in_training_types(schema, table)
    check_order(schema, table)
    changes = {}
    for i, column in enumerate(schema.columns):
        old = get_column(table, i)
        dtype = get_column(schema.template, i).dtype
        if column.categories is not None:
            new = as_categories(column, old, dtype)
        elif column.encoded:
            tell_varying(column.name, old, *(end[i] for end in schema.observed))
            new = as_floats(old) if is_float(dtype) else old
        else:
            continue
        if new is not old:
            changes[i] = new
    table = table.copy(deep=False) if changes else table
    for position, values in changes.items():
        table.isetitem(position, values)
    return table


def check_order(schema: TableSchema, table: pd.DataFrame) -> None:
    """Check the order of names that are no text, which scikit-learn passes over."""
    names, known = list(table.columns), list(schema.feature_names)
    if names != known and set(names) == set(known):
        raise ValueError(
            f"X has the columns {names[:5]} in another order than in fit, "
            f"{known[:5]}; pass them in that order."
        )


def as_floats(old: pd.Series) -> pd.Series:
    """Whole numbers as floats, all else as it is."""
    if not is_integer(old.dtype):
        return old
    numbers = old.to_numpy(float, na_value=np.nan)
    return pd.Series(numbers, old.index, name=old.name)


def tell_varying(name: object, column: pd.Series, low: float, high: float) -> None:
    """Warn of a number that training has seen with one value alone."""
    if low != high or column.isna().all():
        return
    share = (column.dropna() != low).mean()
    if share:
        warn(
            f"Column {name!r} had the value {low:g} in every row of training, and has "
            f"another one in {share:.1%} of these: the model has learnt nothing about "
            "it. Leave it out, or fit again.",
            ColumnWarning,
        )


def array_in_training_types(schema: TableSchema, table: np.ndarray) -> np.ndarray:
    """As `in_training_types`, for arrays, of which all columns have one type."""
    dtype = getattr(schema.template, "dtype", table.dtype)
    if table.dtype.kind in "iu" and dtype.kind == "f":
        return table.astype(np.result_type(dtype, table.dtype))
    if table.dtype != object:
        return table
    table = table.copy()
    for i, column in enumerate(schema.columns):
        if column.categories is not None:
            old = pd.Series(table[:, i], dtype=object)
            table[:, i] = as_categories(column, old, old.dtype)
    return table


def as_categories(column: RawColumn, old: pd.Series, dtype: Any) -> Column:
    """Column of categories in a type that holds all of them."""
    present, known = old.dropna(), set(column.categories or ())
    try:
        unknown = [value for value in present.unique() if value not in known]
    except TypeError:  # cells that are no categories; the encoder says so
        return old
    meant = dict(zip(unknown, what_is_meant(unknown, column), strict=True))
    strange = [value for value in unknown if meant[value] is None]
    if strange:
        tell_unknown(column, present, strange, dtype)
    holds_numbers = pd.api.types.is_numeric_dtype(old.dtype)
    holds_numbers &= not pd.api.types.is_bool_dtype(old.dtype)
    if not holds_numbers and len(strange) == len(unknown):
        return with_room(column, old, dtype)
    values = old.astype(object)
    values = values.map(lambda v: v if meant.get(v) is None else meant[v])
    if pd.api.types.is_string_dtype(dtype) and dtype != object:
        values = values.map(str, na_action="ignore")
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = pd.CategoricalDtype([*dtype.categories, *strange], dtype.ordered)
    elif pd.api.types.is_numeric_dtype(dtype):  # bools, which may be missing here
        dtype = object
    return values.astype(dtype)


def with_room(column: RawColumn, old: pd.Series, dtype: Any) -> Column:
    """Column of pandas' own type for categories with room for every one known here.

    A part of a table, such as a row group of a file, may declare fewer, and a
    counterfactual could not be written into it. Those of training come first.
    """
    if not isinstance(old.dtype, pd.CategoricalDtype):
        return old
    known = dtype.categories if isinstance(dtype, pd.CategoricalDtype) else []
    wanted = pd.Index([*known, *(column.categories or ())]).unique().dropna()
    if wanted.isin(old.cat.categories).all():
        return old
    return old.cat.set_categories(wanted.append(old.cat.categories).unique())


def what_is_meant(values: Iterable, column: RawColumn) -> list:
    """Known category that each value is another spelling of; None if there is none."""
    spellings: dict[str, list] = {}
    for category in column.categories or ():
        spellings.setdefault(spelling(category), []).append(category)
    found = [spellings.get(spelling(value), []) for value in values]
    return [known[0] if len(known) == 1 else None for known in found]


def spelling(value: Any) -> str:
    """Text of a value, the same for 3, 3.0, "3" and " 3"; codes keep their zeros."""
    text = str(value).strip()
    if text.isdecimal():  # exactly, however long
        return text
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def tell_unknown(
    column: RawColumn, present: pd.Series, strange: list, dtype: Any
) -> None:
    """Warn of categories that training has not seen."""
    share = present.isin(strange).mean()
    shown = [v.item() if isinstance(v, np.generic) else v for v in strange[:N_SHOWN]]
    listed = ", ".join(map(repr, shown))
    more = ", ..." if len(strange) > N_SHOWN else ""
    folded = {str(c).casefold(): c for c in column.categories or ()}
    close = folded.get(str(strange[0]).strip().casefold())
    hint = "" if close is None else f" Did you mean {close!r}?"
    types = "" if present.dtype == dtype else f" ({present.dtype}, in training {dtype})"
    warn(
        f"Column {column.name!r}{types} holds categories that training has not seen, "
        f"in {share:.1%} of the rows that have one: {listed}{more}. The model takes "
        f"them for none of those it knows.{hint}",
        ColumnWarning,
    )
