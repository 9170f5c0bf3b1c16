"""Two-group comparisons against R 4.2.2 t.test and pt(ncp), and the laws they obey."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.compare import (
    compare_groups,
    noncentrality_interval,
    small_sample_correction,
)


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "two_groups.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


@pytest.fixture(scope="module")
def pairs(reference):
    return pd.read_csv(reference / "two_groups_pairs.csv")


@pytest.mark.parametrize(
    ("what", "settings", "df_method"),
    [
        ("welch", {}, "welch"),
        ("pooled", {"equal_variance": True}, "residual"),
        ("paired", {"paired": True}, "residual"),
    ],
)
def test_equals_r(oracle, pairs, what, settings, df_method):
    a = pairs["a"] if what == "paired" else pairs["a"][:9]
    row = compare_groups(a, pairs["b"], **settings).iloc[0]
    expected = oracle(what)
    np.testing.assert_allclose(row[expected.index].astype(float), expected, rtol=1e-10)
    assert row["df_method"] == df_method
    assert row["estimate"] == pytest.approx(a.mean() - pairs["b"].mean())
    assert row["kind"] == "difference"


@pytest.mark.parametrize("variant", ["cohen_d_pooled", "hedges_g", "d_z", "d_av"])
def test_effect_sizes_equal_r(oracle, pairs, variant):
    paired = variant.startswith("d_")
    a = pairs["a"] if paired else pairs["a"][:9]
    row = compare_groups(a, pairs["b"], paired=paired, effect_size=variant).iloc[0]
    got = row[["effect_size", "effect_size_ci_low", "effect_size_ci_high"]].astype(float)
    np.testing.assert_allclose(got, oracle(variant)[["estimate", "ci_low", "ci_high"]], atol=1e-9)
    assert row["effect_size_variant"] == variant


def test_default_variants():
    a, b = [1.0, 2.0, 4.0], [0.0, 2.0, 1.0]
    assert compare_groups(a, b)["effect_size_variant"].item() == "hedges_g"
    assert compare_groups(a, b, paired=True)["effect_size_variant"].item() == "d_z"


def test_hedges_correction_is_near_its_textbook_approximation():
    # Hedges (1981): J is about 1 - 3 / (4 df - 1)
    for df in (5, 20, 100):
        assert small_sample_correction(df) == pytest.approx(1 - 3 / (4 * df - 1), abs=0.02 / df)


@given(st.floats(-15, 15), st.integers(2, 200))
@settings(deadline=None, max_examples=40)
def test_noncentrality_limits_are_where_they_should_be(t, df):
    low, high = noncentrality_interval(t, df)
    assert stats.nct.cdf(t, df, low) == pytest.approx(0.975, abs=1e-6)
    assert stats.nct.cdf(t, df, high) == pytest.approx(0.025, abs=1e-6)


@given(
    st.lists(st.floats(-50, 50), min_size=3, max_size=12),
    st.lists(st.floats(-50, 50), min_size=3, max_size=12),
    st.floats(0.1, 10),
    st.floats(-20, 20),
)
@settings(deadline=None, max_examples=40)
def test_swap_shift_and_scale(a, b, scale, shift):
    a, b = np.array(a), np.array(b)
    if min(a.std(), b.std()) < 0.1:
        return
    row = compare_groups(a, b).iloc[0]
    swapped = compare_groups(b, a).iloc[0]
    moved = compare_groups(scale * a + shift, scale * b + shift).iloc[0]
    assert swapped["estimate"] == pytest.approx(-row["estimate"], abs=1e-9)
    assert swapped["ci_low"] == pytest.approx(-row["ci_high"], abs=1e-9)
    assert moved["estimate"] == pytest.approx(scale * row["estimate"], abs=1e-9)
    for column in ("p", "df", "effect_size", "effect_size_ci_low"):
        assert moved[column] == pytest.approx(row[column], rel=1e-6, abs=1e-7)


def test_paired_with_itself_shifted_by_pairs_not_position():
    a = pd.Series([3.0, 5.0, 9.5, 4.0], index=["w", "x", "y", "z"])
    b = pd.Series([8.0, 2.0, 4.0, 7.0], index=["y", "w", "x", "nobody"])
    row = compare_groups(a, b, paired=True).iloc[0]
    assert (row["n_subjects"], row["n_observations"], row["n_missing"]) == (3, 6, 2)
    assert row["flags"] == "2 missing left out"
    assert row["estimate"] == pytest.approx((1 + 1 + 1.5) / 3)


def test_missing_values_are_counted():
    a, b = [1.0, np.nan, 3.0, 5.0], [2.0, 2.5, np.nan, np.nan, 0.0]
    row = compare_groups(a, b).iloc[0]
    assert (row["n_a"], row["n_b"], row["n_missing"], row["n_subjects"]) == (3, 3, 3, 6)
    expected = compare_groups([1.0, 3.0, 5.0], [2.0, 2.5, 0.0]).iloc[0]
    assert row["p"] == expected["p"]


@pytest.mark.parametrize(
    ("a", "b", "settings", "error", "says"),
    [
        ([1.0], [1.0, 2.0], {}, ModelError, "a has 1, b has 2"),
        ([1.0, np.nan], [2.0, 3.0], {"paired": True}, ModelError, "there are 1"),
        ([1.0, 1.0], [2.0, 2.0], {}, ModelError, "neither group varies"),
        ([0.1, 0.2, 0.3], [1.1, 1.2, 1.3], {"paired": True}, ModelError, "do not vary"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], {"paired": True}, InputError, "a has 2 values, b has 3"),
        ([1.0, np.inf], [1.0, 2.0], {}, InputError, "value 1 is infinite"),
        (["x", "y"], [1.0, 2.0], {}, InputError, "not all numbers"),
        ([1.0, 2.0], [1.0, 3.0], {"effect_size": "d_z"}, InputError, "allows hedges_g, cohen_d"),
        ([1.0, 2.0], [1.0, 3.0], {"ci_level": 95}, InputError, "ci_level: got 95"),
        ([[1.0, 2.0]], [1.0, 3.0], {}, InputError, r"shape \(1, 2\)"),
    ],
)
def test_refuses(a, b, settings, error, says):
    with pytest.raises(error, match=says):
        compare_groups(a, b, **settings)
