"""One model for each of many outcomes that share a design, exactly and in blocks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design, build_design, find_dependent_columns
from connectrial.stats.edge_model import EdgeModel, EdgeStore, split_by_missingness
from connectrial.stats.grammar import ParsedFormula, parse_formula
from connectrial.stats.inference import interval, t_p_value
from connectrial.stats.mixed import missing_flags, single_subject_flags
from connectrial.stats.model_frame import Coding
from connectrial.stats.solution import check_df_method
from connectrial.stats.validity import main_effect_notes, validity_notes

Array = NDArray[np.float64]


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
    return PreparedEdges.of(formula, data, coding=coding, df=df).fit(values)


@dataclass(frozen=True, eq=False, kw_only=True)
class PreparedEdges:
    """A design and a random part, read once, for outcomes that come again and again."""

    formula: str
    parsed: ParsedFormula
    design: Design
    model: EdgeModel
    n_rows: int

    @classmethod
    def of(
        cls, formula: str, data: pd.DataFrame, *, coding: Coding | None = None, df: str
    ) -> PreparedEdges:
        """Read formula and table; parameters and errors as `fit_edges`."""
        check_df_method(df)
        parsed = parse_formula(formula)
        design = build_design(formula.split("~")[-1], data, coding=coding)
        model = EdgeModel.read(parsed, design, df)
        return cls(formula=formula, parsed=parsed, design=design, model=model, n_rows=len(data))

    def fit(self, values: Array) -> EdgeFits:
        """Fit every edge, as `fit_edges`."""
        values = _check_values(values, self.n_rows)
        design, model = self.design, self.model
        out = EdgeStore.empty(len(design.columns), len(model.components), values.shape[1])
        for rows, edges, flag in split_by_missingness(values, design.rows):
            if flag:
                out.flags[edges] = flag
                continue
            self._fit_pattern(values, rows, edges, out)
        return EdgeFits(
            formula=self.formula,
            terms=design.columns,
            df_method=model.df,
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
            column_flags=dict(self._column_flags),
            notes=(*self._common_notes, *self._notes_of_fewest(values, out)),
            design=design,
        )

    @cached_property
    def _common_notes(self) -> tuple[str, ...]:
        """Take what simulation says of these degrees of freedom."""
        return (
            *main_effect_notes(self.design, self.parsed),
            *validity_notes(self.parsed, self.design.frame, df=self.model.df),
        )

    def _notes_of_fewest(self, values: Array, out: EdgeStore) -> tuple[str, ...]:
        """Take the same at the edge with the fewest rows."""
        design = self.design
        fitted = np.flatnonzero(np.isfinite(out.deviance))
        fewest = fitted[out.n_observations[fitted].argmin()] if len(fitted) else -1
        if fewest < 0 or out.n_observations[fewest] == design.n_observations:
            return ()
        kept = design.frame[np.isfinite(values[design.rows, fewest])]
        return tuple(
            f"at edges with missing values: {note}"
            for note in validity_notes(self.parsed, kept, df=self.model.df)
            if note not in self._common_notes
        )

    @cached_property
    def _column_flags(self) -> dict[str, str]:
        design, model = self.design, self.model
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

    def _fit_pattern(
        self,
        values: Array,
        rows: NDArray[np.intp],
        edges: NDArray[np.intp],
        out: EdgeStore,
    ) -> None:
        """Fit all edges that have the same rows."""
        design, model = self.design, self.model
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


def _check_values(values: Array, n_rows: int) -> Array:
    values = np.asarray(values)
    if values.ndim != 2 or not np.issubdtype(values.dtype, np.number):
        raise ModelError(
            f"values: got {values.ndim} dimensions of {values.dtype}; give numbers "
            "(n_observations, n_edges)"
        )
    if len(values) != n_rows:
        raise ModelError(f"values: {len(values)} rows, but data has {n_rows}; rows must match")
    return values
