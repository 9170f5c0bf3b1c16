"""Parcel time series and matrices: read whatever the field writes, write one form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.data import Connectivity, FloatArray, Scan, TimeSeries
from connectrial.errors import InputError
from connectrial.io.cifti import is_cifti, read_cifti_header, read_matrix_values
from connectrial.io.cifti_names import parcel_names
from connectrial.io.files import write_atomic
from connectrial.io.matrix_checks import (
    check_correlations,
    check_symmetry,
    without_doubles,
    without_empty,
)
from connectrial.io.number_text import (
    NumberText,
    counts_up,
    is_number,
    open_numbers,
    parse_numbers,
    split_cells,
)

_CORNERS = frozenset({"", "node", "parcel", "region", "roi", "index", "unnamed: 0"})
_INDEX_NAMES = frozenset({"", "index", "frame", "frames", "volume", "time", "unnamed: 0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """What a series file says before its numbers are read.

    Attributes
    ----------
    parcels : tuple of str or None
        Names in column order; None where the file has no header, or one that only counts.
    n_columns : int
        Parcels in the file.
    n_frames : int
        Rows of numbers.
    notes : tuple of str
        What was handled, such as a column of frame numbers that is left out.
    repetition_time_s : float or None
        Seconds between frames, where the file itself says so.
    """

    parcels: tuple[str, ...] | None
    n_columns: int
    n_frames: int
    notes: tuple[str, ...] = ()
    repetition_time_s: float | None = None


def survey_series(scan: Scan) -> SeriesHeader:
    """Read the names and the number of frames of a series, without its numbers.

    Parameters
    ----------
    scan : Scan
        A scan of kind "time series".

    Returns
    -------
    SeriesHeader

    Raises
    ------
    InputError
        When the file is missing, empty or binary.
    """
    if is_cifti(scan.path):
        cifti = read_cifti_header(scan.path, form="ptseries")
        return SeriesHeader(
            parcels=parcel_names(cifti),
            n_columns=cifti.n_rows,
            n_frames=cifti.n_columns,
            notes=() if cifti.note is None else (f"{scan.path.name}: {cifti.note}",),
            repetition_time_s=cifti.repetition_time_s,
        )
    text = open_numbers(scan.path)
    header = text.header
    notes: tuple[str, ...] = ()
    n_columns = text.n_cells
    if header is not None and _is_index_name(header[0]) and len(header) > 1:
        first_row = text.data.split(b"\n", 2)[1]
        if split_cells(first_row, text.separator)[0] in {"0", "1", "0.0", "1.0"}:
            header, n_columns = header[1:], n_columns - 1
            notes = (_index_reason(text.path, text.header),)
    if header is not None and counts_up(header) and len(header) > 1:
        header = None
        notes += (f"{text.path.name}: the columns are numbered, not named; an atlas names them",)
    return SeriesHeader(parcels=header, n_columns=n_columns, n_frames=text.n_rows, notes=notes)


def read_time_series(scan: Scan, *, parcels: Iterable[str] | None = None) -> TimeSeries:
    """Read the ready-made signal of every parcel over one run.

    Parameters
    ----------
    scan : Scan
        A scan of kind "time series": a text table with one row per frame and one column per
        parcel, separated by tabs, commas or blanks; or CIFTI (``.ptseries.nii``), where a parcel
        of zeros is one without data.
    parcels : iterable of str, optional
        Names that the columns must bear, in order. A file without a header takes its names here.

    Returns
    -------
    TimeSeries
        ``signal`` of shape (n_frames, n_parcels) in the units of the file, every frame kept;
        a parcel without data is a column of NaN.

    Raises
    ------
    InputError
        When a cell is no number (names row and column), a row is too short or too long, the names
        differ from `parcels` (names the first difference), or nothing names the parcels.
    """
    wanted = None if parcels is None else [str(name) for name in parcels]
    if is_cifti(scan.path):
        return _read_ptseries(scan, wanted)
    text = open_numbers(scan.path)
    values = parse_numbers(text)
    names = text.header
    if names is not None and _has_index(names, values, wanted):
        names, values = names[1:], values[:, 1:]
    index = _settle_names(text.path, names, values.shape[1], wanted)
    return TimeSeries(
        signal=np.ascontiguousarray(values),
        kept=np.ones(values.shape[0], dtype=bool),
        parcels=index,
        repetition_time_s=scan.repetition_time_s,
    )


def read_matrix(
    scan: Scan, *, values: Literal["r", "z"] = "r", parcels: Iterable[str] | None = None
) -> Connectivity:
    """Read a ready-made matrix of correlations, with or without names.

    Parameters
    ----------
    scan : Scan
        A scan of kind "matrix": a square text table whose first row, or first row and column,
        may name the parcels; or CIFTI (``.pconn.nii``).
    values : {"r", "z"}
        Whether the file holds Pearson's r or Fisher's z.
    parcels : iterable of str, optional
        Names that the rows must bear, in order. A file without names takes them here.

    Returns
    -------
    Connectivity
        Fisher z, NaN on the diagonal and for parcels without data; ``notes`` say what was set to
        NaN and why.

    Raises
    ------
    InputError
        When the matrix is not square or not symmetric, an r lies beyond [-1, 1], the diagonal is
        that of no correlation matrix, a cell is no number, or the names differ from `parcels`.
    """
    wanted = None if parcels is None else [str(name) for name in parcels]
    if is_cifti(scan.path):
        cifti = read_cifti_header(scan.path, form="pconn")
        return _as_connectivity(
            scan.path, parcel_names(cifti), read_matrix_values(cifti), values=values, wanted=wanted
        )
    text = open_numbers(scan.path)
    # Fisher z of the diagonal's 1 is infinite.
    names, matrix = _square(text, infinite=values == "z")
    return _as_connectivity(text.path, names, matrix, values=values, wanted=wanted)


def _as_connectivity(
    path: Path,
    names: Sequence[str] | None,
    matrix: FloatArray,
    *,
    values: Literal["r", "z"],
    wanted: Sequence[str] | None,
) -> Connectivity:
    """Check a matrix of correlations and turn it into Fisher z."""
    index = _settle_names(path, names, matrix.shape[1], wanted)
    diagonal = np.diagonal(matrix).copy()
    matrix = matrix.copy()
    np.fill_diagonal(matrix, np.nan)
    check_symmetry(path, matrix, index)
    matrix = (matrix + matrix.T) / 2.0
    notes: list[str] = []
    if values == "r":
        check_correlations(path, matrix, index, diagonal)
    elif bool(np.all(diagonal == 1.0)) and not bool((np.abs(matrix) > 1.0).any()):
        notes.append(
            f"{path.name}: read as Fisher z, but its diagonal is 1 and no value is beyond 1, "
            "as in a matrix of r; set [data] values = 'r' if that is what it holds"
        )
    matrix = without_empty(path, matrix, index, notes)
    matrix = without_doubles(path, matrix, index, notes, limit=1.0 if values == "r" else np.inf)
    z = np.arctanh(matrix) if values == "r" else matrix
    return Connectivity(z=z, parcels=index, notes=tuple(notes))


def write_matrix(path: Path, r: FloatArray, *, parcels: Iterable[str]) -> None:
    """Write a matrix as XCP-D 26 does: names as header and first column, NaN as ``n/a``.

    Parameters
    ----------
    path : Path
        The ``_relmat.tsv`` to write; its folder must exist.
    r : array, shape (n_parcels, n_parcels)
        Pearson correlations; written to 9 significant digits.
    parcels : iterable of str, length n_parcels
        Names, in row order.

    Raises
    ------
    InputError
        When the shapes do not agree or a value is infinite.
    """
    names = [str(name) for name in parcels]
    n = len(names)
    if r.shape != (n, n):
        raise InputError(f"a matrix of {n} parcels must be ({n}, {n}); got {r.shape}")
    if np.isinf(r).any():
        raise InputError(f"{path.name}: a correlation is infinite; files hold r, not Fisher z")
    row_format = "\t".join(["%.9g"] * n)
    lines = ["\t".join(["Node", *names])]
    # Adding zero turns -0.0 into 0.0, so that equal matrices are equal bytes.
    for name, row in zip(names, (r + 0.0).tolist(), strict=True):
        numbers = row_format % tuple(row)
        if "n" in numbers:
            numbers = numbers.replace("nan", "n/a")
        lines.append(f"{name}\t{numbers}")
    write_atomic(path, "\n".join(lines) + "\n")


def _read_ptseries(scan: Scan, wanted: Sequence[str] | None) -> TimeSeries:
    header = read_cifti_header(scan.path, form="ptseries")
    values = read_matrix_values(header).T
    # Tools fill parcels without data with 0, which is no signal.
    empty = (values == 0.0).all(axis=0) | ~np.isfinite(values).all(axis=0)
    return TimeSeries(
        signal=np.where(empty, np.nan, values),
        kept=np.ones(len(values), dtype=bool),
        parcels=_settle_names(scan.path, parcel_names(header), header.n_rows, wanted),
        repetition_time_s=scan.repetition_time_s or header.repetition_time_s,
    )


def _is_index_name(name: str) -> bool:
    return name.lower() in _INDEX_NAMES


def _has_index(names: Sequence[str], values: FloatArray, wanted: Sequence[str] | None) -> bool:
    """Tell whether the first column counts frames (or seconds) instead of holding a signal."""
    if len(names) < 2 or values.shape[0] < 2:
        return False
    expected = wanted is not None and list(names[1:]) == wanted
    if not (_is_index_name(names[0]) or expected):
        return False
    steps = np.diff(values[:, 0])
    return bool(steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-3))


def _index_reason(path: Path, header: Sequence[str] | None) -> str:
    name = header[0] if header else ""
    return f"{path.name}: the first column ({name!r}) counts frames and is left out"


def _settle_names(
    path: Path, names: Sequence[str] | None, n_columns: int, wanted: Sequence[str] | None
) -> pd.Index:
    """Return the parcels' names, from the file or from the atlas, and refuse contradictions."""
    if names is not None and (wanted is None or not counts_up(names)):
        found = list(names)
    elif wanted is None:
        raise InputError(
            f"{path}: the file names no parcels; set [atlas] table in the study file to a table "
            f"of its {n_columns} parcels in the order of the columns"
        )
    else:
        found = (
            list(wanted) if len(wanted) == n_columns else [f"column {i}" for i in range(n_columns)]
        )
    if wanted is not None and found != wanted:
        raise InputError(_first_difference(path, found, wanted))
    if "" in found:
        raise InputError(
            f"{path}: column {found.index('') + 1} has no name; name every parcel, or none"
        )
    twice = pd.Index(found)[pd.Index(found).duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: {len(twice)} parcel names stand more than once, first {twice[0]!r}; "
            "give each column a name of its own"
        )
    return pd.Index(found, dtype="object", name="parcel")


