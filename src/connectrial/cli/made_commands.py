"""Commands that make data: a demonstration, a design's dataset with known truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectrial.cli.options import Jobs, StudyFile
from connectrial.cli.printing import open_console, print_table, print_where, progress_bars


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

    console = open_console()
    with progress_bars(console) as progress:
        found = run_demo(out, n_jobs=n_jobs, seed=seed, progress=progress)
    page = save_report(found.results, found.folder, n_jobs=n_jobs)
    console.print("[bold]Simulated data.[/] Known truth and what was found:")
    print_table(console, found.recovery)
    console.print(found.summary)
    print_where(console, page, found.folder)


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

    console = open_console()
    with progress_bars(console) as progress:
        made = simulate_dataset(
            study, out, seed=seed, n_images=images, truth=truth, progress=progress
        )
    found = made.simulated
    console.print("[bold]Simulated data:[/] no person was measured.")
    if len(found.truth):
        print_table(console, found.truth, title="What is true")
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
