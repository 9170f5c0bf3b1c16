"""The row every test in this drawer returns, so that tables of different tests stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from connectrial.errors import InputError

Alternative = Literal["two-sided", "greater", "less"]

COLUMNS = (
    "kind",
    "estimate",
    "se",
    "statistic",
    "statistic_name",
    "df_numerator",
    "df",
    "df_method",
    "alternative",
    "p",
    "ci_level",
    "ci_low",
    "ci_high",
    "n_subjects",
    "n_observations",
    "flags",
)


def estimate_row(
    term: str,
    *,
    kind: str,
    estimate: float,
    n_subjects: int,
    n_observations: int | None = None,
    se: float = np.nan,
    statistic: float = np.nan,
    statistic_name: str = "",
    df_numerator: float = np.nan,
    df: float = np.nan,
    df_method: str = "none",
    alternative: Alternative = "two-sided",
    p: float = np.nan,
    ci: tuple[float, float] = (np.nan, np.nan),
    ci_level: float = 0.95,
    flags: Sequence[str] = (),
    **more: object,
) -> pd.DataFrame:
    """One estimate as a table of one row, indexed by its term.

    Parameters
    ----------
    term : str
        What is estimated.
    kind : str
        What the row is: contrast, correlation, proportion, F test, effect size, ...
    estimate, se, statistic, df_numerator, df, p : float
        NaN where the method has none.
    n_subjects, n_observations : int
        What the estimate rests on, after missing values; observations default to subjects.
    ci : (float, float)
        Limits at `ci_level`.
    flags : sequence of str
        Whatever a reader must know before believing the row; joined by "; ".
    **more
        Further columns, put after the common ones.

    Returns
    -------
    DataFrame, one row
        The columns of `COLUMNS`, then `more`.
    """
    record: dict[str, object] = {
        "kind": kind,
        "estimate": float(estimate),
        "se": float(se),
        "statistic": float(statistic),
        "statistic_name": statistic_name,
        "df_numerator": float(df_numerator),
        "df": float(df),
        "df_method": df_method,
        "alternative": alternative,
        "p": float(p),
        "ci_level": float(ci_level),
        "ci_low": float(ci[0]),
        "ci_high": float(ci[1]),
        "n_subjects": int(n_subjects),
        "n_observations": int(n_subjects if n_observations is None else n_observations),
        "flags": "; ".join(flags),
        **more,
    }
    return pd.DataFrame([record], index=pd.Index([term], name="term"))


def stack(rows: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables of estimates below one another; a column that one of them lacks is NaN there."""
    return pd.concat(list(rows), axis=0).rename_axis("term")


def check_level(ci_level: float) -> float:
    """Refuse a confidence level that does not lie strictly between 0 and 1."""
    if not 0.0 < ci_level < 1.0:
        raise InputError(
            f"ci_level: got {ci_level}; allowed is a fraction between 0 and 1, such as 0.95"
        )
    return ci_level


def as_numbers(values: ArrayLike, *, name: str) -> NDArray[np.float64]:
    """Values as one float column; NaN is a missing value, infinity is refused.

    Parameters
    ----------
    values : array-like, shape (n,)
    name : str
        What to call them in a message.

    Returns
    -------
    array, shape (n,)

    Raises
    ------
    InputError
        If they are not one column of numbers, or one is infinite.
    """
    try:
        column = (
            values.to_numpy(dtype=np.float64, na_value=np.nan)
            if isinstance(values, pd.Series)
            else np.asarray(values, dtype=np.float64)
        )
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{name}: these are not all numbers ({error}); give numbers or NaN"
        ) from error
    if column.ndim != 1:
        raise InputError(
            f"{name}: got an array of shape {column.shape}; give one column, shape (n,)"
        )
    if np.isinf(column).any():
        where = int(np.flatnonzero(np.isinf(column))[0])
        raise InputError(
            f"{name}: value {where} is infinite; give a finite number or NaN for missing"
        )
    return column


def need_columns(table: pd.DataFrame, columns: Sequence[str], *, what: str) -> None:
    """Refuse a table that lacks a column, naming those it has."""
    absent = [name for name in columns if name not in table.columns]
    if absent:
        raise InputError(
            f"{what}: no column {', '.join(map(repr, absent))}; "
            f"the table has {', '.join(map(repr, table.columns))}"
        )
