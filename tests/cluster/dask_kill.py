"""Run a study on Dask workers and kill one of them in mid-run: dask_kill.py STUDY FOLDER."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from distributed import LocalCluster

from connectrial import load_study, plan_study, run_plan


def main() -> None:
    study, folder = sys.argv[1], Path(sys.argv[2])
    out = folder / "out"
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        local_directory=str(folder / "dask"),
    ) as cluster:
        victim = next(iter(cluster.workers.values())).pid

        def kill() -> None:
            while True:
                n_done = sum(1 for _ in out.rglob("*relmat.json"))
                if n_done >= 2:
                    os.kill(victim, signal.SIGKILL)
                    print(f"killed a worker after {n_done} sessions", flush=True)
                    return
                time.sleep(0.001)

        threading.Thread(target=kill, daemon=True).start()
        plan = replace(plan_study(load_study(study)), analyses=())  # sessions are what is spread
        run_plan(plan, out, scheduler=cluster.scheduler_address, say=print)


if __name__ == "__main__":
    main()
