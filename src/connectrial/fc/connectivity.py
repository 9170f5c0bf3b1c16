"""From parcel signals to Fisher z of Pearson's r."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, Connectivity, FloatArray, TimeSeries
from connectrial.errors import InputError

# Correlations this close to 1 come from one series under two names; noise never gets there.
_IDENTICAL = 1e-12
# A column whose spread is this small beside its size is a constant with rounding.
_CONSTANT = 1e-12
_FEWEST_FRAMES = 3


def fisher_z(r: FloatArray | float) -> FloatArray:
    """Return Fisher's z of correlations, artanh(r).

    Parameters
    ----------
    r : array or float
        Pearson correlations, any shape. The last two axes of a square array are taken for a
        matrix: its diagonal becomes NaN, so that no mean can include it.

    Returns
    -------
    array, same shape
        Dimensionless; NaN stays NaN. For white noise its standard error is 1 / sqrt(n_frames - 3).

    Raises
    ------
    InputError
        If a value lies outside -1 to 1, or is exactly 1 or -1 off the diagonal.
    """
    r = np.array(r, dtype=np.float64)
    if r.ndim >= 2 and r.shape[-1] == r.shape[-2]:
        diagonal = np.arange(r.shape[-1])
        r[..., diagonal, diagonal] = np.nan
    largest = np.max(np.abs(r), initial=0.0, where=~np.isnan(r))
    if largest > 1:
        raise InputError(
            f"a correlation of {largest:.6g} is outside -1 to 1; values that are Fisher z already "
            "must not be transformed again"
        )
    if largest == 1:
        raise InputError("a correlation of exactly 1 or -1 has no Fisher z (infinite)")
    return np.arctanh(r)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StandardRuns:
    """The runs of a session, each z-scored over its kept frames.

    Attributes
    ----------
    standard : tuple of array, shape (n_kept, n_present)
        One per run; mean 0 and SD 1 (dividing by the number of frames).
    parcels : pandas.Index
        All parcels.
    present : array of int, shape (n_present,)
        Positions of the parcels that have data and change in every run.
    n_frames : int
        Kept frames of all runs.
    run_df : tuple of int
        Dimensions that each run's signal can have: the degrees of freedom left after denoising, or
        the kept frames less one where the run was not denoised here.
    notes : tuple of str
        Which parcels are missing.
    """

    standard: tuple[FloatArray, ...]
    parcels: pd.Index
    present: NDArray[np.intp]
    n_frames: int
    run_df: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def df(self) -> int:
        """Return the dimensions of all runs together."""
        return sum(self.run_df)


def standardise_runs(series: TimeSeries | Sequence[TimeSeries]) -> StandardRuns:
    """Z-score the runs of one session over their kept frames, parcels with data only.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        The runs of one session, with the same parcels in the same order.

    Returns
    -------
    StandardRuns

    Raises
    ------
    InputError
        If there is no run, the runs' parcels differ, or a run keeps fewer than 3 frames.
    """
    all_runs = [series] if isinstance(series, TimeSeries) else list(series)
    if not all_runs:
        raise InputError("there is no run to correlate")
    parcels = all_runs[0].parcels
    for number, run in enumerate(all_runs[1:], start=2):
        _check_same_parcels(parcels, run.parcels, number=number)
    for number, run in enumerate(all_runs, start=1):
        if run.n_kept < _FEWEST_FRAMES:
            raise InputError(
                f"run {number} of {len(all_runs)} keeps {run.n_kept} of {len(run.kept)} frames; "
                f"a correlation needs {_FEWEST_FRAMES} at the least"
            )

    standard = [_standardise(run.signal[run.kept]) for run in all_runs]
    missing: BoolArray = np.any([np.isnan(z).any(axis=0) for z in standard], axis=0)
    present = np.flatnonzero(~missing)
    return StandardRuns(
        standard=tuple(z[:, present] for z in standard),
        parcels=parcels,
        present=present,
        n_frames=sum(run.n_kept for run in all_runs),
        run_df=tuple(
            run.n_kept - 1 if run.remaining_df is None else run.remaining_df for run in all_runs
        ),
        notes=tuple(_missing_notes(all_runs, parcels[missing])),
    )


def correlate_parcels(
    series: TimeSeries | Sequence[TimeSeries],
    *,
    runs: Literal["concatenate", "average"] = "concatenate",
) -> Connectivity:
    """Correlate every pair of parcels over the kept frames of a session.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        The runs of one session, with the same parcels in the same order. Censored frames are never
        looked at.
    runs : {"concatenate", "average"}
        ``concatenate`` z-scores each run over its kept frames and joins them, so a run counts by
        its frames and its mean and gain do not; ``average`` takes the plain mean of the runs'
        Fisher z, so every run counts the same.

    Returns
    -------
    Connectivity
        Fisher z of Pearson's r, shape (n_parcels, n_parcels), NaN on the diagonal. A parcel that
        is NaN or constant over kept frames in any run is a row and column of NaN, and a note names
        it.

    Raises
    ------
    InputError
        If there is no run, the runs' parcels differ, a run keeps fewer than 3 frames, or two
        parcels correlate perfectly (one series under two names).
    """
    if runs not in ("concatenate", "average"):
        raise InputError(f"runs must be 'concatenate' or 'average'; got {runs!r}")
    pooled = standardise_runs(series)
    standard, parcels, present = pooled.standard, pooled.parcels, pooled.present
    n_parcels = len(parcels)
    fc_z = np.full((n_parcels, n_parcels), np.nan)
    if runs == "concatenate":
        block = _fisher_z_of(np.concatenate(standard), parcels[present])
    else:
        block = np.mean([_fisher_z_of(z, parcels[present]) for z in standard], axis=0)
    fc_z[np.ix_(present, present)] = block
    return Connectivity(
        z=fc_z,
        parcels=parcels,
        n_frames=pooled.n_frames,
        notes=pooled.notes,
    )


def connectivity_from_matrix(
    matrix: FloatArray,
    parcels: pd.Index,
    *,
    values: Literal["r", "z"],
    n_frames: int | None = None,
) -> Connectivity:
    """Take a ready-made matrix of correlations or of Fisher z.

    Parameters
    ----------
    matrix : array, shape (n_parcels, n_parcels)
        Symmetric; what stands on the diagonal is ignored.
    parcels : pandas.Index
        Parcel names, in row order.
    values : {"r", "z"}
        What the matrix holds.
    n_frames : int, optional
        Kept frames that the correlations rest on.

    Returns
    -------
    Connectivity

    Raises
    ------
    InputError
        If the matrix is not square, not symmetric (to 1e-6), holds values that r cannot take, or
        correlates two parcels perfectly.
    """
    matrix = np.array(matrix, dtype=np.float64)
    if values not in ("r", "z"):
        raise InputError(f"values must be 'r' or 'z'; got {values!r}")
    if matrix.shape != (len(parcels), len(parcels)):
        raise InputError(
            f"the matrix must be ({len(parcels)}, {len(parcels)}) to match its "
            f"{len(parcels)} parcels; got {matrix.shape}"
        )
    np.fill_diagonal(matrix, np.nan)
    unlike = ~np.isclose(matrix, matrix.T, rtol=0, atol=1e-6, equal_nan=True)
    if unlike.any():
        a, b = np.argwhere(unlike)[0]
        raise InputError(
            f"the matrix is not symmetric: {parcels[a]!r} with {parcels[b]!r} is {matrix[a, b]:.6g}"
            f" one way and {matrix[b, a]:.6g} the other"
        )
    matrix = (matrix + matrix.T) / 2.0
    notes = _missing_notes([], parcels[np.flatnonzero(np.isnan(matrix).all(axis=0))])
    if values == "r":
        beyond = np.abs(matrix) > 1
        if beyond.any():
            a, b = np.argwhere(beyond)[0]
            raise InputError(
                f"{parcels[a]!r} with {parcels[b]!r} has {matrix[a, b]:.6g}, which no correlation "
                "can be; if the matrix holds Fisher z already, say values='z'"
            )
        refuse_identical(matrix, parcels)
        matrix = fisher_z(matrix)
    elif np.isinf(matrix).any():
        a, b = np.argwhere(np.isinf(matrix))[0]
        raise InputError(f"{parcels[a]!r} with {parcels[b]!r} has an infinite Fisher z")
    return Connectivity(z=matrix, parcels=parcels, n_frames=n_frames, notes=tuple(notes))


def _standardise(signal: FloatArray) -> FloatArray:
    """Z-score columns; those without data or without change become NaN."""
    # A value that is not finite would spread through the product to every other parcel.
    usable = np.asarray(np.isfinite(signal).all(axis=0), dtype=np.bool_)
    centred = np.full(signal.shape, np.nan)
    centred[:, usable] = signal[:, usable] - signal[:, usable].mean(axis=0)
    spread = np.sqrt(np.mean(centred**2, axis=0))
    usable[usable] = spread[usable] > _CONSTANT * np.abs(signal[:, usable]).max(axis=0)
    centred[:, ~usable] = np.nan
    centred[:, usable] /= spread[usable]
    return centred


def _fisher_z_of(standard: FloatArray, parcels: pd.Index) -> FloatArray:
    r = standard.T @ standard / max(len(standard), 1)
    r = np.clip((r + r.T) / 2.0, -1.0, 1.0)
    refuse_identical(r, parcels)
    return fisher_z(r)


def refuse_identical(r: FloatArray, parcels: pd.Index) -> None:
    """Raise InputError if two parcels of a correlation matrix are one series under two names."""
    rows, columns = np.nonzero(np.triu(np.abs(r) > 1.0 - _IDENTICAL, k=1))
    if len(rows):
        pairs = [
            f"{parcels[a]!r} and {parcels[b]!r}" for a, b in zip(rows[:5], columns[:5], strict=True)
        ]
        more = f" and {len(rows) - 5} more pairs" if len(rows) > 5 else ""
        raise InputError(
            f"these parcels correlate perfectly: {'; '.join(pairs)}{more}; "
            "one series stands under two names, so leave one of them out"
        )


def _check_same_parcels(first: pd.Index, other: pd.Index, *, number: int) -> None:
    if first.equals(other):
        return
    lacking = first.difference(other, sort=False)
    extra = other.difference(first, sort=False)
    if len(lacking) or len(extra):
        said = f"lacks {list(lacking[:3])} and adds {list(extra[:3])}"
    else:
        said = "has the same parcels in another order"
    raise InputError(
        f"run {number} of the session {said} ({len(other)} parcels against {len(first)} in the "
        "first run); extract all runs with one atlas"
    )


def _missing_notes(all_runs: Sequence[TimeSeries], missing: Sequence[str] | pd.Index) -> list[str]:
    if len(missing) == 0:
        return []
    names = ", ".join(str(name) for name in missing[:5])
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    where = " in at least one run" if len(all_runs) > 1 else ""
    return [f"{len(missing)} parcels without data or without change{where}: {names}{more}"]
