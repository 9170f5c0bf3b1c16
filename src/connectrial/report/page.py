"""Results -> the page."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from connectrial.report.blocks import Section
from connectrial.report.building import drawn_sections
from connectrial.report.cells import Table
from connectrial.report.figure_files import Shelf
from connectrial.report.gt_tables import table_html
from connectrial.report.identifiers import without_hidden
from connectrial.report.libraries import library_scripts
from connectrial.report.live import live_scripts, live_styles
from connectrial.report.live_people import mark_numbers, number_people
from connectrial.report.methods import said
from connectrial.report.panel import Panel, figure_name, slug
from connectrial.report.sections import BUILDERS, build_section, section_forms, section_panels
from connectrial.report.source import stand_ins, without_marks
from connectrial.report.tsv import tsv_link, tsv_text
from connectrial.results import Results

if TYPE_CHECKING:
    from concurrent.futures import Executor

    import pandas as pd
    from matplotlib.figure import Figure


def render_report(results: Results) -> str:
    """Render everything that a run found as one page.

    Parameters
    ----------
    results : Results
        What was found; tables that are absent leave their section out.

    Returns
    -------
    str
        HTML that needs nothing beside it: no file, no network. Text from tables is escaped. People
        stand in it as `results` names them; ``connectrial report`` and ``run`` put codes in their
        place first.
    """
    shown = as_shown(results)
    return render_sections(shown, page_sections(shown))


def as_shown(results: Results) -> Results:
    """Return results as a page shows them: without marks of ours, hidden signs made visible."""
    return without_hidden(without_marks(results))


def page_sections(
    results: Results, *, shelf: Shelf | None = None, pools: Sequence[Executor] = ()
) -> list[Section]:
    """Build and draw the sections of the page.

    Parameters
    ----------
    results : Results
        Of :func:`as_shown`.
    shelf : Shelf, optional
        Where figures and their data are saved.
    pools : sequence of concurrent.futures.Executor
        Of :func:`~connectrial.report.processes.drawing_processes`.
    """
    return drawn_sections(results, shelf=shelf, pools=pools)


def render_sections(results: Results, sections: Sequence[Section]) -> str:
    """Render sections as one page.

    Parameters
    ----------
    results : Results
        Of :func:`as_shown`, for the head of the page.
    sections : sequence of Section
        Of :func:`page_sections`.

    Returns
    -------
    str
    """
    study = results.study.get("study") or {}
    head = {
        "name": str(study.get("name") or results.study.get("name") or "Unnamed study"),
        "registration": str(study.get("registration") or ""),
        "description": str(study.get("description") or ""),
        "simulated": bool(results.plan.get("simulated")),
        "stand_ins": stand_ins(results),
        "facts": _facts(results),
    }
    return render_page(
        "report.html",
        styles=[_template("report.css"), live_styles()],
        scripts=[_template("report.js"), live_scripts()],
        libraries=library_scripts(section_forms(list(sections))),
        head=head,
        sections=sections,
    )


def render_page(
    template: str,
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    libraries: Sequence[str] = (),
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> str:
    """Render a template of ours with its style, its script and a policy that allows no other.

    Parameters
    ----------
    template : str
        Name of the template, which shows `policy`, `css`, `js` and `values`.
    styles, scripts : sequence of str
        Files of our own, joined to one style and one script.
    libraries : sequence of str
        Scripts of others, each in an element of its own before it, for templates that show them.
    **values
        What the template shows; text in it is escaped.

    Returns
    -------
    str
    """
    css, js = "".join(styles), "".join(scripts)
    return (
        _environment()
        .get_template(template)
        .render(
            policy=content_policy(scripts=[*libraries, js], styles=[css]),
            css=Markup(css),  # noqa: S704 - our own file
            js=Markup(js),  # noqa: S704 - our own file
            libraries=[Markup(one) for one in libraries],  # noqa: S704 - made by libraries.py
            **values,
        )
    )


def content_policy(*, scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return the content security policy of a page that runs these scripts and no other.

    Parameters
    ----------
    scripts, styles : sequence of str
        Text of each script and style element, as it stands between its tags.

    Returns
    -------
    str
        Nothing is fetched. Style attributes are let through, since drawings are full of them; a
        style attribute can run nothing and, with no source allowed, load nothing.
    """
    allowed = {
        "default-src": ["'none'"],
        "script-src": [_digest(one) for one in scripts],
        "style-src-elem": [_digest(one) for one in styles],
        "style-src-attr": ["'unsafe-inline'"],
        "img-src": ["data:"],
        "connect-src": ["data:", "blob:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return "; ".join(f"{name} {' '.join(sources)}" for name, sources in allowed.items())


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def report_figures(results: Results) -> dict[str, Figure]:
    """Return the figures of the page by name, for saving.

    Parameters
    ----------
    results : Results
        What was found.

    Returns
    -------
    dict of str to matplotlib.figure.Figure
        Names fit for files. Save SVG under ``figures.svg.METADATA`` to get the same bytes again.
    """
    clean = as_shown(results)
    numbers = number_people(clean)
    figures = {}
    for place in range(len(BUILDERS)):
        section = build_section(clean, place)
        for panel in section_panels([section] if section is not None else []):
            if panel.figure is not None:
                mark_numbers(panel.figure, numbers)
                figures[figure_name(panel)] = panel.figure
    return figures


def _facts(results: Results) -> list[tuple[str, str]]:
    plan = results.plan
    facts = [
        ("connectrial", plan.get("version")),
        ("plan", plan.get("hash")),
        ("survey", plan.get("survey_hash")),
        ("seed", plan.get("seed")),
    ]
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


def _svg(panel: Panel) -> Markup:
    """Return a panel's drawing; both kinds escape what came from tables themselves."""
    assert panel.drawing is not None  # noqa: S101 - a page shows sections that are drawn
    return Markup(panel.drawing.inline)  # noqa: S704


def _link(rows: pd.DataFrame, *, index: bool = False) -> str:
    return tsv_link(tsv_text(rows, index=index))


def _table(table: Table) -> Markup:
    cell_inside: Any = getattr(_environment().get_template("macros.html").module, "cell_inside")  # noqa: B009
    return table_html(table, inside=cell_inside)


def _template(name: str) -> str:
    return (files("connectrial") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    def load(name: str) -> Any:  # noqa: ANN401 - what jinja's loader wants
        return _template(name)

    environment = Environment(
        loader=FunctionLoader(load),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"svg": _svg, "tsv": _link, "slug": slug, "gt": _table, "said": said}
    return environment
