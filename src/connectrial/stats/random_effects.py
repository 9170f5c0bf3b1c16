"""Random effects as numbers: their designs, their covariances, the boundary, their predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design, expand_effects, find_dependent_columns
from connectrial.stats.grammar import ParsedFormula
from connectrial.stats.patterns import Layout, RandomBlock, group_codes

Array = NDArray[np.float64]

_ZERO = 1e-6  # of the larger of an effect's and the residual's deviation: on the boundary


def random_blocks(parsed: ParsedFormula, design: Design) -> list[RandomBlock]:
    """Turn the random terms of a formula into numbers, on the rows that a design uses.

    Parameters
    ----------
    parsed : ParsedFormula
        With its random terms.
    design : Design
        Whose rows are used.

    Returns
    -------
    list of RandomBlock
        Effects are scaled to unit root mean square; `scales` holds by how much.

    Raises
    ------
    ModelError
        If the effects of a term are collinear or given twice, if ``||`` was used with a factor, or
        if groups and effects are as many as the rows.
    """
    blocks: list[RandomBlock] = []
    for term in parsed.random:
        label = f"({term.effects} | {term.group})"
        effects, names, factors = expand_effects(term.effects, design.frame)
        if term.split and factors:
            raise ModelError(
                f"random term {label}: '||' takes numeric variables only, and {factors[0]!r} is a "
                "factor; code its levels as numbers, or use '|'"
            )
        estimable, _, notes = find_dependent_columns(effects, names)
        if not estimable.all():
            raise ModelError(
                f"random term {label}: effects depend on each other: "
                + "; ".join(f"{name} {note}" for name, note in notes.items())
            )
        codes, groups = group_codes([list(design.frame[name]) for name in term.groups])
        scales = np.sqrt(np.mean(effects**2, axis=0))
        blocks.append(
            RandomBlock(
                label=term.group,
                effects=effects / scales,
                effect_names=names,
                scales=scales,
                codes=codes,
                group_names=groups,
            )
        )
    _check_groups(blocks, design)
    return blocks


def _check_groups(blocks: Sequence[RandomBlock], design: Design) -> None:
    n = design.n_observations
    seen: set[tuple[str, str]] = set()
    for block in blocks:
        n_groups, n_effects = len(block.group_names), block.effects.shape[1]
        if n_groups < 2:
            raise ModelError(
                f"grouping {block.label!r}: one level only, {block.group_names[0]!r}, in {n} "
                "complete rows; a variance between groups needs at least two, and better ten"
            )
        if n_groups * n_effects >= n:
            raise ModelError(
                f"grouping {block.label!r}: {n_groups} levels x {n_effects} random effects for {n} "
                "complete rows; they cannot be told from the residual; "
                "give repeated observations, or fewer random effects"
            )
        pairs = {(block.label, name) for name in block.effect_names}
        if twice := pairs & seen:
            label, name = next(iter(twice))
            raise ModelError(f"grouping {label!r}: random effect {name!r} is given twice; keep one")
        seen |= pairs


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
            lower = _unpack(factors[:, part], size)
            a, b = np.tril_indices(size)
            out[:, part] = np.einsum("eac,ebc->eab", lower, lower)[:, a, b]
        out[:, -1] = factors[:, -1] ** 2
        return out

    def jacobian(self, factors: Array) -> Array:
        """Differentiate `natural` by the factors, (n, n_parameters, n_parameters)."""
        n, k = factors.shape
        out = np.zeros((n, k, k))
        for size, part in zip(self.sizes, self.slices(), strict=True):
            lower = _unpack(factors[:, part], size)
            pairs = [(a, b) for a in range(size) for b in range(a + 1)]
            for i, (a, b) in enumerate(pairs):
                for j, (c, d) in enumerate(pairs):
                    out[:, part.start + i, part.start + j] = (a == c) * lower[:, b, d] + (
                        b == c
                    ) * lower[:, a, d]
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
            lower = _unpack(natural[:, part], size)
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
            lower = _unpack(factors[:, part], size)
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
            lower = _unpack(gradient[:, part], size)
            matrix = (lower + np.swapaxes(lower, 1, 2)) / 2
            worst = np.minimum(worst, np.linalg.eigvalsh(matrix)[:, 0])
        return worst


def _unpack(packed: Array, size: int) -> Array:
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


def parameter_units(blocks: Sequence[RandomBlock]) -> Array:
    """Give the scales of (co)variances (n_parameters,) that scaled effects have."""
    units: list[float] = []
    for block in blocks:
        a, b = np.tril_indices(len(block.scales))
        units += list(block.scales[a] * block.scales[b])
    return np.array([*units, 1.0])


def variance_table(blocks: Sequence[RandomBlock], parameters: Array) -> pd.DataFrame:
    """List variance components: variances and covariances, with deviations and correlations.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms.
    parameters : (n_parameters,) array
        (Co)variances in the units of the outcome, of effects as they were given.

    Returns
    -------
    DataFrame
        Indexed by component.
    """
    rows: list[dict[str, object]] = []
    position = 0
    for block in blocks:
        size = len(block.effect_names)
        matrix = _unpack(parameters[None, position : position + size * (size + 1) // 2], size)[0]
        position += size * (size + 1) // 2
        sd = np.sqrt(np.diag(matrix))
        for a in range(size):
            for b in range(a + 1):
                diagonal = a == b
                product = sd[a] * sd[b]
                correlation = matrix[a, b] / product if product > 0 else np.nan
                rows.append(
                    {
                        "component": _component(block, a, b),
                        "group": block.label,
                        "effect": block.effect_names[b],
                        "effect_2": "" if diagonal else block.effect_names[a],
                        "estimate": matrix[a, b],
                        "sd_or_correlation": sd[a] if diagonal else correlation,
                    }
                )
    rows.append(
        {
            "component": "Residual",
            "group": "Residual",
            "effect": "",
            "effect_2": "",
            "estimate": parameters[-1],
            "sd_or_correlation": np.sqrt(parameters[-1]),
        }
    )
    return pd.DataFrame(rows).set_index("component")


def component_names(blocks: Sequence[RandomBlock]) -> list[str]:
    """Name variance components: lower triangles by rows, term after term, then the residual."""
    return [
        *(
            _component(block, a, b)
            for block in blocks
            for a in range(len(block.effect_names))
            for b in range(a + 1)
        ),
        "Residual",
    ]


def restrict_blocks(blocks: Sequence[RandomBlock], rows: NDArray[np.intp]) -> list[RandomBlock]:
    """Keep some rows of random terms, and the groups that these rows have."""
    found = []
    for block in blocks:
        groups, codes = np.unique(block.codes[rows], return_inverse=True)
        found.append(
            replace(
                block,
                effects=block.effects[rows],
                codes=codes,
                group_names=tuple(block.group_names[k] for k in groups),
            )
        )
    return found


def _component(block: RandomBlock, a: int, b: int) -> str:
    if block.effect_names == ("Intercept",):
        return block.label
    names = dict.fromkeys([block.effect_names[b], block.effect_names[a]])
    return f"{block.label} {' x '.join(names)}"


def predict_effects(
    blocks: Sequence[RandomBlock],
    layout: Layout,
    residual: Array,
    parameters: Array,
    inverses: Sequence[Array],
) -> list[Array]:
    """Find best linear unbiased predictions of the random effects.

    Parameters
    ----------
    blocks : sequence of RandomBlock
        Random terms.
    layout : Layout
        Of the rows.
    residual : (n_observations,) array
        Outcome minus its fixed part.
    parameters : (n_parameters,) array
        (Co)variances of scaled effects; only their ratio to V counts.
    inverses : sequence of (n_patterns, n_dims, n_dims) arrays
        V^-1 of each stack of patterns.

    Returns
    -------
    list of (n_groups, n_effects) arrays
    """
    weighted = np.zeros(len(residual))
    for stack, inverse in zip(layout.stacks(), inverses, strict=False):
        for pattern, v in zip(stack, inverse, strict=True):
            turned = pattern.rotate(residual[:, None])[:, :, 0] @ v
            back = turned if pattern.rotation is None else turned @ pattern.rotation
            weighted[pattern.index] = back
    found = []
    covariances = CholeskyMap(tuple(len(b.effect_names) for b in blocks)).matrices(parameters[None])
    for block, covariance in zip(blocks, covariances, strict=True):
        sums = np.stack(
            [
                np.bincount(block.codes, effect * weighted, minlength=len(block.group_names))
                for effect in block.effects.T
            ],
            axis=1,
        )
        found.append(sums @ covariance[0])
    return found
