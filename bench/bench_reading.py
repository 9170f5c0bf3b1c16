"""Speed and memory of reading images: parcels, voxels, global connectivity, against peers.

Writes the section "Reading" of docs/benchmarks.md and prints it. Files of 2 mm are generated from a
seed. CPU time; the least of several alternating rounds; ratios within one run. nilearn runs in an
environment of its own, made in bench/.peers when it is not there; a peer that is absent is named
and left out.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import json
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
from isal import igzip
from reporting import (
    DOCS,
    Progress,
    describe_command,
    describe_machine,
    describe_versions,
    markdown_table,
    publish_section,
)

from connectrial.data import Atlas
from connectrial.fc.denoising import build_cleaning, denoise
from connectrial.fc.orders import ORDERS
from connectrial.fc.seed_maps import global_connectivity_map
from connectrial.fc.voxelwise import denoise_voxels, rotate_voxels, unit_columns, voxel_operator
from connectrial.io.images import extract_with_quality
from connectrial.io.nifti import read_volume
from connectrial.io.voxels import read_voxels

HERE = Path(__file__).resolve().parent
SHAPE = (91, 109, 91)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
N_PARCELS = 400
N_GRAYORDINATES = 91_282
REPETITION_TIME_S = 2.0
BAND_HZ = (0.009, 0.08)
PARTS = ("parcels", "unpacking", "voxels", "processes", "memory", "global")


# --- what is read


@dataclass(frozen=True)
class Files:
    """A generated run with its mask, labels and confounds."""

    image: Path
    mask: Path
    labels: Path
    confounds: Path
    n_frames: int

    def atlas(self) -> Atlas:
        labels, affine = read_volume(self.labels)
        names = [f"p{k:03d}" for k in range(1, N_PARCELS + 1)]
        table = pd.DataFrame({"index": range(1, N_PARCELS + 1), "network": "all"}, index=names)
        return Atlas(name="Bench400", parcels=table, labels=labels.astype(np.int32), affine=affine)


def make_files(folder: Path, n_frames: int, dtype: str, seed: int = 0) -> Files:
    """A run as fMRIPrep leaves it: brain around 10,000, air that is not quite 0."""
    from scipy.spatial import cKDTree

    rng = np.random.default_rng(seed)
    world = np.indices(SHAPE).reshape(3, -1, order="F").T @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    brain = ((((world - (0, -18, 10)) / (72, 91, 68)) ** 2).sum(axis=1)) <= 1
    inside, air = np.flatnonzero(brain), np.flatnonzero(~brain)
    base = 8000 + 2000 * rng.random(len(inside), dtype=np.float32)
    weights = rng.normal(size=(12, len(inside))).astype(np.float32)
    image = folder / f"run_{dtype}_{n_frames}.nii.gz"
    stated = nib.Nifti1Image(np.zeros((*SHAPE, 1), dtype=dtype), AFFINE)
    stated.header.set_data_shape((*SHAPE, n_frames))
    stated.header.set_zooms((2, 2, 2, REPETITION_TIME_S))
    stated.header.set_xyzt_units("mm", "sec")
    stated.header["vox_offset"] = 352
    with igzip.open(image, "wb", compresslevel=1) as stream:
        stream.write(stated.header.binaryblock + b"\0\0\0\0")
        frame = np.zeros(brain.size, dtype=np.float32)
        for _ in range(n_frames):
            noise = rng.standard_normal(brain.size, dtype=np.float32)
            frame[air] = np.abs(60 * noise[air])
            frame[inside] = base + 40 * (rng.standard_normal(12, dtype=np.float32) @ weights)
            frame[inside] += 80 * noise[inside]
            stream.write((np.rint(frame) if dtype == "int16" else frame).astype(dtype).tobytes())
    centres = world[rng.choice(inside, N_PARCELS, replace=False)]
    labels = np.zeros(brain.size, dtype=np.int32)
    labels[inside] = cKDTree(centres).query(world[inside])[1] + 1
    mask, atlas = folder / "mask.nii.gz", folder / "labels.nii.gz"
    nib.Nifti1Image(brain.reshape(SHAPE, order="F").astype(np.uint8), AFFINE).to_filename(mask)
    nib.Nifti1Image(labels.reshape(SHAPE, order="F"), AFFINE).to_filename(atlas)
    confounds = folder / f"confounds_{n_frames}.tsv"
    columns = np.cumsum(rng.normal(size=(n_frames, 36)), axis=0)
    pd.DataFrame(columns, columns=CONFOUNDS).to_csv(confounds, sep="\t", index=False)
    return Files(image, mask, atlas, confounds, n_frames)


CONFOUNDS = [
    f"{name}{end}"
    for name in [
        *(f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"),
        "csf",
        "white_matter",
        "global_signal",
    ]
    for end in ("", "_derivative1", "_power2", "_derivative1_power2")
]


# --- what is timed


def cpu(run: Callable[[], object]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    run()
    return time.process_time() - start


def alternate(rounds: int, *runs: Callable[[], object]) -> list[float]:
    """Least CPU seconds of each of several runs, taken in turn."""
    best = [np.inf] * len(runs)
    for _ in range(rounds):
        for number, run in enumerate(runs):
            best[number] = min(best[number], cpu(run))
    return best


def inflate(image: Path, n_bytes: int) -> None:
    """Unpack a file frame by frame into one buffer, and nothing else."""
    buffer = memoryview(bytearray(n_bytes))
    with image.open("rb") as file, igzip.IGzipFile(fileobj=file, mode="rb") as stream:
        while stream.readinto(buffer):
            pass


def extract(files: Files, atlas: Atlas) -> object:
    return extract_with_quality(files.image, atlas, mask=files.mask)


def extract_and_clean(files: Files, atlas: Atlas) -> object:
    series = extract_with_quality(files.image, atlas, mask=files.mask).series
    return denoise(
        series,
        pd.read_csv(files.confounds, sep="\t"),
        strategy="36P",
        band_hz=BAND_HZ,
        min_remaining_df=1,
    )


def clean_voxels(files: Files) -> object:
    """All voxels read and cleaned, in the default order (Butterworth)."""
    found = read_voxels(files.image, files.mask)
    return denoise_voxels(found.signal, make_operator(files, "default"))


def make_operator(files: Files, order: str):
    cleaning, _ = build_cleaning(
        np.ones(files.n_frames, dtype=bool),
        pd.read_csv(files.confounds, sep="\t"),
        repetition_time_s=REPETITION_TIME_S,
        strategy="36P",
        band_hz=BAND_HZ,
        order=order,
        min_remaining_df=1,
    )
    return voxel_operator(cleaning, n_frames=files.n_frames, linear=ORDERS[order].linear)


@dataclass
class Row:
    """One line of the table."""

    what: str
    seconds: str
    against: str
    peer: str
    ratio: str
    target: str
    met: bool | None


@dataclass
class Bench:
    """Rows, and what was left out and why."""

    options: argparse.Namespace
    folder: Path
    progress: Progress
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    recalled: bool = False

    def add(
        self, what: str, ours: float, against: str, peer: float | None, *, least: float | None
    ) -> None:
        """A row that holds `peer / ours` against its least value."""
        if peer is None:
            return
        ratio = peer / ours
        met = None if least is None else ratio >= least
        target = "stated" if least is None else f"at least {least:g}"
        self.rows.append(
            Row(what, f"{ours:.3g}", against, f"{peer:,.3g}" if peer < 1000 else f"{peer:,.0f}",
                f"{ratio:.3g} times as fast", target, met)
        )  # fmt: skip
        self.progress.say(f"{what}: {ours:.2f} s, {against} {peer:.2f} s, {ratio:.2f} x")

    def recall(self) -> None:
        """Take up rows and notes of an earlier sitting: of a file, or of the page itself."""
        if self.options.rows is not None and self.options.rows.is_file():
            known = json.loads(self.options.rows.read_text())
            self.rows = [Row(**row) for row in known["rows"]]
            self.notes = known["notes"]
        elif set(self.options.parts) != set(PARTS) and self.options.output.is_file():
            self.rows, self.notes = rows_of_page(self.options.output)
        self.recalled = bool(self.rows)

    def remember(self) -> None:
        """Keep rows and notes for a later sitting; what was measured again counts as it is now."""
        self.rows = list({row.what: row for row in self.rows}.values())
        self.notes = list(dict.fromkeys(self.notes))
        if self.options.rows is not None:
            known = {"rows": [asdict(row) for row in self.rows], "notes": self.notes}
            self.options.rows.write_text(json.dumps(known, indent=1))

    def nilearn(self, what: str, files: Files, rounds: int) -> float | None:
        """CPU seconds of nilearn; None, and a note, if it cannot be had."""
        home = self.options.peers.resolve() / "nilearn"
        python = home / "bin" / "python"
        if not (home / ".installed").is_file():
            subprocess.run([sys.executable, "-m", "venv", str(home)], capture_output=True)
            command = [str(python), "-m", "pip", "install", "--quiet", "nilearn==0.14.1"]
            if subprocess.run(command, capture_output=True).returncode:
                self._leave_out("nilearn 0.14.1 could not be installed")
                return None
            (home / ".installed").touch()
        command = [
            str(python), str(HERE / "peer_nilearn_reading.py"), what, str(files.image),
            str(files.labels), str(files.mask), str(files.confounds), str(rounds),
        ]  # fmt: skip
        environment = {key: v for key, v in os.environ.items() if key != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            self._leave_out(f"nilearn did not run ({done.stderr.strip().splitlines()[-1][:120]})")
            return None
        return float(json.loads(done.stdout.strip().splitlines()[-1])["seconds"])

    def _leave_out(self, why: str) -> None:
        if f"Left out: {why}." not in self.notes:
            self.notes.append(f"Left out: {why}.")


def rows_of_page(page: Path) -> tuple[list[Row], list[str]]:
    """Read the section's rows and notes back, so that one part can be measured again alone."""
    section = page.read_text(encoding="utf-8").partition("\n## Reading\n")[2]
    rows, notes = [], []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if line.startswith("| ") and len(cells) == 7 and cells[0] != "what":
            met = {"yes": True, "**no**": False}.get(cells[6])
            rows.append(Row(*cells[:6], met))
        elif rows and line and not line.startswith("|"):
            notes.append(re.sub(r"Targets missed: [^.]*(\.\d[^.]*)*\. ?", "", line))
    return rows, notes


