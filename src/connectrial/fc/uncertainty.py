"""How far a Fisher z may be off: by the degrees of freedom left, or by each pair's own memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray, TimeSeries
from connectrial.errors import InputError
from connectrial.fc.connectivity import StandardRuns, standardise_runs

# Autocorrelations inside this many standard errors of 0 end the memory of a series (95 %).
_WHITE_NOISE_QUANTILE = 1.959963984540054


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StandardErrors:
    """Standard errors of the Fisher z of one session.

    Attributes
    ----------
    se : array, shape (n_parcels, n_parcels)
        Symmetric; NaN on the diagonal and for parcels without data.
    parcels : pandas.Index
        Parcel names, in row order.
    method : str
        In words, with what it rests on.
    """

    se: FloatArray
    parcels: pd.Index
    method: str


def z_standard_error(remaining_df: float) -> float:
    """Return the standard error of a Fisher z that rests on so many degrees of freedom.

    Parameters
    ----------
    remaining_df : float
        Dimensions of the denoised signal, summed over runs (``TimeSeries.remaining_df``). For n
        independent frames whose mean was removed they are n - 1, which gives 1 / sqrt(n - 3).

    Returns
    -------
    float
        1 / sqrt(remaining_df - 2); NaN for 2 or fewer.

    References
    ----------
    Fisher 1921, Metron 1, 3-32; effective df after filtering: Davey et al. 2013, NeuroImage 64,
    728-740.
    """
    return float(1 / np.sqrt(remaining_df - 2)) if remaining_df > 2 else float("nan")


def standard_errors(
    series: TimeSeries | Sequence[TimeSeries],
    *,
    method: Literal["remaining-df", "xdf"] = "remaining-df",
) -> StandardErrors:
    """Return the standard error of every Fisher z of a session.

    ``remaining-df`` gives all pairs the same, from the degrees of freedom that denoising left.
    ``xdf`` lets each pair have its own, from its auto- and cross-correlations: with sums over lags
    k = 1 ... M, w(k) the pairs of kept frames k apart and n the kept frames,

        var r = [n (1 - r^2)^2 + r^2 sum w (xx^2 + yy^2 + xy^2 + yx^2)
                 - 2 r sum w (xx + yy) (xy + yx) + 2 sum w (xx yy + xy yx)] / n^2,

    divided by (1 - r^2)^2 for z, and never less than for white noise. M is the longer of the two
    series' memories, which end before the first autocorrelation inside 1.96 / sqrt(n). A band-pass
    makes autocorrelations come back after that: on white noise, 1200 frames of 0.72 s, 36P and 0.009
    to 0.08 Hz, z spreads by 0.105, where ``xdf`` says 0.074 and ``remaining-df`` 0.117. So ``xdf``
    suits unfiltered or high-passed series; filtered ones are safer with ``remaining-df``.

    Parameters
    ----------
    series : TimeSeries or sequence of TimeSeries
        The runs of one session. Censored frames leave gaps; lags never bridge runs.
    method : {"remaining-df", "xdf"}
        See above.

    Returns
    -------
    StandardErrors
        For the Fisher z of the concatenated runs.

    Raises
    ------
    InputError
        If the method is unknown, ``remaining-df`` is asked of a run that was not denoised here, or
        as `connectrial.fc.connectivity.correlate_parcels`.

    References
    ----------
    Afyouni et al. 2019, NeuroImage 199, 609-625 (its weights T - 2 - k are here the exact numbers
    of pairs, which differ by 2 and know of censoring).
    """
    if method not in ("remaining-df", "xdf"):
        raise InputError(f"method must be 'remaining-df' or 'xdf'; got {method!r}")
    all_runs = [series] if isinstance(series, TimeSeries) else list(series)
    pooled = standardise_runs(all_runs)
    se = np.full((len(pooled.parcels),) * 2, np.nan)
    block = np.ix_(pooled.present, pooled.present)
    if method == "remaining-df":
        if any(run.remaining_df is None for run in all_runs):
            raise InputError(
                "these series were not denoised here, so the degrees of freedom that are left are "
                "not known; take method 'xdf'"
            )
        se[block] = z_standard_error(pooled.df)
        said = f"{pooled.df} degrees of freedom left after denoising"
    else:
        se[block] = np.sqrt(_xdf_variance([run.kept for run in all_runs], pooled))
        said = f"xDF over {pooled.n_frames} kept frames"
    np.fill_diagonal(se, np.nan)
    return StandardErrors(se=se, parcels=pooled.parcels, method=said)


def _xdf_variance(kept: list[BoolArray], pooled: StandardRuns) -> FloatArray:
    """Return the variance of z, shape (n_present, n_present); the diagonal means nothing."""
    n_frames, n_parcels = pooled.n_frames, len(pooled.present)
    # Censored frames are zeros: they add nothing to a sum of products.
    padded = []
    for mask, standard in zip(kept, pooled.standard, strict=True):
        values = np.zeros((len(mask), n_parcels))
        values[mask] = standard
        padded.append((mask, values))
    r = np.sum([values.T @ values for _, values in padded], axis=0) / n_frames
    memory = _memory(padded, n_frames)
    longest = np.maximum(memory, memory[:, np.newaxis])
    squares, mixed, products = (np.zeros((n_parcels, n_parcels)) for _ in range(3))
    for lag in range(1, int(memory.max(initial=0)) + 1):
        n_pairs, crossed = _crossed(padded, lag)
        if n_pairs == 0:
            continue
        forward = np.where(lag <= longest, crossed / n_pairs, 0.0)
        backward = forward.T
        own = np.where(lag <= memory, np.diagonal(crossed) / n_pairs, 0.0)
        both = own + own[:, np.newaxis]
        squares += n_pairs * (own**2 + own[:, np.newaxis] ** 2 + forward**2 + backward**2)
        mixed += n_pairs * both * (forward + backward)
        products += n_pairs * (own * own[:, np.newaxis] + forward * backward)
    white = (1 - r**2) ** 2
    variance = (n_frames * white + r**2 * squares - 2 * r * mixed + 2 * products) / n_frames**2
    np.fill_diagonal(white, 1.0)
    return np.asarray(np.maximum(variance / white, 1 / n_frames), dtype=np.float64)


def _memory(padded: list[tuple[BoolArray, FloatArray]], n_frames: int) -> NDArray[np.intp]:
    """Return for each parcel the lags before its autocorrelation first sinks into noise."""
    n_parcels = padded[0][1].shape[1]
    memory = np.zeros(n_parcels, dtype=np.intp)
    going_on = np.ones(n_parcels, dtype=bool)
    limit = _WHITE_NOISE_QUANTILE / np.sqrt(n_frames)
    for lag in range(1, max(len(mask) for mask, _ in padded) - 1):
        n_pairs, products = 0, np.zeros(n_parcels)
        for mask, values in padded:
            n_pairs += int(np.count_nonzero(mask[lag:] & mask[:-lag]))
            products += np.sum(values[lag:] * values[:-lag], axis=0)
        # A lag that censoring left without pairs says nothing; the memory goes on across it.
        if n_pairs:
            going_on &= np.abs(products / n_pairs) > limit
        if not going_on.any():
            break
        memory[going_on] = lag
    return memory


def _crossed(padded: list[tuple[BoolArray, FloatArray]], lag: int) -> tuple[int, FloatArray]:
    """Return the pairs of kept frames `lag` apart and their sums of products, row before column."""
    n_pairs = 0
    crossed = np.zeros((padded[0][1].shape[1],) * 2)
    for mask, values in padded:
        n_pairs += int(np.count_nonzero(mask[lag:] & mask[:-lag]))
        crossed += values[:-lag].T @ values[lag:]
    return n_pairs, crossed
