"""SLURM's commands: submitting, asking what is queued, taking back."""

from __future__ import annotations

import getpass
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from connectrial.errors import InputError, MachineError

_TIMEOUT_S = 60
#: States of a task that has not ended.
_WAITING = {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED", "RESIZING"}
_RUNNING = {"RUNNING", "COMPLETING", "STAGE_OUT", "SIGNALING"}


def has_slurm() -> bool:
    """Tell whether this machine can talk to SLURM."""
    return shutil.which("squeue") is not None


def submit_job(script: Path, options: Sequence[str]) -> str:
    """Hand a script to SLURM and return the job's number.

    Parameters
    ----------
    script : Path
        Shell script with ``#SBATCH`` lines.
    options : sequence of str
        Of ``sbatch``.

    Raises
    ------
    InputError
        SLURM is not here, or refuses the job; its words stand in the message.
    """
    if shutil.which("sbatch") is None:
        raise InputError(
            "submit: there is no sbatch on this machine; give the command on a machine of the cluster "
            "from which jobs are submitted"
        )
    said = _run(["sbatch", "--parsable", *options, str(script)])
    return said.strip().split(";")[0]


def queued() -> dict[str, str]:
    """Return the state of every job of this user that has not ended, ``waiting`` or ``running``.

    Returns
    -------
    dict of str to str
        By job number; tasks of an array as ``12_3``.
    """
    lines = _run(
        ["squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%i %T"]
    )
    states = {}
    for line in lines.splitlines():
        number, _, word = line.strip().partition(" ")
        if word in _WAITING:
            states[number] = "waiting"
        elif word in _RUNNING:
            states[number] = "running"
    return states


def cancel(number: str) -> None:
    """Take a job back that has not begun."""
    _run(["scancel", number])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - words, never a shell
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MachineError(f"{command[0]}: does not answer ({error}); is SLURM up?") from None
    if done.returncode:
        words = (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"
        raise InputError(f"{command[0]}: {words}")
    return done.stdout
