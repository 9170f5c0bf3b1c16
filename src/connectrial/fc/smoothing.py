"""Gaussian smoothing of a finished map that stays inside its own voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError

#: Full width at half maximum of a Gaussian, in standard deviations.
FWHM_PER_SIGMA = float(np.sqrt(8.0 * np.log(2.0)))


def smooth_map(
    values: NDArray[np.floating], *, affine: FloatArray, fwhm_mm: float
) -> NDArray[np.float32]:
    """Smooth a map by a Gaussian, voxels without a value having no say.

    Parameters
    ----------
    values : array, shape (i, j, k)
        NaN where there is no value; it stays NaN there.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    fwhm_mm : float
        Full width at half maximum.

    Returns
    -------
    float32 array, shape (i, j, k)
        Each value is the mean of its neighbours with values, weighted by the Gaussian.

    Raises
    ------
    InputError
        If the width is not above 0.
    """
    from scipy import ndimage

    if not fwhm_mm > 0:
        raise InputError(f"fwhm_mm must be above 0; got {fwhm_mm}")
    size_mm = np.linalg.norm(affine[:3, :3], axis=0)
    sigma = fwhm_mm / FWHM_PER_SIGMA / size_mm
    known = np.isfinite(values)
    total = ndimage.gaussian_filter(
        np.where(known, values, 0.0).astype(np.float64), sigma, mode="constant"
    )
    weight = ndimage.gaussian_filter(known.astype(np.float64), sigma, mode="constant")
    empty = np.full(values.shape, np.nan)
    mean = np.divide(total, weight, out=empty, where=known)
    return np.asarray(mean, dtype=np.float32)
