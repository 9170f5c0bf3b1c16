"""How well a measure agrees with itself: intraclass correlation, measurement error, agreement."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns, stack


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TwoWay:
    """A complete targets-by-raters table and its mean squares.

    Attributes
    ----------
    scores : array, shape (n_targets, n_raters)
    raters : tuple of str
        Column labels of `scores`.
    n_left_out : int
        Targets that lacked a rater.
    between, rater, error, within : float
        Mean squares between targets, between raters, residual, and within targets (one-way).
    """

    scores: NDArray[np.float64]
    raters: tuple[str, ...]
    n_left_out: int
    between: float
    rater: float
    error: float
    within: float


def icc(
    table: pd.DataFrame, *, targets: str, raters: str, scores: str, ci_level: float = 0.95
) -> pd.DataFrame:
    """Estimate the six intraclass correlations of Shrout and Fleiss.

    Parameters
    ----------
    table : DataFrame
        Long: one row per target and rater.
    targets, raters, scores : str
        Names of the columns: who is measured (subject), what measures (session, rater), the value.
    ci_level : float
        Of the intervals.

    Returns
    -------
    DataFrame
        Rows ICC(1,1), ICC(2,1), ICC(3,1), ICC(1,k), ICC(2,k), ICC(3,k) with the columns of every
        estimate; `statistic` is the F test of ICC = 0, `df_numerator` and `df` its degrees of
        freedom; `n_subjects` the targets used; then `n_raters` and `n_left_out`, the targets that
        lack a score from some rater and are therefore out.

    Raises
    ------
    InputError
        If a column is absent, or a target has two scores from one rater.
    ModelError
        If fewer than two targets or raters are complete, or the scores do not vary.

    References
    ----------
    Shrout & Fleiss (1979) Psychol Bull 86:420; intervals as McGraw & Wong (1996) Psychol Methods
    1:30, where ICC(2,1) takes Satterthwaite's degrees of freedom.
    """
    check_level(ci_level)
    two_way = _two_way(table, targets=targets, raters=raters, scores=scores)
    n, k = two_way.scores.shape
    msb, msj, mse, msw = two_way.between, two_way.rater, two_way.error, two_way.within
    tail = (1.0 - ci_level) / 2.0
    single = {
        "1": (msb - msw) / (msb + (k - 1) * msw),
        "2": (msb - mse) / (msb + (k - 1) * mse + k * (msj - mse) / n),
        "3": (msb - mse) / (msb + (k - 1) * mse),
    }
    average = {
        "1": (msb - msw) / msb,
        "2": (msb - mse) / (msb + (msj - mse) / n),
        "3": (msb - mse) / msb,
    }
    one_way = (_ratio(msb, msw), n - 1, n * (k - 1))
    crossed = (_ratio(msb, mse), n - 1, (n - 1) * (k - 1))
    tests = {"1": one_way, "2": crossed, "3": crossed}
    limits = {
        "1": _interval_from_f(*one_way, k=k, tail=tail),
        "2": _interval_icc2(two_way, single["2"], tail=tail),
        "3": _interval_from_f(*crossed, k=k, tail=tail),
    }
    flags = [] if two_way.n_left_out == 0 else [f"{two_way.n_left_out} targets lack a rater"]
    rows = []
    for raters_averaged, estimates in (("1", single), ("k", average)):
        for model, estimate in estimates.items():
            low, high = limits[model]
            if raters_averaged == "k":  # Spearman-Brown takes the interval along
                low, high = (k * x / (1.0 + (k - 1) * x) for x in (low, high))
            f, df_numerator, df = tests[model]
            rows.append(
                estimate_row(
                    f"ICC({model},{raters_averaged})",
                    kind="reliability",
                    estimate=estimate,
                    statistic=f,
                    statistic_name="F",
                    df_numerator=df_numerator,
                    df=df,
                    df_method="residual",
                    alternative="greater",
                    p=float(stats.f.sf(f, df_numerator, df)),
                    ci=(low, high),
                    ci_level=ci_level,
                    n_subjects=n,
                    n_observations=n * k,
                    flags=flags,
                    n_raters=k,
                    n_left_out=two_way.n_left_out,
                )
            )
    return stack(rows)


def repeatability(
    table: pd.DataFrame, *, targets: str, raters: str, scores: str, ci_level: float = 0.95
) -> pd.DataFrame:
    """Measurement error in the unit of the score, and Bland-Altman agreement of two raters.

    Parameters
    ----------
    table : DataFrame
        Long: one row per target and rater.
    targets, raters, scores : str
        Names of its columns.
    ci_level : float
        Of the intervals. The limits of agreement themselves always span 95 % of differences.

    Returns
    -------
    DataFrame
        Rows, all in the unit of the score:

        - `sem_consistency`: sqrt(residual mean square), a shift between raters not counted;
          interval from chi-square.
        - `sem_agreement`: sqrt(rater + residual variance), a shift counted as error; interval from
          chi-square with Satterthwaite's degrees of freedom (approximate).
        - `sdc_consistency`, `sdc_agreement`: smallest detectable change of one person,
          1.96 sqrt(2) SEM.
        - with exactly two raters `bias` (second minus first, with its t test), `limit_low`,
          `limit_high`: bias -/+ 1.96 SD of the differences; intervals of the limits are exact
          (noncentral t).

        `n_subjects` targets used, `n_raters`, `n_left_out` as in `icc`.

    Raises
    ------
    InputError
        If a column is absent, or a target has two scores from one rater.
    ModelError
        If fewer than two targets or raters are complete, or the scores do not vary.

    References
    ----------
    de Vet et al. (2006) J Clin Epidemiol 59:1033; Bland & Altman (1999) Stat Methods Med Res 8:135;
    Carkeet (2015) Optom Vis Sci 92:e71.
    """
    check_level(ci_level)
    two_way = _two_way(table, targets=targets, raters=raters, scores=scores)
    n, k = two_way.scores.shape
    df_error = (n - 1) * (k - 1)
    rater_part, error_part = two_way.rater / n, two_way.error * (1.0 - 1.0 / n)
    agreement = rater_part + error_part
    if two_way.rater < two_way.error:  # the rater variance is estimated as zero
        agreement, df_agreement = two_way.error, float(df_error)
    else:
        df_agreement = agreement**2 / (rater_part**2 / (k - 1) + error_part**2 / df_error)
    detectable = 1.96 * np.sqrt(2.0)
    rows = []
    for kind, factor in (("sem", 1.0), ("sdc", detectable)):
        for sort, variance, df in (
            ("consistency", two_way.error, float(df_error)),
            ("agreement", agreement, df_agreement),
        ):
            low, high = _interval_sd(variance, df, ci_level)
            rows.append(
                estimate_row(
                    f"{kind}_{sort}",
                    kind="reliability",
                    estimate=factor * np.sqrt(variance),
                    df=df,
                    df_method="residual" if sort == "consistency" else "satterthwaite",
                    ci=(factor * low, factor * high),
                    ci_level=ci_level,
                    n_subjects=n,
                    n_observations=n * k,
                )
            )
    if k == 2:
        rows += _bland_altman(two_way, ci_level)
    result = stack(rows)
    result["n_raters"] = k
    result["n_left_out"] = two_way.n_left_out
    if two_way.n_left_out:
        result["flags"] = f"{two_way.n_left_out} targets lack a rater"
    return result


def _two_way(table: pd.DataFrame, *, targets: str, raters: str, scores: str) -> TwoWay:
    need_columns(table, [targets, raters, scores], what="table")
    doubled = table.duplicated([targets, raters])
    if doubled.any():
        first = table.loc[doubled].iloc[0]
        raise InputError(
            f"table: {targets} {first[targets]!r} has two rows for {raters} {first[raters]!r}; "
            "give one row per target and rater"
        )
    for column in (targets, raters):
        if table[column].isna().any():
            raise InputError(
                f"table: column {column!r} has {table[column].isna().sum()} empty cells"
            )
    values = as_numbers(table[scores], name=f"column {scores!r}")
    wide = table.assign(**{scores: values}).pivot(
        index=targets, columns=raters, values=scores
    )  # one value per cell is checked above
    complete = wide.dropna()
    n, k = complete.shape
    if n < 2 or k < 2:
        raise ModelError(
            f"reliability needs at least 2 targets that all of at least 2 raters scored; "
            f"{n} of {len(wide)} targets are complete over {k} raters"
        )
    y = complete.to_numpy(dtype=np.float64)
    grand, row_means, column_means = y.mean(), y.mean(axis=1), y.mean(axis=0)
    residual = y - row_means[:, None] - column_means + grand
    between = float(k * np.sum((row_means - grand) ** 2) / (n - 1))
    if between <= 1e-24 * max(1.0, float(grand**2)):
        raise ModelError(
            f"reliability of {scores!r}: the targets do not differ, so there is nothing to compare"
        )
    return TwoWay(
        scores=y,
        raters=tuple(map(str, complete.columns)),
        n_left_out=len(wide) - n,
        between=between,
        rater=float(n * np.sum((column_means - grand) ** 2) / (k - 1)),
        error=float(np.sum(residual**2) / ((n - 1) * (k - 1))),
        within=float(np.sum((y - row_means[:, None]) ** 2) / (n * (k - 1))),
    )


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0 else np.inf


def _interval_from_f(
    f: float, df_numerator: float, df: float, *, k: int, tail: float
) -> tuple[float, float]:
    if np.isinf(f):
        return 1.0, 1.0
    low = f / stats.f.isf(tail, df_numerator, df)
    high = f * stats.f.isf(tail, df, df_numerator)
    return float((low - 1) / (low + k - 1)), float((high - 1) / (high + k - 1))


def _interval_icc2(two_way: TwoWay, estimate: float, *, tail: float) -> tuple[float, float]:
    n, k = two_way.scores.shape
    msb, msj, mse = two_way.between, two_way.rater, two_way.error
    if mse <= 0 and msj <= 0:
        return 1.0, 1.0
    rater_weight = k * estimate / (n * (1 - estimate)) if estimate < 1 else np.inf
    error_weight = 1 + k * estimate * (n - 1) / (n * (1 - estimate)) if estimate < 1 else np.inf
    df = (rater_weight * msj + error_weight * mse) ** 2 / (
        (rater_weight * msj) ** 2 / (k - 1) + (error_weight * mse) ** 2 / ((n - 1) * (k - 1))
    )
    upper, lower = stats.f.isf(tail, n - 1, df), stats.f.isf(tail, df, n - 1)
    spread = k * msj + (k * n - k - n) * mse
    low = n * (msb - upper * mse) / (upper * spread + n * msb)
    high = n * (lower * msb - mse) / (spread + n * lower * msb)
    return float(low), float(high)


def _interval_sd(variance: float, df: float, ci_level: float) -> tuple[float, float]:
    tail = (1.0 - ci_level) / 2.0
    total = variance * df
    return (
        float(np.sqrt(total / stats.chi2.isf(tail, df))),
        float(np.sqrt(total / stats.chi2.ppf(tail, df))),
    )


def _bland_altman(two_way: TwoWay, ci_level: float) -> list[pd.DataFrame]:
    difference = two_way.scores[:, 1] - two_way.scores[:, 0]
    n = difference.size
    bias, sd = float(difference.mean()), float(difference.std(ddof=1))
    se = sd / np.sqrt(n)
    tail = (1.0 - ci_level) / 2.0
    half = float(stats.t.isf(tail, n - 1)) * se
    first, second = two_way.raters
    t = bias / se if se > 0 else np.nan
    rows = [
        estimate_row(
            "bias",
            kind="reliability",
            estimate=bias,
            se=se,
            statistic=t,
            statistic_name="t",
            df=n - 1,
            df_method="residual",
            p=float(2 * stats.t.sf(abs(t), n - 1)),
            ci=(bias - half, bias + half),
            ci_level=ci_level,
            n_subjects=n,
            n_observations=2 * n,
            contrast=f"{second} - {first}",
        )
    ]
    quantiles = stats.nct.ppf([tail, 1 - tail], n - 1, 1.96 * np.sqrt(n)) * se
    for term, sign in (("limit_low", -1.0), ("limit_high", 1.0)):
        ends = sorted(bias + sign * quantiles)
        rows.append(
            estimate_row(
                term,
                kind="reliability",
                estimate=bias + sign * 1.96 * sd,
                df=n - 1,
                df_method="residual",
                ci=(float(ends[0]), float(ends[1])),
                ci_level=ci_level,
                n_subjects=n,
                n_observations=2 * n,
                contrast=f"{second} - {first}",
            )
        )
    return rows
