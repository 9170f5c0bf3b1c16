"""Maps on disk: over a grid of voxels, over grayordinates, or over both hemispheres' surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray, Grayordinates
from connectrial.io.cifti import grayordinates_of, read_cifti_header, read_matrix_values
from connectrial.io.files import write_atomic
from connectrial.io.provenance import digest_bytes
from connectrial.io.surfaces import STRUCTURES, read_surface_run
from connectrial.io.voxels import read_map, write_map

_LEFT, _RIGHT = "_hemi-L_", "_hemi-R_"
_SIDES = ("CortexLeft", "CortexRight")
_PREFIX = "CIFTI_STRUCTURE_"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapPlaces:
    """Where the values of a map lie: on a grid of voxels, or on rows of grayordinates.

    Attributes
    ----------
    shape : tuple of int, or None
        Of the grid; None for rows.
    affine : array, shape (4, 4), or None
        Voxel to world, mm; None for surfaces alone.
    rows : Grayordinates, or None
        None for a grid.
    is_pair : bool
        Whether the rows are two whole hemispheres, each with a file of its own.
    """

    shape: tuple[int, int, int] | None = None
    affine: FloatArray | None = None
    rows: Grayordinates | None = None
    is_pair: bool = False

    def __len__(self) -> int:
        return len(self.rows) if self.rows is not None else int(np.prod(self.shape or (0,)))

    @property
    def unit(self) -> str:
        """Return what the places are called."""
        return "voxels" if self.rows is None else "grayordinates"

    @property
    def extension(self) -> str:
        """Return how the names of map files end."""
        if self.rows is None:
            return ".nii.gz"
        return ".shape.gii" if self.is_pair else ".dscalar.nii"

    def arranged(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return values of all places in the shape of a map: a volume, or one per row."""
        flat = np.asarray(values, dtype=np.float32)
        return flat if self.shape is None else flat.reshape(self.shape, order="F")

    def facts(self) -> dict[str, Any]:
        """Return what a sidecar says of the places, by which two maps are told to fit."""
        if self.rows is None:
            affine = np.asarray(self.affine).round(6).tolist()
            return {"Shape": list(self.shape or ()), "Affine": affine}
        return {
            "Shape": [len(self.rows)],
            "Structures": _counts(self.rows),
            "Places": places_digest(self.rows),
        }


def rows_places(rows: Grayordinates, *, is_pair: bool = False) -> MapPlaces:
    """Return the places of a map over grayordinates."""
    return MapPlaces(rows=rows, affine=rows.affine, is_pair=is_pair)


def _counts(rows: Grayordinates) -> dict[str, int]:
    counts = np.bincount(rows.structure, minlength=len(rows.structures))
    return {name: int(n) for name, n in sorted(zip(rows.structures, counts, strict=True))}


def places_digest(rows: Grayordinates) -> str:
    """Identify a set of grayordinates by 32 hexadecimal digits, whatever their order.

    Parameters
    ----------
    rows : Grayordinates
        Of a file.

    Returns
    -------
    str
        Equal where structures, meshes, vertices, voxels and their grid are.
    """
    names = np.array(sorted(rows.structures))
    structure = np.searchsorted(names, np.array(rows.structures))[rows.structure]
    keys = np.column_stack([structure, rows.vertex, rows.voxel]).astype(np.int64)
    keys = keys[np.lexsort(keys.T[::-1])]
    affine = None if rows.affine is None else rows.affine.round(4).tolist()
    about = repr((names.tolist(), sorted(rows.n_vertices.items()), affine))
    return digest_bytes(keys.tobytes() + about.encode())


def map_paths(path: Path) -> tuple[Path, ...]:
    """Return the files of a map: one, or the left and the right hemisphere's.

    Parameters
    ----------
    path : Path
        The map's file, or that of the left hemisphere (``_hemi-L_``).

    Returns
    -------
    tuple of Path
    """
    if not path.name.endswith(".gii"):
        return (path,)
    return (path, path.with_name(path.name.replace(_LEFT, _RIGHT)))


