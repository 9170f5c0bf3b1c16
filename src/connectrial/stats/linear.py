"""Ordinary least squares with the few numbers that tests need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from connectrial.errors import ModelError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LinearFit:
    """A least-squares fit.

    Attributes
    ----------
    beta : array, shape (n_columns,)
    unscaled : array, shape (n_columns, n_columns)
        Inverse of X'X.
    sigma : float
        Residual standard deviation.
    df : int
        Residual degrees of freedom.
    """

    beta: Array
    unscaled: Array
    sigma: float
    df: int

    def contrast(self, weights: Array) -> tuple[float, float, float, float]:
        """Estimate, standard error, t and two-sided p of a weighted sum of coefficients.

        Parameters
        ----------
        weights : array, shape (n_columns,)
        """
        estimate = float(weights @ self.beta)
        se = self.sigma * float(np.sqrt(weights @ self.unscaled @ weights))
        t = estimate / se
        return estimate, se, t, float(2 * stats.t.sf(abs(t), self.df))

    def interval(self, weights: Array, *, ci_level: float) -> tuple[float, float]:
        """Limits of a weighted sum of coefficients.

        Parameters
        ----------
        weights : array, shape (n_columns,)
        ci_level : float
        """
        estimate, se, _, _ = self.contrast(weights)
        half = float(stats.t.isf((1 - ci_level) / 2, self.df)) * se
        return estimate - half, estimate + half


def fit_least_squares(matrix: Array, outcome: Array, *, what: str) -> LinearFit:
    """Fit a full-rank linear model.

    Parameters
    ----------
    matrix : array, shape (n_observations, n_columns)
    outcome : array, shape (n_observations,)
    what : str
        Name of the model, for messages.

    Returns
    -------
    LinearFit

    Raises
    ------
    ModelError
        If the columns depend on one another, no degree of freedom is left, or the fit is perfect.
    """
    n, k = matrix.shape
    if n - k < 1:
        raise ModelError(
            f"{what}: {n} complete rows leave no degree of freedom for {k} coefficients"
        )
    scale = np.sqrt((matrix**2).sum(axis=0))
    scaled = matrix / np.where(scale > 0, scale, 1.0)
    q, r = np.linalg.qr(scaled)
    if np.linalg.matrix_rank(r, tol=1e-9) < k:
        raise ModelError(f"{what}: the columns of the design depend on one another; leave some out")
    inverse = np.linalg.inv(r) / scale[:, None]
    beta = inverse @ (q.T @ outcome)
    residual = outcome - matrix @ beta
    sigma = float(np.sqrt(residual @ residual / (n - k)))
    if sigma <= 1e-12 * max(float(np.abs(outcome).max()), 1e-300):
        raise ModelError(
            f"{what}: nothing is left to chance (a constant outcome, or a perfect fit)"
        )
    return LinearFit(beta=beta, unscaled=inverse @ inverse.T, sigma=sigma, df=n - k)
