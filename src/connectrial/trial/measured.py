"""Measured concentrations: values below quantification, enantiomers, and measures of exposure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np
import pandas as pd

from connectrial.data import FloatArray
from connectrial.errors import InputError

Below = Literal["half", "zero", "missing"]
_UNDER = re.compile(r"(?:<|≤|<=)\s*(\d+(?:[.,]\d+)?)")
_WORDS = frozenset({"blq", "bql", "bloq", "lloq", "<lloq", "<loq", "<lod", "bld", "nd", "n.d."})


def settle_below(
    cells: Sequence[object], *, below: Below, limit_ng_ml: float | None = None, place: str = "cell"
) -> tuple[FloatArray, int]:
    """Turn cells of a laboratory's table into numbers by a rule for values below quantification.

    Parameters
    ----------
    cells : sequence
        Numbers, text such as ``<2`` or ``BLQ``, or missing (None, NaN, NA).
    below : {"half", "zero", "missing"}
        What a value below quantification counts as: half the limit, 0, or missing.
    limit_ng_ml : float, optional
        The limit, where a cell does not state its own; numbers under it count as below it too.
    place : str
        What messages call the cells, such as the column.

    Returns
    -------
    numbers : array, shape (n_cells,)
        NaN for missing.
    n_below : int
        How many were below quantification.

    Raises
    ------
    InputError
        The rule is unknown, a cell is no number, negative, or below a limit that nobody stated
        (with ``half``).
    """
    if below not in get_args(Below):
        raise InputError(f"below: is {below!r}; allowed are {', '.join(get_args(Below))}")
    problems: list[str] = []
    numbers = np.full(len(cells), np.nan)
    n_below = 0
    for row, cell in enumerate(cells):
        if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
            continue
        text = str(cell).strip()
        under = _UNDER.fullmatch(text)
        if under is None and text.lower() not in _WORDS:
            try:
                value = float(text.replace(",", "."))
            except ValueError:
                value = np.nan
            if not 0 <= value < np.inf:
                problems.append(
                    f"{place} row {row + 1}: {text!r} is no concentration; allowed are numbers from 0 on, "
                    "<LIMIT, BLQ, or n/a"
                )
                continue
            if limit_ng_ml is None or value >= limit_ng_ml:
                numbers[row] = value
                continue
        n_below += 1
        limit = float(under[1].replace(",", ".")) if under is not None else limit_ng_ml
        if below == "half" and limit is None:
            problems.append(
                f"{place} row {row + 1}: {text!r} states no limit; give limit_ng_ml, or another rule"
            )
            continue
        numbers[row] = {"zero": 0.0, "missing": np.nan, "half": (limit or 0.0) / 2}[below]
    if problems:
        raise InputError(problems)
    return numbers, n_below


def add_up(parts: Mapping[str, Sequence[float]]) -> FloatArray:
    """Add enantiomers (or other parts) up; a sum with a missing part is missing.

    Parameters
    ----------
    parts : mapping of str to sequence of float
        Column -> values, ng/ml, all of one length.
    """
    return np.asarray(
        np.sum([np.asarray(v, dtype=np.float64) for v in parts.values()], axis=0), dtype=np.float64
    )


def measured_exposure(
    samples: pd.DataFrame, *, what: str, window_h: tuple[float, float] | None = None
) -> pd.Series[float]:
    """Compute a measure of exposure from each person's samples.

    Parameters
    ----------
    samples : DataFrame
        ``subject``, ``time_h`` (NaN where unknown), ``value_ng_ml``; one row per sample of one
        analyte, missing values not counted.
    what : {"peak", "time of peak", "average", "auc", "final"}
        ``average`` is the plain mean of the samples; ``auc`` is by trapezoids between samples, from
        the first to the last; ``final`` is the last sample.
    window_h : (float, float), optional
        Only samples in these hours.

    Returns
    -------
    Series
        Indexed by subject, in order of first appearance; ng/ml, h, or ng h/ml. People without a
        sample that counts are not there; an area needs two.

    Raises
    ------
    InputError
        The measure is unknown, or it needs times that the samples lack.
    """
    allowed = ("peak", "time of peak", "average", "auc", "final")
    if what not in allowed:
        raise InputError(
            f"what: {what!r} cannot be had from samples; allowed are {', '.join(allowed)}"
        )
    used = samples.loc[samples["value_ng_ml"].notna()]
    needs_time = what in ("time of peak", "auc", "final") or window_h is not None
    if needs_time and used["time_h"].isna().any():
        raise InputError(f"{what}: needs the hours of every sample; name the column with time_h")
    if window_h is not None:
        used = used.loc[used["time_h"].between(*window_h)]
    found: dict[str, float] = {}
    for subject, rows in used.groupby(used["subject"].astype(str), sort=False):
        own = rows.sort_values("time_h", kind="stable") if needs_time else rows
        value = own["value_ng_ml"].to_numpy(dtype=np.float64)
        time = own["time_h"].to_numpy(dtype=np.float64)
        if what != "auc" or len(value) > 1:
            found[str(subject)] = _of_samples(what, value, time)
    return pd.Series(found, dtype="float64")


def _of_samples(what: str, value: FloatArray, time_h: FloatArray) -> float:
    if what == "average":
        return float(value.mean())
    if what == "auc":
        return float(np.trapezoid(value, time_h))
    if what == "final":
        return float(value[-1])
    top = int(np.argmax(value))
    return float(value[top] if what == "peak" else time_h[top])
