"""Two means: Welch, pooled and paired t, with an effect size that says which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.rows import as_numbers, check_level, estimate_row

EffectSize = Literal["cohen_d_pooled", "hedges_g", "d_z", "d_av"]
_UNPAIRED: tuple[EffectSize, ...] = ("hedges_g", "cohen_d_pooled")
_PAIRED: tuple[EffectSize, ...] = ("d_z", "d_av")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TwoMeans:
    """The difference of two means and what its t distribution rests on.

    Attributes
    ----------
    a, b : arrays, shape (n_a,) and (n_b,)
        Complete values; pairs row by row if paired.
    difference, se, df : float
        mean(a) - mean(b), its standard error and degrees of freedom.
    df_method : {"residual", "welch"}
    n_missing : int
        Values left out (pairs, if paired).
    """

    a: NDArray[np.float64]
    b: NDArray[np.float64]
    paired: bool
    difference: float
    se: float
    df: float
    df_method: str
    n_missing: int

    @property
    def n_subjects(self) -> int:
        """People behind the difference."""
        return self.a.size if self.paired else self.a.size + self.b.size


def compare_groups(
    a: ArrayLike,
    b: ArrayLike,
    *,
    paired: bool = False,
    equal_variance: bool = False,
    effect_size: EffectSize | None = None,
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Test the difference of two means, a minus b, by t.

    Parameters
    ----------
    a, b : array-like, shape (n_a,) and (n_b,)
        One number per person; NaN is a missing value. If paired, row i of both is person i; two
        Series are paired by their index, and whoever is in only one of them counts as missing.
    paired : bool
        Same people twice.
    equal_variance : bool
        Pooled t (as MATLAB's ttest2 does) instead of Welch's; has no meaning if paired.
    effect_size : {"hedges_g", "cohen_d_pooled", "d_z", "d_av"}, optional
        Default hedges_g, or d_z if paired.

        - cohen_d_pooled: difference / pooled SD; interval from noncentral t (exact if variances
          are equal).
        - hedges_g: the same without its small-sample bias (gamma-function correction).
        - d_z: difference / SD of the differences; interval from noncentral t (exact).
        - d_av: difference / sqrt of the mean of both variances; interval from noncentral t,
          approximate (Algina & Keselman 2003).
    ci_level : float
        Of both intervals.

    Returns
    -------
    DataFrame, one row
        The columns of every estimate (`estimate` in the unit of the values), then `mean_a`, `sd_a`,
        `n_a`, `mean_b`, `sd_b`, `n_b`, `n_missing`, `effect_size`, `effect_size_variant`,
        `effect_size_ci_low`, `effect_size_ci_high`.

    Raises
    ------
    InputError
        If values are no numbers or infinite, pairs do not match, or the variant does not fit.
    ModelError
        If a group has fewer than two values, or nothing varies.

    References
    ----------
    Welch (1947) Biometrika 34:28; Hedges (1981) J Educ Stat 6:107; Steiger & Fouladi (1997);
    Algina & Keselman (2003) Educ Psychol Meas 63:537.
    """
    check_level(ci_level)
    variants = _PAIRED if paired else _UNPAIRED
    variant = variants[0] if effect_size is None else effect_size
    if variant not in variants:
        raise InputError(
            f"effect_size: got {variant!r}; a {'paired' if paired else 'two-group'} comparison "
            f"allows {', '.join(variants)}"
        )
    means = two_means(a, b, paired=paired, equal_variance=equal_variance)
    half = float(stats.t.isf((1 - ci_level) / 2, means.df)) * means.se
    t = means.difference / means.se
    return estimate_row(
        "difference",
        kind="difference",
        estimate=means.difference,
        se=means.se,
        statistic=t,
        statistic_name="t",
        df=means.df,
        df_method=means.df_method,
        p=float(2 * stats.t.sf(abs(t), means.df)),
        ci=(means.difference - half, means.difference + half),
        ci_level=ci_level,
        n_subjects=means.n_subjects,
        n_observations=means.a.size + means.b.size,
        flags=[f"{means.n_missing} missing left out"] if means.n_missing else [],
        mean_a=float(means.a.mean()),
        sd_a=float(means.a.std(ddof=1)),
        n_a=means.a.size,
        mean_b=float(means.b.mean()),
        sd_b=float(means.b.std(ddof=1)),
        n_b=means.b.size,
        n_missing=means.n_missing,
        **effect_size_columns(means, variant, ci_level=ci_level),
    )


def two_means(
    a: ArrayLike, b: ArrayLike, *, paired: bool = False, equal_variance: bool = False
) -> TwoMeans:
    """Difference of two means with its standard error; arguments and errors as `compare_groups`."""
    if paired:
        first, second, n_missing = _pairs(a, b)
        change = first - second
        if change.size < 2:
            raise ModelError(
                f"a paired comparison needs at least 2 complete pairs; there are {change.size} "
                f"({n_missing} with a missing value)"
            )
        se, df, df_method = (
            float(change.std(ddof=1) / np.sqrt(change.size)),
            change.size - 1.0,
            "residual",
        )
    else:
        first, second = as_numbers(a, name="a"), as_numbers(b, name="b")
        n_missing = int(np.isnan(first).sum() + np.isnan(second).sum())
        first, second = first[~np.isnan(first)], second[~np.isnan(second)]
        if min(first.size, second.size) < 2:
            raise ModelError(
                f"a comparison of two groups needs at least 2 values in each; "
                f"a has {first.size}, b has {second.size} ({n_missing} missing)"
            )
        se, df, df_method = _unpaired_error(first, second, equal_variance=equal_variance)
    scale = max(float(np.abs(first).max()), float(np.abs(second).max()))
    if se <= 1e-13 * scale or se == 0:
        raise ModelError(
            "the differences do not vary from person to person, so no t test exists"
            if paired
            else "neither group varies, so no t test exists"
        )
    return TwoMeans(
        a=first,
        b=second,
        paired=paired,
        difference=float(first.mean() - second.mean()),
        se=se,
        df=df,
        df_method=df_method,
        n_missing=n_missing,
    )


