"""Figures and their data as files of a run's folder."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from connectrial.figures.palette import STYLE
from connectrial.figures.svg import MARK_POINTS, MARK_STRIP, alone, draw_svg, with_mark
from connectrial.io.files import write_atomic
from connectrial.io.outputs import file_label
from connectrial.io.provenance import digest_file
from connectrial.report.panel import Panel, figure_name
from connectrial.report.tsv import tsv_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Forms in which a figure is saved.
ENDINGS = ("svg", "pdf", "png")
# Nothing that changes from run to run, as the clock does.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
_DOTS_PER_INCH = 300
_MARK = "simulated data"
_OWN_LETTERS = 12.0  # drawings of our own are laid out larger than a page is wide


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """Where figures are saved.

    Attributes
    ----------
    output_dir : Path
        The run's folder; figures go to ``group/figures``.
    simulated : bool
        Whether every figure says that its data are.
    drawn : mapping of str to str
        Path in the folder -> digest of the files that the same versions of matplotlib and
        connectrial wrote for an earlier report.
    """

    output_dir: Path
    simulated: bool
    drawn: Mapping[str, str]

    def save(self, panel: Panel, svg: str, texts: Sequence[tuple[str, str]]) -> tuple[Path, ...]:
        """Write a panel's figure in each form, unless it is there, and what was drawn beside it.

        Parameters
        ----------
        panel : Panel
            With its figure, whose layout is done.
        svg : str
            The figure as an SVG document; empty for a panel without one.
        texts : sequence of (str, str)
            What was drawn, of :func:`panel_texts`.
        """
        written: list[Path] = []
        folder, name = self.output_dir / "group" / "figures", figure_name(panel)
        figure = panel.figure
        if figure is not None:
            mark = _MARK if self.simulated else ""
            svg = with_mark(svg, words=mark) if mark else svg
            paths = {ending: folder / f"{name}.{ending}" for ending in ENDINGS}
            written += paths.values()
            if not self._is_drawn(paths, svg.encode()):
                figure.set_layout_engine("none")  # it was drawn for the page: all has its place
                write_atomic(paths["svg"], svg)
                for ending in ("pdf", "png"):
                    image = figure_bytes(figure, ending, name=name, mark=mark)
                    write_atomic(paths[ending], image)
        elif panel.svg:
            own = alone(panel.svg)
            own = with_mark(own, words=_MARK, size=_OWN_LETTERS) if self.simulated else own
            written.append(_written(folder / f"{name}.svg", own))
        for words, text in texts:
            path = folder / (f"{name}_{file_label(words)}.tsv" if words else f"{name}.tsv")
            written.append(_written(path, text))
        return tuple(written)

    def _is_drawn(self, paths: Mapping[str, Path], svg: bytes) -> bool:
        """Say whether all forms of a figure are there as they were drawn from the same drawing."""
        if not paths["svg"].is_file() or paths["svg"].read_bytes() != svg:
            return False
        return all(
            path.is_file()
            and digest_file(path) == self.drawn.get(path.relative_to(self.output_dir).as_posix())
            for path in paths.values()
        )


def _written(path: Path, text: str) -> Path:
    """Write a text, unless it is there: to bring a file to the disk takes longer than to read it."""
    if path.is_file() and path.read_bytes() == text.encode():
        return path
    return write_atomic(path, text)


def panel_texts(panel: Panel) -> list[tuple[str, str]]:
    """Return what a panel drew as TSV: words for it, empty where there is but one table, and text."""
    texts = [] if panel.data is None else [("", tsv_text(panel.data, index=panel.index))]
    return [*texts, *((words, tsv_text(part, index=True)) for words, part in panel.parts)]


def figure_bytes(figure: Figure, ending: str, *, name: str, mark: str = "") -> bytes:
    """Return a figure as a file's bytes, the same ones each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    ending : str
        ``svg``, ``pdf`` or ``png``; the last at 300 dots per inch.
    name : str
        Salt of the ids in SVG.
    mark : str
        Words on a strip of their own below a figure that has been laid out; not for ``svg``, into
        which :func:`connectrial.figures.svg.with_mark` writes them.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    if ending == "svg":
        return draw_svg(figure, salt=name).encode()
    if mark:
        return _marked_bytes(figure, ending, mark=mark)
    buffer = io.BytesIO()
    metadata: dict[str, Any] = _METADATA[ending]
    usual = figure.dpi
    # Straight to the drawing: savefig draws everything twice to find the layout.
    with mpl.rc_context(STYLE):
        if ending == "pdf":
            pdf: Any = FigureCanvasPdf(figure)
            pdf.print_pdf(buffer, metadata=metadata)
        else:
            figure.dpi = _DOTS_PER_INCH
            figure.set_facecolor("white")  # a viewer with a dark ground must not hide the ink
            png: Any = FigureCanvasAgg(figure)
            png.print_png(buffer, metadata=metadata)
            figure.set_facecolor("none")
    figure.dpi = usual
    return buffer.getvalue()


def _marked_bytes(figure: Figure, ending: str, *, mark: str) -> bytes:
    """Return a figure that has been laid out, with words on a strip of paper below it."""
    from matplotlib.transforms import Bbox

    wide, tall = figure.get_size_inches()
    letter = MARK_POINTS / 72
    strip = MARK_STRIP * letter
    words = figure.text(
        1 - 0.4 * letter / wide,
        (0.4 * letter - strip) / tall,
        mark,
        ha="right",
        fontsize=MARK_POINTS,
    )
    buffer = io.BytesIO()
    with mpl.rc_context({**STYLE, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)  # with any, even "none", savefig draws it twice
        figure.savefig(
            buffer,
            format=ending,
            dpi=_DOTS_PER_INCH,
            facecolor="white" if ending == "png" else "none",  # as of a figure without words
            bbox_inches=Bbox([[0, -strip], [wide, tall]]),
            metadata=_METADATA[ending],
        )
    words.remove()
    return buffer.getvalue()
