"""Systems and maps on the brain, by nilearn's plotting: glass brains, and the cortex as a surface.

The outlines and the surface are those of nilearn's wheel (MNI152, fsaverage5); nothing is fetched.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.figures.maps import MapRow
from connectrial.figures.outlines import add_points, head_axes
from connectrial.figures.palette import INK, LEVELS, MUTED, SIGNED, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEMISPHERES = ("left", "right")
_VIEWS = "lyrz"  # from the left, behind, the right and above
_ROW_INCHES = 1.55
_SIDE_INCHES = 1.7


@styled
def plot_systems(
    places: pd.DataFrame, systems: Mapping[str, Sequence[tuple[str, Sequence[str]]]]
) -> Figure:
    """Draw the parcels of each system in a glass brain, one system per row.

    Parameters
    ----------
    places : pandas.DataFrame
        Columns ``x_mm``, ``y_mm``, ``z_mm`` (MNI), indexed by parcel.
    systems : mapping of str to sequence of (str, sequence of str)
        Title of a row -> its parts, each a name and its parcels; parts differ in colour and size.
    """
    figure, boxes = _rows(len(systems))
    for (title, parts), (y, tall) in zip(systems.items(), boxes, strict=True):
        head = head_axes(figure, (_side(), y, 1 - _side(), tall))
        figure.text(
            0.01, y + 0.5 * tall, title, fontsize=9, fontweight="bold", va="bottom", wrap=True
        )
        lines = []
        for number, (name, parcels) in enumerate(parts):
            known = [parcel for parcel in parcels if parcel in places.index]
            colour = LEVELS[(0, 5)[number % 2]]
            if known:
                xyz = places.loc[known, ["x_mm", "y_mm", "z_mm"]].to_numpy(dtype=float)
                add_points(head, xyz, colour=colour, size=9 if number == 0 else 22, alpha=0.8)
            lines.append((f"● {name} ({len(known)})", colour))
        for i, (words, colour) in enumerate(lines):
            figure.text(0.01, y + 0.5 * tall - 0.028 * (9 / figure.get_figheight()) * (i + 1) * 1.6, words,
                        fontsize=8, color=colour, va="top")  # fmt: skip
    return figure


@styled
def plot_glass_maps(rows: Sequence[MapRow], affine: NDArray[np.float64]) -> Figure:
    """Draw whole maps in glass brains, one map per row: the largest value along each line of sight.

    Parameters
    ----------
    rows : sequence of MapRow
        Maps in MNI space on one grid; rows of one scale share their colours.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    """
    from nibabel import Nifti1Image

    figure, boxes = _rows(len(rows))
    limits = colour_limits(rows)
    for row, (y, tall) in zip(rows, boxes, strict=True):
        values = np.nan_to_num(np.asarray(row.values, dtype=np.float32))
        image: Any = Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
        _glass(
            figure, (_side(), y, 1 - _side(), tall), image, vmax=limits[row.scale], vmin=-limits[row.scale],
            cmap=SIGNED, plot_abs=False, threshold=None, colorbar=True, cbar_tick_format="%.2g",
        )  # fmt: skip
        figure.text(0.01, y + 0.5 * tall, f"{row.title}\n", fontsize=9, va="center", wrap=True)
        figure.text(0.01, y + 0.5 * tall, f"\n{row.scale}", fontsize=8, color=MUTED, va="center")
    return figure


@styled
def plot_surface_maps(maps: Mapping[str, tuple[str, Mapping[str, NDArray[np.float32]]]]) -> Figure:
    """Draw maps on the inflated cortex of fsaverage5, one map per row, each side from its own side.

    Parameters
    ----------
    maps : mapping of str to (str, mapping of str to array, shape (10242,))
        Title -> scale and the values of ``left`` and ``right``. Maps of one scale share colours.
    """
    from nilearn import plotting

    meshes, depths = cortex()
    limits: dict[str, float] = {}
    for scale, sides in maps.values():
        every = np.abs(np.concatenate([sides[side] for side in HEMISPHERES]))
        most = (
            float(np.percentile(every[np.isfinite(every)], 99)) if np.isfinite(every).any() else 1.0
        )
        limits[scale] = max(limits.get(scale, 0.0), most or 1.0)
    figure, boxes = _rows(len(maps))
    for (title, (scale, sides)), (y, tall) in zip(maps.items(), boxes, strict=True):
        for column, (side, view) in enumerate(
            (("left", "lateral"), ("left", "medial"), ("right", "medial"), ("right", "lateral"))
        ):
            wide = (1 - _side()) / 4
            ax: Any = figure.add_axes(
                (_side() + column * wide, y, wide, tall), projection="3d", rasterized=True
            )
            plotting.plot_surf_stat_map(
                meshes[side], sides[side], hemi=side, view=view, bg_map=depths[side], axes=ax,
                figure=figure, cmap=SIGNED, vmax=limits[scale], vmin=-limits[scale], colorbar=False,
            )  # fmt: skip
        figure.text(0.01, y + 0.5 * tall, title, fontsize=9, va="bottom", wrap=True)
        figure.text(
            0.01,
            y + 0.48 * tall,
            f"{scale}, ±{limits[scale]:.2g}",
            fontsize=8,
            color=MUTED,
            va="top",
        )
    return figure


def colour_limits(rows: Sequence[MapRow]) -> dict[str, float]:
    """Return for each scale the value at which its colours end: the 99th percentile of sizes."""
    limits: dict[str, float] = {}
    for row in rows:
        sizes = np.abs(row.values[np.isfinite(row.values) & (row.values != 0)])
        most = float(np.percentile(sizes, 99)) if sizes.size else 1.0
        limits[row.scale] = max(limits.get(row.scale, 0.0), most)
    return limits


def cortex() -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Return fsaverage5's inflated meshes (coordinates, faces) and sulcal depths, by hemisphere."""
    from nilearn import datasets, surface

    found: Any = datasets.fetch_surf_fsaverage("fsaverage5")  # lies in nilearn's wheel
    meshes = {side: surface.load_surf_mesh(found[f"infl_{side}"]) for side in HEMISPHERES}
    depths = {
        side: np.asarray(surface.load_surf_data(found[f"sulc_{side}"]), dtype=np.float32)
        for side in HEMISPHERES
    }
    return meshes, depths


