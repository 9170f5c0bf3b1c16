"""The optimum of models with a covariance between visits, for one outcome or many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.covariance import GroupedCovariance
from connectrial.stats.likelihood import Covariance, Evaluation, evaluate
from connectrial.stats.optimise import Objective, minimise
from connectrial.stats.patterns import Moments, unpack
from connectrial.stats.small_matrices import invert_stack
from connectrial.stats.visit_scoring import Scoring

Array = NDArray[np.float64]
Stacks = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

_SINGULAR = 1e-8  # smallest pivot of a covariance, of the largest variance: none any more
_DECREMENT = 1e-9  # of the deviance, before the last step
_ROUGH = 1e-3  # smallest variance or eigenvalue of a covariance to start from
_BETTER = 1e-7  # deviance by which another start must win
_FEW = 50  # outcomes for which every start is tried
_NO_GAIN = 1e-12  # of the deviance by one more step: parameters right to 1e-6 of their errors
_SMALL = 16  # parameters up to which one operation over all matrices beats LAPACK
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
    near = structure.start_near(_rough_covariances(structure, stacks, moments))
    proper = _exceeds(structure.matrices(structure.natural(near)), _ROUGH)
    near = np.where(proper.all(axis=1, keepdims=True), near, starts[:1])
    parameters = structure.natural(near)
    scoring = Scoring(structure, stacks, reml=reml)
    quick = n_outcomes > _FEW and scoring.is_possible
    if quick:
        parameters = scoring.approach(moments, parameters)
    state = evaluate(moments, structure.covariances(parameters, stacks), reml=reml)
    converged = np.zeros(n_outcomes, dtype=bool)
    if quick:
        converged = _is_settled(state) & ~_is_singular(structure, parameters)
    searched = np.flatnonzero(~converged)
    if len(searched):
        close = searched[~_is_singular(structure, parameters[searched])]
        near[close] = structure.start_near(structure.matrices(parameters[close]))
        objective = _objective(structure, stacks, moments, reml=reml)
        point, converged[searched] = _search(
            objective, near[searched], starts, searched, thorough=n_outcomes <= _FEW
        )
        parameters[searched] = structure.natural(point)
        taken = [m.take(searched) for m in moments]
        found = evaluate(taken, structure.covariances(parameters[searched], stacks), reml=reml)
        state = state.replaced(searched, found)
    n = sum(float(m.n_blocks.sum()) * m.n_dims for m in moments)
    flat = (np.abs(state.gradient * np.abs(parameters)) <= _FLAT * n).all(axis=1)
    spread = 2 * _inverse_where_positive(state.hessian)
    curved = np.isfinite(spread).all(axis=(1, 2))
    return VisitOptimum(
        parameters=parameters,
        parameter_covariance=spread,
        matrices=structure.matrices(parameters),
        covariances=structure.covariances(parameters, stacks),
        state=state,
        converged=converged & flat & curved,
    )


def _objective(
    structure: GroupedCovariance, stacks: Stacks, moments: list[Moments], *, reml: bool
) -> Objective:
    """Deviance of points that the search moves, with both derivatives."""
    inside = structure.starts()[:1]

    def objective(points: Array, problems: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        outside: NDArray[np.bool_] = np.any(np.abs(points) > 50, axis=1)
        natural = structure.natural(np.where(outside[:, None], inside, points))
        outside = outside | _is_singular(structure, natural)
        if outside.any():
            points = np.where(outside[:, None], inside, points)
            natural = structure.natural(points)
        taken = [m.take(problems) for m in moments]
        state = evaluate(taken, structure.covariances(natural, stacks), reml=reml)
        jacobian, curvature = structure.chain(points, state.gradient)
        gradient = np.einsum("ek,ekj->ej", state.gradient, jacobian)
        hessian = np.swapaxes(jacobian, 1, 2) @ state.hessian @ jacobian + curvature
        return np.where(outside, np.inf, state.deviance), gradient, hessian

    return objective


def _search(
    objective: Objective,
    near: Array,
    starts: Array,
    problems: NDArray[np.intp],
    *,
    thorough: bool,
) -> tuple[Array, NDArray[np.bool_]]:
    """Newton's method from a point near the optimum; from others where that fails, or always."""
    first = minimise(objective, near, problems=problems, decrement=_DECREMENT)
    point, value, converged = first.point, first.value, first.converged
    again = np.arange(len(near)) if thorough else np.flatnonzero(~converged)
    for start in starts:
        if not len(again):
            break
        repeated = np.repeat(start[None], len(again), axis=0)
        other = minimise(objective, repeated, problems=problems[again])
        better = other.converged & (~converged[again] | (other.value < value[again] - _BETTER))
        chosen = again[better]
        point[chosen], value[chosen] = other.point[better], other.value[better]
        converged[chosen] = True
    return point, converged


def _is_settled(state: Evaluation) -> NDArray[np.bool_]:
    """Whether a Newton step by exact derivatives would gain nothing, down a valley."""
    with np.errstate(invalid="ignore"):
        inverse = _inverse_where_positive(state.hessian)
        gain = np.einsum("ek,ekl,el->e", state.gradient, inverse, state.gradient) / 2
        return np.asarray(gain <= _NO_GAIN, dtype=np.bool_)


def _inverse_where_positive(matrices: Array) -> Array:
    """Inverses of symmetric matrices; NaN where one is not positive definite."""
    n, k = matrices.shape[:2]
    if n > _FEW and k <= _SMALL:
        turned = np.ascontiguousarray(matrices.transpose(1, 2, 0))
        return np.ascontiguousarray(invert_stack(turned)[0].transpose(2, 0, 1))
    found = np.full_like(matrices, np.nan)
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(matrices).all(axis=(1, 2)), dtype=np.bool_)
    whole[whole] = np.linalg.eigvalsh(matrices[whole])[:, 0] > 0
    found[whole] = np.linalg.inv(matrices[whole])
    return found


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
    share = np.zeros((*correlations.shape[:2], 1, 1))
    low: NDArray[np.bool_] = ~_exceeds(correlations, 0.1)
    if low.any():  # shrinks to the identity just so far that no eigenvalue is below a tenth
        lowest = np.linalg.eigvalsh(correlations[low])[:, 0]
        share[low] = ((0.1 - lowest) / (1 - lowest))[:, None, None]
    return np.asarray(scale * ((1 - share) * correlations + share * unit))


def _exceeds(matrices: Array, bound: float) -> NDArray[np.bool_]:
    """Whether the smallest eigenvalue of symmetric matrices (..., d, d) exceeds a bound."""
    d = matrices.shape[-1]
    turned = (matrices - bound * np.eye(d)).reshape(-1, d, d).transpose(1, 2, 0)
    inverse, _ = invert_stack(np.ascontiguousarray(turned))
    whole: NDArray[np.bool_] = np.asarray(np.isfinite(inverse).all(axis=(0, 1)), dtype=np.bool_)
    return whole.reshape(matrices.shape[:-2])
