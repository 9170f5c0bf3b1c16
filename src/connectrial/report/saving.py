"""Saving the page, its figures and its references into an output folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import matplotlib as mpl

from connectrial._version import __version__
from connectrial.io.files import remove_file, write_atomic
from connectrial.io.ids import IDS_FILE, codes_for
from connectrial.io.provenance import digest_file, read_json, write_json
from connectrial.report.building import patient_collector
from connectrial.report.figure_files import Shelf
from connectrial.report.identifiers import people_named, with_codes
from connectrial.report.methods import known_references, methods_text
from connectrial.report.page import as_shown, page_sections, render_sections
from connectrial.report.processes import drawing_processes
from connectrial.report.saving_pages import gather_pages, remove_pages, save_pages
from connectrial.report.scan_links import with_pages
from connectrial.report.scan_views import PEOPLE_FOLDER, SCANS_PAGE, pages_table
from connectrial.report.sections import section_panels
from connectrial.results import Results

if TYPE_CHECKING:
    from concurrent.futures import Executor

Identifiers = Literal["codes", "keep"]
_SIMULATED = "Simulated data: no number here comes from a real person."


@patient_collector()
def save_report(
    results: Results,
    output_dir: str | Path,
    *,
    identifiers: Identifiers = "codes",
    pages: bool = True,
    n_jobs: int = 1,
    pools: Sequence[Executor] | None = None,
) -> Path:
    """Write the page, the figures with their data, and the methods text with its references.

    Parameters
    ----------
    results : Results
        Of a run, or loaded from one.
    output_dir : str or Path
        The run's folder.
    identifiers : {"codes", "keep"}
        Whether people stand under random codes, kept in ``ids.tsv`` and nowhere else, or under
        their own identifiers.
    pages : bool
        Whether every person gets a page beside the report, and all scans one on which they are
        rated; without, those of an earlier run are removed.
    n_jobs : int
        Processes that draw the figures and make those pages; -1 takes all cores.
    pools : sequence of concurrent.futures.Executor, optional
        Processes for the figures that were started before, by
        :func:`~connectrial.report.processes.drawing_processes`.

    Returns
    -------
    Path
        ``report.html``. Beside it are ``scans.html`` and ``people/*.html``,
        ``group/figures/*.svg``, ``*.pdf`` and ``*.png``, the data of each figure
        as ``*.tsv``, and ``logs/CITATION.md`` and ``logs/CITATION.bib``.

    Raises
    ------
    InputError
        The folder cannot be written to, or ``ids.tsv`` is damaged.
    """
    out = Path(output_dir)
    drawn = _drawn_before(out)
    remove_file(_note(out))
    with drawing_processes(n_jobs) if pools is None else nullcontext(pools) as drawing:
        return _save(results, out, drawn, identifiers, pages=pages, n_jobs=n_jobs, pools=drawing)


def _save(
    results: Results,
    out: Path,
    drawn: dict[str, str],
    identifiers: Identifiers,
    *,
    pages: bool,
    n_jobs: int,
    pools: Sequence[Executor],
) -> Path:
    files, codes = results.tables.get("scan_files"), {}
    if identifiers == "codes":
        codes = codes_for(out, people_named(results))
        results = with_codes(results, codes)
    results = as_shown(results)
    if pages:
        # First the pages, then the report that leads to them.
        found = gather_pages(results, files, codes=codes)
        save_pages(found, out, n_jobs=n_jobs)
        results = with_pages(results, pages_table(list(found.people)))
    else:
        remove_pages(out)
    shelf = Shelf(output_dir=out, simulated=bool(results.plan.get("simulated")), drawn=drawn)
    sections = page_sections(results, shelf=shelf, pools=pools)
    text = render_sections(results, sections)
    drawings = [panel.drawing for panel in section_panels(sections)]
    written = [path for drawing in drawings if drawing is not None for path in drawing.written]
    paragraphs, keys = methods_text(results)
    logs = out / "logs"
    written.append(write_atomic(logs / "CITATION.md", citation_markdown(results, paragraphs, keys)))
    written.append(write_atomic(logs / "CITATION.bib", citation_bibtex(keys)))
    # The page is written last: where it stands, everything that it speaks of stands beside it.
    page = write_atomic(out / "report.html", text)
    if pages:
        written += [*(out / PEOPLE_FOLDER).glob("*.html"), *out.glob(SCANS_PAGE)]
    hashes = {path.relative_to(out).as_posix(): digest_file(path) for path in (*written, page)}
    made_from = _shown(out, identifiers, pages=pages)
    write_json(_note(out), {"MadeFrom": made_from, "DrawnBy": _drawn_by(), "Files": hashes})
    return page


def current_report(
    output_dir: str | Path, *, identifiers: Identifiers = "codes", pages: bool = True
) -> Path | None:
    """Return the page of an earlier run, if it and its figures show the results as they are saved.

    Parameters
    ----------
    output_dir : str or Path
        The run's folder.
    identifiers : {"codes", "keep"}
        As they are wanted now.
    pages : bool
        Whether people's pages are wanted now.

    Returns
    -------
    Path or None
        None where the page must be made.
    """
    out = Path(output_dir)
    known = read_json(_note(out))
    if known is None or known.get("MadeFrom") != _shown(out, identifiers, pages=pages):
        return None
    files: dict[str, str] = known["Files"]
    whole = all(
        (out / name).is_file() and digest_file(out / name) == digest
        for name, digest in files.items()
    )
    return out / "report.html" if whole else None


def _note(out: Path) -> Path:
    return out / "logs" / "report.json"


def _shown(out: Path, identifiers: Identifiers, *, pages: bool) -> dict[str, str]:
    """Say what a page shows: the saved results, which vouch for their tables, and the codes."""
    parts = {"identifiers": identifiers, "pages": str(pages), "version": __version__}
    # The list of codes is not named: what leaves the lab does not lead to it.
    read = {"results": out / "group" / "results.json", "codes": out / IDS_FILE}
    for name, path in read.items():
        parts[name] = digest_file(path) if path.is_file() else ""
    return parts


def _drawn_by() -> str:
    return f"connectrial {__version__}, matplotlib {mpl.__version__}"


def _drawn_before(out: Path) -> dict[str, str]:
    """Return the digests of the files of an earlier report that the same versions drew."""
    known = read_json(_note(out))
    if known is None or known.get("DrawnBy") != _drawn_by():
        return {}
    return {str(name): str(digest) for name, digest in known["Files"].items()}


def citation_markdown(results: Results, paragraphs: list[str], keys: list[str]) -> str:
    """Return the methods paragraphs and the references as Markdown, free for any use (CC0)."""
    known = known_references()
    lines = ["# Methods", ""]
    lines += [f"**{_SIMULATED}**", ""] if results.plan.get("simulated") else []
    for paragraph in paragraphs:
        lines += [paragraph, ""]
    versions = ", ".join(f"{name} {number}" for name, number in results.software.items())
    lines += [f"Software: {versions}.", "", "# References", ""]
    lines += [f"- [@{key}] {known[key]}" for key in keys if key in known]
    lines += ["", "This text was written by connectrial and may be used freely (CC0)."]
    return "\n".join(lines) + "\n"


_REFERENCE = re.compile(
    r"^(?P<author>.+?)\. (?P<title>.+?)\. (?P<journal>[^.;]+?) (?P<year>\d{4})"
    r"(?:;(?P<volume>[^:]+))?(?::(?P<pages>[^.]+))?\.(?: doi:(?P<doi>\S+))?$"
)


def citation_bibtex(keys: list[str]) -> str:
    """Return references as BibTeX; one that has no journal becomes a note."""
    known = known_references()
    entries = []
    for key in keys:
        if key not in known:
            continue
        found = _REFERENCE.match(known[key])
        if found is None:
            entries.append(f"@misc{{{key},\n  note = {{{known[key]}}}\n}}")
            continue
        cells = {name: value for name, value in found.groupdict().items() if value}
        cells["author"] = _bibtex_authors(cells["author"])
        cells["title"] = f"{{{cells['title']}}}"
        if "pages" in cells:
            cells["pages"] = cells["pages"].replace("–", "--")
        rows = ",\n".join(f"  {name} = {{{value}}}" for name, value in cells.items())
        entries.append(f"@article{{{key},\n{rows}\n}}")
    return "\n\n".join(entries) + "\n"


def _bibtex_authors(text: str) -> str:
    """Turn ``Power JD, Mitra A, et al`` into ``Power, J. D. and Mitra, A. and others``."""
    names = []
    for name in text.split(", "):
        if name == "et al":
            names.append("others")
            continue
        family, _, initials = name.rpartition(" ")
        spaced = " ".join(f"{letter}." for letter in initials) if initials.isupper() else initials
        names.append(f"{family}, {spaced}" if family else name)
    return " and ".join(names)
