"""What a training table tells: columns, ranges, a template row, codes and groups.

`learn_schema` goes through all of it in order; every step takes a `TableSchema` and
returns one that knows more.
"""

from collections.abc import Hashable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ..constraints import Group
from ..preprocessing import is_category, to_numbers
from ..utils.indicators import named_blocks
from . import transformers
from .frames import Column, Table, get_column, pick, write
from .probing import with_probed_encoding
from .schema import Lattice, RawColumn, TableSchema

__all__ = ["learn_schema", "read_schema"]


def learn_schema(transformer: Any, X: Table) -> TableSchema:
    """Schema of a training table.

    Parameters
    ----------
    transformer : fitted transformer or None
    X : DataFrame or ndarray of shape (n, *raw_shape)
        The training rows.

    Returns
    -------
    schema : TableSchema

    Raises
    ------
    ValueError
        For a step that loses information or has no inverse, with its name.
    """
    schema = read_columns(transformer, X)
    schema = with_observed_values(schema, X)
    schema = replace(schema, template=anonymise_template(schema, X))
    schema = with_probed_encoding(transformer, schema)
    groups = category_groups(schema.columns)
    if len(schema.raw_shape) == 1:
        found = indicator_groups(schema, X)
        schema = replace(schema, lattice=without_steps(schema.lattice, found))
        groups += found
    schema = replace(schema, groups=groups)
    check_round_trip(transformer, schema, X[:50])
    return schema


def read_schema(transformer: Any, X: Table) -> TableSchema:
    """Schema of a table of which only names and types count, as in `learn_schema`.

    Observed ranges are infinite, and 0/1 columns and one-hot blocks of an encoded table
    are not recognised: some rows to explain say nothing about the others.
    """
    schema = with_probed_encoding(transformer, read_columns(transformer, X))
    return replace(schema, groups=category_groups(schema.columns))


# ------------------------------------------------------------------------ the columns


def read_columns(transformer: Any, X: Table) -> TableSchema:
    """Schema with types, names, and the way of each raw column to the model input."""
    raw_shape = tuple(X.shape[1:])
    n_raw = int(np.prod(raw_shape))
    feature_names = raw_names(X, n_raw)
    if transformer is None:
        origins, known = transformers.one_to_one(n_raw), {}
        input_shape = raw_shape
    else:
        origins = transformers.sources(transformer, n_raw)
        known = transformers.categories(transformer, n_raw)
        input_shape = (len(origins),)
    encoded_names = output_names(transformer, feature_names, len(origins))
    check_unmixed(origins, feature_names)
    owner = np.array([columns[0] for columns in origins], dtype=int)
    outputs: dict[int, list[int]] = {i: [] for i in range(n_raw)}
    for position, i in enumerate(owner):
        outputs[i].append(position)
    columns = tuple(
        describe_column(get_column(X, i), name, tuple(outputs[i]), known.get(i))
        for i, name in enumerate(feature_names)
    )
    size = len(owner)
    return TableSchema(
        raw_shape=raw_shape,
        input_shape=input_shape,
        feature_names=feature_names,
        encoded_names=encoded_names.reshape(input_shape),
        owner=owner,
        columns=columns,
        observed=(np.full(n_raw, -np.inf), np.full(n_raw, np.inf)),
        template=X[:1].copy(),
        lattice=Lattice(np.ones(size), np.zeros(size), np.zeros(size)),
    )


def raw_names(X: Table, n_raw: int) -> np.ndarray:
    """Names of the raw columns, or positions where there are none."""
    names = np.empty(n_raw, dtype=object)
    for i, name in enumerate(X.columns if hasattr(X, "columns") else range(n_raw)):
        names[i] = name  # one by one: a name may be a tuple
    return names


def output_names(transformer: Any, feature_names: np.ndarray, size: int) -> np.ndarray:
    """Names of the columns of the flattened model input."""
    names = [f"x{i}" for i in range(size)]
    if transformer is None:
        names = list(feature_names)
    elif hasattr(transformer, "get_feature_names_out"):
        # A step without names raises.
        with suppress(AttributeError, ValueError):
            names = list(transformer.get_feature_names_out())
    out = np.empty(size, dtype=object)
    out[:] = names
    return out


