"""Points in a head drawn in outline from four sides: left, behind, right, above.

The outlines are those of nilearn's glass brain, read from its wheel. Its plotting, which draws them
too, loads scikit-learn and more first: three seconds for a page that shows nothing but points.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.patches import PathPatch
from matplotlib.path import Path as Line
from numpy.typing import NDArray

from connectrial.figures.palette import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class View:
    """A side from which the head is seen.

    Attributes
    ----------
    name : str
        Of nilearn's drawing.
    across, up : int
        Which coordinate (0 is x) goes which way.
    side : int
        -1 shows points of the left alone, 1 of the right, 0 all; points of the middle always.
    turned : bool
        Whether the first coordinate grows to the left.
    scale, offset : (float, float)
        From the drawing's units to mm of MNI space, as nilearn fits its drawings to the template
        (nilearn 0.14.1, plotting/glass_brain.py).
    """

    name: str
    across: int
    up: int
    side: int
    turned: bool
    scale: tuple[float, float]
    offset: tuple[float, float]

    def mm(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn points of the drawing, shape (n, 2), into mm."""
        turned: NDArray[np.float64] = points * np.array(self.scale) + np.array(self.offset)
        return turned


VIEWS = (
    View("side", 1, 2, -1, turned=True, scale=(0.38, 0.38), offset=(-108, -70)),
    View("back", 0, 2, 0, turned=False, scale=(0.39, 0.39), offset=(-73, -73)),
    View("side", 1, 2, 1, turned=False, scale=(0.38, 0.38), offset=(-108, -70)),
    View("top", 0, 1, 0, turned=False, scale=(0.36, 0.37), offset=(-71, -107)),
)


@dataclass(frozen=True, slots=True)
class Outline:
    """Lines of one colour and width, vertices in mm, and the room (mm) of the whole drawing."""

    pieces: tuple[tuple[str, float, Line], ...]
    across: tuple[float, float]
    up: tuple[float, float]


def head_axes(figure: Figure, box: tuple[float, float, float, float]) -> list[Axes]:
    """Draw the head from all sides, one beside the other and to one scale.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Without a layout of its own.
    box : (float, float, float, float)
        Left, bottom, width and height of the four together, as shares of the figure.

    Returns
    -------
    list of matplotlib.axes.Axes
        One for each of :data:`VIEWS`, in mm.

    Raises
    ------
    RuntimeError
        This version of nilearn keeps its outlines elsewhere.
    """
    left, bottom, width, height = box
    outlines = [outline(view) for view in VIEWS]
    spans = [one.across[1] - one.across[0] for one in outlines]
    made = []
    for view, one, span in zip(VIEWS, outlines, spans, strict=True):
        wide = width * span / sum(spans)
        ax: Any = figure.add_axes((left, bottom, wide, height), aspect="equal", facecolor="none")
        left += wide
        ax.set_axis_off()
        for colour, line_width, line in one.pieces:
            ax.add_artist(PathPatch(line, edgecolor=colour, linewidth=line_width, facecolor="none"))
        ax.set(xlim=one.across[:: -1 if view.turned else 1], ylim=one.up)
        if view.across == 0:
            ax.text(0.1, 0.95, "L", size=8, color=INK, va="top", transform=ax.transAxes)
            ax.text(0.9, 0.95, "R", size=8, color=INK, va="top", ha="right", transform=ax.transAxes)
        made.append(ax)
    return made


def add_points(
    axes: list[Axes], xyz: NDArray[np.float64], *, colour: str, size: float, alpha: float
) -> None:
    """Draw points into a head.

    Parameters
    ----------
    axes : list of matplotlib.axes.Axes
        Of :func:`head_axes`.
    xyz : array, shape (n, 3)
        Places in mm (MNI).
    colour : str
        Of all.
    size : float
        Area of a point (points squared).
    alpha : float
        Opacity.
    """
    for ax, view in zip(axes, VIEWS, strict=True):
        seen = xyz[xyz[:, 0] * view.side >= 0]
        ax.scatter(
            seen[:, view.across], seen[:, view.up], s=size, c=colour, alpha=alpha, zorder=1000
        )


@cache
def outline(view: View) -> Outline:
    """Read an outline from nilearn's wheel.

    Parameters
    ----------
    view : View
        One of :data:`VIEWS`.
    """
    spec = find_spec("nilearn")
    places = [] if spec is None else list(spec.submodule_search_locations or ())
    file = f"plotting/glass_brain_files/brain_schematics_{view.name}.json"
    found = [path for place in places if (path := Path(place) / file).is_file()]
    if not found:
        raise RuntimeError(f"this version of nilearn has no {file}")
    drawn = json.loads(found[0].read_text(encoding="utf-8"))
    pieces: dict[tuple[str, float], list[Line]] = {}
    for path in drawn["paths"]:
        # Black as ink, which a dark page turns light, as it does the other lines.
        colour = INK if path["edgecolor"] == "#000000" else path["edgecolor"]
        own = pieces.setdefault((colour, round(path["linewidth"], 3)), [])
        for item in path["items"]:
            points = view.mm(np.asarray(item["pts"], dtype=float))
            bend = Line.CURVE4 if item["type"] == "bezier" else Line.LINETO
            own.append(Line(points, [Line.MOVETO, *[bend] * (len(points) - 1)]))
    left, right, bottom, top = drawn["metadata"]["bounds"]
    corners = view.mm(np.array([[left, bottom], [right, top]]))
    # Room for the lines' own width, as nilearn leaves it.
    room = 0.025 * (corners[1] - corners[0]) + 0.1
    low, high = corners[0] - room, corners[1] + room
    return Outline(
        # One line of hundreds of pieces: they look the same and draw at once.
        pieces=tuple(
            (colour, width, Line.make_compound_path(*lines))
            for (colour, width), lines in pieces.items()
        ),
        across=(float(low[0]), float(high[0])),
        up=(float(low[1]), float(high[1])),
    )
