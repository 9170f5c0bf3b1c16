"""One model for every edge, a block of edges at a time, keeping what a table needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.io.edge_rows import EdgeValues
from connectrial.plan import PlannedAnalysis
from connectrial.plan.designs import tested_columns
from connectrial.stats.design import Design
from connectrial.stats.edgewise import fit_edges


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class FittedEdges:
    """The tested column of the model at every edge; arrays of shape (n_edges,).

    Attributes
    ----------
    column : str
        Of the design.
    estimate, se, df, statistic, p : arrays
        NaN where an edge cannot be fitted.
    n_subjects, n_observations : arrays of int
        Behind each edge.
    singular : array of bool
        Fits on the boundary.
    flags : array of str
        What to know of an edge.
    column_flags, notes, design
        As of :class:`connectrial.stats.edgewise.EdgeFits`.
    """

    column: str
    estimate: FloatArray
    se: FloatArray
    df: FloatArray
    statistic: FloatArray
    p: FloatArray
    n_subjects: NDArray[np.intp]
    n_observations: NDArray[np.intp]
    singular: BoolArray
    flags: NDArray[np.object_]
    column_flags: Mapping[str, str]
    notes: tuple[str, ...]
    design: Design


def fit_blocks(
    plan: PlannedAnalysis, values: EdgeValues, *, coding: Mapping[str, Mapping[str, float]]
) -> FittedEdges:
    """Fit the planned model to every edge.

    Parameters
    ----------
    plan : PlannedAnalysis
        Its rows are those of `values`; its first test names the column.
    values : EdgeValues
        Fisher z.
    coding : mapping
        Numbers for levels.

    Returns
    -------
    FittedEdges

    Raises
    ------
    ModelError
        If the design cannot be built.
    """
    assert plan.model is not None  # noqa: S101 - explorations have models
    n_edges = values.shape[1]
    arrays: dict[str, NDArray[Any]] = {
        **{name: np.full(n_edges, np.nan) for name in ("estimate", "se", "df", "statistic", "p")},
        **{name: np.zeros(n_edges, dtype=np.intp) for name in ("n_subjects", "n_observations")},
        "singular": np.zeros(n_edges, dtype=bool),
        "flags": np.full(n_edges, "", dtype=object),
    }
    said: tuple[str, ...] = ()
    fewest: float = np.inf
    column, fits = "", None
    for here, block in values.blocks():
        coded = {name: dict(one) for name, one in coding.items()}
        fits = fit_edges(block, plan.formula, plan.rows, coding=coded, df=plan.model.df)
        column = tested_columns(fits.design, plan.tests[0])[0]
        at = fits.terms.index(column)
        for name in ("estimate", "se", "df", "statistic"):
            arrays[name][here] = getattr(fits, name)[at]
        arrays["p"][here] = fits.p_of(column)
        for name in ("n_subjects", "n_observations", "singular", "flags"):
            arrays[name][here] = getattr(fits, name)
        # Notes speak of the edge with the fewest observations; of all blocks, the one that has it.
        fitted = np.isfinite(fits.deviance)
        least = fits.n_observations[fitted].min() if fitted.any() else np.inf
        if not said or least < fewest:
            said, fewest = fits.notes, min(fewest, least)
    assert fits is not None  # noqa: S101 - an atlas has two parcels at least
    return FittedEdges(
        column=column,
        column_flags=fits.column_flags,
        notes=said,
        design=fits.design,
        **arrays,
    )
