"""Parcel means, correlations and a seed map by Connectome Workbench.

For tests/io/test_cifti.py and tests/run/test_grayordinate_maps.py.

The numbers beside this script were written by Workbench 1.5.0 (Debian 12, connectome-workbench)
with nibabel 5.4.2. Workbench finds each label's rows in the data by structure and vertex or voxel,
so a label file in another order than the data's gives the same means. It stops where the data lack
a labelled grayordinate, unless ``-legacy-mode`` asks for those that are there. Rows of zeros count in
its means. The seed map is Fisher z of a label's mean with every row (-cifti-average-roi-correlation). Run in the repository: ``PYTHONPATH=src:tests python tests/reference/workbench.py``, and with
``CONNECTRIAL_DATA`` set also the figures of the public files, which are not part of this repository.
"""

from __future__ import annotations

import csv
import os
import subprocess
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np

from cifti_files import brain_models, labels_of, values_of, write_dlabel, write_dtseries

HERE = Path(__file__).parent
SEED_LABEL = 1
N_SHOWN = 30  # of the public files' parcels: every twelfth


def parcellate(
    series: Path, labels: Path, folder: Path
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Return names, means (n_parcels, n_frames) and Fisher z of Workbench."""
    means, z = folder / "means.ptseries.nii", folder / "z.pconn.nii"
    for command in (
        ["-cifti-parcellate", series, labels, "COLUMN", means, "-legacy-mode"],
        ["-cifti-correlation", means, z, "-fisher-z"],
    ):
        subprocess.run(["wb_command", *map(str, command)], check=True)
    image = nib.load(means)
    names = [str(name) for name in image.header.get_axis(1).name]
    return names, np.asarray(image.dataobj).T, np.asarray(nib.load(z).dataobj)


def write(name: str, header: list[str], rows: list[list[object]]) -> None:
    with (HERE / name).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def simulated() -> None:
    """Two files of one set of grayordinates, each in an order of its own."""
    data = brain_models(np.random.default_rng(11), without=(3, 21))
    atlas = brain_models(np.random.default_rng(12))
    series = write_dtseries(HERE / "workbench_run.dtseries.nii", data, values_of(data, 24))
    labels = write_dlabel(HERE / "workbench_labels.dlabel.nii", atlas, labels_of(atlas))
    with tempfile.TemporaryDirectory() as folder:
        names, means, z = parcellate(series, labels, Path(folder))
    rows = [[name, *(f"{x:.9g}" for x in row)] for name, row in zip(names, means, strict=True)]
    write("workbench_means.csv", ["parcel", *(f"frame{n}" for n in range(24))], rows)
    rows = [[name, *(f"{x:.9g}" for x in row)] for name, row in zip(names, z, strict=True)]
    write("workbench_z.csv", ["parcel", *names], rows)


def seed_map() -> None:
    """Correlate the mean of one label's rows with every row of the simulated run."""
    series = HERE / "workbench_run.dtseries.nii"
    axis = nib.load(series).header.get_axis(1)
    chosen = (labels_of(axis) == SEED_LABEL).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        roi, out = Path(folder) / "roi.dscalar.nii", Path(folder) / "r.dscalar.nii"
        names = nib.cifti2.ScalarAxis(["seed"])
        nib.Cifti2Image(chosen[np.newaxis], header=(names, axis)).to_filename(roi)
        command = ["wb_command", "-cifti-average-roi-correlation", out]
        command += ["-cifti-roi", roi, "-cifti", series]
        subprocess.run(list(map(str, command)), check=True)
        r = np.asarray(nib.load(out).dataobj)[0]
    rows = [
        [str(name).removeprefix("CIFTI_STRUCTURE_"), vertex, *voxel, f"{value:.9g}"]
        for name, vertex, voxel, value in zip(axis.name, axis.vertex, axis.voxel, r, strict=True)
    ]
    write("workbench_seed.csv", ["structure", "vertex", "i", "j", "k", "fisher_z"], rows)


def public(data: Path) -> None:
    """Some figures of a real run and a real label file whose subcortex is in another order."""
    series = next((data / "cifti").glob("*.dtseries.nii"))
    labels = next((data / "cifti").glob("*Tian*.dlabel.nii"))
    with tempfile.TemporaryDirectory() as folder:
        names, means, z = parcellate(series, labels, Path(folder))
    rows: list[list[object]] = []
    for n in range(0, len(names), len(names) // N_SHOWN):
        rows.append(
            [
                names[n],
                f"{means[n, 0]:.9g}",
                f"{means[n].mean():.9g}",
                names[n - 1],
                f"{z[n, n - 1]:.9g}",
            ]
        )
    write("workbench_public.csv", ["parcel", "frame0", "mean", "other", "fisher_z"], rows)


if __name__ == "__main__":
    simulated()
    seed_map()
    if os.environ.get("CONNECTRIAL_DATA"):
        public(Path(os.environ["CONNECTRIAL_DATA"]))
