"""Files are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


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
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    # The temporary file stands in the same folder: os.replace is atomic within one file system.
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:60]}.", suffix=".part")
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
    return path


def _umask() -> int:
    """Return the process's umask; the only way to read it is to set it."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
