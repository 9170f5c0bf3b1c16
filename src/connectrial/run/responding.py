"""Proportions that meet an endpoint: by arm and between arms, or under each treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ConnectrialError
from connectrial.plan import PlannedAnalysis
from connectrial.results import Result
from connectrial.run.analysing import base_cells, failed, result_of, tidy_cells
from connectrial.run.crossing import paired_response
from connectrial.stats.exact import exact_proportions, mcnemar
from connectrial.stats.proportions import (
    number_needed_to_treat,
    proportion,
    risk_difference,
    risk_ratio,
)
from connectrial.study import EndpointSection

#: Exact tests of a risk difference: in words, and the references they need.
_EXACT: dict[str | None, tuple[str, tuple[str, ...]]] = {
    "fisher": ("Fisher's exact test, with the conditional odds ratio and its exact interval", ()),
    "boschloo": ("Boschloo's exact test", ("boschloo1970",)),
}


def analyse_treatments(plan: PlannedAnalysis, treatments: Sequence[str]) -> Result:
    """Return the proportion that meets an endpoint under each treatment, and the paired difference."""
    base = base_cells(plan, unit="proportion")
    counts, pairs = paired_response(plan, treatments)
    rows = [
        base
        | tidy_cells(proportion(met, n).iloc[0])
        | {"kind": "proportion", "term": f"{plan.outcome}, {treatment}"}
        for treatment, met, n in counts
        if n
    ]
    notes = list(plan.notes)
    for term, met, reference in pairs:
        row = mcnemar(met, reference).iloc[0]
        rows.append(base | tidy_cells(row) | {"kind": "risk difference", "term": term})
        notes.append(
            f"{term}: {len(met)} people with both; {row['yes_no']} met it under the first only, "
            f"{row['no_yes']} under the second only"
        )
    return result_of(
        plan,
        rows,
        methods=(
            "Proportions under each treatment carry Wilson's 95 % intervals; their difference within "
            "people has Newcombe's interval for pairs and McNemar's exact p, periods not considered."
        ),
        citations=("wilson1927", "newcombe1998", "mcnemar1947"),
        notes=notes,
    )


def analyse_response(plan: PlannedAnalysis, by: pd.Series | None, levels: Sequence[str]) -> Result:
    """Return the proportion that meets an endpoint, by arm and between arms where there are arms."""
    rows: list[dict[str, Any]] = []
    notes = list(plan.notes)
    sets = list(dict.fromkeys(plan.rows["analysis_set"]))
    for number, name in enumerate(sets):
        mine = plan.rows.loc[plan.rows["analysis_set"] == name]
        family = plan.family if number == 0 else None
        # The first set is the analysis; the same endpoint in other sets shows what hangs on it.
        own = (
            plan if number == 0 or plan.role == "descriptive" else replace(plan, role="sensitivity")
        )
        rows += _proportions(own, mine, by, levels, notes, analysis_set=name, family=family)
    if not rows:
        return failed(plan, ["nobody has a value"])
    between = (
        "; differences between arms Newcombe's; risk ratios carry Koopman's, numbers needed to treat the "
        "inverted difference's (NNTB: one more meets it, NNTH: one fewer)"
    )
    test = plan.section.test if isinstance(plan.section, EndpointSection) else None
    if test in _EXACT:
        between += f"; differences were tested by {_EXACT[test][0]}"
    return result_of(
        plan,
        rows,
        methods=f"Proportions carry Wilson's 95 % intervals{between if by is not None else ''}.",
        citations=(
            "wilson1927",
            *(("newcombe1998", "koopman1984", "altman1998") if by is not None else ()),
            *_EXACT.get(test or "", ("", ()))[1],
        ),
        notes=notes,
    )


def _proportions(
    plan: PlannedAnalysis,
    mine: pd.DataFrame,
    by: pd.Series | None,
    levels: Sequence[str],
    notes: list[str],
    *,
    analysis_set: str,
    family: str | None,
) -> list[dict[str, Any]]:
    """Lay out one analysis set: everybody, each arm, and each arm against the first."""
    known = mine.loc[mine["met"].notna()]
    met = known["met"].astype(bool)
    if len(known) == 0:
        return []
    base = base_cells(plan, unit="proportion", analysis_set=analysis_set)
    cells = tidy_cells(proportion(int(met.sum()), len(met)).iloc[0])
    rows = [base | cells | {"kind": "proportion", "term": plan.outcome}]
    if by is None:
        return rows
    arm = by.reindex(known["subject"]).to_numpy()
    counts = {level: (int(met[arm == level].sum()), int((arm == level).sum())) for level in levels}
    for level, (yes, n) in counts.items():
        if n:
            cells = tidy_cells(proportion(yes, n).iloc[0])
            rows.append(base | cells | {"kind": "proportion", "term": f"{plan.outcome}, {level}"})
    reference = levels[0]
    test = plan.section.test if isinstance(plan.section, EndpointSection) else None
    compared: tuple[tuple[str, str, Any], ...] = (
        ("risk difference", "proportion", risk_difference),
        ("risk ratio", "ratio", risk_ratio),
        ("number needed to treat", "people", number_needed_to_treat),
    )
    for level in levels[1:]:
        for kind, unit, compare in compared:
            try:
                row = compare(counts[level], counts[reference]).iloc[0]
            except ConnectrialError as error:
                notes += [f"{analysis_set}, {kind}: {problem}" for problem in error.problems]
                continue
            more: dict[str, Any] = {"kind": kind, "term": f"{level} - {reference}", "unit": unit}
            if kind == "risk difference":
                more["family"] = family or ""
            else:
                more["p"] = np.nan  # the risk difference's test is the test
            rows.append(base | tidy_cells(row) | more)
            if kind == "risk difference" and test is not None and test in _EXACT:
                exact = exact_proportions(counts[level], counts[reference], method=test)
                rows[-1] |= {"p": exact.iloc[0]["p"], "statistic": np.nan, "flags": ""}
                rows[-1] |= {"statistic_name": exact.iloc[0]["statistic_name"]}
                rows += [
                    base | tidy_cells(one) | {"term": more["term"], "unit": "ratio", "p": np.nan}
                    for _, one in exact.iloc[1:].iterrows()
                ]
    return rows
