"""Variables of a model taken from a table: numbers as numbers, all else as factors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from connectrial.errors import ModelError

Coding = Mapping[str, Mapping[Any, float]]
"""Numbers for the levels of variables, ``{"time": {"pre": 0, "week2": 1}}``."""


def read_frame(
    data: pd.DataFrame, names: Iterable[str], *, coding: Coding | None, where: str
) -> pd.DataFrame:
    """Take variables from a table: numbers as float, all else as unordered factors.

    Parameters
    ----------
    data : DataFrame
        One row per observation.
    names : iterable of str
        Variables; each is taken once.
    coding : mapping or None
        Numbers for levels.
    where : str
        Formula, for messages.

    Returns
    -------
    DataFrame
        Same rows, one column per variable.

    Raises
    ------
    ModelError
        If `data` is no table, a variable is missing, infinite or of a kind that no model takes,
        or a coding names another variable or lacks a level.
    """
    if not isinstance(data, pd.DataFrame):
        raise ModelError(f"data: got {type(data).__name__}; give a pandas DataFrame")
    wanted = list(dict.fromkeys(names))
    coding = coding or {}
    problems = [
        f"formula {where!r}: {_not_found(name, data)}" for name in wanted if name not in data
    ]
    problems += [f"coding: {_not_found(name, data)}" for name in coding if name not in data]
    if problems:
        raise ModelError(problems)
    columns = {}
    for name in wanted:
        column = data[name]
        if isinstance(column, pd.DataFrame):
            raise ModelError(f"data: more than one column is called {name!r}; rename one")
        columns[name] = _code(column, coding[name]) if name in coding else _read_column(column)
    return pd.DataFrame(
        {name: list_like.array for name, list_like in columns.items()}, index=range(len(data))
    )


def _read_column(column: pd.Series[Any]) -> pd.Series[Any]:
    name = column.name
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.as_unordered()
    if pd.api.types.is_bool_dtype(column.dtype):
        return column.astype("category").cat.set_categories([False, True])
    if pd.api.types.is_numeric_dtype(column.dtype):
        numbers = column.astype("float64")
        infinite = np.flatnonzero(np.isinf(numbers.to_numpy()))
        if len(infinite):
            raise ModelError(
                f"column {name!r}: infinite in {len(infinite)} rows, first in row "
                f"{infinite[0] + 1} (index {column.index[infinite[0]]!r}); "
                "give finite numbers, or leave missing values empty"
            )
        return numbers
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        raise ModelError(f"column {name!r}: holds dates; give numbers (such as days) or levels")
    present = column.dropna()
    kinds = {type(value) for value in present}
    if any(not issubclass(kind, str | bool | np.bool_) for kind in kinds):
        if all(issubclass(kind, int | float | np.number) for kind in kinds):
            return _read_column(column.astype("float64"))
        raise ModelError(
            f"column {name!r}: mixes {', '.join(sorted(kind.__name__ for kind in kinds))}; "
            "give numbers only, or text only"
        )
    # code-point order of str is R's C locale
    return column.astype(pd.CategoricalDtype(sorted(present.unique(), key=str)))


def _code(column: pd.Series[Any], levels: Mapping[Any, float]) -> pd.Series[Any]:
    numbers = {str(level): number for level, number in levels.items()}
    for level, number in numbers.items():
        if isinstance(number, str) or not np.isfinite(float(number)):
            raise ModelError(
                f"coding: {column.name}: {level!r} is {number!r}; give a finite number"
            )
    present = column.notna()
    as_text = column[present].astype(str)
    unknown = sorted(set(as_text) - set(numbers))
    if unknown:
        raise ModelError(
            f"coding: column {column.name!r} holds {', '.join(map(repr, unknown))}, "
            f"which the coding lacks; it has {', '.join(map(repr, numbers))}"
        )
    coded = pd.Series(np.nan, index=column.index, name=column.name, dtype="float64")
    coded[present] = as_text.map(numbers).astype("float64")
    return coded


def _not_found(name: str, data: pd.DataFrame) -> str:
    names = [str(column) for column in data.columns]
    close = difflib.get_close_matches(str(name), names, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"columns are {', '.join(names[:20])}"
    return f"no column {name!r} in the data; {hint}"
