"""`CounterfactualExplanation`: frozen counterfactuals, in raw columns and units."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from ..encoding.frames import as_frame, free_name, objects, take
from ..metrics.recourse import survival
from ..reports.formatting import to_json_value
from ..reports.heatmap import RecourseDisplay
from ..reports.html import document, fragment
from ..reports.summary import FIGURES, before_after, by_group, unsure
from ..reports.text import as_text
from ..utils.polars import is_polars
from ..utils.validation import is_integer, parameter_error, wrong

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CounterfactualExplanation"]


INFO = (
    "target",
    "predicted",
    "valid",
    "mature",
    "cost",
    "implausibility",
    "probability",
    "n_changed",
    "n_iter",
    "reason",
)


@dataclass(frozen=True, eq=False, repr=False)
class CounterfactualExplanation:
    """Counterfactuals of some rows, with what they cost and how good they are.

    Made by `CounterfactualExplainer.explain`; not meant to be built by hand. Has
    `len`, and slices by row like an array.

    Attributes
    ----------
    factual, counterfactual : DataFrame, ndarray or sparse matrix
        n rows, in the type, columns and units of the table that was explained (an array
        of bools as 0.0 and 1.0).
    row : ndarray of shape (n,)
        Index labels of a frame, positions otherwise.
    target, predicted : ndarray of shape (n,)
        Label asked for, and label predicted for the factual.
    valid : bool ndarray of shape (n,)
        Whether the model assigns the counterfactual, as it stands in the table, to its
        target.
    mature : bool ndarray of shape (n,)
        Whether it is valid, and its target probability reaches the confidence that
        was asked for.
    cost : ndarray of shape (n,)
        (Weighted) L1 distance from the factual. Numbers count in interquartile ranges
        (IQRs) of the training rows, a changed category counts 1; with a preprocessor
        of your own, in units of the model input.
    implausibility : ndarray of shape (n,) or None
        Mean L1 distance from observed rows of the target class, in the same units,
        but numbers as the model sees them: bent, so that no value is further than 3
        from the median of its column. None without reference rows.
    probability : ndarray of shape (n,)
        Target probability of the counterfactual.
    n_changed : ndarray of shape (n,)
        Number of changed columns.
    n_iter : ndarray of shape (n,)
        Steps of the search.
    reason : ndarray of str of shape (n,)
        Why a row has no valid counterfactual or one short of the confidence, or that
        it hardly differs from an earlier alternative; empty otherwise.
    alternative : int ndarray of shape (n,) or None
        With several counterfactuals per row their number, from 0; rows then repeat
        in `row`, and frames have a (row, alternative) index.
    mutability : ndarray of str of shape (n_columns,) or None
        What was allowed: "both", "none", "increase" or "decrease" for each (flattened)
        column of the table, the same for all rows.
    """

    factual: Any
    counterfactual: Any
    row: np.ndarray
    target: np.ndarray
    predicted: np.ndarray
    valid: np.ndarray
    mature: np.ndarray
    cost: np.ndarray
    implausibility: np.ndarray | None
    probability: np.ndarray
    n_changed: np.ndarray
    n_iter: np.ndarray
    reason: np.ndarray
    alternative: np.ndarray | None = None
    mutability: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, key: Any) -> Self:
        """Rows by position, slice, mask or list of positions."""
        try:
            rows = np.atleast_1d(np.arange(len(self))[key])
        except (IndexError, TypeError) as error:
            raise self._no_rows(key) from error
        if rows.ndim > 1 or isinstance(key, (bool, tuple)):
            raise self._no_rows(key)
        parts = {name: take(getattr(self, name), rows) for name in row_fields()}
        return replace(self, **parts)

    def _no_rows(self, key: Any) -> IndexError:
        """Build the error for a key that stands for no rows."""
        return IndexError(
            f"{key!r} stands for no row of an explanation of {len(self)} rows; index "
            "it by position, slice, mask or list of positions."
        )

    def to_frame(self) -> Any:
        """Counterfactuals with their figures, as one DataFrame.

        Returns
        -------
        frame : DataFrame of shape (n, n_features + n_figures)
            The table's columns, then target, predicted, valid, ...; a figure whose
            name is taken by a column is called ``ce_...``. A polars frame, with row
            (and alternative) as columns, where a polars frame was explained.
        """
        table, names = self.counterfactual, self._figures()
        if is_polars(table):  # no index there: who is meant takes columns
            who = ["row"] if self.alternative is None else ["row", "alternative"]
            figures = self._columns([*who, *names], table.columns)
            plain_lists = {name: values.tolist() for name, values in figures.items()}
            return table.hstack(type(table)(plain_lists))
        frame = as_frame(table, self._index)
        figures = self._columns(names, frame.columns)
        return pd.concat([frame, pd.DataFrame(figures, index=frame.index)], axis=1)

    def _columns(self, names: Iterable[str], taken: Any) -> dict[str, np.ndarray]:
        """Figures, under names that no column has taken."""
        return {free_name(name, taken): getattr(self, name) for name in names}

    @property
    def _index(self) -> Any:
        """Row labels of the frames made here."""
        if self.alternative is None:
            return self.row
        return pd.MultiIndex.from_arrays(
            [self.row, self.alternative], names=["row", "alternative"]
        )

    def _figures(self) -> list[str]:
        return [name for name in INFO if getattr(self, name) is not None]

    def changes(self) -> pd.DataFrame:
        """What changes, one line per row and feature.

        Returns
        -------
        changes : DataFrame with columns row, (alternative,) feature, from, to
            Rows without a valid counterfactual are left blank.
        """
        before, after, moved = before_after(self)
        rows, columns = np.nonzero(moved)
        which = {"row": self.row[rows]}
        if self.alternative is not None:
            which["alternative"] = self.alternative[rows]
        return pd.DataFrame(
            {
                **which,
                "feature": [before.columns[j] for j in columns],
                "from": objects(before)[rows, columns],
                "to": objects(after)[rows, columns],
            }
        )

    def summary(self) -> pd.Series:
        """Averages over the rows.

        Returns
        -------
        summary : Series
            Number of rows, shares of valid and of mature ones; over the valid ones mean
            cost, implausibility, target probability and number of changed features.
        """
        values: dict[str, Any] = {"n_rows": len(self)}
        for share in ("valid", "mature"):
            values[share] = getattr(self, share).mean() if len(self) else 0.0
        for name in FIGURES:
            figure = getattr(self, name)
            if figure is not None:
                values[name] = figure[self.valid].mean() if self.valid.any() else None
        return pd.Series(values, dtype=float)

    def by_group(self, groups: object) -> pd.DataFrame:
        """Averages over the rows of each group: who carries which burden.

        Parameters
        ----------
        groups : column of the table, or array-like of shape (n,)
            Name (position where there are no names) of the column that holds the
            groups, or the group of each row. Cut numbers into ranges first, with
            `pandas.cut`. Rows whose group is missing form another group.

        Returns
        -------
        table : DataFrame of shape (n_groups, n_figures)
            `summary` of each group: n_rows, valid and mature (shares) and, over the
            valid ones, mean cost, implausibility, probability and n_changed; NaN where
            a group has no valid counterfactual.

        Raises
        ------
        ValueError
            For an unknown column, or a number of groups other than that of rows.

        Notes
        -----
        Alternatives count one by one, as in `summary`. To count everybody once, take
        the first ones: ``explanation[explanation.alternative == 0].by_group(...)``.
        `skct.metrics.burden` gives the gaps and ratios between groups.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skct import CounterfactualTrainingClassifier
        >>> X, y = load_iris(return_X_y=True, as_frame=True)
        >>> clf = CounterfactualTrainingClassifier(random_state=0)
        >>> clf = clf.set_params(net__max_epochs=30, net__lr=0.01).fit(X, y)
        >>> answer = clf.explain(X[::10], confidence=0.4)
        >>> answer.by_group(y[::10])["n_rows"].tolist()
        [5, 5, 5]
        """
        return by_group(self, groups)

    def survival(self, models: Sequence[Any]) -> np.ndarray:
        """Share of other models that assign each counterfactual to its target, too.

        Parameters
        ----------
        models : sequence of fitted classifiers
            Such as the same estimator, fitted to bootstrap samples or to newer rows.

        Returns
        -------
        survival : ndarray of shape (n,)
            Between 0 and 1; 0 where the counterfactual is not valid in the first place.

        Raises
        ------
        ValueError
            If `models` is no list of fitted classifiers, or empty.
        """
        # A Pipeline has a length, too, and its steps are no models.
        several = hasattr(models, "__iter__") and not hasattr(models, "predict")
        given = list(models) if several else []
        if not given or not all(hasattr(model, "predict") for model in given):
            raise wrong("models", "a list of at least one fitted classifier", models)
        predicted = [model.predict(self.counterfactual) for model in given]
        return survival(predicted, self.target) * self.valid

    def to_json(self, **kwargs: Any) -> str:
        """Counterfactuals as a JSON list, one object per row.

        Parameters
        ----------
        **kwargs
            Passed to `json.dumps`, such as ``indent=2``.

        Returns
        -------
        text : str
            Each object has row, factual, counterfactual, changes and the figures.
        """
        before, after, moved = before_after(self)
        columns = [str(name) for name in before.columns]
        tables = objects(before), objects(after)
        records = []
        for i in range(len(self)):
            old, new = (
                dict(zip(columns, map(to_json_value, table[i]), strict=True))
                for table in tables
            )
            names = [columns[j] for j in np.flatnonzero(moved[i])]
            records.append(
                {
                    "row": to_json_value(self.row[i]),
                    **self._numbered(i),
                    "factual": old,
                    "counterfactual": new,
                    "changes": {n: {"from": old[n], "to": new[n]} for n in names},
                    **{n: to_json_value(getattr(self, n)[i]) for n in self._figures()},
                }
            )
        return json.dumps(records, **kwargs)

    def _numbered(self, i: int) -> dict[str, int]:
        """Number of the alternative in row `i`, where there are any."""
        if self.alternative is None:
            return {}
        return {"alternative": int(self.alternative[i])}

    def to_html(self, *, groups: object = None, max_rows: int | None = 100) -> str:
        """Report that people can read: a page, without scripts or links.

        It shows the averages, which features carry the changes, the groups if any, and
        a card per row: what would have to change, and what it costs. Everything from
        the table is escaped. To keep it in a file::

            Path("report.html").write_text(explanation.to_html(), encoding="utf-8")

        Parameters
        ----------
        groups : column of the table, or array-like of shape (n,), optional
            Adds a table of the groups, as `by_group` makes it.
        max_rows : int or None, default=100
            Cards to show; averages are over all rows. None: a card for every row.

        Returns
        -------
        html : str
            HTML document.

        Raises
        ------
        ValueError
            For groups that `by_group` does not take, or a wrong `max_rows`.
        """
        if max_rows is not None and (not is_integer(max_rows) or max_rows < 0):
            raise parameter_error(self, "max_rows", "an integer >= 0 or None", max_rows)
        return document(self, groups, max_rows)

    def _repr_html_(self) -> str:
        return fragment(self, max_rows=20)

    def __repr__(self) -> str:
        counts = f"{len(self)} rows, {int(self.valid.sum())} valid"
        if n_unsure := int(unsure(self).sum()):
            counts += f", {n_unsure} of them below the confidence asked for"
        return f"<CounterfactualExplanation: {counts}>"

    def __str__(self) -> str:
        return as_text(self, max_rows=10)

    def plot(self, *, ax: "Axes | None" = None, max_rows: int = 20) -> RecourseDisplay:
        """Heat table of the changes (needs matplotlib).

        Parameters
        ----------
        ax : matplotlib Axes, optional
        max_rows : int, default=20
            Rows to show.

        Returns
        -------
        display : RecourseDisplay
        """
        return RecourseDisplay.from_explanation(self, ax=ax, max_rows=max_rows)


def row_fields() -> list[str]:
    """Names of the fields that hold one entry per row."""
    names = [field.name for field in fields(CounterfactualExplanation)]
    return [name for name in names if name != "mutability"]
