"""Who takes part, which of their scans can be used, and what their scores say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, Scan
from connectrial.errors import InputError, did_you_mean
from connectrial.fc.censoring import censor_frames
from connectrial.fc.denoising import check_order
from connectrial.fc.strategies import check_strategy
from connectrial.plan.crossover import plan_periods
from connectrial.plan.entries import safety_entries
from connectrial.plan.exposure import Exposure, plan_exposure
from connectrial.plan.matched import plan_matching
from connectrial.plan.quality_rules import apply_motion_rule, quality_problems, timing_notes
from connectrial.plan.scores import study_scores
from connectrial.plan.sets import apply_eligibility, find_sets, person_table
from connectrial.plan.survey import Survey
from connectrial.study import CensoringSection, EndpointSection, Study
from connectrial.trial.courses import sustained
from connectrial.trial.endpoints import remission, response
from connectrial.trial.matching import Matching
from connectrial.trial.periods import Periods
from connectrial.trial.visits import CONTROLS, visit_of_session

SCAN_COLUMNS = [
    "subject",
    "session",
    "run",
    "visit",
    "name",
    "file",
    "kind",
    "n_frames",
    "kept_frames",
    "kept_fraction",
    "kept_minutes",
    "mean_fd_mm",
    "included",
    "analysed",
    "reason",
]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class People:
    """Everybody, with their factors, scans and scores.

    Attributes
    ----------
    subjects : pandas.DataFrame
        ``subject``, factor columns (``group``, ``arm``, endpoints, variables), ``included``,
        ``reason``.
    scans : pandas.DataFrame
        One row per run, :data:`SCAN_COLUMNS`.
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
    endpoints = _endpoints(study, scores, subjects, periods, problems)
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
    scans, kept = _scans(study, survey, subjects, problems, notes)
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


def _endpoints(
    study: Study,
    scores: pd.DataFrame,
    subjects: pd.DataFrame,
    periods: Periods | None,
    problems: list[str],
) -> pd.DataFrame:
    people = who_has_endpoints(study, subjects)
    tables: dict[str, pd.DataFrame] = {}
    for name, section in study.endpoints.items():
        if scores.empty or section.scale not in set(scores["scale"]):
            continue
        try:
            if not study.is_crossover:
                tables[name] = find_endpoint(name, section, scores, people)
            elif periods is not None:
                parts = _endpoint_by_treatment(study, name, section, scores, people, periods)
                tables[name] = pd.concat(parts, ignore_index=True)
        except InputError as error:
            problems.extend(f"[endpoints.{name}]: {problem}" for problem in error.problems)
    for name, section in study.endpoints.items():
        if section.among in tables and name in tables:
            own = tables[section.among].set_index("subject")["met"]
            asked = own.reindex(tables[name]["subject"]).fillna(value=False).to_numpy(dtype=bool)
            tables[name].loc[~asked, "met"] = pd.NA
            tables[name].loc[~asked, "reason"] = f"is not asked: {section.among} not met"
    columns = ["subject", "endpoint", "visit", "met", "reason"]
    columns += ["treatment"] if study.is_crossover else []
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables.values(), ignore_index=True)[columns]


def who_has_endpoints(study: Study, subjects: pd.DataFrame) -> list[str]:
    """Endpoints are about people who are treated: controls have none."""
    rows = subjects
    if study.groups is not None:
        rows = subjects.loc[subjects["group"] == study.groups.patients]
    return list(rows["subject"])


def _endpoint_by_treatment(
    study: Study,
    name: str,
    section: EndpointSection,
    scores: pd.DataFrame,
    people: list[str],
    periods: Periods,
) -> list[pd.DataFrame]:
    """Judge an endpoint under each treatment, of the people who were given it."""
    names = {place.name for place in study.places}

    def placed(visit: str | None, treatment: str) -> str | None:
        own = f"{treatment} {visit}"
        return own if own in names else visit

    tables = []
    for treatment in study.design.treatments:
        given = periods.period[treatment].notna()
        mine = [one for one in people if given.get(one, False)]
        moved = section.model_copy(
            update={
                "visit": placed(section.visit, treatment),
                "baseline": placed(section.baseline, treatment),
            }
        )
        tables.append(find_endpoint(name, moved, scores, mine).assign(treatment=treatment))
    return tables


