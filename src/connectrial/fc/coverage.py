"""Which parcels of a scan carry too little signal to be believed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError

Measure = Literal["temporal mean", "temporal SD", "not assessable"]

# Series whose SDs all lie within 1 % of one another were z-scored; no scanner does that.
_EQUAL_SPREAD = 0.01
COLUMNS = ("parcel", "measure", "value", "scan_median", "ratio", "reason")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class SignalLevel:
    """How strong the signal of every parcel is, by the measure that the series allow.

    Attributes
    ----------
    measure : {"temporal mean", "temporal SD", "not assessable"}
        What `values` holds.
    values : array, shape (n_parcels,)
        In the unit of the signal; NaN where a parcel has no data or nothing can be assessed.
    note : str
        Why this measure, in one sentence.
    """

    measure: Measure
    values: FloatArray
    note: str


def measure_signal_level(signal: FloatArray, *, kept: BoolArray | None = None) -> SignalLevel:
    """Choose how the strength of parcel signals can be told, and measure it.

    Series that still carry their baseline (the median over parcels of the absolute temporal mean
    exceeds the median temporal SD) are judged by that mean. Series without one are judged by their
    SD, unless all SDs are equal, as z-scoring makes them: then nothing is left to judge.

    Parameters
    ----------
    signal : array, shape (n_frames, n_parcels)
        One run. A column with a NaN carries no data.
    kept : array of bool, shape (n_frames,), optional
        Frames to look at; all by default.

    Returns
    -------
    SignalLevel

    Raises
    ------
    InputError
        If `signal` has not two dimensions, or fewer than 2 frames are kept.
    """
    signal = np.asarray(signal, dtype=np.float64)
    if signal.ndim != 2:
        raise InputError(f"signal must be (n_frames, n_parcels); got shape {signal.shape}")
    used = signal if kept is None else signal[kept]
    if len(used) < 2:
        raise InputError(f"{len(used)} frames are too few to judge a signal by; it takes 2")
    mean, spread = np.abs(used.mean(axis=0)), used.std(axis=0)
    present = ~np.isnan(mean)
    if not present.any():
        return SignalLevel(measure="temporal mean", values=mean, note="no parcel has data")
    typical_mean, typical_spread = np.median(mean[present]), np.median(spread[present])
    if typical_mean > typical_spread:
        return SignalLevel(
            measure="temporal mean",
            values=mean,
            note="the series carry their baseline, so parcels are judged by its size",
        )
    # The z-scoring may have been over all frames or over the kept ones.
    if _all_equal(spread) or _all_equal(signal.std(axis=0)):
        return SignalLevel(
            measure="not assessable",
            values=np.full(signal.shape[1], np.nan),
            note="the series are z-scored, so no parcel's signal can be told to be weak",
        )
    return SignalLevel(
        measure="temporal SD",
        values=spread,
        note="the series carry no baseline, so parcels are judged by their temporal SD",
    )


def find_weak_parcels(
    signal: TimeSeries | pd.DataFrame | FloatArray,
    *,
    parcels: pd.Index | None = None,
    coverage: FloatArray | None = None,
    min_coverage: float = 0.5,
    min_signal_fraction: float = 0.1,
) -> pd.DataFrame:
    """Find parcels that the field of view misses, or whose signal is far below the scan's own.

    The default fraction was chosen on 92 scans of a real trial with Schaefer 300 and Tian S2
    parcels: at 0.1 of the scan's median it finds parcels outside the field of view and the
    pallidum; from 0.15 on, the ordinary signal loss of orbitofrontal and temporal poles joins.

    Parameters
    ----------
    signal : TimeSeries, DataFrame, array (n_frames, n_parcels) or array (n_parcels,)
        One run, before denoising where there is a choice. One dimension is taken for the parcels'
        temporal means. Of a TimeSeries only kept frames count, and its coverage and parcel names
        serve unless others are given.
    parcels : pandas.Index, optional
        Parcel names; by default those of `signal`, else the numbers from 0.
    coverage : array, shape (n_parcels,), optional
        Share of each parcel's voxels that have data, 0 to 1.
    min_coverage : float
        Parcels covered less than this are weak.
    min_signal_fraction : float
        Parcels whose signal is below this share of the median over the scan's parcels are weak.

    Returns
    -------
    DataFrame
        One row per weak parcel and reason, in parcel order: ``parcel``, ``measure`` ("coverage",
        "temporal mean", "temporal SD" or "data"), ``value``, ``scan_median``, ``ratio`` (value over
        median) and ``reason``. ``attrs["measure"]`` and ``attrs["note"]`` say how the signal was
        judged, or why it could not be.

    Raises
    ------
    InputError
        If lengths differ, or a fraction lies outside 0 to 1.
    """
    for name, share in (
        ("min_coverage", min_coverage),
        ("min_signal_fraction", min_signal_fraction),
    ):
        if not 0 <= share <= 1:
            raise InputError(f"{name} must lie between 0 and 1; got {share}")
    level, names, own_coverage = _level_of(signal)
    names = names if parcels is None else pd.Index(parcels)
    coverage = own_coverage if coverage is None else np.asarray(coverage, dtype=np.float64)
    for label, length in (
        ("parcels", len(names)),
        ("coverage", len(level.values) if coverage is None else coverage.size),
    ):
        if length != len(level.values):
            raise InputError(
                f"{label} has {length} entries for the {len(level.values)} parcels of the signal"
            )

    rows: list[tuple[int, str, float, float, float, str]] = []
    if coverage is not None:
        rows += _weak_by(coverage, "coverage", min_coverage, relative=False)
    if level.measure != "not assessable":
        # A parcel that extraction emptied for its coverage has its reason already.
        explained = {row[0] for row in rows}
        rows += [
            (int(number), "data", np.nan, np.nan, np.nan, "no data")
            for number in np.flatnonzero(np.isnan(level.values))
            if int(number) not in explained
        ]
        rows += _weak_by(level.values, level.measure, min_signal_fraction, relative=True)
    rows.sort(key=lambda row: row[0])
    table = pd.DataFrame([(names[row[0]], *row[1:]) for row in rows], columns=list(COLUMNS))
    table = table.astype({"value": float, "scan_median": float, "ratio": float})
    table.attrs = {"measure": level.measure, "note": level.note}
    return table


def _level_of(
    signal: TimeSeries | pd.DataFrame | FloatArray,
) -> tuple[SignalLevel, pd.Index, FloatArray | None]:
    if isinstance(signal, TimeSeries):
        level = measure_signal_level(signal.signal, kept=signal.kept)
        return level, signal.parcels, signal.coverage
    if isinstance(signal, pd.DataFrame):
        return measure_signal_level(signal.to_numpy(dtype=np.float64)), signal.columns, None
    values = np.asarray(signal, dtype=np.float64)
    if values.ndim != 1:
        return measure_signal_level(values), pd.RangeIndex(values.shape[-1]), None
    means = SignalLevel(
        measure="temporal mean", values=np.abs(values), note="temporal means were given"
    )
    return means, pd.RangeIndex(len(values)), None


def _weak_by(
    values: FloatArray, measure: str, fraction: float, *, relative: bool
) -> list[tuple[int, str, float, float, float, str]]:
    if np.isnan(values).all():
        return []
    median = float(np.nanmedian(values))
    limit = fraction * median if relative else fraction
    of = f"of the scan's median {median:.4g}" if relative else "of its voxels"
    rows = []
    for number in np.flatnonzero(values < limit):
        value = float(values[number])
        ratio = value / median if median > 0 else np.nan
        share = ratio if relative else value
        reason = f"{measure} {value:.4g} is {share:.2g} {of}, below {fraction:g}"
        if not relative:
            reason = f"{share:.0%} {of} have data, below {fraction:.0%}"
        rows.append((int(number), measure, value, median, ratio, reason))
    return rows


def _all_equal(spread: FloatArray) -> bool:
    """Tell whether all columns that change at all change equally much."""
    changing = spread[np.nan_to_num(spread) > 0]
    if len(changing) < 2:
        return False
    return bool((changing.max() - changing.min()) < _EQUAL_SPREAD * np.median(changing))
