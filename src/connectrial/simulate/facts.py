"""What is to be true of a simulated study: every number with its source, or called an assumption."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectrial.errors import StudyFileError, did_you_mean

ASSUMED = "assumption (default)"

#: Section -> key -> what its value must be. ``by name`` is a table whose keys are names.
_KEYS: dict[str, dict[str, str]] = {
    "atlas": {"name": "text"},
    "cohort": {
        "name": "text",
        "n": "count",
        "columns": "table",
        "scans": "counts by name",
        "scored": "counts by name",
    },
    "columns": {
        "mean": "number",
        "sd": "number",
        "minimum": "number",
        "maximum": "number",
        "decimals": "count",
        "levels": "numbers by name",
        "cohorts": "names",
    },
    "scale": {
        "name": "text",
        "cohorts": "names",
        "mean": "number or by name",
        "sd": "number or by name",
        "minimum": "number or by name",
        "correlation": "number",
    },
    "endpoint": {"name": "text", "n": "count", "cohorts": "names"},
    "correlation": {
        "column": "text",
        "scale": "text",
        "baseline": "text",
        "visit": "text",
        "r": "number",
        "mean": "number",
        "sd": "number",
        "decimals": "count",
    },
    "fc": {
        "within": "number",
        "between": "number",
        "subject_sd": "number",
        "period_sd": "number",
        "session_sd": "number",
        "n_runs": "count",
        "n_frames": "count",
        "repetition_time_s": "number",
        "mean_fd_mm": "number",
    },
    "system": {
        "name": "text",
        "level": "number",
        "patients": "number",
        "change": "numbers by name",
        "visits": "names",
    },
    "oddity": {"kind": "text", "session": "text", "n": "count"},
    "safety": {"share": "number", "events": "shares by visit"},
    "volumes": {
        "share": "number",
        "cv": "number",
        "correlation": "numbers by name",
        "n": "count",
    },
    "doses": {
        "regimen": "text",
        "amounts_mg_kg": "numbers by name",
        "column": "text",
        "n_capped": "count",
        "cap_mean": "number",
        "cap_sd": "number",
    },
    "samples": {"times_h": "numbers", "cv": "number"},
}
_LISTS = ("cohort", "scale", "endpoint", "correlation", "system", "oddity")
_NAMES = ("name", "cohorts", "kind", "column", "scale", "baseline", "visit")  # what is meant
_BY_NAME = ("columns",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value that is to be true, and where it comes from."""

    key: str
    value: Any
    source: str


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Facts:
    """What is to be true of a simulated study.

    Attributes
    ----------
    sections : dict
        Section -> key -> value (sections that are lists: list of such tables).
    stated : tuple of Fact
        Every value that was given, with its source.
    """

    sections: Mapping[str, Any] = field(default_factory=dict)
    stated: tuple[Fact, ...] = ()

    def one(self, section: str) -> dict[str, Any]:
        """Return the values of a section that is one table."""
        return dict(self.sections.get(section, {}))

    def many(self, section: str) -> list[dict[str, Any]]:
        """Return the entries of a section that is a list."""
        return list(self.sections.get(section, []))


