"""``python -m connectrial``, and the commands as programs of their own."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from connectrial.cli import bids_app, main


def connectrial() -> NoReturn:
    """Run the program ``connectrial``."""
    _alone(main)


def connectrial_bids_app() -> NoReturn:
    """Run the program ``connectrial-bids-app``."""
    _alone(bids_app)


def _alone(command: Callable[[], NoReturn]) -> NoReturn:
    """Run a command as all that this process does.

    At its end Python would take apart every object of a page, one by one, for two seconds.
    """
    ended: list[object] = []
    # What is registered first is called last: by then threads have ended and files are closed.
    atexit.register(_leave, ended)
    try:
        command()
    except SystemExit as leaving:
        ended.append(leaving.code)
        raise


def _leave(ended: list[object]) -> None:
    if ended not in ([0], [None]):
        return
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        return  # Python says what is wrong with them
    os._exit(0)


if __name__ == "__main__":
    connectrial()
