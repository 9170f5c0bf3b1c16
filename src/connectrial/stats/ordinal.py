"""Two groups on an ordinal scale: how often one does better than the other."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from connectrial.errors import ModelError
from connectrial.stats.rows import as_numbers, check_level, estimate_row


def probabilistic_index(a: ArrayLike, b: ArrayLike, *, ci_level: float = 0.95) -> pd.DataFrame:
    """Estimate the chance that somebody of `a` lies above somebody of `b`, ties counting half.

    Only the order of the values is used, so that a global impression is never averaged.

    Parameters
    ----------
    a, b : array-like, shape (n,) and (m,)
        Values of two independent groups; NaN is left out.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        ``estimate`` is P(a > b) + P(a = b) / 2; 0.5 means no difference. Standard error, t and df
        are Brunner and Munzel's, which allow unequal spread; the interval is made on the logit
        scale, so that it stays within 0 and 1. Where the groups do not overlap, no standard error
        exists: p is then that of the exact Wilcoxon-Mann-Whitney test, and a flag says so.

    Raises
    ------
    ModelError
        If a group has fewer than two values.

    References
    ----------
    Brunner & Munzel (2000) Biometrical J 42:17; Acion et al. (2006) Stat Med 25:591.
    """
    check_level(ci_level)
    x, y = as_numbers(a, name="a"), as_numbers(b, name="b")
    x, y = x[np.isfinite(x)], y[np.isfinite(y)]
    n, m = len(x), len(y)
    if min(n, m) < 2:
        raise ModelError(f"a comparison needs two people on each side; there are {n} and {m}")
    ranks = stats.rankdata(np.concatenate([x, y]))
    own_x, own_y = stats.rankdata(x), stats.rankdata(y)
    # Placements: how much of the other group lies below each value.
    placed_x, placed_y = (ranks[:n] - own_x) / m, (ranks[n:] - own_y) / n
    index = float(placed_x.mean())
    parts = placed_x.var(ddof=1) / n, placed_y.var(ddof=1) / m
    variance = float(sum(parts))
    if variance <= 0:
        p = float(stats.mannwhitneyu(x, y, method="auto" if _ties(x, y) else "exact").pvalue)
        flags = ["the groups do not overlap: no standard error; p by Wilcoxon-Mann-Whitney"]
        if x.min() == x.max() == y.min() == y.max():
            p, flags = 1.0, ["everybody has the same value"]
        return estimate_row(
            "a - b", kind="probabilistic index", estimate=index, n_subjects=n + m, p=p, flags=flags
        )
    se = float(np.sqrt(variance))
    df = variance**2 / (parts[0] ** 2 / (n - 1) + parts[1] ** 2 / (m - 1))
    t = (index - 0.5) / se
    quantile = float(stats.t.ppf((1 + ci_level) / 2, df))
    if 0 < index < 1:
        logit, se_logit = np.log(index / (1 - index)), se / (index * (1 - index))
        low, high = (1 / (1 + np.exp(-(logit + s * quantile * se_logit))) for s in (-1, 1))
    else:
        low = high = np.nan
    return estimate_row(
        "a - b",
        kind="probabilistic index",
        estimate=index,
        se=se,
        statistic=t,
        statistic_name="t",
        df=df,
        df_method="satterthwaite",
        p=float(2 * stats.t.sf(abs(t), df)),
        ci=(float(low), float(high)),
        ci_level=ci_level,
        n_subjects=n + m,
    )


def _ties(x: np.ndarray, y: np.ndarray) -> bool:
    both = np.concatenate([x, y])
    return len(np.unique(both)) < len(both)
