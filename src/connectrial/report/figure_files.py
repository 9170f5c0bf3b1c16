"""Figures and their data as files of a run's folder."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from connectrial.figures.palette import STYLE
from connectrial.figures.svg import alone, draw_svg, with_mark
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
_MARK = "simulated data"


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
            svg = with_mark(svg, words=_MARK) if self.simulated else svg
            paths = {ending: folder / f"{name}.{ending}" for ending in ENDINGS}
            written += paths.values()
            if not self._is_drawn(paths, svg.encode()):
                figure.set_layout_engine("none")  # it was drawn for the page: all has its place
                if self.simulated:
                    figure.text(0.995, 0.005, _MARK, ha="right", va="bottom", fontsize=7)
                write_atomic(paths["svg"], svg)
                for ending in ("pdf", "png"):
                    write_atomic(paths[ending], figure_bytes(figure, ending, name=name))
        elif panel.svg:
            written.append(write_atomic(folder / f"{name}.svg", alone(panel.svg)))
        for words, text in texts:
            path = folder / (f"{name}_{file_label(words)}.tsv" if words else f"{name}.tsv")
            written.append(write_atomic(path, text))
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


def panel_texts(panel: Panel) -> list[tuple[str, str]]:
    """Return what a panel drew as TSV: words for it, empty where there is but one table, and text."""
    texts = [] if panel.data is None else [("", tsv_text(panel.data, index=panel.index))]
    return [*texts, *((words, tsv_text(part, index=True)) for words, part in panel.parts)]


def figure_bytes(figure: Figure, ending: str, *, name: str) -> bytes:
    """Return a figure as a file's bytes, the same ones each time.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    ending : str
        ``svg``, ``pdf`` or ``png``; the last at 300 dots per inch.
    name : str
        Salt of the ids in SVG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    if ending == "svg":
        return draw_svg(figure, salt=name).encode()
    buffer = io.BytesIO()
    metadata: dict[str, Any] = _METADATA[ending]
    usual = figure.dpi
    # Straight to the drawing: savefig draws everything twice to find the layout.
    with mpl.rc_context(STYLE):
        if ending == "pdf":
            pdf: Any = FigureCanvasPdf(figure)
            pdf.print_pdf(buffer, metadata=metadata)
        else:
            figure.dpi = 300
            figure.set_facecolor("white")  # a viewer with a dark ground must not hide the ink
            png: Any = FigureCanvasAgg(figure)
            png.print_png(buffer, metadata=metadata)
            figure.set_facecolor("none")
    figure.dpi = usual
    return buffer.getvalue()
