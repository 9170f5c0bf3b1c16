"""The simulated trial's atlas: 72 parcels, their networks and a label image."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, BoolArray, FloatArray
from connectrial.errors import InputError

ATLAS_NAME = "Demo72"
SGACC = ("LH_Default_sgACC_1", "RH_Default_sgACC_1")
LIMBIC = tuple(f"{part}-{side}h" for side in "lr" for part in ("AMY", "aHIP", "pHIP", "NAc", "THA"))

# Centroids in mm, left hemisphere (the right is its mirror image): rough places, not a template.
_LEFT = {
    "Default": "-7,-55,27 -8,-40,36 -44,-68,34 -56,-50,30 -7,50,22 -8,54,2 -22,26,46 -60,-18,-16",
    "Default_sgACC": "-6,20,-12",
    "Vis": "-8,-90,2 -22,-94,6 -28,-80,-12 -10,-72,8 -42,-74,-2",
    "SomMot": "-38,-24,58 -20,-34,66 -52,-10,34 -6,-22,62 -58,-22,16",
    "SalVentAttn": "-38,10,0 -58,-38,32 -6,10,46 -32,42,30",
    "Limbic": "-24,30,-18 -34,8,-36",
    "Cont": "-44,34,24 -36,54,8 -42,-52,48 -8,26,34",
}
_LEFT_SUBCORTEX = {
    "AMY": (-22, -4, -20),
    "aHIP": (-27, -14, -20),
    "pHIP": (-26, -34, -4),
    "NAc": (-10, 12, -6),
    "THA": (-8, -10, 8),
    "CAU": (-12, 12, 14),
    "PUT": (-26, 4, 2),
}


def parcel_table() -> pd.DataFrame:
    """Return the parcels, indexed by name: cortex left, cortex right, then subcortex by pairs."""
    rows: list[tuple[str, str, str, str, float, float, float]] = []
    for side, sign in (("L", 1.0), ("R", -1.0)):
        for stem, text in _LEFT.items():
            network = stem.split("_")[0]
            for number, triple in enumerate(text.split(), start=1):
                x, y, z = map(float, triple.split(","))
                rows.append((f"{side}H_{stem}_{number}", network, side, "cortex", sign * x, y, z))
    for part, (x, y, z) in _LEFT_SUBCORTEX.items():
        for side, sign in (("L", 1.0), ("R", -1.0)):
            name = f"{part}-{side.lower()}h"
            rows.append((name, "Subcortex", side, "subcortex", sign * x, y, z))
    columns = ["name", "network", "hemisphere", "structure", "x", "y", "z"]
    table = pd.DataFrame(rows, columns=columns).set_index("name")
    table.insert(0, "index", np.arange(1, len(table) + 1))
    return table


def make_atlas() -> Atlas:
    """Return the atlas with its label image: each voxel of 6 mm goes to the centroid nearest it."""
    return label_by_distance(Atlas(name=ATLAS_NAME, parcels=parcel_table()))


def label_by_distance(atlas: Atlas) -> Atlas:
    """Return an atlas with a coarse label image: each voxel of 6 mm goes to the nearest centroid.

    Parameters
    ----------
    atlas : Atlas
        With centroids in mm: ``x``, ``y``, ``z`` or ``x_mm``, ``y_mm``, ``z_mm``. A voxel goes only to
        parcels of its own hemisphere (``hemisphere`` L or R), none further away than 9 mm.

    Raises
    ------
    InputError
        The parcels have no centroids.
    """
    parcels = atlas.parcels
    columns = next(
        (c for c in (["x", "y", "z"], ["x_mm", "y_mm", "z_mm"]) if set(c) <= set(parcels)), None
    )
    if columns is None:
        raise InputError(
            f"atlas {atlas.name!r}: its parcels have no places (x, y, z in mm), so no image can be made"
        )
    affine = np.diag([-6.0, 6.0, 6.0, 1.0])
    affine[:3, 3] = (90.0, -126.0, -72.0)
    voxels = voxel_mm((31, 37, 31), affine)
    centre = parcels[columns].to_numpy(dtype=float)
    distance = np.linalg.norm(voxels[:, None, :] - centre[None, :, :], axis=2)
    side = parcels["hemisphere"].astype("object").to_numpy()
    wrong_side = ((side == "L") & (voxels[:, :1] >= 0)) | ((side == "R") & (voxels[:, :1] <= 0))
    distance[wrong_side] = np.inf
    nearest = distance.argmin(axis=1)
    in_brain = is_in_brain(voxels)
    is_near = (distance.min(axis=1) <= 9.0) & in_brain
    flat = np.where(is_near, nearest + 1, 0).astype(np.int32)
    distance[~in_brain] = np.inf
    _give_everyone_a_voxel(flat, distance)
    labels = flat.reshape(31, 37, 31)
    return Atlas(name=atlas.name, parcels=parcels, labels=labels, affine=affine)


def _give_everyone_a_voxel(labels: NDArray[np.int32], distance: FloatArray) -> None:
    """Give parcels that neighbours crowd out the nearest voxel that its owner can spare, in place."""
    counts = np.bincount(labels, minlength=distance.shape[1] + 1)
    for parcel in np.flatnonzero(counts[1:] == 0):
        for voxel in np.argsort(distance[:, parcel], kind="stable"):
            owner = labels[voxel]
            if not np.isfinite(distance[voxel, parcel]):
                break
            if owner == 0 or counts[owner] > 1:
                labels[voxel] = parcel + 1
                counts[owner] -= 1
                counts[parcel + 1] += 1
                break


def voxel_mm(shape: tuple[int, ...], affine: FloatArray) -> FloatArray:
    """Return every voxel's centre in mm, shape (n_voxels, 3), last axis of the grid fastest."""
    grid = np.indices(shape).reshape(3, -1).T
    return grid @ affine[:3, :3].T + affine[:3, 3]


def is_in_brain(mm: FloatArray) -> BoolArray:
    """Say which points lie in an ellipsoid about the size of a brain."""
    inside = ((mm - (0.0, -18.0, 10.0)) / (72.0, 90.0, 68.0)) ** 2
    return np.asarray(inside.sum(axis=1) <= 1.0)


def blocks_of(names: pd.Index, networks: pd.Series) -> list[str]:
    """Return each parcel's block: its network, except that sgACC and limbic stand alone."""
    own = dict.fromkeys(SGACC, "sgACC") | dict.fromkeys(LIMBIC, "limbic")
    return [own.get(name, network) for name, network in zip(names, networks, strict=True)]


def weak_parcels(atlas: Atlas) -> BoolArray:
    """Return the parcels that a field of view cut at 56 mm above the origin would miss."""
    return (atlas.parcels["z"] > 56.0).to_numpy()
