"""Read an fMRIPrep confounds table with its sidecar."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from connectrial.errors import InputError
from connectrial.io.hcp import MOTION_FILE, read_hcp_motion
from connectrial.reading import MOST_TABLE_BYTES, read_bytes, read_json_object

# A head in a coil does not turn this far; degrees under a radian's name do.
_LARGEST_ROTATION_RAD = 1.0


def read_confounds(
    path: Path, *, rotation_unit: Literal["rad", "deg"] = "rad"
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Read a confounds table (fMRIPrep 20 to 25, or an XCP-D motion table).

    Parameters
    ----------
    path : Path
        ``*_desc-confounds_timeseries.tsv`` (``_regressors.tsv`` in older versions), or
        ``*_motion.tsv``, or HCP's ``Movement_Regressors.txt`` (six parameters of motion and their
        derivatives). The sidecar of the same name ending in ``.json`` is read if it is there.
    rotation_unit : {"rad", "deg"}
        What the columns ``rot_*`` hold.

    Returns
    -------
    table : DataFrame
        One row per frame, all numbers; ``n/a`` is NaN.
    metadata : dict
        The sidecar's content; empty without one.

    Raises
    ------
    InputError
        If a file is absent or unreadable, the table has no rows, two columns bear one name, a cell
        holds no number, or rotations are too large to be radians.
    """
    data = read_bytes(path, what="confounds table", most_bytes=MOST_TABLE_BYTES)
    if b"\0" in data:
        raise InputError(f"{path}: this is a binary file, not a tab-separated table")
    if path.name == MOTION_FILE:
        return read_hcp_motion(path), {}
    try:
        raw = pd.read_csv(
            io.BytesIO(data),
            sep="\t",
            dtype="str",
            header=None,
            keep_default_na=False,
            na_values=["n/a"],
            encoding="utf-8-sig",
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: this is not a tab-separated table ({error})") from error
    # Read without a header, because pandas would silently rename a repeated column.
    names = raw.iloc[0].astype("str").str.strip()
    if names.duplicated().any():
        raise InputError(f"{path}: column {names[names.duplicated()].iloc[0]!r} occurs twice")
    text = raw.iloc[1:].set_axis(names.to_list(), axis=1).reset_index(drop=True)
    if text.empty:
        raise InputError(f"{path}: the table has a header but no frames")
    table = text.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    wrong = table.isna().to_numpy() & text.notna().to_numpy()
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        raise InputError(
            f"{path}, line {row + 2}, column {text.columns[column]!r}: "
            f"{text.iloc[row, column]!r} is no number; a missing value is written n/a"
        )
    infinite = np.isinf(table.to_numpy())
    if infinite.any():
        row, column = (int(i) for i in np.argwhere(infinite)[0])
        raise InputError(
            f"{path}, line {row + 2}, column {text.columns[column]!r}: the number is infinite; a "
            "missing value is written n/a"
        )
    check_rotations(table, path, rotation_unit=rotation_unit)
    return table, _read_sidecar(path.with_suffix(".json"))


def check_rotations(
    table: pd.DataFrame, path: Path, *, rotation_unit: Literal["rad", "deg"]
) -> None:
    """Refuse rotations that no head in a coil makes, as degrees under the name of radians are.

    Parameters
    ----------
    table : DataFrame
        With the columns ``rot_x``, ``rot_y``, ``rot_z``, or some of them.
    path : Path
        Where they come from.
    rotation_unit : {"rad", "deg"}
        What they are said to be.

    Raises
    ------
    InputError
        A rotation is larger than 1 radian.
    """
    if rotation_unit == "deg":
        return
    rotations = table[[name for name in ("rot_x", "rot_y", "rot_z") if name in table]]
    largest = np.nanmax(np.abs(rotations.to_numpy()), initial=0.0)
    if largest > _LARGEST_ROTATION_RAD:
        raise InputError(
            f"{path}: a rotation reaches {largest:.3g}, which as radians is "
            f"{np.rad2deg(largest):.0f} degrees; the columns rot_* must hold radians: if these are "
            "degrees, set [motion] rotation_unit = 'deg' in the study file"
        )


def _read_sidecar(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_json_object(path, what="sidecar")
