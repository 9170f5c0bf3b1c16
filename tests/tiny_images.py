"""Tiny fMRIPrep-like images made by a seeded generator: six parcels in a box, a second to read."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np

SHAPE = (8, 8, 6)
N_FRAMES = 60
AFFINE = np.array([[4.0, 0, 0, -14], [0, 4.0, 0, -14], [0, 0, 4.0, -10], [0, 0, 0, 1]])
PARCELS = ["A1", "A2", "B1", "B2", "S1", "S2"]
NETWORKS = ["Default", "Default", "Vis", "Vis", "Sub", "Sub"]


def labels() -> np.ndarray:
    """Return the label image: six slabs of 4 x 4 x 2 voxels, the others background."""
    image = np.zeros(SHAPE, dtype=np.int16)
    number = 0
    for i in (0, 4):
        for k in (0, 2, 4):
            number += 1
            image[i : i + 4, 2:6, k : k + 2] = number
    return image


def write_atlas(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels(), AFFINE), folder / "atlas.nii.gz")
    rows = ["index\tname\tnetwork"]
    rows += [f"{i + 1}\t{p}\t{n}" for i, (p, n) in enumerate(zip(PARCELS, NETWORKS, strict=True))]
    (folder / "atlas.tsv").write_text("\n".join(rows) + "\n")


def make_data(rng: np.random.Generator, n_frames: int = N_FRAMES) -> np.ndarray:
    """Return a run, (i, j, k, n_frames) of float32 around 1000."""
    common = rng.normal(size=(n_frames, 3))
    gain = rng.normal(size=(3, len(PARCELS)))
    signal = 1000 + 10 * (common @ gain + rng.normal(size=(n_frames, len(PARCELS))))
    where = labels()
    data = 1000 + rng.normal(size=(*SHAPE, n_frames))
    for number in range(1, len(PARCELS) + 1):
        data[where == number] += signal[:, number - 1] - 1000
    return data.astype(np.float32)


def make_motion(rng: np.random.Generator, n_frames: int = N_FRAMES) -> np.ndarray:
    """Return six parameters, mm and radians, of a head that lies still."""
    motion = 0.01 * rng.normal(size=(n_frames, 6))
    motion[:, 3:] /= 50
    return motion


def stem(data: Path, subject: str, session: str) -> Path:
    return (
        data
        / f"sub-{subject}"
        / f"ses-{session}"
        / "func"
        / f"sub-{subject}_ses-{session}_task-rest"
    )


def bold_path(data: Path, subject: str, session: str) -> Path:
    at = stem(data, subject, session)
    return at.with_name(f"{at.name}_space-MNI152NLin6Asym_desc-preproc_bold.nii.gz")


def confounds_path(data: Path, subject: str, session: str) -> Path:
    at = stem(data, subject, session)
    return at.with_name(f"{at.name}_desc-confounds_timeseries.tsv")


def mask_path(data: Path, subject: str, session: str) -> Path:
    at = stem(data, subject, session)
    return at.with_name(f"{at.name}_space-MNI152NLin6Asym_desc-brain_mask.nii.gz")


def save_bold(
    path: Path, data: np.ndarray, *, affine: np.ndarray = AFFINE, seconds: float = 2.0
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = nib.Nifti1Image(data, affine)
    image.header.set_xyzt_units("mm", "sec")
    if data.ndim == 4:
        image.header.set_zooms((4.0, 4.0, 4.0, seconds))
    nib.save(image, path)


def save_confounds(path: Path, motion: np.ndarray, fd_mm: np.ndarray | None = None) -> None:
    names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
    if fd_mm is None:
        moved = np.abs(np.diff(motion * [1, 1, 1, 50, 50, 50], axis=0)).sum(axis=1)
        fd_mm = np.concatenate([[np.nan], moved])
    rows = ["\t".join([*names, "framewise_displacement"])]
    for own, moved in zip(motion, fd_mm, strict=True):
        cells = [f"{x:.8g}" for x in (*own, moved)]
        rows.append("\t".join(cells).replace("nan", "n/a"))
    path.write_text("\n".join(rows) + "\n")


def write_scan(
    data: Path, subject: str, session: str, rng: np.random.Generator, *, n_frames: int = N_FRAMES
) -> np.ndarray:
    """Write a sound run with mask, sidecar and confounds; return its voxels."""
    voxels = make_data(rng, n_frames)
    path = bold_path(data, subject, session)
    save_bold(path, voxels)
    path.with_name(path.name.replace(".nii.gz", ".json")).write_text(
        json.dumps({"RepetitionTime": 2.0})
    )
    save_confounds(confounds_path(data, subject, session), make_motion(rng, n_frames))
    mask = np.ones(SHAPE, dtype=np.uint8)
    nib.save(nib.Nifti1Image(mask, AFFINE), mask_path(data, subject, session))
    return voxels


STUDY = """
[study]
name = "Tiny images"

[data]
kind = "images"
derivatives = "data"

[design]
kind = "pre-post"

[[visit]]
name = "before"
sessions = ["a"]

[[visit]]
name = "after"
sessions = ["b"]

[atlas]
name = "Tiny"
image = "atlas.nii.gz"
table = "atlas.tsv"

[sets.deep]
parcels = ["S*"]

[denoising]
strategy = "6P"

[censoring]
max_fd_mm = 0.5

[quality]
carpets = false

[[hypothesis]]
name = "Default"
within = "Default"
model = "change"
tests = ["visit"]

[model.change]
fixed = ["visit"]
"""


def write_study(folder: Path, *, more: str = "") -> Path:
    """Write the study file beside ``data``; `more` is TOML that overrides or adds."""
    study = folder / "study.toml"
    study.write_text(STUDY)
    if not more:
        return study
    other = folder / "more.toml"
    other.write_text(f'extends = "study.toml"\n{more}')
    return other
