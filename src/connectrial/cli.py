"""The command line: the only place that prints."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

from connectrial._version import __version__
from connectrial.errors import ConnectrialError

if TYPE_CHECKING:
    from rich.console import Console

    from connectrial.plan import Plan

app = typer.Typer(
    name="connectrial",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="From a treatment trial's resting-state fMRI derivatives and clinical tables to the "
    "trial's answer: one study file, one command, one report.",
    epilog="Start with: connectrial demo    Your own data: connectrial init DATASET",
    context_settings={"help_option_names": ["-h", "--help"]},
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file (TOML)")]
Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--participant-label",
        "--participant_label",
        help="Only these people (repeat, or separate by spaces or commas); participant level only",
    ),
]
Sessions = Annotated[
    list[str] | None,
    typer.Option("--session-label", "--session_label", help="Only these sessions; likewise"),
]
Filters = Annotated[
    Path | None,
    typer.Option(
        "--bids-filter-file",
        "--bids_filter_file",
        metavar="FILE",
        help='JSON as fMRIPrep takes it: {"bold": {"task": "rest", "session": ["pre", "post"]}}; '
        "only files with these labels are read",
    ),
]
Jobs = Annotated[
    int,
    typer.Option(
        "--n-jobs",
        "-j",
        help="Processes for the participant level, fewer where memory is short; -1: all cores",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Dask scheduler whose workers do the participant level, such as tcp://10.0.0.1:8786",
    ),
]

ClusterFile = Annotated[
    Path | None,
    typer.Option(
        "--cluster",
        metavar="FILE",
        help="TOML file whose [cluster] table says what jobs ask for: partition, account, cores, "
        "memory_gb, walltime, setup, options, ...",
    ),
]

Identifiers = Annotated[
    str,
    typer.Option(
        "--identifiers",
        help="codes: people stand under random codes in page and figures (OUT/ids.tsv says who is "
        "who); keep: under their own",
    ),
]
NoPages = Annotated[
    bool,
    typer.Option("--no-pages", help="No page for each person, and none of all scans to be rated"),
]
Exclude = Annotated[
    Path | None,
    typer.Option(
        "--exclude",
        metavar="FILE",
        help="Table of people and sessions to leave out: subject (or code), session, reason",
    ),
]


def _version(wanted: bool) -> None:
    if wanted:
        print(f"connectrial {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv says everything")
    ] = 0,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(
        level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


@app.command()
def demo(
    out: Annotated[Path, typer.Argument(help="New folder for data and results")] = Path(
        "demo-trial"
    ),
    n_jobs: Jobs = 2,
    seed: Annotated[int, typer.Option(help="Seed of the simulated trial", min=0)] = 2021,
) -> None:
    """Simulate a small ketamine trial with known effects and run everything on it.

    Patients are scanned twice before and once after a 96-h infusion, matched controls once or
    twice; MADRS over eight weeks, responders, dropouts. Needs no network and about a minute.

    Example: connectrial demo my-demo
    """
    from connectrial.report.saving import save_report
    from connectrial.run.demonstration import run_demo

    console = _console()
    with _progress(console) as progress:
        found = run_demo(out, n_jobs=n_jobs, seed=seed, progress=progress)
    page = save_report(found.results, found.folder, n_jobs=n_jobs)
    console.print("[bold]Simulated data.[/] Known truth and what was found:")
    _print_table(console, found.recovery)
    console.print(found.summary)
    _print_where(console, page, found.folder)


@app.command()
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
    console = _console()
    for note in draft.notes:
        console.print(f"- {note}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"Wrote {output}. Read it, then: connectrial check {output}", highlight=False)


@app.command()
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

    plan = _plan(study, exclude=exclude, ids=ids, filters=bids_filter_file)
    print_plan(plan, _console())
    if plan.problems:
        _refuse(plan.problems)


@app.command()
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
    _run(
        study,
        out,
        level,
        subjects=_split(participant_label),
        sessions=_split(session_label),
        filters=bids_filter_file,
        n_jobs=n_jobs,
        scheduler=scheduler,
        cluster=cluster,
        exclude=exclude,
        identifiers=identifiers,
        pages=not no_pages,
    )


@app.command()
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
    done = submit_study(request, out, settings, identifiers=_naming(identifiers))
    console = _console()
    for line in done.lines():
        console.print(line, markup=False, soft_wrap=True)


@app.command()
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

    console = _console()
    for line in look(known_request(out).plan(out), out).lines():
        console.print(line, markup=False, soft_wrap=True)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of an earlier run")],
    identifiers: Identifiers = "codes",
    no_pages: NoPages = False,
    n_jobs: Annotated[
        int, typer.Option("--n-jobs", "-j", help="Processes for the pages; -1: all cores")
    ] = 1,
) -> None:
    """Make the report again from saved results, and the pages whose scans changed.

    Example: connectrial report results
    """
    from connectrial.report.saving import save_report
    from connectrial.run import load_results

    naming = _naming(identifiers)
    _check_jobs(n_jobs)
    results = load_results(out)
    console = _console()
    from connectrial.io.locks import claimed

    with claimed(out):
        page = save_report(results, out, identifiers=naming, pages=not no_pages, n_jobs=n_jobs)
        _print_where(console, page, out)


@app.command()
def simulate(
    study: StudyFile,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="New folder for the dataset")],
    seed: Annotated[
        int | None, typer.Option(help="Seed of the simulation; default the study's", min=0)
    ] = None,
    images: Annotated[
        int, typer.Option("--images", help="Small 4D images too, for so many people", min=0)
    ] = 0,
    truth: Annotated[
        Path | None, typer.Option(help="What is to be true; default truth.toml beside the study")
    ] = None,
) -> None:
    """Make a dataset of a study's design with known truth, to try its analyses on.

    Sizes, means, effects and correlations stand in truth.toml beside the study, each with its
    source; without it nothing changes, groups do not differ, and everybody comes to every visit.

    Example: connectrial simulate study.toml made && connectrial run made/study.toml results
    """
    from connectrial.run.simulating import simulate_dataset

    console = _console()
    with _progress(console) as progress:
        made = simulate_dataset(
            study, out, seed=seed, n_images=images, truth=truth, progress=progress
        )
    found = made.simulated
    console.print("[bold]Simulated data:[/] no person was measured.")
    if len(found.truth):
        _print_table(console, found.truth, title="What is true")
    n_assumed = int(found.facts["source"].str.startswith("assumption").sum())
    n_people, n_sessions = len(found.recruited.people), len(found.recruited.scans)
    where = "the defaults (assumptions)" if made.truth_from is None else str(made.truth_from)
    for line in (
        f"{n_people} people, {n_sessions} sessions with scans; seed {found.seed}; truth from {where}",
        f"{len(found.facts)} values were asked for, {n_assumed} of them assumptions",
        f"Truth:  {made.folder / 'truth.tsv'}; every value with its source: {made.folder / 'truth.json'}",
        f"Next:   connectrial run {made.study} RESULTS",
    ):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


@app.command()
def dose(
    regimen: Annotated[
        str | None,
        typer.Argument(metavar="REGIMEN", help="Shipped dose plan, or a TOML, TSV, CSV, XLSX file"),
    ] = None,
    model: Annotated[str, typer.Option(help="Compartment model; --list names them")] = "otto2021",
    weight_kg: Annotated[float, typer.Option(help="Weight, where no table gives it")] = 70.0,
    times: Annotated[
        str | None, typer.Option(help="Times to print, such as 40min,80min,24h,5d")
    ] = None,
    above: Annotated[float | None, typer.Option(help="Count the hours above so many ng/ml")] = None,
    occupancy: Annotated[
        str,
        typer.Option(
            help="Assumed receptor block: a name (--list), or 'ic50=500, hill=1.2' in ng/ml"
        ),
    ] = "siegel2021",
    people: Annotated[int, typer.Option(help="Draw so many people; shows how they differ")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the draws", min=0)] = 0,
    cv: Annotated[
        str | None,
        typer.Option(help="Spread of the clearance, percent, or 'model'; default 30, a stand-in"),
    ] = None,
    scans: Annotated[str | None, typer.Option(help="Times that the figure marks")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for tables, settings, figure")] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List dose plans, models and assumed blocks")
    ] = False,
) -> None:
    """Compute concentrations, exposure and assumed receptor block of a dose plan.

    Example: connectrial dose ketamine-0.5mgkg-40min --times 40min,80min,24h --people 200

    Own plan (mg/kg and hours): a table with start_h, duration_h (0: bolus) and amount_mg_kg or
    rate_mg_kg_h; with subject and weight_kg, one plan for each person:
    connectrial dose doses.tsv --model kamp2020 --out doses
    """
    from connectrial.errors import InputError
    from connectrial.run.dosing import answer_tables, compute_dose, list_choices, save_dose

    console = _console()
    if show_list:
        for title, table in list_choices().items():
            _print_table(console, table, title=title)
        return
    if regimen is None:
        raise InputError("REGIMEN: name a dose plan or a file; connectrial dose --list shows plans")
    answer = compute_dose(
        regimen, model=model, weight_kg=weight_kg, times=times, above_ng_ml=above, occupancy=occupancy,
        n_people=people, seed=seed, clearance_cv=cv, scans=scans,
    )  # fmt: skip
    for name, text in answer.facts.items():
        console.print(f"{name}: {text}", markup=False, soft_wrap=True)
    for title, table in answer_tables(answer):
        _print_table(console, table, title=title)
    if out is not None:
        from connectrial.report.saving import figure_bytes

        written = save_dose(answer, out, render=figure_bytes)
        console.print(f"Wrote {', '.join(path.name for path in written)} in {out}", soft_wrap=True)


@app.command()
def atlases() -> None:
    """List the atlases that a study file can name: built in, or fetched once.

    Example: connectrial atlases
    """
    from rich.markup import escape
    from rich.table import Table

    from connectrial.io.atlas_list import list_atlases

    found = list_atlases()
    table = Table("name", "parcels", "networks", "form", "where", "space of its image")
    for row in found.drop(columns=["licence", "source"]).itertuples(index=False):
        table.add_row(*(escape(str(cell)) for cell in row))
    console = _console()
    console.print(table)
    console.print("Please cite, and mind the licence:")
    for source, licence in dict(zip(found["source"], found["licence"], strict=True)).items():
        if "; " not in source:
            console.print(f"- {source}: {licence}", markup=False, soft_wrap=True)
    console.print("In a study file:  [atlas]  name = 'Seitzman300'", markup=False)
    console.print("An atlas of your own:  [atlas]  image = ..., table = ...", markup=False)


@app.command()
def fetch(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Such as Gordon333")] = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show what can be fetched, and what was left out")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the files; default: where [atlas] name finds them"),
    ] = None,
) -> None:
    """Fetch a public atlas from a pinned address and check it against its published checksum.

    Files are kept in your cache folder, or below CONNECTRIAL_HOME where that is set. What is there
    and right is not fetched again.

    Example: connectrial fetch Gordon333
    """
    from connectrial.errors import InputError
    from connectrial.io.atlas_files import fetch_atlas

    console = _console()
    if listing:
        _print_fetchable(console)
        return
    if name is None:
        raise InputError("fetch: name an atlas, such as connectrial fetch Gordon333, or use --list")
    with _progress(console) as progress:
        paths = fetch_atlas(name, to=to, progress=progress)
    for path in paths:
        console.print(f"{path}", highlight=False, markup=False, soft_wrap=True)
    if to is None:
        console.print(f"In a study file:  [atlas]  name = '{name}'", markup=False)
    else:
        console.print("In a study file name these files as [atlas] image and table.", markup=False)


def _print_fetchable(console: Console) -> None:
    from rich.table import Table

    from connectrial.io.atlas_files import LEFT_OUT, atlas_folder, read_registry

    table = Table("name", "space", "size", "address")
    for name, rows in read_registry().groupby("name", sort=False):
        images = rows.loc[rows["role"] == "image"]
        size = f"{rows['bytes'].sum() / 1000:.0f} kB"
        origin = "/".join(str(rows["address"].iloc[0]).split("/")[3:6])
        table.add_row(str(name), ", ".join(images["space"]), size, origin)
    console.print(table)
    console.print(f"They are kept in {atlas_folder()}.", markup=False, soft_wrap=True)
    console.print("Not offered:")
    for what, why in LEFT_OUT.items():
        console.print(f"- {what}: {why}", markup=False, soft_wrap=True)


@app.command()
def schema() -> None:
    """Print the JSON Schema of the study file, for editors that check as you type.

    Example: connectrial schema > connectrial.schema.json
    """
    import json

    from connectrial.study import json_schema

    print(json.dumps(json_schema(), indent=2))


def _run(
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
    from connectrial.errors import InputError
    from connectrial.run import run_plan

    if scheduler is not None and cluster is not None:
        raise InputError(
            "--scheduler and --cluster: give one; the second starts a scheduler itself"
        )

    naming = _naming(identifiers)
    if level not in (None, "participant", "group"):
        raise InputError(f"--level: is {level!r}; allowed are participant and group")
    if (subjects or sessions) and level != "participant":
        raise InputError(
            "--participant-label and --session-label: belong to '--level participant'; the group level "
            "takes everyone that the study includes"
        )
    _check_jobs(n_jobs)
    plan = _plan(
        study,
        subjects=subjects,
        sessions=sessions,
        filters=filters,
        exclude=exclude,
        ids=out / "ids.tsv",
    )
    blocking = plan.data_problems if level == "participant" else plan.problems
    if blocking:
        _refuse(blocking)
    console = _console()
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
        with _workers(cluster, scheduler) as address, _progress(console) as progress:
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
        _print_where(console, page, out)


@contextmanager
def _workers(cluster: Path | None, scheduler: str | None) -> Iterator[str | None]:
    """Give the address of the scheduler that was named, or of one with workers started for this run."""
    if cluster is None:
        yield scheduler
        return
    from connectrial.cluster.dask_jobs import worker_jobs
    from connectrial.cluster.settings import read_cluster_file

    with worker_jobs(read_cluster_file(cluster)) as address:
        yield address


def _check_jobs(n_jobs: int) -> None:
    from connectrial.errors import InputError

    if n_jobs == 0 or n_jobs < -1:
        raise InputError(f"--n-jobs: is {n_jobs}; allowed are 1 and more, or -1 for all cores")


def _naming(identifiers: str) -> Literal["codes", "keep"]:
    from connectrial.errors import InputError

    if identifiers not in ("codes", "keep"):
        raise InputError(f"--identifiers: is {identifiers!r}; allowed are codes and keep")
    return "keep" if identifiers == "keep" else "codes"


def _sessions(plan: Plan) -> int:
    scans = plan.people.scans
    return len(scans.loc[scans["included"], ["subject", "session"]].drop_duplicates())


def _plan(
    study: Path,
    *,
    subjects: list[str] | None = None,
    sessions: list[str] | None = None,
    filters: Path | None = None,
    exclude: Path | None = None,
    ids: Path | None = None,
) -> Plan:
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


def _split(labels: list[str] | None) -> list[str] | None:
    """Take labels as they are typed: repeated, or in one word with spaces or commas."""
    if not labels:
        return None
    return [one for label in labels for one in label.replace(",", " ").split()]


def _console() -> Console:
    from rich.console import Console

    # In a file or a pipe a table keeps its rows whole, however long they are.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 220)


def _print_table(
    console: Console,
    table: Any,  # noqa: ANN401 - pandas stays lazy
    *,
    title: str | None = None,
) -> None:
    from connectrial.run.describing import as_rich

    console.print(as_rich(table, title=title))


def _print_where(console: Console, page: Path, out: Path) -> None:
    console.print(f"Results: {out / 'group' / 'results.tsv'}", highlight=False)
    console.print(f"Report:  {page.resolve()}", highlight=False)


@contextmanager
def _progress(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show bars in a terminal; elsewhere say nothing."""
    if not console.is_terminal:
        yield lambda step, done, total: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step, total=total)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def _refuse(problems: tuple[str, ...]) -> NoReturn:
    count = len(problems)
    print(f"{count} problem{'s' if count > 1 else ''}:", file=sys.stderr)
    for problem in problems:
        print(f"- {_shown(problem)}", file=sys.stderr)
    raise SystemExit(2)


