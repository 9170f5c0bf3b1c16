"""Who takes part, with their factors, scans and scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from connectrial.data import BoolArray
from connectrial.errors import did_you_mean
from connectrial.plan.crossover import plan_periods
from connectrial.plan.endpoint_tables import judge_endpoints
from connectrial.plan.entries import safety_entries
from connectrial.plan.exposure import Exposure, plan_exposure
from connectrial.plan.matched import plan_matching
from connectrial.plan.scan_fates import judge_scans
from connectrial.plan.scores import study_scores
from connectrial.plan.sets import apply_eligibility, find_sets, person_table
from connectrial.plan.survey import Survey
from connectrial.study import Study
from connectrial.trial.matching import Matching
from connectrial.trial.periods import Periods


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class People:
    """Everybody, with their factors, scans and scores.

    Attributes
    ----------
    subjects : pandas.DataFrame
        ``subject``, factor columns (``group``, ``arm``, endpoints, variables), ``included``,
        ``reason``.
    scans : pandas.DataFrame
        One row per run, :data:`connectrial.plan.scan_fates.SCAN_COLUMNS`.
    kept : mapping
        Frames that survive censoring, by scan name.
    scores : pandas.DataFrame
        ``subject``, ``visit``, ``scale``, ``score``, ``day``.
    endpoints : pandas.DataFrame
        ``subject``, ``endpoint``, ``visit``, ``met`` (boolean or NA), ``reason``.
    factors : mapping
        Levels of each factor in declared order.
    exposure : Exposure
        Variables of ``[exposure]``; those of people also stand in `subjects`.
    problems, notes : list of str
        What must be put right; what a reader should know.
    periods : Periods or None
        Of a crossover: when each person was given what.
    matching : Matching or None
        Which controls were chosen for whom.
    sets : mapping
        Members of each analysis set, among those who take part.
    rule_counts : pandas.DataFrame
        Eligibility and analysis sets, rule by rule: :data:`connectrial.plan.sets.COUNT_COLUMNS`.
    score_log : pandas.DataFrame
        Assessments with missing items: :data:`connectrial.plan.scores.LOG_COLUMNS`.
    dispositions : pandas.DataFrame
        ``subject``, ``disposition``, ``fate`` (completed, lost, excluded, not treated); empty
        without ``[flow]``.
    events : pandas.DataFrame
        Checklist entries of those who take part: ``subject``, ``visit``, ``event``, ``severity``,
        factors.
    volumes : pandas.DataFrame
        As in the survey.
    """

    subjects: pd.DataFrame
    scans: pd.DataFrame
    kept: Mapping[str, BoolArray]
    scores: pd.DataFrame
    endpoints: pd.DataFrame
    factors: Mapping[str, tuple[str, ...]]
    problems: list[str]
    notes: list[str]
    exposure: Exposure
    periods: Periods | None = None
    matching: Matching | None = None
    sets: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rule_counts: pd.DataFrame = field(default_factory=pd.DataFrame)
    score_log: pd.DataFrame = field(default_factory=pd.DataFrame)
    dispositions: pd.DataFrame = field(default_factory=pd.DataFrame)
    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    volumes: pd.DataFrame = field(default_factory=pd.DataFrame)


def plan_people(study: Study, survey: Survey) -> People:
    """Decide who is in, by the rules of the study.

    Parameters
    ----------
    study : Study
        The rules.
    survey : Survey
        What is on disk.

    Returns
    -------
    People
        With every person and scan, in or out and why.
    """
    problems: list[str] = []
    notes: list[str] = []
    subjects, factors = _subjects(study, survey, problems)
    found = study_scores(study, survey)
    scores = found.table
    problems += found.problems
    notes += found.notes
    periods = plan_periods(study, survey, subjects, problems, notes)
    if periods is not None:
        factors["sequence"] = periods.sequences
    table = person_table(study, survey, subjects, scores)
    counts = [apply_eligibility(study, subjects, table, problems)]
    sets, members = find_sets(study, subjects, table, problems)
    counts.append(members)
    fates = dispositions(study, survey, subjects, problems)
    endpoints = judge_endpoints(study, scores, subjects, periods, problems)
    # In a crossover an endpoint is reached or not under each treatment: no factor of a person.
    for name, section in () if study.is_crossover else study.endpoints.items():
        mine = endpoints.loc[endpoints["endpoint"] == name].set_index("subject")["met"]
        met = mine.reindex(subjects["subject"]).to_numpy(dtype=object)
        yes, no = section.levels
        subjects[name] = [np.nan if pd.isna(flag) else (yes if flag else no) for flag in met]
        factors[name] = section.levels
    exposure = plan_exposure(
        study, survey, subjects, _weight_column(study, survey, subjects, problems), problems, notes
    )
    for measure in exposure.person:
        subjects[measure] = exposure.person[measure].to_numpy()
    scans, kept = judge_scans(study, survey, subjects, problems, notes)
    subjects, scans, matching = plan_matching(study, subjects, scans, problems, notes)
    ordered = ["subject", *factors, *_numeric(study), *exposure.person, "included", "reason"]
    return People(
        subjects=subjects[ordered].reset_index(drop=True),
        scans=scans,
        kept=kept,
        scores=scores,
        endpoints=endpoints,
        factors=factors,
        problems=problems,
        notes=notes,
        periods=periods,
        matching=matching,
        exposure=exposure,
        sets=sets,
        rule_counts=pd.concat([one for one in counts if len(one)] or counts, ignore_index=True),
        score_log=found.log,
        dispositions=fates,
        events=safety_entries(study, survey, subjects[ordered], factors, problems),
        volumes=survey.volumes,
    )


def _weight_column(
    study: Study, survey: Survey, subjects: pd.DataFrame, problems: list[str]
) -> pd.Series | None:
    if study.exposure is None or study.exposure.weight is None:
        return None
    everybody = list(subjects["subject"])
    return _person_column(survey, study.exposure.weight, everybody, "[exposure] weight", problems)


def _numeric(study: Study) -> list[str]:
    return [name for name, section in study.variables.items() if not section.levels]


def _subjects(
    study: Study, survey: Survey, problems: list[str]
) -> tuple[pd.DataFrame, dict[str, tuple[str, ...]]]:
    everybody = list(
        dict.fromkeys(
            [
                *map(str, survey.participants.index),
                *(scan.subject for scan in survey.scans),
                *survey.scores["subject"].astype(str),
            ]
        )
    )
    table = pd.DataFrame({"subject": everybody})
    reasons: dict[str, str] = {}
    factors: dict[str, tuple[str, ...]] = {}
    for key, column, levels, what in _declared_factors(study):
        values = _person_column(survey, column, everybody, f"{what} column", problems)
        foreign = sorted({str(v) for v in values.dropna()} - set(levels))
        if foreign and key == "arm":
            problems.append(
                f"[arms] levels: the column {column!r} also holds {', '.join(map(repr, foreign))}"
                f"{did_you_mean(foreign[0], levels, listing=False)}; add them to levels, or "
                "exclude the people"
            )
        if key in ("group", "arm"):
            for subject, value in zip(everybody, values, strict=True):
                if pd.isna(value):
                    reasons.setdefault(subject, f"{key} is not stated")
                elif value not in levels:
                    reasons.setdefault(subject, f"{key} {value!r} is not part of the study")
        elif foreign:
            problems.append(
                f"[variables.{key}] levels: the column {column!r} also holds "
                f"{', '.join(map(repr, foreign))}; add them"
            )
        table[key] = values.where(values.isin(levels)).to_numpy()
        factors[key] = levels
    _check_arms_of_patients_only(study, table, reasons)
    for key in _numeric(study):
        column = study.variables[key].column or key
        text = _person_column(survey, column, everybody, f"[variables.{key}] column", problems)
        numbers = pd.to_numeric(text.str.replace(",", "."), errors="coerce")
        bad = text[numbers.isna() & text.notna()]
        if len(bad):
            problems.append(
                f"[variables.{key}]: {bad.iloc[0]!r} in column {column!r} is no number; give "
                "levels = [...] if it is a factor"
            )
        table[key] = numbers.to_numpy(dtype=np.float64)
    _leave_out(study, survey, everybody, reasons, problems)
    table["included"] = [subject not in reasons for subject in everybody]
    table["reason"] = [reasons.get(subject, "") for subject in everybody]
    return table, factors


def _leave_out(
    study: Study,
    survey: Survey,
    everybody: list[str],
    reasons: dict[str, str],
    problems: list[str],
) -> None:
    """Take decisions to exclude; those about nobody who is there are one message."""
    known = {(scan.subject, scan.session or "") for scan in survey.scans}
    unknown: list[str] = []
    for section in study.exclude:
        subject = section.subject.removeprefix("sub-")
        if subject not in everybody:
            unknown.append(f"{section.subject!r}{_perhaps(subject, everybody)}")
        elif section.session is None:
            reasons[subject] = section.reason
        elif (subject, session := section.session.removeprefix("ses-")) not in known:
            own = sorted(one for person, one in known if person == subject)
            unknown.append(
                f"session {section.session!r} of {section.subject!r}{_perhaps(session, own)}"
            )
    # Of a run on some people only, the others are not there.
    if unknown and not survey.partial:
        problems.append(
            f"[[exclude]] subject: there is no {', no '.join(unknown)}; name people and sessions as on disk, "
            "or by their codes in the report (ids.tsv)"
        )


def _perhaps(word: str, allowed: list[str]) -> str:
    hint = did_you_mean(word, allowed, listing=False).removeprefix("; ")
    return f" ({hint})" if hint else ""


def _check_arms_of_patients_only(
    study: Study, table: pd.DataFrame, reasons: dict[str, str]
) -> None:
    """Keep controls, who are not randomised: a missing arm is no reason to leave them out."""
    if study.groups is None or study.groups.controls is None or "arm" not in table:
        return
    for subject in table.loc[table["group"] == study.groups.controls, "subject"]:
        if reasons.get(subject) == "arm is not stated":
            del reasons[subject]


def _declared_factors(study: Study) -> list[tuple[str, str, tuple[str, ...], str]]:
    declared = []
    if study.groups is not None:
        levels = tuple(name for name in (study.groups.patients, study.groups.controls) if name)
        declared.append(("group", study.groups.column, levels, "[groups]"))
    if study.arms is not None:
        declared.append(("arm", study.arms.column, study.arms.levels, "[arms]"))
    declared += [
        (name, section.column or name, section.levels, f"[variables.{name}]")
        for name, section in study.variables.items()
        if section.levels
    ]
    return declared


def _person_column(
    survey: Survey, column: str, everybody: list[str], key: str, problems: list[str]
) -> pd.Series:
    table = survey.participants
    unreadable = table.shape[1] == 0 and len(survey.problems) > 0
    if column not in table and unreadable:
        return pd.Series([pd.NA] * len(everybody), dtype="object")
    if column not in table:
        known = list(map(str, table.columns))
        problems.append(
            f"{key}: the participants table has no column {column!r}{did_you_mean(column, known)}"
        )
        return pd.Series([pd.NA] * len(everybody), dtype="object")
    return table[column].astype("object").reindex(everybody).reset_index(drop=True)


def dispositions(
    study: Study, survey: Survey, subjects: pd.DataFrame, problems: list[str]
) -> pd.DataFrame:
    """Return what became of each person but controls, from the column that ``[flow]`` names."""
    columns = ["subject", "disposition", "fate"]
    if study.flow is None:
        return pd.DataFrame(columns=columns)
    people = list(subjects["subject"])
    column = study.flow.disposition
    text = _person_column(survey, column, people, "[flow] disposition", problems)
    if study.groups is not None and study.groups.controls is not None and "group" in subjects:
        # Whatever the column says of controls, they were not to be treated.
        own = subjects["group"].astype("object").to_numpy() != study.groups.controls
        people, text = [name for name, is_own in zip(people, own, strict=True) if is_own], text[own]
    fate_of = {
        value: fate
        for fate in ("completed", "lost", "excluded", "not_treated")
        for value in getattr(study.flow, fate)
    }
    foreign = sorted({str(one) for one in text.dropna()} - set(fate_of))
    if foreign:
        problems.append(
            f"[flow]: the column {column!r} also holds {', '.join(map(repr, foreign))}; put them "
            "under completed, lost, excluded or not_treated"
        )
    fates = text.map(fate_of)
    table = pd.DataFrame({"subject": people, "disposition": text.to_numpy()}, columns=columns)
    return table.assign(fate=fates.to_numpy())