def check_unmixed(origins: transformers.Sources, feature_names: np.ndarray) -> None:
    """Check that each output depends on one raw column."""
    mixed = [columns for columns in origins if len(columns) != 1]
    if mixed:
        names = [feature_names[i] for i in mixed[0][:5]]
        raise ValueError(
            f"The preprocessor mixes the columns {names} in one output, so that "
            "counterfactuals cannot be given in raw columns."
        )


def describe_column(
    values: Column,
    name: object,
    encoded: tuple[int, ...],
    known: tuple[tuple, bool] | None,
) -> RawColumn:
    """Read the type of one raw column.

    `known` are the categories that the preprocessor encodes, and whether their order
    was declared; None if it takes the column for a number.
    """
    if known is not None:
        return describe_categories(values, name, encoded, *known)
    if encoded and is_category(values) and not pd.api.types.is_bool_dtype(values.dtype):
        check_scalars(values, name)
        raise ValueError(
            f"Column {name!r} holds categories (type {values.dtype}), but the "
            "preprocessor hands it on as a number; encode it, or use "
            "preprocessor='auto'."
        )
    if len(encoded) > 1:
        raise ValueError(
            f"The numeric column {name!r} feeds {len(encoded)} columns of the "
            "model input, so that a change of one cannot be led back to it; let "
            "one transformer handle it."
        )
    return RawColumn(name, encoded, integer=is_integer_column(values, name, encoded))


def describe_categories(
    values: Column,
    name: object,
    encoded: tuple[int, ...],
    categories: tuple,
    ordered: bool,
) -> RawColumn:
    """Categorical column; the order that its dtype declares comes first."""
    if getattr(values.dtype, "ordered", False):
        declared = [c for c in values.dtype.categories if c in categories]
        ordered = len(declared) == len(categories)
        categories = tuple(declared) or categories
    return RawColumn(name, encoded, categories, ordered=ordered)


def is_integer_column(values: Column, name: object, encoded: tuple[int, ...]) -> bool:
    """Whether a numeric column is of an integer type (bool counts)."""
    if values.dtype == object and encoded:
        numbers = to_numbers(values, name)
        whole = all(isinstance(value, (int, np.integer)) for value in values)
        return whole and bool(np.isfinite(numbers).all())
    kinds = pd.api.types.is_integer_dtype, pd.api.types.is_bool_dtype
    return any(is_kind(values.dtype) for is_kind in kinds)


def check_scalars(values: Column, name: object) -> None:
    """Raise a TypeError, as numpy does, for a cell that is no category either."""
    for value in values:
        if not isinstance(value, Hashable):
            raise TypeError(
                "An argument must be a string, a number or missing, but column "
                f"{name!r} holds a {type(value).__name__}."
            )


# ------------------------------------------------------------------------- the values


def with_observed_values(schema: TableSchema, X: Table) -> TableSchema:
    """Schema with observed ranges, and the float columns that count as integers.

    Those are 0/1 columns, and whole numbers that pandas turned to float because some
    are missing.
    """
    numeric = np.array(schema.numeric, dtype=int)
    low, high = (end.copy() for end in schema.observed)
    values = schema.numbers(X)[:, numeric]
    low[numeric] = np.nanmin(values, axis=0)
    high[numeric] = np.nanmax(values, axis=0)
    missing = np.isnan(values)
    is_binary = ((values == 0) | (values == 1) | missing).all(0)
    is_whole = is_binary
    if hasattr(X, "iloc"):
        whole = (missing | (values == np.round(values))).all(0) & missing.any(0)
        is_whole = is_binary | whole
    columns = list(schema.columns)
    for i in numeric[is_whole]:
        columns[i] = columns[i]._replace(integer=True)
    binary = [p for i in numeric[is_binary] for p in columns[i].encoded]
    return replace(
        schema, observed=(low, high), columns=tuple(columns), binary=tuple(binary)
    )


def anonymise_template(schema: TableSchema, X: Table) -> Table:
    """Template row of medians and first categories, in place of a person's data."""
    numeric, one = schema.numeric, np.ones(1, dtype=bool)
    medians = np.nanmedian(schema.numbers(X)[:, numeric], axis=0)
    changes = {i: (one, np.array([m])) for i, m in zip(numeric, medians, strict=True)}
    for i, column in enumerate(schema.columns):
        if column.categories:
            changes[i] = one, pick(column.categories, [0])
    template = write(schema.template, changes)
    if hasattr(X, "iloc"):
        template = template.reset_index(drop=True)  # row labels may be names
        for i, column in enumerate(schema.columns):
            if not column.encoded and not column.categories:  # dropped, may be a text
                template.isetitem(i, [np.nan])
    return template


