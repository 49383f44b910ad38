"""`TableEncoder`: the "auto" preprocessing of raw, mixed tables."""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from .exceptions import ColumnWarning, ImputationWarning
from .utils.caller import warn
from .utils.indicators import named_blocks
from .utils.lookalikes import advice_on_text

__all__ = ["TableEncoder", "fit_preprocessor"]


# More categories are a name or an identifier, and a one-hot column for each.
MAX_CATEGORIES = 1000
# Larger numbers are divided before their variance is computed: squares stay finite.
LARGE = 1e100
# A number is encoded between minus and plus this many of its scales.
BOUND = 3.0
# Beyond this fraction of the bound float64 cannot tell values apart; in raw units it is
# some ten million scales out.
LARGEST_FRACTION = 1.0 - 1e-14
# A value that many scales out would not come back from its encoding.
FURTHEST = 1e6


class NumericColumn(NamedTuple):
    """A number: ``bend((value - center) / scale)``, `fill` where it is missing.

    `bound` is that of `bend`, infinite for a number that is only shifted and scaled.
    """

    name: object
    center: float
    scale: float
    fill: float
    bound: float = np.inf

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return 1

    def encode(self, values: Any) -> np.ndarray:
        """One encoded column of shape (n, 1)."""
        values = to_numbers(values, self.name)
        values = np.where(np.isnan(values), self.fill, values)
        return bend((values - self.center) / self.scale, self.bound)[:, None]

    def feature_names(self, separator: str = "_") -> list[str]:
        """The column keeps its name."""
        return [str(self.name)]


class CategoryColumn(NamedTuple):
    """A category: one 0/1 column per value seen in training."""

    name: object
    categories: tuple
    ordered: bool
    fill: int

    @property
    def width(self) -> int:
        """Number of encoded columns."""
        return len(self.categories)

    def encode(self, values: Any) -> np.ndarray:
        """One-hot block of shape (n, n_categories); unknown values are all zero."""
        values = np.asarray(values, dtype=object)
        try:
            codes = pd.Index(self.categories, dtype=object).get_indexer(values)
        except TypeError as error:
            raise ValueError(
                f"Column {self.name!r} held categories in training and now holds "
                f"something else: {error}. Convert it, or fit again."
            ) from error
        codes = np.where(pd.isna(values), self.fill, codes)
        return (codes[:, None] == np.arange(self.width)).astype(float)

    def feature_names(self, separator: str = "_") -> list[str]:
        """The column's name and the category, joined as scikit-learn does it."""
        return [f"{self.name}{separator}{category}" for category in self.categories]


