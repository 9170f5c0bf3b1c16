"""Write a simulated trial as BIDS derivatives, so that it can be read as a real one is."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial._version import __version__
from connectrial.data import Atlas, FloatArray
from connectrial.errors import InputError
from connectrial.io.dataset_forms import ImageToWrite, TrialToWrite
from connectrial.io.files import write_atomic
from connectrial.io.names import bids_name

SPACE = "MNI152NLin6Asym"
_WARNING = "Simulated: no person was measured."


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetPaths:
    """Where the parts of a written trial are.

    Attributes
    ----------
    root : Path
        The dataset: parcel series under ``sub-*/ses-*/func``.
    participants : Path
        ``participants.tsv``.
    phenotype : Path
        Folder with one table per scale.
    atlas_table, atlas_image : Path
        Names, networks and places of the parcels; their label image.
    images : Path or None
        Root of the fMRIPrep-like derivatives of the people who have images; None without any.
    truth, truth_scans : Path
        What is true of the analyses and of every session.
    n_files : int
        Files written.
    """

    root: Path
    participants: Path
    phenotype: Path
    atlas_table: Path
    atlas_image: Path
    images: Path | None
    truth: Path
    truth_scans: Path
    n_files: int


def write_dataset(trial: TrialToWrite, out_dir: Path) -> DatasetPaths:
    """Write a simulated trial as BIDS derivatives: series, motion, tables, atlas, images, truth.

    The same trial gives the same bytes. Numbers have 7 significant digits, missing ones are
    ``n/a``. Each file is written whole or not at all.

    Parameters
    ----------
    trial : SimulatedTrial
        What `connectrial.simulate_trial` returned.
    out_dir : Path
        Folder to write to: new, empty, or holding this same trial (a killed run is completed).

    Returns
    -------
    DatasetPaths
        Where everything is.

    Raises
    ------
    InputError
        If `out_dir` is a file, or holds anything but this trial.
    """
    root = Path(out_dir)
    description = _description("Simulated treatment trial", trial)
    _check_is_free(root, description)
    # Written first: whatever else is there after a kill, this says what it is a part of.
    write_atomic(root / "dataset_description.json", description)
    images = root / "derivatives" / "fmriprep-like" if trial.imaged else None
    n_files = 1
    for path, content in chain(
        _tables(trial, root),
        _atlas_files(trial.atlas, root),
        _series_files(trial, root),
        [] if images is None else _trial_images(trial, images),
    ):
        write_atomic(path, content)
        n_files += 1
    return DatasetPaths(
        root=root,
        participants=root / "participants.tsv",
        phenotype=root / "phenotype",
        atlas_table=_atlas_path(trial.atlas, root, "tsv"),
        atlas_image=_atlas_path(trial.atlas, root, "nii.gz"),
        images=images,
        truth=root / "truth" / "truth.tsv",
        truth_scans=root / "truth" / "truth_scans.tsv",
        n_files=n_files,
    )


def _check_is_free(root: Path, description: str) -> None:
    """Refuse a folder that holds what someone may still want, or another trial's files."""
    if root.is_file():
        raise InputError(f"{root} is a file; name a folder for the simulated dataset")
    if not root.is_dir() or not any(root.iterdir()):
        return
    present = root / "dataset_description.json"
    if present.is_file() and present.read_bytes() == description.encode():
        return
    raise InputError(
        f"{root} is not empty and holds something else than this simulated trial; name a new "
        "folder or delete it, so that its files are not mixed with those of this trial"
    )


# ---------------------------------------------------------------------------------------------
# Text
# ---------------------------------------------------------------------------------------------


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _number_table(columns: Sequence[str], values: FloatArray) -> str:
    """Return a TSV of numbers; Python's own formatting is ten times faster than to_csv's."""
    line = "\t".join(["%.7g"] * len(columns))
    rows = [(line % tuple(row)).replace("nan", "n/a") for row in values.tolist()]
    return "\n".join(["\t".join(columns), *rows]) + "\n"


def _table(frame: pd.DataFrame) -> str:
    text: str = frame.to_csv(
        sep="\t", index=False, na_rep="n/a", float_format="%.7g", lineterminator="\n"
    )
    return text


def _description(name: str, trial: TrialToWrite) -> str:
    return _json(
        {
            "Name": name,
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "License": "CC0",
            "Simulated": True,
            "HowToAcknowledge": _WARNING,
            "GeneratedBy": [
                {
                    "Name": "connectrial simulate",
                    "Version": __version__,
                    "Description": _WARNING,
                }
            ],
            "Simulation": {"Seed": trial.seed, "Design": asdict(trial.design)},
        }
    )


