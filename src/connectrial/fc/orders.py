"""The orders in which filling, filtering, censoring and regression can be put, and their cost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.fc.filters import (
    Band,
    butterworth,
    detrend,
    fill_linear,
    fill_spectral,
    fill_spline,
    lets_all_through,
    passband_dimensions,
    waves,
)
from connectrial.fc.projection import (
    RANK_TOLERANCE,
    Transform,
    effective_df,
    orthonormal_basis,
    project,
    straightener,
    zero_where_nothing_is_left,
)

_WASHU_FILTER_ORDER = 1
_WASHU_ZEROS = 1000


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sampling:
    """What every order must know of a run.

    Attributes
    ----------
    kept : array of bool, shape (n_frames,)
        Frames that survive censoring.
    repetition_time_s : float or None
        Seconds between frames.
    band_hz : tuple of float, or None
        Pass-band in Hz.
    filter_order : int
        Order of the Butterworth filter, where there is one.
    """

    kept: BoolArray
    repetition_time_s: float | None
    band_hz: Band | None
    filter_order: int = 2

    @property
    def n_kept(self) -> int:
        """Return the number of kept frames."""
        return int(self.kept.sum())

    @property
    def dimensions(self) -> int:
        """Return the dimensions of the kept frames in the pass-band."""
        return passband_dimensions(
            self.kept, repetition_time_s=self.repetition_time_s, band_hz=self.band_hz
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Cleaning:
    """One run's denoising, ready to be applied to any signal of that run, and what it costs.

    Attributes
    ----------
    dimensions : int
        Degrees of freedom in the pass-band of the kept frames, before regression.
    rank : int
        Linearly independent confounds.
    remaining_df : int
        Degrees of freedom left; the order says how they are counted.
    prepare : callable
        From (n_frames, n_columns) to (n_kept, n_columns): what is regressed.
    finish : callable
        From what `prepare` returned to the cleaned kept frames.
    """

    dimensions: int
    rank: int
    remaining_df: int
    prepare: Transform
    finish: Transform

    def clean(self, values: FloatArray) -> FloatArray:
        """Return the kept frames of a signal, shape (n_frames, n_columns), cleaned, with mean 0."""
        prepared = self.prepare(values)
        cleaned = self.finish(prepared)
        cleaned = cleaned - cleaned.mean(axis=0)
        return zero_where_nothing_is_left(cleaned, np.abs(prepared).max(axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A named order of the steps and the reason to choose it.

    Attributes
    ----------
    name : str
        As in the study file.
    steps : str
        What is done, in order.
    reason : str
        When it is a good choice, and what it costs.
    build : callable
        From regressors, shape (n_frames, n_confounds), and a `Sampling` to a `Cleaning`.
    linear : bool
        True if averaging voxels before or after makes no difference.
    uses_filter_order : bool
        True if the Butterworth filter's order can be chosen.
    recommended : bool
        True for the one to take if nothing speaks against it.
    """

    name: str
    steps: str
    reason: str
    build: Callable[[FloatArray, Sampling], Cleaning]
    linear: bool = True
    uses_filter_order: bool = False
    recommended: bool = False


def _default(regressors: FloatArray, run: Sampling) -> Cleaning:
    def prepare(values: FloatArray) -> FloatArray:
        filled = _filtered(detrend(fill_linear(values, run.kept)), run)[run.kept]
        centred = filled - filled.mean(axis=0)
        return zero_where_nothing_is_left(centred, np.abs(values[run.kept]).max(axis=0))

    return _regression(prepare, regressors, run.dimensions)


def _xcpd(regressors: FloatArray, run: Sampling) -> Cleaning:
    def prepare(values: FloatArray) -> FloatArray:
        filled = _filtered(detrend(fill_spline(values, run.kept)), run)[run.kept]
        return zero_where_nothing_is_left(filled, np.abs(values[run.kept]).max(axis=0))

    regression = _regression(prepare, regressors, run.dimensions)
    # Splines swing in long gaps, and the filter spreads that over kept frames: white noise tells.
    impulses = np.eye(len(run.kept))[:, run.kept]
    noise = regression.clean(impulses)
    effective = effective_df(noise @ noise.T)
    return replace(regression, remaining_df=min(regression.remaining_df, effective))


