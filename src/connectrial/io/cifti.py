"""Read CIFTI-2: which grayordinate each row is, and the numbers, a few rows at a time.

Two files may hold the same grayordinates in different orders. So rows of one file are found in
another by structure and vertex or voxel, never by their position.

A row's frames lie side by side in the file, so a run is read row by row and never whole. The header
is taken apart here and not by nibabel, which needs half a second for each file; a survey reads
hundreds.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from connectrial.data import FloatArray, Grayordinates
from connectrial.errors import InputError
from connectrial.io.cifti_xml import (
    MapKind,
    affine_in,
    integer_of,
    integers_in,
    kind_of_map,
    map_of,
    parse_header,
    repetition_time_in,
    structure_of,
    volume_shape_in,
)
from connectrial.reading import require_file

# What (columns, rows) of each kind of file are.
_FORMS: dict[str, tuple[MapKind, MapKind]] = {
    "dtseries": ("series", "brain models"),
    "ptseries": ("series", "parcels"),
    "pconn": ("parcels", "parcels"),
    "dlabel": ("labels", "brain models"),
    "dscalar": ("scalars", "brain models"),
}
_FORM_NAMES = {
    "dtseries": "a dense time series (.dtseries.nii)",
    "ptseries": "a parcellated time series (.ptseries.nii)",
    "pconn": "a parcellated connectivity matrix (.pconn.nii)",
    "dlabel": "a dense label file (.dlabel.nii)",
    "dscalar": "a dense map (.dscalar.nii)",
}
_ENDING = re.compile(r"\.[a-z]+\.nii(?:\.gz)?$")
_CIFTI_EXTENSION = 32
_NIFTI2_BYTES = 540
_BLOCK_VALUES = 1 << 21  # 16 MB of float64


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CiftiHeader:
    """What a CIFTI-2 header says of its matrix.

    Attributes
    ----------
    path : Path
        The file.
    columns, rows : {"series", "brain models", "parcels", "labels", "scalars"}
        What the matrix has along a row of numbers in the file (`columns`), and across (`rows`).
    n_columns, n_rows : int
        Their sizes: frames and grayordinates of a dense time series.
    dtype : numpy.dtype
        Of the stored numbers, byte order included.
    offset : int
        Bytes before the first number.
    slope, intercept : float
        Value = slope x stored number + intercept.
    repetition_time_s : float or None
        Seconds between frames; None where the header does not say so credibly.
    note : str or None
        Why the repetition time is None.
    matrix : Element
        The header's XML, for what is read from it on demand.
    """

    path: Path
    columns: MapKind
    rows: MapKind
    n_columns: int
    n_rows: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    repetition_time_s: float | None
    note: str | None
    matrix: ET.Element

    @property
    def n_vertices(self) -> dict[str, int]:
        """Return the size of each surface structure's mesh, without reading any index."""
        models = map_of(self.matrix, 1, self.path).iter("BrainModel")
        return {
            structure_of(model): integer_of(model, "SurfaceNumberOfVertices", self.path, default=0)
            for model in models
            if model.get("ModelType") == "CIFTI_MODEL_TYPE_SURFACE"
        }


def is_cifti(path: Path) -> bool:
    """Tell by its name whether a file is CIFTI, such as ``.dtseries.nii``."""
    return _ENDING.search(path.name) is not None and not path.name.endswith((".func.nii",))


