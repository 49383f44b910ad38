"""polars frames are pandas ones inside skct: `as_pandas` in, `as_polars` out."""

import sys
from typing import Any

import pandas as pd

__all__ = ["as_pandas", "as_polars", "is_polars"]


def is_polars(X: Any) -> bool:
    """Whether X is a polars frame; polars itself is not imported for that."""
    polars = sys.modules.get("polars")
    return polars is not None and isinstance(X, (polars.DataFrame, polars.LazyFrame))


def as_pandas(X: Any) -> Any:
    """Polars frames as pandas ones, where integers stay integers; all else as it is.

    Dictionaries of Arrow, which Parquet makes of categories, are categories again.
    """
    if isinstance(X, pd.DataFrame):
        coded = [str(dtype).startswith("dictionary<") for dtype in X.dtypes]
        if any(coded):
            X = X.astype(dict.fromkeys(X.columns[coded], "category"))
        return X
    if not is_polars(X):
        return X
    if not hasattr(X, "height"):
        raise TypeError("X is a polars LazyFrame; pass X.collect().")
    wide = [name for name, dtype in X.schema.items() if "nt128" in str(dtype)]
    if wide:  # which pandas does not know
        X = X.cast(dict.fromkeys(wide, sys.modules["polars"].Int64))
    frame = X.to_pandas()
    for name, dtype in X.schema.items():
        kind = str(dtype).replace("Boolean", "boolean")  # as pandas spells it
        if X[name].null_count() and (dtype.is_integer() or kind == "boolean"):
            frame[name] = pd.array(X[name].to_list(), dtype=kind)
        elif kind.startswith("Enum"):  # whose order older versions leave out
            frame[name] = frame[name].cat.as_ordered()
    return frame


def is_whole(values: pd.Series) -> bool:
    """Whether all numbers that are there are whole."""
    present = values.dropna()
    return bool((present == present.round()).all())


def as_polars(frame: pd.DataFrame, like: Any) -> Any:
    """Pandas frame as a polars one in the types of `like`, row by row its factual.

    A value that is missing was missing before, as null or as NaN, and stays so.
    """
    import polars as pl

    columns = []
    for name, dtype in like.schema.items():
        values = frame[name].reset_index(drop=True)
        new, old = pl.from_pandas(values.to_frame())[name], like[name]
        if dtype.is_integer() and new.dtype.is_float() and not is_whole(values):
            old = old.cast(new.dtype)  # a request of whole numbers, moved to a fraction
        elif dtype.is_numeric() and not new.dtype.is_numeric():
            old = old.cast(pl.String)  # codes that were learnt as text
            new = new.cast(pl.String)
        new = new.cast(old.dtype)
        columns.append(old.zip_with(pl.Series(values.isna().to_numpy()), new))
    return pl.DataFrame(columns)
