"""Exact tests against R 4.2.2, coin 1.4-2, Newcombe (1998) and scipy."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.exact import (
    boschloo_exact,
    exact_means,
    exact_proportions,
    fisher_exact,
    fisher_table,
    mcnemar,
)

LIMITS = ["ci_low", "ci_high"]


@pytest.fixture(scope="module")
def oracle(reference):
    table = pd.read_csv(reference / "two_groups.csv")
    return lambda what: table.loc[table["what"] == what].set_index("value")["number"]


def test_fisher_equals_r(oracle):
    expected = oracle("fisher 9/13 4/15")["p"]
    assert fisher_exact((9, 13), (4, 15)) == pytest.approx(expected, rel=1e-9)


@given(
    st.integers(2, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.integers(2, 9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
)
@settings(deadline=None, max_examples=12)
def test_boschloo_is_never_weaker_than_fisher_doubled_and_knows_no_order(a, b):
    p = boschloo_exact(a, b)
    table = [[a[0], a[1] - a[0]], [b[0], b[1] - b[0]]]
    one_sided = [stats.fisher_exact(table, alternative=side).pvalue for side in ("less", "greater")]
    assert p <= 2 * min(one_sided) + 1e-9
    assert p == pytest.approx(boschloo_exact(b, a), abs=1e-6)


def test_boschloo_holds_its_level():
    # size at true proportions p = p: at most 5 %, summed over all tables of 5 and 6 people
    p = np.array([[boschloo_exact((x, 5), (y, 6)) for y in range(7)] for x in range(6)])
    for share in (0.1, 0.3, 0.5, 0.8):
        chance = np.outer(stats.binom.pmf(range(6), 5, share), stats.binom.pmf(range(7), 6, share))
        assert chance[p <= 0.05].sum() <= 0.05 + 1e-9


def test_two_groups_equal_coin(reference):
    table = pd.read_csv(reference / "permutation_groups.csv")
    expected = (
        pd.read_csv(reference / "permutation.csv").set_index("what").loc["two groups", "number"]
    )
    a, b = (table.loc[table["arm"] == name, "y"].to_numpy() for name in "ab")
    row = exact_means(a, b).iloc[0]
    assert row["p"] == pytest.approx(expected, abs=1e-12)
    assert row["n_possible"] == 462
    assert row["estimate"] == pytest.approx(a.mean() - b.mean())


def p_of_shift(a, b, shift, *, paired):
    """P of the exact test once all of `a` is shifted back."""
    return exact_means(a - shift, b, paired=paired).iloc[0]["p"]


@pytest.mark.parametrize("paired", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_interval_holds_the_shifts_that_are_not_rejected(paired, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.normal(1, 1, 8), rng.normal(size=8 if paired else 5)
    row = exact_means(a, b, paired=paired).iloc[0]
    for end, inward in ((row["ci_low"], 1), (row["ci_high"], -1)):
        assert p_of_shift(a, b, end + 1e-6 * inward, paired=paired) > 0.05
        assert p_of_shift(a, b, end - 1e-6 * inward, paired=paired) <= 0.05
    assert row["ci_low"] < row["estimate"] < row["ci_high"]
    assert (row["p"] <= 0.05) == (not row["ci_low"] <= 0 <= row["ci_high"])
    assert row["effect_size_variant"] == ("d_z" if paired else "hedges_g")


def test_too_few_arrangements_leave_the_interval_open():
    row = exact_means([1.0, 2.0, 3.5], [0.1, 0.3, 0.2], paired=True).iloc[0]
    assert (row["ci_low"], row["ci_high"]) == (-np.inf, np.inf)


def test_pairs_equal_scipy():
    rng = np.random.default_rng(2)
    a, b = rng.normal(0.5, 1, 10), rng.normal(size=10)
    a[3] = np.nan
    row = exact_means(a, b, paired=True).iloc[0]
    kept = np.delete(a - b, 3)
    expected = stats.permutation_test((kept,), np.mean, permutation_type="samples").pvalue
    assert row["p"] == pytest.approx(expected, abs=1e-12)
    assert row["n_possible"] == 512
    assert row["flags"] == "1 missing left out"


def test_mcnemar_is_the_binomial_test_on_those_who_changed(oracle):
    a = [1] * 12 + [1] * 7 + [0] * 2 + [0] * 5 + [1, np.nan]
    b = [1] * 12 + [0] * 7 + [1] * 2 + [0] * 5 + [np.nan, 0]
    row = mcnemar(a, b).iloc[0]
    assert row[["yes_yes", "yes_no", "no_yes", "no_no", "n_missing"]].tolist() == [12, 7, 2, 5, 2]
    assert row["p"] == pytest.approx(oracle("mcnemar 7 2")["p"], rel=1e-12)
    assert row["estimate"] == pytest.approx(5 / 26)
    assert row["odds_ratio"] == 3.5
    assert row["odds_ratio_ci_low"] < 1 < row["odds_ratio_ci_high"]


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [  # Newcombe (1998), Stat Med 17:2635, table III; the second row is his rule worked by hand:
        # with phi not corrected (his method 8) it would print 0.0618, 0.3242
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((20, 12, 2, 16), 0.0562, 0.3292),
        ((0, 0, 0, 30), -0.1135, 0.1135),
    ],
)
def test_paired_difference_equals_newcombe(cells, low, high):
    yes_yes, yes_no, no_yes, no_no = cells
    a = [1] * (yes_yes + yes_no) + [0] * (no_yes + no_no)
    b = [1] * yes_yes + [0] * yes_no + [1] * no_yes + [0] * no_no
    row = mcnemar(a, b).iloc[0]
    np.testing.assert_allclose(row[LIMITS].astype(float), [low, high], atol=6e-5)


def test_nullable_booleans_and_nobody_changed():
    a = pd.Series([True, False, None, True], dtype="boolean")
    row = mcnemar(a, a).iloc[0]
    assert (row["p"], row["estimate"], row["n_missing"]) == (1.0, 0.0, 1)
    assert np.isnan(row["odds_ratio"])


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: mcnemar([1, 2], [0, 1]), InputError, "a: got 2"),
        (lambda: mcnemar([1], [0, 1]), InputError, "a has 1 values, b has 2"),
        (lambda: mcnemar([np.nan], [0]), ModelError, "none of 1 pairs"),
        (lambda: fisher_exact((5, 3), (1, 2)), InputError, "a: got 5 of 3"),
        (lambda: exact_means(range(40), range(1, 41)), InputError, "max_arrangements"),
        (lambda: exact_means([1.0], [2.0, 3.0]), ModelError, "at least 2 values"),
    ],
)
def test_refuses(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_fisher_of_two_by_two_is_exact_and_larger_tables_are_drawn():
    """Oracle: scipy for 2 x 2; for 2 x 3 all tables with these margins, enumerated."""
    from math import factorial, prod

    rng = np.random.default_rng(1)
    two = [[8, 2], [1, 5]]
    assert fisher_table(two, rng=rng) == pytest.approx(stats.fisher_exact(two).pvalue)
    table = np.array([[4, 1, 0], [1, 2, 4]])
    rows, columns = table.sum(axis=1), table.sum(axis=0)

    def chance(first):
        whole = np.array([first, columns - np.array(first)])
        margins = prod(factorial(int(n)) for n in (*rows, *columns))
        return (
            margins / factorial(int(table.sum())) / prod(factorial(int(n)) for n in whole.ravel())
        )

    tables = [
        (a, b, rows[0] - a - b)
        for a in range(columns[0] + 1)
        for b in range(columns[1] + 1)
        if 0 <= rows[0] - a - b <= columns[2]
    ]
    chances = np.array([chance(one) for one in tables])
    assert chances.sum() == pytest.approx(1)
    expected = chances[chances <= chance(tuple(table[0])) * (1 + 1e-9)].sum()
    found = fisher_table(table, n_tables=20000, rng=rng)
    assert found == pytest.approx(expected, abs=4 * np.sqrt(expected / 20000))
    assert fisher_table([[3, 4], [0, 0]], rng=rng) == 1.0
    with pytest.raises(InputError, match="whole numbers"):
        fisher_table([[1.5, 2], [3, 4]], rng=rng)


# R 4.2 fisher.test: its own examples, the lady tasting tea and Fisher's convicts (1962).
@pytest.mark.parametrize(
    ("a", "b", "estimate", "low", "high", "p"),
    [
        ((3, 4), (1, 4), 6.408309, 0.3135693, np.inf, None),
        ((2, 17), (10, 13), 0.04693661, 0.003325764, 0.363182271, 0.0005367),
    ],
)
def test_odds_ratios_are_those_of_fisher_test_in_r(a, b, estimate, low, high, p):
    level = 0.9 if p is None else 0.95  # the tea was one-sided: its lower limit is that of 90 %
    rows = exact_proportions(a, b, ci_level=level)
    odds = rows.loc["odds ratio"]
    assert odds["estimate"] == pytest.approx(estimate, rel=1e-4)
    assert odds["ci_low"] == pytest.approx(low, rel=5e-3)  # R's root finder stops early
    # Each limit is the ratio at which a tail this far out has half the error.
    tail, events, n = (1 - level) / 2, a[0] + b[0], a[1] + b[1]
    at = stats.nchypergeom_fisher(n, events, a[1], odds["ci_low"])
    assert at.sf(a[0] - 1) == pytest.approx(tail, rel=1e-6)
    if p is not None:
        assert odds["ci_high"] == pytest.approx(high, rel=5e-3)
        assert odds["p"] == pytest.approx(p, rel=1e-3)
    assert rows.loc["risk difference", "estimate"] == pytest.approx(a[0] / a[1] - b[0] / b[1])


def test_exact_proportions_where_a_cell_is_empty():
    """A ratio at an end of its range keeps its one exact limit; Boschloo's row has no odds."""
    odds = exact_proportions((5, 5), (1, 5)).loc["odds ratio"]
    assert np.isinf(odds["estimate"])
    assert np.isinf(odds["ci_high"])
    assert odds["ci_low"] > 0
    nobody = exact_proportions((0, 5), (0, 6)).loc["odds ratio"]
    assert np.isnan(nobody["estimate"])
    assert nobody["p"] == 1
    only = exact_proportions((5, 5), (1, 5), method="boschloo")
    assert only.index.tolist() == ["risk difference"]
    assert only["p"].iloc[0] == boschloo_exact((5, 5), (1, 5))
    with pytest.raises(InputError, match="allowed are fisher, boschloo"):
        exact_proportions((1, 2), (1, 2), method="barnard")
