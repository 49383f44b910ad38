"""Checks of parameters and names shared by the public classes.

Tables, labels and random states go through scikit-learn's public checks. Its helpers
for parameters are not used, although they do nearly the same:

- `Interval` of `validate_parameter_constraints` accepts True, as the number 1.
- `StrOptions` names the options in the order of a set, another one in each process.
- Both belong to `sklearn.utils._param_validation`, which is private.
- `check_scalar` is public, but accepts True and infinity, raises a TypeError for a
  wrong type, and does not name the class.

Here all of it is a ValueError that names class, parameter, what is allowed and what was
given.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from math import inf
from numbers import Integral, Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

from .polars import as_pandas

MUTABILITY_WORDS = ("both", "none", "increase", "decrease")


def parameter_error(owner: Any, name: str, allowed: str, value: Any) -> ValueError:
    """Build the one error message that all parameters share."""
    return ValueError(
        f"The {name!r} parameter of {type(owner).__name__} must be {allowed}. "
        f"Got {value!r} instead."
    )


def wrong(name: str, allowed: str, value: Any) -> ValueError:
    """Build the error for a parameter of a function."""
    return ValueError(
        f"The {name!r} parameter must be {allowed}. Got {value!r} instead."
    )


def is_number(value: Any) -> bool:
    """Tell whether `value` is a real number (bool does not count)."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_integer(value: Any) -> bool:
    """Tell whether `value` is an integer (bool does not count)."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_real(
    owner: Any,
    name: str,
    *,
    low: float | None = None,
    high: float | None = None,
    open_low: bool = False,
    open_high: bool = False,
) -> float:
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
    finite = is_number(value) and -inf < value < inf
    if not finite or too_low or too_high:
        left = "(-inf" if low is None else f"{'(' if open_low else '['}{low}"
        right = "inf)" if high is None else f"{high}{')' if open_high else ']'}"
        raise parameter_error(
            owner, name, f"a number in the range {left}, {right}", value
        )
    return value


def check_integer(owner: Any, name: str, *, low: int) -> int:
    """Check that ``owner.name`` is an integer of at least `low`, and return it."""
    value = getattr(owner, name)
    if not is_integer(value) or value < low:
        raise parameter_error(owner, name, f"an integer >= {low}", value)
    return value


def check_count(name: str, value: Any, low: int = 1) -> None:
    """Check an integer."""
    if not is_integer(value) or value < low:
        raise ValueError(
            f"The {name!r} parameter must be an integer >= {low}. Got {value!r}."
        )


def check_number(name: str, value: Any, positive: bool = False) -> float:
    """Check a size that is not negative, or even positive, and return it."""
    if not is_number(value) or not 0 <= value < inf or (positive and value == 0):
        raise ValueError(
            f"The {name!r} parameter must be a number {'>' if positive else '>='} 0. "
            f"Got {value!r}."
        )
    return value


def as_array(name: str, values: Any) -> np.ndarray:
    """Array of what a user has passed; the error names the parameter."""
    try:
        return np.array(values)
    except (RuntimeError, ValueError) as error:  # a tensor with gradients, ragged rows
        raise wrong(name, f"an array, but {error}", type(values).__name__) from error


def as_floats(name: str, values: Any) -> np.ndarray:
    """Float64 array of real numbers; neither words nor dates, which numpy would cast.

    Finite or not, and of any shape; a table stays a copy-free view where it can.
    """
    try:
        table: Any = values if hasattr(values, "iloc") else np.asarray(values)
        dtypes = table.dtypes if hasattr(table, "columns") else [table.dtype]
        for dtype in dtypes:
            if dtype.kind in "mMc":
                raise TypeError(f"it has values of type {dtype}")
        return np.asarray(table, dtype=float)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The {name!r} parameter must hold real numbers only, in rows of one "
            f"length: {error}. Encode categories and convert dates first."
        ) from error


def check_option(owner: Any, name: str, options: Sequence[str]) -> str:
    """Check that ``owner.name`` is one of `options`, and return it."""
    value = getattr(owner, name)
    if not (isinstance(value, str) and value in options):
        allowed = ", ".join(repr(option) for option in options)
        raise parameter_error(owner, name, f"one of {allowed}", value)
    return value


def check_n_counterfactuals(owner: Any) -> float:
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


def unknown_name(kind: str, name: Any, known: Iterable, where: str) -> ValueError:
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
    kinds = "categories" if kind == "category" else f"{kind}s"
    return ValueError(
        f"Unknown {kind} {name!r} in {where}. Known {kinds}: {listed}{more}.{hint}"
    )


def validate_table(
    estimator: Any, X: Any, *, reset: bool, allow_nan: bool, allow_nd: bool
) -> Any:
    """Check a table: pandas frames pass unchanged, all else becomes a dense array.

    Polars frames become pandas ones, and arrays of bools numbers.

    Sets or checks `n_features_in_` and `feature_names_in_` of `estimator`.
    """
    X = as_pandas(X)
    if hasattr(X, "iloc"):
        check_frame(X)
        if 0 in X.shape:
            shape = "x".join(map(str, X.shape))
            raise ValueError(
                f"Found array with shape {shape} while a minimum of 1 sample and 1 "
                f"feature is required by {type(estimator).__name__}."
            )
        # Names and their number only: `check_array` would make one array, of one type.
        validate_data(
            estimator, X=X, y="no_validation", reset=reset, skip_check_array=True
        )
        return X
    check_readable(X)
    if np.ma.is_masked(X):  # numpy would take what lies under the mask
        X = X.astype(float).filled(np.nan)
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


def check_frame(X: Any) -> None:
    """Check that pandas data is a table, with one column per name."""
    if X.ndim != 2:
        raise ValueError(
            f"X is a Series of shape {X.shape}; pass a table, with X.to_frame() for "
            "one column or X.to_frame().T for one row."
        )
    twice = X.columns[X.columns.duplicated()]
    if len(twice):
        raise ValueError(
            f"X has several columns of the name {twice[0]!r}; rename them, so that "
            "each can be told from the others."
        )


def check_readable(X: Any) -> None:
    """Check that an array can be made of X."""
    shape = getattr(X, "shape", None)
    if isinstance(X, (list, tuple)) and X and hasattr(X[0], "items"):
        raise ValueError("X is a list of dicts; pass pd.DataFrame(X).")
    if shape is None:
        try:
            shape = np.asarray(X).shape
        except ValueError:  # rows of different lengths
            shape = ()
    if shape == ():
        allowed = (
            "a table: a DataFrame, a sparse matrix, or an array-like of shape "
            "(n, *features) with rows of one length"
        )
        raise wrong("X", allowed, shortened(X))


def shortened(value: Any, length: int = 60) -> str:
    """What a user has passed, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= length else type(value).__name__


