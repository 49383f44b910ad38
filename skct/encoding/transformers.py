"""Adapters for the transformers of scikit-learn and skrub, and for `TableEncoder`.

`skct.encoding.adapters` explains what an adapter is and how to add one. Only public
attributes of fitted transformers are used here.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import OneToOneFeatureMixin
from sklearn.compose import ColumnTransformer
from sklearn.feature_selection import SelectorMixin
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder

from ..preprocessing import CategoryColumn, TableEncoder
from ..utils.validation import as_floats
from .adapters import (
    Categories,
    Sources,
    TransformerAdapter,
    adapter,
    not_invertible,
    one_to_one,
    register_adapter,
)

__all__ = ["apply", "bounds", "categories", "inverse_numeric", "is_identity", "sources"]


def apply(transformer: Any, X: Any) -> np.ndarray:
    """Encode a raw table as a dense float array."""
    encoded = X if transformer is None else transform(transformer, X)
    if sparse.issparse(encoded):
        encoded = encoded.toarray()
    return as_floats("X", encoded)


def transform(transformer: Any, X: Any) -> Any:
    """Transform dense rows, as sparse ones where the transformer takes no others."""
    try:
        return transformer.transform(X)
    except ValueError as error:
        # A ColumnTransformer that was fitted to sparse rows joins sparse blocks only.
        if "blocks must be 2-D" not in str(error):
            raise
        return transformer.transform(sparse.csr_matrix(X))


def sources(transformer: Any, n_in: int, path: str = "preprocessor") -> Sources:
    """Input columns of each output column; see `TransformerAdapter.sources`."""
    return adapter(transformer, n_in, path).sources()


def inverse_numeric(transformer: Any, encoded: Any, n_in: int) -> np.ndarray:
    """Raw numbers behind encoded columns; see `TransformerAdapter.inverse`."""
    flat = np.asarray(encoded, dtype=float).reshape(len(encoded), -1)
    return adapter(transformer, n_in).inverse(flat)


def bounds(transformer: Any, n_in: int) -> float | np.ndarray:
    """Bounds of bent columns; see `TransformerAdapter.bounds`."""
    return adapter(transformer, n_in).bounds()


def categories(transformer: Any, n_in: int) -> Categories:
    """Known categories by input column; see `TransformerAdapter.categories`."""
    return adapter(transformer, n_in).categories()


# ------------------------------------------------------------------- column by column


@register_adapter(type(None), str)
class IdentityAdapter(TransformerAdapter):
    """A step that changes nothing: None, "passthrough", skrub's PassThrough."""

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """The encoded values themselves."""
        return encoded


@register_adapter(object)
def fallback_adapter(
    transformer: Any, n_in: int, path: str = "preprocessor"
) -> TransformerAdapter:
    """Adapters of skrub's transformers; any other class is refused."""
    # By name and attributes: skrub is an optional dependency and never imported here.
    if is_identity(transformer):
        return IdentityAdapter(transformer, n_in, path)
    if is_vectorizer(transformer):
        return VectorizerAdapter(transformer, n_in, path)
    raise not_invertible(transformer, path)


@register_adapter(OneToOneFeatureMixin)
def one_to_one_adapter(
    transformer: Any, n_in: int, path: str = "preprocessor"
) -> TransformerAdapter:
    """Scalers and power transforms; a Binarizer has no inverse and is refused."""
    if not hasattr(transformer, "inverse_transform"):
        raise not_invertible(transformer, path)
    return TransformerAdapter(transformer, n_in, path)


@register_adapter(FunctionTransformer)
def function_adapter(
    transformer: FunctionTransformer, n_in: int, path: str = "preprocessor"
) -> TransformerAdapter:
    """Functions need an inverse; that they work column by column is not checked."""
    if is_identity(transformer):
        return IdentityAdapter(transformer, n_in, path)
    if transformer.inverse_func is None:
        raise not_invertible(transformer, path)
    return TransformerAdapter(transformer, n_in, path)


@register_adapter(FrozenEstimator)
def frozen_adapter(
    transformer: FrozenEstimator, n_in: int, path: str = "preprocessor"
) -> TransformerAdapter:
    """The adapter of the wrapped transformer."""
    return adapter(transformer.estimator, n_in, path)