def _first_difference(path: Path, found: Sequence[str], wanted: Sequence[str]) -> str:
    if len(found) != len(wanted):
        return (
            f"{path}: {len(found)} parcels where the atlas has {len(wanted)}; "
            "name the atlas that these files were made with"
        )
    at = next(i for i, (a, b) in enumerate(zip(found, wanted, strict=True)) if a != b)
    other_order = sorted(found) == sorted(wanted)
    advice = (
        "the same parcels stand in another order: write the files in atlas order"
        if other_order
        else "name the atlas that these files were made with"
    )
    return f"{path}: parcel {at + 1} is {found[at]!r} where the atlas has {wanted[at]!r}; {advice}"


def _square(text: NumberText, *, infinite: bool) -> tuple[Sequence[str] | None, FloatArray]:
    """Return the names (or None) and the numbers of a square table."""
    lines = text.data.split(b"\n")[text.first_row - 1 :]
    names: Sequence[str] | None = text.header
    if names is not None and len(split_cells(lines[0], text.separator)) == len(names) + 1:
        # R's write.table leaves out the corner.
        text = text._replace(header=("", *names), n_cells=text.n_cells + 1)
        names = text.header
    firsts = ((line.lstrip(b" ").split(text.separator, 1) or [b""])[0] for line in lines)
    row_names = split_cells(b"\t".join(firsts), b"\t")
    if names is None or not _names_rows(names[0], row_names):
        values = parse_numbers(text, infinite=infinite)
    else:
        names = names[1:]
        values = parse_numbers(text, skip=1, infinite=infinite)
    if values.shape[0] != values.shape[1] or not values.size:
        raise InputError(
            f"{text.path}: a matrix must be square; this one has {values.shape[0]} rows and "
            f"{values.shape[1]} columns of numbers"
        )
    if names is not text.header and names is not None and not counts_up(row_names):
        for at, (row, column) in enumerate(zip(row_names, names, strict=True), start=2):
            if row != column:
                raise InputError(
                    f"{text.path}: row {at} is named {row!r} but column {at} {column!r}; rows and "
                    "columns must name the same parcels in the same order"
                )
    return names, values


def _names_rows(corner: str, row_names: Sequence[str]) -> bool:
    """Tell whether the first column names the rows."""
    return corner.lower() in _CORNERS or not all(is_number(name) for name in row_names)
