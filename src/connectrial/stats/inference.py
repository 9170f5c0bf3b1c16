"""Tests, degrees of freedom and intervals of fixed effects, by a method that is always named."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import fdtrc, ndtr, ndtri, stdtr, stdtrit

from connectrial.errors import ModelError

Array = NDArray[np.float64]

CI_LEVEL = 0.95
_ESTIMABLE = 1e-8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TestResult:
    """One hypothesis of one or more rows, tested.

    Parameters
    ----------
    estimate, se : float
        Of a hypothesis of one row; NaN for several rows.
    statistic : float
        t for one row, F for several.
    df_numerator, df : float
        Degrees of freedom; `df` is the denominator's.
    """

    __test__ = False  # no test case, whatever pytest thinks of the name

    estimate: float
    se: float
    statistic: float
    df_numerator: int
    df: float


class DfMethod(Protocol):
    """Turns contrasts of the fixed effects into tests."""

    @property
    def name(self) -> str:
        """Name of the method, as it stands in tables."""
        ...

    def test_row(self, row: Array) -> TestResult:
        """Test one contrast (n_columns,)."""
        ...

    def test_rows(self, rows: Array) -> TestResult:
        """Test several contrasts (n_rows, n_columns), linearly independent, at once."""
        ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FixedDf:
    """Tests with degrees of freedom that do not depend on the contrast.

    Parameters
    ----------
    name : str
        ``residual`` (n - rank) or ``none`` (infinite: normal and chi-squared tests).
    beta : (n_columns,) array
        Fixed effects.
    covariance : (n_columns, n_columns) array
        Their covariance.
    df : float
        Degrees of freedom.
    """

    name: str
    beta: Array
    covariance: Array
    df: float

    def test_row(self, row: Array) -> TestResult:
        """Test one contrast (n_columns,)."""
        return t_test(row, self.beta, self.covariance, self.df)

    def test_rows(self, rows: Array) -> TestResult:
        """Test several contrasts (n_rows, n_columns) at once."""
        return wald_f(rows, self.beta, self.covariance, self.df)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SatterthwaiteDf:
    """Satterthwaite's approximation (Fai and Cornelius 1996, doi 10.1080/00949659608811740).

    Several rows are tested as R's lmerTest 3.1 has it: independent one-row contrasts along the
    eigenvectors of their covariance, whose degrees of freedom are matched by the F's mean.

    Parameters
    ----------
    beta : (n_columns,) array
        Fixed effects.
    covariance : (n_columns, n_columns) array
        Their covariance.
    slopes : (n_parameters, n_columns, n_columns) array
        Derivatives of that covariance by the covariance parameters, at the optimum.
    parameter_covariance : (n_parameters, n_parameters) array
        Asymptotic covariance of the parameters, zero in directions that stay on a boundary.
    name : str
        ``satterthwaite``.
    """

    beta: Array
    covariance: Array
    slopes: Array
    parameter_covariance: Array
    name: str = "satterthwaite"

    def test_row(self, row: Array) -> TestResult:
        """Test one contrast (n_columns,)."""
        return t_test(row, self.beta, self.covariance, self._df(row))

    def test_rows(self, rows: Array) -> TestResult:
        """Test several contrasts (n_rows, n_columns) at once."""
        values, vectors = np.linalg.eigh(rows @ self.covariance @ rows.T)
        df = _combine(np.array([self._df(row) for row in vectors.T @ rows]))
        statistic = float(np.mean((vectors.T @ (rows @ self.beta)) ** 2 / values))
        return TestResult(
            estimate=np.nan, se=np.nan, statistic=statistic, df_numerator=len(rows), df=df
        )

    def _df(self, row: Array) -> float:
        contrast = row[None]
        return float(
            satterthwaite_df(
                self.covariance[None],
                self.slopes[None],
                self.parameter_covariance[None],
                contrast,
            )[0, 0]
        )


def satterthwaite_df(
    covariance: Array, slopes: Array, parameter_covariance: Array, contrasts: Array
) -> Array:
    """Satterthwaite's degrees of freedom of one-row contrasts, for many outcomes.

    Parameters
    ----------
    covariance : (n_outcomes, n_columns, n_columns) array
        Of the fixed effects.
    slopes : (n_outcomes, n_parameters, n_columns, n_columns) array
        Derivatives of `covariance` by the covariance parameters.
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        Asymptotic covariance of these parameters.
    contrasts : (n_contrasts, n_columns) array
        One row per contrast.

    Returns
    -------
    (n_outcomes, n_contrasts) array
        ``2 v^2 / (g' W g)`` with v the variance of the contrast, g its gradient, W
        `parameter_covariance`.
    """
    variance = np.einsum("cp,epq,cq->ec", contrasts, covariance, contrasts, optimize=True)
    gradient = np.einsum("cp,ekpq,cq->ekc", contrasts, slopes, contrasts, optimize=True)
    return match_chi_squared(variance, gradient, parameter_covariance)


def match_chi_squared(variance: Array, gradient: Array, parameter_covariance: Array) -> Array:
    """Satterthwaite's degrees of freedom from variances of contrasts and their gradients.

    Parameters
    ----------
    variance : (n_outcomes, n_contrasts) array
    gradient : (n_outcomes, n_parameters, n_contrasts) array
        Of `variance` by the covariance parameters.
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        Asymptotic covariance of these parameters.

    Returns
    -------
    (n_outcomes, n_contrasts) array
    """
    spread = np.einsum("ekc,ekl,elc->ec", gradient, parameter_covariance, gradient, optimize=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(spread > 0, 2 * variance**2 / spread, np.inf))


def t_p_value(statistic: Array, df: Array) -> Array:
    """Two-sided p of Student's t; the normal's where the degrees of freedom are infinite."""
    below = -np.abs(statistic)
    finite = np.isfinite(df)
    with np.errstate(invalid="ignore"):
        p = 2 * np.where(finite, stdtr(np.where(finite, df, 1.0), below), ndtr(below))
    return np.asarray(np.where(np.isnan(df), np.nan, p))


def f_p_value(statistic: float, df_numerator: int, df: float) -> float:
    """Upper tail of F; of chi-squared over its degrees of freedom where df is infinite."""
    if not np.isfinite(statistic) or np.isnan(df):
        return float("nan")
    if np.isinf(df):
        from scipy.special import chdtrc

        return float(chdtrc(df_numerator, statistic * df_numerator))
    return float(fdtrc(df_numerator, df, statistic))


def interval(estimate: Array, se: Array, df: Array) -> tuple[Array, Array]:
    """Two-sided 95 % confidence limits."""
    tail = (1 + CI_LEVEL) / 2
    finite = np.isfinite(df)
    quantile = np.where(finite, stdtrit(np.where(finite, df, 1.0), tail), ndtri(tail))
    return estimate - quantile * se, estimate + quantile * se


def coefficient_row(result: TestResult, *, df_method: str, flags: str = "") -> dict[str, object]:
    """One row of a table of estimates."""
    one_row = not np.isnan(result.estimate)
    statistic, df = np.array(result.statistic), np.array(result.df)
    low, high = interval(np.array(result.estimate), np.array(result.se), df)
    p = (
        float(t_p_value(statistic, df))
        if one_row
        else f_p_value(result.statistic, result.df_numerator, result.df)
    )
    return {
        "estimate": result.estimate,
        "se": result.se,
        "df": result.df,
        "df_method": df_method,
        "statistic": result.statistic,
        "p": p,
        "ci_low": float(low) if one_row else np.nan,
        "ci_high": float(high) if one_row else np.nan,
        "flags": flags,
        "df_numerator": result.df_numerator,
        "statistic_name": "t" if one_row else "F",
    }


def empty_row(*, df_method: str, flags: str) -> dict[str, object]:
    """Row of something that the data cannot estimate."""
    nan = float("nan")
    return {
        "estimate": nan,
        "se": nan,
        "df": nan,
        "df_method": df_method,
        "statistic": nan,
        "p": nan,
        "ci_low": nan,
        "ci_high": nan,
        "flags": flags,
        "df_numerator": 1,
        "statistic_name": "t",
    }


def as_table(rows: list[dict[str, object]], names: list[str], *, index_name: str) -> pd.DataFrame:
    """Rows under their names."""
    return pd.DataFrame(rows, index=pd.Index(names, name=index_name, dtype=object))


def independent_rows(rows: Array) -> Array:
    """Rows of a hypothesis without those that depend on the ones before them."""
    kept: list[Array] = []
    basis = np.zeros((0, rows.shape[1]))
    for row in rows:
        size = np.linalg.norm(row)
        left = row - basis.T @ (basis @ row)
        if size > 0 and np.linalg.norm(left) > _ESTIMABLE * size:
            kept.append(row)
            basis = np.vstack([basis, left / np.linalg.norm(left)])
    return np.array(kept).reshape(-1, rows.shape[1])


def t_test(row: Array, beta: Array, covariance: Array, df: float) -> TestResult:
    """Test one contrast (n_columns,) with given degrees of freedom."""
    return t_result(float(row @ beta), float(np.sqrt(row @ covariance @ row)), df)


def t_result(estimate: float, se: float, df: float) -> TestResult:
    """Give an estimate with its standard error as a test against zero.

    Raises
    ------
    ModelError
        If the standard error is zero.
    """
    if not se > 0:
        raise ModelError("contrast: its variance is zero; give a contrast that is not all zeros")
    return TestResult(estimate=estimate, se=se, statistic=estimate / se, df_numerator=1, df=df)


def wald_f(rows: Array, beta: Array, covariance: Array, df: float) -> TestResult:
    """Test several contrasts (n_rows, n_columns) with given degrees of freedom."""
    value = rows @ beta
    statistic = float(value @ np.linalg.solve(rows @ covariance @ rows.T, value)) / len(rows)
    return TestResult(
        estimate=np.nan, se=np.nan, statistic=statistic, df_numerator=len(rows), df=df
    )


def _combine(df: Array) -> float:
    """Denominator of F whose numerator sums squared t's with these degrees of freedom."""
    if np.ptp(df) < 1e-8 * df.max():
        return float(df.mean())
    if (df <= 2).any():
        return 2.0
    mean = float(np.sum(np.where(np.isinf(df), 1.0, df / (df - 2))))
    return 2 * mean / (mean - len(df))
