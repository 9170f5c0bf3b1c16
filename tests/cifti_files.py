"""Small CIFTI and surface files with known content, written by nibabel."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel import cifti2
from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel, GiftiLabelTable, GiftiMetaData

N_VERTICES = 40
SHAPE = (8, 9, 10)
AFFINE = np.array([[-2.0, 0, 0, 8], [0, 2.0, 0, -8], [0, 0, 2.0, -10], [0, 0, 0, 1]])
LEFT, RIGHT = "CIFTI_STRUCTURE_CORTEX_LEFT", "CIFTI_STRUCTURE_CORTEX_RIGHT"
NAMES = (
    *("7Networks_LH_Default_PFC_1", "7Networks_LH_Vis_1"),
    *("7Networks_RH_Default_PFC_1", "7Networks_RH_Vis_1"),
    *("AMY-lh", "AMY-rh"),
)


def brain_models(
    rng: np.random.Generator | None = None,
    *,
    n_vertices: int = N_VERTICES,
    without: tuple[int, ...] = (),
    affine: np.ndarray = AFFINE,
    shape: tuple[int, int, int] = SHAPE,
) -> cifti2.BrainModelAxis:
    """Return two hemispheres without a medial wall and two subcortical structures.

    With a generator the voxels of a structure stand in a random order, and the structures too.
    Vertices `without` are missing on both sides.
    """
    vertices = np.setdiff1d(np.arange(n_vertices - 4), without)
    parts = [
        cifti2.BrainModelAxis.from_surface(vertices, n_vertices, name) for name in (LEFT, RIGHT)
    ]
    for name, first in (("AMYGDALA_LEFT", 5), ("AMYGDALA_RIGHT", 1)):
        block = np.stack(np.meshgrid(range(first, first + 2), range(2, 5), range(3, 6)), axis=-1)
        voxels = block.reshape(-1, 3)
        if rng is not None:
            voxels = rng.permutation(voxels)
        parts.append(
            cifti2.BrainModelAxis(
                [f"CIFTI_STRUCTURE_{name}"] * len(voxels),
                voxel=voxels,
                affine=affine,
                volume_shape=shape,
            )
        )
    if rng is not None:
        parts = [parts[i] for i in rng.permutation(len(parts))]
    return sum(parts[1:], start=parts[0])


def place_key(axis: cifti2.BrainModelAxis) -> np.ndarray:
    """Return one number per row that depends only on where the row lies."""
    structures = sorted(set(map(str, axis.name)))
    structure = np.array([structures.index(str(name)) for name in axis.name])
    i, j, k = np.maximum(axis.voxel, 0).T
    return structure * 10_000 + np.maximum(axis.vertex, 0) + i * 100 + j * 10 + k


def labels_of(axis: cifti2.BrainModelAxis) -> np.ndarray:
    """Label halves of each hemisphere and both amygdalae 1 to 6; every seventh vertex is 0."""
    label = np.zeros(len(axis), dtype=np.int32)
    for row, (name, vertex) in enumerate(zip(axis.name, axis.vertex, strict=True)):
        if str(name) in (LEFT, RIGHT):
            label[row] = (1 if name == LEFT else 3) + (vertex >= 18) if vertex % 7 else 0
        else:
            label[row] = 5 if str(name).endswith("LEFT") else 6
    return label


def values_of(axis: cifti2.BrainModelAxis, n_frames: int, *, seed: int = 1) -> np.ndarray:
    """Return a signal (n_rows, n_frames) that depends on a row's place, not on its position."""
    rng = np.random.default_rng(seed)
    labels = labels_of(axis)
    common = rng.normal(size=(7, n_frames)) + 0.7 * rng.normal(size=n_frames)
    signal = np.empty((len(axis), n_frames))
    for row, key in enumerate(place_key(axis)):
        noise = np.random.default_rng([seed, int(key)]).normal(size=n_frames)
        signal[row] = 500 + int(key) % 50 + 5 * common[labels[row]] + 3 * noise
    return signal.astype(np.float32)


def write_dtseries(
    path: Path, axis: cifti2.BrainModelAxis, values: np.ndarray, *, step: float = 2.0
) -> Path:
    """Write rows of frames as a dense time series."""
    path.parent.mkdir(parents=True, exist_ok=True)
    series = cifti2.SeriesAxis(0.0, step, values.shape[1])
    image = nib.Cifti2Image(np.asarray(values.T), header=(series, axis))
    image.nifti_header.set_data_dtype(values.dtype)
    image.to_filename(path)
    return path


def label_table(names: tuple[str, ...] = NAMES) -> dict[int, tuple[str, tuple[float, ...]]]:
    """Return a label table with ??? and the names from 1."""
    table = {0: ("???", (1.0, 1.0, 1.0, 0.0))}
    return table | {
        n: (name, (0.1 * (n % 10), 0.5, 0.5, 1.0)) for n, name in enumerate(names, start=1)
    }


def write_dlabel(
    path: Path,
    axis: cifti2.BrainModelAxis,
    labels: np.ndarray,
    *,
    names: tuple[str, ...] = NAMES,
    maps: tuple[str, ...] = ("parcels",),
) -> Path:
    """Write labels of rows; several maps all hold the same ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = label_table(names)
    header = (cifti2.LabelAxis(list(maps), [table] * len(maps)), axis)
    nib.Cifti2Image(np.tile(labels, (len(maps), 1)).astype(np.float32), header=header).to_filename(
        path
    )
    return path


def parcels_axis(names: tuple[str, ...] = NAMES) -> cifti2.ParcelsAxis:
    """Return parcels of one vertex each."""
    nothing = np.zeros((0, 3), dtype=int)
    return cifti2.ParcelsAxis(
        list(names),
        [nothing] * len(names),
        [{LEFT: np.array([n])} for n in range(len(names))],
        nvertices={LEFT: N_VERTICES},
    )


def write_func_gii(path: Path, values: np.ndarray, *, side: str) -> Path:
    """Write a hemisphere's run, one array per frame as fMRIPrep does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [
        GiftiDataArray(
            frame.astype(np.float32),
            intent="NIFTI_INTENT_TIME_SERIES",
            datatype="NIFTI_TYPE_FLOAT32",
        )
        for frame in values.T
    ]
    meta = GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side}"})
    GiftiImage(meta=meta, darrays=arrays).to_filename(path)
    return path


def write_label_gii(path: Path, labels: np.ndarray, names: dict[int, str], *, side: str) -> Path:
    """Write a hemisphere's labels."""
    table = GiftiLabelTable()
    for key, name in names.items():
        label = GiftiLabel(key, 1.0, 0.5, 0.5, 1.0)
        label.label = name
        table.labels.append(label)
    array = GiftiDataArray(
        labels.astype(np.int32), intent="NIFTI_INTENT_LABEL", datatype="NIFTI_TYPE_INT32"
    )
    meta = GiftiMetaData({"AnatomicalStructurePrimary": f"Cortex{side}"})
    GiftiImage(meta=meta, labeltable=table, darrays=[array]).to_filename(path)
    return path
