"""Proportions of people and how two of them compare.

An arm's counts are a pair (events, n): how many of how many.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pandas as pd
from scipy import optimize, stats

from connectrial.errors import InputError
from connectrial.stats.rows import check_level, estimate_row

Counts = tuple[int, int]


def proportion(
    successes: int,
    n: int,
    *,
    method: Literal["wilson", "clopper-pearson"] = "wilson",
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Estimate a proportion with its interval.

    Parameters
    ----------
    successes, n : int
        How many of how many people.
    method : {"wilson", "clopper-pearson"}
        Score interval, near nominal on average; or exact, never below nominal.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        The columns of every estimate; no test; then `successes` and `ci_method`.

    Raises
    ------
    InputError
        If the counts are not whole numbers with 0 <= successes <= n, n > 0.

    References
    ----------
    Wilson (1927) JASA 22:209; Clopper & Pearson (1934) Biometrika 26:404.
    """
    check_level(ci_level)
    successes, n = check_counts((successes, n), name="successes of n")
    p = successes / n
    if method == "wilson":
        ci = wilson(successes, n, ci_level)
    elif method == "clopper-pearson":
        tail = (1 - ci_level) / 2
        ci = (
            float(stats.beta.ppf(tail, successes, n - successes + 1)) if successes else 0.0,
            float(stats.beta.isf(tail, successes + 1, n - successes)) if successes < n else 1.0,
        )
    else:
        raise InputError(f"method: got {method!r}; allowed are 'wilson', 'clopper-pearson'")
    return estimate_row(
        "proportion",
        kind="proportion",
        estimate=p,
        se=np.sqrt(p * (1 - p) / n),
        ci=ci,
        ci_level=ci_level,
        n_subjects=n,
        successes=successes,
        ci_method=method,
    )


def risk_difference(a: Counts, b: Counts, *, ci_level: float = 0.95) -> pd.DataFrame:
    """Proportion in a minus proportion in b, with Newcombe's hybrid score interval.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        `statistic` is the score z with pooled variance (its square is Pearson's chi-square);
        flagged when an expected count is below 5, where `fisher_exact` is the better test.

    Raises
    ------
    InputError
        If counts are impossible.

    References
    ----------
    Newcombe (1998) Stat Med 17:873, method 10.
    """
    check_level(ci_level)
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    z, p = _score_test(x, n, y, m)
    return estimate_row(
        "risk difference",
        kind="risk difference",
        estimate=x / n - y / m,
        se=np.sqrt(x / n * (1 - x / n) / n + y / m * (1 - y / m) / m),
        statistic=z,
        statistic_name="z",
        p=p,
        ci=_newcombe(x, n, y, m, ci_level),
        ci_level=ci_level,
        n_subjects=n + m,
        flags=_small_counts(x, n, y, m),
        ci_method="newcombe",
    )


def risk_ratio(a: Counts, b: Counts, *, ci_level: float = 0.95) -> pd.DataFrame:
    """Proportion in a over proportion in b, with Koopman's score interval.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        On the ratio's own scale; `se` is that of the log ratio, NaN with a zero count. NaN with a
        flag if neither group has an event; infinite if only b has none.

    Raises
    ------
    InputError
        If counts are impossible.

    References
    ----------
    Koopman (1984) Biometrics 40:513.
    """
    check_level(ci_level)
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    z, p = _score_test(x, n, y, m)
    flags = _small_counts(x, n, y, m)
    if x == 0 and y == 0:
        estimate, ci = np.nan, (0.0, np.inf)
        flags = [*flags, "no event in either group: ratio undefined"]
    else:
        estimate = (x / n) / (y / m) if y else np.inf
        ci = _koopman(x, n, y, m, ci_level)
    return estimate_row(
        "risk ratio",
        kind="risk ratio",
        estimate=estimate,
        se=np.sqrt(1 / x - 1 / n + 1 / y - 1 / m) if x and y else np.nan,
        statistic=z,
        statistic_name="z",
        p=p,
        ci=ci,
        ci_level=ci_level,
        n_subjects=n + m,
        flags=flags,
        ci_method="koopman",
    )


