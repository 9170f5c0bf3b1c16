"""Dose plans as files: TOML with a list of doses, or a table; some are shipped."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from connectrial.errors import InputError, did_you_mean
from connectrial.io.clinical_columns import find_column
from connectrial.io.tables import normalise_subject, read_table, to_numbers
from connectrial.reading import parse_toml, read_utf8

_KEYS = ("title", "source", "stand_in", "observed", "times_h", "dose")
_NUMBERS = ("start_h", "duration_h", "amount_mg_kg", "rate_mg_kg_h", "weight_kg")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RegimenFile:
    """A dose plan as it stands in its file.

    Attributes
    ----------
    name : str
        Name of a shipped one, or of the file.
    doses : pandas.DataFrame
        One row per dose, columns as the file has them; ``subject`` (text) where it has one.
    title, source : str
        What it is, and who says so.
    stand_in : str
        What of it no source states; empty where nothing.
    observed : str
        Concentrations that were measured after such doses, with their sources.
    times_h : tuple of float
        Times worth a look.
    """

    name: str
    doses: pd.DataFrame
    title: str = ""
    source: str = ""
    stand_in: str = ""
    observed: str = ""
    times_h: tuple[float, ...] = ()

    @property
    def per_person(self) -> bool:
        """Return whether each person has doses of their own."""
        return "subject" in self.doses.columns


def shipped_regimens() -> tuple[str, ...]:
    """Return the names of the dose plans that come with the package."""
    folder = files("connectrial") / "templates" / "regimens"
    names = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def read_regimen(name: str | Path) -> RegimenFile:
    """Read a dose plan by its shipped name or from a file.

    Parameters
    ----------
    name : str or Path
        A shipped plan (:func:`shipped_regimens`), a TOML file (``[[dose]]`` with ``start_h``,
        ``duration_h`` and ``amount_mg_kg`` or ``rate_mg_kg_h``; perhaps ``title``, ``source``,
        ``stand_in``, ``observed``, ``times_h``), or a table (CSV, TSV, XLSX) with those columns, and perhaps
        ``subject`` and ``weight_kg``.

    Returns
    -------
    RegimenFile
        The doses unchecked; :func:`connectrial.trial.regimens.check_regimen` does that.

    Raises
    ------
    InputError
        There is no such plan, or the file cannot be read.
    """
    text, path = str(name), Path(name)
    if text in shipped_regimens():
        content = (files("connectrial") / "templates" / "regimens" / f"{text}.toml").read_text(
            "utf-8"
        )
        return _from_toml(content, name=text, place=text)
    if not path.is_file():
        known = shipped_regimens()
        raise InputError(
            f"{text}: there is no such file or dose plan; name a file (TOML, TSV, CSV, XLSX) or one of "
            f"{', '.join(known)}{did_you_mean(text, known, listing=False)}"
        )
    if path.suffix.lower() == ".toml":
        return _from_toml(read_utf8(path), name=path.stem, place=str(path))
    return _from_table(path)


def _from_toml(content: str, *, name: str, place: str) -> RegimenFile:
    raw = parse_toml(content.replace("\r\n", "\n"), where=place)
    problems = [
        f"{place}: there is no key {key!r}{did_you_mean(key, _KEYS)}"
        for key in raw
        if key not in _KEYS
    ]
    doses = raw.get("dose")
    if not isinstance(doses, list) or not all(isinstance(one, dict) for one in doses) or not doses:
        problems.append(f"{place}: has no [[dose]]; give each dose a table of its own")
    for key in ("title", "source", "stand_in", "observed"):
        if not isinstance(raw.get(key, ""), str):
            problems.append(f"{place} {key}: must be text; got {raw[key]!r}")
    times = raw.get("times_h", [])
    if not isinstance(times, list) or not all(
        isinstance(one, int | float) and not isinstance(one, bool) and abs(one) < 1e9
        for one in times
    ):
        problems.append(f"{place} times_h: must be a list of hours; got {times!r}")
    if problems:
        raise InputError(problems)
    return RegimenFile(
        name=name,
        doses=pd.DataFrame(doses),
        title=raw.get("title", ""),
        source=raw.get("source", ""),
        stand_in=raw.get("stand_in", ""),
        observed=raw.get("observed", ""),
        times_h=tuple(float(one) for one in times),
    )


def _from_table(path: Path) -> RegimenFile:
    table = read_table(path)
    frame = table.frame.copy()
    subject = find_column(table, "subject")
    for column in _NUMBERS:
        if column in frame:
            frame[column] = to_numbers(table, column).to_numpy()
    if subject is not None:
        labels = frame[subject].map(lambda cell: cell if cell is pd.NA else normalise_subject(cell))
        frame = frame.drop(columns=[subject]).assign(subject=labels)
    return RegimenFile(name=path.stem, doses=frame)
