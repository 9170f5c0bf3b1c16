"""Taking the mean of all parcels out of each: what is left of global signal regression without voxels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from connectrial.data import TimeSeries
from connectrial.errors import InputError

#: How outputs call it, so that nobody takes it for what it is not.
PARCEL_MEAN = (
    "the mean of all parcels was regressed out of each: an approximation on ready-made series, not "
    "global signal regression, whose signal is that of all voxels"
)


def regress_parcel_mean(series: TimeSeries) -> TimeSeries:
    """Regress the mean over parcels out of every parcel, coefficients from kept frames.

    Parameters
    ----------
    series : TimeSeries
        Parcels without any data are no part of the mean, and stay without.

    Returns
    -------
    TimeSeries
        Residuals around each parcel's own mean; one degree of freedom is spent.

    Raises
    ------
    InputError
        If the mean of all parcels does not vary over kept frames.
    """
    signal, kept = series.signal, series.kept
    known = np.isfinite(signal[kept]).all(axis=0)
    if not known.any():
        raise InputError(
            "no parcel has data in all kept frames, so there is no mean to regress out"
        )
    mean = signal[:, known].mean(axis=1)
    centred = mean - mean[kept].mean()
    power = float((centred[kept] ** 2).sum())
    if power <= np.finfo(float).eps * max(1.0, float((mean[kept] ** 2).sum())):
        raise InputError("the mean of all parcels does not vary, so it cannot be regressed out")
    own = signal - signal[kept].mean(axis=0)
    slope = centred[kept] @ own[kept] / power
    left = None if series.remaining_df is None else series.remaining_df - 1
    return replace(series, signal=signal - np.outer(centred, slope), remaining_df=left)
