"""Whether scanner, site or software version can be told apart from visit and arm."""

from __future__ import annotations

import pandas as pd


def cross_batches(sessions: pd.DataFrame, *, by: str, unit: str) -> pd.DataFrame:
    """Count sessions or people of each batch at each level of a factor.

    Parameters
    ----------
    sessions : DataFrame
        One row per session: ``subject``, ``batch`` and the factor `by`. Rows in which one of them
        is missing do not count.
    by : str
        The factor: ``visit``, ``arm``.
    unit : str
        ``sessions`` counts rows; ``people`` counts each person once in each batch.

    Returns
    -------
    DataFrame
        Levels that occur as rows (in the order of a Categorical), batches as columns.
    """
    known = sessions.dropna(subset=["batch", by])
    if unit == "people":
        known = known.drop_duplicates(["subject", "batch", by])
    table = pd.crosstab(known[by], known["batch"])
    return table.loc[table.sum(axis=1) > 0]


def is_inseparable(counts: pd.DataFrame) -> bool:
    """Tell whether no analysis can separate a factor from the batch.

    Parameters
    ----------
    counts : DataFrame
        Levels by batches, as `cross_batches` returns them.

    Returns
    -------
    bool
        True where levels and batches fall into parts with no cell between them: then a difference
        between levels of two parts is a difference between batches just as well, and a model with
        both is not estimable.
    """
    if counts.shape[0] < 2 or counts.shape[1] < 2:
        return False
    filled = counts.to_numpy() > 0
    rows: set[int] = {0}
    columns: set[int] = set()
    while True:
        reached = {j for i in rows for j in range(filled.shape[1]) if filled[i, j]}
        more = {i for j in reached for i in range(filled.shape[0]) if filled[i, j]}
        if more <= rows and reached <= columns:
            return len(rows) < len(filled)
        rows, columns = rows | more, columns | reached
