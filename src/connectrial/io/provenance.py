"""Knowing what made a file, so that a rerun does only what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.reading import read_json_object

#: Files above this are known by size and time of change instead of by their bytes.
LARGEST_DIGESTED_BYTES = 64 * 1024**2


def digest_file(path: Path) -> str:
    """Identify a file by its bytes, or by size and time of change where it is very large.

    Parameters
    ----------
    path : Path
        An existing file.

    Returns
    -------
    str
        32 hexadecimal digits.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        status = path.stat()
        if status.st_size > LARGEST_DIGESTED_BYTES:
            return digest_text(f"{status.st_size}:{status.st_mtime_ns}")
        return digest_bytes(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None


def digest_text(text: str) -> str:
    """Identify a text by 32 hexadecimal digits."""
    return digest_bytes(text.encode())


def digest_bytes(content: bytes) -> str:
    """Identify bytes by 32 hexadecimal digits (BLAKE2b)."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def digest_plain(plain: object) -> str:
    """Identify plain data by 32 hexadecimal digits, whatever the order of its keys."""
    return digest_text(json.dumps(plain, sort_keys=True, default=str))


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON, whole or not at all."""
    write_atomic(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None where the file is absent or is no JSON object."""
    try:
        return read_json_object(path)
    except InputError:
        return None


def is_current(sidecar: Path, data: Path, *, made_from: str) -> dict[str, Any] | None:
    """Return a file's sidecar if the file is whole and was made from exactly these inputs.

    Parameters
    ----------
    sidecar : Path
        JSON with ``InputHash`` and ``ContentHash``; it is written after the file.
    data : Path
        The file.
    made_from : str
        Hash of inputs, settings and version.

    Returns
    -------
    dict or None
        None where the file must be made again.
    """
    known = read_json(sidecar)
    if known is None or known.get("InputHash") != made_from or not data.is_file():
        return None
    return known if digest_file(data) == known.get("ContentHash") else None
