"""Adjusted p values against R 4.2.2 p.adjust, scipy, and the laws every adjustment obeys."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from connectrial.errors import InputError
from connectrial.stats.multiplicity import adjust

METHODS = ("bonferroni", "holm", "hochberg", "fdr_bh", "fdr_by")
R_NAMES = {"fdr_bh": "BH", "fdr_by": "BY"}
p_values = st.lists(st.floats(0, 1), min_size=1, max_size=30).map(np.array)


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "two_groups.csv")
    return lambda what: table.loc[table["what"] == what, "number"].to_numpy()


@pytest.mark.parametrize("method", METHODS)
def test_equals_r(oracle, method):
    expected = oracle(f"adjust {R_NAMES.get(method, method)}")
    np.testing.assert_allclose(adjust(oracle("adjust raw"), method), expected, rtol=1e-14)


def test_a_family_larger_than_the_tests_equals_r(oracle):
    raw = oracle("adjust raw")
    np.testing.assert_allclose(
        adjust(raw, "bonferroni", size=20), oracle("adjust bonferroni 20"), rtol=1e-14
    )
    with_untested = adjust(np.append(raw, [np.nan, np.nan]), "holm", size=10)
    np.testing.assert_allclose(with_untested[:8], oracle("adjust holm 10"), rtol=1e-14)


def test_siegel_family_of_eight():
    # Bonferroni 0.05 / 8 = 0.00625 on raw p is the same verdict as 0.05 on adjusted p
    raw = np.array([0.003, 0.051, 0.001, 0.028, 0.003, 0.54])
    np.testing.assert_array_equal(adjust(raw, "bonferroni", size=8) < 0.05, raw < 0.00625)


@given(p_values)
@settings(max_examples=50, deadline=None)
def test_false_discovery_rates_equal_scipy(p):
    for method, name in (("fdr_bh", "bh"), ("fdr_by", "by")):
        expected = np.maximum(stats.false_discovery_control(p, method=name), p)
        np.testing.assert_allclose(adjust(p, method), expected, rtol=1e-12, atol=1e-300)


@given(p_values, st.sampled_from(METHODS), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_never_below_p_keeps_order_and_ignores_position(p, method, random):
    adjusted = adjust(p, method)
    assert (adjusted >= p).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()
    order = list(range(p.size))
    random.shuffle(order)
    np.testing.assert_array_equal(adjust(p[order], method), adjusted[order])


@given(p_values)
@settings(max_examples=50, deadline=None)
def test_holm_never_above_bonferroni_hochberg_never_above_holm(p):
    assert (adjust(p, "holm") <= adjust(p, "bonferroni")).all()
    assert (adjust(p, "hochberg") <= adjust(p, "holm")).all()


@given(p_values, st.sampled_from(METHODS))
@settings(max_examples=50, deadline=None)
def test_nan_stays_and_is_counted_out(p, method):
    holes = np.append(np.nan, p)
    adjusted = adjust(holes, method)
    assert np.isnan(adjusted[0])
    np.testing.assert_array_equal(adjusted[1:], adjust(p, method))


@given(p_values, st.sampled_from(METHODS))
@settings(max_examples=50, deadline=None)
def test_size_counts_a_test_without_p_as_one(p, method):
    with_hole = adjust(np.append(p, np.nan), method, size=p.size + 1)
    np.testing.assert_allclose(
        with_hole[:-1], adjust(np.append(p, 1.0), method)[:-1], rtol=1e-12, atol=1e-300
    )


def test_shape_is_kept_and_empty_is_empty():
    assert adjust([[0.1, 0.2], [np.nan, 0.3]], "holm").shape == (2, 2)
    assert adjust([], "fdr_bh").shape == (0,)


@pytest.mark.parametrize(
    ("p", "method", "size", "says"),
    [
        ([0.1, 1.2], "holm", None, r"got 1\.2"),
        ([0.1], "sidak", None, "allowed are bonferroni"),
        ([0.1, 0.2, 0.3], "bonferroni", 2, "declared with 2 tests, but 3"),
        ([0.1, 0.2], "holm", 8, "only 'bonferroni'"),
    ],
)
def test_refuses(p, method, size, says):
    with pytest.raises(InputError, match=says):
        adjust(p, method, size=size)
