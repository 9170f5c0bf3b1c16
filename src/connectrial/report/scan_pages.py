"""Pages of single people, and the page of all scans on which they are rated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

from markupsafe import Markup

from connectrial.report.page import render_page
from connectrial.report.scan_drawings import ScanPictures
from connectrial.report.scan_views import SCANS_PAGE, PersonView, ScanView, StudyView

_STYLES = ("report.css", "scans.css")
_TEMPLATES = ("scan_macros.html", "person.html", "scans.html", "report.js", "scans.js", *_STYLES)
#: Columns of the list of scans: words of a measure -> short head.
_SHORT = {
    "mean framewise displacement (mm)": "mean FD",
    "mean DVARS": "DVARS",
    "kept data (minutes)": "minutes",
    "kept frames (share)": "kept",
    "temporal degrees of freedom left": "df left",
    "median temporal SNR": "tSNR",
    "weak parcels": "weak parcels",
    "SD of global signal after denoising": "GS after",
}


def render_person(
    person: PersonView, pictures: Sequence[ScanPictures], study: StudyView, *, made_from: str
) -> str:
    """Render a person's page.

    Parameters
    ----------
    person : PersonView
        What the page says.
    pictures : sequence of ScanPictures
        Of each of the person's scans.
    study : StudyView
        What all pages share.
    made_from : str
        Hash of what the page was made from, which stands in its head.

    Returns
    -------
    str
        HTML that needs nothing beside it.
    """
    words = list(dict.fromkeys(one.words for scan in person.scans for one in scan.measures))
    by_words = [{one.words: one for one in scan.measures} for scan in person.scans]
    return render_page(
        "person.html",
        styles=[read_template(name) for name in _STYLES],
        scripts=[read_template("report.js")],
        person=person,
        scans=list(zip(person.scans, pictures, strict=True)),
        measures=[(one, [own.get(one) for own in by_words]) for one in words],
        study=study,
        made_from=made_from,
        all_scans=f"../{SCANS_PAGE}",
    )


def render_scans(
    scans: Sequence[tuple[PersonView, ScanView]],
    pictures: Mapping[str, ScanPictures],
    study: StudyView,
    *,
    made_from: str,
) -> str:
    """Render the page of all scans, on which they are rated.

    Parameters
    ----------
    scans : sequence of (PersonView, ScanView)
        All scans in order.
    pictures : mapping of str to ScanPictures
        By the anchor of the scan.
    study : StudyView
        What all pages share.
    made_from : str
        Hash of what the page was made from, which stands in its head.

    Returns
    -------
    str
        HTML that needs nothing beside it. Neither arm nor group stands in it: whoever rates scans
        must not know them.
    """
    present = {one.words for _, scan in scans for one in scan.measures if one.sort is not None}
    columns = [(words, head) for words, head in _SHORT.items() if words in present]
    rows = [(person, scan, {one.words: one for one in scan.measures}) for person, scan in scans]
    return render_page(
        "scans.html",
        styles=[read_template(name) for name in _STYLES],
        scripts=[read_template("report.js") + read_template("scans.js")],
        rows=rows,
        columns=columns,
        pictures=pictures,
        study=study,
        made_from=made_from,
    )


def templates_text() -> str:
    """Return all that pages are made by, so that a change of it makes them anew."""
    return "".join(read_template(name) for name in _TEMPLATES)


def read_template(name: str) -> Markup:
    """Return a file of our own from the templates."""
    text = (files("connectrial") / "templates" / name).read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file
