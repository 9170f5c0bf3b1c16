"""The quick way to the neighbourhood of the optimum, for covariances between visits.

A step of Newton's method costs little where the Hessian leaves out what goes through the fixed
effects: that part is of the order of columns over rows, so that every step still gains one or two
digits. What is left is a sum over patterns in the few cells of the covariance between visits, and
here the edge axis comes last, so that each operation runs over all edges at once. Nothing that is
found here is believed: `find_visit_optimum` verifies it by the exact derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from connectrial.stats.covariance import GroupedCovariance, VisitCovariance
from connectrial.stats.patterns import Moments, pack_rows, times_seen, unpack, unpack_rows
from connectrial.stats.small_matrices import invert_stack, solve_stack

Array = NDArray[np.float64]
Stacks = list[tuple[NDArray[np.intp], NDArray[np.intp]]]

_LARGEST = 8  # visits up to which the constant of the Hessian stays small
_STEPS = 25
_SETTLED = 1e-14  # of the deviance: what one more step would gain
_PATIENCE = 8  # steps to come that are still cheaper than exact derivatives
_SHRINK = 0.7  # of the outcomes at hand still moving: fewer are worth a copy of their own
_SHORT = 0.05  # a step that promises less stays among the positive definite
_FLATTEST = -25.0  # log determinant of a correlation matrix
_HALVINGS = 6


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Slope:
    """Deviance by the covariances between visits, the edge axis last.

    Parameters
    ----------
    cells : (n_groups, n_pairs, n_outcomes) array
        d deviance / d cell of the upper triangle, both halves of the matrix moving.
    inverses : list of (n_patterns, n_pairs, n_outcomes) arrays
        Upper triangles of V^-1, for each dimension of patterns.
    held : list of (n_patterns, n_pairs, n_outcomes) arrays
        The same times the people of each pattern.
    cores : list of (n_patterns, n_pairs, n_outcomes) arrays
        V^-1 times the moments of residuals times V^-1.
    """

    cells: Array
    inverses: list[Array]
    held: list[Array]
    cores: list[Array]


class Scoring:
    """Approximate Newton steps for one structure and one set of patterns.

    Parameters
    ----------
    structure : GroupedCovariance
        Covariance between visits.
    stacks : list of (group, visits)
        Of the patterns.
    reml : bool
        Restricted likelihood.
    """

    def __init__(self, structure: GroupedCovariance, stacks: Stacks, *, reml: bool) -> None:
        self.structure, self.stacks, self.reml = structure, stacks, reml
        t = structure.single.n_visits
        a, b = np.triu_indices(t)
        self.upper = (a, b)
        position = np.zeros((t, t), dtype=np.intp)
        position[a, b] = position[b, a] = np.arange(len(a))
        self.places = []
        for _, visits in stacks:
            s, r = np.triu_indices(visits.shape[1])
            self.places.append(position[visits[:, s], visits[:, r]])

    @property
    def is_possible(self) -> bool:
        """Few enough visits."""
        return self.structure.single.n_visits <= _LARGEST

    def approach(self, moments: Sequence[Moments], parameters: Array) -> Array:
        """Step from given parameters until nothing is gained any more.

        Parameters
        ----------
        moments : sequence of Moments
            Of outcomes of unit variance.
        parameters : (n_outcomes, n_parameters) array
            Natural parameters of positive definite covariances.

        Returns
        -------
        (n_outcomes, n_parameters) array
            Of positive definite covariances; near the optimum for nearly all.
        """
        found = parameters.copy()
        active, held = np.arange(len(found)), list(moments)
        going = np.ones(len(found), dtype=bool)
        before = np.full(len(found), np.nan)
        n_rows = sum(float(m.n_blocks.sum()) * m.n_dims for m in moments)
        least = (moments[0].n_columns / n_rows) ** 2  # of a promise: what the Hessian leaves out
        for iteration in range(_STEPS):
            here = found[active]
            step, promised = self._step(held, here, expected=iteration == 0)
            moving = going[active]
            found[active[moving]] = here[moving] + self._shorten(
                here[moving], step[moving], promised[moving]
            )
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where(np.isnan(before[active]), 1e-3, promised / before[active])
                ratio = np.maximum(ratio, least)
                still = np.log(promised / _SETTLED) / -np.log(np.minimum(ratio, 0.999))
            before[active] = promised
            going[active] &= (still > 1) & ((still < _PATIENCE) | (iteration < 4))
            if not going.any():
                break
            share = going[active]
            if share.mean() < _SHRINK:
                active = active[share]
                held = [m.take(share) for m in held]
        return found

    def _step(
        self, moments: Sequence[Moments], parameters: Array, *, expected: bool
    ) -> tuple[Array, Array]:
        """Step (n_outcomes, n_parameters) and the decrease of the deviance it promises."""
        slope = self._slope(moments, parameters)
        n_rows = sum(float(m.n_blocks.sum()) * m.n_dims for m in moments)
        # what the fixed effects take from every cell alike
        share = 1 - moments[0].n_columns / n_rows if self.reml else 1.0
        e, size = len(parameters), self.structure.single.n_parameters
        step = np.zeros((self.structure.n_parameters, e))
        promised = np.zeros(e)
        for g, part in enumerate(np.split(parameters, self.structure.n_groups, axis=1)):
            gradient, jacobian, bend = self._chain(part, slope.cells[g])
            hessian = self._hessian(self._products(slope, g, expected=expected), jacobian)
            if bend is not None and not expected:
                hessian += bend
            found = solve_stack(hessian, gradient)
            lost = ~np.isfinite(found).all(axis=0)
            if lost.any() and not expected:
                some = None if jacobian is None else jacobian[lost]
                again = self._hessian(self._products(slope, g, expected=True)[:, lost], some)
                found[:, lost] = solve_stack(again, gradient[:, lost])
            found /= share
            step[g * size : (g + 1) * size] = -found
            promised += np.einsum("ke,ke->e", found, gradient) / 2
        return step.T, promised

    def _chain(self, parameters: Array, cells: Array) -> tuple[Array, Array | None, Array | None]:
        """From the covariances of one group to its parameters.

        Returns
        -------
        gradient : (n_parameters, n_outcomes) array
        jacobian : (n_outcomes, n_parameters, n_pairs) array or None
            None where it is part of the constant.
        bend : (n_parameters, n_parameters, n_outcomes) array or None
        """
        basis = self.structure.single.linear_basis()
        if basis is not None:
            return basis[:, *self.upper] @ cells, None, None
        _, first, second = self.structure.single.matrix(parameters)
        e, k = parameters.shape
        jacobian = np.ascontiguousarray(
            np.broadcast_to(first, (e, *first.shape[1:]))[..., *self.upper]
        )
        slope = np.ascontiguousarray(cells.T)[:, :, None]
        gradient = np.matmul(jacobian, slope)[..., 0].T
        if second is None:
            return gradient, jacobian, None
        flat = second[..., *self.upper].reshape(e, k * k, -1)
        return gradient, jacobian, np.matmul(flat, slope)[..., 0].T.reshape(k, k, e)

    def _hessian(self, products: Array, jacobian: Array | None) -> Array:
        """Approximate Hessian (n_parameters, n_parameters, n_outcomes)."""
        single = self.structure.single
        flat = _constant(single.structure, single.n_visits) @ products
        k = single.n_parameters if jacobian is None else jacobian.shape[2]
        if jacobian is None:
            return unpack_rows(flat, k)
        cells = unpack(np.ascontiguousarray(flat.T), k)
        turned = np.matmul(np.matmul(jacobian, cells), np.swapaxes(jacobian, 1, 2))
        return np.ascontiguousarray(turned.transpose(1, 2, 0))

    def _shorten(self, here: Array, step: Array, promised: Array) -> Array:
        """Halve steps that leave the positive definite; none where the step itself is none."""
        step = np.where(np.isfinite(step).all(axis=1, keepdims=True), step, 0.0)
        left = np.flatnonzero(~(promised < _SHORT))
        for _ in range(_HALVINGS):
            left = left[~self._is_positive(here[left] + step[left])] if len(left) else left
            if not len(left):
                return step
            step[left] /= 2
        step[left] = 0.0
        return step

    def _is_positive(self, parameters: Array) -> NDArray[np.bool_]:
        """Whether all covariances are positive definite with some room."""
        single = self.structure.single
        ok = np.ones(len(parameters), dtype=bool)
        for part in np.split(parameters, self.structure.n_groups, axis=1):
            n = single.n_variances if single.linear_basis() is None else 0
            inside = np.ones(len(part), dtype=bool)
            if n:  # variances, then correlations
                inside &= (part[:, :n] > 0).all(axis=1) & (np.abs(part[:, n:]) < 1).all(axis=1)
            safe = np.where(inside[:, None], part, single.natural(single.starts()[:1]))
            values = single.matrix(safe)[0].transpose(1, 2, 0)
            variances = np.diagonal(values).T
            scale = np.sqrt(np.where(variances > 0, variances, 1.0))
            _, log_determinant = invert_stack(values / (scale[:, None] * scale))
            ok &= inside & (log_determinant > _FLATTEST)
        return ok

    def _slope(self, moments: Sequence[Moments], parameters: Array) -> _Slope:
        """Differentiate by the covariances between visits at given parameters."""
        e = len(parameters)
        matrices = self.structure.matrices(parameters).transpose(1, 2, 3, 0)
        inverses, packed = [], []
        for m, (group, visits) in zip(moments, self.stacks, strict=True):
            d, seen = m.n_dims, visits.T
            value = matrices[group, seen[:, None], seen[None, :]]
            inverse = invert_stack(value.reshape(d, d, -1))[0].reshape(d, d, len(group), e)
            inverses.append(inverse)
            packed.append(np.ascontiguousarray(np.swapaxes(pack_rows(inverse), 0, 1)))
        beta, weight = self._fixed_effects(moments, packed)
        cells = np.zeros((self.structure.n_groups, len(self.upper[0]), e))
        held, cores = [], []
        for m, (group, _), inverse, flat, places in zip(
            moments, self.stacks, inverses, packed, self.places, strict=True
        ):
            d, twice = m.n_dims, times_seen(m.n_dims)[:, None]
            sums = m.yy.T - 2 * np.matmul(m.xy, beta[:, :, None])[..., 0].T + m.xx @ weight
            sums = sums.reshape(len(group), -1, e) / twice
            core = _sandwich(inverse, unpack_rows(np.swapaxes(sums, 0, 1), d))
            cores.append(np.swapaxes(pack_rows(core), 0, 1))
            held.append(flat * m.n_blocks[:, None, None])
            change = (held[-1] - cores[-1]) * twice
            for k, (g, place) in enumerate(zip(group, places, strict=True)):
                cells[g, place] += change[k]
        return _Slope(cells=cells, inverses=packed, held=held, cores=cores)

    def _products(self, slope: _Slope, g: int, *, expected: bool) -> Array:
        """Products of cells (n_pairs ** 2, n_outcomes) from which a group's Hessian comes."""
        _, n_pairs, e = slope.cells.shape
        products = np.zeros((n_pairs * n_pairs, e))
        for (group, _), places, inverses, held, cores in zip(
            self.stacks, self.places, slope.inverses, slope.held, slope.cores, strict=True
        ):
            for k in np.flatnonzero(group == g):
                right = held[k] if expected else 2 * cores[k] - held[k]
                outer = (inverses[k][:, None] * right).reshape(-1, e)
                if len(places[k]) == n_pairs:
                    products += outer
                else:
                    products[(places[k][:, None] * n_pairs + places[k]).ravel()] += outer
        return products

    def _fixed_effects(
        self, moments: Sequence[Moments], packed: Sequence[Array]
    ) -> tuple[Array, Array]:
        """Find fixed effects, and what they add to the moments of the residuals.

        Returns
        -------
        beta : (n_outcomes, n_columns) array
        weight : (n_columns * (n_columns + 1) / 2, n_outcomes) array
            Upper triangle of beta beta' + M^-1, cells off the diagonal doubled.
        """
        e, p = packed[0].shape[-1], moments[0].n_columns
        precision = np.zeros((p * (p + 1) // 2, e))
        xy = np.zeros((e, p))
        for m, inverse in zip(moments, packed, strict=True):
            flat = inverse.reshape(-1, e)
            precision += m.xx.T @ flat
            xy += np.matmul(np.ascontiguousarray(flat.T)[:, None], m.xy)[:, 0]
        covariance, _ = invert_stack(unpack_rows(precision, p))
        beta = np.einsum("pqe,qe->pe", covariance, np.ascontiguousarray(xy.T))
        outer = beta[:, None] * beta
        if self.reml:
            outer += covariance
        return beta.T, pack_rows(outer) * times_seen(p)[:, None]


def _sandwich(outer: Array, inner: Array) -> Array:
    """Multiply symmetric matrices (d, d, ...) to outer @ inner @ outer, the stack behind."""
    half = np.einsum("ab...,bc...->ac...", outer, inner)
    return np.asarray(np.einsum("ab...,bc...->ac...", half, outer))


@lru_cache(maxsize=16)
def _constant(structure: str, t: int) -> Array:
    """Hessian from products of cells: by parameters where these are linear, else by cells.

    Returns
    -------
    (k (k + 1) / 2, n_pairs ** 2) array
        Upper triangle by rows of the k parameters or cells.
    """
    bend = _bend_of_cells(t)
    n = t * (t + 1) // 2
    basis = VisitCovariance(structure, t).linear_basis()
    if basis is not None:
        jacobian = basis[:, *np.triu_indices(t)]
        k = len(jacobian)
        bend = (jacobian @ bend.reshape(n, -1)).reshape(k, n, -1)  # one of the two, then the other
        bend = (jacobian @ bend).reshape(k * k, -1)
        n = k
    return np.ascontiguousarray(pack_rows(bend.reshape(n, n, -1)))


@lru_cache(maxsize=16)
def _bend_of_cells(t: int) -> Array:
    """tr(A E_m B E_l) + tr(A E_l B E_m) over 2, from products of the cells of A and B.

    Returns
    -------
    (n_pairs ** 2, n_pairs ** 2) array
        Rows by the two cells that move, columns by the cells of A and of B.
    """
    a, b = np.triu_indices(t)
    n = len(a)
    unit = np.zeros((n, t, t))
    unit[np.arange(n), a, b] = unit[np.arange(n), b, a] = 1.0
    half = np.einsum("iab,mbc->imac", unit, unit).reshape(n * n, -1)
    other = np.einsum("jcd,nda->jnac", unit, unit).reshape(n * n, -1)
    full = (half @ other.T).reshape(n, n, n, n).transpose(1, 3, 0, 2)
    return np.ascontiguousarray(((full + full.transpose(1, 0, 2, 3)) / 2).reshape(n * n, n * n))
