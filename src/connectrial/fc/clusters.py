"""Connected clusters of a statistical map, with their sizes and peaks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError

COLUMNS = (
    "cluster",
    "sign",
    "n_voxels",
    "volume_mm3",
    "peak_x_mm",
    "peak_y_mm",
    "peak_z_mm",
    "peak_statistic",
    "peak_i",
    "peak_j",
    "peak_k",
)


def find_clusters(
    statistic: NDArray[np.floating],
    passing: BoolArray,
    *,
    affine: FloatArray,
    min_voxels: int = 1,
) -> pd.DataFrame:
    """List the clusters of voxels that pass a threshold, largest first.

    Parameters
    ----------
    statistic : array, shape (i, j, k)
        Signed; voxels above and below 0 never share a cluster.
    passing : array of bool, shape (i, j, k)
        Voxels that pass.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    min_voxels : int
        Smaller clusters are not listed.

    Returns
    -------
    DataFrame
        One row per cluster of voxels that share faces: ``cluster`` (from 1), ``sign`` (1 or -1),
        ``n_voxels``, ``volume_mm3``, the peak's world coordinates ``peak_x_mm``, ``peak_y_mm``,
        ``peak_z_mm``, ``peak_statistic``, and its voxel ``peak_i``, ``peak_j``, ``peak_k``.

    Raises
    ------
    InputError
        If the shapes differ or are not those of a volume.
    """
    from scipy import ndimage

    if statistic.ndim != 3 or statistic.shape != passing.shape:
        raise InputError(
            f"statistic and passing must be volumes of one shape; got {statistic.shape} and "
            f"{passing.shape}"
        )
    voxel_mm3 = float(abs(np.linalg.det(affine[:3, :3])))
    rows = []
    for sign in (1, -1):
        chosen = passing & (sign * np.nan_to_num(statistic) > 0)
        labels, n_clusters = ndimage.label(chosen)
        if n_clusters == 0:
            continue
        sizes = np.bincount(labels.ravel(), minlength=n_clusters + 1)
        wanted = [k for k in range(1, n_clusters + 1) if sizes[k] >= min_voxels]
        size_of = np.abs(np.nan_to_num(statistic))
        peaks: Any = ndimage.maximum_position(size_of, labels, wanted) if wanted else []
        for label, found in zip(wanted, peaks, strict=True):
            peak = tuple(int(x) for x in found)
            place = affine[:3, :3] @ np.asarray(peak, dtype=np.float64) + affine[:3, 3]
            rows.append(
                (
                    sign,
                    int(sizes[label]),
                    round(int(sizes[label]) * voxel_mm3, 3),
                    *(round(float(x), 3) for x in place),
                    float(statistic[peak]),
                    *peak,
                )
            )
    rows.sort(key=lambda row: (-row[1], -abs(row[6])))
    return pd.DataFrame([(n, *row) for n, row in enumerate(rows, start=1)], columns=list(COLUMNS))
