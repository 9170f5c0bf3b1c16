"""Estimates, standard errors and degrees of freedom of random-intercept models, many at once.

Edges are the last axis throughout, so that every operation runs along contiguous memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.random_intercept import (
    RandomInterceptOptimum,
    find_spectrum,
    maximise,
    sum_by_subject,
)
from connectrial.stats.small_matrices import invert_stack

Array = NDArray[np.float64]

_NO_VARIANCE = 1e-10  # of the outcome's norm: what is left is rounding


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class EdgeBlock:
    """Fits of a block of edges.

    Parameters
    ----------
    estimate, se, df : (n_columns, n_edges) arrays
        Of the fixed effects.
    variance : (n_components, n_edges) array
        Variance components, the residual last.
    deviance : (n_edges,) array
        Minus twice the restricted log likelihood.
    singular, fitted : (n_edges,) bool arrays
        On the boundary; at a verified optimum.
    reason : (n_edges,) object array
        Why an edge was not fitted.
    """

    estimate: Array
    se: Array
    df: Array
    variance: Array
    deviance: Array
    singular: NDArray[np.bool_]
    fitted: NDArray[np.bool_]
    reason: NDArray[np.object_]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """What all edges share: an orthonormal design, sums over subjects by their number of rows."""

    basis: Array
    triangle: Array
    members: list[NDArray[np.intp]]
    sizes: Array
    subject_x: Array
    products: Array


def fit_intercept_edges(
    x: Array, subject: NDArray[np.intp], *, df: str
) -> Callable[[Array], EdgeBlock]:
    """Set up the fit of a random-intercept model to blocks of edges.

    Parameters
    ----------
    x : (n_observations, n_columns) array
        Design of full rank; rows sorted by subject.
    subject : (n_observations,) int array
        Subject of each row, 0 to n_subjects - 1, ascending.
    df : str
        ``residual``, ``satterthwaite`` or ``none``.

    Returns
    -------
    callable
        Takes outcomes (n_observations, n_edges), returns `EdgeBlock`.
    """
    n, p = x.shape
    basis, triangle = np.linalg.qr(x)
    spectrum = find_spectrum(basis, subject)
    n_rows = np.bincount(subject)
    sizes = np.unique(n_rows)
    members = [np.flatnonzero(n_rows == size) for size in sizes]
    subject_x = sum_by_subject(basis, subject)
    touched = [subject_x[m].T @ subject_x[m] / size for m, size in zip(members, sizes, strict=True)]
    # the white part is what the means of subjects leave over
    products = np.stack([*touched, np.eye(p) - np.sum(touched, axis=0)])
    frame = _Frame(basis, triangle, members, sizes.astype(np.float64), subject_x, products)
    log_rows = 2 * float(np.log(np.abs(np.diag(triangle))).sum())

    def fit(outcomes: Array) -> EdgeBlock:
        with np.errstate(over="ignore"):
            size = np.einsum("ne,ne->e", outcomes, outcomes)
        within_columns = basis.T @ outcomes
        residual = outcomes - basis @ within_columns
        rest = basis.T @ residual  # twice is enough: an outcome far from zero keeps its digits
        residual -= basis @ rest
        total = np.einsum("ne,ne->e", residual, residual)
        usable = (total > _NO_VARIANCE**2 * size) & np.isfinite(size)
        if not usable.all():
            residual[:, ~usable] = np.random.default_rng(0).normal(size=(n, int((~usable).sum())))
            total = np.where(usable, total, np.einsum("ne,ne->e", residual, residual))
        sums = sum_by_subject(residual, subject)
        optimum = maximise(spectrum, sums, total, n_rows=n, n_columns=p, reml=True)
        estimate, se, found = _estimate(frame, optimum, sums, within_columns + rest, n - p, df)
        reason = np.where(usable, "not estimable: no residual variance within subjects", "")
        reason[~usable] = "not estimable: constant, or fitted exactly"
        return EdgeBlock(
            estimate=estimate,
            se=se,
            df=found,
            variance=np.stack([optimum.between, optimum.within]),
            deviance=optimum.deviance + log_rows,
            singular=optimum.singular,
            fitted=usable & optimum.converged,
            reason=reason.astype(object),
        )

    return fit


def _estimate(
    frame: _Frame,
    optimum: RandomInterceptOptimum,
    sums: Array,
    projected: Array,
    residual_df: int,
    df: str,
) -> tuple[Array, Array, Array]:
    """Estimates, standard errors and degrees of freedom (n_columns, n_edges)."""
    p = len(projected)
    n_edges = sums.shape[1]
    between, within = optimum.between, optimum.within
    weights = 1 / np.vstack([within + frame.sizes[:, None] * between, within[None]])
    flat = frame.products.reshape(len(weights), p * p).T
    covariance, _ = invert_stack((flat @ weights).reshape(p, p, n_edges))
    touched = [
        frame.subject_x[m].T @ sums[m] / size
        for m, size in zip(frame.members, frame.sizes, strict=True)
    ]
    xy = sum((t * (w - weights[-1]) for t, w in zip(touched, weights, strict=False)), np.zeros(()))
    gamma = np.einsum("pqe,qe->pe", covariance, xy)
    back = np.linalg.inv(frame.triangle)
    estimate = back @ (projected + gamma)
    turned = (back @ covariance.reshape(p, p * n_edges)).reshape(p, p, n_edges)
    variance = np.einsum("jqe,jq->je", turned, back)
    if df == "satterthwaite":
        pull = weights[:-1] ** 2 * frame.sizes[:, None]
        slope = (flat[:, :-1] @ pull).reshape(p, p, n_edges)
        by_between = np.empty((p, n_edges))
        for j in range(p):
            by_between[j] = np.einsum(
                "qe,qe->e", turned[j], np.einsum("qre,re->qe", slope, turned[j])
            )
        found = _satterthwaite(optimum, variance, by_between, residual_df)
    else:
        constant = residual_df if df == "residual" else np.inf
        found = np.full((p, n_edges), float(constant))
    return estimate, np.sqrt(variance), found


def _satterthwaite(
    optimum: RandomInterceptOptimum, variance: Array, by_between: Array, residual_df: int
) -> Array:
    """2 v^2 / (g' W g), g and W by the ratio of variances and the residual variance."""
    within = optimum.within
    by_ratio, by_within = by_between * within, variance / within
    (tt, ts), (_, ss) = optimum.hessian
    with np.errstate(divide="ignore", invalid="ignore"):
        # g' H^-1 g of two parameters, W being twice the inverse of the deviance's Hessian
        spread = 2 * (ss * by_ratio**2 - 2 * ts * by_ratio * by_within + tt * by_within**2)
        found = 2 * variance**2 * (tt * ss - ts**2) / spread
    return np.where(optimum.singular, float(residual_df), found)
