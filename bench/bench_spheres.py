"""Speed of reading spheres out of a 2 mm run, against nilearn's NiftiSpheresMasker.

Writes docs/benchmarks-spheres.md and prints it. The run is generated from a seed. CPU time; the
least of several rounds; ratios within one run. nilearn runs in an environment of its own, made in
bench/.peers when it is not there; if it cannot be installed it is named and left out.
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip
from reporting import (
    DOCS,
    Progress,
    describe_command,
    describe_machine,
    describe_versions,
    markdown_table,
    publish,
)

from connectrial.data import Atlas
from connectrial.io.images import extract_with_quality
from connectrial.io.known_atlases import load_atlas

HERE = Path(__file__).resolve().parent
SHAPE = (91, 109, 91)
AFFINE = np.array([[-2.0, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
LEAST = 10.0


def make_run(folder: Path, n_frames: int, dtype: str, seed: int = 0) -> tuple[Path, Path]:
    """Write a run with 235,000 voxels of brain, and its mask."""
    rng = np.random.default_rng(seed)
    world = np.indices(SHAPE).reshape(3, -1, order="F").T @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    brain = (((world - (0, -18, 10)) / (72, 91, 68)) ** 2).sum(axis=1) <= 1
    base = np.where(brain, 10_000, 60).astype(np.float32)
    swing = np.where(brain, 80, 20).astype(np.float32)
    path = folder / f"run_{dtype}.nii.gz"
    header = nib.Nifti1Image(np.zeros((*SHAPE, 1), dtype=dtype), AFFINE).header
    header.set_data_shape((*SHAPE, n_frames))
    header.set_zooms((2, 2, 2, 2.0))
    header.set_xyzt_units("mm", "sec")
    header["vox_offset"] = 352
    with igzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(header.binaryblock + b"\0\0\0\0")
        for _ in range(n_frames):
            frame = base + swing * rng.standard_normal(len(base), dtype=np.float32)
            stream.write((np.rint(frame) if dtype == "int16" else frame).astype(dtype).tobytes())
    mask = folder / "mask.nii.gz"
    nib.save(nib.Nifti1Image(brain.reshape(SHAPE, order="F").astype(np.uint8), AFFINE), mask)
    return path, mask


def cpu(call: Callable[[], object], rounds: int) -> float:
    """Return the least CPU seconds of several rounds."""
    best = np.inf
    for _ in range(rounds):
        start = time.process_time()
        call()
        best = min(best, time.process_time() - start)
    return best


def inflate(path: Path) -> None:
    """Decompress a file into one buffer and do nothing with it: the floor."""
    buffer = bytearray(1 << 20)
    with igzip.open(path, "rb") as stream:
        while stream.readinto(buffer):
            pass


def peer_python(folder: Path) -> Path | None:
    """Interpreter that has nilearn and nothing of ours; None if it cannot be had."""
    home = folder / "nilearn"
    python, ready = home / "bin" / "python", home / ".installed"
    if not ready.is_file():
        made = subprocess.run([sys.executable, "-m", "venv", str(home)], capture_output=True)
        if made.returncode:
            return None
        command = [str(python), "-m", "pip", "install", "--quiet", "nilearn==0.14.1"]
        if subprocess.run(command, capture_output=True).returncode:
            return None
        ready.touch()
    return python


def nilearn(python: Path, image: Path, mask: Path | None, atlas: Atlas, scratch: Path) -> dict:
    """Seconds and first values of nilearn's masker on the same spheres."""
    where = scratch / "spheres.json"
    where.write_text(json.dumps(atlas.parcels[["x_mm", "y_mm", "z_mm"]].to_numpy().tolist()))
    script = str(HERE / "peer_nilearn_spheres.py")
    command = [str(python), script, str(image), str(mask or "none"), str(where), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(
    image: Path, mask: Path | None, *, python: Path | None, scratch: Path, rounds: int
) -> tuple[list[str], float]:
    """Return the cells of one line, and the largest difference of the first five frames."""
    atlas = load_atlas("Power264", radius_mm=5)
    found = extract_with_quality(image, atlas, mask=mask)
    ours = cpu(lambda: extract_with_quality(image, atlas, mask=mask), rounds)
    floor = cpu(lambda: inflate(image), rounds)
    row = [f"{ours:.2f}", f"{ours / floor:.2f}"]
    if python is None:
        return [*row, "not installed", "–", f"at least {LEAST:.0f}", "–"], float("nan")
    peer = nilearn(python, image, mask, atlas, scratch)
    ratio = peer["seconds"] / ours
    first = np.array(peer["first"])
    inside = found.series.coverage == 1  # a sphere that the mask empties gets a neighbour there
    away = np.abs(found.series.signal[:5, inside] - first[:, inside]).max()
    verdict = "yes" if ratio >= LEAST else "**no**"
    cells = [f"{peer['seconds']:.1f}", f"{ratio:.0f}", f"at least {LEAST:.0f}", verdict]
    return [*row, *cells], float(away)


def main() -> None:
    """Time both and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=HERE / ".peers")
    parser.add_argument("--output", type=Path, default=DOCS / "benchmarks-spheres.md")
    options = parser.parse_args()
    progress = Progress()
    rows, away = [], []
    python = peer_python(options.peers)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for dtype in ("int16", "float32"):
            image, mask = make_run(scratch, options.frames, dtype)
            progress.say(f"{dtype}: written")
            for what, own in (("spheres alone", None), ("and the whole brain's quality", mask)):
                cells, difference = compare(
                    image, own, python=python, scratch=scratch, rounds=options.rounds
                )
                rows.append([f"264 spheres of 5 mm, {dtype}, {what}", *cells])
                away.append(difference)
                progress.say(" | ".join(rows[-1]))
            image.unlink()
    headers = [
        "what",
        "CPU s",
        "/ decompression",
        "nilearn CPU s",
        "times as fast",
        "target",
        "met",
    ]
    machine = (
        f"{describe_machine()}; {describe_versions('connectrial', 'numpy', 'nibabel', 'isal')}"
    )
    lines = [
        "# Benchmarks: spheres",
        "",
        f"Power's 264 spheres read out of a run of {options.frames} frames on the 2 mm MNI grid, against "
        "nilearn's NiftiSpheresMasker (no cleaning, one round) on the same file.",
        "",
        f"Made by `{describe_command(__file__)}` on {machine}, nilearn 0.14.1. One thread; CPU seconds, "
        f"the least of {options.rounds} rounds; only ratios within one run mean anything. "
        '"Decompression" is the same file unpacked into one buffer and nothing else.',
        "",
        markdown_table(headers, rows),
        "",
        "In the first five frames no value of a sphere that lies wholly in the mask differs by more than "
        f"{max(away):.2g} (of some 10,000): nilearn 0.14.1 cuts the means of integer images to whole "
        "numbers.",
    ]
    publish("\n".join(lines), options.output)


if __name__ == "__main__":
    main()
