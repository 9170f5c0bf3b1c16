"""Reading a study file: inheritance, every problem at once, names that must exist."""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectrial.errors import StudyFileError, did_you_mean
from connectrial.reading import read_toml
from connectrial.study import Study, keys_at, locate, validate
from connectrial.study_checks import find_contradictions

Location = tuple[str | int, ...]
_GONE = object()


def load_study(path: str | Path) -> Study:
    """Read a study file and check everything that can be checked without the data.

    Parameters
    ----------
    path : str or Path
        A TOML file; ``extends = "other.toml"`` at its top takes over another one's tables.

    Returns
    -------
    Study
        Frozen; it knows where its file is.

    Raises
    ------
    StudyFileError
        With one sentence for each problem: key, what came, what is allowed.

    Examples
    --------
    >>> study = load_study("examples/stages/study.toml")  # doctest: +SKIP
    >>> study.visits  # doctest: +SKIP
    ('baseline', 'month3')
    """
    file = Path(path)
    raw = _read_toml(file, seen=())
    return _check(raw, file)


def parse_study(raw: Mapping[str, Any], *, folder: Path) -> Study:
    """Check a study given as plain data, as :func:`load_study` checks a file.

    Parameters
    ----------
    raw : mapping
        What a study file would hold.
    folder : Path
        Where relative paths start.

    Raises
    ------
    StudyFileError
        As :func:`load_study`.
    """
    return _check(dict(raw), None, folder=folder)