def _with_ids(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn labels into BIDS's columns: participant_id and session_id with their prefixes."""
    frame = frame.rename(columns={"subject": "participant_id", "session": "session_id"})
    frame["participant_id"] = "sub-" + frame["participant_id"]
    if "session_id" in frame:
        frame["session_id"] = "ses-" + frame["session_id"]
    return frame


_PARTICIPANTS = {
    "participant_id": {"Description": "Simulated person"},
    "group": {
        "Description": "Cohort",
        "Levels": {"patient": "Treated for depression", "control": "Matched, not treated"},
    },
    "age": {"Description": "Age at the first scan", "Units": "years"},
    "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
    "education_years": {"Description": "Years of education", "Units": "years"},
    "disposition": {"Description": "How the person's part in the trial ended"},
}


def _tables(trial: TrialToWrite, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield everything that stands at the root or is a plain table."""
    yield root / "README", _readme(trial)
    yield root / ".bidsignore", "truth/\natlases/\n*_motion.*\n"
    yield root / "participants.tsv", _table(_with_ids(trial.participants))
    yield root / "participants.json", _json(_PARTICIPANTS)
    for scale, scores in trial.phenotype.items():
        yield root / "phenotype" / f"{scale.lower()}.tsv", _table(_with_ids(scores))
        words = {
            "MeasurementToolMetadata": {"Description": f"{scale}. {_WARNING}"},
            "participant_id": _PARTICIPANTS["participant_id"],
            "session_id": {"Description": "When the score was taken; these are no scan sessions"},
            "day": {"Description": "Day of the score from the start of treatment", "Units": "days"},
            scale: {"Description": f"Total score of the {scale}", "Units": "points"},
        }
        yield root / "phenotype" / f"{scale.lower()}.json", _json(words)
    yield root / "truth" / "truth.tsv", _table(trial.truth)
    yield root / "truth" / "truth_scans.tsv", _table(_with_ids(trial.truth_scans))


def _readme(trial: TrialToWrite) -> str:
    odd = "\n".join(f"* {what}: {where}" for what, where in trial.special.items())
    return f"""Simulated treatment trial
=========================

These data are SIMULATED. No person was measured, and nothing in them is evidence about a drug, a
disease or a brain. They were made by connectrial {__version__} with seed {trial.seed} to try out an
analysis whose right answer is known: truth/truth.tsv has what the analyses should find,
truth/truth_scans.tsv what is true of every session.

sub-*/ses-*/func/   parcel time series (arbitrary units) and head motion, one pair per run
participants.tsv    who took part
phenotype/          depression scores over time
atlases/            the parcels: names, networks, places, label image
derivatives/        small 4D images with confounds for {len(trial.imaged)} of the people

Put in on purpose, to be found by the analysis:
{odd}
"""


# ---------------------------------------------------------------------------------------------
# Atlas, series, images
# ---------------------------------------------------------------------------------------------


def _atlas_path(atlas: Atlas, root: Path, extension: str) -> Path:
    folder = root / "atlases" / f"atlas-{atlas.name}"
    if extension.startswith("nii"):
        return folder / f"atlas-{atlas.name}_space-{SPACE}_dseg.{extension}"
    return folder / f"atlas-{atlas.name}_dseg.{extension}"


def _atlas_files(atlas: Atlas, root: Path) -> Iterator[tuple[Path, bytes | str]]:
    parcels = atlas.parcels.rename_axis("name").reset_index()
    first = ["index", "name", "network"]
    parcels = parcels[first + [c for c in parcels if c not in first]]
    yield _atlas_path(atlas, root, "tsv"), _table(parcels)
    yield (
        _atlas_path(atlas, root, "json"),
        _json(
            {
                "Description": "Made-up parcels at plausible places, named in Schaefer's and "
                "Tian's manner; for simulated data only",
                "Simulated": True,
                "License": "CC0",
            }
        ),
    )
    if atlas.labels is not None and atlas.affine is not None:
        labels = atlas.labels.astype(np.int16)
        yield _atlas_path(atlas, root, "nii.gz"), _nifti(labels, affine=atlas.affine)


def _func_path(root: Path, subject: str, session: str, name: str) -> Path:
    return root / f"sub-{subject}" / f"ses-{session}" / "func" / name


def _series_files(trial: TrialToWrite, root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the parcel series and the motion of every run, each with its sidecar."""
    motion_words = {
        "framewise_displacement": {
            "Description": "Sum of absolute backward differences, rotations on a sphere of 50 mm",
            "Units": "mm",
        },
        "Simulated": True,
    }
    motion_words |= {f"trans_{axis}": {"Units": "mm"} for axis in "xyz"}
    motion_words |= {f"rot_{axis}": {"Units": "rad"} for axis in "xyz"}
    for scan in trial.scans:
        run = {"sub": scan.subject, "ses": scan.session, "task": "rest", "run": scan.run}
        labels = run | {"space": SPACE, "atlas": trial.atlas.name, "stat": "mean"}
        contents = {
            bids_name(labels, suffix="timeseries", extension=".tsv"): _number_table(
                list(scan.series.parcels), scan.series.signal
            ),
            bids_name(labels, suffix="timeseries", extension=".json"): _json(
                {
                    "TaskName": "rest",
                    "RepetitionTime": scan.series.repetition_time_s,
                    "Units": "arbitrary",
                    "Description": f"Mean signal of every parcel, denoised. {_WARNING}",
                    "Simulated": True,
                }
            ),
            bids_name(run, suffix="motion", extension=".tsv"): _number_table(
                [str(column) for column in scan.motion], scan.motion.to_numpy(dtype=np.float64)
            ),
            bids_name(run, suffix="motion", extension=".json"): _json(motion_words),
        }
        for name, content in contents.items():
            yield _func_path(root, scan.subject, scan.session, name), content


def _trial_images(trial: TrialToWrite, root: Path) -> Iterator[tuple[Path, bytes | str]]:
    yield root / "dataset_description.json", _description("Simulated images of a trial", trial)
    yield from _image_files(trial.images(), root)


def write_images(
    images: Iterable[ImageToWrite], atlas: Atlas, root: Path, *, seed: int
) -> Iterator[int]:
    """Write simulated images as fMRIPrep-like derivatives, and the label image of their parcels.

    Yields how many images are written, one at a time in memory.
    """
    about = {
        "Name": "Simulated images",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "Simulated": True,
        "GeneratedBy": [{"Name": "connectrial simulate", "Version": __version__}],
        "Simulation": {"Seed": seed},
    }
    write_atomic(root / "dataset_description.json", _json(about))
    label = "".join(c for c in atlas.name if c.isalnum())
    named = Atlas(name=label, parcels=atlas.parcels, labels=atlas.labels, affine=atlas.affine)
    for path, content in _atlas_files(named, root):
        write_atomic(path, content)
    for n, image in enumerate(images, start=1):
        for path, content in _image_files([image], root):
            write_atomic(path, content)
        yield n


def _image_files(images: Iterable[ImageToWrite], root: Path) -> Iterator[tuple[Path, bytes | str]]:
    """Yield the files of fMRIPrep-like derivatives, one image in memory at a time."""
    for image in images:
        run = {"sub": image.subject, "ses": image.session, "task": "rest", "run": image.run}
        place = run | {"space": SPACE}
        about = {
            "TaskName": "rest",
            "RepetitionTime": image.repetition_time_s,
            "SkullStripped": True,
            "Simulated": True,
        }
        bold, mask = place | {"desc": "preproc"}, place | {"desc": "brain"}
        confounds = run | {"desc": "confounds"}
        contents: dict[str, bytes | str] = {
            bids_name(bold, suffix="bold", extension=".nii.gz"): _nifti(
                image.data, affine=image.affine, repetition_time_s=image.repetition_time_s
            ),
            bids_name(bold, suffix="bold", extension=".json"): _json(about),
            bids_name(mask, suffix="mask", extension=".nii.gz"): _nifti(
                image.mask.astype(np.uint8), affine=image.affine
            ),
            bids_name(mask, suffix="mask", extension=".json"): _json(
                {"Type": "Brain", "Simulated": True}
            ),
            bids_name(confounds, suffix="timeseries", extension=".tsv"): _number_table(
                [str(column) for column in image.confounds],
                image.confounds.to_numpy(dtype=np.float64),
            ),
            bids_name(confounds, suffix="timeseries", extension=".json"): _json(
                {
                    "csf": {"Description": "Mean over the ventricles", "Method": "Mean"},
                    "white_matter": {"Description": "Mean over white matter", "Method": "Mean"},
                    "global_signal": {"Description": "Mean over the brain mask", "Method": "Mean"},
                    "std_dvars": {"Description": "dvars over its median"},
                    "Simulated": True,
                }
            ),
        }
        for name, content in contents.items():
            yield _func_path(root, image.subject, image.session, name), content


def _nifti(
    data: NDArray[Any], *, affine: FloatArray, repetition_time_s: float | None = None
) -> bytes:
    """Return a gzipped NIfTI file; no time stamp in it, so the same data give the same bytes."""
    import nibabel as nib  # heavy, and wanted by simulations only

    make_image: Any = nib.Nifti1Image  # nibabel's own annotations are incomplete
    image = make_image(data, affine)
    # 4 = MNI152: the grid is that of the template, coarser.
    image.set_sform(affine, code=4)
    image.set_qform(affine, code=4)
    image.header.set_xyzt_units("mm", "sec")
    image.header["descrip"] = b"simulated by connectrial"
    if repetition_time_s is not None:
        image.header.set_zooms((*image.header.get_zooms()[:3], repetition_time_s))
    return gzip.compress(bytes(image.to_bytes()), compresslevel=1, mtime=0)
