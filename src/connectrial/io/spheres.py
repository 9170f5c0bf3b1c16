"""Spheres around coordinates as parcels: which voxels lie in them, on whatever grid a scan has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray
from connectrial.errors import InputError

Indices = NDArray[np.intp]
Overlap = Literal["allow", "nearest", "refuse"]

CENTRE = ["x_mm", "y_mm", "z_mm"]
_TOLERANCE_MM = 1e-6  # a centre exactly on the surface counts, whatever rounding says
_LARGEST_RADIUS_MM = 50.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SphereVoxels:
    """Which voxels belong to which spheres.

    Attributes
    ----------
    voxel : array of int, shape (n_pairs,)
        Position in the grid, first axis fastest; a voxel stands once for each sphere it lies in.
    parcel : array of int, shape (n_pairs,)
        Row of the sphere in the atlas' parcels, ascending.
    n_whole : array of int, shape (n_parcels,)
        Voxels that each sphere would have on a grid without end; 0 for parcels that are none, and
        for spheres too small to hold the centre of a voxel.
    """

    voxel: Indices
    parcel: Indices
    n_whole: Indices


def place_spheres(
    atlas: Atlas, shape: tuple[int, int, int], affine: FloatArray, *, overlap: Overlap = "allow"
) -> SphereVoxels:
    """Find the voxels whose centres lie in each sphere of an atlas, its surface included.

    Parameters
    ----------
    atlas : Atlas
        Parcels with ``x_mm``, ``y_mm``, ``z_mm`` (world) and a finite ``radius_mm`` are spheres.
    shape : tuple of int, length 3
        Voxels of the grid.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    overlap : {"allow", "nearest", "refuse"}
        What happens to a voxel that lies in two spheres: it counts in both; it counts in the one
        whose centre is nearest (the first of the atlas where two are equally near); or the atlas is
        refused. Labels of an image and spheres may always overlap.

    Returns
    -------
    SphereVoxels

    Raises
    ------
    InputError
        If `overlap` is none of these, or is "refuse" and two spheres share a voxel.
    """
    if overlap not in ("allow", "nearest", "refuse"):
        raise InputError(f"overlap must be 'allow', 'nearest' or 'refuse'; got {overlap!r}")
    n_parcels = len(atlas.parcels)
    rows = np.flatnonzero(atlas.is_sphere)
    positions, parcel, distance = _lattice_points(atlas, rows, affine)
    if overlap != "allow" and len(rows):
        positions, parcel = _without_overlap(atlas, positions, parcel, distance, overlap)
    n_whole = np.bincount(parcel, minlength=n_parcels).astype(np.intp)
    inside = ((positions >= 0) & (positions < np.array(shape))).all(axis=1)
    positions, parcel = positions[inside], parcel[inside]
    voxel = np.ravel_multi_index(tuple(positions.T), shape, order="F").astype(np.intp)
    return SphereVoxels(voxel=voxel, parcel=parcel, n_whole=n_whole)


def sphere_atlas(name: str, spheres: pd.DataFrame, *, notes: Sequence[str] = ()) -> Atlas:
    """Make an atlas of spheres.

    Parameters
    ----------
    name : str
        As in the ``atlas-`` entity.
    spheres : pandas.DataFrame
        Indexed by parcel name: ``x_mm``, ``y_mm``, ``z_mm`` (world), ``radius_mm`` and whatever
        else is known; ``network`` is missing for all where there is no such column.
    notes : sequence of str
        What a reader must know.

    Returns
    -------
    Atlas

    Raises
    ------
    InputError
        If a column is absent, or a centre or radius is no number that a brain can have.
    """
    absent = [column for column in (*CENTRE, "radius_mm") if column not in spheres]
    if absent:
        raise InputError(f"atlas {name!r}: spheres need the columns {', '.join(absent)}")
    numbers = spheres[[*CENTRE, "radius_mm"]].to_numpy(dtype=np.float64)
    wrong = ~np.isfinite(numbers).all(axis=1) | ~(
        (numbers[:, 3] > 0) & (numbers[:, 3] <= _LARGEST_RADIUS_MM)
    )
    wrong |= (np.abs(np.nan_to_num(numbers[:, :3])) > 500).any(axis=1)
    if wrong.any():
        first = spheres.index[wrong][0]
        raise InputError(
            f"atlas {name!r}: sphere {first!r} is at {numbers[wrong][0, :3].tolist()} mm with a radius "
            f"of {numbers[wrong][0, 3]:g} mm; a centre is three world coordinates in mm, a radius lies "
            f"above 0 and up to {_LARGEST_RADIUS_MM:g} mm"
        )
    parcels = spheres.astype(dict.fromkeys((*CENTRE, "radius_mm"), float))
    if "network" not in parcels:
        parcels = parcels.assign(network=pd.Series(pd.NA, index=parcels.index, dtype="str"))
    return Atlas(name=name, parcels=parcels, notes=tuple(notes))


def add_spheres(
    atlas: Atlas, spheres: Mapping[str, Sequence[Mapping[str, float]]], *, where: str = "sets"
) -> Atlas:
    """Add spheres to an atlas, as parcels of named sets.

    Parameters
    ----------
    atlas : Atlas
        Of any kind; its own parcels keep their order and come first.
    spheres : mapping of str to sequence of mappings
        For each set its spheres: ``x_mm``, ``y_mm``, ``z_mm``, ``radius_mm``. Parcels are called
        after the set, with a number where it has several: ``sgACC_1``, ``sgACC_2``.
    where : str
        What to call the mapping in messages.

    Returns
    -------
    Atlas
        With a column ``set`` that names the set of each added sphere. They belong to no network.

    Raises
    ------
    InputError
        If a parcel bears the name already, or a sphere is none.
    """
    rows = []
    for name, listed in spheres.items():
        for number, one in enumerate(listed, start=1):
            called = name if len(listed) == 1 else f"{name}_{number}"
            if called in atlas.parcels.index:
                raise InputError(
                    f"[{where}.{name}] spheres: atlas {atlas.name!r} has a parcel called {called!r} "
                    "already; give the set another name"
                )
            rows.append({"parcel": called, "set": name, **one})
    if not rows:
        return atlas
    added = sphere_atlas(atlas.name, pd.DataFrame(rows).set_index("parcel")).parcels
    parcels = pd.concat([atlas.parcels, added])
    if "index" in parcels:
        parcels["index"] = parcels["index"].fillna(0).astype("int64")  # no label of any image
    parcels.index.name = "parcel"
    return replace(atlas, parcels=parcels)


def _lattice_points(
    atlas: Atlas, rows: Indices, affine: FloatArray
) -> tuple[Indices, Indices, FloatArray]:
    """Return voxel positions (beyond the grid too), sphere and distance (mm) of all pairs."""
    inverse = np.linalg.inv(affine)
    reach = np.linalg.norm(inverse[:3, :3], axis=1)  # voxels per mm along each axis of the grid
    found = [(np.zeros((0, 3), dtype=np.intp), np.zeros(0, dtype=np.intp), np.zeros(0))]
    for row in rows:
        one = atlas.parcels.iloc[int(row)]
        centre, radius = one[CENTRE].to_numpy(dtype=np.float64), float(one["radius_mm"])
        middle = inverse[:3, :3] @ centre + inverse[:3, 3]
        low = np.floor(middle - reach * radius).astype(int)
        high = np.ceil(middle + reach * radius).astype(int)
        axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
        box = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
        away = np.linalg.norm(box @ affine[:3, :3].T + affine[:3, 3] - centre, axis=1)
        within = away <= radius + _TOLERANCE_MM
        found.append((box[within], np.full(int(within.sum()), row), away[within]))
    positions, parcel, distance = (np.concatenate(part) for part in zip(*found, strict=True))
    return positions.astype(np.intp), parcel.astype(np.intp), distance


def _without_overlap(
    atlas: Atlas, positions: Indices, parcel: Indices, distance: FloatArray, overlap: Overlap
) -> tuple[Indices, Indices]:
    _, place = np.unique(positions, axis=0, return_inverse=True)
    place = place.ravel()
    order = np.lexsort((parcel, np.round(distance, 6), place))
    again = np.flatnonzero(np.diff(place[order], prepend=-1) == 0)
    if overlap == "refuse" and len(again):
        pairs = {
            (int(min(a, b)), int(max(a, b)))
            for a, b in zip(parcel[order][again - 1], parcel[order][again], strict=True)
        }
        first, second = (atlas.parcels.index[one] for one in min(pairs))
        raise InputError(
            f"atlas {atlas.name!r}: {len(pairs)} pairs of spheres share voxels, {first!r} and "
            f"{second!r} first; use smaller spheres (radius_mm), or set overlap = 'nearest' or 'allow'"
        )
    keep = np.sort(np.delete(order, again))
    return positions[keep], parcel[keep]
