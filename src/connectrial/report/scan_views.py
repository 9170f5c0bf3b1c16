"""What a page says of every scan: its fate, its numbers beside the study's limits, its files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pandas as pd

from connectrial.figures.numbers import as_float
from connectrial.io.provenance import digest_text
from connectrial.report.scan_numbers import Measure, Numbers, is_known
from connectrial.report.source import networks_of, places, table
from connectrial.results import Results

#: Folder of the pages of single people, and the page of all scans, in the output folder.
PEOPLE_FOLDER, SCANS_PAGE = "people", "scans.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFiles:
    """Files of a run, relative to the output folder; empty where there is none."""

    run: str
    frames: str = ""
    carpet_before: str = ""
    carpet_after: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """A session of a person as its page shows it."""

    subject: str
    session: str
    visit: str
    anchor: str
    fate: str
    reasons: tuple[str, ...]
    measures: tuple[Measure, ...]
    weak: tuple[tuple[str, str], ...]
    runs: tuple[RunFiles, ...]
    matrix: str = ""
    parcels: str = ""

    @property
    def name(self) -> str:
        """Return what people call the session."""
        return f"ses-{self.session}" if self.session else "scan"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonView:
    """A person with all sessions, and what is missing."""

    subject: str
    file: str
    factors: tuple[tuple[str, str], ...]
    reason: str
    scans: tuple[ScanView, ...]
    missing: tuple[tuple[str, str], ...]

    @property
    def address(self) -> str:
        """Return where the page lies, from the output folder, fit for a link."""
        return f"{PEOPLE_FOLDER}/{quote(self.file)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyView:
    """What all pages share."""

    name: str
    is_simulated: bool
    parcels: tuple[str, ...]
    networks: tuple[str, ...]
    max_fd_mm: float | None
    min_coverage: float | None
    matrix_limit: float
    estimator: str
    plan_hash: str


def study_view(results: Results) -> StudyView:
    """Gather what the pages of all scans share."""
    parcels = table(results, "parcels")
    names = () if parcels is None else tuple(parcels["parcel"].astype(str))
    known = networks_of(results, names) if names else {}
    study = results.study
    rules = study.get("connectivity") or {}
    estimator = str(rules.get("estimator", "pearson"))
    shrunk = "" if rules.get("shrinkage", "none") == "none" else "shrunk "
    return StudyView(
        name=str((study.get("study") or {}).get("name") or "Unnamed study"),
        is_simulated=bool(results.plan.get("simulated")),
        parcels=names,
        networks=tuple(known.get(name, "") for name in names),
        max_fd_mm=(study.get("censoring") or {}).get("max_fd_mm"),
        min_coverage=(study.get("coverage") or {}).get("min_coverage"),
        matrix_limit=_matrix_limit(estimator),
        estimator=f"{shrunk}{estimator.title()} correlation",
        plan_hash=str(results.plan.get("hash") or ""),
    )


def _matrix_limit(estimator: str) -> float:
    """Return one limit of colour for all scans: it must not move with who is in the study."""
    return 0.4 if "partial" in estimator else 0.8


def person_views(
    results: Results, files: pd.DataFrame | None, *, codes: Mapping[str, str]
) -> list[PersonView]:
    """Gather what the pages say of everybody who has a scan.

    Parameters
    ----------
    results : Results
        As it may leave the lab: coded, without hidden signs.
    files : pandas.DataFrame or None
        The table ``scan_files`` as it was saved, people under their own identifiers.
    codes : mapping of str to str
        Identifier -> code; empty where identifiers are kept.

    Returns
    -------
    list of PersonView
        In the order of the table of people.
    """
    scans = table(results, "scans")
    if scans is None:
        return []
    scans = scans.assign(session=scans["session"].fillna("").astype(str))
    paths = _files_of(files, codes)
    people = list(dict.fromkeys(scans["subject"].astype(str)))
    names = _file_names(people)
    numbers = Numbers(results)
    listed = table(results, "subjects")
    rows = {} if listed is None else {str(r["subject"]): r for r in listed.to_dict("records")}
    weak = _weak(results)
    absent = _absent(results)
    # Visits in the trial's order, which is seldom that of the alphabet (post, pre1, pre2).
    rank = {place: i for i, place in enumerate(places(results))}
    scans = scans.iloc[
        scans["visit"].astype(str).map(rank).fillna(len(rank)).argsort(kind="stable")
    ]
    own_scans = dict(iter(scans.groupby(scans["subject"].astype(str), sort=False)))
    found = []
    for subject, own in ((name, own_scans[name]) for name in people):
        person = str(subject)
        stem = names[person].removesuffix(".html")
        views = tuple(
            _scan(
                runs, person, str(session), stem=stem, numbers=numbers,
                weak=weak.get((person, str(session)), ()), files=paths.get((person, str(session)), []),
            )
            for session, runs in own.groupby("session", sort=False)
        )  # fmt: skip
        row = rows.get(person, {})
        factors = [(name, row.get(name)) for name in ("group", "arm", "sequence")]
        found.append(
            PersonView(
                subject=person,
                file=names[person],
                factors=tuple((name, str(level)) for name, level in factors if is_known(level)),
                reason="" if row.get("included", True) else str(row.get("reason") or ""),
                scans=views,
                missing=absent.get(person, ()),
            )
        )
    return found


def pages_table(people: list[PersonView]) -> pd.DataFrame:
    """Return where each session stands on which page, for links: a row per session."""
    rows = [
        {
            "subject": person.subject,
            "session": scan.session,
            "visit": scan.visit,
            "fate": scan.fate,
            "page": person.address,
            "anchor": scan.anchor,
        }
        for person in people
        for scan in person.scans
    ]
    return pd.DataFrame(rows)


def _scan(
    runs: pd.DataFrame,
    subject: str,
    session: str,
    *,
    stem: str,
    numbers: Numbers,
    weak: tuple[tuple[str, str], ...],
    files: list[dict[str, Any]],
) -> ScanView:
    usable, analysed = runs["included"].astype(bool), runs["analysed"].astype(bool)
    if analysed.any():
        fate = "analysed" if analysed.all() else "analysed in part"
    else:
        fate = "usable, not analysed" if usable.any() else "left out"
    reasons = [
        f"run {run}: {reason}" if len(runs) > 1 and run else str(reason)
        for run, reason in zip(runs["run"].fillna(""), runs["reason"].fillna(""), strict=True)
        if reason
    ]
    seconds = {
        str(row["run"] or ""): _seconds(row)
        for row in runs.assign(run=runs["run"].fillna("")).to_dict("records")
    }
    return ScanView(
        subject=subject,
        session=session,
        visit=str(runs["visit"].iloc[0] or ""),
        anchor=f"{stem}-{_safe(session)}" if session else stem,
        fate=fate,
        reasons=tuple(dict.fromkeys(reasons)),
        measures=tuple(numbers.of(subject, session)),
        weak=weak,
        runs=tuple(
            RunFiles(
                run=str(one["run"]),
                frames=one["frames"],
                carpet_before=one["carpet_before"],
                carpet_after=one["carpet_after"],
                seconds=seconds.get(str(one["run"])),
            )
            for one in files
        ),
        matrix=files[0]["matrix"] if files else "",
        parcels=files[0]["parcels"] if files else "",
    )


def _seconds(row: Mapping[Any, Any]) -> float | None:
    minutes, frames = as_float(row.get("kept_minutes")), as_float(row.get("kept_frames"))
    return round(60 * minutes / frames, 6) if minutes > 0 and frames > 0 else None


def _files_of(
    files: pd.DataFrame | None, codes: Mapping[str, str]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    if files is None:
        return found
    for row in files.fillna("").to_dict("records"):
        person = str(row["subject"]).removeprefix("sub-")
        plain = {str(key): str(value) for key, value in row.items()}
        found.setdefault((codes.get(person, person), plain["session"]), []).append(plain)
    return found


def _safe(label: str) -> str:
    """Return a label as part of a file name or an anchor, told apart from all others."""
    if re.fullmatch(r"[A-Za-z0-9]{1,64}", label):
        return label
    return f"{re.sub(r'[^A-Za-z0-9]+', '', label)[:40]}-{digest_text(label)[:6]}"


def _file_names(people: list[str]) -> dict[str, str]:
    """Name a page for each person; some file systems do not tell A from a."""
    taken: set[str] = set()
    names = {}
    for person in people:
        stem = _safe(person)
        if stem.casefold() in taken:
            stem = f"{stem}-{digest_text(person)[:6]}"
        taken.add(stem.casefold())
        names[person] = f"{stem}.html"
    return names


def _weak(results: Results) -> dict[tuple[str, str], tuple[tuple[str, str], ...]]:
    listed = table(results, "weak_parcels")
    if listed is None:
        return {}
    listed = listed.assign(session=listed["session"].fillna("").astype(str))
    keys = [listed["subject"].astype(str), listed["session"]]
    return {
        (str(key[0]), str(key[1])): tuple(
            zip(own["parcel"].astype(str), own["reason"].astype(str), strict=True)
        )
        for key, own in listed.groupby(keys, sort=False)
    }


def _absent(results: Results) -> dict[str, tuple[tuple[str, str], ...]]:
    """Return at which visits a person has no scan at all, and why."""
    listed = table(results, "availability")
    if listed is None:
        return {}
    rows = listed[(listed["what"] == "scan") & (listed["state"] == "missing")]
    return {
        str(person): tuple(
            zip(own["visit"].astype(str), own["reason"].fillna("").astype(str), strict=True)
        )
        for person, own in rows.groupby(rows["subject"].astype(str), sort=False)
    }
