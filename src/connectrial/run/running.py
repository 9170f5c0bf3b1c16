"""Running a plan from the first scan to the saved results."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from connectrial._version import __version__
from connectrial.errors import InputError
from connectrial.io.folders import check_folder, claim_folder
from connectrial.io.locks import claimed
from connectrial.io.outputs import load_results, save_results
from connectrial.io.provenance import write_json
from connectrial.plan import Plan
from connectrial.results import Results
from connectrial.run.group import analyse_group, require_all
from connectrial.run.group_parts import earlier_results, group_parts, told_change
from connectrial.run.participant import Progress, known_outcome
from connectrial.run.scan_files import scan_files
from connectrial.run.session_jobs import SessionJob, SessionOutcome, session_jobs
from connectrial.run.spreading import spread_sessions
from connectrial.run.telling import told_sessions
from connectrial.run.variants import VariantDone, variant_jobs, with_variants

__all__ = ["load_results", "plan_matches", "run_plan", "save_results"]

Level = Literal["participant", "group"]
_log = logging.getLogger(__name__)


def _quiet(step: str, done: int, total: int) -> None:
    """Take note of progress without saying anything."""


def run_plan(
    plan: Plan,
    output_dir: str | Path,
    *,
    n_jobs: int = 1,
    scheduler: str | None = None,
    level: Level | None = None,
    progress: Progress = _quiet,
    say: Callable[[str], None] = _log.info,
) -> Results | None:
    """Do what a plan says and save the results; what is done and current is not done again.

    Parameters
    ----------
    plan : Plan
        Without problems.
    output_dir : str or Path
        Where results go; a new folder or one of an earlier run.
    n_jobs : int
        Processes for the participant level; -1 takes all cores.
    scheduler : str, optional
        Address of a Dask scheduler whose workers see the same folders; they then do the
        participant level instead of `n_jobs` processes.
    level : {"participant", "group"}, optional
        Only that half; default both.
    progress : callable
        Called with (step, done, total).
    say : callable
        Told, a line at a time, what was made and why, and what was kept.

    Returns
    -------
    Results or None
        None after the participant level alone.

    Raises
    ------
    InputError
        The plan has problems, the folder is somebody else's, or the group level lacks matrices.
    MachineError
        Another run is at work in the folder, the disk is full, memory ran out, or a cluster does not
        answer; a later run goes on from there.

    Examples
    --------
    >>> plan = plan_study(load_study("study.toml"))  # doctest: +SKIP
    >>> results = run_plan(plan, "out", n_jobs=2)  # doctest: +SKIP
    >>> results.estimates.query("declared and role == 'primary'")  # doctest: +SKIP
    """
    problems = plan.data_problems if level == "participant" else plan.problems
    if problems:
        raise InputError(problems)
    output = Path(output_dir)
    check_folder(output)
    jobs = session_jobs(plan, output)
    # Runs of different people share a folder: they are the tasks of a job array.
    whole = not plan.survey.partial
    with claimed(output, people=None if whole else {job.subject for job in jobs}):
        claim_folder(output, simulated=plan.simulated, study=plan.study.study.name, whole=whole)
        if whole:
            write_json(output / "plan.json", plan.as_plain())
        outcomes = _participants(
            jobs, level=level, n_jobs=n_jobs, scheduler=scheduler, progress=progress, say=say
        )
        _note_sessions(outcomes)
        for line in told_sessions(outcomes):
            say(line)
        variants: list[VariantDone] = []
        for variant in variant_jobs(plan, output):
            name = f"{plan.study.study.name}, variant {variant.name}"
            claim_folder(variant.folder, simulated=plan.simulated, study=name, whole=whole)
            found = _participants(
                variant.jobs,
                level=level,
                n_jobs=n_jobs,
                scheduler=scheduler,
                progress=progress,
                say=say,
            )
            for line in told_sessions(found):
                say(f"Variant {variant.name}: {line}")
            variants.append((variant, found))
        if level == "participant":
            return None
        return _group(plan, jobs, outcomes, output, variants=variants, progress=progress, say=say)


def _note_sessions(outcomes: Sequence[SessionOutcome]) -> None:
    """Tell, for those who ask with -vv, what became of every session."""
    for one in outcomes:
        state = "kept from an earlier run" if one.reused else f"made: {one.why}"
        state = f"left out: {one.reason}" if one.sidecar is None else state
        _log.debug("sub-%s ses-%s: FC %s", one.subject, one.session, state)


def _group(
    plan: Plan,
    jobs: Sequence[SessionJob],
    outcomes: Sequence[SessionOutcome],
    output: Path,
    *,
    variants: Sequence[VariantDone],
    progress: Progress,
    say: Callable[[str], None],
) -> Results:
    """Do the group level, or what of it is not done already."""
    software = software_versions()
    of_variants = {variant.name: found for variant, found in variants}
    parts = group_parts(plan, outcomes, software, variants=of_variants)
    earlier = earlier_results(output)
    if earlier.results is not None and earlier.stands(parts):
        say("Group level: kept")
        return earlier.results
    why = earlier.why_not or told_change(earlier.parts, parts)
    results = analyse_group(
        plan,
        jobs,
        outcomes,
        folder=output,
        progress=progress,
        software=software,
        earlier=earlier,
    )
    results = with_variants(results, plan, variants, progress=progress)
    listed = scan_files(plan, output, jobs=jobs, outcomes=outcomes)
    if len(listed):
        results = replace(results, tables={**results.tables, "scan_files": listed})
    save_results(results, output, parts=parts)
    kept = [name for name, key in results.made_from.items() if earlier.analysis(name, key)]
    named = f"; kept: {', '.join(kept)}" if kept else ""
    say("Group level: made" + ("" if why == "new" else f" ({why}{named})"))
    return results


def _participants(
    jobs: Sequence[SessionJob],
    *,
    level: Level | None,
    n_jobs: int,
    scheduler: str | None,
    progress: Progress,
    say: Callable[[str], None],
) -> list[SessionOutcome]:
    """Make the sessions, or for the group level alone insist that they are made."""
    if level != "group":
        return spread_sessions(jobs, n_jobs=n_jobs, scheduler=scheduler, progress=progress, say=say)
    found = [known_outcome(job) for job in jobs]
    require_all(jobs, found)
    return [one for one in found if one is not None]


def software_versions() -> dict[str, str]:
    """Return the versions of what computes the numbers."""
    found = {"connectrial": __version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "pandas", "formulaic", "nibabel", "matplotlib"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plan_matches(plan: Plan, results: Results) -> bool:
    """Tell whether saved results come from this plan on these data."""
    return (
        results.plan.get("hash") == plan.hash
        and results.plan.get("survey_hash") == plan.survey_hash
        and results.plan.get("version") == __version__
    )
