"""Maps of connectivity over voxels or grayordinates: of seeds, and with all others."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.fc.voxelwise import Float32Array, UnitColumns, standardise_voxels

# A voxel that is its own seed has r = 1 up to rounding, and no Fisher z.
_ITSELF = 1e-6
_BLOCK = 2048


def seed_correlations(voxels: UnitColumns, seeds: UnitColumns) -> FloatArray:
    """Correlate seeds with every voxel.

    Parameters
    ----------
    voxels : UnitColumns
        Cleaned voxels of one run, shape (n_dimensions, n_voxels).
    seeds : UnitColumns
        Seeds through the same operator, shape (n_dimensions, n_seeds).

    Returns
    -------
    array, shape (n_seeds, n_voxels)
        Pearson's r; NaN where seed or voxel has no data. Over runs that are each z-scored and then
        joined, r is the mean of the runs' r, weighted by their kept frames.

    Raises
    ------
    InputError
        If voxels and seeds do not have the same frames.
    """
    if len(voxels.values) != len(seeds.values):
        raise InputError(
            f"seeds have {len(seeds.values)} frames or coordinates and voxels {len(voxels.values)}; "
            "both must come from the same run through the same denoising"
        )
    r = np.asarray(seeds.values.T @ voxels.values, dtype=np.float64)
    r[~seeds.present] = np.nan
    r[:, ~voxels.present] = np.nan
    return np.clip(r, -1.0, 1.0)


def seed_maps(voxels: ArrayLike | UnitColumns, seeds: ArrayLike | UnitColumns) -> FloatArray:
    """Return the Fisher z of Pearson's r of seeds with every voxel.

    Parameters
    ----------
    voxels : array, shape (n_frames, n_voxels), or UnitColumns
        Cleaned kept frames of one session, of voxels or grayordinates.
    seeds : array, shape (n_frames, n_seeds) or (n_frames,), or UnitColumns
        Cleaned signals of the seeds: the mean of a region, a network or a sphere.

    Returns
    -------
    array, shape (n_seeds, n_voxels)
        NaN where seed or voxel has no data or does not change, and where a voxel is itself the
        whole seed (r within 1e-6 of 1 or -1), which has no Fisher z.

    Raises
    ------
    InputError
        If voxels and seeds do not have the same frames.
    """
    unit_voxels = voxels if isinstance(voxels, UnitColumns) else standardise_voxels(voxels)
    if not isinstance(seeds, UnitColumns):
        columns = np.asarray(seeds)
        seeds = standardise_voxels(columns[:, np.newaxis] if columns.ndim == 1 else columns)
    return map_z(seed_correlations(unit_voxels, seeds))


def map_z(r: FloatArray) -> FloatArray:
    """Return Fisher z of a map of correlations; NaN where a voxel is the seed itself."""
    usable = np.abs(r) < 1.0 - _ITSELF
    return np.arctanh(np.where(usable, r, np.nan))


def global_connectivity_map(
    voxels: ArrayLike | UnitColumns, *, statistic: Literal["mean_z", "mean_r"] = "mean_z"
) -> FloatArray:
    """Return each voxel's mean connectivity with all others (global brain connectivity).

    Parameters
    ----------
    voxels : array, shape (n_frames, n_voxels), or UnitColumns
        Cleaned kept frames of one session. Coordinates (`rotate_voxels`) make the mean of Fisher z
        cheaper by as much as they are fewer than the frames, with the same result.
    statistic : {"mean_z", "mean_r"}
        Mean Fisher z over all pairs, exactly: n_voxels squared correlations, computed in blocks and
        never stored. Mean correlation: one product, because the mean of dot products is the dot
        product with the mean.

    Returns
    -------
    array, shape (n_voxels,)
        A voxel's r with itself never counts; NaN for voxels without data. Two voxels with r
        within 6e-8 of 1 (one signal twice) count with the largest z that single precision holds.

    Raises
    ------
    InputError
        If the statistic is another word, or fewer than two voxels have data.

    Notes
    -----
    Where the global signal was regressed out, mean r is 0 by construction, up to what voxels'
    differing variances leave; see `connectrial.fc.graphs.global_connectivity`.

    References
    ----------
    Cole et al. 2010, NeuroImage 49, 3132-3148.
    """
    if statistic not in ("mean_z", "mean_r"):
        raise InputError(f"statistic must be 'mean_z' or 'mean_r'; got {statistic!r}")
    unit = voxels if isinstance(voxels, UnitColumns) else standardise_voxels(voxels)
    n = unit.n_present
    if n < 2:
        raise InputError(f"{n} voxels have data; a mean over all others needs two")
    result = np.full(len(unit.present), np.nan)
    if statistic == "mean_r":
        result[unit.present] = _mean_r(unit)[unit.present]
    else:
        dense = unit.values if unit.present.all() else unit.values[:, unit.present]
        result[unit.present] = _sum_of_z(dense) / (n - 1)
    return result


def _mean_r(unit: UnitColumns) -> FloatArray:
    total = unit.values.sum(axis=1, dtype=np.float64)
    own = np.einsum("tv,tv->v", unit.values, unit.values, dtype=np.float64)
    with_all = np.asarray(total.astype(np.float32) @ unit.values, dtype=np.float64)
    return np.asarray((with_all - own) / (unit.n_present - 1))


def _sum_of_z(columns: Float32Array) -> FloatArray:
    """Return each column's sum of Fisher z with all others; each block of pairs is made once."""
    n = columns.shape[1]
    total = np.zeros(n)
    # Blocks of rows lie together in memory: products of them run at full speed.
    rows = np.ascontiguousarray(columns.T)
    largest = np.nextafter(np.float32(1.0), np.float32(0.0))
    buffer = np.empty((_BLOCK, _BLOCK), dtype=np.float32)
    for start in range(0, n, _BLOCK):
        mine = rows[start : start + _BLOCK]
        for other in range(start, n, _BLOCK):
            theirs = rows[other : other + _BLOCK]
            z: NDArray[np.float32] = buffer[: len(mine), : len(theirs)]
            if z.shape == buffer.shape:
                np.matmul(mine, theirs.T, out=z)
            else:
                z = mine @ theirs.T
            if other == start:
                np.fill_diagonal(z, 0.0)
            np.clip(z, -largest, largest, out=z)
            np.arctanh(z, out=z)
            total[start : start + len(mine)] += z.sum(axis=1, dtype=np.float64)
            if other != start:
                total[other : other + len(theirs)] += z.sum(axis=0, dtype=np.float64)
    return total
