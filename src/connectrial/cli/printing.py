"""What a terminal shows: tables, progress, refusals."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from connectrial._version import __version__
from connectrial.errors import ConnectrialError

if TYPE_CHECKING:
    from rich.console import Console


def open_console() -> Console:
    """Return the console that everything is printed on."""
    from rich.console import Console

    # In a file or a pipe a table keeps its rows whole, however long they are.
    return Console(highlight=False, width=None if sys.stdout.isatty() else 220)


def print_table(
    console: Console,
    table: Any,  # noqa: ANN401 - pandas stays lazy
    *,
    title: str | None = None,
) -> None:
    """Print a table."""
    from connectrial.run.describing import as_rich

    console.print(as_rich(table, title=title))


def print_where(console: Console, page: Path, out: Path) -> None:
    """Say where results and report lie."""
    console.print(f"Results: {out / 'group' / 'results.tsv'}", highlight=False)
    console.print(f"Report:  {page.resolve()}", highlight=False)


@contextmanager
def progress_bars(console: Console) -> Iterator[Callable[[str, int, int], None]]:
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


def refuse(problems: tuple[str, ...]) -> NoReturn:
    """Print what must be put right and leave with exit code 2."""
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


_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def guarded(command: Callable[[], Any]) -> NoReturn:
    """Turn what the user can mend into one message and exit code 2."""
    try:
        command()
    except ConnectrialError as error:
        refuse(error.problems)
    except KeyboardInterrupt:
        print("Stopped. The same command goes on where it left off.", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(0) from None
    except OSError as error:
        # A file that cannot be used is the user's to mend, wherever it was met.
        if error.filename is None and error.errno in _FULL:
            # What standard output still holds would be tried again at the end, and Python say so once more.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123
            refuse(
                (
                    f"nothing more can be written ({error.strerror}): make room on the disk of OUT, or "
                    "of the file that the output goes to, and give the same command again",
                )
            )
        if error.filename is None or error.strerror is None:
            _our_fault()
        refuse((f"{error.filename}: cannot be used ({error.strerror})",))
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
