"""Files are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import tempfile
from pathlib import Path

from connectrial.errors import MachineError


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
    MachineError
        The folder cannot be written to, or the disk is full.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, data)
    except OSError as error:
        raise MachineError(_refusal(path, error)) from error
    return path


_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def _refusal(path: Path, error: OSError) -> str:
    """Say why a file cannot be written, and what to do."""
    if error.errno in _FULL:
        advice = "make room on its disk and give the same command again: what is done is kept"
    elif error.errno in _FORBIDDEN:
        advice = "choose a folder that you may write to, or ask for permission"
    elif error.errno == errno.ENAMETOOLONG:
        advice = "choose a folder with a shorter path"
    else:
        advice = "choose a folder that you may write to, on a disk with room"
    return f"{path}: cannot be written ({error.strerror or error}); {advice}"


def _write(path: Path, data: bytes) -> None:
    # The temporary file stands in the same folder: os.replace is atomic within one file system.
    # Its name says who writes it, so that what a killed process leaves can be told and removed.
    owner = f".{host_name()}-{os.getpid()}."
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
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Bring a folder's list of names to the disk, so that a power cut does not undo a rename."""
    if os.name == "nt":  # folders cannot be opened there
        return
    # Some network file systems know no fsync of folders; the file itself is safe by then.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_file(path: Path) -> bool:
    """Remove a file of an earlier run that nothing stands behind any more.

    Returns
    -------
    bool
        Whether there was one.

    Raises
    ------
    MachineError
        It is there and cannot be removed.
    """
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise MachineError(
            f"{path}: is out of date and cannot be removed ({error.strerror or error}); remove it, or "
            "choose a folder that you may write to"
        ) from error
    return True


def make_folder(path: Path) -> Path:
    """Make a folder, and those above it.

    Raises
    ------
    MachineError
        It cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(_refusal(path, error)) from error
    return path


def remove_leftovers(folder: Path, *, everyones: bool = False) -> int:
    """Remove temporary files of processes that are gone.

    Parameters
    ----------
    folder : Path
        An output folder; its sub-folders are looked through too.
    everyones : bool
        Those of other machines too, of which nobody can tell whether they are alive: only where the
        folder is held alone.

    Returns
    -------
    int
        How many were removed.
    """
    removed = 0
    for partial in folder.rglob(".*.part"):
        owner = re.search(r"\.([^.]+)-(\d+)\.[^.]+\.part$", partial.name)
        if owner is None:
            continue
        is_here = owner[1] == host_name()
        if is_running(int(owner[2])) if is_here else not everyones:
            continue
        partial.unlink(missing_ok=True)
        removed += 1
    return removed


def host_name() -> str:
    """Return this machine's name, letters and digits alone."""
    return re.sub(r"[^A-Za-z0-9]", "", socket.gethostname())[:20] or "host"


def is_running(process: int) -> bool:
    """Tell whether a process of this machine is alive."""
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
