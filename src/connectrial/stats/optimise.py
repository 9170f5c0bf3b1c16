"""Newton's method with exact second derivatives for many small problems at once.

Steps use the absolute values of the Hessian's eigenvalues, so that saddles repel (Dauphin et al.
2014, arXiv 1406.2572), within a trust region of each problem's own; a problem ends only at a point
where a full Newton step changes nothing and the curvature is not negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Objective = Callable[[Array, NDArray[np.intp]], tuple[Array, Array, Array]]

_NOISE = 1e-9  # promises that the rounding of the objective may hide
_CURVATURE = 1e-9  # of the largest eigenvalue: flatter directions are not negative
_PIVOT = 1e-4  # smallest pivot, of the largest, of a Hessian that is positive definite for sure
_ACCEPT = 1e-4
_SLACK = 1e-10  # rounding of the objective


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Minimum:
    """Where the searches ended.

    Parameters
    ----------
    point : (n_problems, n_parameters) array
        Best points.
    value : (n_problems,) array
        Objective there.
    converged : (n_problems,) bool array
        Gradient zero, curvature not negative.
    """

    point: Array
    value: Array
    converged: NDArray[np.bool_]


def minimise(
    objective: Objective,
    start: Array,
    *,
    problems: NDArray[np.intp] | None = None,
    decrement: float = 1e-13,
    max_iterations: int = 150,
    radius: float = 1.0,
) -> Minimum:
    """Minimise many objectives, each from a start of its own.

    Parameters
    ----------
    objective : callable
        Takes points (k, n_parameters) and the positions (k,) of their problems; returns values
        (k,), gradients (k, n_parameters) and Hessians (k, n_parameters, n_parameters). Values may
        be infinite outside the domain, never at the start.
    start : (n_problems, n_parameters) array
        First points.
    problems : (n_problems,) int array, optional
        Positions that the objective is told; 0 to n_problems - 1 by default.
    decrement : float
        The search ends with the first step that promises no more than this; where Newton's
        method converges quadratically, 1e-9 leaves nothing but rounding.
    max_iterations : int
        Steps at most.
    radius : float
        First radius of the trust regions.

    Returns
    -------
    Minimum
    """
    point = start.copy()
    active = np.arange(len(start))
    problems = active if problems is None else problems
    value, gradient, hessian = objective(point, problems)
    radii = np.full(len(start), radius)
    converged = np.zeros(len(start), dtype=bool)
    for _ in range(max_iterations):
        step, promised, curved = _step(gradient[active], hessian[active], radii[active])
        trial = point[active] + step
        new_value, new_gradient, new_hessian = objective(trial, problems[active])
        gain = value[active] - new_value
        small = promised <= _NOISE
        with np.errstate(invalid="ignore"):
            accepted = np.isfinite(new_value) & (
                (gain >= _ACCEPT * promised)
                | (small & (gain >= -_SLACK * (1 + np.abs(value[active]))))
            )
            good = gain >= 0.75 * promised
            poor = ~(gain >= 0.25 * promised) & ~small
        length = np.linalg.norm(step, axis=1)
        radii[active] = np.where(
            poor | ~accepted,
            length / 4,
            np.where(good & (length > 0.9 * radii[active]), 2 * radii[active], radii[active]),
        )
        moved = active[accepted]
        point[moved], value[moved] = trial[accepted], new_value[accepted]
        gradient[moved], hessian[moved] = new_gradient[accepted], new_hessian[accepted]
        # the last step was taken from where its promise was already nothing
        done = (promised <= decrement) & curved & accepted
        converged[active[done]] = True
        stuck = ~accepted & (length < 1e-14)
        active = active[~(done | stuck)]
        if not len(active):
            break
    return Minimum(point=point, value=value, converged=converged)


def _step(gradient: Array, hessian: Array, radius: Array) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Step, the decrease it promises, and whether the curvature is nowhere negative."""
    newton = _plain_newton(gradient, hessian)
    if newton is not None:
        length = np.linalg.norm(newton, axis=1)
        shrink = np.minimum(1.0, radius / np.maximum(length, 1e-300))
        slope = np.einsum("ek,ek->e", gradient, newton)
        return newton * shrink[:, None], slope * (shrink**2 / 2 - shrink), length < np.inf
    values, vectors = np.linalg.eigh(hessian)
    largest = np.abs(values).max(axis=1, keepdims=True)
    curved = (values >= -_CURVATURE * largest).all(axis=1)
    sizes = np.maximum(np.abs(values), 1e-10 * largest + 1e-300)
    along = np.einsum("ekj,ek->ej", vectors, gradient)
    # directions without curvature or slope (a redundant parameter) are left alone
    along = np.where(sizes <= 1e-9 * largest, 0.0, along)
    coordinates = -along / sizes
    length = np.linalg.norm(coordinates, axis=1)
    shrink = np.minimum(1.0, radius / np.maximum(length, 1e-300))[:, None]
    coordinates = coordinates * shrink
    promised = -np.sum(along * coordinates + 0.5 * sizes * coordinates**2, axis=1)
    return np.einsum("ekj,ej->ek", vectors, coordinates), promised, curved


def _plain_newton(gradient: Array, hessian: Array) -> Array | None:
    """Newton's step where all Hessians are positive definite beyond doubt, else None."""
    try:
        pivots = np.diagonal(np.linalg.cholesky(hessian), axis1=1, axis2=2)
    except np.linalg.LinAlgError:
        return None
    if (pivots.min(axis=1) < _PIVOT * pivots.max(axis=1)).any():
        return None
    return np.asarray(-np.linalg.solve(hessian, gradient[:, :, None])[:, :, 0])
