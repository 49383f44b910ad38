from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from test_report import made

from skct.reports.heatmap import RecourseDisplay, shades


def test_shades_are_relative_to_the_largest_change_of_their_column():
    before = pd.DataFrame({"number": [0.0, 0.0, 5.0], "name": ["a", "b", "c"]})
    after = pd.DataFrame({"number": [4.0, -1.0, 5.0], "name": ["b", "b", "c"]})
    shade = shades(before, after, (before != after).to_numpy())
    np.testing.assert_array_equal(shade, [[1.0, np.nan], [-0.25, 0.0], [0.0, 0.0]])


def test_numbers_that_become_text_are_drawn_as_another_category():
    before = pd.DataFrame({"code": [1, 2], "age": [30, 40]})
    after = pd.DataFrame({"code": ["1", "x"], "age": [31, 40]})
    display = RecourseDisplay.from_explanation(made(before, after))
    assert "grey: another category" in display.ax_.get_title()
    assert "red: up" in display.ax_.get_title()


@pytest.mark.parametrize(
    "other", [None, pd.DataFrame({"cost": [1.0]}), SimpleNamespace(row=[1], cost=[1.0])]
)
def test_what_is_no_explanation_is_named(other):
    with pytest.raises(ValueError, match="'explanation'.*the result of explain.*Got"):
        RecourseDisplay(other)
