"""Where each scan's own files lie, also of scans that an analysis leaves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, Scan
from connectrial.errors import InputError
from connectrial.io.bids import bids_name
from connectrial.plan import Plan
from connectrial.plan.scan_fates import censor_scan
from connectrial.run.making_of import finished, made_from
from connectrial.run.session_jobs import SessionJob, SessionOutcome, make_job
from connectrial.run.session_quality import frames_table


def scan_files(
    plan: Plan,
    output_dir: Path,
    *,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
) -> pd.DataFrame:
    """List the files that the participant level made of every run.

    A session that the plan leaves out keeps the files of an earlier run where they are current, so
    that it can still be looked at; else what is known of its motion is written for it.

    Parameters
    ----------
    plan : Plan
        The plan.
    output_dir : Path
        The run's folder.
    jobs, outcomes : sequences
        The sessions, and what became of them, in the same order.

    Returns
    -------
    DataFrame
        ``subject``, ``session``, ``run`` and, relative to the folder and empty where there is
        none, ``matrix``, ``parcels``, ``frames``, ``carpet_before``, ``carpet_after``.
    """
    rows: list[dict[str, Any]] = []
    for job, outcome in zip(jobs, outcomes, strict=True):
        if outcome.sidecar is not None:
            rows += _rows(job, output_dir)
        else:
            rows += _motion_alone(plan, job, output_dir)
    done = {(job.subject, job.session) for job in jobs}
    for job in _left_out(plan, output_dir, done):
        rows += _rows(job, output_dir) if _is_current(job) else _motion_alone(plan, job, output_dir)
    return pd.DataFrame(rows)


def _rows(job: SessionJob, output_dir: Path) -> list[dict[str, Any]]:
    def relative(path: Path | None) -> str:
        return "" if path is None else path.relative_to(output_dir).as_posix()

    rows = []
    for number, scan in enumerate(job.scans):
        before, after = job.carpets[number] if job.carpets else (None, None)
        ready_made = scan.kind != "image"
        rows.append(
            {
                "subject": job.subject,
                "session": job.session,
                "run": scan.run or "",
                "matrix": relative(job.matrix),
                "parcels": relative(job.parcel_quality),
                "frames": relative(job.frames[number] if job.frames else None),
                "carpet_before": relative(None if ready_made else before),
                "carpet_after": relative(after),
            }
        )
    return rows


def _is_current(job: SessionJob) -> bool:
    try:
        return finished(job, made_from(job)) is not None
    except InputError:  # the scan cannot be read, which is why it is left out
        return False


def _left_out(plan: Plan, output_dir: Path, done: set[tuple[str, str]]) -> list[SessionJob]:
    """Return the sessions without a job, as if they were to be worked on."""
    atlas = plan.survey.atlas
    if atlas is None:
        return []
    sessions: dict[tuple[str, str], list[Scan]] = {}
    for scan in plan.survey.scans:
        key = (scan.subject, scan.session or "")
        if key not in done:
            sessions.setdefault(key, []).append(scan)
    jobs = [
        make_job(plan, atlas, output_dir, subject, session, tuple(runs))
        for (subject, session), runs in sessions.items()
    ]
    return [replace(job, kept=tuple(_kept(plan, scan) for scan in job.scans)) for job in jobs]


def _kept(plan: Plan, scan: Scan) -> BoolArray | None:
    """Return the frames that survive censoring, which a plan does not count where others decided."""
    known = plan.kept_frames(scan.name)
    if known is None:
        counted: dict[str, BoolArray] = {}
        censor_scan(plan.study.censoring, plan.survey, scan, counted)
        known = counted.get(scan.name)
    return known


def _motion_alone(plan: Plan, job: SessionJob, output_dir: Path) -> list[dict[str, Any]]:
    """Write what the confounds tell of a session that was never read, under a name of its own."""
    rows = []
    for scan, kept in zip(job.scans, job.kept, strict=True):
        fd_mm = plan.survey.fd_mm.get(scan.name)
        if fd_mm is None or kept is None or len(fd_mm) != len(kept):
            continue
        labels = {**job.stem, "run": scan.run, "desc": "motion"}
        path = job.folder / bids_name(labels, suffix="qc", extension=".tsv")
        frames_table(path, fd_mm=fd_mm, dvars=np.full(len(kept), np.nan), kept=kept)
        rows.append(
            {
                "subject": job.subject,
                "session": job.session,
                "run": scan.run or "",
                "frames": path.relative_to(output_dir).as_posix(),
            }
            | dict.fromkeys(("matrix", "parcels", "carpet_before", "carpet_after"), "")
        )
    return rows
