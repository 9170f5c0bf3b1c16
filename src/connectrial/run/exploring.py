"""Maps over all edges: one model for each, adjusted over all or tested by permutation."""

from __future__ import annotations

from typing import Any, cast, get_args

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import ConnectrialError, MachineError
from connectrial.io.edge_rows import EdgeValues
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result, tidy
from connectrial.run.analysing import MIXED, base_cells, failed
from connectrial.run.edge_fits import FittedEdges, fit_blocks
from connectrial.stats.multiplicity import adjust
from connectrial.stats.permutation import EdgePermutation, permute_edges
from connectrial.study import AdjustMethod, ExplorationSection


def analyse_edges(
    plan: PlannedAnalysis,
    values: EdgeValues,
    edges: pd.DataFrame,
    *,
    section: ExplorationSection,
    seed: int,
) -> tuple[Result, pd.DataFrame]:
    """Fit one model to every edge and adjust over all of them.

    Parameters
    ----------
    plan : PlannedAnalysis
        The exploration; its rows are those of `values`.
    values : EdgeValues
        Fisher z, (n_observations, n_edges), read a block of edges at a time.
    edges : DataFrame
        ``index_a``, ``index_b`` (parcels from 0), ``parcel_a``, ``parcel_b``, ``network_a``,
        ``network_b``, one row per edge.
    section : ExplorationSection
        Method of adjustment, permutations, threshold.
    seed : int
        Of the permutations.

    Returns
    -------
    Result, DataFrame
        A summary, and the edge table.
    """
    assert plan.model is not None  # noqa: S101 - explorations have models
    coding = {name: dict(one) for name, one in plan.model.coding.items() if name in plan.rows}
    named = edges.drop(columns=["index_a", "index_b"])
    permuted: EdgePermutation | None = None
    try:
        fits = fit_blocks(plan, values, coding=coding)
        if section.method in get_args(AdjustMethod):
            adjusted = adjust(fits.p, cast("AdjustMethod", section.method))
        else:
            with values.mapped() as whole:
                permuted = _permute(plan, whole, edges, section, seed, coding)
            adjusted = permuted.p
    except MachineError:
        raise  # a full disk is no fault of the analysis
    except ConnectrialError as error:
        return failed(plan, error.problems), named.iloc[:0]
    column = fits.column
    table = named.assign(
        estimate=fits.estimate,
        se=fits.se,
        df=fits.df,
        statistic=fits.statistic,
        p=fits.p,
        p_adjusted=adjusted,
        n_subjects=fits.n_subjects,
        flags=fits.flags,
    )
    known = int(np.isfinite(table["p"]).sum())
    how = f"{section.method} over {known} edges"
    if permuted is not None:
        table = table.assign(component=permuted.component_of_edge + 1)
        how += f", {permuted.n_permutations} permutations, seed {seed}"
    rows = _summary_rows(plan, fits, table, column, how)
    if permuted is not None:
        rows += _component_rows(plan, permuted, column, how)
    notes = list(dict.fromkeys([*plan.notes, *fits.notes]))
    if column in fits.column_flags:
        notes.append(f"{column}: {fits.column_flags[column]}")
    notes += permuted.flags if permuted is not None else ()
    if known < len(table):
        notes.append(f"{len(table) - known} edges have no estimate; the table says why")
    result = Result(
        name=plan.name,
        title=f"{plan.title} ({column})",
        role=plan.role,
        what=plan.what,
        outcome=plan.outcome,
        estimates=tidy(rows),
        methods=_methods(known, column, section, permuted),
        citations=(*MIXED, *_CITATIONS.get(section.method, ())),
        design={
            "formula": plan.formula,
            "columns": list(fits.design.columns),
            "reference_levels": fits.design.reference_levels,
            "rank": fits.design.rank,
        },
        notes=tuple(notes),
    )
    return result, table


_CITATIONS = {
    "fdr_bh": ("benjamini1995",),
    "fdr_by": ("benjamini2001",),
    "nbs-extent": ("zalesky2010",),
    "nbs-intensity": ("zalesky2010",),
}


def _permute(
    plan: PlannedAnalysis,
    values: FloatArray,
    edges: pd.DataFrame,
    section: ExplorationSection,
    seed: int,
    coding: dict[str, dict[str, float]],
) -> EdgePermutation:
    """Permute under a random intercept where the model has one, else under the linear model."""
    assert plan.model is not None  # noqa: S101 - explorations have models
    formula = f"fc_z ~ {' + '.join(plan.terms)}"
    if plan.model.random_terms == ("1 | subject",):
        formula += " + (1 | subject)"
    return permute_edges(
        values,
        formula,
        plan.rows,
        term=plan.tests[0],
        n_permutations=section.n_permutations,
        blocks="subject",
        rng=seed,
        edges=edges[["index_a", "index_b"]].to_numpy(),
        statistic=section.method,  # type: ignore[arg-type]  # the methods that adjust were taken before
        threshold=section.threshold,
        visit="visit",
        coding=coding,
    )


def _summary_rows(
    plan: PlannedAnalysis, fits: FittedEdges, table: pd.DataFrame, column: str, how: str
) -> list[dict[str, Any]]:
    base = base_cells(plan, unit="edges", kind="count") | {
        "n_subjects": int(np.max(fits.n_subjects)),
        "n_observations": int(np.max(fits.n_observations)),
    }
    p, adjusted = table["p"], table["p_adjusted"]
    return [
        base | {"term": f"{column}: edges tested", "estimate": int(np.isfinite(p).sum())},
        base | {"term": f"{column}: p < .05, not adjusted", "estimate": int((p < 0.05).sum())},
        base
        | {
            "term": f"{column}: adjusted p < .05",
            "estimate": int((adjusted < 0.05).sum()),
            "adjustment": how,
        },
        base
        | {
            "term": "fits on the boundary (no variance between people)",
            "estimate": int(np.asarray(fits.singular).sum()),
        },
    ]


def _component_rows(
    plan: PlannedAnalysis, permuted: EdgePermutation, column: str, how: str
) -> list[dict[str, Any]]:
    """Return one row per component of a network-based statistic, the ten largest."""
    return [
        base_cells(plan, unit="edges", kind="count")
        | {
            "term": f"{column}: component {number} ({int(row['n_parcels'])} parcels)",
            "estimate": int(row["n_edges"]),
            "p_adjusted": float(row["p"]),
            "adjustment": how,
        }
        for number, row in enumerate(permuted.components.head(10).to_dict("records"), start=1)
    ]


def _methods(
    known: int, column: str, section: ExplorationSection, permuted: EdgePermutation | None
) -> str:
    if permuted is None:
        how = f"p values of {column} were adjusted over all edges ({section.method})"
    else:
        exchange = {
            "within": "exchanging residuals within people",
            "whole": "exchanging whole people with the same visits",
            "signs": "flipping signs",
        }[permuted.scheme]
        at = "" if section.threshold is None else f" at |t| > {section.threshold:g}"
        how = (
            f"{column} was tested over all edges by {permuted.n_permutations} Freedman-Lane permutations "
            f"({section.method}{at}), {exchange}"
        )
    return f"The same mixed model was fitted to each of {known} edges; {how}. This analysis is exploratory."
