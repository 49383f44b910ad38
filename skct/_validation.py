"""Checks of parameters and names shared by the public classes."""

from contextlib import contextmanager
from difflib import get_close_matches
from numbers import Integral, Real

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from ._table import as_pandas

MUTABILITY_WORDS = ("both", "none", "increase", "decrease")


def parameter_error(owner, name, allowed, value):
    """Build the one error message that all parameters share."""
    return ValueError(
        f"The {name!r} parameter of {type(owner).__name__} must be {allowed}. "
        f"Got {value!r} instead."
    )


def is_number(value):
    """Tell whether `value` is a real number (bool does not count)."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integer(value):
    """Tell whether `value` is an integer (bool does not count)."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_real(owner, name, *, low=None, high=None, open_low=False, open_high=False):
    """Check that ``owner.name`` is a number within the bounds, and return it."""
    value = getattr(owner, name)
    too_low = (
        low is not None
        and is_number(value)
        and (value <= low if open_low else value < low)
    )
    too_high = (
        high is not None
        and is_number(value)
        and (value >= high if open_high else value > high)
    )
    if not is_number(value) or value != value or too_low or too_high:
        left = "(-inf" if low is None else f"{'(' if open_low else '['}{low}"
        right = "inf)" if high is None else f"{high}{')' if open_high else ']'}"
        raise parameter_error(
            owner, name, f"a number in the range {left}, {right}", value
        )
    return value


def check_integer(owner, name, *, low):
    """Check that ``owner.name`` is an integer of at least `low`, and return it."""
    value = getattr(owner, name)
    if not is_integer(value) or value < low:
        raise parameter_error(owner, name, f"an integer >= {low}", value)
    return value


def check_option(owner, name, options):
    """Check that ``owner.name`` is one of `options`, and return it."""
    value = getattr(owner, name)
    if not any(value is option or value == option for option in options):
        allowed = ", ".join(repr(option) for option in options)
        raise parameter_error(owner, name, f"one of {allowed}", value)
    return value


def check_n_counterfactuals(owner):
    """Check ``owner.n_counterfactuals``: a share in (0, 1] or a number >= 1."""
    value = owner.n_counterfactuals
    valid = value >= 1 if is_integer(value) else is_number(value) and 0 < value <= 1
    if not valid:
        raise parameter_error(
            owner,
            "n_counterfactuals",
            "a float in the range (0, 1] (share of the rows) or an integer >= 1",
            value,
        )
    return value


def unknown_name(kind, name, known, where):
    """Build the error for a name that is not among the `known` ones."""
    name = name.item() if isinstance(name, np.generic) else name
    known = [k.item() if isinstance(k, np.generic) else k for k in known]
    listed = ", ".join(repr(k) for k in known[:20])
    more = ", ..." if len(known) > 20 else ""
    texts = {str(k): k for k in known}
    close = get_close_matches(str(name), list(texts), n=1, cutoff=0.5)
    if not close:  # names that differ in case only are the usual slip
        close = [k for k in texts if k.lower() == str(name).lower()]
    hint = f" Did you mean {texts[close[0]]!r}?" if close else ""
    if kind == "feature" and isinstance(name, str) and known == [*range(len(known))]:
        hint = (
            " X had no column names here: use positions, pass a DataFrame, or let "
            "the step in front return one (set_output(transform='pandas'))."
        )
    return ValueError(
        f"Unknown {kind} {name!r} in {where}. Known {kind}s: {listed}{more}.{hint}"
    )


def validate_table(estimator, X, *, reset, allow_nan, allow_nd):
    """Check a table: pandas frames pass unchanged, all else becomes a dense array.

    Polars frames become pandas ones, and arrays of bools numbers.

    Sets or checks `n_features_in_` and `feature_names_in_` of `estimator`.
    """
    X = as_pandas(X)
    if hasattr(X, "iloc"):
        if X.ndim != 2 or 0 in X.shape:
            shape = "x".join(map(str, X.shape))
            raise ValueError(
                f"Found array with shape {shape} while a minimum of 1 sample and 1 "
                f"feature is required by {type(estimator).__name__}."
            )
        validate_data(
            estimator,
            X=unrepeated(X),
            y="no_validation",
            reset=reset,
            skip_check_array=True,
        )
        return X
    X = validate_data(
        estimator,
        X=X,
        y="no_validation",
        reset=reset,
        accept_sparse=("csr", "csc"),
        dtype=None,
        ensure_all_finite="allow-nan" if allow_nan else True,
        allow_nd=allow_nd,
    )
    if sparse.issparse(X):
        X = X.toarray()
    if X.dtype.kind == "b":
        return X.astype(float)
    return X.astype(object) if X.dtype.kind in "US" else X


def unrepeated(frame):
    """The frame, or its first row with numbered names where names are repeated.

    scikit-learn looks at names only, and since 1.9 refuses those that are repeated.
    """
    if frame.columns.is_unique:
        return frame
    names = []
    for name in frame.columns:
        new, number = name, 0
        while new in names:
            number += 1
            new = f"{name}.{number}"
        names.append(new)
    return frame.iloc[:1].set_axis(names, axis=1)


def validate_labels(estimator, y):
    """Check labels: one per row, none missing, discrete."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    y = column_or_1d(y, warn=True)
    if pd.isna(y).any():
        raise ValueError("Input y contains NaN; drop the rows without a label.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains infinity; give every row a label.")
    check_classification_targets(y)
    return y


def label_codes(y, classes):
    """Class indices of labels; unknown ones raise."""
    codes = pd.Index(classes).get_indexer(y)
    if (codes < 0).any():
        label = np.asarray(y)[codes < 0][0]
        raise unknown_name("label", label, np.asarray(classes).tolist(), "y")
    return codes.astype(np.int64)


@contextmanager
def names_restored(estimator):
    """Give `n_features_in_` and `feature_names_in_` back if a fit fails."""
    names = ("n_features_in_", "feature_names_in_")
    before = {name: vars(estimator)[name] for name in names if name in vars(estimator)}
    try:
        yield
    except BaseException:
        for name in names:
            vars(estimator).pop(name, None)
        vars(estimator).update(before)
        raise
