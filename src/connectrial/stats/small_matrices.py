"""Inverses and determinants of many small symmetric positive definite matrices."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_SMALL = 12  # columns up to which one operation over all matrices beats one call per matrix
_MANY = 64


def invert_symmetric(matrices: Array) -> tuple[Array, Array]:
    """Invert symmetric positive definite matrices and find their log determinants.

    Parameters
    ----------
    matrices : (..., d, d) array
        Where one is not positive definite, NaN or infinity comes out.

    Returns
    -------
    inverse : (..., d, d) array
    log_determinant : (...) array
    """
    d = matrices.shape[-1]
    shape = matrices.shape[:-2]
    if d == 1:
        with np.errstate(divide="ignore", invalid="ignore"):
            return 1.0 / matrices, np.log(matrices[..., 0, 0])
    n = int(np.prod(shape))
    if d > _SMALL or n < _MANY:
        inverse = np.linalg.inv(matrices)
        sign, log_determinant = np.linalg.slogdet(matrices)
        return (
            (inverse + np.swapaxes(inverse, -1, -2)) / 2,
            np.where(sign > 0, log_determinant, np.inf),
        )
    stack = np.ascontiguousarray(matrices.reshape(n, d, d).transpose(1, 2, 0))
    inverse, log_determinant = invert_stack(stack)
    turned = np.ascontiguousarray(inverse.transpose(2, 0, 1))
    return turned.reshape(*shape, d, d), log_determinant.reshape(shape)


def invert_stack(matrices: Array) -> tuple[Array, Array]:
    """Invert symmetric positive definite matrices (d, d, n), the stack along the last axis.

    Cholesky's factor, its inverse and their product, each operation over the whole stack: for
    small d several times faster than one LAPACK call per matrix.

    Parameters
    ----------
    matrices : (d, d, n) array
        Where one is not positive definite, NaN comes out.

    Returns
    -------
    inverse : (d, d, n) array
    log_determinant : (n,) array
    """
    d = len(matrices)
    factor, log_determinant = root_of_inverse(matrices)
    inverse = np.empty_like(matrices)
    for i in range(d):
        # row k of the inverse factor begins at column 0 and ends at k
        row = np.einsum("ke,kje->je", factor[i:, i], factor[i:, : i + 1])
        inverse[i, : i + 1] = row
        inverse[:i, i] = row[:i]
    return inverse, log_determinant


def root_of_inverse(matrices: Array) -> tuple[Array, Array]:
    """Invert the lower Cholesky factors of matrices (d, d, n), the stack along the last axis.

    Parameters
    ----------
    matrices : (d, d, n) array
        Where one is not positive definite, NaN comes out.

    Returns
    -------
    factor : (d, d, n) array
        Lower triangles R with R A R' = I.
    log_determinant : (n,) array
        log|A|.
    """
    d, _, n = matrices.shape
    factor = np.zeros_like(matrices)  # inverse of the lower Cholesky factor
    lower = np.zeros_like(matrices)
    log_determinant = np.zeros(n)
    with np.errstate(divide="ignore", invalid="ignore"):
        for j in range(d):
            rest = matrices[j:, j] - np.einsum("ike,ke->ie", lower[j:, :j], lower[j, :j])
            root = np.sqrt(rest[0])
            lower[j:, j] = rest / root
            factor[j, j] = 1 / root
            factor[j, :j] = -np.einsum("ke,kie->ie", lower[j, :j], factor[:j, :j]) / root
            log_determinant += 2 * np.log(root)
    return factor, log_determinant


def solve_stack(matrices: Array, right: Array) -> Array:
    """Solve systems with symmetric positive definite matrices, the stack along the last axis.

    Parameters
    ----------
    matrices : (d, d, n) array
        Where one is not positive definite, NaN comes out.
    right : (d, n) array
        Right sides.

    Returns
    -------
    (d, n) array
    """
    d, n = right.shape
    lower = np.zeros((d, d, n))
    solved = np.zeros((d, n))
    with np.errstate(divide="ignore", invalid="ignore"):
        for j in range(d):
            rest = matrices[j:, j] - np.einsum("ike,ke->ie", lower[j:, :j], lower[j, :j])
            lower[j:, j] = rest / np.sqrt(rest[0])
            solved[j] = (right[j] - np.einsum("ke,ke->e", lower[j, :j], solved[:j])) / lower[j, j]
        for j in reversed(range(d)):
            later = np.einsum("ke,ke->e", lower[j + 1 :, j], solved[j + 1 :])
            solved[j] = (solved[j] - later) / lower[j, j]
    return solved
