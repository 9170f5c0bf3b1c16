"""Break a run on purpose, run it again, and compare every table with an undisturbed run's.

    make faults                     # all faults; kill -9 at 50 random moments
    python bench/faults.py --kills 5 --only kill,two

The study is simulated (12 people, 23 scans; seconds long). What needs root (a full disk of its own,
a folder that root cannot write to) is left out with the reason where there is none. Prints the
table that docs/scale.md shows, and fails where anything is not as it must be.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from tiny import write_tiny

SEED = 20210122  # of the moments; --seed takes others


class Skipped(Exception):
    """A fault that cannot be tried here."""


def command(study: Path, out: Path, n_jobs: int = 2) -> list[str]:
    return [sys.executable, "-m", "connectrial", "run", str(study), str(out), "-j", str(n_jobs)]


def start(study: Path, out: Path, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(study, out),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def finish(study: Path, out: Path) -> str:
    """Run plainly; it must end well."""
    done = subprocess.run(command(study, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tables(out: Path) -> dict[str, bytes]:
    """Return every table and sidecar of the results and of the sessions."""
    found = [*out.glob("group/**/*.tsv"), *out.glob("group/**/*.json"), *out.glob("sub-*/**/*.*")]
    plain = (p for p in found if "figures" not in p.parts)  # figures of people carry random codes
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in plain}


def same(out: Path, whole: dict[str, bytes]) -> None:
    found = tables(out)
    assert found.keys() == whole.keys(), sorted(found.keys() ^ whole.keys())[:5]
    other = [name for name in whole if whole[name] != found[name]]
    assert not other, f"{len(other)} files differ: {other[:5]}"
    left = list(out.rglob("*.part"))
    assert not left, left
    assert not (out / ".runs").exists()


def one_message(process: subprocess.Popen[str], words: str) -> str:
    """Wait for a run that must refuse: exit code 2, one message, no traceback."""
    _, said = process.communicate()
    assert process.returncode == 2, (process.returncode, said)
    assert "Traceback" not in said, said
    assert words in said, said
    return said.strip().splitlines()[-1].removeprefix("- ")


def whole_or_absent(out: Path) -> None:
    """No file may be half written: JSON parses, and tables end with a line's end."""
    import json

    for path in out.rglob("*"):
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".tsv":
            assert path.read_bytes().endswith(b"\n"), path


def kill(study: Path, scratch: Path, whole: dict[str, bytes], times: int, seed: int) -> str:
    rng = random.Random(seed)
    began = time.monotonic()
    finish(study, scratch / "timed")
    lasts = time.monotonic() - began
    early = 0
    for number in range(times):
        out = scratch / f"killed{number}"
        process = start(study, out)
        try:
            process.communicate(timeout=rng.uniform(0, lasts))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            early += 1
        if out.exists():
            whole_or_absent(out)
        finish(study, out)
        same(out, whole)
        shutil.rmtree(out)
    return f"{early} killed in mid-run, {times - early} had ended; all tables identical afterwards"


def worker(study: Path, scratch: Path, whole: dict[str, bytes], times: int, seed: int) -> str:
    for number in range(times):
        out = scratch / f"worker{number}"
        process = start(study, out)
        until = time.monotonic() + 300
        victims: list[int] = []
        while time.monotonic() < until and not victims:
            if any(out.rglob("*relmat.tsv")):
                victims = workers_of(process.pid)
            if process.poll() is not None:
                raise AssertionError("the run ended before a worker could be killed")
        os.kill(victims[-1], signal.SIGKILL)
        said = one_message(process, "a worker process was killed")
        finish(study, out)
        same(out, whole)
    return f"exit 2: {said[:60]}...; a plain rerun ends with identical tables"


def workers_of(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_text().split("\0")
            ppid = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if ppid == parent and any("popen_loky" in word for word in words):
            found.append(int(entry.name))
    return sorted(found)


def two(study: Path, scratch: Path, whole: dict[str, bytes], times: int, seed: int) -> str:
    for number in range(times):
        out = scratch / f"two{number}"
        several = [start(study, out) for _ in range(2)]
        said = [one.communicate() for one in several]
        codes = [one.returncode for one in several]
        assert sorted(codes) in ([0, 2], [0, 0]), (codes, said)
        if 2 in codes:
            message = said[codes.index(2)][1]
            assert "another run is at work here (process" in message, message
            assert "Traceback" not in message, message
        same(out, whole)
    return "one ends well, the other is told who is at work (exit 2); tables identical"


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """Mount a small disk of its own; needs root."""
    if os.geteuid() != 0 or sys.platform != "linux":
        raise Skipped("needs root on Linux, to mount a small disk")
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Skipped(f"no tmpfs can be mounted here ({done.stderr.strip()})")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def full(study: Path, scratch: Path, whole: dict[str, bytes], times: int, seed: int) -> str:
    rng = random.Random(seed)
    for number in range(times):
        # 12 kB to 900 kB: within the participant level, and within the tables and figures.
        size = f"{rng.choice([40, 150, 400, 700, 900])}k"
        with tmpfs(scratch / f"full{number}", size) as disk:
            out = disk / "out"
            said = one_message(start(study, out), "cannot be ")
            assert "No space left" in said, said
            whole_or_absent(out)
            remount(disk, "size=200m")
            finish(study, out)
            same(out, whole)
    return "exit 2: cannot be written (No space left on device); a plain rerun ends with identical tables"


def forbidden(study: Path, scratch: Path, whole: dict[str, bytes], times: int, seed: int) -> str:
    for number in range(times):
        with tmpfs(scratch / f"readonly{number}", "200m") as disk:
            out = disk / "out"
            out.mkdir()
            remount(disk, "ro")
            one_message(start(study, out), "cannot be written")
            remount(disk, "rw")
            finish(study, out)
            same(out, whole)
    return "exit 2: cannot be written to (Read-only file system); once it can, tables are identical"


FAULTS: dict[str, tuple[str, Callable[[Path, Path, dict[str, bytes], int, int], str], int]] = {
    "kill": ("kill -9 of all processes at a random moment", kill, 50),
    "worker": ("SIGKILL of a worker process, as the system kills for want of memory", worker, 3),
    "two": ("two runs into one folder at once", two, 3),
    "full": ("a disk that fills up (tmpfs of 40 to 900 kB)", full, 5),
    "forbidden": ("a folder that cannot be written to", forbidden, 1),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--only", default=",".join(FAULTS), help=f"of {', '.join(FAULTS)}")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="connectrial-faults-") as name:
        scratch = Path(name)
        study = write_tiny(scratch / "trial")
        finish(study, scratch / "undisturbed")
        whole = tables(scratch / "undisturbed")
        print("| fault | times tried | outcome |\n|---|---|---|", flush=True)
        for key in options.only.split(","):
            what, fault, times = FAULTS[key]
            times = options.kills if key == "kill" else times
            try:
                outcome = fault(study, scratch, whole, times, options.seed)
            except Skipped as reason:
                times, outcome = 0, f"not tried: {reason}"
            print(f"| {what} | {times} | {outcome} |", flush=True)


if __name__ == "__main__":
    main()
