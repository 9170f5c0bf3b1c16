"""Take motion, physiology and frequencies out of parcel signals, and say what that cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.strategies import Band, resolve_confounds

# A column whose spread falls below this share of its former size was a constant or a straight
# line: what detrending leaves of it is rounding, which z-scoring would blow up to a confound.
_NOTHING_LEFT = 1e-10
# Directions of the z-scored confounds with a singular value below this share of the largest are
# taken for linear dependence.
_RANK_TOLERANCE = 1e-8


def passband_dimensions(
    kept: BoolArray, *, repetition_time_s: float | None, band_hz: Band | None
) -> int:
    """Count the dimensions that a run's kept frames have in the pass-band, before regression.

    A run of n frames has one dimension per sine and per cosine whose frequency k / (n TR) lies in
    the band (edges included, the constant never). Censoring takes its share: kept frames hold
    n_kept / n of them (the trace of the pass-band projector over kept frames), rounded down;
    filling censored frames before the filter hides that loss but cannot mend it. Without a filter,
    or with one that has no lower edge, the straight line that detrending removes is subtracted.

    Parameters
    ----------
    kept : array of bool, shape (n_frames,)
        Frames that survive censoring.
    repetition_time_s : float or None
        Seconds between frames; needed if there is a band.
    band_hz : tuple of float, or None
        Lower and upper edge in Hz; lower 0 means low-pass, upper ``inf`` high-pass.

    Returns
    -------
    int
        Never below 0.

    Raises
    ------
    InputError
        If the band cannot be applied at this repetition time.
    """
    n_frames, n_kept = len(kept), int(np.count_nonzero(kept))
    if band_hz is None:
        return max(0, n_kept - 2)
    nyquist_hz = _check_band(band_hz, repetition_time_s)
    if n_kept == 0:
        return 0
    low, high = band_hz
    step_hz = 2.0 * nyquist_hz / n_frames
    harmonics = np.arange(1, n_frames // 2 + 1)
    # Edges count as inside, whatever rounding says of 0.01 * 300 * 2.
    inside = (harmonics * step_hz >= low * (1 - 1e-9)) & (harmonics * step_hz <= high * (1 + 1e-9))
    dimensions = 2 * int(inside.sum())
    if n_frames % 2 == 0 and inside.size and inside[-1]:
        dimensions -= 1  # at the Nyquist frequency there is a cosine but no sine
    dimensions -= low <= 0
    return max(0, dimensions * n_kept // n_frames)


def denoise(
    series: TimeSeries,
    confounds: pd.DataFrame | None,
    *,
    strategy: str = "36P",
    band_hz: Band | None,
    order: str = "default",
    filter_order: int = 2,
    min_remaining_df: int = 15,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> TimeSeries:
    """Regress confounds out of a run and filter it, letting censored frames have no say.

    The order ``default``: censored frames are filled linearly (edges held); data and confounds are
    detrended (straight line) and band-passed alike (Butterworth, forwards and backwards, ends held
    constant); censored frames leave; the confounds are z-scored over kept frames and regressed out
    by least squares that finds their rank. Every step is one and the same linear operator for all
    parcels, so averaging voxels before or after makes no difference.

    Parameters
    ----------
    series : TimeSeries
        Signal of one run, shape (n_frames, n_parcels), with its kept frames. A parcel with a value
        that is not finite in a kept frame becomes a column of NaN.
    confounds : pandas.DataFrame or None
        One row per frame, fMRIPrep's column names. A value that is missing in the first frame (a
        derivative) takes that of the second.
    strategy : str
        A key of `STRATEGIES`.
    band_hz : tuple of float, or None
        Lower and upper edge of the pass-band in Hz; lower 0 means low-pass, upper ``inf``
        high-pass, None no filter.
    order : {"default"}
        The order of the steps.
    filter_order : int
        Order of the Butterworth filter; its attenuation doubles by running both ways.
    min_remaining_df : int
        Fewest degrees of freedom that may be left. A session of several runs is judged by their
        sum: then pass 1 here and judge the sum.
    metadata : mapping, optional
        The confounds' JSON sidecar (see `resolve_confounds`).

    Returns
    -------
    TimeSeries
        Residuals in the unit of the input, mean 0 over kept frames, NaN in censored frames;
        ``remaining_df`` is `passband_dimensions` minus the rank of the filtered confounds.

    Raises
    ------
    InputError
        If there are no confounds to regress, columns are missing or hold no number in a kept frame,
        lengths differ, the band does not suit the repetition time, the order is unknown, or fewer
        than `min_remaining_df` degrees of freedom are left.

    References
    ----------
    Order of steps: Lindquist et al. 2019, Hum Brain Mapp 40, 2358-2376; confounds filtered like
    the data: Hallquist et al. 2013, NeuroImage 82, 208-225.
    """
    if order != "default":
        raise InputError(f"order {order!r} is not known; it must be 'default'")
    kept = series.kept
    dimensions = passband_dimensions(
        kept, repetition_time_s=series.repetition_time_s, band_hz=band_hz
    )
    regressors = _regressors(confounds, kept, strategy=strategy, band_hz=band_hz, metadata=metadata)
    # Two kept frames make a line to detrend; the df below ask for more, but only after filtering.
    if series.n_kept < 3:
        raise InputError(
            f"only {series.n_kept} of {len(kept)} frames are kept; there is nothing to denoise"
        )

    def prepare(values: FloatArray) -> FloatArray:
        filled = _detrend(_fill_censored(values, kept))
        if band_hz is not None:
            filled = _bandpass(filled, series.repetition_time_s, band_hz, filter_order)
        return _centre(filled[kept], original=values[kept])

    basis = _orthonormal_basis(prepare(regressors))
    rank = basis.shape[1]
    remaining_df = dimensions - rank
    if remaining_df < min_remaining_df:
        raise InputError(
            f"too few degrees of freedom are left: {dimensions} in the pass-band of "
            f"{series.n_kept} kept frames, minus {rank} for the confounds of strategy "
            f"{strategy!r}, leaves {remaining_df}; min_remaining_df is {min_remaining_df} "
            "(a smaller strategy, a wider band or a longer run leaves more)"
        )

    usable = np.isfinite(series.signal[kept]).all(axis=0)
    filtered = prepare(series.signal[:, usable])
    residual = _zero_where_nothing_is_left(
        filtered - basis @ (basis.T @ filtered), np.abs(filtered).max(axis=0)
    )
    signal = np.full(series.signal.shape, np.nan)
    signal[np.ix_(kept, usable)] = residual
    return replace(series, signal=signal, remaining_df=int(remaining_df))


def _regressors(
    confounds: pd.DataFrame | None,
    kept: BoolArray,
    *,
    strategy: str,
    band_hz: Band | None,
    metadata: Mapping[str, Mapping[str, Any]] | None,
) -> FloatArray:
    """Return the strategy's columns as an array, complete in every kept frame."""
    n_frames = len(kept)
    if confounds is None:
        if strategy == "none":
            return np.empty((n_frames, 0))
        raise InputError(
            f"strategy {strategy!r} needs a confounds table and this run has none; series that "
            "were denoised before are not denoised again (strategy 'none' regresses nothing)"
        )
    if len(confounds) != n_frames:
        raise InputError(
            f"the confounds have {len(confounds)} rows and the signal {n_frames} frames; "
            "they must come from the same run"
        )
    names = resolve_confounds(confounds.columns, strategy, band_hz=band_hz, metadata=metadata)
    values = confounds[names].to_numpy(dtype=np.float64, copy=True)
    if n_frames > 1:
        unknown = ~np.isfinite(values[0])
        values[0, unknown] = values[1, unknown]
    incomplete = ~np.isfinite(values) & kept[:, np.newaxis]
    if incomplete.any():
        frame, column = (int(i) for i in np.argwhere(incomplete)[0])
        raise InputError(
            f"confound {names[column]!r} has no number in frame {frame} (counted from 0), which is "
            f"kept, nor do {int(incomplete.sum()) - 1} other cells; "
            "only the first frame of a derivative may be n/a"
        )
    return values


