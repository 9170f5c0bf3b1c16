"""The BIDS-App form: a folder instead of a study file."""

from __future__ import annotations

from pathlib import Path

from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.run.drafting import draft_study
from connectrial.run.filtering import read_filters


def study_for(
    bids_dir: Path, out: Path, *, study: Path | None, filters: Path | None = None
) -> Path:
    """Find the study file for a folder, or draft one.

    Parameters
    ----------
    bids_dir : Path
        Derivatives folder.
    out : Path
        Folder for the results; a drafted study file goes there.
    study : Path or None
        Study file that was named.
    filters : Path, optional
        BIDS filter file, which a drafted study file takes over.

    Returns
    -------
    Path
        The one that was named, else ``study.toml`` in `bids_dir`, else the draft of an earlier
        call, else a new draft.

    Raises
    ------
    InputError
        The folder does not exist, or nothing usable is in it.
    """
    if study is not None:
        return study
    if not bids_dir.is_dir():
        raise InputError(f"{bids_dir}: is no folder; name the derivatives folder")
    own = bids_dir / "study.toml"
    if own.is_file():
        return own
    drafted = out / "study.toml"
    if not drafted.is_file():
        query = None if filters is None else read_filters(filters)
        write_atomic(drafted, draft_study(bids_dir, filters=query).text)
    return drafted
