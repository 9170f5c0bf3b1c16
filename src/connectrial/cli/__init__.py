"""The command line: the only place that prints."""

from __future__ import annotations

import logging
import sys
from typing import Annotated, NoReturn

import typer

from connectrial.cli.atlas_commands import atlases, fetch
from connectrial.cli.bids_form import bids, join_labels
from connectrial.cli.dose_command import dose
from connectrial.cli.made_commands import demo, simulate
from connectrial.cli.options import say_version
from connectrial.cli.printing import guarded
from connectrial.cli.study_commands import check, init, report, run, schema, status, submit

__all__ = ["app", "bids", "bids_app", "main"]

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


@app.callback()
def _options(
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Say more; -vv says everything")
    ] = 0,
    version: Annotated[
        bool,
        typer.Option("--version", callback=say_version, is_eager=True, help="Print the version"),
    ] = False,
) -> None:
    level = {0: logging.WARNING, 1: logging.INFO}.get(verbose, logging.DEBUG)
    logging.basicConfig(
        level=level, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("matplotlib").setLevel(logging.WARNING)


# The order is that of the help.
for _command in (
    demo, init, check, run, submit, status, report, simulate, dose, atlases, fetch, schema,
):  # fmt: skip
    app.command()(_command)


def main() -> NoReturn:
    """Run the command ``connectrial``."""
    guarded(app)


def bids_app() -> NoReturn:
    """Run the command ``connectrial-bids-app``."""
    # BIDS Apps take labels separated by spaces; click takes one value an option.
    sys.argv[1:] = join_labels(sys.argv[1:])
    guarded(bids)
