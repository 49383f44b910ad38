"""Any table, any constraints, any generator: the promises hold, or an error says why.

The checks read raw tables cell by cell and share no code with skct.
"""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from sklearn.base import clone
from strategies import GENERATORS, KINDS, ONE_HOT, cases, columns_of, is_missing

from skct import CounterfactualExplainer, exceptions

N_QUICK, N_NIGHTLY = 100, 2000
COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck)}
QUICK = settings(max_examples=N_QUICK, derandomize=True, database=None, **COMMON)
NIGHTLY = settings(max_examples=N_NIGHTLY, **COMMON)
CLOSE = 1e-5  # model-input units


# ------------------------------------------------------------------ reading raw tables


def n_rows(table):
    return table.shape[0] if hasattr(table, "shape") else len(table)


def rows_of(table, rows):
    """Rows of a table of any type."""
    if hasattr(table, "iloc"):
        return table.iloc[rows]
    if isinstance(table, list):
        return [table[i] for i in rows]
    return table[rows]


def same(a, b):
    """Whether two cells hold the same bits."""
    if is_missing(a) or is_missing(b):
        return is_missing(a) and is_missing(b)
    if isinstance(a, float) and isinstance(b, float):
        return a == b and np.signbit(a) == np.signbit(b)
    return type(a) is type(b) and a == b


def same_tables(a, b):
    """Whether all cells of two tables hold the same bits."""
    pairs = zip(columns_of(a), columns_of(b), strict=True)
    return all(same(u, v) for old, new in pairs for u, v in zip(old, new, strict=True))


def order(case, position, values):
    """Cells as what can be compared: numbers, or ranks in the declared order."""
    if case.nature(position) == "number":
        return [None if is_missing(v) else as_number(v) for v in values]
    dtype = case.frame().iloc[:, position].dtype
    rank = {c: i for i, c in enumerate(dtype.categories)}
    return [None if is_missing(v) else rank[v] for v in values]


def as_number(value):
    """Exact number: Python integers stay integers."""
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value)


# ------------------------------------------------------------------------ the promises


def assert_same_form(table, like):
    """Same container, names, types and row labels."""
    assert type(table) is type(like)
    if hasattr(like, "iloc"):
        pd.testing.assert_index_equal(table.index, like.index)
        pd.testing.assert_index_equal(table.columns, like.columns)
        assert list(table.dtypes) == list(like.dtypes)
    elif hasattr(like, "schema"):
        assert table.schema == like.schema
    else:
        assert (table.shape, table.dtype) == (like.shape, like.dtype)


def assert_feasible(case, X, before, after):
    """No cell of `after` breaks mutability, domain, type or categories."""
    given_bounds = case.bounds()[1]
    tables = (columns_of(table) for table in (X, before, after))
    for j, (seen, old, new) in enumerate(zip(*tables, strict=True)):
        moved = [i for i in range(len(old)) if not same(old[i], new[i])]
        what = f"column {j} ({case.kinds[j]})"
        assert not (moved and case.words[j] == "none"), f"{what} is immutable"
        assert not any(is_missing(new[i]) for i in moved), f"{what} lost a value"
        bounds = given_bounds.get(j)
        if case.nature(j) == "number":
            assert_numbers(case, j, seen, [(old[i], new[i]) for i in moved], bounds)
        elif moved:
            for i in moved:
                known = any(same(new[i], category) for category in bounds or seen)
                assert known, f"{what}: {new[i]!r}"
        assert_one_way(case, j, [(old[i], new[i]) for i in moved])


def assert_one_way(case, j, moves):
    """Numbers and ordered categories move in the direction that is open."""
    if not moves or case.words[j] not in ("increase", "decrease"):
        return
    old, new = (order(case, j, side) for side in zip(*moves, strict=True))
    for a, b in zip(old, new, strict=True):
        if a is not None:
            way = b > a if case.words[j] == "increase" else b < a
            assert way, f"column {j} ({case.kinds[j]}): {a!r} -> {b!r}"


def assert_numbers(case, j, seen, moves, bounds):
    """Moved numbers lie in the domain, and are of the kind that was there."""
    seen = [as_number(v) for v in seen if not is_missing(v)]
    low, high = bounds or (None, None)
    if case.domain is not None:
        low = min(seen) if bounds is None else low
        high = max(seen) if bounds is None else high
    if not knows_numbers(case) and bounds is None and low is not None:
        # The classifier saw encoded columns only, in float32.
        room = CLOSE * max(high - low, abs(low), abs(high))
        low, high = low - room, high + room
    what = f"column {j} ({case.kinds[j]})"
    for a, b in moves:
        b_number = as_number(b)
        a_number = None if is_missing(a) else as_number(a)
        floor = [v for v in (low, a_number) if v is not None]
        ceiling = [v for v in (high, a_number) if v is not None]
        room = np.spacing(2.0 * abs(b_number)) if abs(b_number) > 2**53 else 0
        floor, ceiling = [v - room for v in floor], [v + room for v in ceiling]
        if low is not None:
            assert b_number >= min(floor), f"{what}: {a!r} -> {b!r} below {low!r}"
        if high is not None:
            assert b_number <= max(ceiling), f"{what}: {a!r} -> {b!r} above {high!r}"
        if not is_missing(a) and case.kinds[j] != "object numbers":
            assert isinstance(b, type(a)), f"{what}: {a!r} -> {b!r}"
        if knows_numbers(case) and set(seen) <= {0, 1} and a_number in (0, 1):
            assert b_number in (0, 1), f"{what}: {a!r} -> {b!r}"


