"""BIDS names taken apart and put together."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from typing import NamedTuple

from connectrial.errors import InputError

ENTITY_ORDER = (
    "sub", "ses", "hash", "task", "acq", "ce", "dir", "rec", "run", "echo", "proc", "hemi",
    "space", "cohort", "atlas", "res", "den", "stat", "desc",
)  # fmt: skip
"""The order in which XCP-D 26 writes entities."""

RUN_ENTITIES = ("sub", "ses", "task", "acq", "ce", "dir", "rec", "run", "echo")
"""The entities that tell one acquisition from another, whatever was computed from it."""

FILTER_ENTITIES = {
    "subject": "sub", "session": "ses", "task": "task", "acquisition": "acq", "ceagent": "ce",
    "direction": "dir", "reconstruction": "rec", "run": "run", "echo": "echo", "part": "part",
    "space": "space", "cohort": "cohort", "resolution": "res", "density": "den", "hemi": "hemi",
    "atlas": "atlas", "description": "desc", "datatype": "datatype", "suffix": "suffix",
    "extension": "extension",
}  # fmt: skip
"""Entities that scans are filtered by, under the names of BIDS filter files, with their short form."""

_ENTITY = re.compile(r"^([a-z]+)-(.*)$", re.DOTALL)


def parse_entities(name: str) -> dict[str, str]:
    """Take a BIDS file name apart.

    Parameters
    ----------
    name : str
        A file name, such as ``sub-01_ses-pre1_task-rest_bold.nii.gz``; folders before it are
        ignored.

    Returns
    -------
    dict
        Label by short entity name in the order of the name, then ``suffix`` and ``extension``
        (with its dot; "" where there is none). A piece without a hyphen belongs to the label
        before it, so that the label of ``ses-pre_1`` is ``pre_1``.
    """
    *pieces, last = name.rpartition("/")[2].split("_")
    suffix, dot, extension = last.partition(".")
    entities: dict[str, str] = {}
    key = ""
    for piece in pieces:
        match = _ENTITY.match(piece)
        if match:
            key = match[1]
            entities[key] = match[2]
        elif key:
            entities[key] += f"_{piece}"
    match = _ENTITY.match(suffix)
    if match:  # a name such as sub-01.html has no suffix
        entities[match[1]] = match[2]
        suffix = ""
    return entities | {"suffix": suffix, "extension": dot + extension}


def bids_name(entities: Mapping[str, str | None], *, suffix: str, extension: str) -> str:
    """Put a BIDS file name together, its entities in XCP-D's order.

    Parameters
    ----------
    entities : mapping
        Label by short entity name (``sub``, ``ses``, ``task``, ...); None and the keys
        ``suffix`` and ``extension`` are passed over. Labels keep their letters, digits and plus
        signs, all that BIDS allows.
    suffix : str
        Such as "timeseries" or "relmat".
    extension : str
        With its dot, such as ".tsv".

    Returns
    -------
    str

    Raises
    ------
    InputError
        When an entity has no place in the order, a label nothing to keep, or ``sub`` is missing.
    """
    given = {
        key: str(label)
        for key, label in entities.items()
        if label is not None and key not in {"suffix", "extension"}
    }
    unknown = [key for key in given if key not in ENTITY_ORDER]
    if unknown or "sub" not in given:
        raise InputError(
            f"a BIDS name needs 'sub' and takes only {', '.join(ENTITY_ORDER)}; "
            f"got {', '.join(given) or 'nothing'}"
        )
    pieces = []
    for key in ENTITY_ORDER:
        if key not in given:
            continue
        label = bids_label(given[key])
        if not label:
            raise InputError(f"the label {given[key]!r} of {key!r} has no letter or digit")
        pieces.append(f"{key}-{label}")
    return "_".join([*pieces, f"{suffix}{extension}"])


def bids_label(text: str) -> str:
    """Return the letters, digits and plus signs of a label: all that BIDS allows in one."""
    return re.sub(r"[^A-Za-z0-9+]", "", text)


class LabelMatch(NamedTuple):
    """How a subject's or session's label in a table was read.

    Attributes
    ----------
    label : str
        The label without its prefix; one of the known ones if any fits.
    note : str or None
        What was done when the label had to be bent to fit.
    problem : str or None
        Why it fits several known labels.
    """

    label: str
    note: str | None = None
    problem: str | None = None


def normalise_subject(label: str, *, known: Collection[str] = ()) -> str:
    """Return a subject's label as it is on disk: ``1``, ``01`` and ``sub-01`` are one person.

    Parameters
    ----------
    label : str
        As a table or a person writes it.
    known : collection of str
        Labels on disk, without ``sub-``.

    Returns
    -------
    str
        The known label that fits, or `label` without its prefix where none does.

    Raises
    ------
    InputError
        When several known labels fit.

    See Also
    --------
    match_label : The same with a note instead of an exception.
    """
    return _settled(match_label(label, known=known, prefix="sub-"))


def normalise_session(label: str, *, known: Collection[str] = ()) -> str:
    """Return a session's label as it is on disk: ``Pre 1`` and ``ses-pre1`` are one session.

    Parameters
    ----------
    label : str
        As a table or a person writes it.
    known : collection of str
        Labels on disk, without ``ses-``.

    Returns
    -------
    str
        The known label that fits, or `label` without its prefix where none does.

    Raises
    ------
    InputError
        When several known labels fit.
    """
    return _settled(match_label(label, known=known, prefix="ses-"))


def match_label(label: str, *, known: Collection[str], prefix: str) -> LabelMatch:
    """Find the known label that a label in a table means.

    Tried in this order, each only if exactly one known label fits: the same characters, the same
    without leading zeros, the same letters and digits whatever their case.

    Parameters
    ----------
    label : str
        As a table or a person writes it, with or without `prefix`.
    known : collection of str
        Labels on disk, without `prefix`.
    prefix : {"sub-", "ses-"}
        What may stand before the label, in any case.

    Returns
    -------
    LabelMatch
    """
    text = label.strip()
    if text in known:
        return LabelMatch(text)
    if text.lower().startswith(prefix):
        text = text[len(prefix) :]
    if text in known:
        return LabelMatch(text)
    # A column of whole numbers with a gap comes out of pandas as 1.0, 2.0, ...
    text = re.sub(r"^(\d+)\.0$", r"\1", text)
    if text in known:
        return LabelMatch(text)
    for simplify in (
        _composed,
        _without_zeros,
        _alphanumeric,
        lambda s: _without_zeros(_alphanumeric(s)),
    ):
        target = simplify(text)
        if not target:
            continue
        fitting = [other for other in known if simplify(other) == target]
        if len(fitting) == 1:
            return LabelMatch(fitting[0], note=f"{label!r} is read as {prefix}{fitting[0]}")
        if fitting:
            listed = ", ".join(f"{prefix}{other}" for other in sorted(fitting, key=natural_key))
            return LabelMatch(
                text, problem=f"{label!r} could be {listed}; write the label as it is on disk"
            )
    return LabelMatch(text)


def natural_key(label: str | None) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts 2 before 10, and a missing label first."""
    parts = re.findall(r"\d+|\D+", label or "")
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p) for p in parts)


def _settled(match: LabelMatch) -> str:
    if match.problem:
        raise InputError(match.problem)
    return match.label


def _without_zeros(text: str) -> str:
    # Only whole numbers: A01 and A1 may be two people.
    return text.lstrip("0") or "0" if text.isdecimal() else text


def _composed(text: str) -> str:
    # One letter may be stored as one sign or as two: macOS and Linux differ.
    return unicodedata.normalize("NFC", text)


def _alphanumeric(text: str) -> str:
    return "".join(sign for sign in _composed(text).casefold() if sign.isalnum())
