"""The subcortex of Siegel 2021: Seitzman's spheres, with eight limbic regions grown to structures.

The paper expanded amygdala, anterior and posterior hippocampus and nucleus accumbens of both sides
to the whole structure and kept the antero-medial thalamus as it was. Which indices these are among
Seitzman's 300, and where the hippocampus is cut, it does not say: both are stand-ins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray, Grayordinates
from connectrial.errors import InputError
from connectrial.io.atlas import read_atlas
from connectrial.io.atlas_checks import sides_of
from connectrial.io.placing import resample_labels, same_grid

#: The limbic nodes: their name and their number in Seitzman's list. The first eight are grown.
LIMBIC_NODES = {
    "L_amygdala": 244,
    "R_amygdala": 245,
    "L_anterior_hippocampus": 236,
    "R_anterior_hippocampus": 237,
    "L_posterior_hippocampus": 238,
    "R_posterior_hippocampus": 239,
    "L_accumbens": 247,
    "R_accumbens": 246,
    "L_anteromedial_thalamus": 263,
    "R_anteromedial_thalamus": 262,
}
GROWN = tuple(LIMBIC_NODES)[:8]
# What CIFTI calls them.
STRUCTURES = tuple(
    f"{structure}_{side}"
    for structure in ("AMYGDALA", "HIPPOCAMPUS", "ACCUMBENS")
    for side in ("LEFT", "RIGHT")
)
LIMBIC = "Limbic"

# FreeSurfer's numbers: left then right.
_ASEG = {"hippocampus": (17, 53), "amygdala": (18, 54), "accumbens": (26, 58)}
# Tian (aHIP-lh, HIP-head-m-lh, lAMY-lh, NAc-shell-lh), FreeSurfer (Left-Hippocampus), words.
_NAMES = {
    "anterior_hippocampus": re.compile(r"aHIP|HIP-head|ant\w*[-_ .]?hippocamp", re.IGNORECASE),
    "posterior_hippocampus": re.compile(
        r"pHIP|HIP-(?:body|tail)|post\w*[-_ .]?hippocamp", re.IGNORECASE
    ),
    "hippocampus": re.compile(r"\bHIP\b|^HIP-[lr]h|hippocamp", re.IGNORECASE),
    "amygdala": re.compile(r"AMY", re.IGNORECASE),
    "accumbens": re.compile(r"NAc|accumbens", re.IGNORECASE),
}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class LimbicLabels:
    """The eight grown regions as a label image.

    Attributes
    ----------
    labels : array of int, shape (i, j, k)
        1 to 8 in the order of `GROWN`; 0 elsewhere.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    notes : tuple of str
        Where they come from, and how the hippocampus was cut.
    """

    labels: NDArray[np.int32]
    affine: FloatArray
    notes: tuple[str, ...]


def read_limbic_labels(
    limbic_image: Path, *, limbic_table: Path | None = None, hippocampus_split_y_mm: float = -21.0
) -> LimbicLabels:
    """Take amygdala, hippocampus and accumbens out of a subcortical label image.

    Parameters
    ----------
    limbic_image : Path
        Label image, such as Tian's atlas or FreeSurfer's aseg in the scans' space.
    limbic_table : Path, optional
        Names of its labels (Tian's list, or any table `read_atlas` takes). Without it, labels are
        FreeSurfer's numbers (17, 53 hippocampus; 18, 54 amygdala; 26, 58 accumbens).
    hippocampus_split_y_mm : float
        A hippocampus in one piece is cut here: voxels at this y and in front of it are anterior.
        -21 mm, about the apex of the uncus in MNI space, is a stand-in. Not used where the names
        tell anterior (aHIP, HIP-head) from posterior (pHIP, HIP-body, HIP-tail).

    Returns
    -------
    LimbicLabels

    Raises
    ------
    InputError
        If the files cannot be read or a structure is missing on a side.
    """
    atlas = read_atlas("limbic", image=limbic_image, table=limbic_table)
    assert atlas.labels is not None  # noqa: S101  an image was read
    assert atlas.affine is not None  # noqa: S101  comes with the labels
    members = (
        _by_number(atlas, limbic_image) if limbic_table is None else _by_name(atlas, limbic_image)
    )
    labels = np.zeros(atlas.labels.shape, dtype=np.int32)
    is_whole = "L_hippocampus" in members
    for number, node in enumerate(GROWN, start=1):
        if is_whole and node.endswith("_hippocampus"):
            continue
        labels[np.isin(atlas.labels, members[node])] = number
    if is_whole:
        for side in "LR":
            place = np.nonzero(np.isin(atlas.labels, members[f"{side}_hippocampus"]))
            y = atlas.affine[1, :3] @ np.stack(place) + atlas.affine[1, 3]
            labels[place] = _cut(side, y, hippocampus_split_y_mm)
    cut = (
        f"the hippocampus is cut at y = {hippocampus_split_y_mm:g} mm (stand-in: the paper does not "
        "say where)"
        if is_whole
        else "the hippocampus is cut as its names tell, so hippocampus_split_y_mm is not used"
    )
    missing = [node for number, node in enumerate(GROWN, start=1) if not (labels == number).any()]
    if missing:
        raise InputError(
            f"{limbic_image}: nothing is left of {', '.join(missing)} after the hippocampus was cut at "
            f"y = {hippocampus_split_y_mm:g} mm; set [atlas] hippocampus_split_y_mm within it"
        )
    note = f"amygdala, hippocampus and accumbens are whole structures of {limbic_image.name}; {cut}"
    return LimbicLabels(labels=labels, affine=atlas.affine, notes=(note,))


def limbic_rows(
    grayordinates: Grayordinates, *, hippocampus_split_y_mm: float = -21.0
) -> NDArray[np.int32]:
    """Take the eight grown regions out of the structures that a CIFTI file names itself.

    Parameters
    ----------
    grayordinates : Grayordinates
        Rows of the file, with ``AMYGDALA_*``, ``HIPPOCAMPUS_*`` and ``ACCUMBENS_*``.
    hippocampus_split_y_mm : float
        As in `read_limbic_labels`.

    Returns
    -------
    array of int, shape (n_rows,)
        1 to 8 in the order of `GROWN`; 0 elsewhere.

    Raises
    ------
    InputError
        If the file lacks one of the structures, or nothing of a hippocampus lies on one side of
        the cut.
    """
    absent = [one for one in STRUCTURES if one not in grayordinates.structures]
    if absent or grayordinates.affine is None:
        raise InputError(
            f"these grayordinates have no {', '.join(absent) or 'voxels'}; whole limbic structures "
            "need a file with the subcortex, such as 91k dtseries"
        )
    rows = np.zeros(len(grayordinates), dtype=np.int32)
    for structure in STRUCTURES:
        here = grayordinates.structure == grayordinates.structures.index(structure)
        kind, _, side = structure.partition("_")
        if kind == "HIPPOCAMPUS":
            voxels = grayordinates.voxel[here]
            y = voxels @ grayordinates.affine[1, :3] + grayordinates.affine[1, 3]
            rows[here] = _cut(side[0], y, hippocampus_split_y_mm)
        else:
            rows[here] = GROWN.index(f"{side[0]}_{kind.lower()}") + 1
    missing = [node for number, node in enumerate(GROWN, start=1) if not (rows == number).any()]
    if missing:
        raise InputError(
            f"these grayordinates have nothing of {', '.join(missing)} after the hippocampus was cut "
            f"at y = {hippocampus_split_y_mm:g} mm; set [atlas] hippocampus_split_y_mm within it"
        )
    return rows


def with_limbic_rows(cortex: Atlas, run: Grayordinates, *, source: str) -> Atlas:
    """Add the limbic structures' rows of a run to an atlas of grayordinates without voxels.

    Parameters
    ----------
    cortex : Atlas
        Such as Gordon's parcels, which label the two hemispheres alone.
    run : Grayordinates
        Rows of a run that the atlas is for.
    source : str
        What the run is called in the note.

    Returns
    -------
    Atlas
        With the rows of amygdala, hippocampus and accumbens, not labelled yet; the same atlas where
        it has voxels of its own, or the run has none of these structures.
    """
    rows = cortex.grayordinates
    there = [one for one in STRUCTURES if one in run.structures]
    if rows is None or cortex.row_labels is None or (rows.vertex < 0).any() or not there:
        return cortex
    chosen = np.isin(run.structure, [run.structures.index(one) for one in there])
    number = np.full(len(run.structures), -1, dtype=np.int16)
    for place, one in enumerate(there, start=len(rows.structures)):
        number[run.structures.index(one)] = place
    together = Grayordinates(
        structures=(*rows.structures, *there),
        structure=np.concatenate([rows.structure, number[run.structure[chosen]]]),
        vertex=np.concatenate([rows.vertex, run.vertex[chosen]]),
        voxel=np.concatenate([rows.voxel, run.voxel[chosen]]),
        n_vertices=rows.n_vertices,
        affine=run.affine,
        volume_shape=run.volume_shape,
    )
    labels = np.concatenate([cortex.row_labels, np.zeros(int(chosen.sum()), dtype=np.int32)])
    note = f"the label file has no subcortex: the limbic structures' voxels are those of {source}"
    return replace(cortex, grayordinates=together, row_labels=labels, notes=(*cortex.notes, note))


def add_subcortex(
    cortex: Atlas,
    subcortex: pd.DataFrame,
    *,
    limbic: LimbicLabels | None = None,
    limbic_radius_mm: float = 6.0,
    hippocampus_split_y_mm: float = -21.0,
) -> Atlas:
    """Join Seitzman's non-cortical spheres to a cortical atlas, limbic regions as whole structures.

    Parameters
    ----------
    cortex : Atlas
        Labels of a volume or of grayordinates.
    subcortex : pandas.DataFrame
        Spheres with ``number`` (Seitzman's), ``structure``, ``network`` and the columns of
        `sphere_atlas`.
    limbic : LimbicLabels, optional
        The grown regions in a volume. Grayordinates name them themselves. Without either they
        stay spheres.
    limbic_radius_mm : float
        Radius of these eight spheres then; a stand-in.
    hippocampus_split_y_mm : float
        As in `read_limbic_labels`, for grayordinates.

    Returns
    -------
    Atlas
        The cortical parcels, then Seitzman's in his order. The ten limbic nodes are the network
        ``Limbic``; the others' networks are Seitzman's behind ``Subcortical-``, so that no cortical
        network gains members.

    Raises
    ------
    InputError
        If grayordinates lack a structure.
    """
    parcels = subcortex.copy()
    node_of = {number: node for node, number in LIMBIC_NODES.items()}
    node = parcels["number"].map(node_of)
    parcels["network"] = np.where(node.notna(), LIMBIC, "Subcortical-" + parcels["network"])
    parcels.index = pd.Index(node.where(node.notna(), parcels.index.to_series()), name="parcel")
    first = int(cortex.parcels["index"].max()) + 1
    parcels["index"] = np.arange(first, first + len(parcels))
    label_of = parcels["index"].loc[list(GROWN)].to_numpy(dtype=np.int32)
    label_of = np.concatenate([[0], label_of]).astype(np.int32)
    notes = [
        "the limbic nodes are Seitzman's numbers "
        + ", ".join(map(str, LIMBIC_NODES.values()))
        + " (stand-in: the paper does not number them)"
    ]
    labels, row_labels = cortex.labels, cortex.row_labels
    if cortex.grayordinates is not None and row_labels is not None:
        grown = limbic_rows(cortex.grayordinates, hippocampus_split_y_mm=hippocampus_split_y_mm)
        row_labels = np.where(grown > 0, label_of[grown], row_labels)
        notes.append(
            "amygdala, hippocampus and accumbens are the structures that the CIFTI file names; the "
            f"hippocampus is cut at y = {hippocampus_split_y_mm:g} mm (stand-in)"
        )
    elif limbic is not None and labels is not None and cortex.affine is not None:
        grown = _on_grid(limbic, labels.shape, cortex.affine)
        taken = int(((grown > 0) & (labels > 0)).sum())
        labels = np.where(grown > 0, label_of[grown], labels)
        notes += limbic.notes
        if taken:
            notes.append(
                f"{taken} voxels of cortical parcels lie in these structures and count there"
            )
    else:
        parcels.loc[list(GROWN), "radius_mm"] = limbic_radius_mm
        notes.append(
            f"amygdala, hippocampus and accumbens are spheres of {limbic_radius_mm:g} mm (stand-in for "
            "whole structures: name a subcortical label image with [atlas] limbic_image)"
        )
        together = pd.concat([cortex.parcels, parcels])
        return replace(cortex, parcels=together, notes=(*cortex.notes, *notes))
    parcels.loc[list(GROWN), "radius_mm"] = np.nan
    return replace(
        cortex,
        parcels=pd.concat([cortex.parcels, parcels]),
        labels=labels,
        row_labels=row_labels,
        notes=(*cortex.notes, *notes),
    )


def _on_grid(limbic: LimbicLabels, shape: tuple[int, ...], affine: FloatArray) -> NDArray[np.int32]:
    if same_grid(limbic.labels.shape, limbic.affine, shape, affine):
        return limbic.labels
    to_limbic = np.asarray(np.linalg.inv(limbic.affine) @ affine, dtype=np.float64)
    return resample_labels(limbic.labels, to_limbic, (shape[0], shape[1], shape[2]))


def _cut(side: str, y: FloatArray, split_y_mm: float) -> NDArray[np.int32]:
    front = GROWN.index(f"{side}_anterior_hippocampus") + 1
    back = GROWN.index(f"{side}_posterior_hippocampus") + 1
    return np.where(y >= split_y_mm - 1e-6, front, back).astype(np.int32)


def _by_number(atlas: Atlas, image: Path) -> dict[str, list[int]]:
    present = set(atlas.parcels["index"])
    wanted = {
        f"{side}_{name}": number
        for name, pair in _ASEG.items()
        for side, number in zip("LR", pair, strict=True)
    }
    absent = sorted(number for number in wanted.values() if number not in present)
    if absent:
        raise InputError(
            f"{image}: without a table its labels are taken for FreeSurfer's, and it has none of "
            f"{', '.join(map(str, absent))}; name the list of its labels with [atlas] limbic_table"
        )
    return {node: [number] for node, number in wanted.items()}


def _by_name(atlas: Atlas, image: Path) -> dict[str, list[int]]:
    members: dict[str, list[int]] = {}
    for name, side, number in zip(
        atlas.parcels.index, sides_of(atlas.parcels), atlas.parcels["index"], strict=True
    ):
        kind = next((kind for kind, known in _NAMES.items() if known.search(str(name))), None)
        if kind is not None and side:
            members.setdefault(f"{side}_{kind}", []).append(int(number))
    parts = [node for node in GROWN if node not in members and "hippocampus" in node]
    if parts and not {"L_hippocampus", "R_hippocampus"} <= set(members):
        absent = parts
    else:
        absent = [node for node in GROWN if node not in members and "hippocampus" not in node]
    if absent:
        listed = ", ".join(map(str, atlas.parcels.index[:12]))
        raise InputError(
            f"{image}: no label is called like {', '.join(absent)}; there are {listed}, ...; names such "
            "as aHIP-lh, HIP-lh, lAMY-lh, NAc-lh or Left-Amygdala are understood"
        )
    if not parts:
        for side in "LR":
            members.pop(f"{side}_hippocampus", None)
    return members
