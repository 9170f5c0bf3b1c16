"""Spheres in the subcortical voxels of a CIFTI file; its cortex is a surface, without places in mm."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray, Grayordinates
from connectrial.errors import InputError

Indices = NDArray[np.intp]
Overlap = Literal["allow", "nearest", "refuse"]

_CENTRE = ["x_mm", "y_mm", "z_mm"]
_TOLERANCE_MM = 1e-6  # a centre exactly on the surface counts, whatever rounding says
_SHOWN = 5


def find_sphere_rows(
    rows: Grayordinates, atlas: Atlas, *, overlap: Overlap = "allow"
) -> tuple[Indices, Indices, Indices]:
    """Find the rows whose voxels' centres lie in each sphere of an atlas.

    Parameters
    ----------
    rows : Grayordinates
        Of the file.
    atlas : Atlas
        Its spheres count, its other parcels do not.
    overlap : {"allow", "nearest", "refuse"}
        What happens to a voxel in two spheres: it counts in both, in the one whose centre is
        nearest (the first of the atlas where two are equally near), or is an error.

    Returns
    -------
    row : array of int, shape (n_pairs,)
        A row stands once for each sphere it lies in.
    parcel : array of int, shape (n_pairs,)
        Row of the sphere among the atlas' parcels.
    n_total : array of int, shape (n_parcels,)
        Voxels that each sphere has on the file's grid, whether the file holds them or not.

    Raises
    ------
    InputError
        If the file has no voxels, a sphere holds none of them, or spheres overlap and must not.
    """
    if overlap not in ("allow", "nearest", "refuse"):
        raise InputError(f"overlap must be 'allow', 'nearest' or 'refuse'; got {overlap!r}")
    in_volume = np.flatnonzero(rows.vertex < 0)
    if len(in_volume) == 0 or rows.affine is None:
        raise InputError(
            "the file holds surfaces alone, so spheres have no voxel in it; read the volumes "
            "([data] space), or take an atlas of labels"
        )
    spheres = np.flatnonzero(atlas.is_sphere)
    found = [_lattice(atlas, place, rows.affine) for place in spheres]
    voxel = np.concatenate([one for one, _ in found])
    distance = np.concatenate([one for _, one in found])
    parcel = np.repeat(spheres, [len(one) for one, _ in found])
    if overlap != "allow":
        kept = _nearest_only(atlas, voxel, distance, parcel, overlap)
        voxel, parcel = voxel[kept], parcel[kept]
    n_total = np.bincount(parcel, minlength=len(atlas.parcels)).astype(np.intp)
    row = _rows_of(rows.voxel[in_volume], voxel)
    here = row >= 0
    _refuse_empty(atlas, spheres, parcel[here])
    return in_volume[row[here]], parcel[here], n_total


def _lattice(
    atlas: Atlas, place: np.intp, affine: FloatArray
) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the voxels of a grid without end that lie in a sphere, and their distances in mm."""
    one = atlas.parcels.iloc[int(place)]
    centre = one[_CENTRE].to_numpy(dtype=np.float64)
    radius_mm = float(one["radius_mm"])
    middle = np.rint((np.linalg.inv(affine) @ np.append(centre, 1.0))[:3]).astype(np.int64)
    # A step along one axis changes the place by at least the grid's smallest stretch.
    smallest_mm = float(np.linalg.svd(affine[:3, :3], compute_uv=False).min())
    reach = int(np.ceil(radius_mm / smallest_mm)) + 1
    steps = np.arange(-reach, reach + 1)
    around = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    voxel = middle + around
    distance = np.linalg.norm(voxel @ affine[:3, :3].T + affine[:3, 3] - centre, axis=1)
    inside = distance <= radius_mm + _TOLERANCE_MM
    return voxel[inside], distance[inside]


def _nearest_only(
    atlas: Atlas,
    voxel: NDArray[np.int64],
    distance: FloatArray,
    parcel: Indices,
    overlap: Overlap,
) -> Indices:
    """Return, for each voxel, the pair of the sphere whose centre is nearest."""
    order = np.lexsort((parcel, np.round(distance, 6), *voxel.T))
    repeated = np.zeros(len(order), dtype=bool)
    repeated[1:] = (voxel[order][1:] == voxel[order][:-1]).all(axis=1)
    if overlap == "refuse" and repeated.any():
        at = int(np.argmax(repeated))
        names = [str(atlas.parcels.index[parcel[order[n]]]) for n in (at - 1, at)]
        raise InputError(
            f"the spheres {names[0]} and {names[1]} share voxels; make them smaller, or set [atlas] "
            "overlap to 'allow' or 'nearest'"
        )
    return np.sort(order[~repeated])


def _rows_of(there: NDArray[np.int32], sought: NDArray[np.int64]) -> Indices:
    """Return the place of each sought voxel among those that are there; -1 for none."""
    size = np.maximum(there.max(axis=0), 0).astype(np.int64) + 1
    known = np.full(int(size.prod()), -1, dtype=np.intp)
    known[np.ravel_multi_index(tuple(there.T), tuple(size))] = np.arange(len(there))
    within = ((sought >= 0) & (sought < size)).all(axis=1)
    found = np.full(len(sought), -1, dtype=np.intp)
    found[within] = known[np.ravel_multi_index(tuple(sought[within].T), tuple(size))]
    return found


def _refuse_empty(atlas: Atlas, spheres: Indices, with_voxels: Indices) -> None:
    empty = [str(atlas.parcels.index[n]) for n in np.setdiff1d(spheres, with_voxels)]
    if empty:
        shown = ", ".join(empty[:_SHOWN]) + (", ..." if len(empty) > _SHOWN else "")
        raise InputError(
            f"{len(empty)} of {len(spheres)} spheres hold no voxel of this file ({shown}): its "
            "cortex is a surface, which has no place in mm. Take labels for the cortex ([atlas] "
            "image: a .dlabel.nii) and spheres for the subcortex alone, or read the volumes ([data] "
            "space)"
        )
