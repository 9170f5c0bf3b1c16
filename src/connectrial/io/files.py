"""Files are written whole or not at all."""

from __future__ import annotations

import os
import re
import socket
import tempfile
from pathlib import Path

from connectrial.errors import InputError


def write_atomic(path: Path, content: bytes | str) -> Path:
    """Write a file so that a killed process leaves the old one, or none, but never half of one.

    Parameters
    ----------
    path : Path
        The file; missing folders above it are made.
    content : bytes or str
        What it shall hold; text is written as UTF-8 with the line ends that it has.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    InputError
        The folder cannot be written to, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({error.strerror or error}); choose a folder that you may "
            "write to, on a disk with room"
        ) from error
    return path


def _write(path: Path, data: bytes) -> None:
    # The temporary file stands in the same folder: os.replace is atomic within one file system.
    # Its name says who writes it, so that what a killed process leaves can be told and removed.
    owner = f".{_host()}-{os.getpid()}."
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name[:60]}{owner}", suffix=".part"
    )
    partial = Path(name)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.chmod(0o666 & ~_umask())  # mkstemp makes files that only their owner may read
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> int:
    """Remove temporary files of processes of this machine that are gone.

    Parameters
    ----------
    folder : Path
        An output folder; its sub-folders are looked through too.

    Returns
    -------
    int
        How many were removed.
    """
    removed = 0
    for partial in folder.rglob(".*.part"):
        owner = re.search(r"\.([^.]+)-(\d+)\.[^.]+\.part$", partial.name)
        if owner is None or owner[1] != _host() or _is_running(int(owner[2])):
            continue
        partial.unlink(missing_ok=True)
        removed += 1
    return removed


def _host() -> str:
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:20] or "host"


def _is_running(process: int) -> bool:
    if os.name == "nt":  # signal 0 would end a process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _umask() -> int:
    """Return the process's umask; the only way to read it is to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
