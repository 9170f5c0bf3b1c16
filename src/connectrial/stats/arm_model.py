"""Scores of one arm as a multivariate regression on the baseline: estimated, and drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_EM_STEPS = 500
_EM_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ArmModel:
    """A multivariate regression of the later visits on the baseline, of one arm.

    Attributes
    ----------
    beta : array, shape (2, n_visits)
        Intercepts and slopes on the baseline.
    sigma : array, shape (n_visits, n_visits)
        Covariance of the visits given the baseline.
    """

    beta: Array
    sigma: Array

    def means(self, baseline: Array) -> Array:
        """Return the expected course at each baseline, shape (n_people, n_visits)."""
        return np.asarray(np.column_stack([np.ones(len(baseline)), baseline]) @ self.beta)


class Chain:
    """Data augmentation of one arm: scores given the model, the model given the scores."""

    def __init__(self, y: Array, baseline: Array) -> None:
        self.y = y
        self.x = np.column_stack([np.ones(len(baseline)), baseline])
        self.patterns = _patterns(y)
        self.model = maximum_likelihood(y, baseline)
        self.inverse = np.linalg.inv(self.x.T @ self.x)
        self.root = np.linalg.cholesky(self.inverse)

    def run(self, n_steps: int, rng: np.random.Generator) -> None:
        """Draw scores and model so many times in turn."""
        n, p = self.y.shape
        for _ in range(n_steps):
            filled = self._scores(rng)
            beta = self.inverse @ self.x.T @ filled
            residual = filled - self.x @ beta
            root = _inverse_wishart_root(residual.T @ residual, n - 2, rng)
            drawn = beta + self.root @ rng.standard_normal((2, p)) @ root.T
            sigma = root @ root.T
            self.model = ArmModel(beta=drawn, sigma=sigma)

    def _scores(self, rng: np.random.Generator) -> Array:
        filled = self.y.copy()
        mean = self.x @ self.model.beta
        for observed, rows in self.patterns:
            missing = ~observed
            if not missing.any():
                continue
            slope, left = _regression(self.model.sigma, observed)
            expected = mean[np.ix_(rows, missing)]
            if observed.any():
                expected = expected + (self.y - mean)[np.ix_(rows, observed)] @ slope.T
            noise = rng.standard_normal((len(rows), int(missing.sum())))
            filled[np.ix_(rows, missing)] = expected + noise @ np.linalg.cholesky(left).T
        return filled


def _inverse_wishart_root(scale: Array, df: int, rng: np.random.Generator) -> Array:
    """Draw a matrix whose product with its transpose is inverse Wishart (Bartlett)."""
    p = len(scale)
    lower = np.tril(rng.standard_normal((p, p)), -1)
    lower[np.diag_indices(p)] = np.sqrt(rng.chisquare(df - np.arange(p)))
    return np.asarray(np.linalg.solve(lower, np.linalg.cholesky(scale).T).T, dtype=np.float64)


def _patterns(y: Array) -> list[tuple[NDArray[np.bool_], NDArray[np.int64]]]:
    seen = np.isfinite(y)
    kinds, which = np.unique(seen, axis=0, return_inverse=True)
    return [(kind, np.flatnonzero(which.ravel() == k)) for k, kind in enumerate(kinds)]


def _regression(sigma: Array, observed: NDArray[np.bool_]) -> tuple[Array, Array]:
    missing = ~observed
    if not observed.any():
        return np.zeros((int(missing.sum()), 0)), sigma
    cross = sigma[np.ix_(observed, missing)]
    slope: Array = np.asarray(
        np.linalg.solve(sigma[np.ix_(observed, observed)], cross).T, dtype=np.float64
    )
    return slope, sigma[np.ix_(missing, missing)] - slope @ cross


def maximum_likelihood(y: Array, baseline: Array) -> ArmModel:
    """Fit one arm by EM; incomplete people count with what they have."""
    x = np.column_stack([np.ones(len(baseline)), baseline])
    patterns = _patterns(y)
    filled = np.where(np.isfinite(y), y, np.nanmean(y, axis=0))
    beta: Array = np.asarray(np.linalg.lstsq(x, filled, rcond=None)[0], dtype=np.float64)
    spread = np.nanvar(y, axis=0)
    sigma: Array = np.asarray(np.diag(np.where(spread > 0, spread, 1.0)), dtype=np.float64)
    for _ in range(_EM_STEPS):
        mean = x @ beta
        extra = np.zeros_like(sigma)
        filled = y.copy()
        for observed, rows in patterns:
            missing = ~observed
            if not missing.any():
                continue
            slope, left = _regression(sigma, observed)
            filled[np.ix_(rows, missing)] = (
                mean[np.ix_(rows, missing)] + (y - mean)[np.ix_(rows, observed)] @ slope.T
                if observed.any()
                else mean[np.ix_(rows, missing)]
            )
            extra[np.ix_(missing, missing)] += len(rows) * left
        beta = np.asarray(np.linalg.lstsq(x, filled, rcond=None)[0], dtype=np.float64)
        residual = filled - x @ beta
        updated = (residual.T @ residual + extra) / len(y)
        change = float(np.abs(updated - sigma).max()) / max(float(np.abs(updated).max()), 1e-300)
        sigma[...] = updated
        if change < _EM_TOLERANCE:
            break
    # A direction without any spread would make the next step divide by zero.
    smallest = 1e-10 * float(np.trace(sigma)) / len(sigma)
    return ArmModel(beta=beta, sigma=sigma + smallest * np.eye(len(sigma)))
