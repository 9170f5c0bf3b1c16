"""Kenward and Roger's (1997, doi 10.2307/2533558) small-sample tests of fixed effects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.inference import TestResult, t_result
from connectrial.stats.likelihood import Covariance, Evaluation, expected_hessian
from connectrial.stats.patterns import Moments

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class KenwardRogerDf:
    """Kenward and Roger's adjusted standard errors, degrees of freedom and scaled F.

    Parameters
    ----------
    name : str
        Which information and derivatives were used.
    beta : (n_columns,) array
        Fixed effects.
    basis : (n_columns, n_columns) array
        From the coordinates of the matrices below to those of `beta`.
    covariance : (n_columns, n_columns) array
        Covariance of the fixed effects as if V were known.
    adjusted : (n_columns, n_columns) array
        That covariance with the adjustment for estimating V.
    slopes : (n_parameters, n_columns, n_columns) array
        X'V^-1 dV V^-1 X.
    parameter_covariance : (n_parameters, n_parameters) array
        Asymptotic covariance of the covariance parameters.
    """

    name: str
    beta: Array
    basis: Array
    covariance: Array
    adjusted: Array
    slopes: Array
    parameter_covariance: Array

    def test_row(self, row: Array) -> TestResult:
        """Test one contrast (n_columns,)."""
        turned = row @ self.basis
        half = self.covariance @ turned
        share = np.einsum("kpq,p,q->k", self.slopes, half, half) / (turned @ half)
        # for one row A1 = A2 = A, and the degrees of freedom are 2 / A
        spread = float(share @ self.parameter_covariance @ share)
        df = 2 / spread if spread > 0 else float("inf")
        variance = float(turned @ self.adjusted @ turned)
        if not variance > 0:
            raise ModelError(
                f"df {self.name!r}: the adjusted variance of a contrast is {variance:.3g}, which "
                "happens with few people for many (co)variances; choose a simpler covariance, "
                "'kenward-roger-expected' or 'satterthwaite'"
            )
        return t_result(float(row @ self.beta), float(np.sqrt(variance)), df)

    def test_rows(self, rows: Array) -> TestResult:
        """Test several contrasts (n_rows, n_columns) at once."""
        n = len(rows)
        turned = rows @ self.basis
        root = np.linalg.cholesky(turned @ self.covariance @ turned.T)
        half = np.linalg.solve(root, turned) @ self.covariance
        parts = np.einsum("ip,kpq,jq->kij", half, self.slopes, half)
        traces = np.trace(parts, axis1=1, axis2=2)
        w = self.parameter_covariance
        a1 = float(traces @ w @ traces)
        a2 = float(np.einsum("kl,kij,lji->", w, parts, parts))
        df, scale = _scaled_f(n, a1, a2)
        value = rows @ self.beta
        middle = np.linalg.solve(turned @ self.adjusted @ turned.T, value)
        return TestResult(
            estimate=np.nan,
            se=np.nan,
            statistic=scale * float(value @ middle) / n,
            df_numerator=n,
            df=df,
        )


def adjust_covariance(
    covariance: Array, slopes: Array, correction: Array, parameter_covariance: Array
) -> Array:
    """Correct the covariance of fixed effects for the estimation of V, for many outcomes.

    Parameters
    ----------
    covariance : (n_outcomes, n_columns, n_columns) array
        M^-1.
    slopes : (n_outcomes, n_parameters, n_columns, n_columns) array
        Minus P.
    correction : (n_outcomes, n_columns, n_columns) array
        Sum of W_kl (Q_kl - R_kl / 4).
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        W.

    Returns
    -------
    (n_outcomes, n_columns, n_columns) array
        ``M^-1 + 2 M^-1 sum of W_kl (Q_kl - P_k M^-1 P_l - R_kl / 4) M^-1``.
    """
    e, k, p = slopes.shape[:3]
    weighted = np.matmul(parameter_covariance, slopes.reshape(e, k, p * p)).reshape(slopes.shape)
    turned = (slopes.reshape(e, k * p, p) @ covariance).reshape(slopes.shape)
    crossed = np.swapaxes(turned, 1, 2).reshape(e, p, k * p) @ weighted.reshape(e, k * p, p)
    adjusted = covariance + 2 * covariance @ (correction - crossed) @ covariance
    return np.asarray((adjusted + np.swapaxes(adjusted, 1, 2)) / 2)


def expected_spread(
    moments: Sequence[Moments], covariances: Sequence[Covariance], state: Evaluation
) -> Array:
    """Covariance of the parameters (n_outcomes, n, n) by expected information."""
    inverse = np.linalg.pinv(expected_hessian(moments, covariances, state), hermitian=True)
    return np.asarray(2 * inverse, dtype=np.float64)


def _scaled_f(n: int, a1: float, a2: float) -> tuple[float, float]:
    """Denominator degrees of freedom and scale of F for a hypothesis of n rows."""
    if a2 <= 0:
        return float("inf"), 1.0
    b = (a1 + 6 * a2) / (2 * n)
    g = ((n + 1) * a1 - (n + 4) * a2) / ((n + 2) * a2)
    share = 3 * n + 2 * (1 - g)
    c1, c2, c3 = g / share, (n - g) / share, (n + 2 - g) / share
    mean = 1 / (1 - a2 / n)
    variance = (2 / n) * (1 + c1 * b) / ((1 - c2 * b) ** 2 * (1 - c3 * b))
    rho = variance / (2 * mean**2)
    df = 4 + (n + 2) / (n * rho - 1)
    scale = 1.0 if abs(df - 2) < 1e-2 else df / (mean * (df - 2))
    return float(df), float(scale)
