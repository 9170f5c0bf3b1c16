"""The files of the Human Connectome Project's pipelines, under the names that BIDS would give them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.names import bids_label
from connectrial.io.number_text import read_columns

MOTION_FILE = "Movement_Regressors.txt"

_RESULTS = Path("MNINonLinear") / "Results"
_RUN = re.compile(
    r"^(?:r|t)?fMRI_(?P<task>[A-Za-z]+)(?P<number>\d*)(?:_(?P<direction>AP|PA|LR|RL))?$"
)
_DENSE = re.compile(r"^(?P<run>.+)_Atlas(?P<variant>(?:_.*)?)\.dtseries\.nii$")
_VISIT = re.compile(r"^(?P<subject>[A-Za-z0-9]+)_(?P<session>V\d+)(?:_[A-Z]+)?$")
_BIDS_LIKE = re.compile(r"^sub-(?P<subject>[^_]+)(?:_ses-(?P<session>[^_]+))?$")
_COLUMNS = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


def hcp_folders(root: Path) -> list[tuple[Path, str, str | None]]:
    """Find the people whose folders the HCP pipelines wrote.

    Parameters
    ----------
    root : Path
        Folder with a folder per person, or per person and session.

    Returns
    -------
    list of (Path, str, str or None)
        Folder that holds ``MNINonLinear``, subject, session. ``sub-01_ses-pre``,
        ``sub-01/ses-pre`` and HCP's own ``HCA6002236_V1_MR`` name a session.
    """
    found: list[tuple[Path, str, str | None]] = []
    try:
        folders = sorted(path for path in root.iterdir() if path.is_dir())
    except OSError:  # the search for sub- folders says so
        return found
    for folder in folders:
        subject, session = _person(folder.name)
        if (folder / _RESULTS).is_dir():
            found.append((folder, subject, session))
        if folder.name.startswith("sub-"):
            found += [
                (below, subject, below.name.removeprefix("ses-"))
                for below in sorted(folder.glob("ses-*"))
                if (below / _RESULTS).is_dir()
            ]
    return found


def hcp_files(folder: Path, subject: str, session: str | None) -> list[tuple[Path, dict[str, str]]]:
    """List the dense runs of one person, and the motion of each, with BIDS entities.

    Parameters
    ----------
    folder : Path
        Folder that holds ``MNINonLinear``.
    subject, session : str, str or None
        Whose it is.

    Returns
    -------
    list of (Path, dict)
        ``rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii`` has task ``rest``, run ``1LR``
        and description ``MSMAllhp2000clean``.
    """
    listed = []
    for place in sorted((folder / _RESULTS).iterdir()):
        match = _RUN.match(place.name)
        if match is None or not place.is_dir():
            continue
        person = {"sub": subject} | ({} if session is None else {"ses": session})
        task = match["task"].lower() if match["task"].isupper() else match["task"]
        run = f"{match['number']}{match['direction'] or ''}"
        entities = person | {"task": task} | ({"run": run} if run else {})
        for path in sorted(place.iterdir()):
            if path.name == MOTION_FILE:
                listed.append((path, entities | {"suffix": "motion", "extension": ".txt"}))
            dense = _DENSE.match(path.name)
            if dense is None or dense["run"] != place.name:
                continue
            variant = bids_label(dense["variant"])
            desc = {"desc": variant} if variant else {}
            named = entities | {"space": "fsLR"} | desc
            listed.append((path, named | {"suffix": "bold", "extension": ".dtseries.nii"}))
    return listed


def read_hcp_motion(path: Path) -> pd.DataFrame:
    """Read ``Movement_Regressors.txt``.

    Parameters
    ----------
    path : Path
        Twelve columns without a header: x, y, z in mm, three rotations in degrees, and the
        derivatives of the six.

    Returns
    -------
    pandas.DataFrame
        One row per frame under fMRIPrep's names: ``trans_*`` in mm, ``rot_*`` in radians, their
        ``_derivative1``, and the squares of both (``_power2``).

    Raises
    ------
    InputError
        When the file is missing or has not 12 columns of numbers.
    """
    names, values = read_columns(path)
    if names is not None or values.shape[1] != 12:
        raise InputError(
            f"{path}: 12 columns of numbers without a header are needed (x, y, z, three rotations "
            f"in degrees, their derivatives); this file has {values.shape[1]}"
        )
    columns = [*_COLUMNS, *(f"{name}_derivative1" for name in _COLUMNS)]
    table = pd.DataFrame(values, columns=pd.Index(columns))
    turned = [name for name in columns if name.startswith("rot_")]
    table[turned] = np.deg2rad(table[turned])
    return table.assign(**{f"{name}_power2": table[name] ** 2 for name in columns})


def _person(name: str) -> tuple[str, str | None]:
    match = _BIDS_LIKE.match(name) or _VISIT.match(name)
    return (match["subject"], match["session"]) if match else (name, None)