def read_cifti_header(
    path: Path, *, form: Literal["dtseries", "ptseries", "pconn", "dlabel", "dscalar"] | None = None
) -> CiftiHeader:
    """Read the header of a CIFTI-2 file and hold it against the length of the file.

    Parameters
    ----------
    path : Path
        Not compressed.
    form : {"dtseries", "ptseries", "pconn", "dlabel", "dscalar"}, optional
        What the file must be; by default any CIFTI matrix of two dimensions.

    Returns
    -------
    CiftiHeader

    Raises
    ------
    InputError
        If the file is absent, compressed, damaged, no CIFTI-2, of another form, or shorter or
        longer than its header says.
    """
    from nibabel.spatialimages import HeaderDataError

    header, xml = _read_head(path)
    matrix = parse_header(xml, path)
    sizes = [int(size) for size in header["dim"]]
    n_columns, n_rows = sizes[5], sizes[6]
    if sizes[0] != 6 or sizes[1:5] != [1, 1, 1, 1] or min(n_columns, n_rows) < 1:
        raise InputError(
            f"{path}: the header states the shape {sizes[1 : sizes[0] + 1]}; a CIFTI matrix has "
            "two dimensions"
        )
    columns, rows = (kind_of_map(matrix, number, path) for number in (0, 1))
    if form is not None and (columns, rows) != _FORMS[form]:
        raise InputError(
            f"{path}: {_FORM_NAMES[form]} is needed; this CIFTI file has {columns} by {rows}"
        )
    try:
        dtype = np.dtype(header.get_data_dtype())
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: the NIfTI-2 header is damaged ({error})") from error
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: values must be plain numbers; this file holds {dtype}")
    try:
        slope, intercept = header.get_slope_inter()
    except (HeaderDataError, ValueError) as error:
        raise InputError(f"{path}: the NIfTI-2 header is damaged ({error})") from error
    seconds, note = repetition_time_in(matrix, path) if columns == "series" else (None, None)
    known = CiftiHeader(
        path=path,
        columns=columns,
        rows=rows,
        n_columns=n_columns,
        n_rows=n_rows,
        dtype=dtype,
        offset=max(int(header["vox_offset"]), 0),
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        repetition_time_s=seconds,
        note=note,
        matrix=matrix,
    )
    _check_length(known)
    return known


def read_grayordinates(path: Path) -> Grayordinates:
    """Read where each row of a dense CIFTI file lies.

    Parameters
    ----------
    path : Path
        ``.dtseries.nii``, ``.dlabel.nii``, ``.dscalar.nii``.

    Returns
    -------
    Grayordinates
        In the order of the file's rows.

    Raises
    ------
    InputError
        If the file is absent, damaged, not dense, or its header contradicts itself.
    """
    return grayordinates_of(read_cifti_header(path))


def grayordinates_of(header: CiftiHeader) -> Grayordinates:
    """Read where each row lies out of a header that was read already.

    Parameters
    ----------
    header : CiftiHeader
        Of a dense file.

    Returns
    -------
    Grayordinates

    Raises
    ------
    InputError
        If the file's rows are no grayordinates, or its header contradicts itself.
    """
    path, n_rows = header.path, header.n_rows
    if header.rows != "brain models":
        raise InputError(f"{path}: the rows are {header.rows}, no grayordinates")
    element = map_of(header.matrix, 1, path)
    structures: list[str] = []
    structure = np.full(n_rows, -1, dtype=np.int16)
    vertex = np.full(n_rows, -1, dtype=np.int32)
    voxel = np.full((n_rows, 3), -1, dtype=np.int32)
    for model in element.iter("BrainModel"):
        begin = integer_of(model, "IndexOffset", path, default=-1)
        count = integer_of(model, "IndexCount", path, default=-1)
        place = slice(begin, begin + count)
        is_surface = model.get("ModelType") == "CIFTI_MODEL_TYPE_SURFACE"
        numbers = integers_in(
            model.find("VertexIndices" if is_surface else "VoxelIndicesIJK"), path
        )
        if not is_surface and len(numbers) % 3:
            raise InputError(f"{path}: the CIFTI header is damaged (voxels have three indices)")
        numbers = numbers.reshape(-1, 1 if is_surface else 3)
        fits = begin >= 0 and begin + count <= n_rows and len(numbers) == count
        if not fits or (structure[place] >= 0).any() or (len(numbers) and numbers.min() < 0):
            raise InputError(
                f"{path}: the header's rows of {structure_of(model)} contradict one another; "
                "it is damaged, so make the file again"
            )
        structure[place] = len(structures)
        structures.append(structure_of(model))
        if is_surface:
            vertex[place] = numbers[:, 0]
        else:
            voxel[place] = numbers
    if (structure < 0).any():
        raise InputError(
            f"{path}: the header names {int((structure >= 0).sum())} of its {n_rows} rows; it is "
            "damaged, so make the file again"
        )
    return Grayordinates(
        structures=tuple(structures),
        structure=structure,
        vertex=vertex,
        voxel=voxel,
        n_vertices=header.n_vertices,
        affine=affine_in(element, path),
        volume_shape=volume_shape_in(element, path),
    )


