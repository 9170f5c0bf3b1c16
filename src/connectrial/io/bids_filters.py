"""Keep some of the files by their entities, as fMRIPrep's ``--bids-filter-file`` does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from connectrial.errors import InputError, did_you_mean
from connectrial.io.func_files import FuncFile, FuncFiles
from connectrial.io.names import FILTER_ENTITIES
from connectrial.reading import read_json_object

FilterValue = str | int | Sequence[str | int]

_ANY = "*"
_NONE = "none"
# pybids writes its two special queries as text into JSON.
_QUERIES = {"Query.ANY": _ANY, "Query.NONE": _NONE, "Query.OPTIONAL": None}
# The queries of fMRIPrep's default; only that of BOLD is about scans.
_MODALITIES = ("bold", "sbref", "fmap", "flair", "t1w", "t2w", "roi", "asl", "pet", "dwi", "anat")
_FIXED = {"datatype": "func", "suffix": "bold"}


def read_filter_file(path: Path) -> tuple[dict[str, FilterValue], list[str]]:
    """Read a BIDS filter file.

    Parameters
    ----------
    path : Path
        JSON as fMRIPrep's and XCP-D's: ``{"bold": {"task": "rest", "session": ["pre", "post"]}}``.
        A label, a list of labels, null (files without the entity) or ``"*"`` (any label).

    Returns
    -------
    filters : dict
        The query for ``bold``; absence is ``"none"``.
    notes : list of str
        Queries for other images, which are not read here.

    Raises
    ------
    InputError
        When the file is missing, no such JSON, or holds an unknown key.
    """
    content = read_json_object(path, what="filter file")
    if not all(isinstance(q, dict) for q in content.values()):
        raise InputError(
            f'{path}: a filter file is an object of queries, such as {{"bold": {{"task": "rest"}}}}'
        )
    for key in content:
        if key.lower() not in _MODALITIES:
            hint = did_you_mean(key, ["bold"]) or "; scans are filtered by 'bold'"
            entity = key if key in FILTER_ENTITIES else None
            if entity:
                hint = f'; write {{"bold": {{"{entity}": ...}}}}'
            raise InputError(f"{path}: there is no query {key!r}{hint}")
    others = [key for key in content if key.lower() != "bold"]
    notes = []
    if others:
        notes.append(
            f"{path.name}: only the query 'bold' is about scans; {', '.join(others)} is not"
        )
    query: dict[str, object] = next((q for key, q in content.items() if key.lower() == "bold"), {})
    return {
        str(key): _NONE if value is None else value
        for key, value in check_filters(query, where=f"{path}, 'bold'").items()
    }, notes


def check_filters(query: Mapping[str, object], *, where: str) -> dict[str, FilterValue]:
    """Refuse keys and values that no filter has, and return the query under long names.

    Parameters
    ----------
    query : mapping
        Labels by entity, long (``session``) or short (``ses``).
    where : str
        What to call the place in messages.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        For an unknown entity, a value that is no label or list of labels, or a datatype or suffix
        that is not of BOLD runs.
    """
    long_of = {short: name for name, short in FILTER_ENTITIES.items()}
    problems: list[str] = []
    checked: dict[str, FilterValue] = {}
    for key, value in query.items():
        name = key if key in FILTER_ENTITIES else long_of.get(key)
        if name is None:
            problems.append(
                f"{where}: there is no entity {key!r} to filter by"
                f"{did_you_mean(key, FILTER_ENTITIES)}"
            )
            continue
        values = value if isinstance(value, list | tuple) else [value]
        plain = [_plain(one) for one in values]
        if not values or any(one is _WRONG for one in plain):
            problems.append(f"{where}: {key} must be a label or a list of labels; got {value!r}")
            continue
        labels = [str(one) for one in plain if one is not None]
        if len(labels) < len(plain):  # optional: whatever stands there
            continue
        if name in _FIXED and labels != [_FIXED[name]]:
            problems.append(
                f"{where}: {key} can only be {_FIXED[name]!r}, since only BOLD runs are read; got "
                f"{value!r}"
            )
            continue
        checked[name] = labels if isinstance(value, list | tuple) else labels[0]
    if problems:
        raise InputError(problems)
    return checked


def keep_filtered(
    survey: FuncFiles, files: list[FuncFile], filters: Mapping[str, FilterValue]
) -> list[FuncFile]:
    """Keep the files whose entities have the labels that were asked for.

    Parameters
    ----------
    survey : FuncFiles
        A sentence is added to its ``problems`` where a label is nowhere, and to its ``notes`` about
        how many files are left out.
    files : list of FuncFile
        Files of one kind.
    filters : mapping
        Labels by entity: one, or several of which one must fit. "none" stands for files without
        the entity, "*" for any label. 1 and 01 are one run.

    Returns
    -------
    list of FuncFile

    Raises
    ------
    InputError
        When an entity is unknown.
    """
    checked = check_filters(filters, where="[data] filters")
    n_before = len(files)
    for name, value in checked.items():
        if name in _FIXED or not files:
            continue
        wanted = [value] if isinstance(value, str | int) else list(value)
        kept = [file for file in files if any(_fits(file, name, str(one)) for one in wanted)]
        if not kept:
            there = sorted({_label(file, name) or _NONE for file in files})
            survey.problems.append(
                f"{survey.root}: no file passes the filter {name} = {value!r}; there are "
                f"{', '.join(map(repr, there[:12]))}"
            )
        files = kept
    if files and len(files) < n_before:
        survey.notes.append(
            f"{survey.root.name}: {n_before - len(files)} of {n_before} files do not pass the filters"
        )
    return files


_WRONG = object()


def _plain(value: object) -> object:
    """Return a label as text, None where anything goes, or the mark of what is none."""
    if value is None:
        return _NONE
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return _WRONG
    return _QUERIES.get(str(value), str(value))


def _label(file: FuncFile, name: str) -> str | None:
    if name == "subject":
        return file.subject
    if name == "session":
        return file.session
    return file.entities.get(FILTER_ENTITIES[name])


def _fits(file: FuncFile, name: str, wanted: str) -> bool:
    label = _label(file, name)
    if wanted == _NONE:
        return label is None
    if label is None:
        return False
    wanted = wanted.removeprefix(f"{FILTER_ENTITIES[name]}-")
    if label.isdecimal() and wanted.isdecimal():
        return int(label) == int(wanted)
    return wanted in {_ANY, label}