def effect_size_columns(
    means: TwoMeans, variant: EffectSize | None = None, *, ci_level: float
) -> dict[str, Any]:
    """Give the columns of a standardised difference: size, variant (default as `compare_groups`), limits."""
    chosen = variant or (_PAIRED if means.paired else _UNPAIRED)[0]
    size, low, high = _standardised(means, chosen, ci_level)
    return {
        "effect_size": size,
        "effect_size_variant": chosen,
        "effect_size_ci_low": low,
        "effect_size_ci_high": high,
    }


def noncentrality_interval(t: float, df: float, *, ci_level: float = 0.95) -> tuple[float, float]:
    """Limits of the noncentrality parameter of which `t` would be a likely draw.

    Parameters
    ----------
    t, df : float
        An observed t and its degrees of freedom.
    ci_level : float
        Of the interval.

    Returns
    -------
    low, high : float
        Where P(T > t) and P(T < t) equal half the error.
    """
    tail = (1 - ci_level) / 2

    def solve(probability: float) -> float:
        def off(nc: float) -> float:
            below = float(special.nctdtr(df, nc, t))
            if np.isnan(below):  # far out in a tail, where the series gives up
                below = 1.0 if nc < t else 0.0
            return below - probability

        width = 1.0 + 2.0 * abs(t) / np.sqrt(2 * df)  # spread of nc around t
        low, high = t - 4 * width, t + 4 * width
        while off(low) < 0:  # the distribution function falls as nc grows
            low -= 4 * width
        while off(high) > 0:
            high += 4 * width
        return float(optimize.brentq(off, low, high, xtol=1e-12, rtol=1e-13))

    return solve(1 - tail), solve(tail)


def small_sample_correction(df: float) -> float:
    """Hedges' exact factor that takes the bias out of Cohen's d with `df` degrees of freedom."""
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def _unpaired_error(
    a: NDArray[np.float64], b: NDArray[np.float64], *, equal_variance: bool
) -> tuple[float, float, str]:
    n_a, n_b = a.size, b.size
    var_a, var_b = float(a.var(ddof=1)), float(b.var(ddof=1))
    if equal_variance:
        df = n_a + n_b - 2.0
        pooled = ((n_a - 1) * var_a + (n_b - 1) * var_b) / df
        return float(np.sqrt(pooled * (1 / n_a + 1 / n_b))), df, "residual"
    part_a, part_b = var_a / n_a, var_b / n_b
    total = part_a + part_b
    if total == 0:
        return 0.0, np.nan, "welch"
    df = total**2 / (part_a**2 / (n_a - 1) + part_b**2 / (n_b - 1))
    return float(np.sqrt(total)), float(df), "welch"


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    if isinstance(a, pd.Series) and isinstance(b, pd.Series):
        for name, values in (("a", a), ("b", b)):
            if values.index.has_duplicates:
                twice = values.index[values.index.duplicated()][0]
                raise InputError(
                    f"{name}: {twice!r} stands twice in the index; pairs need one row each"
                )
        everyone = a.index.union(b.index, sort=False)
        a, b = a.reindex(everyone), b.reindex(everyone)
    first, second = as_numbers(a, name="a"), as_numbers(b, name="b")
    if first.size != second.size:
        raise InputError(
            f"paired: a has {first.size} values, b has {second.size}; "
            "give one row per person in both"
        )
    complete = ~(np.isnan(first) | np.isnan(second))
    return first[complete], second[complete], int((~complete).sum())


def _standardised(
    means: TwoMeans, variant: EffectSize, ci_level: float
) -> tuple[float, float, float]:
    n_a, n_b = means.a.size, means.b.size
    var_a, var_b = float(means.a.var(ddof=1)), float(means.b.var(ddof=1))
    if means.paired:
        per_t = 1 / np.sqrt(n_a)
        if variant == "d_av":
            sd_change = means.se * np.sqrt(n_a)
            per_t *= sd_change / np.sqrt((var_a + var_b) / 2)
        t, df = means.difference / means.se, means.df
        factor = per_t
    else:  # the noncentral t behind d is the pooled one, whichever test is asked for
        df = n_a + n_b - 2.0
        pooled = np.sqrt(((n_a - 1) * var_a + (n_b - 1) * var_b) / df)
        factor = float(np.sqrt(1 / n_a + 1 / n_b))
        t = means.difference / (pooled * factor)
        if variant == "hedges_g":
            factor *= small_sample_correction(df)
    low, high = noncentrality_interval(float(t), df, ci_level=ci_level)
    return float(t * factor), float(low * factor), float(high * factor)