_LONGEST_MESSAGE = 2000


def _shown(text: str) -> str:
    """Write out what a file's content could do to a terminal: control signs, text that runs back."""
    shown = "".join(
        sign if sign.isprintable() or sign == "\n" else repr(sign)[1:-1]
        for sign in text[: 2 * _LONGEST_MESSAGE]
    )
    if len(text) <= 2 * _LONGEST_MESSAGE and len(shown) <= _LONGEST_MESSAGE:
        return shown
    return f"{shown[:_LONGEST_MESSAGE]} [...]"


def _guarded(command: Callable[[], Any]) -> NoReturn:
    """Turn what the user can mend into one message and exit code 2."""
    try:
        command()
    except ConnectrialError as error:
        _refuse(error.problems)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it left off.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        # A file that cannot be used is the user's to mend, wherever it was met.
        if error.filename is None or error.strerror is None:
            _our_fault()
        _refuse((f"{error.filename}: cannot be used ({error.strerror})",))
    except Exception:
        _our_fault()
    raise SystemExit(0)


def _our_fault() -> NoReturn:
    traceback.print_exc()
    print(
        f"This is a fault of connectrial {__version__}, not of your data. Please report it with "
        "the lines above and the command; a rerun keeps what is done.",
        file=sys.stderr,
    )
    raise SystemExit(1) from None