def odds_ratio(
    a: Counts,
    b: Counts,
    *,
    method: Literal["conditional", "sample"] = "conditional",
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Odds in a over odds in b.

    Parameters
    ----------
    a, b : (events, n)
        Counts of two separate groups of people.
    method : {"conditional", "sample"}
        Conditional maximum likelihood with exact interval and Fisher's exact p (what R's
        fisher.test prints); or the cross product with Woolf's log interval and the score p.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        On the ratio's own scale; `se` is that of the log odds ratio, NaN with a zero count.

    Raises
    ------
    InputError
        If counts are impossible.
    """
    if method not in ("conditional", "sample"):
        raise InputError(f"method: got {method!r}; allowed are 'conditional', 'sample'")
    check_level(ci_level)
    (x, n), (y, m) = check_counts(a, name="a"), check_counts(b, name="b")
    cells = np.array([[x, n - x], [y, m - y]])
    se = float(np.sqrt((1 / cells).sum())) if cells.min() > 0 else np.nan
    z, p = _score_test(x, n, y, m)
    flags: list[str] = []
    if min(x + y, n + m - x - y) == 0:
        estimate, ci, p = np.nan, (0.0, np.inf), 1.0
        flags = ["everybody had the same outcome: ratio undefined"]
    elif method == "conditional":
        fitted = stats.contingency.odds_ratio(cells, kind="conditional")
        limits = fitted.confidence_interval(ci_level)
        estimate, ci = float(fitted.statistic), (float(limits.low), float(limits.high))
        p = float(stats.fisher_exact(cells).pvalue)
        z = np.nan
    else:
        with np.errstate(divide="ignore"):
            estimate = float(np.divide(float(x * (m - y)), float(y * (n - x))))
        half = float(stats.norm.isf((1 - ci_level) / 2)) * se
        ci = (estimate * np.exp(-half), estimate * np.exp(half)) if se > 0 else (np.nan, np.nan)
        flags = _small_counts(x, n, y, m)
        if not se > 0:
            flags = [*flags, "zero count: no log interval, use method 'conditional'"]
    return estimate_row(
        "odds ratio",
        kind="odds ratio",
        estimate=estimate,
        se=se,
        statistic=z if method == "sample" else np.nan,
        statistic_name="z" if method == "sample" else "exact",
        p=p,
        ci=ci,
        ci_level=ci_level,
        n_subjects=n + m,
        flags=flags,
        ci_method="exact" if method == "conditional" else "woolf",
    )


def number_needed_to_treat(a: Counts, b: Counts, *, ci_level: float = 0.95) -> pd.DataFrame:
    """How many people to treat as a instead of b for one more event.

    Parameters
    ----------
    a, b : (events, n)
        Counts; an event is a benefit (a response).
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        `estimate` = 1 / risk difference, negative for harm, infinite without a difference. The
        limits are the reciprocals of those of the risk difference. When that interval holds 0, the
        values covered run from `ci_high` (benefit) up to infinity and from minus infinity up to
        `ci_low` (harm), as Altman has it: `through_infinity` is then true and `text` spells it out.

    Raises
    ------
    InputError
        If counts are impossible.

    References
    ----------
    Altman (1998) BMJ 317:1309.
    """
    row = risk_difference(a, b, ci_level=ci_level)
    difference, low, high = (float(row[c].iloc[0]) for c in ("estimate", "ci_low", "ci_high"))
    through = low <= 0 <= high
    ends = (_reciprocal(low), _reciprocal(high)) if through else (1 / high, 1 / low)
    number = _reciprocal(difference)

    def say(value: float) -> str:
        if np.isinf(value):
            return "infinity"
        return f"{'NNTB' if value > 0 else 'NNTH'} {abs(value):.1f}"

    if through:
        text = f"{say(number)} ({say(ends[0])} to infinity to {say(ends[1])})"
    else:
        text = f"{say(number)} ({say(ends[0])} to {say(ends[1])})"
    return row.rename(index={"risk difference": "number needed to treat"}).assign(
        kind="number needed to treat",
        estimate=number,
        se=np.nan,
        ci_low=ends[0],
        ci_high=ends[1],
        through_infinity=through,
        text=text,
    )


def check_counts(counts: Counts, *, name: str) -> Counts:
    """Refuse counts that are not whole numbers with 0 <= events <= n and n > 0."""
    try:
        events, n = counts
        whole = int(events) == events and int(n) == n
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: got {counts!r}; give (events, n), two whole numbers") from error
    if not whole or not 0 <= events <= n or n < 1:
        raise InputError(
            f"{name}: got {events} of {n}; give whole numbers with 0 <= events <= n and n > 0"
        )
    return int(events), int(n)


def wilson(x: int, n: int, ci_level: float) -> tuple[float, float]:
    """Find Wilson's score limits of x events in n people."""
    z = float(stats.norm.isf((1 - ci_level) / 2))
    centre = (x + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * np.sqrt(x * (n - x) / n + z**2 / 4)
    low = 0.0 if x == 0 else centre - half
    high = 1.0 if x == n else centre + half
    return float(low), float(high)


def _newcombe(x: int, n: int, y: int, m: int, ci_level: float) -> tuple[float, float]:
    (low_a, high_a), (low_b, high_b) = wilson(x, n, ci_level), wilson(y, m, ci_level)
    p, q = x / n, y / m
    return (
        float(p - q - np.hypot(p - low_a, high_b - q)),
        float(p - q + np.hypot(high_a - p, q - low_b)),
    )


def _score_test(x: int, n: int, y: int, m: int) -> tuple[float, float]:
    pooled = (x + y) / (n + m)
    variance = pooled * (1 - pooled) * (1 / n + 1 / m)
    if variance == 0:
        return 0.0, 1.0
    z = (x / n - y / m) / np.sqrt(variance)
    return float(z), float(2 * stats.norm.sf(abs(z)))


def _small_counts(x: int, n: int, y: int, m: int) -> list[str]:
    pooled = (x + y) / (n + m)
    smallest = min(n, m) * min(pooled, 1 - pooled)
    return (
        [f"smallest expected count {smallest:.1f}: prefer the exact test"] if smallest < 5 else []
    )


def _koopman(x: int, n: int, y: int, m: int, ci_level: float) -> tuple[float, float]:
    limit = float(stats.chi2.ppf(ci_level, 1))

    def excess(log_ratio: float) -> float:
        return _koopman_chi2(float(np.exp(log_ratio)), x, n, y, m) - limit

    centre = np.log(((x + 0.5) / (n + 0.5)) / ((y + 0.5) / (m + 0.5)))
    low = 0.0 if x == 0 else float(np.exp(_root(excess, centre, -1.0)))
    high = np.inf if y == 0 else float(np.exp(_root(excess, centre, 1.0)))
    return low, high


def _koopman_chi2(ratio: float, x: int, n: int, y: int, m: int) -> float:
    # Proportion of a under p_a = ratio * p_b: the smaller root of Koopman's quadratic.
    b = ratio * (n + y) + x + m
    p = (b - np.sqrt(max(b**2 - 4 * (n + m) * ratio * (x + y), 0.0))) / (2 * (n + m))
    p = min(max(p, 0.0), 1.0)
    return _pearson(x, n, p) + _pearson(y, m, min(p / ratio, 1.0))


def _pearson(x: int, n: int, p: float) -> float:
    variance = n * p * (1 - p)
    if variance > 0:
        return float((x - n * p) ** 2 / variance)
    return 0.0 if abs(x - n * p) < 1e-9 else float(np.inf)


def _root(f: Callable[[float], float], centre: float, step: float) -> float:
    start = centre
    while f(start) > 0:  # a centre with half counts can lie outside when a count is zero or full
        start -= step / 8
    end = start + step
    while f(end) < 0:
        end += step
    return float(optimize.brentq(f, start, end, xtol=1e-13, rtol=1e-13))


def _reciprocal(value: float) -> float:
    return float(np.inf) if value == 0 else 1 / value
