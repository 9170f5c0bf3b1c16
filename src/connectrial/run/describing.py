"""Plans and answers as text for a terminal; the caller prints."""

from __future__ import annotations

from collections.abc import Hashable, Mapping

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from connectrial.plan import Plan, PlannedAnalysis
from connectrial.plan.processing import processing_sentences
from connectrial.plan.variants import variant_words
from connectrial.results import Results
from connectrial.run.model_rows import DF_METHODS
from connectrial.trial.visits import CONTROLS
from connectrial.wording import contrast_term

_TEST_KINDS = ["coefficient", "contrast", "F test", "difference", "risk difference"]
_TEST_KINDS += ["hazard ratio", "probabilistic index", "correlation"]
_MARKS = {"complete": "●", "partial": "◐", "excluded": "✕", "missing": "·"}


def as_rich(table: pd.DataFrame, *, title: str | None = None) -> Table:
    """Lay a table out for a terminal, numbers to three significant digits."""
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in table.columns:
        numeric = pd.api.types.is_numeric_dtype(table[name].dtype)
        shown.add_column(str(name), justify="right" if numeric else "left", overflow="fold")
    for row in table.itertuples(index=False):
        shown.add_row(*(Text(_cell(value)) for value in row))
    return shown


def _cell(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(value)


def shown_p(p: float) -> str:
    """Write a p value as journals do."""
    if not np.isfinite(p):
        return ""
    if p < 0.001:
        return "<.001"
    text = f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
    return text.replace("0.", ".", 1) if text.startswith("0.") else text


def print_plan(plan: Plan, console: Console) -> None:
    """Print a plan: people and scans with their fates, visits, analyses, and all that is wrong."""
    study = plan.study.study
    simulated = "  (SIMULATED DATA)" if plan.simulated else ""
    console.print(Text(f"{study.name}{simulated}", style="bold"))
    console.print(Text(f"plan {plan.hash}, data {plan.survey_hash}"))
    if study.stand_ins:
        console.print(Text(f"stand-in: {', '.join(study.stand_ins)}"))
    for layout in plan.survey.layouts:
        console.print(Text(f"clinical data: {layout}"))
    console.print()
    if not plan.flow.empty:
        flow = plan.flow.drop(columns=["step"]).assign(
            left_out=plan.flow["left_out"].str.replace("\n", "; ")
        )
        console.print(as_rich(flow, title="Flow"))
        console.print()
    _print_processing(plan, console)
    _print_scans(plan, console)
    _print_people(plan, console)
    _print_availability(plan, console)
    for one in plan.analyses:
        _print_analysis(plan, one, console)
    _print_variants(plan, console)
    _print_families(plan, console)
    if plan.warnings:
        console.print(Text("Notes", style="bold"))
        for warning in plan.warnings:
            console.print(Text(f"- {warning}"))


def _print_processing(plan: Plan, console: Console) -> None:
    """Print what will be done to the scans, in the words of the methods text."""
    kinds = {scan.kind for scan in plan.survey.scans}
    if not kinds:
        return
    lines = processing_sentences(plan.study.as_plain(), kinds=kinds)
    if plan.study.quality.batch is not None:
        lines.append(f"Batch: {plan.study.quality.batch}, tested against visit and arm.")
    if lines:
        console.print(Text("Processing", style="bold"))
        for line in lines:
            console.print(Text(f"- {line}"))
        console.print()


def _print_scans(plan: Plan, console: Console) -> None:
    scans = plan.people.scans
    if scans.empty:
        return
    columns = ["name", "visit", "n_frames", "kept_frames", "kept_minutes", "mean_fd_mm"]
    shown = scans[columns].copy()
    shown["fate"] = np.where(
        scans["analysed"], "analysed", np.where(scans["included"], "usable", "out")
    )
    shown["reason"] = scans["reason"]
    for column in ("kept_minutes", "mean_fd_mm", "kept_frames"):
        if shown[column].isna().all():
            shown = shown.drop(columns=column)
    console.print(as_rich(shown, title=f"Scans ({len(shown)} runs)"))
    console.print()


def _print_people(plan: Plan, console: Console) -> None:
    out = plan.people.subjects.loc[~plan.people.subjects["included"], ["subject", "reason"]]
    if len(out):
        console.print(as_rich(out, title=f"People left out ({len(out)})"))
        console.print()


def _print_availability(plan: Plan, console: Console) -> None:
    """Print who has what at each visit, one character each."""
    table = plan.availability
    if table.empty:
        return
    whats = list(dict.fromkeys(table["what"]))
    legend = ", ".join(f"{mark} {state}" for state, mark in _MARKS.items())
    shown = Table(
        title=f"Visits ({'/'.join(whats)}: {legend})",
        title_justify="left",
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    visits = [
        one
        for one in (*(p.name for p in plan.study.places), CONTROLS)
        if one in set(table["visit"])
    ]
    factors = [name for name in plan.people.factors if name in ("group", "arm")]
    for name in ("subject", *factors, *visits):
        shown.add_column(name)
    people = plan.people.subjects.set_index("subject")
    marks = table.assign(mark=table["state"].map(_MARKS))
    by_place = marks.groupby(["subject", "visit"], sort=False)["mark"].agg("".join)
    for subject in dict.fromkeys(table["subject"]):
        own = [_cell(people.loc[subject, factor]) for factor in factors]
        shown.add_row(
            Text(str(subject)), *map(Text, own), *(by_place.get((subject, v), "") for v in visits)
        )
    console.print(shown)
    console.print()


def _print_analysis(plan: Plan, one: PlannedAnalysis, console: Console) -> None:
    family = f", family {one.family}" if one.family else ""
    console.print(Text(f"{one.title}", style="bold"), Text(f"[{one.role}{family}]"))
    lines: dict[str, str] = {"who": one.analysis_set}
    if one.model is not None:
        lines |= {
            "model": one.formula,
            "df": _df_words(one.model.df),
            "columns": ", ".join(one.columns),
            "reference": _pairs(one.reference_levels),
            "coding": "; ".join(
                f"{name}: {_pairs(codes)}" for name, codes in one.model.coding.items()
            ),
            "rank": "" if one.rank is None else f"{one.rank} of {len(one.columns)}",
        }
    if one.edges is not None:
        lines["edges"] = f"{len(one.edges.edges)} among {len(one.edges.parcels)} parcels"
        if one.edges.measure != "mean":
            lines["measure"] = one.edges.description.removeprefix(f"{one.edges.name}: ")
    lines["tests"] = ", ".join(one.tests)
    lines["contrasts"] = "; ".join(contrast.term() for contrast in one.contrasts)
    lines["numbers"] = f"{one.n_subjects} people, {one.n_observations} observations"
    for name, text in lines.items():
        if text:
            console.print(Text(f"  {name:<10}{text}"))
    for note in one.notes:
        console.print(Text(f"  note      {note}"))
    for problem in one.problems:
        console.print(Text(f"  WRONG     {problem}", style="bold red"))
    console.print()


def _print_variants(plan: Plan, console: Console) -> None:
    for name, one in plan.variants.items():
        repeated = [a for a in one.analyses if a.what == "network FC"]
        scans = int(one.people.scans["analysed"].sum())
        words = variant_words(plan.study, name)
        console.print(
            Text(f"Variant {name}", style="bold"),
            Text("[sensitivity]" + (f" {words}" if words else "")),
        )
        console.print(Text(f"  repeats   {', '.join(a.name for a in repeated)}"))
        console.print(Text(f"  numbers   {scans} of {len(one.people.scans)} runs"))
        console.print()


def _df_words(declared: str) -> str:
    beside = [name for name in DF_METHODS if name != declared]
    return f"{declared} declared; beside it where the model has them: {', '.join(beside)}"


def _pairs(levels: Mapping[str, object]) -> str:
    return ", ".join(f"{name} = {level}" for name, level in levels.items())


def _print_families(plan: Plan, console: Console) -> None:
    from connectrial.study_model_checks import family_members

    for name, family in plan.study.family.items():
        members = family_members(plan.study, name)
        listed = "; ".join(f"{analysis}: {term}" for analysis, term in members)
        console.print(
            Text(f"Family {name}: {family.size or len(members)} tests, {family.method}: {listed}")
        )
    if plan.study.family:
        console.print()


def print_answer(results: Results, console: Console) -> None:
    """Print the declared tests: primary first, then negative controls, then the others."""
    simulated = " (SIMULATED DATA)" if results.plan.get("simulated") else ""
    table = answer_table(results)
    if table.empty:
        return
    console.print(as_rich(table, title=f"Declared tests{simulated}"))
    for result in results.analyses:
        for note in result.notes:
            if note.startswith("not done"):
                console.print(Text(f"{result.name}: {note}", style="bold"))


def answer_table(results: Results) -> pd.DataFrame:
    """Return the declared tests as short text rows.

    Parameters
    ----------
    results : Results
        Of a run.

    Returns
    -------
    DataFrame
        ``role``, ``analysis``, ``term``, ``estimate``, ``95 % CI``, ``p``, ``adjusted``, ``df``.
    """
    rows = []
    tests = {
        one.name: one
        for one in results.analyses
        if one.what
        in ("network FC", "score", "groups", "arms", "correlation", "response", "time to event")
    }
    order = {"primary": 0, "negative control": 1, "secondary": 2}
    for name, result in tests.items():
        estimates = result.estimates
        declared = estimates.loc[
            estimates["declared"]
            & estimates["kind"].isin(_TEST_KINDS)
            & _is_test(result.what, estimates, results, name)
        ]
        for row in declared.to_dict("records"):
            rows.append(
                {
                    "role": row["role"],
                    "analysis": f"{name}"
                    if result.what != "groups"
                    else f"{name}: {row['outcome']}",
                    "term": row["term"],
                    "estimate": row["estimate"],
                    "95 % CI": ""
                    if not np.isfinite(row["ci_low"])
                    else f"{row['ci_low']:.3g} to {row['ci_high']:.3g}{_other_level(row)}",
                    "p": shown_p(row["p"]),
                    "adjusted": f"{shown_p(row['p_adjusted'])} ({row['adjustment']})"
                    if np.isfinite(row["p_adjusted"])
                    else "",
                    "df": f"{row['df']:.1f} ({row['df_method']})" if np.isfinite(row["df"]) else "",
                }
            )
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    rank = table["role"].map(lambda role: order.get(role, 3))
    return table.loc[rank.sort_values(kind="stable").index].reset_index(drop=True)


def _other_level(row: Mapping[Hashable, object]) -> str:
    """Return the level of an interval that is not of 95 %, as those against a margin are not."""
    level = float(str(row["ci_level"]))
    return "" if abs(level - 0.95) < 1e-9 or not np.isfinite(level) else f" ({100 * level:g} %)"


def _is_test(what: str, estimates: pd.DataFrame, results: Results, name: str) -> pd.Series:
    """Mark the rows that the study file lists as tests; their terms have another df beside them."""
    if what == "groups":
        return estimates["kind"] == "difference"
    if what in ("response", "time to event"):
        return estimates["family"] != ""
    if what == "correlation":
        return estimates["declared"]
    if what == "arms":
        return estimates["kind"].isin(["difference", "probabilistic index"])
    beside = set(estimates.loc[~estimates["declared"], "term"])
    named = _contrasts_of(results, name)
    if named:
        # Contrasts that nobody declared stand in the tables, not among the tests.
        return estimates["term"].isin(named | (beside - set(_all_contrasts(estimates))))
    return estimates["term"].isin(beside)


def _all_contrasts(estimates: pd.DataFrame) -> list[str]:
    return [str(term) for term in estimates.loc[estimates["kind"] == "contrast", "term"]]


def _contrasts_of(results: Results, name: str) -> set[str]:
    """Return the contrasts that the study file declares in an analysis."""
    reference = next(iter(results.study["design"]["treatments"]), "")
    return {
        contrast_term(
            one["treatment"],
            one["against"] or reference,
            visits=one["visits"],
            since=one["since"],
        )
        for section in ("hypothesis", "clinical")
        for entry in results.study[section]
        if entry["name"] == name
        for one in entry["contrasts"]
    }
