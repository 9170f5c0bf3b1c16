"""Results as they may leave the lab: codes in place of people, text without hidden signs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pandas as pd

from connectrial.results import Result, Results

_PEOPLE = ("subject", "person", "participant_id")
#: Tables whose other columns name people.
_PEOPLE_OF = {"matched": ("patient", "control")}
#: What a table lists, before its people: their order in it is kept.
_LISTS = ("scale", "outcome", "what", "endpoint")
_MENTION = re.compile(r"(?<![A-Za-z0-9])sub-([A-Za-z0-9+]*[0-9][A-Za-z0-9+]*)")
_READ_AS = re.compile(r"'[^']*'(?= is read as sub-)")
#: Control signs, and signs that turn the direction of text or cannot be seen.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)

Change = Callable[[str], str]


def people_named(results: Results) -> list[str]:
    """List everybody whose identifier stands anywhere in the results.

    Parameters
    ----------
    results : Results
        Of a run.

    Returns
    -------
    list of str
        Without ``sub-``: people of the tables, and those that only a text names as ``sub-X``.
    """
    found: dict[str, None] = {}
    for name, table in results.tables.items():
        for column in _columns_of_people(name, table):
            found |= dict.fromkeys(_bare(one) for one in table[column].dropna().unique())
    for section in results.study.get("exclude") or ():
        found[_bare(section.get("subject", ""))] = None
    for text in _texts(results):
        found |= dict.fromkeys(_MENTION.findall(text))
    return [one for one in found if one]


def with_codes(results: Results, codes: Mapping[str, str]) -> Results:
    """Put a code in the place of each person, in tables, names of files, notes and reasons.

    Parameters
    ----------
    results : Results
        Of a run.
    codes : mapping of str to str
        Subject (without ``sub-``) -> code, for all that :func:`people_named` lists.

    Returns
    -------
    Results
        Where a cell holds a person, the code; in text ``sub-CODE`` for ``sub-X``. A bare identifier
        inside a text is replaced only where it cannot be anything else: letters and digits, four
        signs or more. People stand in the order of their codes, so that not even order tells.
    """
    change = _coding(codes, kept=_vocabulary(results))
    tables = {
        name: _coded_table(name, table, codes, change) for name, table in results.tables.items()
    }
    tables.pop("scan_files", None)
    study = dict(results.study)
    if study.get("exclude"):
        study["exclude"] = [
            {**one, "subject": codes.get(_bare(one["subject"]), change(str(one["subject"])))}
            for one in study["exclude"]
        ]
    return _changed(replace(results, tables=tables, study=study), change)


def without_hidden(results: Results) -> Results:
    """Show signs that cannot be seen, or turn the direction of text, as a replacement sign."""
    return _changed(results, lambda text: _HIDDEN.sub("\N{REPLACEMENT CHARACTER}", text))


def _coding(codes: Mapping[str, str], *, kept: set[str]) -> Change:
    longest = sorted(codes, key=len, reverse=True)
    names = "|".join(re.escape(one) for one in longest if one)
    mention = re.compile(
        rf"(?<![A-Za-z0-9])sub-((?:{names})(?![A-Za-z0-9+])|[A-Za-z0-9+]+)"
        if names
        else r"(?<![A-Za-z0-9])sub-([A-Za-z0-9+]+)"
    )
    quoted = re.compile(r"(?<![A-Za-z0-9])((?:subject|person|participant) (['\"]))(.+?)(?=\2)")
    clear = [
        one
        for one in longest
        if len(one) >= 4 and one not in kept and re.search(r"[A-Za-z]", one)
        if re.search(r"\d", one)
    ]
    bare = None
    if clear:
        names = "|".join(re.escape(one) for one in clear)
        bare = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])")

    def known(found: re.Match[str]) -> str:
        return "sub-" + codes.get(found.group(1), found.group(1))

    def named(found: re.Match[str]) -> str:
        return found.group(1) + codes.get(_bare(found.group(3)), found.group(3))

    def change(text: str) -> str:
        text = mention.sub(known, _READ_AS.sub("a label", text))
        text = quoted.sub(named, text)
        return text if bare is None else bare.sub(lambda found: codes[found.group()], text)

    return change


def _coded_table(
    name: str, table: pd.DataFrame, codes: Mapping[str, str], change: Change
) -> pd.DataFrame:
    columns = _columns_of_people(name, table)
    if not columns:
        return table
    coded = table.assign(
        **{
            column: table[column].map(
                lambda one: one if pd.isna(one) else codes.get(_bare(one), change(str(one)))
            )
            for column in columns
        }
    )
    listed = [column for column in _LISTS if column in coded.columns]
    order = pd.DataFrame(
        {column: pd.factorize(coded[column])[0] for column in listed}, index=coded.index
    ).assign(**{"": coded[columns[0]].astype(str)})
    places = order.reset_index(drop=True).sort_values([*listed, ""], kind="stable").index
    return coded.iloc[places].reset_index(drop=True)


def _columns_of_people(name: str, table: pd.DataFrame) -> list[str]:
    return [c for c in (*_PEOPLE, *_PEOPLE_OF.get(name, ())) if c in table.columns]


def _vocabulary(results: Results) -> set[str]:
    """Gather names that the study uses for other things than people."""
    words = {str(one) for key in ("visits", "places") for one in results.plan.get(key) or ()}
    for levels in (results.plan.get("factors") or {}).values():
        words |= {str(level) for level in levels}
    for name, column in (("parcels", "parcel"), ("parcels", "network"), ("scans", "session")):
        table = results.tables.get(name)
        if table is not None and column in table.columns:
            words |= set(table[column].dropna().astype(str))
    return words


def _bare(subject: object) -> str:
    return str(subject).removeprefix("sub-")


def _texts(results: Results) -> Iterator[str]:
    """Yield every text of the results, each unique cell of a column once."""
    found: list[str] = []

    def note(text: str) -> str:
        found.append(text)
        return text

    _changed(results, note)
    yield from found


def _changed(results: Results, change: Change) -> Results:
    """Apply a change to every text of the results, names of analyses and outcomes alike."""
    change = cache(change)  # the same few thousand texts stand in every table
    return replace(
        results,
        study=_plain(results.study, change),
        plan=_plain(results.plan, change),
        analyses=tuple(_result(one, change) for one in results.analyses),
        tables={name: _table(table, change) for name, table in results.tables.items()},
        edges={change(str(name)): _table(table, change) for name, table in results.edges.items()},
        matrices={
            change(str(name)): table.rename(index=_renamed(change), columns=_renamed(change))
            for name, table in results.matrices.items()
        },
    )


def _result(result: Result, change: Change) -> Result:
    return replace(
        result,
        name=change(result.name),
        title=change(result.title),
        outcome=change(result.outcome),
        methods=change(result.methods),
        estimates=_table(result.estimates, change),
        means=None if result.means is None else _table(result.means, change),
        design=_plain(result.design, change),
        notes=tuple(change(str(note)) for note in result.notes),
    )


def _plain(value: Any, change: Change) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {
            (change(key) if isinstance(key, str) else key): _plain(one, change)
            for key, one in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(one, change) for one in value)
    return value


def _table(table: pd.DataFrame, change: Change) -> pd.DataFrame:
    """Change the text of a table; each unique text once, since edges have many rows."""
    new: dict[Any, pd.Series] = {}
    for column in table.columns:
        cells = table[column]
        if isinstance(cells.dtype, pd.CategoricalDtype):
            words = {one: change(one) for one in cells.cat.categories if isinstance(one, str)}
            if any(word != text for text, word in words.items()):
                new[column] = cells.cat.rename_categories(words)
        elif cells.dtype == object or isinstance(cells.dtype, pd.StringDtype):
            words = {one: change(one) for one in _unique(cells)}
            if any(word != text for text, word in words.items()):
                new[column] = cells.map(lambda one, words=words: _word(one, words))
    changed = table.assign(**{str(name): cells for name, cells in new.items()}) if new else table
    if all(change(one) == one for one in table.columns if isinstance(one, str)):
        return changed
    return changed.rename(columns=_renamed(change))


def _unique(cells: pd.Series) -> list[str]:
    listed = cells.to_numpy(dtype=object).tolist()
    # A third of the time of pandas' own, over all cells of all tables and three times.
    with suppress(TypeError):  # lists in cells
        listed = list(dict.fromkeys(listed))
    return [one for one in listed if isinstance(one, str)]


def _word(one: Any, words: Mapping[str, str]) -> Any:  # noqa: ANN401 - a cell of any table
    return words.get(one, one) if isinstance(one, str) else one


def _renamed(change: Change) -> Callable[[Any], Any]:
    return lambda name: change(name) if isinstance(name, str) else name
