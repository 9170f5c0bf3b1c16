"""Connections that stand in a table beside the study file."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import pandas as pd

from connectrial.errors import InputError, did_you_mean
from connectrial.study import ConnectionTable, HypothesisSection, Study

STAND_IN = "stand-in"


def rows_of(section: ConnectionTable, table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a table that a hypothesis means.

    Raises
    ------
    InputError
        A column is missing, or no row is of the set.
    """
    wanted = [*section.columns, *([section.set_column] if section.set is not None else [])]
    absent = [name for name in wanted if name not in table]
    if absent:
        hint = did_you_mean(absent[0], list(map(str, table.columns)))
        raise InputError(f"{section.table}: has no column {absent[0]!r}{hint}")
    if section.set is None:
        return table
    own = table.loc[table[section.set_column].astype(str) == section.set]
    if own.empty:
        known = list(dict.fromkeys(table[section.set_column].dropna().astype(str)))
        raise InputError(
            f"{section.table}: no row has {section.set!r} in column {section.set_column!r}"
            f"{did_you_mean(section.set, known)}"
        )
    return own


def listed_pairs(
    section: ConnectionTable,
    table: pd.DataFrame,
    *,
    sets: Mapping[str, pd.Index],
    parcels: pd.Index,
) -> list[tuple[str, str]]:
    """Turn rows into pairs of parcels: an end is a parcel, or a set or network of several.

    Parameters
    ----------
    section : ConnectionTable
        Which rows, and the columns of their ends.
    table : DataFrame
        Text, indexed by row of its file.
    sets : mapping
        Parcels of each set and network.
    parcels : Index
        All parcels.

    Returns
    -------
    list of (str, str)
        Every parcel of one end with every parcel of the other, a set with itself being all pairs
        inside it; what two rows name counts once.

    Raises
    ------
    InputError
        With one sentence for each end that is neither a parcel nor a set.
    """
    rows = rows_of(section, table)
    known = {str(name): [str(name)] for name in parcels}
    known = {**{name: [str(p) for p in own] for name, own in sets.items()}, **known}
    problems: list[str] = []
    pairs: dict[frozenset[str], tuple[str, str]] = {}
    for number, row in rows.iterrows():
        ends = [str(row[column]) for column in section.columns]
        for column, end in zip(section.columns, ends, strict=True):
            if end not in known:
                problems.append(
                    f"{section.table} row {number}, column {column!r}: {end!r} is no parcel, "
                    f"set or network{did_you_mean(end, list(known), listing=False)}"
                )
        if all(end in known for end in ends):
            for a, b in product(known[ends[0]], known[ends[1]]):
                if a != b:
                    pairs.setdefault(frozenset((a, b)), (a, b))
    if problems:
        raise InputError(problems)
    return list(pairs.values())


def stand_in_note(
    study: Study, hypothesis: HypothesisSection, tables: Mapping[str, pd.DataFrame]
) -> str:
    """Say that connections are stand-ins; empty where none is, or a difference has none that are."""
    own = {one.name: one for one in study.hypothesis}
    for one in (hypothesis, *(own[name] for name in hypothesis.difference or () if name in own)):
        section = one.connections
        if not isinstance(section, ConnectionTable) or section.table not in tables:
            continue
        try:
            rows = rows_of(section, tables[section.table])
        except InputError:
            continue
        if section.source_column not in rows:
            continue
        count = int(rows[section.source_column].astype(str).str.startswith(STAND_IN).sum())
        if count:
            return (
                f"stand-in connections: {count} of {len(rows)} rows of {section.table}"
                + (f" (set {section.set})" if section.set else "")
                + " come from no source at hand; edit the table to state the real ones"
            )
    return ""
