"""Spreading sessions over processes of this machine, or over the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from connectrial.data import Atlas
from connectrial.errors import MachineError
from connectrial.run.memory import fitting_workers
from connectrial.run.participant import Progress, process_session
from connectrial.run.session_jobs import SessionJob, SessionOutcome
from connectrial.study import Study

_STEP = "scans to FC"
#: How often a cluster may lose the worker of one session before the run gives up.
_LOST_WORKERS = 5
#: How long a cluster's scheduler may take to answer.
_ANSWER_S = 20


def spread_sessions(
    jobs: Sequence[SessionJob],
    *,
    n_jobs: int,
    scheduler: str | None,
    progress: Progress,
    say: Callable[[str], None],
) -> list[SessionOutcome]:
    """Make all sessions, one BLAS thread each; the order stays.

    Parameters
    ----------
    jobs : sequence of SessionJob
        The sessions.
    n_jobs : int
        Processes of this machine, fewer where memory is short; -1 takes all cores.
    scheduler : str, optional
        Address of a Dask scheduler, whose workers see the same folders; `n_jobs` then says nothing.
    progress : callable
        Called with (step, done, total).
    say : callable
        Told what a person should know.

    Returns
    -------
    list of SessionOutcome

    Raises
    ------
    MachineError
        A worker was killed, the disk is full, or the scheduler does not answer.
    """
    if scheduler is not None:
        with _dask(scheduler):
            return _gather(jobs, {}, progress)
    wanted = _cores() if n_jobs == -1 else n_jobs
    n_workers, note = fitting_workers(jobs, min(wanted, len(jobs)))
    if note:
        say(note)
    if n_workers <= 1 or len(jobs) < 2:
        from threadpoolctl import threadpool_limits

        outcomes: list[SessionOutcome] = []
        with threadpool_limits(1):
            for job in jobs:
                outcomes.append(process_session(job))
                progress(_STEP, len(outcomes), len(jobs))
        return outcomes
    with _said_plainly():
        return _gather(jobs, {"n_jobs": n_workers, "batch_size": "auto"}, progress)


def _cores() -> int:
    from joblib import cpu_count

    return int(cpu_count())


def _gather(
    jobs: Sequence[SessionJob], options: dict[str, Any], progress: Progress
) -> list[SessionOutcome]:
    from joblib import Parallel, delayed

    outcomes: list[SessionOutcome] = []
    shared = ("atlas", "study")  # the same for all: a cluster gets them once
    own = [one.name for one in fields(SessionJob) if one.name not in shared]
    calls = (
        delayed(_process_alone)(
            {name: getattr(job, name) for name in own}, atlas=job.atlas, study=job.study
        )
        for job in jobs
    )
    with Parallel(return_as="generator", **options) as pool:
        for outcome in pool(calls):
            outcomes.append(outcome)
            progress(_STEP, len(outcomes), len(jobs))
    return outcomes


def _process_alone(own: dict[str, Any], *, atlas: Atlas, study: Study) -> SessionOutcome:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return process_session(SessionJob(**own, atlas=atlas, study=study))


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Turn the death of a worker process into one message."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        raise MachineError(
            "a worker process was killed, most often by the system because memory ran out; what is "
            "done is kept: give the same command again with fewer --n-jobs, or on a machine with more "
            "memory"
        ) from error


@contextmanager
def _dask(address: str) -> Iterator[None]:
    """Let joblib send its work to a Dask cluster."""
    try:
        from distributed import KilledWorker
    except ImportError:
        raise MachineError(
            "--scheduler: needs Dask, which is not installed; pip install 'connectrial[cluster]'"
        ) from None
    import dask
    from joblib import parallel_config

    try:
        client: Any = _client(address)
    except (OSError, ValueError, TimeoutError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MachineError(
            f"--scheduler: {address!r} does not answer ({reason}); give the address that "
            "dask scheduler prints, such as tcp://10.0.0.1:8786"
        ) from error
    try:
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": _LOST_WORKERS}),
            client.as_current(),
            parallel_config(backend="dask"),
        ):
            yield
    except KilledWorker as error:
        raise MachineError(
            f"the cluster lost {_LOST_WORKERS} workers over one and the same session, most often because "
            "memory ran out there; what is done is kept: give the same command again with more memory "
            "for each worker"
        ) from error
    finally:
        client.close()


def _client(address: str) -> Any:  # noqa: ANN401 - Dask has no types
    import distributed

    make: Any = distributed.Client
    return make(address, timeout=_ANSWER_S, set_as_default=False)