def _read_toml(file: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    if _is_folder(file):
        inside = file / "study.toml"
        if not inside.is_file():
            raise StudyFileError(f"{file}: is a folder without a study.toml; name the study file")
        file = inside
    raw = read_toml(
        file,
        what="study file",
        error=StudyFileError,
        advice="; write one with 'connectrial init DATASET'",
    )
    _refuse_controls(raw, file)
    if "extends" not in raw:
        return raw
    parent = raw.pop("extends")
    if not isinstance(parent, str):
        raise StudyFileError(f"{file}: extends must be the name of one file; got {parent!r}")
    trail = (*seen, file.resolve())
    base = (file.parent / parent).resolve()
    if base in trail:
        chain = " -> ".join(step.name for step in (*trail, base))
        raise StudyFileError(f"{file}: extends runs in a circle: {chain}")
    inherited = _read_toml(file.parent / parent, trail)
    return _overlay(_rebased(inherited, base.parent, file.parent), raw)


def _is_folder(file: Path) -> bool:
    try:
        return file.is_dir()
    except OSError:  # a name that is too long; reading it says so
        return False


def _refuse_controls(raw: dict[str, Any], file: Path) -> None:
    """Refuse characters that no name, path or formula has: they break files, tables and pages."""
    found: list[str] = []

    def look(value: object, place: str) -> None:
        if isinstance(value, str):
            odd = next((sign for sign in value if _is_control(sign)), None)
            if odd is not None:
                found.append(
                    f"{file}: {place} holds the control character U+{ord(odd):04X}; take it out"
                )
        elif isinstance(value, dict):
            for key, one in value.items():
                look(key, f"a key of {place}")
                look(one, f"{place} {key!r}".strip())
        elif isinstance(value, list):
            for one in value:
                look(one, place)

    look(raw, "the study file")
    if found:
        raise StudyFileError(found)


def _is_control(sign: str) -> bool:
    return unicodedata.category(sign) == "Cc" and sign not in "\n\t"


def _rebased(raw: dict[str, Any], base: Path, folder: Path) -> dict[str, Any]:
    """Make the parent's relative folders hold from the child's place."""
    if base.resolve() == folder.resolve():
        return raw
    variants = raw.get("variants")
    places = [raw.get("data"), *(variants.values() if isinstance(variants, dict) else ())]
    for data in places:
        for key in ("derivatives", "dataset") if isinstance(data, dict) else ():
            text = data.get(key)
            if isinstance(text, str) and not text.startswith("${") and not Path(text).is_absolute():
                data[key] = str(base / text)
    return raw


def _overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Put one study over another: tables are merged key by key, everything else is replaced."""
    merged = copy.deepcopy(below)
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = _overlay(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged


def _check(raw: dict[str, Any], file: Path | None, folder: Path | None = None) -> Study:
    where = f"{file}: " if file is not None else ""
    remaining = copy.deepcopy(raw)
    problems: list[str] = []
    study: Study | None = None
    taken: set[Location] = set()
    # What is wrong is taken out and the rest is looked at again, so that one bad key does not hide
    # the problems behind it.
    for _ in range(4):
        study, errors = validate(remaining)
        if study is not None:
            break
        # A key that was taken out because of its value is not missing.
        new = [e for e in errors if e["type"] != "missing" or tuple(e["loc"]) not in taken]
        fresh = [_sentence(error, remaining) for error in new]
        problems += [sentence for sentence in fresh if sentence not in problems]
        taken |= {tuple(error["loc"]) for error in errors}
        removed = [_remove(remaining, tuple(error["loc"])) for error in errors]
        _drop_gone(remaining)
        if not all(removed):
            break
    if study is not None:
        problems += find_contradictions(study, raw, whole=_is_whole(raw, remaining))
    if problems:
        raise StudyFileError([where + problem for problem in dict.fromkeys(problems)])
    assert study is not None  # noqa: S101 - no problems means that it was read
    place = folder if folder is not None else (file or Path()).parent
    return locate(study, folder=place, path=file)


def _sentence(error: dict[str, Any], raw: dict[str, Any]) -> str:
    loc: Location = tuple(step for step in error["loc"] if step not in ("RestOf",))
    loc = tuple(step for step in loc if not (isinstance(step, str) and step.startswith("tuple[")))
    key, came = str(loc[-1]) if loc else "", error.get("input")
    place = _place(loc, raw)
    if error["type"] == "extra_forbidden":
        allowed = keys_at(loc)
        section = place or "a study file"
        return f"{section}: there is no key {key!r} here{did_you_mean(key, allowed)}"
    if error["type"] == "missing":
        return f"{place or 'the study file'}: the key {key!r} is missing; it must be there"
    message = _WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
    message = message.format(**error.get("ctx", {})) if error["type"] in _WORDS else message
    message = message[0].lower() + message[1:]
    if error["type"] == "value_error":
        return f"{_place((*loc, ''), raw)}: {message}"
    hint = ""
    if error["type"] == "literal_error" and isinstance(came, str):
        allowed = tuple(
            part.strip("' ") for part in message.split("be ")[-1].replace(" or ", ", ").split(",")
        )
        hint = did_you_mean(came, allowed, listing=False)
    return f"{place} {key}: {message}; got {_shown(came)}{hint}".strip()


#: Where pydantic's words speak of Python, ours speak of TOML.
_WORDS = {
    "tuple_type": 'must be a list, such as ["a", "b"]',
    "too_short": "needs at least {min_length} entries",
    "string_type": "must be text in quotes",
    "string_too_short": "must not be empty",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a table, such as [section]",
    "model_type": "must be a table, such as [section]",
}


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _place(loc: Location, raw: Mapping[str, Any]) -> str:
    """Write a location as the user knows it: ``[[hypothesis]] 'Default'`` or ``[model.lmm]``."""
    steps = loc[:-1]
    if not steps:
        return ""
    names: list[str] = []
    here: Any = raw
    suffix = ""
    double = False
    for step in steps:
        here = _step_into(here, step)
        if isinstance(step, int):
            double = True
            name = here.get("name") if isinstance(here, Mapping) else None
            suffix = f" {name!r}" if name else f" number {step + 1}"
        elif not suffix:
            names.append(str(step))
        else:
            suffix += f" {step}"
    section = ".".join(names)
    return (f"[[{section}]]" if double else f"[{section}]") + suffix


def _step_into(here: Any, step: str | int) -> Any:  # noqa: ANN401 - plain data of any shape
    try:
        return here[step]
    except (KeyError, IndexError, TypeError):
        return None


def _drop_gone(raw: dict[str, Any]) -> None:
    """Take out the list items that were marked."""
    for key, value in raw.items():
        if isinstance(value, list):
            raw[key] = [item for item in value if item is not _GONE]
        if isinstance(value, dict):
            _drop_gone(value)


def _is_whole(raw: Mapping[str, Any], remaining: Mapping[str, Any]) -> bool:
    """Tell whether every section is still there, so that what hangs on it can be judged."""
    for key, value in raw.items():
        left = remaining.get(key)
        if isinstance(value, list) and (not isinstance(left, list) or len(left) < len(value)):
            return False
        if isinstance(value, dict):
            sections = {name for name, one in value.items() if isinstance(one, dict)}
            if not isinstance(left, dict) or not sections <= set(left):
                return False
    return True


def _remove(raw: dict[str, Any], loc: Location) -> bool:
    """Take the offending item out; a whole section where the item itself is what is missing."""
    steps = list(loc)
    while len(steps) > 1:
        parent: Any = raw
        for step in steps[:-1]:
            parent = _step_into(parent, step)
        if isinstance(parent, dict) and steps[-1] in parent:
            del parent[steps[-1]]
            return True
        if isinstance(parent, list) and isinstance(steps[-1], int) and steps[-1] < len(parent):
            # Positions of the other items must not move while their errors wait.
            parent[steps[-1]] = _GONE
            return True
        steps.pop()
    if steps and steps[0] in raw and steps[0] not in ("study", "data", "design", "visit"):
        del raw[str(steps[0])]
        return True
    return False
