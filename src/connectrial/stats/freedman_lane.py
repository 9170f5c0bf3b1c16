"""The arithmetic of Freedman and Lane's permutations: all fits of many exchanges as one product.

Residuals of the model without the tested term are exchanged, and the whole model is fitted to them
again. With orthonormal bases of the design the share of variation that the term explains is a ratio
of squared projections. A random intercept whose variance ratio is held fixed comes down to the
same: its whitening treats all rows of a person alike and people with the same visits alike, so it
commutes with every exchange that is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design
from connectrial.stats.exchange import Exchange

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.intp]

_EDGES_AT_ONCE = 2048
_COLUMNS_AT_ONCE = 512
_ICC_STEP = 0.02  # edges whose intraclass correlation rounds to the same step share a whitening


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Part:
    """Edges that share a whitened design.

    Nuisance columns that no exchange changes (the intercept, say) stay orthogonal to the residuals
    however these are exchanged, and are left out of the products.

    Attributes
    ----------
    edges : int array, shape (n_edges,)
        Which of the tested edges.
    basis : array, shape (n_observations, n_movable + n_term)
        Orthonormal: nuisance that the exchange can move, then the tested term.
    n_movable : int
    unit : float32 array, shape (n_observations, n_edges)
        Residuals of the reduced model, each edge at unit length.
    df : int
        Residual degrees of freedom.
    observed : array, shape (n_edges,)
        t with the sign of the coefficient, or F.
    """

    edges: Index
    basis: Array
    n_movable: int
    unit: Single
    df: int
    observed: Array

    @property
    def n_term(self) -> int:
        """Columns of the tested term."""
        return int(self.basis.shape[1] - self.n_movable)

    def signed_shares(
        self, rows: Index, signs: NDArray[np.int8] | None, *, two_sided: bool
    ) -> Iterator[tuple[slice, Single]]:
        """Share of residual variation that the term explains, block of edges by block.

        Yields
        ------
        which : slice
            Of the edges of this part.
        share : float32 array, shape (n_draws, n_edges in block)
            With the sign of the coefficient unless two-sided.
        """
        moved = self.basis.astype(np.float32)[rows]
        if signs is not None:
            moved = moved * signs[:, :, None]
        stacked = np.ascontiguousarray(moved.transpose(0, 2, 1)).reshape(-1, self.basis.shape[0])
        for start in range(0, self.unit.shape[1], _EDGES_AT_ONCE):
            which = slice(start, min(start + _EDGES_AT_ONCE, self.unit.shape[1]))
            products = (stacked @ self.unit[:, which]).reshape(len(rows), self.basis.shape[1], -1)
            term = products[:, self.n_movable :]
            if self.n_term == 1:
                share = term[:, 0] * (term[:, 0] if two_sided else np.abs(term[:, 0]))
            else:
                share = np.einsum("bke,bke->be", term, term)
            if self.n_movable:
                lost = products[:, : self.n_movable]
                left = 1 - np.einsum("bke,bke->be", lost, lost)
                share /= np.maximum(left, np.float32(1e-7))
            yield which, share

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""
        size = np.minimum(np.abs(share), 1.0)
        with np.errstate(divide="ignore"):
            f = (size / self.n_term) / ((1 - size) / self.df)
        return np.asarray(np.sign(share) * np.sqrt(f) if self.n_term == 1 else f)


def make_parts(
    design: Design,
    columns: Sequence[int],
    exchange: Exchange,
    outcomes: Array,
    *,
    person: Index,
    ratio: Array | None,
) -> list[Part]:
    """Split edges by their variance ratio, and prepare the fits of each set.

    Parameters
    ----------
    design : Design
    columns : sequence of int
        Columns of the tested term.
    exchange : Exchange
    outcomes : array, shape (n_observations, n_edges)
        Complete, and varying once the nuisance is out.
    person : int array, shape (n_observations,)
    ratio : array, shape (n_edges,), or None
        Variance of the random intercept over that of the residual; None for a linear model.

    Returns
    -------
    list of Part
    """
    if ratio is None:
        return [_make_part(design, columns, exchange, outcomes, np.arange(outcomes.shape[1]))]
    step = np.round(ratio / (1 + ratio) / _ICC_STEP).astype(int)
    step = np.minimum(step, round(1 / _ICC_STEP) - 1)
    parts = []
    for level in np.unique(step):
        edges = np.flatnonzero(step == level)
        icc = level * _ICC_STEP
        parts.append(
            _make_part(
                design,
                columns,
                exchange,
                whiten(outcomes[:, edges], person, icc / (1 - icc)),
                edges,
                x=whiten(design.matrix, person, icc / (1 - icc)),
            )
        )
    return parts


def whiten(values: Array, person: Index, ratio: float) -> Array:
    """Multiply by the inverse root of a random intercept's covariance, I + ratio 1 1' per person.

    Parameters
    ----------
    values : array, shape (n_observations, n_columns)
    person : int array, shape (n_observations,)
    ratio : float

    Returns
    -------
    array, same shape
    """
    size = np.bincount(person).astype(np.float64)
    sums = np.zeros((size.size, values.shape[1]))
    np.add.at(sums, person, values)
    pull = (1 - 1 / np.sqrt(1 + size * ratio)) / size
    return values - (sums * pull[:, None])[person]


def split_nuisance(
    design: Design, columns: Sequence[int], exchange: Exchange
) -> tuple[list[int], list[int]]:
    """Columns of nuisance that no exchange changes, and those that it moves."""
    others = [j for j in range(design.matrix.shape[1]) if j not in columns]
    still = [j for j in others if _unmoved(design.matrix[:, j], exchange)]
    return still, [j for j in others if j not in still]


def reduce_outcomes(nuisance: Array, outcomes: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Take the nuisance out of every edge; tell the edges of which anything is left.

    Parameters
    ----------
    nuisance : array, shape (n_observations, n_columns)
        Orthonormal.
    outcomes : array, shape (n_observations, n_edges)
    """
    left = outcomes - nuisance @ (nuisance.T @ outcomes)
    left -= nuisance @ (nuisance.T @ left)  # what rounding left behind
    size, whole = (np.einsum("ij,ij->j", v, v) for v in (left, outcomes))
    return left, np.asarray(size > 1e-24 * whole, dtype=np.bool_)


