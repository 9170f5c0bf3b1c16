"""The optimum of models with random effects, for one outcome or many that share a design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.cholesky import CholeskyMap
from connectrial.stats.likelihood import Covariance, Evaluation, evaluate, linear_covariances
from connectrial.stats.optimise import minimise
from connectrial.stats.patterns import Layout, Moments, RandomBlock
from connectrial.stats.random_intercept import find_spectrum, maximise, sum_by_subject

Array = NDArray[np.float64]

_NO_RESIDUAL = 1e-10  # residual variance, of an outcome of unit variance
_FLAT = 1e-6  # gradient at the optimum, per degree of freedom
_BETTER = 1e-7  # deviance by which another start must win
_FEW = 50  # outcomes for which every start is tried
_PSEUDO = 1e-8  # eigenvalues below this, of the largest, are directions without information


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RandomOptimum:
    """Covariance parameters at the optimum of each outcome, and the likelihood there.

    Parameters
    ----------
    parameters : (n_outcomes, n_parameters) array
        (Co)variances of scaled effects, then the residual variance.
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        Asymptotic covariance by observed information; zero in directions that stay on the
        boundary.
    covariances : list of Covariance
        At `parameters`.
    state : Evaluation
        At `parameters`.
    singular, converged : (n_outcomes,) bool arrays
        On the boundary; verified.
    """

    parameters: Array
    parameter_covariance: Array
    covariances: list[Covariance]
    state: Evaluation
    singular: NDArray[np.bool_]
    converged: NDArray[np.bool_]


def find_random_optimum(
    blocks: Sequence[RandomBlock],
    layout: Layout,
    moments: list[Moments],
    outcomes: Array,
    x: Array,
    *,
    reml: bool,
) -> RandomOptimum:
    """Maximise the likelihood and verify that it is at its maximum.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms; none leaves the residual variance only.
    layout, moments
        Of the rows and of the outcomes.
    outcomes : (n_observations, n_outcomes) array
        Residuals of ordinary least squares, each of unit variance.
    x : (n_observations, n_columns) array
        Orthonormal design.
    reml : bool
        Restricted likelihood.

    Returns
    -------
    RandomOptimum
    """
    mapping = CholeskyMap(tuple(block.effects.shape[1] for block in blocks))
    n_free = x.shape[0] - (x.shape[1] if reml else 0)
    if not blocks or (len(blocks) == 1 and blocks[0].effect_names == ("Intercept",)):
        factors, converged = _by_profile(blocks, outcomes, x, n_free, reml=reml)
    else:
        factors, converged = _by_newton(mapping, layout, moments, reml=reml)
    factors, singular = mapping.canonical(factors)
    parameters = mapping.natural(factors)
    covariances = linear_covariances(layout.bases(), parameters)
    state = evaluate(moments, covariances, reml=reml)
    jacobian = mapping.jacobian(factors)
    slope = np.einsum("ek,ekj->ej", state.gradient, jacobian)
    flat = (np.abs(slope * np.maximum(factors, 1e-3)) <= _FLAT * n_free).all(axis=1)
    inward = mapping.escapes(state.gradient, factors) >= -_FLAT * n_free
    return RandomOptimum(
        parameters=parameters,
        parameter_covariance=_spread(mapping, state, jacobian),
        covariances=covariances,
        state=state,
        singular=singular,
        converged=converged & flat & inward & (parameters[:, -1] > _NO_RESIDUAL),
    )


def _by_profile(
    blocks: Sequence[RandomBlock], outcomes: Array, x: Array, n_free: int, *, reml: bool
) -> tuple[Array, NDArray[np.bool_]]:
    """Search the profile of one variance ratio over its whole range."""
    total = np.einsum("ne,ne->e", outcomes, outcomes)
    if not blocks:
        return np.sqrt(total / n_free)[:, None], np.ones(len(total), dtype=bool)
    spectrum = find_spectrum(x, blocks[0].codes)
    sums = sum_by_subject(outcomes, blocks[0].codes)
    optimum = maximise(
        spectrum,
        sums,
        total,
        n_rows=x.shape[0],
        n_columns=x.shape[1],
        reml=reml,
        n_grid=200 if outcomes.shape[1] < 100 else 30,
    )
    return np.sqrt(np.column_stack([optimum.between, optimum.within])), optimum.converged


def _by_newton(
    mapping: CholeskyMap, layout: Layout, moments: list[Moments], *, reml: bool
) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's method in Cholesky factors, from several starts; the best end wins."""
    bases = layout.bases()
    n_outcomes = len(moments[0].yy)
    starts = mapping.starts()

    def objective(points: Array, problems: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        natural = mapping.natural(points)
        outside = (natural[:, -1] < _NO_RESIDUAL) | (np.abs(points) > 1e6).any(axis=1)
        natural[outside] = mapping.natural(starts[:1])
        taken = [m.take(problems) for m in moments]
        state = evaluate(taken, linear_covariances(bases, natural), reml=reml)
        jacobian = mapping.jacobian(points)
        gradient = np.einsum("ek,ekj->ej", state.gradient, jacobian)
        hessian = np.swapaxes(jacobian, 1, 2) @ state.hessian @ jacobian
        hessian += mapping.curvature(state.gradient)
        return np.where(outside, np.inf, state.deviance), gradient, hessian

    first = minimise(objective, np.repeat(starts[:1], n_outcomes, axis=0))
    point, value, converged = first.point, first.value, first.converged
    doubtful = ~converged | mapping.canonical(point)[1]
    if n_outcomes <= _FEW:
        doubtful[:] = True
    extra = mapping.boundary_starts()
    for k, start in enumerate([*starts[1:], *extra]):
        again = np.flatnonzero(doubtful if k < len(starts) - 1 else ~converged)
        if not len(again):
            continue
        other = minimise(objective, np.repeat(start[None], len(again), axis=0), problems=again)
        better = other.value < value[again] - _BETTER
        better |= other.converged & ~converged[again] & (other.value <= value[again] + _BETTER)
        chosen = again[better]
        point[chosen], value[chosen] = other.point[better], other.value[better]
        converged[chosen] = other.converged[better]
    return point, converged


def _spread(mapping: CholeskyMap, state: Evaluation, jacobian: Array) -> Array:
    """Asymptotic covariance of the (co)variances; nothing where the boundary holds them.

    In Cholesky factors the Hessian stays regular on the boundary, and directions that the
    boundary holds do not move the (co)variances, which is what R's lmerTest computes numerically.
    """
    hessian = np.swapaxes(jacobian, 1, 2) @ state.hessian @ jacobian
    hessian += mapping.curvature(state.gradient)
    values, vectors = np.linalg.eigh(hessian)
    usable = values > _PSEUDO * np.abs(values).max(axis=1, keepdims=True)
    inverse = np.where(usable, 2 / np.where(usable, values, 1.0), 0.0)
    turned = jacobian @ vectors
    return np.asarray((turned * inverse[:, None]) @ np.swapaxes(turned, 1, 2))
