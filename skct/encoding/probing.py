"""Probing: rows made up and encoded to see what the preprocessor does to a column.

A preprocessor is a black box here: how a column is scaled, and which numbers stand for
a category, is not read from its attributes but measured.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from . import transformers
from .frames import Table, pick, repeat, write
from .schema import Lattice, RawColumn, TableSchema

__all__ = ["encode_numbers", "with_probed_encoding"]


def with_probed_encoding(transformer: Any, schema: TableSchema) -> TableSchema:
    """Schema with the lattice of its numbers and the codes of its categories."""
    schema = replace(schema, lattice=probe_lattice(transformer, schema))
    return with_codes(transformer, schema)


def encode_numbers(
    transformer: Any, schema: TableSchema, positions: list[int], values: np.ndarray
) -> np.ndarray:
    """Encode template rows that hold other numbers in some columns.

    Parameters
    ----------
    transformer : fitted transformer or None
    schema : TableSchema
    positions : list of int
        Raw columns to write to.
    values : ndarray of shape (n, n_positions)
        Where infinite, the value of the template is kept.

    Returns
    -------
    encoded : ndarray of shape (n, n_encoded), float32
    """
    finite = np.isfinite(values)
    table = write(
        repeat(schema.template, len(values)),
        {i: (finite[:, k], values[finite[:, k], k]) for k, i in enumerate(positions)},
        keep_dtype=False,  # probe values need not be whole
    )
    return encode_flat(transformer, table)


def encode_flat(transformer: Any, table: Table) -> np.ndarray:
    """Flattened model input of a table, as float32."""
    encoded = transformers.apply(transformer, table)
    with np.errstate(over="ignore"):  # a bound beyond float32 is an open end
        return encoded.astype(np.float32).reshape(len(encoded), -1)


# ---------------------------------------------------------------------------- numbers


def probe_lattice(transformer: Any, schema: TableSchema) -> Lattice:
    """Direction and integer steps of all numeric columns, probed at four points.

    The ends give direction and step of a linear encoding, and the middle and a point
    before it show whether it is linear: behind a power transform, neighbouring integers
    are not evenly spaced. All columns move at once, since each output depends on one of
    them only.
    """
    size = schema.n_encoded
    sign, step, origin = np.ones(size), np.zeros(size), np.zeros(size)
    nonlinear = set()
    numeric = schema.numeric
    if transformer is None:
        for i in numeric:
            step[i] = float(schema.columns[i].integer)
    elif numeric:
        start, width = probe_range(schema)
        # Around the middle a bend may be symmetric.
        quarter = np.floor(width / 4)
        points = start + np.stack([0 * width, quarter, width / 2, width])
        ends = encode_numbers(transformer, schema, numeric, points)
        for k, i in enumerate(numeric):
            (position,) = schema.columns[i].encoded
            first, early, middle, last = (float(v) for v in ends[:, position])
            sign[position] = -1.0 if last < first else 1.0
            size_of_one = abs(last - first) / width[k]
            linear = np.isclose(middle - first, last - middle, rtol=1e-3)
            expected = quarter[k] / width[k] * (last - first)
            linear &= np.isclose(early - first, expected, rtol=1e-3)
            if not schema.columns[i].integer:
                continue
            if not linear:
                nonlinear.add(position)
            elif size_of_one > 1e-4:  # finer steps drown in the rounding of float32
                step[position], origin[position] = size_of_one, first
    return Lattice(sign, step, origin, frozenset(nonlinear))


def probe_range(schema: TableSchema) -> tuple[np.ndarray, np.ndarray]:
    """Start and width of the range to probe, for each numeric column.

    The observed range, as the preprocessor may not be defined outside of it (a
    logarithm, say). Where that is unknown, two units up from the template row.
    """
    numeric = schema.numeric
    low, high = (end[numeric] for end in schema.observed)
    base = schema.numbers(schema.template)[0, numeric]
    start = np.where(np.isfinite(low), low, np.where(np.isnan(base), 1.0, base))
    with np.errstate(over="ignore"):
        width = high - low
    width = np.where(np.isfinite(width) & (high > low), width, 2.0)
    integer = np.array([schema.columns[i].integer for i in numeric])
    start = np.where(integer, np.round(start), start)
    # An even width, so that the middle is an integer as well.
    even = np.maximum(2.0, 2.0 * np.ceil(width / 2.0))
    return start, np.where(integer, even, width)


# ------------------------------------------------------------------------- categories


def with_codes(transformer: Any, schema: TableSchema) -> TableSchema:
    """Schema with the codes of all categories, by encoding one row for each.

    Row k holds the k-th category of every column at once; columns with fewer
    categories start again from their first.
    """
    categories = {
        i: column.categories
        for i, column in enumerate(schema.columns)
        if column.categories and column.encoded
    }
    if not categories:
        return schema
    n_rows = max(len(values) for values in categories.values())
    every_row = np.ones(n_rows, dtype=bool)
    changes = {
        i: (every_row, pick(values, np.arange(n_rows) % len(values)))
        for i, values in categories.items()
    }
    table = write(repeat(schema.template, n_rows), changes)
    encoded = transformers.apply(transformer, table)
    columns = list(schema.columns)
    sign, step, origin = (part.copy() for part in schema.lattice[:3])
    for i, values in categories.items():
        codes = encoded[: len(values)][:, list(columns[i].encoded)]
        codes = codes.astype(np.float32).astype(float)  # as the model sees them
        if codes.shape[1] > 1:
            columns[i] = with_one_hot_codes(columns[i], codes)
        else:
            columns[i] = with_ordinal_codes(columns[i], codes)
            (p,) = columns[i].encoded
            sign[p], step[p], origin[p] = ordinal_lattice(codes)
    lattice = schema.lattice._replace(sign=sign, step=step, origin=origin)
    return replace(schema, columns=tuple(columns), lattice=lattice)


def with_one_hot_codes(column: RawColumn, codes: np.ndarray) -> RawColumn:
    """Column with the codes of its one-hot block."""
    baseline = (codes <= codes.min(0)).all(1)  # a category without a column of its own
    # "All off" counts as the lowest category, so a baseline further up has no order.
    ordered = column.ordered and not baseline[1:].any()
    return column._replace(codes=codes, ordered=ordered)


def with_ordinal_codes(column: RawColumn, codes: np.ndarray) -> RawColumn:
    """Column with the codes of its single number, which have to be evenly spaced."""
    gaps = np.diff(np.unique(codes))
    if len(gaps) and not np.allclose(gaps, gaps[0], rtol=1e-3):
        raise ValueError(
            f"The categories of column {column.name!r} are encoded as unevenly "
            "spaced numbers; one-hot or ordinal encode it."
        )
    steps = np.diff(codes[:, 0])
    monotone = bool((steps > 0).all() or (steps < 0).all())
    return column._replace(codes=codes, ordered=column.ordered and monotone)


def ordinal_lattice(codes: np.ndarray) -> tuple[float, float, float]:
    """Sign, step and origin of categories that are encoded as evenly spaced numbers."""
    gaps = np.diff(np.unique(codes))
    falling = len(gaps) and codes[-1, 0] < codes[0, 0]
    return -1.0 if falling else 1.0, gaps[0] if len(gaps) else 0.0, codes.min()
