"""What a ready-made matrix of correlations must be, and what in it counts as missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError

_ROUNDING = 1e-6  # what a matrix printed to few digits may be off by


def check_symmetry(path: Path, matrix: FloatArray, index: pd.Index) -> None:
    """Refuse a matrix whose two triangles differ; name the pair that differs most."""
    with np.errstate(invalid="ignore"):
        gap = np.abs(matrix - matrix.T)
    gap[np.isinf(matrix) & (matrix == matrix.T)] = 0.0
    one_sided = np.isnan(matrix) != np.isnan(matrix.T)
    gap[one_sided] = np.inf
    if not matrix.size or np.isnan(gap).all() or np.nanmax(gap) <= _ROUNDING:
        return
    i, j = sorted(int(k) for k in np.unravel_index(np.nanargmax(gap), gap.shape))
    lower, upper = np.tril_indices_from(matrix, -1), np.triu_indices_from(matrix, 1)
    advice = "write both triangles"
    if np.nan_to_num(matrix[lower]).any() and np.nan_to_num(matrix[upper]).any():
        advice = "a matrix of correlations is the same on both sides of its diagonal"
    raise InputError(
        f"{path}: not symmetric: {index[i]} with {index[j]} is {matrix[i, j]:g} above the diagonal "
        f"and {matrix[j, i]:g} below; {advice}"
    )


def check_correlations(path: Path, r: FloatArray, index: pd.Index, diagonal: FloatArray) -> None:
    """Refuse values beyond -1 to 1, and a diagonal that no matrix of r has."""
    beyond: BoolArray = np.abs(r) > 1.0 + _ROUNDING
    if beyond.any():
        i, j = (int(k) for k in np.argwhere(beyond)[0])
        raise InputError(
            f"{path}: {int(beyond.sum()) // 2} values lie beyond [-1, 1], first {r[i, j]:g} for "
            f"{index[i]} with {index[j]}; if the file holds Fisher z, set [data] values = 'z'"
        )
    odd = ~(np.isnan(diagonal) | (diagonal == 0.0) | (np.abs(diagonal - 1.0) <= 1e-4))
    if odd.any():
        i = int(np.argmax(odd))
        raise InputError(
            f"{path}: {diagonal[i]:g} on the diagonal at {index[i]}; a matrix of r has 1, 0 or n/a "
            "there: is this a covariance matrix?"
        )


def without_empty(path: Path, matrix: FloatArray, index: pd.Index, notes: list[str]) -> FloatArray:
    """Turn rows of zeros, which some tools write for parcels without data, into NaN."""
    zero = np.nan_to_num(matrix, nan=0.0).any(axis=1)
    empty = ~zero & ~np.isnan(matrix).all(axis=1) if len(index) > 2 else np.zeros(len(index), bool)
    # Cells against empty parcels are NaN, not zero, when the file marks them itself.
    if empty.any():
        matrix[empty, :] = np.nan
        matrix[:, empty] = np.nan
        notes.append(
            f"{path.name}: {int(empty.sum())} parcels have a row of zeros and count as without "
            f"data: {', '.join(map(str, index[np.flatnonzero(empty)[:5]]))}"
        )
    return matrix


def without_doubles(
    path: Path, matrix: FloatArray, index: pd.Index, notes: list[str], *, limit: float
) -> FloatArray:
    """Turn pairs with |r| = 1, one signal under two names, into NaN: their z is infinite."""
    one = np.abs(matrix) >= limit
    if not one.any():
        return matrix
    pairs = [(int(i), int(j)) for i, j in np.argwhere(np.triu(one))]
    shown = ", ".join(f"{index[i]} with {index[j]}" for i, j in pairs[:3])
    notes.append(
        f"{path.name}: {len(pairs)} pairs of parcels have |r| = 1 (one signal twice), whose z is "
        f"infinite; they are left out as NaN: {shown}"
    )
    return np.where(one, np.nan, matrix)
