"""Exact tests for few people: nothing is approximated, every arrangement is counted."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.compare import effect_size_columns, two_means
from connectrial.stats.proportions import Counts, check_counts, risk_difference, wilson
from connectrial.stats.rows import as_numbers, check_level, estimate_row, stack

Array = NDArray[np.float64]


def fisher_exact(a: Counts, b: Counts) -> float:
    """Fisher's exact two-sided p for two proportions, summed over tables no likelier than this one.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If counts are impossible.
    """
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    return float(stats.fisher_exact(np.array([[x, n - x], [y, m - y]])).pvalue)


def fisher_table(counts: ArrayLike, *, n_tables: int = 9999, rng: np.random.Generator) -> float:
    """Fisher's exact p for a table of any size, by drawing tables with the same margins.

    Parameters
    ----------
    counts : array-like of int, shape (n_rows, n_columns)
        Counts of separate people. Empty rows and columns do not count. With two rows and two
        columns nothing is drawn and the p is exact.
    n_tables : int
        Tables that are drawn.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    float
        Share of tables no likelier than this one, this one included; 1 for a single row or column.

    Raises
    ------
    InputError
        If counts are negative or no whole numbers.
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or (table < 0).any() or (table != np.round(table)).any():
        raise InputError("counts: must be a table of whole numbers, 0 or more")
    whole = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(np.int64)
    if min(whole.shape) < 2:
        return 1.0
    if whole.shape == (2, 2):
        return float(stats.fisher_exact(whole).pvalue)
    drawn = stats.random_table(whole.sum(axis=1), whole.sum(axis=0))
    log_p = drawn.logpmf(whole)
    others = drawn.logpmf(drawn.rvs(n_tables, random_state=rng))
    n_rarer = int(np.count_nonzero(others <= log_p + 1e-9))
    return (n_rarer + 1) / (n_tables + 1)


def boschloo_exact(a: Counts, b: Counts) -> float:
    """Boschloo's exact two-sided p for two proportions, less cautious than Fisher's.

    It does not condition on the number of events. Two-sided is twice the smaller one-sided p.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people, whose sizes were fixed by design.

    Returns
    -------
    float

    Raises
    ------
    InputError
        If counts are impossible.

    References
    ----------
    Boschloo (1970) Stat Neerl 24:1.
    """
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    if x + y in (0, n + m):
        return 1.0
    # scipy wants the groups as columns
    table = np.array([[x, y], [n - x, m - y]])
    return float(min(stats.boschloo_exact(table, n=64).pvalue, 1.0))


def exact_proportions(
    a: Counts, b: Counts, *, method: str = "fisher", ci_level: float = 0.95
) -> pd.DataFrame:
    """Two proportions by an exact test, with effect sizes and their intervals.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people.
    method : {"fisher", "boschloo"}
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        A row "risk difference", a minus b, with the exact two-sided p and Newcombe's interval, which
        is not the test's own. For Fisher's test then a row "odds ratio": the conditional maximum
        likelihood estimate with its exact interval (both tails), of the distribution that the test
        is made of; infinite or zero where a cell is empty.

    Raises
    ------
    InputError
        If counts are impossible, or there is no such method.
    """
    if method not in ("fisher", "boschloo"):
        raise InputError(f"method: got {method!r}; allowed are fisher, boschloo")
    row = risk_difference(a, b, ci_level=ci_level)
    p = fisher_exact(a, b) if method == "fisher" else boschloo_exact(a, b)
    difference = row.assign(
        statistic=np.nan, statistic_name=f"{method.capitalize()}'s exact test", p=p, flags=""
    )
    if method == "boschloo":
        return difference
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    if x + y in (0, n + m):
        found, ci, flags = (
            np.nan,
            (0.0, np.inf),
            ["everybody has one outcome: odds ratio undefined"],
        )
    else:
        ratio = stats.contingency.odds_ratio(np.array([[x, n - x], [y, m - y]]))
        limits = ratio.confidence_interval(ci_level)
        found, ci, flags = ratio.statistic, (limits.low, limits.high), []
    odds = estimate_row(
        "odds ratio",
        kind="odds ratio",
        estimate=float(found),
        statistic_name="Fisher's exact test",
        p=p,
        ci=(float(ci[0]), float(ci[1])),
        ci_level=ci_level,
        n_subjects=n + m,
        flags=flags,
        ci_method="exact conditional",
    )
    return stack([difference, odds])


