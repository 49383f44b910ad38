"""Several answers per row: the point process, and what users get."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import people, quick
from scipy.spatial.distance import cdist
from sklearn.datasets import make_moons

from skct import CounterfactualExplainer
from skct.exceptions import SearchWarning
from skct.explain.alternatives import greedy_dpp, random_feature_weights
from skct.metrics import cost

# ------------------------------------------------------------------- point process


def kernel(distance, price, valid):
    quality = np.where(valid, np.exp(-price / (2 * price[0])), 1e-12)
    return np.outer(quality, quality) * np.exp(-distance / price[0])


def slow_choice(distance, price, valid, n_alternatives):
    """Greedy maximisation of log-determinants, each computed afresh."""
    matrix = kernel(distance, price, valid)
    chosen = [0 if valid[0] else int(matrix.diagonal().argmax())]
    while len(chosen) < n_alternatives:
        rest = [j for j in range(len(price)) if j not in chosen]
        value = [
            np.linalg.det(matrix[np.ix_([*chosen, j], [*chosen, j])]) for j in rest
        ]
        chosen.append(rest[int(np.argmax(value))])
    return chosen


@pytest.mark.parametrize("seed", range(10))
def test_the_choice_is_that_of_determinants_computed_one_by_one(seed):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(6, 8, 3))
    distance = np.stack([cdist(p, p, "cityblock") for p in places])
    price = np.abs(places).sum(2)
    valid = rng.random((6, 8)) < 0.9
    chosen = greedy_dpp(distance, price, valid, 3)
    for i in range(6):
        expected = slow_choice(distance[i], price[i], valid[i], 3)
        assert chosen[i].tolist() == expected


def test_of_equal_price_the_farthest_is_chosen_and_a_repetition_last():
    places = np.array([[0.0], [0.0], [1.0], [3.0]])
    distance = cdist(places, places)[None]
    chosen = greedy_dpp(distance, np.ones((1, 4)), np.ones((1, 4), dtype=bool), 4)
    assert chosen.tolist() == [[0, 3, 2, 1]]


def test_candidates_without_validity_come_last():
    places = np.array([[0.0], [5.0], [0.1]])
    distance = cdist(places, places)[None]
    valid = np.array([[True, False, True]])
    chosen = greedy_dpp(distance, np.array([[1.0, 1.0, 1.0]]), valid, 3)
    assert chosen.tolist() == [[0, 2, 1]]
    valid = np.array([[False, False, True]])
    assert greedy_dpp(distance, np.ones((1, 3)), valid, 1).tolist() == [[2]]


@pytest.mark.parametrize("seed", range(20))
def test_valid_candidates_come_before_all_others_whatever_they_cost(seed):
    rng = np.random.default_rng(seed)
    places = rng.integers(3, size=(5, 10, 2)).astype(float)  # many repetitions
    places[:, 5] = 1e3  # one dear candidate
    distance = np.stack([cdist(p, p, "cityblock") for p in places])
    price, valid = np.abs(places).sum(2) + 0.1, rng.random((5, 10)) < 0.5
    chosen = greedy_dpp(distance, price, valid, 8)
    for row, picks in enumerate(chosen):
        assert len(set(picks)) == 8
        flags = valid[row, picks]
        assert (flags == np.sort(flags)[::-1]).all()
        assert flags.sum() == min(8, valid[row].sum())


def test_names_that_are_taken_are_made_new(fitted, applicants):
    X, _ = applicants
    renamed = X[fitted.predict(X) == "denied"][:2].rename_axis("alternative")
    frame = fitted.explain(renamed, "approved", n_alternatives=2).to_frame()
    assert frame.index.names == ["alternative", "ce_alternative"]
    assert len(frame.reset_index()) == 4


def test_the_first_tilt_is_plain_and_none_takes_much_longer_steps():
    lines = random_feature_weights(3, 5)
    assert (lines[0] == 1).all()
    assert lines.shape == (12, 5)
    assert lines.min() == 0.3
    assert np.log(lines[1:]).std() > 1
    np.testing.assert_array_equal(lines, random_feature_weights(3, 5))


# --------------------------------------------------------------------- explanations


few_hardly_differ = pytest.mark.filterwarnings("ignore:.*hardly differ")


@pytest.fixture(scope="module")
def three(fitted, applicants):
    X, _ = applicants
    denied = X[fitted.predict(X) == "denied"]
    with pytest.warns(SearchWarning, match="hardly differ"):
        return denied, fitted.explain(denied, "approved", n_alternatives=3)


def test_rows_repeat_and_frames_say_which_alternative(three):
    denied, answer = three
    assert len(answer) == 3 * len(denied)
    np.testing.assert_array_equal(answer.row, np.repeat(denied.index, 3))
    np.testing.assert_array_equal(answer.alternative, np.tile([0, 1, 2], len(denied)))
    for frame in (answer.factual, answer.counterfactual, answer.to_frame()):
        assert frame.index.names == ["row", "alternative"]
        assert frame.index.is_unique
    back = answer.factual.xs(1, level="alternative").rename_axis(None)
    pd.testing.assert_frame_equal(back, denied)
    assert (answer.counterfactual.dtypes == denied.dtypes).all()


def test_the_first_alternative_is_the_single_answer(three, fitted):
    denied, answer = three
    single = fitted.explain(denied, "approved")
    first = answer[answer.alternative == 0]
    pd.testing.assert_frame_equal(
        first.counterfactual.droplevel("alternative").rename_axis(None),
        single.counterfactual,
    )
    np.testing.assert_array_equal(first.cost, single.cost)


def test_alternatives_are_valid_different_and_keep_the_constraints(three, fitted):
    denied, answer = three
    assert answer.valid.mean() > 0.99
    assert (answer.reason == "").mean() > 0.9
    assert (fitted.predict(answer.counterfactual) == "approved")[answer.valid].all()
    before, after = answer.factual, answer.counterfactual
    assert (before["age"] == after["age"]).all()
    assert (before["married"] == after["married"]).all()
    assert (after["education"].cat.codes >= before["education"].cat.codes).all()
    assert (after["income"] >= 0).all()
    new = answer[answer.reason == ""].counterfactual
    keyed = new.reset_index(level="alternative", drop=True)
    assert not keyed.reset_index().duplicated().any()


def test_alternatives_take_different_ways(three):
    """What changes differs: not one direction with different lengths."""
    _, answer = three
    moved = answer.changes().groupby(["row", "alternative"])["feature"].agg(frozenset)
    kinds = moved.groupby("row").nunique()
    assert kinds.mean() > 1.5


def test_alternatives_cost_little_more_than_the_single_answer(three):
    _, answer = three
    mean = [answer.cost[answer.alternative == k].mean() for k in range(3)]
    assert max(mean[1:]) < 2.5 * mean[0]


@few_hardly_differ
def test_answers_lie_apart_or_say_that_they_do_not():
    X, y = make_moons(300, noise=0.1, random_state=0)
    clf = quick(epochs=30).fit(X, y)
    rows = X[:40]
    answer = clf.explain(rows, n_alternatives=3)
    assert answer.counterfactual.shape == (120, 2)
    trio = answer.counterfactual.reshape(40, 3, 2)
    spread = [cdist(t, t, "cityblock").sum() / 6 for t in trio]
    price = cost(rows, trio[:, 0])
    told = (answer.reason != "").reshape(40, 3).any(1)
    spread, price = np.array(spread)[~told], price[~told]
    assert (spread > 0.03 * price).all()
    assert 0.5 < np.mean(~told) < 1
    assert spread.mean() > price.mean()


@few_hardly_differ
def test_a_row_gets_the_same_alternatives_alone_and_in_company(three, fitted):
    denied, answer = three
    alone = fitted.explain(denied.iloc[3:4], "approved", n_alternatives=3)
    together = answer[9:12].counterfactual
    pd.testing.assert_frame_equal(alone.counterfactual, together, atol=1e-4)


@few_hardly_differ
def test_batches_do_not_show(three, fitted):
    denied, answer = three
    small = CounterfactualExplainer(fitted, batch_size=500).explain(
        denied, "approved", n_alternatives=3
    )
    pd.testing.assert_frame_equal(small.to_frame(), answer.to_frame(), atol=1e-4)


def test_changes_json_html_and_text_name_the_alternative(three):
    _, answer = three
    part = answer[:3]
    changes = part.changes()
    assert list(changes.columns) == ["row", "alternative", "feature", "from", "to"]
    assert set(changes["alternative"]) == {0, 1, 2}
    assert [record["alternative"] for record in json.loads(part.to_json())] == [0, 1, 2]
    assert f"{part.row[0]} / 2" in part.to_html()
    assert "alternative" in str(part)


def test_rows_that_need_no_change_come_back_unchanged_with_one_count(
    fitted, applicants
):
    X, _ = applicants
    approved = X[fitted.predict(X) == "approved"][:5]
    with pytest.warns(SearchWarning, match="5 of 5 rows are already predicted") as got:
        answer = fitted.explain(approved, "approved", n_alternatives=2)
    assert len(got) == 1
    pd.testing.assert_frame_equal(answer.counterfactual, answer.factual)
    assert (answer.reason == "").all()


def test_too_few_answers_are_counted_and_named():
    """One binary column is all that may change: there is a single answer."""
    X, y = people(120)
    X = pd.DataFrame({"nurse": (X["job"] == "nurse").astype(int), "age": X["age"]})
    clf = quick(epochs=20, mutability={"age": "none"}).fit(X, X["nurse"])
    with pytest.warns(SearchWarning, match="10 of 15 alternatives hardly differ"):
        answer = clf.explain(X[:5], n_alternatives=3)
    assert answer.valid.all()
    assert (
        answer.reason.tolist()
        == [
            "",
            "repeats alternative 0",
            "repeats alternative 0",
        ]
        * 5
    )


def test_rows_without_an_answer_are_counted_once():
    X, y = people(120)
    clf = quick(epochs=5, mutability=["none"] * X.shape[1]).fit(X, y)
    with pytest.warns(SearchWarning, match="4 of 4 rows have no valid") as got:
        answer = clf.explain(X[:4], n_alternatives=2)
    assert len(got) == 1
    assert not answer.valid.any()
    assert answer.changes().empty


@pytest.mark.parametrize("wrong", [0, -1, 2.0, "3", None, True])
def test_a_number_of_alternatives_that_is_none_is_refused(fitted, applicants, wrong):
    with pytest.raises(ValueError, match="'n_alternatives' parameter of"):
        fitted.explain(applicants[0], n_alternatives=wrong)


def test_a_mature_candidate_comes_before_a_valid_one_that_is_cheaper():
    distance = np.ones((1, 3, 3)) - np.eye(3)
    price, rank = np.array([[1.0, 0.1, 9.0]]), np.array([[2, 1, 2]])
    assert greedy_dpp(distance, price, rank, 2).tolist() == [[0, 2]]
    assert greedy_dpp(distance, price, rank > 0, 2).tolist() == [[0, 1]]
