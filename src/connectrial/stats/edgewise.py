"""One model for each of many outcomes that share a design, exactly and in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design, build_design, find_dependent_columns
from connectrial.stats.grammar import ParsedFormula, parse_formula
from connectrial.stats.inference import interval, t_p_value
from connectrial.stats.intercept_edges import EdgeBlock, fit_intercept_edges
from connectrial.stats.mixed import missing_flags, single_subject_flags
from connectrial.stats.model_frame import Coding
from connectrial.stats.patterns import RandomBlock
from connectrial.stats.random_effects import component_names, random_blocks, restrict_blocks
from connectrial.stats.solution import check_df_method
from connectrial.stats.structured_edges import fit_random_edges, fit_visit_edges
from connectrial.stats.validity import main_effect_notes, validity_notes
from connectrial.stats.visits import VisitTable, check_pairs, read_visits, restrict_visits
from connectrial.stats.visits import component_names as visit_names

Array = NDArray[np.float64]

_SCANNED_NUMBERS = 2**20  # whose missing values are looked for at once
_BLOCK_NUMBERS = 2**18  # per array of a block: stays in the cache, and memory stays flat


@dataclass(frozen=True, eq=False, kw_only=True)
class EdgeFits:
    """One model per edge, all with the same terms.

    Parameters
    ----------
    formula : str
        As it was given.
    terms : tuple of str
        Columns of the design.
    df_method : str
        How degrees of freedom were found.
    estimate, se, df, statistic : (n_terms, n_edges) arrays
        NaN where an edge or a column cannot be estimated.
    variance : (n_components, n_edges) array
        Variance components, the residual last.
    components : tuple of str
        Names of the variance components.
    deviance : (n_edges,) array
        Minus twice the restricted log likelihood.
    singular : (n_edges,) bool array
        The optimum lies on the boundary.
    n_observations, n_subjects : (n_edges,) int arrays
        Rows and people used.
    flags : (n_edges,) object array
        What a reader must know of an edge, empty where there is nothing.
    column_flags : dict
        What a reader must know of a column of the design at every edge: that it cannot be
        estimated, is confounded, or hangs on a single person; under an empty name, of all.
    notes : tuple of str
        What a reader must know of all fits: where simulation found the degrees of freedom too
        liberal for a model and a trial of this size (docs, Validation).
    design : Design
        On all complete rows; edges with missing values use fewer.
    """

    formula: str
    terms: tuple[str, ...]
    df_method: str
    estimate: Array
    se: Array
    df: Array
    statistic: Array
    variance: Array
    components: tuple[str, ...]
    deviance: Array
    singular: NDArray[np.bool_]
    n_observations: NDArray[np.intp]
    n_subjects: NDArray[np.intp]
    flags: NDArray[np.object_]
    column_flags: dict[str, str]
    notes: tuple[str, ...]
    design: Design

    def __str__(self) -> str:
        counts = pd.Series(self.flags[self.flags != ""]).value_counts()
        said = [
            *self.notes,
            *(f"{name}: {flag}" if name else flag for name, flag in self.column_flags.items()),
            *(f"{count} edge{'s' * (count > 1)}: {flag}" for flag, count in counts.items()),
        ]
        return "\n".join([repr(self), *(["", "Notes:", *(f"- {n}" for n in said)] if said else [])])

    def __repr__(self) -> str:
        terms, edges = self.estimate.shape
        return f"EdgeFits({self.formula!r}, {edges} edges, {terms} terms, df {self.df_method!r})"

    @cached_property
    def p(self) -> Array:
        """Two-sided p values, (n_terms, n_edges); found when first asked for."""
        return t_p_value(self.statistic, self.df)

    def p_of(self, term: str) -> Array:
        """Two-sided p values of one column of the design, (n_edges,)."""
        row = self._row(term)
        return t_p_value(self.statistic[row], self.df[row])

    def interval_of(self, term: str) -> tuple[Array, Array]:
        """95 % confidence limits of one column of the design, two arrays (n_edges,)."""
        row = self._row(term)
        return interval(self.estimate[row], self.se[row], self.df[row])

    def _row(self, term: str) -> int:
        columns = (term,) if term in self.terms else self.design.columns_of(term)
        if len(columns) != 1:
            raise ModelError(f"term {term!r}: has columns {', '.join(columns)}; name one")
        return self.terms.index(columns[0])


def fit_edges(
    values: Array,
    formula: str,
    data: pd.DataFrame,
    *,
    coding: Coding | None = None,
    df: str = "satterthwaite",
) -> EdgeFits:
    """Fit the same model to every edge, by restricted maximum likelihood.

    Parameters
    ----------
    values : (n_observations, n_edges) array
        Outcomes, NaN where missing; the left side of the formula is only a label.
    formula : str
        As for `fit_mixed` or `fit_mmrm`; without random term or covariance, rows are independent.
    data : DataFrame
        One row per row of `values`. Rows in which a variable of the model is missing are left out
        for every edge.
    coding : mapping, optional
        Numbers for the levels of a variable.
    df : str
        Degrees of freedom, as for `fit_mixed`.

    Returns
    -------
    EdgeFits
        Each edge's fit is the one that `fit_mixed` or `fit_mmrm` gives; a random intercept with
        residual, Satterthwaite's or no degrees of freedom takes the fastest way.

    Raises
    ------
    ModelError
        If the design cannot be built, or `values` does not match `data`. Single edges that
        cannot be fitted (constant, infinite, too few rows) are NaN and say so in `flags`.

    Notes
    -----
    Edges that miss the same rows share one decomposition. Memory is flat in the number of edges.
    """
    check_df_method(df)
    values = _check_values(values, data)
    parsed = parse_formula(formula)
    design = build_design(formula.split("~")[-1], data, coding=coding)
    model = _Model.read(parsed, design, df)
    out = _Store.empty(len(design.columns), len(model.components), values.shape[1])
    for rows, edges, flag in _by_missingness(values, design.rows):
        if flag:
            out.flags[edges] = flag
            continue
        _fit_pattern(values, design, model, rows, edges, out)
    return EdgeFits(
        formula=formula,
        terms=design.columns,
        df_method=df,
        estimate=out.estimate,
        se=out.se,
        df=out.df,
        statistic=out.estimate / out.se,
        variance=out.variance,
        components=model.components,
        deviance=out.deviance,
        singular=out.singular,
        n_observations=out.n_observations,
        n_subjects=out.n_subjects,
        flags=out.flags,
        column_flags=_column_flags(design, model),
        notes=_notes(parsed, design, values, out, df),
        design=design,
    )


def _notes(
    parsed: ParsedFormula, design: Design, values: Array, out: _Store, df: str
) -> tuple[str, ...]:
    """Take what simulation says of these degrees of freedom, at the edge with the fewest rows too."""
    notes = [*main_effect_notes(design, parsed), *validity_notes(parsed, design.frame, df=df)]
    fitted = np.flatnonzero(np.isfinite(out.deviance))
    fewest = fitted[out.n_observations[fitted].argmin()] if len(fitted) else -1
    if fewest >= 0 and out.n_observations[fewest] < design.n_observations:
        kept = design.frame[np.isfinite(values[design.rows, fewest])]
        notes += [
            f"at edges with missing values: {note}"
            for note in validity_notes(parsed, kept, df=df)
            if note not in notes
        ]
    return tuple(notes)


def _column_flags(design: Design, model: _Model) -> dict[str, str]:
    flags = dict(design.notes)
    if model.table is not None:
        single = single_subject_flags(design, model.table.subject, "subject")
    elif model.blocks:
        coarsest = min(model.blocks, key=lambda block: len(block.group_names))
        single = single_subject_flags(design, coarsest.codes, coarsest.label)
    else:
        single = {}
    for name, flag in single.items():
        flags[name] = f"{flags[name]}; {flag}" if name in flags else flag
    missing = "; ".join(missing_flags(design))
    return flags | ({"": missing} if missing else {})


@dataclass(frozen=True, slots=True, eq=False)
class _Model:
    """What varies or covaries, besides the fixed part."""

    blocks: tuple[RandomBlock, ...]
    table: VisitTable | None
    structure: str
    df: str
    components: tuple[str, ...]

    @classmethod
    def read(cls, parsed: ParsedFormula, design: Design, df: str) -> _Model:
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
class _Store:
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
    def empty(cls, n_terms: int, n_components: int, n_edges: int) -> _Store:
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


def _check_values(values: Array, data: pd.DataFrame) -> Array:
    values = np.asarray(values)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number):
        raise ModelError(
            f"values: got {values.ndim} dimensions of {values.dtype}; give numbers "
            "(n_observations, n_edges)"
        )
    if len(values) != len(data):
        raise ModelError(f"values: {len(values)} rows, but data has {len(data)}; rows must match")
    return values


def _by_missingness(
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


def _fit_pattern(
    values: Array,
    design: Design,
    model: _Model,
    rows: NDArray[np.intp],
    edges: NDArray[np.intp],
    out: _Store,
) -> None:
    """Fit all edges that have the same rows."""
    rows = model.order(rows)
    x = design.matrix[rows]
    estimable = design.estimable
    if len(rows) < design.n_observations:
        estimable, _, _ = find_dependent_columns(x, design.columns)
    kept = np.flatnonzero(estimable)
    names = [design.columns[k] for k in kept]
    fitter, n_subjects = None, 0
    if len(rows) > len(kept):
        fitter, n_subjects = model.fitter(x[:, kept], names, rows)
    out.n_observations[edges], out.n_subjects[edges] = len(rows), n_subjects
    if fitter is None:
        out.flags[edges] = (
            f"not estimable: {len(rows)} rows of {n_subjects} subjects for {len(kept)} coefficients"
            + (f" and {len(model.components)} (co)variances" if n_subjects else "")
        )
        return
    source = design.rows[rows]
    in_order = np.array_equal(source, np.arange(len(values)))
    size = model.block_size(len(rows), len(kept))
    for start in range(0, len(edges), size):
        part = edges[start : start + size]
        columns: slice | NDArray[np.intp] = part
        if part[-1] - part[0] == len(part) - 1:
            columns = slice(int(part[0]), int(part[-1]) + 1)
        # edges first, then rows: never a copy of the whole table
        taken = values[:, columns] if in_order else values[:, columns][source]
        out.take(part, kept, fitter(np.asarray(taken, dtype=np.float64)))
    lost = [name for name, ok in zip(design.columns, estimable, strict=True) if not ok]
    if len(lost) > len(design.columns) - design.rank:
        said = "columns without data at this edge: " + ", ".join(lost)
        out.flags[edges] = [f"{flag}; {said}" if flag else said for flag in out.flags[edges]]