class TableEncoder(TransformerMixin, BaseEstimator):
    r"""Turn a raw table into numbers, column by column, in the table's own order.

    String, bool and categorical columns are one-hot encoded; missing values take the
    median or the most frequent category, with one warning in `fit`. Object columns are
    numeric if they hold numbers; text stays text, whatever stands in it, and a warning
    tells if it looks like numbers or dates. 0/1 columns stay as they are. All other
    numbers are scaled robustly and bent into an open interval [1]_:

    .. math:: z = (x - \mathrm{median}) / \mathrm{IQR}, \qquad
              u = z / \sqrt{1 + (z / 3)^2} \in (-3, 3)

    Within an interquartile range (IQR) of the median u hardly differs from z; no
    outlier is further than 3 from the median. Where the IQR is 0, because most values
    are equal, z is in standard deviations (the source takes half the range, in which
    a small step can mean many late payments).

    Attributes
    ----------
    columns_ : list of NumericColumn and CategoryColumn
        What was learnt, in the order of the table.
    n_features_in_ : int
        Number of raw columns.

    References
    ----------
    .. [1] Holzmueller, Grinsztajn, Steinwart, "Better by Default: Strong Pre-Tuned MLPs
       and Boosted Trees on Tabular Data", 2024 ("robust scale and smooth clip").

    Examples
    --------
    >>> import pandas as pd
    >>> from skct.preprocessing import TableEncoder
    >>> table = pd.DataFrame({"age": [20, 40], "sex": ["f", "m"]})
    >>> TableEncoder().fit_transform(table).round(2)
    array([[-0.95,  1.  ,  0.  ],
           [ 0.95,  0.  ,  1.  ]])
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn medians, scales and categories.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, n_features)
            Raw table.
        y : ignored

        Returns
        -------
        self : TableEncoder

        Raises
        ------
        ValueError
            For a column without any value, of a type that is neither a number nor a
            category, or with more than 1,000 categories.
        """
        X = X.toarray() if sparse.issparse(X) else X
        self.columns_, missing = [], []
        indicators = indicator_flags(X)
        for position, (name, values) in enumerate(iterate_columns(X)):
            if position in indicators:  # as a number, like its neighbours
                values = pd.Series(to_numbers(values, name), name=name)
            is_missing = pd.isna(values)
            if is_missing.all():
                raise ValueError(
                    f"Column {name!r} holds no value at all; drop it or fill it."
                )
            if is_missing.any():
                missing.append(repr(name))
            self.columns_.append(learn_column(name, values))
        self.n_features_in_ = len(self.columns_)
        if missing:
            shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            warn(
                f"Missing values in {len(missing)} of {len(self.columns_)} columns "
                f"were imputed by the median or the most frequent category: {shown}. "
                "Impute them beforehand, or pass a preprocessor with an imputer, for "
                "another rule.",
                ImputationWarning,
            )
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Encode a table.

        Parameters
        ----------
        X : DataFrame or array-like of shape (n, n_features)

        Returns
        -------
        encoded : ndarray of shape (n, n_encoded), float64
        """
        check_is_fitted(self)
        X = X.toarray() if sparse.issparse(X) else X
        # The same numbers as column by column, but all columns in one operation: wide
        # arrays such as flattened images spend most of their time here.
        fast = isinstance(X, np.ndarray) and X.dtype.kind in "biuf"
        if fast and self.is_numeric_ and X.shape[1] == self.n_features_in_:
            center, scale, fill, bound = np.array([c[1:] for c in self.columns_]).T
            values = X.astype(float)
            if np.isinf(values).any():
                position = int(np.isinf(values).any(0).argmax())
                to_numbers(values[:, position], self.columns_[position].name)
            values = np.where(np.isnan(values), fill, values)
            return bend((values - center) / scale, bound)
        blocks = [
            column.encode(values)
            for column, (_, values) in zip(
                self.columns_, iterate_columns(X), strict=True
            )
        ]
        return np.concatenate(blocks, axis=1)

    def inverse_numeric(self, encoded: np.ndarray) -> np.ndarray:
        """Raw values of the numeric columns; NaN in place of categories.

        Parameters
        ----------
        encoded : ndarray of shape (n, n_encoded)

        Returns
        -------
        raw : ndarray of shape (n, n_features)
        """
        raw = np.full((len(encoded), self.n_features_in_), np.nan)
        numbers = unbend(encoded, self.bounds_)
        start = 0
        for position, column in enumerate(self.columns_):
            if isinstance(column, NumericColumn):
                with np.errstate(over="ignore"):  # near the bound of huge numbers
                    raw[:, position] = numbers[:, start] * column.scale + column.center
            start += column.width
        return raw

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the encoded columns.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        names : ndarray of str
        """
        check_is_fitted(self)
        names = [name for column in self.columns_ for name in column.feature_names()]
        if len(set(names)) < len(names):  # "a" with "b_c", and "a_b" with "c"
            names = [
                name
                for column in self.columns_
                for name in column.feature_names(separator="=")
            ]
        return np.asarray(names, dtype=object)

    @property
    def is_numeric_(self) -> bool:
        """Whether all columns are numeric."""
        return all(isinstance(column, NumericColumn) for column in self.columns_)

    @property
    def bounds_(self) -> np.ndarray:
        """Bound of each encoded column; infinite where values are not bent."""
        return np.array(
            [
                getattr(column, "bound", np.inf)
                for column in self.columns_
                for _ in range(column.width)
            ]
        )

    @property
    def sources_(self) -> list[int]:
        """Raw column of each encoded one."""
        return [
            position
            for position, column in enumerate(self.columns_)
            for _ in range(column.width)
        ]


