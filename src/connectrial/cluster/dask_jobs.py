"""Dask workers as jobs of a cluster, started for one run and gone with it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectrial.cluster.settings import ClusterSettings
from connectrial.errors import MachineError


@contextmanager
def worker_jobs(settings: ClusterSettings, *, logs: Path) -> Iterator[str]:
    """Start a Dask scheduler here and workers as SLURM jobs.

    Parameters
    ----------
    settings : ClusterSettings
        What each job of workers asks for; one worker per core, one thread each.
    logs : Path
        Folder for what the jobs say.

    Yields
    ------
    str
        The scheduler's address, for ``run_plan(scheduler=...)``.

    Raises
    ------
    MachineError
        Dask is not installed, or the scheduler cannot start.
    """
    try:
        import dask_jobqueue
    except ImportError:
        raise MachineError(
            "--cluster: needs Dask, which is not installed; pip install 'connectrial[cluster]'"
        ) from None
    # Importing Dask lets it tell every connection; whoever asked for no such words gets none.
    logging.getLogger("distributed").setLevel(logging.getLogger().getEffectiveLevel())
    memory_gb = settings.memory_gb or 4.0 * settings.cores
    options: dict[str, Any] = {
        "cores": settings.cores,
        "processes": settings.cores,
        "memory": f"{memory_gb:g}GB",
        "walltime": settings.walltime or None,
        "queue": settings.partition or None,
        "account": settings.account or None,
        "interface": settings.interface or None,
        "job_extra_directives": list(settings.options),
        "job_script_prologue": list(settings.setup),
        "python": sys.executable,
        "log_directory": str(logs),
    }
    make: Any = getattr(dask_jobqueue, "SLURMCluster")  # noqa: B009 - it has no types
    try:
        cluster = make(**{key: value for key, value in options.items() if value is not None})
    except (OSError, RuntimeError, ValueError) as error:
        raise MachineError(f"--cluster: Dask's scheduler cannot start ({error})") from error
    try:
        cluster.scale(jobs=settings.max_workers)
        yield str(cluster.scheduler_address)
    finally:
        cluster.close()
