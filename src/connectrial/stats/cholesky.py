"""Covariance matrices from Cholesky factors, their derivatives, and the boundary."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_ZERO = 1e-6  # of the larger of an effect's and the residual's deviation: on the boundary


@dataclass(frozen=True, slots=True, eq=False)
class CholeskyMap:
    """From Cholesky factors and a residual standard deviation to (co)variances.

    Parameters
    ----------
    sizes : tuple of int
        Effects of each random term.
    """

    sizes: tuple[int, ...]

    @property
    def n_parameters(self) -> int:
        """(Co)variances, the residual variance too; as many as entries of the factors."""
        return sum(size * (size + 1) // 2 for size in self.sizes) + 1

    def slices(self) -> list[slice]:
        """Positions of each term's parameters."""
        ends = np.cumsum([0, *(size * (size + 1) // 2 for size in self.sizes)])
        return [slice(int(a), int(b)) for a, b in pairwise(ends)]

    def starts(self) -> Array:
        """Points to start from, (n_starts, n_parameters), for a residual of unit variance."""
        points = []
        for spread, residual in ((0.5, 0.7), (0.1, 0.95), (1.5, 0.4)):
            point = np.zeros(self.n_parameters)
            for size, part in zip(self.sizes, self.slices(), strict=True):
                diagonal = np.cumsum(np.arange(1, size + 1)) - 1
                point[part][diagonal] = spread
            point[-1] = residual
            points.append(point)
        return np.array(points)

    def boundary_starts(self) -> Array:
        """Points on the boundary, each without one column of a factor, which then stays away.

        Near a first pivot of zero the entries below it are free to turn into one another, and
        the search crawls; without them it does not.
        """
        points = []
        for size, part in zip(self.sizes, self.slices(), strict=True):
            column = np.tril_indices(size)[1]
            for j in range(size if size > 1 else 0):
                point = self.starts()[0]
                point[part][column == j] = 0.0
                points.append(point)
        return np.array(points).reshape(-1, self.n_parameters)

    def natural(self, factors: Array) -> Array:
        """(Co)variances (n, n_parameters) from factors (n, n_parameters)."""
        out = np.empty_like(factors)
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = unpack_lower(factors[:, part], size)
            a, b = np.tril_indices(size)
            out[:, part] = np.einsum("eac,ebc->eab", lower, lower)[:, a, b]
        out[:, -1] = factors[:, -1] ** 2
        return out

    def jacobian(self, factors: Array) -> Array:
        """Differentiate `natural` by the factors, (n, n_parameters, n_parameters)."""
        n, k = factors.shape
        out = np.zeros((n, k, k))
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = unpack_lower(factors[:, part], size)
            # Row a of the factor, whose first a + 1 entries are free, begins here.
            row = [part.start + a * (a + 1) // 2 for a in range(size)]
            for a in range(size):
                for b in range(a + 1):
                    out[:, row[a] + b, row[a] : row[a] + a + 1] += lower[:, b, : a + 1]
                    out[:, row[a] + b, row[b] : row[b] + b + 1] += lower[:, a, : b + 1]
        out[:, -1, -1] = 2 * factors[:, -1]
        return out

    def curvature(self, gradient: Array) -> Array:
        """Sum of gradient_k d2 natural_k / d factors2, which is the same at all factors."""
        n, k = gradient.shape
        out = np.zeros((n, k, k))
        for size, part in zip(self.sizes, self.slices(), strict=True):
            pairs = [(a, b) for a in range(size) for b in range(a + 1)]
            position = {pair: part.start + i for i, pair in enumerate(pairs)}
            for i, (a, b) in enumerate(pairs):
                for c in range(b + 1):
                    first, second = position[a, c], position[b, c]
                    out[:, first, second] += gradient[:, part.start + i]
                    out[:, second, first] += gradient[:, part.start + i]
        out[:, -1, -1] = 2 * gradient[:, -1]
        return out

    def matrices(self, natural: Array) -> list[Array]:
        """Covariance matrix of each term, (n, size, size)."""
        found = []
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = unpack_lower(natural[:, part], size)
            found.append(lower + np.swapaxes(np.tril(lower, -1), 1, 2))
        return found

    def canonical(self, factors: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Factors whose pivots are not negative and exactly zero at a boundary; which are there.

        Parameters
        ----------
        factors : (n, n_parameters) array
            Any factors.

        Returns
        -------
        factors : (n, n_parameters) array
        singular : (n,) bool array
        """
        out = factors.copy()
        out[:, -1] = np.abs(out[:, -1])
        singular = np.zeros(len(factors), dtype=bool)
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = unpack_lower(factors[:, part], size)
            matrix = np.einsum("eac,ebc->eab", lower, lower)
            root, flat = _semidefinite_root(matrix, np.abs(out[:, -1]))
            singular |= flat
            a, b = np.tril_indices(size)
            out[:, part] = root[:, a, b]
        return out, singular

    def escapes(self, gradient: Array, factors: Array) -> Array:
        """Steepest direction out of the boundary, per term, in which the deviance falls.

        At a minimum the derivative of the deviance by each covariance matrix is positive
        semidefinite and orthogonal to the matrix (the Karush-Kuhn-Tucker conditions).

        Parameters
        ----------
        gradient : (n, n_parameters) array
            By the (co)variances, at `factors`.
        factors : (n, n_parameters) array
            Canonical factors.

        Returns
        -------
        (n,) array
            Smallest eigenvalue over the terms; negative where the point is no minimum.
        """
        worst = np.full(len(gradient), np.inf)
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = unpack_lower(gradient[:, part], size)
            matrix = (lower + np.swapaxes(lower, 1, 2)) / 2
            worst = np.minimum(worst, np.linalg.eigvalsh(matrix)[:, 0])
        return worst


def unpack_lower(packed: Array, size: int) -> Array:
    """Lower triangles (n, size, size) from their entries by rows (n, size (size + 1) / 2)."""
    lower = np.zeros((len(packed), size, size))
    a, b = np.tril_indices(size)
    lower[:, a, b] = packed
    return lower


def _semidefinite_root(matrix: Array, unit: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Cholesky factor of semidefinite matrices; columns of zero pivots are zero."""
    n, size = matrix.shape[:2]
    root = np.zeros_like(matrix)
    flat = np.zeros(n, dtype=bool)
    for j in range(size):
        rest = matrix[:, j:, j] - np.einsum("eik,ek->ei", root[:, j:, :j], root[:, j, :j])
        reach = np.maximum(np.sqrt(np.maximum(matrix[:, j, j], 0)), unit)
        zero = rest[:, 0] <= (_ZERO * reach) ** 2
        flat |= zero
        pivot = np.sqrt(np.where(zero, 1.0, rest[:, 0]))
        root[:, j:, j] = np.where(zero[:, None], 0.0, rest / pivot[:, None])
    return root, flat