def read_rows(header: CiftiHeader) -> Iterator[tuple[slice, FloatArray]]:
    """Yield the rows of a matrix a few at a time, scaled, in the file's order.

    Parameters
    ----------
    header : CiftiHeader
        Of the file.

    Yields
    ------
    rows : slice
        Which rows these are.
    values : array, shape (n_rows_here, n_columns)

    Raises
    ------
    InputError
        If the file cannot be read to its end.
    """
    size = max(1, _BLOCK_VALUES // header.n_columns)
    with header.path.open("rb") as file:
        file.seek(header.offset)
        for start in range(0, header.n_rows, size):
            stop = min(start + size, header.n_rows)
            count = (stop - start) * header.n_columns
            stored = np.fromfile(file, dtype=header.dtype, count=count)
            if len(stored) < count:
                raise InputError(f"{header.path}: the file ends too early; copy it again")
            values = stored.astype(np.float64).reshape(stop - start, header.n_columns)
            if (header.slope, header.intercept) != (1.0, 0.0):
                values = header.slope * values + header.intercept
            yield slice(start, stop), values


def read_matrix_values(header: CiftiHeader) -> FloatArray:
    """Read a small matrix whole.

    Parameters
    ----------
    header : CiftiHeader
        Of the file.

    Returns
    -------
    array, shape (n_rows, n_columns)
        Scaled as the header says.
    """
    return np.concatenate([values for _, values in read_rows(header)])


def _read_head(path: Path) -> tuple[Any, bytes]:
    """Read the NIfTI-2 header and the XML behind it, as it stands."""
    import nibabel as nib
    from nibabel.spatialimages import HeaderDataError

    n_bytes = require_file(path, what="CIFTI file")
    with path.open("rb") as file:
        head = file.read(_NIFTI2_BYTES + 4)
        if head[:2] == b"\x1f\x8b":
            raise InputError(
                f"{path}: the file is compressed, which CIFTI never is; unpack it with gunzip"
            )
        if len(head) < _NIFTI2_BYTES + 4 or head[4:7] not in (b"n+2", b"ni2"):
            raise InputError(f"{path}: this is no CIFTI file (it does not begin as NIfTI-2 does)")
        try:
            # Unchecked, because CIFTI has no voxel size, which nibabel would remark upon.
            make: Any = nib.Nifti2Header
            header = make(head[:_NIFTI2_BYTES], check=False)
        except (HeaderDataError, ValueError, KeyError) as error:
            raise InputError(f"{path}: the NIfTI-2 header is damaged ({error})") from error
        end = min(int(header["vox_offset"]), n_bytes)
        whole = np.dtype(np.int32).newbyteorder(header.endianness)
        while file.tell() + 8 <= end:
            size, code = (int(one) for one in np.frombuffer(file.read(8).ljust(8, b"\0"), whole))
            if size < 8 or file.tell() + size - 8 > end:
                break
            content = file.read(size - 8)
            if code == _CIFTI_EXTENSION:
                return header, content.rstrip(b"\0")
    raise InputError(
        f"{path}: there is no CIFTI header in this NIfTI file; it is a plain volume, or damaged"
    )


def _check_length(header: CiftiHeader) -> None:
    announced = header.n_rows * header.n_columns * header.dtype.itemsize
    there = header.path.stat().st_size - header.offset
    if there == announced:
        return
    what = (
        f"{there - announced} bytes follow"
        if there > announced
        else f"{announced - max(there, 0)} bytes are missing"
    )
    raise InputError(
        f"{header.path}: {what} where the header announces {header.n_rows} rows of "
        f"{header.n_columns} values; the file is truncated or its header is wrong, so copy or make "
        "it again"
    )
