"""Write a simulated study as a BIDS dataset, so that its study file reads it as a real one."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from connectrial._version import __version__
from connectrial.data import Atlas, TimeSeries
from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.names import bids_name

SPACE = "MNI152NLin6Asym"
WARNING = "Simulated: no person was measured."


class Run(Protocol):
    """One run, as `connectrial.simulate.SimulatedScan` has it."""

    @property
    def subject(self) -> str: ...  # noqa: D102  what they hold is said in the simulation
    @property
    def session(self) -> str: ...  # noqa: D102
    @property
    def run(self) -> str: ...  # noqa: D102
    @property
    def series(self) -> TimeSeries: ...  # noqa: D102
    @property
    def motion(self) -> pd.DataFrame: ...  # noqa: D102


def write_root(root: Path, *, name: str, seed: int, readme: str) -> None:
    """Claim a folder for a simulated dataset: new, empty, or this very simulation again.

    Raises
    ------
    InputError
        The folder holds something else.
    """
    description = _json(
        {
            "Name": f"Simulated: {name}",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "License": "CC0",
            "Simulated": True,
            "HowToAcknowledge": WARNING,
            "GeneratedBy": [
                {"Name": "connectrial simulate", "Version": __version__, "Description": WARNING}
            ],
            "Simulation": {"Seed": seed},
        }
    )
    present = root / "dataset_description.json"
    if root.is_file():
        raise InputError(f"{root}: is a file; name a folder for the simulated dataset")
    if root.is_dir() and any(root.iterdir()):
        is_ours = present.is_file() and present.read_bytes() == description.encode()
        if not is_ours:
            raise InputError(
                f"{root}: is not empty and holds something else than this simulation; name a new folder "
                "or delete it, so that its files are not mixed with those of this one"
            )
    write_atomic(present, description)
    write_atomic(root / "README", readme)
    write_atomic(
        root / ".bidsignore", "truth.*\ntruth_scans.tsv\nstudy.toml\natlases/\n*.csv\n*_motion.*\n"
    )


def write_table(path: Path, table: pd.DataFrame, *, words: Mapping[str, Any] | None = None) -> None:
    """Write a table (TSV, or CSV by its name), and beside it what its columns mean."""
    separator = "," if path.suffix == ".csv" else "\t"
    text = table.to_csv(
        sep=separator, index=False, na_rep="n/a", float_format="%.7g", lineterminator="\n"
    )
    write_atomic(path, text)
    if words is not None:
        write_atomic(path.with_suffix(".json"), _json(words))


def write_plain(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON."""
    write_atomic(path, _json(content))


def write_parcels(path: Path, atlas: Atlas) -> None:
    """Write an atlas's table of parcels."""
    table = atlas.parcels.rename_axis("name").reset_index()
    if "index" not in table:
        table["index"] = np.arange(1, len(table) + 1)
    first = ["index", "name", "network"]
    write_table(path, table[first + [c for c in table if c not in first]])


def write_series(runs: Iterable[Run], root: Path, *, label: str, task: str) -> Iterator[int]:
    """Write parcel series and motion of every run, each with its sidecar; yields a count."""
    for n, scan in enumerate(runs, start=1):
        stem = {"sub": scan.subject, "ses": scan.session, "task": task, "run": scan.run}
        own = stem | {"space": SPACE, "atlas": label, "stat": "mean"}
        folder = root / f"sub-{scan.subject}" / f"ses-{scan.session}" / "func"
        file = folder / bids_name(own, suffix="timeseries", extension=".tsv")
        write_atomic(file, _numbers(list(scan.series.parcels), scan.series.signal))
        about = {
            "TaskName": task,
            "RepetitionTime": scan.series.repetition_time_s,
            "Units": "arbitrary",
            "Description": f"Mean signal of every parcel. {WARNING}",
            "Simulated": True,
        }
        write_plain(file.with_suffix(".json"), about)
        file = folder / bids_name(stem, suffix="motion", extension=".tsv")
        columns = [str(column) for column in scan.motion]
        write_atomic(file, _numbers(columns, scan.motion.to_numpy(dtype=np.float64)))
        units: dict[str, Any] = {f"trans_{a}": {"Units": "mm"} for a in "xyz"}
        units |= {f"rot_{a}": {"Units": "rad"} for a in "xyz"}
        write_plain(file.with_suffix(".json"), units | {"Simulated": True})
        yield n


def write_matrices(
    runs: Iterable[Run], root: Path, *, label: str, task: str, values: str
) -> Iterator[int]:
    """Write each session's matrix: runs z-scored, joined and correlated; yields a count of runs."""
    parts: list[Any] = []
    last: Run | None = None
    n = 0
    for n, scan in enumerate(runs, start=1):
        if last is not None and (scan.subject, scan.session) != (last.subject, last.session):
            _write_matrix(last, parts, root, label=label, task=task, values=values)
            parts = []
        signal = scan.series.signal
        parts.append((signal - signal.mean(axis=0)) / signal.std(axis=0))
        last = scan
        yield n
    if last is not None:
        _write_matrix(last, parts, root, label=label, task=task, values=values)


def _write_matrix(
    scan: Run, parts: list[Any], root: Path, *, label: str, task: str, values: str
) -> None:
    r = np.corrcoef(np.concatenate(parts).T)
    np.fill_diagonal(r, 0.0)
    shown = np.arctanh(r) if values == "z" else r
    np.fill_diagonal(shown, 0.0 if values == "z" else 1.0)
    own = {"sub": scan.subject, "ses": scan.session, "task": task, "space": SPACE, "atlas": label}
    own["stat"] = "pearsoncorrelation"
    folder = root / f"sub-{scan.subject}" / f"ses-{scan.session}" / "func"
    file = folder / bids_name(own, suffix="relmat", extension=".tsv")
    names = [str(parcel) for parcel in scan.series.parcels]
    lines = ["\t".join(["Node", *names])]
    for name, row in zip(names, shown.tolist(), strict=True):
        lines.append("\t".join([name, *(f"{x:.7g}" for x in row)]))
    write_atomic(file, "\n".join(lines) + "\n")
    about = {
        "TaskName": task,
        "RepetitionTime": scan.series.repetition_time_s,
        "Description": f"{'Fisher z' if values == 'z' else 'Pearson r'} between parcels. {WARNING}",
        "Simulated": True,
    }
    write_plain(file.with_suffix(".json"), about)


def _numbers(columns: Sequence[str], values: Any) -> str:  # noqa: ANN401 - any array of numbers
    line = "\t".join(["%.6g"] * len(columns))
    rows = [(line % tuple(row)).replace("nan", "n/a") for row in values.tolist()]
    return "\n".join(["\t".join(columns), *rows]) + "\n"


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