def find_endpoint(
    name: str, section: EndpointSection, scores: pd.DataFrame, people: list[str]
) -> pd.DataFrame:
    """Judge an endpoint: ``subject``, ``endpoint``, ``visit``, ``met``, ``reason``."""
    if section.until is not None:
        table = sustained(
            scores,
            scale=section.scale,
            visit=section.visit,
            until=section.until,
            baseline=section.baseline,
            min_percent_decrease=section.min_percent_decrease,
            below=section.below,
            at_most=section.at_most,
            subjects=people,
        )
    elif section.min_percent_decrease is not None:
        assert section.baseline is not None  # noqa: S101 - the study file has seen to it
        table = response(
            scores,
            scale=section.scale,
            baseline=section.baseline,
            visit=section.visit,
            min_percent_decrease=section.min_percent_decrease,
            subjects=people,
        ).rename(columns={"response": "met"})
    else:
        table = remission(
            scores,
            scale=section.scale,
            visit=section.visit,
            below=section.below,
            at_most=section.at_most,
            subjects=people,
        ).rename(columns={"remission": "met"})
    return table.assign(endpoint=name, visit=section.visit)


def _scans(
    study: Study, survey: Survey, subjects: pd.DataFrame, problems: list[str], notes: list[str]
) -> tuple[pd.DataFrame, dict[str, BoolArray]]:
    visit_of = visit_of_session({place.name: place.sessions for place in study.places})
    people = subjects.set_index("subject")
    by_decision = {
        (one.subject.removeprefix("sub-"), one.session.removeprefix("ses-")): one.reason
        for one in study.exclude
        if one.session is not None
    }
    _check_censoring(study, survey, problems)
    problems += quality_problems(study, survey)
    notes += timing_notes(survey)
    kept: dict[str, BoolArray] = {}
    rows = []
    for scan in survey.scans:
        reason = survey.unusable.get(scan.name, "")
        visit = _visit(study, people.loc[scan.subject].get("group"), scan, visit_of)
        decided = by_decision.get((scan.subject, scan.session or ""))
        if not reason and decided:
            reason = decided
        if not reason and visit is None:
            reason = f"session {scan.session!r} belongs to no visit"
        if not reason:
            reason = censor_scan(study.censoring, survey, scan, kept)
        fd_mm = survey.fd_mm.get(scan.name)
        rows.append(
            {
                "subject": scan.subject,
                "session": scan.session or "",
                "run": scan.run or "",
                "visit": visit or "",
                "name": scan.name,
                "file": scan.path.name,
                "kind": scan.kind,
                "n_frames": scan.n_frames,
                "mean_fd_mm": np.nan if fd_mm is None else float(np.nanmean(fd_mm)),
                "reason": reason,
            }
        )
    table = pd.DataFrame(
        rows, columns=[c for c in SCAN_COLUMNS if c not in ("included", "analysed")]
    )
    if table.empty:
        return table.assign(included=False, analysed=False)[SCAN_COLUMNS], kept
    _count_kept(table, survey, kept)
    _apply_minimum(study.censoring, table, notes)
    apply_motion_rule(study, survey, table, notes)
    table["included"] = table["reason"] == ""
    analysed = people.loc[table["subject"], "included"].to_numpy(dtype=bool)
    table["analysed"] = table["included"] & analysed
    unanalysed = table["included"] & ~analysed
    table.loc[unanalysed, "reason"] = [
        f"usable, but the person is left out: {people.loc[subject, 'reason']}"
        for subject in table.loc[unanalysed, "subject"]
    ]
    return table[SCAN_COLUMNS], kept


def _visit(study: Study, group: object, scan: Scan, visit_of: dict[str, str]) -> str | None:
    groups = study.groups
    if groups is not None and groups.controls is not None and group == groups.controls:
        wanted = groups.control_sessions
        return CONTROLS if not wanted or scan.session in wanted else None
    if scan.session is None and len(study.visit) == 1:
        return study.visits[0]
    return visit_of.get(scan.session or "")


def _check_censoring(study: Study, survey: Survey, problems: list[str]) -> None:
    kind = survey.kind
    if study.connectivity.parcel_mean == "regress" and kind not in (None, "time series"):
        problems.append(
            f"[connectivity] parcel_mean: is for time series; the data are {kind} files"
        )
    if kind == "image":
        problems += _denoising_problems(study, survey)
    if kind in (None, "image"):
        return
    if "denoising" in study.model_fields_set:
        problems.append(
            f"[denoising]: the data are ready-made ({kind}), which are never denoised again; take the "
            "section out, or set [data] kind = 'images'"
        )
    censoring = study.censoring
    asked = [
        key
        for key in (
            "max_fd_mm",
            "max_std_dvars",
            "n_dummy_frames",
            "min_kept_minutes",
            "min_kept_fraction",
        )
        if getattr(censoring, key)
    ]
    if kind == "matrix" and asked:
        problems.append(
            f"[censoring] {asked[0]}: the data are ready-made matrices, which have no frames; take it out"
        )
    elif censoring.max_fd_mm is not None and not survey.fd_mm:
        problems.append(
            "[censoring] max_fd_mm: there is no motion table beside any of the series "
            "(*_motion.tsv or *_desc-confounds_timeseries.tsv); add them, or take the key out"
        )