def exact_means(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    max_arrangements: int = 200_000,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Test the difference of two means by all exchanges of people between groups, or of signs.

    Parameters
    ----------
    a, b : array-like, shape (n_a,) and (n_b,)
        As for `compare_groups`.
    paired : bool
        Same people twice: the signs of their differences are flipped.
    max_arrangements : int
        Where more are possible the test is refused: it would not be exact.
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame, one row
        `estimate` is mean(a) - mean(b), p two-sided; the interval holds the shifts of all of `a`
        that the test does not reject, and is infinite where the arrangements are too few to reject
        any. Then `n_possible` arrangements, and the effect size of `compare_groups` (Hedges' g, or
        d_z of pairs), whose limits take the values to be normal.

    Raises
    ------
    InputError
        If values are no numbers, or there are too many arrangements.
    ModelError
        As `compare_groups`.

    References
    ----------
    Pitman (1937) J R Stat Soc Suppl 4:119.
    """
    check_level(ci_level)
    means = two_means(a, b, paired=paired)
    first, second = means.a, means.b
    n_a, n = first.size, first.size + second.size
    n_possible = 2**n_a if paired else math.comb(n, n_a)
    if n_possible > max_arrangements:
        raise InputError(
            f"exact test: {n_possible} arrangements are possible, {max_arrangements} are allowed "
            "(max_arrangements); use compare_groups"
        )
    if paired:
        signs = 1.0 - 2.0 * ((np.arange(n_possible)[:, None] >> np.arange(n_a)) & 1)
        differences, moved = signs @ (first - second) / n_a, signs.mean(axis=1)
    else:
        pooled = np.concatenate([first, second])
        chosen = np.array(list(combinations(range(n), n_a)))
        sums, own = pooled[chosen].sum(axis=1), (chosen < n_a).sum(axis=1)
        differences = sums / n_a - (pooled.sum() - sums) / (n - n_a)
        moved = own / n_a - (n_a - own) / (n - n_a)
    reached = np.abs(differences) >= abs(means.difference) * (1 - 1e-10)
    return estimate_row(
        "difference",
        kind="difference",
        estimate=means.difference,
        statistic_name="exact",
        p=float(reached.mean()),
        ci=_shifts(differences, moved, means.difference, 1 - ci_level),
        ci_level=ci_level,
        n_subjects=means.n_subjects,
        n_observations=n,
        flags=[f"{means.n_missing} missing left out"] if means.n_missing else [],
        n_possible=n_possible,
        **effect_size_columns(means, ci_level=ci_level),
    )


def _shifts(differences: Array, moved: Array, observed: float, alpha: float) -> tuple[float, float]:
    """Shifts of the first group that an exact test does not reject.

    Under a shift d of the first group an arrangement has the difference D - d w, and the observed
    one has D0 - d. The further d goes from D0, the fewer arrangements reach it; each stops at a
    point of its own.
    """
    apart = differences - moved * observed
    size, turn = np.abs(apart), np.sign(apart) * moved
    tie = 1e-10 * np.abs(differences).max()
    with np.errstate(divide="ignore", invalid="ignore"):
        up, down = size / (1 + turn), size / (1 - turn)
    # the observed arrangement, and the one that mirrors it, reach any shift
    up = np.where(np.isclose(turn, -1) | ((size <= tie) & np.isclose(np.abs(moved), 1)), np.inf, up)
    down = np.where(
        np.isclose(turn, 1) | ((size <= tie) & np.isclose(np.abs(moved), 1)), np.inf, down
    )
    kept = int(np.floor(alpha * len(differences) * (1 + 1e-12)))
    return observed - float(np.sort(down)[::-1][kept]), observed + float(np.sort(up)[::-1][kept])


def mcnemar(a: ArrayLike, b: ArrayLike, *, ci_level: float = 0.95) -> pd.DataFrame:
    """Two yes-or-no outcomes of the same people, by McNemar's exact test.

    Parameters
    ----------
    a, b : array-like of bool or 0/1, shape (n,)
        Row i of both is one person; missing values (NaN, NA) take the pair out.
    ci_level : float
        Of both intervals.

    Returns
    -------
    DataFrame, one row
        `estimate` is the difference of the paired proportions, a minus b, with Newcombe's interval;
        p is exact binomial on the people who changed; then `yes_yes`, `yes_no`, `no_yes`, `no_no`,
        `n_missing`, and `odds_ratio` (yes_no / no_yes) with its exact limits.

    Raises
    ------
    InputError
        If lengths differ or values are not yes or no.
    ModelError
        If no pair is complete.

    References
    ----------
    McNemar (1947) Psychometrika 12:153; Newcombe (1998) Stat Med 17:2635, method 10.
    """
    check_level(ci_level)
    first, second = _yes_no(a, name="a"), _yes_no(b, name="b")
    if first.size != second.size:
        raise InputError(
            f"a has {first.size} values, b has {second.size}; give one row per person in both"
        )
    complete = ~(np.isnan(first) | np.isnan(second))
    n, n_missing = int(complete.sum()), int((~complete).sum())
    if n == 0:
        raise ModelError(f"McNemar's test: none of {first.size} pairs is complete")
    code = (2 * first[complete] + second[complete]).astype(int)
    no_no, no_yes, yes_no, yes_yes = (int(c) for c in np.bincount(code, minlength=4))
    changed = yes_no + no_yes
    tail = (1 - ci_level) / 2
    low = float(stats.beta.ppf(tail, yes_no, no_yes + 1)) if yes_no else 0.0
    high = float(stats.beta.isf(tail, yes_no + 1, no_yes)) if no_yes else 1.0
    return estimate_row(
        "paired difference",
        kind="risk difference",
        estimate=(yes_no - no_yes) / n,
        se=np.sqrt(changed - (yes_no - no_yes) ** 2 / n) / n,
        statistic_name="exact",
        p=float(stats.binomtest(yes_no, changed).pvalue) if changed else 1.0,
        ci=_newcombe_paired(yes_yes, yes_no, no_yes, no_no, ci_level),
        ci_level=ci_level,
        n_subjects=n,
        n_observations=2 * n,
        flags=[f"{n_missing} incomplete pairs left out"] if n_missing else [],
        ci_method="newcombe paired",
        yes_yes=yes_yes,
        yes_no=yes_no,
        no_yes=no_yes,
        no_no=no_no,
        n_missing=n_missing,
        odds_ratio=yes_no / no_yes if no_yes else (np.inf if yes_no else np.nan),
        odds_ratio_ci_low=low / (1 - low),
        odds_ratio_ci_high=high / (1 - high) if high < 1 else np.inf,
    )


def _yes_no(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    column = as_numbers(pd.Series(values).astype("Float64"), name=name)
    strange = column[~np.isnan(column) & (column != 0) & (column != 1)]
    if strange.size:
        raise InputError(f"{name}: got {strange[0]:g}; give True/False or 1/0, NaN for missing")
    return column


def _newcombe_paired(
    yes_yes: int, yes_no: int, no_yes: int, no_no: int, ci_level: float
) -> tuple[float, float]:
    n = yes_yes + yes_no + no_yes + no_no
    p, q = (yes_yes + yes_no) / n, (yes_yes + no_yes) / n
    low_a, high_a = wilson(yes_yes + yes_no, n, ci_level)
    low_b, high_b = wilson(yes_yes + no_yes, n, ci_level)
    margins = (yes_yes + yes_no) * (no_yes + no_no) * (yes_yes + no_yes) * (yes_no + no_no)
    cross = float(yes_yes * no_no - yes_no * no_yes)
    if cross > 0:  # the continuity correction that belongs to method 10
        cross = max(cross - n / 2, 0.0)
    phi = cross / np.sqrt(margins) if margins else 0.0
    below_a, above_a, below_b, above_b = p - low_a, high_a - p, q - low_b, high_b - q
    down = np.sqrt(max(below_a**2 - 2 * phi * below_a * above_b + above_b**2, 0))
    up = np.sqrt(max(above_a**2 - 2 * phi * above_a * below_b + below_b**2, 0))
    return float(p - q - down), float(p - q + up)
