"""The command line in the form of a BIDS App."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from connectrial.cli.options import (
    Exclude,
    Filters,
    Identifiers,
    Labels,
    NoPages,
    Sessions,
    say_version,
    split_labels,
)
from connectrial.cli.running import run_study

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
        bool,
        typer.Option("--version", callback=say_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    """Run a study in the form of a BIDS App: BIDS_DIR OUT {participant,group}."""
    from connectrial.run.bids_form import study_for

    if level not in ("participant", "group"):
        from connectrial.errors import InputError

        raise InputError(f"level: is {level!r}; allowed are participant and group")
    run_study(
        study_for(bids_dir, out, study=study, filters=bids_filter_file),
        out,
        level,
        subjects=split_labels(participant_label),
        sessions=split_labels(session_label),
        filters=bids_filter_file,
        n_jobs=n_jobs,
        exclude=exclude,
        identifiers=identifiers,
        pages=not no_pages,
    )


def join_labels(words: list[str]) -> list[str]:
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
