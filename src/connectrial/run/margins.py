"""Arms at a visit against a margin: equivalence and non-inferiority, from planned rows to a result."""

from __future__ import annotations

from typing import Any

import pandas as pd

from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import base_cells, effect_size_cells, failed, result_of, tidy_cells
from connectrial.stats.equivalence import equivalence, non_inferiority
from connectrial.study import ClinicalSection, ScaleSection


def analyse_margin(
    plan: PlannedAnalysis, section: ClinicalSection, *, scale: ScaleSection
) -> Result:
    """Test each arm against the first one within a margin that was fixed before.

    Parameters
    ----------
    plan : PlannedAnalysis
        Rows of the visit that is compared.
    section : ClinicalSection
        Margin, level, and which of the two questions.
    scale : ScaleSection
        Which way improvement lies, and the unit of the margin.
    """
    table = plan.rows.loc[plan.rows["arm"].notna()]
    arms = [a for a in table["arm"].cat.categories if (table["arm"] == a).any()]
    if len(arms) < 2:
        return failed(plan, ["there is one arm only"])
    rows: list[dict[str, Any]] = []
    level = section.alpha or (0.05 if section.way == "equivalence" else 0.025)
    for arm in arms[1:]:
        own = table.loc[table["arm"] == arm, section.measure]
        reference = table.loc[table["arm"] == arms[0], section.measure]
        row = _test(own, reference, section, scale, alpha=level)
        shown = bool(row["equivalent" if section.way == "equivalence" else "non_inferior"])
        verdict = f"{section.way}{'' if shown else ' not'} shown at one-sided {level:g}"
        flags = "; ".join(part for part in (_margin(section, scale), verdict, row["flags"]) if part)
        term = f"{arm} - {arms[0]} at {section.visit}"
        cells = {"term": term, "unit": scale.unit, "flags": flags, "family": plan.family or ""}
        rows += [base_cells(plan) | tidy_cells(row) | cells, effect_size_cells(plan, row, term)]
    test = "Student's t tests" if section.equal_variance else "Welch's t tests"
    question = (
        f"for equivalence by two one-sided {test}"
        if section.way == "equivalence"
        else f"for non-inferiority by one-sided {test}"
    )
    return result_of(
        plan,
        rows,
        methods=(
            f"{section.scale} {section.measure} at {section.visit} was compared between arms {question} "
            f"({_margin(section, scale)}, one-sided level {level:g}; intervals have level "
            f"{1 - 2 * level:g}); people with a missing value are left out."
        ),
        citations=("schuirmann1987",),
        notes=["not finding a difference is no sign of equivalence; the margin's test is"],
    )


def _test(
    own: pd.Series,
    reference: pd.Series,
    section: ClinicalSection,
    scale: ScaleSection,
    *,
    alpha: float,
) -> pd.Series:
    margin = float(section.margin or 0.0)
    if section.way == "equivalence":
        return equivalence(
            own,
            reference,
            low=-margin,
            high=margin,
            equal_variance=section.equal_variance,
            alpha=alpha,
        ).iloc[0]
    return non_inferiority(
        own,
        reference,
        margin=margin,
        higher_is_better=scale.better == "higher",
        equal_variance=section.equal_variance,
        alpha=alpha,
    ).iloc[0]


def _margin(section: ClinicalSection, scale: ScaleSection) -> str:
    if section.way == "equivalence":
        return f"margins -{section.margin:g} and {section.margin:g} {scale.unit}"
    return f"margin {section.margin:g} {scale.unit}, {scale.better} being better"
