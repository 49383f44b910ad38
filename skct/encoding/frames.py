"""Raw tables of any type: read a column, write new values in its own type."""

from decimal import Decimal

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


# What is left of a user's table once it is checked: sparse ones are dense, and polars
# frames are pandas ones. Arrays may have more than two dimensions (images).
Table = pd.DataFrame | np.ndarray
Column = pd.Series | np.ndarray


def dense(X):
    """Sparse matrices as arrays; all else as it is."""
    return X.toarray() if sparse.issparse(X) else X


def get_column(table, position):
    """One raw column as a Series or an array."""
    if hasattr(table, "iloc"):
        return table.iloc[:, position]
    return table.reshape(len(table), -1)[:, position]


def pick(categories, index):
    """Categories by index, as an object array."""
    values = np.empty(len(categories), dtype=object)
    values[:] = categories
    return values[index]


def repeat(template, n):
    """Table of `n` copies of the template row."""
    if hasattr(template, "iloc"):
        return template.iloc[np.zeros(n, dtype=int)].reset_index(drop=True)
    return np.repeat(template, n, axis=0)


def write(table, changes, keep_dtype=True):
    """Copy of a table with new values: position -> (rows as mask, values)."""
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


def write_series(series, rows, values, keep_dtype):
    """One column with new values in its own type."""
    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
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


def as_dtype(values, dtype, old):
    """New values in the type of their column; integers rounded, inside its range."""
    if pd.api.types.is_integer_dtype(dtype):
        values = as_integers(values, old, getattr(dtype, "numpy_dtype", dtype))
    return pd.array(values, dtype=dtype)


def as_integers(values, old, dtype):
    """Whole numbers that a type can hold, next to `values`.

    Floats are not exact beyond 2**53: there the change is added to the old number, so
    that it does not go the other way.
    """
    info, values = np.iinfo(dtype), np.round(np.asarray(values, dtype=float))
    if np.abs(values).max(initial=0.0) < 2**53:
        return np.clip(values, info.min, info.max).astype(dtype)
    base = [0 if pd.isna(number) else int(number) for number in old]
    exact = [b + int(v - float(b)) for b, v in zip(base, values, strict=True)]
    return np.array([min(max(v, info.min), info.max) for v in exact], dtype=dtype)


def like_objects(values, column, rows):
    """New numbers of an object column, each as the kind of object it replaces."""
    if values.dtype == object:  # categories are what they are
        return values
    present = column.dropna()
    usual = present.iloc[0] if len(present) else 0.0  # in place of a missing value
    old = column[rows].where(column[rows].notna(), usual)
    new = [like_object(value, like) for value, like in zip(values, old, strict=True)]
    return np.array([*new, None], dtype=object)[:-1]


def like_object(value, like):
    """A number as text, Decimal or integer, if `like` is one."""
    if isinstance(like, str):
        return f"{value:.15g}"
    if isinstance(like, Decimal):
        return Decimal(repr(float(value)))
    if isinstance(like, (int, np.integer)) and value == round(value):
        return int(value)
    return value


def take(values, rows):
    """Rows of a frame or an array, by position; None stays None."""
    if values is None:
        return None
    if sparse.issparse(values):
        return type(values)(values.tocsr()[rows])
    return values.iloc[rows] if hasattr(values, "iloc") else values[rows]


def free_name(name, taken):
    """The name, with ``ce_`` in front as often as it takes to be new."""
    taken = set(taken)
    while name in taken:
        name = f"ce_{name}"
    return name


def as_frame(table, row):
    """Table of any type as a pandas frame with one column per feature."""
    if is_polars(table):
        return as_pandas(table).set_axis(row)
    if hasattr(table, "iloc"):
        return table
    if sparse.issparse(table):
        table = table.toarray()
    return pd.DataFrame(table.reshape(len(table), -1), index=row)


def objects(frame):
    """Cells of a frame as an object array, which keeps integers integers."""
    return frame.astype(object).to_numpy()


def changed(before, after):
    """Mask of the cells that differ; two missing values do not."""
    old, new = objects(before), objects(after)
    gone, missing = pd.isna(old), pd.isna(new)
    differs = gone != missing
    both = ~gone & ~missing
    differs[both] = old[both] != new[both]
    return differs
