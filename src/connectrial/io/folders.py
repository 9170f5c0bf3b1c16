"""An output folder: whether it is ours, and what dead processes left in it."""

from __future__ import annotations

from pathlib import Path

from connectrial._version import __version__
from connectrial.errors import InputError
from connectrial.io.files import make_folder, remove_leftovers
from connectrial.io.provenance import read_json, write_json

_NAME = "connectrial"


def check_folder(output_dir: Path) -> None:
    """Make an output folder where there is none, or refuse one that holds something else.

    Parameters
    ----------
    output_dir : Path
        The folder.

    Raises
    ------
    InputError
        It is a file, or holds files of something else.
    MachineError
        It cannot be made.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise InputError(f"{output_dir}: is a file; name a folder for the results")
    make_folder(output_dir)
    known = read_json(output_dir / "dataset_description.json")
    made_by = [one.get("Name") for one in (known or {}).get("GeneratedBy", [])]
    others = [p.name for p in output_dir.iterdir() if not p.name.startswith(".")]
    if others and _NAME not in made_by:
        raise InputError(
            f"{output_dir}: holds files that are not connectrial's ({sorted(others)[0]} first); name a "
            "new folder, or one of an earlier run"
        )


def claim_folder(output_dir: Path, *, simulated: bool, study: str, whole: bool = True) -> None:
    """Describe an output folder as ours, and clear away what dead processes left in it.

    Parameters
    ----------
    output_dir : Path
        A folder that :func:`check_folder` let pass, and that is held (`connectrial.io.locks`).
    simulated : bool
        Whether the data are simulated.
    study : str
        Name of the study.
    whole : bool
        Whether nobody else is at work in the folder.

    Raises
    ------
    MachineError
        It cannot be written to.
    """
    if whole:
        remove_leftovers(output_dir, everyones=True)
    name = f"connectrial: {study}" + (" (SIMULATED DATA)" if simulated else "")
    write_json(
        output_dir / "dataset_description.json",
        {
            "Name": name,
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": _NAME, "Version": __version__}],
            "Simulated": simulated,
        },
    )
