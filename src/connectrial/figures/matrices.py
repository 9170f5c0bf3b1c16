"""Matrices of connectivity and of edge statistics, parcels ordered by network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.figures.palette import INK, MUTED, SIGNED, figure_of, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

_LINE_IN = 0.12  # height of a line of labels
_NAMED = 40  # parcels up to which each is named
_STEPS = 96  # colours of a scale; fewer colours make a smaller picture, more cannot be told apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """Order of parcels that puts each network together.

    Attributes
    ----------
    order : tuple of str
        Parcels.
    spans : tuple of (str, int, int)
        Network, first position, position after its last.
    """

    order: tuple[str, ...]
    spans: tuple[tuple[str, int, int], ...]


def order_by_network(parcels: Sequence[str], networks: Mapping[str, str]) -> Blocks:
    """Put parcels of a network together, networks in the order in which they first appear.

    Parameters
    ----------
    parcels : sequence of str
        In the atlas' order.
    networks : mapping of str to str
        Parcel -> network; parcels that are not in it come last.
    """
    names = list(dict.fromkeys(networks[parcel] for parcel in parcels if parcel in networks))
    groups = {name: [p for p in parcels if networks.get(p) == name] for name in names}
    rest = [parcel for parcel in parcels if parcel not in networks]
    if rest:
        groups["other" if groups else ""] = rest
    order: list[str] = []
    spans: list[tuple[str, int, int]] = []
    for name, members in groups.items():
        spans.append((name, len(order), len(order) + len(members)))
        order += members
    return Blocks(order=tuple(order), spans=tuple(spans))


@styled
def plot_matrices(
    matrices: Mapping[str, pd.DataFrame],
    networks: Mapping[str, str],
    *,
    label: str = "mean Fisher z",
    limit: float | None = None,
) -> Figure:
    """Draw square matrices side by side on one colour scale.

    Parameters
    ----------
    matrices : mapping of str to pandas.DataFrame
        Title -> matrix with parcels as index and columns; NaN stays blank.
    networks : mapping of str to str
        Parcel -> network.
    label : str
        Of the colour bar.
    limit : float, optional
        End of the scale; default the 99th percentile of all absolute values.
    """
    n = len(matrices)
    columns = min(n, 3)
    rows = int(np.ceil(n / columns))
    figure, axes = new_axes(
        width=1.6 + 2.6 * columns, height=0.5 + 2.75 * rows, columns=columns, rows=rows
    )
    figure.set_layout_engine("compressed")  # squares side by side leave no gaps
    top = (
        limit if limit is not None else _limit([m.to_numpy(dtype=float) for m in matrices.values()])
    )
    image = None
    for i, (panel, (title, matrix)) in enumerate(zip(axes, matrices.items(), strict=False)):
        blocks = order_by_network([str(name) for name in matrix.index], networks)
        image = draw_matrix(panel, matrix, blocks, limit=top, named=i % columns == 0, side_in=1.7)
        panel.set_title(title, fontsize=9.5)
    for panel in axes[n:]:
        panel.set_visible(False)
    if image is not None:
        bar = figure.colorbar(image, ax=axes[:n], shrink=0.75, aspect=28, pad=0.02)
        bar.set_label(label)
        bar.outline.set_visible(False)
    return figure


@styled
def plot_edge_matrix(
    edges: pd.DataFrame,
    *,
    parcels: Sequence[str],
    networks: Mapping[str, str],
    value: str = "statistic",
    label: str = "t",
    alpha: float = 0.05,
    ax: Axes | None = None,
) -> Figure:
    """Draw an edge table as a matrix: all edges below, those that pass adjustment above.

    Parameters
    ----------
    edges : pandas.DataFrame
        Columns ``parcel_a``, ``parcel_b``, `value` and ``p_adjusted``.
    parcels : sequence of str
        Parcels in the atlas' order.
    networks : mapping of str to str
        Parcel -> network.
    value, label : str
        Column that is drawn, and what the colour bar calls it.
    alpha : float
        Edges with an adjusted p below this are drawn above the diagonal.
    ax : matplotlib.axes.Axes, optional
        Axes to draw into; default a new figure.
    """
    if ax is None:
        _, (ax,) = new_axes(width=5.4, height=4.6)
    blocks = order_by_network(list(parcels), networks)
    place = {name: i for i, name in enumerate(blocks.order)}
    a = edges["parcel_a"].astype(str).map(place).to_numpy(dtype=float)
    b = edges["parcel_b"].astype(str).map(place).to_numpy(dtype=float)
    values = pd.to_numeric(edges[value]).to_numpy(dtype=float)
    known = np.isfinite(a) & np.isfinite(b)
    low, high = np.minimum(a, b)[known].astype(int), np.maximum(a, b)[known].astype(int)
    grid = np.full((len(place), len(place)), np.nan)
    grid[high, low] = values[known]
    passed = pd.to_numeric(edges["p_adjusted"]).to_numpy(dtype=float)[known] < alpha
    grid[low[passed], high[passed]] = values[known][passed]
    table = pd.DataFrame(grid, index=list(blocks.order), columns=list(blocks.order))
    image = draw_matrix(
        ax, table, blocks, limit=_limit([grid]), named=True, blank="#ffffff", side_in=3.4
    )
    if len(blocks.spans) == 1 and len(blocks.order) <= _NAMED:  # a network by itself
        every = range(len(blocks.order))
        ax.set_yticks(every, blocks.order, fontsize=7.5)
        ax.set_xticks(every, blocks.order, fontsize=7.5, rotation=60, ha="right")
    figure = figure_of(ax)
    bar = figure.colorbar(image, ax=ax, shrink=0.75, aspect=26, pad=0.02)
    bar.set_label(label)
    bar.outline.set_visible(False)
    return figure


def draw_matrix(
    ax: Axes,
    matrix: pd.DataFrame,
    blocks: Blocks,
    *,
    limit: float,
    named: bool,
    side_in: float,
    blank: str = "#c3c8cf",
) -> AxesImage:
    """Draw one matrix as a picture with the networks outlined on the diagonal.

    Networks are named as far as their names find room on a side of `side_in` inches.
    """
    from matplotlib import colormaps

    order = list(blocks.order)
    values = matrix.set_axis(matrix.index.astype(str)).set_axis(matrix.columns.astype(str), axis=1)
    grid = values.reindex(index=order, columns=order).to_numpy(dtype=float, copy=True)
    colours = colormaps[SIGNED].resampled(_STEPS).with_extremes(bad=blank)
    image = ax.imshow(grid, cmap=colours, vmin=-limit, vmax=limit, interpolation="none")
    n = len(order)
    for name, start, stop in blocks.spans:
        if not name:
            continue
        xs = [start - 0.5, stop - 0.5, stop - 0.5, start - 0.5, start - 0.5]
        ys = [start - 0.5, start - 0.5, stop - 0.5, stop - 0.5, start - 0.5]
        ax.plot(xs, ys, color="#111418", linewidth=0.8, clip_on=False)
    spans = _with_room(blocks.spans, n * _LINE_IN / side_in)
    middles = [(start + stop - 1) / 2 for _, start, stop in spans]
    labels = [name for name, _, _ in spans]
    ax.set_yticks(middles, labels if named else [""] * len(labels), fontsize=7.5)
    ax.set_xticks(middles, labels, fontsize=7.5, rotation=60, ha="right", rotation_mode="anchor")
    ax.tick_params(length=0, labelcolor=INK, color=MUTED)
    ax.spines[:].set_visible(False)
    ax.set_xlim(-0.5, n - 0.5)
    ax.set_ylim(n - 0.5, -0.5)
    return image


def _with_room(spans: Sequence[tuple[str, int, int]], apart: float) -> list[tuple[str, int, int]]:
    """Return the networks whose names do not run into one another; large ones go first."""
    kept: list[tuple[str, int, int]] = []
    for one in sorted(spans, key=lambda span: span[1] - span[2]):
        middle = one[1] + one[2]
        if all(abs(middle - (other[1] + other[2])) / 2 >= apart for other in kept):
            kept.append(one)
    return sorted(kept, key=lambda span: span[1])


def _limit(arrays: Sequence[NDArray[np.float64]]) -> float:
    every = np.concatenate([np.abs(array[np.isfinite(array)]) for array in arrays])
    every = every[every > 0]
    return float(np.percentile(every, 99)) if every.size else 1.0
