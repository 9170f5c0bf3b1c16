"""Take motion, physiology and frequencies out of parcel signals, and say what that cost."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.filters import Band, check_band, lets_all_through, passband_dimensions
from connectrial.fc.orders import ORDERS, Cleaning, Sampling
from connectrial.fc.strategies import resolve_confounds

__all__ = [
    "Denoised",
    "build_cleaning",
    "check_order",
    "denoise",
    "denoise_detail",
    "passband_dimensions",
    "resolve_confounds",
]

_DEFAULT_FILTER_ORDER = 2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Denoised:
    """A denoised run and what the denoising cost.

    Attributes
    ----------
    series : TimeSeries
        As `denoise` returns it.
    order : str
        The order of the steps.
    steps : str
        What that order does, in words.
    confounds : tuple of str
        Columns that were regressed.
    dimensions : int
        Degrees of freedom in the pass-band of the kept frames, before regression.
    rank : int
        Linearly independent confounds among them.
    remaining_df : int
        Degrees of freedom left to each parcel.
    """

    series: TimeSeries
    order: str
    steps: str
    confounds: tuple[str, ...]
    dimensions: int
    rank: int
    remaining_df: int


def denoise(
    series: TimeSeries,
    confounds: pd.DataFrame | None,
    *,
    strategy: str = "36P",
    band_hz: Band | None,
    order: str = "default",
    filter_order: int | None = None,
    min_remaining_df: int = 15,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> TimeSeries:
    """Regress confounds out of a run and filter it, letting censored frames have no say.

    The order ``default``: censored frames are filled linearly (edges held); data and confounds are
    detrended (straight line) and band-passed alike (Butterworth, forwards and backwards, ends held
    constant); censored frames leave; the confounds are z-scored over kept frames and regressed out
    by least squares that finds their rank. Every step is one and the same linear operator for all
    parcels, so averaging voxels before or after makes no difference. The other orders stand in
    `connectrial.fc.orders.ORDERS`, each with its steps, its reason and how its df are counted.

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
    order : {"default", "passband", "joint", "project", "xcpd", "washu"}
        The order of the steps.
    filter_order : int, optional
        Order of the Butterworth filter of ``default`` and ``xcpd`` (2 by default); its attenuation
        doubles by running both ways. ``washu`` has one of order 1 by definition, the others have
        none.
    min_remaining_df : int
        Fewest degrees of freedom that may be left. A session of several runs is judged by their
        sum: then pass 1 here and judge the sum.
    metadata : mapping, optional
        The confounds' JSON sidecar (see `resolve_confounds`).

    Returns
    -------
    TimeSeries
        Residuals in the unit of the input, mean 0 over kept frames, NaN in censored frames;
        ``remaining_df`` is what the confounds leave of `passband_dimensions`.

    Raises
    ------
    InputError
        If there are no confounds to regress, columns are missing or hold no number in a kept frame,
        lengths differ, the band does not suit the repetition time, the order is unknown or cannot
        be computed on these frames, or fewer than `min_remaining_df` degrees of freedom are left.

    References
    ----------
    Order of steps: Lindquist et al. 2019, Hum Brain Mapp 40, 2358-2376; confounds filtered like
    the data: Hallquist et al. 2013, NeuroImage 82, 208-225. ``project``: AFNI 3dTproject.
    ``xcpd``: Mehta et al. 2024, Imaging Neurosci 2. ``washu``: Power et al. 2014, NeuroImage 84,
    320-341.
    """
    return denoise_detail(
        series,
        confounds,
        strategy=strategy,
        band_hz=band_hz,
        order=order,
        filter_order=filter_order,
        min_remaining_df=min_remaining_df,
        metadata=metadata,
    ).series


def denoise_detail(
    series: TimeSeries,
    confounds: pd.DataFrame | None,
    *,
    strategy: str = "36P",
    band_hz: Band | None,
    order: str = "default",
    filter_order: int | None = None,
    min_remaining_df: int = 15,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> Denoised:
    """Denoise a run and say what it cost; parameters and errors are those of `denoise`.

    Returns
    -------
    Denoised
    """
    kept = series.kept
    cleaning, names = build_cleaning(
        kept,
        confounds,
        repetition_time_s=series.repetition_time_s,
        strategy=strategy,
        band_hz=band_hz,
        order=order,
        filter_order=filter_order,
        min_remaining_df=min_remaining_df,
        metadata=metadata,
    )
    usable = np.isfinite(series.signal[kept]).all(axis=0)
    signal = np.full(series.signal.shape, np.nan)
    signal[np.ix_(kept, usable)] = cleaning.clean(series.signal[:, usable])
    return Denoised(
        series=replace(series, signal=signal, remaining_df=int(cleaning.remaining_df)),
        order=order,
        steps=ORDERS[order].steps,
        confounds=names,
        dimensions=int(cleaning.dimensions),
        rank=int(cleaning.rank),
        remaining_df=int(cleaning.remaining_df),
    )


def build_cleaning(
    kept: BoolArray,
    confounds: pd.DataFrame | None,
    *,
    repetition_time_s: float | None,
    strategy: str = "36P",
    band_hz: Band | None,
    order: str = "default",
    filter_order: int | None = None,
    min_remaining_df: int = 15,
    metadata: Mapping[str, Mapping[str, Any]] | None = None,
) -> tuple[Cleaning, tuple[str, ...]]:
    """Set one run's denoising up, ready for parcels and voxels alike.

    Parameters
    ----------
    kept : array of bool, shape (n_frames,)
        Frames that survive censoring.
    confounds, strategy, band_hz, order, filter_order, min_remaining_df, metadata
        As for `denoise`.
    repetition_time_s : float or None
        Seconds between frames.

    Returns
    -------
    cleaning : Cleaning
        What is done to any signal of the run, and what it costs.
    names : tuple of str
        Columns that are regressed.

    Raises
    ------
    InputError
        As `denoise`.
    """
    check_order(order, band_hz=band_hz, filter_order=filter_order)
    if band_hz is not None:
        check_band(band_hz, repetition_time_s)
    names, regressors = _regressors(
        confounds, kept, strategy=strategy, band_hz=band_hz, metadata=metadata
    )
    n_kept = int(kept.sum())
    # Two kept frames make a line to detrend; the df below ask for more, but only after filtering.
    if n_kept < 3:
        raise InputError(
            f"only {n_kept} of {len(kept)} frames are kept; there is nothing to denoise"
        )
    cleaning = ORDERS[order].build(
        regressors,
        Sampling(
            kept=kept,
            repetition_time_s=repetition_time_s,
            band_hz=band_hz,
            filter_order=_DEFAULT_FILTER_ORDER if filter_order is None else filter_order,
        ),
    )
    if cleaning.remaining_df < min_remaining_df:
        raise InputError(
            f"too few degrees of freedom are left: {cleaning.dimensions} in the pass-band of "
            f"{n_kept} kept frames, minus {cleaning.rank} for the confounds of strategy "
            f"{strategy!r}, leaves {cleaning.remaining_df} in order {order!r}; min_remaining_df is "
            f"{min_remaining_df} (a smaller strategy, a wider band or a longer run leaves more)"
        )
    return cleaning, tuple(names)


def check_order(order: str, *, band_hz: Band | None, filter_order: int | None = None) -> None:
    """Refuse an order that is unknown, or settings that would have no effect in it.

    Parameters
    ----------
    order : str
        A key of `connectrial.fc.orders.ORDERS`.
    band_hz : tuple of float, or None
        Pass-band in Hz.
    filter_order : int, optional
        Order of the Butterworth filter; None leaves it to the order.

    Raises
    ------
    InputError
        If the order is unknown, needs a band and has none, or has no filter whose order could be
        chosen while `filter_order` is given.
    """
    if order not in ORDERS:
        near = difflib.get_close_matches(order, ORDERS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"order {order!r} is not known; it must be one of {', '.join(ORDERS)}{hint}"
        )
    if order == "joint" and lets_all_through(band_hz):
        raise InputError("order 'joint' needs band_hz with an edge; without one take 'default'")
    if filter_order is None:
        return
    if filter_order < 1 or int(filter_order) != filter_order:
        raise InputError(f"filter_order must be a whole number, 1 or more; got {filter_order}")
    if lets_all_through(band_hz):
        raise InputError(
            f"filter_order is {filter_order}, but without band_hz nothing is filtered; leave "
            "filter_order out, or give a band"
        )
    fixed = 1 if order == "washu" else None
    if not ORDERS[order].uses_filter_order and filter_order != fixed:
        has = "a Butterworth filter of order 1" if fixed else "no Butterworth filter"
        raise InputError(
            f"filter_order is {filter_order}, but order {order!r} has {has}; leave filter_order out"
        )


def _regressors(
    confounds: pd.DataFrame | None,
    kept: BoolArray,
    *,
    strategy: str,
    band_hz: Band | None,
    metadata: Mapping[str, Mapping[str, Any]] | None,
) -> tuple[list[str], FloatArray]:
    """Return the strategy's columns by name and as an array, complete in every kept frame."""
    n_frames = len(kept)
    if confounds is None:
        if strategy == "none":
            return [], np.empty((n_frames, 0))
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
    return names, values
