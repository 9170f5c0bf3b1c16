"""Coverage-guided fuzzing of every parser: python -m hostile.fuzz --seconds 600 (make fuzz).

Each door gets its share of the time in a process of its own, with limits of time and memory. Seeds
are the sound and the damaged inputs of the corpus; half of the mutations know the form (a cell, a
token, a field of a header, a packed body). Anything but a value or our own message is kept once per
place in `--found`, and the program ends with exit code 1.

With atheris (pip install atheris) the search is led by coverage; without it mutations are random.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

ENDINGS = {
    "study": ".toml",
    "regimen": ".toml",
    "scale": ".toml",
    "truth": ".toml",
    "filters": ".json",
    "description": ".json",
    "run": ".nii.gz",
    "volume": ".nii.gz",
    "atlas image": ".nii.gz",
    "cifti": ".dtseries.nii",
    "surface run": ".func.gii",
    "surface labels": ".label.gii",
    "grayordinate atlas": ".dlabel.nii",
}
SEEDS_FROM = {  # doors without seeds of their own
    "participants": "table",
    "motion": "confounds",
    "volume": "atlas image",
    "grayordinate atlas": "cifti",
}
TOKENS = [
    *(b"nan", b"inf", b"-inf", b"1e400", b"-1", b"0", b"9" * 400, b"2147483648", b"n/a", b""),
    *(
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"\r",
        b'"',
        b"\t\t",
        b"[[",
        b"{}",
        b"<!ENTITY a 'b'>",
    ),
    *("é".encode(), b"../..", b"${HOME}", b"=1+1", b"true", b"2024-01-31", b"1_0", b"0x1"),
]
SECONDS_PER_INPUT = 10
MOST_BYTES = 1 << 18


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a piece that the form knows: a token, a line, or bytes of a header, packed or not."""
    if data[:2] == b"\x1f\x8b":
        try:
            plain = gzip.decompress(data)
        except Exception:
            return scramble(data, rng)
        return gzip.compress(mutate(plain, rng), 1, mtime=0)
    if b"\0" in data[:400]:
        return scramble(data, rng)
    pieces = re.split(rb"([\s,;=<>\"\[\]{}]+)", data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(pieces))
        kind = rng.random()
        if kind < 0.5:
            pieces[at] = rng.choice(TOKENS)
        elif kind < 0.7:
            pieces[at] = pieces[rng.randrange(len(pieces))]
        elif kind < 0.85:
            pieces.insert(at, pieces[at])
        else:
            del pieces[at : at + rng.randint(1, 6)]
        pieces = pieces or [b""]
    return b"".join(pieces)[:MOST_BYTES]


def scramble(data: bytes, rng: random.Random) -> bytes:
    """Write odd numbers into binary data, most often into its first bytes, where headers are."""
    found = bytearray(data or b"\0")
    for _ in range(rng.randint(1, 3)):
        reach = min(len(found), 560 if rng.random() < 0.8 else len(found))
        at = rng.randrange(reach)
        size = rng.choice((1, 2, 4, 8))
        value = rng.choice((0, 1, 2**15, 2**31 - 1, 2**63 - 1, 255, rng.getrandbits(64)))
        order = rng.choice(("little", "big"))
        found[at : at + size] = (value % 256**size).to_bytes(size, order)  # type: ignore[arg-type]
    if rng.random() < 0.1:
        del found[rng.randrange(len(found)) :]
    return bytes(found[:MOST_BYTES])


def seeds_of(door: str) -> list[bytes]:
    from hostile.corpus import CASES

    wanted = SEEDS_FROM.get(door, door)
    seeds = []
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(CASES):
            if case.door != wanted:
                continue
            folder = Path(name, str(number))
            folder.mkdir()
            with contextlib.suppress(OSError):
                path = case.make(folder)
                if path.is_file() and not path.is_symlink() and path.stat().st_size <= MOST_BYTES:
                    seeds.append(path.read_bytes())
    return seeds or [b""]