def knows_numbers(case):
    """Whether somebody has seen the raw training rows, and not only encoded ones."""
    return case.preprocessor != "pipeline" or case.fits


def assert_one_hot_runs_stay_whole(case, X, before, after):
    """Exactly one column of a run is on, if it was so in training and before."""
    if case.preprocessor not in ("auto", "none"):
        return
    seen, old, new = (columns_of(table) for table in (X, before, after))
    plain = [set(column) <= {0, 1} for column in seen]
    for j in range(len(seen) - len(ONE_HOT) + 1):
        block = range(j, j + len(ONE_HOT))
        beside = [k for k in (j - 1, j + len(ONE_HOT)) if 0 <= k < len(seen)]
        alone = not any(plain[k] for k in beside)
        is_run = all(case.kinds[k] == ONE_HOT[k - j] for k in block)
        if is_run and alone and all(len(set(seen[k])) == 2 for k in block):
            for i in range(len(new[j])):
                if sum(old[k][i] for k in block) == 1:
                    assert sum(new[k][i] for k in block) == 1, f"run at {j}"


def assert_honest(case, model, answer, n_alternatives):
    """Labels, validity and figures are what the model says about the raw tables."""
    n = len(answer)
    assert len(answer.target) == n
    table = answer.counterfactual
    if n_alternatives > 1 and hasattr(table, "iloc"):
        table = table.reset_index(drop=True)
    assert list(answer.valid) == list(model.predict(table) == answer.target)
    for name in ("cost", "probability", "implausibility"):
        assert np.isfinite(getattr(answer, name)).all(), name
    there = answer.predicted == answer.target
    assert (answer.cost[there] == 0).all()
    assert all(answer.reason[~answer.valid])
    assert not np.any(answer.mature & (answer.probability < 0.5))


def model_input(case, model, table):
    """Rows as the network sees them."""
    if case.preprocessor == "pipeline":
        return model[-1].feature_space_.encode(model[:-1].transform(table))
    return model.feature_space_.encode(as_known(table))


def as_known(table):
    """Polars frames as pandas ones, lists as arrays."""
    if isinstance(table, list):
        return np.array(table)
    return table.to_pandas() if hasattr(table, "to_pandas") else table


# ---------------------------------------------------------------------------- one case


def questions(case, model, X):
    """Target of each row, in the way that the case asks for it; None: runner-up."""
    classes = model.classes_
    if case.target == "runner-up":
        return None
    if case.target == "each":
        return classes[np.arange(n_rows(X)) % len(classes)]
    return classes[case.seed % len(classes)]


def explainer_of(case, model):
    """Explainer with the settings of the case."""
    rules = {}
    if case.preprocessor == "pipeline":
        rules = {"mutability": case.mutability(), "domain": case.bounds()[0]}
    constant = case.target == "constructor"
    return CounterfactualExplainer(
        model,
        generator=None if case.patient else GENERATORS[case.generator],
        refine=case.refine,
        plausibility_weight=case.plausibility_weight,
        target=questions(case, model, None) if constant else None,
        random_state=0,
        **rules,
    )


def check(case):
    """All promises for one case."""
    X, X_new = case.tables()
    y = case.label_values()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in exceptions.__all__:
            warnings.simplefilter("ignore", getattr(exceptions, name))
        # Of scikit-learn, where a small table has many classes or few categories.
        warnings.filterwarnings("ignore", "The number of unique classes is greater")
        warnings.filterwarnings("ignore", "Found unknown categories in columns")
        model = case.classifier()
        refused = refusal(case, X, y)
        if refused:
            with pytest.raises((ValueError, TypeError), match=refused):
                model.fit(X, y)
            return
        kept = copy.deepcopy((X, X_new))
        states = random_states()
        model.fit(X, y)
        check_predictions(case, model, X_new)
        check_answers(case, model, X, y, X_new)
        assert random_states() == states
        assert all(same_tables(a, b) for a, b in zip(kept, (X, X_new), strict=True))
        check_copies(case, model, X, y, X_new)


def random_states():
    """Global states of torch and numpy, as bytes."""
    numpy_state = np.random.get_state()[1]  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), numpy_state.tobytes()


def check_predictions(case, model, X):
    """Probabilities are finite, add up, and belong to the row alone."""
    probability, n = model.predict_proba(X), n_rows(X)
    assert np.isfinite(probability).all()
    np.testing.assert_allclose(probability.sum(1), 1, rtol=1e-5)
    assert list(model.predict(X)) == list(model.classes_[probability.argmax(1)])
    mixed = np.random.default_rng(case.seed).permutation(n)
    largest = np.abs(model.decision_function(X)).max()  # thousands, where unscaled
    rounding = 1e-5 + 4 * np.finfo(np.float32).eps * largest
    for rows in (mixed, [n - 1], [0, 2]):
        alone = model.predict_proba(rows_of(X, rows))
        np.testing.assert_allclose(alone, probability[rows], atol=rounding)


