"""What many outcomes with one design share: the random part, patterns of missing rows, results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design
from connectrial.stats.grammar import ParsedFormula
from connectrial.stats.intercept_edges import EdgeBlock, fit_intercept_edges
from connectrial.stats.patterns import RandomBlock
from connectrial.stats.random_effects import component_names, random_blocks, restrict_blocks
from connectrial.stats.structured_edges import fit_random_edges, fit_visit_edges
from connectrial.stats.visits import VisitTable, check_pairs, read_visits, restrict_visits
from connectrial.stats.visits import component_names as visit_names

Array = NDArray[np.float64]

_SCANNED_NUMBERS = 2**20  # whose missing values are looked for at once
_BLOCK_NUMBERS = 2**18  # per array of a block: stays in the cache, and memory stays flat


@dataclass(frozen=True, slots=True, eq=False)
class EdgeModel:
    """What varies or covaries, besides the fixed part."""

    blocks: tuple[RandomBlock, ...]
    table: VisitTable | None
    structure: str
    df: str
    components: tuple[str, ...]

    @classmethod
    def read(cls, parsed: ParsedFormula, design: Design, df: str) -> EdgeModel:
        """Read the random part of a formula on the rows of a design."""
        if parsed.covariance is None:
            blocks = random_blocks(parsed, design)
            return cls(tuple(blocks), None, "", df, tuple(component_names(blocks)))
        if parsed.random:
            raise ModelError(
                "formula: has random terms and a residual covariance; keep one of the two"
            )
        table = read_visits(parsed.covariance, design)
        structure = parsed.covariance.structure
        check_pairs(structure, table)
        return cls((), table, structure, df, tuple(visit_names(table)))

    def fitter(
        self, x: Array, names: Sequence[str], rows: NDArray[np.intp]
    ) -> tuple[Callable[[Array], EdgeBlock] | None, int]:
        """Set up the fit on some of the design's rows, sorted; None if it cannot be done."""
        if self.table is not None:
            table = restrict_visits(self.table, rows)
            if table is None or len(table.subject_names) < 2:
                return None, 0 if table is None else len(table.subject_names)
            try:
                check_pairs(self.structure, table)
            except ModelError:
                return None, len(table.subject_names)
            fit = fit_visit_edges(x, names, self.structure, table, df=self.df)
            return fit, len(table.subject_names)
        if not self.blocks:
            return fit_random_edges(x, names, (), df=self.df), len(rows)
        blocks = restrict_blocks(self.blocks, rows)
        n_groups = [len(block.group_names) for block in blocks]
        sizes = [n * len(b.effect_names) for n, b in zip(n_groups, blocks, strict=True)]
        if min(n_groups) < 2 or max(sizes) >= len(rows):
            return None, min(n_groups)
        if self.is_intercept and self.df in {"residual", "satterthwaite", "none"}:
            return fit_intercept_edges(x, blocks[0].codes, df=self.df), n_groups[0]
        return fit_random_edges(x, names, blocks, df=self.df), min(n_groups)

    @property
    def is_intercept(self) -> bool:
        """One random intercept and nothing else."""
        return len(self.blocks) == 1 and self.blocks[0].effect_names == ("Intercept",)

    def order(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        """Rows sorted by subject, which the fit of a random intercept needs."""
        return rows[np.argsort(self.blocks[0].codes[rows], kind="stable")] if self.blocks else rows

    def block_size(self, n_rows: int, n_columns: int) -> int:
        """Edges that are fitted at once, so that their arrays stay small."""
        if self.is_intercept:
            # few rows: in the cache; many rows: enough edges to be worth a call
            return max(_BLOCK_NUMBERS // n_rows, min(1024, 16 * _BLOCK_NUMBERS // n_rows), 1)
        return max(64, 4 * _BLOCK_NUMBERS // (len(self.components) * (n_columns**2 + 30)))


@dataclass(frozen=True, slots=True, eq=False)
class EdgeStore:
    """Arrays that patterns of missing rows fill in."""

    estimate: Array
    se: Array
    df: Array
    variance: Array
    deviance: Array
    singular: NDArray[np.bool_]
    n_observations: NDArray[np.intp]
    n_subjects: NDArray[np.intp]
    flags: NDArray[np.object_]

    @classmethod
    def empty(cls, n_terms: int, n_components: int, n_edges: int) -> EdgeStore:
        """Give arrays full of NaN."""

        def table(n: int) -> Array:
            return np.full((n, n_edges), np.nan)

        flags = np.full(n_edges, "", dtype=object)
        counts = np.zeros(n_edges, dtype=np.intp)
        return cls(
            estimate=table(n_terms),
            se=table(n_terms),
            df=table(n_terms),
            variance=table(n_components),
            deviance=np.full(n_edges, np.nan),
            singular=np.zeros(n_edges, dtype=bool),
            n_observations=counts,
            n_subjects=counts.copy(),
            flags=flags,
        )

    def take(self, edges: NDArray[np.intp], kept: NDArray[np.intp], fits: EdgeBlock) -> None:
        """Store a block of fits at their columns and edges."""
        place = np.ix_(kept, edges)
        self.estimate[place], self.se[place], self.df[place] = fits.estimate, fits.se, fits.df
        self.variance[:, edges] = fits.variance
        self.deviance[edges] = fits.deviance
        self.singular[edges] = fits.singular
        self.flags[edges[fits.singular]] = "singular"
        failed = ~fits.fitted
        for array in (self.estimate, self.se, self.df, self.variance):
            array[:, edges[failed]] = np.nan
        self.deviance[edges[failed]] = np.nan
        self.singular[edges[failed]] = False
        self.flags[edges[failed]] = fits.reason[failed]


def split_by_missingness(
    values: Array, rows: NDArray[np.intp]
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], str]]:
    """(positions of the design's rows, edges that have them all, flag) for each pattern."""
    everything = np.arange(len(rows))
    n_edges = values.shape[1]
    whole = np.ones(n_edges, dtype=bool)
    infinite: list[int] = []
    keys: dict[bytes, list[int]] = {}
    size = max(64, _SCANNED_NUMBERS // max(len(rows), 1))
    for start in range(0, n_edges, size):
        part = values[:, start : start + size]
        if len(rows) < len(values):
            part = part[rows]
        complete = np.isfinite(part).all(axis=0)
        whole[start : start + size] = complete
        ragged = np.flatnonzero(~complete)
        has_infinity = np.any(np.isinf(part[:, ragged]), axis=0).tolist()
        packed = np.packbits(np.isnan(part[:, ragged]), axis=0).T
        for edge, key, is_infinite in zip(start + ragged, packed, has_infinity, strict=True):
            if is_infinite:
                infinite.append(int(edge))
            else:
                keys.setdefault(key.tobytes(), []).append(int(edge))
    if whole.any():
        yield everything, np.flatnonzero(whole), ""
    if infinite:
        yield everything, np.array(infinite, dtype=np.intp), "not estimable: infinite value"
    for members in keys.values():
        edges = np.array(members, dtype=np.intp)
        yield np.flatnonzero(~np.isnan(values[rows, edges[0]])), edges, ""
