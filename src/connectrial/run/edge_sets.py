"""A hypothesis' connections beside matched random sets of connections."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray
from connectrial.errors import ConnectrialError, ModelError
from connectrial.fc.networks import NetworkDefinition
from connectrial.fc.places import parcel_centroids
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result, tidy
from connectrial.run.analysing import MIXED, base_cells, failed
from connectrial.stats.edge_reliability import icc_edges
from connectrial.stats.edge_sets import EdgeSetTest, compare_edge_sets, match_strata
from connectrial.stats.edgewise import EdgeFits, fit_edges
from connectrial.study import EdgeSetSection

_SHOWN_NULL = 2000


def analyse_edge_set(
    plan: PlannedAnalysis,
    values: FloatArray,
    edges: pd.DataFrame,
    *,
    atlas: Atlas,
    chosen: NetworkDefinition,
    others: NetworkDefinition | None,
    seed: int,
) -> tuple[Result, pd.DataFrame]:
    """Fit the hypothesis' model to every connection and compare the set with matched random ones.

    Parameters
    ----------
    plan : PlannedAnalysis
        What "edge set" analyses are planned as; its rows are those of `values`.
    values : array, shape (n_observations, n_edges)
        Fisher z; NaN for edges without data.
    edges : DataFrame
        ``parcel_a``, ``parcel_b``, ``network_a``, ``network_b``, one row per edge.
    atlas : Atlas
        Where its parcels lie, if it says so.
    chosen, others : NetworkDefinition
        The hypothesis' connections; those that are drawn from (None: all others).
    seed : int
        Of the random sets.

    Returns
    -------
    Result, DataFrame
        The test, and the random sets' differences (``difference``, some of them) for a figure.
    """
    section = plan.section
    assert isinstance(section, EdgeSetSection)  # noqa: S101 - planned from it
    assert plan.model is not None  # noqa: S101 - as its hypothesis
    inside = _is_one_of(edges, chosen)
    pool = ~inside if others is None else _is_one_of(edges, others) & ~inside
    used = np.flatnonzero(inside | pool)
    table, own = edges.iloc[used].reset_index(drop=True), values[:, used]
    coding = {name: dict(one) for name, one in plan.model.coding.items() if name in plan.rows}
    try:
        fits = fit_edges(own, plan.formula, plan.rows, coding=coding, df="residual")
        effects = _effects(fits, section)
        variables = _variables(section, plan.rows, own, table, atlas)
        strata: NDArray[np.object_] = (
            match_strata(variables, n_bins=section.n_bins)
            if variables
            else np.full(len(used), "all", dtype=object)
        )
        test = compare_edge_sets(
            effects,
            chosen=inside[used],
            strata=strata,
            n_permutations=section.n_permutations,
            rng=np.random.default_rng(np.random.SeedSequence([seed, *section.name.encode()])),
            alternative="greater" if section.statistic == "mean absolute t" else "two-sided",
        )
    except ConnectrialError as error:
        return failed(plan, error.problems), pd.DataFrame()
    null = pd.DataFrame({"analysis": plan.name, "difference": test.null[:_SHOWN_NULL]})
    return _result(plan, section, test, variables), null


def _is_one_of(edges: pd.DataFrame, definition: NetworkDefinition) -> NDArray[np.bool_]:
    names = definition.parcels.to_numpy(dtype=object)[definition.edges]
    wanted = {frozenset(map(str, pair)) for pair in names}
    pairs = zip(edges["parcel_a"].astype(str), edges["parcel_b"].astype(str), strict=True)
    return np.array([frozenset(pair) in wanted for pair in pairs], dtype=bool)


def _effects(fits: EdgeFits, section: EdgeSetSection) -> FloatArray:
    names = [section.test] if section.test in fits.terms else fits.design.columns_of(section.test)
    if len(names) != 1:
        raise ModelError(f"the test {section.test!r} has the columns {', '.join(names)}; name one")
    at = fits.terms.index(names[0])
    found: FloatArray = fits.estimate[at]
    return found if section.statistic == "mean" else np.abs(fits.statistic[at])


def _variables(
    section: EdgeSetSection,
    rows: pd.DataFrame,
    values: FloatArray,
    edges: pd.DataFrame,
    atlas: Atlas,
) -> dict[str, Any]:
    """Return what edges are matched in, one value per edge."""
    found: dict[str, Any] = {}
    for name in section.match:
        if name == "distance":
            places = pd.DataFrame(parcel_centroids(atlas), index=atlas.parcels.index)
            ends = [places.loc[edges[key]].to_numpy() for key in ("parcel_a", "parcel_b")]
            found[name] = np.linalg.norm(ends[0] - ends[1], axis=1)
            if np.isnan(found[name]).all():
                raise ModelError(
                    "match: 'distance' needs places of the parcels (columns x_mm, y_mm, z_mm of "
                    "[atlas] table)"
                )
        elif name == "strength":
            found[name] = _means(values[_sessions_of(section, rows)])
        elif name == "networks":
            pairs = zip(edges["network_a"], edges["network_b"], strict=True)
            found[name] = [" - ".join(sorted(map(str, pair))) for pair in pairs]
        else:
            found[name] = _reliability(rows, values)
    return found


def _sessions_of(section: EdgeSetSection, rows: pd.DataFrame) -> NDArray[np.bool_]:
    wanted = section.strength_of
    if wanted is None:
        return np.ones(len(rows), dtype=bool)
    here = rows["visit"].astype(str) == wanted
    if "treatment" in rows:
        here |= rows["treatment"].astype(str) == wanted
    if not here.any():
        raise ModelError(f"strength_of: no observation of the model is at {wanted!r}")
    return np.asarray(here, dtype=bool)


def _means(values: FloatArray) -> FloatArray:
    known = np.isfinite(values)
    total = np.where(known, values, 0.0).sum(axis=0)
    empty: FloatArray = np.full(values.shape[1], np.nan)
    count = known.sum(axis=0)
    return np.asarray(np.divide(total, count, out=empty, where=count > 0), dtype=np.float64)


def _reliability(rows: pd.DataFrame, values: FloatArray) -> FloatArray:
    """Return ICC(3,1) of every edge over the sessions that most people have."""
    place = rows["place" if "place" in rows else "visit"].astype(str).to_numpy()
    found = icc_edges(values, targets=rows["subject"].astype(str).to_numpy(), raters=place)
    return np.asarray(found.estimate[found.forms.index("ICC(3,1)")], dtype=np.float64)


def _result(
    plan: PlannedAnalysis, section: EdgeSetSection, test: EdgeSetTest, variables: dict[str, Any]
) -> Result:
    unit = "Fisher z" if section.statistic == "mean" else "mean |t|"
    flags = [plan.stand_in] if plan.stand_in else []
    flags.append(f"{len(test.null)} random sets; p is about connections, not people")
    base = base_cells(plan, outcome=section.hypothesis, unit=unit) | {
        "n_subjects": plan.n_subjects,
        "n_observations": plan.n_observations,
        "flags": "; ".join(flags),
    }
    low, high = np.quantile(test.null, [0.025, 0.975])
    means = (("set", test.set_mean), ("matched random sets", test.others_mean))
    rows: list[dict[str, Any]] = [
        base
        | {
            "kind": "difference",
            "term": f"{section.test}: set - matched random sets",
            "estimate": test.estimate,
            "statistic": test.estimate,
            "statistic_name": "difference",
            "alternative": "greater" if section.statistic == "mean absolute t" else "two-sided",
            "df_method": "permutation",
            "p": test.p,
            "family": plan.family or "",
        }
    ]
    rows += [
        base | {"kind": "mean", "term": f"{section.test}: {name}", "estimate": value}
        for name, value in means
    ]
    notes = list(plan.notes)
    notes.append(
        f"{test.n_edges} connections against {test.n_others} others in {len(test.strata)} strata; 95 % of "
        f"random sets differ from the rest by {low:.4f} to {high:.4f}"
    )
    if test.n_unmatched:
        notes.append(
            f"{test.n_unmatched} connections of the set are left out: no other one is like them, or they "
            "could not be estimated"
        )
    alike = ", ".join(variables) or "nothing"
    how = "estimates" if section.statistic == "mean" else "absolute t statistics"
    return Result(
        name=plan.name,
        title=plan.title,
        role=plan.role,
        what=plan.what,
        outcome=section.hypothesis,
        estimates=tidy(rows),
        methods=(
            f"The model of {section.hypothesis} was fitted to every connection. The mean of the {how} of "
            f"{section.test} over the set minus that of the others of its strata was compared with "
            f"{len(test.null)} random sets of the same size, drawn within strata of connections alike in "
            f"{alike} (numbers in {section.n_bins} bins); p = (b + 1) / (m + 1)."
        ),
        citations=(MIXED[0], "phipson2010", "goeman2007"),
        notes=tuple(notes),
    )
