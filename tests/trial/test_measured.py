"""Measured concentrations: the rule below quantification, enantiomers, and measures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.trial.measured import add_up, measured_exposure, settle_below

CELLS = ["12.5", "<2", "BLQ", None, "1.5", 30]


@pytest.mark.parametrize(
    ("below", "expected"),
    [
        ("half", [12.5, 1.0, 2.5, np.nan, 2.5, 30]),
        ("zero", [12.5, 0, 0, np.nan, 0, 30]),
        ("missing", [12.5, np.nan, np.nan, np.nan, np.nan, 30]),
    ],
)
def test_the_rule_below_quantification(below, expected):
    """By hand: <2 states its own limit, BLQ and 1.5 fall under the limit of 5."""
    numbers, n_below = settle_below(CELLS, below=below, limit_ng_ml=5.0)
    np.testing.assert_array_equal(numbers, expected)
    assert n_below == 3


@given(st.floats(0.01, 100), st.lists(st.floats(0, 500), max_size=8))
def test_half_lies_between_the_other_rules(limit, values):
    half = settle_below(values, below="half", limit_ng_ml=limit)[0]
    zero = settle_below(values, below="zero", limit_ng_ml=limit)[0]
    kept = settle_below(values, below="missing", limit_ng_ml=limit)[0]
    assert (zero <= half).all()
    assert (half <= np.maximum(values, limit)).all()
    assert (np.isnan(kept) == (np.array(values) < limit)).all()


def test_cells_that_cannot_be():
    with pytest.raises(InputError) as caught:
        settle_below(["-3", "low", "BLQ", "inf"], below="half", place="levels.tsv column 'S'")
    found = caught.value.problems
    assert found[0].startswith("levels.tsv column 'S' row 1: '-3' is no concentration")
    assert "row 2: 'low' is no concentration" in found[1]
    assert "row 3: 'BLQ' states no limit; give limit_ng_ml" in found[2]
    assert "row 4" in found[3]
    with pytest.raises(InputError, match="below: is 'third'"):
        settle_below([], below="third")


def test_a_sum_with_a_missing_enantiomer_is_missing():
    total = add_up({"S": [1.0, np.nan, 3.0], "R": [10.0, 20.0, 30.0]})
    np.testing.assert_array_equal(total, [11.0, np.nan, 33.0])


SAMPLES = pd.DataFrame(
    {
        "subject": ["a", "a", "a", "a", "b"],
        "time_h": [4.0, 0.0, 2.0, 9.0, 1.0],
        "value_ng_ml": [100.0, 0.0, 200.0, np.nan, 50.0],
    }
)


def test_measures_of_samples_by_hand():
    def found(what, **more):
        return measured_exposure(SAMPLES, what=what, **more).to_dict()

    assert found("average") == {"a": 100.0, "b": 50.0}
    assert found("peak") == {"a": 200.0, "b": 50.0}
    assert found("time of peak") == {"a": 2.0, "b": 1.0}
    assert found("final") == {"a": 100.0, "b": 50.0}
    assert found("auc") == {"a": 0.5 * 200 * 2 + 150 * 2}  # b has one sample only
    assert found("average", window_h=(1, 3)) == {"a": 200.0, "b": 50.0}
    timeless = SAMPLES.assign(time_h=np.nan)
    assert measured_exposure(timeless, what="average").to_dict() == found("average")
    with pytest.raises(InputError, match="needs the hours of every sample"):
        measured_exposure(timeless, what="auc")
    with pytest.raises(InputError, match="cannot be had from samples"):
        measured_exposure(SAMPLES, what="hours above")
