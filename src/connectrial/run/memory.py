"""What a worker will need of memory, what there is, and how many workers that allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from connectrial.errors import ConnectrialError
from connectrial.io.cifti import is_cifti, read_cifti_header
from connectrial.io.nifti import read_header

if TYPE_CHECKING:
    from connectrial.run.session_jobs import SessionJob

_MB = 1024**2
#: A worker that has imported what it needs, and nothing more (measured: 160 and 300 MB).
_EMPTY_BYTES = {"image": 400 * _MB, "time series": 250 * _MB, "matrix": 250 * _MB}
_CARPET_BYTES = 150 * _MB
#: Copies of a table of numbers that are alive at once while it is read, cleaned and correlated.
_COPIES = 6
#: Share of what is free that workers may take together; the rest is for everybody else.
_SHARE = 0.9


def need_bytes(job: SessionJob) -> int:
    """Estimate the peak memory of a process that makes one session.

    Parameters
    ----------
    job : SessionJob
        Its files are looked at, not read: sizes, and headers of images.

    Returns
    -------
    int
        Bytes, on the safe side.
    """
    n_parcels = len(job.atlas.parcels)
    labels = job.atlas.labels
    need = _EMPTY_BYTES[job.scans[0].kind]
    need += _COPIES * 8 * n_parcels**2 + (0 if labels is None else 2 * labels.nbytes)
    need += _CARPET_BYTES if job.carpets else 0
    whole = any(one.measure == "gbc" for one in job.maps)
    runs = [_run_bytes(job, number, n_parcels, whole=whole) for number in range(len(job.scans))]
    # All runs of a session stay until they are joined, but one at a time is being read.
    return need + max(runs, default=0) + sum(runs) // 2


def _run_bytes(job: SessionJob, number: int, n_parcels: int, *, whole: bool) -> int:
    scan = job.scans[number]
    try:
        if scan.kind != "image":
            return _COPIES * scan.path.stat().st_size
        if scan.right is not None:
            return _COPIES * (scan.path.stat().st_size + scan.right.stat().st_size)
        if is_cifti(scan.path):
            header = read_cifti_header(scan.path, form="dtseries")
            n_frames, n_places = header.n_columns, header.n_rows
        else:
            volume = read_header(scan.path, n_dimensions=4)
            n_frames, (i, j, k) = volume.n_frames, volume.shape[:3]
            n_places = i * j * k
    except (ConnectrialError, OSError, ValueError):
        return 0  # the worker that reads it will say what is wrong with it
    # Running sums of every place, a block of frames, the parcels' series; all of it for gbc.
    need = 10 * 8 * n_places + 64 * _MB + _COPIES * 8 * n_frames * n_parcels
    return need + (2 * 4 * n_places * n_frames if whole else 0)


def free_bytes() -> int | None:
    """Return how much memory this process and its workers may still take; None where unknown.

    The least of what the machine has free, what a container's or a job's control group leaves, and
    what SLURM granted.
    """
    known = [one for one in (_machine_free(), _group_free(), _slurm_granted()) if one is not None]
    return min(known) if known else None


def _machine_free() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(one.split()[1]) for one in lines if one.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):
        return None


def _group_free(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> int | None:
    """Return what the limits of this process's control groups leave, the tightest of them."""
    try:
        lines = own.read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    found = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory") and "memory" not in controllers.split(","):
            continue
        base = root if controllers == "" else root / "memory"
        names = ("memory.max", "memory.current") if controllers == "" else (
            "memory.limit_in_bytes", "memory.usage_in_bytes")  # fmt: skip
        folder = base / path.lstrip("/")
        for one in (folder, *folder.parents):
            limit, used = (_number(one / name) for name in names)
            # Version 1 of control groups writes a huge number where there is no limit.
            if limit is not None and limit < 1 << 60:
                found.append(max(0, limit - (used or 0)))
            if one == base:
                break
    return min(found) if found else None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):  # "max" is no limit
        return None


def _slurm_granted() -> int | None:
    try:
        return int(os.environ["SLURM_MEM_PER_NODE"]) * _MB
    except (KeyError, ValueError):
        pass
    try:
        per_cpu, n_cpus = os.environ["SLURM_MEM_PER_CPU"], os.environ["SLURM_CPUS_ON_NODE"]
        return int(per_cpu) * int(n_cpus) * _MB
    except (KeyError, ValueError):
        return None


def fitting_workers(jobs: Sequence[SessionJob], n_workers: int) -> tuple[int, str]:
    """Take as many workers as memory allows.

    Parameters
    ----------
    jobs : sequence of SessionJob
        All of them; the largest counts.
    n_workers : int
        As many as are wanted.

    Returns
    -------
    n_workers : int
        1 to what was wanted.
    note : str
        What was decided and why; "" where nothing had to be.
    """
    free = free_bytes()
    if free is None or not jobs:
        return n_workers, ""
    needs = [need_bytes(job) for job in jobs]
    largest = max(needs)
    job = jobs[needs.index(largest)]
    fit = int(_SHARE * free // largest)
    name = f"sub-{job.subject}" + (f" ses-{job.session}" if job.session else "")
    facts = f"about {_shown(largest)} each (the largest is {name}), {_shown(free)} free"
    if fit < 1:
        return 1, f"memory is short even for 1 worker: {facts}; going on with 1"
    if fit < n_workers:
        return fit, f"{fit} workers instead of {n_workers}, so that memory suffices: {facts}"
    return n_workers, ""


def _shown(n_bytes: int) -> str:
    gb = n_bytes / 1024**3
    return f"{gb:.1f} GB" if gb >= 1 else f"{n_bytes / _MB:.0f} MB"
