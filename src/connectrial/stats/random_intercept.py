"""The exact optimum of a random-intercept model, for many outcomes that share a design.

The restricted likelihood depends on the outcome only through its coordinates in the eigenbasis of
Z'(I - P_X)Z (Patterson and Thompson 1971, doi 10.2307/2334389), and people with the same number
of rows share all but a few eigenvalues, so that the search costs the same for 20 people as for 300.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MAX_ITERATIONS = 100
_RANK_TOLERANCE = 1e-9
_UPPER = 1e10  # ratio of variances, in units of the grid's scale, at which the residual is zero


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Spectrum:
    """What the profile likelihood of a random intercept needs of the design.

    Parameters
    ----------
    turn : (n_subjects, n_small) array
        From sums over subjects to coordinates with an eigenvalue of their own.
    pools : tuple of (members, (n_members, k) array)
        Subjects with the same number of rows, and the part of them that `turn` takes.
    eigenvalues : (n_values,) array
        Those of `turn`, then one per pool.
    counts : (n_values,) array
        Multiplicities.
    sizes, size_counts : (n_sizes,) arrays
        Rows per subject and how many subjects have so many.
    """

    turn: Array
    pools: tuple[tuple[NDArray[np.intp], Array], ...]
    eigenvalues: Array
    counts: Array
    sizes: Array
    size_counts: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RandomInterceptOptimum:
    """Variance components at the optimum.

    Parameters
    ----------
    between, within : (n_outcomes,) arrays
        Variance of the intercepts and of the residuals.
    singular : (n_outcomes,) bool array
        The optimum has no variance between subjects.
    converged : (n_outcomes,) bool array
        The gradient vanishes and the curvature is positive, or the boundary's conditions hold.
    deviance : (n_outcomes,) array
        Minus twice the (restricted) log likelihood, for a design of orthonormal columns.
    hessian : (2, 2, n_outcomes) array
        Of the deviance by the ratio of the variances and the residual variance.
    """

    between: Array
    within: Array
    singular: NDArray[np.bool_]
    converged: NDArray[np.bool_]
    deviance: Array
    hessian: Array


def find_spectrum(x: Array, codes: NDArray[np.intp]) -> Spectrum:
    """Decompose Z'(I - P_X)Z by subjects with the same number of rows.

    Parameters
    ----------
    x : (n_observations, n_columns) array
        Orthonormal design.
    codes : (n_observations,) int array
        Subject of each row, 0 to n_subjects - 1.

    Returns
    -------
    Spectrum
    """
    n_rows = np.bincount(codes)
    sums = sum_by_subject(x, codes)
    members = [np.flatnonzero(n_rows == size) for size in np.unique(n_rows)]
    pools, blocks = [], []
    for group in members:
        u, s, _ = np.linalg.svd(sums[group], full_matrices=False)
        held = u[:, s > _RANK_TOLERANCE]
        pools.append((group, held))
        block = np.zeros((len(n_rows), held.shape[1]))
        block[group] = held
        blocks.append(block)
    held_all = np.concatenate(blocks, axis=1)
    shadow = held_all.T @ sums
    small = held_all.T @ (n_rows[:, None] * held_all) - shadow @ shadow.T
    values, vectors = np.linalg.eigh(small)
    real = values > _RANK_TOLERANCE * n_rows.max()
    sizes = np.array([n_rows[group[0]] for group in members], dtype=np.float64)
    n_pooled = np.array([len(group) - held.shape[1] for group, held in pools], dtype=np.float64)
    return Spectrum(
        turn=held_all @ vectors[:, real],
        pools=tuple(pools),
        eigenvalues=np.concatenate([values[real], sizes]),
        counts=np.concatenate([np.ones(int(real.sum())), n_pooled]),
        sizes=sizes,
        size_counts=np.array([len(group) for group in members], dtype=np.float64),
    )


def sum_by_subject(values: Array, codes: NDArray[np.intp]) -> Array:
    """Sum rows (n_observations, k) within subjects to (n_subjects, k)."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    return np.add.reduceat(values[order], starts, axis=0)


