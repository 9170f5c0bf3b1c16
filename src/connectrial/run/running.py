"""Running a plan from the first scan to the saved results."""

from __future__ import annotations

import logging
import platform
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from connectrial._version import __version__
from connectrial.errors import InputError
from connectrial.io.outputs import claim_folder, load_results, save_results
from connectrial.io.provenance import write_json
from connectrial.plan import Plan
from connectrial.results import Results
from connectrial.run.group import analyse_group, require_all
from connectrial.run.participant import Progress, process_session
from connectrial.run.scan_files import scan_files
from connectrial.run.session_jobs import (
    SessionJob,
    SessionOutcome,
    finished,
    made_from,
    session_jobs,
)
from connectrial.run.variants import variant_jobs, with_variants

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
    scheduler : None
        Reserved for a cluster's address.
    level : {"participant", "group"}, optional
        Only that half; default both.
    progress : callable
        Called with (step, done, total).

    Returns
    -------
    Results or None
        None after the participant level alone.

    Raises
    ------
    InputError
        The plan has problems, the folder is somebody else's, or the group level lacks matrices.

    Examples
    --------
    >>> plan = plan_study(load_study("study.toml"))  # doctest: +SKIP
    >>> results = run_plan(plan, "out", n_jobs=2)  # doctest: +SKIP
    >>> results.estimates.query("declared and role == 'primary'")  # doctest: +SKIP
    """
    if scheduler is not None:
        raise InputError("scheduler: running on a cluster is not part of this version; use n_jobs")
    problems = plan.data_problems if level == "participant" else plan.problems
    if problems:
        raise InputError(problems)
    output = Path(output_dir)
    claim_folder(output, simulated=plan.simulated, study=plan.study.study.name)
    write_json(output / "plan.json", plan.as_plain())
    jobs = session_jobs(plan, output)
    outcomes = _outcomes(jobs, level, n_jobs, progress)
    variants = []
    for variant in variant_jobs(plan, output):
        name = f"{plan.study.study.name}, variant {variant.name}"
        claim_folder(variant.folder, simulated=plan.simulated, study=name)
        variants.append((variant, _outcomes(variant.jobs, level, n_jobs, progress)))
    if level == "participant":
        return None
    results = analyse_group(plan, jobs, outcomes, progress=progress, software=software_versions())
    results = with_variants(results, plan, variants)
    listed = scan_files(plan, output, jobs=jobs, outcomes=outcomes)
    if len(listed):
        results = replace(results, tables={**results.tables, "scan_files": listed})
    save_results(results, output)
    return results


def _outcomes(
    jobs: Sequence[SessionJob], level: Level | None, n_jobs: int, progress: Progress
) -> list[SessionOutcome]:
    """Make the sessions' matrices, or for the group level alone find those that are made."""
    if level == "group":
        found = [_finished(job) for job in jobs]
        require_all(jobs, found)
        outcomes = [one for one in found if one is not None]
    else:
        outcomes = _process(jobs, n_jobs, progress)
    _say_what_was_done(outcomes)
    return outcomes


def _say_what_was_done(outcomes: Sequence[SessionOutcome]) -> None:
    """Tell, for those who ask with -v, which sessions were made, kept from before, or left out."""
    for one in outcomes:
        state = "kept from an earlier run" if one.reused else "made"
        state = f"left out: {one.reason}" if one.sidecar is None else state
        _log.debug("sub-%s ses-%s: FC %s", one.subject, one.session, state)
    kept = sum(one.reused for one in outcomes)
    lost = sum(one.sidecar is None for one in outcomes)
    made = len(outcomes) - kept - lost
    _log.info("FC of %d sessions: %d made, %d kept, %d left out", len(outcomes), made, kept, lost)


def _finished(job: SessionJob) -> SessionOutcome | None:
    known = finished(job, made_from(job))
    if known is None:
        return None
    return SessionOutcome(subject=job.subject, session=job.session, sidecar=known, reused=True)


def _process(jobs: Sequence[SessionJob], n_jobs: int, progress: Progress) -> list[SessionOutcome]:
    """Spread the sessions over processes, one BLAS thread each; the order stays."""
    from threadpoolctl import threadpool_limits

    outcomes: list[SessionOutcome] = []
    if n_jobs == 1 or len(jobs) < 2:
        with threadpool_limits(1):
            for job in jobs:
                outcomes.append(process_session(job))
                progress("scans to FC", len(outcomes), len(jobs))
        return outcomes
    from joblib import Parallel, delayed

    with Parallel(n_jobs=n_jobs, return_as="generator", batch_size="auto") as pool:
        for outcome in pool(delayed(_process_alone)(job) for job in jobs):
            outcomes.append(outcome)
            progress("scans to FC", len(outcomes), len(jobs))
    return outcomes


def _process_alone(job: SessionJob) -> SessionOutcome:
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return process_session(job)


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
