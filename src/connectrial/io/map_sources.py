"""Runs of which every voxel or grayordinate is mapped, a block of places at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray, Grayordinates
from connectrial.errors import InputError
from connectrial.io.cifti import grayordinates_of, is_cifti, read_cifti_header, read_rows
from connectrial.io.images import read_mask
from connectrial.io.map_files import MapPlaces, places_digest, rows_places
from connectrial.io.nifti import read_header
from connectrial.io.row_matching import match_rows
from connectrial.io.surfaces import read_surface_header, read_surface_run, rows_of_labels
from connectrial.io.voxels import VoxelGrid, read_voxel_blocks, read_voxels

Indices = NDArray[np.intp]

_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapSource:
    """A run: where its values lie, and how long it is.

    Attributes
    ----------
    path : Path
        Of the image, or of the left hemisphere.
    right : Path or None
        Of the right hemisphere.
    mask : Path or None
        Of a volume.
    places : MapPlaces
        In the file's own order.
    n_frames : int
        Frames.
    repetition_time_s : float or None
        Seconds between frames, as the header states them.
    """

    path: Path
    right: Path | None
    mask: Path | None
    places: MapPlaces
    n_frames: int
    repetition_time_s: float | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlaceBlock:
    """The signal of some places of a run.

    Attributes
    ----------
    signal : float32 array, shape (n_frames, n_here)
        A place that is 0 or not finite in any frame is a column of NaN.
    at : array of int, shape (n_here,)
        Which of the run's places the columns are.
    n_without_data : int
        Columns of NaN, and places of the mask that were left out for lack of data.
    """

    signal: NDArray[np.float32]
    at: Indices
    n_without_data: int


def open_source(path: Path, *, right: Path | None = None, mask: Path | None = None) -> MapSource:
    """Read a run's header, and where its values lie.

    Parameters
    ----------
    path : Path
        4-D NIfTI, ``.dtseries.nii``, or the left hemisphere's ``.func.gii``.
    right : Path, optional
        The right hemisphere's.
    mask : Path, optional
        Of a volume.

    Returns
    -------
    MapSource

    Raises
    ------
    InputError
        If a file is absent, damaged, or of another form.
    """
    if right is not None:
        left = read_surface_header(path)
        sizes = (left.n_vertices, read_surface_header(right).n_vertices)
        places = rows_places(rows_of_labels(sizes), is_pair=True)
        n_frames, seconds = left.n_frames, left.repetition_time_s
    elif is_cifti(path):
        known = read_cifti_header(path, form="dtseries")
        places = rows_places(grayordinates_of(known))
        n_frames, seconds = known.n_columns, known.repetition_time_s
    else:
        header = read_header(path, n_dimensions=4)
        places = MapPlaces(shape=header.shape, affine=header.affine)
        n_frames, seconds = header.n_frames, header.repetition_time_s
    return MapSource(
        path=path,
        right=right,
        mask=mask,
        places=places,
        n_frames=n_frames,
        repetition_time_s=seconds,
    )


def read_blocks(source: MapSource) -> Iterator[PlaceBlock]:
    """Read the places of a run block by block, to the end of the file.

    Parameters
    ----------
    source : MapSource
        The run.

    Yields
    ------
    PlaceBlock

    Raises
    ------
    InputError
        If a file is damaged, or the mask is empty or of another grid.
    """
    if source.places.rows is None:
        for block in read_voxel_blocks(source.path, source.mask):
            yield PlaceBlock(
                signal=block.signal, at=block.grid.voxels, n_without_data=block.n_without_data
            )
        return
    for rows, values in _rows_of(source):
        lost = ~(np.isfinite(values).all(axis=1) & (values != 0).all(axis=1))
        signal = np.ascontiguousarray(values.T, dtype=np.float32)
        signal[:, lost] = np.nan
        yield PlaceBlock(
            signal=signal, at=np.arange(rows.start, rows.stop), n_without_data=int(lost.sum())
        )


def _rows_of(source: MapSource) -> Iterator[tuple[slice, FloatArray]]:
    if source.right is None:
        yield from read_rows(read_cifti_header(source.path, form="dtseries"))
        return
    _, values = read_surface_run(source.path, source.right)
    yield slice(0, len(values)), values


def order_of(first: MapPlaces, source: MapSource) -> Indices | None:
    """Find where the places of a run are among those of a session's first run.

    Parameters
    ----------
    first : MapPlaces
        Of the first run.
    source : MapSource
        The run.

    Returns
    -------
    array of int, shape (n_places,), or None
        Position in `first` of each place of the run; None where both have one order.

    Raises
    ------
    InputError
        If the two lie on different grids, or do not have the same grayordinates.
    """
    other, name = source.places, source.path.name
    if first.rows is None or other.rows is None:
        if (
            first.rows is not other.rows
            or first.shape != other.shape
            or not np.allclose(
                np.asarray(first.affine),
                np.asarray(other.affine),
                rtol=0,
                atol=_TOLERANCE_MM,
            )
        ):
            raise InputError(
                f"{name}: its grid is not that of the session's first run; resample the runs to "
                "one grid"
            )
        return None
    if places_digest(first.rows) != places_digest(other.rows):
        raise InputError(
            f"{name}: its {len(other)} grayordinates are not the {len(first)} of the session's "
            "first run; make all runs with one set of grayordinates"
        )
    found = match_rows(first.rows, other.rows)
    return None if (found == np.arange(len(found))).all() else found


def sphere_signal(
    source: MapSource, centre_mm: tuple[float, float, float], radius_mm: float
) -> tuple[FloatArray, int]:
    """Return the mean signal of the voxels of a sphere, and their number.

    Parameters
    ----------
    source : MapSource
        The run; of a run on grayordinates, its voxels count.
    centre_mm : tuple of float
        World coordinates, mm.
    radius_mm : float
        Voxels whose centres lie within it belong to the sphere.

    Returns
    -------
    signal : array, shape (n_frames,)
    n_voxels : int
        Those with data in every frame.

    Raises
    ------
    InputError
        If no voxel lies there, or none of them has data.
    """
    name = source.path.name
    place = f"a sphere of {radius_mm:g} mm at {list(centre_mm)}"
    if source.places.rows is not None:
        found = _row_signal(source, source.places.rows, centre_mm, radius_mm, place)
    else:
        header = read_header(source.path, n_dimensions=4)
        everywhere = np.arange(int(np.prod(header.shape)))
        grid = VoxelGrid(shape=header.shape, affine=header.affine, voxels=everywhere)
        inside: BoolArray = grid.within_mm(centre_mm, radius_mm)
        if source.mask is not None:
            inside &= read_mask(source.mask, header)
        if not inside.any():
            raise InputError(f"{name}: no voxel of the mask lies in {place}")
        found = read_voxels(source.path, inside.reshape(header.shape, order="F")).signal
    present = ~np.isnan(found[0])
    if not present.any():
        raise InputError(f"{name}: no voxel in {place} has data in every frame")
    return found[:, present].mean(axis=1, dtype=np.float64), int(present.sum())


def _row_signal(
    source: MapSource,
    rows: Grayordinates,
    centre_mm: tuple[float, float, float],
    radius_mm: float,
    place: str,
) -> NDArray[np.float32]:
    in_volume = rows.vertex < 0
    if rows.affine is None or not in_volume.any():
        raise InputError(
            f"{source.path.name}: the run lies on surfaces alone, where {place} has no voxel; take "
            "a set of parcels as seed, or read the volumes ([data] space)"
        )
    centres = rows.voxel @ rows.affine[:3, :3].T + rows.affine[:3, 3]
    away = np.linalg.norm(centres - np.asarray(centre_mm), axis=1)
    inside = in_volume & (away <= radius_mm + _TOLERANCE_MM)
    if not inside.any():
        raise InputError(
            f"{source.path.name}: {place} holds no voxel of the run, whose cortex is a surface "
            "without places in mm; take a set of parcels as seed, or read the volumes ([data] space)"
        )
    return np.hstack([block.signal[:, inside[block.at]] for block in read_blocks(source)])