def fit_preprocessor(preprocessor: Any, X: Any, y: ArrayLike) -> Any:
    """What encodes the rows of X, fitted to them; None where they are encoded."""
    if preprocessor is None:
        return None
    if isinstance(preprocessor, str):
        return TableEncoder().fit(X)
    try:
        return clone(preprocessor).fit(X, y)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The preprocessor {type(preprocessor).__name__} could not be fitted to X: "
            f"{error}. Use preprocessor='auto', or a ColumnTransformer that gives each "
            "column what suits it."
        ) from error


def indicator_flags(X: Any) -> set[int]:
    """Positions of bool columns that together encode one category.

    `pandas.get_dummies` makes them. One 0/1 column each is what they are to the model;
    two for each, as a category of its own has, would hide that they belong together.
    """
    if not hasattr(X, "iloc"):
        return set()
    flags = [i for i, t in enumerate(X.dtypes) if pd.api.types.is_bool_dtype(t)]
    flags = [i for i in flags if not isinstance(X.dtypes.iloc[i], pd.CategoricalDtype)]
    if len(flags) < 2:
        return set()
    numbers = [to_numbers(X.iloc[:, i], X.columns[i]) for i in flags]
    blocks = named_blocks(list(X.columns), np.stack(numbers, 1) == 1, flags)
    return {i for block, _ in blocks for i in block}


def iterate_columns(X: Any) -> Iterator[tuple[Any, Any]]:
    """Yield (name, values) of a frame or an array, column by column."""
    if hasattr(X, "iloc"):
        for position, name in enumerate(X.columns):
            yield name, X.iloc[:, position]
    else:
        for position, values in enumerate(np.asarray(X).T):
            yield position, values


def is_category(values: Any) -> bool:
    """Whether a raw column is categorical rather than numeric."""
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype) or pd.api.types.is_bool_dtype(dtype):
        return True
    if pd.api.types.is_numeric_dtype(dtype):
        return False
    if dtype == object:
        present = values[~pd.isna(values)]
        kind = pd.api.types.infer_dtype(present, skipna=True)
        return kind in ("boolean", "string") or not converts_to_numbers(present)
    return pd.api.types.is_string_dtype(dtype)


def converts_to_numbers(values: Any) -> bool:
    """Whether every entry of an object column reads as a number."""
    try:
        pd.to_numeric(pd.Series(np.asarray(values, dtype=object)))
    except (ValueError, TypeError):
        return False
    return True


def to_numbers(values: Any, name: object) -> np.ndarray:
    """Numeric column as float64, missing values as NaN."""
    series = pd.Series(values) if not isinstance(values, pd.Series) else values
    try:
        if series.dtype.kind in "mMc":  # dates would become nanoseconds
            raise TypeError(f"values of type {series.dtype}")
        if series.dtype == object:
            series = pd.to_numeric(series)
        numbers = series.to_numpy(dtype=float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"Column {name!r} is a number to the model, but holds something that is "
            f"none: {error}. Convert it, or fit again."
        ) from error
    if np.isinf(numbers).any():
        raise ValueError(
            f"Column {name!r} contains infinity; replace it by a finite number or by "
            "a missing value."
        )
    return numbers


def check_cells(name: Any, values: Any) -> None:
    """Raise a ValueError for cells that hold several values each."""
    if values.dtype != object:
        return
    present = values[~pd.isna(values)]
    if pd.api.types.infer_dtype(present, skipna=True).startswith("mixed"):
        for value in present:
            if not is_single(value):
                raise unusable(name, type(value).__name__)


def is_single(value: Any) -> bool:
    """Whether a cell holds one value, neither a sequence nor an array."""
    return isinstance(value, Hashable) and not getattr(value, "ndim", 0)


