"""The optimum of models with a covariance between visits, for one outcome or many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.covariance import GroupedCovariance
from connectrial.stats.likelihood import Covariance, Evaluation, evaluate
from connectrial.stats.optimise import minimise
from connectrial.stats.patterns import Moments, unpack

Array = NDArray[np.float64]
Stacks = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

_SINGULAR = 1e-8  # smallest pivot of a covariance, of the largest variance: none any more
_DECREMENT = 1e-9  # of the deviance, before the last step
_ROUGH = 1e-3  # smallest variance or eigenvalue of a covariance to start from
_BETTER = 1e-7  # deviance by which another start must win
_FEW = 50  # outcomes for which every start is tried
_FLAT = 1e-5  # gradient at the optimum, per row


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VisitOptimum:
    """Covariance parameters at the optimum of each outcome, and the likelihood there.

    Parameters
    ----------
    parameters : (n_outcomes, n_parameters) array
        Natural parameters.
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        Asymptotic covariance by observed information.
    matrices : (n_outcomes, n_groups, n_visits, n_visits) array
        Covariances between visits.
    covariances : list of Covariance
        Of the patterns.
    state : Evaluation
        At `parameters`.
    converged : (n_outcomes,) bool array
        Gradient zero, curvature positive.
    """

    parameters: Array
    parameter_covariance: Array
    matrices: Array
    covariances: list[Covariance]
    state: Evaluation
    converged: NDArray[np.bool_]


def find_visit_optimum(
    structure: GroupedCovariance,
    stacks: Stacks,
    moments: list[Moments],
    *,
    reml: bool,
) -> VisitOptimum:
    """Maximise the likelihood and verify that it is at its maximum.

    Parameters
    ----------
    structure : GroupedCovariance
        Covariance between visits.
    stacks : list of (group, visits)
        Of the patterns that `moments` sum over.
    moments : list of Moments
        Of outcomes of unit variance.
    reml : bool
        Restricted likelihood.

    Returns
    -------
    VisitOptimum
    """
    n_outcomes = len(moments[0].yy)
    starts = structure.starts()

    def objective(points: Array, problems: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        outside: NDArray[np.bool_] = np.any(np.abs(points) > 50, axis=1)
        natural = structure.natural(np.where(outside[:, None], starts[:1], points))
        outside = outside | _is_singular(structure, natural)
        if outside.any():
            points = np.where(outside[:, None], starts[:1], points)
            natural = structure.natural(points)
        taken = [m.take(problems) for m in moments]
        state = evaluate(taken, structure.covariances(natural, stacks), reml=reml)
        jacobian, curvature = structure.chain(points, state.gradient)
        gradient = np.einsum("ek,ekj->ej", state.gradient, jacobian)
        hessian = np.swapaxes(jacobian, 1, 2) @ state.hessian @ jacobian + curvature
        return np.where(outside, np.inf, state.deviance), gradient, hessian

    near = structure.start_near(_rough_covariances(structure, stacks, moments))
    lowest = np.linalg.eigvalsh(structure.matrices(structure.natural(near)))[..., 0].min(axis=1)
    first = minimise(
        objective, np.where(lowest[:, None] > _ROUGH, near, starts[:1]), decrement=_DECREMENT
    )
    point, value, converged = first.point, first.value, first.converged
    again = np.arange(n_outcomes) if n_outcomes <= _FEW else np.flatnonzero(~converged)
    for start in starts:
        if not len(again):
            break
        other = minimise(objective, np.repeat(start[None], len(again), axis=0), problems=again)
        better = other.converged & (~converged[again] | (other.value < value[again] - _BETTER))
        chosen = again[better]
        point[chosen], value[chosen] = other.point[better], other.value[better]
        converged[chosen] = True
    parameters = structure.natural(point)
    covariances = structure.covariances(parameters, stacks)
    state = evaluate(moments, covariances, reml=reml)
    n = sum(float(m.n_blocks.sum()) * m.n_dims for m in moments)
    flat = (np.abs(state.gradient * np.abs(parameters)) <= _FLAT * n).all(axis=1)
    spectra = np.linalg.eigvalsh(state.hessian)
    curved = spectra[:, 0] > 0
    spread = np.full_like(state.hessian, np.nan)
    spread[curved] = 2 * np.linalg.inv(state.hessian[curved])
    return VisitOptimum(
        parameters=parameters,
        parameter_covariance=spread,
        matrices=structure.matrices(parameters),
        covariances=covariances,
        state=state,
        converged=converged & flat & curved,
    )


def _is_singular(structure: GroupedCovariance, natural: Array) -> NDArray[np.bool_]:
    """Whether a covariance is not positive definite beyond doubt, by its smallest pivot."""
    matrices = structure.matrices(natural)
    t = matrices.shape[-1]
    rest, lost = matrices, np.zeros(matrices.shape[:2], dtype=bool)
    largest = np.diagonal(matrices, axis1=2, axis2=3).max(axis=2)
    for _ in range(t):
        pivot = rest[..., 0, 0]
        bad = ~(pivot > _SINGULAR * largest)
        lost |= bad
        column = rest[..., 1:, 0]
        safe = np.where(bad, 1.0, pivot)[..., None, None]
        rest = rest[..., 1:, 1:] - column[..., :, None] * column[..., None, :] / safe
    return np.asarray(np.any(lost, axis=1))


def _rough_covariances(
    structure: GroupedCovariance, stacks: Stacks, moments: list[Moments]
) -> Array:
    """Covariances of residuals over the people seen at both visits, made positive definite.

    Returns
    -------
    (n_outcomes, n_groups, n_visits, n_visits) array
    """
    t, n_groups = structure.single.n_visits, structure.n_groups
    n_outcomes = len(moments[0].yy)
    total = np.zeros((n_outcomes, n_groups, t, t))
    counts = np.zeros((n_groups, t, t))
    for m, (group, visits) in zip(moments, stacks, strict=True):
        pairs = m.yy.reshape(n_outcomes, len(group), -1)
        products = unpack(pairs, m.n_dims) / (2 - np.eye(m.n_dims))
        for k, (g, seen) in enumerate(zip(group, visits, strict=True)):
            place = np.ix_([g], seen, seen)
            total[:, *place] += products[:, [k]]
            counts[place] += m.n_blocks[k]
    rough = total / np.maximum(counts, 1)
    variances = np.maximum(np.diagonal(rough, axis1=2, axis2=3), _ROUGH)
    sd = np.sqrt(variances)
    scale = sd[..., :, None] * sd[..., None, :]
    unit = np.eye(t)
    correlations = np.clip(rough / scale, -1, 1)
    correlations = np.where(unit > 0, 1.0, correlations)
    lowest = np.linalg.eigvalsh(correlations)[..., 0]
    # shrinks to the identity just so far that no eigenvalue is below a tenth
    share = np.clip((0.1 - lowest) / (1 - lowest), 0, 1)[..., None, None]
    return np.asarray(scale * ((1 - share) * correlations + share * unit))
