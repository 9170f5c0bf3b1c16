"""Receptor-enriched connectivity (REACT): signals weighed by maps of receptor density."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError

# Maps whose smallest direction falls below this share of the largest cannot be told apart.
_TOLD_APART = 1e-6
# The same of their correlations, whose eigenvalues are squares: what single sums still resolve.
_TOO_ALIKE = 1e-10


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ReactMaps:
    """What the two stages of REACT give for one run.

    Attributes
    ----------
    time_courses : array, shape (n_frames, n_maps)
        Stage 1: how much of each receptor map every frame holds, others held constant.
    maps : array, shape (n_maps, n_places)
        Stage 2: change of a place's signal per standard deviation of each time course, others
        held constant; in the unit of the signal, NaN outside the mask of stage 2.
    """

    time_courses: FloatArray
    maps: FloatArray


def scale_receptor_maps(maps: ArrayLike, *, reference: ArrayLike | None = None) -> FloatArray:
    """Bring receptor maps to the range 0 to 1, as REACT wants them.

    Parameters
    ----------
    maps : array, shape (n_maps, n_places)
        Densities, one map per row; NaN where there is none.
    reference : array of bool, shape (n_places,), optional
        Reference region of the tracer, which holds no receptor: it becomes NaN.

    Returns
    -------
    array, shape (n_maps, n_places)
        Negative densities are 0, the largest is 1.

    Raises
    ------
    InputError
        If a map holds nothing above 0.
    """
    scaled = np.array(np.atleast_2d(np.asarray(maps, dtype=np.float64)))
    if reference is not None:
        scaled[:, np.asarray(reference, dtype=bool)] = np.nan
    scaled = np.where(scaled < 0, 0.0, scaled)
    largest = np.max(np.nan_to_num(scaled), axis=1)
    if (largest <= 0).any():
        raise InputError(f"receptor map {int(np.argmin(largest)) + 1} holds nothing above 0")
    return np.asarray(scaled / largest[:, np.newaxis])


def react(
    signal: ArrayLike,
    receptors: ArrayLike,
    *,
    mask_1: ArrayLike | None = None,
    mask_2: ArrayLike | None = None,
) -> ReactMaps:
    """Relate a run to maps of receptor density by two regressions.

    Stage 1 regresses every frame, over the places of `mask_1`, on the receptor maps; stage 2
    regresses every place of `mask_2`, over frames, on the time courses that came out. Signal and
    maps lose their mean over places first, signal and time courses their mean over frames, and time
    courses are brought to unit SD.

    Parameters
    ----------
    signal : array, shape (n_frames, n_places)
        Cleaned kept frames of voxels, grayordinates or parcels; NaN where there are no data.
    receptors : array, shape (n_maps, n_places)
        Densities on the same places (`scale_receptor_maps`); NaN outside the tracer's map.
    mask_1, mask_2 : array of bool, shape (n_places,), optional
        Places of the two stages, such as grey matter with and without the reference region. Places
        without signal never count, those without density not in stage 1.

    Returns
    -------
    ReactMaps

    Raises
    ------
    InputError
        If shapes differ, too few places or frames are left, or the maps (or their time courses)
        cannot be told apart.

    References
    ----------
    Dipasquale et al. 2019, NeuroImage 195, 252-260.
    """
    frames = np.asarray(signal, dtype=np.float64)
    maps = np.atleast_2d(np.asarray(receptors, dtype=np.float64))
    if frames.ndim != 2 or maps.shape[1] != frames.shape[1]:
        raise InputError(
            f"signal must be (n_frames, n_places) and receptors (n_maps, n_places); got "
            f"{frames.shape} and {maps.shape}"
        )
    has_signal = np.isfinite(frames).all(axis=0)
    first = _mask(mask_1, frames.shape[1], "mask_1") & has_signal & np.isfinite(maps).all(axis=0)
    second = _mask(mask_2, frames.shape[1], "mask_2") & has_signal
    if first.sum() <= len(maps) + 1:
        raise InputError(
            f"{int(first.sum())} places have signal and density; {len(maps)} maps need more"
        )
    if len(frames) <= len(maps) + 1 or not second.any():
        raise InputError(
            f"{len(frames)} frames and {int(second.sum())} places are too few for stage 2 with "
            f"{len(maps)} maps"
        )
    over_space = frames[:, first] - frames[:, first].mean(axis=1, keepdims=True)
    density = maps[:, first] - maps[:, first].mean(axis=1, keepdims=True)
    courses = _regress(density.T, over_space.T, "receptor maps").T
    spread = courses.std(axis=0, ddof=1)
    if (spread <= 0).any():
        raise InputError("a receptor map has a time course that does not change")
    design = (courses - courses.mean(axis=0)) / spread
    over_time = frames[:, second] - frames[:, second].mean(axis=0)
    found = np.full(maps.shape, np.nan)
    found[:, second] = _regress(design, over_time, "time courses of the receptor maps")
    return ReactMaps(time_courses=courses, maps=found)


class StageOne:
    """Stage 1 of REACT for a run that comes a block of places at a time.

    Parameters
    ----------
    n_maps : int
        Receptor maps.
    """

    def __init__(self, n_maps: int) -> None:
        self.n_places = 0
        self._gram: FloatArray = np.zeros((n_maps + 1, n_maps + 1))
        self._weighed: FloatArray | None = None

    def add(self, signal: ArrayLike, receptors: ArrayLike) -> None:
        """Take in some places that have signal and density.

        Parameters
        ----------
        signal : array, shape (n_frames, n_here)
            Finite.
        receptors : array, shape (n_maps, n_here)
            Finite.
        """
        frames = np.asarray(signal, dtype=np.float64)
        design = np.vstack([np.ones(frames.shape[1]), np.asarray(receptors, dtype=np.float64)])
        self.n_places += frames.shape[1]
        self._gram += design @ design.T
        weighed = frames @ design.T
        self._weighed = weighed if self._weighed is None else self._weighed + weighed

    def time_courses(self) -> FloatArray:
        """Return the run's time course of each receptor map, the others held constant.

        Returns
        -------
        array, shape (n_frames, n_maps)
            Of the frames that went in: linear in them, so that raw frames may go in and the time
            courses be cleaned afterwards.

        Raises
        ------
        InputError
            If too few places went in, or the maps cannot be told apart.
        """
        n_maps = len(self._gram) - 1
        if self._weighed is None or self.n_places <= n_maps + 1:
            raise InputError(
                f"{self.n_places} places have signal and density; {n_maps} maps need more"
            )
        total = self._gram[1:, 0]
        spread = self._gram[1:, 1:] - np.outer(total, total) / self.n_places
        size = np.sqrt(np.diagonal(spread))
        if (size <= 0).any() or np.linalg.eigvalsh(spread / np.outer(size, size))[0] < _TOO_ALIKE:
            raise InputError("the receptor maps cannot be told apart; leave one of them out")
        return np.asarray(np.linalg.solve(self._gram, self._weighed.T)[1:].T)


def stage_two(values: ArrayLike, courses: ArrayLike, *, n_frames: int) -> FloatArray:
    """Regress places on the time courses of stage 1, in frames or in coordinates of them.

    Parameters
    ----------
    values : array, shape (n_dimensions, n_places)
        Cleaned signals with mean 0 over kept frames, or coordinates with their dot products.
    courses : array, shape (n_dimensions, n_maps)
        The time courses, cleaned alike.
    n_frames : int
        Kept frames.

    Returns
    -------
    array, shape (n_maps, n_places)
        Change of signal per standard deviation of each time course, others held constant.

    Raises
    ------
    InputError
        If a time course does not change, or two cannot be told apart.
    """
    design = np.asarray(courses, dtype=np.float64)
    spread = np.linalg.norm(design, axis=0) / np.sqrt(n_frames - 1)
    if not (spread > 0).all():
        raise InputError("a receptor map has a time course that does not change")
    return _regress(
        design / spread,
        np.asarray(values, dtype=np.float64),
        "time courses of the receptor maps",
    )


def _mask(given: ArrayLike | None, n_places: int, name: str) -> BoolArray:
    if given is None:
        return np.ones(n_places, dtype=bool)
    mask = np.asarray(given, dtype=bool)
    if mask.shape != (n_places,):
        raise InputError(f"{name} must have shape ({n_places},); got {mask.shape}")
    return mask


def _regress(design: FloatArray, values: FloatArray, what: str) -> FloatArray:
    """Return least-squares weights, shape (n_columns, n_outcomes); refuse dependent columns."""
    size = np.linalg.norm(design, axis=0)
    size = np.where(size > 0, size, 1.0)
    gain = np.linalg.svd(design / size, compute_uv=False)
    if gain[-1] <= _TOLD_APART * gain[0]:
        raise InputError(f"the {what} cannot be told apart; leave one of them out")
    weights = np.linalg.lstsq(design / size, values, rcond=None)[0]
    return np.asarray(weights / size[:, np.newaxis])
