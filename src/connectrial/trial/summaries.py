"""Observed means by visit, for pictures and tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import t as student


def observed_means(
    table: pd.DataFrame, *, value: str, by: str | None, level: float = 0.95
) -> pd.DataFrame:
    """Average a value by visit and group, with t intervals.

    Parameters
    ----------
    table : DataFrame
        ``subject``, ``visit`` (Categorical), the value, and `by`; one row per person and visit.
    value : str
        Column that is averaged; missing values do not count.
    by : str or None
        Column of the groups; None takes everybody together. Rows without a group do not count.
    level : float
        Level of the interval.

    Returns
    -------
    DataFrame
        ``visit``, ``by``, ``by_factor``, ``estimate``, ``se``, ``df``, ``ci_low``, ``ci_high`` (in
        the value's unit; missing for a single person), ``n_subjects``, ``source`` = "observed".
    """
    known = table.loc[table[value].notna()]
    keys = ["visit"] if by is None else ["visit", by]
    rows = []
    for key, group in known.groupby(keys, observed=True, sort=True):
        numbers = group[value].to_numpy(dtype=np.float64)
        n = len(numbers)
        se = float(numbers.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
        half = float(student.ppf((1 + level) / 2, n - 1)) * se if n > 1 else np.nan
        mean = float(numbers.mean())
        rows.append(
            {
                "visit": str(key[0]),
                "by": "" if by is None else str(key[1]),
                "by_factor": by or "",
                "estimate": mean,
                "se": se,
                "df": n - 1 if n > 1 else np.nan,
                "ci_low": mean - half,
                "ci_high": mean + half,
                "n_subjects": int(group["subject"].nunique()),
                "source": "observed",
            }
        )
    columns = [
        "visit",
        "by",
        "by_factor",
        "estimate",
        "se",
        "df",
        "ci_low",
        "ci_high",
        "n_subjects",
        "source",
    ]
    return pd.DataFrame(rows, columns=columns)
