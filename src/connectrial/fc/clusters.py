"""Connected clusters of a statistical map, or its peaks by structure, with sizes and places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray, Grayordinates
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


PEAK_COLUMNS = (
    "structure",
    "sign",
    "n_grayordinates",
    "peak_statistic",
    "peak_vertex",
    "peak_x_mm",
    "peak_y_mm",
    "peak_z_mm",
    "peak_row",
)


def find_peaks(
    statistic: NDArray[np.floating], passing: BoolArray, *, rows: Grayordinates
) -> pd.DataFrame:
    """List, for each structure and sign, the grayordinates that pass a threshold and their peak.

    Which vertices are neighbours only a mesh tells, so nothing is joined to clusters here.

    Parameters
    ----------
    statistic : array, shape (n_rows,)
        Signed.
    passing : array of bool, shape (n_rows,)
        Rows that pass.
    rows : Grayordinates
        Where they lie.

    Returns
    -------
    DataFrame
        One row per structure and sign, the most grayordinates first: ``structure``, ``sign`` (1 or
        -1), ``n_grayordinates``, ``peak_statistic``, ``peak_vertex`` (missing for voxels),
        ``peak_x_mm``, ``peak_y_mm``, ``peak_z_mm`` (world, missing for vertices), ``peak_row``.

    Raises
    ------
    InputError
        If statistic, passing and rows differ in length.
    """
    if not len(statistic) == len(passing) == len(rows):
        raise InputError(
            f"statistic, passing and rows must be equally long; got {len(statistic)}, "
            f"{len(passing)} and {len(rows)}"
        )
    signed = np.nan_to_num(statistic)
    found = []
    for number, structure in enumerate(rows.structures):
        for sign in (1, -1):
            chosen = np.flatnonzero(passing & (sign * signed > 0) & (rows.structure == number))
            if len(chosen) == 0:
                continue
            peak = int(chosen[np.argmax(np.abs(signed[chosen]))])
            vertex = int(rows.vertex[peak])
            place = np.full(3, np.nan)
            if vertex < 0 and rows.affine is not None:
                place = rows.affine[:3, :3] @ rows.voxel[peak] + rows.affine[:3, 3]
            found.append(
                (
                    structure,
                    sign,
                    len(chosen),
                    float(statistic[peak]),
                    vertex if vertex >= 0 else None,
                    *(round(float(x), 3) for x in place),
                    peak,
                )
            )
    table = pd.DataFrame(found, columns=list(PEAK_COLUMNS)).astype({"peak_vertex": "Int64"})
    size = table["peak_statistic"].astype(np.float64).abs()
    order = np.lexsort((-size, -table["n_grayordinates"].astype(np.int64)))
    return table.iloc[order].reset_index(drop=True)
