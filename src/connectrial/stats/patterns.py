"""Rows of a mixed model in independent blocks, blocks in patterns, patterns as moments.

Blocks share nothing but fixed effects; blocks with the same random-effect design are one pattern.
Within a block an orthonormal basis of the random-effect design's columns holds all that the random
effects touch; what is orthogonal to it is white, with the residual variance. Likelihoods then need
only the moments of X and y in those few dimensions, whatever the number of people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float64]

_RANK_TOLERANCE = 1e-10
_FEW_NUMBERS = 2**16


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RandomBlock:
    """One random term as numbers.

    Parameters
    ----------
    label : str
        Grouping, ``subject`` or ``subject:visit``.
    effects : (n_observations, n_effects) array
        What varies over the groups, each column scaled to unit root mean square.
    effect_names : tuple of str
        Names of its columns.
    scales : (n_effects,) array
        What the columns were divided by.
    codes : (n_observations,) int array
        Group of each row.
    group_names : tuple of str
        Name of each group.
    """

    label: str
    effects: Array
    effect_names: tuple[str, ...]
    scales: Array
    codes: NDArray[np.intp]
    group_names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pattern:
    """Blocks of rows with one covariance matrix between them.

    Parameters
    ----------
    index : (n_blocks, n_rows) int array
        Rows of each block.
    rotation : (n_dims, n_rows) array or None
        Orthonormal rows that span what the covariance touches; None if the rows stand as they are.
    basis : (n_parameters, n_dims, n_dims) array
        Derivatives of the covariance in the rotated space, for linear parameters.
    x : (n_blocks, n_dims, n_columns) array
        Rotated design.
    """

    index: NDArray[np.intp]
    rotation: Array | None
    basis: Array
    x: Array

    @property
    def n_blocks(self) -> int:
        """Blocks of this pattern."""
        return int(self.x.shape[0])

    @property
    def n_dims(self) -> int:
        """Dimensions of a block after rotation."""
        return int(self.x.shape[1])

    def rotate(self, outcomes: Array) -> Array:
        """Rotate outcomes (n_observations, n_outcomes) to (n_blocks, n_dims, n_outcomes)."""
        rows = outcomes[self.index]
        return rows if self.rotation is None else np.matmul(self.rotation, rows)

    def left_over(self, values: Array) -> Array:
        """Part of values (n_observations, k) orthogonal to the rotation, rows on end."""
        rows = values[self.index]
        if self.rotation is not None:
            rows = rows - np.matmul(self.rotation.T, np.matmul(self.rotation, rows))
        return rows.reshape(-1, values.shape[1])


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layout:
    """All patterns of a model and the white part that is left over.

    Parameters
    ----------
    patterns : tuple of Pattern
        Blocks by covariance.
    white_x : (n_observations, n_columns) array
        White part of the design, block after block.
    n_white : int
        Dimensions of the white part.
    n_parameters : int
        Covariance parameters, the residual variance last.
    """

    patterns: tuple[Pattern, ...]
    white_x: Array
    n_white: int
    n_parameters: int

    def left_over(self, values: Array) -> Array:
        """White part of values (n_observations, k), block after block."""
        if not self.patterns:
            return values
        return np.concatenate([pattern.left_over(values) for pattern in self.patterns])

    def stacks(self) -> list[tuple[Pattern, ...]]:
        """Patterns of the same dimension together, in order of dimension."""
        dims = sorted({pattern.n_dims for pattern in self.patterns if pattern.n_dims})
        return [tuple(p for p in self.patterns if p.n_dims == d) for d in dims]

    def bases(self) -> list[Array]:
        """Give the derivatives of the covariance, one array for each of the moments of `gather`.

        Returns
        -------
        list of (n_parameters, n_patterns, n_dims, n_dims) arrays
        """
        bases = [np.stack([p.basis for p in stack], axis=1) for stack in self.stacks()]
        if self.n_white:
            white = np.zeros((self.n_parameters, 1, 1, 1))
            white[-1] = 1.0
            bases.append(white)
        return bases


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Moments:
    """Second moments of patterns of one dimension, for many outcomes at once.

    Parameters
    ----------
    n_blocks : (n_patterns,) array
        Blocks that were summed over.
    n_dims : int
        Dimensions of a block.
    n_columns : int
        Columns of the design.
    xx : (n_patterns * n_pairs, n_columns * (n_columns + 1) / 2) array
        For every pair of dimensions s <= t of a pattern, the sum over blocks of x_s x_t' + x_t x_s'
        (once where s = t): its upper triangle by rows.
    xy : (n_outcomes, n_patterns * n_pairs, n_columns) array
        The same of x with y.
    yy : (n_outcomes, n_patterns * n_pairs) array
        The same of y with y.
    """

    n_blocks: Array
    n_dims: int
    n_columns: int
    xx: Array
    xy: Array
    yy: Array

    def take(self, outcomes: NDArray[np.intp] | NDArray[np.bool_]) -> Moments:
        """Moments of some of the outcomes."""
        return Moments(
            n_blocks=self.n_blocks,
            n_dims=self.n_dims,
            n_columns=self.n_columns,
            xx=self.xx,
            xy=self.xy[outcomes],
            yy=self.yy[outcomes],
        )


def group_codes(columns: Sequence[Sequence[object]]) -> tuple[NDArray[np.intp], tuple[str, ...]]:
    """Give each combination of grouping variables that occurs a number, in sorted order."""
    joined = [tuple(str(value) for value in row) for row in zip(*columns, strict=True)]
    names = sorted(set(joined))
    position = {name: code for code, name in enumerate(names)}
    codes = np.fromiter((position[row] for row in joined), dtype=np.intp, count=len(joined))
    return codes, tuple(":".join(name) for name in names)


def lay_out(blocks: Sequence[RandomBlock], x: Array) -> Layout:
    """Sort rows into independent blocks and these into patterns.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms; none leaves only the white part.
    x : (n_observations, n_columns) array
        Design of the fixed part.

    Returns
    -------
    Layout
        Linear parameters: for each term the (co)variances of its effects, lower triangle by rows,
        then the residual variance.
    """
    n_parameters = 1 + sum(
        block.effects.shape[1] * (block.effects.shape[1] + 1) // 2 for block in blocks
    )
    if not blocks:
        return Layout(patterns=(), white_x=x, n_white=x.shape[0], n_parameters=n_parameters)
    members = _independent_rows(blocks)
    grouped: dict[bytes, list[NDArray[np.intp]]] = {}
    for rows in members:
        ordered, key = _canonical(rows, blocks)
        grouped.setdefault(key, []).append(ordered)
    patterns = tuple(_pattern(np.stack(index), blocks, x) for index in grouped.values())
    white = np.concatenate([pattern.left_over(x) for pattern in patterns])
    used = sum(pattern.n_blocks * pattern.n_dims for pattern in patterns)
    return Layout(
        patterns=patterns,
        white_x=white,
        n_white=x.shape[0] - used,
        n_parameters=n_parameters,
    )


def gather(layout: Layout, outcomes: Array) -> list[Moments]:
    """Sum the moments of outcomes over the blocks of every pattern, the white part last.

    Parameters
    ----------
    layout : Layout
        Of the rows.
    outcomes : (n_observations, n_outcomes) array
        Residuals of the outcomes after ordinary least squares, so that nothing cancels.

    Returns
    -------
    list of Moments
    """
    found = [_stack_moments(stack, outcomes) for stack in layout.stacks()]
    if layout.n_white:
        found.append(_white_moments(layout, outcomes))
    return found


def pack(matrices: Array) -> Array:
    """Upper triangles by rows (..., d (d + 1) / 2) of symmetric matrices (..., d, d)."""
    d = matrices.shape[-1]
    return matrices.reshape(*matrices.shape[:-2], d * d).take(_triangle(d)[0], axis=-1)


def unpack(packed: Array, d: int) -> Array:
    """Symmetric matrices (..., d, d) from their upper triangles by rows."""
    return packed.take(_triangle(d)[1], axis=-1).reshape(*packed.shape[:-1], d, d)


def unpack_rows(packed: Array, d: int) -> Array:
    """Symmetric matrices (d, d, ...) from upper triangles by rows (d (d + 1) / 2, ...)."""
    return packed.take(_triangle(d)[1], axis=0).reshape(d, d, *packed.shape[1:])


def pack_rows(matrices: Array) -> Array:
    """Upper triangles by rows (d (d + 1) / 2, ...) of symmetric matrices (d, d, ...)."""
    d = len(matrices)
    return matrices.reshape(d * d, *matrices.shape[2:]).take(_triangle(d)[0], axis=0)


def times_seen(d: int) -> Array:
    """How often each cell of an upper triangle stands in the whole matrix, (d (d + 1) / 2,)."""
    return _triangle(d)[2]


@lru_cache(maxsize=256)
def _triangle(d: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Cells of an upper triangle in the matrix, the reverse, and how often they stand there."""
    a, b = np.triu_indices(d)
    position = np.zeros((d, d), dtype=np.intp)
    position[a, b] = position[b, a] = np.arange(len(a))
    return a * d + b, position.ravel(), np.where(a == b, 1.0, 2.0)