def check_round_trip(transformer: Any, schema: TableSchema, X: Table) -> None:
    """Decode what was encoded: a step that clips, bins or rounds shows here."""
    if transformer is None:
        return
    raw = schema.numbers(X)
    encoded = transformers.apply(transformer, X)
    back = transformers.inverse_numeric(transformer, encoded, len(schema.columns))
    scale = np.nanmax(np.abs(raw), axis=0, initial=0.0) + 1e-12
    with np.errstate(invalid="ignore"):
        differs = np.abs(back - raw) > 1e-4 * scale
    for position in np.flatnonzero(differs.any(0)):
        if schema.columns[position].categories is None:
            name = schema.feature_names[position]
            raise ValueError(
                f"The preprocessor loses information about column {name!r}: "
                "decoding what it encodes gives another value. Remove the step "
                "that clips, bins or rounds it, or use preprocessor='auto'."
            )


# --------------------------------------------------------------------- one-hot blocks


def category_groups(columns: tuple[RawColumn, ...]) -> tuple[Group, ...]:
    """One-hot blocks of categorical columns, in category order."""
    groups = []
    for column in columns:
        if column.codes is None or len(column.encoded) < 2:
            continue
        on = column.codes > column.codes.min(0)  # (n_categories, n_encoded)
        if (on.sum(1) > 1).any():
            raise ValueError(
                f"The categories of column {column.name!r} switch on several "
                "columns each; one-hot or ordinal encode it."
            )
        has_baseline = bool((on.sum(1) == 0).any())
        # Encoders may order their columns otherwise than the dtype its categories: sort
        # the columns by the first category that switches them on, which is the number
        # of leading False entries.
        first_on = (~on).cumprod(0).sum(0)
        encoded = np.array(column.encoded)[np.lexsort((first_on,))]
        groups.append(
            Group(tuple(int(p) for p in encoded), column.ordered, has_baseline)
        )
    return tuple(groups)


def indicator_groups(schema: TableSchema, X: Table) -> tuple[Group, ...]:
    """One-hot blocks of a table that was encoded before it came here.

    0/1 columns whose names begin alike, of which no training row has two on; and
    neighbours that sum to 1 in every training row.
    """
    if len(schema.binary) < 2:
        return ()
    # In a group "on" is the upper end of a column, so its encoding has to rise.
    rising = {i for i in schema.binary if schema.lattice.sign[i] > 0}
    usable = [set(c.encoded) <= rising and bool(c.encoded) for c in schema.columns]
    numbers = np.nan_to_num(schema.numbers(X))
    groups, start = [], 0
    positions = np.flatnonzero(usable).tolist()
    on = numbers[:, positions] == 1
    for block, has_none in named_blocks(schema.feature_names.tolist(), on, positions):
        columns = (schema.columns[k].encoded[0] for k in block)
        groups.append(Group(tuple(columns), baseline=has_none))
        for k in block:
            usable[k] = False
    while start < len(usable):
        stop = end_of_block(numbers, usable, start)
        if stop is None:
            start += 1
        else:
            block = (schema.columns[k].encoded[0] for k in range(start, stop))
            groups.append(Group(tuple(block)))
            start = stop
    return tuple(groups)


def without_steps(lattice: Lattice, groups: tuple[Group, ...]) -> Lattice:
    """Lattice in which the columns of groups are categories, no longer integers."""
    step = lattice.step.copy()
    for group in groups:
        step[list(group.columns)] = 0.0
    return lattice._replace(step=step)


def end_of_block(numbers: np.ndarray, usable: list[bool], start: int) -> int | None:
    """End of the shortest one-hot block that starts here; None if there is none."""
    total, stop = np.zeros(len(numbers)), start
    while stop < len(usable) and usable[stop] and total.min() != 1:
        total = total + numbers[:, stop]
        if total.max() > 1:
            return None
        stop += 1
    is_block = stop - start >= 2 and total.min() == 1 and total.max() == 1
    return stop if is_block else None
