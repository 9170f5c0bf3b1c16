"""The door through which every file of the user's comes in: an ordinary file, of a size that fits.

A named pipe would hold the program for ever, a device never ends, and a file of a gigabyte under the
name of a settings file fills the memory. All of them are refused here, before a byte is read.
"""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

from connectrial.errors import ConnectrialError, InputError

MOST_SETTINGS_BYTES = 1 << 26
"""Of study files, sidecars, scales, dose plans: 64 MB."""

MOST_TABLE_BYTES = 1 << 28
"""Of clinical tables, confounds and tables of parcels: 256 MB."""

MOST_SERIES_BYTES = 1 << 30
"""Of parcel series and matrices as text: 1 GB."""

_MOST_UNSIZED_BYTES = 1 << 20
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def require_file(
    path: Path,
    *,
    what: str = "file",
    wanted: str = "",
    most_bytes: int | None = None,
    error: type[ConnectrialError] = InputError,
    advice: str = "",
) -> int:
    """Insist that a path is an ordinary file that may be read, without opening it.

    Parameters
    ----------
    path : Path
        As the user named it; links are followed.
    what : str
        What it should be, for messages: "confounds table".
    wanted : str
        The same for who named a folder or a device: "CSV, TSV or XLSX file"; by default `what`.
    most_bytes : int, optional
        Larger files are refused.
    error : type
        What is raised.
    advice : str
        What to do where there is no such file.

    Returns
    -------
    int
        Its size in bytes.

    Raises
    ------
    ConnectrialError
        Of the type `error`: it is absent, a folder, a pipe, a socket or a device, may not be read,
        or is too large.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise error(f"{path}: there is no such {what}{advice}") from None
    except (OSError, ValueError) as trouble:  # a loop of links, a name too long, a NUL in it
        raise error(f"{path}: {what} {_reason(trouble)}") from None
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise error(f"{path}: this is {name}; name a {wanted or what}")
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        raise error(f"{path}: this file may not be read; change its permissions")
    if most_bytes is not None and found.st_size > most_bytes:
        raise error(
            f"{path}: {found.st_size / 1e6:,.0f} MB are too much for a {what} "
            f"(at most {most_bytes / 1e6:,.0f} MB); is it another file?"
        )
    return found.st_size


def read_bytes(
    path: Path,
    *,
    what: str = "file",
    wanted: str = "",
    most_bytes: int = MOST_SETTINGS_BYTES,
    error: type[ConnectrialError] = InputError,
    advice: str = "",
) -> bytes:
    """Read an ordinary file whole.

    Parameters
    ----------
    path, what, wanted, most_bytes, error, advice
        As in `require_file`.

    Returns
    -------
    bytes

    Raises
    ------
    ConnectrialError
        As `require_file`; or the file cannot be read to its end.
    """
    size = require_file(
        path, what=what, wanted=wanted, most_bytes=most_bytes, error=error, advice=advice
    )
    try:
        with path.open("rb") as stream:
            # Files that a kernel makes up say that they are empty, and some have no end.
            data = stream.read(size or _MOST_UNSIZED_BYTES)
            if stream.read(1):
                raise error(f"{path}: the file grows while it is read; name a {what}")
    except OSError as trouble:
        raise error(f"{path}: {what} {_reason(trouble)}") from None
    return data


def read_utf8(
    path: Path,
    *,
    what: str = "file",
    most_bytes: int = MOST_SETTINGS_BYTES,
    error: type[ConnectrialError] = InputError,
    advice: str = "",
) -> str:
    """Read a text file in UTF-8, with or without a byte-order mark.

    Parameters
    ----------
    path, what, most_bytes, error, advice
        As in `require_file`.

    Returns
    -------
    str

    Raises
    ------
    ConnectrialError
        As `require_file`; or the file is no text in UTF-8.
    """
    data = read_bytes(path, what=what, most_bytes=most_bytes, error=error, advice=advice)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise error(f"{path}: is not UTF-8 text; save it as UTF-8") from None


def read_toml(
    path: Path,
    *,
    what: str = "file",
    error: type[ConnectrialError] = InputError,
    advice: str = "",
) -> dict[str, Any]:
    """Read a TOML file.

    Parameters
    ----------
    path, what, error, advice
        As in `require_file`.

    Returns
    -------
    dict

    Raises
    ------
    ConnectrialError
        As `read_utf8`; or it is no TOML.
    """
    text = read_utf8(path, what=what, error=error, advice=advice)
    return parse_toml(text.replace("\r\n", "\n"), where=path, error=error)


def parse_toml(
    text: str, *, where: Path | str, error: type[ConnectrialError] = InputError
) -> dict[str, Any]:
    """Parse TOML.

    Parameters
    ----------
    text : str
        Content of a file.
    where : Path or str
        What to call it in messages.
    error : type
        What is raised.

    Returns
    -------
    dict

    Raises
    ------
    ConnectrialError
        It is no TOML, or nested so deeply, or a number so long, that nobody meant it.
    """
    try:
        raw = tomllib.loads(text)
    except RecursionError:
        raise error(f"{where}: is nested too deeply; no file of this kind is") from None
    except ValueError as trouble:  # TOMLDecodeError, or a whole number of thousands of digits
        raise error(
            f"{where}: is not valid TOML: {_brief(trouble)}; text needs quotes, lists need [ ]"
        ) from None
    _check_depth(raw, where, error)
    return raw


def read_json_object(path: Path, *, what: str = "file") -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Parameters
    ----------
    path, what
        As in `require_file`.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        As `read_utf8`; or it is no JSON, or no object.
    """
    text = read_utf8(path, what=what)
    try:
        content = json.loads(text)
    except RecursionError:
        raise InputError(f"{path}: is nested too deeply; no {what} is") from None
    except ValueError as trouble:
        raise InputError(f"{path}: this is not valid JSON ({_brief(trouble)})") from None
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: the JSON must be an object with keys, as in {{...}}; got a "
            f"{type(content).__name__}"
        )
    _check_depth(content, path, InputError)
    return content


_DEEPEST = 50  # a study file needs 5


def _check_depth(raw: object, where: Path | str, error: type[ConnectrialError]) -> None:
    """Refuse what later steps, which walk plain data by recursion, could not walk."""
    level = [raw]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        if not below:
            return
        level = below
    raise error(f"{where}: is nested more than {_DEEPEST} levels deep; no file of this kind is")


def _reason(trouble: Exception) -> str:
    words = getattr(trouble, "strerror", None) or str(trouble)
    return f"cannot be read ({words})"


def _brief(trouble: Exception) -> str:
    text = str(trouble)
    return text if len(text) <= 200 else text[:197] + "..."
