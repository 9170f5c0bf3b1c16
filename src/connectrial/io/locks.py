"""One run at a time in a folder: claims that name host and process, and are given up by the dead.

Each run writes a claim of its own into ``OUT/.runs``. Claims are compared while a gate is held
that the system opens by itself when its holder dies. Runs of different people (a job array) may
share a folder; a whole run shares it with nobody.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from connectrial.errors import MachineError
from connectrial.io.files import host_name, is_running, remove_file, write_atomic
from connectrial.io.provenance import read_json

FOLDER = ".runs"
#: A claim's file is touched so often while its run lives.
BEAT_S = 15.0
#: A claim of another machine that was not touched for so long belongs to a run that is no more.
DEAD_AFTER_S = 300.0

_GATE = "gate"
_held: dict[Path, int] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Who works in a folder.

    Attributes
    ----------
    path : Path
        Its file.
    host : str
        The machine.
    pid : int
        The process there.
    born : str
        When the process began, by the system's count; tells a process from a later one of the
        same number. Empty where the system does not say.
    people : frozenset of str, or None
        Whom it works on; None for everybody.
    since : str
        Local date and time.
    """

    path: Path
    host: str
    pid: int
    born: str
    people: frozenset[str] | None
    since: str

    def excludes(self, people: frozenset[str] | None) -> bool:
        """Tell whether somebody who wants these people must wait."""
        return self.people is None or people is None or bool(self.people & people)


@contextmanager
def claimed(folder: Path, *, people: Collection[str] | None = None) -> Iterator[None]:
    """Hold a folder while something is written into it.

    Parameters
    ----------
    folder : Path
        An existing output folder. A process that holds it already may claim it again.
    people : collection of str, optional
        Only what belongs to them is written; None claims everything.

    Raises
    ------
    MachineError
        Another run is at work there, and who that is.
    """
    key = folder.resolve()
    if key in _held:
        _held[key] += 1
        try:
            yield
        finally:
            _held[key] -= 1
        return
    claim = _enter(folder, None if people is None else frozenset(people))
    over = threading.Event()
    beat = threading.Thread(target=_keep_alive, args=(claim.path, over), daemon=True)
    beat.start()
    _held[key] = 1
    try:
        yield
    finally:
        del _held[key]
        over.set()
        beat.join()
        _leave(claim.path)


def read_claims(folder: Path) -> list[Claim]:
    """List who works in a folder, without those who are dead."""
    return [one for one in _claims(folder) if not _is_dead(one)]


def _enter(folder: Path, people: frozenset[str] | None) -> Claim:
    claims = folder / FOLDER
    pid = os.getpid()
    mine = Claim(
        path=claims / f"{host_name()}-{pid}.json",
        host=host_name(),
        pid=pid,
        born=_born(pid),
        people=people,
        since=time.strftime("%Y-%m-%d %H:%M:%S"),
    )
    with _gate(claims):
        for other in _claims(folder):
            if _is_dead(other):
                remove_file(other.path)
            elif other.path != mine.path and other.excludes(people):
                raise MachineError(_busy(folder, other))
        content = {
            "host": mine.host,
            "pid": mine.pid,
            "born": mine.born,
            "people": None if people is None else sorted(people),
            "since": mine.since,
        }
        write_atomic(mine.path, json.dumps(content) + "\n")
    return mine


def _leave(path: Path) -> None:
    """Give a claim up, and take the folder of claims away where it was the last."""
    with contextlib.suppress(OSError, MachineError):  # gone already, or no longer writable
        with _gate(path.parent):
            path.unlink(missing_ok=True)
            if not any(path.parent.glob("*.json")):
                (path.parent / _GATE).unlink(missing_ok=True)
        path.parent.rmdir()


def _busy(folder: Path, other: Claim) -> str:
    said = (
        f"{folder}: another run is at work here (process {other.pid} on {other.host}, since "
        f"{other.since})"
    )
    if other.host == host_name():
        return f"{said}; wait for its end, or stop it, and give the same command again"
    return (
        f"{said}; wait for its end. If that machine is no more, the claim is given up by itself "
        f"{DEAD_AFTER_S / 60:.0f} minutes after its last sign of life ({other.path})"
    )


@contextmanager
def _gate(claims: Path) -> Iterator[None]:
    """Let one process at a time compare claims; the system opens the gate when its holder dies."""
    handle = -1
    try:
        for _ in range(1000):
            with contextlib.suppress(FileNotFoundError):  # the last to leave took the folder away
                claims.mkdir(parents=True, exist_ok=True)
                handle = os.open(claims / _GATE, os.O_RDWR | os.O_CREAT, 0o666)
                _lock(handle)
                if os.fstat(handle).st_ino == (claims / _GATE).stat().st_ino:
                    break
            if handle >= 0:  # the gate that was waited for is not the one that stands there now
                os.close(handle)
                handle = -1
    except OSError as error:
        if handle >= 0:
            os.close(handle)
        raise MachineError(
            f"{claims.parent}: cannot be written to ({error.strerror or error}); choose a folder that "
            "you may write to, on a disk with room"
        ) from error
    try:
        yield
    finally:
        if handle >= 0:
            os.close(handle)


def _lock(handle: int) -> None:
    # Where a file system knows no locks, two runs that begin within milliseconds are not told
    # apart; what they write is still whole.
    with contextlib.suppress(OSError, ImportError):
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX)


def _claims(folder: Path) -> list[Claim]:
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        known = read_json(path)
        if known is None:
            continue
        people = known.get("people")
        found.append(
            Claim(
                path=path,
                host=str(known.get("host")),
                pid=int(known.get("pid") or 0),
                born=str(known.get("born") or ""),
                people=None if people is None else frozenset(map(str, people)),
                since=str(known.get("since")),
            )
        )
    return found


def _is_dead(claim: Claim) -> bool:
    if claim.host == host_name():
        return not is_running(claim.pid) or _born(claim.pid) != claim.born
    return _age_s(claim.path) > DEAD_AFTER_S


def _age_s(path: Path) -> float:
    """Return how long ago a claim was touched, by the clock of the file system that holds it."""
    probe = path.with_name(f".{host_name()}-{os.getpid()}.clock")
    try:
        probe.touch()
        age = probe.stat().st_mtime - path.stat().st_mtime
        probe.unlink(missing_ok=True)
    except OSError:
        return 0.0
    return age


def _born(pid: int) -> str:
    """Return when a process began, in clock ticks since the machine did; "" where unknown."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state = stat.rpartition(")")[2].split()
    # A killed process stays in the list until its parent takes note; it is dead all the same.
    return "dead" if state[0] in "ZX" else state[19]


def _keep_alive(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
