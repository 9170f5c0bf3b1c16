"""What stands beside a scan: JSON sidecars, confounds, motion tables, masks."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.func_files import FuncFile
from connectrial.io.hcp import MOTION_FILE, read_hcp_motion
from connectrial.io.names import RUN_ENTITIES, parse_entities
from connectrial.io.number_text import read_columns
from connectrial.reading import read_json_object

# fMRIPrep before 1.2 (2018).
_OLD_NAMES = {
    "FramewiseDisplacement": "framewise_displacement",
    "GlobalSignal": "global_signal",
    "WhiteMatter": "white_matter",
    "CSF": "csf",
    "stdDVARS": "std_dvars",
    "X": "trans_x",
    "Y": "trans_y",
    "Z": "trans_z",
    "RotX": "rot_x",
    "RotY": "rot_y",
    "RotZ": "rot_z",
}
_MAX_REPETITION_TIME_S = 30.0  # beyond it, milliseconds were written


def read_motion(path: Path) -> pd.DataFrame:
    """Read fMRIPrep's confounds, or XCP-D's motion table with the outliers beside it.

    Parameters
    ----------
    path : Path
        ``*_desc-confounds_timeseries.tsv`` (or ``_regressors.tsv``), ``*_motion.tsv``,
        ``*_outliers.tsv``, or HCP's ``Movement_Regressors.txt``.

    Returns
    -------
    pandas.DataFrame
        One row per frame of the original run (XCP-D's series may hold fewer: the frames it
        censored are gone); ``framewise_displacement`` in mm, ``trans_*`` in mm, ``rot_*`` in
        radians and whatever else the file holds, as float with NaN for n/a. For XCP-D also
        ``motion_outlier``: 1 where XCP-D censored, 0 elsewhere.

    Raises
    ------
    InputError
        When the file is missing or empty, or a cell is neither a number nor n/a.

    Notes
    -----
    XCP-D calls the only column of its outliers file ``framewise_displacement`` too, though it
    holds flags; here it is ``motion_outlier``.
    """
    if path.name == MOTION_FILE:
        return read_hcp_motion(path)
    table = _read_frames(path).rename(columns=_OLD_NAMES)
    if path.name.endswith("_outliers.tsv"):
        return table.rename(columns={"framewise_displacement": "motion_outlier"})
    if not path.name.endswith("_motion.tsv"):
        return table
    base = path.name.removesuffix("_motion.tsv").removesuffix("_desc-filtered")
    beside = path.with_name(f"{base}_outliers.tsv")
    if not beside.is_file():
        return table
    flags = _read_frames(beside)
    if len(flags) != len(table):
        raise InputError(
            f"{beside}: {len(flags)} frames where {path.name} has {len(table)}; "
            "both must come from one run of XCP-D"
        )
    return table.assign(motion_outlier=flags.iloc[:, 0].to_numpy())


def _read_frames(path: Path) -> pd.DataFrame:
    names, values = read_columns(path)
    if names is None:
        raise InputError(f"{path}: the first row must name the columns")
    return pd.DataFrame(values, columns=pd.Index(names))


def read_dataset_description(path: Path) -> dict[str, Any]:
    """Read ``dataset_description.json``.

    Parameters
    ----------
    path : Path
        The file, or the folder that holds it.

    Returns
    -------
    dict

    Raises
    ------
    InputError
        When there is none, or it is no JSON object.
    """
    file = path / "dataset_description.json" if path.is_dir() else path
    return read_json_object(file)


class Sidecars:
    """The files of one derivatives folder that describe other files of it.

    Parameters
    ----------
    root : Path
        The derivatives folder.
    files : iterable of FuncFile
        What stands in its func folders.

    Attributes
    ----------
    problems : list of str
        Sidecars that could not be read or make no sense.
    """

    def __init__(self, root: Path, files: Iterable[FuncFile]) -> None:
        self.root = root
        self.problems: list[str] = []
        self._by_run: dict[tuple[str | None, ...], list[FuncFile]] = defaultdict(list)
        self._json: dict[Path, list[tuple[Path, dict[str, str]]]] = {}
        self._times: dict[Path, float | None] = {}
        for file in files:
            self._by_run[file.run_key].append(file)

    def confounds(self, file: FuncFile) -> Path | None:
        """Return fMRIPrep's confounds of the same run, else XCP-D's motion or outliers."""
        ranked = sorted(
            (rank, other.path)
            for other in self._by_run[file.run_key]
            if (rank := _confounds_rank(other)) is not None
        )
        return ranked[0][1] if ranked else None

    def mask(self, file: FuncFile) -> Path | None:
        """Return the brain mask of the same run in the same space."""
        for other in self._by_run[file.run_key]:
            e = other.entities
            if (
                e["suffix"] == "mask"
                and e.get("desc") == "brain"
                and e["extension"] in {".nii", ".nii.gz"}
                and all(e.get(k) == file.entities.get(k) for k in ("space", "res", "cohort"))
            ):
                return other.path
        return None

    def repetition_time_s(self, file: FuncFile) -> float | None:
        """Return the seconds between frames that the nearest fitting sidecar states.

        Beside the file and in every folder up to the root, a sidecar fits when all its entities
        are the file's (BIDS inheritance); one of the image itself (``_bold.json``) fits also when
        it names the space or resolution of that image.
        """
        run = {k: file.entities[k] for k in RUN_ENTITIES if k in file.entities}
        suffix = file.entities["suffix"]
        folder = file.path.parent
        while True:
            fitting = []
            for path, e in self._sidecars_in(folder):
                own = e["suffix"] == suffix
                if not (own or e["suffix"] == "bold"):
                    continue
                compared = file.entities if own else run
                named = {k: v for k, v in e.items() if k not in {"suffix", "extension"}}
                if not own:
                    named = {k: v for k, v in named.items() if k in RUN_ENTITIES}
                if all(compared.get(k) == v for k, v in named.items()):
                    fitting.append((not own, -len(named), path))
            for *_, path in sorted(fitting):
                seconds = self._time_in(path)
                if seconds is not None:
                    return seconds
            if folder in {self.root, folder.parent}:
                return None
            folder = folder.parent

    def _sidecars_in(self, folder: Path) -> list[tuple[Path, dict[str, str]]]:
        if folder not in self._json:
            with os.scandir(folder) as entries:
                names = sorted(e.name for e in entries if e.name.endswith(".json"))
            self._json[folder] = [(folder / name, parse_entities(name)) for name in names]
        return self._json[folder]

    def _time_in(self, path: Path) -> float | None:
        if path not in self._times:
            self._times[path] = self._read_time(path)
        return self._times[path]

    def _read_time(self, path: Path) -> float | None:
        try:
            content = read_json_object(path)
        except InputError as error:
            self.problems += error.problems
            return None
        seconds = content.get("RepetitionTime")
        frequency = content.get("SamplingFrequency")  # XCP-D writes "TR" here, giga_connectome Hz
        if seconds is None and isinstance(frequency, int | float) and frequency > 0:
            seconds = 1.0 / frequency
        if seconds is None:
            return None
        if not _is_positive(seconds) or seconds > _MAX_REPETITION_TIME_S:
            self.problems.append(
                f"{path}: RepetitionTime is {seconds!r}; it must be a number of seconds, "
                f"above 0 and up to {_MAX_REPETITION_TIME_S:g}"
            )
            return None
        return float(seconds)


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _confounds_rank(file: FuncFile) -> int | None:
    """Order the tables that can serve as confounds; None for what is none."""
    e = file.entities
    if file.path.name == MOTION_FILE:
        return 0
    # HALFpipe scales the confounds of its settings, framewise displacement too.
    if e["extension"] != ".tsv" or "setting" in e or "feature" in e:
        return None
    if e.get("desc") == "confounds" and e["suffix"] in {"timeseries", "regressors"}:
        return 0
    if e["suffix"] == "motion":
        return 2 if e.get("desc") == "filtered" else 1
    return 3 if e["suffix"] == "outliers" else None
