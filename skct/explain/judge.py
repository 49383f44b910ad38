"""`Judge`: a model of another kind that says what it thinks of counterfactuals."""

from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

from ..preprocessing import unbend
from ..utils.polars import as_pandas
from ..utils.validation import wrong

__all__ = ["Judge", "as_table", "check_judge", "default_judge"]


N_NEIGHBOURS = 5
N_MEMBERS = 1000


def default_judge(random_state: int | None = 0) -> Any:
    """Gradient boosting on raw columns, categories by code."""
    category = make_column_selector(dtype_exclude="number")
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    columns = ColumnTransformer(
        [("number", "passthrough", number_columns), ("category", codes, category)]
    )
    booster = HistGradientBoostingClassifier(random_state=random_state)
    return make_pipeline(FunctionTransformer(with_plain_gaps), columns, booster)


def number_columns(frame: pd.DataFrame) -> list:
    """Numeric columns in which the trees find a value to learn from."""
    numeric = make_column_selector(dtype_include="number")(frame)
    return [name for name in numeric if frame[name].notna().any()]


def with_plain_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Missing values of pandas' nullable types as NaN, which scikit-learn takes."""
    nullable = [
        name
        for name, dtype in frame.dtypes.items()
        if isinstance(dtype, pd.api.extensions.ExtensionDtype)
        and dtype.na_value is pd.NA
    ]
    frame = frame.copy(deep=False)
    for name in nullable:
        frame[name] = plain_column(frame[name])
    return frame


def plain_column(column: pd.Series) -> pd.Series:
    """Column of a nullable type as floats, or as objects."""
    dtype = column.dtype
    is_number = pd.api.types.is_numeric_dtype(dtype)
    if is_number and not pd.api.types.is_bool_dtype(dtype):
        return column.astype(float)
    return column.astype(object).where(column.notna(), np.nan)


def as_table(rows: Any) -> pd.DataFrame:
    """Frame of a table of any type; each row of an array is flattened."""
    rows = as_pandas(rows)
    if hasattr(rows, "iloc"):
        return rows
    rows = rows.toarray() if hasattr(rows, "toarray") else np.asarray(rows)
    return pd.DataFrame(rows.reshape(len(rows), -1))


def check_judge(model: Any) -> None:
    """Raise a ValueError for something that cannot be fitted and give probabilities."""
    needed = ("get_params", "fit", "predict_proba")
    if isinstance(model, type) or not all(hasattr(model, name) for name in needed):
        allowed = "a classifier with predict_proba that takes a DataFrame, or None"
        raise wrong("judge", allowed, model)


class Judge(NamedTuple):
    """What a model that was fitted to other rows says about moves to a class.

    Attributes
    ----------
    model : classifier
        Fitted to rows that no model which it judges has seen.
    target : label
    convinced : float
        Mean target probability that it gives to observed members of the class.
    """

    model: Any
    target: Any
    convinced: float
    members: NearestNeighbors
    encoder: Any

    @classmethod
    def fit(
        cls,
        model: Any,
        target: Any,
        held_out: tuple[Any, np.ndarray],
        members: Any,
        encoder: Any,
    ) -> Self:
        """Fit a judge.

        Parameters
        ----------
        model : classifier
            Cloned; it sees raw rows.
        target : label
        held_out : pair
            Raw rows and their labels.
        members : DataFrame
            Training rows of the target class.
        encoder : TableEncoder
            Fitted to the training rows; distances are those of what it encodes, a
            changed category counting 1.
        """
        fitted = clone(model).fit(*held_out)
        near = NearestNeighbors(
            n_neighbors=min(N_NEIGHBOURS, len(members)), metric="manhattan"
        )
        made = cls(fitted, target, 0.0, near, encoder)
        near.fit(made.places(members))
        convinced = made.judged(members.head(N_MEMBERS)).mean()
        return made._replace(convinced=float(convinced))

    def judged(self, rows: Any) -> np.ndarray:
        """Target probability of each row."""
        column = list(self.model.classes_).index(self.target)
        return self.model.predict_proba(rows)[:, column]

    def places(self, rows: Any) -> np.ndarray:
        """Where distances are measured; a changed category moves two columns by 1/2."""
        sources = np.array(self.encoder.sources_)
        several = np.bincount(sources)[sources] > 1
        return self.encoder.transform(rows) * np.where(several, 0.5, 1.0)

    def cost(self, rows: Any, factual: Any) -> np.ndarray:
        """L1 distance of each row from its factual, in IQRs of the training rows."""
        before, after = (
            unbend(self.places(part), self.encoder.bounds_) for part in (factual, rows)
        )
        return np.abs(after - before).sum(axis=1)

    def distance(self, rows: Any) -> np.ndarray:
        """Mean distance of each row to the nearest five members of the class."""
        return self.members.kneighbors(self.places(rows))[0].mean(axis=1)