def wait_until_quiet(limit_s: float = 20.0) -> float:
    """Wait until other work leaves the processors alone; return the share of them it last took."""
    stat = Path("/proc/stat")
    if not stat.is_file():
        return float("nan")
    end = time.perf_counter() + limit_s
    while True:
        first = _ticks(stat)
        time.sleep(0.5)
        busy, total = (b - a for a, b in zip(first, _ticks(stat), strict=True))
        share = busy / max(1, total)
        if share < 0.1 or time.perf_counter() > end:
            return share


def _ticks(stat: Path) -> tuple[int, int]:
    numbers = [int(word) for word in stat.read_text().splitlines()[0].split()[1:9]]
    return sum(numbers) - numbers[3] - numbers[4], sum(numbers)


def bench_unpacking(bench: Bench, files: Files, dtype: str) -> None:
    """Compare parcel extraction with unpacking, which no peer is needed for."""
    atlas = files.atlas()
    size = int(np.prod(SHAPE)) * np.dtype(dtype).itemsize
    raw, ours = alternate(
        bench.options.rounds, lambda: inflate(files.image, size), lambda: extract(files, atlas)
    )
    _add_unpacking(bench, f"{dtype}, {files.n_frames} frames", ours, raw)


def _add_unpacking(bench: Bench, what: str, ours: float, raw: float) -> None:
    bench.rows.append(
        Row(
            f"400 parcels with tSNR, DVARS and global signal, {what}",
            f"{ours:.3g}",
            "unpacking the same file by ISA-L, nothing else",
            f"{raw:.3g}",
            f"{ours / raw:.2f} of its time",
            "at most 1.35",
            ours / raw <= 1.35,
        )
    )
    bench.progress.say(f"parcels, {what}: {ours:.2f} s, raw {raw:.2f} s, {ours / raw:.2f}")


