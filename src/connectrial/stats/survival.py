"""Time to an event: Kaplan-Meier curves, the log-rank test and Cox models, through statsmodels."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns, stack


def kaplan_meier(time: ArrayLike, event: ArrayLike, *, ci_level: float = 0.95) -> pd.DataFrame:
    """Estimate the share of people without the event, over time.

    Parameters
    ----------
    time : array-like, shape (n,)
        Time to the event or to the end of observation, one unit for all.
    event : array-like of bool, shape (n,)
        Whether it ended with the event.
    ci_level : float
        Of the pointwise intervals (Greenwood's variance, log-minus-log scale).

    Returns
    -------
    DataFrame
        One row per time at which somebody has the event: ``time``, ``n_at_risk``, ``n_events``,
        ``survival``, ``se``, ``ci_low``, ``ci_high``.

    Raises
    ------
    InputError
        If times are negative or missing, or lengths differ.
    """
    check_level(ci_level)
    t, happened = _checked(time, event)
    if not happened.any():
        columns = ["time", "n_at_risk", "n_events", "survival", "se", "ci_low", "ci_high"]
        return pd.DataFrame(columns=columns, dtype="float64")
    from statsmodels.duration.survfunc import SurvfuncRight

    with warnings.catch_warnings():
        # Where nobody is left the variance is 0 / 0; it is shown as missing.
        warnings.simplefilter("ignore", RuntimeWarning)
        curve = SurvfuncRight(t, happened.astype(float))
    s, se = np.asarray(curve.surv_prob), np.asarray(curve.surv_prob_se)
    z = float(stats.norm.ppf((1 + ci_level) / 2))
    low, high = np.full(len(s), np.nan), np.full(len(s), np.nan)
    inner = (s > 0) & (s < 1)
    spread = z * se[inner] / (s[inner] * np.log(s[inner]))
    low[inner] = s[inner] ** np.exp(-spread)
    high[inner] = s[inner] ** np.exp(spread)
    return pd.DataFrame(
        {
            "time": curve.surv_times,
            "n_at_risk": np.asarray(curve.n_risk, dtype=int),
            "n_events": np.asarray(curve.n_events, dtype=int),
            "survival": s,
            "se": se,
            "ci_low": low,
            "ci_high": high,
        }
    )


def median_time(curve: pd.DataFrame) -> tuple[float, float, float]:
    """Return the median time of a Kaplan-Meier curve and its limits.

    Parameters
    ----------
    curve : DataFrame
        As :func:`kaplan_meier` returns it.

    Returns
    -------
    median, low, high : float
        First time at which the curve, its lower and its upper limit are at or below one half; NaN
        where that is never so (Brookmeyer & Crowley 1982).
    """

    def first(column: str) -> float:
        at = curve.loc[curve[column] <= 0.5, "time"]
        return float(at.iloc[0]) if len(at) else np.nan

    return first("survival"), first("ci_low"), first("ci_high")


def log_rank(time: ArrayLike, event: ArrayLike, *, group: pd.Series) -> pd.DataFrame:
    """Test that the event comes equally soon in all groups.

    Parameters
    ----------
    time, event : array-like, shape (n,)
        As for :func:`kaplan_meier`.
    group : Series, shape (n,)
        Group of each person.

    Returns
    -------
    DataFrame, one row
        ``statistic`` is chi-square with groups - 1 df; ``estimate`` is missing.

    Raises
    ------
    ModelError
        If there is one group only, or no event.
    """
    t, happened = _checked(time, event)
    levels = group.dropna().unique()
    if len(levels) < 2 or not happened.any():
        raise ModelError(
            f"a log-rank test needs two groups and an event; there are {len(levels)} groups and "
            f"{int(happened.sum())} events"
        )
    from statsmodels.duration.survfunc import survdiff

    statistic, p = survdiff(t, happened.astype(float), group.astype(str).to_numpy())
    return estimate_row(
        "log-rank",
        kind="test",
        estimate=np.nan,
        statistic=float(statistic),
        statistic_name="chi-square",
        df_numerator=len(levels) - 1,
        p=float(p),
        n_subjects=len(t),
    )


def cox(
    table: pd.DataFrame,
    *,
    time: str,
    event: str,
    group: str,
    covariates: Sequence[str] = (),
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Compare hazards between groups by a Cox model, ties by Efron's method.

    Parameters
    ----------
    table : DataFrame
        One row per person.
    time, event : str
        Columns with the time and whether it ended with the event.
    group : str
        Categorical column; the first level is the reference.
    covariates : sequence of str
        Numeric columns.
    ci_level : float
        Of the intervals (Wald, on the log scale).

    Returns
    -------
    DataFrame
        One row per other group, "b - a", and per covariate: ``estimate`` is the hazard ratio,
        ``se`` that of its logarithm, z and p Wald's.

    Raises
    ------
    ModelError
        If a group has no event at all, so that its hazard ratio is 0 or infinite.
    """
    check_level(ci_level)
    need_columns(table, [time, event, group, *covariates], what="table")
    data = table.dropna(subset=[time, event, group, *covariates])
    levels = [one for one in data[group].cat.categories if (data[group] == one).any()]
    counts = data.groupby(group, observed=True)[event].sum()
    empty = [str(level) for level in levels if counts.get(level, 0) == 0]
    if len(levels) < 2 or empty:
        raise ModelError(
            "a hazard ratio needs events in every group; there are none in "
            f"{', '.join(empty) or 'a second group'}: read the curves and the log-rank test"
        )
    t, happened = _checked(data[time], data[event])
    columns = [(data[group] == level).to_numpy(dtype=float) for level in levels[1:]]
    columns += [data[name].to_numpy(dtype=float) for name in covariates]
    from statsmodels.duration.hazard_regression import PHReg

    fit = PHReg(t, np.column_stack(columns), status=happened.astype(float), ties="efron").fit()
    z = float(stats.norm.ppf((1 + ci_level) / 2))
    names = [f"{level} - {levels[0]}" for level in levels[1:]] + list(covariates)
    rows = []
    for name, beta, se in zip(names, fit.params, fit.bse, strict=True):
        rows.append(
            estimate_row(
                name,
                kind="hazard ratio",
                estimate=float(np.exp(beta)),
                se=float(se),
                statistic=float(beta / se),
                statistic_name="z",
                p=float(2 * stats.norm.sf(abs(beta / se))),
                ci=(float(np.exp(beta - z * se)), float(np.exp(beta + z * se))),
                ci_level=ci_level,
                n_subjects=len(data),
            )
        )
    return stack(rows)


def _checked(time: ArrayLike, event: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    t = as_numbers(time, name="time")
    happened = np.asarray(event, dtype=bool)
    if len(t) != len(happened):
        raise InputError(f"time has {len(t)} values and event {len(happened)}")
    if not np.isfinite(t).all() or (t < 0).any():
        raise InputError("time: every person needs a time of 0 or more")
    return t, happened
