"""Which frames survive: motion, signal jumps, their neighbours, and short stretches."""

from __future__ import annotations

import numpy as np

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError


def censor_frames(
    fd_mm: FloatArray,
    *,
    max_fd_mm: float | None = None,
    n_before: int = 0,
    n_after: int = 0,
    min_contiguous_frames: int = 1,
    n_dummy_frames: int = 0,
    std_dvars: FloatArray | None = None,
    max_std_dvars: float | None = None,
) -> BoolArray:
    """Decide which frames of a run are kept.

    A frame is bad if its FD *or* its standardised DVARS exceeds the limit. Bad frames take their
    neighbours with them; dummy frames at the start go too (but take no neighbours); and what is
    left in stretches shorter than `min_contiguous_frames` goes last.

    Parameters
    ----------
    fd_mm : array, shape (n_frames,)
        Framewise displacement in mm. The first frame has none (NaN) and is not judged by it.
    max_fd_mm : float, optional
        Frames with more than this are censored; None does not look at motion.
    n_before, n_after : int
        How many frames before and after a bad frame are censored with it.
    min_contiguous_frames : int
        Shortest stretch of consecutive frames worth keeping.
    n_dummy_frames : int
        Frames at the start of the run, before the magnetisation is steady, that are never kept.
    std_dvars : array, shape (n_frames,), optional
        Standardised DVARS (fMRIPrep's ``std_dvars``).
    max_std_dvars : float, optional
        Frames with more than this are censored; needs `std_dvars`.

    Returns
    -------
    array of bool, shape (n_frames,)
        True for kept frames. May be False throughout; whether enough is left is the plan's to say.

    Raises
    ------
    InputError
        If a limit is not positive, a count is negative, lengths differ, DVARS is asked for but
        not given, or a value is missing in a frame that has to be judged.
    """
    fd_mm = np.asarray(fd_mm, dtype=np.float64)
    if fd_mm.ndim != 1 or len(fd_mm) == 0:
        raise InputError(f"fd_mm must have one value per frame; got shape {fd_mm.shape}")
    n_frames = len(fd_mm)
    for name, count, least in (
        ("n_before", n_before, 0),
        ("n_after", n_after, 0),
        ("min_contiguous_frames", min_contiguous_frames, 1),
        ("n_dummy_frames", n_dummy_frames, 0),
    ):
        if int(count) != count or count < least:
            raise InputError(f"{name} must be a whole number, {least} or more; got {count}")

    bad = np.zeros(n_frames, dtype=bool)
    if max_fd_mm is not None:
        bad |= _beyond(fd_mm, max_fd_mm, name="fd_mm", n_dummy_frames=n_dummy_frames)
    if max_std_dvars is not None:
        if std_dvars is None:
            raise InputError(
                "max_std_dvars is set but there is no std_dvars; "
                "give the confounds' column of that name, or leave max_std_dvars out"
            )
        std_dvars = np.asarray(std_dvars, dtype=np.float64)
        if std_dvars.shape != (n_frames,):
            raise InputError(
                f"std_dvars must have {n_frames} values as fd_mm has; got {std_dvars.shape}"
            )
        bad |= _beyond(std_dvars, max_std_dvars, name="std_dvars", n_dummy_frames=n_dummy_frames)

    censored = bad.copy()
    for frame in np.flatnonzero(bad):
        censored[max(0, frame - n_before) : frame + n_after + 1] = True
    censored[:n_dummy_frames] = True
    return _drop_short_stretches(~censored, min_contiguous_frames)


def _beyond(values: FloatArray, limit: float, *, name: str, n_dummy_frames: int) -> BoolArray:
    """Compare with a limit; only the first frame and dummy frames may be unknown."""
    if not limit > 0:
        raise InputError(f"the limit of {name} must be positive; got {limit}")
    unknown = np.isnan(values)
    unknown[: max(1, n_dummy_frames)] = False
    if unknown.any():
        frames = np.flatnonzero(unknown)
        raise InputError(
            f"{name} is missing in {len(frames)} frames after the first "
            f"(frame {frames[0]} counted from 0, for one); "
            "a frame without a value can be neither kept nor censored"
        )
    return np.greater(values, limit, where=~np.isnan(values), out=np.zeros(len(values), bool))


def _drop_short_stretches(kept: BoolArray, shortest: int) -> BoolArray:
    steps = np.diff(np.concatenate([[0], kept.astype(np.int8), [0]]))
    result = kept.copy()
    for start, stop in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
        if stop - start < shortest:
            result[start:stop] = False
    return result
