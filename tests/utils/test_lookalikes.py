"""Text that looks like something else is told, with the line that converts it."""

import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import quick

from skct.exceptions import ColumnWarning, ImputationWarning
from skct.preprocessing import CategoryColumn, TableEncoder

rng = np.random.default_rng(0)
AMOUNTS = rng.gamma(2, 1000, 300).round(2)
DAYS = pd.Timestamp("2013-01-01") + pd.to_timedelta(rng.integers(0, 700, 300), "D")
ZIPS = rng.choice(["02139", "10001", "00501", "94016"], 300)

NUMBERS = {
    "blanks": ([" ", *(f"{a:.2f}" for a in AMOUNTS[1:])], np.nan, AMOUNTS[1:]),
    "question mark": (["?", *(f"{a:.2f}" for a in AMOUNTS[1:])], np.nan, AMOUNTS[1:]),
    "percent": ([f"{a:.2f}%" for a in AMOUNTS], AMOUNTS[0], AMOUNTS[1:]),
    "thousands": ([f"{a:,.2f}" for a in AMOUNTS], AMOUNTS[0], AMOUNTS[1:]),
    "decimal comma": (
        [f"{a:.2f}".replace(".", ",") for a in AMOUNTS],
        AMOUNTS[0],
        AMOUNTS[1:],
    ),
    "whole numbers": ([str(i) for i in range(300)], 0, range(1, 300)),
}


def told(column, dtype=object):
    """What is warned of when a column is learnt, and the column."""
    table = pd.DataFrame({"total": pd.Series(column, dtype=dtype)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder = TableEncoder().fit(table)
    texts = [str(w.message) for w in caught if w.category is ColumnWarning]
    return " ".join(texts), encoder.columns_[0], table


@pytest.mark.parametrize("dtype", [object, "str", "string"])
@pytest.mark.parametrize("kind", NUMBERS)
def test_text_that_looks_like_numbers_is_told_with_the_line_that_converts_it(
    kind, dtype
):
    values, first, others = NUMBERS[kind]
    text, column, X = told(values, dtype)
    assert "'total'" in text
    assert "look like numbers" in text
    assert f"makes {len(set(values))} columns of the model input" in text
    assert isinstance(column, CategoryColumn)
    line = text.split("first: ")[1].split(". If they are codes")[0]
    exec(line, {"X": X, "pd": pd})
    np.testing.assert_allclose(X["total"], [first, *others])


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m-%d %H:%M", "%d.%m.%y"])
def test_text_that_looks_like_dates_is_told_with_the_line_that_converts_it(form):
    text, _, X = told(list(DAYS.strftime(form)))
    assert "look like dates" in text
    line = text.split("first: ")[1].rstrip(".")
    if form.startswith("%Y"):
        exec(line, {"X": X, "pd": pd})
        assert (X["total"] == (DAYS - pd.Timestamp("2000-01-01")).days).all()


@pytest.mark.parametrize("dtype", [object, "str"])
@pytest.mark.parametrize(
    "codes", [ZIPS, rng.choice(["1", "2", "3"], 300), rng.choice(["a1", "b2"], 300)]
)
def test_codes_stay_codes_without_a_word(codes, dtype):
    text, column, _ = told(codes, dtype)
    assert text == ""
    assert set(column.categories) == set(codes)


def test_a_declared_category_is_believed():
    text, column, _ = told([f"{a:.2f}" for a in AMOUNTS], "category")
    assert text == ""
    assert len(column.categories) == len(set(AMOUNTS))


def test_more_than_a_category_may_have_is_an_error_with_the_same_advice():
    values = [f"{v:.3f}" for v in np.linspace(0, 99, 1500)]
    with pytest.raises(ValueError, match=r"1,500 different .* pd\.to_numeric") as error:
        told(values)
    assert "group them" in str(error.value)
    with pytest.raises(ValueError, match="look like dates"):
        told(
            [str(pd.Timestamp(2000, 1, 1) + pd.Timedelta(days=i)) for i in range(1500)]
        )


@pytest.mark.parametrize("dtype", ["str", object])
def test_counterfactuals_hold_codes_that_occur(dtype):
    y = np.where(np.isin(ZIPS, ["02139", "10001"]), "yes", "no")
    X = pd.DataFrame({"age": rng.integers(18, 80, 300), "zip": ZIPS})
    X = X.astype({"zip": dtype})
    clf = quick(20, mutability={"age": "none"}).fit(X, y)
    answer = clf.explain(X[clf.predict(X) == "no"], target="yes")
    assert set(answer.counterfactual["zip"]) <= set(ZIPS)
    assert answer.valid.all()


@pytest.mark.parametrize(
    "cells",
    [[[1.0, 2.0]] * 9, list(np.zeros((9, 3))), [torch.zeros(3)] * 9, [{1, 2}] * 9],
    ids=["list", "ndarray", "tensor", "set"],
)
def test_several_values_in_a_cell_are_refused_by_name(cells):
    X = pd.DataFrame({"age": range(9), "text": pd.Series(cells, dtype=object)})
    with pytest.raises(ValueError, match="'text' has the type"):
        quick(1).fit(X, [0, 1, 0] * 3)


def test_errors_come_alone_and_warnings_after_the_fit():
    X = pd.DataFrame({"a": [1.0, np.nan] * 30, "b": range(60)})
    y = [0, 1] * 30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="Unknown feature 'c'"):
            quick(1, mutability={"c": "none"}).fit(X, y)
    with pytest.warns(ImputationWarning):
        quick(1).fit(X, y)
