"""One palette and one look for every figure.

The colours are those of Okabe and Ito (2008), which people with any common colour vision can tell
apart; every use of them goes with a second cue (marker, line style, position or a word).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

#: Text and axes, secondary text, hairlines, fills.
INK = "#1b1f24"
MUTED = "#5b6470"
FAINT = "#d3d8de"
PAPER = "#fdfdfe"
PRE = "#56b4e9"
POST = "#d55e00"
CONTROL = "#8a8f96"
LEVELS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), "-.", "-", "--")
ROLE_COLOURS = {
    "primary": "#0072b2",
    "secondary": "#009e73",
    "negative control": "#8a8f96",
    "exploratory": "#cc79a7",
    "sensitivity": "#56b4e9",
    "quality": "#e69f00",
}
ROLE_MARKERS = {
    "primary": "o",
    "secondary": "s",
    "negative control": "D",
    "exploratory": "^",
    "sensitivity": "v",
    "quality": "P",
}
#: Colour -> variable by which a page may replace it, so that a figure follows its theme.
THEMED = {
    INK: "--ink",
    MUTED: "--muted",
    FAINT: "--line",
    PAPER: "--paper",
    "#0072b2": "--blue",
    "#009e73": "--green",
    "#d55e00": "--red",
}
#: Signed connectivity and signed statistics: blue below zero, red above.
SIGNED = "RdBu_r"

STYLE: Any = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "text.color": INK,
    # Names come from tables: a dollar sign in one is a dollar sign, never a formula.
    "text.parse_math": False,
    "text.usetex": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "savefig.transparent": False,
    "figure.dpi": 100.0,
    "svg.fonttype": "none",
    "svg.hashsalt": "connectrial",
    "image.cmap": SIGNED,
}


def styled(function: Callable[P, T]) -> Callable[P, T]:
    """Draw with the project's look, and leave the caller's settings as they were."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> T:
        with mpl.rc_context():
            # Whatever the user's matplotlibrc says, a figure of a trial looks the same everywhere.
            mpl.rcParams.update({key: mpl.rcParamsDefault[key] for key in _FOREIGN})
            mpl.rcParams.update(STYLE)
            return function(*args, **kwargs)

    return inside


_FOREIGN: Any = ("axes.grid", "lines.linewidth", "lines.markersize", "path.simplify", "legend.loc")


def new_axes(
    *,
    width: float = 7.2,
    height: float = 3.2,
    columns: int = 1,
    rows: int = 1,
    **options: Any,  # noqa: ANN401 - what Figure.subplots takes
) -> tuple[Figure, list[Axes]]:
    """Make a figure that no global state knows of.

    Parameters
    ----------
    width, height : float
        Inches.
    columns, rows : int
        Grid of axes, returned row by row.
    **options
        For ``Figure.subplots``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes belong to."""
    from matplotlib.figure import Figure

    parent = ax.figure
    # Axes of a part of a figure name that part; the whole is what gets saved.
    figure = parent if isinstance(parent, Figure) else parent.figure
    assert isinstance(figure, Figure)  # noqa: S101 - axes in use always have one
    return figure


def level_colours(levels: Sequence[str], *, controls: Sequence[str] = ()) -> dict[str, str]:
    """Give each level of a factor a colour, in the factor's own order; controls are grey."""
    others = [level for level in levels if level not in controls]
    colours = {level: LEVELS[i % len(LEVELS)] for i, level in enumerate(others)}
    return {level: colours.get(level, CONTROL) for level in levels}


def level_markers(levels: Sequence[str]) -> dict[str, str]:
    """Give each level of a factor a marker, in the factor's own order."""
    return {level: MARKERS[i % len(MARKERS)] for i, level in enumerate(levels)}


def swarm(values: Sequence[float], *, width: float = 0.6) -> list[float]:
    """Return offsets that lay points of similar value beside one another, the same every time.

    Parameters
    ----------
    values : sequence of float
        Values of one column of points.
    width : float
        Room for the widest row, in axis units.
    """
    numbers = [float(value) for value in values]
    if len(numbers) < 2:
        return [0.0] * len(numbers)
    low, high = min(numbers), max(numbers)
    rows = [round(_ROWS * (number - low) / ((high - low) or 1.0)) for number in numbers]
    widest = max(rows.count(row) for row in set(rows))
    step = min(0.09, width / max(2, widest))
    taken: dict[int, int] = {}
    offsets = []
    for row in rows:
        place = taken.get(row, 0)
        taken[row] = place + 1
        even = 0.5 if rows.count(row) % 2 == 0 else 0.0
        aside = ((place + 1) // 2) * (1 if place % 2 else -1)
        offsets.append(step * (aside - even))
    return offsets


_ROWS = 26  # heights at which points count as beside one another