def _passband(regressors: FloatArray, run: Sampling) -> Cleaning:
    straighten = straightener(run.kept)
    if lets_all_through(run.band_hz):
        return _regression(straighten, regressors, run.n_kept - 2)
    basis = _waves_on_kept_frames(run, order="passband")

    def prepare(values: FloatArray) -> FloatArray:
        fitted = project(basis, straighten(values))
        return zero_where_nothing_is_left(fitted, np.abs(values[run.kept]).max(axis=0))

    return _regression(prepare, regressors, min(run.dimensions, basis.shape[1]))


def _joint(regressors: FloatArray, run: Sampling) -> Cleaning:
    if lets_all_through(run.band_hz):
        raise InputError(
            "order 'joint' fits waves of the pass-band and confounds together and needs band_hz "
            "with an edge; without a filter take order 'default'"
        )
    straighten = straightener(run.kept)
    basis = _waves_on_kept_frames(run, order="joint")
    prepared = straighten(regressors)
    beside = zero_where_nothing_is_left(
        prepared - project(basis, prepared), np.abs(prepared).max(axis=0)
    )
    rank, n_independent = orthonormal_basis(beside).shape[1], orthonormal_basis(prepared).shape[1]
    free = run.n_kept - 2 - basis.shape[1] - n_independent
    if rank < n_independent or free < 1:
        raise InputError(
            f"no degrees of freedom are left to order 'joint': {basis.shape[1]} waves, a straight "
            f"line and {n_independent} independent confounds share {run.n_kept} kept frames, and "
            f"{rank} of the confounds differ from the waves; it weighs confounds by what they do "
            "outside the pass-band, so take order 'default' or 'passband', or fewer confounds"
        )
    # Least squares of waves and confounds: the confounds' weights come from what the waves leave.
    scale = np.sqrt(np.mean(beside**2, axis=0))
    scale[scale == 0] = 1.0
    weigh = np.linalg.pinv(beside / scale, rcond=RANK_TOLERANCE)

    def finish(values: FloatArray) -> FloatArray:
        return project(basis, values - (prepared / scale) @ (weigh @ values))

    # White noise comes out with this covariance in the waves' coordinates: errors of the weights
    # pile up in the few directions of the confounds, and the sum of squares counts how few.
    leak = (basis.T @ (prepared / scale)) @ weigh
    effective = effective_df(np.eye(basis.shape[1]) + leak @ leak.T)
    dimensions = min(run.dimensions, basis.shape[1])
    return Cleaning(
        dimensions=dimensions,
        rank=rank,
        remaining_df=min(dimensions - rank, effective),
        prepare=straighten,
        finish=finish,
    )


def _projection(regressors: FloatArray, run: Sampling) -> Cleaning:
    straighten = straightener(run.kept)
    prepare: Transform = straighten
    dimensions = run.n_kept - 2
    if run.band_hz is not None and not lets_all_through(run.band_hz):
        stop = waves(
            len(run.kept),
            repetition_time_s=run.repetition_time_s,
            band_hz=run.band_hz,
            inside=False,
        )
        basis = orthonormal_basis(straighten(stop))
        # Columns are counted, as AFNI does, and not their rank: after a long gap waves of the
        # stop-band look alike on what is kept, and what their fit then leaves is not the band.
        dimensions -= stop.shape[1]

        def prepare(values: FloatArray) -> FloatArray:
            straight = straighten(values)
            return zero_where_nothing_is_left(
                straight - project(basis, straight), np.abs(values[run.kept]).max(axis=0)
            )

    if dimensions < 1:
        raise InputError(
            f"no degrees of freedom are left to order 'project': {run.n_kept} kept frames of "
            f"{len(run.kept)}, minus a straight line and every wave outside the pass-band, leave "
            f"{dimensions}; each censored frame costs one, so take order 'default', censor less, "
            "or widen the band"
        )
    return _regression(prepare, regressors, dimensions)


def _washu(regressors: FloatArray, run: Sampling) -> Cleaning:
    straighten = straightener(run.kept)
    regression = _regression(straighten, regressors, run.dimensions)

    def finish(values: FloatArray) -> FloatArray:
        residual = regression.finish(values)
        if run.band_hz is None or lets_all_through(run.band_hz):
            return residual
        complete = np.zeros((len(run.kept), residual.shape[1]))
        complete[run.kept] = residual
        filtered = butterworth(
            fill_spectral(complete, run.kept),
            repetition_time_s=run.repetition_time_s,
            band_hz=run.band_hz,
            filter_order=_WASHU_FILTER_ORDER,
            n_zeros=_WASHU_ZEROS,
        )
        return straighten(filtered)

    return Cleaning(
        dimensions=regression.dimensions,
        rank=regression.rank,
        remaining_df=regression.remaining_df,
        prepare=straighten,
        finish=finish,
    )


