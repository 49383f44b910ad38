"""Loaders: `make_*` draws synthetic tables, `fetch_*` reads real ones."""

from collections.abc import Callable, Sequence
from inspect import signature
from typing import TypeAlias, TypeVar

import numpy as np
import pandas as pd
from sklearn import datasets as sklearn_datasets
from sklearn.utils import Bunch

from ..utils.random import draw_seed
from ..utils.validation import check_count
from .sources import NOT_FEATURES, SOURCES, DataHome, Source, load, variant

Loader = TypeVar("Loader", bound=Callable)
RandomState: TypeAlias = int | np.random.RandomState | None

CENTRES = np.array([[-2.0, -2.0], [2.0, 2.0]])
MOON_SHIFT = 0.2  # the second moon: 0.5 above the first in scikit-learn, 0.3 in MLJ
SUBSETS = ("all", "train", "test")

MAKE = """Parameters
    ----------
    n_samples : int, default=3000
        Half of them per class, so at least 2; the paper trains on 3000.
    random_state : int, RandomState instance or None, default=None
        None draws a fresh seed; the global random state is never touched.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
    y : ndarray of shape (n_samples,)
        0 or 1.

    Raises
    ------
    ValueError
        If `n_samples` is not an integer >= 2, or `random_state` is no seed."""

FETCH = """return_X_y : bool, default=False
        Return ``(data, target)`` instead of a Bunch.
    as_frame : bool, default={as_frame}
        DataFrame and Series; otherwise arrays, of objects if X holds categories.
    data_home : path-like, default=None
        Folder with the file, and for downloads. None: the folder in ``SKCT_DATA``, and
        scikit-learn's for downloads.

    Returns
    -------
    data : :class:`~sklearn.utils.Bunch` or tuple
        `data`, `target`, `frame` (None for arrays), `feature_names`, `target_names` (of
        the sorted labels), `favourable` (the desirable label), `mutability`
        (a suggestion; by position for arrays), `DESCR` (source, licence, meaning,
        protected attributes). Columns without numbers have the dtype `category`.

    Raises
    ------
    FileNotFoundError
        If the file is not there and cannot be downloaded.
    ImportError
        If pyarrow is not installed.

    Examples
    --------
    >>> from skct.datasets import {name}
    >>> X, y = {name}(return_X_y=True)  # doctest: +SKIP"""


def document(function: Loader) -> Loader:
    """Fill in the parts that docstrings share."""
    as_frame = signature(function).parameters.get("as_frame")
    shared = FETCH.format(
        name=function.__name__, as_frame=as_frame and as_frame.default
    )
    text = function.__doc__ or ""  # None under python -OO
    text = text.replace("{make}", MAKE).replace("{fetch}", shared)
    function.__doc__ = text
    return function


