"""Every door by which a file of the user's comes in, under one name each: tests and fuzzing share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from connectrial.data import Scan
from connectrial.io.atlas import read_atlas
from connectrial.io.bids_filters import read_filter_file
from connectrial.io.cifti import grayordinates_of, read_cifti_header, read_rows
from connectrial.io.cifti_names import label_maps
from connectrial.io.clinical import read_participants
from connectrial.io.confounds import read_confounds
from connectrial.io.grayordinate_atlas import read_grayordinate_atlas
from connectrial.io.ids import read_exclusions
from connectrial.io.nifti import read_frames, read_header, read_volume
from connectrial.io.regimens import read_regimen
from connectrial.io.scale_files import read_scale
from connectrial.io.series import read_matrix, read_time_series
from connectrial.io.sidecars import read_dataset_description, read_motion
from connectrial.io.surfaces import (
    read_surface_header,
    read_surface_labels,
    read_surface_run,
)
from connectrial.io.tables import read_table, to_numbers
from connectrial.io.volumes import read_volumes
from connectrial.reading import read_toml
from connectrial.simulate import read_facts
from connectrial.study_file import load_study
from connectrial.trial.regimens import check_regimen


def run(path: Path) -> object:
    """Read a 4-D image as the participant level does: header, then every frame to the end."""
    header = read_header(path, n_dimensions=4)
    total = 0.0
    for frame in read_frames(header):
        total += float(frame[0])
    return header


def cifti(path: Path) -> object:
    """Read a dense file of grayordinates: header, rows, places, labels."""
    header = read_cifti_header(path)
    for _, values in read_rows(header):
        values.sum()
    if header.columns == "labels":
        label_maps(header)
    return grayordinates_of(header)


def table_numbers(path: Path) -> object:
    """Read a table and take every column but the first for numbers."""
    table = read_table(path)
    for column in list(table.frame.columns)[1:]:
        to_numbers(table, column)
    return table


def surface_run(path: Path) -> object:
    """Read one file as both hemispheres' run, its name telling no side."""
    read_surface_header(path)
    return read_surface_run(path, path)


def _scan(path: Path, kind: str) -> Scan:
    return Scan(subject="01", session=None, run=None, kind=kind, path=path)  # type: ignore[arg-type]


READERS: dict[str, Callable[[Path], object]] = {
    "study": load_study,
    "table": read_table,
    "numbers": table_numbers,
    "participants": read_participants,
    "series": lambda path: read_time_series(_scan(path, "time series")),
    "matrix": lambda path: read_matrix(_scan(path, "matrix")),
    "confounds": read_confounds,
    "motion": read_motion,
    "description": read_dataset_description,
    "filters": read_filter_file,
    "regimen": lambda path: check_regimen(read_regimen(path).doses, place=path.name),
    "scale": read_scale,
    "truth": lambda path: read_facts(read_toml(path), where=str(path)),
    "exclusions": read_exclusions,
    "volumes": read_volumes,
    "atlas table": lambda path: read_atlas("a", table=path),
    "atlas image": lambda path: read_atlas("a", image=path),
    "volume": read_volume,
    "run": run,
    "cifti": cifti,
    "surface run": surface_run,
    "surface labels": lambda path: read_surface_labels(path, hemisphere=0),
    "grayordinate atlas": lambda path: read_grayordinate_atlas("a", image=[path]),
}
