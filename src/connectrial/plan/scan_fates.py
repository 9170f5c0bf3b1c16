"""Which scans can be used: their visits, their frames, and the rules that leave some out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, Scan
from connectrial.errors import InputError
from connectrial.fc.censoring import censor_frames
from connectrial.fc.denoising import check_order
from connectrial.fc.strategies import check_strategy
from connectrial.plan.quality_rules import apply_motion_rule, quality_problems, timing_notes
from connectrial.plan.survey import Survey
from connectrial.study import CensoringSection, Study
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


def judge_scans(
    study: Study, survey: Survey, subjects: pd.DataFrame, problems: list[str], notes: list[str]
) -> tuple[pd.DataFrame, dict[str, BoolArray]]:
    """Return each run with what is kept of it, in or out and why, and the frames kept of each."""
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
