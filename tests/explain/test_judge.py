"""The default judge on columns of every type."""

import numpy as np
import pandas as pd
import pytest

from skct.explain.judge import default_judge

N = 400
CODES = np.arange(N) % 2
LABELS = np.array(["no", "yes"])[CODES]
COLUMNS = {
    "float": CODES * 2.5,
    "Int64": pd.array(CODES, dtype="Int64"),
    "Float64": pd.array(CODES * 1.0, dtype="Float64"),
    "boolean": pd.array(CODES == 1, dtype="boolean"),
    "bool": CODES == 1,
    "string": pd.array(np.array(["a", "b"])[CODES], dtype="string"),
    "object": np.array(["a", "b"], dtype=object)[CODES],
    "category": pd.Categorical.from_codes(CODES, ["a", "b"]),
    "Int64 category": pd.Categorical.from_codes(CODES, [3, 7]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_it_learns_from_a_column_with_gaps(name):
    noise = np.random.default_rng(0).normal(size=N)
    frame = pd.DataFrame({"noise": noise, "nothing": np.nan, "told": COLUMNS[name]})
    gaps = frame.copy()
    if name != "bool":  # which has none
        gaps.loc[::10, "told"] = None
    judge = default_judge().fit(gaps, LABELS)
    assert judge.score(frame, LABELS) > 0.99
    known = gaps["told"].notna().to_numpy()
    assert judge.score(gaps[known], LABELS[known]) > 0.99
    assert np.isfinite(judge.predict_proba(gaps)).all()
    assert gaps["told"].dtype == frame["told"].dtype  # it works on a copy
