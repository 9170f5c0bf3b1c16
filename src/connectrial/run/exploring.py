"""Maps over all edges: one model for each, adjusted over all or tested by permutation."""

from __future__ import annotations

from typing import Any, cast, get_args

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import ConnectrialError, MachineError, ModelError
from connectrial.io.edge_rows import EdgeValues
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result, tidy
from connectrial.run.analysing import MIXED, base_cells, failed
from connectrial.run.edge_fits import FittedEdges, fit_blocks
from connectrial.stats.multiplicity import adjust
from connectrial.stats.network_permutation import NetworkPermutation, permute_networks
from connectrial.stats.permutation import EdgePermutation, permute_edges
from connectrial.stats.permutation_measure import Statistic
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
    permuted: EdgePermutation | NetworkPermutation | None = None
    blocks: list[str | None] = []
    model = ""
    linear: list[str] = []
    try:
        fits = fit_blocks(plan, values, coding=coding)
        if section.method in get_args(AdjustMethod):
            adjusted = adjust(fits.p, cast("AdjustMethod", section.method))
        else:
            blocks = _blocks(edges)
            with values.mapped() as whole:
                permuted, model, linear = _permute(
                    plan, whole, edges, section=section, seed=seed, coding=coding, blocks=blocks
                )
            adjusted = _edge_p(permuted, blocks)
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
    if isinstance(permuted, EdgePermutation):
        table = table.assign(component=permuted.component_of_edge + 1)
    elif permuted is not None:
        table = table.assign(block=pd.Series(blocks, index=table.index, dtype="object"))
    if permuted is not None:
        how += f", {permuted.n_permutations} permutations, seed {seed}"
    rows = _summary_rows(plan, fits, table, column, how)
    if isinstance(permuted, EdgePermutation):
        rows += _component_rows(plan, permuted, column, how)
    elif permuted is not None:
        rows += _block_rows(plan, permuted, how)
    notes = list(dict.fromkeys([*plan.notes, *fits.notes]))
    if column in fits.column_flags:
        notes.append(f"{column}: {fits.column_flags[column]}")
    notes += permuted.flags if permuted is not None else ()
    notes += linear
    if isinstance(permuted, NetworkPermutation):
        notes.append("the adjusted p of an edge is that of the block in which it lies")
    if known < len(table):
        notes.append(f"{len(table) - known} edges have no estimate; the table says why")
    result = Result(
        name=plan.name,
        title=f"{plan.title} ({column})",
        role=plan.role,
        what=plan.what,
        outcome=plan.outcome,
        estimates=tidy(rows),
        methods=_methods(known, column, section, permuted, model),
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
    "networks": ("noble2020",),
}


def _permute(
    plan: PlannedAnalysis,
    values: FloatArray,
    edges: pd.DataFrame,
    *,
    section: ExplorationSection,
    seed: int,
    coding: dict[str, dict[str, float]],
    blocks: list[str | None],
) -> tuple[EdgePermutation | NetworkPermutation, str, list[str]]:
    """Permute under the declared model with its variances held, else, with a note, the linear one."""
    linear = f"fc_z ~ {' + '.join(plan.terms)}"
    settings: dict[str, Any] = {
        "term": plan.tests[0],
        "n_permutations": section.n_permutations,
        "blocks": "subject",
        "rng": seed,
        "visit": "visit",
        "coding": coding,
    }

    def under(formula: str) -> EdgePermutation | NetworkPermutation:
        if section.method == "networks":
            return permute_networks(values, formula, plan.rows, labels=blocks, **settings)
        return permute_edges(
            values,
            formula,
            plan.rows,
            edges=edges[["index_a", "index_b"]].to_numpy(),
            statistic=cast("Statistic", section.method),  # networks was taken before
            threshold=section.threshold,
            **settings,
        )

    try:
        return under(plan.formula), "the mixed model, its variances held", []
    except ModelError as error:
        # Several groupings, or a covariance between visits that an exchange within people would
        # break: the linear model's test is valid all the same. What else is wrong is wrong there too.
        found = under(linear)
        return found, "the linear model", [f"permuted as a linear model: {error.problems[0]}"]


def _blocks(edges: pd.DataFrame) -> list[str | None]:
    """Return the block of each edge: its network, or its two networks in the order of the table."""
    order = list(dict.fromkeys([*edges["network_a"].dropna(), *edges["network_b"].dropna()]))
    place = {name: i for i, name in enumerate(order)}
    found: list[str | None] = []
    for a, b in zip(edges["network_a"], edges["network_b"], strict=True):
        if pd.isna(a) or pd.isna(b) or not str(a) or not str(b):
            found.append(None)
        else:
            pair = sorted({str(a), str(b)}, key=lambda name: place[name])
            found.append(" - ".join(pair))
    return found


def _edge_p(permuted: EdgePermutation | NetworkPermutation, blocks: list[str | None]) -> FloatArray:
    if isinstance(permuted, EdgePermutation):
        return permuted.p
    return np.array([permuted.estimates["p"].get(name, np.nan) for name in blocks], dtype=float)


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


def _block_rows(
    plan: PlannedAnalysis, permuted: NetworkPermutation, how: str
) -> list[dict[str, Any]]:
    """Return one row per block of edges: the mean of its statistics, and p over all blocks."""
    base = base_cells(plan, unit="mean statistic", kind="count")
    return [
        base
        | {
            "term": f"{name} ({int(row['n_edges'])} edges)",
            "estimate": float(row["mean_statistic"]),
            "statistic": float(row["z"]),
            "statistic_name": "z",
            "p": float(row["p_single"]),
            "p_adjusted": float(row["p"]),
            "adjustment": how,
            "flags": f"{int(row['n_untested'])} edges not tested" if row["n_untested"] else "",
        }
        for name, row in permuted.estimates.to_dict("index").items()
    ]


def _methods(
    known: int,
    column: str,
    section: ExplorationSection,
    permuted: EdgePermutation | NetworkPermutation | None,
    model: str,
) -> str:
    if permuted is None:
        how = f"p values of {column} were adjusted over all edges ({section.method})"
    else:
        exchange = {
            "within": "exchanging residuals within people",
            "whole": "exchanging whole people with the same visits",
            "signs": "flipping signs",
        }[permuted.scheme]
        over = "blocks of edges" if section.method == "networks" else "edges"
        at = "" if section.threshold is None else f" at |t| > {section.threshold:g}"
        how = (
            f"{column} was tested over all {over} by {permuted.n_permutations} Freedman-Lane permutations "
            f"of {model} ({section.method}{at}), {exchange}"
        )
    return f"The same mixed model was fitted to each of {known} edges; {how}. This analysis is exploratory."
