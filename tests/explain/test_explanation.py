import json
import pickle

import numpy as np
import pandas as pd
import pytest
from conftest import quick

from skct import CounterfactualExplainer


@pytest.fixture
def answer(fitted, denied):
    return fitted.explain(denied[:6], target="approved")


def test_frame_has_the_table_and_the_figures(answer, denied):
    frame = answer.to_frame()
    assert list(frame.columns[:6]) == list(denied.columns)
    assert {"target", "valid", "cost", "n_iter"} <= set(frame.columns)
    assert frame.index.equals(denied.index[:6])


def test_a_column_called_like_a_figure_keeps_its_name():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 2)), columns=["cost", "target"])
    clf = quick(epochs=5).fit(X, X["cost"] > 0)
    frame = clf.explain(X[:3]).to_frame()
    assert {"cost", "ce_cost", "target", "ce_target", "valid"} <= set(frame.columns)


def test_changes_are_tidy_and_lead_from_factual_to_counterfactual(answer):
    changes = answer.changes()
    assert list(changes.columns) == ["row", "feature", "from", "to"]
    rebuilt = answer.factual.astype(object).copy()
    for row, feature, old, new in changes.itertuples(index=False):
        assert rebuilt.at[row, feature] == old
        rebuilt.at[row, feature] = new
    assert (rebuilt == answer.counterfactual.astype(object)).all(axis=None)


def test_summary_averages_over_valid_rows(answer):
    summary = answer.summary()
    assert summary["n_rows"] == 6
    assert summary["valid"] == answer.valid.mean()
    assert summary["cost"] == pytest.approx(answer.cost[answer.valid].mean())


def test_slices_like_an_array(answer):
    assert len(answer) == 6
    assert len(answer[2:4]) == 2
    assert answer[-1].row.tolist() == [answer.row[-1]]
    assert len(answer[answer.valid]) == answer.valid.sum()
    assert answer[[3, 0]].cost.tolist() == answer.cost[[3, 0]].tolist()
    with pytest.raises(IndexError):
        answer[6]


def test_json_is_json_and_agrees_with_the_changes(answer):
    records = json.loads(answer.to_json(indent=1))
    assert len(records) == 6
    n_changes = sum(len(record["changes"]) for record in records)
    assert n_changes == len(answer.changes())
    assert records[0]["factual"]["age"] == int(answer.factual["age"].iloc[0])


@pytest.mark.filterwarnings("ignore:.*hardly differ")
def test_it_knows_what_was_allowed_however_it_was_made(fitted, denied):
    words = {"age": "none", "married": "none", "education": "increase"}
    words = [words.get(name, "both") for name in denied.columns]
    explainer = CounterfactualExplainer(fitted, batch_size=2, target="approved")
    answer = explainer.explain(denied[:5])
    for part in (answer, answer[1:2], answer[answer.valid], answer[:0]):
        assert part.mutability.tolist() == words
    several = explainer.explain(denied[:2], n_alternatives=2)
    assert several[[0, 3]].mutability.tolist() == words
    other = CounterfactualExplainer(fitted, mutability={"job": "none"})
    assert other.explain(denied[:2]).mutability.tolist().index("none") == 2


def test_html_escapes_names_and_values():
    X = pd.DataFrame({"<b>x</b>": [0.0, 1.0] * 30, "job": ["<script>", "&"] * 30})
    clf = quick(epochs=20).fit(X, [0, 1] * 30)
    html = clf.explain(X[:4]).to_html()
    assert "<script>" not in html
    assert "<b>x</b>" not in html
    assert "&lt;script&gt;" in html


def test_is_frozen_prints_and_pickles(answer):
    with pytest.raises(AttributeError):
        answer.cost = 0
    text = str(answer)
    assert "6 rows" in text
    assert "income" in text
    assert pickle.loads(pickle.dumps(answer)).to_json() == answer.to_json()
    assert "<table>" in answer._repr_html_()


def test_plot_shows_each_change(answer):
    display = answer.plot(max_rows=4)
    texts = [text.get_text() for text in display.ax_.texts]
    assert len(texts) == len(answer[:4].changes())
    assert display.figure_ is display.ax_.figure


def test_an_answer_for_an_array():
    X = np.random.default_rng(0).normal(size=(60, 3))
    answer = quick(epochs=5).fit(X, X[:, 0] > 0).explain(X[:4])
    assert isinstance(answer.counterfactual, np.ndarray)
    assert answer.row.tolist() == [0, 1, 2, 3]
    assert set(answer.changes()["feature"]) <= {0, 1, 2}
