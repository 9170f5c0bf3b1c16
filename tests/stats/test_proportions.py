"""Proportions against R 4.2.2, Newcombe (1998), Koopman (1984) and Altman (1998)."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import InputError
from connectrial.stats.proportions import (
    number_needed_to_treat,
    odds_ratio,
    proportion,
    risk_difference,
    risk_ratio,
)

LIMITS = ["ci_low", "ci_high"]
counts = st.integers(1, 40).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "two_groups.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.mark.parametrize(("method", "what"), [("wilson", "wilson"), ("clopper-pearson", "clopper")])
def test_one_proportion_equals_r(oracle, method, what):
    row = proportion(9, 13, method=method).iloc[0]
    np.testing.assert_allclose(row[LIMITS].astype(float), oracle(f"{what} 9/13"), rtol=1e-8)
    assert row["estimate"] == 9 / 13


@given(counts, st.sampled_from(["wilson", "clopper-pearson"]))
def test_interval_of_a_proportion_mirrors_and_holds_it(count, method):
    x, n = count
    row, mirror = (
        proportion(x, n, method=method).iloc[0],
        proportion(n - x, n, method=method).iloc[0],
    )
    assert row["ci_low"] == pytest.approx(1 - mirror["ci_high"], abs=1e-12)
    assert 0 <= row["ci_low"] <= x / n <= row["ci_high"] <= 1


@pytest.mark.parametrize(
    ("a", "b", "low", "high"),
    [  # Newcombe (1998), Stat Med 17:873, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_risk_difference_equals_newcombe(a, b, low, high):
    row = risk_difference(a, b).iloc[0]
    np.testing.assert_allclose(row[LIMITS].astype(float), [low, high], atol=5.1e-5)


def test_score_test_and_fisher_equal_r(oracle):
    a, b = (9, 13), (4, 15)
    row = risk_difference(a, b).iloc[0]
    expected = oracle("score 9/13 4/15")
    assert row["statistic"] ** 2 == pytest.approx(expected["chi2"], rel=1e-10)
    assert row["p"] == pytest.approx(expected["p"], rel=1e-10)
    expected = oracle("fisher 9/13 4/15")
    row = odds_ratio(a, b).iloc[0]
    got = row[["estimate", "p", *LIMITS]].astype(float)
    np.testing.assert_allclose(
        got, expected[["estimate", "p", *LIMITS]], rtol=1e-3
    )  # R stops its root search early


def test_sample_odds_ratio_is_woolfs():
    row = odds_ratio((9, 13), (4, 15), method="sample").iloc[0]
    assert row["estimate"] == pytest.approx(9 * 11 / (4 * 4))
    half = 1.959963984540054 * np.sqrt(1 / 9 + 1 / 4 + 1 / 4 + 1 / 11)
    assert np.log(row["ci_high"] / row["estimate"]) == pytest.approx(half)
    row = odds_ratio((9, 9), (4, 15), method="sample").iloc[0]
    assert np.isinf(row["estimate"])
    assert np.isnan(row["ci_low"])
    assert "zero count" in row["flags"]


def test_risk_ratio_equals_koopmans_example():
    row = risk_ratio((36, 40), (16, 80)).iloc[0]  # Koopman (1984): 4.5 (2.94, 7.15)
    assert row["estimate"] == pytest.approx(4.5)
    np.testing.assert_allclose(row[LIMITS].astype(float), [2.94, 7.15], atol=5e-3)


@given(counts, counts)
@settings(deadline=None)
def test_risk_ratio_interval_agrees_with_the_score_test_and_swaps(a, b):
    row, swapped = risk_ratio(a, b).iloc[0], risk_ratio(b, a).iloc[0]
    if a[0] + b[0] == 0:
        assert np.isnan(row["estimate"])
        return
    if abs(row["p"] - 0.05) > 1e-9 and row["statistic"] != 0:
        assert (row["p"] < 0.05) == (not row["ci_low"] <= 1 <= row["ci_high"])
    if 0 < swapped["ci_high"] < np.inf:
        assert row["ci_low"] == pytest.approx(1 / swapped["ci_high"], rel=1e-6)
    assert row["ci_low"] <= row["estimate"] <= row["ci_high"]


def test_number_needed_to_treat_runs_through_infinity():
    # Altman (1998): difference 0.25 with 95 % CI from -0.11 to 0.57 reads NNTB 4.0 to NNTH;
    # here the same reading on Newcombe limits
    row = number_needed_to_treat((9, 14), (6, 14)).iloc[0]
    difference = risk_difference((9, 14), (6, 14)).iloc[0]
    assert row["through_infinity"]
    assert row["estimate"] == pytest.approx(14 / 3)
    assert row["ci_high"] == pytest.approx(1 / difference["ci_high"])
    assert row["ci_low"] == pytest.approx(1 / difference["ci_low"])
    assert row["ci_low"] < 0 < row["ci_high"]
    assert row["text"] == "NNTB 4.7 (NNTH 7.2 to infinity to NNTB 2.0)"
    row = number_needed_to_treat((56, 70), (48, 80)).iloc[0]
    assert not row["through_infinity"]
    assert row["text"] == "NNTB 5.0 (NNTB 3.0 to NNTB 19.1)"
    row = number_needed_to_treat((5, 10), (5, 10)).iloc[0]
    assert np.isinf(row["estimate"])
    assert row["text"].startswith("infinity (NNTH")


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: proportion(5, 3), InputError, "got 5 of 3"),
        (lambda: proportion(0, 0), InputError, "n > 0"),
        (lambda: proportion(1, 3, method="wald"), InputError, "allowed are 'wilson'"),
        (lambda: odds_ratio((0, 5), (0, 5), method="exact"), InputError, "allowed are 'cond"),
        (lambda: risk_difference((1.5, 3), (1, 3)), InputError, "a: got 1.5 of 3"),
        (lambda: risk_ratio(3, (1, 3)), InputError, "give \\(events, n\\)"),
    ],
)
def test_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()
