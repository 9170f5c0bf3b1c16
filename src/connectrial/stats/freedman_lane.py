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
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design
from connectrial.stats.exchange import Exchange

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.intp]

_COLUMNS_AT_ONCE = 512
_ICC_STEP = 0.02  # edges whose intraclass correlation rounds to the same step share a whitening


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class WhiteDesign:
    """A design that edges of one variance ratio share, made orthonormal.

    Nuisance columns that no exchange changes (the intercept, say) stay orthogonal to the residuals
    however these are exchanged, and are left out of the products.

    Attributes
    ----------
    columns : array, shape (n_observations, n_columns)
        Orthonormal: nuisance that stays, nuisance that the exchange can move, the tested term.
    n_still, n_movable, n_term : int
        Columns of each kind.
    person : int array, shape (n_observations,)
    ratio : float
        Variance of the random intercept over that of the residual; 0 for a linear model.
    """

    columns: Array
    n_still: int
    n_movable: int
    n_term: int
    person: Index
    ratio: float

    @property
    def n_moved(self) -> int:
        """Columns that an exchange moves."""
        return self.n_movable + self.n_term

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return int(self.columns.shape[0] - self.columns.shape[1])

    def move(self, rows: Index, signs: NDArray[np.int8] | None) -> Single:
        """Rearrange what an exchange moves, (n_draws * (n_movable + n_term), n_observations)."""
        return rearrange_columns(self.columns[:, self.n_still :], rows, signs)

    def take(self, edges: Index, outcomes: Array) -> Part:
        """Prepare edges.

        Parameters
        ----------
        edges : int array, shape (n_edges,)
        outcomes : array, shape (n_observations, n_edges)
            Complete, and varying once the nuisance is out.
        """
        if self.ratio:
            outcomes = whiten(outcomes, self.person, self.ratio)
        n_nuisance = self.n_still + self.n_movable
        left, _ = reduce_outcomes(self.columns[:, :n_nuisance], outcomes)
        unit = left / np.sqrt(np.einsum("ij,ij->j", left, left))
        projected = self.columns[:, n_nuisance:].T @ unit
        share = (projected**2).sum(axis=0)
        if self.n_term == 1:
            share = share * np.sign(projected[0])
        return Part(
            design=self,
            edges=edges,
            unit=unit.astype(np.float32),
            observed=self.to_statistic(share),
        )

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""
        return share_to_statistic(share, self.n_term, self.df)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Part:
    """Edges of one design, ready to be permuted.

    Attributes
    ----------
    design : WhiteDesign
    edges : int array, shape (n_edges,)
        Which of the tested edges.
    unit : float32 array, shape (n_observations, n_edges)
        Residuals of the reduced model, each edge at unit length.
    observed : array, shape (n_edges,)
        t with the sign of the coefficient, or F.
    """

    design: WhiteDesign
    edges: Index
    unit: Single
    observed: Array

    def signed_shares(
        self, rows: Index, signs: NDArray[np.int8] | None, *, two_sided: bool
    ) -> Iterator[tuple[slice, Single]]:
        """Give what `shares_of` finds for exchanges, with the edges of this part it is for."""
        yield slice(None), self.shares_of(self.design.move(rows, signs), two_sided=two_sided)

    def shares_of(self, moved: Single, *, two_sided: bool) -> Single:
        """Share of residual variation that the term explains.

        Parameters
        ----------
        moved : float32 array, shape (n_draws * (n_movable + n_term), n_observations)
            As `WhiteDesign.move` gives it.
        two_sided : bool

        Returns
        -------
        float32 array, shape (n_draws, n_edges)
            With the sign of the coefficient unless two-sided.
        """
        n_movable, n_term = self.design.n_movable, self.design.n_term
        products = (moved @ self.unit).reshape(-1, n_movable + n_term, self.unit.shape[1])
        term = products[:, n_movable:]
        if n_term == 1:
            share = term[:, 0] * (term[:, 0] if two_sided else np.abs(term[:, 0]))
        else:
            share = np.einsum("bke,bke->be", term, term)
        if n_movable:
            lost = products[:, :n_movable]
            left = 1 - np.einsum("bke,bke->be", lost, lost)
            share /= np.maximum(left, np.float32(1e-7))
        return np.asarray(share)

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""
        return self.design.to_statistic(share)


class ExchangedDesign(Protocol):
    """A design that moves."""

    def move(self, rows: Index, signs: NDArray[np.int8] | None) -> Single:
        """Rearrange what an exchange moves."""


