"""Data of the maps on the cortex that turn: fsaverage5's meshes once, each map as rounded numbers."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.figures.brains import HEMISPHERES, cortex
from connectrial.figures.numbers import format_number
from connectrial.report.live import Live
from connectrial.report.quantise import pack, worst

_APART_MM = 4.0  # between the hemispheres, which inflated would overlap

SideValues = Mapping[str, NDArray[np.float32]]


def surface_live(
    title: str, maps: Mapping[str, tuple[str, SideValues]], *, meshes: Mapping[str, Any] | None
) -> Live:
    """Return maps on the cortex as an interactive form.

    Parameters
    ----------
    title : str
        Of the analysis.
    maps : mapping of str to (str, mapping of str to array, shape (10242,))
        Title -> scale and the values of ``left`` and ``right``, NaN where there is none.
    meshes : mapping or None
        :func:`packed_cortex` in the first form of a page, None in those after it.
    """
    limits: dict[str, float] = {}
    for scale, sides in maps.values():
        every = np.concatenate([np.abs(sides[side]) for side in HEMISPHERES])
        every = every[np.isfinite(every) & (every > 0)]
        most = float(np.percentile(every, 99)) if every.size else 1.0
        limits[scale] = max(limits.get(scale, 0.0), most)
    drawn: list[dict[str, Any]] = [
        {
            "title": name,
            "scale": scale,
            "limit": limits[scale],
            **{side: pack(sides[side].astype(np.float64), bits=8) for side in HEMISPHERES},
        }
        for name, (scale, sides) in maps.items()
    ]
    off = max(worst(one[side]) for one in drawn for side in HEMISPHERES)
    data: dict[str, Any] = {"maps": drawn}
    return Live(
        kind="surface",
        title=f"{title}: on a cortex that turns",
        how="Drag, or use the arrow keys, to turn it; choose a map, raise the threshold. Volumes were "
        "sampled between the white and the pial surface of fsaverage5, a template's cortex in MNI space. "
        f"Values are rounded to within {format_number(off, digits=2)}; the folder group/maps holds them "
        "as they are.",
        data=data | ({"meshes": meshes} if meshes is not None else {}),
    )


def packed_cortex() -> dict[str, Any]:
    """Return fsaverage5's inflated hemispheres side by side, with their sulcal depth, for a page."""
    meshes, depths = cortex()
    packed = {}
    for side in HEMISPHERES:
        points = np.array(meshes[side].coordinates, dtype=np.float64)
        inner = points[:, 0].max() if side == "left" else points[:, 0].min()
        points[:, 0] -= inner + (_APART_MM / 2 if side == "left" else -_APART_MM / 2)
        faces = np.ascontiguousarray(meshes[side].faces, dtype="<u2")
        packed[side] = {
            "points": pack(points.ravel(), bits=16),
            "faces": base64.b64encode(faces.tobytes()).decode(),
            "depth": pack(depths[side].astype(np.float64), bits=8),
        }
    return packed
