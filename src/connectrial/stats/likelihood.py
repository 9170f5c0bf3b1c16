"""The (restricted) likelihood of Gaussian models, its derivatives and what tests need, exactly.

With V = V(phi) block-diagonal, M = X'V^-1 X and r = y - X b, minus twice the restricted log
likelihood is log|V| + log|M| + r'V^-1 r + (n - p) log 2 pi. First and second derivatives follow
Lindstrom and Bates (1988, doi 10.2307/2290128); the matrices P, Q and R are those of Kenward and
Roger (1997, doi 10.2307/2533558). All arrays have a leading axis of outcomes that share a design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.patterns import Moments, pack, times_seen, unpack
from connectrial.stats.small_matrices import invert_symmetric

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Covariance:
    """Covariances of patterns of one dimension at given parameters, and their derivatives.

    Parameters
    ----------
    value : (n_outcomes, n_patterns, n_dims, n_dims) array
        V of a block.
    first : (n_outcomes or 1, n_parameters, n_patterns, n_dims, n_dims) array
        dV / dphi_k.
    second : (n_outcomes or 1, n_parameters, n_parameters, n_patterns, n_dims, n_dims) array or None
        d2V / dphi_k dphi_l, None where V is linear in phi.
    """

    value: Array
    first: Array
    second: Array | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Evaluation:
    """The likelihood at one set of covariance parameters.

    Parameters
    ----------
    deviance : (n_outcomes,) array
        Minus twice the (restricted) log likelihood.
    beta : (n_outcomes, n_columns) array
        Generalised least squares estimates.
    covariance : (n_outcomes, n_columns, n_columns) array
        M^-1, the covariance of beta as if V were known.
    gradient : (n_outcomes, n_parameters) array
        d deviance / d phi.
    hessian : (n_outcomes, n_parameters, n_parameters) array
        Second derivatives of the deviance (twice the observed information).
    slopes : (n_outcomes, n_parameters, n_columns, n_columns) array
        X'V^-1 dV V^-1 X, so that d covariance = covariance @ slopes @ covariance.
    """

    deviance: Array
    beta: Array
    covariance: Array
    gradient: Array
    hessian: Array
    slopes: Array

    def replaced(self, outcomes: NDArray[np.intp], others: Evaluation) -> Evaluation:
        """Take some outcomes from another evaluation."""
        arrays = {}
        for part in fields(self):
            arrays[part.name] = getattr(self, part.name).copy()
            arrays[part.name][outcomes] = getattr(others, part.name)
        return Evaluation(**arrays)


def linear_covariances(bases: Sequence[Array], parameters: Array) -> list[Covariance]:
    """Covariances that are linear in their parameters (n_outcomes, n_parameters)."""
    return [
        Covariance(value=np.tensordot(parameters, basis, axes=1), first=basis[None])
        for basis in bases
    ]


def estimate_beta(
    moments: Sequence[Moments], inverses: Sequence[Array]
) -> tuple[Array, Array, Array, Array]:
    """Find generalised least squares estimates for every outcome.

    Parameters
    ----------
    moments : sequence of Moments
        One per dimension of patterns.
    inverses : sequence of (n_outcomes, n_patterns, n_dims, n_dims) arrays
        V^-1 of each pattern.

    Returns
    -------
    beta : (n_outcomes, n_columns) array
    covariance : (n_outcomes, n_columns, n_columns) array
    log_determinant : (n_outcomes,) array
        log|X'V^-1 X|.
    quadratic : (n_outcomes,) array
        r'V^-1 r.
    """
    e, p = len(inverses[0]), moments[0].n_columns
    packed, xy, yy = np.zeros((e, p * (p + 1) // 2)), np.zeros((e, p)), np.zeros(e)
    for m, inverse in zip(moments, inverses, strict=True):
        flat = pack(inverse).reshape(e, -1)
        packed += flat @ m.xx
        xy += np.matmul(flat[:, None], m.xy)[:, 0]
        yy += np.einsum("ek,ek->e", flat, m.yy)
    precision = unpack(packed, p)
    covariance, log_determinant = invert_symmetric(precision)
    beta = np.einsum("epq,eq->ep", covariance, xy)
    return beta, covariance, log_determinant, yy - np.einsum("ep,ep->e", beta, xy)


def evaluate(
    moments: Sequence[Moments], covariances: Sequence[Covariance], *, reml: bool
) -> Evaluation:
    """Evaluate the likelihood and its first two derivatives.

    Parameters
    ----------
    moments : sequence of Moments
        One per dimension of patterns.
    covariances : sequence of Covariance
        Of the same patterns.
    reml : bool
        Restricted likelihood.

    Returns
    -------
    Evaluation
    """
    inverted = [invert_symmetric(covariance.value) for covariance in covariances]
    inverses = [inverse for inverse, _ in inverted]
    beta, cov, log_determinant, quadratic = estimate_beta(moments, inverses)
    n = sum(float(m.n_blocks.sum()) * m.n_dims for m in moments)
    (e, p), k = beta.shape, covariances[0].first.shape[1]
    deviance = quadratic + (n - p if reml else n) * np.log(2 * np.pi)
    if reml:
        deviance = deviance + log_determinant
    gradient, hessian = np.zeros((e, k)), np.zeros((e, k, k))
    packed, u = np.zeros((e * k, p * (p + 1) // 2)), np.zeros((e, k, p))
    for m, c, (inverse, log_value) in zip(moments, covariances, inverted, strict=True):
        deviance = deviance + log_value @ m.n_blocks
        held = m.n_blocks[:, None, None] * inverse
        leverage = inverse @ _leverage(m, cov) @ inverse
        core = inverse @ residual_moments(m, beta) @ inverse
        if reml:
            core = core + leverage
        ahead = _by_basis(inverse, c.first)  # V^-1 dV, parameters after patterns
        gradient += _contract(c.first, held - core)
        hessian += _pair(ahead, _by_basis(2 * core - held, c.first))
        if c.second is not None:
            flat_second = c.second.reshape(e, k * k, -1)
            bend = np.matmul(flat_second, (held - core).reshape(e, -1, 1))
            hessian += bend.reshape(e, k, k)
        wide = ahead.reshape(e, len(m.n_blocks), k * m.n_dims, m.n_dims) @ inverse
        wrapped = np.swapaxes(pack(wide.reshape(ahead.shape)), 1, 2).reshape(e, k, -1)
        packed += wrapped.reshape(e * k, -1) @ m.xx  # X'V^-1 dV V^-1 X
        u += np.matmul(wrapped, m.xy)
    slopes = unpack(packed, p).reshape(e, k, p, p)
    u -= np.matmul(slopes, beta[:, None, :, None])[..., 0]
    hessian -= 2 * np.matmul(np.matmul(u, cov), np.swapaxes(u, 1, 2))
    if reml:
        hessian -= _cross(cov, slopes)
    return Evaluation(
        deviance=deviance,
        beta=beta,
        covariance=cov,
        gradient=gradient,
        hessian=(hessian + np.swapaxes(hessian, 1, 2)) / 2,
        slopes=slopes,
    )


def expected_hessian(
    moments: Sequence[Moments], covariances: Sequence[Covariance], state: Evaluation
) -> Array:
    """Find the expectation of the restricted deviance's Hessian.

    Parameters
    ----------
    moments : sequence of Moments
        One per dimension of patterns.
    covariances : sequence of Covariance
        Of the same patterns.
    state : Evaluation
        The restricted likelihood at these covariances.

    Returns
    -------
    (n_outcomes, n_parameters, n_parameters) array
        Twice the expected information.
    """
    total = _cross(state.covariance, state.slopes)
    for m, c in zip(moments, covariances, strict=True):
        inverse, _ = invert_symmetric(c.value)
        leverage = inverse @ _leverage(m, state.covariance) @ inverse
        weight = m.n_blocks[:, None, None] * inverse - 2 * leverage
        total += _pair(_by_basis(inverse, c.first), _by_basis(weight, c.first))
    return np.asarray((total + np.swapaxes(total, 1, 2)) / 2)


def kenward_roger_correction(
    moments: Sequence[Moments],
    covariances: Sequence[Covariance],
    parameter_covariance: Array,
    *,
    curved: bool,
) -> Array:
    """Sum Kenward and Roger's (1997) Q and R over the covariance of the parameters.

    Parameters
    ----------
    moments : sequence of Moments
        One per dimension of patterns.
    covariances : sequence of Covariance
        Of the same patterns.
    parameter_covariance : (n_outcomes, n_parameters, n_parameters) array
        W.
    curved : bool
        Take second derivatives of V along.

    Returns
    -------
    (n_outcomes, n_columns, n_columns) array
        Sum of W_kl (Q_kl - R_kl / 4), Q_kl being X'V^-1 dV_k V^-1 dV_l V^-1 X and R_kl being
        X'V^-1 d2V_kl V^-1 X. The sums are formed in V's few dimensions, not in those of X.
    """
    e, p = len(parameter_covariance), moments[0].n_columns
    k = parameter_covariance.shape[1]
    total = np.zeros((e, p * (p + 1) // 2))
    for m, c in zip(moments, covariances, strict=True):
        inverse, _ = invert_symmetric(c.value)
        shape = inverse.shape
        weighted = np.matmul(parameter_covariance, c.first.reshape(len(c.first), k, -1))
        behind = np.matmul(inverse[:, None], weighted.reshape(e, k, *shape[1:]))
        middle = np.matmul(c.first, behind).sum(axis=1)
        if curved and c.second is not None:
            flat = c.second.reshape(e, k * k, -1)
            bend = np.matmul(parameter_covariance.reshape(e, 1, k * k), flat)
            middle -= bend.reshape(shape) / 4
        middle = inverse @ (middle + np.swapaxes(middle, 2, 3)) @ inverse / 2
        total += pack(middle).reshape(e, -1) @ m.xx
    return unpack(total, p)


def residual_moments(m: Moments, beta: Array) -> Array:
    """Sum of r r' over the blocks of each pattern, (n_outcomes, n_patterns, n_dims, n_dims)."""
    crossed = np.matmul(m.xy, beta[:, :, None])[..., 0]
    doubled = m.yy - 2 * crossed + _twice(beta[:, :, None] * beta[:, None]) @ m.xx.T
    return _from_pairs(doubled, m)


