"""Models of any covariance structure for blocks of edges that share a design."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.between_within import between_within_df
from connectrial.stats.covariance import GroupedCovariance, VisitCovariance
from connectrial.stats.inference import match_chi_squared
from connectrial.stats.intercept_edges import EdgeBlock
from connectrial.stats.kenward_roger import adjust_covariance, expected_spread
from connectrial.stats.likelihood import Covariance, Evaluation, kenward_roger_correction
from connectrial.stats.patterns import Moments, RandomBlock, gather, lay_out
from connectrial.stats.random_effects import parameter_units
from connectrial.stats.random_optimum import find_random_optimum
from connectrial.stats.visit_optimum import find_visit_optimum
from connectrial.stats.visits import VisitTable, lay_out_visits

Array = NDArray[np.float64]
Fitter = Callable[[Array], EdgeBlock]

_NO_VARIANCE = 1e-10  # of the outcome's norm: what is left is rounding


def fit_random_edges(
    x: Array,
    names: Sequence[str],
    blocks: Sequence[RandomBlock],
    *,
    df: str,
    reml: bool = True,
) -> Fitter:
    """Set up the fit of a model with random effects to blocks of edges.

    Parameters
    ----------
    x : (n_observations, n_columns) array
        Design of full rank.
    names : sequence of str
        Its columns.
    blocks : sequence of RandomBlock
        Random terms on the same rows; none for ordinary least squares.
    df : str
        Degrees of freedom.
    reml : bool
        Restricted likelihood.

    Returns
    -------
    callable
        Takes outcomes (n_observations, n_edges), returns `EdgeBlock`.
    """
    scaling = _Scaling(x)
    layout = lay_out(blocks, scaling.basis)
    units = parameter_units(blocks)[:, None]
    one_grouping = len({block.label for block in blocks}) == 1
    subject = blocks[0].codes if one_grouping else None
    tester = _Tester(scaling, df, names, subject, reml=reml)

    def fit(outcomes: Array) -> EdgeBlock:
        residual, projected, scale, usable = scaling.standardise(outcomes)
        moments = gather(layout, residual)
        optimum = find_random_optimum(blocks, layout, moments, residual, scaling.basis, reml=reml)
        block = tester.block(
            moments,
            optimum.covariances,
            optimum.state,
            optimum.parameter_covariance,
            projected,
            scale,
        )
        return replace(
            block,
            variance=optimum.parameters.T * scale**2 / units,
            singular=optimum.singular,
            fitted=block.fitted & usable & optimum.converged,
            reason=_reasons(usable, optimum.converged),
        )

    return fit


def fit_visit_edges(
    x: Array,
    names: Sequence[str],
    structure: str,
    table: VisitTable,
    *,
    df: str,
    reml: bool = True,
) -> Fitter:
    """Set up the fit of a model with a covariance between visits to blocks of edges.

    Parameters
    ----------
    x, names
        As in `fit_random_edges`.
    structure : str
        Covariance structure.
    table : VisitTable
        Who was seen when, on the same rows.
    df : str
        Degrees of freedom.
    reml : bool
        Restricted likelihood.

    Returns
    -------
    callable
        Takes outcomes (n_observations, n_edges), returns `EdgeBlock`; `variance` holds the lower
        triangle by rows of each group's covariance.
    """
    scaling = _Scaling(x)
    layout, stacks = lay_out_visits(table, scaling.basis)
    n_visits = len(table.visit_names)
    model = GroupedCovariance(VisitCovariance(structure, n_visits), len(table.group_names))
    tester = _Tester(scaling, df, names, table.subject, reml=reml)
    a, b = np.tril_indices(n_visits)

    def fit(outcomes: Array) -> EdgeBlock:
        residual, projected, scale, usable = scaling.standardise(outcomes)
        moments = gather(layout, residual)
        optimum = find_visit_optimum(model, stacks, moments, reml=reml)
        block = tester.block(
            moments,
            optimum.covariances,
            optimum.state,
            optimum.parameter_covariance,
            projected,
            scale,
        )
        cells = optimum.matrices[:, :, a, b].reshape(len(scale), -1)
        return replace(
            block,
            variance=cells.T * scale**2,
            fitted=block.fitted & usable & optimum.converged,
            reason=_reasons(usable, optimum.converged),
        )

    return fit


def _reasons(usable: NDArray[np.bool_], converged: NDArray[np.bool_]) -> NDArray[np.object_]:
    reason = np.full(len(usable), "not estimable: the adjusted variance is negative", dtype=object)
    reason[~converged] = "not estimable: no optimum was found"
    reason[~usable] = "not estimable: constant, or fitted exactly"
    return reason


class _Scaling:
    """An orthonormal design, and outcomes of unit variance without their fixed part."""

    def __init__(self, x: Array) -> None:
        self.basis, triangle = np.linalg.qr(x)
        self.back = np.linalg.inv(triangle)
        self.log_rows = 2 * float(np.log(np.abs(np.diag(triangle))).sum())

    def standardise(self, outcomes: Array) -> tuple[Array, Array, Array, NDArray[np.bool_]]:
        """Residuals of unit variance, projections, scales, and which edges vary at all."""
        n, p = self.basis.shape
        projected = self.basis.T @ outcomes
        residual = outcomes - self.basis @ projected
        again = self.basis.T @ residual
        residual -= self.basis @ again
        size = np.sqrt(np.einsum("ne,ne->e", outcomes, outcomes))
        scale = np.sqrt(np.einsum("ne,ne->e", residual, residual) / (n - p))
        usable = scale * np.sqrt(n) > _NO_VARIANCE * size
        lost = int((~usable).sum())
        if lost:  # any outcome will do: what comes out is thrown away
            noise = np.random.default_rng(0).normal(size=(n, lost))
            noise -= self.basis @ (self.basis.T @ noise)
            residual[:, ~usable] = noise
            scale[~usable] = np.sqrt(np.einsum("ne,ne->e", noise, noise) / (n - p))
        return residual / scale, projected + again, scale, usable


class _Tester:
    """Estimates, standard errors and degrees of freedom of every column."""

    def __init__(
        self,
        scaling: _Scaling,
        df: str,
        names: Sequence[str],
        subject: NDArray[np.intp] | None,
        *,
        reml: bool,
    ) -> None:
        self.scaling, self.df, self.reml, self.subject = scaling, df, reml, subject
        n, p = scaling.basis.shape
        self.constant: Array | None = None
        if df == "residual":
            self.constant = np.full(p, float(n - p))
        elif df == "none":
            self.constant = np.full(p, np.inf)
        elif df == "between-within":
            if subject is None:
                raise ModelError(
                    "df 'between-within': needs exactly one grouping, by subject; "
                    "use 'satterthwaite' or 'kenward-roger-expected' for several groupings"
                )
            x = scaling.basis @ np.linalg.inv(scaling.back)
            self.constant = between_within_df(x, names, subject)

    def block(
        self,
        moments: list[Moments],
        covariances: list[Covariance],
        state: Evaluation,
        spread: Array,
        projected: Array,
        scale: Array,
    ) -> EdgeBlock:
        """Turn an optimum into estimates in the units of the outcomes."""
        back, covariance, shown = self.scaling.back, state.covariance, state.covariance
        if self.df.startswith("kenward-roger"):
            if self.df == "kenward-roger-expected":
                spread = expected_spread(moments, covariances, state)
            correction = kenward_roger_correction(
                moments, covariances, spread, curved=self.df == "kenward-roger"
            )
            shown = adjust_covariance(covariance, state.slopes, correction, spread)
        if self.constant is not None:
            found = np.repeat(self.constant[:, None], len(scale), axis=1)
        else:
            e, k, p, _ = state.slopes.shape
            half = covariance @ back.T  # one product for all parameters and contrasts
            moved = (state.slopes.reshape(e, k * p, p) @ half).reshape(e, k, p, -1)
            gradient = np.einsum("epc,ekpc->ekc", half, moved)
            known = np.einsum("cp,epc->ec", back, half)
            found = match_chi_squared(known, gradient, spread).T
        variance = np.einsum("jp,epq,jq->je", back, shown, back, optimize=True)
        # small samples can make Kenward and Roger's adjusted variance negative
        proper = (variance > 0).all(axis=0)
        n, p = self.scaling.basis.shape
        return EdgeBlock(
            estimate=back @ (projected + state.beta.T * scale),
            se=np.sqrt(np.where(proper, variance, np.nan)) * scale,
            df=found,
            variance=np.zeros((0, len(scale))),
            deviance=state.deviance
            + 2 * (n - p if self.reml else n) * np.log(scale)
            + (self.scaling.log_rows if self.reml else 0.0),
            singular=np.zeros(len(scale), dtype=bool),
            fitted=proper,
            reason=np.full(len(scale), "", dtype=object),
        )
