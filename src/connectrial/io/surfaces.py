"""Read surface files: a run as a pair of GIFTI files, an atlas as a pair of label files."""

from __future__ import annotations

import re
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray, Grayordinates
from connectrial.errors import InputError
from connectrial.io.nifti import believable_repetition_time
from connectrial.io.xml_guard import check_gifti
from connectrial.reading import read_bytes, require_file

STRUCTURES = ("CORTEX_LEFT", "CORTEX_RIGHT")
"""How CIFTI calls the hemispheres, in the order in which pairs of files are given."""

_BACKGROUND = frozenset(
    {"", "???", "unknown", "background", "medial_wall", "medialwall", "medial wall"}
    | {"background+freesurfer_defined_medial_wall", "freesurfer_defined_medial_wall"}
)
_SIDES = ("left", "right")
_MOST_BYTES = 1 << 32
_HEAD_BYTES = 1 << 16  # reaches beyond the first data array's attributes
_STATED_STRUCTURES = {"CortexLeft": 0, "CortexRight": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfaceHeader:
    """What a surface run says before its numbers are read.

    Attributes
    ----------
    path : Path
        The file of one hemisphere.
    n_frames, n_vertices : int
        Frames in the file, and vertices of the mesh.
    repetition_time_s : float or None
        Seconds between frames; None where the file does not say so.
    """

    path: Path
    n_frames: int
    n_vertices: int
    repetition_time_s: float | None


def read_surface_header(path: Path) -> SurfaceHeader:
    """Read the frames and vertices of one hemisphere's run from the first bytes of its file.

    Parameters
    ----------
    path : Path
        ``.func.gii``.

    Returns
    -------
    SurfaceHeader

    Raises
    ------
    InputError
        If the file is absent or no GIFTI.
    """
    require_file(path, what="surface file")
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8", errors="replace")
    n_arrays = re.search(r'<GIFTI[^>]*\bNumberOfDataArrays="(\d+)"', head)
    first = re.search(r"<DataArray\b([^>]*)>", head)
    sizes = dict(re.findall(r'\bDim(\d)="(\d+)"', first[1])) if first else {}
    if n_arrays is None or "0" not in sizes:
        raise InputError(f"{path}: this is no GIFTI file with data that can be read")
    # fMRIPrep stores one array per frame, some tools one array of vertices by frames.
    n_frames = int(n_arrays[1]) if "1" not in sizes else int(sizes["1"])
    step = re.search(r"TimeStep(?:\]\]>)?</Name>\s*<Value>(?:<!\[CDATA\[)?([0-9.eE+-]+)", head)
    seconds, _ = believable_repetition_time(float(step[1]), "msec") if step else (None, None)
    return SurfaceHeader(
        path=path, n_frames=n_frames, n_vertices=int(sizes["0"]), repetition_time_s=seconds
    )


def read_surface_run(left: Path, right: Path) -> tuple[Grayordinates, FloatArray]:
    """Read a run of both hemispheres.

    Parameters
    ----------
    left, right : Path
        ``.func.gii`` of each hemisphere.

    Returns
    -------
    rows : Grayordinates
        Left hemisphere first.
    values : array, shape (n_rows, n_frames)

    Raises
    ------
    InputError
        If a file is absent, damaged or of the other hemisphere, or the hemispheres have different
        numbers of frames.
    """
    values = [_read_frames(path, number) for number, path in enumerate((left, right))]
    if values[0].shape[1] != values[1].shape[1]:
        raise InputError(
            f"{right}: {values[1].shape[1]} frames where the left hemisphere has "
            f"{values[0].shape[1]}; both must come from one run"
        )
    rows = _rows_of_hemispheres([len(one) for one in values])
    return rows, np.concatenate(values)


def read_surface_labels(path: Path, *, hemisphere: int) -> tuple[NDArray[np.int32], dict[int, str]]:
    """Read the labels of one hemisphere.

    Parameters
    ----------
    path : Path
        ``.label.gii``, or FreeSurfer's ``.annot``.
    hemisphere : {0, 1}
        Which one it must be: left, right.

    Returns
    -------
    labels : array of int, shape (n_vertices,)
        Key of each vertex; 0 is background. FreeSurfer's keys are places in its table of labels,
        counted from 0 if the first one is background, else from 1.
    names : dict of int to str
        By key.

    Raises
    ------
    InputError
        If the file is absent, damaged, or says that it is of the other hemisphere.
    """
    n_bytes = require_file(path, what="label file", most_bytes=_MOST_BYTES)
    if path.name.endswith(".annot"):
        _check_side(path, None, hemisphere)
        return _read_annot(path, n_bytes)
    image = _load_gifti(path)
    if len(image.darrays) != 1:
        raise InputError(f"{path}: {len(image.darrays)} data arrays; a label file has one")
    _check_side(path, image, hemisphere)
    values = np.asarray(image.darrays[0].data).ravel()
    if values.dtype.kind not in "iuf" or (values % 1 != 0).any():
        raise InputError(f"{path}: labels must be whole numbers")
    table = image.labeltable.get_labels_as_dict()
    if values.size and max(abs(values.min()), abs(values.max())) > np.iinfo(np.int32).max:
        raise InputError(f"{path}: a label is {values.max():g}, which is more than 32 bits hold")
    return values.astype(np.int32), {int(key): str(name) for key, name in table.items()}


def is_background(name: str) -> bool:
    """Tell whether a label's name says that its vertices belong to no parcel."""
    return name.strip().lower() in _BACKGROUND


def rows_of_labels(sizes: tuple[int, int]) -> Grayordinates:
    """Return the rows of a pair of whole hemispheres, left first.

    Parameters
    ----------
    sizes : tuple of int
        Vertices of the left and the right mesh.

    Returns
    -------
    Grayordinates
    """
    return _rows_of_hemispheres(list(sizes))


def _rows_of_hemispheres(sizes: list[int]) -> Grayordinates:
    total = sum(sizes)
    return Grayordinates(
        structures=STRUCTURES,
        structure=np.repeat(np.arange(2, dtype=np.int16), sizes),
        vertex=np.concatenate([np.arange(size, dtype=np.int32) for size in sizes]),
        voxel=np.full((total, 3), -1, dtype=np.int32),
        n_vertices=dict(zip(STRUCTURES, sizes, strict=True)),
    )


def _read_frames(path: Path, hemisphere: int) -> FloatArray:
    image = _load_gifti(path)
    _check_side(path, image, hemisphere)
    arrays = [np.asarray(one.data, dtype=np.float64) for one in image.darrays]
    if not arrays or len({one.shape for one in arrays}) > 1:
        raise InputError(f"{path}: the frames of a run must have one number of vertices")
    if arrays[0].ndim == 2 and len(arrays) == 1:
        return arrays[0]
    announced = read_surface_header(path).n_frames
    if len(arrays) != announced:
        raise InputError(
            f"{path}: {len(arrays)} frames where the file announces {announced}; copy it again"
        )
    return np.stack([one.ravel() for one in arrays], axis=1)


def _load_gifti(path: Path) -> Any:  # noqa: ANN401  nibabel is untyped
    import nibabel as nib

    data = read_bytes(path, what="surface file", most_bytes=_MOST_BYTES)
    if data.startswith(b"\x1f\x8b"):
        raise InputError(f"{path}: the file is compressed; unpack it with gunzip")
    check_gifti(data, path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what nibabel warns of is checked here
            image: Any = nib.GiftiImage.from_bytes(data)
        if not len(image.darrays):
            raise ValueError("it holds no data array")
    except (
        *(ExpatError, zlib.error, OSError, EOFError, OverflowError, StopIteration),
        *(ValueError, KeyError, IndexError, AttributeError, AssertionError, TypeError),
    ) as error:
        raise InputError(
            f"{path}: the surface file is damaged or no GIFTI ({error}); copy or make it again"
        ) from error
    return image


def _check_side(path: Path, image: Any, hemisphere: int) -> None:  # noqa: ANN401
    """Refuse a file whose header or name says the other hemisphere."""
    stated = None
    if image is not None:
        meta = dict(image.meta)
        for array in image.darrays[:1]:
            meta |= dict(array.meta)
        stated = _STATED_STRUCTURES.get(str(meta.get("AnatomicalStructurePrimary")))
    if stated is None:
        name = re.search(r"(?:^|[._])(?:hemi-([LR])|([lr])h|([LR]))(?=[._])", path.name)
        letter = next((one for one in name.groups() if one), "") if name else ""
        stated = {"L": 0, "R": 1}.get(letter.upper())
    if stated is not None and stated != hemisphere:
        raise InputError(
            f"{path}: this is the {_SIDES[stated]} hemisphere where the {_SIDES[hemisphere]} is "
            "needed; files of a pair are named left, then right"
        )


def _read_annot(path: Path, n_bytes: int) -> tuple[NDArray[np.int32], dict[int, str]]:
    import nibabel as nib

    read_annot: Any = nib.freesurfer.io.read_annot
    with path.open("rb") as file:
        n_vertices = int.from_bytes(file.read(4), "big")
    if 8 * n_vertices > n_bytes:
        raise InputError(
            f"{path}: this is no FreeSurfer annotation that can be read (it announces {n_vertices} "
            f"vertices in {n_bytes} bytes)"
        )

    try:
        labels, _, names = read_annot(path)
    except (ValueError, IndexError, TypeError, OSError, OverflowError, MemoryError) as error:
        raise InputError(
            f"{path}: this is no FreeSurfer annotation that can be read ({error})"
        ) from error
    texts = [
        one.decode("utf-8", errors="replace") if isinstance(one, bytes) else str(one)
        for one in names
    ]
    first = 0 if not texts or is_background(texts[0]) else 1
    keys = np.asarray(labels, dtype=np.int32)
    keys = np.where(keys < 0, 0, keys + first).astype(np.int32)
    return keys, dict(enumerate(texts, start=first))
