"""Random codes that stand for people outside the lab, and lists of exclusions that may use them."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.tables import read_table

IDS_FILE = "ids.tsv"
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"  # without I and O, which look like digits
_SIGNS = _LETTERS + "23456789"
_LENGTH = 5


def read_codes(path: Path) -> dict[str, str]:
    """Read the codes of people from a folder's ``ids.tsv``.

    Parameters
    ----------
    path : Path
        The file; one that is not there holds no codes.

    Returns
    -------
    dict of str to str
        Subject (without ``sub-``) -> code.

    Raises
    ------
    InputError
        The file is damaged: columns missing, or a person or a code twice.
    """
    if not path.is_file():
        return {}
    frame = read_table(path).frame
    if not {"subject", "code"} <= set(frame.columns):
        raise InputError(
            f"{path}: must have the columns subject and code; put the file back from a copy, or remove "
            "it and new codes are drawn"
        )
    frame = frame.dropna(subset=["subject", "code"])
    for column in ("subject", "code"):
        twice = frame.loc[frame[column].duplicated(), column]
        if len(twice):
            raise InputError(f"{path}: {column} {twice.iloc[0]!r} stands there twice; keep one row")
    return dict(zip(frame["subject"].astype(str), frame["code"].astype(str), strict=True))


def codes_for(output_dir: Path, subjects: Iterable[str]) -> dict[str, str]:
    """Return a code for each person; new ones are drawn at random and kept in ``ids.tsv``.

    Codes come from the operating system's randomness: neither the seed nor the identifier leads to
    them, and a rerun finds them in the file.

    Parameters
    ----------
    output_dir : Path
        Folder of a run.
    subjects : iterable of str
        People, without ``sub-``.

    Returns
    -------
    dict of str to str
        Subject -> code, for these people.

    Raises
    ------
    InputError
        The file is damaged or cannot be written.
    """
    path = output_dir / IDS_FILE
    known = read_codes(path)
    wanted = list(dict.fromkeys(map(str, subjects)))
    new = [subject for subject in wanted if subject not in known]
    if new:
        taken = {one.casefold() for one in (*known.values(), *known, *wanted)}
        for subject in new:
            known[subject] = _draw(taken)
        # The order of the file says nothing but the identifiers themselves.
        rows = pd.DataFrame(sorted(known.items()), columns=["subject", "code"])
        write_atomic(path, rows.to_csv(sep="\t", index=False, lineterminator="\n"))
    return {subject: known[subject] for subject in wanted}


def _draw(taken: set[str]) -> str:
    while True:
        code = secrets.choice(_LETTERS) + "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH))
        # A code of letters alone may be a word, or look like somebody's initials.
        if any(sign.isdigit() for sign in code) and code.casefold() not in taken:
            taken.add(code.casefold())
            return code


def read_exclusions(path: Path) -> list[tuple[str, str | None, str]]:
    """Read a list of people and sessions to leave out.

    Parameters
    ----------
    path : Path
        TSV (or CSV, XLSX) with the columns ``subject`` (or ``code``), ``session`` (may be absent
        or empty: the whole person) and ``reason``.

    Returns
    -------
    list of (subject, session, reason)
        In the order of the file, without ``sub-`` and ``ses-``.

    Raises
    ------
    InputError
        A column is missing, or rows have no subject or no reason: all such rows in one message.
    """
    table = read_table(path)
    frame = table.frame
    who = next((name for name in ("subject", "code", "participant_id") if name in frame), None)
    missing = [*([] if who else ["subject"]), *([] if "reason" in frame else ["reason"])]
    if missing or who is None:
        raise InputError(
            f"{path}: the column {' and the column '.join(missing)} is missing (it has "
            f"{', '.join(map(str, frame.columns))}); an exclusion list has subject, reason and, where "
            "only a session goes, session"
        )
    problems = [
        f"{path}: row {row} has no {column}; every exclusion says who and why"
        for column in (who, "reason")
        for row in table.rows[frame[column].isna().to_numpy()]
    ]
    if problems:
        raise InputError(problems)
    sessions = frame["session"] if "session" in frame else pd.Series(pd.NA, index=frame.index)
    return [
        (
            str(subject).removeprefix("sub-"),
            None if pd.isna(session) else str(session).removeprefix("ses-"),
            str(reason),
        )
        for subject, session, reason in zip(frame[who], sessions, frame["reason"], strict=True)
    ]
