"""The XML in a CIFTI-2 header, piece by piece."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.io.nifti import believable_repetition_time
from connectrial.io.xml_guard import refuse_entities

MapKind = Literal["series", "brain models", "parcels", "labels", "scalars"]

_MOST_VOXELS = 4096  # along one axis
_KINDS: dict[str, MapKind] = {
    "CIFTI_INDEX_TYPE_SERIES": "series",
    "CIFTI_INDEX_TYPE_BRAIN_MODELS": "brain models",
    "CIFTI_INDEX_TYPE_PARCELS": "parcels",
    "CIFTI_INDEX_TYPE_LABELS": "labels",
    "CIFTI_INDEX_TYPE_SCALARS": "scalars",
}


def parse_header(xml: bytes, path: Path) -> ET.Element:
    """Parse the header's XML and return its matrix; anything but CIFTI version 2 is refused."""
    refuse_entities([xml], path)
    try:
        root = ET.fromstring(xml)  # noqa: S314  entities were refused
    except (ET.ParseError, ValueError, LookupError) as error:  # an encoding that is none
        raise InputError(
            f"{path}: the CIFTI header is damaged ({error}); copy or make the file again"
        ) from error
    if not str(root.get("Version", "")).startswith("2"):
        raise InputError(
            f"{path}: this is CIFTI version {root.get('Version')!r}; version 2 is read (convert it "
            "with wb_command -file-convert -cifti-version-convert FILE 2 OUT)"
        )
    matrix = root.find("Matrix")
    if matrix is None:
        raise InputError(f"{path}: the CIFTI header describes no matrix; make the file again")
    return matrix


def map_of(matrix: ET.Element, dimension: int, path: Path) -> ET.Element:
    """Return the map of one dimension: 0 along a row of numbers in the file, 1 across."""
    for element in matrix.iter("MatrixIndicesMap"):
        if str(dimension) in element.get("AppliesToMatrixDimension", "").split(","):
            return element
    raise InputError(f"{path}: the CIFTI header does not describe dimension {dimension}")


def kind_of_map(matrix: ET.Element, dimension: int, path: Path) -> MapKind:
    """Return what a dimension of the matrix consists of."""
    stated = map_of(matrix, dimension, path).get("IndicesMapToDataType", "")
    if stated not in _KINDS:
        raise InputError(f"{path}: the CIFTI header holds a dimension of type {stated!r}")
    return _KINDS[stated]


def structure_of(model: ET.Element) -> str:
    """Return a brain model's structure without the prefix that all of them have."""
    return model.get("BrainStructure", "").removeprefix("CIFTI_STRUCTURE_")


def integer_of(element: ET.Element, attribute: str, path: Path, *, default: int) -> int:
    """Return an attribute that must be a whole number."""
    text = element.get(attribute)
    if text is None:
        return default
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{path}: the CIFTI header is damaged: {attribute} is {text!r}; copy or make the file again"
        ) from None


def integers_in(element: ET.Element | None, path: Path) -> NDArray[np.int64]:
    """Return the whole numbers that are an element's text; none without the element."""
    words = [] if element is None or element.text is None else element.text.split()
    try:
        numbers = np.array(words, dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise InputError(f"{path}: the CIFTI header is damaged ({error})") from error
    if len(numbers) and max(-int(numbers.min()), int(numbers.max())) > np.iinfo(np.int32).max:
        raise InputError(
            f"{path}: the CIFTI header is damaged: {numbers.max()} is no vertex or voxel"
        )
    return numbers


def affine_in(element: ET.Element, path: Path) -> FloatArray | None:
    """Return the affine (voxel to world, mm) of a map of brain models; None without a volume."""
    volume = element.find("Volume")
    if volume is None:
        return None
    transform = volume.find("TransformationMatrixVoxelIndicesIJKtoXYZ")
    words = (transform.text or "").split() if transform is not None else []
    try:
        affine = np.array(words, dtype=np.float64).reshape(4, 4)
    except ValueError as error:
        raise InputError(f"{path}: the CIFTI header's affine is damaged ({error})") from error
    # The unit is 10 to this power of a metre; -3 is a millimetre.
    exponent = -3 if transform is None else integer_of(transform, "MeterExponent", path, default=-3)
    if not -9 <= exponent <= 9 or not np.isfinite(affine).all():
        raise InputError(
            f"{path}: the CIFTI header's affine is damaged (numbers that are not finite, or in "
            f"units of 10^{exponent} m)"
        )
    affine[:3] *= 10.0 ** (exponent + 3)
    return affine


def volume_shape_in(element: ET.Element, path: Path) -> tuple[int, int, int] | None:
    """Return the voxels of a map of brain models along three axes; None without a volume."""
    volume = element.find("Volume")
    words = "" if volume is None else volume.get("VolumeDimensions", "")
    if not words:
        return None
    try:
        i, j, k = (int(word) for word in words.split(","))
    except ValueError as error:
        raise InputError(f"{path}: the CIFTI header's volume is damaged ({error})") from error
    if min(i, j, k) < 1 or max(i, j, k) > _MOST_VOXELS:
        raise InputError(f"{path}: the CIFTI header's volume is damaged: its shape is {(i, j, k)}")
    return i, j, k


def repetition_time_in(matrix: ET.Element, path: Path) -> tuple[float | None, str | None]:
    """Return the seconds between frames, or None and why the header's number is not believed."""
    element = map_of(matrix, 0, path)
    unit = element.get("SeriesUnit", "")
    if unit != "SECOND":
        return None, f"the header's series is in {unit or 'no unit'}, not in seconds"
    try:
        step = float(element.get("SeriesStep", "nan"))
        seconds = step * 10.0 ** int(element.get("SeriesExponent", 0))
    except (ValueError, OverflowError):
        return None, "the header's repetition time is no number"
    return believable_repetition_time(seconds, "sec")
