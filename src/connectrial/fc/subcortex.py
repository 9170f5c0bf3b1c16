"""Cortical signal that bleeds into parcels below the cortex, taken out again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.qcfc import edge_distances

Subcortical = Literal["none", "nearby-cortex"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CleanedSubcortex:
    """Series with cleaned subcortical parcels, and what was taken out of which.

    Attributes
    ----------
    series : TimeSeries
        The others' signals unchanged.
    n_near : pandas.Series
        Number of cortical parcels whose mean was regressed out, by subcortical parcel; 0 where none
        lies near, and the parcel is as it was.
    """

    series: TimeSeries
    n_near: pd.Series


def clean_subcortex(
    series: TimeSeries,
    *,
    subcortical: Subcortical,
    subcortical_parcels: pd.Index,
    centroids_mm: FloatArray,
    nearby_mm: float = 20.0,
) -> CleanedSubcortex:
    """Regress the mean signal of cortical parcels nearby out of each subcortical one.

    Parameters
    ----------
    series : TimeSeries
        One run after denoising, shape (n_frames, n_parcels). Only kept frames are looked at.
    subcortical : {"none", "nearby-cortex"}
        ``none`` returns the series as they are.
    subcortical_parcels : pandas.Index
        Names of the parcels to clean; all others count as cortex.
    centroids_mm : array, shape (n_parcels, 3)
        Centres in mm; NaN where unknown (such cortical parcels are near to none).
    nearby_mm : float
        Cortical parcels count whose centre is at most this far from that of the subcortical one.

    Returns
    -------
    CleanedSubcortex
        Mean and regressor are taken over kept frames; the residual keeps the parcel's mean. One
        degree of freedom of each cleaned parcel is spent, which ``remaining_df`` (that of all
        parcels) does not show.

    Raises
    ------
    InputError
        If a name is not a parcel, a subcortical parcel has no place, or an argument is unknown.

    Notes
    -----
    A stand-in at the level of parcels for what is done by voxel in the literature; no paper fixes
    the distance between parcels' centres.

    References
    ----------
    By voxel within 20 mm: Buckner et al. 2011, J Neurophysiol 106, 2322-2345; Marek et al. 2018,
    Neuron 100, 977-993.
    """
    if subcortical not in ("none", "nearby-cortex"):
        raise InputError(f"subcortical must be 'none' or 'nearby-cortex'; got {subcortical!r}")
    if not nearby_mm > 0:
        raise InputError(f"nearby_mm must be positive; got {nearby_mm}")
    position = series.parcels.get_indexer(subcortical_parcels)
    if (position < 0).any():
        unknown = subcortical_parcels[position < 0][0]
        raise InputError(f"subcortical_parcels: {unknown!r} is no parcel of the series")
    if centroids_mm.shape != (len(series.parcels), 3):
        raise InputError(
            f"centroids_mm must be ({len(series.parcels)}, 3) to match the parcels; got "
            f"{centroids_mm.shape}"
        )
    none = pd.Series(0, index=subcortical_parcels)
    if subcortical == "none":
        return CleanedSubcortex(series=series, n_near=none)
    placeless = np.flatnonzero(np.isnan(centroids_mm[position]).any(axis=1))
    if len(placeless):
        raise InputError(
            f"the place of {subcortical_parcels[placeless[0]]!r} is not known; nearby cortex needs a "
            "label image or columns x_mm, y_mm, z_mm in the atlas table"
        )
    signal, kept = series.signal.copy(), series.kept
    cortex = np.setdiff1d(np.arange(len(series.parcels)), position)
    usable = np.isfinite(signal[np.ix_(kept, cortex)]).all(axis=0)
    usable &= np.isfinite(centroids_mm[cortex]).all(axis=1)
    cortex = cortex[usable]
    n_near = []
    for parcel in position:
        pairs = np.column_stack([np.full(len(cortex), parcel), cortex])
        near = cortex[edge_distances(centroids_mm, edges=pairs) <= nearby_mm]
        n_near.append(len(near))
        if len(near) == 0 or not np.isfinite(signal[kept, parcel]).all():
            continue
        regressor = signal[:, near].mean(axis=1)
        signal[:, parcel] = _without(signal[:, parcel], regressor, kept)
    return CleanedSubcortex(
        series=replace(series, signal=signal), n_near=pd.Series(n_near, index=subcortical_parcels)
    )


def _without(values: FloatArray, regressor: FloatArray, kept: BoolArray) -> FloatArray:
    """Return what a regressor does not explain, by least squares over kept frames."""
    centred = regressor - regressor[kept].mean()
    power = float(centred[kept] @ centred[kept])
    if power <= 0:
        return values
    slope = float(centred[kept] @ values[kept]) / power
    return np.asarray(values - slope * centred, dtype=np.float64)
