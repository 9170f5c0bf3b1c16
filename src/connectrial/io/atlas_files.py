"""Fetching public atlases: pinned addresses, checksums, and a folder of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from io import StringIO
from pathlib import Path

import pandas as pd

from connectrial.errors import InputError, did_you_mean
from connectrial.io.kept import cache_folder

Progress = Callable[[str, int, int], None]

_TIMEOUT_S = 30
#: What is not offered, and why: a file is offered only where its checksum could be taken.
LEFT_OUT = {
    "Schaefer300, Schaefer500 to Schaefer1000": "no checksum of the original files was at hand",
    "Schaefer300+TianS1 to S4, Schaefer400+TianS1": "their origin has no list of the labels' names",
    "Tian 7 T versions, Glasser + Tian": "not asked for yet",
}


@cache
def read_registry() -> pd.DataFrame:
    """Return every file that can be fetched.

    Returns
    -------
    DataFrame
        ``name`` of the atlas, ``role`` (image or table), ``space``, ``file``, ``address``,
        ``sha256`` and ``bytes``.
    """
    return read_packaged("fetch.tsv").astype({"bytes": int})


def read_packaged(file: str) -> pd.DataFrame:
    """Read one of the package's own tables of atlases; every cell as text.

    Parameters
    ----------
    file : str
        Its name.

    Returns
    -------
    DataFrame
    """
    text = (files("connectrial") / "atlases" / file).read_text(encoding="utf-8")
    return pd.read_csv(StringIO(text), sep="\t", dtype="str", keep_default_na=False)


def atlas_folder() -> Path:
    """Return where fetched atlases are kept: ``CONNECTRIAL_HOME``, or the user's cache.

    Returns
    -------
    Path
        It may not exist yet.
    """
    return cache_folder() / "atlases"


def fetch_atlas(
    name: str, *, to: Path | None = None, progress: Progress | None = None
) -> tuple[Path, ...]:
    """Fetch the files of a public atlas, and check each against its known SHA-256.

    Files that are there and right are not fetched again, so a fetch that broke off goes on. A file
    takes its name only once it is whole and right.

    Parameters
    ----------
    name : str
        As `read_registry` has it, such as ``Gordon333`` or ``Schaefer400+TianS2``.
    to : Path, optional
        Folder for the files; by default the place where ``[atlas] name`` finds them.
    progress : callable, optional
        Called as ``progress(file, done, total)`` after each file.

    Returns
    -------
    tuple of Path
        The files, in the registry's order.

    Raises
    ------
    InputError
        If the name is unknown, an address cannot be reached, what comes is not what was published
        (other, or cut short), or the folder cannot be written to.
    """
    registry = read_registry()
    rows = registry.loc[registry["name"] == name]
    if rows.empty:
        raise InputError(
            f"there is no atlas {name!r} to fetch{did_you_mean(name, registry['name'].unique())}; "
            "connectrial fetch --list shows them all, connectrial atlases also those built in"
        )
    folder = atlas_folder() / name if to is None else to
    paths = []
    for number, row in enumerate(rows.itertuples(index=False), start=1):
        path = folder / str(row.file)
        if not (path.is_file() and digest(path) == row.sha256):
            _retrieve(str(row.address), path, str(row.sha256), int(str(row.bytes)))
        if progress is not None:
            progress(path.name, number, len(rows))
        paths.append(path)
    return tuple(paths)


def fetched_file(name: str, role: str, *, space: str | None = None) -> tuple[Path, str]:
    """Return a file of a fetched atlas, having checked that it is whole.

    Parameters
    ----------
    name : str
        As `read_registry` has it.
    role : {"image", "table"}
        Which file.
    space : str, optional
        Template of the scans; where the atlas has an image in this space, that one is taken, else
        the first.

    Returns
    -------
    path : Path
        The file.
    space : str
        Its own space; ``any`` for tables.

    Raises
    ------
    InputError
        If it was not fetched, or is damaged.
    """
    registry = read_registry()
    rows = registry.loc[(registry["name"] == name) & (registry["role"] == role)]
    fitting = rows.loc[rows["space"] == space]
    row = (rows if fitting.empty else fitting).iloc[0]
    path = atlas_folder() / name / row["file"]
    if not path.is_file():
        raise InputError(
            f"atlas {name!r} is not on this machine ({path} is absent): run 'connectrial fetch {name}', "
            "or name an image of your own with [atlas] image"
        )
    if digest(path) != row["sha256"]:
        raise InputError(
            f"{path}: is not the file that was published (its checksum differs); remove it and run "
            f"'connectrial fetch {name}' again"
        )
    return path, str(row["space"])


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _retrieve(address: str, path: Path, sha256: str, n_bytes: int) -> None:
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    by_hand = f"or, from a machine with a network, put this file there: {path} (SHA-256 {sha256})"
    try:
        path.unlink(missing_ok=True)  # it is there and wrong: pooch would warn and fetch anyway
        pooch.retrieve(
            address,
            known_hash=f"sha256:{sha256}",
            fname=path.name,
            path=path.parent,
            downloader=pooch.HTTPDownloader(timeout=_TIMEOUT_S, progressbar=False),
        )
    except requests.HTTPError as error:
        status = "" if error.response is None else f" (HTTP {error.response.status_code})"
        raise InputError(
            f"{address}: the address does not give the file{status}; try later, {by_hand}"
        ) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise InputError(
            f"{address}: the connection broke off before the file was whole; try again, {by_hand}"
        ) from error
    except requests.RequestException as error:
        raise InputError(
            f"{address}: cannot be reached ({type(error).__name__}); fetching needs a network: try again "
            f"with one, {by_hand}"
        ) from error
    except ValueError as error:  # pooch's word for another checksum; the file is gone again
        raise InputError(
            f"{address}: what came is not the file that was published ({n_bytes} bytes, SHA-256 "
            f"{sha256[:12]}...): cut short, or changed at its origin. Nothing was kept; try again, "
            f"{by_hand}"
        ) from error
    except OSError as error:
        raise InputError(
            f"{path.parent}: cannot be written ({error.strerror or error}); name another folder with "
            "--to, or set CONNECTRIAL_HOME"
        ) from error