@document
def make_linearly_separable(
    n_samples: int = 3000, *, random_state: RandomState = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian blobs that a line separates.

    {make}

    Notes
    -----
    LS of the paper: standard deviation 0.5; the centres are those of
    `make_overlapping`.

    Examples
    --------
    >>> from skct.datasets import make_linearly_separable
    >>> X, y = make_linearly_separable(100, random_state=0)
    >>> X.shape, bool(((X.sum(axis=1) > 0) == y).all())
    ((100, 2), True)
    """
    return blobs(n_samples, 0.5, random_state)


@document
def make_overlapping(
    n_samples: int = 3000, *, random_state: RandomState = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two Gaussian blobs that overlap: no classifier has an accuracy above 0.921.

    {make}

    Notes
    -----
    OL of the paper: standard deviation 2. Its centres came from a random generator of
    Julia. Two such blobs at distance `d` have the Bayes accuracy ``Phi(d / 4)``, 0.92
    in the paper, hence `d` = 5.6: the centres here are (-2, -2) and (2, 2).

    Examples
    --------
    >>> from skct.datasets import make_overlapping
    >>> X, y = make_overlapping(10_000, random_state=0)
    >>> print(round(((X.sum(axis=1) > 0) == y).mean(), 2))
    0.92
    """
    return blobs(n_samples, 2.0, random_state)


@document
def make_circles(
    n_samples: int = 3000, *, random_state: RandomState = None
) -> tuple[np.ndarray, np.ndarray]:
    """A ring (0) around a blob (1).

    {make}

    Notes
    -----
    Circ of the paper: scikit-learn's circles with noise 0.15 and factor 0.01, so the
    inner circle is a point.

    Examples
    --------
    >>> from skct.datasets import make_circles
    >>> X, y = make_circles(100, random_state=0)
    >>> X.shape, bool(((X**2).sum(axis=1)[y == 1] < 0.5).all())
    ((100, 2), True)
    """
    check_count("n_samples", n_samples, low=2)
    seed = draw_seed(random_state)
    return sklearn_datasets.make_circles(
        n_samples, noise=0.15, factor=0.01, random_state=seed
    )


@document
def make_moons(
    n_samples: int = 3000, *, random_state: RandomState = None
) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half moons.

    {make}

    Notes
    -----
    Moon of the paper, with the defaults of Julia's MLJ: noise 0.1, the second moon 0.3
    above the first. scikit-learn's is 0.5 above; the paper's numbers fit 0.3 only.

    Examples
    --------
    >>> from skct.datasets import make_moons
    >>> X, y = make_moons(100, random_state=0)
    >>> X.shape, y.tolist().count(1)
    ((100, 2), 50)
    """
    check_count("n_samples", n_samples, low=2)
    seed = draw_seed(random_state)
    X, y = sklearn_datasets.make_moons(n_samples, noise=0.1, random_state=seed)
    X[y == 1, 1] -= MOON_SHIFT
    return X, y


def blobs(
    n_samples: int, spread: float, random_state: RandomState
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one blob per centre."""
    check_count("n_samples", n_samples, low=2)
    return sklearn_datasets.make_blobs(
        n_samples,
        centers=CENTRES,
        cluster_std=spread,
        random_state=draw_seed(random_state),
    )


@document
def fetch_adult(
    *,
    subset: str = "all",
    return_X_y: bool = False,
    as_frame: bool = True,
    data_home: DataHome = None,
) -> Bunch | tuple:
    """Adult: whether a person earned more than 50,000 dollars in 1994.

    48,842 rows, 6 numeric and 8 categorical features; `'>50K'` (24 %) or `'<=50K'`.
    `education` is an ordered category, so it takes one-way mutability.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
        The paper uses the 32,561 rows of "train". OpenML has "all" only.
    {fetch}
    """
    return fetch(SOURCES["adult"], data_home, return_X_y, as_frame, subset)


@document
def fetch_california_housing(
    *,
    balanced: bool = False,
    return_X_y: bool = False,
    as_frame: bool = True,
    data_home: DataHome = None,
) -> Bunch | tuple:
    """California housing: whether houses are worth the median (1) or less (0).

    20,640 block groups, 8 numeric features.

    Parameters
    ----------
    balanced : bool, default=False
        The paper's 20,630 rows, half of each class.
    {fetch}
    """
    source = variant("california_housing", balanced)
    table = load(source, data_home)
    if not balanced:
        value = table.pop("MedHouseVal")
        table["target"] = (value >= value.median()).astype("int64")
    return bunch(table, source, return_X_y, as_frame)


@document
def fetch_credit_default(
    *,
    balanced: bool = False,
    return_X_y: bool = False,
    as_frame: bool = True,
    data_home: DataHome = None,
) -> Bunch | tuple:
    """Credit card clients in Taiwan: whether they default (1) next month.

    30,000 rows, 20 numeric and 3 categorical features; 22 % default.

    Parameters
    ----------
    balanced : bool, default=False
        The paper's 13,272 rows, half of each class. Beware: there 1 = **no** default.
    {fetch}
    """
    return fetch(variant("credit_default", balanced), data_home, return_X_y, as_frame)


@document
def fetch_gmsc(
    *,
    balanced: bool = False,
    return_X_y: bool = False,
    as_frame: bool = True,
    data_home: DataHome = None,
) -> Bunch | tuple:
    """Give Me Some Credit: serious delinquency (1) within two years.

    150,000 rows, 10 numeric features, two with missing values; 6.7 % are delinquent.

    Parameters
    ----------
    balanced : bool, default=False
        The paper's 16,714 complete rows, half of each class. Beware: there 1 = **no**
        delinquency.
    {fetch}
    """
    return fetch(variant("gmsc", balanced), data_home, return_X_y, as_frame)


@document
def fetch_mnist(
    *,
    subset: str = "all",
    return_X_y: bool = False,
    as_frame: bool = False,
    data_home: DataHome = None,
) -> Bunch | tuple:
    """MNIST: 70,000 handwritten digits, 0 to 9.

    One row of 784 unsigned bytes per image; ``X.reshape(-1, 28, 28)`` are the images.

    Parameters
    ----------
    subset : {"all", "train", "test"}, default="all"
        The first 60,000 images are "train".
    {fetch}
    """
    return fetch(SOURCES["mnist"], data_home, return_X_y, as_frame, subset)


@document
def fetch_german_credit(
    *, return_X_y: bool = False, as_frame: bool = True, data_home: DataHome = None
) -> Bunch | tuple:
    """German credit: `'good'` (70 %) or `'bad'` risks.

    1,000 rows, 7 numeric and 13 categorical features, codes spelled out.

    Parameters
    ----------
    {fetch}
    """
    return fetch(SOURCES["german_credit"], data_home, return_X_y, as_frame)


@document
def fetch_heloc(
    *, return_X_y: bool = False, as_frame: bool = True, data_home: DataHome = None
) -> Bunch | tuple:
    """Home equity lines of credit (FICO): `'Good'` or `'Bad'` (52 %) risks.

    10,459 rows, 23 numeric features; their special codes -9, -8 and -7 are kept.

    Parameters
    ----------
    {fetch}
    """
    return fetch(SOURCES["heloc"], data_home, return_X_y, as_frame)


@document
def fetch_compas(
    *, return_X_y: bool = False, as_frame: bool = True, data_home: DataHome = None
) -> Bunch | tuple:
    """COMPAS: recidivism (1) within two years, Broward County, Florida.

    7,214 rows, 5 numeric and 3 categorical features; 45 % recidivism. What leaks the
    target is left out, as are the COMPAS scores.

    Parameters
    ----------
    {fetch}
    """
    return fetch(SOURCES["compas"], data_home, return_X_y, as_frame)


def fetch(
    source: Source,
    data_home: DataHome,
    return_X_y: bool,
    as_frame: bool,
    subset: str = "all",
) -> Bunch | tuple:
    """Load, select, return."""
    if subset not in SUBSETS:
        raise ValueError(f"'subset' must be one of {SUBSETS}. Got {subset!r} instead.")
    table = select(load(source, data_home), subset, source)
    return bunch(table, source, return_X_y, as_frame)


def select(table: pd.DataFrame, subset: str, source: Source) -> pd.DataFrame:
    """Rows of a subset."""
    if subset == "all":
        return table
    if "split" not in table:
        raise FileNotFoundError(
            f"The download does not say which rows are {subset!r}; {source.file!r} in "
            '`data_home` or SKCT_DATA does. Otherwise take subset="all".'
        )
    return table[table["split"] == subset].reset_index(drop=True)


def bunch(
    table: pd.DataFrame, source: Source, return_X_y: bool, as_frame: bool
) -> Bunch | tuple:
    """Return a table the way scikit-learn does."""
    needed = {source.target, *source.features, *source.mutability, *source.words}
    if missing := sorted(needed - set(table)):
        raise ValueError(f"The table of {source.file!r} lacks the columns {missing}.")
    dropped = table.columns.intersection([source.target, *NOT_FEATURES])
    data = table[list(source.features or table.columns.drop(dropped))]
    data = data.assign(**as_categories(data, source))
    target = spell_out(table[source.target], source)
    frame, mutability = None, source.mutability
    if as_frame:
        frame = pd.concat([data, target], axis=1)
    else:
        # Arrays carry no order of categories, so a direction would be refused.
        mutability = {
            data.columns.get_loc(c): direction
            for c, direction in mutability.items()
            if direction == "none" or data[c].dtype != "category"
        }
    X, y = (data, target) if as_frame else (data.to_numpy(), target.to_numpy())
    if return_X_y:
        return X, y
    return Bunch(
        data=X,
        target=y,
        frame=frame,
        feature_names=data.columns.tolist(),
        target_names=list(source.target_names),
        favourable=source.favourable,
        mutability=mutability,
        DESCR=describe(source),
    )


def spell_out(values: pd.Series, source: Source) -> pd.Series:
    """Words instead of codes; numbers without a code stay as they are."""
    words = source.words.get(values.name, {})
    if not words and pd.api.types.is_numeric_dtype(values.dtype):
        return values
    known = values.astype(object).map(lambda value: words.get(value, value))
    if source.unknown is not None:
        known = known.where(known.notna(), source.unknown)
    return pd.Series(known.tolist(), index=known.index, name=known.name)


def as_categories(data: pd.DataFrame, source: Source) -> dict[str, pd.Series]:
    """Columns of words, or of codes for words, as categories."""
    columns = (spell_out(data[name], source) for name in data)
    return {
        column.name: as_category(column, source.ordered.get(column.name))
        for column in columns
        if not pd.api.types.is_numeric_dtype(column.dtype)
    }


def as_category(column: pd.Series, order: Sequence[str] | None) -> pd.Series:
    """Categorical column, ordered where an order is known."""
    unknown = sorted(set(column.dropna()) - set(order)) if order else []
    if unknown:
        raise ValueError(f"Column {column.name!r} holds {unknown}, beside {order}.")
    return column.astype(pd.CategoricalDtype(order, ordered=order is not None))


def describe(source: Source) -> str:
    """Text for `DESCR`."""
    mutability = ", ".join(f"{c}: {d}" for c, d in source.mutability.items())
    return (
        f"{source.file}\n\nSource: {source.origin}\nLicence: {source.licence}\n"
        f"Target: {source.target}, meaning {' / '.join(source.target_names)}; "
        f"favourable: {source.favourable!r}\n"
        f"Protected attributes: {', '.join(source.protected) or 'none'}\n"
        f"Suggested mutability: {mutability or 'both'}\nNotes: {source.note}\n"
    )