def check_answers(case, model, X, y, X_new):
    """Explanations keep the constraints, tell the truth and belong to their rows."""
    explainer, k = explainer_of(case, model), case.n_alternatives
    if case.fits:
        explainer.fit(X, y)
    target = None if case.target == "constructor" else questions(case, model, X_new)
    answer = explainer.explain(X_new, target, n_alternatives=k)
    assert len(answer) == k * n_rows(X_new)
    repeated = np.repeat(np.arange(n_rows(X_new)), k)
    before = rows_of(X_new, repeated)
    if isinstance(X, list):
        before = np.array(before)
    elif case.container == "bool":
        before = before.astype(float)  # as documented
    elif hasattr(before, "iloc") and k > 1:
        before = before.set_axis(answer.counterfactual.index)
    assert same_tables(answer.factual, before)
    assert_same_form(answer.counterfactual, before)
    assert_feasible(case, X, before, answer.counterfactual)
    assert_one_hot_runs_stay_whole(case, X, before, answer.counterfactual)
    assert_honest(case, model, answer, k)
    check_slices(answer)
    check_independence(case, model, explainer, X_new, target, answer)
    if k == 1 and case.target in ("runner-up", "constructor"):
        twin = pickle.loads(pickle.dumps(explainer))
        assert same_tables(twin.transform(X_new), answer.counterfactual)


def check_slices(answer):
    """A slice holds the rows that it names."""
    rows = np.arange(len(answer))
    for key in (slice(1, 4), rows % 2 == 0, [2, 0], -1):
        part = answer[key]
        where = np.atleast_1d(rows[key])
        assert len(part) == len(where)
        assert list(part.cost) == list(answer.cost[where])
        assert same_tables(part.counterfactual, rows_of(answer.counterfactual, where))
    assert len(answer.changes()) >= answer.valid[answer.n_changed > 0].sum()
    assert len(answer.to_frame()) == len(answer)
    assert isinstance(answer.to_json(), str)


def check_independence(case, model, explainer, X, target, answer):
    """Another order, another batch, a row alone: the same answers."""
    n, k = n_rows(X), case.n_alternatives
    mixed = np.random.default_rng(case.seed).permutation(n)
    in_batches = clone_with(explainer, batch_size=case.batch_size)
    for other, rows in ((in_batches, mixed), (explainer, np.array([n - 1]))):
        wanted = target if np.ndim(target) == 0 else target[rows]
        other = other.explain(rows_of(X, rows), wanted, n_alternatives=k)
        places = (k * rows[:, None] + np.arange(k)).ravel()
        expected = answer[places]
        assert list(other.target) == list(expected.target)
        a, b = (part.counterfactual for part in (other, expected))
        for j, (new, old) in enumerate(zip(columns_of(a), columns_of(b), strict=True)):
            if case.words[j] == "none" or case.nature(j) != "number":
                assert all(map(same, new, old)), f"column {j} ({case.kinds[j]})"
        a, b = (model_input(case, model, plain_index(table)) for table in (a, b))
        np.testing.assert_allclose(a, b, atol=CLOSE, rtol=CLOSE)
        np.testing.assert_allclose(other.cost, expected.cost, atol=1e-4, rtol=1e-4)


def clone_with(explainer, **params):
    """A copy that has learnt the same, with other parameters."""
    return copy.copy(explainer).set_params(**params)


def plain_index(table):
    return table.reset_index(drop=True) if hasattr(table, "iloc") else table


def check_copies(case, model, X, y, X_new):
    """Pickles and copies answer alike; a clone has learnt nothing, and learns it."""
    expected = model.predict_proba(X_new)
    for twin in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert (twin.predict_proba(X_new) == expected).all()
    again = clone(model)
    with pytest.raises(ValueError, match="not fitted|fitted yet"):
        again.predict(X_new)
    if case.seed % 3 == 0:  # costs as much as all the rest
        assert (again.fit(X, y).predict_proba(X_new) == expected).all()


def refusal(case, X, y):
    """Message of the error that the case has to raise, if any."""
    if len(set(y)) < 2:
        return "only 1 class"
    names = getattr(X, "columns", ())  # lists have none
    if len(set(names)) < len(names):
        return "several columns of the name"
    refused = [kind for kind in case.kinds if KINDS[kind].nature == "refused"]
    if refused:
        return "neither a number nor a category"
    if any(all(map(is_missing, values)) for values in columns_of(X)):
        return "holds no value at all"
    return None


@QUICK
@given(cases())
def test_any_table_keeps_all_promises(case):
    check(case)


@pytest.mark.slow
@NIGHTLY
@given(cases())
def test_any_of_thousands_of_tables_keeps_all_promises(case):
    check(case)
