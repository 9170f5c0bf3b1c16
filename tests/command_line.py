"""The commands as a user gives them, in this process: to start another takes seconds of imports."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import NamedTuple

import pytest


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def connectrial(*words: object, program: str = "cli") -> Done:
    """Run a command as a user does."""
    from connectrial import cli

    out, err = io.StringIO(), io.StringIO()
    entry = {"cli": cli.main, "bids": cli.bids_app}[program]
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "argv", ["connectrial", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            entry()
    return Done(int(stopped.value.code or 0), out.getvalue(), err.getvalue())
