"""Which sessions there are to do, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectrial.data import Atlas, BoolArray, FloatArray, Scan
from connectrial.io.bids import bids_name, parse_entities
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
    def frames(self) -> tuple[Path, ...]:
        """Return the tables of the runs frame by frame; none for ready-made matrices."""
        if self.scans[0].kind == "matrix":
            return ()
        labels = [{**self.stem, "run": scan.run, "desc": "frames"} for scan in self.scans]
        return tuple(self.folder / bids_name(one, suffix="qc", extension=".tsv") for one in labels)

    @property
    def carpets(self) -> tuple[tuple[Path, Path], ...]:
        """Return each run's pictures before and after denoising; none where they are not wanted."""
        if self.scans[0].kind == "matrix" or not self.study.quality.carpets:
            return ()
        folder = self.folder.parent / "figures"
        labels = [{**self.stem, "run": scan.run} for scan in self.scans]
        return tuple(
            (folder / _carpet(one, "carpetBefore"), folder / _carpet(one, "carpetAfter"))
            for one in labels
        )

    @property
    def sidecar(self) -> Path:
        """Return the file that says what made the matrix."""
        return self.matrix.with_suffix(".json")

    @property
    def left_out(self) -> Path:
        """Return the file that says why there is no matrix, where there is none."""
        out = self.folder.parents[2 if self.session else 1]
        name = f"sub-{self.subject}" + (f"_ses-{self.session}" if self.session else "")
        return out / "logs" / "left_out" / f"{name}.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOutcome:
    """What became of a session: its sidecar, or the reason why there is none; why it was made."""

    subject: str
    session: str
    sidecar: dict[str, Any] | None
    reused: bool = False
    reason: str = ""
    why: str = ""


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


def _carpet(labels: dict[str, Any], description: str) -> str:
    return bids_name({**labels, "desc": description}, suffix="bold", extension=".png")
