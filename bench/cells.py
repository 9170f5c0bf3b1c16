"""Cells of a simulation study, kept as they are done, so that a study can be stopped and continued."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from reporting import Progress, describe_command, describe_versions

Job = Any  # a frozen dataclass of numbers and words, the seed among them
Found = dict[str, Any]


def add_resume(parser: argparse.ArgumentParser) -> None:
    """Give a script the options that every study shares."""
    parser.add_argument("--seed", type=int, default=20210122)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--resume",
        type=Path,
        help="JSON lines, one for each cell that is done: cells that it holds (same settings, seed "
        "and versions) are not run again, others are added. Delete it after a change of the engine",
    )
    parser.add_argument(
        "--only-done",
        action="store_true",
        help="run nothing: write the page of the cells that --resume holds",
    )


@dataclass
class Study:
    """Runs the cells that are not yet done; every cell draws from a generator of its own."""

    path: Path | None
    n_processes: int = 1
    only_done: bool = False
    progress: Progress = field(default_factory=Progress)
    cpu_seconds: float = 0.0
    n_left_out: int = 0
    _cut: str = ""  # what ends a line that a stop cut off
    _done: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what is done; a last line that was cut off by a stop is left out."""
        if self.path is None or not self.path.is_file():
            return
        text = self.path.read_text(encoding="utf-8")
        self._cut = "" if text.endswith("\n") or not text else "\n"
        for line in text.splitlines():
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._done[record["key"]] = record

    @classmethod
    def from_options(cls, options: argparse.Namespace) -> Study:
        """Set up what `add_resume` asked for."""
        return cls(options.resume, options.jobs, options.only_done)

    def run(self, function: Callable[[Job], Found], jobs: Sequence[Job]) -> list[tuple[Job, Found]]:
        """Jobs with what `function` finds for them, in the order of the jobs."""
        keys = [_key(function, job) for job in jobs]
        to_do = [(key, job) for key, job in zip(keys, jobs, strict=True) if key not in self._done]
        name = function.__name__.removeprefix("run_")
        self.progress.say(
            f"{name}: {len(jobs)} cells, {len(jobs) - len(to_do)} of them done before"
        )
        if self.only_done:
            self.n_left_out += len(to_do)
            to_do = []
        for n, (key, job, found, seconds) in enumerate(self._go(function, to_do), 1):
            self._keep(key, found, seconds)
            self.progress.say(f"{name} {n} of {len(to_do)}, {seconds:.1f} s: {job}")
        done = [
            (job, self._done[key]) for key, job in zip(keys, jobs, strict=True) if key in self._done
        ]
        self.cpu_seconds += sum(record["seconds"] for _, record in done)
        return [(job, record["found"]) for job, record in done]

    def describe(self, script: str, seed: int) -> str:
        """Say how a page was made, and of how much of the study."""
        text = (
            f"Made by `{describe_command(script)}` (seed {seed}) in {self.cpu_seconds / 60:.0f} minutes of "
            f"processor time; {describe_versions('connectrial', 'numpy', 'scipy', 'pandas')}."
        )
        if self.n_left_out:
            text += f" {self.n_left_out} cells of the study are not run yet, and not shown."
        return text

    def _go(
        self, function: Callable[[Job], Found], to_do: Sequence[tuple[str, Job]]
    ) -> Iterator[tuple[str, Job, Found, float]]:
        if self.n_processes == 1:  # a kill then leaves no worker behind
            for key, job in to_do:
                yield key, job, *_timed(function, job)
            return
        with ProcessPoolExecutor(self.n_processes) as pool:
            futures = {pool.submit(_timed, function, job): (key, job) for key, job in to_do}
            for future in as_completed(futures):
                yield *futures[future], *future.result()

    def _keep(self, key: str, found: Found, seconds: float) -> None:
        record = {"key": key, "seconds": round(seconds, 2), "found": found}
        self._done[key] = record
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(self._cut + json.dumps(record) + "\n")
            self._cut = ""


def _timed(function: Callable[[Job], Found], job: Job) -> tuple[Found, float]:
    start = time.process_time()
    found = function(job)
    return found, time.process_time() - start


def _key(function: Callable[[Job], Found], job: Job) -> str:
    versions = describe_versions("connectrial", "numpy", "scipy", "pandas")
    return json.dumps([function.__name__, asdict(job), versions], sort_keys=True)
