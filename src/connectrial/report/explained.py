"""What an estimate cell says: of an F test, which is no one number, the share that is explained."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

from connectrial.figures.numbers import as_float, format_number

SHARE = "partial η²"
#: What stands below a share that the results do not have.
FROM_F = "from F and its df"


def share_explained(row: Mapping[Hashable, Any]) -> float:
    """Return partial eta squared of an F test: its own estimate, else from F; NaN without one.

    Of a mixed model it is approximate, since the denominator's degrees of freedom are (Lakens 2013,
    doi 10.3389/fpsyg.2013.00863).

    Parameters
    ----------
    row : mapping
        A row of the results.
    """
    if row["kind"] != "F test":
        return math.nan
    known = as_float(row["estimate"])
    if known == known:
        return known
    f, first, second = (as_float(row[name]) for name in ("statistic", "df_numerator", "df"))
    if row["statistic_name"] != "F" or not math.isfinite(f * first * second):
        return math.nan
    return f * first / (f * first + second)


def share_words(row: Mapping[Hashable, Any]) -> tuple[str, str, str]:
    """Return an F test's share explained, its unit, and where it is from; empty where there is none."""
    share = share_explained(row)
    if share != share:
        return "", "", ""
    own = as_float(row["estimate"]) == as_float(row["estimate"])
    return format_number(share), SHARE, "" if own else FROM_F
