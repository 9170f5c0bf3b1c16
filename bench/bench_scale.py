"""Large studies on one machine: wall time, CPU time and peak memory, and how they grow.

Two designs, each made by a seeded generator and run by the command line, level by level, every
point in a process of its own:

- scans: 4 visits of 5 to 500 people, parcel series of 100 parcels and 200 frames;
- edges: 4 visits of 50 to 500 people with 125 to 394 parcels (7,750 to 77,421 edges), one mixed
  model for every edge and QC-FC at every visit.

    make bench-scale            # all points; what is done is kept in bench/.cells/scale.jsonl
    python bench/bench_scale.py --plot docs/images    # the figures and the table again

Memory is the largest resident set of any single process (``ru_maxrss`` of the level's process and
of its workers), as the kernel counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

CELLS = Path(__file__).parent / ".cells" / "scale.jsonl"
VISITS = "abcd"
NETWORKS = ("Default", "Vis", "Cont", "SomMot", "Limbic")
#: (design, people, parcels, frames); the first of each pair is a tenth of the last.
POINTS = [
    ("edges", 50, 394, 40),
    ("edges", 500, 125, 40),
    ("edges", 500, 394, 40),
    ("scans", 50, 100, 200),
    ("scans", 500, 100, 200),
    ("edges", 160, 394, 40),
    ("edges", 500, 224, 40),
    ("scans", 160, 100, 200),
]
STUDY = """
[study]
name = "Scale"
seed = 1
simulated = true
[data]
kind = "time series"
derivatives = "data"
[design]
kind = "parallel"
{visits}
[arms]
column = "arm"
levels = ["placebo", "drug"]
[quality]
carpets = false
[[hypothesis]]
name = "Default"
within = "Default"
model = "change"
tests = ["visit:arm"]
{exploration}
[model.level]
fixed = ["visit", "arm"]
random = ["1 | subject"]
df = "satterthwaite"
[model.change]
fixed = ["visit * arm"]
random = ["1 | subject"]
df = "satterthwaite"
"""
EXPLORATION = '[[exploration]]\nname = "Every edge"\nmodel = "level"\ntest = "arm"\n'


def write_study(folder: Path, design: str, n_people: int, n_parcels: int, n_frames: int) -> Path:
    """Write series, motion and participants of a simulated trial; return the study file."""
    rng = np.random.default_rng(n_people * 1000 + n_parcels)
    data = folder / "data"
    names = [
        f"{'LR'[i % 2]}H_{NETWORKS[i * len(NETWORKS) // n_parcels]}_{i + 1}"
        for i in range(n_parcels)
    ]
    loading = rng.normal(size=(5, n_parcels)) * 0.4
    header, row = "\t".join(names), "\t".join(["%.5g"] * n_parcels)
    people = ["participant_id\tarm"]
    for person in range(1, n_people + 1):
        people.append(f"sub-{person:04d}\t{('placebo', 'drug')[person % 2]}")
        own = loading + rng.normal(size=loading.shape) * 0.15
        for session in VISITS:
            here = data / f"sub-{person:04d}" / f"ses-{session}" / "func"
            here.mkdir(parents=True)
            stem = f"sub-{person:04d}_ses-{session}_task-rest"
            signal = rng.normal(size=(n_frames, 5)) @ own + rng.normal(size=(n_frames, n_parcels))
            lines = [header, *(row % tuple(values) for values in (500 + signal).tolist())]
            name = f"{stem}_space-X_atlas-Made{n_parcels}_stat-mean_timeseries.tsv"
            (here / name).write_text("\n".join(lines) + "\n")
            fd = ["framewise_displacement", "n/a"]
            fd += [f"{x:.3f}" for x in rng.gamma(2, 0.05, n_frames - 1)]
            (here / f"{stem}_motion.tsv").write_text("\n".join(fd) + "\n")
    (data / "participants.tsv").write_text("\n".join(people) + "\n")
    about = '{"Name": "scale", "BIDSVersion": "1.10.0", "Simulated": true}'
    (data / "dataset_description.json").write_text(about)
    visits = "".join(
        f'[[visit]]\nname = "v{n}"\nsessions = ["{session}"]\nday = {7 * n}\n'
        for n, session in enumerate(VISITS, start=1)
    )
    study = folder / "study.toml"
    study.write_text(
        STUDY.format(visits=visits, exploration=EXPLORATION if design == "edges" else "")
    )
    return study


def measure(command: list[str], log: Path) -> dict[str, float]:
    """Run a command; return wall and CPU seconds and the largest resident set of a process."""
    started = time.perf_counter()
    with log.open("ab") as stream:
        pid = os.posix_spawn(
            command[0],
            command,
            {
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "OMP_NUM_THREADS": "1",
                "MPLBACKEND": "agg",
            },
            file_actions=[
                (os.POSIX_SPAWN_DUP2, stream.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, stream.fileno(), 2),
            ],
        )
        _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status):
        raise SystemExit(f"{' '.join(command)} failed:\n{log.read_text()[-2000:]}")
    return {
        "wall_s": round(time.perf_counter() - started, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
    }


def run_point(
    point: tuple[str, int, int, int], n_jobs: int, scratch: Path | None
) -> dict[str, object]:
    """Make a point's study, run both levels, and return what they took."""
    design, n_people, n_parcels, n_frames = point
    folder = Path(tempfile.mkdtemp(prefix="connectrial-scale-", dir=scratch))
    try:
        study = write_study(folder, *point)
        row: dict[str, object] = {
            "design": design,
            "people": n_people,
            "scans": n_people * len(VISITS),
            "parcels": n_parcels,
            "edges": n_parcels * (n_parcels - 1) // 2,
            "frames": n_frames,
            "n_jobs": n_jobs,
            "load": round(os.getloadavg()[0], 1),
        }
        for level in ("participant", "group"):
            command = [sys.executable, "-m", "connectrial", "run", str(study), str(folder / "out")]
            command += ["--level", level]
            command += ["--n-jobs", str(n_jobs)] if level == "participant" else []
            for key, value in measure(command, folder / "log.txt").items():
                row[f"{level}_{key}"] = value
        return row
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def done(cells: Path) -> list[dict[str, object]]:
    """Return the points that were measured already."""
    return [json.loads(line) for line in cells.read_text().splitlines()] if cells.is_file() else []


