"""Slices through maps over voxels, before, after, their difference, and a statistic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectrial.figures.palette import MUTED, SIGNED, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Volume = NDArray[np.float32]

_STEPS = 96
_SILHOUETTE = 0.88  # grey of the brain where a map has no value


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapRow:
    """One map of a figure.

    Attributes
    ----------
    title : str
        What it shows.
    values : array, shape (i, j, k)
        NaN where there is no value.
    scale : str
        Rows with the same word share one colour scale; it is the colour bar's label.
    passing : array of bool, shape (i, j, k), or None
        Voxels that are outlined.
    """

    title: str
    values: Volume
    scale: str
    passing: NDArray[np.bool_] | None = None


@styled
def plot_map_slices(
    rows: list[MapRow], affine: NDArray[np.float64], *, n_slices: int = 8
) -> Figure:
    """Draw axial slices of maps, one map per row, the left of the world on the left.

    Parameters
    ----------
    rows : list of MapRow
        On one grid.
    affine : array, shape (4, 4)
        Voxel to world, mm. Slices follow the voxel axis nearest to world z.
    n_slices : int
        Slices per map, spread over the part that has values.
    """
    from matplotlib import colormaps

    colours = colormaps[SIGNED].resampled(_STEPS).with_extremes(bad=(0, 0, 0, 0))
    turned = [axial(row.values, affine) for row in rows]
    outlines = [None if r.passing is None else axial(r.passing, affine) for r in rows]
    z_mm = _slice_mm(affine, turned[0].shape[2])
    brain = np.any([np.isfinite(values) for values in turned], axis=0)
    places = _places(brain, n_slices)
    box = _box(brain)
    limits = _limits(rows)
    n_columns = len(places)
    figure, axes = new_axes(
        width=0.95 * n_columns + 1.2,
        height=1.28 * len(rows) + 0.15,
        columns=n_columns,
        rows=len(rows),
    )
    for number, (row, values) in enumerate(zip(rows, turned, strict=True)):
        mine = axes[number * n_columns : (number + 1) * n_columns]
        for column, (ax, place) in enumerate(zip(mine, places, strict=True)):
            ax.imshow(
                np.where(brain[:, :, place], _SILHOUETTE, np.nan)[box].T,
                cmap="gray",
                vmin=0,
                vmax=1,
                origin="lower",
                interpolation="none",
            )
            ax.imshow(
                values[:, :, place][box].T,
                cmap=colours,
                vmin=-limits[row.scale],
                vmax=limits[row.scale],
                origin="lower",
                interpolation="none",
            )
            outline = outlines[number]
            if outline is not None and outline[:, :, place].any():
                ax.contour(
                    outline[:, :, place][box].T.astype(float),
                    levels=[0.5],
                    colors="#111418",
                    linewidths=0.7,
                )
            ax.set_axis_off()
            if number == len(rows) - 1:
                ax.text(
                    0.5, -0.03, f"z = {z_mm[place]:.0f}", transform=ax.transAxes,
                    ha="center", va="top", fontsize=7.5, color=MUTED,
                )  # fmt: skip
            if column == 0:
                ax.set_title(row.title, fontsize=9)
        bar = figure.colorbar(mine[0].images[-1], ax=mine, shrink=0.8, aspect=12, pad=0.01)
        bar.set_label(row.scale, fontsize=7.5)
        bar.ax.tick_params(labelsize=7)
        bar.outline.set_visible(False)
    return figure


def axial(values: NDArray[np.generic], affine: NDArray[np.float64]) -> NDArray[np.generic]:
    """Turn a volume so that its axes run to the right, to the front and up."""
    axes, signs = _orientation(affine)
    turned = np.transpose(values, axes)
    return np.asarray(turned[tuple(slice(None, None, sign) for sign in signs)])


def _orientation(affine: NDArray[np.float64]) -> tuple[list[int], list[int]]:
    """Return which voxel axis lies nearest to each world axis, and its direction."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left = [0, 1, 2]
    axes = [0, 0, 0]
    for world in (2, 1, 0):
        axes[world] = max(left, key=lambda axis: abs(cosines[world, axis]))
        left.remove(axes[world])
    return axes, [1 if cosines[world, axes[world]] >= 0 else -1 for world in range(3)]


def _slice_mm(affine: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    return world_mm(affine, (1, 1, n))[2]


def world_mm(affine: NDArray[np.float64], shape: tuple[int, int, int]) -> list[NDArray[np.float64]]:
    """Return where each step of a turned volume lies along world x, y and z.

    Parameters
    ----------
    affine : array, shape (4, 4)
        Voxel to world (mm) of the volume before :func:`axial`; a tilt against the world is left out.
    shape : tuple of int
        Of the turned volume.

    Returns
    -------
    list of array
        Three, of lengths `shape`, in mm.
    """
    axes, signs = _orientation(affine)
    found = []
    for world, n in enumerate(shape):
        steps = affine[world, axes[world]] * np.arange(n) + affine[world, 3]
        found.append(np.asarray(steps[:: signs[world]], dtype=np.float64))
    return found


def _places(brain: NDArray[np.bool_], n_slices: int) -> list[int]:
    """Spread slices over those that hold something, leaving the very ends out."""
    held = np.flatnonzero(brain.any(axis=(0, 1)))
    if len(held) == 0:
        return [brain.shape[2] // 2]
    n = min(n_slices, len(held))
    shares = (np.arange(n) + 0.5) / n if n < len(held) else np.linspace(0, 1, n)
    return [int(held[round(share * (len(held) - 1))]) for share in shares]


def _box(brain: NDArray[np.bool_]) -> tuple[slice, slice]:
    cut = []
    for axis in (0, 1):
        held = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        cut.append(slice(held[0], held[-1] + 1) if len(held) else slice(None))
    return cut[0], cut[1]


def _limits(rows: list[MapRow]) -> Mapping[str, float]:
    """Give each scale the 99th percentile of its maps' absolute values."""
    found: dict[str, float] = {}
    for scale in dict.fromkeys(row.scale for row in rows):
        values = [np.abs(r.values[np.isfinite(r.values)]) for r in rows if r.scale == scale]
        every = np.concatenate(values)
        every = every[every > 0]
        found[scale] = float(np.percentile(every, 99)) if every.size else 1.0
    return found
