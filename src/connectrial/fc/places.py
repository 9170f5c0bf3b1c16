"""Where parcels lie."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.data import Atlas, FloatArray

# Tables of atlases call world coordinates by either; both are mm.
_COLUMNS = (("x_mm", "y_mm", "z_mm"), ("x", "y", "z"))


def parcel_centroids(atlas: Atlas) -> FloatArray:
    """Return the centre of every parcel in world coordinates.

    Parameters
    ----------
    atlas : Atlas
        With columns ``x_mm``, ``y_mm``, ``z_mm`` (or ``x``, ``y``, ``z``, in mm too) among its
        parcels, or a label image. What the
        columns say comes first; the image serves parcels without a place there.

    Returns
    -------
    array, shape (n_parcels, 3)
        In mm; the mean over a parcel's voxels where it is taken from the image. NaN where neither
        tells.
    """
    centres = np.full((len(atlas.parcels), 3), np.nan)
    for columns in _COLUMNS:
        if set(columns) <= set(atlas.parcels.columns):
            cells = [pd.to_numeric(atlas.parcels[name], errors="coerce") for name in columns]
            stated = np.column_stack([cell.to_numpy(dtype=np.float64) for cell in cells])
            better = np.isfinite(stated).all(axis=1) & np.isnan(centres).any(axis=1)
            centres[better] = stated[better]
    unknown = np.isnan(centres).any(axis=1)
    if not unknown.any() or atlas.labels is None or atlas.affine is None:
        return centres
    if "index" not in atlas.parcels:
        return centres
    voxels = np.stack(np.nonzero(atlas.labels), axis=1)
    label = atlas.labels[tuple(voxels.T)]
    size = int(label.max(initial=0)) + 1
    count = np.bincount(label, minlength=size)
    sums = np.stack([np.bincount(label, weights=axis, minlength=size) for axis in voxels.T], axis=1)
    index = atlas.parcels["index"].to_numpy(dtype=np.float64)
    found = unknown & np.isfinite(index) & (index > 0) & (index < size)
    found[found] = count[index[found].astype(np.intp)] > 0
    which = index[found].astype(np.intp)
    middle = sums[which] / count[which, np.newaxis]
    centres[found] = middle @ atlas.affine[:3, :3].T + atlas.affine[:3, 3]
    return centres
