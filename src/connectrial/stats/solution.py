"""The optimum of one model in the units of its outcome, and the ways to test with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.between_within import BetweenWithinDf, between_within_df
from connectrial.stats.design import Design
from connectrial.stats.inference import DfMethod, FixedDf, SatterthwaiteDf
from connectrial.stats.kenward_roger import KenwardRogerDf, adjust_covariance, expected_spread
from connectrial.stats.likelihood import Covariance, Evaluation, kenward_roger_correction
from connectrial.stats.patterns import Moments

Array = NDArray[np.float64]

DF_METHODS = (
    "residual",
    "between-within",
    "satterthwaite",
    "kenward-roger",
    "kenward-roger-linear",
    "kenward-roger-expected",
    "none",
)
"""Methods of degrees of freedom that every mixed model offers."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Solution:
    """The optimum of one model.

    Parameters
    ----------
    beta : (rank,) array
        Fixed effects that can be estimated.
    basis : (rank, rank) array
        From the orthonormal columns and the unit outcome of `state` to those of `beta`.
    state : Evaluation
        The likelihood at the optimum, of one outcome of unit variance.
    moments, covariances : sequences
        Of that outcome.
    parameters : (n_parameters,) array
        Covariance parameters in the units of the outcome.
    parameter_covariance : (n_parameters, n_parameters) array
        Asymptotic covariance of the parameters of `state` by observed information; zero in
        directions that stay on a boundary.
    deviance : float
        Minus twice the (restricted) log likelihood.
    singular : bool
        The optimum lies on the boundary.
    reml : bool
        Restricted likelihood.
    n_observations : int
        Rows.
    subject : (n_observations,) int array or None
        Subject of each row, where there is one grouping by subject only.
    """

    beta: Array
    basis: Array
    state: Evaluation
    moments: Sequence[Moments]
    covariances: Sequence[Covariance]
    parameters: Array
    parameter_covariance: Array
    deviance: float
    singular: bool
    reml: bool
    n_observations: int
    subject: NDArray[np.intp] | None

    @property
    def covariance(self) -> Array:
        """Covariance of the fixed effects (rank, rank), as if V were known."""
        return np.asarray(self.basis @ self.state.covariance[0] @ self.basis.T)


def check_df_method(method: str) -> None:
    """Refuse names that are no method of degrees of freedom."""
    if method not in DF_METHODS:
        raise ModelError(f"df: got {method!r}; allowed are {', '.join(map(repr, DF_METHODS))}")


def choose_df(solution: Solution, method: str, design: Design) -> DfMethod:
    """Set up a method of degrees of freedom for a fitted model.

    Parameters
    ----------
    solution : Solution
        The optimum.
    method : str
        One of `DF_METHODS`.
    design : Design
        Fixed part.

    Returns
    -------
    DfMethod

    Raises
    ------
    ModelError
        If there is no such method, or it does not fit this model.
    """
    check_df_method(method)
    if method.startswith("kenward-roger"):
        return _kenward_roger(solution, method)
    makers: dict[str, Callable[[], DfMethod]] = {
        "satterthwaite": lambda: _satterthwaite(solution),
        "between-within": lambda: _between_within(solution, design),
        "residual": lambda: _fixed(solution, method, solution.n_observations - design.rank),
        "none": lambda: _fixed(solution, method, np.inf),
    }
    return makers[method]()


def _fixed(solution: Solution, name: str, df: float) -> FixedDf:
    return FixedDf(name=name, beta=solution.beta, covariance=solution.covariance, df=float(df))


def _satterthwaite(solution: Solution) -> SatterthwaiteDf:
    half = solution.basis @ solution.state.covariance[0]
    return SatterthwaiteDf(
        beta=solution.beta,
        covariance=solution.covariance,
        slopes=half @ solution.state.slopes[0] @ half.T,
        parameter_covariance=solution.parameter_covariance,
    )


def _between_within(solution: Solution, design: Design) -> BetweenWithinDf:
    if solution.subject is None:
        raise ModelError(
            "df 'between-within': needs exactly one grouping, by subject; "
            "use 'satterthwaite' or 'kenward-roger-expected' for several groupings"
        )
    return BetweenWithinDf(
        beta=solution.beta,
        covariance=solution.covariance,
        column_df=between_within_df(
            design.matrix[:, design.estimable], design.estimable_columns, solution.subject
        ),
    )


def _kenward_roger(solution: Solution, method: str) -> KenwardRogerDf:
    if not solution.reml:
        raise ModelError(
            f"df {method!r}: is defined for restricted likelihood; fit with reml=True, "
            "or use 'satterthwaite'"
        )
    state = solution.state
    spread = solution.parameter_covariance[None]
    if method == "kenward-roger-expected":
        spread = expected_spread(solution.moments, solution.covariances, state)
    correction = kenward_roger_correction(
        solution.moments, solution.covariances, spread, curved=method == "kenward-roger"
    )
    adjusted = adjust_covariance(state.covariance, state.slopes, correction, spread)
    return KenwardRogerDf(
        name=method,
        beta=solution.beta,
        basis=solution.basis,
        covariance=state.covariance[0],
        adjusted=adjusted[0],
        slopes=state.slopes[0],
        parameter_covariance=spread[0],
    )
