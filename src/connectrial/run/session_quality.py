"""What the participant level notes of a run beside its connectivity: numbers and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.fc.coverage import measure_signal_level
from connectrial.fc.quality import dvars
from connectrial.figures.rasters import carpet_levels, carpet_png
from connectrial.io.files import write_atomic
from connectrial.io.images import ImageQuality


def plain(value: float) -> float | None:
    """Return a number fit for JSON, to 6 digits; None where it is not finite."""
    return None if not np.isfinite(value) else float(f"{value:.6g}")


def measure_run(
    raw: TimeSeries, cleaned: TimeSeries, *, run: str, voxels: ImageQuality | None
) -> dict[str, Any]:
    """Measure a run's signal before and after denoising.

    Parameters
    ----------
    raw, cleaned : TimeSeries
        Before and after denoising; the same object where the series are ready-made.
    run : str
        Its label.
    voxels : ImageQuality or None
        What the pass over the voxels told.

    Returns
    -------
    dict
        Plain data, None where a measure is not known.
    """
    level = measure_signal_level(raw.signal, kept=raw.kept)
    known = level.values[np.isfinite(level.values)]
    before, mean = _global_signal(raw)
    after, _ = _global_signal(cleaned)
    # Percent of the baseline wherever there is one: scanners scale images as they like.
    unit = 100.0 / abs(mean) if level.measure == "temporal mean" and mean != 0 else 1.0
    facts: dict[str, Any] = {
        "run": run,
        "n_frames": len(raw.kept),
        "kept_frames": raw.n_kept,
        "repetition_time_s": raw.repetition_time_s,
        "median_signal": plain(float(np.median(known))) if len(known) else None,
        "remaining_df": cleaned.remaining_df,
        "global_signal_sd_before": None if cleaned is raw else plain(unit * before),
        "global_signal_sd_after": plain(unit * after),
    }
    if voxels is not None:
        facts["median_tsnr"] = plain(voxels.median_tsnr)
        facts["mean_dvars"] = plain(float(np.nanmean(voxels.dvars)))
    if raw.coverage is not None:
        facts["min_coverage"] = plain(float(np.nanmin(raw.coverage)))
    return facts


def _global_signal(series: TimeSeries) -> tuple[float, float]:
    """Return SD and mean over kept frames of the mean over parcels with data."""
    kept = series.signal[series.kept]
    present = np.isfinite(kept).all(axis=0)
    if not present.any() or len(kept) == 0:
        return np.nan, np.nan
    signal = kept[:, present].mean(axis=1)
    return float(signal.std()), float(signal.mean())


def measure_parcels(
    raw: TimeSeries, cleaned: TimeSeries, *, run: str, voxels: ImageQuality | None
) -> pd.DataFrame:
    """Return level, SD, tSNR and coverage of every parcel of a run.

    Parameters
    ----------
    raw, cleaned, run, voxels
        As in `measure_run`.

    Returns
    -------
    DataFrame
        ``run``, ``parcel``, ``mean_signal``, ``sd_before``, ``sd_after``, ``tsnr``, ``coverage``;
        NaN where a measure is not known.
    """
    level = measure_signal_level(raw.signal, kept=raw.kept)
    nothing = np.full(len(raw.parcels), np.nan)
    return pd.DataFrame(
        {
            "run": run,
            "parcel": raw.parcels.astype(str),
            "mean_signal": level.values if level.measure == "temporal mean" else nothing,
            "sd_before": nothing if cleaned is raw else raw.signal[raw.kept].std(axis=0),
            "sd_after": cleaned.signal[cleaned.kept].std(axis=0),
            "tsnr": nothing if voxels is None else voxels.tsnr,
            "coverage": nothing if raw.coverage is None else raw.coverage,
        }
    )


def write_parcel_quality(path: Path, tables: Sequence[pd.DataFrame]) -> None:
    """Write the parcels' measures of a session's runs as one table."""
    together = pd.concat(tables, ignore_index=True)
    text = together.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.6g")
    write_atomic(path, text)


def write_frames(
    path: Path, raw: TimeSeries, *, voxels: ImageQuality | None, fd_mm: FloatArray | None
) -> None:
    """Write a run frame by frame: displacement, DVARS and whether the frame is kept.

    Parameters
    ----------
    path : Path
        Where to.
    raw, voxels
        As in `measure_run`.
    fd_mm : array, shape (n_frames,), or None
        Framewise displacement.
    """
    nothing = np.full(len(raw.kept), np.nan)
    known = fd_mm is not None and len(fd_mm) == len(raw.kept)
    frames_table(
        path,
        fd_mm=fd_mm if fd_mm is not None and known else nothing,
        dvars=dvars(raw.signal) if voxels is None else voxels.dvars,
        kept=raw.kept,
    )


def frames_table(path: Path, *, fd_mm: FloatArray, dvars: FloatArray, kept: BoolArray) -> None:
    """Write the table that :func:`write_frames` writes."""
    table = pd.DataFrame({"fd_mm": fd_mm, "dvars": dvars, "kept": kept.astype(int)})
    write_atomic(path, table.to_csv(sep="\t", index=False, na_rep="n/a", float_format="%.5g"))


def write_carpets(
    paths: tuple[Path, Path], raw: TimeSeries, cleaned: TimeSeries, *, networks: Sequence[str]
) -> None:
    """Write a run's carpets before and after denoising, a dot per parcel and frame, without words.

    Parameters
    ----------
    paths : tuple of Path
        Before and after; ready-made series have the second alone.
    raw, cleaned, networks
        As in `write_frames`.
    """
    before, after = paths
    if cleaned is not raw:
        write_atomic(before, carpet_png(carpet_levels(_standardised(raw), networks)))
    write_atomic(after, carpet_png(carpet_levels(_standardised(cleaned), networks)))


def _standardised(series: TimeSeries) -> FloatArray:
    """Z-score each parcel over kept frames; parcels that do not change are NaN."""
    kept = series.signal[series.kept]
    spread = kept.std(axis=0)
    usable = np.isfinite(spread) & (spread > 1e-12 * np.abs(kept).max(axis=0, initial=0.0))
    standard = np.full(series.signal.shape, np.nan)
    standard[:, usable] = (series.signal[:, usable] - kept[:, usable].mean(axis=0)) / spread[usable]
    return standard
