"""Bands, waves and Butterworth filters over frames, and the three ways to fill censored ones."""

from __future__ import annotations

import numpy as np

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError

Band = tuple[float, float]

# Oversampling and highest frequency (share of the mean Nyquist frequency) of the spectral fill.
_OVERSAMPLING = 8
_HIGHEST_FREQUENCY = 1.0


def check_band(band_hz: Band, repetition_time_s: float | None) -> float:
    """Return the Nyquist frequency in Hz, having checked the band against it.

    Parameters
    ----------
    band_hz : tuple of float
        Lower and upper edge in Hz; lower 0 means low-pass, upper ``inf`` high-pass.
    repetition_time_s : float or None
        Seconds between frames.

    Returns
    -------
    float
        In Hz.

    Raises
    ------
    InputError
        If the repetition time is unknown, the edges are out of order, or one lies beyond the
        Nyquist frequency.
    """
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
    inside = _harmonics_inside(n_frames, repetition_time_s=repetition_time_s, band_hz=band_hz)
    if n_kept == 0:
        return 0
    dimensions = 2 * int(inside.sum())
    if n_frames % 2 == 0 and inside.size and inside[-1]:
        dimensions -= 1  # at the Nyquist frequency there is a cosine but no sine
    dimensions -= band_hz[0] <= 0
    return max(0, dimensions * n_kept // n_frames)


def waves(
    n_frames: int, *, repetition_time_s: float | None, band_hz: Band, inside: bool = True
) -> FloatArray:
    """Return the cosines and sines of a run's discrete Fourier transform in or beside a band.

    Parameters
    ----------
    n_frames : int
        Frames of the run, censored ones included.
    repetition_time_s : float or None
        Seconds between frames.
    band_hz : tuple of float
        Lower and upper edge in Hz; both count as inside.
    inside : bool
        True for the pass-band, False for the stop-band; the constant is in neither.

    Returns
    -------
    array, shape (n_frames, n_waves)
        Orthonormal columns.

    Raises
    ------
    InputError
        If the band cannot be applied at this repetition time.
    """
    chosen = _harmonics_inside(n_frames, repetition_time_s=repetition_time_s, band_hz=band_hz)
    harmonics = np.flatnonzero(chosen if inside else ~chosen) + 1
    # Whole turns are taken off before multiplying by 2 pi: late frames keep their digits.
    turns = np.arange(n_frames)[:, np.newaxis] * harmonics % n_frames / n_frames
    columns = np.hstack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)])
    size = np.sqrt(np.sum(columns**2, axis=0))
    real = size > 1e-6 * np.sqrt(n_frames)  # the sine at the Nyquist frequency is nothing
    return np.asarray(columns[:, real] / size[real], dtype=np.float64)