def _denoising_problems(study: Study, survey: Survey) -> list[str]:
    """Refuse combinations of confounds, filter and order before a scan is read."""
    rules = study.denoising
    found: list[str] = []
    done = [scan for scan in survey.scans if scan.denoised]
    if done and rules.strategy != "none":
        found.append(
            f"{len(done)} images are denoised already ({done[0].path.name}) and are never denoised "
            f"again by {rules.strategy}; set strategy = 'none'"
        )
    try:
        check_strategy(rules.strategy, band_hz=rules.band_hz)
    except InputError as error:
        found += error.problems
    try:
        check_order(rules.order, band_hz=rules.band_hz, filter_order=rules.filter_order)
    except InputError as error:
        found += error.problems
    return [f"[denoising]: {problem}" for problem in found]


def censor_scan(
    censoring: CensoringSection, survey: Survey, scan: Scan, kept: dict[str, BoolArray]
) -> str:
    """Note the kept frames of a run; return why it cannot be used, if so."""
    if scan.kind == "matrix" or scan.n_frames is None:
        return ""
    fd_mm, std_dvars = survey.fd_mm.get(scan.name), survey.std_dvars.get(scan.name)
    if censoring.max_fd_mm is not None and fd_mm is None:
        return "no motion table, so it cannot be censored"
    if censoring.max_std_dvars is not None and std_dvars is None:
        return "no std_dvars among the confounds, so it cannot be censored by it"
    if fd_mm is not None and len(fd_mm) != scan.n_frames:
        if censoring.max_fd_mm is None:
            fd_mm = None
        else:
            return (
                f"the motion table has {len(fd_mm)} frames, the scan {scan.n_frames}; it may be censored "
                "already"
            )
    kept[scan.name] = censor_frames(
        np.zeros(scan.n_frames) if fd_mm is None else fd_mm,
        max_fd_mm=censoring.max_fd_mm,
        n_before=censoring.n_before,
        n_after=censoring.n_after,
        min_contiguous_frames=censoring.min_contiguous_frames,
        n_dummy_frames=censoring.n_dummy_frames,
        std_dvars=std_dvars if censoring.max_std_dvars is not None else None,
        max_std_dvars=censoring.max_std_dvars,
    )
    return "" if kept[scan.name].sum() >= 3 else "fewer than 3 frames are kept"


def _count_kept(table: pd.DataFrame, survey: Survey, kept: dict[str, BoolArray]) -> None:
    seconds = {scan.name: scan.repetition_time_s for scan in survey.scans}
    counts = [int(kept[name].sum()) if name in kept else None for name in table["name"]]
    table["kept_frames"] = pd.array(counts, dtype="Int64")
    table["n_frames"] = table["n_frames"].astype("Int64")
    table["kept_fraction"] = (table["kept_frames"] / table["n_frames"]).astype("Float64")
    table["kept_fraction"] = table["kept_fraction"].to_numpy(dtype=np.float64, na_value=np.nan)
    table["kept_minutes"] = [
        np.nan if count is None or seconds[name] is None else count * seconds[name] / 60.0  # type: ignore[operator]
        for name, count in zip(table["name"], counts, strict=True)
    ]


def _apply_minimum(censoring: CensoringSection, table: pd.DataFrame, notes: list[str]) -> None:
    """Leave out sessions with too little data; runs of a session count together."""
    for limit, column, unit, total in (
        (censoring.min_kept_minutes, "kept_minutes", " min", "sum"),
        (censoring.min_kept_fraction, "kept_fraction", "", "mean"),
    ):
        if limit is None:
            continue
        usable = table.loc[table["reason"] == ""]
        for _, runs in usable.groupby(["subject", "session"], sort=False):
            if runs[column].isna().any():
                note = (
                    f"min_{column} is not assessable: the repetition time of some scans is unknown "
                    "(set [data] repetition_time_s)"
                )
                if note not in notes:
                    notes.append(note)
                continue
            have = float(runs[column].agg(total))
            if have < limit:
                shown = f"{have:.2g}" if not unit else f"{have:.1f}"
                table.loc[runs.index, "reason"] = f"{shown}{unit} kept, fewer than {limit:g}{unit}"
