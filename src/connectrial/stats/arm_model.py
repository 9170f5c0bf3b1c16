"""Scores of one arm as a multivariate regression on the baseline: estimated, and drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Places = tuple[NDArray[np.intp], ...]

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
        # Places are laid out once: the chain visits each pattern of gaps thousands of times.
        self.gaps = _gaps(y)
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
        apart = self.y - mean
        sigma = self.model.sigma
        for gap in self.gaps:
            expected, left = gap.regression(mean, apart, sigma)
            noise = rng.standard_normal(expected.shape)
            filled[gap.holes] = expected + noise @ np.linalg.cholesky(left).T
        return filled


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Gap:
    """People who lack the same visits: where their scores and the model's parts stand."""

    holes: Places
    seen: Places
    known: Places
    cross: Places
    unknown: Places
    is_part: bool

    @classmethod
    def of(cls, observed: NDArray[np.bool_], rows: NDArray[np.int64]) -> _Gap:
        have, lack = np.flatnonzero(observed), np.flatnonzero(~observed)
        return cls(
            holes=np.ix_(rows, lack),
            seen=np.ix_(rows, have),
            known=np.ix_(have, have),
            cross=np.ix_(have, lack),
            unknown=np.ix_(lack, lack),
            is_part=len(have) > 0,
        )

    def regression(self, mean: Array, apart: Array, sigma: Array) -> tuple[Array, Array]:
        """Return what is expected in the holes given the other scores, and what is left of sigma."""
        if not self.is_part:
            return mean[self.holes], sigma[self.unknown]
        cross = sigma[self.cross]
        slope = np.linalg.solve(sigma[self.known], cross)
        return mean[self.holes] + apart[self.seen] @ slope, sigma[self.unknown] - slope.T @ cross


def _inverse_wishart_root(scale: Array, df: int, rng: np.random.Generator) -> Array:
    """Draw a matrix whose product with its transpose is inverse Wishart (Bartlett)."""
    p = len(scale)
    lower = np.tril(rng.standard_normal((p, p)), -1)
    lower[np.diag_indices(p)] = np.sqrt(rng.chisquare(df - np.arange(p)))
    return np.asarray(np.linalg.solve(lower, np.linalg.cholesky(scale).T).T, dtype=np.float64)


def _gaps(y: Array) -> list[_Gap]:
    seen = np.isfinite(y)
    kinds, which = np.unique(seen, axis=0, return_inverse=True)
    return [
        _Gap.of(kind, np.flatnonzero(which.ravel() == k))
        for k, kind in enumerate(kinds)
        if not kind.all()
    ]


def maximum_likelihood(y: Array, baseline: Array) -> ArmModel:
    """Fit one arm by EM; incomplete people count with what they have."""
    x = np.column_stack([np.ones(len(baseline)), baseline])
    project = np.linalg.pinv(x)
    gaps = _gaps(y)
    beta: Array = np.asarray(
        project @ np.where(np.isfinite(y), y, np.nanmean(y, axis=0)), dtype=np.float64
    )
    spread = np.nanvar(y, axis=0)
    sigma: Array = np.asarray(np.diag(np.where(spread > 0, spread, 1.0)), dtype=np.float64)
    for _ in range(_EM_STEPS):
        mean = x @ beta
        apart = y - mean
        extra = np.zeros_like(sigma)
        filled = y.copy()
        for gap in gaps:
            expected, left = gap.regression(mean, apart, sigma)
            filled[gap.holes] = expected
            extra[gap.unknown] += len(expected) * left
        beta = np.asarray(project @ filled, dtype=np.float64)
        residual = filled - x @ beta
        updated = (residual.T @ residual + extra) / len(y)
        change = float(np.abs(updated - sigma).max()) / max(float(np.abs(updated).max()), 1e-300)
        sigma[...] = updated
        if change < _EM_TOLERANCE:
            break
    # A direction without any spread would make the next step divide by zero.
    smallest = 1e-10 * float(np.trace(sigma)) / len(sigma)
    return ArmModel(beta=beta, sigma=sigma + smallest * np.eye(len(sigma)))
