"""Covariance structures over visits, with first and second derivatives.

Natural parameters are those of SAS's PROC MIXED, on which Kenward and Roger's adjustment depends:
(co)variances for us, cs and toep; variances and correlations for csh, ar1, ar1h, toeph, ad, adh.
All arrays have a leading axis of outcomes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.cholesky import CholeskyMap
from connectrial.stats.likelihood import Covariance

Array = NDArray[np.float64]

_START = 0.3  # correlation between visits, to begin with
_LINEAR = ("us", "cs", "toep")


@dataclass(frozen=True, slots=True, eq=False)
class VisitCovariance:
    """One structure over a number of visits.

    Parameters
    ----------
    structure : str
        ``us``, ``cs``, ``csh``, ``ar1``, ``ar1h``, ``toep``, ``toeph``, ``ad`` or ``adh``.
    n_visits : int
        Size of the matrix, two or more.
    """

    structure: str
    n_visits: int

    @property
    def n_variances(self) -> int:
        """Variances among the parameters; only structures with correlations have them first."""
        return self.n_visits if self.structure.endswith("h") else 1

    @property
    def n_correlations(self) -> int:
        """Parameters other than variances; for linear structures, all."""
        t = self.n_visits
        counts = {"us": t * (t + 1) // 2, "cs": 2, "toep": t}
        counts |= {"csh": 1, "ar1": 1, "ar1h": 1, "toeph": t - 1, "ad": t - 1, "adh": t - 1}
        return counts[self.structure]

    @property
    def n_parameters(self) -> int:
        """Natural parameters."""
        return self.n_correlations + (self.n_variances if self._curved else 0)

    @property
    def _curved(self) -> bool:
        return self.structure not in _LINEAR

    def starts(self) -> Array:
        """Points (n_starts, n_parameters) to search from, for an outcome of unit variance."""
        t = self.n_visits
        if self.structure == "us":
            roots = [np.linalg.cholesky((1 - r) * np.eye(t) + r) for r in (_START, 0.7)]
            return np.array([root[np.tril_indices(t)] for root in roots])
        n_rho = self.n_correlations
        rows = []
        for rho in (_START, 0.0):
            decay = (
                rho ** np.arange(1, n_rho + 1) if "toep" in self.structure else np.full(n_rho, rho)
            )
            if self._curved:
                rows.append([*np.zeros(self.n_variances), *np.arctanh(decay)])
            else:
                rows.append([1.0, *decay[: n_rho - 1]])
        return np.array(rows)

    def start_near(self, matrices: Array) -> Array:
        """Points (n_outcomes, n_parameters) near given positive definite covariances.

        Parameters
        ----------
        matrices : (n_outcomes, n_visits, n_visits) array
            Rough covariances, such as those of residuals.
        """
        t = self.n_visits
        if self.structure == "us":
            return np.asarray(np.linalg.cholesky(matrices)[:, *np.tril_indices(t)])
        variances = np.diagonal(matrices, axis1=1, axis2=2)
        mean = variances.mean(axis=1, keepdims=True)
        sd = np.sqrt(variances)
        correlations = matrices / (sd[:, :, None] * sd[:, None, :])
        lags = [np.diagonal(correlations, k, axis1=1, axis2=2) for k in range(1, t)]
        if self.structure in {"cs", "csh"}:
            rho = np.concatenate(lags, axis=1).mean(axis=1, keepdims=True)
        elif self.structure in {"ad", "adh"}:
            rho = lags[0]
        elif "toep" in self.structure:
            rho = np.stack([lag.mean(axis=1) for lag in lags], axis=1)
        else:
            rho = lags[0].mean(axis=1, keepdims=True)
        if not self._curved:
            return np.concatenate([mean, mean * rho], axis=1)
        scale = variances if self.structure.endswith("h") else mean
        return np.concatenate([np.log(scale), np.arctanh(np.clip(rho, -0.95, 0.95))], axis=1)

    def natural(self, points: Array) -> Array:
        """Natural parameters from the points that the search moves: log variance, atanh rho."""
        if self.structure == "us":
            return self._cholesky(points)[0]
        if not self._curved:
            return points.copy()
        n = self.n_variances
        return np.concatenate([np.exp(points[:, :n]), np.tanh(points[:, n:])], axis=1)

    def chain(self, points: Array, gradient: Array) -> tuple[Array, Array]:
        """Jacobian of `natural`, and the sum of gradient_k times its second derivatives."""
        e, k = points.shape
        if self.structure == "us":
            _, jacobian, curvature = self._cholesky(points, gradient)
            return jacobian, curvature
        first, second = np.ones((e, k)), np.zeros((e, k))
        if self._curved:
            n = self.n_variances
            first[:, :n] = second[:, :n] = np.exp(points[:, :n])
            rho = np.tanh(points[:, n:])
            first[:, n:] = 1 - rho**2
            second[:, n:] = -2 * rho * (1 - rho**2)
        identity = np.eye(k)
        return identity * first[:, :, None], identity * (gradient * second)[:, :, None]

    def matrix(self, parameters: Array) -> tuple[Array, Array, Array | None]:
        """Covariance matrix and its derivatives.

        Parameters
        ----------
        parameters : (n_outcomes, n_parameters) array
            Natural parameters.

        Returns
        -------
        value : (n_outcomes, n_visits, n_visits) array
        first : (n_outcomes or 1, n_parameters, n_visits, n_visits) array
        second : (n_outcomes, n_parameters, n_parameters, n_visits, n_visits) array or None
            None where the matrix is linear in its parameters.
        """
        if not self._curved:
            basis = self._basis()
            return np.tensordot(parameters, basis, axes=1), basis[None], None
        n = self.n_variances
        f, f1, f2 = self._scales(parameters[:, :n])
        r, r1, r2 = self._correlations(parameters[:, n:])
        k = self.n_parameters
        value = f * r
        first = np.concatenate([f1 * r[:, None], f[:, None] * r1], axis=1)
        second = np.zeros((len(f), k, k, *f.shape[1:]))
        second[:, :n, :n] = f2 * r[:, None, None]
        mixed = f1[:, :, None] * r1[:, None]
        second[:, :n, n:] = mixed
        second[:, n:, :n] = np.swapaxes(mixed, 1, 2)
        second[:, n:, n:] = f[:, None, None] * r2
        return value, first, second

    def _cholesky(self, points: Array, gradient: Array | None = None) -> tuple[Array, Array, Array]:
        """Cholesky factors to (co)variances, by way of random effects without a residual."""
        mapping = CholeskyMap((self.n_visits,))
        padded = np.column_stack([points, np.ones(len(points))])
        natural = mapping.natural(padded)[:, :-1]
        if gradient is None:
            return natural, natural, natural
        curvature = mapping.curvature(np.column_stack([gradient, np.zeros(len(points))]))
        return natural, mapping.jacobian(padded)[:, :-1, :-1], curvature[:, :-1, :-1]

    def linear_basis(self) -> Array | None:
        """Give the derivatives (n_parameters, n_visits, n_visits) of the matrix; None if they vary."""
        return None if self._curved else self._basis()

    def _basis(self) -> Array:
        return _linear_basis(self.structure, self.n_visits)

    def _scales(self, variances: Array) -> tuple[Array, Array, Array]:
        """Products of standard deviations, with derivatives by the variances."""
        e, n = variances.shape
        t = self.n_visits
        if n == 1 and not self.structure.endswith("h"):
            ones = np.ones((e, t, t))
            return variances[:, :, None] * ones, ones[:, None], np.zeros((e, 1, 1, t, t))
        sd = np.sqrt(variances)
        f = sd[:, :, None] * sd[:, None, :]
        unit = np.eye(t)
        share = (unit[:, :, None] + unit[:, None, :]) / 2  # exponent of v_a in f_ij
        first = share * f[:, None] / variances[:, :, None, None]
        second = np.einsum("aij,abij->abij", share, share[None] - unit[:, :, None, None])
        scaled = second * f[:, None, None]
        return f, first, scaled / (variances[:, :, None] * variances[:, None, :])[..., None, None]

    def _correlations(self, rho: Array) -> tuple[Array, Array, Array]:
        """Correlation matrix, with derivatives by the correlations."""
        e, m = rho.shape
        t = self.n_visits
        value = np.ones((e, t, t))
        first, second = np.zeros((e, m, t, t)), np.zeros((e, m, m, t, t))
        for i in range(t):
            for j in range(i):
                powers = self._powers(i, j, m)
                cell = _monomial(rho, powers)
                value[:, i, j] = value[:, j, i] = cell
                for a in np.flatnonzero(powers):
                    once = powers.copy()
                    once[a] -= 1
                    slope = powers[a] * _monomial(rho, once)
                    first[:, a, i, j] = first[:, a, j, i] = slope
                    for b in np.flatnonzero(once):
                        twice = once.copy()
                        twice[b] -= 1
                        bend = powers[a] * once[b] * _monomial(rho, twice)
                        second[:, a, b, i, j] = second[:, a, b, j, i] = bend
        return value, first, second

    def _powers(self, i: int, j: int, m: int) -> NDArray[np.intp]:
        """Power of each correlation in cell (i, j), j < i: every structure is a monomial."""
        powers = np.zeros(m, dtype=np.intp)
        if self.structure == "csh":
            powers[0] = 1
        elif self.structure in {"ar1", "ar1h"}:
            powers[0] = i - j
        elif self.structure == "toeph":
            powers[i - j - 1] = 1
        else:
            powers[j:i] = 1
        return powers


@lru_cache(maxsize=64)
def _linear_basis(structure: str, t: int) -> Array:
    lag = np.abs(np.subtract.outer(np.arange(t), np.arange(t)))
    if structure == "toep":
        return np.array([lag == k for k in range(t)], dtype=np.float64)
    if structure == "cs":
        return np.array([lag == 0, lag > 0], dtype=np.float64)
    basis = np.zeros((t * (t + 1) // 2, t, t))
    for k, (a, b) in enumerate(zip(*np.tril_indices(t), strict=True)):
        basis[k, a, b] = basis[k, b, a] = 1.0
    return basis


def _monomial(rho: Array, powers: NDArray[np.intp]) -> Array:
    used = np.flatnonzero(powers)
    return np.asarray(np.prod(rho[:, used] ** powers[used], axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class GroupedCovariance:
    """The same structure for one or more groups of people, each with parameters of its own.

    Parameters
    ----------
    single : VisitCovariance
        Structure of each group.
    n_groups : int
        Groups.
    """

    single: VisitCovariance
    n_groups: int

    @property
    def n_parameters(self) -> int:
        """Natural parameters of all groups, group after group."""
        return self.single.n_parameters * self.n_groups

    def starts(self) -> Array:
        """Points (n_starts, n_parameters) to search from."""
        return np.tile(self.single.starts(), (1, self.n_groups))

    def start_near(self, matrices: Array) -> Array:
        """Points near given covariances (n_outcomes, n_groups, n_visits, n_visits)."""
        parts = [self.single.start_near(matrices[:, g]) for g in range(self.n_groups)]
        return np.concatenate(parts, axis=1)

    def natural(self, points: Array) -> Array:
        """Natural parameters from the points that the search moves."""
        parts = [self.single.natural(part) for part in self._split(points)]
        return np.concatenate(parts, axis=1)

    def chain(self, points: Array, gradient: Array) -> tuple[Array, Array]:
        """Jacobian of `natural`, and the sum of gradient_k times its second derivatives."""
        e, k = points.shape
        jacobian, curvature = np.zeros((e, k, k)), np.zeros((e, k, k))
        size = self.single.n_parameters
        for g, (part, slope) in enumerate(
            zip(self._split(points), self._split(gradient), strict=True)
        ):
            own = slice(g * size, (g + 1) * size)
            jacobian[:, own, own], curvature[:, own, own] = self.single.chain(part, slope)
        return jacobian, curvature

    def matrices(self, parameters: Array) -> Array:
        """Covariance matrix of each group, (n_outcomes, n_groups, n_visits, n_visits)."""
        return np.stack([self.single.matrix(part)[0] for part in self._split(parameters)], axis=1)

    def covariances(
        self, parameters: Array, stacks: list[tuple[NDArray[np.intp], NDArray[np.intp]]]
    ) -> list[Covariance]:
        """Covariances of patterns of visits.

        Parameters
        ----------
        parameters : (n_outcomes, n_parameters) array
            Natural parameters.
        stacks : list of (group, visits)
            (n_patterns,) group and (n_patterns, n_dims) visits of each pattern, by dimension.

        Returns
        -------
        list of Covariance
        """
        size, k = self.single.n_parameters, self.n_parameters
        parts = [self.single.matrix(part) for part in self._split(parameters)]
        found = []
        for group, visits in stacks:
            rows, columns = visits[:, :, None], visits[:, None, :]
            shape = (len(group), visits.shape[1], visits.shape[1])
            value = np.zeros((len(parameters), *shape))
            first = np.zeros((len(parts[0][1]), k, *shape))
            second = None if parts[0][2] is None else np.zeros((len(parameters), k, k, *shape))
            for g, (v, v1, v2) in enumerate(parts):
                own, here = slice(g * size, (g + 1) * size), np.flatnonzero(group == g)
                value[:, here] = v[:, rows[here], columns[here]]
                first[:, own, here] = v1[:, :, rows[here], columns[here]]
                if second is not None and v2 is not None:
                    second[:, own, own, here] = v2[:, :, :, rows[here], columns[here]]
            found.append(Covariance(value=value, first=first, second=second))
        return found

    def _split(self, values: Array) -> list[Array]:
        return np.split(values, self.n_groups, axis=1)