def as_markdown(rows: list[dict[str, object]]) -> str:
    """Return the points as a table."""
    head = (
        "| people x visits | parcels (edges) | scans to FC: wall, CPU | peak of a process "
        "| group level: wall, CPU | peak |"
    )
    lines = [head, "|---|---|---|---|---|---|"]
    for row in sorted(rows, key=lambda one: (str(one["design"]), one["people"], one["parcels"])):
        lines.append(
            f"| {row['people']} x 4 ({row['scans']} scans) | {row['parcels']} ({row['edges']:,}) "
            f"| {row['participant_wall_s']:.0f} s, {row['participant_cpu_s']:.0f} s "
            f"| {row['participant_peak_mb']} MB "
            f"| {row['group_wall_s']:.0f} s, {row['group_cpu_s']:.0f} s | {row['group_peak_mb']} MB |"
        )
    return "\n".join(lines)


def plot(rows: list[dict[str, object]], folder: Path) -> Path:
    """Draw CPU time and peak memory over scans and over edges."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots(2, 2)
    over_scans = [one for one in rows if one["design"] == "scans"]
    over_people = [one for one in rows if one["design"] == "edges" and one["parcels"] == 394]
    over_edges = [one for one in rows if one["design"] == "edges" and one["people"] == 500]
    columns = (("scans", {"100 parcels": over_scans, "394 parcels, every edge": over_people}),
               ("edges", {"2,000 scans, every edge": over_edges}))  # fmt: skip
    seconds = (20, 50, 100, 200, 500, 1000)
    for at, (x, series) in enumerate(columns):
        for colour, (name, mine) in zip(("#0072B2", "#D55E00"), series.items(), strict=False):
            mine = sorted(mine, key=lambda one: one[x])
            places = [one[x] for one in mine]
            for level, style in (("participant", ":"), ("group", "-")):
                label = f"{name}: {'scans to FC' if level == 'participant' else 'group level'}"
                cpu = [one[f"{level}_cpu_s"] for one in mine]
                peak = [one[f"{level}_peak_mb"] for one in mine]
                axes[0, at].plot(places, cpu, style, marker="o", color=colour, label=label)
                axes[1, at].plot(places, peak, style, marker="o", color=colour)
        axes[0, at].set(xscale="log", yscale="log", ylabel="CPU time (s)")
        axes[1, at].set(xscale="log", xlabel=x, ylabel="peak of a process (MB)")
        measured = sorted({one[x] for mine in series.values() for one in mine})
        for one in axes[:, at]:  # powers of ten would say less than what was measured
            one.set_xticks(measured, [f"{n:,}" for n in measured])
            one.set_xticks([], minor=True)
        axes[0, at].set_yticks(seconds, [f"{n:,}" for n in seconds])
        axes[0, at].set_yticks([], minor=True)
        axes[1, at].set_ylim(bottom=0)
        axes[0, at].legend(fontsize=7, frameon=False)
    for one in axes.flat:
        one.spines[["top", "right"]].set_visible(False)
    path = folder / "scale.svg"
    with mpl.rc_context({"svg.hashsalt": "scale", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--cells", type=Path, default=CELLS)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--scratch", type=Path, help="folder with room for 6 GB")
    parser.add_argument(
        "--plot", type=Path, metavar="FOLDER", help="draw what is measured; run nothing"
    )
    parser.add_argument("--tiny", action="store_true", help="one small point, to see that it works")
    options = parser.parse_args()
    if options.tiny:
        print(json.dumps(run_point(("edges", 8, 20, 40), options.n_jobs, options.scratch)))
        return
    rows = done(options.cells)
    if options.plot is None:
        options.cells.parent.mkdir(parents=True, exist_ok=True)
        known = {(one["design"], one["people"], one["parcels"], one["frames"]) for one in rows}
        for point in POINTS:
            if point not in known:
                row = run_point(point, options.n_jobs, options.scratch)
                rows.append(row)
                with options.cells.open("a") as stream:
                    stream.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)
    else:
        print(plot(rows, options.plot))
    print(as_markdown(rows))


if __name__ == "__main__":
    main()