def _stack_moments(stack: Sequence[Pattern], outcomes: Array) -> Moments:
    d, p, e = stack[0].n_dims, stack[0].x.shape[2], outcomes.shape[1]
    a, b = np.triu_indices(d)
    once = np.where(a == b, 0.5, 1.0)[:, None, None]
    xx, xy, yy = [], [], []
    for pattern in stack:
        y = pattern.rotate(outcomes)
        wide_x = pattern.x.reshape(pattern.n_blocks, d * p)
        wide_y = y.reshape(pattern.n_blocks, d * e)
        squares = (wide_x.T @ wide_x).reshape(d, p, d, p).transpose(0, 2, 1, 3)
        crossed = (wide_x.T @ wide_y).reshape(d, p, d, e).transpose(0, 2, 1, 3)
        xx.append(pack((squares[a, b] + squares[b, a]) * once))
        xy.append((crossed[a, b] + crossed[b, a]) * once)
        # one product of matrices for few outcomes, one pass per pair of dimensions for many
        products = (
            np.einsum("ise,ite->ste", y, y)[a, b]
            if e * d * d < _FEW_NUMBERS
            else np.stack(
                [np.einsum("ie,ie->e", y[:, s], y[:, t]) for s, t in zip(a, b, strict=True)]
            )
        )
        yy.append(products * np.where(a == b, 1.0, 2.0)[:, None])
    return Moments(
        n_blocks=np.array([float(pattern.n_blocks) for pattern in stack]),
        n_dims=d,
        n_columns=p,
        xx=np.concatenate(xx),
        xy=np.ascontiguousarray(np.concatenate(xy).transpose(2, 0, 1)),
        yy=np.ascontiguousarray(np.concatenate(yy).T),
    )


