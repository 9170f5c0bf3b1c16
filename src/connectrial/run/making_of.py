"""What a session's files are made from, part by part, and what of it changed since they were made."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from connectrial._version import __version__
from connectrial.data import Atlas, Scan
from connectrial.fc.places import parcel_centroids
from connectrial.io.provenance import digest_bytes, digest_file, digest_plain, is_current, read_json
from connectrial.run.session_jobs import SessionJob

_SECTIONS = ("motion", "coverage", "denoising", "connectivity")
#: Parts that follow from others: named only where nothing else changed.
_FOLLOWING = ("kept frames", "framewise displacement")


def parts_of(job: SessionJob) -> dict[str, str]:
    """List everything that a session's matrix depends on.

    Parameters
    ----------
    job : SessionJob
        The session.

    Returns
    -------
    dict of str to str
        Names as a person knows them, such as ``confounds`` or ``[denoising]``, with a hash or a
        short value each; parts of a run are called ``confounds: NAME``.

    Raises
    ------
    InputError
        A source file cannot be read.
    """
    parts = {"version": __version__, "[data] values": str(job.study.data.values)}
    for key in _SECTIONS:
        section = getattr(job.study, key)
        if section is not None:
            parts[f"[{key}]"] = digest_plain(section.model_dump(mode="json"))
    if job.study.quality.carpets:
        parts["carpets"] = "drawn"
    if job.subcortex:
        places = parcel_centroids(job.atlas)
        parts["subcortical parcels"] = digest_plain(
            [list(job.subcortex), digest_bytes(places.tobytes())]
        )
    parts["atlas"] = _digest_atlas(job)
    parts["simulated"] = str(job.simulated)
    for number, (scan, kept, fd_mm) in enumerate(zip(job.scans, job.kept, job.fd_mm, strict=True)):
        run = f"{number + 1} {scan.name}"
        files = _files(scan)
        parts |= {f"{what}: {run}": digest_file(path) for what, path in files.items()}
        parts[f"repetition time: {run}"] = str(scan.repetition_time_s)
        if kept is not None:
            parts[f"kept frames: {run}"] = digest_bytes(np.packbits(kept).tobytes())
        if fd_mm is not None:
            parts[f"framewise displacement: {run}"] = digest_bytes(fd_mm.tobytes())
    return parts


def _files(scan: Scan) -> dict[str, Path]:
    files = {"scan": scan.path}
    if scan.kind == "image":
        beside = {"right hemisphere": scan.right, "confounds": scan.confounds, "mask": scan.mask}
        files |= {what: path for what, path in beside.items() if path is not None}
    return files


def _digest_atlas(job: SessionJob) -> str:
    """Hash the parcels' names, where labels and spheres lie, and what shared voxels do."""
    atlas = job.atlas
    labels = atlas.labels
    parts = [
        "\n".join(map(str, atlas.parcels.index)).encode(),
        b"" if labels is None else labels.tobytes(),
        b"" if atlas.affine is None else atlas.affine.tobytes(),
        _rows_bytes(atlas),
    ]
    if atlas.is_sphere.any():
        columns = ["x_mm", "y_mm", "z_mm", "radius_mm"]
        places = atlas.parcels[columns].to_numpy(dtype=np.float64)
        parts += [places.tobytes(), job.study.atlas.overlap.encode()]
    return digest_plain([digest_bytes(one) for one in parts])


def _rows_bytes(atlas: Atlas) -> bytes:
    rows = atlas.grayordinates
    if rows is None or atlas.row_labels is None:
        return b""
    arrays = (atlas.row_labels, rows.structure, rows.vertex, rows.voxel)
    return b"".join(one.tobytes() for one in arrays) + repr(rows.structures).encode()


def hash_of(parts: Mapping[str, str]) -> str:
    """Hash the parts that something is made from."""
    return digest_plain(dict(parts))


def made_from(job: SessionJob) -> str:
    """Hash everything that a session's matrix depends on.

    Raises
    ------
    InputError
        A source file cannot be read.
    """
    return hash_of(parts_of(job))


def finished(job: SessionJob, key: str) -> dict[str, Any] | None:
    """Return the sidecar of a session that is done already, by these settings from these files."""
    known = is_current(job.sidecar, job.matrix, made_from=key)
    if known is None or not isinstance(known.get("Files"), dict):
        return None
    return known if not _altered(job, known) else None


def _altered(job: SessionJob, known: Mapping[str, Any]) -> list[str]:
    """Name the files of a session that are gone or no longer what was written."""
    altered = []
    for name, digest in {job.matrix.name: known.get("ContentHash"), **known["Files"]}.items():
        path = job.folder / name
        if not path.is_file() or digest_file(path) != digest:
            altered.append(Path(name).name)
    return altered


def digest_files(job: SessionJob, written: list[Path]) -> dict[str, str]:
    """Identify what was written beside a session's matrix, by name from its folder."""
    return {
        Path(os.path.relpath(path, job.folder)).as_posix(): digest_file(path) for path in written
    }


def why_made(job: SessionJob, parts: Mapping[str, str]) -> str:
    """Say why a session is made (again).

    Parameters
    ----------
    job : SessionJob
        The session.
    parts : mapping
        What it is to be made from now.

    Returns
    -------
    str
        Such as ``new``, ``confounds changed`` or ``version 0.1 is now 0.2``.
    """
    known = read_json(job.sidecar)
    if known is None:
        return "new" if not job.matrix.exists() else "broken off before"
    before = known.get("MadeFrom")
    if not isinstance(before, dict) or not isinstance(known.get("Files"), dict):
        return "made by an older version"
    changed = what_changed(before, parts)
    if changed:
        return changed
    altered = _altered(job, known)
    return f"{', '.join(altered)} lost or altered" if altered else "made again"


def what_changed(before: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Put the difference of two lists of parts into words; "" where there is none."""
    said: dict[str, None] = {}
    names = [*now, *(name for name in before if name not in now)]
    for name in names:
        if before.get(name) == now.get(name):
            continue
        word = name.partition(": ")[0]
        if word == "version":
            said[f"version {before.get(name)} is now {now.get(name)}"] = None
        elif name not in before:
            said[f"{word} added" if word == "scan" else f"{word} changed"] = None
        elif name not in now:
            said[f"{word} taken away" if word == "scan" else f"{word} changed"] = None
        else:
            said[f"{word} changed"] = None
    follow = [f"{word} changed" for word in _FOLLOWING]
    first = [one for one in said if one not in follow]
    return ", ".join(first or said)
