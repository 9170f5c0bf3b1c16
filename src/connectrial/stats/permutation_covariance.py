"""Freedman and Lane's permutations with a covariance within persons that is held fixed.

People whose rows have the same covariance matrix may change places with all their rows, and V^-1 of
an exchanged residual is then the exchanged V^-1 of the residual. So X'V^-1 P r is one product of
the rearranged design with V^-1 r for all edges, whatever the covariance of each, and what is left
to do for each edge and exchange is a triangle of as many columns as the design has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError, ModelError
from connectrial.stats.design import Coding, Design, build_design
from connectrial.stats.edgewise import fit_edges
from connectrial.stats.exchange import Exchange
from connectrial.stats.freedman_lane import rearrange_columns, share_to_statistic
from connectrial.stats.grammar import ParsedFormula
from connectrial.stats.random_effects import random_blocks
from connectrial.stats.small_matrices import invert_stack, root_of_inverse
from connectrial.stats.visits import read_visits

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Kind:
    """People whose rows have the same covariance.

    Attributes
    ----------
    index : int array, shape (n_people, n_dims)
        Rows of each person.
    basis : array, shape (n_components, n_dims, n_dims)
        Derivatives of the covariance by the variance components.
    crossed : array, shape (n_dims ** 2, n_columns ** 2)
        Sum over people of products of the design's columns.
    """

    index: Index
    basis: Array
    crossed: Array


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CovarianceDesign:
    """A design, and how the variance components of an edge make the covariance of its rows.

    Attributes
    ----------
    columns : array, shape (n_observations, n_columns)
        Orthonormal: nuisance, then the tested term.
    n_term : int
        Columns of the tested term.
    kinds : tuple of Kind
    formula : str
        Model without the tested term, on `table`.
    table : DataFrame, n_observations rows
    coding : mapping or None
        Numbers for levels.
    """

    columns: Array
    n_term: int
    kinds: tuple[Kind, ...]
    formula: str
    table: pd.DataFrame
    coding: Coding | None

    @property
    def df(self) -> int:
        """Residual degrees of freedom."""
        return int(self.columns.shape[0] - self.columns.shape[1])

    @property
    def n_moved(self) -> int:
        """Columns that an exchange moves."""
        return int(self.columns.shape[1])

    def move(self, rows: Index, signs: NDArray[np.int8] | None) -> Single:
        """Rearrange the design, (n_draws * n_columns, n_observations)."""
        return rearrange_columns(self.columns, rows, signs)

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""
        return share_to_statistic(share, self.n_term, self.df)

    def fit(self, outcomes: Array) -> Array:
        """Variance components (n_components, n_edges) under the null hypothesis; NaN if none."""
        fits = fit_edges(outcomes, self.formula, self.table, coding=self.coding, df="none")
        return fits.variance

    def take(self, edges: Index, outcomes: Array, components: Array) -> CovariancePart:
        """Prepare edges.

        Parameters
        ----------
        edges : int array, shape (n_edges,)
        outcomes : array, shape (n_observations, n_edges)
        components : array, shape (n_components, n_edges)
            As `fit` finds them.
        """
        p = self.n_moved
        nuisance = self.columns[:, : p - self.n_term]
        # less the ordinary fit, so that nothing cancels
        outcomes = outcomes - nuisance @ (nuisance.T @ outcomes)
        inverses = []
        precision = np.zeros((p * p, edges.size))
        for kind in self.kinds:
            d = kind.index.shape[1]
            value = kind.basis.reshape(len(components), -1).T @ components
            inverse, _ = invert_stack(value.reshape(d, d, -1))
            inverses.append(inverse)
            precision += kind.crossed.T @ inverse.reshape(d * d, -1)
        whole = precision.reshape(p, p, -1)
        m = p - self.n_term
        inverse, _ = invert_stack(np.ascontiguousarray(whole[:m, :m]))
        gamma = np.einsum("pqe,qe->pe", inverse, nuisance.T @ self._divide(inverses, outcomes))
        left = outcomes - nuisance @ gamma
        turned = self._divide(inverses, left)
        size = np.sqrt(np.einsum("ne,ne->e", left, turned))
        root = root_of_inverse(whole)[0]
        projected = np.einsum("pqe,qe->pe", root, self.columns.T @ (turned / size))[m:]
        share = (projected**2).sum(axis=0)
        if self.n_term == 1:
            share = share * np.sign(projected[0])
        return CovariancePart(
            design=self,
            edges=edges,
            unit=(turned / size).astype(np.float32),
            root=root.astype(np.float32),
            observed=self.to_statistic(share),
        )

    def _divide(self, inverses: Sequence[Array], values: Array) -> Array:
        """V^-1 times values (n_observations, n_edges)."""
        out = np.empty_like(values)
        for kind, inverse in zip(self.kinds, inverses, strict=True):
            out[kind.index] = np.einsum("ste,ite->ise", inverse, values[kind.index])
        return out


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CovariancePart:
    """Edges ready to be permuted, each with a covariance of its own.

    Attributes
    ----------
    design : CovarianceDesign
    edges : int array, shape (n_edges,)
        Which of the tested edges.
    unit : float32 array, shape (n_observations, n_edges)
        V^-1 r, r being the residuals of the reduced model with r'V^-1 r = 1.
    root : float32 array, shape (n_columns, n_columns, n_edges)
        Inverse of the lower Cholesky factor of X'V^-1 X.
    observed : array, shape (n_edges,)
        t with the sign of the coefficient, or F.
    """

    design: CovarianceDesign
    edges: Index
    unit: Single
    root: Single
    observed: Array

    def signed_shares(
        self, rows: Index, signs: NDArray[np.int8] | None, *, two_sided: bool
    ) -> Iterator[tuple[slice, Single]]:
        """Give what `shares_of` finds for exchanges, with the edges of this part it is for."""
        yield slice(None), self.shares_of(self.design.move(rows, signs), two_sided=two_sided)

    def shares_of(self, moved: Single, *, two_sided: bool) -> Single:
        """Share of residual variation that the term explains, as of `Part`."""
        p = self.design.n_moved
        products = (moved @ self.unit).reshape(-1, p, self.unit.shape[1])
        turned = [
            np.einsum("je,bje->be", self.root[i, : i + 1], products[:, : i + 1]) for i in range(p)
        ]
        m = p - self.design.n_term
        share = np.sum([one * one for one in turned[m:]], axis=0)
        left = 1 - np.sum([one * one for one in turned[:m]], axis=0)
        share /= np.maximum(left, np.float32(1e-7))
        if not two_sided and self.design.n_term == 1:
            share *= np.sign(turned[m])
        return np.asarray(share)

    def to_statistic(self, share: Array) -> Array:
        """Turn shares into t, with their sign, or F."""
        return self.design.to_statistic(share)


def covariance_design(
    parsed: ParsedFormula,
    design: Design,
    columns: Sequence[int],
    exchange: Exchange,
    data: pd.DataFrame,
    person: Index,
    *,
    coding: Coding | None,
) -> CovarianceDesign:
    """Prepare permutations with the covariance that a formula names.

    Parameters
    ----------
    parsed : ParsedFormula
        With a residual covariance, or random terms within persons.
    design : Design
    columns : sequence of int
        Columns of the tested term.
    exchange : Exchange
    data : DataFrame
        The table that the design was made of.
    person : int array, shape (n_observations,)
    coding : mapping or None
        Numbers for levels.

    Returns
    -------
    CovarianceDesign

    Raises
    ------
    InputError
        If a random term goes beyond persons.
    ModelError
        If an exchange moves rows to a place with another covariance, or the design is singular or
        leaves no error.
    """
    if design.rank < design.matrix.shape[1]:
        raise ModelError([f"{name}: {note}" for name, note in design.notes.items()])
    others = [j for j in range(design.matrix.shape[1]) if j not in columns]
    if not others:
        raise ModelError(
            "permutation: with the tested term out nothing is left to estimate a covariance by; "
            "leave the covariance out, blocks keep the rows of a person together"
        )
    if len(design.matrix) <= design.matrix.shape[1]:
        raise ModelError(
            f"permutation: {len(design.matrix)} rows for {design.matrix.shape[1]} columns leave no "
            "error"
        )
    q, r = np.linalg.qr(design.matrix[:, [*others, *columns]])
    q = q * np.sign(np.diag(r))  # so that the sign of t is that of the coefficient
    names = [f"_nuisance{k}" for k in range(len(others))]
    nuisance = pd.DataFrame(q[:, : len(others)], columns=names)
    table = pd.concat([data.iloc[design.rows].reset_index(drop=True), nuisance], axis=1)
    formula = f"0 + {' + '.join(names)} + {_spelled(parsed)}"
    bases = _bases(parsed, build_design(formula, table, coding=coding), person)
    _check_exchange(exchange, bases, person)
    kinds = []
    for index, basis in _by_kind(bases, person):
        wide = q[index].reshape(len(index), -1)
        d, p = index.shape[1], q.shape[1]
        crossed = (wide.T @ wide).reshape(d, p, d, p).transpose(0, 2, 1, 3)
        kinds.append(Kind(index=index, basis=basis, crossed=crossed.reshape(d * d, p * p)))
    return CovarianceDesign(
        columns=q,
        n_term=len(columns),
        kinds=tuple(kinds),
        formula=formula,
        table=table,
        coding=coding,
    )


def _spelled(parsed: ParsedFormula) -> str:
    """Write the random part of a formula."""
    if parsed.covariance is not None:
        term = parsed.covariance
        arm = f"{term.arm} / " if term.arm else ""
        return f"{term.structure}({term.visit} | {arm}{term.subject})"
    return " + ".join(f"({term.effects} | {term.group})" for term in parsed.random)


class _Bases:
    """Derivatives of the covariance of rows of a person by the variance components."""

    def __init__(self, left: list[Array], right: list[Array], same: list[Index | None]) -> None:
        self.left, self.right, self.same = left, right, same

    def of(self, rows: Index) -> Array:
        """Give the derivatives (n_components, n_rows, n_rows)."""
        found = []
        for a, b, codes in zip(self.left, self.right, self.same, strict=True):
            product = np.outer(a[rows], b[rows])
            if codes is not None:
                product = product * (codes[rows][:, None] == codes[rows])
            found.append(product if a is b else product + product.T)
        return np.stack(found)


def _bases(parsed: ParsedFormula, design: Design, person: Index) -> _Bases:
    left: list[Array] = []
    right: list[Array] = []
    same: list[Index | None] = []
    if parsed.covariance is not None:
        table = read_visits(parsed.covariance, design)
        for g in range(len(table.group_names)):
            seen = [
                ((table.visit == v) & (table.group == g)).astype(float)
                for v in range(len(table.visit_names))
            ]
            for a in range(len(seen)):
                for b in range(a + 1):
                    left.append(seen[a])
                    right.append(seen[b])
                    same.append(None)
        return _Bases(left, right, same)
    for block in random_blocks(parsed, design):
        owners = pd.DataFrame({"group": block.codes, "person": person}).drop_duplicates()
        if owners["group"].duplicated().any():
            raise InputError(
                f"blocks: grouping {block.label!r} has rows of several people, who then cannot "
                "change places alone; permutation takes random terms within people only"
            )
        effects = list((block.effects * block.scales).T)
        for a in range(len(effects)):
            for b in range(a + 1):
                left.append(effects[a])
                right.append(effects[b])
                same.append(block.codes)
    rows = np.arange(len(person))
    one = np.ones(len(person))
    return _Bases([*left, one], [*right, one], [*same, rows])


def _check_exchange(exchange: Exchange, bases: _Bases, person: Index) -> None:
    if exchange.scheme == "within":
        raise ModelError(
            "permutation: rows of a person are exchanged for this term, which a covariance other "
            "than a random intercept's does not allow; take '(1 | subject)', or no random term"
        )
    if exchange.scheme == "signs":
        return
    for members in exchange.sets:
        kept = bases.of(members[0])
        for member in members[1:]:
            if not np.allclose(bases.of(member), kept, rtol=0, atol=1e-10):
                raise ModelError(
                    "permutation: people with the same visits have covariances of their own (one "
                    "for each arm, or slopes over times that differ), so that they cannot change "
                    "places; take one covariance for all, or times as planned"
                )


def _by_kind(bases: _Bases, person: Index) -> Iterator[tuple[Index, Array]]:
    kinds: dict[bytes, tuple[list[Index], Array]] = {}
    order = np.argsort(person, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(person[order])) + 1):
        basis = bases.of(rows)
        kinds.setdefault(np.round(basis, 10).tobytes(), ([], basis))[0].append(rows)
    for members, basis in kinds.values():
        yield np.stack(members), basis