def on_cortex(
    values: NDArray[np.float32], affine: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    """Sample a volume in MNI space on fsaverage5's cortex, between white and pial surface.

    Parameters
    ----------
    values : array, shape (i, j, k)
        NaN where there is no value.
    affine : array, shape (4, 4)
        Voxel to world, mm.

    Returns
    -------
    dict of str to array, shape (10242,)
        By hemisphere; NaN where the volume has no value.
    """
    from nibabel import Nifti1Image
    from nilearn import datasets, surface

    found: Any = datasets.fetch_surf_fsaverage("fsaverage5")
    image: Any = Nifti1Image(np.asarray(values, dtype=np.float32), affine)  # type: ignore[no-untyped-call]
    with warnings.catch_warnings():
        # Cortex outside the volume has no value, which is what is meant.
        warnings.filterwarnings("ignore", message="Mean of empty slice", category=RuntimeWarning)
        return {
            side: np.asarray(
                surface.vol_to_surf(
                    image, found[f"pial_{side}"], inner_mesh=found[f"white_{side}"]
                ),
                dtype=np.float32,
            )
            for side in HEMISPHERES
        }


def _side() -> float:
    """Return the share of a row that its words take."""
    return _SIDE_INCHES / 8.4


def _rows(n: int) -> tuple[Figure, list[tuple[float, float]]]:
    """Make a figure of so many rows; each is its lower edge and height, as shares."""
    from connectrial.figures.glass import GlassFigure

    figure = GlassFigure(figsize=(8.4, _ROW_INCHES * max(1, n)))
    tall = 1 / max(1, n)
    return figure, [(1 - (i + 1) * tall, 0.97 * tall) for i in range(n)]


def _glass(
    figure: Figure,
    box: tuple[float, float, float, float],
    image: Any,  # noqa: ANN401 - nibabel has no types
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401 - nilearn has no types
    from nilearn import plotting

    display: Any = plotting.plot_glass_brain(
        image,
        display_mode=_VIEWS,
        figure=figure,
        axes=box,
        black_bg=False,
        annotate=False,
        **options,
    )
    for one in display.axes.values():
        _join_outlines(one.ax)
    display.annotate(size=8, color=INK)
    for one in display.axes.values():
        for letter in one.ax.texts:
            letter.set_bbox(None)  # nilearn's white box hides the letter on a dark page
    return display


def _join_outlines(ax: Any) -> None:  # noqa: ANN401 - nilearn's axes have no types
    """Make one line of the hundreds of pieces of an outline: they look the same and draw at once."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    pieces: dict[tuple[Any, float], list[Any]] = {}
    for patch in list(ax.patches):
        if isinstance(patch, PathPatch):
            pieces.setdefault((patch.get_edgecolor(), patch.get_linewidth()), []).append(patch)
    for (colour, width), patches in pieces.items():
        black = tuple(colour[:3]) == (0.0, 0.0, 0.0)
        path = Path.make_compound_path(*(patch.get_path() for patch in patches))
        # The artist's own transform: the getter of a patch adds what belongs to its shape.
        joined = PathPatch(
            path,
            # Black as ink, which a dark page turns light, as it does the other lines.
            edgecolor=INK if black else colour,
            alpha=colour[3] if black else None,
            linewidth=width,
            facecolor="none",
            transform=patches[0].get_data_transform(),
            zorder=patches[0].get_zorder(),
        )
        for patch in patches:
            patch.remove()
        ax.add_artist(joined)
