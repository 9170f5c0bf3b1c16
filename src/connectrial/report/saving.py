"""Saving the page, its figures and its references into an output folder."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from connectrial.figures.palette import STYLE
from connectrial.figures.svg import METADATA
from connectrial.io.files import write_atomic
from connectrial.report.methods import known_references, methods_text
from connectrial.report.page import render_report, report_figures
from connectrial.results import Results

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SIMULATED = "Simulated data: no number here comes from a real person."


def save_report(results: Results, output_dir: str | Path) -> Path:
    """Write the page, the figures and the methods text with its references.

    Parameters
    ----------
    results : Results
        Of a run, or loaded from one.
    output_dir : str or Path
        The run's folder.

    Returns
    -------
    Path
        ``report.html``. Beside it are ``group/figures/*.svg`` and ``*.pdf``, and
        ``logs/CITATION.md`` and ``logs/CITATION.bib``.

    Raises
    ------
    InputError
        The folder cannot be written to.
    """
    out = Path(output_dir)
    page = out / "report.html"
    write_atomic(page, render_report(results))
    for name, figure in report_figures(results).items():
        if results.plan.get("simulated"):
            figure.text(0.995, 0.005, "simulated data", ha="right", va="bottom", fontsize=7)
        for ending in ("svg", "pdf"):
            content = figure_bytes(figure, ending, name=name)
            write_atomic(out / "group" / "figures" / f"{name}.{ending}", content)
    paragraphs, keys = methods_text(results)
    write_atomic(out / "logs" / "CITATION.md", citation_markdown(results, paragraphs, keys))
    write_atomic(out / "logs" / "CITATION.bib", citation_bibtex(keys))
    return page


def figure_bytes(figure: Figure, ending: str, *, name: str) -> bytes:
    """Return a figure as a file's bytes, the same ones each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    ending : str
        ``svg`` or ``pdf``.
    name : str
        Salt of the ids in SVG.
    """
    buffer = io.BytesIO()
    metadata: dict[str, Any] = METADATA if ending == "svg" else {"CreationDate": None}
    with mpl.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


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
