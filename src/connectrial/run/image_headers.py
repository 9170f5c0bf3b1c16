"""What the headers of images say: frames, repetition time, and whether the atlas fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from connectrial.data import Atlas, Scan
from connectrial.errors import InputError
from connectrial.io.cifti import is_cifti, read_cifti_header
from connectrial.io.grayordinate_images import check_form
from connectrial.io.nifti import read_header
from connectrial.io.surfaces import STRUCTURES, read_surface_header
from connectrial.study import Study

Meshes = Sequence[tuple[str, int]] | None


def read_image_headers(
    study: Study,
    scans: Sequence[Scan],
    atlas: Atlas | None,
    *,
    unusable: dict[str, str],
    problems: list[str],
    notes: list[str],
) -> tuple[Scan, ...]:
    """Count the frames of images, and put aside those that the atlas does not fit.

    Parameters
    ----------
    study : Study
        For the repetition time that it may state.
    scans : sequence of Scan
        Of kind "image".
    atlas : Atlas or None
        The atlas that they will be read with.
    unusable : dict
        Gets the reason of every scan that cannot be used, by name.
    problems : list of str
        Gets one message if the atlas fits none of the scans.
    notes : list of str
        Gets one about runs whose repetition time is nowhere stated.

    Returns
    -------
    tuple of Scan
        With frames and repetition time.
    """
    counted: list[Scan] = []
    misfits: dict[str, str] = {}
    for scan in scans:
        try:
            known, meshes = _header(study, scan)
        except InputError as error:
            unusable[scan.name] = within_line(error, scan.path)
            counted.append(scan)
            continue
        counted.append(known)
        reason = None if atlas is None else check_form(
            atlas, n_vertices=meshes, where=scan.path.name
        )  # fmt: skip
        if reason is not None:
            misfits[scan.name] = reason
    if misfits and len(misfits) == len(counted) - len(set(unusable) & {s.name for s in scans}):
        problems.append(f"[atlas]: fits none of the {len(misfits)} runs; {_first(misfits)}")
    else:
        unusable.update(misfits)
    timeless = [
        scan.name
        for scan in counted
        if scan.repetition_time_s is None and scan.name not in unusable
    ]
    if timeless:
        notes.append(
            f"neither sidecar nor header states the repetition time of {len(timeless)} runs "
            f"(first {timeless[0]}); [data] repetition_time_s gives it"
        )
    return tuple(counted)


def within_line(error: InputError, path: Path) -> str:
    """Shorten a file's message for the table of scans, which names the file already."""
    text = "; ".join(error.problems)
    return text.replace(f"{path}: ", "").replace(f"{path}", path.name)


def _first(misfits: dict[str, str]) -> str:
    return next(iter(misfits.values()))


def _header(study: Study, scan: Scan) -> tuple[Scan, Meshes]:
    """Return a scan with its frames and repetition time, and the meshes that it lies on."""
    meshes: Meshes
    if is_cifti(scan.path):
        cifti = read_cifti_header(scan.path, form="dtseries")
        n_frames, stated = cifti.n_columns, cifti.repetition_time_s
        meshes = tuple(cifti.n_vertices.items())
    elif scan.path.name.endswith(".gii"):
        n_frames, stated, meshes = _surface_header(scan)
    else:
        header = read_header(scan.path, n_dimensions=4)
        n_frames, stated, meshes = header.n_frames, header.repetition_time_s, None
    seconds = scan.repetition_time_s or study.data.repetition_time_s or stated
    return replace(scan, n_frames=n_frames, repetition_time_s=seconds), meshes


def _surface_header(scan: Scan) -> tuple[int, float | None, Meshes]:
    if scan.right is None:
        there, lacking = ("right", "left") if "hemi-R" in scan.path.name else ("left", "right")
        raise InputError(
            f"{scan.path}: only the {there} hemisphere is there; the file of the {lacking} one is "
            "missing"
        )
    headers = [read_surface_header(path) for path in (scan.path, scan.right)]
    if headers[0].n_frames != headers[1].n_frames:
        raise InputError(
            f"{scan.path}: {headers[0].n_frames} frames where the right hemisphere has "
            f"{headers[1].n_frames}"
        )
    meshes = tuple(
        (name, header.n_vertices) for name, header in zip(STRUCTURES, headers, strict=True)
    )
    return headers[0].n_frames, headers[0].repetition_time_s, meshes
