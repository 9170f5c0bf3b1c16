"""What a rerun makes and why, and what happens when the machine does not let a run go on."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from command_line import connectrial
from connectrial import load_study, plan_study, run_plan
from connectrial.errors import InputError, MachineError
from connectrial.io import files
from connectrial.run import memory, spreading
from connectrial.run.making_of import what_changed
from connectrial.run.memory import fitting_workers, need_bytes
from connectrial.run.session_jobs import session_jobs
from tiny import PARCELS, series_path, write_series, write_tiny


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Study file of a trial of six people."""
    return write_tiny(tmp_path_factory.mktemp("small"), n_subjects=6)


def make(study: Path, out: Path, **options) -> list[str]:
    said: list[str] = []
    options = {"level": "participant", "say": said.append} | options
    run_plan(plan_study(load_study(study)), out, **options)
    return said


def test_a_rerun_says_what_it_made_and_why(tmp_path):
    study = write_tiny(tmp_path / "tiny", n_subjects=6)
    out, data = tmp_path / "out", study.parent / "data"
    assert make(study, out) == ["FC of 11 sessions: 11 made, 0 kept"]
    assert make(study, out) == ["FC of 11 sessions: 0 made, 11 kept"]
    signal_ = np.random.default_rng(0).normal(size=(40, len(PARCELS)))
    write_series(series_path(data, "02", "a"), signal_)
    next(out.rglob("sub-01_ses-a*desc-connectrial_qc.tsv")).write_text("x\n")
    next(out.rglob("sub-01_ses-b*relmat.json")).unlink()
    series_path(data, "04", "b").write_text("not\ta\tseries\n")
    said = make(study, out)
    assert said[0] == "FC of 11 sessions: 3 made, 7 kept, 1 left out" or said[0].startswith(
        "FC of 10 sessions: 3 made, 7 kept"  # where the survey sees already that it is none
    )
    assert "  sub-02 ses-a: scan changed" in said
    assert (
        "  sub-01 ses-a: sub-01_ses-a_task-rest_space-X_desc-connectrial_qc.tsv lost or altered"
        in said
    )
    assert "  sub-01 ses-b: broken off before" in said
    other = study.parent / "other.toml"
    other.write_text('extends = "study.toml"\n[connectivity]\nshrinkage = "ledoit-wolf"\n')
    said = make(other, tmp_path / "out")
    assert said[0].endswith("10 made, 0 kept")


def test_the_group_level_keeps_what_did_not_change_and_nothing_of_an_earlier_plan(tmp_path):
    study = write_tiny(tmp_path / "tiny", n_subjects=8)
    out = tmp_path / "out"
    assert make(study, out, level=None)[-1] == "Group level: made"
    assert make(study, out, level=None)[-1] == "Group level: kept"

    scores = study.parent / "data" / "phenotype" / "madrs.tsv"
    scores.write_text(scores.read_text().replace("sub-01\tses-a\t29", "sub-01\tses-a\t28"))
    edges = out / "group" / "edges" / "every-edge.tsv"
    said = make(study, out, level=None)[-1]
    assert said == "Group level: made (scores changed; kept: Every edge)"
    make(study, tmp_path / "fresh", level=None)
    assert group_files(out) == group_files(tmp_path / "fresh")

    edges.write_text(edges.read_text().replace("0.", "1.", 1))
    said = make(study, out, level=None)[-1]
    assert said == "Group level: made (edges/every-edge.tsv lost or altered)"
    assert group_files(out) == group_files(tmp_path / "fresh")

    text = study.read_text()
    study.write_text(text[: text.index("[[exploration]]")] + text[text.index("[model.change]") :])
    (out / "report.html").write_text("shows the earlier plan")
    assert make(study, out, level=None)[-1] == "Group level: made (study file changed)"
    assert not edges.exists()
    assert not (out / "report.html").exists()
    make(study, tmp_path / "fewer", level=None)
    assert group_files(out) == group_files(tmp_path / "fewer")


