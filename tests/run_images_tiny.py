"""A tiny trial of 4-D images, made by a seeded generator: enough to map every voxel."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

SHAPE = (8, 7, 6)
AFFINE = np.array([[-4.0, 0, 0, 14], [0, 4, 0, -12], [0, 0, 4, -10], [0, 0, 0, 1]])
N_FRAMES = 60
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]
STUDY = """
[study]
name = "Tiny maps"
seed = 1

[data]
kind = "images"
derivatives = "data"

[design]
kind = "parallel"

[[visit]]
name = "before"
sessions = ["a"]

[[visit]]
name = "after"
sessions = ["b"]

[arms]
column = "arm"
levels = ["placebo", "drug"]

[atlas]
image = "atlas.nii.gz"
table = "atlas.tsv"

[sets.seed]
parcels = ["A1"]

[denoising]
strategy = "6P"

[maps.A1]
seed = { set = "seed" }
model = "change"
tests = ["visit:arm"]

[maps.ball]
seed = { sphere = [2, 0, 2], radius_mm = 4.5 }

[maps.global]
measure = "gbc"

[model.change]
fixed = ["visit * arm"]
"""


def parcels() -> np.ndarray:
    """Labels 1 to 4 in quarters of the brain; 0 outside."""
    i, j, k = np.indices(SHAPE)
    labels = 1 + (i >= 4) + 2 * (j >= 4)
    labels[(k == 0) | (i == 0) | (j == 0)] = 0
    return labels.astype(np.int16)


def write_images(
    folder: Path,
    *,
    n_subjects: int = 10,
    n_runs: int = 1,
    study: str = STUDY,
    seed: int = 5,
    sessions: str = "ab",
    strong: str | None = None,
) -> Path:
    """Write images, confounds, tables and study file; return the study file.

    In arm drug, after, voxels of parcel 4 follow parcel 1; with `strong`, in that session of
    everybody. Person 02 has no second scan; person 04 lacks the voxels of i = 7.
    """
    rng = np.random.default_rng(seed)
    labels = parcels()
    data = folder / "data"
    data.mkdir(parents=True)
    nib.Nifti1Image(labels, AFFINE).to_filename(data / "atlas.nii.gz")
    rows = [f"{n}\t{name}\t{net}" for n, name, net in [(1, "A1", "A"), (2, "A2", "A"), (3, "B1", "B"), (4, "B2", "B")]]  # fmt: skip
    (data / "atlas.tsv").write_text("\n".join(["index\tname\tnetwork", *rows]) + "\n")
    people = ["participant_id\tarm"]
    for number in range(1, n_subjects + 1):
        subject, drug = f"{number:02d}", number % 2 == 1
        people.append(f"sub-{subject}\t{'drug' if drug else 'placebo'}")
        for session in sessions:
            if (subject, session) == ("02", sessions[1]):
                continue
            for run in range(n_runs):
                brain = labels > 0
                if subject == "04":
                    brain = brain & (np.indices(SHAPE)[0] < 7)
                name = f"sub-{subject}_ses-{session}_task-rest" + (
                    f"_run-{run + 1}" if n_runs > 1 else ""
                )
                place = data / f"sub-{subject}" / f"ses-{session}" / "func"
                follows = session == strong if strong else drug and session == "b"
                effect = 2.0 if follows else 0.0
                _write_run(place, name, labels, brain, effect, rng)
    (data / "participants.tsv").write_text("\n".join(people) + "\n")
    (data / "dataset_description.json").write_text('{"Name": "tiny", "BIDSVersion": "1.10.0"}')
    (folder / "study.toml").write_text(study)
    return folder / "study.toml"


def _write_run(
    place: Path,
    name: str,
    labels: np.ndarray,
    brain: np.ndarray,
    effect: float,
    rng: np.random.Generator,
) -> None:
    place.mkdir(parents=True, exist_ok=True)
    signal = rng.normal(size=(N_FRAMES, 5))
    signal[:, 0] = 0
    signal[:, 4] += effect * signal[:, 1]
    motion = np.cumsum(rng.normal(0, 0.02, (N_FRAMES, 6)), axis=0)
    values = 1000 + 10 * signal[:, labels] + rng.normal(0, 10, (N_FRAMES, *labels.shape))
    values += 50 * motion[:, :1, None, None]
    image = np.where(brain, np.rint(values), 0).astype(np.int16)
    out = nib.Nifti1Image(np.moveaxis(image, 0, -1), AFFINE)
    out.header.set_zooms((4, 4, 4, 2.0))
    out.header.set_xyzt_units("mm", "sec")
    out.to_filename(place / f"{name}_space-MNI_desc-preproc_bold.nii.gz")
    (place / f"{name}_space-MNI_desc-preproc_bold.json").write_text(
        json.dumps({"RepetitionTime": 2.0})
    )
    mask = nib.Nifti1Image(brain.astype(np.uint8), AFFINE)
    mask.to_filename(place / f"{name}_space-MNI_desc-brain_mask.nii.gz")
    table = pd.DataFrame(motion, columns=MOTION)
    table["framewise_displacement"] = 0.1
    table.to_csv(place / f"{name}_desc-confounds_timeseries.tsv", sep="\t", index=False)


def as_crossover(study: str, *, treatments: tuple[str, ...], test: str) -> str:
    """Turn the study into a crossover with one visit, a session for each treatment."""
    sessions = ", ".join(f'{name} = ["{name[0]}"]' for name in treatments)
    columns = ", ".join(f'"period_{number + 1}"' for number in range(len(treatments)))
    start, end = study.index("[design]"), study.index("[atlas]")
    design = f"""[design]
kind = "crossover"
treatments = [{", ".join(f'"{name}"' for name in treatments)}]
order = {{ columns = [{columns}] }}

[[visit]]
name = "day 1"
treatment_sessions = {{ {sessions} }}

"""
    crossed = study[:start] + design + study[end:]
    return crossed.replace('"visit:arm"', f'"{test}"').replace(
        '"visit * arm"', '"treatment", "period"'
    )
