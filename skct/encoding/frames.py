"""Raw tables of any type: read a column, write new values in its own type."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from ..utils.polars import as_pandas, is_polars

__all__ = [
    "Column",
    "Table",
    "as_frame",
    "changed",
    "dense",
    "free_name",
    "get_column",
    "objects",
    "pick",
    "repeat",
    "take",
    "write",
]


# What a checked table is: a pandas DataFrame or an array, which may have more than two
# dimensions (images). pandas has no type hints, so that a union would only get in the
# way of mypy.
Table: TypeAlias = Any  # DataFrame or ndarray
Column: TypeAlias = Any  # Series or ndarray
# Position of a column -> the rows that change, as a mask, and their new values.
Changes = dict[int, tuple[np.ndarray, np.ndarray]]


def dense(X: Any) -> Any:
    """Sparse matrices as arrays; all else as it is."""
    return X.toarray() if sparse.issparse(X) else X


def get_column(table: Table, position: int) -> Column:
    """One raw column as a Series or an array."""
    if hasattr(table, "iloc"):
        return table.iloc[:, position]
    return table.reshape(len(table), -1)[:, position]


def pick(categories: Sequence, index: Any) -> np.ndarray:
    """Categories by index or mask, as an object array."""
    values = np.empty(len(categories), dtype=object)
    values[:] = categories
    return values[index]


def repeat(template: Table, n: int) -> Table:
    """Table of `n` copies of the template row."""
    if hasattr(template, "iloc"):
        return template.iloc[np.zeros(n, dtype=int)].reset_index(drop=True)
    return np.repeat(template, n, axis=0)


def write(table: Table, changes: Changes, keep_dtype: bool = True) -> Table:
    """Copy of a table with new values in some columns.

    Parameters
    ----------
    table : DataFrame or ndarray of shape (n, *features)
    changes : dict
        Position of a column -> rows to change (a mask), and their values.
    keep_dtype : bool, default=True
        Values are rounded and cast to the column's type, and take the kind of the
        objects they replace. False: a numeric column becomes float instead.

    Returns
    -------
    table : same type
    """
    if hasattr(table, "iloc"):
        out = table.copy()
        for position, (rows, values) in changes.items():
            series = table.iloc[:, position]
            out.isetitem(position, write_series(series, rows, values, keep_dtype))
        return out
    out = table.copy()
    if not keep_dtype and out.dtype.kind in "biu":
        out = out.astype(float)
    flat = out.reshape(len(out), -1)
    for position, (rows, values) in changes.items():
        if out.dtype == object:
            column = pd.Series(flat[:, position], dtype=object)
            values = like_objects(values, column, rows)
        elif keep_dtype and out.dtype.kind in "iu":
            values = as_integers(values, flat[rows, position], out.dtype)
        flat[rows, position] = values
    return flat.reshape(table.shape)


def write_series(
    series: pd.Series, rows: np.ndarray, values: np.ndarray, keep_dtype: bool
) -> pd.Series:
    """One column with new values in its own type."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        # By code: assignment of values would need every one to be a known category.
        codes = series.cat.codes.to_numpy().copy()
        codes[rows] = dtype.categories.get_indexer(values)
        new = pd.Categorical.from_codes(codes, dtype=dtype)
        return pd.Series(new, index=series.index, name=series.name)
    if isinstance(dtype, pd.SparseDtype):
        series = series.sparse.to_dense()
        return write_series(series, rows, values, keep_dtype).astype(dtype)
    if not keep_dtype:
        dtype = object if dtype == object else float
        series = series.astype(dtype)
    if dtype == object:
        values = like_objects(values, series, rows)
    out = series.copy()
    try:
        out.iloc[np.flatnonzero(rows)] = as_dtype(values, dtype, series[rows])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Column {series.name!r} has the type {dtype} and cannot hold "
            f"{values[0]!r}; pass it in the type that it had in fit."
        ) from error
    return out


def as_dtype(values: Any, dtype: Any, old: Any) -> Any:
    """New values in the type of their column; integers rounded, inside its range."""
    if pd.api.types.is_integer_dtype(dtype):
        values = as_integers(values, old, getattr(dtype, "numpy_dtype", dtype))
    elif pd.api.types.is_bool_dtype(dtype):
        values = np.asarray(values).astype(bool)
    return pd.array(values, dtype=dtype)


def as_integers(values: Any, old: Any, dtype: Any) -> np.ndarray:
    """Whole numbers next to `values`, clipped to the range of an integer type.

    Float64 is not exact beyond 2**53, where rounding could turn an increase into a
    decrease. There the change of the float is added to the old integer.
    """
    info, values = np.iinfo(dtype), np.round(np.asarray(values, dtype=float))
    if np.abs(values).max(initial=0.0) < 2**53:
        return np.clip(values, info.min, info.max).astype(dtype)
    # Python's integers are exact; the difference of two near floats is, too.
    base = [0 if pd.isna(number) else int(number) for number in old]
    exact = [b + int(v - float(b)) for b, v in zip(base, values, strict=True)]
    return np.array([min(max(v, info.min), info.max) for v in exact], dtype=dtype)


def like_objects(values: np.ndarray, column: pd.Series, rows: np.ndarray) -> np.ndarray:
    """New numbers of an object column, each as the kind of object it replaces."""
    if values.dtype == object:  # categories are what they are
        return values
    present = column.dropna()
    usual = present.iloc[0] if len(present) else 0.0  # in place of a missing value
    old = column[rows].where(column[rows].notna(), usual)
    new = [like_object(value, like) for value, like in zip(values, old, strict=True)]
    # The None keeps numpy from looking into the objects, should they be sequences.
    return np.array([*new, None], dtype=object)[:-1]


def like_object(value: float, like: Any) -> Any:
    """A number as text, Decimal or integer, if `like` is one."""
    if isinstance(like, str):
        return f"{value:.15g}"
    if isinstance(like, Decimal):
        return Decimal(repr(float(value)))
    if isinstance(like, (int, np.integer)) and value == round(value):
        return int(value)
    return value


def take(values: Any, rows: np.ndarray) -> Any:
    """Rows of a frame or an array, by position; None stays None."""
    if values is None:
        return None
    if sparse.issparse(values):
        return type(values)(values.tocsr()[rows])
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def free_name(name: str, taken: Iterable) -> str:
    """The name, prefixed with ``ce_`` until no column has it."""
    taken = set(taken)
    while name in taken:
        name = f"ce_{name}"
    return name


def as_frame(table: Any, row: Any) -> pd.DataFrame:
    """Table of any type as a pandas frame with one column per feature.

    `row` labels the rows of tables that have no index.
    """
    if is_polars(table):
        return as_pandas(table).set_axis(row)
    if hasattr(table, "iloc"):
        return table
    if sparse.issparse(table):
        table = table.toarray()
    return pd.DataFrame(table.reshape(len(table), -1), index=row)


def objects(frame: pd.DataFrame) -> np.ndarray:
    """Cells of a frame as an object array, which keeps integers integers."""
    return frame.astype(object).to_numpy()


def changed(before: pd.DataFrame, after: pd.DataFrame) -> np.ndarray:
    """Mask of the cells that differ; two missing values do not."""
    old, new = objects(before), objects(after)
    old_missing, new_missing = pd.isna(old), pd.isna(new)
    differs = old_missing != new_missing
    present = ~old_missing & ~new_missing
    differs[present] = old[present] != new[present]
    return differs
