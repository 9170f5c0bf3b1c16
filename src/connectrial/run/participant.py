"""The participant level: one session's runs to one FC matrix, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial._version import __version__
from connectrial.data import Connectivity, Scan, TimeSeries
from connectrial.errors import ConnectrialError, InputError, MachineError
from connectrial.fc.coverage import find_weak_parcels
from connectrial.fc.denoising import Denoised, denoise_detail
from connectrial.fc.estimators import estimate_connectivity
from connectrial.fc.parcel_mean import PARCEL_MEAN, regress_parcel_mean
from connectrial.fc.places import parcel_centroids
from connectrial.fc.subcortex import clean_subcortex
from connectrial.io.files import remove_file
from connectrial.io.images import ParcelSignal, extract_with_quality
from connectrial.io.provenance import digest_file, read_json, write_json
from connectrial.io.series import read_matrix, read_time_series, write_matrix
from connectrial.run.making_of import (
    digest_files,
    finished,
    hash_of,
    made_from,
    parts_of,
    why_made,
)
from connectrial.run.mapping import make_maps
from connectrial.run.run_confounds import confounds_of
from connectrial.run.session_files import (
    sidecar_of,
    write_quality,
    write_series,
    write_standard_errors,
)
from connectrial.run.session_jobs import SessionJob, SessionOutcome
from connectrial.run.session_quality import (
    measure_parcels,
    measure_run,
    plain,
    write_carpets,
    write_frames,
    write_parcel_quality,
)

Progress = Callable[[str, int, int], None]


def process_session(job: SessionJob) -> SessionOutcome:
    """Read, clean, correlate and write one session, or find that it is done already.

    Parameters
    ----------
    job : SessionJob
        The session.

    Returns
    -------
    SessionOutcome
        With the reason where the session cannot be used; only faults of ours are raised.
    """
    key, why = "", ""
    try:
        parts = parts_of(job)
        key = hash_of(parts)
        known = finished(job, key)
        if known is not None:
            make_maps(job, made_from=key, sidecar=known)
            return SessionOutcome(
                subject=job.subject, session=job.session, sidecar=known, reused=True
            )
        why = why_made(job, parts)
        sidecar = _make(job, parts)
        make_maps(job, made_from=key, sidecar=sidecar)
    except MachineError:
        raise  # nothing is wrong with the scan
    except MemoryError:
        raise MachineError(
            f"sub-{job.subject} ses-{job.session}: memory ran out; give the same command again with "
            "fewer --n-jobs, or on a machine with more memory: what is done is kept"
        ) from None
    except ConnectrialError as error:
        return _leave_out(job, key, _within_line(error, job))
    remove_file(job.left_out)
    return SessionOutcome(subject=job.subject, session=job.session, sidecar=sidecar, why=why)


def _make(job: SessionJob, parts: dict[str, str]) -> dict[str, Any]:
    """Make a session's files; the sidecar, which vouches for all of them, comes last."""
    remove_file(job.sidecar)
    connectivity, facts = _connect(job)
    write_matrix(job.matrix, _as_r(connectivity), parcels=connectivity.parcels)
    sidecar = sidecar_of(job, connectivity, facts)
    written = [*facts.get("written", ()), *write_quality(job, sidecar)]
    sidecar |= {
        "Version": __version__,
        "MadeFrom": parts,
        "InputHash": hash_of(parts),
        "ContentHash": digest_file(job.matrix),
        "Files": digest_files(job, written),
    }
    write_json(job.sidecar, sidecar)
    return sidecar


def _leave_out(job: SessionJob, key: str, reason: str) -> SessionOutcome:
    """Note why a session has no matrix, and take away one that was made from something else."""
    remove_file(job.sidecar)
    remove_file(job.matrix)
    write_json(job.left_out, {"InputHash": key, "Reason": reason})
    return SessionOutcome(subject=job.subject, session=job.session, sidecar=None, reason=reason)


def known_outcome(job: SessionJob) -> SessionOutcome | None:
    """Return what became of a session in an earlier run; None where nothing current is known.

    Raises
    ------
    InputError
        A source file cannot be read.
    """
    key = made_from(job)
    sidecar = finished(job, key)
    if sidecar is not None:
        return SessionOutcome(
            subject=job.subject, session=job.session, sidecar=sidecar, reused=True
        )
    noted = read_json(job.left_out)
    if noted is None or noted.get("InputHash") != key:
        return None
    reason = str(noted.get("Reason"))
    return SessionOutcome(subject=job.subject, session=job.session, sidecar=None, reason=reason)