@register_adapter(SelectorMixin)
class SelectorAdapter(TransformerAdapter):
    """Feature selectors: some columns pass unchanged, the others are dropped."""

    def kept(self) -> np.ndarray:
        """Input columns that pass."""
        return np.flatnonzero(self.transformer.get_support())

    def sources(self) -> Sources:
        """The columns that pass, in their order."""
        return [(int(i),) for i in self.kept()]

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Values of the columns that pass; NaN for dropped ones."""
        raw = np.full((len(encoded), self.n_in), np.nan)
        raw[:, self.kept()] = encoded
        return raw


@register_adapter(SimpleImputer)
class ImputerAdapter(SelectorAdapter):
    """Imputers drop columns without any value; observed values pass unchanged."""

    def kept(self) -> np.ndarray:
        """Input columns that pass; an added indicator column has no inverse."""
        if getattr(self.transformer, "indicator_", None) is not None:
            raise not_invertible(self.transformer, f"{self.path}, add_indicator=True")
        statistics = self.transformer.statistics_
        if self.transformer.keep_empty_features:
            return np.arange(len(statistics))
        return np.flatnonzero([not is_missing(value) for value in statistics])

    def fill_values(self) -> dict[int, Any]:
        """The constant that the user chose; medians and the like are in the data."""
        if self.transformer.strategy != "constant":
            return {}
        return {int(i): self.transformer.statistics_[i] for i in self.kept()}


# ------------------------------------------------------------------------- categories


@register_adapter(OrdinalEncoder)
class OrdinalAdapter(TransformerAdapter):
    """One number per category."""

    @property
    def order_is_declared(self) -> bool:
        """Whether the user listed the categories, and with them their order."""
        return not isinstance(self.transformer.categories, str)

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """NaN: `FeatureSpace` decodes categories by their nearest code."""
        return np.full((len(encoded), self.n_in), np.nan)

    def categories(self) -> Categories:
        """All categories of all inputs."""
        return {
            position: (
                tuple(value for value in values if not is_missing(value)),
                self.order_is_declared,
            )
            for position, values in enumerate(self.transformer.categories_)
        }


@register_adapter(OneHotEncoder)
class OneHotAdapter(OrdinalAdapter):
    """One column per category, except for dropped and infrequent ones."""

    order_is_declared = False  # listed or not: one-hot columns imply no order

    def sources(self) -> Sources:
        """Each input column is the source of a block of outputs."""
        widths = enumerate(one_hot_widths(self.transformer))
        return [(i,) for i, width in widths for _ in range(width)]


@register_adapter(TableEncoder)
class TableEncoderAdapter(TransformerAdapter):
    """The encoder behind `preprocessor="auto"`, which knows all answers."""

    def sources(self) -> Sources:
        """One input column per output."""
        return [(i,) for i in self.transformer.sources_]

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Numeric columns, unscaled."""
        return self.transformer.inverse_numeric(encoded)

    def bounds(self) -> float | np.ndarray:
        """Numbers other than 0/1 columns are bent."""
        return self.transformer.bounds_

    def categories(self) -> Categories:
        """Categories in an order that counts if the column's dtype is ordered."""
        return {
            position: (column.categories, column.ordered)
            for position, column in enumerate(self.transformer.columns_)
            if isinstance(column, CategoryColumn)
        }


# ------------------------------------------------------ transformers of transformers


@register_adapter(Pipeline)
class PipelineAdapter(TransformerAdapter):
    """One step after another."""

    def steps(self) -> Iterator[tuple[TransformerAdapter, Sources]]:
        """Yield the adapter of each step, and the raw columns behind its inputs."""
        current, previous = one_to_one(self.n_in), None
        for name, step in self.transformer.steps:
            if previous is not None:
                current = composed(current, previous.sources())
            path = f"{self.path}, step {name!r}"
            previous = adapter(step, len(current), path)
            yield previous, current

    def sources(self) -> Sources:
        """Sources of the last step, traced back through all earlier ones."""
        *_, (last, current) = self.steps()
        return composed(current, last.sources())

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Invert step by step, from the last to the first."""
        for step, _ in reversed(list(self.steps())):
            encoded = step.inverse(encoded)
        return encoded

    def bounds(self) -> float | np.ndarray:
        """Those of the last step, whose output the model sees."""
        *_, (last, _) = self.steps()
        return last.bounds()

    def categories(self) -> Categories:
        """Categories of each column, as the first step that encodes it knows them."""
        found: Categories = {}
        fill_values: dict[int, Any] = {}
        for step, current in self.steps():
            for i, (values, declared) in step.categories().items():
                # An encoder behind a constant imputer sees the fill value as one more
                # category, but no raw column holds it.
                fill = fill_values.get(current[i][0])
                values = tuple(v for v in values if v != fill)
                found.setdefault(current[i][0], (values, declared))
            fill_values |= raw_keys(step.fill_values(), current)
        return found

    def fill_values(self) -> dict[int, Any]:
        """Fill values of all steps."""
        found: dict[int, Any] = {}
        for step, current in self.steps():
            found |= raw_keys(step.fill_values(), current)
        return found


@register_adapter(ColumnTransformer)
class ColumnsAdapter(TransformerAdapter):
    """Parallel steps, each on some of the columns."""

    def steps(self) -> Iterator[tuple[str, TransformerAdapter, list[int]]]:
        """Yield name, adapter and input positions of each step that keeps columns."""
        names = getattr(self.transformer, "feature_names_in_", None)
        for name, step, columns in self.transformer.transformers_:
            if isinstance(step, str) and step == "drop":
                continue
            positions = column_positions(
                columns, self.transformer.n_features_in_, names
            )
            if positions:  # scikit-learn leaves steps without columns unfitted
                path = f"{self.path}, step {name!r}"
                yield name, adapter(step, len(positions), path), positions

    def sources(self) -> Sources:
        """Sources of all steps, in the order of the output."""
        outputs = self.transformer.output_indices_
        joined: Sources = [()] * max(where.stop for where in outputs.values())
        for name, step, positions in self.steps():
            joined[outputs[name]] = [
                tuple(positions[i] for i in columns) for columns in step.sources()
            ]
        return joined

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Invert each step on its block of outputs, divided by its weight."""
        raw = np.full((len(encoded), self.n_in), np.nan)
        weights = self.transformer.transformer_weights or {}
        for name, step, positions in self.steps():
            block = encoded[:, self.transformer.output_indices_[name]]
            raw[:, positions] = step.inverse(block / weights.get(name, 1.0))
        return raw

    def categories(self) -> Categories:
        """Categories of all steps."""
        return {
            positions[i]: known
            for _, step, positions in self.steps()
            for i, known in step.categories().items()
        }

    def fill_values(self) -> dict[int, Any]:
        """Fill values of all steps."""
        return {
            positions[i]: value
            for _, step, positions in self.steps()
            for i, value in step.fill_values().items()
        }


