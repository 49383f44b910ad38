"""Walk through fitted scikit-learn transformers: provenance, inverse, categories.

scikit-learn has no inverse for a `ColumnTransformer`, and the inverses of its one-hot
and ordinal encoders are silently wrong on relaxed values. Only public attributes of
fitted transformers are used here.
"""

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
from ..utils.quiet import quiet
from ..utils.validation import as_floats

__all__ = ["apply", "categories", "inverse_numeric", "sources"]


def apply(transformer, X):
    """Encode a raw table as a dense float array."""
    encoded = X if transformer is None else transform(transformer, X)
    if sparse.issparse(encoded):
        encoded = encoded.toarray()
    return as_floats("X", encoded)


def transform(transformer, X):
    """Transform dense rows, as sparse ones where the transformer takes no others."""
    try:
        return transformer.transform(X)
    except ValueError as error:
        # A ColumnTransformer that learnt from sparse rows joins sparse blocks only.
        if "blocks must be 2-D" not in str(error):
            raise
        return transformer.transform(sparse.csr_matrix(X))


def sources(transformer, n_in, path="preprocessor"):
    """Input columns of each output column, as a list of tuples.

    Raises
    ------
    ValueError
        For a step whose outputs cannot be led back to single inputs.
    """
    transformer = thaw(transformer)
    if is_identity(transformer):
        return [(i,) for i in range(n_in)]
    if isinstance(transformer, TableEncoder):
        return [(i,) for i in transformer.sources_]
    if isinstance(transformer, Pipeline):
        current = [(i,) for i in range(n_in)]
        for name, step in transformer.steps:
            inner = sources(step, len(current), f"{path}, step {name!r}")
            current = [
                tuple(sorted({s for i in columns for s in current[i]}))
                for columns in inner
            ]
        return current
    if isinstance(transformer, ColumnTransformer):
        parts = {}
        for name, step, positions in column_steps(transformer):
            inner = sources(step, len(positions), f"{path}, step {name!r}")
            parts[name] = [tuple(positions[i] for i in columns) for columns in inner]
        return in_output_order(transformer, parts)
    if is_vectorizer(transformer):
        return vectorizer_sources(transformer, path)
    if isinstance(transformer, OneHotEncoder):
        return [
            (i,)
            for i, width in enumerate(one_hot_widths(transformer))
            for _ in range(width)
        ]
    if isinstance(transformer, (SimpleImputer, SelectorMixin)):
        return [(i,) for i in kept_columns(transformer, path)]
    if is_elementwise(transformer):
        return [(i,) for i in range(n_in)]
    raise not_invertible(transformer, path)


def inverse_numeric(transformer, encoded, n_in):
    """Raw values of numeric columns; NaN where there is a category, or nothing."""
    transformer = thaw(transformer)
    if is_identity(transformer):
        return encoded
    if isinstance(transformer, TableEncoder):
        return transformer.inverse_numeric(encoded)
    if isinstance(transformer, Pipeline):
        widths = [n_in]
        for _, step in transformer.steps[:-1]:
            widths.append(len(sources(step, widths[-1])))
        for (_, step), width in zip(
            reversed(transformer.steps), reversed(widths), strict=True
        ):
            encoded = inverse_numeric(step, encoded, width)
        return encoded
    raw = np.full((len(encoded), n_in), np.nan)
    if isinstance(transformer, ColumnTransformer):
        for name, step, positions in column_steps(transformer):
            block = encoded[:, transformer.output_indices_[name]]
            block = block / (transformer.transformer_weights or {}).get(name, 1.0)
            raw[:, positions] = inverse_numeric(step, block, len(positions))
    elif is_vectorizer(transformer):
        for _, step, position, outputs in vectorizer_steps(transformer):
            raw[:, [position]] = inverse_numeric(step, encoded[:, outputs], 1)
    elif isinstance(transformer, (SimpleImputer, SelectorMixin)):
        raw[:, kept_columns(transformer)] = encoded
    elif not isinstance(transformer, (OneHotEncoder, OrdinalEncoder)):
        # scikit-learn 1.7 wants names here, too. And beyond the range of a power there
        # is NaN: `FeatureSpace` knows what that means.
        told = "X does not have valid feature|Some values in column|invalid value enc"
        with quiet(UserWarning, RuntimeWarning, message=told):
            raw[:] = as_dense(transformer.inverse_transform(encoded))
    return raw


def categories(transformer, n_in):
    """Known categories by input column: position -> (categories, order_is_given)."""
    transformer = thaw(transformer)
    if isinstance(transformer, TableEncoder):
        return {
            position: (column.categories, column.ordered)
            for position, column in enumerate(transformer.columns_)
            if isinstance(column, CategoryColumn)
        }
    if isinstance(transformer, (OneHotEncoder, OrdinalEncoder)):
        ordinal = isinstance(transformer, OrdinalEncoder)
        given = ordinal and not isinstance(transformer.categories, str)
        return {
            position: (tuple(c for c in values if not is_missing(c)), given)
            for position, values in enumerate(transformer.categories_)
        }
    found = {}
    if isinstance(transformer, ColumnTransformer):
        for _, step, positions in column_steps(transformer):
            inner = categories(step, len(positions))
            found.update({positions[i]: known for i, known in inner.items()})
    elif is_vectorizer(transformer):
        for _, step, position, _ in vectorizer_steps(transformer):
            for known in categories(step, 1).values():
                found[position] = known
    elif isinstance(transformer, Pipeline):
        current = [(i,) for i in range(n_in)]
        stand_ins = {}
        for _, step in transformer.steps:
            for i, (values, given) in categories(step, len(current)).items():
                fill = stand_ins.get(current[i][0])
                values = tuple(v for v in values if v != fill)
                found.setdefault(current[i][0], (values, given))
            if isinstance(step, SimpleImputer) and step.strategy == "constant":
                kept = kept_columns(step)
                stand_ins = {current[i][0]: step.statistics_[i] for i in kept}
            current = [
                tuple({s for i in columns for s in current[i]})
                for columns in sources(step, len(current))
            ]
    return found


