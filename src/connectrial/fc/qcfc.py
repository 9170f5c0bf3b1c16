"""Does motion still show in connectivity: each edge's correlation with it over sessions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError

# A column whose spread is this small beside its size is a constant with rounding.
_CONSTANT = 1e-12
_FEWEST_SESSIONS = 4


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class QCFC:
    """Correlation of motion with every edge, and its summary.

    Attributes
    ----------
    r : array, shape (n_edges,)
        Pearson correlation over sessions of mean FD with the edge's Fisher z; NaN where too few
        sessions have the edge, or it does not vary.
    p : array, shape (n_edges,)
        Two-sided, by t with `df` degrees of freedom.
    p_adjusted : array, shape (n_edges,)
        Within the edges that have a p, by `adjustment`.
    df : array, shape (n_edges,)
        Sessions less 2; within subjects, sessions less subjects less 1.
    adjustment : str
        ``fdr_bh`` or ``fdr_by``.
    alpha : float
        Level that `share_significant` refers to.
    share_significant : float
        Share of edges with a p (0 to 1) whose adjusted p is below `alpha`.
    median_abs_r : float
        Median absolute r; without any relation about 0.67 / sqrt(df + 1).
    expected_median_abs_r : float
        What it would be if motion and connectivity were unrelated, at these `df`.
    distance_slope_per_mm : float
        Least-squares slope of r over the distance of the two parcels; NaN without distances.
    distance_rho : float
        Spearman correlation of r with distance; NaN without distances.
    """

    r: FloatArray
    p: FloatArray
    p_adjusted: FloatArray
    df: NDArray[np.intp]
    adjustment: str
    alpha: float
    share_significant: float
    median_abs_r: float
    expected_median_abs_r: float
    distance_slope_per_mm: float
    distance_rho: float

    @property
    def summary(self) -> pd.Series:
        """Return the measures of the whole matrix by name, with the number of edges."""
        return pd.Series(
            {
                "n_edges": float(np.count_nonzero(~np.isnan(self.r))),
                "share_significant": self.share_significant,
                "median_abs_r": self.median_abs_r,
                "expected_median_abs_r": self.expected_median_abs_r,
                "distance_slope_per_mm": self.distance_slope_per_mm,
                "distance_rho": self.distance_rho,
            }
        )


def qc_fc(
    fc_z: FloatArray,
    fd_mm: FloatArray,
    *,
    distance_mm: FloatArray | None = None,
    subjects: ArrayLike | None = None,
    alpha: float = 0.05,
    adjustment: Literal["fdr_bh", "fdr_by"] = "fdr_bh",
) -> QCFC:
    """Correlate mean FD with every edge over sessions.

    Parameters
    ----------
    fc_z : array, shape (n_sessions, n_edges)
        Fisher z; NaN where a session lacks an edge, which then rests on the others.
    fd_mm : array, shape (n_sessions,)
        Mean framewise displacement of each session, in mm.
    distance_mm : array, shape (n_edges,), optional
        Distance between the edge's parcels, in mm (see `edge_distances`).
    subjects : array, shape (n_sessions,), optional
        Whose session it is. Then both sides are centred within subjects: sessions in which a person
        moved more against the same person's others. Without it give one session per person, or
        know that p values take sessions of one person for independent.
    alpha : float
        Level of the share of significant edges.
    adjustment : {"fdr_bh", "fdr_by"}
        Benjamini-Hochberg or Benjamini-Yekutieli, over all edges.

    Returns
    -------
    QCFC
        It cannot tell artefact from a trait that goes with moving; it ranks strategies, and shows
        what is left, on one and the same people.

    Raises
    ------
    InputError
        If shapes differ, FD is missing, negative or constant, a Fisher z
        is infinite, fewer than 4 sessions are given, or a
        word is unknown.

    References
    ----------
    Ciric et al. 2017, NeuroImage 154, 174-187; Parkes et al. 2018, NeuroImage 171, 415-436.
    """
    return qc_fc_of_blocks(
        (fc_z,),
        fd_mm,
        distance_mm=distance_mm,
        subjects=subjects,
        alpha=alpha,
        adjustment=adjustment,
    )


def qc_fc_of_blocks(
    blocks: Iterable[FloatArray],
    fd_mm: FloatArray,
    *,
    distance_mm: FloatArray | None = None,
    subjects: ArrayLike | None = None,
    alpha: float = 0.05,
    adjustment: Literal["fdr_bh", "fdr_by"] = "fdr_bh",
) -> QCFC:
    """Correlate mean FD with every edge over sessions, a block of edges at a time.

    Parameters
    ----------
    blocks : iterable of array, shape (n_sessions, some edges)
        Fisher z, from the first edge to the last.
    fd_mm, distance_mm, subjects, alpha, adjustment
        As for :func:`qc_fc`.

    Returns
    -------
    QCFC
        That of :func:`qc_fc` on all edges at once.

    Raises
    ------
    InputError
        As of :func:`qc_fc`.
    """
    from scipy import stats

    found = [_correlate_all(*_checked(one, fd_mm, subjects)) for one in blocks]
    r = np.concatenate([one for one, _ in found])
    df = np.concatenate([one for _, one in found])
    n_edges = len(r)
    if distance_mm is not None:
        distance_mm = np.asarray(distance_mm, dtype=np.float64)
        if distance_mm.shape != (n_edges,) or not np.isfinite(distance_mm).all():
            raise InputError(
                f"distance_mm must have a finite value for each of {n_edges} edges; got shape "
                f"{distance_mm.shape}"
            )
    if adjustment not in ("fdr_bh", "fdr_by"):
        raise InputError(f"adjustment must be 'fdr_bh' or 'fdr_by'; got {adjustment!r}")
    if not 0 < alpha < 1:
        raise InputError(f"alpha must lie between 0 and 1; got {alpha}")

    known = ~np.isnan(r)
    p, p_adjusted = np.full(n_edges, np.nan), np.full(n_edges, np.nan)
    with np.errstate(divide="ignore"):
        statistic = r[known] * np.sqrt(df[known] / (1 - r[known] ** 2))
    p[known] = 2 * stats.t.sf(np.abs(statistic), df[known])
    if known.any():
        method: Any = adjustment.removeprefix("fdr_")
        p_adjusted[known] = stats.false_discovery_control(p[known], method=method)
    slope = rho = float("nan")
    if distance_mm is not None:
        slope, rho = distance_trend(r, distance_mm)
    quartile = stats.t.ppf(0.75, np.maximum(df[known], 1))
    return QCFC(
        r=r,
        p=p,
        p_adjusted=p_adjusted,
        df=df,
        adjustment=adjustment,
        alpha=alpha,
        share_significant=float(np.mean(p_adjusted[known] < alpha)) if known.any() else np.nan,
        median_abs_r=float(np.median(np.abs(r[known]))) if known.any() else np.nan,
        expected_median_abs_r=(
            float(np.median(quartile / np.sqrt(quartile**2 + df[known]))) if known.any() else np.nan
        ),
        distance_slope_per_mm=slope,
        distance_rho=rho,
    )


def distance_trend(r: FloatArray, distance_mm: FloatArray) -> tuple[float, float]:
    """Relate the correlation of motion with edges to the edges' length.

    Parameters
    ----------
    r : array, shape (n_edges,)
        NaN where it is not known.
    distance_mm : array, shape (n_edges,)
        NaN where it is not known.

    Returns
    -------
    slope_per_mm, rho : float
        Of least squares, and Spearman's; NaN where no two distances differ.
    """
    from scipy import stats

    known = np.isfinite(r) & np.isfinite(distance_mm)
    if not known.any() or np.ptp(distance_mm[known]) == 0:
        return float("nan"), float("nan")
    slope = float(stats.linregress(distance_mm[known], r[known]).slope)
    return slope, float(stats.spearmanr(distance_mm[known], r[known]).statistic)


def compare_qc_fc(before: QCFC, after: QCFC) -> pd.DataFrame:
    """Set the relation of motion and connectivity before denoising beside that after it.

    Parameters
    ----------
    before, after : QCFC
        Of the same sessions and edges.

    Returns
    -------
    pandas.DataFrame
        Indexed by measure: ``before``, ``after``, ``difference`` (after minus before).

    Raises
    ------
    InputError
        If the two have different numbers of edges, levels or adjustments.
    """
    if len(before.r) != len(after.r):
        raise InputError(
            f"before has {len(before.r)} edges and after {len(after.r)}; only the same edges can "
            "be compared"
        )
    if (before.alpha, before.adjustment) != (after.alpha, after.adjustment):
        raise InputError("before and after were judged at different levels or adjustments")
    table = pd.DataFrame({"before": before.summary, "after": after.summary})
    table["difference"] = table["after"] - table["before"]
    table.index.name = "measure"
    return table


def edge_distances(
    centroids_mm: FloatArray, *, edges: NDArray[np.intp] | None = None
) -> FloatArray:
    """Return the straight distance between the two parcels of every edge.

    Parameters
    ----------
    centroids_mm : array, shape (n_parcels, 3)
        Parcels' centres in mm.
    edges : array of int, shape (n_edges, 2), optional
        Pairs of parcels; by default the row-major upper triangle without diagonal.

    Returns
    -------
    array, shape (n_edges,)
        In mm.

    Raises
    ------
    InputError
        If the centres are not (n_parcels, 3).
    """
    centroids_mm = np.asarray(centroids_mm, dtype=np.float64)
    if centroids_mm.ndim != 2 or centroids_mm.shape[1] != 3:
        raise InputError(f"centroids_mm must be (n_parcels, 3); got {centroids_mm.shape}")
    if edges is None:
        edges = np.column_stack(np.triu_indices(len(centroids_mm), 1))
    difference = centroids_mm[edges[:, 0]] - centroids_mm[edges[:, 1]]
    return np.asarray(np.sqrt(np.sum(difference**2, axis=1)), dtype=np.float64)


def _checked(
    fc_z: FloatArray, fd_mm: FloatArray, subjects: ArrayLike | None
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Return checked arrays and a code per session of what it is centred with."""
    fc_z, fd_mm = np.asarray(fc_z, dtype=np.float64), np.asarray(fd_mm, dtype=np.float64)
    if fc_z.ndim != 2 or fd_mm.shape != (len(fc_z),):
        raise InputError(
            f"fc_z must be (n_sessions, n_edges) and fd_mm (n_sessions,); got {fc_z.shape} and "
            f"{fd_mm.shape}"
        )
    if np.isinf(fc_z).any():
        session, edge = (int(i) for i in np.argwhere(np.isinf(fc_z))[0])
        raise InputError(
            f"fc_z is infinite in session {session}, edge {edge} (counted from 0): a correlation "
            "of 1 has no Fisher z; leave the edge out (NaN)"
        )
    if len(fd_mm) < _FEWEST_SESSIONS:
        raise InputError(
            f"motion can be related to connectivity over {_FEWEST_SESSIONS} sessions or more; got "
            f"{len(fd_mm)}"
        )
    if not np.isfinite(fd_mm).all() or (fd_mm < 0).any():
        session = int(np.flatnonzero(~(np.isfinite(fd_mm) & (fd_mm >= 0)))[0])
        raise InputError(
            f"fd_mm of session {session} (counted from 0) is {fd_mm[session]}; every session needs "
            "its mean framewise displacement in mm"
        )
    if subjects is None:
        codes = np.zeros(len(fd_mm), dtype=np.intp)
    else:
        codes = np.asarray(pd.factorize(np.asarray(subjects))[0], dtype=np.intp)
        if codes.shape != fd_mm.shape or (codes < 0).any():
            raise InputError(f"subjects must name one for each of {len(fd_mm)} sessions")
    left = _centred(fd_mm[:, np.newaxis], codes)
    if np.abs(left).max() <= _CONSTANT * fd_mm.max():
        where = "" if subjects is None else " within every subject"
        raise InputError(f"fd_mm is the same in all sessions{where}; nothing can relate to it")
    return fc_z, fd_mm, codes


