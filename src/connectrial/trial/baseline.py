"""Who the people were at the start: counts and means by group, with standardised differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd


def baseline_table(
    people: pd.DataFrame, *, numeric: Sequence[str], factors: Mapping[str, Sequence[str]], by: str
) -> pd.DataFrame:
    """Describe people by group; no tests, for groups that were randomised differ by chance alone.

    Parameters
    ----------
    people : DataFrame
        One row per person: `by`, the numeric columns and the factors.
    numeric : sequence of str
        Columns that are described by mean and SD, in their own units.
    factors : mapping of str to sequence of str
        Column -> levels in order, described by counts.
    by : str
        Column with the group, an ordered Categorical; rows without one do not count.

    Returns
    -------
    DataFrame
        One row per variable, level and group: ``variable``, ``level`` (empty for numbers),
        ``group``, ``n`` (people with a value), ``n_missing``, ``mean``, ``sd``, ``minimum``,
        ``maximum``, ``count``, ``percent`` (of `n`), and ``smd``: standardised difference from the
        first group, of numbers (mean difference over the root mean square of both SDs), of factors
        over all their levels together.

    References
    ----------
    Austin (2009) Stat Med 28:3083; Yang & Dalton (2012) SAS Global Forum 335 for factors.
    """
    known = people.loc[people[by].notna()]
    groups = [name for name in known[by].cat.categories if (known[by] == name).any()]
    parts = {name: known.loc[known[by] == name] for name in groups}
    rows = []
    for name in numeric:
        values = {group: part[name].dropna().to_numpy(float) for group, part in parts.items()}
        for group, own in values.items():
            rows.append(
                {
                    "variable": name,
                    "level": "",
                    "group": group,
                    "n": len(own),
                    "n_missing": len(parts[group]) - len(own),
                    "mean": own.mean() if len(own) else np.nan,
                    "sd": _sd(own),
                    "minimum": own.min() if len(own) else np.nan,
                    "maximum": own.max() if len(own) else np.nan,
                    "smd": np.nan if group == groups[0] else _smd(own, values[groups[0]]),
                }
            )
    for name, levels in factors.items():
        shares = {group: _shares(part[name], levels) for group, part in parts.items()}
        for group, part in parts.items():
            n = int(part[name].notna().sum())
            for k, level in enumerate(levels):
                distance = np.nan
                if k == 0 and group != groups[0]:
                    distance = _factor_smd(shares[group], shares[groups[0]])
                count = int((part[name] == level).sum())
                rows.append(
                    {
                        "variable": name,
                        "level": level,
                        "group": group,
                        "n": n,
                        "n_missing": len(part) - n,
                        "count": count,
                        "percent": 100 * count / n if n else np.nan,
                        "smd": distance,
                    }
                )
    columns = ["variable", "level", "group", "n", "n_missing", "mean", "sd", "minimum", "maximum"]
    table = pd.DataFrame(rows, columns=[*columns, "count", "percent", "smd"])
    return table.astype({"count": "Int64"})


def _sd(values: np.ndarray) -> float:
    """Return the SD; that of equal values is 0, whatever their mean is rounded to."""
    if len(values) < 2:
        return np.nan
    return 0.0 if np.ptp(values) == 0 else float(values.std(ddof=1))


def _smd(a: np.ndarray, b: np.ndarray) -> float:
    if len(a) < 2 or len(b) < 2:
        return np.nan
    spread = np.sqrt((_sd(a) ** 2 + _sd(b) ** 2) / 2)
    return float((a.mean() - b.mean()) / spread) if spread > 0 else np.nan


def _shares(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    known = column.dropna()
    return np.array([(known == level).mean() if len(known) else np.nan for level in levels])


def _factor_smd(a: np.ndarray, b: np.ndarray) -> float:
    """Mahalanobis distance of two distributions over levels, the first level left out."""
    if np.isnan(a).any() or np.isnan(b).any():
        return np.nan
    t, c = a[1:], b[1:]
    spread = (np.diag(t) - np.outer(t, t) + np.diag(c) - np.outer(c, c)) / 2
    # A level that nobody has, or everybody, adds nothing and cannot be inverted.
    return float(np.sqrt(max((t - c) @ np.linalg.pinv(spread) @ (t - c), 0.0)))
