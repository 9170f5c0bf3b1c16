"""Straight lines and other columns taken out of kept frames, and the rank that this costs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from connectrial.data import BoolArray, FloatArray

# A column whose spread falls below this share of its former size was a constant or a straight
# line: what detrending leaves of it is rounding, which z-scoring would blow up to a confound.
_NOTHING_LEFT = 1e-10
# Directions of the z-scored confounds with a singular value below this share of the largest are
# taken for linear dependence.
RANK_TOLERANCE = 1e-8

Transform = Callable[[FloatArray], FloatArray]


def effective_df(covariance: FloatArray) -> int:
    """Return the independent dimensions that give correlations of this noise the same spread."""
    squares = float(np.sum(covariance**2))
    return int(np.trace(covariance) ** 2 / squares + 1e-9) if squares > 0 else 0


def straightener(kept: BoolArray) -> Transform:
    """Return the function that takes a straight line, fitted over kept frames, out of them.

    It maps (n_frames, n_columns) to (n_kept, n_columns) and never looks at censored frames.
    """
    frames = np.flatnonzero(kept)
    time = frames - frames.mean()
    line = np.column_stack(
        [np.full(len(frames), 1 / np.sqrt(len(frames))), time / np.sqrt(time @ time)]
    )

    def straighten(values: FloatArray) -> FloatArray:
        chosen = values[kept]
        straight = chosen - project(line, chosen)
        return zero_where_nothing_is_left(straight, np.abs(chosen).max(axis=0))

    return straighten


def project(basis: FloatArray, values: FloatArray) -> FloatArray:
    """Return what an orthonormal basis, shape (n_kept, rank), explains of columns."""
    return np.asarray(basis @ (basis.T @ values), dtype=np.float64)


def zero_where_nothing_is_left(values: FloatArray, former_size: FloatArray) -> FloatArray:
    """Return columns, those of them as 0 whose spread is only rounding of their former size."""
    spread = np.sqrt(np.mean(values**2, axis=0))
    return np.where(spread > _NOTHING_LEFT * former_size, values, 0.0)


def orthonormal_basis(columns: FloatArray) -> FloatArray:
    """Return an orthonormal basis, shape (n_kept, rank), of columns brought to equal size."""
    spread = np.sqrt(np.mean(columns**2, axis=0))
    standard = columns[:, spread > 0] / spread[spread > 0]
    if standard.shape[1] == 0:
        return np.empty((len(columns), 0))
    left, size, _ = np.linalg.svd(standard, full_matrices=False)
    return np.asarray(left[:, size > RANK_TOLERANCE * size[0]], dtype=np.float64)
