"""Numbers as a paper prints them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.figures.numbers import (
    format_count,
    format_df,
    format_interval,
    format_number,
    format_p,
    nnt_words,
    term_words,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.08123, "−0.0812"), (0.5, "0.500"), (12.345, "12.3"), (1234.5, "1234"), (0, "0"), (9.996, "10.0"),
        (0.00012345, "0.000123"), (1.5e-7, "1.50e−07"), (-3e9, "−3.00e+09"), (math.inf, "∞"), (-math.inf, "−∞"),
        (math.nan, "–"), (None, "–"), ("text", "–"),
    ],
)  # fmt: skip
def test_three_significant_digits(value, text):
    """The report's rule: estimates have three significant digits, with a true minus sign."""
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "< .001"), (0.00099, "< .001"), (0.001, ".0010"), (0.0042, ".0042"), (0.0123, ".012"), (0.0496, ".0496"),
        (0.0504, ".0504"), (0.2, ".20"), (0.523, ".52"), (0.0999, ".10"), (0.996, "> .99"), (1.0, "1.00"), (math.nan, "–"),
    ],
)  # fmt: skip
def test_p_values(value, text):
    """The report's rule: two to three digits, '< .001' below, never 0.000."""
    assert format_p(value) == text


@given(st.floats(min_value=0, max_value=1))
def test_a_p_value_never_reads_as_zero_and_never_crosses_alpha(p):
    """Law: whoever reads the printed value comes to the same side of .05 and .001 as the number."""
    text = format_p(p)
    if text.startswith("<"):
        assert p < 0.001
    elif text.startswith(">"):
        assert p > 0.99
    else:
        printed = float(text)
        assert printed > 0
        assert printed == pytest.approx(p, rel=0.06)
        if abs(p - 0.05) > 6e-5:
            assert (printed < 0.05) == (p < 0.05)


@given(st.floats(min_value=-1e6, max_value=1e6).filter(lambda x: abs(x) > 1e-4))
def test_printed_numbers_are_within_half_a_unit_of_the_third_digit(value):
    """Law: three significant digits carry a relative error of at most half a percent."""
    assert float(format_number(value).replace("−", "-")) == pytest.approx(value, rel=0.0051)


def test_interval_ends_share_their_decimals():
    """The end further from zero has three significant digits, the other as many decimals."""
    assert format_interval(-0.14, -0.02) == "[−0.140, −0.020]"
    assert format_interval(0.0042, 12.3) == "[0.0, 12.3]"
    assert format_interval(-math.inf, 0.5) == "[−∞, 0.500]"
    assert format_interval(math.nan, math.nan) == ""
    assert format_interval(0.0, 0.0) == "[0, 0]"


def test_degrees_of_freedom():
    """One decimal; the numerator's first where there is one; infinity as a sign."""
    assert format_df(37) == "37.0"
    assert format_df(100.46, numerator=5) == "5, 100.5"
    assert format_df(math.inf) == "∞"
    assert format_df(math.nan) == "–"


def test_counts_and_terms():
    """Thousands apart; model terms in words, contrasts with a true minus."""
    assert format_count(54946) == "54\u2009946"
    assert format_count(None) == "–"
    assert term_words("visit[month3]:arm[medication]") == "visit month3 × arm medication"
    assert term_words("time:response") == "time × response"
    assert term_words("post - pre, drug", "contrast") == "post − pre, drug"
    assert term_words("Default: pre1 and pre2", "mean") == "Default: pre1 and pre2"


@pytest.mark.parametrize(
    ("limits", "number", "words"),
    [
        # Altman (1998) BMJ 317:1309: a difference of 10 % with a 95 % interval from -5 % to 25 %.
        ((0.10, -0.05, 0.25), "NNTB 10.0", "NNTH 20.0 to ∞ to NNTB 4.0"),
        ((-0.10, -0.25, 0.05), "NNTH 10.0", "NNTH 4.0 to ∞ to NNTB 20.0"),
        ((0.25, 0.20, 0.50), "NNTB 4.0", "NNTB 2.0 to NNTB 5.0"),
    ],
)
def test_number_needed_to_treat_through_infinity(limits, number, words):
    """By hand: reciprocals of a risk difference and its limits, harm first where it reaches 0."""
    estimate, low, high = (1 / one for one in limits)
    if low > high:
        low, high = high, low
    if limits[1] < 0 < limits[2]:
        low, high = 1 / limits[1], 1 / limits[2]
    assert nnt_words(estimate, low, high) == (number, words)


def test_number_needed_to_treat_without_a_difference():
    assert nnt_words(math.inf, -7.25, 7.25) == ("∞", "NNTH 7.2 to ∞ to NNTB 7.2")
    assert nnt_words(math.inf, math.inf, 4.0) == ("∞", "∞ to NNTB 4.0")  # a limit of 0 itself
    assert nnt_words(math.nan, math.nan, math.nan) == ("–", "")