def _within_line(error: ConnectrialError, job: SessionJob) -> str:
    """Shorten a message for the table of scans, whose line names the session already."""
    text = "; ".join(error.problems)
    for scan in job.scans:
        run = f"run {scan.run}: " if len(job.scans) > 1 and scan.run is not None else ""
        for path in (scan.path, scan.confounds, scan.mask):
            if path is not None:
                text = text.replace(
                    f"{path}: ", run if path == scan.path else f"{run}{path.name}: "
                )
                text = text.replace(str(path), path.name)
    return text


def _as_r(connectivity: Connectivity) -> np.ndarray[Any, np.dtype[np.float64]]:
    r = np.tanh(connectivity.z)
    np.fill_diagonal(r, np.where(np.isnan(connectivity.z).all(axis=1), np.nan, 1.0))
    return np.asarray(r)


def _connect(job: SessionJob) -> tuple[Connectivity, dict[str, Any]]:
    if job.scans[0].kind == "matrix":
        return _ready_made(job), {"weak": [], "note": "ready-made matrix: no signal to judge"}
    series: list[TimeSeries] = []
    costs: list[dict[str, Any]] = []
    weak: list[pd.DataFrame] = []
    quality_rows: list[dict[str, Any]] = []
    said: list[str] = []
    parcel_tables: list[pd.DataFrame] = []
    note = ""
    for number, (scan, kept) in enumerate(zip(job.scans, job.kept, strict=True)):
        raw, extracted = _read(job, scan)
        if kept is not None:
            raw = replace(raw, kept=kept)
        found = find_weak_parcels(
            raw,
            min_coverage=job.study.coverage.min_coverage,
            min_signal_fraction=job.study.coverage.min_signal_fraction,
        )
        note = str(found.attrs.get("note") or "")
        weak.append(found)
        said += [] if extracted is None else extracted.notes
        cleaned, cost = _clean(job, scan, raw)
        series.append(cleaned)
        costs.append(cost)
        voxels = None if extracted is None else extracted.quality
        run = scan.run or ""
        quality_rows.append(measure_run(raw, cleaned, run=run, voxels=voxels))
        parcel_tables.append(measure_parcels(raw, cleaned, run=run, voxels=voxels))
        write_frames(job.frames[number], raw, voxels=voxels, fd_mm=job.fd_mm[number])
        networks = list(job.atlas.parcels["network"].astype("object").fillna("").map(str))
        if job.carpets:
            write_carpets(job.carpets[number], raw, cleaned, networks=networks)
    together = pd.concat(weak, ignore_index=True)
    lost = _merge_weak(together, len(job.scans))
    facts: dict[str, Any] = {
        "weak": lost,
        "note": note,
        "quality": quality_rows,
        "notes": [
            *job.atlas.notes,
            *dict.fromkeys(said),
            *([PARCEL_MEAN] if job.study.connectivity.parcel_mean == "regress" else []),
        ],
    }
    assert job.parcel_quality is not None  # noqa: S101 - there is a signal
    write_parcel_quality(job.parcel_quality, parcel_tables)
    carpets = [path for pair in job.carpets for path in pair if path.is_file()]
    facts["written"] = [*carpets, *job.frames, job.parcel_quality]
    if job.scans[0].kind == "image":
        _judge_df(job, series)
        facts["written"] += write_series(job, series, costs)
    if job.study.coverage.action == "exclude" and lost:
        series = [_without(one, [str(row["parcel"]) for row in lost]) for one in series]
    rules = job.study.connectivity
    estimate = estimate_connectivity(
        series, estimator=rules.estimator, shrinkage=rules.shrinkage, runs=rules.runs
    )
    if job.standard_errors is not None:
        facts["standard_errors"] = write_standard_errors(job, series)
        facts["written"].append(job.standard_errors)
    return estimate.connectivity, facts | {"estimate": estimate}