def main() -> NoReturn:
    """Run the command ``connectrial``."""
    _guarded(app)


bids = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@bids.command()
def _bids_app(
    bids_dir: Annotated[Path, typer.Argument(help="Derivatives folder (fMRIPrep, XCP-D, ...)")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the results")],
    level: Annotated[str, typer.Argument(metavar="{participant,group}", help="Which half to run")],
    study: Annotated[
        Path | None,
        typer.Option(
            help="Study file; default: study.toml in BIDS_DIR, else one is drafted in OUT"
        ),
    ] = None,
    participant_label: Labels = None,
    session_label: Sessions = None,
    bids_filter_file: Filters = None,
    n_jobs: Annotated[
        int, typer.Option("--n-jobs", "--nprocs", "--n_cpus", help="Processes; -1: all cores")
    ] = 1,
    exclude: Exclude = None,
    identifiers: Identifiers = "codes",
    no_pages: NoPages = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    """Run a study in the form of a BIDS App: BIDS_DIR OUT {participant,group}."""
    from connectrial.run.bids_form import study_for

    if level not in ("participant", "group"):
        from connectrial.errors import InputError

        raise InputError(f"level: is {level!r}; allowed are participant and group")
    _run(
        study_for(bids_dir, out, study=study, filters=bids_filter_file),
        out,
        level,
        subjects=_split(participant_label),
        sessions=_split(session_label),
        filters=bids_filter_file,
        n_jobs=n_jobs,
        exclude=exclude,
        identifiers=identifiers,
        pages=not no_pages,
    )


def bids_app() -> NoReturn:
    """Run the command ``connectrial-bids-app``."""
    # BIDS Apps take labels separated by spaces; click takes one value an option.
    sys.argv[1:] = _join_labels(sys.argv[1:])
    _guarded(bids)


def _join_labels(words: list[str]) -> list[str]:
    """Join the values behind a label option into one, as ``--participant-label 01 02``."""
    joined: list[str] = []
    taking = False
    for word in words:
        is_label_option = word.replace("_", "-") in ("--participant-label", "--session-label")
        if word.startswith("-"):
            taking = is_label_option
            joined.append(word)
            continue
        if taking and joined and not joined[-1].startswith("-"):
            joined[-1] += f" {word}"
        else:
            joined.append(word)
    return joined
