"""A study as jobs of SLURM: an array of tasks for the participant level, and the group level after it."""

from __future__ import annotations

import math
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from connectrial.cluster.queue import cancel, queued, submit_job
from connectrial.cluster.recording import Request, note_request
from connectrial.cluster.settings import ClusterSettings
from connectrial.cluster.status import RunState, look, submissions
from connectrial.errors import InputError
from connectrial.io.files import write_atomic
from connectrial.io.folders import check_folder, claim_folder
from connectrial.io.locks import claimed
from connectrial.io.provenance import write_json
from connectrial.plan import Plan
from connectrial.run.memory import need_bytes
from connectrial.run.session_jobs import session_jobs

_GB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What was handed to the cluster; None where nothing had to be."""

    array: str | None
    n_tasks: int
    group: str | None
    people: tuple[str, ...]
    state: RunState
    folder: Path | None

    def lines(self) -> list[str]:
        """Say it in words."""
        if self.group is None:
            return [*self.state.lines(), "Nothing to submit."]
        said = []
        if self.array is not None:
            tasks = f"{self.n_tasks} task{'s' if self.n_tasks > 1 else ''}"
            people = (
                f"{len(self.people)} of {len({one.subject for one in self.state.sessions})} people"
            )
            said.append(f"Submitted job {self.array}: {tasks} for {people}")
        after = " after them" if self.array is not None else ""
        said.append(f"Submitted job {self.group}: the group level{after}")
        return [*said, f"Scripts and logs: {self.folder}", "How it stands: connectrial status OUT"]


def submit_study(
    request: Request, out: Path, settings: ClusterSettings, *, identifiers: str = "codes"
) -> Submitted:
    """Write and submit the jobs of everybody who is not done, and the group level behind them.

    Parameters
    ----------
    request : Request
        The study, and what shapes its plan.
    out : Path
        Folder for results and for the jobs' scripts and logs (``logs/slurm``); nodes must see it,
        the study and its data under the same paths.
    settings : ClusterSettings
        What each job asks for.
    identifiers : {"codes", "keep"}
        As of ``connectrial run``.

    Returns
    -------
    Submitted

    Raises
    ------
    InputError
        The study cannot be run as declared, the folder is somebody else's, or the cluster refuses.
    MachineError
        Somebody is at work on the same people, or the cluster does not answer.
    """
    plan = request.plan(out)
    if plan.problems:
        raise InputError(plan.problems)
    check_folder(out)
    state = look(plan, out)
    people = _to_do(state)
    busy = {one.subject for one in state.sessions if one.state in ("running", "waiting")}
    needs_group = bool(people) or state.group in ("failed", "missing")
    with claimed(out, people={*people, "(submitting)"}):
        claim_folder(out, simulated=plan.simulated, study=plan.study.study.name, whole=False)
        write_json(out / "plan.json", plan.as_plain())
        note_request(out, request)
        if not needs_group:
            return Submitted(array=None, n_tasks=0, group=None, people=(), state=state, folder=None)
        earlier = submissions(out)
        folder = out.absolute() / "logs" / "slurm" / str(len(earlier) + 1)
        tasks = _cut(people, settings)
        array = None
        if tasks:
            lines = "".join(",".join(one) + "\n" for one in tasks)
            write_atomic(folder / "tasks.txt", lines)
            script = _participants_script(plan, request, out, settings, folder, tasks)
            array = submit_job(write_atomic(folder / "participants.sh", script), ())
            # Noted at once: were this process killed now, the tasks would still be known.
            _note(folder, array, tasks, None)
        after = _arrays_under_way(earlier, busy) + ([array] if array else [])
        script = _group_script(request, out, settings, folder, identifiers)
        options = (
            [f"--dependency=afterok:{':'.join(after)}", "--kill-on-invalid-dep=yes"]
            if after
            else []
        )
        group = submit_job(write_atomic(folder / "group.sh", script), options)
        _note(folder, array, tasks, group)
    return Submitted(
        array=array,
        n_tasks=len(tasks),
        group=group,
        people=tuple(people),
        state=state,
        folder=folder,
    )


def _to_do(state: RunState) -> list[str]:
    """Name the people of whom a session failed or is missing and none is under way."""
    busy = {one.subject for one in state.sessions if one.state in ("running", "waiting")}
    wanted = [one.subject for one in state.sessions if one.state in ("failed", "missing")]
    return [name for name in dict.fromkeys(wanted) if name not in busy]


def _cut(people: Sequence[str], settings: ClusterSettings) -> list[tuple[str, ...]]:
    size = settings.people_per_task or math.ceil(len(people) / settings.max_tasks) or 1
    return [tuple(people[start : start + size]) for start in range(0, len(people), size)]


def _arrays_under_way(earlier: Sequence[object], busy: set[str]) -> list[str]:
    """Return arrays of earlier submissions that still run, and take back group jobs behind them."""
    if not earlier:
        return []
    states = queued()
    running = []
    for one in earlier:
        array, group = getattr(one, "array", None), getattr(one, "group", None)
        if group in states and states[group] == "waiting":
            cancel(group)
        if busy and array and any(number.split("_")[0] == array for number in states):
            running.append(array)
    return running


def _note(
    folder: Path, array: str | None, tasks: Sequence[tuple[str, ...]], group: str | None
) -> None:
    content = {"array": array, "tasks": [list(one) for one in tasks], "group": group}
    write_json(folder / "jobs.json", content)


def _participants_script(
    plan: Plan,
    request: Request,
    out: Path,
    settings: ClusterSettings,
    folder: Path,
    tasks: Sequence[tuple[str, ...]],
) -> str:
    memory_gb = settings.memory_gb or _estimate_gb(plan, out, settings.cores)
    head = _head(
        settings,
        name="scans",
        log=folder / "participants-%a.log",
        cores=settings.cores,
        memory_gb=memory_gb,
        walltime=settings.walltime,
    )
    head.append(f"#SBATCH --array=0-{len(tasks) - 1}")
    command = [*_command(request, out), "--level", "participant", "--n-jobs", str(settings.cores)]
    line = (
        f'people=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(folder / "tasks.txt"))})'
    )
    run = f'exec {shlex.join(command)} --participant-label "$people"'
    return "\n".join([*head, *settings.setup, line, run, ""])


def _group_script(
    request: Request, out: Path, settings: ClusterSettings, folder: Path, identifiers: str
) -> str:
    head = _head(
        settings,
        name="group",
        log=folder / "group.log",
        cores=settings.group_cores,
        memory_gb=settings.group_memory_gb,
        walltime=settings.group_walltime,
    )
    command = [*_command(request, out), "--level", "group", "--identifiers", identifiers]
    return "\n".join([*head, *settings.setup, f"exec {shlex.join(command)}", ""])


def _command(request: Request, out: Path) -> list[str]:
    module = [sys.executable, "-m", "connectrial"]
    return [*module, "run", request.study, str(out.absolute()), *request.arguments()]


def _head(
    settings: ClusterSettings, *, name: str, log: Path, cores: int, memory_gb: float, walltime: str
) -> list[str]:
    # SLURM reads these lines itself: a blank in a path must be quoted there, too.
    lines = [
        "#!/bin/bash",
        f"#SBATCH --job-name=connectrial-{name}",
        f'#SBATCH --output="{log}"',
        f"#SBATCH --cpus-per-task={cores}",
    ]
    lines += [f"#SBATCH --mem={math.ceil(memory_gb * 1024)}M"] if memory_gb else []
    for option, value in (
        ("time", walltime),
        ("partition", settings.partition),
        ("account", settings.account),
    ):
        lines += [f"#SBATCH --{option}={value}"] if value else []
    return [*lines, *(f"#SBATCH {option}" for option in settings.options)]


def _estimate_gb(plan: Plan, out: Path, cores: int) -> float:
    """Estimate a task's memory from the largest session, for each of its processes and the parent."""
    largest = max((need_bytes(job) for job in session_jobs(plan, out)), default=_GB)
    return (largest * max(cores, 1) + _GB / 2) / _GB
