"""Seed maps over parcels: the connectivity of a seed, or of the whole, with every parcel."""

from __future__ import annotations

from typing import Literal

import numpy as np

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError


def parcel_profile(
    z: FloatArray, seed: BoolArray, *, statistic: Literal["mean_z", "mean_r"] = "mean_z"
) -> FloatArray:
    """Return the mean connectivity of every parcel with the parcels of a seed.

    Parameters
    ----------
    z : array, shape (n_parcels, n_parcels)
        Fisher z of one session, symmetric; NaN where unknown.
    seed : array of bool, shape (n_parcels,)
        The seed. A parcel of the seed is compared with the others of it; with every parcel in the
        seed this is global connectivity.
    statistic : {"mean_z", "mean_r"}
        Mean of Fisher z, or of correlations.

    Returns
    -------
    array, shape (n_parcels,)
        NaN where no edge with the seed is known.

    Raises
    ------
    InputError
        If the seed has no parcel, or is not as long as the matrix.
    """
    if seed.shape != (len(z),):
        raise InputError(f"the seed has {len(seed)} parcels, the matrix {len(z)}")
    if not seed.any():
        raise InputError("the seed has no parcel")
    edges = np.where(np.eye(len(z), dtype=bool), np.nan, z)[:, seed]
    if statistic == "mean_r":
        edges = np.tanh(edges)
    known = np.isfinite(edges)
    count = known.sum(axis=1)
    total = np.where(known, edges, 0.0).sum(axis=1)
    mean: FloatArray = np.full(len(z), np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
