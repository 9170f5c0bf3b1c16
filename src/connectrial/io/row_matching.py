"""Find the rows of one file of grayordinates in another.

Two files may hold the same grayordinates in different orders, so rows are matched by structure and
vertex or voxel, never by their position.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from connectrial.data import Grayordinates
from connectrial.errors import InputError

Indices = NDArray[np.intp]

_VOXEL_TOLERANCE = 0.01  # of a voxel, between two grids that should be one
_MOST_VOXELS = 1 << 15  # along an axis: three of them and a structure fit into one integer


def match_rows(series: Grayordinates, atlas: Grayordinates) -> Indices:
    """Find the rows of one file in another, by structure and vertex or voxel.

    Parameters
    ----------
    series : Grayordinates
        Of the file that is searched.
    atlas : Grayordinates
        Of the file whose rows are looked for. If its voxels are on another grid, they match where
        their centres coincide.

    Returns
    -------
    array of int, shape (len(atlas),)
        Row of `series` for each row of `atlas`; -1 where `series` has none.

    Raises
    ------
    InputError
        If a surface has another mesh in the two files, or a file holds a grayordinate twice.
    """
    for name, count in atlas.n_vertices.items():
        other = series.n_vertices.get(name)
        if other is not None and other != count:
            raise InputError(
                f"the mesh of {name} has {count} vertices in the atlas but {other} in the data; "
                "take an atlas of the same mesh (fsLR: 32492 for 91k, 59292 for 170k; fsaverage5: "
                "10242; fsaverage6: 40962; fsaverage: 163842)"
            )
    number_of = {name: number for number, name in enumerate(series.structures)}
    numbers = np.array([number_of.get(name, -1) for name in atlas.structures], dtype=np.int64)
    sought = _keys(atlas, numbers[atlas.structure], _on_grid_of(series, atlas))
    there = _keys(series, series.structure.astype(np.int64), series.voxel)
    for keys, what in ((there, "data"), (sought[sought >= 0], "atlas")):
        if len(np.unique(keys)) < len(keys):
            raise InputError(f"the {what} hold a grayordinate more than once; make the file again")
    if len(there) == 0:
        return np.full(len(atlas), -1, dtype=np.intp)
    order = np.argsort(there)
    place = np.minimum(np.searchsorted(there, sought, sorter=order), len(there) - 1)
    found = order[place]
    return np.where((there[found] == sought) & (sought >= 0), found, -1)


def _on_grid_of(series: Grayordinates, atlas: Grayordinates) -> NDArray[np.int32]:
    """Return the atlas's voxels as voxels of the series' grid; -1 where no centres coincide."""
    if series.affine is None or atlas.affine is None:
        return np.full_like(atlas.voxel, -1)
    if np.allclose(series.affine, atlas.affine, rtol=0, atol=1e-4):
        return atlas.voxel
    change = np.linalg.inv(series.affine) @ atlas.affine
    moved = atlas.voxel @ change[:3, :3].T + change[:3, 3]
    nearest = np.rint(moved)
    fits = (np.abs(moved - nearest) <= _VOXEL_TOLERANCE) & (nearest >= 0)
    coincide = np.asarray(fits.all(axis=1))
    return np.where(coincide[:, np.newaxis], nearest, -1).astype(np.int32)


def _keys(
    rows: Grayordinates, structure: NDArray[np.int64], voxel: NDArray[np.int32]
) -> NDArray[np.int64]:
    """Give each grayordinate one number; -1 where it cannot be in the other file."""
    i, j, k = (voxel[:, axis].astype(np.int64) for axis in range(3))
    is_vertex = rows.vertex >= 0
    inside = (voxel >= 0).all(axis=1) & (voxel < _MOST_VOXELS).all(axis=1)
    place = np.where(is_vertex, rows.vertex, (i * _MOST_VOXELS + j) * _MOST_VOXELS + k)
    key = (structure * 2 + is_vertex) * _MOST_VOXELS**3 + place
    return np.where((structure >= 0) & (is_vertex | inside), key, -1)