def _white_moments(layout: Layout, outcomes: Array) -> Moments:
    p, e = layout.white_x.shape[1], outcomes.shape[1]
    left = layout.left_over(outcomes)
    return Moments(
        n_blocks=np.array([float(layout.n_white)]),
        n_dims=1,
        n_columns=p,
        xx=pack(layout.white_x.T @ layout.white_x)[None],
        xy=(layout.white_x.T @ left).T.reshape(e, 1, p),
        yy=np.einsum("ne,ne->e", left, left).reshape(e, 1),
    )


def _independent_rows(blocks: Sequence[RandomBlock]) -> list[NDArray[np.intp]]:
    """Rows that share a group, directly or through others, belong together."""
    n = len(blocks[0].codes)
    offset, rows, levels = n, [], []
    for block in blocks:
        rows.append(np.arange(n))
        levels.append(block.codes + offset)
        offset += len(block.group_names)
    links = coo_matrix(
        (np.ones(n * len(blocks)), (np.concatenate(rows), np.concatenate(levels))),
        shape=(offset, offset),
    )
    labels = connected_components(links, directed=False)[1][:n]
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)


def _canonical(
    rows: NDArray[np.intp], blocks: Sequence[RandomBlock]
) -> tuple[NDArray[np.intp], bytes]:
    """Rows of a block in an order of their own, and what blocks of one pattern share."""
    keys = [block.codes[rows] for block in reversed(blocks)]
    keys += [column for block in reversed(blocks) for column in block.effects[rows].T]
    ordered = rows[np.lexsort(keys)]
    parts = [np.float64(len(rows)).tobytes()]
    for block in blocks:
        first = {code: rank for rank, code in enumerate(dict.fromkeys(block.codes[ordered]))}
        parts.append(np.array([first[code] for code in block.codes[ordered]]).tobytes())
        parts.append((block.effects[ordered] + 0.0).tobytes())
    return ordered, b"".join(parts)


def _pattern(index: NDArray[np.intp], blocks: Sequence[RandomBlock], x: Array) -> Pattern:
    """Rotate one pattern to the space of its random effects."""
    rows = index[0]
    designs = []
    for block in blocks:
        codes = np.unique(block.codes[rows], return_inverse=True)[1]
        indicator = np.eye(codes.max() + 1)[codes]
        designs.append([indicator * effect[:, None] for effect in block.effects[rows].T])
    wide = np.concatenate([part for design in designs for part in design], axis=1)
    u, s, _ = np.linalg.svd(wide, full_matrices=False)
    rotation = u[:, s > _RANK_TOLERANCE * s[0]].T if s[0] > 0 else np.zeros((0, len(rows)))
    basis = []
    for design in designs:
        turned = [rotation @ part for part in design]
        for a in range(len(turned)):
            for b in range(a + 1):
                product = turned[a] @ turned[b].T
                basis.append(product if a == b else product + product.T)
    basis.append(np.eye(rotation.shape[0]))
    return Pattern(
        index=index,
        rotation=rotation,
        basis=np.stack(basis),
        x=np.matmul(rotation, x[index]),
    )