def bench_parcels(bench: Bench, files: Files, dtype: str) -> None:
    atlas = files.atlas()
    size = int(np.prod(SHAPE)) * np.dtype(dtype).itemsize
    raw, ours, cleaned = alternate(
        bench.options.rounds,
        lambda: inflate(files.image, size),
        lambda: extract(files, atlas),
        lambda: extract_and_clean(files, atlas),
    )
    what = f"{dtype}, {files.n_frames} frames"
    _add_unpacking(bench, what, ours, raw)
    peer = bench.nilearn("labels", files, bench.options.rounds)
    least = 3.5 if dtype == "int16" else 2.5
    bench.add(
        f"the same, {what}", ours, "nilearn NiftiLabelsMasker, means alone", peer, least=least
    )
    peer = bench.nilearn("labels cleaned", files, bench.options.rounds)
    bench.add(
        f"400 parcels, denoised (36P, 0.009-0.08 Hz), {what}",
        cleaned,
        "nilearn NiftiLabelsMasker with cleaning",
        peer,
        least=3.0,
    )


def bench_voxels(bench: Bench, files: Files) -> None:
    (ours,) = alternate(min(bench.options.rounds, 3), lambda: clean_voxels(files))
    found = read_voxels(files.image, files.mask)
    what = f"all {found.signal.shape[1]:,} voxels read and denoised, {files.n_frames} frames"
    bench.add(
        what, ours, "nilearn NiftiMasker, Butterworth", bench.nilearn("voxels", files, 1), least=25
    )
    # Single precision against double, step by step, on a few hundred voxels.
    few = found.signal[:, :: max(1, found.signal.shape[1] // 300)]
    operator = make_operator(files, "default")
    away = np.abs(
        np.corrcoef(denoise_voxels(few, operator).T)
        - np.corrcoef(operator.clean(few.astype(np.float64)).T)
    ).max()
    bench.notes.append(
        f"Voxels cleaned in single precision: r is at most {away:.1g} away from double precision, "
        "step by step."
    )


def bench_memory(bench: Bench, every: list[Files]) -> None:
    """Peak memory of a fresh process that extracts parcels."""
    # Not ru_maxrss: a child inherits what its parent held when it was forked.
    if not Path("/proc/self/status").is_file():
        bench.notes.append("Left out: peak memory (no /proc here).")
        return
    for files in every:
        script = (
            "import sys; sys.path.insert(0, sys.argv[1])\n"
            "from pathlib import Path\n"
            "from bench_reading import Files, extract\n"
            "files = Files(*(Path(p) for p in sys.argv[2:6]), 0)\n"
            "extract(files, files.atlas())\n"
            "status = Path('/proc/self/status').read_text()\n"
            "print(status.partition('VmHWM:')[2].split()[0])\n"
        )
        paths = [files.image, files.mask, files.labels, files.confounds]
        command = [sys.executable, "-c", script, str(HERE), *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        mb = int(done.stdout) / 1024
        what = f"peak memory of a process that extracts 400 parcels, {files.n_frames} frames"
        bench.rows.append(Row(what, f"{mb:.0f} MB", "–", "–", "–", "below 400 MB", mb < 400))
        bench.progress.say(f"{what}: {mb:.0f} MB")


def bench_global(bench: Bench) -> None:
    """Global connectivity of grayordinates, in the pass-band, against Workbench's matrix."""
    options = bench.options
    rng = np.random.default_rng(1)
    n_frames, n = options.gbc_frames, options.grayordinates
    signal = np.cumsum(rng.standard_normal((n_frames, n), dtype=np.float32), axis=0)
    cleaning, _ = build_cleaning(
        np.ones(n_frames, dtype=bool),
        pd.DataFrame(rng.normal(size=(n_frames, 6)), columns=CONFOUNDS[:24:4]),
        repetition_time_s=0.72,
        strategy="6P",
        band_hz=BAND_HZ,
        order="passband",
    )
    operator = voxel_operator(cleaning, n_frames=n_frames)
    units = unit_columns(rotate_voxels(signal, operator), n_frames=n_frames)
    rank = len(units.values)
    ours = cpu(lambda: global_connectivity_map(units))
    whole_way = cpu(lambda: unit_columns(rotate_voxels(signal, operator)))
    (mean_r,) = alternate(3, lambda: global_connectivity_map(units, statistic="mean_r"))
    what = f"global connectivity, mean Fisher z, {n:,} grayordinates x {n_frames} frames"
    peer = workbench_seconds(bench, signal, options.workbench_rows)
    bench.add(
        f"{what}, pass-band of rank {rank} (with the denoising)",
        ours + whole_way,
        f"Workbench -cifti-correlation -fisher-z ({options.workbench_rows:,} rows, scaled to all)",
        None if peer is None else peer * n / options.workbench_rows,
        least=10,
    )
    bench.notes.append(
        f"Mean r in place of mean Fisher z takes {mean_r:.2g} s once the voxels are cleaned "
        f"({whole_way:.2g} s); the matrix that Workbench would write takes "
        f"{4 * n * n / 1e9:.0f} GB."
    )


def workbench_seconds(bench: Bench, signal: np.ndarray, n_rows: int) -> float | None:
    """CPU seconds that Workbench takes to correlate some rows with all."""
    if shutil.which("wb_command") is None:
        bench.notes.append(
            "Left out: Workbench (no wb_command on PATH; Debian: apt install connectome-workbench)."
        )
        return None
    series, rois, out = (
        bench.folder / f"gray.{end}.nii" for end in ("dtseries", "dscalar", "dconn")
    )
    axis = grayordinates(signal.shape[1])
    time_axis = nib.cifti2.SeriesAxis(0, 0.72, len(signal), "SECOND")
    nib.Cifti2Image(signal, (time_axis, axis)).to_filename(series)
    chosen = np.zeros((1, signal.shape[1]), dtype=np.float32)
    chosen[0, :n_rows] = 1
    names = nib.cifti2.ScalarAxis(["rows"])
    nib.Cifti2Image(chosen, (names, axis)).to_filename(rois)
    command = ["wb_command", "-cifti-correlation", str(series), str(out), "-fisher-z"]
    command += ["-roi-override", "-cifti-roi", str(rois)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        bench.notes.append(f"Left out: Workbench did not run ({done.stderr.strip()[:120]}).")
        return None
    return (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)


def grayordinates(n: int) -> nib.cifti2.BrainModelAxis:
    """Two hemispheres and voxels, as many as there are in the 91k space."""
    left, right = min(29_696, n // 3), min(29_716, n // 3)
    models = [
        nib.cifti2.BrainModelAxis.from_surface(np.arange(k), 32_492, name=name)
        for k, name in ((left, "CortexLeft"), (right, "CortexRight"))
    ]
    voxels = np.stack(np.unravel_index(np.arange(n - left - right), SHAPE), axis=1)
    models.append(
        nib.cifti2.BrainModelAxis(
            "CIFTI_STRUCTURE_THALAMUS_LEFT", voxel=voxels, volume_shape=SHAPE, affine=AFFINE
        )
    )
    return models[0] + models[1] + models[2]


def bench_processes(bench: Bench, files: Files) -> None:
    """Wall time of several runs, one after the other and in two processes."""
    from joblib import Parallel, delayed

    if (os.cpu_count() or 1) < 2:
        bench.notes.append("Left out: two processes (one core).")
        return
    atlas, n = files.atlas(), 4
    with Parallel(n_jobs=2) as pool:
        pool(delayed(extract)(files, atlas) for _ in range(2))  # the workers are there
        best, busy = [np.inf, np.inf], []
        for _ in range(min(bench.options.rounds, 3)):
            busy.append(wait_until_quiet())
            start = time.perf_counter()
            for _ in range(n):
                extract(files, atlas)
            middle = time.perf_counter()
            pool(delayed(_extract_quietly)(files, atlas) for _ in range(n))
            end = time.perf_counter()
            best = [min(best[0], middle - start), min(best[1], end - middle)]
    bench.add(
        f"{n} runs in two processes on two cores (wall time)",
        best[1],
        "one process",
        best[0],
        least=1.4,
    )
    bench.notes = [note.partition("Two processes against one")[0].strip() for note in bench.notes]
    if not min(busy) < 0.1:
        bench.notes.append(
            f"Two processes against one: other work took {min(busy):.0%} or more of the processors "
            "before every round, so that the second process had no core of its own."
        )


def _extract_quietly(files: Files, atlas: Atlas) -> None:
    extract(files, atlas)


SECTION = """## Reading

Images of 2 mm (91 x 109 x 91 voxels, gzip level 1) with 400 parcels, generated from a seed.

Made by `{command}`{sittings} on {machine}; {versions}; BLAS on one thread. CPU seconds inside the process, \
imports not counted, the least of up to {rounds} alternating rounds; only ratios within one run mean \
anything.

{table}

{notes}
"""


def main() -> None:
    """Run all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--long", type=int, default=1200, help="frames of the long run")
    parser.add_argument("--gbc-frames", type=int, default=1200)
    parser.add_argument("--grayordinates", type=int, default=N_GRAYORDINATES)
    parser.add_argument("--workbench-rows", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--peers", type=Path, default=HERE / ".peers")
    parser.add_argument(
        "--parts",
        nargs="+",
        choices=PARTS,
        default=PARTS,
        help="what to measure; rows of the other parts stay as the page has them",
    )
    parser.add_argument(
        "--rows", type=Path, help="keeps rows between sittings, so that parts can be measured apart"
    )
    parser.add_argument("--output", type=Path, default=DOCS / "benchmarks.md")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, Path(scratch), Progress())
        bench.recall()
        short = make_files(bench.folder, options.frames, "int16")
        bench.progress.say("files are made")
        if "unpacking" in options.parts and "parcels" not in options.parts:
            bench_unpacking(bench, short, "int16")
            bench_unpacking(bench, make_files(bench.folder, options.frames, "float32"), "float32")
        if "parcels" in options.parts:
            bench_parcels(bench, short, "int16")
            bench_parcels(bench, make_files(bench.folder, options.frames, "float32"), "float32")
        if "voxels" in options.parts:
            bench_voxels(bench, short)
        if "processes" in options.parts:
            bench_processes(bench, short)
        if "memory" in options.parts:
            bench_memory(bench, [short, make_files(bench.folder, options.long, "int16")])
        if "global" in options.parts:
            bench_global(bench)
        bench.remember()
    missed = [row.what for row in bench.rows if row.met is False]
    notes = bench.notes + (["Targets missed: " + "; ".join(missed) + "."] if missed else [])
    table = markdown_table(
        ["what", "seconds", "against", "its seconds", "ratio", "target", "met"],
        [
            [r.what, r.seconds, r.against, r.peer, r.ratio, r.target,
             {True: "yes", False: "**no**", None: "–"}[r.met]]
            for r in bench.rows
        ],
    )  # fmt: skip
    section = SECTION.format(
        command=re.sub(r" --(rows|parts)( [^-]\S*)+", "", describe_command(__file__)),
        sittings=" in several sittings (`--parts`)" if bench.recalled else "",
        machine=describe_machine(),
        versions=describe_versions("connectrial", "numpy", "scipy", "isal", "nibabel"),
        rounds=options.rounds,
        table=table,
        notes=" ".join(notes),
    )
    publish_section(section, options.output)


if __name__ == "__main__":
    main()