def _check_band(band_hz: Band, repetition_time_s: float | None) -> float:
    """Return the Nyquist frequency in Hz, having checked the band against it."""
    low, high = band_hz
    if repetition_time_s is None:
        raise InputError(
            "band_hz needs the repetition time, which is unknown for this run; "
            "state it (repetition_time_s) or leave band_hz out"
        )
    if not 0 <= low < high:
        raise InputError(f"band_hz must be (low, high) with 0 <= low < high; got ({low}, {high})")
    nyquist_hz = 0.5 / repetition_time_s
    if nyquist_hz <= high < np.inf or low >= nyquist_hz:
        raise InputError(
            f"band_hz ({low}, {high}) reaches beyond {nyquist_hz:.4g} Hz, half the sampling rate "
            f"at a repetition time of {repetition_time_s} s; lower it, or use inf for no upper edge"
        )
    return nyquist_hz


def _fill_censored(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Draw a straight line through every gap; before the first and after the last, hold."""
    frames = np.flatnonzero(kept)
    gaps = np.flatnonzero(~kept)
    if len(gaps) == 0:
        return values
    after = np.searchsorted(frames, gaps).clip(0, len(frames) - 1)
    before = (np.searchsorted(frames, gaps) - 1).clip(0, len(frames) - 1)
    width = frames[after] - frames[before]
    share = np.divide(gaps - frames[before], width, where=width > 0, out=np.zeros(len(gaps)))
    filled = values.copy()
    start, stop = values[frames[before]], values[frames[after]]
    filled[gaps] = start + share[:, np.newaxis] * (stop - start)
    return filled


def _detrend(values: FloatArray) -> FloatArray:
    time: FloatArray = np.linspace(-1.0, 1.0, len(values), dtype=np.float64)
    centred: FloatArray = values - values.mean(axis=0)
    slope = np.asarray(time @ centred, dtype=np.float64) / float(time @ time)
    return centred - time[:, np.newaxis] * slope


def _bandpass(
    values: FloatArray, repetition_time_s: float | None, band_hz: Band, filter_order: int
) -> FloatArray:
    from scipy.signal import butter, sosfiltfilt

    nyquist_hz = _check_band(band_hz, repetition_time_s)
    low, high = (edge / nyquist_hz for edge in band_hz)
    if (low <= 0 and np.isinf(high)) or values.shape[1] == 0:
        return values
    if low <= 0:
        sections = butter(filter_order, high, btype="lowpass", output="sos")
    elif np.isinf(high):
        sections = butter(filter_order, low, btype="highpass", output="sos")
    else:
        sections = butter(filter_order, (low, high), btype="bandpass", output="sos")
    # The slowest wave in the band outlasts the default padding at short repetition times.
    filtered = sosfiltfilt(sections, values, axis=0, padtype="constant", padlen=len(values) - 1)
    return np.asarray(filtered, dtype=np.float64)


def _centre(values: FloatArray, *, original: FloatArray) -> FloatArray:
    return _zero_where_nothing_is_left(values - values.mean(axis=0), np.abs(original).max(axis=0))


def _zero_where_nothing_is_left(values: FloatArray, former_size: FloatArray) -> FloatArray:
    spread = np.sqrt(np.mean(values**2, axis=0))
    return np.where(spread > _NOTHING_LEFT * former_size, values, 0.0)


def _orthonormal_basis(centred: FloatArray) -> FloatArray:
    """Return an orthonormal basis, shape (n_kept, rank), of z-scored columns."""
    spread = np.sqrt(np.mean(centred**2, axis=0))
    standard = centred[:, spread > 0] / spread[spread > 0]
    if standard.shape[1] == 0:
        return np.empty((len(centred), 0))
    left, size, _ = np.linalg.svd(standard, full_matrices=False)
    return np.asarray(left[:, size > _RANK_TOLERANCE * size[0]], dtype=np.float64)
