"""Variants of processing: their scans, and every hypothesis on them beside the study's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from connectrial.plan import Plan
from connectrial.plan.exposure import slope_units
from connectrial.plan.variants import as_variant, variant_words
from connectrial.results import Result, Results
from connectrial.run.analysing import analyse_network, failed
from connectrial.run.families import mark_simulated
from connectrial.run.group import scans_after, visit_fc_of
from connectrial.run.participant import Progress
from connectrial.run.quality_tables import ruled_out
from connectrial.run.session_jobs import SessionJob, SessionOutcome, session_jobs
from connectrial.run.session_values import read_sessions
from connectrial.study_set_checks import variant_label

#: Where the matrices of variants lie, inside the output folder.
FOLDER = "variants"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VariantJobs:
    """A variant's sessions, and where they go."""

    name: str
    plan: Plan
    folder: Path
    jobs: list[SessionJob]


#: A variant's sessions, and what became of each.
VariantDone = tuple[VariantJobs, Sequence[SessionOutcome]]


def variant_jobs(plan: Plan, output: Path) -> list[VariantJobs]:
    """List the sessions of every variant."""
    found = []
    for name, own in plan.variants.items():
        folder = output / FOLDER / variant_label(name)
        found.append(
            VariantJobs(name=name, plan=own, folder=folder, jobs=session_jobs(own, folder))
        )
    return found


def with_variants(
    results: Results,
    plan: Plan,
    done: Sequence[VariantDone],
    *,
    progress: Progress,
) -> Results:
    """Add every hypothesis of every variant to the results.

    Parameters
    ----------
    results : Results
        Of the study itself.
    plan : Plan
        The study's.
    done : sequence of (VariantJobs, outcomes)
        The variants' sessions, and what became of them.
    progress : callable
        Told of each session that is read.

    Returns
    -------
    Results
        With analyses of ``what`` "variant", and the tables ``variants`` and ``variant_fc``.
    """
    if not done:
        return results
    analyses = list(results.analyses)
    values, facts = [], []
    for variant, outcomes in done:
        fc, lost = _values(variant, outcomes, progress)
        values.append(fc.assign(variant=variant.name))
        words = variant_words(plan.study, variant.name)
        facts.append(
            {
                "variant": variant.name,
                "what": words,
                "sessions": len(variant.jobs) - lost,
                "left_out": lost,
                "survey_hash": variant.plan.survey_hash,
            }
        )
        found = _analyses(variant, fc, words)
        analyses += [mark_simulated(one) for one in found] if plan.simulated else found
    tables = {"variants": pd.DataFrame(facts), "variant_fc": pd.concat(values, ignore_index=True)}
    return replace(results, analyses=tuple(analyses), tables={**results.tables, **tables})


def _values(
    variant: VariantJobs, outcomes: Sequence[SessionOutcome], progress: Progress
) -> tuple[pd.DataFrame, int]:
    """Return the network FC of a variant's visits, and how many sessions were lost in reading."""
    plan, jobs = variant.plan, variant.jobs
    scans = scans_after(plan, outcomes, ruled_out(plan, jobs, outcomes))
    analysed = scans.loc[scans["analysed"]]
    visits: Mapping[tuple[str, str], str] = {
        (str(row.subject), str(row.session)): str(row.visit) for row in analysed.itertuples()
    }
    sessions = read_sessions(plan, jobs, outcomes, visits=visits, edges=None, progress=progress)
    lost = sum(one.sidecar is None for one in outcomes)
    return visit_fc_of(plan, sessions.network_fc()), lost


def _analyses(variant: VariantJobs, fc: pd.DataFrame, words: str) -> list[Result]:
    endpoints = list(variant.plan.study.endpoints)
    note = f"variant {variant.name}" + (f": {words}" if words else "")
    found = []
    for one in variant.plan.analyses:
        if one.what != "network FC":
            continue
        shown = as_variant(one, variant.name)
        if one.problems:
            found.append(failed(shown, one.problems))
            continue
        stand_in = "; ".join(part for part in (one.stand_in, note) if part)
        ready = replace(shown, notes=(note, *shown.notes), stand_in=stand_in)
        seed = variant.plan.study.study.seed
        units = slope_units(variant.plan.study)
        found.append(analyse_network(ready, fc, endpoints, seed=seed, units=units))
    return found
