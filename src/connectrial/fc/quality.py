"""How much a head moved and how clean a signal is."""

from __future__ import annotations

from typing import Literal

import numpy as np

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError


def framewise_displacement(
    motion: FloatArray, *, radius_mm: float = 50.0, rotation_unit: Literal["rad", "deg"] = "rad"
) -> FloatArray:
    """Return Power's framewise displacement: how far the head moved since the frame before.

    Parameters
    ----------
    motion : array, shape (n_frames, 6)
        Realignment parameters: x, y, z in mm, then three rotations (fMRIPrep's order ``trans_x``
        to ``rot_z``).
    radius_mm : float
        Radius of the sphere, in mm, on whose surface a rotation becomes a distance.
    rotation_unit : {"rad", "deg"}
        Unit of the rotations.

    Returns
    -------
    array, shape (n_frames,)
        Sum of the six absolute differences, in mm; NaN for the first frame, which has no frame
        before it.

    Raises
    ------
    InputError
        If the shape is another, a value is not finite, the radius is not positive, or rotations
        called radians exceed a whole turn.

    References
    ----------
    Power et al. 2012, NeuroImage 59, 2142-2154.
    """
    motion = checked_motion(motion, radius_mm=radius_mm, rotation_unit=rotation_unit)
    position_mm = np.hstack([motion[:, :3], radius_mm * motion[:, 3:]])
    displacement = np.full(len(motion), np.nan)
    displacement[1:] = np.abs(np.diff(position_mm, axis=0)).sum(axis=1)
    return displacement


def checked_motion(
    motion: FloatArray, *, radius_mm: float, rotation_unit: Literal["rad", "deg"]
) -> FloatArray:
    """Return realignment parameters, shape (n_frames, 6), with rotations in radians.

    Parameters
    ----------
    motion : array, shape (n_frames, 6)
        x, y, z in mm, then three rotations.
    radius_mm : float
        Radius of the sphere that rotations move.
    rotation_unit : {"rad", "deg"}
        Unit of the rotations.

    Returns
    -------
    array, shape (n_frames, 6)

    Raises
    ------
    InputError
        If the shape is another, a value is not finite, the radius is not positive, or rotations
        called radians exceed a whole turn.
    """
    motion = np.asarray(motion, dtype=np.float64)
    if motion.ndim != 2 or motion.shape[1] != 6 or motion.shape[0] < 1:
        raise InputError(
            f"motion must be (n_frames, 6): x, y, z in mm, then three rotations; got {motion.shape}"
        )
    if not np.isfinite(motion).all():
        frame, column = (int(i) for i in np.argwhere(~np.isfinite(motion))[0])
        raise InputError(
            f"motion has no finite value in frame {frame}, column {column} (both counted from 0); "
            "framewise displacement needs all six parameters of every frame"
        )
    if not radius_mm > 0:
        raise InputError(f"radius_mm must be positive; got {radius_mm}")
    if rotation_unit not in ("rad", "deg"):
        raise InputError(f"rotation_unit must be 'rad' or 'deg'; got {rotation_unit!r}")
    if rotation_unit == "deg":
        return np.hstack([motion[:, :3], np.deg2rad(motion[:, 3:])])
    rotations = motion[:, 3:]
    if np.abs(rotations).max() > 2 * np.pi:
        raise InputError(
            f"a rotation of {np.abs(rotations).max():.3g} rad is more than a whole turn; "
            "if the last three columns are in degrees, say rotation_unit='deg'"
        )
    return motion


def dvars(signal: FloatArray) -> FloatArray:
    """Return DVARS: the root mean square over columns of the change since the frame before.

    Parameters
    ----------
    signal : array, shape (n_frames, n_parcels)
        Signal of parcels (or voxels), any unit. Columns that hold a NaN carry no data and are left
        out.

    Returns
    -------
    array, shape (n_frames,)
        In the unit of `signal`, not standardised; NaN for the first frame, and throughout where no
        column has data.

    Raises
    ------
    InputError
        If `signal` has not two dimensions.

    References
    ----------
    Power et al. 2012, NeuroImage 59, 2142-2154.
    """
    signal = _two_dimensional(signal)
    present = signal[:, ~np.isnan(signal).any(axis=0)]
    change = np.full(len(signal), np.nan)
    if present.shape[1]:
        change[1:] = np.sqrt(np.mean(np.diff(present, axis=0) ** 2, axis=1))
    return change


