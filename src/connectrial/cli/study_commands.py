"""Commands about one study: what is planned, run, submitted, reported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectrial.cli.options import (
    ClusterFile,
    Exclude,
    Filters,
    Identifiers,
    Jobs,
    Labels,
    NoPages,
    Scheduler,
    Sessions,
    StudyFile,
    check_jobs,
    naming_of,
    split_labels,
)
from connectrial.cli.printing import open_console, print_where, refuse
from connectrial.cli.running import plan_from, run_study


def init(
    dataset: Annotated[Path, typer.Argument(help="Folder with participants.tsv, derivatives, ...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Study file to write")] = Path(
        "study.toml"
    ),
    derivatives: Annotated[
        Path | None, typer.Option(help="Folder with the scans, where it lies elsewhere")
    ] = None,
    bids_filter_file: Filters = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing study file")] = False,
) -> None:
    """Write a commented study file from what is on disk.

    Example: connectrial init /data/my-trial -o my-trial.toml
    """
    from connectrial.errors import InputError
    from connectrial.io.files import write_atomic
    from connectrial.run.drafting import draft_study

    if output.exists() and not force:
        raise InputError(f"{output}: exists already; name another file with -o, or use --force")
    filters = None
    if bids_filter_file is not None:
        from connectrial.run.filtering import read_filters

        filters = read_filters(bids_filter_file)
    draft = draft_study(dataset, derivatives=derivatives, filters=filters)
    write_atomic(output, draft.text)
    console = open_console()
    for note in draft.notes:
        console.print(f"- {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Wrote {output}. Read it, then: connectrial check {output}", highlight=False)


def check(
    study: StudyFile,
    exclude: Exclude = None,
    ids: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="ids.tsv of a run, where --exclude uses its codes"),
    ] = None,
    bids_filter_file: Filters = None,
) -> None:
    """Print all problems of a study file and its data at once; else print the plan.

    Each scan's fate, each analysis with its model, columns, reference levels, rank and numbers of
    people and observations, and a missing-visit matrix. Computes nothing.

    Example: connectrial check study.toml
    """
    from connectrial.run.describing import print_plan

    plan = plan_from(study, exclude=exclude, ids=ids, filters=bids_filter_file)
    print_plan(plan, open_console())
    if plan.problems:
        refuse(plan.problems)


def run(
    study: StudyFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the results")],
    level: Annotated[
        str | None, typer.Option(help="participant or group: only that half; default both")
    ] = None,
    participant_label: Labels = None,
    session_label: Sessions = None,
    bids_filter_file: Filters = None,
    n_jobs: Jobs = 1,
    scheduler: Scheduler = None,
    cluster: ClusterFile = None,
    exclude: Exclude = None,
    identifiers: Identifiers = "codes",
    no_pages: NoPages = False,
) -> None:
    """Run a study: scans to FC, FC and scores to results, results to one report.

    A run that was broken off goes on where it stopped; what is done and still current is kept, and
    what is made again says why.

    Example: connectrial run study.toml results --n-jobs 4

    On a cluster: connectrial submit writes the jobs; or this command does the participant level on
    Dask workers that run already (--scheduler) or that it starts as jobs (--cluster)

    Left out by decision: connectrial run study.toml results --exclude excluded.tsv
    """
    run_study(
        study,
        out,
        level,
        subjects=split_labels(participant_label),
        sessions=split_labels(session_label),
        filters=bids_filter_file,
        n_jobs=n_jobs,
        scheduler=scheduler,
        cluster=cluster,
        exclude=exclude,
        identifiers=identifiers,
        pages=not no_pages,
    )


def submit(
    study: StudyFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder that all nodes see")],
    system: Annotated[str, typer.Option(help="The cluster's system: slurm")] = "slurm",
    cluster: ClusterFile = None,
    bids_filter_file: Filters = None,
    exclude: Exclude = None,
    identifiers: Identifiers = "codes",
) -> None:
    """Submit a study as jobs: an array for the participant level, then the group level.

    Only people who are not done are submitted, so after a failure the same command goes on. Scripts
    and logs are in OUT/logs/slurm.

    Example: connectrial submit study.toml results --system slurm --cluster cluster.toml
    """
    from connectrial.cluster.recording import Request
    from connectrial.cluster.settings import ClusterSettings, read_cluster_file
    from connectrial.cluster.submitting import submit_study
    from connectrial.errors import InputError

    if system != "slurm":
        raise InputError(f"--system: is {system!r}; allowed is slurm")
    settings = ClusterSettings() if cluster is None else read_cluster_file(cluster)
    request = Request.of(study, exclude=exclude, filters=bids_filter_file)
    done = submit_study(request, out, settings, identifiers=naming_of(identifiers))
    console = open_console()
    for line in done.lines():
        console.print(line, markup=False, soft_wrap=True)


def status(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="Folder of a run or of submitted jobs")
    ],
) -> None:
    """Say what is done, failed, under way and missing, and why.

    Done is what the study file as it is now would make from the files as they are now.

    Example: connectrial status results
    """
    from connectrial.cluster.recording import known_request
    from connectrial.cluster.status import look

    console = open_console()
    for line in look(known_request(out).plan(out), out).lines():
        console.print(line, markup=False, soft_wrap=True)


def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of an earlier run")],
    identifiers: Identifiers = "codes",
    no_pages: NoPages = False,
    n_jobs: Annotated[
        int, typer.Option("--n-jobs", "-j", help="Processes for figures and pages; -1: all cores")
    ] = 2,
) -> None:
    """Make the report again from saved results, and the pages whose scans changed.

    Example: connectrial report results
    """
    naming = naming_of(identifiers)
    check_jobs(n_jobs)
    from connectrial.report.processes import drawing_processes

    # They load their libraries while this process loads its own and reads the results.
    with drawing_processes(n_jobs) as pools:
        from connectrial.io.locks import claimed
        from connectrial.io.outputs import load_results
        from connectrial.report.saving import save_report

        results = load_results(out)
        console = open_console()
        with claimed(out):
            page = save_report(
                results, out, identifiers=naming, pages=not no_pages, n_jobs=n_jobs, pools=pools
            )
            print_where(console, page, out)


def schema() -> None:
    """Print the JSON Schema of the study file, for editors that check as you type.

    Example: connectrial schema > connectrial.schema.json
    """
    import json

    from connectrial.study import json_schema

    print(json.dumps(json_schema(), indent=2))
