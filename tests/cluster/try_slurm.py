"""A study on a real one-node SLURM: submit, kill a task, ask the status, submit again, finish.

    make cluster-test

starts the SLURM (`one_node_slurm.sh`), runs this, prints the transcript that the documentation
shows, stops the SLURM, and fails where a step does not end as it must.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import write_tiny

HERE = Path(__file__).parent
#: One node without a network of its own: two workers, each a job, which meet on loopback.
DASK = '[cluster]\nmax_workers = 2\ncores = 1\nmemory_gb = 1\nwalltime = "00:20:00"\ninterface = "lo"\n'
CLUSTER = '[cluster]\npeople_per_task = 2\nmemory_gb = 1\nwalltime = "00:20:00"\n'


def shown(command: list[str], folder: Path, *, quiet: bool = False) -> str:
    """Run a command, print it and what it said with short paths, and return what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).replace(str(folder) + "/", "")
    if not quiet:
        words = ["connectrial" if one == sys.executable else one for one in command]
        words = [one.replace(str(folder) + "/", "") for one in words if one not in ("-m",)]
        print("$ " + " ".join(words[1:] if words[1] == words[0] else words))
        print(said, flush=True)
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}\n{said}")
    return said


def wait_for(what: str, ready, seconds: float = 600):
    """Wait until something holds, and return it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = ready()
        if found:
            return found
        time.sleep(0.05)
    raise SystemExit(f"{what}: not within {seconds:.0f} s")


def queue() -> list[str]:
    command = ["squeue", "--noheader", "--array", "--format=%i %T %j"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=int, default=8)
    n_subjects = parser.parse_args().subjects
    with tempfile.TemporaryDirectory(prefix="connectrial-slurm-") as name:
        folder = Path(name)
        started = subprocess.run(
            [HERE / "one_node_slurm.sh", "start", folder / "slurm"],
            capture_output=True,
            text=True,
            check=False,
        )
        if started.returncode == 3:
            print(f"not tried: {started.stderr.strip()}")
            return
        if started.returncode:
            raise SystemExit(started.stderr)
        os.environ["SLURM_CONF"] = started.stdout.strip()
        try:
            scenario(folder, n_subjects)
        finally:
            subprocess.run([HERE / "one_node_slurm.sh", "stop", folder / "slurm"], check=False)


def scenario(folder: Path, n_subjects: int) -> None:
    """Go through the whole story; every assertion is a promise of the documentation."""
    study = write_tiny(folder / "trial", n_subjects=n_subjects)
    out, plain = folder / "results", folder / "plain"
    (folder / "cluster.toml").write_text(CLUSTER)
    command = [sys.executable, "-m", "connectrial"]
    submit = [*command, "submit", str(study), str(out), "--system", "slurm"]
    submit += ["--cluster", str(folder / "cluster.toml")]

    said = shown(submit, folder)
    array = said.split("Submitted job ")[1].split(":")[0]

    def first_running() -> str | None:
        return next((one for one in queue() if "RUNNING connectrial-scans" in one), None)

    victim = wait_for("a running task", first_running).split()[0]
    shown(["scancel", "--signal=KILL", "--full", victim], folder)
    shown([*command, "status", str(out)], folder)
    wait_for("the end of all jobs", lambda: not queue())

    said = shown([*command, "status", str(out)], folder)
    killed = int(victim.split("_")[1])
    people = (out / "logs/slurm/1/tasks.txt").read_text().split()[killed].split(",")
    failed = [line for line in said.splitlines() if line.startswith("  failed: ")]
    assert len(failed) == 1, said
    assert f"task {array}_{killed} ended without it" in failed[0], said
    lost = {word for word in failed[0].replace(",", " ").split() if word.startswith("sub-")}
    assert lost <= {f"sub-{name}" for name in people}, said
    assert "group level: failed" in said, said

    said = shown(submit, folder)
    assert f"1 task for {len(lost)} of {n_subjects} people" in said, said
    wait_for("the end of all jobs", lambda: not queue())
    said = shown([*command, "status", str(out)], folder)
    assert "group level: done" in said, said
    assert "failed" not in said, said
    said = shown(submit, folder)
    assert "Nothing to submit" in said, said

    (folder / "dask.toml").write_text(DASK)
    over_dask = folder / "over-dask"
    shown(
        [*command, "run", str(study), str(over_dask), "--cluster", str(folder / "dask.toml")],
        folder,
    )
    assert not queue(), "the workers' jobs must be gone with the run"
    assert sorted((over_dask / "logs/dask").glob("dask-worker-*.out")), (
        "what the jobs said must be kept"
    )
    assert not list(Path.cwd().glob("slurm-*.out")), "nothing may lie where the command was given"

    shown([*command, "run", str(study), str(plain)], folder, quiet=True)
    tables = sorted(path.name for path in (plain / "group").glob("*.tsv"))
    for made in (out, over_dask):
        same, other, odd = filecmp.cmpfiles(plain / "group", made / "group", tables, shallow=False)
        assert not other, other
        assert not odd, odd
    print(f"All {len(same)} tables of group/ are byte for byte those of a run without a cluster.")


if __name__ == "__main__":
    main()
