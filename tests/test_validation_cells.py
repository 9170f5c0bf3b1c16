"""A simulation study gives the same figures whether it was stopped and continued or not."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).parents[1] / "bench"


@dataclass(frozen=True)
class Job:
    people: int
    seed: int


calls = []


def run_draw(job: Job) -> dict[str, float]:
    calls.append(job)
    return {"rate": float(np.random.default_rng([job.seed, job.people]).random())}


@pytest.fixture
def cells(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    calls.clear()
    yield importlib.import_module("cells")
    for name in ("cells", "reporting"):
        sys.modules.pop(name, None)


def test_a_study_that_was_stopped_goes_on_where_it_was(cells, tmp_path):
    jobs = [Job(people, 5) for people in (10, 20, 40)]
    whole = cells.Study(None).run(run_draw, jobs)
    file = tmp_path / "kept" / "cells.jsonl"
    cells.Study(file).run(run_draw, jobs[:2])
    with file.open("a") as lines:
        lines.write('{"key": "cut off')  # the stop came while a line was written
    calls.clear()
    study = cells.Study(file)
    assert study.run(run_draw, jobs) == whole
    assert calls == [jobs[2]]
    assert cells.Study(file).run(run_draw, jobs) == whole
    assert calls == [jobs[2]]


def test_another_seed_is_another_cell(cells, tmp_path):
    file = tmp_path / "cells.jsonl"
    cells.Study(file).run(run_draw, [Job(10, 5)])
    found = cells.Study(file).run(run_draw, [Job(10, 6)])
    assert found == cells.Study(None).run(run_draw, [Job(10, 6)])


def test_only_what_is_done_and_what_is_not(cells, tmp_path, monkeypatch):
    file = tmp_path / "cells.jsonl"
    jobs = [Job(people, 5) for people in (10, 20, 40)]
    one = cells.Study(file).run(run_draw, jobs[:1])
    study = cells.Study(file, only_done=True)
    assert study.run(run_draw, jobs) == one
    monkeypatch.setattr(
        sys, "argv", ["x", "--repetitions", "9", "--resume", "/where", "--only-done"]
    )
    text = study.describe("bench/validate_x.py", 5)
    assert "`python bench/validate_x.py --repetitions 9` (seed 5)" in text
    assert "2 cells of the study are not run yet" in text
