"""Other measures of head motion: over a whole sphere, and without the breathing in them."""

from __future__ import annotations

from typing import Literal

import numpy as np

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.fc.quality import checked_motion, framewise_displacement

FDKind = Literal["power", "jenkinson"]

# Radii that the two measures were published with.
_RADIUS_MM = {"power": 50.0, "jenkinson": 80.0}


def rms_displacement(
    motion: FloatArray,
    *,
    radius_mm: float = 80.0,
    rotation_unit: Literal["rad", "deg"] = "rad",
    center_mm: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> FloatArray:
    """Return Jenkinson's framewise displacement: the RMS over a solid sphere of what moved.

    With T the rigid transform of a frame (rotation about x after y after z, then translation) and
    [A b] the upper rows of T(t) T(t-1)^-1 - I, it is ``sqrt(R^2 / 5 trace(A'A) + |b + A c|^2)``.

    Parameters
    ----------
    motion : array, shape (n_frames, 6)
        Realignment parameters: x, y, z in mm, then three rotations.
    radius_mm : float
        Radius R of the sphere; FSL's is 80 mm.
    rotation_unit : {"rad", "deg"}
        Unit of the rotations.
    center_mm : tuple of float
        Centre c of the sphere in the parameters' coordinates; their origin, about which the
        rotations turn, by default.

    Returns
    -------
    array, shape (n_frames,)
        In mm; NaN for the first frame. About half of Power's measure.

    Raises
    ------
    InputError
        As `connectrial.fc.quality.framewise_displacement`.

    References
    ----------
    Jenkinson 1999, FMRIB technical report TR99MJ1 (FSL rmsdiff); Jenkinson et al. 2002, NeuroImage
    17, 825-841.
    """
    motion = checked_motion(motion, radius_mm=radius_mm, rotation_unit=rotation_unit)
    transforms = _rigid(motion)
    displacement = np.full(len(motion), np.nan)
    if len(motion) > 1:
        difference = transforms[1:] @ np.linalg.inv(transforms[:-1]) - np.eye(4)
        turn, shift = difference[:, :3, :3], difference[:, :3, 3]
        centre_moved = shift + turn @ np.asarray(center_mm, dtype=np.float64)
        displacement[1:] = np.sqrt(
            radius_mm**2 / 5 * np.sum(turn**2, axis=(1, 2)) + np.sum(centre_moved**2, axis=1)
        )
    return displacement


def filter_motion(
    motion: FloatArray,
    *,
    repetition_time_s: float | None,
    low_pass_hz: float | None = None,
    notch_hz: tuple[float, float] | None = None,
    filter_order: int = 1,
) -> FloatArray:
    """Take breathing out of realignment parameters, forwards and backwards, ends held.

    Breathing shifts the field, which realignment takes for motion along the phase-encoding
    direction; at short repetition times it censors frames in which nobody moved.

    Parameters
    ----------
    motion : array, shape (n_frames, n_parameters)
        Realignment parameters, any unit.
    repetition_time_s : float or None
        Seconds between frames.
    low_pass_hz : float, optional
        Butterworth low-pass of `filter_order` (Gratton 2020: 0.1 Hz, order 1; FD is then judged
        at 0.1 mm instead of 0.2).
    notch_hz : tuple of float, optional
        Lower and upper edge of a second-order notch at their mean (Fair 2020: the range of the
        people's breathing rates).
    filter_order : int
        Order of the low-pass.

    Returns
    -------
    array, shape (n_frames, n_parameters)

    Raises
    ------
    InputError
        If not exactly one filter is asked for, the repetition time is unknown, a frequency lies
        beyond what it resolves, or a value is not finite.

    References
    ----------
    Gratton et al. 2020, NeuroImage 217, 116866; Fair et al. 2020, NeuroImage 208, 116400.
    """
    from scipy.signal import butter, iirnotch, sosfiltfilt, tf2sos

    motion = np.asarray(motion, dtype=np.float64)
    if motion.ndim != 2 or len(motion) < 2 or not np.isfinite(motion).all():
        raise InputError(
            "motion must be (n_frames, n_parameters) of finite numbers, two frames or more; got "
            f"shape {motion.shape} with {int((~np.isfinite(motion)).sum())} values not finite"
        )
    if (low_pass_hz is None) == (notch_hz is None):
        raise InputError("filter_motion needs exactly one of low_pass_hz and notch_hz")
    if repetition_time_s is None:
        raise InputError(
            "filtering motion needs the repetition time, which is unknown for this run; state it "
            "(repetition_time_s) or leave the motion filter out"
        )
    edges = [edge for edge in (low_pass_hz, *(notch_hz or ())) if edge is not None]
    nyquist_hz = 0.5 / repetition_time_s
    inside = all(0 < edge < nyquist_hz for edge in edges)
    if not inside or (notch_hz is not None and notch_hz[0] >= notch_hz[1]):
        raise InputError(
            f"the motion filter's frequencies {edges} must rise between 0 and {nyquist_hz:.4g} Hz, "
            f"half the sampling rate at a repetition time of {repetition_time_s} s; breathing that "
            "is faster folds into other frequencies and cannot be told from motion"
        )
    if notch_hz is not None:
        centre = (notch_hz[0] + notch_hz[1]) / 2
        quality = centre / (notch_hz[1] - notch_hz[0])
        sections = tf2sos(*iirnotch(centre, quality, fs=2 * nyquist_hz))
    else:
        sections = butter(filter_order, edges[0], btype="lowpass", fs=2 * nyquist_hz, output="sos")
    filtered = sosfiltfilt(sections, motion, axis=0, padtype="constant", padlen=len(motion) - 1)
    return np.asarray(filtered, dtype=np.float64)


def measure_fd(
    motion: FloatArray,
    *,
    fd_kind: FDKind = "power",
    radius_mm: float | None = None,
    rotation_unit: Literal["rad", "deg"] = "rad",
    low_pass_hz: float | None = None,
    notch_hz: tuple[float, float] | None = None,
    repetition_time_s: float | None = None,
) -> FloatArray:
    """Return framewise displacement of one kind, of parameters filtered or not.

    Parameters
    ----------
    motion : array, shape (n_frames, 6)
        Realignment parameters: x, y, z in mm, then three rotations.
    fd_kind : {"power", "jenkinson"}
        Sum of absolute changes, or RMS over a solid sphere.
    radius_mm : float, optional
        Radius of the sphere; by default 50 mm for Power's and 80 mm for Jenkinson's.
    rotation_unit : {"rad", "deg"}
        Unit of the rotations.
    low_pass_hz, notch_hz : optional
        Filter of the parameters (see `filter_motion`); none by default.
    repetition_time_s : float, optional
        Seconds between frames; needed for a filter.

    Returns
    -------
    array, shape (n_frames,)
        In mm; NaN for the first frame.

    Raises
    ------
    InputError
        If the kind is unknown, or as `framewise_displacement` and `filter_motion`.
    """
    if fd_kind not in _RADIUS_MM:
        raise InputError(f"fd_kind must be one of {', '.join(_RADIUS_MM)}; got {fd_kind!r}")
    radius = _RADIUS_MM[fd_kind] if radius_mm is None else radius_mm
    motion = checked_motion(motion, radius_mm=radius, rotation_unit=rotation_unit)
    if low_pass_hz is not None or notch_hz is not None:
        motion = filter_motion(
            motion,
            repetition_time_s=repetition_time_s,
            low_pass_hz=low_pass_hz,
            notch_hz=notch_hz,
        )
    if fd_kind == "jenkinson":
        return rms_displacement(motion, radius_mm=radius)
    return framewise_displacement(motion, radius_mm=radius)


def _rigid(motion: FloatArray) -> FloatArray:
    """Return the transforms, shape (n_frames, 4, 4), of parameters in mm and radians."""
    cosine, sine = np.cos(motion[:, 3:]), np.sin(motion[:, 3:])
    rotation = np.broadcast_to(np.eye(3), (len(motion), 3, 3))
    for axis, (first, second) in enumerate(((1, 2), (2, 0), (0, 1))):
        turn = np.zeros((len(motion), 3, 3))
        turn[:, axis, axis] = 1.0
        turn[:, first, first] = turn[:, second, second] = cosine[:, axis]
        turn[:, first, second], turn[:, second, first] = -sine[:, axis], sine[:, axis]
        rotation = rotation @ turn
    transforms = np.tile(np.eye(4), (len(motion), 1, 1))
    transforms[:, :3, :3] = rotation
    transforms[:, :3, 3] = motion[:, :3]
    return transforms
