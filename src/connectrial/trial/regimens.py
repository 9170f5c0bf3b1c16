"""Dose plans as tables: what was given, when, and what is wrong with it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.errors import InputError, did_you_mean

#: Columns of a dose plan; a row has an amount or a rate, never both.
DOSE_COLUMNS = ("start_h", "duration_h", "amount_mg_kg", "rate_mg_kg_h")
_PER_PERSON = ("subject", "weight_kg")


def check_regimen(regimen: pd.DataFrame, *, place: str = "regimen") -> pd.DataFrame:
    """Check a dose plan and write every dose as an amount over a duration.

    Doses may overlap: they then add up.

    Parameters
    ----------
    regimen : DataFrame
        One row per dose: ``start_h`` (h from time zero), ``duration_h`` (h; 0 for a bolus), and
        ``amount_mg_kg`` or ``rate_mg_kg_h``. Where both columns are there, each row fills one.
    place : str
        What messages call the table, such as its file.

    Returns
    -------
    DataFrame
        ``start_h``, ``duration_h``, ``amount_mg_kg``, in order of time, rows without drug left out.

    Raises
    ------
    InputError
        With all problems at once: a column is missing or unknown (other units are refused, not
        guessed), a cell is no number, negative or infinite, a row has both or neither of amount and
        rate, or a bolus has a rate.
    """
    problems = _column_problems(regimen, place)
    if problems:
        raise InputError(problems)
    if regimen.empty:
        raise InputError(f"{place}: has no dose; give at least one row")
    numbers: dict[str, list[float]] = {name: [] for name in DOSE_COLUMNS}
    for row, cells in enumerate(regimen.to_dict("records"), start=1):
        values = {name: _number(cells.get(name), place, row, name, problems) for name in numbers}
        problems += _row_problems(values, f"{place}: dose {row}")
        for name, value in values.items():
            numbers[name].append(value)
    if problems:
        raise InputError(problems)
    table = pd.DataFrame(numbers)
    amount = table["amount_mg_kg"].fillna(table["rate_mg_kg_h"] * table["duration_h"])
    ready = table[["start_h", "duration_h"]].assign(amount_mg_kg=amount)
    ready = ready.sort_values(["start_h", "duration_h"], kind="stable")
    return ready.loc[ready["amount_mg_kg"] > 0].reset_index(drop=True)


def _column_problems(regimen: pd.DataFrame, place: str) -> list[str]:
    known = (*DOSE_COLUMNS, *_PER_PERSON)
    columns = [str(name) for name in regimen.columns]
    problems = [
        f"{place}: there is no column {name!r}{did_you_mean(name, known, listing=False)}; allowed are "
        f"{', '.join(DOSE_COLUMNS)} (hours, mg/kg, mg/kg/h; other units are not converted)"
        for name in columns
        if name not in known
    ]
    lacking = [name for name in ("start_h", "duration_h") if name not in columns]
    if lacking:
        problems.append(f"{place}: the column {' and '.join(lacking)} is missing")
    if not {"amount_mg_kg", "rate_mg_kg_h"} & set(columns):
        problems.append(f"{place}: needs the column amount_mg_kg or rate_mg_kg_h")
    return problems


def _number(cell: object, place: str, row: int, column: str, problems: list[str]) -> float:
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return float("nan")
    if isinstance(cell, bool) or not isinstance(cell, int | float | np.number | str):
        problems.append(f"{place}: dose {row} {column}: {cell!r} is no number")
        return float("nan")
    try:
        value = float(cell)
    except (ValueError, OverflowError):
        problems.append(f"{place}: dose {row} {column}: {str(cell)[:40]!r} is no number")
        return float("nan")
    if np.isinf(value) or value < 0:
        problems.append(
            f"{place}: dose {row} {column}: is {value:g}; allowed are finite numbers from 0 on"
        )
    return value


def _row_problems(values: dict[str, float], where: str) -> list[str]:
    problems = [
        f"{where} {name}: is empty" for name in ("start_h", "duration_h") if np.isnan(values[name])
    ]
    has_amount = not np.isnan(values["amount_mg_kg"])
    has_rate = not np.isnan(values["rate_mg_kg_h"])
    if has_amount and has_rate:
        problems.append(f"{where}: has both amount_mg_kg and rate_mg_kg_h; keep one of them")
    if not has_amount and not has_rate:
        problems.append(f"{where}: has neither amount_mg_kg nor rate_mg_kg_h; give one of them")
    if has_rate and values["duration_h"] == 0 and values["rate_mg_kg_h"] > 0:
        problems.append(
            f"{where}: a bolus (duration_h 0) has no rate; give amount_mg_kg, or a duration"
        )
    return problems


def regimens_of_people(
    table: pd.DataFrame, *, place: str = "doses"
) -> dict[str, tuple[pd.DataFrame, float | None]]:
    """Take a table of doses apart by person.

    Parameters
    ----------
    table : DataFrame
        As :func:`check_regimen` takes it, with the column ``subject`` and perhaps ``weight_kg``,
        which must be one number per person.
    place : str
        What messages call the table.

    Returns
    -------
    dict
        Person -> (checked doses, weight in kg or None where the table has none). Nobody is left out:
        a person whose rows give no drug has an empty table.

    Raises
    ------
    InputError
        With the problems of all people.
    """
    if "subject" not in table.columns:
        raise InputError(f"{place}: the column subject is missing; it says whose dose a row is")
    if table["subject"].isna().any():
        row = int(np.flatnonzero(table["subject"].isna().to_numpy())[0]) + 1
        raise InputError(f"{place}: row {row} subject: is empty; say whose dose it is")
    problems: list[str] = []
    people: dict[str, tuple[pd.DataFrame, float | None]] = {}
    for subject, own in table.groupby(table["subject"].astype(str), sort=False):
        name = str(subject).removeprefix("sub-")
        where = f"{place}: sub-{name}"
        try:
            doses = check_regimen(own.drop(columns=["subject"]).reset_index(drop=True), place=where)
            people[name] = (doses, _weight_of(own, where))
        except InputError as error:
            problems += [text for text in error.problems if text not in problems]
    if problems:
        raise InputError(problems)
    return people


def _weight_of(own: pd.DataFrame, where: str) -> float | None:
    if "weight_kg" not in own.columns:
        return None
    given = own["weight_kg"].dropna().astype(str).unique()
    if len(given) == 0:
        return None
    if len(given) > 1:
        raise InputError(f"{where} weight_kg: is {' and '.join(given)}; give one weight per person")
    try:
        return check_weight(float(given[0]), place=f"{where} weight_kg")
    except ValueError:
        raise InputError(f"{where} weight_kg: {given[0]!r} is no number") from None


def check_weight(weight_kg: float, *, place: str = "weight_kg") -> float:
    """Return a weight that can be one of an adult or a child, or say what came.

    Raises
    ------
    InputError
        It is not between 2 and 400 kg.
    """
    if not 2 <= weight_kg <= 400:
        raise InputError(f"{place}: is {weight_kg:g}; allowed are 2 to 400 kg")
    return float(weight_kg)


def describe_dose(start_h: float, duration_h: float, amount_mg_kg: float) -> str:
    """Say in words what one row of a checked dose plan gives."""
    if duration_h == 0:
        return f"{amount_mg_kg:g} mg/kg at once at {_clock(start_h)}"
    rate = amount_mg_kg / duration_h
    return (
        f"{amount_mg_kg:.4g} mg/kg from {_clock(start_h)} to {_clock(start_h + duration_h)} "
        f"({rate:.4g} mg/kg/h)"
    )


def _clock(hours: float) -> str:
    return f"{60 * hours:.4g} min" if 0 < hours < 3 else f"{hours:.4g} h"
