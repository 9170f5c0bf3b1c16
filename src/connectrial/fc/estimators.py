"""Connectivity by other estimators than plain Pearson correlation, each of them named."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.data import Connectivity, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.connectivity import (
    correlate_parcels,
    fisher_z,
    refuse_identical,
    standardise_runs,
)

Estimator = Literal["pearson", "partial"]
Shrinkage = Literal["none", "ledoit-wolf"]
Runs = Literal["concatenate", "average"]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Estimate:
    """Connectivity of one session and how it was estimated.

    Attributes
    ----------
    connectivity : Connectivity
        Fisher z; its notes name the estimator too.
    estimator : str
        In words: which correlation, empirical or shrunk.
    shrinkage : float
        Weight of the identity, 0 (empirical) to 1; the mean over runs where they are averaged.
    df : int
        Dimensions of the signal less the parcels that a partial correlation holds fixed.
    """

    connectivity: Connectivity
    estimator: str
    shrinkage: float
    df: int


def estimate_connectivity(
    series: TimeSeries | Sequence[TimeSeries],
    *,
    estimator: Estimator = "pearson",
    shrinkage: Shrinkage = "none",
    runs: Runs = "concatenate",
) -> Estimate:
    """Estimate full or partial correlations, empirically or, if asked, shrunk.

    A partial correlation is that of two parcels with all others held fixed; it needs more
    dimensions of signal than there are parcels, or shrinkage. Shrinkage pulls all correlations
    towards 0 by an amount that depends on the scan's length and noise: sessions of unlike quality
    then differ for that alone.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        The runs of one session, with the same parcels in the same order.
    estimator : {"pearson", "partial"}
        Full correlation, or given all other parcels with data.
    shrinkage : {"none", "ledoit-wolf"}
        Ledoit and Wolf's towards the identity, which counts frames as independent.
    runs : {"concatenate", "average"}
        As in `correlate_parcels`.

    Returns
    -------
    Estimate

    Raises
    ------
    InputError
        If a word is unknown, a partial correlation is asked of fewer dimensions than parcels
        without shrinkage, or as `correlate_parcels`.

    References
    ----------
    Ledoit and Wolf 2004, J Multivar Anal 88, 365-411; Marrelec et al. 2006, NeuroImage 32, 228-237.
    """
    for name, value, allowed in (
        ("estimator", estimator, ("pearson", "partial")),
        ("shrinkage", shrinkage, ("none", "ledoit-wolf")),
        ("runs", runs, ("concatenate", "average")),
    ):
        if value not in allowed:
            raise InputError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
    words = ("partial correlation" if estimator == "partial" else "Pearson correlation") + (
        ", empirical" if shrinkage == "none" else ", Ledoit-Wolf shrinkage"
    )
    pooled = standardise_runs(series)
    if estimator == "pearson" and shrinkage == "none":
        plain = correlate_parcels(series, runs=runs)
        return _named(plain, estimator=words, shrinkage=0.0, df=pooled.df)

    n_parcels = len(pooled.present)
    held_fixed = max(0, n_parcels - 2) if estimator == "partial" else 0
    blocks = [np.concatenate(pooled.standard)] if runs == "concatenate" else list(pooled.standard)
    names = pooled.parcels[pooled.present]
    if estimator == "partial" and shrinkage == "none":
        dfs = [pooled.df] if runs == "concatenate" else list(pooled.run_df)
        for df in dfs:
            if df < n_parcels:
                raise InputError(
                    f"a partial correlation of {n_parcels} parcels needs as many dimensions of "
                    f"signal and {df} are left (frames after censoring and denoising"
                    f"{'' if runs == 'concatenate' else ', in a single run'}); ask for "
                    "shrinkage = 'ledoit-wolf', or take fewer parcels"
                )
    values, amounts = [], []
    for standard in blocks:
        r = standard.T @ standard / max(len(standard), 1)
        refuse_identical(r, names)
        amount = _ledoit_wolf(standard, r) if shrinkage == "ledoit-wolf" else 0.0
        # The variances are 1, so the target is the identity and the diagonal stays 1.
        shrunk = (1 - amount) * r + amount * np.eye(n_parcels)
        values.append(fisher_z(_partial(shrunk) if estimator == "partial" else _clipped(shrunk)))
        amounts.append(amount)
    fc_z = np.full((len(pooled.parcels),) * 2, np.nan)
    fc_z[np.ix_(pooled.present, pooled.present)] = np.mean(values, axis=0)
    return _named(
        Connectivity(z=fc_z, parcels=pooled.parcels, n_frames=pooled.n_frames, notes=pooled.notes),
        estimator=words,
        shrinkage=float(np.mean(amounts)),
        df=pooled.df - held_fixed * len(blocks),
    )


def seed_connectivity(
    series: TimeSeries | Sequence[TimeSeries], seed: Iterable[str], *, runs: Runs = "concatenate"
) -> pd.Series:
    """Correlate the mean signal of some parcels with every other parcel.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        The runs of one session, with the same parcels in the same order.
    seed : iterable of str
        Parcels whose signals are averaged, as they are, in every frame.
    runs : {"concatenate", "average"}
        As in `correlate_parcels`.

    Returns
    -------
    pandas.Series
        Fisher z, indexed by parcel; NaN for the seed's own parcels and those without data.
        ``attrs["missing_seed"]`` lists parcels of the seed without data, which the mean leaves out.

    Raises
    ------
    InputError
        If the seed is empty, names a parcel that is not there, or has no data at all; or as
        `correlate_parcels`.
    """
    all_runs = [series] if isinstance(series, TimeSeries) else list(series)
    members = pd.Index(list(seed)).unique()
    pooled = standardise_runs(all_runs)
    position = pooled.parcels.get_indexer(members)
    if len(members) == 0 or (position < 0).any():
        unknown = ", ".join(repr(str(name)) for name in members[position < 0][:5])
        raise InputError(
            f"the seed names {unknown or 'no parcel'}; it must name parcels of the series, which "
            f"has {len(pooled.parcels)} ({', '.join(map(str, pooled.parcels[:3]))}, ...)"
        )
    usable = position[np.isin(position, pooled.present)]
    if len(usable) == 0:
        raise InputError(f"none of the seed's {len(members)} parcels has data in every run")
    others = np.setdiff1d(pooled.present, position)
    values = []
    columns = [run.signal[run.kept] for run in all_runs]
    if runs == "concatenate":
        seeds = np.concatenate([_z_scored(run[:, usable].mean(axis=1)) for run in columns])
        values.append(
            _seed_z(seeds, np.concatenate([_z_scored(run[:, others]) for run in columns]))
        )
    else:
        for run in columns:
            seeds = _z_scored(run[:, usable].mean(axis=1))
            values.append(_seed_z(seeds, _z_scored(run[:, others])))
    result = pd.Series(np.nan, index=pooled.parcels, name="fc_z")
    result.iloc[others] = np.mean(values, axis=0)
    result.attrs["missing_seed"] = [
        str(name) for name in members[~np.isin(position, pooled.present)]
    ]
    return result


def mean_seed_z(connectivity: Connectivity, seed: Iterable[str]) -> pd.Series:
    """Return the mean Fisher z of each parcel with the parcels of a seed.

    Where the seed has several parcels, this is the mean of their connectivity and not, as in
    `seed_connectivity`, the connectivity of their mean; matrices that came ready-made allow no
    other.

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    seed : iterable of str
        Parcel names.

    Returns
    -------
    pandas.Series
        Fisher z, indexed by parcel; NaN for the seed's own parcels, and where no value is present.

    Raises
    ------
    InputError
        If the seed is empty or names a parcel that is not there.
    """
    members = pd.Index(list(seed)).unique()
    position = connectivity.parcels.get_indexer(members)
    if len(members) == 0 or (position < 0).any():
        unknown = ", ".join(repr(str(name)) for name in members[position < 0][:5])
        raise InputError(f"the seed names {unknown or 'no parcel'}; it must name parcels")
    rows = connectivity.z[position]
    count = np.count_nonzero(~np.isnan(rows), axis=0)
    mean = np.divide(
        np.nansum(rows, axis=0), count, where=count > 0, out=np.full(len(count), np.nan)
    )
    mean[position] = np.nan
    return pd.Series(mean, index=connectivity.parcels, name="fc_z")


def _named(connectivity: Connectivity, *, estimator: str, shrinkage: float, df: int) -> Estimate:
    said = f"estimator: {estimator}" + (f" by {shrinkage:.3f}" if shrinkage else "")
    return Estimate(
        connectivity=replace(connectivity, notes=(*connectivity.notes, said)),
        estimator=estimator,
        shrinkage=shrinkage,
        df=df,
    )


def _partial(correlation: FloatArray) -> FloatArray:
    precision = np.linalg.inv(correlation)
    scale = np.sqrt(np.diagonal(precision))
    partial = -precision / scale / scale[:, np.newaxis]
    return _clipped((partial + partial.T) / 2.0)


def _clipped(r: FloatArray) -> FloatArray:
    clipped: FloatArray = np.clip(r, -1.0, 1.0)
    np.fill_diagonal(clipped, 1.0)
    return clipped


def _ledoit_wolf(standard: FloatArray, r: FloatArray) -> float:
    """Return the weight of the identity that makes the expected squared error smallest."""
    n_frames, n_parcels = standard.shape
    if n_parcels < 2:
        return 0.0
    distance = float(np.sum(r**2)) - n_parcels
    # The sum over frames of |x x' - r|^2 is that of |x|^4 less n |r|^2.
    fourth = float(np.sum(np.sum(standard**2, axis=1) ** 2))
    error = (fourth / n_frames - float(np.sum(r**2))) / n_frames
    return 0.0 if distance <= 0 else min(1.0, max(0.0, error / distance))


def _z_scored(values: FloatArray) -> FloatArray:
    centred: FloatArray = values - values.mean(axis=0)
    return np.asarray(centred / np.sqrt(np.mean(centred**2, axis=0)), dtype=np.float64)


def _seed_z(seed: FloatArray, others: FloatArray) -> FloatArray:
    r = np.clip(seed @ others / len(seed), -1.0, 1.0)
    if np.any(np.abs(r) > 1 - 1e-12):
        raise InputError(
            "the seed's signal equals that of a parcel outside it; one series stands under two "
            "names, so leave one of them out"
        )
    return fisher_z(np.asarray(r, dtype=np.float64))
