"""Between-within degrees of freedom, as R's mmrm assigns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from connectrial.errors import ModelError
from connectrial.stats.inference import TestResult, t_test, wald_f

Array = NDArray[np.float64]

_VARIES = 1e-10


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class BetweenWithinDf:
    """Degrees of freedom by whether a column varies within subjects.

    Parameters
    ----------
    beta : (n_columns,) array
        Fixed effects.
    covariance : (n_columns, n_columns) array
        Their covariance.
    column_df : (n_columns,) array
        Degrees of freedom of each column; a contrast takes the smallest among its columns.
    name : str
        ``between-within``.
    """

    beta: Array
    covariance: Array
    column_df: Array
    name: str = "between-within"

    def test_row(self, row: Array) -> TestResult:
        """Test one contrast (n_columns,)."""
        return t_test(row, self.beta, self.covariance, float(self.column_df[row != 0].min()))

    def test_rows(self, rows: Array) -> TestResult:
        """Test several contrasts (n_rows, n_columns) at once."""
        involved = (rows != 0).any(axis=0)
        return wald_f(rows, self.beta, self.covariance, float(self.column_df[involved].min()))


def between_within_df(x: Array, names: Sequence[str], subject: NDArray[np.intp]) -> Array:
    """Assign each column that can be estimated its degrees of freedom.

    Parameters
    ----------
    x : (n_observations, rank) array
        Design of full rank.
    names : sequence of str
        Its columns.
    subject : (n_observations,) int array
        Subject of each row, 0 to n_subjects - 1.

    Returns
    -------
    (rank,) array
        Between: subjects - columns that are constant within each subject, the intercept too.
        Within, also the intercept's own: rows - subjects - columns that vary within subjects.

    Raises
    ------
    ModelError
        If no degree of freedom is left.
    """
    first = np.full(int(subject.max()) + 1, -1)
    first[subject[::-1]] = np.arange(len(subject))[::-1]
    varies = (np.abs(x - x[first[subject]]) > _VARIES * np.abs(x).max(axis=0)).any(axis=0)
    intercept = np.array([name == "Intercept" for name in names])
    n_subjects = len(first)
    between = n_subjects - int((~varies).sum())
    within = len(subject) - n_subjects - int(varies.sum())
    df = np.where(varies | intercept, within, between).astype(np.float64)
    if (df <= 0).any():
        raise ModelError(
            f"df 'between-within': {len(subject)} rows of {n_subjects} subjects leave {between} "
            f"degrees of freedom between and {within} within subjects for this design; "
            "use 'satterthwaite' or 'kenward-roger'"
        )
    return df
