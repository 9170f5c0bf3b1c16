"""Writing the pages of people and the page of all scans, only where something changed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from connectrial._version import __version__
from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.provenance import digest_file, digest_plain
from connectrial.report.scan_drawings import WHOLE, Budget, ScanPictures, draw_scan, shared_budget
from connectrial.report.scan_pages import render_person, render_scans, templates_text
from connectrial.report.scan_views import (
    PEOPLE_FOLDER,
    SCANS_PAGE,
    PersonView,
    ScanView,
    StudyView,
    person_views,
    study_view,
)
from connectrial.results import Results

_OURS = '<meta name="generator" content="connectrial">'
_MADE_FROM = re.compile(r'<meta name="made-from" content="([0-9a-f]{32})">')
_HEAD_BYTES = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """What a worker needs for a person: the page where it is stale, small pictures where asked."""

    person: PersonView
    study: StudyView
    folder: Path
    key: str
    is_stale: bool
    budget: Budget | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    """Everything that stands on pages of scans.

    Attributes
    ----------
    study : StudyView
        What all pages share.
    people : tuple of PersonView
        Who has a page.
    """

    study: StudyView
    people: tuple[PersonView, ...]

    @property
    def scans(self) -> list[tuple[PersonView, ScanView]]:
        """Return all scans in order."""
        return [(person, scan) for person in self.people for scan in person.scans]


def gather_pages(
    results: Results, files: pd.DataFrame | None, *, codes: Mapping[str, str]
) -> Pages:
    """Gather what the pages of people say.

    Parameters
    ----------
    results : Results
        As it may leave the lab: coded, without hidden signs.
    files : pandas.DataFrame or None
        The table ``scan_files`` as it was saved.
    codes : mapping of str to str
        Identifier -> code; empty where identifiers are kept.
    """
    people = person_views(results, files, codes=codes)
    return Pages(study=study_view(results), people=tuple(people))


def save_pages(pages: Pages, output_dir: Path, *, n_jobs: int = 1) -> int:
    """Write the pages that are not there yet, or not of these results; remove those of nobody.

    Parameters
    ----------
    pages : Pages
        What they say.
    output_dir : Path
        The run's folder.
    n_jobs : int
        Processes; -1 takes all cores.

    Returns
    -------
    int
        How many pages were written.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    remove_pages(output_dir, but={person.file for person in pages.people})
    if not pages.people:
        return 0
    common = digest_plain([__version__, templates_text(), asdict(pages.study)])
    keys = [_key(person, output_dir, common) for person in pages.people]
    together = digest_plain(keys)
    page = output_dir / SCANS_PAGE
    all_stale = known_key(page) != together
    budget = shared_budget(len(pages.scans)) if all_stale else None
    tasks = [
        _Task(
            person=person,
            study=pages.study,
            folder=output_dir,
            key=key,
            is_stale=known_key(output_dir / PEOPLE_FOLDER / person.file) != key,
            budget=budget,
        )
        for person, key in zip(pages.people, keys, strict=True)
    ]
    drawn = _work([one for one in tasks if one.is_stale or all_stale], n_jobs)
    if all_stale:
        pictures = {anchor: one for own in drawn for anchor, one in own}
        text = render_scans(pages.scans, pictures, pages.study, made_from=together)
        write_atomic(page, text)
    return sum(task.is_stale for task in tasks) + all_stale


def remove_pages(output_dir: Path, *, but: set[str] | None = None) -> int:
    """Remove pages of an earlier run: of people who left, or whose name on pages changed.

    Parameters
    ----------
    output_dir : Path
        The run's folder. Files that connectrial did not write stay.
    but : set of str, optional
        Pages that stay; default none, and the page of all scans goes too.

    Returns
    -------
    int
        How many were removed.
    """
    folder = output_dir / PEOPLE_FOLDER
    stale = [one for one in folder.glob("*.html") if one.name not in (but or ())]
    if not but:
        stale.append(output_dir / SCANS_PAGE)
    stale = [one for one in stale if _OURS in _head(one)]
    try:
        for one in stale:
            one.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    except OSError as error:
        raise InputError(
            f"{folder}: pages of an earlier run cannot be removed ({error.strerror or error}); remove "
            "them yourself, for they may name people who left"
        ) from error
    return len(stale)


def known_key(page: Path) -> str:
    """Return the hash of what a page was made from; empty where there is none."""
    found = _MADE_FROM.search(_head(page))
    return found.group(1) if found else ""


def _head(page: Path) -> str:
    try:
        with page.open("rb") as stream:
            return stream.read(_HEAD_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _key(person: PersonView, output_dir: Path, common: str) -> str:
    """Hash everything that a person's page shows."""
    paths = {
        path
        for scan in person.scans
        for path in (
            scan.matrix,
            scan.parcels,
            *(p for run in scan.runs for p in (run.frames, run.carpet_before, run.carpet_after)),
        )
        if path
    }
    digests = {path: _digest(output_dir / path) for path in sorted(paths)}
    return digest_plain([common, asdict(person), digests])


def _digest(path: Path) -> str:
    try:
        return digest_file(path)
    except InputError:  # the page says that it is lost
        return ""


def _work(tasks: Sequence[_Task], n_jobs: int) -> list[list[tuple[str, ScanPictures]]]:
    if n_jobs == 1 or len(tasks) < 2:
        return [_make(task) for task in tasks]
    from joblib import Parallel, delayed

    found: list[list[tuple[str, ScanPictures]]] = Parallel(n_jobs=n_jobs, batch_size="auto")(
        delayed(_make)(task) for task in tasks
    )
    return found


def _make(task: _Task) -> list[tuple[str, ScanPictures]]:
    """Write a person's page where it is stale; return small pictures where they are asked for."""
    person, study = task.person, task.study
    budgets = [WHOLE] if task.is_stale else []
    budgets += [] if task.budget is None else [task.budget]
    drawn = [draw_scan(scan, study, task.folder, budgets=budgets) for scan in person.scans]
    if task.is_stale:
        whole = [pictures[0] for pictures in drawn]
        text = render_person(person, whole, study, made_from=task.key)
        write_atomic(task.folder / PEOPLE_FOLDER / person.file, text)
    if task.budget is None:
        return []
    return [(scan.anchor, own[-1]) for scan, own in zip(person.scans, drawn, strict=True)]