def _centred(values: FloatArray, codes: NDArray[np.intp]) -> FloatArray:
    member = (codes[:, np.newaxis] == np.unique(codes)).astype(np.float64)
    means = (member.T @ values) / member.sum(axis=0)[:, np.newaxis]
    return np.asarray(values - member @ means, dtype=np.float64)


def _correlate_all(
    fc_z: FloatArray, fd_mm: FloatArray, codes: NDArray[np.intp]
) -> tuple[FloatArray, NDArray[np.intp]]:
    """Correlate every column with motion; columns that miss the same sessions go together."""
    n_edges = fc_z.shape[1]
    r, df = np.full(n_edges, np.nan), np.zeros(n_edges, dtype=np.intp)
    present = np.isfinite(fc_z)
    patterns, which = np.unique(present, axis=1, return_inverse=True)
    for number, pattern in enumerate(patterns.T):
        edges = np.flatnonzero(which.ravel() == number)
        r[edges], df[edges] = _correlate(
            fc_z[np.ix_(pattern, edges)], fd_mm[pattern], codes[pattern]
        )
    return r, df


def _correlate(
    values: FloatArray, fd_mm: FloatArray, codes: NDArray[np.intp]
) -> tuple[FloatArray, int]:
    """Correlate complete columns with motion, centred by code; NaN where nothing varies."""
    r = np.full(values.shape[1], np.nan)
    df = len(fd_mm) - len(np.unique(codes)) - 1
    if df < 1:
        return r, max(df, 0)
    motion = _centred(fd_mm[:, np.newaxis], codes)[:, 0]
    edges = _centred(values, codes)
    size = np.sqrt(np.sum(edges**2, axis=0))
    length = float(np.sqrt(motion @ motion))
    varies = size > _CONSTANT * np.abs(values).max(axis=0) * np.sqrt(len(values))
    if length > _CONSTANT * fd_mm.max():
        r[varies] = np.clip(motion @ edges[:, varies] / (size[varies] * length), -1.0, 1.0)
    return r, df
