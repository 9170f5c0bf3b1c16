"""The participant level: one session's runs to one FC matrix, in a process of its own."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial._version import __version__
from connectrial.data import Atlas, BoolArray, Connectivity, FloatArray, Scan, TimeSeries
from connectrial.errors import ConnectrialError, InputError
from connectrial.fc.coverage import find_weak_parcels
from connectrial.fc.denoising import denoise
from connectrial.fc.estimators import Estimate, estimate_connectivity
from connectrial.fc.places import parcel_centroids
from connectrial.fc.subcortex import clean_subcortex
from connectrial.io.bids import bids_name, parse_entities
from connectrial.io.files import write_atomic
from connectrial.io.images import ParcelSignal, extract_with_quality
from connectrial.io.provenance import (
    digest_bytes,
    digest_file,
    digest_plain,
    is_current,
    write_json,
)
from connectrial.io.series import read_matrix, read_time_series, write_matrix
from connectrial.plan import Plan
from connectrial.run.map_making import SessionMap
from connectrial.run.mapping import make_maps, session_maps
from connectrial.run.run_confounds import confounds_of
from connectrial.run.session_quality import (
    measure_parcels,
    measure_run,
    plain,
    write_carpet,
    write_parcel_quality,
)
from connectrial.study import Study

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SessionJob:
    """All that a worker needs to turn a session into its FC matrix."""

    subject: str
    session: str
    scans: tuple[Scan, ...]
    kept: tuple[BoolArray | None, ...]
    study: Study
    atlas: Atlas
    folder: Path
    stem: dict[str, str]
    simulated: bool
    fd_mm: tuple[FloatArray | None, ...]
    subcortex: tuple[str, ...] = ()
    maps: tuple[SessionMap, ...] = ()

    @property
    def matrix(self) -> Path:
        """Return the file of the session's matrix."""
        rules = self.study.connectivity
        shrunk = "" if rules.shrinkage == "none" else "shrunk"
        stat = f"{shrunk}{rules.estimator}correlation"
        return self.folder / bids_name(
            {**self.stem, "stat": stat}, suffix="relmat", extension=".tsv"
        )

    @property
    def parcel_quality(self) -> Path | None:
        """Return the file with the parcels' signal; None for ready-made matrices."""
        if self.scans[0].kind == "matrix":
            return None
        labels = {**self.stem, "desc": "parcels"}
        return self.folder / bids_name(labels, suffix="qc", extension=".tsv")

    @property
    def carpets(self) -> tuple[Path, ...]:
        """Return the pictures of the runs, frame by frame; none where they are not wanted."""
        if self.scans[0].kind == "matrix" or not self.study.quality.carpets:
            return ()
        names = [
            bids_name(
                {**self.stem, "run": scan.run, "desc": "carpet"}, suffix="bold", extension=".png"
            )
            for scan in self.scans
        ]
        return tuple(self.folder.parent / "figures" / name for name in names)

    @property
    def is_complete(self) -> bool:
        """Return whether everything that stands beside the matrix is there."""
        beside = [*self.carpets, *([self.parcel_quality] if self.parcel_quality else [])]
        return all(path.is_file() for path in beside)

    @property
    def sidecar(self) -> Path:
        """Return the file that says what made the matrix."""
        return self.matrix.with_suffix(".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutcome:
    """What became of a session: its sidecar, or why there is none."""

    subject: str
    session: str
    sidecar: dict[str, Any] | None
    reused: bool = False
    reason: str = ""


def session_jobs(plan: Plan, output_dir: Path) -> list[SessionJob]:
    """List the sessions that a plan includes, in order."""
    atlas = plan.survey.atlas
    if atlas is None:
        return []
    usable = plan.people.scans.loc[plan.people.scans["included"], "name"]
    scans = {scan.name: scan for scan in plan.survey.scans}
    sessions: dict[tuple[str, str], list[Scan]] = {}
    for name in usable:
        scan = scans[name]
        sessions.setdefault((scan.subject, scan.session or ""), []).append(scan)
    return [
        _make_job(plan, atlas, output_dir, subject, session, tuple(runs))
        for (subject, session), runs in sessions.items()
    ]


def _make_job(
    plan: Plan, atlas: Atlas, output_dir: Path, subject: str, session: str, runs: tuple[Scan, ...]
) -> SessionJob:
    entities = _entities(runs[0])
    stem = {
        key: value
        for key, value in entities.items()
        if key in ("sub", "ses", "task", "acq", "dir", "space", "cohort", "den") and value
    }
    if len(runs) == 1 and runs[0].run is not None:
        stem["run"] = runs[0].run
    stem["atlas"] = atlas.name
    folder = output_dir / f"sub-{subject}"
    if session:
        folder = folder / f"ses-{session}"
    return SessionJob(
        subject=subject,
        session=session,
        scans=runs,
        kept=tuple(plan.kept_frames(scan.name) for scan in runs),
        study=plan.study,
        atlas=atlas,
        folder=folder / "func",
        stem=stem,
        simulated=plan.simulated,
        maps=session_maps(plan),
        fd_mm=tuple(plan.survey.fd_mm.get(scan.name) for scan in runs),
        subcortex=tuple(
            map(str, plan.sets.get(plan.study.denoising.subcortical_parcels or "", ()))
        ),
    )


def _entities(scan: Scan) -> dict[str, str]:
    """Return the entities of a run's name; the HCP pipelines' names are no BIDS names."""
    if scan.path.name.startswith("sub-"):
        return parse_entities(scan.path.name)
    known = {"sub": scan.subject, "ses": scan.session, "task": scan.task, "space": scan.space}
    return {key: label for key, label in known.items() if label}


def made_from(job: SessionJob) -> str:
    """Hash everything that a session's matrix depends on.

    Raises
    ------
    InputError
        A source file cannot be read.
    """
    settings = {
        key: section.model_dump(mode="json")
        for key in ("motion", "coverage", "denoising", "connectivity")
        if (section := getattr(job.study, key)) is not None
    }
    if job.study.quality.carpets:
        settings["carpets"] = {"max_fd_mm": job.study.censoring.max_fd_mm}
    if job.subcortex:
        places = parcel_centroids(job.atlas)
        settings["subcortex"] = {"parcels": job.subcortex, "places": digest_bytes(places.tobytes())}
    sources = []
    for scan, kept, fd_mm in zip(job.scans, job.kept, job.fd_mm, strict=True):
        beside = (scan.right, scan.confounds, scan.mask) if scan.kind == "image" else ()
        files = [scan.path, *beside]
        sources.append(
            {
                "name": scan.name,
                "files": [digest_file(path) for path in files if path is not None],
                "repetition_time_s": scan.repetition_time_s,
                "kept": None if kept is None else kept.tobytes().hex(),
                "fd_mm": None if fd_mm is None else digest_bytes(fd_mm.tobytes()),
            }
        )
    labels = job.atlas.labels
    return digest_plain(
        {
            "version": __version__,
            "settings": settings,
            "values": job.study.data.values,
            "sources": sources,
            "parcels": [str(name) for name in job.atlas.parcels.index],
            "labels": None if labels is None else digest_bytes(labels.tobytes()),
            "rows": _digest_rows(job.atlas),
            "places": _digest_places(job),
            "simulated": job.simulated,
        }
    )


def _digest_rows(atlas: Atlas) -> str | None:
    rows = atlas.grayordinates
    if rows is None or atlas.row_labels is None:
        return None
    arrays = (atlas.row_labels, rows.structure, rows.vertex, rows.voxel)
    return digest_bytes(b"".join(one.tobytes() for one in arrays) + repr(rows.structures).encode())


def _digest_places(job: SessionJob) -> str:
    """Hash where labels and spheres lie, and what spheres that share voxels do."""
    atlas = job.atlas
    parts = [b"" if atlas.affine is None else atlas.affine.tobytes()]
    if atlas.is_sphere.any():
        columns = ["x_mm", "y_mm", "z_mm", "radius_mm"]
        places = atlas.parcels[columns].to_numpy(dtype=np.float64)
        parts += [places.tobytes(), job.study.atlas.overlap.encode()]
    return digest_bytes(b"".join(parts))


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
    try:
        key = made_from(job)
        known = finished(job, key)
        if known is not None:
            make_maps(job, made_from=key, sidecar=known)
            return SessionOutcome(
                subject=job.subject, session=job.session, sidecar=known, reused=True
            )
        connectivity, facts = _connect(job)
        write_matrix(job.matrix, _as_r(connectivity), parcels=connectivity.parcels)
        sidecar = _sidecar(job, connectivity, facts, key)
        _write_quality(job, sidecar)
        write_json(job.sidecar, sidecar)
        make_maps(job, made_from=key, sidecar=sidecar)
    except ConnectrialError as error:
        reason = _within_line(error, job)
        return SessionOutcome(subject=job.subject, session=job.session, sidecar=None, reason=reason)
    return SessionOutcome(subject=job.subject, session=job.session, sidecar=sidecar)


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


def finished(job: SessionJob, key: str) -> dict[str, Any] | None:
    """Return the sidecar of a session that is done already, by these settings from these files."""
    known = is_current(job.sidecar, job.matrix, made_from=key)
    return known if job.is_complete else None


def _as_r(connectivity: Connectivity) -> np.ndarray[Any, np.dtype[np.float64]]:
    r = np.tanh(connectivity.z)
    np.fill_diagonal(r, np.where(np.isnan(connectivity.z).all(axis=1), np.nan, 1.0))
    return np.asarray(r)


def _connect(job: SessionJob) -> tuple[Connectivity, dict[str, Any]]:
    if job.scans[0].kind == "matrix":
        return _ready_made(job), {"weak": [], "note": "ready-made matrix: no signal to judge"}
    series: list[TimeSeries] = []
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
        cleaned = _clean(job, scan, raw)
        series.append(cleaned)
        voxels = None if extracted is None else extracted.quality
        run = scan.run or ""
        quality_rows.append(measure_run(raw, cleaned, run=run, voxels=voxels))
        parcel_tables.append(measure_parcels(raw, cleaned, run=run, voxels=voxels))
        if job.carpets:
            write_carpet(
                job.carpets[number],
                raw,
                cleaned,
                voxels=voxels,
                fd_mm=job.fd_mm[number],
                max_fd_mm=job.study.censoring.max_fd_mm,
                networks=list(job.atlas.parcels["network"].astype("object").fillna("").map(str)),
                title=scan.name,
                mark="simulated data" if job.simulated else "",
            )
    together = pd.concat(weak, ignore_index=True)
    lost = _merge_weak(together, len(job.scans))
    facts: dict[str, Any] = {
        "weak": lost,
        "note": note,
        "quality": quality_rows,
        "notes": [*job.atlas.notes, *dict.fromkeys(said)],
    }
    assert job.parcel_quality is not None  # noqa: S101 - there is a signal
    write_parcel_quality(job.parcel_quality, parcel_tables)
    if job.scans[0].kind == "image":
        _judge_df(job, series)
        _write_series(job, series)
    if job.study.coverage.action == "exclude" and lost:
        series = [_without(one, [str(row["parcel"]) for row in lost]) for one in series]
    rules = job.study.connectivity
    estimate = estimate_connectivity(
        series, estimator=rules.estimator, shrinkage=rules.shrinkage, runs=rules.runs
    )
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


def _clean(job: SessionJob, scan: Scan, raw: TimeSeries) -> TimeSeries:
    if scan.kind != "image":
        return raw
    rules = job.study.denoising
    cleaned = raw if rules.leaves_as_read else _denoised(job, scan, raw)
    if rules.subcortical == "none":
        return cleaned
    return clean_subcortex(
        cleaned,
        subcortical=rules.subcortical,
        subcortical_parcels=pd.Index(job.subcortex),
        centroids_mm=parcel_centroids(job.atlas),
        nearby_mm=rules.nearby_mm,
    ).series


def _denoised(job: SessionJob, scan: Scan, raw: TimeSeries) -> TimeSeries:
    rules = job.study.denoising
    confounds, metadata = confounds_of(scan, rules.strategy, rotation_unit=job.study.rotation_unit)
    # A session is judged by the sum over its runs, so a single run may keep few.
    return denoise(
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


def _write_series(job: SessionJob, series: Sequence[TimeSeries]) -> None:
    """Write the denoised parcel series and the coverage of images, one file per run."""
    for scan, one in zip(job.scans, series, strict=True):
        stem = {**job.stem, "run": scan.run}
        name = bids_name({**stem, "stat": "mean"}, suffix="timeseries", extension=".tsv")
        buffer = io.StringIO()
        table = pd.DataFrame(one.signal, columns=one.parcels)
        table.to_csv(buffer, sep="\t", index=False, na_rep="n/a", float_format="%.7g")
        write_atomic(job.folder / name, buffer.getvalue())
        write_json(
            (job.folder / name).with_suffix(".json"),
            {
                "RepetitionTime": one.repetition_time_s,
                "Sources": _sources(scan),
                "NuisanceParameters": job.study.denoising.strategy,
                "SoftwareFilters": job.study.denoising.band_hz or "n/a",
                "RemainingDegreesOfFreedom": one.remaining_df,
                "CensoredFrames": "n/a",
                "Simulated": job.simulated,
            },
        )
        if one.coverage is not None:
            shares = pd.DataFrame([one.coverage], columns=one.parcels)
            name = bids_name({**stem, "stat": "coverage"}, suffix="bold", extension=".tsv")
            text = shares.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.4f")
            write_atomic(job.folder / name, text)


def _sources(scan: Scan) -> list[str]:
    files = [scan.path, *([scan.right] if scan.right is not None else [])]
    return [f"bids:preprocessed:{path.name}" for path in files]


def _write_quality(job: SessionJob, sidecar: dict[str, Any]) -> None:
    """Write what is known of each run's quality as a table beside the matrix."""
    table = pd.DataFrame(sidecar["Quality"])
    if table.empty:
        return
    table = table.assign(n_weak_parcels=len(sidecar["WeakParcels"]))
    stem = {key: value for key, value in job.stem.items() if key != "atlas"}
    name = bids_name({**stem, "desc": "connectrial"}, suffix="qc", extension=".tsv")
    text = table.to_csv(sep="\t", index=False, na_rep="n/a", lineterminator="\n")
    write_atomic(job.folder / name, text)


def _sidecar(
    job: SessionJob, connectivity: Connectivity, facts: dict[str, Any], key: str
) -> dict[str, Any]:
    estimate: Estimate | None = facts.get("estimate")
    measure = "Pearson correlation" if estimate is None else estimate.estimator
    return {
        "Description": f"{measure} of parcel time series over kept frames",
        "RelationshipMeasure": measure,
        "Shrinkage": 0.0 if estimate is None else round(estimate.shrinkage, 6),
        "Weighted": True,
        "Directed": False,
        "NonNegative": False,
        "Sources": [source for scan in job.scans for source in _sources(scan)],
        "Runs": job.study.connectivity.runs if len(job.scans) > 1 else "n/a",
        "KeptFrames": connectivity.n_frames,
        "Quality": facts.get("quality", []),
        "WeakParcels": facts["weak"],
        "WeakParcelsAction": job.study.coverage.action,
        "Notes": [
            note
            for note in dict.fromkeys((facts["note"], *facts.get("notes", ()), *connectivity.notes))
            if note
        ],
        "Simulated": job.simulated,
        "Version": __version__,
        "InputHash": key,
        "ContentHash": digest_file(job.matrix),
    }
