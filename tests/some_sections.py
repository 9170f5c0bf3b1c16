"""Some sections of a page, where a test asks for their words and not for the whole page."""

from __future__ import annotations

from dataclasses import replace

from connectrial.figures.svg import draw_svg, figure_svg
from connectrial.report.page import as_shown, render_sections
from connectrial.report.panel import Drawing, Panel, slug
from connectrial.report.sections import BUILDERS, build_section, with_panels
from connectrial.results import Results


def render_some(results: Results, *names: str) -> str:
    """Render the sections of these names (``clinical`` is built by ``clinical_section``) as a page."""
    shown = as_shown(results)
    places = [i for i, one in enumerate(BUILDERS) if one.__name__.removesuffix("_section") in names]
    assert len(places) == len(names), names
    built = [build_section(shown, place) for place in places]
    return render_sections(shown, [with_panels(one, _drawn) for one in built if one is not None])


def _drawn(panel: Panel) -> Panel:
    svg = panel.svg
    if panel.figure is not None:
        name = slug(panel.name)
        drawn = draw_svg(panel.figure, salt=name)
        svg = figure_svg(panel.figure, name=name, alt=panel.alt, drawn=drawn)
    return replace(panel, figure=None, drawing=Drawing(inline=svg))
