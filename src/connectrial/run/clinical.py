"""Clinical analyses that are no mixed model: arms at a visit, analysis of variance, times, volumes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import (
    base_cells,
    effect_size_cells,
    failed,
    result_of,
    tidy_cells,
)
from connectrial.stats.ancova import ancova
from connectrial.stats.anova import paired_comparisons, repeated_measures_anova
from connectrial.stats.association import correlate
from connectrial.stats.ordinal import probabilistic_index
from connectrial.stats.survival import cox, kaplan_meier, log_rank, median_time
from connectrial.study import ClinicalSection, Study
from connectrial.study_clinical import MARGIN_METHODS
from connectrial.study_trial import TimeToEventSection, VolumesSection

Rows = list[dict[str, Any]]


def analyse_arms(plan: PlannedAnalysis, study: Study, *, seed: int) -> Result:
    """Do a ``[[clinical]]`` by its method."""
    section = plan.section
    assert isinstance(section, ClinicalSection)  # noqa: S101 - planned so
    unit = study.scales[section.scale].unit
    try:
        if section.way == "anova":
            return _anova(plan, section, unit)
        if section.way == "ancova":
            return _ancova(plan, section, unit)
        if section.way == "ordinal":
            return _ordinal(plan, section)
        if section.way in MARGIN_METHODS:
            from connectrial.run.margins import analyse_margin

            return analyse_margin(plan, section, scale=study.scales[section.scale])
        from connectrial.run.imputing import analyse_reference_based

        return analyse_reference_based(
            plan, section, design=study.design.kind, unit=unit, seed=seed
        )
    except ConnectrialError as error:
        return failed(plan, error.problems)


def _anova(plan: PlannedAnalysis, section: ClinicalSection, unit: str) -> Result:
    declared = section.df or "greenhouse-geisser"
    with_arms = "arm" in plan.rows and plan.rows["arm"].notna().any()
    table = plan.rows.loc[plan.rows["arm"].notna()] if with_arms else plan.rows
    effects = repeated_measures_anova(
        table,
        outcome="score",
        subject="subject",
        within="visit",
        between="arm" if with_arms else None,
    )
    rows: Rows = []
    for term, row in effects.iterrows():
        several = (effects.index == term).sum() > 1
        is_declared = row["df_method"] == declared or not several
        tested = str(term) in plan.tests
        rows.append(
            base_cells(plan)
            | tidy_cells(row)
            | {
                "term": str(term),
                "unit": "partial eta squared",
                "declared": bool(is_declared),
                "family": (plan.family or "") if is_declared and tested else "",
            }
        )
    notes = [
        f"an F test has one effect with two visits: sphericity is no question ({term})"
        for term in effects.index[~effects.index.duplicated(keep=False)]
        if "visit" in str(term) and table["visit"].nunique() == 2
    ]
    pairs = paired_comparisons(
        table, outcome="score", subject="subject", within="visit", reference=section.baseline
    )
    for term, row in pairs.iterrows():
        cells = tidy_cells(row) | {"term": str(term), "unit": unit, "family": ""}
        cells |= {"adjustment": f"{row['adjustment']} over {len(pairs)} paired tests"}
        rows.append(base_cells(plan) | cells)
        rows.append(effect_size_cells(plan, row, str(term)))
    left = int(effects["n_left_out"].max())
    if left:
        who = "1 person" if left == 1 else f"{left} people"
        notes.append(f"the analysis of variance leaves out {who} with a missing visit")
    arms = ", arms between people" if with_arms else ""
    together = ", arms together" if with_arms else ""
    named = declared.title() if "-" in declared else declared
    return result_of(
        plan,
        rows,
        methods=(
            f"{section.scale} was compared over visits by repeated-measures analysis of variance"
            f"{arms} ({named} degrees of freedom), then each visit with {section.baseline} by "
            f"paired t tests of everybody with both scores{together}, adjusted by Holm's method."
        ),
        citations=("greenhouse1959",),
        notes=notes,
    )


def _ancova(plan: PlannedAnalysis, section: ClinicalSection, unit: str) -> Result:
    table = plan.rows.loc[plan.rows["arm"].notna()]
    fitted = ancova(
        table,
        outcome=section.measure,
        baseline="baseline",
        group="arm",
        covariates=section.covariates,
    )
    rows: Rows = []
    for term, row in fitted.iterrows():
        difference = row["kind"] == "difference"
        name = f"{term} at {section.visit}" if difference else str(term)
        cells = tidy_cells(row) | {"term": name, "unit": "" if row["kind"] == "F test" else unit}
        if difference:
            cells["family"] = plan.family or ""
        rows.append(base_cells(plan) | cells)
        if difference:
            rows.append(effect_size_cells(plan, row, name))
    more = f" and {', '.join(section.covariates)}" if section.covariates else ""
    return result_of(
        plan,
        rows,
        methods=(
            f"{section.scale} {section.measure} at {section.visit} was compared between arms by "
            f"analysis of covariance with the baseline score{more}; people with a missing value are "
            "left out."
        ),
    )


def _ordinal(plan: PlannedAnalysis, section: ClinicalSection) -> Result:
    table = plan.rows.loc[plan.rows["arm"].notna()]
    levels = [level for level in table["arm"].cat.categories if (table["arm"] == level).any()]
    rows: Rows = []
    for level in levels[1:]:
        own = table.loc[table["arm"] == level, section.measure]
        other = table.loc[table["arm"] == levels[0], section.measure]
        row = probabilistic_index(own, other).iloc[0]
        rows.append(
            base_cells(plan)
            | tidy_cells(row)
            | {
                "term": f"{level} - {levels[0]} at {section.visit}",
                "unit": "probability",
                "family": plan.family or "",
            }
        )
    counts = table.groupby(["arm", section.measure], observed=True)["subject"].nunique()
    for one in counts.rename("people").reset_index().to_dict("records"):
        count, value = int(one["people"]), float(one[section.measure])
        cells = {"kind": "count", "term": f"{one['arm']}, score {value:g}", "estimate": count}
        rows.append(base_cells(plan) | cells | {"unit": "people", "n_subjects": count})
    return result_of(
        plan,
        rows,
        methods=(
            f"{section.scale} at {section.visit} was compared between arms as an ordinal outcome, by "
            "the probability that somebody of one arm scores higher than somebody of the other, ties "
            "counting half (Brunner and Munzel's test); 0.5 means no difference."
        ),
        citations=("brunner2000",),
        notes=[] if levels[1:] else ["not done: there is one arm only"],
    )


def analyse_times(plan: PlannedAnalysis) -> Result:
    """Describe and compare times to an event."""
    section = plan.section
    assert isinstance(section, TimeToEventSection)  # noqa: S101 - planned so
    table = plan.rows.loc[plan.rows["time_days"].notna()]
    if table.empty:
        return failed(plan, ["nobody has a time"])
    groups: dict[str, pd.DataFrame] = {"": table}
    with_arms = "arm" in table and table["arm"].nunique() > 1
    if "arm" in table:
        table = table.loc[table["arm"].notna()]
        groups |= {str(a): t for a, t in table.groupby("arm", observed=True, sort=True)}
    rows: Rows = []
    for name, mine in groups.items():
        suffix = f", {name}" if name else ""
        curve = kaplan_meier(mine["time_days"], mine["event"])
        median, low, high = median_time(curve)
        n = {"n_subjects": len(mine), "n_observations": len(mine)}
        count = {"kind": "count", "unit": "people", "estimate": float(mine["event"].sum())}
        rows.append(
            base_cells(plan, **n) | count | {"term": f"people with a {section.event}{suffix}"}
        )
        flags = "" if np.isfinite(median) else "fewer than half have the event"
        rows.append(
            base_cells(plan, **n)
            | {"kind": "median", "unit": "days", "term": f"median time{suffix}", "flags": flags}
            | {"estimate": median, "ci_low": low, "ci_high": high, "ci_level": 0.95}
        )
    notes: list[str] = []
    if with_arms:
        for compare in (_log_rank, _cox):
            try:
                rows += compare(plan, table)
            except ConnectrialError as error:
                notes += [f"not compared: {problem}" for problem in error.problems]
    compared = ", compared between arms by the log-rank test and Cox's model (ties by Efron)"
    return result_of(
        plan,
        rows,
        methods=(
            f"Days to the first {section.event} on the {section.scale} were described by Kaplan and "
            f"Meier's estimate{compared if with_arms else ''}; people without one are censored at "
            "their last score."
        ),
        citations=("kaplan1958", *(("cox1972",) if with_arms else ())),
        notes=notes,
    )


def _log_rank(plan: PlannedAnalysis, table: pd.DataFrame) -> Rows:
    row = log_rank(table["time_days"], table["event"], group=table["arm"]).iloc[0]
    return [base_cells(plan) | tidy_cells(row) | {"term": "log-rank"}]


def _cox(plan: PlannedAnalysis, table: pd.DataFrame) -> Rows:
    fitted = cox(table, time="time_days", event="event", group="arm")
    return [
        base_cells(plan)
        | tidy_cells(row)
        | {"term": str(term), "unit": "ratio", "family": plan.family or ""}
        for term, row in fitted.iterrows()
    ]


def analyse_volumes(plan: PlannedAnalysis) -> Result:
    """Correlate volumes over intracranial volume with a clinical change."""
    section = plan.section
    assert isinstance(section, VolumesSection)  # noqa: S101 - planned so
    table = plan.rows
    total = table[section.intracranial].to_numpy(dtype=float)
    if (total <= 0).any():
        return failed(plan, [f"{section.intracranial} is 0 in {int((total <= 0).sum())} people"])
    rows: Rows = []
    for structure in section.structures:
        share = table[structure].to_numpy(dtype=float) / total
        try:
            row = correlate(share, table[section.outcome], method=section.method).iloc[0]
        except ConnectrialError as error:
            return failed(plan, [f"{structure}: {problem}" for problem in error.problems])
        flags = "; ".join(
            filter(None, (str(row["flags"]), "not adjusted for the other structures"))
        )
        rows.append(
            base_cells(plan)
            | tidy_cells(row)
            | {"term": structure, "unit": "correlation", "flags": flags}
        )
    what = "percent change" if section.outcome == "percent_change" else "change"
    return replace(
        result_of(
            plan,
            rows,
            methods=(
                f"Volumes of {len(section.structures)} structures over {section.intracranial} were "
                f"correlated ({section.method.capitalize()}) with the {what} of {section.scale} from "
                f"{section.baseline} to {section.visit}; p values are not adjusted for their number."
            ),
        )
    )
