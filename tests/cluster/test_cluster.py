"""Jobs as they are written and asked after, with a SLURM of two scripts in the place of the real one.

A real one is tried by ``make cluster-test``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from connectrial.cluster.recording import Request, known_request
from connectrial.cluster.settings import ClusterSettings, read_cluster_file
from connectrial.cluster.status import look
from connectrial.cluster.submitting import submit_study
from connectrial.errors import InputError
from connectrial.run import run_plan
from connectrial.run.surveying import plan_study
from connectrial.study_file import load_study
from tiny import write_tiny


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Commands that note what they are given; the queue is a file."""
    folder = tmp_path / "a bin"
    folder.mkdir()
    queue = tmp_path / "queue"
    queue.write_text("")
    scripts = {
        "sbatch": f'echo "$@" >> "{tmp_path}/sent"; wc -l < "{tmp_path}/sent"',
        "squeue": f'cat "{queue}"',
        "scancel": f'echo "$@" >> "{tmp_path}/cancelled"',
    }
    for name, text in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return queue


def test_submit_status_and_submit_again(tmp_path, slurm):
    study = write_tiny(tmp_path / "a trial", n_subjects=6)
    out = tmp_path / "the results"
    request = Request.of(study, exclude=None, filters=None)
    settings = ClusterSettings(people_per_task=2, setup=("export GREETING='a b'",), partition="day")
    sent = submit_study(request, out, settings)
    assert (sent.array, sent.group, sent.n_tasks) == ("1", "2", 3)
    script = (out / "logs/slurm/1/participants.sh").read_text()
    assert "#SBATCH --array=0-2\n" in script
    assert "#SBATCH --partition=day\n" in script
    assert "export GREETING='a b'\n" in script
    memory_mb = int(script.split("--mem=")[1].split("M")[0])
    assert 500 < memory_mb < 2000  # one process, and the parent's half a GB
    assert "--dependency=afterok:1 --kill-on-invalid-dep=yes" in (tmp_path / "sent").read_text()
    assert json.loads((out / "logs/slurm/1/jobs.json").read_text())["tasks"][1] == ["03", "04"]

    # The first task runs here, as the node would run it; the second is killed; the third waits.
    node = {**os.environ, "SLURM_ARRAY_TASK_ID": "0"}
    done = subprocess.run(
        ["bash", out / "logs/slurm/1/participants.sh"], env=node, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (out / "logs/slurm/1/participants-1.log").write_text("reading\noom-kill event\n\n")
    slurm.write_text("1_2 RUNNING\n2 PENDING\n99 RUNNING\n")
    plan = known_request(out).plan(out)
    state = look(plan, out)
    by_person = {one.subject: one.state for one in state.sessions}
    assert by_person == {"01": "done", "02": "done", "03": "failed", "04": "failed",
                         "05": "running", "06": "running"}  # fmt: skip
    lines = state.lines()
    assert lines[0] == "sessions: 4 done, 3 failed, 4 running of 11"
    assert (
        "  failed: sub-03 ses-a, sub-04 ses-a, sub-04 ses-b: task 1_1 ended without it: oom-kill event "
        "(participants-1.log)"
    ) in lines
    assert lines[-1] == "group level: waiting (job 2)"

    again = submit_study(request, out, settings)
    assert again.people == ("03", "04")
    assert (again.n_tasks, again.array) == (1, "3")
    assert (tmp_path / "cancelled").read_text() == "2\n"  # it waited for a task that failed
    assert "afterok:1:3" in (tmp_path / "sent").read_text().splitlines()[-1]

    slurm.write_text("")
    run_plan(plan, out)
    state = look(plan, out)
    assert {one.state for one in state.sessions} == {"done"}
    assert state.group == "done"
    nothing = submit_study(request, out, settings)
    assert nothing.group is None
    assert nothing.lines()[-1] == "Nothing to submit."


def test_what_cannot_be_asked_is_said(tmp_path, monkeypatch):
    study = write_tiny(tmp_path / "trial", n_subjects=6)
    with pytest.raises(InputError, match="holds no run"):
        known_request(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    request = Request.of(study, exclude=None, filters=None)
    with pytest.raises(InputError, match="there is no sbatch on this machine"):
        submit_study(request, tmp_path / "out", ClusterSettings())
    state = look(request.plan(tmp_path / "out"), tmp_path / "out")
    assert {one.state for one in state.sessions} == {"missing"}


def test_a_cluster_file_says_everything_that_is_wrong(tmp_path):
    path = tmp_path / "cluster.toml"
    path.write_text('[cluster]\ncores = 4\nmemory_gb = 8\nsetup = ["module load python"]\n')
    read = read_cluster_file(path)
    assert (read.cores, read.memory_gb, read.setup) == (4, 8, ("module load python",))
    path.write_text(
        '[cluster]\nsystem = "pbs"\ncores = 0\nmemory_gb = "8"\nwalltime = "soon"\nsetup = "x"\n'
        "people_per_task = 1.5\npartitions = 'day'\n"
    )
    with pytest.raises(InputError) as caught:
        read_cluster_file(path)
    text = str(caught.value)
    for part in (
        "system: is 'pbs'; allowed is slurm",
        "cores: is 0; must be 1 or more",
        "memory_gb: is '8'; must be a number",
        "walltime: is 'soon'; must be a time",
        "setup: is 'x'; must be a list of texts",
        "people_per_task: is 1.5; must be a whole number",
        "partitions: is unknown; did you mean 'partition'?",
    ):
        assert part in text
    for content, message in (("[other]\n", "has no table"), ("[cluster\n", "is no TOML file")):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read_cluster_file(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_cluster_file(tmp_path / "absent.toml")


@pytest.mark.slow
def test_dask_workers_that_are_killed_in_mid_run_cost_nothing_but_time(tmp_path):
    """A LocalCluster of two processes; one is killed once the first matrices are there."""
    distributed = pytest.importorskip(
        "distributed", reason="Dask is not installed: pip install .[cluster]"
    )
    del distributed
    study = write_tiny(tmp_path / "trial", n_subjects=10)
    # A process of its own: Dask's threads and warnings stay out of the tests.
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dask_kill.py")), str(study), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "killed a worker after" in done.stdout
    run_plan(replace(plan_study(load_study(study)), analyses=()), tmp_path / "plain")
    tables = sorted((tmp_path / "plain" / "group").glob("*.tsv"))
    assert len(tables) > 10
    for table in tables:
        assert table.read_bytes() == (tmp_path / "out" / "group" / table.name).read_bytes()
