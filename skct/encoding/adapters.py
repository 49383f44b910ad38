"""How outputs of a fitted transformer are traced back: one adapter per class.

scikit-learn has no inverse for a `ColumnTransformer`, and the inverses of its one-hot
and ordinal encoders are silently wrong on relaxed values (0.7 of a category). An
adapter answers questions about one transformer instead: which input columns does each
output depend on (`sources`), which raw numbers do outputs stand for (`inverse`), which
outputs are bent (`bounds`), and which categories are encoded (`categories`).

To support another transformer, write one class, here in `skct.encoding.transformers` or
in your own code. The base class `TransformerAdapter` suits transformers that work
column by column and have an `inverse_transform`. Override what differs and register it:

>>> import numpy as np
>>> from sklearn.base import BaseEstimator, TransformerMixin
>>> from skct.encoding import FeatureSpace, TransformerAdapter, register_adapter
>>> class Log(TransformerMixin, BaseEstimator):
...     def fit(self, X, y=None):
...         return self
...     def transform(self, X):
...         return np.log(X)
>>> @register_adapter(Log)
... class LogAdapter(TransformerAdapter):
...     def inverse(self, encoded):
...         return np.exp(encoded)
>>> X = np.array([[1.5], [10.0], [100.0]])
>>> space = FeatureSpace(Log().fit(X), X)
>>> space.decode([[0.0], [0.0], [0.0]], like=X).round(4).ravel().tolist()
[1.0, 1.0, 1.0]

An adapter also serves the subclasses of its transformer, unless they have their own
(`functools.singledispatch`).
"""

from collections.abc import Callable
from functools import singledispatch
from typing import Any, TypeVar

import numpy as np
from scipy import sparse

from ..utils.quiet import quiet

__all__ = [
    "TransformerAdapter",
    "adapter",
    "as_dense",
    "not_invertible",
    "one_to_one",
    "register_adapter",
]


# The input columns of each output column.
Sources = list[tuple[int, ...]]
# Input column -> its categories, and whether the user has declared their order.
Categories = dict[int, tuple[tuple, bool]]


# scikit-learn 1.7 warns that the arrays given to an inverse lack column names. Beyond
# the range of a power transform its inverse is NaN with a warning; `FeatureSpace` then
# keeps the raw value.
EXPECTED_WARNINGS = (
    "X does not have valid feature|Some values in column|invalid value enc"
)


class TransformerAdapter:
    """Traces the outputs of one fitted transformer back to its input columns.

    The base class of all adapters. As it stands, it suits transformers that turn each
    column into one column and have an `inverse_transform`.

    Parameters
    ----------
    transformer : fitted transformer
    n_in : int
        Number of columns that it was fitted to.
    path : str, default="preprocessor"
        Where the transformer is, for error messages.

    See Also
    --------
    register_adapter : Declares which transformers an adapter is for.
    """

    def __init__(self, transformer: Any, n_in: int, path: str = "preprocessor"):
        self.transformer = transformer
        self.n_in = n_in
        self.path = path

    def sources(self) -> Sources:
        """Input columns of each output column.

        Returns
        -------
        sources : list of tuple of int
            One entry per output. `FeatureSpace` refuses outputs of several inputs by
            the names of these.

        Raises
        ------
        ValueError
            If the outputs cannot be traced back at all.
        """
        return one_to_one(self.n_in)

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Raw numbers that encoded ones stand for.

        Parameters
        ----------
        encoded : ndarray of shape (n, n_outputs)

        Returns
        -------
        raw : ndarray of shape (n, n_in)
            NaN in categorical columns, and in those that were dropped.
        """
        raw = np.full((len(encoded), self.n_in), np.nan)
        with quiet(UserWarning, RuntimeWarning, message=EXPECTED_WARNINGS):
            raw[:] = as_dense(self.transformer.inverse_transform(encoded))
        return raw

    def bounds(self) -> float | np.ndarray:
        """Between minus and plus what outputs are bent, by `skct.preprocessing.bend`.

        Costs are measured before the bend, where equal raw steps are equal.

        Returns
        -------
        bounds : float or ndarray of shape (n_outputs,)
            Infinite where an output is not bent.
        """
        return np.inf

    def categories(self) -> Categories:
        """Categories that the transformer encodes.

        Returns
        -------
        categories : dict
            Input column -> its categories (a tuple, without the missing value) and
            whether the user declared their order.
        """
        return {}

    def fill_values(self) -> dict[int, Any]:
        """Constants that stand for missing values behind this transformer.

        Returns
        -------
        fill_values : dict
            Input column -> value, which is no category of the raw column.
        """
        return {}


AnyAdapter = TypeVar("AnyAdapter", bound=Callable[..., TransformerAdapter])


@singledispatch
def adapter(
    transformer: Any, n_in: int, path: str = "preprocessor"
) -> TransformerAdapter:
    """Adapter of a fitted transformer, by its class or the nearest base class.

    Parameters
    ----------
    transformer : fitted transformer, "passthrough" or None
    n_in : int
        Number of columns that it was fitted to.
    path : str, default="preprocessor"
        Where the transformer is, for error messages.

    Returns
    -------
    adapter : TransformerAdapter

    Raises
    ------
    ValueError
        For a transformer that no adapter is registered for.
    """
    raise not_invertible(transformer, path)


def register_adapter(*classes: type) -> Callable[[AnyAdapter], AnyAdapter]:
    """Decorate the adapter of some transformer classes and their subclasses.

    Parameters
    ----------
    *classes : type
        Classes or mixins of transformers. The last adapter registered for a class wins.

    Returns
    -------
    decorator : callable
        For a subclass of `TransformerAdapter`, or a function of `transformer`, `n_in`
        and `path` that returns an adapter.

    Examples
    --------
    A transformer that turns its columns around, and has an `inverse_transform`:

    >>> from sklearn.base import BaseEstimator
    >>> from skct.encoding import TransformerAdapter, register_adapter
    >>> class Mirror(BaseEstimator):
    ...     def transform(self, X):
    ...         return X[:, ::-1]
    ...     inverse_transform = transform
    >>> @register_adapter(Mirror)
    ... class MirrorAdapter(TransformerAdapter):
    ...     def sources(self):
    ...         return [(i,) for i in reversed(range(self.n_in))]
    """

    def register(make_adapter: AnyAdapter) -> AnyAdapter:
        for cls in classes:
            adapter.register(cls, make_adapter)
        return make_adapter

    return register


def not_invertible(transformer: Any, path: str) -> ValueError:
    """Build the error for a step that cannot be inverted."""
    return ValueError(
        f"The transformer {type(transformer).__name__} ({path}) mixes, bins or drops "
        "information, so that counterfactuals cannot be given in raw columns. "
        "Replace it by one that works column by column and has an inverse, or put it "
        "in front and explain its output instead of its input."
    )


def one_to_one(n_in: int) -> Sources:
    """Sources of a transformer that works column by column."""
    return [(i,) for i in range(n_in)]


def as_dense(values: Any) -> np.ndarray:
    """Plain array of what a transformer returned."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)
