"""Read NIfTI to the very end of its file: a run frame by frame, a small volume whole.

A gzip stream tells only at its end whether it is intact, and nibabel stops before: flipped bits
become wrong voxels. So nibabel reads the header here, and the voxels are read to the end.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.reading import require_file

_LONGEST_REPETITION_TIME_S = 30.0
_CHUNK_BYTES = 1 << 20
_NIFTI2_BYTES = 540
_MOST_UNPACKED = 1032  # deflate packs no byte better than that
_MOST_VOXELS = 1 << 27  # of one volume: 0.3 mm over a whole head; a gigabyte as float64
_SECONDS_PER_UNIT = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ImageHeader:
    """What a NIfTI header says of its voxels.

    Attributes
    ----------
    path : Path
        The file.
    shape : tuple of int
        Voxels along the three axes of space.
    n_frames : int
        Volumes in the file; 1 for a 3-D image.
    dtype : numpy.dtype
        Of the stored numbers, byte order included.
    offset : int
        Bytes before the first voxel.
    slope, intercept : float
        Value = slope x stored number + intercept.
    affine : array, shape (4, 4)
        Voxel to world, mm.
    repetition_time_s : float or None
        Seconds between frames; None where the header does not say so credibly.
    note : str or None
        Why the repetition time is None.
    """

    path: Path
    shape: tuple[int, int, int]
    n_frames: int
    dtype: np.dtype[Any]
    offset: int
    slope: float
    intercept: float
    affine: FloatArray
    repetition_time_s: float | None
    note: str | None


def read_header(path: Path, *, n_dimensions: Literal[3, 4]) -> ImageHeader:
    """Read the header of a NIfTI volume or run.

    Parameters
    ----------
    path : Path
        ``.nii`` or ``.nii.gz``, NIfTI-1 or -2.
    n_dimensions : {3, 4}
        3 for a single volume, 4 for a run. Further axes of length 1 do not count.

    Returns
    -------
    ImageHeader

    Raises
    ------
    InputError
        If the file is absent, no NIfTI volume, of other dimensions, or its voxels are no plain
        numbers.
    """
    n_bytes = require_file(path, what="image")
    fields = _read_fields(path)
    shape = tuple(int(size) for size in fields.get_data_shape())
    flat = len(shape) >= 3 and all(size == 1 for size in shape[3:])
    if n_dimensions == 3 and not flat:
        raise InputError(f"{path}: a 3-D image is needed; this one has shape {shape}")
    if n_dimensions == 4 and (len(shape) < 4 or any(size != 1 for size in shape[4:])):
        raise InputError(
            f"{path}: a run is a 4-D image (three axes of space, then time); "
            f"this one has shape {shape}"
        )
    if min(shape) < 1:
        raise InputError(f"{path}: the image is empty; its header states the shape {shape}")
    dtype = np.dtype(fields.get_data_dtype())
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: voxels must be plain numbers; this image holds {dtype}")
    repetition_time_s, note = believable_repetition_time(
        float(fields["pixdim"][4]), _time_unit(int(fields["xyzt_units"]))
    )
    offset, slope, intercept, affine = _placed(path, fields)
    n_frames = math.prod(shape[3:])
    _check_room(
        path,
        offset=offset,
        frame_bytes=math.prod(shape[:3]) * dtype.itemsize,
        n_frames=n_frames,
        n_bytes=n_bytes,
    )
    if math.prod(shape[:3]) > _MOST_VOXELS:
        raise InputError(
            f"{path}: the header announces {math.prod(shape[:3]):.3g} voxels in one volume "
            f"{shape[:3]}; at most {_MOST_VOXELS:.3g} are read, and no brain has more"
        )
    return ImageHeader(
        path=path,
        shape=(shape[0], shape[1], shape[2]),
        n_frames=n_frames,
        dtype=dtype,
        offset=offset,
        slope=slope,
        intercept=intercept,
        affine=affine,
        repetition_time_s=repetition_time_s,
        note=note,
    )


def _time_unit(code: int) -> str:
    """Return the unit of time; nibabel fails where the unit of space, which nobody asks for, is odd."""
    known = {0: "unknown", 8: "sec", 16: "msec", 24: "usec"}
    return known.get(code & 0x38, f"code {code}")


def _read_fields(path: Path) -> Any:  # noqa: ANN401  nibabel is untyped
    """Return the header's fields, checked; extensions, which may be of any size, are not read."""
    import nibabel as nib
    from nibabel.spatialimages import HeaderDataError

    with _opened(path) as stream, _damage_named(path):
        head = bytearray(_NIFTI2_BYTES)
        del head[_fill(stream, memoryview(head)) :]
    version = _version_of(bytes(head))
    if version is None and path.name.removesuffix(".gz").endswith(".img"):
        version = 1, False  # the header stands beside it
    if version is None:
        raise InputError(
            f"{path}: this is no NIfTI image that can be read (it does not begin as one)"
        )
    number, single = version
    make: Any = nib.Nifti1Header if number == 1 else nib.Nifti2Header
    try:
        if not single:
            kind = "part of a pair (.hdr and .img)"
        else:
            fields = make(bytes(head[: 348 if number == 1 else _NIFTI2_BYTES]))
            if number == 1 or not 3000 <= int(fields["intent_code"]) < 3100:
                fields.get_data_shape()
                fields.get_data_dtype()
                return fields
            kind = "CIFTI file"
    except (HeaderDataError, ValueError, KeyError, OverflowError) as error:
        raise InputError(f"{path}: this is no NIfTI image that can be read ({error})") from error
    raise InputError(f"{path}: a NIfTI volume (.nii or .nii.gz) is needed; this file is a {kind}")