def _ready_made(job: SessionJob) -> Connectivity:
    """Read ready-made matrices; those of several runs are averaged only where that was asked for."""
    values, parcels = job.study.data.values, job.atlas.parcels.index
    read = [read_matrix(scan, values=values, parcels=parcels) for scan in job.scans]
    if len(read) == 1:
        return read[0]
    if job.study.connectivity.runs != "average":
        raise InputError(
            f"{len(read)} matrices for one session, which cannot be joined; set [connectivity] "
            "runs = 'average' to average their Fisher z, or keep one"
        )
    mean = np.mean([one.z for one in read], axis=0)
    notes = tuple(note for one in read for note in one.notes)
    return Connectivity(z=mean, parcels=parcels, notes=notes)


def _read(job: SessionJob, scan: Scan) -> tuple[TimeSeries, ParcelSignal | None]:
    if scan.kind == "time series":
        series = read_time_series(scan, parcels=job.atlas.parcels.index)
        return series, None
    extracted = extract_with_quality(
        scan.path if scan.right is None else (scan.path, scan.right),
        job.atlas,
        mask=scan.mask,
        min_coverage=job.study.coverage.min_coverage,
        repetition_time_s=scan.repetition_time_s,
        overlap=job.study.atlas.overlap,
    )
    return extracted.series, extracted


def _without(series: TimeSeries, parcels: Sequence[str]) -> TimeSeries:
    signal = series.signal.copy()
    signal[:, series.parcels.isin(list(parcels))] = np.nan
    return replace(series, signal=signal)


def _clean(job: SessionJob, scan: Scan, raw: TimeSeries) -> tuple[TimeSeries, dict[str, Any]]:
    """Return a run as FC rests on it, and what its denoising cost."""
    if scan.kind != "image":
        regress = job.study.connectivity.parcel_mean == "regress"
        return (regress_parcel_mean(raw) if regress else raw), {}
    rules = job.study.denoising
    cleaned, cost = raw, {}
    if not rules.leaves_as_read:
        found = _denoised(job, scan, raw)
        cleaned = found.series
        cost = {
            "Order": found.order,
            "Steps": found.steps,
            "Confounds": list(found.confounds),
            "ConfoundRank": found.rank,
            "Dimensions": found.dimensions,
        }
    if rules.subcortical == "none":
        return cleaned, cost
    cleaned = clean_subcortex(
        cleaned,
        subcortical=rules.subcortical,
        subcortical_parcels=pd.Index(job.subcortex),
        centroids_mm=parcel_centroids(job.atlas),
        nearby_mm=rules.nearby_mm,
    ).series
    return cleaned, cost


def _denoised(job: SessionJob, scan: Scan, raw: TimeSeries) -> Denoised:
    rules = job.study.denoising
    confounds, metadata = confounds_of(scan, rules.strategy, rotation_unit=job.study.rotation_unit)
    # A session is judged by the sum over its runs, so a single run may keep few.
    return denoise_detail(
        raw,
        confounds,
        strategy=rules.strategy,
        band_hz=rules.band_hz,
        order=rules.order,
        filter_order=rules.filter_order,
        min_remaining_df=1,
        metadata=metadata or None,
    )


def _judge_df(job: SessionJob, series: Sequence[TimeSeries]) -> None:
    if job.study.denoising.leaves_as_read:  # no degrees of freedom were spent
        return
    left = sum(one.remaining_df or 0 for one in series)
    least = job.study.denoising.min_remaining_df
    if left < least:
        raise InputError(
            f"{left} degrees of freedom are left after denoising by {job.study.denoising.strategy}, fewer "
            f"than {least}; fewer confounds, a wider band or a longer scan would leave more"
        )


def _merge_weak(found: pd.DataFrame, n_runs: int) -> list[dict[str, Any]]:
    """Give each weak parcel one row per session: its worst run."""
    if found.empty:
        return []
    worst = found.sort_values("ratio", kind="stable").drop_duplicates("parcel")
    counts = found.drop_duplicates(["parcel", "reason"])["parcel"].value_counts()
    rows = []
    for row in found.drop_duplicates("parcel")["parcel"]:
        one = worst.loc[worst["parcel"] == row].iloc[0]
        reason = str(one["reason"])
        if n_runs > 1:
            reason += f" (in {min(int(counts[row]), n_runs)} of {n_runs} runs)"
        rows.append(
            {
                "parcel": str(row),
                "measure": str(one["measure"]),
                "value": plain(one["value"]),
                "scan_median": plain(one["scan_median"]),
                "ratio": plain(one["ratio"]),
                "reason": reason,
            }
        )
    return rows