def maximise(
    spectrum: Spectrum,
    sums: Array,
    residual_ss: Array,
    *,
    n_rows: int,
    n_columns: int,
    reml: bool,
    n_grid: int = 30,
) -> RandomInterceptOptimum:
    """Find the variance ratio that maximises the profile likelihood of each outcome.

    A grid over the ratio finds the basin (the profile can have two), safeguarded Newton steps
    within the bracket find its bottom.

    Parameters
    ----------
    spectrum : Spectrum
        Of the design.
    sums : (n_subjects, n_outcomes) array
        Sums over subjects of the residuals of ordinary least squares.
    residual_ss : (n_outcomes,) array
        Sums of squares of these residuals.
    n_rows, n_columns : int
        Size of the design.
    reml : bool
        Restricted likelihood.
    n_grid : int
        Points of the grid.

    Returns
    -------
    RandomInterceptOptimum
    """
    pooled = [
        np.maximum(
            np.einsum("se,se->e", sums[group], sums[group])
            - np.einsum("ke,ke->e", held.T @ sums[group], held.T @ sums[group]),
            0.0,
        )
        for group, held in spectrum.pools
    ]
    own = (spectrum.turn.T @ sums) ** 2
    energy = np.concatenate([own, np.stack(pooled)]) / spectrum.eigenvalues[:, None]
    energy[spectrum.counts == 0] = 0.0
    rest = np.maximum(residual_ss - energy.sum(axis=0), 0.0)
    if reml:
        weights, counts, n = spectrum.eigenvalues, spectrum.counts, n_rows - n_columns
    else:
        weights, counts, n = spectrum.sizes, spectrum.size_counts, n_rows
    profile = _Profile(spectrum.eigenvalues, energy, rest, weights, counts, float(n))
    theta, converged = _search(profile, n_grid)
    within, deviance, hessian = profile.at_optimum(theta)
    return RandomInterceptOptimum(
        between=theta * within,
        within=within,
        singular=theta == 0.0,
        converged=converged,
        deviance=deviance,
        hessian=hessian,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Profile:
    """n log(q(theta)) + sum of counts * log(1 + theta * weights), q summing energies."""

    eigenvalues: Array
    energy: Array
    rest: Array
    weights: Array
    counts: Array
    n: float

    def at_optimum(self, theta: Array) -> tuple[Array, Array, Array]:
        """Residual variance, deviance, and its Hessian by theta and the residual variance."""
        shrink = 1 / (1 + theta * self.eigenvalues[:, None])
        pull = self.eigenvalues[:, None] * shrink
        q0 = self.energy * shrink
        q1 = q0 * pull
        total = q0.sum(axis=0) + self.rest
        within = total / self.n
        grown = 1 + theta * self.weights[:, None]
        with np.errstate(divide="ignore", invalid="ignore"):
            deviance = self.n * (np.log(2 * np.pi * within) + 1) + self.counts @ np.log(grown)
            penalty = self.counts @ (self.weights[:, None] / grown) ** 2
            crossed = q1.sum(axis=0) / within**2
            by_theta = 2 * (q1 * pull).sum(axis=0) / within - penalty
            hessian = np.array([[by_theta, crossed], [crossed, self.n / within**2]])
        return within, deviance, hessian

    def on_grid(self, grid: Array) -> Array:
        """Values (n_grid, n_outcomes)."""
        shrink = 1 / (1 + grid[:, None] * self.eigenvalues)
        penalty = np.log1p(grid[:, None] * self.weights) @ self.counts
        total = np.maximum(shrink @ self.energy + self.rest, np.finfo(float).tiny)
        return np.asarray(self.n * np.log(total) + penalty[:, None])

    def derivatives(self, theta: Array, chosen: NDArray[np.intp]) -> tuple[Array, Array]:
        """First and second derivative at one theta per chosen outcome."""
        shrink = 1 / (1 + theta * self.eigenvalues[:, None])
        q0 = self.energy[:, chosen] * shrink
        pull = self.eigenvalues[:, None] * shrink
        q1 = q0 * pull
        a0 = q0.sum(axis=0) + self.rest[chosen]
        a1 = -q1.sum(axis=0) / a0
        a2 = 2 * (q1 * pull).sum(axis=0) / a0
        ratio = self.weights[:, None] / (1 + theta * self.weights[:, None])
        first = self.n * a1 + self.counts @ ratio
        second = self.n * (a2 - a1**2) - self.counts @ ratio**2
        return first, second


def _search(profile: _Profile, n_grid: int) -> tuple[Array, NDArray[np.bool_]]:
    scale = float(np.average(profile.weights, weights=profile.counts))
    grid = np.concatenate([[0.0], np.geomspace(1e-4, 1e4, n_grid), [_UPPER]]) / scale
    n_outcomes = len(profile.rest)
    everyone = np.arange(n_outcomes)
    values = profile.on_grid(grid)
    best = np.argmin(values, axis=0)
    theta = grid[best]
    first, _ = profile.derivatives(theta, everyone)
    downhill = first < 0
    low = grid[np.where(downhill, best, np.maximum(best - 1, 0))]
    high = grid[np.where(downhill, np.minimum(best + 1, len(grid) - 1), best)]
    at_zero = (best == 0) & ~downhill
    at_top = (best == len(grid) - 1) & downhill
    theta = np.where(low > 0, np.sqrt(low * high), high / 2)
    theta[at_zero] = 0.0
    theta[at_top] = grid[-1]
    active = np.flatnonzero(~(at_zero | at_top))
    converged = at_zero.copy()
    low, high = low[active], high[active]
    for _ in range(_MAX_ITERATIONS):
        if not len(active):
            break
        here = theta[active]
        first, second = profile.derivatives(here, active)
        low, high = np.where(first < 0, here, low), np.where(first >= 0, here, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            step = here - first / second
        inside = (second > 0) & (step > low) & (step < high)
        new = np.where(inside, step, (low + high) / 2)
        theta[active] = new
        done = np.abs(new - here) <= 1e-13 * here
        # at the optimum rounding alone moves the gradient; a Newton step that small is the end
        done |= inside & (np.abs(step - here) <= 1e-10 * here) & (np.abs(first) * here < 1e-8)
        done |= (high - low) <= 1e-14 * here
        converged[active[done & (second > 0)]] = True
        active, low, high = active[~done], low[~done], high[~done]
    return theta, converged