def validate_labels(estimator: Any, y: ArrayLike | None) -> np.ndarray:
    """Check labels: one per row, none missing, discrete."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is "
            "None."
        )
    if np.ma.is_masked(y):
        raise ValueError("Input y has masked labels; drop the rows without a label.")
    y = plain_type(column_or_1d(y, warn=True))
    if pd.isna(y).any():
        raise ValueError("Input y contains NaN; drop the rows without a label.")
    if y.dtype.kind == "f" and not np.isfinite(y).all():
        raise ValueError("Input y contains infinity; give every row a label.")
    if y.dtype == object:
        check_sortable(y)
    check_classification_targets(y)
    return y


def plain_type(y: np.ndarray) -> np.ndarray:
    """Labels in a type of their own kind that all of numpy and pandas can handle."""
    if y.dtype == object:  # integers say, which a frame of mixed types makes objects
        inferred = pd.Series(y).infer_objects().to_numpy()
        return inferred if inferred.dtype.kind in "biuf" else y
    if y.dtype == np.float16:
        return y.astype(np.float32)
    return y.astype(y.dtype.newbyteorder("="), copy=False)


def check_sortable(y: np.ndarray) -> None:
    """Check that labels are of one kind."""
    try:
        np.unique(y)
    except TypeError as error:
        kinds = sorted({type(label).__name__ for label in y})
        raise ValueError(
            f"Input y holds labels of several kinds, {', '.join(kinds)}, which have no "
            "order; convert them to one."
        ) from error


def label_set(classes: ArrayLike) -> np.ndarray:
    """Sorted labels that were listed by the user."""
    try:
        labels = np.unique(column_or_1d(classes))
    except (TypeError, ValueError) as error:
        allowed = "labels of one kind, in one dimension and none missing"
        raise wrong("classes", allowed, classes) from error
    return labels


def label_codes(y: ArrayLike, classes: ArrayLike) -> np.ndarray:
    """Class indices of labels; unknown ones raise."""
    codes = pd.Index(classes).get_indexer(y)
    if (codes < 0).any():
        label = np.asarray(y)[codes < 0][0]
        raise unknown_name("label", label, np.asarray(classes).tolist(), "y")
    return codes.astype(np.int64)


@contextmanager
def names_restored(estimator: Any) -> Iterator[None]:
    """Give `n_features_in_` and `feature_names_in_` back if a fit fails."""
    # `validate_data` sets them at once, long before the fit has succeeded.
    names = ("n_features_in_", "feature_names_in_")
    before = {name: vars(estimator)[name] for name in names if name in vars(estimator)}
    try:
        yield
    except BaseException:  # an interrupt, too
        for name in names:
            vars(estimator).pop(name, None)
        vars(estimator).update(before)
        raise