def group_files(out: Path) -> dict[str, bytes]:
    files = [path for path in (out / "group").rglob("*") if path.is_file()]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def test_words_for_what_changed():
    before = {"version": "1", "[denoising]": "a", "confounds: 1 x": "b", "kept frames: 1 x": "c"}
    assert what_changed(before, before) == ""
    assert what_changed(before, before | {"version": "2"}) == "version 1 is now 2"
    assert what_changed(before, before | {"confounds: 1 x": "z", "kept frames: 1 x": "z"}) == (
        "confounds changed"
    )
    assert what_changed(before, before | {"kept frames: 1 x": "z"}) == "kept frames changed"
    assert what_changed(before, before | {"scan: 2 y": "z"}) == "scan added"
    assert what_changed(before | {"scan: 2 y": "z"}, before) == "scan taken away"


def test_a_scan_that_cannot_be_used_is_known_to_the_group_level_alone(tmp_path):
    study = write_tiny(tmp_path / "tiny", n_subjects=6)
    path = series_path(study.parent / "data", "04", "b")
    path.write_text(path.read_text().replace("\n", "\nx", 3))
    said = make(study, tmp_path / "out")
    lost = [line for line in said if "left out:" in line]
    out = tmp_path / "out"
    if (out / "logs" / "left_out").exists():
        assert [one.name for one in (out / "logs" / "left_out").iterdir()] == ["sub-04_ses-b.json"]
        assert len(lost) == 1
    results = run_plan(replace(plan_study(load_study(study)), analyses=()), out, level="group")
    scans = results.tables["scans"].set_index(["subject", "session"])
    assert scans.loc[("04", "b"), "reason"] != ""
    assert not list((out / "sub-04" / "ses-b").rglob("*relmat*"))


@pytest.mark.parametrize(
    ("number", "advice"),
    [(errno.ENOSPC, "make room on its disk"), (errno.EACCES, "that you may write to")],
)
def test_a_full_disk_and_a_forbidden_folder_stop_the_run_and_leave_no_scan_out(
    small, tmp_path, monkeypatch, number, advice
):
    written = []
    fsync = os.fsync

    def full(handle):
        written.append(handle)
        if len(written) >= 40:
            raise OSError(number, os.strerror(number))
        fsync(handle)

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(MachineError, match=rf"cannot be written.*{advice}"):
        make(small, tmp_path / "out")
    monkeypatch.undo()
    assert not list((tmp_path / "out").rglob("*.part"))
    assert not (tmp_path / "out" / "logs" / "left_out").exists()
    assert not (tmp_path / "out" / ".runs").exists()
    said = make(small, tmp_path / "out")
    assert ", 0 kept" not in said[0]
    make(small, tmp_path / "whole")
    pairs = [(p, tmp_path / "whole" / p.relative_to(tmp_path / "out"))
             for p in (tmp_path / "out").rglob("sub-*.*")]  # fmt: skip
    assert len(pairs) > 40
    assert all(one.read_bytes() == other.read_bytes() for one, other in pairs)


def test_a_worker_that_is_killed_is_one_message(small, tmp_path, monkeypatch):
    """A worker is killed in its first session, as the system would for want of memory."""
    monkeypatch.setattr(spreading, "_process_alone", _die_once)
    with pytest.raises(MachineError, match=r"a worker process was killed.*fewer --n-jobs"):
        make(small, tmp_path / "out", n_jobs=2)
    assert (tmp_path / "killed").exists()
    monkeypatch.undo()
    assert make(small, tmp_path / "out")[0].startswith("FC of 11 sessions: ")


def _die_once(own, *, atlas, study):
    # The place of the mark comes with the job: a worker that an earlier test left waiting has that
    # test's environment.
    mark = own["folder"].parents[3] / "killed"  # of PLACE/out/sub-X/ses-X/func
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)  # until the broken pool ends this one too; its word must not come before
    raise AssertionError("the pool is not broken")


