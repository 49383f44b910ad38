"""`TableSchema`: what is known of a raw table and of its columns in the model input."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..constraints import Group
from ..preprocessing import to_numbers
from .frames import Table, get_column

__all__ = ["Lattice", "RawColumn", "TableSchema"]


class RawColumn(NamedTuple):
    """One raw column, and where it is in the model input.

    Parameters
    ----------
    name : object
        Its name, or its position in a table without names.
    encoded : tuple of int
        Its columns in the flattened model input; none if the preprocessor drops it.
    categories : tuple, optional
        None for a number.
    codes : ndarray of shape (n_categories, n_encoded), optional
        What each category is encoded as.
    ordered : bool, default=False
        The categories have an order, which is that of `categories`.
    integer : bool, default=False
        A number that is always whole.
    """

    name: object
    encoded: tuple[int, ...]
    categories: tuple | None = None
    codes: np.ndarray | None = None
    ordered: bool = False
    integer: bool = False

    @property
    def is_numeric(self) -> bool:
        """Whether the model sees this column as a number."""
        return self.categories is None and bool(self.encoded)

    def category_index(self, flat: np.ndarray) -> np.ndarray:
        """Index of the category that encoded rows hold; -1 for an unknown one.

        Parameters
        ----------
        flat : ndarray of shape (n, n_encoded_columns)
            All columns of the flattened model input.

        Returns
        -------
        index : ndarray of shape (n,)
        """
        codes = self.codes
        assert codes is not None  # else this is a number, or dropped
        values = flat[:, list(self.encoded)].astype(float)
        # The nearest code: |v - c|^2 = |v|^2 - 2 v.c + |c|^2, and |v|^2 is the same for
        # all codes c. So the smallest distance is the largest v.c - |c|^2 / 2, which
        # needs no array of all differences.
        squares = np.square(codes).sum(1)
        index = (values @ codes.T - 0.5 * squares).argmax(1)
        # Counterfactuals are snapped to codes; only rounding may separate them. Further
        # away lie unknown categories, such as the all-zero row of a one-hot encoder.
        distance = np.abs(values - codes[index]).sum(1)
        return np.where(distance < 0.25 * smallest_gap(codes), index, -1)


def smallest_gap(codes: np.ndarray) -> float:
    """Smallest difference of two codes within a column."""
    gaps = np.concatenate([np.diff(np.unique(column)) for column in codes.T])
    return gaps.min(initial=np.inf) if len(gaps) else 1.0


class Lattice(NamedTuple):
    """Direction and admissible values of each column of the flattened model input.

    Parameters
    ----------
    sign : ndarray of shape (n_encoded,)
        -1 where the encoded value falls as the raw one rises, else 1.
    step : ndarray of shape (n_encoded,)
        Distance of the encodings of neighbouring integers; 0 for continuous columns,
        and where it is not constant.
    origin : ndarray of shape (n_encoded,)
        Encoding of some integer.
    nonlinear_columns : frozenset of int
        Integer columns whose encodings are not evenly spaced.
    """

    sign: np.ndarray
    step: np.ndarray
    origin: np.ndarray
    nonlinear_columns: frozenset[int] = frozenset()


@dataclass(frozen=True, eq=False)
class TableSchema:
    """Facts about a raw table, its model input and how they correspond.

    `skct.encoding.learning` reads them off a training table, `FeatureSpace` encodes and
    decodes by them.

    Parameters
    ----------
    raw_shape, input_shape : tuple of int
        Shape of one raw row, and of one model input.
    feature_names : ndarray of shape (n_features,)
        Raw names, or positions where the table has no names.
    encoded_names : ndarray of shape (*input_shape,)
        Names of the model-input columns.
    owner : ndarray of shape (n_encoded,)
        Raw column of each column of the flattened model input.
    columns : tuple of RawColumn
    observed : pair of ndarray of shape (n_features,)
        Observed minimum and maximum of each raw column; infinite where unknown.
    template : DataFrame or ndarray of one row
        A row to write probe values into. It keeps the types of the table, but after
        learning it holds no person's data.
    lattice : Lattice
    binary : tuple of int
        Model-input columns of the raw 0/1 columns.
    groups : tuple of Group
        One-hot blocks of the model input.
    """

    raw_shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    feature_names: np.ndarray
    encoded_names: np.ndarray
    owner: np.ndarray
    columns: tuple[RawColumn, ...]
    observed: tuple[np.ndarray, np.ndarray]
    template: Table
    lattice: Lattice
    binary: tuple[int, ...] = ()
    groups: tuple[Group, ...] = ()

    @property
    def numeric(self) -> list[int]:
        """Positions of the raw columns that the model sees as numbers."""
        return [i for i, column in enumerate(self.columns) if column.is_numeric]

    @property
    def n_encoded(self) -> int:
        """Number of columns of the flattened model input."""
        return len(self.owner)

    def numbers(self, table: Table) -> np.ndarray:
        """Read the numeric columns of a table.

        Parameters
        ----------
        table : DataFrame or ndarray of shape (n, *raw_shape)

        Returns
        -------
        numbers : ndarray of shape (n, n_features), float64
            NaN where a value is missing, and in columns of categories.
        """
        if isinstance(table, np.ndarray) and table.dtype != object:
            return table.reshape(len(table), -1).astype(float)
        values = np.full((len(table), len(self.columns)), np.nan)
        for i in self.numeric:
            values[:, i] = to_numbers(get_column(table, i), self.columns[i].name)
        return values