def read_facts(raw: Mapping[str, Any], *, where: str = "truth.toml") -> Facts:
    """Check what is to be true, given as plain data.

    A value stands bare, and its table's ``source`` says where it is from, or is a table of its own
    ``{ value = ..., source = "..." }``.

    Parameters
    ----------
    raw : mapping
        Content of a truth file.
    where : str
        Its name, for messages.

    Returns
    -------
    Facts

    Raises
    ------
    StudyFileError
        With one sentence for each section or key that is unknown, each value of the wrong kind and
        each one without a source.
    """
    problems: list[str] = []
    stated: list[Fact] = []
    sections: dict[str, Any] = {}
    for name, content in raw.items():
        if name not in _KEYS:
            problems.append(f"{where}: there is no [{name}]{did_you_mean(name, list(_KEYS))}")
            continue
        shape = "[[{}]] entries" if name in _LISTS else "a table [{}]"
        is_right = isinstance(content, list) if name in _LISTS else isinstance(content, Mapping)
        if not is_right:
            problems.append(f"{where}: {name} must be {shape.format(name)}; got {content!r}")
            continue
        reader = _Reader(name, where, problems, stated)
        if name in _LISTS:
            sections[name] = [
                reader.read(
                    one, f"{name}.{one.get('name', i)}" if isinstance(one, Mapping) else name
                )
                for i, one in enumerate(content, start=1)
            ]
        elif name in _BY_NAME:
            sections[name] = {
                key: reader.read(one, f"{name}.{key}") for key, one in content.items()
            }
        else:
            sections[name] = reader.read(content, name)
    if problems:
        raise StudyFileError(problems)
    return Facts(sections=sections, stated=tuple(stated))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the tables of one section, and collects what is wrong."""

    section: str
    where: str
    problems: list[str]
    stated: list[Fact]

    def read(self, table: Any, place: str) -> dict[str, Any]:  # noqa: ANN401 - from a file
        if not isinstance(table, Mapping):
            self.problems.append(f"{self.where}: {place} must be a table; got {table!r}")
            return {}
        allowed = _KEYS[self.section]
        source = table.get("source", "")
        found: dict[str, Any] = {}
        for key, given in table.items():
            if key == "source":
                continue
            if key not in allowed:
                hint = did_you_mean(key, [*allowed, "source"])
                self.problems.append(f"{self.where}: {place} has no key {key!r}{hint}")
                continue
            value, own = given, source
            if isinstance(given, Mapping) and set(given) == {"value", "source"}:
                value, own = given["value"], given["source"]
            if not _fits(value, allowed[key]):
                self.problems.append(
                    f"{self.where}: {place}.{key} must be {_WORDS[allowed[key]]}; got {value!r}"
                )
            if key not in _NAMES and not (isinstance(own, str) and own.strip()):
                self.problems.append(
                    f'{self.where}: {place}.{key} has no source; add source = "paper, table 1" or '
                    'source = "assumption" to its table, or write { value = ..., source = "..." }'
                )
            found[key] = value
            if key not in _NAMES:
                self.stated.append(Fact(key=f"{place}.{key}", value=value, source=str(own)))
        needed = [key for key in ("name", "n", "kind", "column") if key in allowed]
        if self.section in ("atlas", "doses", "volumes"):
            needed = []
        lacking = [
            key
            for key in needed
            if key not in found and not (key == "n" and self.section == "oddity")
        ]
        if lacking:
            self.problems.append(f"{self.where}: {place} needs {' and '.join(map(repr, lacking))}")
        return found


_WORDS = {
    "text": "text",
    "count": "a whole number from 0",
    "number": "a number",
    "names": "a list of names",
    "numbers": "a list of numbers",
    "table": "a table",
    "counts by name": "a table of whole numbers from 0, such as { pre1 = 20 }",
    "numbers by name": "a table of numbers, such as { responder = -0.1 }",
    "number or by name": "a number, or a table of them by visit",
    "shares by visit": "a table of tables, such as { nausea = { day1 = 0.1 } }",
}


def _fits(value: Any, kind: str) -> bool:  # noqa: ANN401 - from a file
    if kind == "text":
        return isinstance(value, str) and bool(value)
    if kind == "names":
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind == "numbers":
        return isinstance(value, list) and all(map(_is_number, value))
    if kind == "count":
        return _is_count(value)
    if kind == "number" or (kind == "number or by name" and not isinstance(value, Mapping)):
        return _is_number(value)
    if not isinstance(value, Mapping):
        return False
    inside = list(value.values())
    if kind == "counts by name":
        return all(map(_is_count, inside))
    if kind == "shares by visit":
        return all(
            isinstance(one, Mapping) and all(map(_is_number, one.values())) for one in inside
        )
    return kind == "table" or all(map(_is_number, inside))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_names(
    problems: list[str], names: Collection[str], allowed: Sequence[str], *, what: str
) -> None:
    """Add a problem for every name that the study does not know."""
    problems += [
        f"{what}: the study has no {name!r}{did_you_mean(name, list(allowed))}"
        for name in names
        if name not in allowed
    ]