def write_place_map(path: Path, values: NDArray[Any], places: MapPlaces, *, name: str) -> None:
    """Write a map as an image of single precision.

    Parameters
    ----------
    path : Path
        ``.nii.gz`` for a grid, ``.dscalar.nii`` for grayordinates, or the left hemisphere's
        ``_hemi-L_....shape.gii``, beside which the right one is written.
    values : array, shape (i, j, k) or (n_rows,)
        NaN where there is no value.
    places : MapPlaces
        Where they lie; a CIFTI file gets the same rows in the same order.
    name : str
        Of the map, which viewers show.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    if places.rows is None:
        assert places.affine is not None  # noqa: S101 - a grid has one
        write_map(path, values, places.affine)
    elif places.is_pair:
        for number, one in enumerate(map_paths(path)):
            here = places.rows.structure == places.rows.structures.index(STRUCTURES[number])
            write_atomic(one, _surface_bytes(np.asarray(values)[here], _SIDES[number], name))
    else:
        write_atomic(path, _dscalar_bytes(np.asarray(values), places.rows, name))


def _dscalar_bytes(values: NDArray[Any], rows: Grayordinates, name: str) -> bytes:
    import nibabel as nib

    cifti2: Any = nib.cifti2  # nibabel's own annotations are incomplete
    in_volume = rows.vertex < 0
    shape = rows.volume_shape
    if shape is None and in_volume.any():
        i, j, k = (int(one) + 1 for one in rows.voxel[in_volume].max(axis=0))
        shape = (i, j, k)
    axis = cifti2.BrainModelAxis(
        np.array([_PREFIX + one for one in rows.structures])[rows.structure],
        voxel=rows.voxel,
        vertex=rows.vertex,
        affine=rows.affine if in_volume.any() else None,
        volume_shape=shape if in_volume.any() else None,
        nvertices={_PREFIX + one: count for one, count in rows.n_vertices.items()},
    )
    data = values.astype(np.float32)[np.newaxis]
    image = cifti2.Cifti2Image(data, header=(cifti2.ScalarAxis([name]), axis))
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SCALARS")
    return bytes(image.to_bytes())


def _surface_bytes(values: NDArray[Any], side: str, name: str) -> bytes:
    import nibabel as nib

    gifti: Any = nib.gifti  # nibabel's own annotations are incomplete
    image = gifti.GiftiImage(
        meta=gifti.GiftiMetaData({"AnatomicalStructurePrimary": side}),
        darrays=[
            gifti.GiftiDataArray(
                values.astype(np.float32),
                intent="NIFTI_INTENT_SHAPE",
                datatype="NIFTI_TYPE_FLOAT32",
                meta=gifti.GiftiMetaData({"Name": name}),
            )
        ],
    )
    return bytes(image.to_bytes())


def read_place_map(path: Path) -> tuple[NDArray[np.float32], MapPlaces]:
    """Read a map back.

    Parameters
    ----------
    path : Path
        As `write_place_map` wrote it.

    Returns
    -------
    values : float32 array, shape (i, j, k) or (n_rows,)
    places : MapPlaces

    Raises
    ------
    InputError
        If a file is absent or damaged.
    """
    if path.name.endswith(".gii"):
        left, right = map_paths(path)
        rows, values = read_surface_run(left, right)
        return values[:, 0].astype(np.float32), rows_places(rows, is_pair=True)
    if path.name.endswith(".dscalar.nii"):
        header = read_cifti_header(path, form="dscalar")
        values = read_matrix_values(header)
        return values[:, 0].astype(np.float32), rows_places(grayordinates_of(header))
    volume, affine = read_map(path)
    i, j, k = volume.shape
    return volume, MapPlaces(shape=(i, j, k), affine=affine)
