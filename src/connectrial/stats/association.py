"""Correlation of two measures: Pearson, Spearman, partial, and within persons."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from connectrial.errors import InputError, ModelError
from connectrial.stats.rows import as_numbers, check_level, estimate_row, need_columns

Method = Literal["pearson", "spearman"]


def correlate(
    x: ArrayLike, y: ArrayLike, *, method: Method = "pearson", ci_level: float = 0.95
) -> pd.DataFrame:
    """Correlate two measures over people.

    Parameters
    ----------
    x, y : array-like, shape (n,)
        Row i of both is one person; two Series are matched by their index. NaN is a missing value.
    method : {"pearson", "spearman"}
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        The columns of every estimate, then `n_missing_x`, `n_missing_y`, `n_missing` (people out
        because either is missing). t = r sqrt(df / (1 - r^2)), df = n - 2. The interval is Fisher's
        z; for Spearman with the standard error of Bonett & Wright, and its p is that of the t
        approximation, which is flagged below 10 people.

    Raises
    ------
    InputError
        If lengths differ or values are no numbers.
    ModelError
        If fewer than 4 people are complete, or one of the measures is constant.

    References
    ----------
    Bonett & Wright (2000) Psychometrika 65:23.
    """
    first, second = _matched(x, y)
    return _correlation(first, second, np.empty((first.size, 0)), method=method, ci_level=ci_level)


def correlate_partial(
    x: ArrayLike,
    y: ArrayLike,
    *,
    covariates: pd.DataFrame | ArrayLike,
    method: Method = "pearson",
    ci_level: float = 0.95,
) -> pd.DataFrame:
    """Correlate two measures with the linear part of covariates taken out of both.

    Parameters
    ----------
    x, y : array-like, shape (n,)
        Row i is one person; Series are matched by index, then so must be the covariates.
    covariates : DataFrame or array-like, shape (n,) or (n, n_covariates)
        Numbers; a factor must come as indicator columns.
    method : {"pearson", "spearman"}
        Spearman ranks x, y and each covariate first.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        As `correlate`; df = n - 2 - n_covariates, n_missing counts covariates too.

    Raises
    ------
    InputError
        If lengths differ or values are no numbers.
    ModelError
        If too few people are complete, covariates are collinear, or they explain a measure fully.
    """
    if (
        isinstance(x, pd.Series)
        and isinstance(y, pd.Series)
        and isinstance(covariates, pd.DataFrame)
    ):
        everyone = x.index.union(y.index, sort=False)
        x, y, covariates = x.reindex(everyone), y.reindex(everyone), covariates.reindex(everyone)
    first, second = _matched(x, y)
    given = np.asarray(covariates, dtype=np.float64)
    table = given[:, None] if given.ndim == 1 else given
    if table.ndim != 2 or table.shape[0] != first.size:
        raise InputError(
            f"covariates: got shape {given.shape}; give one row for each of {first.size} people"
        )
    if np.isinf(table).any():
        raise InputError(
            "covariates: one value is infinite; give a finite number or NaN for missing"
        )
    return _correlation(first, second, table, method=method, ci_level=ci_level)


def correlate_repeated(
    table: pd.DataFrame, *, subject: str, x: str, y: str, ci_level: float = 0.95
) -> pd.DataFrame:
    """Correlate two measures within persons, each taken several times.

    Every person has a level of their own and all share one slope, so differences between people
    play no part.

    Parameters
    ----------
    table : DataFrame
        Long: one row per person and occasion.
    subject, x, y : str
        Names of the columns.
    ci_level : float
        Of the interval.

    Returns
    -------
    DataFrame, one row
        The columns of every estimate, then `slope` (y per x), `n_missing` (rows with x or y
        missing) and `n_single` (people with one complete row, who say nothing about change and
        are out).
        df = n_observations - n_subjects - 1.

    Raises
    ------
    InputError
        If a column is absent or no number.
    ModelError
        If fewer than 2 degrees of freedom remain, or x or y does not vary within people.

    References
    ----------
    Bland & Altman (1995) BMJ 310:446; Bakdash & Marusich (2017) Front Psychol 8:456.
    """
    check_level(ci_level)
    need_columns(table, [subject, x, y], what="table")
    if table[subject].isna().any():
        raise InputError(f"table: column {subject!r} has {table[subject].isna().sum()} empty cells")
    both = np.column_stack([as_numbers(table[c], name=f"column {c!r}") for c in (x, y)])
    complete = ~np.isnan(both).any(axis=1)
    people, counts = np.unique(table[subject].astype(str).to_numpy()[complete], return_counts=True)
    code = np.searchsorted(people, table[subject].astype(str).to_numpy()[complete])
    used = counts[code] > 1
    n_people, n_rows = int((counts > 1).sum()), int(used.sum())
    df = n_rows - n_people - 1
    if df < 2:
        raise ModelError(
            f"correlation within persons: {n_rows} complete rows of {n_people} people leave {df} "
            "degrees of freedom; at least 2 are needed"
        )
    values, code = both[complete][used], code[used]
    sums = np.stack([np.bincount(code, v, minlength=people.size) for v in values.T], axis=1)
    within = values - (sums / np.maximum(counts, 1)[:, None])[code]
    sxx, syy, sxy = (float(within[:, i] @ within[:, j]) for i, j in ((0, 0), (1, 1), (0, 1)))
    for name, part, column in ((x, sxx, 0), (y, syy, 1)):
        if part <= 1e-24 * max(1.0, float(np.abs(values[:, column]).max())) ** 2:
            raise ModelError(f"correlation within persons: {name!r} never changes within a person")
    n_single = int((counts == 1).sum())
    who = "1 person" if n_single == 1 else f"{n_single} people"
    flags = [f"{who} with one complete row left out"] if n_single else []
    row = _row_of_r(
        "within persons",
        sxy / np.sqrt(sxx * syy),
        df=df,
        se_z=1 / np.sqrt(df - 1),
        n_subjects=n_people,
        n_observations=n_rows,
        ci_level=ci_level,
        flags=flags,
    )
    return row.assign(slope=sxy / sxx, n_missing=int((~complete).sum()), n_single=n_single)


def _matched(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(x, pd.Series) and isinstance(y, pd.Series):
        for name, values in (("x", x), ("y", y)):
            if values.index.has_duplicates:
                twice = values.index[values.index.duplicated()][0]
                raise InputError(
                    f"{name}: {twice!r} stands twice in the index; give one row per person"
                )
        everyone = x.index.union(y.index, sort=False)
        x, y = x.reindex(everyone), y.reindex(everyone)
    first, second = as_numbers(x, name="x"), as_numbers(y, name="y")
    if first.size != second.size:
        raise InputError(
            f"x has {first.size} values, y has {second.size}; give one row per person in both"
        )
    return first, second


def _correlation(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    covariates: NDArray[np.float64],
    *,
    method: Method,
    ci_level: float,
) -> pd.DataFrame:
    check_level(ci_level)
    if method not in get_args(Method):
        raise InputError(f"method: got {method!r}; allowed are {', '.join(get_args(Method))}")
    complete = ~(np.isnan(x) | np.isnan(y) | np.isnan(covariates).any(axis=1))
    n, n_covariates = int(complete.sum()), covariates.shape[1]
    df = n - 2 - n_covariates
    if df < 2:
        raise ModelError(
            f"a correlation with {n_covariates} covariates needs at least {4 + n_covariates} "
            f"complete people; there are {n} of {x.size}"
        )
    data = np.column_stack([x[complete], y[complete], covariates[complete]])
    if method == "spearman":
        data = stats.rankdata(data, axis=0)
    data = data - data.mean(axis=0)
    size = np.sqrt((data**2).sum(axis=0))
    left = _without(data[:, :2], data[:, 2:])
    left_size = np.sqrt((left**2).sum(axis=0))
    for name, part, whole, values in zip("xy", left_size, size[:2], (x, y), strict=True):
        if whole <= 1e-13 * np.abs(values[complete]).max() * np.sqrt(n) or whole == 0:
            raise ModelError(
                f"{name} is constant over the {n} complete people, so it has no correlation"
            )
        if part <= 1e-10 * whole:
            raise ModelError(
                f"{name} is fully explained by the covariates, so nothing is left to correlate"
            )
    r = float(np.clip(left[:, 0] @ left[:, 1] / (left_size[0] * left_size[1]), -1, 1))
    variance = 1.0 if method == "pearson" else 1.0 + r**2 / 2
    missing = int((~complete).sum())
    who = "person" if missing == 1 else "people"
    flags = [f"{missing} {who} with a missing value left out"] if missing else []
    if method == "spearman" and n < 10:
        flags.append("fewer than 10 people: p is approximate")
    row = _row_of_r(
        method if n_covariates == 0 else f"partial {method}",
        r,
        df=df,
        se_z=float(np.sqrt(variance / (n - n_covariates - 3))),
        n_subjects=n,
        n_observations=n,
        ci_level=ci_level,
        flags=flags,
    )
    return row.assign(
        n_missing_x=int(np.isnan(x).sum()), n_missing_y=int(np.isnan(y).sum()), n_missing=missing
    )


def _without(data: NDArray[np.float64], covariates: NDArray[np.float64]) -> NDArray[np.float64]:
    if covariates.shape[1] == 0:
        return data
    scale = np.sqrt((covariates**2).sum(axis=0))
    unit = covariates / np.where(scale > 0, scale, 1.0)
    if np.linalg.matrix_rank(unit, tol=1e-9) < covariates.shape[1]:
        raise ModelError(
            "the covariates are collinear or constant; leave out those that others imply"
        )
    basis = np.linalg.qr(unit)[0]
    return data - basis @ (basis.T @ data)


def _row_of_r(
    term: str,
    r: float,
    *,
    df: int,
    se_z: float,
    n_subjects: int,
    n_observations: int,
    ci_level: float,
    flags: list[str],
) -> pd.DataFrame:
    if abs(r) >= 1 - 1e-15:
        r = float(np.sign(r))
        t, p, ci = float(np.copysign(np.inf, r)), 0.0, (r, r)
        flags = [*flags, "perfect correlation"]
    else:
        t = float(r * np.sqrt(df / (1 - r**2)))
        p = float(2 * stats.t.sf(abs(t), df))
        half = float(stats.norm.isf((1 - ci_level) / 2)) * se_z
        ci = (float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)))
    return estimate_row(
        term,
        kind="correlation",
        estimate=r,
        statistic=t,
        statistic_name="t",
        df=df,
        df_method="residual",
        p=p,
        ci=ci,
        ci_level=ci_level,
        n_subjects=n_subjects,
        n_observations=n_observations,
        flags=flags,
    )
