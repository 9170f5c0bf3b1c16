"""Results -> the page."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

from connectrial.figures.svg import figure_svg
from connectrial.report.cells import tsv_link
from connectrial.report.live import live_scripts, live_styles
from connectrial.report.live_people import with_people
from connectrial.report.panel import Panel
from connectrial.report.sections import build_sections, section_panels
from connectrial.report.source import stand_ins, without_marks
from connectrial.results import Results

if TYPE_CHECKING:
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
        HTML that needs nothing beside it: no file, no network. Text from tables is escaped.
    """
    sections = build_sections(without_marks(results))
    study = results.study.get("study") or {}
    head = {
        "name": str(study.get("name") or results.study.get("name") or "Unnamed study"),
        "registration": str(study.get("registration") or ""),
        "description": str(study.get("description") or ""),
        "simulated": bool(results.plan.get("simulated")),
        "stand_ins": stand_ins(results),
        "facts": _facts(results),
    }
    page = _environment().get_template("report.html")
    css, js = _template("report.css") + live_styles(), _template("report.js") + live_scripts()
    return page.render(
        head=head,
        sections=sections,
        css=Markup(css),  # noqa: S704 - our own file
        js=Markup(js),  # noqa: S704 - our own file
    )


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
    panels = section_panels(build_sections(without_marks(results)))
    return {slug(p.name).replace("-", "_"): p.figure for p in panels if p.figure is not None}


def slug(text: str) -> str:
    """Turn any text into an id or a file name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "item"


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
    if panel.svg:
        return Markup(panel.svg)  # noqa: S704
    assert panel.figure is not None  # noqa: S101 - a panel has one of the two
    drawn = figure_svg(panel.figure, name=slug(panel.name), alt=panel.alt)
    return Markup(with_people(drawn))  # noqa: S704


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
    environment.filters |= {"svg": _svg, "tsv": tsv_link, "slug": slug}
    return environment
