"""What several commands take: their arguments and options, and what these may be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from connectrial._version import __version__

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


def say_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        print(f"connectrial {__version__}")
        raise typer.Exit


def check_jobs(n_jobs: int) -> None:
    """Refuse a number of processes that there cannot be."""
    from connectrial.errors import InputError

    if n_jobs == 0 or n_jobs < -1:
        raise InputError(f"--n-jobs: is {n_jobs}; allowed are 1 and more, or -1 for all cores")


def naming_of(identifiers: str) -> Literal["codes", "keep"]:
    """Return under which names people stand in what is shown."""
    from connectrial.errors import InputError

    if identifiers not in ("codes", "keep"):
        raise InputError(f"--identifiers: is {identifiers!r}; allowed are codes and keep")
    return "keep" if identifiers == "keep" else "codes"


def split_labels(labels: list[str] | None) -> list[str] | None:
    """Take labels as they are typed: repeated, or in one word with spaces or commas."""
    if not labels:
        return None
    return [one for label in labels for one in label.replace(",", " ").split()]