def standardised_dvars(signal: FloatArray) -> FloatArray:
    """Return DVARS over what it would be if columns held nothing but their own slow noise.

    The expected change of a column is its robust SD (interquartile range / 1.349) times
    sqrt(2 (1 - a)), with a its lag-1 autocorrelation (Yule-Walker); DVARS is divided by the mean
    over columns, so 1 means as much change as expected, whatever the unit.

    Parameters
    ----------
    signal : array, shape (n_frames, n_parcels)
        Signal of parcels (or voxels), any unit, neither filtered nor regressed. Columns that are
        constant or hold a NaN are left out. The ``std_dvars`` of fMRIPrep is that of voxels;
        parcels average noise away, so limits made for voxels do not carry over.

    Returns
    -------
    array, shape (n_frames,)
        Dimensionless; NaN for the first frame, and throughout where no column has data.

    Raises
    ------
    InputError
        If `signal` has not two dimensions or fewer than 3 frames.

    References
    ----------
    Nichols 2013, Notes on creating a standardized version of DVARS (arXiv:1704.01469).
    """
    signal = _two_dimensional(signal)
    if len(signal) < 3:
        raise InputError(f"standardised DVARS needs 3 frames or more; got {len(signal)}")
    present = signal[:, np.isfinite(signal).all(axis=0)]
    centred = present - present.mean(axis=0)
    power = np.sum(centred**2, axis=0)
    changes = power > 1e-24 * len(signal) * np.max(np.abs(present), axis=0, initial=0.0) ** 2
    present, centred, power = present[:, changes], centred[:, changes], power[changes]
    if present.shape[1] == 0:
        return np.full(len(signal), np.nan)
    low, high = np.percentile(present, [25, 75], axis=0, method="lower")
    lag_one = np.sum(centred[1:] * centred[:-1], axis=0) / power
    expected = (high - low) / 1.349 * np.sqrt(2 * (1 - lag_one))
    moving = expected > 0
    if not moving.any():
        return np.full(len(signal), np.nan)
    return dvars(present) / float(expected[moving].mean())


def tsnr(signal: FloatArray, *, kept: BoolArray | None = None) -> FloatArray:
    """Return the temporal signal-to-noise ratio of every column: mean over standard deviation.

    Parameters
    ----------
    signal : array, shape (n_frames, n_parcels)
        Signal before detrending or filtering: without its baseline the ratio says nothing.
    kept : array of bool, shape (n_frames,), optional
        Frames to use; all by default.

    Returns
    -------
    array, shape (n_parcels,)
        Dimensionless. The standard deviation divides by the number of frames. NaN where a column is
        constant or holds a NaN.

    Raises
    ------
    InputError
        If `signal` has not two dimensions, or `kept` another length.
    """
    signal = _two_dimensional(signal)
    if kept is not None:
        if kept.shape != (len(signal),):
            raise InputError(f"kept must have {len(signal)} entries; got shape {kept.shape}")
        signal = signal[kept]
    mean = signal.mean(axis=0) if len(signal) else np.full(signal.shape[1], np.nan)
    spread = signal.std(axis=0) if len(signal) else np.full(signal.shape[1], np.nan)
    # A constant column's SD is rounding, not noise: the ratio would be a huge nothing.
    noisy = spread > 1e-12 * np.abs(mean)
    ratio = np.full(signal.shape[1], np.nan)
    ratio[noisy] = mean[noisy] / spread[noisy]
    return ratio


def _two_dimensional(signal: FloatArray) -> FloatArray:
    signal = np.asarray(signal, dtype=np.float64)
    if signal.ndim != 2:
        raise InputError(f"signal must be (n_frames, n_parcels); got shape {signal.shape}")
    return signal
