"""All voxels of a 4-D image in memory, whole or block by block, and maps written back."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.images import read_mask
from connectrial.io.nifti import ImageHeader, read_frames, read_header, read_volume

#: Memory that the voxels of one run may take at once, bytes: 235,000 voxels x 2,280 frames.
MAX_BYTES = 2 * 1024**3
_GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelGrid:
    """The grid of an image, and which of its voxels are meant.

    Attributes
    ----------
    shape : tuple of int
        Voxels along the three axes.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    voxels : array of int, shape (n_voxels,)
        Positions in the grid, first axis fastest, ascending.
    """

    shape: tuple[int, int, int]
    affine: FloatArray
    voxels: NDArray[np.intp]

    def volume(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Lay values, shape (n_voxels,), out on the grid; NaN elsewhere."""
        flat = np.full(int(np.prod(self.shape)), np.nan, dtype=np.float32)
        flat[self.voxels] = values
        return flat.reshape(self.shape, order="F")

    def centres_mm(self) -> FloatArray:
        """Return the voxels' centres in world coordinates, shape (n_voxels, 3)."""
        index = np.stack(np.unravel_index(self.voxels, self.shape, order="F")).astype(np.float64)
        return np.asarray((self.affine[:3, :3] @ index + self.affine[:3, 3:]).T)

    def within_mm(self, centre_mm: tuple[float, float, float], radius_mm: float) -> BoolArray:
        """Return which voxels' centres lie in a sphere, its surface included."""
        away = np.linalg.norm(self.centres_mm() - np.asarray(centre_mm), axis=1)
        return np.asarray(away <= radius_mm + _GRID_TOLERANCE_MM)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class VoxelSignal:
    """The signal of many voxels of one run.

    Attributes
    ----------
    signal : float32 array, shape (n_frames, n_voxels)
        In the image's unit. A voxel that is 0 or not finite in any frame is a column of NaN.
    grid : VoxelGrid
        Where the columns lie.
    n_without_data : int
        Columns of NaN, and voxels of the mask left out because the first frame has no data there.
    repetition_time_s : float or None
        Seconds between frames, as the header states them.
    """

    signal: NDArray[np.float32]
    grid: VoxelGrid
    n_without_data: int
    repetition_time_s: float | None

    @property
    def present(self) -> BoolArray:
        """Return which columns have data, shape (n_voxels,)."""
        return np.asarray(~np.isnan(self.signal[0]))


def read_voxels(
    image: Path, mask: Path | BoolArray | None, *, max_bytes: int = MAX_BYTES
) -> VoxelSignal:
    """Read all voxels of a mask into memory, in one pass to the end of the file.

    Parameters
    ----------
    image : Path
        4-D NIfTI, gzipped or not.
    mask : Path, array of bool of shape (i, j, k), or None
        On the image's grid; voxels above 0 count. None takes all voxels with data.
    max_bytes : int
        Most memory for the signal: n_voxels x n_frames x 4 bytes.

    Returns
    -------
    VoxelSignal

    Raises
    ------
    InputError
        If a file is absent, damaged, shorter or longer than its header says or not 4-D, the mask is
        empty or on another grid, or the signal would take more than `max_bytes`.
    """
    header = read_header(image, n_dimensions=4)
    voxels, n_empty = _voxels_with_data(header, mask)
    needed = len(voxels) * header.n_frames * 4
    if needed > max_bytes:
        raise InputError(
            f"{image}: {len(voxels):,} voxels x {header.n_frames} frames take {needed / 1e6:,.0f} "
            f"MB, more than the {max_bytes / 1e6:,.0f} MB allowed; read them in blocks "
            "(read_voxel_blocks), or narrow the mask"
        )
    return _read_block(header, voxels, n_empty=n_empty)


