"""A figure as a piece of a page: inline SVG that follows the page's light or dark theme."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

import matplotlib as mpl

from connectrial.figures.palette import STYLE, THEMED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CSS_PIXELS_PER_INCH = 104  # a little above the 96 of CSS, so that 8 pt are read with ease
#: Nothing that changes from run to run: the same figure gives the same bytes.
METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}
#: Size of the letters of a mark, and the height of its strip as a multiple of it.
MARK_POINTS, MARK_STRIP = 7.0, 1.5


def draw_svg(figure: Figure, *, salt: str) -> str:
    """Draw a figure as an SVG document, the same one each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure of this package.
    salt : str
        Of the ids in it, which are hashes: with another salt no two figures of a page share one.
    """
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    buffer = io.StringIO()
    with mpl.rc_context({**STYLE, "svg.hashsalt": salt}):
        # Straight to the drawing: savefig draws everything twice to find the layout.
        canvas: Any = FigureCanvasSVG(figure)
        with warnings.catch_warnings():
            # Names longer than the figure leave axes no room: then it is drawn as it was laid out.
            warnings.filterwarnings("ignore", message="constrained_layout not applied")
            canvas.print_svg(buffer, metadata=METADATA)
    return buffer.getvalue()


def figure_svg(figure: Figure, *, name: str, alt: str, drawn: str | None = None) -> str:
    """Turn a figure into an ``svg`` element for a page.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure of this package.
    name : str
        Unique on the page; ids inside the element start with it.
    alt : str
        What the figure shows, for those who cannot see it.
    drawn : str, optional
        The figure as :func:`draw_svg` drew it, where that was done before.

    Returns
    -------
    str
        The element, escaped where text came from tables, with text as text, theme colours as CSS
        variables and nothing that depends on the clock.
    """
    text = draw_svg(figure, salt=name) if drawn is None else drawn
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # Its style element would hold for the whole page; the page's own style has the same rule.
    text = re.sub(r"<defs>\s*<style[^>]*>[^<]*</style>\s*</defs>", "", text)
    text = _prefix_ids(text, _identifier(name))
    for colour, variable in THEMED.items():
        text = text.replace(f": {colour}", f": var({variable})")
    text = _shorten(text)
    label = f'role="img" aria-label={quoteattr(alt)} focusable="false"'
    width = round(float(figure.get_figwidth()) * CSS_PIXELS_PER_INCH)
    # A small drawing stays small on a wide page: its letters must not outgrow the page's.
    return text.replace("<svg ", f'<svg {label} style="max-width: {width}px" ', 1)


def with_mark(drawn: str, *, words: str, size: float = MARK_POINTS) -> str:
    """Write words on a strip of their own below an SVG drawing, in its lower right corner.

    Parameters
    ----------
    drawn : str
        A document of :func:`draw_svg`, or of :func:`alone`.
    words : str
        Escaped here.
    size : float
        Of the letters, in the drawing's own unit.
    """
    found = _VIEW_BOX.search(drawn)
    assert found is not None  # noqa: S101 - every drawing has one
    left, top, wide, tall = (float(one) for one in found.groups())
    strip = MARK_STRIP * size
    start, rest = drawn[: found.start()], drawn[found.end() :]
    start = _HEIGHT.sub(lambda high: f'height="{float(high[1]) + strip:g}pt"', start)
    end = rest.rindex("</svg>")
    mark = (
        f'<text x="{left + wide - 0.4 * size:.2f}" y="{top + tall + strip - 0.4 * size:.2f}" '
        f'style="font: {size:g}px sans-serif; text-anchor: end">{escape(words)}</text>\n'
    )
    box = f'viewBox="{left:g} {top:g} {wide:g} {tall + strip:g}"'
    return f"{start}{box}{rest[:end]}{mark}{rest[end:]}"


_VIEW_BOX = re.compile(r'viewBox="([-0-9.]+) ([-0-9.]+) ([0-9.]+) ([0-9.]+)"')
_HEIGHT = re.compile(r'\bheight="([0-9.]+)pt"')


def _identifier(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "figure"


def _prefix_ids(text: str, prefix: str) -> str:
    """Make ids unique on a page that holds many figures."""
    text = re.sub(r'\bid="([^"]+)"', rf'id="{prefix}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', text)
    return re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", text)


def _shorten(text: str) -> str:
    """Cut coordinates to three decimals; what a reader reads stays as it is."""
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    if _LONG_NUMBER_READ.search(text) is None:
        text = _LONG_NUMBER.sub(r"\1", text)
    else:  # one tag after the other takes ten times as long
        text = _TAG.sub(lambda tag: _LONG_NUMBER.sub(r"\1", tag.group(0)), text)
    return re.sub(r"\n\s+", "\n", text)


_LONG_NUMBER = re.compile(r"(\d+\.\d{3})\d+")
_LONG_NUMBER_READ = re.compile(r">[^<]*\d\.\d{4}")
_TAG = re.compile(r"<[^>]*>")


def text_element(x: float, y: float, text: str, *, css: str = "", anchor: str = "start") -> str:
    """One line of text as an SVG element, escaped."""
    return (
        f'<text x="{x:g}" y="{y:g}" class={quoteattr(css)} text-anchor="{anchor}">'
        f"{escape(text)}</text>"
    )


#: What the page's style says of our own drawings, in plain colours.
_ALONE = (
    "svg{font-family:sans-serif}text{font-size:13.5px;fill:#222}.strong{font-weight:600}"
    ".box{fill:#f2f4f6;stroke:#555}.out{fill:#fff;stroke:#555;stroke-dasharray:4 3}"
    ".arrow{fill:none;stroke:#555;stroke-width:1.3}.head{fill:#555}"
)


def alone(drawing: str) -> str:
    """Turn one of our own drawings into a file that needs no page around it."""
    start, rest = drawing.split(">", 1)
    namespace = "" if "xmlns=" in start else ' xmlns="http://www.w3.org/2000/svg"'
    return f"{start}{namespace}><style>{_ALONE}</style>{rest}\n"
