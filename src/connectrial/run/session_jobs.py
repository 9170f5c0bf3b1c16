"""Which sessions there are to do, what each of their matrices depends on, and what is done already."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from connectrial._version import __version__
from connectrial.data import Atlas, BoolArray, FloatArray, Scan
from connectrial.fc.places import parcel_centroids
from connectrial.io.bids import bids_name, parse_entities
from connectrial.io.provenance import digest_bytes, digest_file, digest_plain, is_current
from connectrial.plan import Plan
from connectrial.run.map_making import SessionMap
from connectrial.run.mapping import session_maps
from connectrial.study import Study


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
    def standard_errors(self) -> Path | None:
        """Return the file with the standard error of every edge; None where it was not asked for."""
        if self.study.connectivity.standard_errors == "none":
            return None
        labels = {**self.stem, "stat": "fisherz", "desc": "standarderror"}
        return self.folder / bids_name(labels, suffix="relmat", extension=".tsv")

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
    def frames(self) -> tuple[Path, ...]:
        """Return the tables of the runs frame by frame; none for ready-made matrices."""
        if self.scans[0].kind == "matrix":
            return ()
        labels = [{**self.stem, "run": scan.run, "desc": "frames"} for scan in self.scans]
        return tuple(self.folder / bids_name(one, suffix="qc", extension=".tsv") for one in labels)

    @property
    def strips(self) -> tuple[tuple[Path, Path], ...]:
        """Return the bare carpets of the runs before and after denoising, beside their pictures."""
        return tuple(
            (
                path.with_name(path.name.replace("_desc-carpet_", "_desc-carpetBefore_")),
                path.with_name(path.name.replace("_desc-carpet_", "_desc-carpetAfter_")),
            )
            for path in self.carpets
        )

    @property
    def is_complete(self) -> bool:
        """Return whether everything that stands beside the matrix is there."""
        beside = [*self.carpets, self.parcel_quality, self.standard_errors, *self.frames]
        beside += [after for _, after in self.strips]
        return all(path.is_file() for path in beside if path is not None)

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
        make_job(plan, atlas, output_dir, subject, session, tuple(runs))
        for (subject, session), runs in sessions.items()
    ]


def make_job(
    plan: Plan, atlas: Atlas, output_dir: Path, subject: str, session: str, runs: tuple[Scan, ...]
) -> SessionJob:
    """Gather what a worker needs for one session's runs."""
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


def finished(job: SessionJob, key: str) -> dict[str, Any] | None:
    """Return the sidecar of a session that is done already, by these settings from these files."""
    known = is_current(job.sidecar, job.matrix, made_from=key)
    return known if job.is_complete else None
