"""Data of the interactive slices: whole maps over voxels as grey pictures that a script colours.

nilearn's own viewers put a script of their own beside every map; under a policy that lists each
script by its hash, a script once for all maps is lighter, and follows the page's theme.
"""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.figures.maps import MapRow, axial, world_mm
from connectrial.figures.numbers import format_number
from connectrial.report.live import Live

#: More voxels than this are shown at every second (third ...) voxel.
MOST_VOXELS = 700_000
#: Code of a place outside the brain, of a place without a value, and of the lowest value.
OUTSIDE, EMPTY, LOWEST = 0, 1, 2


def slices_live(title: str, rows: list[MapRow], affine: NDArray[np.float64]) -> Live | None:
    """Return the interactive slices of maps on one grid; None where there is no map.

    Parameters
    ----------
    title : str
        Of the analysis.
    rows : list of MapRow
        Maps, as the static figure draws them.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    """
    if not rows:
        return None
    turned = [axial(row.values, affine).astype(np.float64) for row in rows]
    brain = np.any([np.isfinite(values) for values in turned], axis=0)
    mm = world_mm(affine, (brain.shape[0], brain.shape[1], brain.shape[2]))
    box, every = _box(brain)
    maps = []
    for row, values in zip(rows, turned, strict=True):
        passing = None if row.passing is None else axial(row.passing, affine)[box]
        maps.append(
            {
                "title": row.title,
                "scale": row.scale,
                **coded(values[box], brain[box]),
                "passing": None if passing is None or not passing.any() else _png(passing * 255),
            }
        )
    shape = brain[box].shape
    coarse = f" Every {every}. voxel is shown." if every > 1 else ""
    off = max(float(one["step"]) / 2 for one in maps)
    return Live(
        kind="slices",
        title=f"{title}: slices to move through",
        how="Choose a map; move a plane with its slider, or click into a slice to move all. The left of "
        "the brain is on the left. Grey: brain without a value in that map, or with one below the threshold."
        f"{coarse} Values are rounded to 254 steps between the lowest and the highest of each map, to "
        f"within {format_number(off, digits=2)} or better; the images in the "
        "folder group/maps hold them as they are.",
        data={
            "shape": list(shape),
            "mm": [[float(round(x, 3)) for x in mm[a][box[a]]] for a in range(3)],
            "maps": maps,
        },
    )


def coded(values: NDArray[np.float64], brain: NDArray[np.bool_]) -> dict[str, Any]:
    """Round a map to 254 steps, as a grey picture with its slices side by side.

    Parameters
    ----------
    values : array, shape (x, y, z)
        NaN where there is no value.
    brain : array of bool, shape (x, y, z)
        Places that are shown grey where there is no value.

    Returns
    -------
    dict
        ``low``, ``step`` (value = low + (code - 2) step), ``limit`` (end of the colour scale) and
        ``png`` (base64).
    """
    known = np.isfinite(values)
    low = float(values[known].min()) if known.any() else 0.0
    high = float(values[known].max()) if known.any() else 0.0
    step = (high - low) / (255 - LOWEST)
    codes = np.where(brain, EMPTY, OUTSIDE).astype(np.uint8)
    scaled = (values[known] - low) / step if step > 0 else np.zeros(int(known.sum()))
    codes[known] = (LOWEST + np.rint(scaled)).astype(np.uint8)
    sizes = np.abs(values[known & (values != 0)])
    limit = float(np.percentile(sizes, 99)) if sizes.size else 1.0
    return {"low": low, "step": step, "limit": limit, "png": _png(codes)}


def mosaic_shape(n_slices: int) -> tuple[int, int]:
    """Return columns and rows of a mosaic that holds so many slices."""
    columns = int(np.ceil(np.sqrt(n_slices)))
    return columns, int(np.ceil(n_slices / columns))


def _png(codes: NDArray[Any]) -> str:
    """Lay slices along z out row by row, y downwards from the back to the front, as PNG."""
    from PIL import Image  # comes with matplotlib

    nx, ny, nz = codes.shape
    columns, rows = mosaic_shape(nz)
    sheet = np.zeros((rows * ny, columns * nx), dtype=np.uint8)
    for z in range(nz):
        row, column = divmod(z, columns)
        sheet[row * ny : (row + 1) * ny, column * nx : (column + 1) * nx] = codes[:, :, z].T
    buffer = io.BytesIO()
    Image.fromarray(sheet).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _box(brain: NDArray[np.bool_]) -> tuple[tuple[slice, slice, slice], int]:
    """Cut what is empty away, and thin out what is too large for a page."""
    ends = []
    for axis in range(3):
        held = np.flatnonzero(brain.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((int(held[0]), int(held[-1]) + 1) if len(held) else (0, brain.shape[axis]))
    voxels = float(np.prod([stop - start for start, stop in ends]))
    every = max(1, int(np.ceil((voxels / MOST_VOXELS) ** (1 / 3))))
    x, y, z = (slice(start, stop, every) for start, stop in ends)
    return (x, y, z), every
