"""Sessions' maps laid beside one another on one grid, and their means by visit."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import InputError
from connectrial.fc.smoothing import smooth_map
from connectrial.io.voxels import read_map
from connectrial.plan import PlannedAnalysis
from connectrial.run.analysing import base_cells
from connectrial.run.mapping import finished_map, map_file
from connectrial.run.participant import SessionJob
from connectrial.study import MapSection

Volume = NDArray[np.float32]

_IN_MEMORY_BYTES = 1024**3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapStack:
    """The maps of all planned observations, one row each, NaN where there is none."""

    values: NDArray[np.float32]
    shape: tuple[int, int, int]
    affine: FloatArray
    notes: tuple[str, ...]

    def volume(self, values: NDArray[Any], voxels: NDArray[np.intp]) -> Volume:
        """Lay values of some voxels out on the grid; NaN elsewhere."""
        flat = np.full(self.values.shape[1], np.nan, dtype=np.float32)
        flat[voxels] = values
        return flat.reshape(self.shape, order="F")


class MissingMapsError(InputError):
    """Sessions whose maps were never made, or made from something else."""


def stack_maps(
    plan: PlannedAnalysis,
    section: MapSection,
    jobs: Sequence[SessionJob],
    visits: Mapping[tuple[str, str], str],
    keys: Mapping[tuple[str, str], str],
    stack: ExitStack,
) -> MapStack:
    """Read the maps of all planned people and visits, sessions of a visit averaged."""
    wanted = list(
        zip(plan.rows["subject"].astype(str), plan.rows["visit"].astype(str), strict=True)
    )
    row_of = {key: number for number, key in enumerate(wanted)}
    found: list[tuple[int, Path, dict[str, Any]]] = []
    notes, missing = [], []
    for job in jobs:
        row = row_of.get((job.subject, str(visits.get((job.subject, job.session), ""))))
        one = next((item for item in job.maps if item.name == plan.name), None)
        if row is None or one is None:
            continue
        name = f"sub-{job.subject}" + (f" ses-{job.session}" if job.session else "")
        known = finished_map(job, one, made_from=keys[job.subject, job.session])
        if known is None:
            missing.append(name)
        elif "Problem" in known:
            notes.append(f"{name} has no map: {known['Problem']}")
        else:
            found.append((row, map_file(job, one), known))
    if missing:
        raise MissingMapsError(
            f"{len(missing)} sessions have no map {plan.name!r} made by this plan from these data "
            f"({missing[0]} first); run '--level participant' before '--level group'"
        )
    if not found:
        raise InputError(["no session has a map", *notes])
    shape = _one_grid(found)
    n_voxels = int(np.prod(shape))
    values = _room(len(wanted), n_voxels, stack)
    affine = np.asarray(found[0][2]["Affine"], dtype=np.float64)
    for row in sorted({row for row, _, _ in found}):
        total: FloatArray = np.zeros(n_voxels)
        count: FloatArray = np.zeros(n_voxels)
        for path in (path for at, path, _ in found if at == row):
            volume, affine = read_map(path)
            if section.smoothing_fwhm_mm is not None:
                volume = smooth_map(volume, affine=affine, fwhm_mm=section.smoothing_fwhm_mm)
            flat: FloatArray = volume.ravel(order="F").astype(np.float64)
            finite: BoolArray = np.isfinite(flat)
            total += np.where(finite, flat, 0.0)
            count += finite.astype(np.float64)
        values[row] = np.divide(total, count, out=np.full(n_voxels, np.nan), where=count > 0)
    return MapStack(values=values, shape=shape, affine=affine, notes=tuple(notes))


def _one_grid(found: Sequence[tuple[int, Path, dict[str, Any]]]) -> tuple[int, int, int]:
    """Insist that all maps lie on one grid, and name those that do not."""
    grids = Counter((tuple(k["Shape"]), str(k["Affine"])) for _, _, k in found)
    usual = grids.most_common(1)[0][0]
    odd = [
        f"{path.name} ({'x'.join(map(str, known['Shape']))})"
        for _, path, known in found
        if (tuple(known["Shape"]), str(known["Affine"])) != usual
    ]
    if odd:
        shown = "; ".join(odd[:5]) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
        raise InputError(
            f"{len(odd)} of {len(found)} maps lie on another grid than the rest "
            f"({'x'.join(map(str, usual[0]))}): {shown}; resample the scans to one grid, or choose "
            "[data] space"
        )
    first, second, third = usual[0]
    return int(first), int(second), int(third)


def _room(n_rows: int, n_voxels: int, stack: ExitStack) -> NDArray[np.float32]:
    """Make an array of NaN: in memory, or in a file that goes when it is no longer needed."""
    shape = (n_rows, n_voxels)
    if 4 * shape[0] * shape[1] <= _IN_MEMORY_BYTES:
        return np.full(shape, np.nan, dtype=np.float32)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="connectrial-maps-"))
    room = np.memmap(Path(folder) / "maps.bin", dtype=np.float32, mode="w+", shape=shape)
    for row in room:
        row[:] = np.nan
    return room


def describe_maps(
    plan: PlannedAnalysis, section: MapSection, maps: MapStack
) -> tuple[dict[str, Volume], list[dict[str, Any]]]:
    """Average the maps by visit, and their change from the first visit, person by person."""
    visits = plan.rows["visit"].astype(str).to_numpy()
    subjects = plan.rows["subject"].astype(str).to_numpy()
    order = [str(visit) for visit in plan.rows["visit"].cat.categories]
    images: dict[str, Volume] = {}
    rows: list[dict[str, Any]] = []
    for visit in order:
        chosen = np.flatnonzero(visits == visit)
        volume = _mean_map(maps, section, chosen, None)
        images[f"visit-{label_of(visit)}_stat-mean"] = volume
        rows.append(_mean_row(plan, f"mean map at {visit}", volume, maps, chosen))
    first = {subjects[k]: k for k in np.flatnonzero(visits == order[0])}
    for visit in order[1:]:
        later = [k for k in np.flatnonzero(visits == visit) if subjects[k] in first]
        if not later:
            continue
        chosen, before = np.array(later), np.array([first[subjects[k]] for k in later])
        name = f"visit-{label_of(visit)}_from-{label_of(order[0])}_stat-difference"
        images[name] = _mean_map(maps, section, chosen, before)
        term = f"mean change from {order[0]} to {visit}"
        rows.append(_mean_row(plan, term, images[name], maps, chosen, before))
    return images, rows


def _mean_map(
    maps: MapStack,
    section: MapSection,
    chosen: NDArray[np.intp],
    before: NDArray[np.intp] | None,
) -> Volume:
    """Average rows, or their differences, where enough of those who have a map have data."""
    n_voxels = maps.values.shape[1]
    total, count = np.zeros(n_voxels), np.zeros(n_voxels)
    n_people = 0
    for number, row in enumerate(chosen):
        values = maps.values[row].astype(np.float64)
        if before is not None:
            values -= maps.values[before[number]]
        known: BoolArray = np.isfinite(values)
        n_people += bool(known.any())
        total += np.where(known, values, 0.0)
        count += known
    enough = (count > 0) & (count >= section.min_coverage * n_people)
    mean = np.divide(total, count, out=np.full(n_voxels, np.nan), where=enough)
    return np.asarray(mean, dtype=np.float32).reshape(maps.shape, order="F")


def _mean_row(
    plan: PlannedAnalysis,
    term: str,
    volume: Volume,
    maps: MapStack,
    chosen: NDArray[np.intp],
    before: NDArray[np.intp] | None = None,
) -> dict[str, Any]:
    """Say how many voxels a mean map has, and of how many people."""
    has_map = np.array([bool(np.isfinite(maps.values[row]).any()) for row in chosen])
    if before is not None:
        has_map &= np.array([bool(np.isfinite(maps.values[row]).any()) for row in before])
    n_people = int(has_map.sum())
    return base_cells(plan, unit="voxels", kind="count", role="descriptive") | {
        "term": f"{term}: voxels",
        "estimate": int(np.isfinite(volume).sum()),
        "n_subjects": n_people,
        "n_observations": n_people * (1 if before is None else 2),
    }


def label_of(name: str) -> str:
    """Turn a visit or a term into part of a file name."""
    return "".join(letter for letter in name if letter.isalnum()) or "x"