def learn_column(name: Any, values: Any) -> NumericColumn | CategoryColumn:
    """Describe one raw column."""
    check_cells(name, values)
    if is_category(values):
        return learn_category(name, values)
    is_number = pd.api.types.is_numeric_dtype(values.dtype) or values.dtype == object
    if not is_number or values.dtype.kind == "c":
        raise unusable(name, values.dtype)
    numbers = to_numbers(values, name)
    present = numbers[~np.isnan(numbers)]
    if np.isin(present, (0.0, 1.0)).all():  # as it is, so that one-hot blocks stay so
        return NumericColumn(name, 0.0, 1.0, float(present.mean() > 0.5))
    unit = max(float(np.abs(present).max()) / LARGE, 1.0)
    low, center, high = unit * np.percentile(present / unit, [25, 50, 75])
    deviation = unit * float((present / unit).std())
    # A constant column can have a deviation of a few roundings; dividing by that would
    # blow them up.
    rounding = float(10 * np.finfo(float).eps * np.abs(present).max())
    furthest = float(np.abs(present / unit - center / unit).max()) * unit
    least = max(rounding, furthest / FURTHEST)
    scale = next((s for s in (high - low, deviation) if s > least), max(1.0, rounding))
    return NumericColumn(name, float(center), float(scale), float(center), BOUND)


# These are written with operators that arrays and tensors share: solvers use them, too.


def bend(z: Any, bound: Any) -> Any:
    """Monotone map of all numbers into (-bound, bound), with slope 1 at 0.

    Parameters
    ----------
    z : ndarray or Tensor
    bound : float, ndarray or Tensor
        Infinite where nothing is to be bent.
    """
    far = 1e15 * bound  # its square is finite, also in float32
    z = z.clip(-far, far)
    return z / (1.0 + (z / bound) ** 2) ** 0.5


def unbend(u: Any, bound: Any, largest: float = LARGEST_FRACTION) -> Any:
    """Inverse of `bend`, finite on and beyond the bound, too.

    `largest` is the fraction of the bound beyond which numbers cannot be told apart.
    """
    u = u.clip(-largest * bound, largest * bound)
    fraction = u / bound
    return u / ((1.0 - fraction) * (1.0 + fraction)) ** 0.5


def unbend_slope(u: Any, bound: Any, largest: float = LARGEST_FRACTION) -> Any:
    """Derivative of `unbend`."""
    return (1.0 + (unbend(u, bound, largest) / bound) ** 2) ** 1.5


def unusable(name: Any, kind: Any) -> ValueError:
    """Build the error for a column of a type that means nothing here."""
    return ValueError(
        f"Column {name!r} has the type {kind}, which is neither a number nor a "
        "category; convert it (a date to a number of days, say) or drop it."
    )


def learn_category(name: Any, values: Any) -> CategoryColumn:
    """Describe one categorical column: declared order where there is one."""
    dtype = values.dtype
    present = pd.Series(np.asarray(values, dtype=object)).dropna()
    try:
        counts = present.value_counts()
        if isinstance(dtype, pd.CategoricalDtype):
            categories = [c for c in dtype.categories if c in counts.index]
        else:
            categories = sorted(counts.index, key=lambda c: (str(type(c)), c))
        hash(tuple(categories))
    except TypeError as error:  # cells that are not hashable, such as lists
        raise unusable(name, type(present.iloc[0]).__name__) from error
    advice = ""
    if not isinstance(dtype, pd.CategoricalDtype):
        advice = advice_on_text(name, categories, len(present), MAX_CATEGORIES)
    n_columns = f"it makes {len(categories):,} columns of the model input"
    if len(categories) > MAX_CATEGORIES:
        advice = advice or "A name or an identifier? Drop it, or group it"
        raise ValueError(
            f"Column {name!r} holds {len(categories):,} different categories, more "
            f"than {MAX_CATEGORIES:,}: {advice}."
        )
    if advice:
        warn(f"Column {name!r} is text, {n_columns}, and {advice}.", ColumnWarning)
    ordered = bool(getattr(dtype, "ordered", False))
    fill = categories.index(counts.index[0])
    return CategoryColumn(name, tuple(categories), ordered, fill)
