"""Showing that two means are alike: equivalence and non-inferiority."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from connectrial.errors import InputError
from connectrial.stats.compare import effect_size_columns, two_means
from connectrial.stats.rows import check_level, estimate_row


def equivalence(
    a: ArrayLike,
    b: ArrayLike,
    *,
    low: float,
    high: float,
    paired: bool = False,
    equal_variance: bool = False,
    alpha: float = 0.05,
) -> pd.DataFrame:
    """Test that the difference of two means lies within margins, by two one-sided t tests.

    Parameters
    ----------
    a, b : array-like, shape (n_a,) and (n_b,)
        As for `compare_groups`.
    low, high : float
        Margins for mean(a) - mean(b), in the unit of the values, fixed before the data are seen.
    paired, equal_variance : bool
        As for `compare_groups`.
    alpha : float
        Of each one-sided test. The interval has level 1 - 2 alpha: it lies within the margins
        exactly when the test succeeds.

    Returns
    -------
    DataFrame, one row
        `p` is the larger of the two one-sided p values, `statistic` its t; then `p_low`, `p_high`,
        `margin_low`, `margin_high`, `equivalent`; then the effect size of `compare_groups` (Hedges' g,
        or d_z of pairs) with an interval of the same level.

    Raises
    ------
    InputError
        If the margins are not finite with low < high, or alpha is not within (0, 0.5).
    ModelError
        As `compare_groups`.

    References
    ----------
    Schuirmann (1987) J Pharmacokinet Biopharm 15:657.
    """
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise InputError(
            f"low, high: got {low} and {high}; give two finite margins with low < high"
        )
    return _within(a, b, (low, high), paired=paired, equal_variance=equal_variance, alpha=alpha)


def non_inferiority(
    a: ArrayLike,
    b: ArrayLike,
    *,
    margin: float,
    higher_is_better: bool,
    paired: bool = False,
    equal_variance: bool = False,
    alpha: float = 0.025,
) -> pd.DataFrame:
    """Test that mean(a) is not worse than mean(b) by as much as a margin.

    Parameters
    ----------
    a, b : array-like, shape (n_a,) and (n_b,)
        New treatment and comparator, as for `compare_groups`.
    margin : float
        Above 0, in the unit of the values, fixed before the data are seen.
    higher_is_better : bool
        False for most symptom scales.
    paired, equal_variance : bool
        As for `compare_groups`.
    alpha : float
        One-sided; the interval has level 1 - 2 alpha.

    Returns
    -------
    DataFrame, one row
        As `equivalence`, with one margin; `non_inferior` stands in place of `equivalent`.

    Raises
    ------
    InputError
        If the margin is not above 0 and finite, or alpha is not within (0, 0.5).
    ModelError
        As `compare_groups`.
    """
    if not (np.isfinite(margin) and margin > 0):
        raise InputError(f"margin: got {margin}; give a finite number above 0")
    margins = (-margin, np.inf) if higher_is_better else (-np.inf, margin)
    row = _within(a, b, margins, paired=paired, equal_variance=equal_variance, alpha=alpha)
    return row.rename(
        columns={"equivalent": "non_inferior"}, index={"equivalence": "non-inferiority"}
    )


def _within(
    a: ArrayLike,
    b: ArrayLike,
    margins: tuple[float, float],
    *,
    paired: bool,
    equal_variance: bool,
    alpha: float,
) -> pd.DataFrame:
    if not 0 < alpha < 0.5:
        raise InputError(f"alpha: got {alpha}; allowed is a fraction between 0 and 0.5")
    level = check_level(1 - 2 * alpha)
    means = two_means(a, b, paired=paired, equal_variance=equal_variance)
    low, high = margins
    t_low, t_high = ((means.difference - margin) / means.se for margin in margins)
    p_low, p_high = float(stats.t.sf(t_low, means.df)), float(stats.t.cdf(t_high, means.df))
    half = float(stats.t.isf(alpha, means.df)) * means.se
    decisive_low = p_low >= p_high
    return estimate_row(
        "equivalence",
        kind="difference",
        estimate=means.difference,
        se=means.se,
        statistic=t_low if decisive_low else t_high,
        statistic_name="t",
        df=means.df,
        df_method=means.df_method,
        alternative="greater" if decisive_low else "less",
        p=max(p_low, p_high),
        ci=(means.difference - half, means.difference + half),
        ci_level=level,
        n_subjects=means.n_subjects,
        n_observations=means.a.size + means.b.size,
        flags=[f"{means.n_missing} missing left out"] if means.n_missing else [],
        p_low=p_low,
        p_high=p_high,
        margin_low=low,
        margin_high=high,
        equivalent=max(p_low, p_high) < alpha,
        **effect_size_columns(means, ci_level=level),
    )
