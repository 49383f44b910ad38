"""`FeatureSpace`: the map between a raw table and the model's input, both ways."""

from dataclasses import replace
from typing import Any, Self

import numpy as np
from scipy import sparse

from ..constraints import Constraints, Group
from ..preprocessing import unbend
from ..utils.validation import wrong
from . import transformers
from .frames import Table, dense, get_column, pick, write
from .learning import learn_schema, read_schema
from .probing import with_probed_encoding
from .rules import Rule, cast_within, feasible_range, resolve_rules
from .schema import RawColumn, TableSchema
from .training_types import in_training_types
from .translation import constraints_from, rules_from

__all__ = ["FeatureSpace"]


class FeatureSpace:
    """Raw columns, model-input columns, and the way between them.

    What is known of the table is in `schema`; the methods encode and decode by it.

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
    schema : TableSchema
        All that was learnt, as one frozen record.
    feature_names : ndarray of shape (n_features,)
        Raw names, or positions where X has no names.
    encoded_names : ndarray of str
        Names of the model-input columns, in the shape of one model input.
    columns : tuple of RawColumn
    owner : ndarray of int
        Raw column of each (flattened) model-input column.
    groups : tuple of Group
        One-hot blocks of the model input.
    observed : pair of ndarray
        Observed minimum and maximum of each raw column; infinite where unknown.
    raw_shape, input_shape : tuple of int
        Shape of one raw row, and of one model input.

    Raises
    ------
    ValueError
        For a step that loses information or has no inverse, with its name.
    """

    def __init__(self, transformer: Any, X: Any, *, learn: bool = True):
        self.transformer = transformer
        self.schema = (learn_schema if learn else read_schema)(transformer, dense(X))

    @classmethod
    def from_schema(cls, transformer: Any, schema: TableSchema) -> Self:
        """Feature space of a schema that was learnt before.

        Parameters
        ----------
        transformer : fitted transformer or None
            The one that the schema was learnt with.
        schema : TableSchema

        Returns
        -------
        space : FeatureSpace
        """
        space = cls.__new__(cls)
        space.transformer, space.schema = transformer, schema
        return space

    @property
    def feature_names(self) -> np.ndarray:
        """Raw names."""
        return self.schema.feature_names

    @property
    def encoded_names(self) -> np.ndarray:
        """Names of the model-input columns."""
        return self.schema.encoded_names

    @property
    def columns(self) -> tuple[RawColumn, ...]:
        """Raw columns."""
        return self.schema.columns

    @property
    def owner(self) -> np.ndarray:
        """Raw column of each model-input column."""
        return self.schema.owner

    @property
    def groups(self) -> tuple[Group, ...]:
        """One-hot blocks."""
        return self.schema.groups

    @property
    def observed(self) -> tuple[np.ndarray, np.ndarray]:
        """Observed ranges."""
        return self.schema.observed

    @property
    def raw_shape(self) -> tuple[int, ...]:
        """Shape of one raw row."""
        return self.schema.raw_shape

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one model input."""
        return self.schema.input_shape

    # -------------------------------------------------------------------- encoding

    def encode(self, X: Any) -> np.ndarray:
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
        with np.errstate(over="ignore"):  # the message below names the column
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

    def in_training_types(self, table: Table) -> Table:
        """Table whose columns have the types of training; see `in_training_types`.

        Parameters
        ----------
        table : DataFrame or ndarray of shape (n, *features)

        Returns
        -------
        table : same type

        Warns
        -----
        ColumnWarning
            For categories that training has not seen.
        """
        return in_training_types(self.schema, table)

    # -------------------------------------------------------------------- decoding

    def decode(self, encoded: Any, like: Any, rules: list[Rule] | None = None) -> Any:
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
        flat_before = before.astype(np.float32).reshape(len(table), -1)
        flat_after = after.reshape(len(table), -1)
        moved = flat_before != flat_after
        numbers = self._moved_numbers(before, after, table, rules)
        changes = {}
        for position, column in enumerate(self.columns):
            rows = moved[:, list(column.encoded)].any(1)
            if not rows.any():
                continue
            if column.categories is None:
                changes[position] = rows, numbers[rows, position]
            else:
                index = column.category_index(flat_after[rows])
                known = index >= 0
                rows[rows] = known  # an unknown code leaves the raw category
                changes[position] = rows, pick(column.categories, index[known])
        decoded = write(table, changes)
        return type(like)(decoded) if sparse.issparse(like) else decoded

    def _moved_numbers(
        self,
        before: np.ndarray,
        after: np.ndarray,
        table: Table,
        rules: list[Rule] | None,
    ) -> np.ndarray:
        """Raw numeric values after the change, as float64."""
        raw = self.numbers(table)
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            old, new = self._inverse(before), self._inverse(after)
            # decode(encode(raw)) differs from raw by rounding, which cancels in the
            # change. An encoder that clips has lost the raw value, and a missing value
            # is none: there the decoded value counts instead of the change.
            replaced = np.isnan(raw) | (np.abs(old - raw) > 1e-4 * np.abs(raw))
            change = np.where(replaced, new, new - old)
            value = np.where(replaced, 0.0, raw) + change
            # Rounding the change keeps integers beyond 2**24, which float32 cannot.
            integer = np.array([column.integer for column in self.columns])
            rounded = np.where(replaced, np.round(value), raw + np.round(change))
            value = np.where(integer, rounded, value)
        # Beyond the range of a nonlinear encoder there is no inverse: nothing moves.
        value = np.where(np.isfinite(value), value, raw)
        return value if rules is None else self._bounded(value, raw, table, rules)

    def _bounded(
        self, value: np.ndarray, raw: np.ndarray, table: Table, rules: list[Rule]
    ) -> np.ndarray:
        """Numbers within their raw bounds, also after a cast to the column's type."""
        floor, ceiling = feasible_range(raw, rules, value)
        value = np.clip(value, floor, ceiling)
        for i in self.schema.numeric:
            dtype = get_column(table, i).dtype
            dtype = getattr(dtype, "numpy_dtype", dtype)
            if dtype in (np.float16, np.float32):
                bounds = floor[:, i], ceiling[:, i]
                value[:, i] = cast_within(value[:, i], dtype, *bounds)
        return value

    def _inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Raw values of numeric columns of shape (n, n_features), elsewhere NaN."""
        return transformers.inverse_numeric(
            self.transformer, encoded, len(self.feature_names)
        )

    # ------------------------------------------------------- numbers and distances

    def numbers(self, table: Table) -> np.ndarray:
        """Numeric raw columns of a table.

        Parameters
        ----------
        table : DataFrame or ndarray of shape (n, *features)

        Returns
        -------
        numbers : ndarray of shape (n, n_features), float64
            NaN where a value is missing, and in columns of categories.
        """
        return self.schema.numbers(table)

    def coordinates(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where L1 distances are those of plausibility.

        Numbers are as the model sees them; a changed category counts 1 (two one-hot
        columns change by one half each).

        Parameters
        ----------
        encoded : ndarray of shape (n, *input_shape) or (n, n_encoded)

        Returns
        -------
        coordinates : ndarray of shape (n, n_coordinates), float64
        owner : ndarray of shape (n_coordinates,)
            Raw column that each coordinate belongs to.
        """
        flat = np.asarray(encoded, dtype=float).reshape(len(encoded), -1)
        weight = np.ones(flat.shape[1])
        for group in self.groups:
            weight[list(group.columns)] = 0.5
        blocks, owner = [], []
        for position, column in enumerate(self.columns):
            if column.categories is None:
                columns = list(column.encoded)
                blocks.append(flat[:, columns] * weight[columns])
                owner += [position] * len(columns)
            elif column.encoded:
                # One-hot by category, however the preprocessor encodes it, with one
                # more column for unknown categories: index -1 is the last one.
                index = column.category_index(flat)
                size = len(column.categories) + 1
                blocks.append(0.5 * (np.arange(size) == index[:, None] % size))
                owner += [position] * size
        return np.concatenate(blocks, axis=1), np.array(owner)

    def cost_coordinates(self, encoded: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `coordinates`, where L1 distances are costs.

        With `preprocessor="auto"` a number counts in interquartile ranges of its column
        (standard deviations where these are 0), with another one as the model sees it.

        Parameters
        ----------
        encoded : ndarray of shape (n, *input_shape) or (n, n_encoded)

        Returns
        -------
        coordinates : ndarray of shape (n, n_coordinates), float64
        owner : ndarray of shape (n_coordinates,)
        """
        flat = np.asarray(encoded, dtype=float).reshape(len(encoded), -1)
        bounds = transformers.bounds(self.transformer, len(self.feature_names))
        return self.coordinates(unbend(flat, bounds))

    # ----------------------------------------------------------------- constraints

    def rules(self, mutability: Any = None, domain: Any = "auto") -> list[Rule]:
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
        return resolve_rules(self.schema, mutability, domain)

    def constraints(self, rules: list[Rule]) -> Constraints:
        """Translate rules in raw units to `Constraints` on the model input.

        Parameters
        ----------
        rules : list of Rule

        Returns
        -------
        constraints : Constraints
        """
        return constraints_from(self.transformer, self.schema, rules)

    def rules_from(self, constraints: Constraints) -> list[Rule]:
        """Translate `Constraints` on the model input back to rules in raw units.

        Parameters
        ----------
        constraints : Constraints

        Returns
        -------
        rules : list of Rule
        """
        return rules_from(self.transformer, self.schema, constraints)

    def copy_ranges_from(self, inner: "FeatureSpace") -> None:
        """Take observed ranges from the space of the classifier behind this one.

        What was probed around the first row of a table is probed again within these
        ranges, so that it does not depend on that row.

        Parameters
        ----------
        inner : FeatureSpace
            With the same model input.
        """
        seen = self.rules_from(inner.constraints(inner.rules()))
        ends = np.sort([[rule.low, rule.high] for rule in seen], axis=1)
        schema = replace(self.schema, observed=(ends[:, 0], ends[:, 1]))
        self.schema = with_probed_encoding(self.transformer, schema)