def test_workers_fit_into_memory(small, tmp_path, monkeypatch):
    jobs = session_jobs(plan_study(load_study(small)), tmp_path / "out")
    need = need_bytes(jobs[0])
    monkeypatch.setattr(memory, "free_bytes", lambda: 10 * need)
    assert fitting_workers(jobs, 4) == (4, "")
    monkeypatch.setattr(memory, "free_bytes", lambda: int(2.5 * need / 0.9))
    n_workers, note = fitting_workers(jobs, 4)
    assert n_workers == 2
    assert note.startswith("2 workers instead of 4, so that memory suffices: about ")
    monkeypatch.setattr(memory, "free_bytes", lambda: need // 2)
    assert fitting_workers(jobs, 4)[0] == 1
    assert "short even for 1 worker" in fitting_workers(jobs, 4)[1]
    big = tmp_path / "big.tsv"
    with big.open("wb") as stream:
        stream.truncate(10**9)
    scan = replace(jobs[1].scans[0], path=big)
    huge = replace(jobs[1], scans=(scan,))
    assert need_bytes(huge) > 5 * 10**9
    assert "sub-" + huge.subject in fitting_workers([*jobs, huge], 4)[1]


def test_memory_that_a_container_or_a_job_leaves(tmp_path, monkeypatch):
    root, own = tmp_path / "cgroup", tmp_path / "own"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "memory.max").write_text("1000000\n")
    (root / "a" / "memory.current").write_text("400000\n")
    (root / "a" / "b" / "memory.max").write_text("max\n")
    own.write_text("0::/a/b\n")
    assert memory._group_free(root, own) == 600000
    (root / "memory" / "job").mkdir(parents=True)
    (root / "memory" / "job" / "memory.limit_in_bytes").write_text("5000\n")
    (root / "memory" / "job" / "memory.usage_in_bytes").write_text("1000\n")
    own.write_text("3:cpu:/job\n9:memory:/job\n")
    assert memory._group_free(root, own) == 4000
    monkeypatch.setenv("SLURM_MEM_PER_NODE", "2")
    assert memory._slurm_granted() == 2 * 1024**2
    monkeypatch.delenv("SLURM_MEM_PER_NODE")
    monkeypatch.setenv("SLURM_MEM_PER_CPU", "3")
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "4")
    assert memory._slurm_granted() == 12 * 1024**2


def test_a_scheduler_that_does_not_answer_is_one_message(small, tmp_path, monkeypatch):
    pytest.importorskip("distributed", reason="Dask is not installed: pip install .[cluster]")
    monkeypatch.setattr(spreading, "_ANSWER_S", 0.3)
    with pytest.raises(MachineError, match=r"--scheduler: 'tcp://127.0.0.1:9' does not answer"):
        make(small, tmp_path / "out", scheduler="tcp://127.0.0.1:9")


@pytest.mark.parametrize("n_threads", [2, 4])
def test_threads_of_the_linear_algebra_change_nothing_but_rounding(n_threads):
    """Stated in docs/scale.md: group results agree to 1e-8, relative, whatever the thread count."""
    import pandas as pd
    from threadpoolctl import threadpool_limits

    from connectrial import fit_edges

    rng = np.random.default_rng(5)
    n_people, n_edges = 150, 1200
    data = pd.DataFrame(
        {
            "subject": np.repeat([f"s{k:03d}" for k in range(n_people)], 2),
            "visit": pd.Categorical(np.tile(["pre", "post"], n_people), ["pre", "post"]),
            "arm": np.repeat(np.where(np.arange(n_people) % 2, "drug", "placebo"), 2),
        }
    )
    values = rng.normal(size=(2 * n_people, n_edges)) + np.repeat(
        rng.normal(size=(n_people, n_edges)), 2, axis=0
    )
    found = []
    for threads in (1, n_threads):
        with threadpool_limits(threads):
            fits = fit_edges(values, "z ~ visit * arm + (1 | subject)", data)
        found.append([fits.estimate, fits.se, fits.df, fits.p])
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-8)


def test_a_folder_that_another_run_holds_is_refused_by_the_command(small, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    hold = (
        "import sys; from pathlib import Path; from connectrial.io.locks import claimed\n"
        "with claimed(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(out)], stdin=-1, stdout=-1, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        done = connectrial("run", small, out)
        other.communicate("")
    assert done.returncode == 2
    assert f"another run is at work here (process {other.pid} on " in done.stderr
    assert "Traceback" not in done.stderr
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(small, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        make(small, tmp_path / "file")
    with pytest.raises(MachineError, match="cannot be written"):
        make(small, tmp_path / "file" / "out")