class VectorizerAdapter(TransformerAdapter):
    """skrub's TableVectorizer: one transformer per column."""

    def steps(self) -> Iterator[tuple[TransformerAdapter, int, list[int]]]:
        """Yield adapter, input position and output positions of each kept column."""
        vectorizer = self.transformer
        outputs = {name: i for i, name in enumerate(vectorizer.all_outputs_)}
        for position, name in enumerate(vectorizer.feature_names_in_):
            step = vectorizer.transformers_.get(name)
            made = vectorizer.input_to_outputs_[name]
            made = [outputs[output] for output in made if output in outputs]
            if step is not None and made:
                yield adapter(step, 1, f"{self.path}, column {name!r}"), position, made

    def sources(self) -> Sources:
        """The column that each output was computed from."""
        joined: Sources = [()] * len(self.transformer.all_outputs_)
        for step, position, outputs in self.steps():
            step.sources()  # raises for a step that cannot be inverted
            for output in outputs:
                joined[output] = (position,)
        return joined

    def inverse(self, encoded: np.ndarray) -> np.ndarray:
        """Invert the transformer of each column."""
        raw = np.full((len(encoded), self.n_in), np.nan)
        for step, position, outputs in self.steps():
            raw[:, [position]] = step.inverse(encoded[:, outputs])
        return raw

    def categories(self) -> Categories:
        """Categories of each column's transformer."""
        return {
            position: known
            for step, position, _ in self.steps()
            for known in step.categories().values()
        }


# ------------------------------------------------------------------------ small helpers


def is_identity(transformer: Any) -> bool:
    """Whether a step returns its input unchanged."""
    if transformer is None or isinstance(transformer, str):
        return True
    if type(transformer).__name__ == "PassThrough":  # skrub's
        return True
    return isinstance(transformer, FunctionTransformer) and transformer.func is None


def is_vectorizer(transformer: Any) -> bool:
    """Whether a step is like skrub's TableVectorizer: one transformer per column."""
    return hasattr(transformer, "input_to_outputs_") and isinstance(
        getattr(transformer, "transformers_", None), dict
    )


def is_missing(value: Any) -> bool:
    """Whether a category stands for a missing value."""
    return value is None or value != value


def composed(first: Sources, second: Sources) -> Sources:
    """Sources of two steps in a row."""
    return [tuple(sorted({s for i in columns for s in first[i]})) for columns in second]


def raw_keys(by_input: dict[int, Any], current: Sources) -> dict[int, Any]:
    """Values by raw column of what a step knows by its input columns."""
    return {current[i][0]: value for i, value in by_input.items()}


def column_positions(columns: Any, n_in: int, names: Sequence | None) -> list[int]:
    """Positions behind a ColumnTransformer's column selector."""
    if isinstance(columns, (str, int, np.integer)):
        columns = [columns]
    every = np.arange(n_in)
    if isinstance(columns, slice):
        return [int(i) for i in every[by_position(columns, names)]]
    columns = list(columns)
    if columns and all(isinstance(c, (bool, np.bool_)) for c in columns):
        return [int(i) for i in every[np.array(columns)]]
    known = list(names) if names is not None else []
    return [known.index(c) if isinstance(c, str) else int(every[c]) for c in columns]


def by_position(columns: slice, names: Sequence | None) -> slice:
    """Slice of positions; a slice of names includes its stop, as in pandas."""
    if not (isinstance(columns.start, str) or isinstance(columns.stop, str)):
        return columns
    known = list(names) if names is not None else []
    start = known.index(columns.start) if columns.start is not None else 0
    stop = len(known) if columns.stop is None else known.index(columns.stop) + 1
    return slice(start, stop, columns.step)


def one_hot_widths(encoder: OneHotEncoder) -> list[int]:
    """Number of output columns of each input of a OneHotEncoder."""
    widths = []
    infrequent = getattr(encoder, "infrequent_categories_", None)
    for i, values in enumerate(encoder.categories_):
        # All infrequent categories share one column.
        rare = 0 if infrequent is None or infrequent[i] is None else len(infrequent[i])
        dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[i] is not None
        widths.append(len(values) - max(rare - 1, 0) - dropped)
    return widths
