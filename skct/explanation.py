"""`CounterfactualExplanation`: the frozen answer, in raw columns and units."""

import json
from dataclasses import dataclass, fields
from html import escape

import numpy as np
import pandas as pd
from scipy import sparse

from ._table import as_pandas, is_polars, take

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
        Whether its target probability reaches the generator's threshold.
    cost : ndarray of shape (n,)
        (Weighted) L1 distance from the factual in standardised units; a changed
        category counts 1.
    implausibility : ndarray of shape (n,) or None
        Mean L1 distance from observed rows of the target class, in the same units;
        None without reference rows.
    probability : ndarray of shape (n,)
        Target probability of the counterfactual.
    n_changed : ndarray of shape (n,)
        Number of changed columns.
    n_iter : ndarray of shape (n,)
        Steps of the search.
    reason : ndarray of str of shape (n,)
        Why a row has no valid counterfactual, or that it hardly differs
        from an earlier alternative; empty otherwise.
    alternative : int ndarray of shape (n,) or None
        With several answers per row the number of the answer, from 0; rows then repeat
        in `row`, and frames have a (row, alternative) index.
    """

    factual: object
    counterfactual: object
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

    def __len__(self):
        return len(self.row)

    def __getitem__(self, key):
        """Rows by position, slice, mask or list of positions."""
        if isinstance(key, (int, np.integer)):
            if not -len(self) <= key < len(self):
                raise IndexError(f"row {key} of an explanation of {len(self)} rows")
            key = [int(key)]
        rows = np.arange(len(self))[key]
        return type(self)(*(take(getattr(self, f.name), rows) for f in fields(self)))

    def to_frame(self):
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

    def _columns(self, names, taken):
        """Figures, under names that no column has taken."""
        return {free_name(name, taken): getattr(self, name) for name in names}

    @property
    def _index(self):
        """Row labels of the frames made here."""
        if self.alternative is None:
            return self.row
        return pd.MultiIndex.from_arrays(
            [self.row, self.alternative], names=["row", "alternative"]
        )

    def _figures(self):
        return [name for name in INFO if getattr(self, name) is not None]

    def changes(self):
        """What changes, one line per row and feature.

        Returns
        -------
        changes : DataFrame with columns row, (alternative,) feature, from, to
            Rows without a valid counterfactual are left blank.
        """
        before = as_frame(self.factual, self.row)
        after = as_frame(self.counterfactual, self.row)
        moved = changed(before, after) & self.valid[:, None]
        rows, columns = np.nonzero(moved)
        which = {"row": self.row[rows]}
        if self.alternative is not None:
            which["alternative"] = self.alternative[rows]
        return pd.DataFrame(
            {
                **which,
                "feature": [before.columns[j] for j in columns],
                "from": cells(before, rows, columns),
                "to": cells(after, rows, columns),
            }
        )

    def summary(self):
        """Averages over the rows.

        Returns
        -------
        summary : Series
            Number of rows, share of valid ones; over the valid ones mean cost,
            implausibility, target probability and number of changed features.
        """
        names = ("cost", "implausibility", "probability", "n_changed")
        values = {"n_rows": len(self), "valid": self.valid.mean() if len(self) else 0.0}
        for name in names:
            figure = getattr(self, name)
            if figure is not None:
                values[name] = figure[self.valid].mean() if self.valid.any() else None
        return pd.Series(values, dtype=float)

    def to_json(self, **kwargs):
        """Answers as a JSON list, one object per row.

        Parameters
        ----------
        **kwargs
            Passed to `json.dumps`, such as ``indent=2``.

        Returns
        -------
        text : str
            Each object has row, factual, counterfactual, changes and the figures.
        """
        before = as_frame(self.factual, self.row)
        after = as_frame(self.counterfactual, self.row)
        moved = changed(before, after) & self.valid[:, None]
        records = []
        for i in range(len(self)):
            old, new = (table_row(t, i) for t in (before, after))
            names = [str(before.columns[j]) for j in np.flatnonzero(moved[i])]
            records.append(
                {
                    "row": plain(self.row[i]),
                    **self._numbered(i),
                    "factual": old,
                    "counterfactual": new,
                    "changes": {n: {"from": old[n], "to": new[n]} for n in names},
                    **{n: plain(getattr(self, n)[i]) for n in self._figures()},
                }
            )
        return json.dumps(records, **kwargs)

    def _numbered(self, i):
        """Number of the alternative in row `i`, where there are any."""
        if self.alternative is None:
            return {}
        return {"alternative": int(self.alternative[i])}

    def _label(self, i):
        """Row `i` in words: its label, and which alternative it is."""
        number = "" if self.alternative is None else f" / {self.alternative[i]}"
        return f"{self.row[i]}{number}"

    def to_html(self):
        """Table of what changes for whom, self-contained and escaped.

        Returns
        -------
        html : str
        """
        before = as_frame(self.factual, self.row)
        after = as_frame(self.counterfactual, self.row)
        moved = changed(before, after) & self.valid[:, None]
        figures = [
            n for n in ("target", "cost", "implausibility") if n in self._figures()
        ]
        head = "".join(
            f'<th scope="col">{escape(str(name))}</th>'
            for name in ["row", *before.columns, *figures, "valid"]
        )
        lines = []
        for i in range(len(self)):
            row = [f'<th scope="row">{escape(self._label(i))}</th>']
            for j in range(before.shape[1]):
                old, new = (escape(show(t.iloc[i, j])) for t in (before, after))
                row.append(
                    f"<td><b>{old} &rarr; {new}</b></td>"
                    if moved[i, j]
                    else f"<td>{old}</td>"
                )
            row += [f"<td>{escape(show(getattr(self, n)[i]))}</td>" for n in figures]
            answer = "yes" if self.valid[i] else f"no: {self.reason[i]}"
            row.append(f"<td>{escape(answer)}</td>")
            lines.append(f"<tr>{''.join(row)}</tr>")
        return (
            "<table><caption>Counterfactual explanations</caption>"
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
        )

    def _repr_html_(self):
        return self[:20].to_html()

    def __repr__(self):
        n_valid = int(self.valid.sum())
        return f"<CounterfactualExplanation: {len(self)} rows, {n_valid} valid>"

    def __str__(self):
        shown = self.changes()
        shown[["from", "to"]] = shown[["from", "to"]].map(show)
        text = shown.head(40).to_string(index=False) if len(shown) else "no changes"
        more = f"\n... and {len(shown) - 40} more changes" if len(shown) > 40 else ""
        failed = [
            f"\nrow {self._label(i)}: no valid counterfactual; {self.reason[i]}"
            for i in np.flatnonzero(~self.valid)[:5]
        ]
        return f"{self!r}\n{text}{more}{''.join(failed)}"

    def plot(self, *, ax=None, max_rows=20):
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
        from .plotting import RecourseDisplay

        return RecourseDisplay.from_explanation(self, ax=ax, max_rows=max_rows)


def free_name(name, taken):
    """The name, with ``ce_`` in front as often as it takes to be new."""
    taken = set(taken)
    while name in taken:
        name = f"ce_{name}"
    return name


def as_frame(table, row):
    """Table of any type as a pandas frame with one column per feature."""
    if is_polars(table):
        return as_pandas(table).set_axis(row)
    if hasattr(table, "iloc"):
        return table
    if sparse.issparse(table):
        table = table.toarray()
    return pd.DataFrame(table.reshape(len(table), -1), index=row)


def changed(before, after):
    """Mask of the cells that differ; two missing values do not."""
    columns = []
    for j in range(before.shape[1]):
        old = before.iloc[:, j].astype(object).to_numpy()
        new = after.iloc[:, j].astype(object).to_numpy()
        gone = pd.isna(old)
        differs = np.array(
            [a != b for a, b in zip(old, new, strict=True)], dtype=object
        )
        columns.append(np.where(gone, ~pd.isna(new), np.where(gone, False, differs)))
    if not columns:
        return np.zeros(before.shape, dtype=bool)
    return np.stack(columns, axis=1).astype(bool)


def cells(frame, rows, columns):
    """Single cells of a frame as an object array."""
    values = np.empty(len(rows), dtype=object)
    values[:] = [frame.iat[i, j] for i, j in zip(rows, columns, strict=True)]
    return values


def plain(value):
    """A value as JSON knows it."""
    if value is None or (np.ndim(value) == 0 and pd.isna(value)):
        return None
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def table_row(frame, i):
    """One row of a frame as a dict of plain values."""
    return {str(name): plain(frame.iat[i, j]) for j, name in enumerate(frame.columns)}


def show(value):
    """A cell as text, floats in five digits."""
    if isinstance(value, (float, np.floating)):
        return f"{value:.5g}"
    return str(value)
