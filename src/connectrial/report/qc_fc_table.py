"""QC-FC as a table: a row per visit, a column per measure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from connectrial.figures.numbers import as_float, format_count, format_number
from connectrial.report.cells import Cell, Table, adjustment_words

#: Name of the analysis.
QC_FC = "QC-FC"
_OTHER_UNITS = ("", "r", "rho", "share")


def qc_fc_table(rows: pd.DataFrame) -> tuple[Table, tuple[str, ...]]:
    """Lay measures of QC-FC out, so that visits can be compared; what holds of all visits is a note.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of the results, their terms a measure and a visit: ``median |r|, day 14``.

    Returns
    -------
    Table
    tuple of str
        Notes.
    """
    parts = [str(term).partition(", ") for term in rows["term"]]
    named = rows.assign(measure=[one[0] for one in parts], visit=[one[2] for one in parts])
    named["note"] = [
        "; ".join(filter(None, (adjustment_words(how), str(flags))))
        for how, flags in zip(named["adjustment"], named["flags"], strict=True)
    ]
    units = named.drop_duplicates("measure").set_index("measure")["unit"].to_dict()
    notes = []
    for measure, own in named.groupby("measure", sort=False):
        said = [note for note in dict.fromkeys(own["note"]) if note]
        if len(said) == 1 and own["note"].ne("").all():
            notes.append(f"{measure}: {said[0]}")
            named.loc[own.index, "note"] = ""
    body = []
    for visit, own in named.groupby("visit", sort=False):
        first = own.iloc[0]
        by_measure = own.drop_duplicates("measure").set_index("measure")
        known = by_measure.to_dict("index")
        cells = [Cell(text=str(visit)), _count(first["n_subjects"])]
        cells += [_cell(known.get(measure)) for measure in units]
        body.append(("", tuple(cells)))
    heads = [_head(str(measure), str(unit or "")) for measure, unit in units.items()]
    table = Table(
        heads=(("visit", ""), ("people", "num"), *((head, "num") for head in heads)),
        rows=tuple(body),
        caption="Correlation of edges with mean displacement, by visit",
    )
    return table, tuple(notes)


def _head(measure: str, unit: str) -> str:
    return measure if unit in _OTHER_UNITS else f"{measure} ({unit})"


def _cell(row: Mapping[Hashable, Any] | None) -> Cell:
    if row is None:
        return Cell(text="–", css="num")
    estimate = as_float(row["estimate"])
    text = format_number(estimate)
    if row["unit"] == "share" and estimate == estimate:
        text = f"{100 * estimate:.1f} %"
    note = str(row["note"])
    return Cell(text=text, sub=(note,) if note else (), sort=estimate, css="num whole")


def _count(value: object) -> Cell:
    return Cell(text=format_count(value), sort=as_float(value), css="num")