def _leverage(m: Moments, covariance: Array) -> Array:
    """Sum of X M^-1 X' over the blocks of each pattern, as `residual_moments`."""
    return _from_pairs(_twice(covariance) @ m.xx.T, m)


def _cross(covariance: Array, slopes: Array) -> Array:
    """tr(M^-1 T_k M^-1 T_l) for every two parameters."""
    e, k, p = slopes.shape[:3]
    turned = np.matmul(slopes.reshape(e, k * p, p), covariance).reshape(slopes.shape)
    flipped = np.swapaxes(turned, 2, 3).reshape(e, k, p * p)
    return np.asarray(np.matmul(turned.reshape(e, k, p * p), np.swapaxes(flipped, 1, 2)))


def _twice(matrices: Array) -> Array:
    """Upper triangles with the cells off the diagonal doubled, to sum over whole matrices."""
    return np.asarray(pack(matrices) * times_seen(matrices.shape[-1]))


def _from_pairs(sums: Array, m: Moments) -> Array:
    """Symmetric matrices from sums over (s, t) and (t, s)."""
    once = sums.reshape(len(sums), len(m.n_blocks), -1) / times_seen(m.n_dims)
    return unpack(once, m.n_dims)


def _contract(first: Array, weight: Array) -> Array:
    """tr(dV_k W) for every parameter, summed over patterns; all matrices are symmetric."""
    e, k = len(weight), first.shape[1]
    flat = weight.reshape(e, -1)
    if len(first) == 1:
        return np.asarray(flat @ first.reshape(k, -1).T)
    return np.asarray(np.matmul(first.reshape(e, k, -1), flat[:, :, None])[..., 0])


def _by_basis(matrices: Array, first: Array) -> Array:
    """Multiply matrices (e, g, d, d) with every derivative: (e, g, n_parameters, d, d).

    Where all outcomes share the derivatives, one product per pattern does for all outcomes.
    """
    e, g, d, _ = matrices.shape
    k = first.shape[1]
    if len(first) > 1:
        return np.asarray(np.matmul(matrices[:, :, None], np.swapaxes(first, 1, 2)))
    out = np.empty((e, g, k, d, d))
    for pattern in range(g):
        basis = np.swapaxes(first[0, :, pattern], 0, 1).reshape(d, k * d)
        product = matrices[:, pattern].reshape(e * d, d) @ basis
        out[:, pattern] = np.swapaxes(product.reshape(e, d, k, d), 1, 2)
    return out


def _pair(left: Array, right: Array) -> Array:
    """tr(left_k right_l) for every two parameters, summed over patterns."""
    e, _, k = left.shape[:3]
    rows = np.moveaxis(left, 2, 1).reshape(e, k, -1)
    columns = np.moveaxis(np.swapaxes(right, 3, 4), 2, 4).reshape(e, -1, k)
    return np.asarray(np.matmul(rows, columns))
