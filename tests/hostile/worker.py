"""Run cases in a process of their own, its time and memory limited: python -m hostile.worker FOLDER.

Reads ids of cases from standard input, and writes one line of JSON for each as soon as it is done.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import signal
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

MEMORY_BYTES = 1_500_000_000  # over what the libraries take
SECONDS = 20  # of processor time: other programs may be running
WAITING_SECONDS = 240  # on a pipe that nobody fills


class TooLongError(BaseException):
    """No library's ``except Exception`` may swallow it."""


def limit_s(case: Any) -> int:
    """Return the processor time that a case may take; a whole run draws all its figures."""
    return 5 * SECONDS if case.kind == "whole run" else SECONDS


def limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _stop(*_: object) -> None:
    raise TooLongError


def through_reader(door: str, path: Path) -> tuple[str, str]:
    from connectrial.errors import ConnectrialError
    from hostile.readers import READERS

    try:
        value = READERS[door](path)
    except ConnectrialError as error:
        return type(error).__name__, str(error)
    return "handled", " | ".join(getattr(value, "notes", None) or ())


def through_command(words: tuple[str, ...], study: Path, out: Path) -> tuple[str, str]:
    from connectrial import cli
    from without_pictures import without_pictures

    given = [*words, str(study), *([str(out)] if words[0] == "run" else [])]
    said, complained = io.StringIO(), io.StringIO()
    code: object = None
    old, sys.argv = sys.argv, ["connectrial", *given]
    try:
        # As PDF and PNG such text is drawn in test_identifiers.py.
        with (
            without_pictures(),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(complained),
        ):
            cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.argv = old
    if code == 0:
        return "handled", said.getvalue()
    if code == 2 and "Traceback" not in complained.getvalue():
        return "InputError", complained.getvalue()
    return f"exit code {code}", complained.getvalue()


def snapshot(folder: Path, out: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for place, names, files in os.walk(folder):
        for name in (*names, *files):
            path = Path(place, name)
            if out == path or out in path.parents:
                continue
            status = path.lstat()
            if not path.is_dir():
                found[str(path)] = (status.st_size, status.st_mtime_ns)
    return found


@contextlib.contextmanager
def without_privileges() -> Any:
    """Read as somebody to whom file permissions apply."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def run_case(case: Any, folder: Path) -> dict[str, Any]:
    place = folder / "in"
    place.mkdir(parents=True)
    os.chdir(place)
    out = folder / "out"
    path = case.make(place)
    before = snapshot(folder, out)
    privileges = without_privileges() if case.name == "no permission" else contextlib.nullcontext()
    started = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, limit_s(case))
    signal.alarm(WAITING_SECONDS)
    try:
        with privileges, warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            if isinstance(case.door, str):
                end, said = through_reader(case.door, path)
            else:
                end, said = through_command(case.door, path, out)
    except TooLongError:
        end, said, warned = "hangs", traceback.format_exc(limit=-8), []
    except Exception as error:
        end, said, warned = type(error).__name__, traceback.format_exc(limit=-8), []
    finally:
        signal.alarm(0)
        signal.setitimer(signal.ITIMER_PROF, 0)
    after = snapshot(folder, out)
    return {
        "end": end,
        "said": said[:20_000],
        "seconds": time.process_time() - started,
        "written": sorted(set(after.items()) ^ set(before.items())),
        "warned": [str(one.message)[:200] for one in warned or []],
    }


def main() -> None:
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.chmod(0o755)
    import openpyxl  # noqa: F401  what is loaded late would count as a case's memory
    import scipy.stats  # noqa: F401

    import connectrial.run
    import connectrial.run.describing  # noqa: F401
    import without_pictures  # noqa: F401
    from hostile.corpus import BY_ID

    signal.signal(signal.SIGALRM, _stop)
    signal.signal(signal.SIGPROF, _stop)
    limit_memory()
    for number, line in enumerate(sys.stdin):
        case = BY_ID[line.rstrip("\n")]
        outcome = run_case(case, folder / f"{os.getpid()}-{number}")
        print(json.dumps({"id": case.id, **outcome}), flush=True)


if __name__ == "__main__":
    main()