def _harmonics_inside(
    n_frames: int, *, repetition_time_s: float | None, band_hz: Band
) -> BoolArray:
    """Say of the harmonics 1, 2, ... n_frames // 2 whether they lie in the band."""
    nyquist_hz = check_band(band_hz, repetition_time_s)
    low, high = band_hz
    hz = 2.0 * nyquist_hz / n_frames * np.arange(1, n_frames // 2 + 1)
    # Edges count as inside, whatever rounding says of 0.01 * 300 * 2.
    return np.asarray((hz >= low * (1 - 1e-9)) & (hz <= high * (1 + 1e-9)), dtype=np.bool_)


def lets_all_through(band_hz: Band | None) -> bool:
    """Say whether a band is no filter at all: None, or from 0 to infinity."""
    return band_hz is None or (band_hz[0] <= 0 and bool(np.isinf(band_hz[1])))


def butterworth(
    values: FloatArray,
    *,
    repetition_time_s: float | None,
    band_hz: Band,
    filter_order: int = 2,
    n_zeros: int | None = None,
) -> FloatArray:
    """Filter columns forwards and backwards with a Butterworth filter.

    Parameters
    ----------
    values : array, shape (n_frames, n_columns)
        Complete: no frame missing.
    repetition_time_s : float or None
        Seconds between frames.
    band_hz : tuple of float
        Lower and upper edge in Hz; lower 0 means low-pass, upper ``inf`` high-pass.
    filter_order : int
        Its attenuation doubles by running both ways.
    n_zeros : int, optional
        Frames of zeros put before and after; by default the ends are held for as long as the run.

    Returns
    -------
    array, shape (n_frames, n_columns)

    Raises
    ------
    InputError
        If the band cannot be applied at this repetition time.
    """
    from scipy.signal import butter, sosfiltfilt

    nyquist_hz = check_band(band_hz, repetition_time_s)
    low, high = (edge / nyquist_hz for edge in band_hz)
    if lets_all_through(band_hz) or values.shape[1] == 0:
        return values
    if low <= 0:
        sections = butter(filter_order, high, btype="lowpass", output="sos")
    elif np.isinf(high):
        sections = butter(filter_order, low, btype="highpass", output="sos")
    else:
        sections = butter(filter_order, (low, high), btype="bandpass", output="sos")
    if n_zeros is not None:
        padded = np.pad(values, ((n_zeros, n_zeros), (0, 0)))
        filtered = sosfiltfilt(sections, padded, axis=0, padtype=None)
        return np.asarray(filtered[n_zeros : n_zeros + len(values)], dtype=np.float64)
    # The slowest wave in the band outlasts the default padding at short repetition times.
    filtered = sosfiltfilt(sections, values, axis=0, padtype="constant", padlen=len(values) - 1)
    return np.asarray(filtered, dtype=np.float64)


def detrend(values: FloatArray) -> FloatArray:
    """Take the straight line out of every column of an array, shape (n_frames, n_columns)."""
    time: FloatArray = np.linspace(-1.0, 1.0, len(values), dtype=np.float64)
    centred: FloatArray = values - values.mean(axis=0)
    slope = np.asarray(time @ centred, dtype=np.float64) / float(time @ time)
    return centred - time[:, np.newaxis] * slope


def fill_linear(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Draw a straight line through every gap; before the first kept frame and after the last, hold.

    Parameters
    ----------
    values : array, shape (n_frames, n_columns)
        What stands in censored frames is never looked at.
    kept : array of bool, shape (n_frames,)
        At least one frame.

    Returns
    -------
    array, shape (n_frames, n_columns)
    """
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


def fill_spline(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Draw a cubic spline (not-a-knot) through every gap; at the ends hold, as `fill_linear`.

    Long gaps make it swing: 3.7 times the signal's SD over 20 frames, where a line misses by 1.1.

    Parameters
    ----------
    values : array, shape (n_frames, n_columns)
        What stands in censored frames is never looked at.
    kept : array of bool, shape (n_frames,)
        At least two frames.

    Returns
    -------
    array, shape (n_frames, n_columns)
    """
    from scipy.interpolate import CubicSpline

    frames = np.flatnonzero(kept)
    if len(frames) == len(kept) or values.shape[1] == 0:
        return values
    filled = values.copy()
    inner = np.flatnonzero(~kept)
    inner = inner[(inner > frames[0]) & (inner < frames[-1])]
    filled[inner] = CubicSpline(frames, values[frames], axis=0)(inner)
    filled[: frames[0]] = values[frames[0]]
    filled[frames[-1] + 1 :] = values[frames[-1]]
    return filled


def fill_spectral(values: FloatArray, kept: BoolArray) -> FloatArray:
    """Fill censored frames from the kept frames' least-squares (Lomb-Scargle) spectrum.

    Each frequency is fitted by itself, from 1 / (8 T) in steps of 1 / (8 T) up to n_kept / (2 T)
    with T the span of the kept frames; the sum of the fits is scaled to the SD of the kept frames.
    That scaling is why this one fill is not a linear operation.

    Parameters
    ----------
    values : array, shape (n_frames, n_columns)
        Mean 0 over kept frames. What stands in censored frames is never looked at.
    kept : array of bool, shape (n_frames,)
        At least two frames.

    Returns
    -------
    array, shape (n_frames, n_columns)

    References
    ----------
    Power et al. 2014, NeuroImage 84, 320-341; Mathias et al. 2004, J Stat Softw 11(2). Published
    code leaves the spectrum's time shift tau out of the sum that rebuilds the series, which turns
    phases; here it is in both.
    """
    frames = np.flatnonzero(kept)
    gaps = np.flatnonzero(~kept)
    if len(gaps) == 0 or values.shape[1] == 0:
        return values
    span = float(frames[-1] - frames[0])
    n_frequencies = int(_HIGHEST_FREQUENCY * len(frames) / 2 * _OVERSAMPLING + 1e-9)
    angular = 2 * np.pi / (span * _OVERSAMPLING) * np.arange(1, n_frequencies + 1)
    double = 2 * np.outer(frames, angular)
    shift = np.arctan2(np.sin(double).sum(axis=0), np.cos(double).sum(axis=0)) / 2
    phase = np.outer(np.arange(len(kept)), angular) - shift
    spectrum = np.zeros(values.shape)
    for wave in (np.cos(phase), np.sin(phase)):
        size = np.sum(wave[frames] ** 2, axis=0)
        fitted = size > 1e-9 * len(frames)
        weight = wave[np.ix_(frames, np.flatnonzero(fitted))].T @ values[frames]
        spectrum += wave[:, fitted] @ (weight / size[fitted, np.newaxis])
    spread = spectrum.std(axis=0)
    scale = np.divide(
        values[frames].std(axis=0), spread, where=spread > 0, out=np.zeros(len(spread))
    )
    filled = values.copy()
    filled[gaps] = (spectrum * scale)[gaps]
    return filled