class ExchangedEdges(Protocol):
    """Edges of one design."""

    @property
    def design(self) -> ExchangedDesign:
        """What they share."""

    @property
    def edges(self) -> Index:
        """Which of the tested edges."""

    @property
    def observed(self) -> Array:
        """Their statistic."""

    def shares_of(self, moved: Single, *, two_sided: bool) -> Single:
        """Share of residual variation that the term explains."""

    def signed_shares(
        self, rows: Index, signs: NDArray[np.int8] | None, *, two_sided: bool
    ) -> Iterator[tuple[slice, Single]]:
        """Give what `shares_of` finds, with the edges of this part it is for."""

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""


def rearrange(
    parts: Sequence[ExchangedEdges], draw: tuple[Index, NDArray[np.int8] | None]
) -> Iterator[tuple[ExchangedEdges, Single]]:
    """Give parts with their designs rearranged; neighbours of one design share the work."""
    design, moved = None, np.empty(0, dtype=np.float32)
    for part in parts:
        if part.design is not design:
            design = part.design
            moved = design.move(*draw)
        yield part, moved


def rearrange_columns(columns: Array, rows: Index, signs: NDArray[np.int8] | None) -> Single:
    """Rearrange columns (n_observations, n) for every draw, (n_draws * n, n_observations)."""
    moved = columns.astype(np.float32)[rows]
    if signs is not None:
        moved = moved * signs[:, :, None]
    return np.ascontiguousarray(moved.transpose(0, 2, 1)).reshape(-1, columns.shape[0])


def share_to_statistic(share: Array, n_term: int, df: int) -> Array:
    """Turn shares of residual variation into t, with their sign, or F."""
    size = np.minimum(np.abs(share), 1.0)
    with np.errstate(divide="ignore"):
        f = (size / n_term) / ((1 - size) / df)
    return np.asarray(np.sign(share) * np.sqrt(f) if n_term == 1 else f)


def icc_steps(ratio: Array) -> NDArray[np.int8]:
    """Round variance ratios (n_edges,) to steps of the intraclass correlation."""
    step = np.round(ratio / (1 + ratio) / _ICC_STEP)
    return np.minimum(step, round(1 / _ICC_STEP) - 1).astype(np.int8)


def white_design(
    design: Design,
    columns: Sequence[int],
    exchange: Exchange,
    *,
    person: Index,
    step: int = 0,
) -> WhiteDesign:
    """Prepare the design of edges that share a step of the intraclass correlation.

    Parameters
    ----------
    design : Design
    columns : sequence of int
        Columns of the tested term.
    exchange : Exchange
    person : int array, shape (n_observations,)
    step : int
        As `icc_steps` gives it; 0 for a linear model.

    Returns
    -------
    WhiteDesign

    Raises
    ------
    ModelError
        If the design is singular or leaves no error.
    """
    ratio = step * _ICC_STEP / (1 - step * _ICC_STEP)
    x = whiten(design.matrix, person, ratio) if ratio else design.matrix
    if design.rank < x.shape[1]:
        raise ModelError([f"{name}: {note}" for name, note in design.notes.items()])
    if len(x) <= x.shape[1]:
        raise ModelError(f"permutation: {len(x)} rows for {x.shape[1]} columns leave no error")
    still, moving = split_nuisance(design, columns, exchange)
    ordered = x[:, [*still, *moving, *columns]]
    q, r = np.linalg.qr(ordered / np.sqrt((ordered**2).sum(axis=0)))
    return WhiteDesign(
        columns=q * np.sign(np.diag(r)),  # so that the sign of t is that of the coefficient
        n_still=len(still),
        n_movable=len(moving),
        n_term=len(columns),
        person=person,
        ratio=ratio,
    )


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
    small = np.min_scalar_type(exchange.n_rows)  # all draws are held while edges come and go
    if exhaustive:
        rows, signs = exchange.enumerate_all()
        for start in range(1, len(rows), at_once):
            part = slice(start, start + at_once)
            yield rows[part].astype(small), None if signs is None else signs[part]
        return
    for start in range(0, n_permutations, at_once):
        rows, signs = exchange.draw(rng, min(at_once, n_permutations - start))
        yield rows.astype(small), signs


def _unmoved(column: Array, exchange: Exchange) -> bool:
    if exchange.scheme == "signs":
        return False
    return all(np.ptp(column[members], axis=0).max() == 0 for members in exchange.sets)
