"""Figures of connectivity: forest, controls, reliability, matrices, edges, truth."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from connectrial.figures.forest import plot_forest, plot_truth
from connectrial.figures.hypothesis import plot_groups
from connectrial.figures.matrices import plot_edge_matrix, plot_matrices
from connectrial.figures.numbers import (
    MINUS,
    as_float,
    first_note,
    format_interval,
    format_number,
    term_words,
)
from connectrial.figures.palette import CONTROL, LEVELS, POST, PRE
from connectrial.figures.reliability import plot_retests
from connectrial.report.live_forest import forest_live
from connectrial.report.panel import Panel
from connectrial.report.source import (
    controls_level,
    ends_of,
    networks_of,
    same_estimate,
    table,
    tested_rows,
    values_of,
    visits,
)
from connectrial.results import Result, Results

_FOREST_WHAT = ("network FC", "score", "groups")


def forest_panels(results: Results) -> list[Panel]:
    """Draw all tested effects with their intervals, one figure per unit."""
    records = []
    for result in results.analyses:
        if result.what not in _FOREST_WHAT:
            continue
        named: set[str] = set()
        for group in same_estimate(tested_rows(results, result)):
            shown = group[group["ci_low"].notna() & group["kind"].ne("F test")]
            for i, row in enumerate(shown.to_dict("records")):
                label, sensitive = _forest_label(row), row["role"] == "sensitivity"
                below = sensitive and label in named  # else its estimate has no row above it
                apart = i == 0 and not below
                words = label if apart else first_note(row["flags"]) if sensitive else ""
                records.append(
                    {**row, "label": words, "first": i == 0 and not sensitive, "apart": apart}
                )
                named.add(label)
    if not records:
        return []
    rows = pd.DataFrame(records)
    panels = []
    for unit, own in rows.groupby("unit", sort=False):
        n = int(own["first"].sum())
        panels.append(
            Panel(
                name=f"forest {unit!s}",
                title=f"All tested effects ({unit!s})" if unit else "All tested effects",
                how="Dots are estimates, lines their intervals; the dashed line is no effect. "
                "Small rows: the same estimate with other degrees of freedom, or from another model.",
                alt=f"{n} tested effects with intervals: "
                + "; ".join(
                    f"{' '.join(row['label'].split())} {format_number(row['estimate'])} "
                    f"{format_interval(row['ci_low'], row['ci_high'])}"
                    for row in own[own["first"]].to_dict("records")
                )
                + ".",
                figure=plot_forest(own, unit=str(unit)),
                data=own.drop(columns=["label", "first", "apart"]),
                methods="Estimates and intervals of the models on this page, not adjusted for "
                "the number of tests.",
                min_width_px=820,
                live=forest_live(
                    results, own.drop(columns=["label", "first", "apart"]), unit=str(unit)
                ),
            )
        )
    return panels


def _forest_label(row: dict[Hashable, Any]) -> str:
    system = str(row["outcome"] or row["analysis"])
    lines = [f"{system}:", term_words(row["term"], row["kind"])]
    return (" " if len(" ".join(lines)) < 34 else "\n").join(lines)


def groups_panels(results: Results) -> list[Panel]:
    """Draw controls beside patients at each visit, one figure per system."""
    controls = controls_level(results)
    listed = table(results, "visit_fc")
    if controls is None or listed is None or "outcome" not in listed.columns:
        return []
    comparisons = [result for result in results.analyses if result.what == "groups"]
    wanted = {name.strip() for result in comparisons for name in str(result.outcome).split(",")} | {
        str(name) for result in comparisons for name in result.estimates["outcome"]
    }
    panels = []
    for outcome in dict.fromkeys(listed["outcome"].astype(str)):
        values = values_of(results, outcome).dropna(subset=["value"])
        if outcome not in wanted or "group" not in values.columns:
            continue
        panel = _groups_panel(results, values, outcome, controls=controls)
        if panel is not None:
            panels.append(panel)
    return panels


def _groups_panel(
    results: Results, values: pd.DataFrame, outcome: str, *, controls: str
) -> Panel | None:
    is_control = values["group"].astype(str) == controls
    column = values["visit"].where(~is_control, controls)
    order = [*visits(results), *values["visit"].unique()]
    present = [v for v in dict.fromkeys(order) if ((column == v) & ~is_control).any()]
    columns = ([controls] if is_control.any() else []) + present
    if not is_control.any() or not present:
        return None
    colours = [CONTROL, PRE, *([POST] if len(present) > 1 else [])]
    colours += [LEVELS[i % len(LEVELS)] for i in range(len(columns) - len(colours))]
    drawn = values.assign(column=column)[["subject", "group", "visit", "column", "value"]]
    # A control of several sessions is one point, as in the comparison.
    drawn = drawn.drop_duplicates(["subject", "column"])
    means = _group_means(results, outcome, controls=controls)
    how = "Dots are people; grey lines join a person's visits."
    if means is not None:
        how += " Dots with bars beside them are means with intervals."
    else:
        how += " Thick bars are medians."
    return Panel(
        name=f"groups {outcome}",
        title=f"{outcome}: {controls} and patients",
        how=how,
        alt=f"{outcome} connectivity in {', '.join(columns)}.",
        figure=plot_groups(drawn, means, columns=columns, colours=colours),
        data=drawn,
        methods=next((one.methods for one in results.analyses if one.what == "groups"), "")
        or "Network FC of each person; no model.",
        min_width_px=320,
    )


def _group_means(results: Results, outcome: str, *, controls: str) -> pd.DataFrame | None:
    for result in results.analyses:
        if result.what != "groups" or result.means is None or not len(result.means):
            continue
        means = result.means
        if "outcome" in means.columns:
            means = means[means["outcome"].astype(str) == outcome]
        elif result.outcome != outcome:
            continue
        by = means["by"].fillna("").astype(str)
        column = means["visit"].astype(str).where(by != controls, controls)
        return means.assign(column=column).drop_duplicates("column") if len(means) else None
    return None


def retest_panel(results: Results) -> Panel | None:
    """Draw sessions of the same visit against each other."""
    sessions = table(results, "network_fc")
    wanted = [result for result in results.analyses if result.what == "reliability"]
    if sessions is None or not wanted or "outcome" not in sessions.columns:
        return None
    pairs: dict[str, pd.DataFrame] = {}
    subtitles: dict[str, str] = {}
    names: tuple[str, str] | None = None
    data = []
    for result in wanted:
        own = sessions[sessions["outcome"].astype(str) == result.outcome]
        both = _repeated(own, visits(results))
        if both is None or len(both) < 3 or (names is not None and tuple(both.columns) != names):
            continue
        names = (str(both.columns[0]), str(both.columns[1]))
        pairs[result.outcome] = both
        subtitles[result.outcome] = _icc_words(result)
        data.append(both.reset_index().assign(outcome=result.outcome))
    if names is None:
        return None
    return Panel(
        name="retest",
        title=f"Test and retest: {names[0]} and {names[1]}",
        how="Dots are people with both sessions; on the dashed line both are equal. The closer to "
        "it, the more reliable; the coefficient stands above.",
        alt="Second against first session: "
        + "; ".join(f"{name} {words}" for name, words in subtitles.items())
        + ".",
        figure=plot_retests(pairs, first=names[0], second=names[1], subtitles=subtitles),
        data=pd.concat(data, ignore_index=True),
        methods=wanted[0].methods or "Two sessions of the same visit, each person once.",
    )


def _repeated(own: pd.DataFrame, order: list[str]) -> pd.DataFrame | None:
    """Find the first visit with two sessions per person, as people by sessions."""
    for visit in order:
        part = own[own["visit"].astype(str) == visit].dropna(subset=["fc_z"])
        names = list(dict.fromkeys(part["session"].astype(str).sort_values()))
        if len(names) < 2:
            continue
        spread = part.assign(session=part["session"].astype(str)).pivot_table(
            index="subject", columns="session", values="fc_z"
        )
        both: pd.DataFrame = spread[names[:2]].dropna()
        if len(both):
            return both
    return None


def _icc_words(result: Result) -> str:
    rows = result.estimates
    rows = rows[rows["term"].astype(str).str.startswith("ICC")]
    for term in ("ICC(2,1)", "ICC(3,1)", "ICC(1,1)"):
        own = rows[rows["term"] == term]
        if len(own):
            one = own.iloc[0]
            icc, low, high = (
                f"{as_float(one[name]):.2f}".replace("-", MINUS)
                for name in ("estimate", "ci_low", "ci_high")
            )
            return f"{term} = {icc} [{low}, {high}]"
    return ""


def matrices_panels(results: Results) -> list[Panel]:
    """Draw group-mean connectivity by visit, all on one scale."""
    if not results.matrices:
        return []
    first = next(iter(results.matrices.values()))
    networks = networks_of(results, [str(name) for name in first.index])
    titles = list(results.matrices)
    panel = Panel(
        name="matrices",
        title="Mean connectivity by visit",
        how="Rows and columns are parcels in order of their networks (outlined; small ones "
        "have no room for their names); red is positive, blue negative, grey unknown. Means of "
        "everybody there, not of the same people at each visit.",
        alt=f"Matrices of mean Fisher z of {len(first)} parcels: {', '.join(titles)}.",
        figure=plot_matrices(results.matrices, networks),
        parts=tuple(results.matrices.items()),
        methods="Fisher z of Pearson's correlation, averaged over the sessions of a visit; an edge that "
        "is missing in a session does not count there.",
        min_width_px=280 * min(3, len(titles)),
    )
    return [panel]


def edge_panel(results: Results, name: str) -> Panel | None:
    """Draw the statistics of all edges as a matrix."""
    edges = results.edges[name]
    if edges.empty or edges["statistic"].isna().all():
        return None
    known = ends_of(edges)
    order = next((list(map(str, m.index)) for m in results.matrices.values()), known)
    order = [parcel for parcel in order if parcel in set(known)] or known
    networks = networks_of(results, order)
    passed = int((pd.to_numeric(edges["p_adjusted"]) < 0.05).sum())
    return Panel(
        name=f"edges {name}",
        title=f"{name}: t of every edge",
        how="Below the diagonal: t of every edge. Above it: only edges that pass the adjustment "
        "over all edges at .05; white there means that an edge does not.",
        alt=f"Matrix of t statistics of {len(edges)} edges; {passed} pass adjustment, "
        f"t from {format_number(edges['statistic'].min())} to "
        f"{format_number(edges['statistic'].max())}.",
        figure=plot_edge_matrix(edges, parcels=order, networks=networks),
        data=edges[["parcel_a", "parcel_b", "statistic", "p_adjusted"]],
        methods=next((one.methods for one in results.analyses if one.name == name), "")
        or "The same model on every edge.",
        min_width_px=460,
    )


def truth_panel(results: Results) -> Panel | None:
    """Draw estimates of a simulated trial beside the truth."""
    truth = table(results, "truth")
    if truth is None:
        return None
    shown = truth[truth["estimate"].map(as_float).notna() & truth["truth"].map(as_float).notna()]
    if shown.empty:
        return None
    judged = shown.dropna(subset=["covered"])
    covered = int(judged["covered"].astype(bool).sum())
    return Panel(
        name="truth",
        title="Recovery of the known truth",
        how="Upright bars are what the simulation put in; dots with lines what the analysis found. "
        "About one interval in twenty misses by design.",
        alt=f"{covered} of {len(judged)} intervals cover the truth.",
        figure=plot_truth(shown),
        data=truth,
        methods="Estimates of the analyses above beside the effects that the simulation put in.",
        min_width_px=560,
    )
