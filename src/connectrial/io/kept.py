"""Texts that are dear to make and the same for everybody, kept in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from connectrial.errors import MachineError
from connectrial.io.files import write_atomic
from connectrial.io.provenance import digest_text


def cache_folder() -> Path:
    """Return where things are kept between runs: ``CONNECTRIAL_HOME``, or the user's cache.

    Returns
    -------
    Path
        It may not exist yet.
    """
    named = os.environ.get("CONNECTRIAL_HOME")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("connectrial"))


def kept_text(name: str, make: Callable[[], str]) -> str:
    """Return a text of the cache, or make it and keep it.

    Parameters
    ----------
    name : str
        Of the file; it names the versions of everything that the text depends on.
    make : callable
        Makes the text.

    Returns
    -------
    str
        As `make` returns it. A kept text whose digest, in its first line, is not its own is made
        again; where nothing can be kept, it is made every time.
    """
    path = cache_folder() / "scripts" / name
    try:
        digest, _, text = path.read_bytes().decode("utf-8").partition("\n")
        if digest == digest_text(text):
            return text
    except (OSError, UnicodeDecodeError):
        pass  # not there, not readable, or damaged: made below
    text = make()
    # A home that cannot be written to, as in containers, costs seconds and does no harm.
    with contextlib.suppress(MachineError):
        write_atomic(path, f"{digest_text(text)}\n{text}")
    return text
