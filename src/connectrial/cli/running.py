"""A study from its file to its report, as ``run`` and the BIDS form ask for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from connectrial.cli.options import check_jobs, naming_of
from connectrial.cli.printing import open_console, print_where, progress_bars, refuse

if TYPE_CHECKING:
    from connectrial.plan import Plan


def run_study(
    study: Path,
    out: Path,
    level: str | None,
    *,
    subjects: list[str] | None,
    sessions: list[str] | None,
    filters: Path | None,
    n_jobs: int,
    exclude: Path | None,
    identifiers: str,
    pages: bool,
    scheduler: str | None = None,
    cluster: Path | None = None,
) -> None:
    """Plan and run a study, and make its report."""
    from connectrial.errors import InputError
    from connectrial.run import run_plan

    if scheduler is not None and cluster is not None:
        raise InputError(
            "--scheduler and --cluster: give one; the second starts a scheduler itself"
        )

    naming = naming_of(identifiers)
    if level not in (None, "participant", "group"):
        raise InputError(f"--level: is {level!r}; allowed are participant and group")
    if (subjects or sessions) and level != "participant":
        raise InputError(
            "--participant-label and --session-label: belong to '--level participant'; the group level "
            "takes everyone that the study includes"
        )
    check_jobs(n_jobs)
    plan = plan_from(
        study,
        subjects=subjects,
        sessions=sessions,
        filters=filters,
        exclude=exclude,
        ids=out / "ids.tsv",
    )
    blocking = plan.data_problems if level == "participant" else plan.problems
    if blocking:
        refuse(blocking)
    console = open_console()
    from connectrial.cluster.recording import Request, note_request
    from connectrial.io.folders import check_folder, claim_folder
    from connectrial.io.locks import claimed

    check_folder(out)
    # The page belongs to the run: nobody else writes before it is there.
    whole = not plan.survey.partial
    people = None if whole else {str(scan.subject) for scan in plan.survey.scans}
    with claimed(out, people=people):
        claim_folder(out, simulated=plan.simulated, study=plan.study.study.name, whole=whole)
        note_request(out, Request.of(study, exclude=exclude, filters=filters))
        with (
            _workers(cluster, scheduler, out / "logs" / "dask") as address,
            progress_bars(console) as progress,
        ):
            results = run_plan(
                plan,
                out,
                n_jobs=n_jobs,
                scheduler=address,
                level=level,  # type: ignore[arg-type]  # checked above
                progress=progress,
                say=lambda line: console.print(line, markup=False, soft_wrap=True),
            )
        if results is None:
            console.print(f"FC of {_sessions(plan)} sessions is in {out}", highlight=False)
            return
        from connectrial.report.saving import current_report, save_report
        from connectrial.run.describing import print_answer

        print_answer(results, console)
        page = current_report(out, identifiers=naming, pages=pages)
        console.print(f"Page and figures: {'made' if page is None else 'kept'}")
        if page is None:
            page = save_report(results, out, identifiers=naming, pages=pages, n_jobs=n_jobs)
        print_where(console, page, out)


@contextmanager
def _workers(cluster: Path | None, scheduler: str | None, logs: Path) -> Iterator[str | None]:
    """Give the address of the scheduler that was named, or of one with workers started for this run."""
    if cluster is None:
        yield scheduler
        return
    from connectrial.cluster.dask_jobs import worker_jobs
    from connectrial.cluster.settings import read_cluster_file

    with worker_jobs(read_cluster_file(cluster), logs=logs) as address:
        yield address


def _sessions(plan: Plan) -> int:
    scans = plan.people.scans
    return len(scans.loc[scans["included"], ["subject", "session"]].drop_duplicates())


def plan_from(
    study: Path,
    *,
    subjects: list[str] | None = None,
    sessions: list[str] | None = None,
    filters: Path | None = None,
    exclude: Path | None = None,
    ids: Path | None = None,
) -> Plan:
    """Return the plan of a study file, narrowed as the command line asks."""
    from connectrial.run import plan_study
    from connectrial.run.filtering import with_filters
    from connectrial.study_file import load_study

    loaded = load_study(study)
    if filters is not None:
        loaded = with_filters(loaded, filters)
    if exclude is not None:
        from connectrial.run.excluding import exclude_listed

        loaded = exclude_listed(loaded, exclude, ids=ids)
    return plan_study(loaded, subjects=subjects, sessions=sessions)
