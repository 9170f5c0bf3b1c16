"""Processes that draw sections beside this one, started before there is anything to draw.

A process needs seconds until its libraries are loaded: as long as the results are read, and names in
them replaced by codes, in the process that asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor

_MOST_PROCESSES = 4  # more would each load their libraries for a section or two
#: What nearly every page takes.
_LIBRARIES = (
    "connectrial.report.building",
    "connectrial.figures.palette",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
    "altair",
)


@contextmanager
def drawing_processes(n_jobs: int) -> Iterator[tuple[Executor, ...]]:
    """Start processes for sections, one pool for each, and let them load their libraries.

    Parameters
    ----------
    n_jobs : int
        Processes, this one included; -1 takes all cores.

    Yields
    ------
    tuple of concurrent.futures.Executor
        Each with one process, so that one can be told what to keep; empty where `n_jobs` is 1.
    """
    wanted = min(_count(n_jobs), _MOST_PROCESSES) - 1
    if wanted < 1:
        yield ()
        return
    from joblib.externals.loky import ProcessPoolExecutor

    pools = tuple(ProcessPoolExecutor(max_workers=1) for _ in range(wanted))
    try:
        for pool in pools:
            pool.submit(_load, _LIBRARIES)
        yield pools
    finally:
        for pool in pools:
            pool.shutdown(wait=False)  # to wait for processes to end takes two seconds


def _load(libraries: tuple[str, ...]) -> None:
    for name in libraries:
        import_module(name)


def _count(n_jobs: int) -> int:
    if n_jobs != -1:
        return n_jobs
    from joblib import cpu_count

    return int(cpu_count())
