"""`FeatureSpace`: the map between a raw table and the model's input, both ways."""

from collections.abc import Hashable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from ..constraints import Constraints, Group
from ..preprocessing import is_category, to_numbers
from ..utils.validation import wrong
from . import transformers
from .frames import dense, get, pick, repeat, write
from .rules import box, resolve_rules, rules_from, within

__all__ = ["FeatureSpace", "RawColumn"]


MAX_LEVELS = 10_000


class RawColumn(NamedTuple):
    """One raw column and where it went in the model input."""

    name: object
    encoded: tuple[int, ...]
    categories: tuple | None = None
    codes: np.ndarray | None = None
    ordered: bool = False
    integer: bool = False


def is_categorical(series):
    """Whether a raw column has pandas' own type for categories."""
    return isinstance(series.dtype, pd.CategoricalDtype)


class FeatureSpace:
    """Raw columns, model-input columns, and the way between them.

    Parameters
    ----------
    transformer : fitted transformer or None
        `TableEncoder`, or scikit-learn transformers that work column by column and
        have an inverse. None: X is the model input.
    X : DataFrame or ndarray of shape (n, *features)
        Rows of the raw table.
    learn : bool, default=True
        X holds the training rows: ranges, 0/1 columns and one-hot groups are learnt
        from it. False: only names and types are.

    Attributes
    ----------
    feature_names : ndarray of shape (n_features,)
        Raw names, or positions where X has no names.
    encoded_names : ndarray of str
        Names of the model-input columns, in the shape of one model input.
    columns : list of RawColumn
    owner : ndarray of int
        Raw column of each (flattened) model-input column.
    groups : tuple of Group
        One-hot blocks of the model input.
    observed : pair of ndarray
        Observed minimum and maximum of each raw column; infinite where unknown.

    Raises
    ------
    ValueError
        For a step that loses information or has no inverse, with its name.
    """

    def __init__(self, transformer, X, *, learn=True):
        self.transformer = transformer
        X = dense(X)
        self.raw_shape = X.shape[1:]
        n_raw = int(np.prod(self.raw_shape))
        named = hasattr(X, "columns")
        self.feature_names = np.empty(n_raw, dtype=object)
        for i, name in enumerate(X.columns if named else range(n_raw)):
            self.feature_names[i] = name  # one by one: a name may be a tuple
        self._template = X[:1].copy()
        self._read_columns(X, learn)
        if learn:
            self._check_round_trip(X[:50])

    def encode(self, X):
        """Turn raw rows into model input.

        Parameters
        ----------
        X : DataFrame, ndarray or sparse matrix of shape (n, *features)

        Returns
        -------
        encoded : ndarray of shape (n, *input_shape), float32

        Raises
        ------
        ValueError
            If the result is not finite.
        """
        X = dense(X)
        if tuple(np.shape(X)[1:]) != tuple(self.raw_shape):
            allowed = f"a table with rows of shape {tuple(self.raw_shape)}, as in fit"
            raise wrong("X", allowed, np.shape(X))
        with np.errstate(over="ignore"):  # named below
            encoded = transformers.apply(self.transformer, X).astype(np.float32)
        if not np.isfinite(encoded).all():
            where = "Input X" if self.transformer is None else "The preprocessed X"
            good = np.isfinite(encoded).reshape(len(encoded), -1).all(0)
            name = self.feature_names[self.owner[good.argmin()]]
            raise ValueError(
                f"{where} contains NaN, infinity or a value too large for float32 "
                f"(column {name!r}); impute or scale it, or use preprocessor='auto'."
            )
        return encoded

    def decode(self, encoded, like, rules=None):
        """Turn model input back into raw rows.

        The decoded *change* is added to the raw value, so that a value which has not
        moved keeps its bits (and a missing value stays missing).

        Parameters
        ----------
        encoded : ndarray of shape (n, *input_shape)
        like : DataFrame, ndarray or sparse matrix of shape (n, *features)
            The factuals; they give type, units and all that has not moved.
        rules : list of Rule, optional
            Raw bounds; removes what rounding may have added.

        Returns
        -------
        table : same type as `like`
        """
        table = dense(like)
        after = np.asarray(encoded, dtype=np.float32)
        if after.shape != (len(table), *self.input_shape):
            allowed = f"model input of shape {(len(table), *self.input_shape)}"
            raise wrong("encoded", allowed, after.shape)
        before = transformers.apply(self.transformer, table)
        moved = before.astype(np.float32).reshape(len(table), -1) != after.reshape(
            len(table), -1
        )
        numbers = self._moved_numbers(before, after, moved, table, rules)
        flat_after = after.reshape(len(table), -1)
        changes = {}
        for position, column in enumerate(self.columns):
            where = moved[:, list(column.encoded)].any(1)
            if not where.any():
                continue
            if column.categories is None:
                changes[position] = where, numbers[where, position]
            else:
                index = self.category_index(column, flat_after[where])
                known = index >= 0
                where[where] = known
                changes[position] = where, pick(column.categories, index[known])
        decoded = write(table, changes)
        return type(like)(decoded) if sparse.issparse(like) else decoded

    def widened(self, table):
        """Table whose categorical columns have room for every category known here."""
        # Part of a table, such as a row group of a file, may have fewer; those of the
        # training table then come first, in their order.
        if not hasattr(table, "iloc"):
            return table
        changes = {}
        for position, column in enumerate(self.columns):
            old = get(table, position)
            if is_categorical(old) and column.categories is not None:
                template = get(self._template, position)
                known = template.cat.categories if is_categorical(template) else []
                wanted = pd.Index([*known, *column.categories]).unique()
                if not wanted.dropna().isin(old.cat.categories).all():
                    every = wanted.dropna().append(old.cat.categories).unique()
                    changes[position] = old.cat.set_categories(every)
        table = table.copy(deep=False) if changes else table
        for position, column in changes.items():
            table.isetitem(position, column)
        return table

    def _moved_numbers(self, before, after, moved, table, rules):
        """Raw numeric values after the change, as float64."""
        raw = self.numbers(table)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            old = self.inverse(before)
            new = self.inverse(after)
            # An encoder that clips has lost the raw value: there is nothing to add to.
            missing = np.isnan(raw) | (np.abs(old - raw) > 1e-4 * np.abs(raw))
            change = np.where(missing, new, new - old)
            value = np.where(missing, 0.0, raw) + change
            integer = np.array([column.integer for column in self.columns])
            rounded = np.where(missing, np.round(value), raw + np.round(change))
            value = np.where(integer, rounded, value)
        # Beyond the range of a bent encoder there is no inverse: nothing moves.
        value = np.where(np.isfinite(value), value, raw)
        if rules is None:
            return value
        floor, ceiling = box(raw, rules)
        value = np.clip(value, floor, ceiling)
        for i in self._numeric:
            dtype = getattr(get(table, i).dtype, "numpy_dtype", get(table, i).dtype)
            if dtype in (np.float16, np.float32):
                value[:, i] = within(value[:, i], dtype, floor[:, i], ceiling[:, i])
        return value

    def inverse(self, encoded):
        """Raw values of numeric columns of shape (n, n_features), elsewhere NaN."""
        flat = np.asarray(encoded, dtype=float)
        if self.transformer is None:
            return flat.reshape(len(flat), -1)
        return transformers.inverse_numeric(
            self.transformer, flat, len(self.feature_names)
        )

    def numbers(self, table):
        """Numeric raw columns as float64 of shape (n, n_features), else NaN."""
        if isinstance(table, np.ndarray) and table.dtype != object:
            return table.reshape(len(table), -1).astype(float)
        values = np.full((len(table), len(self.feature_names)), np.nan)
        for position, column in enumerate(self.columns):
            if column.categories is None and column.encoded:
                values[:, position] = to_numbers(get(table, position), column.name)
        return values

    def category_index(self, column, flat):
        """Index of the category that encoded rows hold; -1 for an unknown one."""
        values = flat[:, list(column.encoded)].astype(float)
        squares = np.square(column.codes).sum(1)
        index = (values @ column.codes.T - 0.5 * squares).argmax(1)  # the nearest
        distance = np.abs(values - column.codes[index]).sum(1)
        return np.where(distance < 0.25 * smallest_gap(column.codes), index, -1)

    # ------------------------------------------------------------------ distances

    def coordinates(self, encoded):
        """Where L1 distances are those of cost and plausibility.

        Standardised units; a changed category counts 1 (two one-hot columns change by
        one half each).

        Parameters
        ----------
        encoded : ndarray of shape (n, *input_shape)

        Returns
        -------
        coordinates : ndarray of shape (n, n_coordinates), float64
        owner : ndarray of shape (n_coordinates,)
            Raw column that each coordinate belongs to.
        """
        flat = np.asarray(encoded, dtype=float).reshape(len(encoded), -1)
        half = np.ones(flat.shape[1])
        for group in self.groups:
            half[list(group.columns)] = 0.5
        blocks, owner = [], []
        for position, column in enumerate(self.columns):
            if column.categories is None:
                columns = list(column.encoded)
                blocks.append(flat[:, columns] * half[columns])
                owner += [position] * len(columns)
            elif column.encoded:
                index = self.category_index(column, flat)
                size = len(column.categories) + 1  # the last one stands for unknown
                blocks.append(0.5 * (np.arange(size) == index[:, None] % size))
                owner += [position] * size
        return np.concatenate(blocks, axis=1), np.array(owner)

    # ---------------------------------------------------------------- constraints

    def rules(self, mutability=None, domain="auto"):
        """Resolve user-given mutability and domain, one `Rule` per raw column.

        Parameters
        ----------
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
        return resolve_rules(self, mutability, domain)

    def observe_from(self, inner):
        """Take observed ranges from the space of the classifier behind this one.

        What was measured around the first row of a table is measured again on them, so
        that it does not depend on that row.

        Parameters
        ----------
        inner : FeatureSpace
            With the same model input.
        """
        seen = rules_from(self, inner.constraints(inner.rules()))
        ends = np.sort([[rule.low, rule.high] for rule in seen], axis=1)
        self.observed = ends[:, 0], ends[:, 1]
        self._measure_numbers()
        self._add_codes()

    def constraints(self, rules):
        """Translate rules in raw units to `Constraints` on the model input.

        Parameters
        ----------
        rules : list of Rule

        Returns
        -------
        constraints : Constraints
        """
        size = int(np.prod(self.input_shape))
        lower, upper = np.full(size, -np.inf), np.full(size, np.inf)
        words = np.full(size, "none", dtype=object)
        self._bound_numbers(rules, lower, upper)
        for column, rule in zip(self.columns, rules, strict=True):
            positions = list(column.encoded)
            words[positions] = rule.word
            if column.codes is not None:  # else numeric, or left out by its encoder
                allowed = [column.categories.index(c) for c in rule.categories]
                lower[positions] = column.codes.min(0)
                upper[positions] = column.codes[allowed].max(0)
                if len(positions) == 1:
                    lower[positions] = column.codes[allowed].min(0)
        falls = self.sign < 0
        words[falls] = [flip(word) for word in words[falls]]
        return Constraints.from_arrays(
            lower,
            upper,
            words,
            self.input_shape,
            groups=self._allowed_groups(rules),
            step=self._step,
            origin=self._origin,
            levels=self._levels(rules),
        )

    def _allowed_groups(self, rules):
        """Groups with a note where the category without a column is not allowed."""
        groups = []
        for group in self.groups:
            column = self.columns[self.owner[group.columns[0]]]
            if group.baseline:
                bare = (column.codes <= column.codes.min(0)).all(1)
                name = column.categories[int(bare.argmax())]
                allowed = name in rules[self.owner[group.columns[0]]].categories
                group = replace(group, baseline_allowed=allowed)
            groups.append(group)
        return tuple(groups)

    def _levels(self, rules):
        """Encoded integers of the columns whose encoding is bent."""
        found = []
        for i in self._numeric:
            (position,) = self.columns[i].encoded
            seen = [end[i] for end in self.observed]
            low, high = rules[i].low, rules[i].high
            low = min(low if np.isfinite(low) else seen[0], seen[0])
            high = max(high if np.isfinite(high) else seen[1], seen[1])
            if position in self._bent and high - low < MAX_LEVELS:
                values = np.arange(np.ceil(low), np.floor(high) + 1)[:, None]
                encoded = np.unique(self._probe([i], values)[:, position])
                found.append((position, torch.from_numpy(encoded)))
        return tuple(found)

    def _bound_numbers(self, rules, lower, upper):
        """Encode the raw bounds of all numeric columns in two rows."""
        numeric = self._numeric
        if not numeric:
            return
        low = np.array([rules[i].low for i in numeric])
        high = np.array([rules[i].high for i in numeric])
        flags = np.isin(numeric, self.owner[self.binary])
        low, high = (np.where(flags, np.clip(end, 0, 1), end) for end in (low, high))
        ends = self._probe(numeric, np.stack([low, high]))
        for k, i in enumerate(numeric):
            (position,) = self.columns[i].encoded
            open_end = np.inf * self.sign[position]
            first = ends[0, position] if np.isfinite(low[k]) else -open_end
            last = ends[1, position] if np.isfinite(high[k]) else open_end
            lower[position], upper[position] = min(first, last), max(first, last)

    @property
    def _numeric(self):
        """Positions of the numeric raw columns that reach the model."""
        return [
            i for i, c in enumerate(self.columns) if c.categories is None and c.encoded
        ]

    def _probe(self, positions, values):
        """Encode rows that hold `values` in the numeric columns `positions`."""
        table = repeat(self._template, len(values))
        table = write(
            table,
            {
                position: (np.isfinite(values[:, k]), finite(values[:, k]))
                for k, position in enumerate(positions)
            },
            keep_dtype=False,
        )
        encoded = transformers.apply(self.transformer, table)
        with np.errstate(over="ignore"):  # a bound beyond float32 is an open end
            return encoded.astype(np.float32).reshape(len(values), -1)

    # ------------------------------------------------------------------- learning

    def _read_columns(self, X, learn):
        """Find out for every raw column where it went and what it can be."""
        n_raw = len(self.feature_names)
        if self.transformer is None:
            origins, known = [(i,) for i in range(n_raw)], {}
            self.input_shape = self.raw_shape
        else:
            origins = transformers.sources(self.transformer, n_raw)
            known = transformers.categories(self.transformer, n_raw)
            self.input_shape = (len(origins),)
        self.encoded_names = self._name_outputs(len(origins))
        mixed = [columns for columns in origins if len(columns) != 1]
        if mixed:
            names = [self.feature_names[i] for i in mixed[0][:5]]
            raise ValueError(
                f"The preprocessor mixes the columns {names} in one output, so that "
                "counterfactuals cannot be given in raw columns."
            )
        self.owner = np.array([columns[0] for columns in origins], dtype=int)
        outputs = {i: [] for i in range(n_raw)}
        for position, owner in enumerate(self.owner):
            outputs[owner].append(position)
        self.columns = [
            self._describe(X, i, tuple(outputs[i]), known.get(i)) for i in range(n_raw)
        ]
        self._observe(X, learn)
        if learn:
            self._forget_person(X)
        self._measure_numbers()
        self._add_codes()
        self.groups = self._category_groups() + (
            self._found_groups(X) if learn and len(self.raw_shape) == 1 else ()
        )

    def _name_outputs(self, size):
        if self.transformer is None:
            names = self.feature_names
        elif hasattr(self.transformer, "get_feature_names_out"):
            try:
                names = self.transformer.get_feature_names_out()
            except (AttributeError, ValueError):  # a step without names
                names = [f"x{i}" for i in range(size)]
        else:
            names = [f"x{i}" for i in range(size)]
        out = np.empty(size, dtype=object)
        out[:] = list(names)
        return out.reshape(self.input_shape)

    def _describe(self, X, position, encoded, known):
        """Read the type of one raw column."""
        name = self.feature_names[position]
        values = get(X, position)
        if known is not None:
            if getattr(values.dtype, "ordered", False):  # the declared order counts
                declared = [c for c in values.dtype.categories if c in known[0]]
                known = tuple(declared) or known[0], len(declared) == len(known[0])
            return RawColumn(name, encoded, known[0], ordered=known[1])
        if encoded and is_category(values) and values.dtype != bool:
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
        kinds = pd.api.types.is_integer_dtype, pd.api.types.is_bool_dtype
        integer = any(is_kind(values.dtype) for is_kind in kinds)
        if values.dtype == object and encoded:
            numbers = to_numbers(values, name)
            integer = all(isinstance(v, (int, np.integer)) for v in values)
            integer = integer and bool(np.isfinite(numbers).all())
        return RawColumn(name, encoded, integer=bool(integer))

    def _observe(self, X, learn):
        """Observed ranges, and which float columns count as integers.

        Those are 0/1 columns, and whole numbers that pandas turned to float because
        some are missing.
        """
        n_raw = len(self.feature_names)
        low, high = np.full(n_raw, -np.inf), np.full(n_raw, np.inf)
        self.binary = []
        if learn:
            numbers, numeric = self.numbers(X), self._numeric
            low[numeric] = np.nanmin(numbers[:, numeric], axis=0)
            high[numeric] = np.nanmax(numbers[:, numeric], axis=0)
            values = numbers[:, numeric]
            binary = ((values == 0) | (values == 1) | np.isnan(values)).all(0)
            for i in np.array(numeric, dtype=int)[binary]:
                self.columns[i] = self.columns[i]._replace(integer=True)
                self.binary += self.columns[i].encoded
            if hasattr(X, "iloc"):
                gone = np.isnan(values)
                whole = (gone | (values == np.round(values))).all(0) & gone.any(0)
                for i in np.array(numeric, dtype=int)[whole]:
                    self.columns[i] = self.columns[i]._replace(integer=True)
        self.observed = low, high

    def _forget_person(self, X):
        """Make the template row nobody's: medians and first categories."""
        numeric = self._numeric
        medians = np.nanmedian(self.numbers(X)[:, numeric], axis=0)
        one = np.ones(1, dtype=bool)
        changes = {
            i: (one, np.array([m])) for i, m in zip(numeric, medians, strict=True)
        }
        for i, column in enumerate(self.columns):
            if column.categories:
                changes[i] = one, pick(column.categories, [0])
        self._template = write(self._template, changes)
        if hasattr(X, "iloc"):
            self._template = self._template.reset_index(drop=True)
            for i, column in enumerate(self.columns):
                if not column.encoded and not column.categories:
                    self._template.isetitem(i, [np.nan])

    def _measure_numbers(self):
        """Direction and lattice of each numeric column, by probing at three points."""
        size = int(np.prod(self.input_shape))
        self.sign, self._step = np.ones(size), np.zeros(size)
        self._origin, self._bent = np.zeros(size), set()
        numeric = self._numeric
        if self.transformer is None:
            for i in numeric:
                self._step[i] = float(self.columns[i].integer)
            return
        if not numeric:
            return
        low, high = (end[numeric] for end in self.observed)
        base = self.numbers(self._template)[0, numeric]
        start = np.where(np.isfinite(low), low, np.where(np.isnan(base), 1.0, base))
        with np.errstate(over="ignore"):
            width = high - low
        width = np.where(np.isfinite(width) & (high > low), width, 2.0)
        whole = np.array([self.columns[i].integer for i in numeric])
        start = np.where(whole, np.round(start), start)
        width = np.where(whole, np.maximum(2.0, 2.0 * np.ceil(width / 2.0)), width)
        points = np.stack([start, start + width / 2, start + width])
        ends = self._probe(numeric, points)
        for k, i in enumerate(numeric):
            (position,) = self.columns[i].encoded
            first, middle, last = (float(v) for v in ends[:, position])
            self.sign[position] = -1.0 if last < first else 1.0
            step = abs(last - first) / width[k]
            straight = np.isclose(middle - first, last - middle, rtol=1e-3)
            if self.columns[i].integer and not straight:
                self._bent.add(position)
            elif self.columns[i].integer and step > 1e-4:
                self._step[position], self._origin[position] = step, first

    def _add_codes(self):
        """Encoded values of every category, by encoding a row for each."""
        category = [i for i, c in enumerate(self.columns) if c.categories and c.encoded]
        if not category:
            return
        n_rows = max(len(self.columns[i].categories) for i in category)
        table = write(
            repeat(self._template, n_rows),
            {
                i: (
                    np.ones(n_rows, bool),
                    pick(
                        self.columns[i].categories,
                        np.arange(n_rows) % len(self.columns[i].categories),
                    ),
                )
                for i in category
            },
        )
        encoded = transformers.apply(self.transformer, table)
        for i in category:
            column = self.columns[i]
            codes = encoded[: len(column.categories), list(column.encoded)]
            codes = codes.astype(np.float32).astype(float)
            self.columns[i] = self._with_codes(column, codes)

    def _with_codes(self, column, codes):
        if codes.shape[1] > 1:
            bare = (codes <= codes.min(0)).all(1)  # a dropped one has to come first
            ordered = column.ordered and not bare[1:].any()
            return column._replace(codes=codes, ordered=ordered)
        (position,) = column.encoded
        gaps = np.diff(np.unique(codes))
        if len(gaps) and not np.allclose(gaps, gaps[0], rtol=1e-3):
            raise ValueError(
                f"The categories of column {column.name!r} are encoded as unevenly "
                "spaced numbers; one-hot or ordinal encode it."
            )
        self._step[position] = gaps[0] if len(gaps) else 0.0
        self._origin[position] = codes.min()
        rising = len(gaps) and codes[-1, 0] < codes[0, 0]
        self.sign[position] = -1.0 if rising else 1.0
        steps = np.diff(codes[:, 0])
        ordered = column.ordered and bool((steps > 0).all() or (steps < 0).all())
        return column._replace(codes=codes, ordered=ordered)

    def _category_groups(self):
        """One-hot blocks of categorical columns, in category order."""
        groups = []
        for column in self.columns:
            if column.codes is None or len(column.encoded) < 2:
                continue
            on = column.codes > column.codes.min(0)
            if (on.sum(1) > 1).any():
                raise ValueError(
                    f"The categories of column {column.name!r} switch on several "
                    "columns each; one-hot or ordinal encode it."
                )
            baseline = bool((on.sum(1) == 0).any())
            ranked = np.lexsort(((~on).cumprod(0).sum(0),))
            encoded = tuple(int(p) for p in np.array(column.encoded)[ranked])
            groups.append(Group(encoded, column.ordered, baseline))
        return tuple(groups)

    def _found_groups(self, X):
        """Neighbouring 0/1 columns that sum to 1 in every training row."""
        rising = {i for i in self.binary if self.sign[i] > 0}  # "on" is the upper end
        plain = [set(c.encoded) <= rising and c.encoded for c in self.columns]
        if len(self.binary) < 2:
            return ()
        numbers = np.nan_to_num(self.numbers(X))
        groups, i = [], 0
        while i < len(plain):
            total, j = np.zeros(len(numbers)), i
            while j < len(plain) and plain[j] and total.min() != 1:
                total = total + numbers[:, j]
                if total.max() > 1:
                    break
                j += 1
            if j - i >= 2 and total.min() == 1 and total.max() == 1:
                block = tuple(self.columns[k].encoded[0] for k in range(i, j))
                groups.append(Group(block))
                self._step[list(block)] = 0.0
                i = j
            else:
                i += 1
        return tuple(groups)

    def _check_round_trip(self, X):
        """Decode what was encoded; a lossy step shows here."""
        if self.transformer is None:
            return
        raw = self.numbers(X)
        back = self.inverse(transformers.apply(self.transformer, X))
        scale = np.nanmax(np.abs(raw), axis=0, initial=0.0) + 1e-12
        with np.errstate(invalid="ignore"):
            wrong = np.abs(back - raw) > 1e-4 * scale
        for position in np.flatnonzero(wrong.any(0)):
            if self.columns[position].categories is None:
                name = self.feature_names[position]
                raise ValueError(
                    f"The preprocessor loses information about column {name!r}: "
                    "decoding what it encodes gives another value. Remove the step "
                    "that clips, bins or rounds it, or use preprocessor='auto'."
                )


def smallest_gap(codes):
    """Least difference between two codes within a column."""
    gaps = np.concatenate([np.diff(np.unique(column)) for column in codes.T])
    return gaps.min(initial=np.inf) if len(gaps) else 1.0


def check_scalars(values, name):
    """Raise a TypeError, as numpy does, for a cell that is no category, either."""
    for value in values:
        if not isinstance(value, Hashable):
            raise TypeError(
                "An argument must be a string, a number or missing, but column "
                f"{name!r} holds a {type(value).__name__}."
            )


def finite(values):
    """Only the finite values."""
    return values[np.isfinite(values)]


def flip(word):
    """Mutability of a column whose encoding runs the other way."""
    return {"increase": "decrease", "decrease": "increase"}.get(word, word)