ORDERS: Mapping[str, Order] = {
    order.name: order
    for order in (
        Order(
            name="default",
            build=_default,
            steps="fill censored frames linearly; detrend; band-pass data and confounds alike "
            "(Butterworth, both ways); censor; regress",
            reason="filtered data and filtered confounds cannot bring noise back (Lindquist 2019, "
            "Hallquist 2013); straight fills do not ring. Df: pass-band of kept frames minus rank.",
            uses_filter_order=True,
            recommended=True,
        ),
        Order(
            name="passband",
            build=_passband,
            steps="detrend kept frames; keep of data and confounds what the waves of the pass-band "
            "explain (least squares over kept frames); regress",
            reason="sharp edges and no fill at all; as accurate as the default. Df: waves, at most "
            "the pass-band of kept frames, minus rank.",
        ),
        Order(
            name="joint",
            build=_joint,
            steps="detrend kept frames; fit waves of the pass-band and confounds in one least "
            "squares over kept frames; keep the waves' part",
            reason="weighs confounds by what they do outside the band: best against broad-band "
            "artefact, worst against confounds that are themselves slow. Df: as passband, or fewer "
            "where slow confounds make the weights uncertain.",
        ),
        Order(
            name="project",
            build=_projection,
            steps="regress a straight line, the waves of the stop-band and the confounds together, "
            "over kept frames (AFNI 3dTproject with polort 1 and cenmode KILL)",
            reason="one projection, df counted without mercy: every censored frame costs one, so "
            "short repetition times or much censoring leave none, and then it refuses.",
        ),
        Order(
            name="xcpd",
            build=_xcpd,
            steps="fill censored frames by cubic spline (ends held); detrend; band-pass data and "
            "confounds alike (Butterworth, both ways); censor; regress without intercept",
            reason="for parity with XCP-D 26.1, with confounds standardised so that none drops "
            "out for its unit. Df: as default, or fewer where splines swing in long gaps.",
            uses_filter_order=True,
        ),
        Order(
            name="washu",
            build=_washu,
            steps="detrend and regress over kept frames; fill censored frames from the "
            "Lomb-Scargle spectrum, scaled to the kept frames' SD; band-pass (Butterworth of order "
            "1, both ways, 1000 zeros at each end); detrend kept frames",
            reason="for parity with the Washington University lineage (Power 2014). Confounds are "
            "not filtered, and filtering comes last, which can bring noise back; the scaling makes "
            "it not quite linear. Df: as default, counted as if all confounds lay in the band.",
            linear=False,
        ),
    )
}


def describe_orders() -> pd.DataFrame:
    """Tabulate the orders of denoising: what each does, in which order, and why one would.

    Returns
    -------
    pandas.DataFrame
        Indexed by order: ``steps``, ``reason``, ``linear``, ``uses_filter_order``,
        ``recommended``.
    """
    columns = ["steps", "reason", "linear", "uses_filter_order", "recommended"]
    rows = [[getattr(order, name) for name in columns] for order in ORDERS.values()]
    return pd.DataFrame(rows, index=pd.Index(list(ORDERS), name="order"), columns=columns)


def _regression(prepare: Transform, regressors: FloatArray, dimensions: int) -> Cleaning:
    basis = orthonormal_basis(prepare(regressors))
    return Cleaning(
        dimensions=dimensions,
        rank=basis.shape[1],
        remaining_df=dimensions - basis.shape[1],
        prepare=prepare,
        finish=lambda values: values - project(basis, values),
    )


def _filtered(values: FloatArray, run: Sampling) -> FloatArray:
    if run.band_hz is None:
        return values
    return butterworth(
        values,
        repetition_time_s=run.repetition_time_s,
        band_hz=run.band_hz,
        filter_order=run.filter_order,
    )


def _waves_on_kept_frames(run: Sampling, *, order: str) -> FloatArray:
    """Return an orthonormal basis, shape (n_kept, n_waves), of the pass-band beside a line."""
    assert run.band_hz is not None  # noqa: S101  the callers have asked
    inside = waves(len(run.kept), repetition_time_s=run.repetition_time_s, band_hz=run.band_hz)
    if inside.shape[1] + 2 > run.n_kept:
        raise InputError(
            f"order {order!r} fits {inside.shape[1]} waves and a straight line, which "
            f"{run.n_kept} kept frames of {len(run.kept)} cannot hold; take order 'default', "
            "censor less, or narrow the band"
        )
    return orthonormal_basis(straightener(run.kept)(inside))