class Trial:
    """One door: reads an input, and keeps what neither a value nor our own message answers."""

    def __init__(self, door: str, found: Path) -> None:
        from hostile.readers import READERS

        self.read = READERS[door]
        self.door, self.found = door, found
        self.path = Path(
            tempfile.mkdtemp(prefix="connectrial-fuzz-"), f"input{ENDINGS.get(door, '.tsv')}"
        )
        self.kinds: dict[str, str] = {}
        self.n = 0

    def __call__(self, data: bytes) -> None:
        from connectrial.errors import ConnectrialError
        from hostile.worker import TooLongError

        self.n += 1
        self.path.write_bytes(data)
        signal.setitimer(signal.ITIMER_PROF, SECONDS_PER_INPUT)
        try:
            self.read(self.path)
        except ConnectrialError:
            pass
        except (Exception, TooLongError) as error:  # TooLongError is a BaseException
            self.keep(error, data)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        beside = [one.name for one in self.path.parent.iterdir() if one != self.path]
        if beside:
            self.keep(RuntimeError(f"wrote {beside}"), data)

    def keep(self, error: BaseException, data: bytes) -> None:
        frames = [
            f for f in traceback.extract_tb(error.__traceback__) if "connectrial" in f.filename
        ]
        last = frames[-1] if frames else None
        key = (
            f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            if last
            else repr(error)
        )
        if key in self.kinds:
            return
        name = f"{self.door.replace(' ', '-')}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
        self.kinds[key] = f"{error}"[:200]
        self.found.mkdir(parents=True, exist_ok=True)
        (self.found / name).write_bytes(data)
        (self.found / f"{name}.txt").write_text("".join(traceback.format_exception(error)))


def fuzz_door(door: str, *, seconds: float, found: Path, seed: int) -> None:
    """Fuzz one door in this process, and print one line of JSON."""
    from hostile.worker import _stop, limit_memory

    warnings.simplefilter("ignore")
    seeds = seeds_of(door)
    guided = False
    with contextlib.suppress(ImportError):
        import atheris  # type: ignore[import-not-found]

        guided = True
    trial = Trial(door, found)
    signal.signal(signal.SIGPROF, _stop)
    limit_memory()
    rng = random.Random(seed)
    started = time.process_time()

    def report() -> None:
        used = time.process_time() - started
        line = {"door": door, "inputs": trial.n, "cpu_s": round(used, 1), "found": trial.kinds}
        print(json.dumps(line | {"guided": guided}), flush=True)

    if not guided:
        while time.process_time() - started < seconds:
            trial(mutate(rng.choice(seeds), rng))
        report()
        return

    def one(data: bytes) -> None:
        trial(data)
        if time.process_time() - started > seconds:
            report()
            import os

            os._exit(0)

    def mutator(data: bytes, size: int, number: int) -> bytes:
        own = random.Random(number)
        if own.random() < 0.5:
            return mutate(data, own)[:size]
        return bytes(atheris.Mutate(data, size))

    with tempfile.TemporaryDirectory() as name:
        for number, content in enumerate(seeds):
            Path(name, str(number)).write_bytes(content)
        words = ["fuzz", name, f"-seed={seed}", f"-max_len={MOST_BYTES}", "-rss_limit_mb=4000"]
        atheris.Setup([*words, "-verbosity=0"], one, custom_mutator=mutator)
        atheris.Fuzz()


def instrument() -> None:
    """Let atheris see which branches our own code takes."""
    with contextlib.suppress(ImportError):
        import atheris

        with atheris.instrument_imports(include=["connectrial"]):
            import hostile.readers  # noqa: F401


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="processor time in all")
    parser.add_argument("--found", type=Path, default=Path("fuzz-found"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--door", help="only this one, in this process")
    given = parser.parse_args()
    if given.door:
        instrument()
        fuzz_door(given.door, seconds=given.seconds, found=given.found, seed=given.seed)
        return 0
    from hostile.readers import READERS

    bad = 0
    for door in READERS:
        share = given.seconds / len(READERS)
        words = ["--door", door, "--seconds", str(share), "--seed", str(given.seed)]
        done = subprocess.run(
            [sys.executable, "-m", "hostile.fuzz", *words, "--found", str(given.found)],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        print(
            lines[-1] if lines else f"{door}: died ({done.returncode}): {done.stderr[-800:]}",
            flush=True,
        )
        bad += not lines or bool(json.loads(lines[-1])["found"])
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
