"""Outcome and design in coordinates in which nothing depends on units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.design import Design

Array = NDArray[np.float64]

_NO_VARIANCE = 1e-10  # of the outcome's norm: what is left is rounding


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Standardised:
    """An outcome and its design, and the way back.

    Parameters
    ----------
    x : (n_observations, rank) array
        Orthonormal columns.
    outcome : (n_observations, 1) array
        Residual of ordinary least squares, of unit variance.
    scale : float
        Standard deviation that the outcome was divided by.
    basis : (rank, rank) array
        From coefficients of `x` and `outcome` to those of the design, in the outcome's units.
    ordinary : (rank,) array
        Ordinary least squares estimates.
    log_rows : float
        log|X'X| of the design.
    """

    x: Array
    outcome: Array
    scale: float
    basis: Array
    ordinary: Array
    log_rows: float

    def beta(self, coefficients: Array) -> Array:
        """Turn coefficients of `x` into those of the design."""
        return np.asarray(self.ordinary + self.basis @ coefficients)

    def deviance(self, value: float, *, reml: bool) -> float:
        """Minus twice the (restricted) log likelihood in the units of the outcome."""
        n, p = self.x.shape
        extra = 2 * float(np.log(self.scale)) * (n - p if reml else n)
        return float(value + extra + (self.log_rows if reml else 0.0))


def standardise(outcome: str, y: Array, design: Design) -> Standardised:
    """Take out the fixed part and the unit.

    Parameters
    ----------
    outcome : str
        Name, for messages.
    y : (n_observations,) array
        Outcome on the rows used.
    design : Design
        Fixed part.

    Returns
    -------
    Standardised

    Raises
    ------
    ModelError
        If the outcome is constant or fitted exactly, or there are not more rows than columns.
    """
    x = design.matrix[:, design.estimable]
    n, p = x.shape
    if n <= p:
        raise ModelError(
            f"formula {design.formula!r}: {p} coefficients for {n} complete rows; "
            "no degree of freedom is left; leave terms out"
        )
    q, triangle = np.linalg.qr(x)
    projected = q.T @ y
    residual = y - q @ projected
    again = q.T @ residual  # twice is enough: an outcome far from zero keeps its digits
    residual -= q @ again
    scale = float(np.sqrt(residual @ residual / (n - p)))
    if scale == 0 or scale * np.sqrt(n) <= _NO_VARIANCE * np.linalg.norm(y):
        constant = np.ptp(y) <= _NO_VARIANCE * np.abs(y).max()
        raise ModelError(
            f"outcome {outcome!r}: {'is constant' if constant else 'is fitted exactly'} over the "
            f"{n} complete rows; there is no residual variance to test against"
        )
    back = np.linalg.inv(triangle)
    return Standardised(
        x=q,
        outcome=(residual / scale)[:, None],
        scale=scale,
        basis=scale * back,
        ordinary=back @ (projected + again),
        log_rows=2 * float(np.log(np.abs(np.diag(triangle))).sum()),
    )
