"""All voxels or grayordinates of a run cleaned by one matrix, ready to be correlated.

Parcels and voxels go through the same operator, so the mean of cleaned voxels is the cleaned mean.
Rows are frames and columns are places, whether voxels of a volume or grayordinates: nothing here
knows which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.fc.orders import Cleaning

Float32Array = NDArray[np.float32]

# Directions of the operator whose gain is below this share of the largest carry nothing that single
# precision could hold.
_SMALLEST_GAIN = 1e-7
# A column that keeps less than this share of its size was a constant: the rest is rounding.
_CONSTANT = 1e-6
_BLOCK_COLUMNS = 1 << 14


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelOperator:
    """One run's denoising as one matrix.

    Attributes
    ----------
    matrix : array, shape (n_kept, n_frames), or None
        From all frames to the cleaned kept frames; None for an order that is not linear.
    rotation : array, shape (rank, n_frames), or None
        From all frames to coordinates in the space that the cleaned frames live in: dot products
        and lengths of columns are those of the cleaned frames, with fewer numbers.
    n_kept : int
        Kept frames.
    remaining_df : int
        Degrees of freedom that denoising leaves.
    clean : callable
        The denoising itself, (n_frames, n_columns) to (n_kept, n_columns), in float64.
    """

    matrix: FloatArray | None
    rotation: FloatArray | None
    n_kept: int
    remaining_df: int
    clean: Callable[[FloatArray], FloatArray]

    @property
    def n_frames(self) -> int | None:
        """Return the frames of the run; None where there is no matrix."""
        return None if self.matrix is None else self.matrix.shape[1]

    @property
    def n_dimensions(self) -> int:
        """Return the rows of what `rotate_voxels` returns."""
        return self.n_kept if self.rotation is None else len(self.rotation)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class UnitColumns:
    """Cleaned voxels of one session, each a column of length 1: dot products are Pearson's r.

    Attributes
    ----------
    values : float32 array, shape (n_dimensions, n_voxels)
        Columns without data or without change are 0.
    present : array of bool, shape (n_voxels,)
        Columns that have data.
    n_frames : int
        Kept frames behind them.
    """

    values: Float32Array
    present: BoolArray
    n_frames: int

    @property
    def n_present(self) -> int:
        """Return the number of columns that have data."""
        return int(self.present.sum())


def voxel_operator(cleaning: Cleaning, *, n_frames: int, linear: bool = True) -> VoxelOperator:
    """Write one run's denoising as one matrix, to be applied to every voxel.

    Parameters
    ----------
    cleaning : Cleaning
        As `connectrial.fc.denoising.build_cleaning` sets it up.
    n_frames : int
        Frames of the run, censored ones included.
    linear : bool
        Whether the order is linear (`Order.linear`); else blocks of voxels go through its steps.

    Returns
    -------
    VoxelOperator
        Its `rotation` leaves out directions with a gain below 1e-7 of the largest. After
        ``passband`` and ``project`` those are all that the pass-band and the confounds leave out.
    """
    if not linear:
        probe = cleaning.clean(np.eye(n_frames)[:, :1])
        return VoxelOperator(
            matrix=None,
            rotation=None,
            n_kept=len(probe),
            remaining_df=cleaning.remaining_df,
            clean=cleaning.clean,
        )
    matrix = cleaning.clean(np.eye(n_frames))
    _, gain, right = np.linalg.svd(matrix, full_matrices=False)
    felt = gain > _SMALLEST_GAIN * gain[0] if gain[0] > 0 else np.zeros(len(gain), dtype=bool)
    rotation = gain[felt, np.newaxis] * right[felt] if felt.sum() < len(matrix) else None
    return VoxelOperator(
        matrix=matrix,
        rotation=rotation,
        n_kept=len(matrix),
        remaining_df=cleaning.remaining_df,
        clean=cleaning.clean,
    )


def leave_as_read(kept: BoolArray) -> VoxelOperator:
    """Return the operator of runs that are not denoised: kept frames as they were read.

    Parameters
    ----------
    kept : array of bool, shape (n_frames,)
        Frames that count.

    Returns
    -------
    VoxelOperator
        It only subtracts the mean over kept frames, as every correlation does. No degrees of
        freedom are spent but that one.
    """

    def clean(values: FloatArray) -> FloatArray:
        chosen = values[kept]
        return np.asarray(chosen - chosen.mean(axis=0))

    n_kept = int(kept.sum())
    return VoxelOperator(
        matrix=None, rotation=None, n_kept=n_kept, remaining_df=n_kept - 1, clean=clean
    )


def denoise_voxels(values: ArrayLike, operator: VoxelOperator) -> NDArray[np.floating]:
    """Return the cleaned kept frames of every voxel.

    Parameters
    ----------
    values : array, shape (n_frames, n_voxels)
        Raw signal, float32 or float64, in any unit. A column with a value that is not finite
        becomes a column of NaN.
    operator : VoxelOperator
        Of the same run.

    Returns
    -------
    array, shape (n_kept, n_voxels)
        In the unit and precision of the input, mean 0. Single precision is enough: the first frame
        is subtracted before the product, which takes the baseline and with it the rounding away.

    Raises
    ------
    InputError
        If the frames are not those of the operator.
    """
    return _apply(values, operator, operator.matrix)


def rotate_voxels(values: ArrayLike, operator: VoxelOperator) -> NDArray[np.floating]:
    """Return every voxel's cleaned signal in as few numbers as carry it.

    Parameters and errors are those of `denoise_voxels`.

    Returns
    -------
    array, shape (n_dimensions, n_voxels)
        Coordinates: dot products of columns are those of `denoise_voxels`, and so correlations are
        the same; the mean over rows means nothing. The cleaned frames themselves where the
        operator has no rotation.
    """
    matrix = operator.matrix if operator.rotation is None else operator.rotation
    return _apply(values, operator, matrix)


def _apply(
    values: ArrayLike, operator: VoxelOperator, matrix: FloatArray | None
) -> NDArray[np.floating]:
    signal = np.asarray(values)
    if signal.dtype not in (np.float32, np.float64):
        signal = signal.astype(np.float64)
    if signal.ndim != 2 or operator.n_frames not in (None, len(signal)):
        raise InputError(
            f"voxels must be ({operator.n_frames or 'n_frames'}, n_voxels) for this run's "
            f"denoising; got {signal.shape}"
        )
    n_rows = operator.n_kept if matrix is None else len(matrix)
    cleaned = np.empty((n_rows, signal.shape[1]), dtype=signal.dtype)
    weights = None if matrix is None else matrix.astype(signal.dtype)
    for start in range(0, signal.shape[1], _BLOCK_COLUMNS):
        part = slice(start, start + _BLOCK_COLUMNS)
        block = signal[:, part] - signal[0, part]
        bad = ~np.isfinite(block).all(axis=0)
        if bad.any():
            block[:, bad] = 0.0
        if weights is None:
            cleaned[:, part] = operator.clean(block.astype(np.float64))
        else:
            np.matmul(weights, block, out=cleaned[:, part])
        if bad.any():
            cleaned[:, start + np.flatnonzero(bad)] = np.nan
    return cleaned


def unit_columns(
    values: ArrayLike, *, n_frames: int | None = None, size: ArrayLike | None = None
) -> UnitColumns:
    """Bring columns with mean 0, or coordinates of such, to length 1.

    Parameters
    ----------
    values : array, shape (n_dimensions, n_voxels)
        From `denoise_voxels` or `rotate_voxels`. A float32 array is changed in place.
    n_frames : int, optional
        Kept frames behind the columns; by default the number of rows.
    size : array, shape (n_voxels,), optional
        Size of the raw signal (such as its baseline): a column that kept less than 1e-6 of it was
        constant. By default only columns of zeros count as constant.

    Returns
    -------
    UnitColumns
    """
    unit = np.asarray(values, dtype=np.float32)
    squares = np.einsum("tv,tv->v", unit, unit, dtype=np.float64)
    length = np.sqrt(squares)
    least = np.zeros(len(length))
    if size is not None:
        least = _CONSTANT * np.sqrt(len(unit)) * np.abs(np.asarray(size, dtype=np.float64))
    present = np.isfinite(length) & (length > least)
    scale = np.divide(1.0, length, out=np.zeros(len(length)), where=present)
    if not present.all():
        unit[:, ~present] = 0.0
    unit *= scale.astype(np.float32)
    return UnitColumns(
        values=unit, present=present, n_frames=len(unit) if n_frames is None else n_frames
    )


def standardise_voxels(values: ArrayLike) -> UnitColumns:
    """Centre columns of frames and bring them to length 1.

    Parameters
    ----------
    values : array, shape (n_frames, n_voxels)
        Cleaned kept frames of one run. A column with a value that is not finite, or without
        change, carries no data.

    Returns
    -------
    UnitColumns
    """
    signal = np.array(values, dtype=np.float32)
    mean = signal.mean(axis=0, dtype=np.float64)
    # Twice: in single precision a large mean leaves a rest behind.
    signal -= mean.astype(np.float32)
    signal -= signal.mean(axis=0, dtype=np.float64).astype(np.float32)
    return unit_columns(signal, size=mean)


def join_runs(runs: list[UnitColumns]) -> UnitColumns:
    """Put the runs of a session together, each z-scored: a run counts by its frames.

    Parameters
    ----------
    runs : list of UnitColumns
        With the same voxels in the same order.

    Returns
    -------
    UnitColumns
        Voxels that lack data in any run are not present. One run is returned as it is.

    Raises
    ------
    InputError
        If there is no run, or their voxels differ in number.
    """
    if not runs:
        raise InputError("there is no run to join")
    if len(runs) == 1:
        return runs[0]
    if len({len(run.present) for run in runs}) > 1:
        raise InputError("the runs of the session have different numbers of voxels")
    total = sum(run.n_frames for run in runs)
    present: BoolArray = np.all([run.present for run in runs], axis=0)
    weights = [np.float32(np.sqrt(run.n_frames / total)) for run in runs]
    values = np.concatenate([w * run.values for w, run in zip(weights, runs, strict=True)])
    values[:, ~present] = 0.0
    return UnitColumns(values=values, present=present, n_frames=total)