def thaw(transformer):
    """The transformer inside `FrozenEstimator`s."""
    while isinstance(transformer, FrozenEstimator):
        transformer = transformer.estimator
    return transformer


def is_identity(transformer):
    """Whether a step hands its input on as it is."""
    if transformer is None or isinstance(transformer, str):
        return True
    if type(transformer).__name__ == "PassThrough":  # skrub's
        return True
    return isinstance(transformer, FunctionTransformer) and transformer.func is None


def is_vectorizer(transformer):
    """Whether a step is like skrub's TableVectorizer: one transformer per column."""
    return hasattr(transformer, "input_to_outputs_") and isinstance(
        getattr(transformer, "transformers_", None), dict
    )


def vectorizer_steps(vectorizer):
    """Yield (name, step, input position, output positions) of each kept column."""
    outputs = {name: i for i, name in enumerate(vectorizer.all_outputs_)}
    for position, name in enumerate(vectorizer.feature_names_in_):
        step = vectorizer.transformers_.get(name)
        made = [outputs[o] for o in vectorizer.input_to_outputs_[name] if o in outputs]
        if step is not None and made:
            yield name, step, position, made


def vectorizer_sources(vectorizer, path):
    """Input column of each output of a vectoriser, as a list of tuples."""
    joined = [()] * len(vectorizer.all_outputs_)
    for name, step, position, outputs in vectorizer_steps(vectorizer):
        sources(step, 1, f"{path}, column {name!r}")  # raises what has no way back
        for output in outputs:
            joined[output] = (position,)
    return joined


def is_elementwise(transformer):
    """Whether each output depends on one input, and an inverse exists."""
    if isinstance(transformer, FunctionTransformer):
        return transformer.inverse_func is not None
    return isinstance(transformer, OneToOneFeatureMixin) and hasattr(
        transformer, "inverse_transform"
    )


def is_missing(value):
    """Whether a category stands for a missing value."""
    return value is None or value != value


def as_dense(values):
    """Plain array of what a transformer returned."""
    return values.toarray() if sparse.issparse(values) else np.asarray(values)


def not_invertible(transformer, path):
    """Build the error for a step that cannot be led back to raw columns."""
    return ValueError(
        f"The transformer {type(transformer).__name__} ({path}) mixes, bins or drops "
        "information, so that counterfactuals cannot be given in raw columns. "
        "Replace it by one that works column by column and has an inverse, or put it "
        "in front and explain its output instead of its input."
    )


def column_steps(transformer):
    """Yield (name, step, input positions) of a fitted ColumnTransformer."""
    names = getattr(transformer, "feature_names_in_", None)
    for name, step, columns in transformer.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        positions = column_positions(columns, transformer.n_features_in_, names)
        if positions:  # scikit-learn leaves steps without columns unfitted
            yield name, step, positions


def column_positions(columns, n_in, names):
    """Positions behind a ColumnTransformer's column selector."""
    if isinstance(columns, (str, int, np.integer)):
        columns = [columns]
    every = np.arange(n_in)
    if isinstance(columns, slice):
        if isinstance(columns.start, str) or isinstance(columns.stop, str):
            known = list(names)
            start = known.index(columns.start) if columns.start is not None else 0
            stop = n_in if columns.stop is None else known.index(columns.stop) + 1
            columns = slice(start, stop, columns.step)
        return [int(i) for i in every[columns]]
    columns = list(columns)
    if columns and all(isinstance(c, (bool, np.bool_)) for c in columns):
        return [int(i) for i in every[np.array(columns)]]
    known = list(names) if names is not None else []
    return [known.index(c) if isinstance(c, str) else int(every[c]) for c in columns]


def in_output_order(transformer, parts):
    """Join the parts of a ColumnTransformer in the order of its output."""
    size = max(where.stop for where in transformer.output_indices_.values())
    joined = [()] * size
    for name, part in parts.items():
        joined[transformer.output_indices_[name]] = part
    return joined


def one_hot_widths(encoder):
    """Number of output columns of each input of a OneHotEncoder."""
    widths = []
    infrequent = getattr(encoder, "infrequent_categories_", None)
    for i, values in enumerate(encoder.categories_):
        rare = 0 if infrequent is None or infrequent[i] is None else len(infrequent[i])
        dropped = encoder.drop_idx_ is not None and encoder.drop_idx_[i] is not None
        widths.append(len(values) - max(rare - 1, 0) - dropped)
    return widths


def kept_columns(transformer, path=""):
    """Input columns that an imputer or a selector hands on."""
    if isinstance(transformer, SelectorMixin):
        return np.flatnonzero(transformer.get_support())
    if getattr(transformer, "indicator_", None) is not None:
        raise not_invertible(transformer, f"{path}, add_indicator=True")
    statistics = transformer.statistics_
    if transformer.keep_empty_features:
        return np.arange(len(statistics))
    return np.flatnonzero([not is_missing(value) for value in statistics])