def draw_batches(
    exchange: Exchange,
    rng: np.random.Generator,
    *,
    n_permutations: int,
    exhaustive: bool,
    n_columns: int,
) -> Iterator[tuple[Index, NDArray[np.int8] | None]]:
    """Draw exchanges in batches of a size that the products like, or list all but the observed."""
    at_once = max(1, _COLUMNS_AT_ONCE // n_columns)
    if exhaustive:
        rows, signs = exchange.enumerate_all()
        for start in range(1, len(rows), at_once):
            part = slice(start, start + at_once)
            yield rows[part], None if signs is None else signs[part]
        return
    for start in range(0, n_permutations, at_once):
        yield exchange.draw(rng, min(at_once, n_permutations - start))


def _make_part(
    design: Design,
    columns: Sequence[int],
    exchange: Exchange,
    outcomes: Array,
    edges: Index,
    *,
    x: Array | None = None,
) -> Part:
    x = design.matrix if x is None else x
    if design.rank < x.shape[1]:
        raise ModelError([f"{name}: {note}" for name, note in design.notes.items()])
    if len(x) <= x.shape[1]:
        raise ModelError(f"permutation: {len(x)} rows for {x.shape[1]} columns leave no error")
    still, moving = split_nuisance(design, columns, exchange)
    n_still, n_nuisance = len(still), len(still) + len(moving)
    ordered = x[:, [*still, *moving, *columns]]
    q, r = np.linalg.qr(ordered / np.sqrt((ordered**2).sum(axis=0)))
    q = q * np.sign(np.diag(r))  # so that the sign of t is that of the coefficient
    left, _ = reduce_outcomes(q[:, :n_nuisance], outcomes)
    unit = left / np.sqrt(np.einsum("ij,ij->j", left, left))
    projected = q[:, n_nuisance:].T @ unit
    part = Part(
        edges=edges,
        basis=q[:, n_still:],
        n_movable=len(moving),
        unit=unit.astype(np.float32),
        df=len(x) - x.shape[1],
        observed=np.empty(0),
    )
    share = (projected**2).sum(axis=0)
    if len(columns) == 1:
        share = share * np.sign(projected[0])
    return Part(
        edges=part.edges,
        basis=part.basis,
        n_movable=part.n_movable,
        unit=part.unit,
        df=part.df,
        observed=part.to_statistic(share),
    )


def _unmoved(column: Array, exchange: Exchange) -> bool:
    if exchange.scheme == "signs":
        return False
    return all(np.ptp(column[members], axis=0).max() == 0 for members in exchange.sets)