def _version_of(head: bytes) -> tuple[int, bool] | None:
    """Return the version of NIfTI, and whether the voxels stand in the same file."""
    if len(head) >= 348 and head[344:347] in (b"n+1", b"ni1"):
        return 1, head[344:347] == b"n+1"
    if len(head) >= _NIFTI2_BYTES and head[4:7] in (b"n+2", b"ni2"):
        return 2, head[4:7] == b"n+2"
    return None


def _placed(path: Path, fields: Any) -> tuple[int, float, float, FloatArray]:  # noqa: ANN401
    """Return where the voxels begin, how they are scaled, and where they lie."""
    from nibabel.spatialimages import HeaderDataError

    try:
        offset = int(fields.get_data_offset())
        slope, intercept = fields.get_slope_inter()
        affine = np.asarray(fields.get_best_affine(), dtype=np.float64)
    except (HeaderDataError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: the header is damaged ({error})") from error
    if offset < 0:
        raise InputError(f"{path}: the header is damaged (voxels begin at byte {offset})")
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine) < 4:
        raise InputError(
            f"{path}: the header says of no voxel where it lies (its affine is singular or not "
            "finite); make the file again with a proper sform or qform"
        )
    return (
        offset,
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        affine,
    )


def _check_room(path: Path, *, offset: int, frame_bytes: int, n_frames: int, n_bytes: int) -> None:
    """Refuse a header that announces more than its file can hold, before room is made for it."""
    announced = offset + frame_bytes * n_frames
    with path.open("rb") as file:
        is_packed = file.read(2) == b"\x1f\x8b"
    if announced <= (n_bytes * _MOST_UNPACKED if is_packed else n_bytes):
        return
    found = (
        f"the header announces {announced:,} bytes, more than a packed file of {n_bytes:,} can hold"
        if is_packed
        else f"the file ends in frame {max(n_bytes - offset, 0) // frame_bytes + 1} of the {n_frames} "
        "that its header announces"
    )
    raise InputError(
        f"{path}: {found}; it is truncated or its header is wrong, so copy or make it again"
    )


def read_volume(path: Path) -> tuple[FloatArray, FloatArray]:
    """Read a 3-D image whole: an atlas or a mask.

    Parameters
    ----------
    path : Path
        NIfTI file.

    Returns
    -------
    values : array, shape (i, j, k)
        Scaled as the header says.
    affine : array, shape (4, 4)
        Voxel to world, mm.

    Raises
    ------
    InputError
        If the file is absent, damaged, not a NIfTI volume, or not 3-D.
    """
    header = read_header(path, n_dimensions=3)
    frames = read_frames(header)
    values = header.slope * next(frames).astype(np.float64) + header.intercept
    next(frames, None)  # on to the end of the file, where damage shows
    return values.reshape(header.shape, order="F"), header.affine


