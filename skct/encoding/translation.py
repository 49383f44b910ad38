"""Between rules in raw units and constraints on the model input, both ways."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ..constraints import Constraints, Group
from ..preprocessing import bend
from . import transformers
from .frames import pick
from .probing import encode_numbers
from .rules import Rule
from .schema import TableSchema

__all__ = ["constraints_from", "rules_from"]


# Above, the encodings of all integers in a range are not tabulated, and a column behind
# a power transform is searched as a continuous one.
MAX_LEVELS = 10_000
# How far an open end of a bent column reaches, in its scales.
REACH = 100.0

OPPOSITE = {"increase": "decrease", "decrease": "increase"}


def constraints_from(
    transformer: Any, schema: TableSchema, rules: list[Rule]
) -> Constraints:
    """Constraints on the model input that say the same as rules in raw units.

    Parameters
    ----------
    transformer : fitted transformer or None
    schema : TableSchema
    rules : list of Rule
        One for each raw column.

    Returns
    -------
    constraints : Constraints
    """
    size = schema.n_encoded
    lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
    mutability = np.full(size, "none", dtype=object)
    bound_numbers(transformer, schema, rules, lower, upper)
    for column, rule in zip(schema.columns, rules, strict=True):
        positions = list(column.encoded)
        mutability[positions] = rule.mutability
        if column.codes is None or column.categories is None:
            continue  # a number, or dropped by the preprocessor
        allowed = [column.categories.index(c) for c in rule.categories or ()]
        # In a one-hot block every column can be off; a forbidden category is one whose
        # column cannot be on either.
        lower[positions] = column.codes.min(0)
        upper[positions] = column.codes[allowed].max(0)
        # A single column holds a code per category, so that the box has to close below,
        # too.
        if len(positions) == 1:
            lower[positions] = column.codes[allowed].min(0)
    # Where an encoding falls, what rises in raw units goes down in the model input.
    falling = schema.lattice.sign < 0
    mutability[falling] = [OPPOSITE.get(m, m) for m in mutability[falling]]
    return Constraints.from_arrays(
        lower,
        upper,
        mutability,
        schema.input_shape,
        groups=allowed_groups(schema, rules),
        step=schema.lattice.step,
        origin=schema.lattice.origin,
        levels=integer_levels(transformer, schema, rules),
        bend=np.full(size, transformers.bounds(transformer, len(rules))),
    )


def bound_numbers(
    transformer: Any,
    schema: TableSchema,
    rules: list[Rule],
    lower: np.ndarray,
    upper: np.ndarray,
) -> None:
    """Enter the encoded bounds of all numeric columns, by encoding two rows."""
    numeric = schema.numeric
    if not numeric:
        return
    low = np.array([rules[i].low for i in numeric])
    high = np.array([rules[i].high for i in numeric])
    flags = np.isin(numeric, schema.owner[list(schema.binary)])
    low, high = (np.where(flags, np.clip(end, 0, 1), end) for end in (low, high))
    ends = encode_numbers(transformer, schema, numeric, np.stack([low, high]))
    limits = open_ends(transformer, schema)
    for k, i in enumerate(numeric):
        (position,) = schema.columns[i].encoded
        # An open end stays open, whatever infinity encodes to. Where the encoding
        # falls, ends change sides.
        open_end = limits[position] * schema.lattice.sign[position]
        first = ends[0, position] if np.isfinite(low[k]) else -open_end
        last = ends[1, position] if np.isfinite(high[k]) else open_end
        lower[position], upper[position] = min(first, last), max(first, last)


def open_ends(transformer: Any, schema: TableSchema) -> np.ndarray:
    """Upper ends of columns of the model input that nothing else bounds.

    Infinite, but for a column that is bent: towards its bound float32 runs out, and a
    search would end on raw values that mean nothing.
    """
    bounds = transformers.bounds(transformer, len(schema.columns))
    ends = np.where(np.isinf(bounds), np.inf, bend(np.float64(REACH), bounds))
    return np.broadcast_to(ends, schema.n_encoded)


def allowed_groups(schema: TableSchema, rules: list[Rule]) -> tuple[Group, ...]:
    """One-hot blocks, with a note where the baseline category is not allowed.

    It has no column whose upper bound could say so.
    """
    groups = []
    for group in schema.groups:
        position = schema.owner[group.columns[0]]
        column = schema.columns[position]
        if group.baseline and column.categories is not None:
            is_baseline = (column.codes <= column.codes.min(0)).all(1)
            baseline = column.categories[int(is_baseline.argmax())]
            allowed = baseline in rules[position].categories
            group = replace(group, baseline_allowed=allowed)
        groups.append(group)
    return tuple(groups)


def integer_levels(
    transformer: Any, schema: TableSchema, rules: list[Rule]
) -> tuple[tuple[int, torch.Tensor], ...]:
    """Encodings of all integers of the columns in which these are not evenly spaced."""
    found = []
    ends = open_ends(transformer, schema)
    # An inverse may not survive infinity.
    finite = np.where(np.isinf(ends), 0.0, ends) * [[-1.0], [1.0]]
    reach = transformers.inverse_numeric(transformer, finite, len(schema.columns))
    for i in schema.numeric:
        (position,) = schema.columns[i].encoded
        if position not in schema.lattice.nonlinear_columns:
            continue
        # An open end reaches as far as the model input, or as values were observed.
        # Observed values outside a narrow domain keep their places on the lattice.
        seen = [end[i] for end in schema.observed]
        given = np.array([rules[i].low, rules[i].high])
        if np.isfinite(ends[position]):
            given = np.where(np.isfinite(given), given, reach[:, i])
        given = np.where(np.isfinite(given), given, seen)
        low, high = min(given[0], seen[0]), max(given[1], seen[1])
        if high - low < MAX_LEVELS:
            values = np.arange(np.ceil(low), np.floor(high) + 1)[:, None]
            encoded = encode_numbers(transformer, schema, [i], values)[:, position]
            found.append((position, torch.from_numpy(np.unique(encoded))))
    return tuple(found)


# ----------------------------------------------------------------------- and backwards


def rules_from(
    transformer: Any, schema: TableSchema, constraints: Constraints
) -> list[Rule]:
    """Rules in raw units that say the same as constraints on the model input.

    Parameters
    ----------
    transformer : fitted transformer or None
    schema : TableSchema
    constraints : Constraints

    Returns
    -------
    rules : list of Rule
        One for each raw column.
    """
    lower, upper, up, down = (
        part.flatten().numpy()
        for part in (
            constraints.lower,
            constraints.upper,
            constraints.can_increase,
            constraints.can_decrease,
        )
    )
    # Infinite bounds are put back by `raw_bounds`; an inverse may not survive them.
    ends = np.stack([np.where(np.isfinite(end), end, 0.0) for end in (lower, upper)])
    raw = transformers.inverse_numeric(transformer, ends, len(schema.columns))
    # Bounds have been through float32, of which a step can be large in raw units.
    next_to = np.nextafter(ends.astype(np.float32), np.float32(0.0))
    blur = transformers.inverse_numeric(transformer, next_to, len(schema.columns)) - raw
    rules = []
    for position, column in enumerate(schema.columns):
        where = list(column.encoded)
        rises, falls = bool(up[where].any()), bool(down[where].any())
        allowed, bounds = column.categories, (-np.inf, np.inf)
        if column.codes is not None:
            # Allowed are the categories whose code lies in the box.
            # Codes and bounds have been through float32, hence the tolerance.
            inside = column.codes <= upper[where] + 1e-4
            inside &= column.codes >= lower[where] - 1e-4
            allowed = tuple(pick(allowed or (), inside.all(1)))
        elif where:
            ends_of_column = raw[:, position], np.abs(blur[:, position])
            box = lower[where[0]], upper[where[0]]
            bounds = raw_bounds(schema, position, *ends_of_column, *box)
            if schema.lattice.sign[where[0]] < 0:
                rises, falls = falls, rises
        rules.append(Rule(mutability_of(rises, falls), *bounds, allowed))
    return rules


def mutability_of(rises: bool, falls: bool) -> str:
    """Mutability of a column by the directions in which it may move."""
    if rises and falls:
        return "both"
    return "increase" if rises else "decrease" if falls else "none"


def raw_bounds(
    schema: TableSchema,
    position: int,
    raw: np.ndarray,
    blur: np.ndarray,
    lower: float,
    upper: float,
) -> tuple[float, float]:
    """Bounds of one numeric column, from those decoded and those encoded.

    `blur` is what a step of float32 means for the decoded ones.
    """
    column = schema.columns[position]
    if schema.lattice.sign[column.encoded[0]] < 0:
        raw, blur, lower, upper = raw[::-1], blur[::-1], upper, lower
    low, high = raw
    low = low if np.isfinite(lower) else -np.inf
    high = high if np.isfinite(upper) else np.inf
    if column.integer:
        # The encoded bounds were rounded to float32, which may move a decoded integer
        # outwards or inwards: take the integer that was meant.
        tolerance = 1e-3 + 1e-6 * np.abs(raw) + np.nan_to_num(blur)
        low, high = np.ceil(low - tolerance[0]), np.floor(high + tolerance[1])
    return low, high
