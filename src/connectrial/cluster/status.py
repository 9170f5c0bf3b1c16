"""What is done of a run, what failed and why, what is under way, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from connectrial.cluster.queue import has_slurm, queued
from connectrial.errors import ConnectrialError
from connectrial.io.provenance import read_json
from connectrial.plan import Plan
from connectrial.run.group_parts import earlier_results, group_parts, told_change
from connectrial.run.participant import known_outcome
from connectrial.run.running import software_versions
from connectrial.run.session_jobs import SessionJob, session_jobs
from connectrial.run.telling import grouped
from connectrial.run.variants import variant_jobs

State = Literal["done", "failed", "running", "waiting", "missing"]
STATES: tuple[State, ...] = ("done", "failed", "running", "waiting", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionState:
    """How it stands with one session, and why."""

    subject: str
    session: str
    state: State
    why: str = ""

    @property
    def name(self) -> str:
        """Return the session's name."""
        return f"sub-{self.subject}" + (f" ses-{self.session}" if self.session else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """How it stands with a run.

    Attributes
    ----------
    sessions : tuple of SessionState
        In the order of the plan.
    group : str
        State of the group level.
    group_why : str
        Why it is in that state.
    notes : tuple of str
        What a reader must know.
    """

    sessions: tuple[SessionState, ...]
    group: State
    group_why: str = ""
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Say it in words: counts, then every session that is not done and why."""
        counts = Counter(one.state for one in self.sessions)
        shown = [f"{counts[state]} {state}" for state in STATES if counts[state]]
        said = [f"sessions: {', '.join(shown) or 'none'} of {len(self.sessions)}"]
        for state in STATES[1:]:
            mine = [(one.why, one.name) for one in self.sessions if one.state == state]
            said += [f"  {state}: {line.strip()}" for line in grouped(mine)]
        said.append(
            f"group level: {self.group}" + (f" ({self.group_why})" if self.group_why else "")
        )
        return [*said, *self.notes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """One job array with its group job, as ``submit`` noted it."""

    folder: Path
    array: str | None
    tasks: tuple[tuple[str, ...], ...]
    group: str | None


def submissions(out: Path) -> list[Submission]:
    """List what was submitted into a folder, oldest first."""
    found = []
    for path in (out / "logs" / "slurm").glob("*/jobs.json"):
        known = read_json(path)
        if known is not None and path.parent.name.isdigit():
            found.append(
                Submission(
                    folder=path.parent,
                    array=known.get("array"),
                    tasks=tuple(tuple(map(str, one)) for one in known.get("tasks", ())),
                    group=known.get("group"),
                )
            )
    return sorted(found, key=lambda one: int(one.folder.name))


def look(plan: Plan, out: Path) -> RunState:
    """Tell how it stands with a plan's run in a folder.

    Parameters
    ----------
    plan : Plan
        Of the whole study.
    out : Path
        The run's folder.

    Returns
    -------
    RunState
        ``done`` is what this plan made from the files as they are now; anything else is stale and
        counts as missing.
    """
    sent = submissions(out)
    notes: list[str] = []
    states: Mapping[str, str] = {}
    if sent and has_slurm():
        states = queued()
    elif sent:
        notes.append("SLURM cannot be asked from here: what is under way is not known")
    tasks = _tasks(sent)
    sessions = [_state_of(job, tasks, states) for job in session_jobs(plan, out)]
    for variant in variant_jobs(plan, out):
        found = (_state_of(job, tasks, states) for job in variant.jobs)
        sessions += [
            replace(one, session=f"{one.session}, variant {variant.name}".removeprefix(", "))
            for one in found
        ]
    group, why = _group_state(plan, out, sessions, sent, states)
    return RunState(sessions=tuple(sessions), group=group, group_why=why, notes=tuple(notes))


def _tasks(sent: Sequence[Submission]) -> dict[str, tuple[str, Path]]:
    """Return each person's latest task, and its log."""
    found: dict[str, tuple[str, Path]] = {}
    for one in sent:
        for number, people in enumerate(one.tasks):
            log = one.folder / f"participants-{number}.log"
            found |= dict.fromkeys(people, (f"{one.array}_{number}", log))
    return found


def _state_of(
    job: SessionJob, tasks: Mapping[str, tuple[str, Path]], states: Mapping[str, str]
) -> SessionState:
    def named(state: State, why: str = "") -> SessionState:
        return SessionState(subject=job.subject, session=job.session, state=state, why=why)

    try:
        known = known_outcome(job)
    except ConnectrialError as error:
        return named("failed", "; ".join(error.problems))
    if known is not None:
        return named("done") if known.sidecar is not None else named("failed", known.reason)
    if job.subject not in tasks:
        stale = job.sidecar.exists()
        return named("missing", "made from something else: out of date" if stale else "")
    task, log = tasks[job.subject]
    if states.get(task) == "running":
        return named("running", f"task {task}")
    if states.get(task) == "waiting":
        return named("waiting", f"task {task}")
    return named("failed", f"task {task} ended without it{_last_words(log)}")


def _last_words(log: Path) -> str:
    """Return the end of what a task said."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        return ""
    words = [line.strip() for line in lines if line.strip()]
    return f": {words[-1][:200]} ({log.name})" if words else f" ({log.name} is empty)"


def _group_state(
    plan: Plan,
    out: Path,
    sessions: Sequence[SessionState],
    sent: Sequence[Submission],
    states: Mapping[str, str],
) -> tuple[State, str]:
    stale = ""
    if (out / "group" / "results.json").exists():
        earlier = earlier_results(out)
        settled = {"done", "failed"} >= {one.state for one in sessions}
        outcomes = [known_outcome(job) for job in session_jobs(plan, out)] if settled else [None]
        if None not in outcomes:
            variants = {
                variant.name: [one for job in variant.jobs if (one := known_outcome(job))]
                for variant in variant_jobs(plan, out)
            }
            known = [one for one in outcomes if one]
            parts = group_parts(plan, known, software_versions(), variants=variants)
            if earlier.stands(parts):
                return "done", ""
            stale = earlier.why_not or told_change(earlier.parts, parts)
        else:
            stale = "sessions are to be made first"
        stale = f"out of date: {stale}"
    numbers = [one.group for one in sent if one.group is not None]
    if numbers and numbers[-1] in states:
        waiting = states[numbers[-1]] == "waiting"
        return ("waiting" if waiting else "running"), f"job {numbers[-1]}"
    if numbers:
        log = sent[-1].folder / "group.log"
        said = (
            _last_words(log) if log.exists() else ": it never began, because tasks before it failed"
        )
        return "failed", f"job {numbers[-1]} ended without it{said}"
    return "missing", stale