def read_frames(header: ImageHeader) -> Iterator[NDArray[Any]]:
    """Yield each frame as stored, then insist that the file ends where the header says.

    Parameters
    ----------
    header : ImageHeader
        Of the file to read.

    Yields
    ------
    array, shape (n_voxels,)
        One frame in the file's order (first axis fastest), not scaled. All frames share one
        buffer: copy what must outlast the next.

    Raises
    ------
    InputError
        If the file is damaged, or shorter or longer than its header announces. Damage may show
        only after the last frame, so nothing read before counts until the iterator is exhausted.
    """
    path = header.path
    buffer = np.empty(math.prod(header.shape) * header.dtype.itemsize, dtype=np.uint8)
    frame = buffer.view(header.dtype)
    with _opened(path) as stream, _damage_named(path):
        _skip(stream, header.offset)
        for number in range(header.n_frames):
            if _fill(stream, buffer.data) < buffer.nbytes:
                raise InputError(
                    f"{path}: the file ends in frame {number + 1} of the {header.n_frames} that "
                    "its header announces; it is truncated or its header is wrong, so copy or "
                    "make it again"
                )
            yield frame
        # A little more tells enough; behind it a gzip stream may hide a terabyte.
        extra = len(stream.read(_CHUNK_BYTES))
        if extra:
            more = "or more " if extra == _CHUNK_BYTES else ""
            raise InputError(
                f"{path}: {extra} {more}bytes follow the {header.n_frames} frames that its header "
                "announces; the header is wrong, so make the file again"
            )


class _Stream(Protocol):
    def read(self, size: int, /) -> bytes: ...

    def readinto(self, buffer: memoryview, /) -> int | None: ...


def _fill(stream: _Stream, buffer: memoryview) -> int:
    position = 0
    while position < len(buffer):
        n_read = stream.readinto(buffer[position:])
        if not n_read:
            break
        position += n_read
    return position


def _skip(stream: _Stream, n_bytes: int) -> None:
    while n_bytes > 0:
        chunk = stream.read(min(n_bytes, _CHUNK_BYTES))
        if not chunk:
            return
        n_bytes -= len(chunk)


@contextmanager
def _opened(path: Path) -> Iterator[_Stream]:
    """Open a file for reading, unpacking it as it goes if its first bytes say gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not packed:
            yield file
            return
        with _unpacker()(fileobj=file, mode="rb") as unpacked:
            yield unpacked


def _unpacker() -> Any:  # noqa: ANN401  one of two classes with one interface, one of them untyped
    try:
        from isal.igzip import IGzipFile  # decodes at three times zlib's speed
    except ImportError:
        return gzip.GzipFile
    return IGzipFile


@contextmanager
def _damage_named(path: Path) -> Iterator[None]:
    """Turn what the unpackers raise on damage into one message that names the file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        # isal's own error descends from nothing more telling than Exception.
        if not isinstance(error, (OSError, EOFError, zlib.error)) and type(error).__name__ != (
            "IsalError"
        ):
            raise
        what = "the compressed data end too early" if isinstance(error, EOFError) else str(error)
        raise InputError(
            f"{path}: the file is damaged ({what}); copy it again or make it again"
        ) from error


def believable_repetition_time(stated: float, unit: str) -> tuple[float | None, str | None]:
    """Return a header's repetition time in seconds, or None and why it is not believed.

    Parameters
    ----------
    stated : float
        The number in the header.
    unit : str
        "sec", "msec", "usec" or "unknown" (taken for seconds).

    Returns
    -------
    seconds : float or None
    note : str or None
    """
    if not np.isfinite(stated) or stated <= 0:
        return None, "the header states no repetition time"
    # The header's number is single precision: 2.2 is kept as 2.2000000477.
    seconds = round(stated * _SECONDS_PER_UNIT.get(unit, np.nan), 6)
    if not 0 < seconds <= _LONGEST_REPETITION_TIME_S:
        return None, (
            f"the header states a repetition time of {stated:g} (unit: {unit}), which no run has; "
            "it is taken as unknown"
        )
    return seconds, None