def read_voxel_blocks(
    image: Path, mask: Path | BoolArray | None, *, max_bytes: int = MAX_BYTES
) -> Iterator[VoxelSignal]:
    """Read the voxels of a mask block by block, each block in a pass of its own over the file.

    Parameters and errors are those of `read_voxels`, but for the memory: if everything fits into
    `max_bytes` there is one block, else as many as it takes.

    Yields
    ------
    VoxelSignal
        The blocks in the order of the grid. The first counts the voxels that the first frame
        leaves out.
    """
    header = read_header(image, n_dimensions=4)
    voxels, n_empty = _voxels_with_data(header, mask)
    size = max(1, max_bytes // (4 * header.n_frames))
    for start in range(0, len(voxels), size):
        part = voxels[start : start + size]
        yield _read_block(header, part, n_empty=n_empty if start == 0 else 0)


def _voxels_with_data(
    header: ImageHeader, mask: Path | BoolArray | None
) -> tuple[NDArray[np.intp], int]:
    """Return the mask's voxels that have data in the first frame, and how many have none."""
    first = next(iter(read_frames(header)))
    has_data = _has_data(_scaled(first, header))
    if mask is None:
        chosen = has_data
    elif isinstance(mask, Path):
        chosen = read_mask(mask, header)
    else:
        if mask.shape != header.shape:
            raise InputError(f"{header.path}: the mask has shape {mask.shape}, not {header.shape}")
        chosen = mask.ravel(order="F")
    voxels = np.flatnonzero(chosen & has_data)
    if len(voxels) == 0:
        raise InputError(
            f"{header.path}: no voxel of the mask has data in the first frame; the mask may belong "
            "to another scan"
        )
    return voxels, int(chosen.sum()) - len(voxels)


def _read_block(header: ImageHeader, voxels: NDArray[np.intp], *, n_empty: int) -> VoxelSignal:
    signal = np.empty((header.n_frames, len(voxels)), dtype=np.float32)
    lost = np.zeros(len(voxels), dtype=bool)
    stored = np.empty(len(voxels), dtype=header.dtype)
    for number, frame in enumerate(read_frames(header)):
        frame.take(voxels, out=stored, mode="clip")  # none is outside; "raise" copies twice
        signal[number] = _scaled(stored, header)
        lost |= ~_has_data(signal[number])
    signal[:, lost] = np.nan
    return VoxelSignal(
        signal=signal,
        grid=VoxelGrid(shape=header.shape, affine=header.affine, voxels=voxels),
        n_without_data=n_empty + int(lost.sum()),
        repetition_time_s=header.repetition_time_s,
    )


def _scaled(stored: NDArray[Any], header: ImageHeader) -> NDArray[np.float32]:
    """Return stored numbers in the image's unit; a product in float64 keeps all that fits."""
    if header.slope == 1.0 and header.intercept == 0.0:
        return stored.astype(np.float32)
    return (header.slope * stored.astype(np.float64) + header.intercept).astype(np.float32)


def _has_data(values: NDArray[np.float32]) -> BoolArray:
    return np.asarray((values != 0) & np.isfinite(values))


def write_map(path: Path, values: NDArray[Any], affine: FloatArray) -> Path:
    """Write a map as a NIfTI image of single precision, whole or not at all.

    Parameters
    ----------
    path : Path
        ``.nii.gz``.
    values : array, shape (i, j, k)
        NaN where there is no value.
    affine : array, shape (4, 4)
        Voxel to world, mm; the space is stated as MNI.

    Returns
    -------
    Path
        The same path. The same values give the same bytes.

    Raises
    ------
    InputError
        If it cannot be written.
    """
    import nibabel as nib

    make_image: Any = nib.Nifti1Image  # nibabel's own annotations are incomplete
    image = make_image(np.asarray(values, dtype=np.float32), affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(affine, code="mni")
    image.set_qform(affine, code="mni")
    return write_atomic(path, gzip.compress(bytes(image.to_bytes()), compresslevel=1, mtime=0))


def read_map(path: Path) -> tuple[NDArray[np.float32], FloatArray]:
    """Read a map back.

    Parameters
    ----------
    path : Path
        3-D NIfTI.

    Returns
    -------
    values : float32 array, shape (i, j, k)
    affine : array, shape (4, 4)

    Raises
    ------
    InputError
        If the file is absent or damaged.
    """
    values, affine = read_volume(path)
    return values.astype(np.float32), affine
