"""Sessions' maps laid beside one another, place by place, and their means by visit."""

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
from connectrial.errors import InputError, MachineError
from connectrial.fc.smoothing import smooth_map
from connectrial.io.map_files import MapPlaces, read_place_map
from connectrial.io.row_matching import match_rows
from connectrial.plan import PlannedAnalysis
from connectrial.run.analysing import base_cells
from connectrial.run.mapping import finished_map, map_file
from connectrial.run.session_jobs import SessionJob
from connectrial.study import MapSection

Image = NDArray[np.float32]

_IN_MEMORY_BYTES = 1024**3


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class MapStack:
    """The maps of all planned observations, one row each, NaN where there is none."""

    values: NDArray[np.float32]
    places: MapPlaces
    notes: tuple[str, ...]

    def image(self, values: NDArray[Any], at: NDArray[np.intp]) -> Image:
        """Lay values of some places out as a map; NaN elsewhere."""
        flat = np.full(self.values.shape[1], np.nan, dtype=np.float32)
        flat[at] = values
        return self.places.arranged(flat)


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
    wanted = list(zip(plan.rows["subject"].astype(str), places_of(plan), strict=True))
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
    _one_grid(found)
    first = read_place_map(found[0][1])[1]
    n_places = len(first)
    values = _room(len(wanted), n_places, stack)
    for row in sorted({row for row, _, _ in found}):
        total: FloatArray = np.zeros(n_places)
        count: FloatArray = np.zeros(n_places)
        for path in (path for at, path, _ in found if at == row):
            flat: FloatArray = _read_flat(path, first, section).astype(np.float64)
            finite: BoolArray = np.isfinite(flat)
            total += np.where(finite, flat, 0.0)
            count += finite.astype(np.float64)
        values[row] = np.divide(total, count, out=np.full(n_places, np.nan), where=count > 0)
    return MapStack(values=values, places=first, notes=tuple(notes))


def _read_flat(path: Path, first: MapPlaces, section: MapSection) -> NDArray[np.float32]:
    """Read a map as one value per place, in the order of the first map's places."""
    values, places = read_place_map(path)
    if first.rows is not None and places.rows is not None:
        # Made of the same grayordinates, as the sidecars say, but perhaps in another order.
        return values[match_rows(places.rows, first.rows)]
    if section.smoothing_fwhm_mm is not None and places.affine is not None:
        values = smooth_map(values, affine=places.affine, fwhm_mm=section.smoothing_fwhm_mm)
    return values.ravel(order="F")


def _one_grid(found: Sequence[tuple[int, Path, dict[str, Any]]]) -> None:
    """Insist that all maps lie on the same places, and name those that do not."""

    def key_of(known: dict[str, Any]) -> tuple[tuple[int, ...], str]:
        return tuple(known["Shape"]), str(known.get("Places", known.get("Affine")))

    grids = Counter(key_of(known) for _, _, known in found)
    usual = grids.most_common(1)[0][0]
    odd = [(path, known) for _, path, known in found if key_of(known) != usual]
    if not odd:
        return
    on_rows = any("Places" in known for _, _, known in found)
    shown = "; ".join(
        f"{path.name} ({'x'.join(map(str, known['Shape']))})" for path, known in odd[:5]
    ) + (f" and {len(odd) - 5} more" if len(odd) > 5 else "")
    size = "x".join(map(str, usual[0]))
    if on_rows:
        raise InputError(
            f"{len(odd)} of {len(found)} maps have other grayordinates than the rest ({size}): "
            f"{shown}; their order does not matter, but all must have the same vertices and voxels: "
            "make the runs in one space and density, or choose [data] space"
        )
    raise InputError(
        f"{len(odd)} of {len(found)} maps lie on another grid than the rest ({size}): {shown}; "
        "resample the scans to one grid, or choose [data] space"
    )


def _room(n_rows: int, n_places: int, stack: ExitStack) -> NDArray[np.float32]:
    """Make an array of NaN: in memory, or in a file that goes when it is no longer needed."""
    shape = (n_rows, n_places)
    if 4 * shape[0] * shape[1] <= _IN_MEMORY_BYTES:
        return np.full(shape, np.nan, dtype=np.float32)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="connectrial-maps-"))
    path = Path(folder) / "maps.bin"
    # Written first and mapped then: writing into a map of a full disk would kill the process.
    try:
        with path.open("wb") as stream:
            row = np.full(n_places, np.nan, dtype=np.float32).tobytes()
            for _ in range(n_rows):
                stream.write(row)
    except OSError as error:
        raise MachineError(
            f"{path.parent}: the maps of all people cannot be put there ({error.strerror or error}); "
            "make room, or let TMPDIR name a folder on a disk with room, and give the same command again"
        ) from error
    return np.memmap(path, dtype=np.float32, mode="r+", shape=shape)


def describe_maps(
    plan: PlannedAnalysis, section: MapSection, maps: MapStack
) -> tuple[dict[str, Image], list[dict[str, Any]]]:
    """Average the maps by visit, and their change from the first visit, person by person.

    In a crossover a visit is described under each treatment, and what changes is the treatment: each
    one against the first, at the same visit.
    """
    visits = np.array(places_of(plan))
    subjects = plan.rows["subject"].astype(str).to_numpy()
    order = _in_order(plan)
    images: dict[str, Image] = {}
    rows: list[dict[str, Any]] = []
    for visit in order:
        chosen = np.flatnonzero(visits == visit)
        image = _mean_map(maps, section, chosen, None)
        images[f"visit-{label_of(visit)}_stat-mean"] = image
        rows.append(_mean_row(plan, f"mean map at {visit}", image, maps, chosen))
    for visit, start in _compared(plan, order):
        first = {subjects[k]: k for k in np.flatnonzero(visits == start)}
        later = [k for k in np.flatnonzero(visits == visit) if subjects[k] in first]
        if not later:
            continue
        chosen, before = np.array(later), np.array([first[subjects[k]] for k in later])
        name = f"visit-{label_of(visit)}_from-{label_of(start)}_stat-difference"
        images[name] = _mean_map(maps, section, chosen, before)
        term = f"mean change from {start} to {visit}"
        if "place" in plan.rows:
            term = f"mean of {visit} - {start}"
        rows.append(_mean_row(plan, term, images[name], maps, chosen, before))
    return images, rows


def places_of(plan: PlannedAnalysis) -> list[str]:
    """Return where each planned row stands: its visit, in a crossover under its treatment."""
    return list(plan.rows["place" if "place" in plan.rows else "visit"].astype(str))


def _in_order(plan: PlannedAnalysis) -> list[str]:
    """Return the places that rows have, in the order of treatments and visits."""
    column = plan.rows["place" if "place" in plan.rows else "visit"]
    return [str(name) for name in column.cat.categories]


def _compared(plan: PlannedAnalysis, order: Sequence[str]) -> list[tuple[str, str]]:
    """Return which places are compared with which: with the first, or the first treatment's."""
    if "place" not in plan.rows:
        return [(visit, order[0]) for visit in order[1:]]
    once = plan.rows.drop_duplicates("place").set_index("place")
    visit_of = {str(place): str(visit) for place, visit in once["visit"].items()}
    first = once["treatment"] == once["treatment"].cat.categories[0]
    reference = {visit_of[str(place)]: str(place) for place in once.index[first]}
    pairs = [(place, reference.get(visit_of[place], place)) for place in order]
    # Visits that all periods have in common have no treatment to be compared.
    return [(place, start) for place, start in pairs if place != start]


def _mean_map(
    maps: MapStack,
    section: MapSection,
    chosen: NDArray[np.intp],
    before: NDArray[np.intp] | None,
) -> Image:
    """Average rows, or their differences, where enough of those who have a map have data."""
    n_places = maps.values.shape[1]
    total, count = np.zeros(n_places), np.zeros(n_places)
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
    mean = np.divide(total, count, out=np.full(n_places, np.nan), where=enough)
    return maps.places.arranged(mean)


def _mean_row(
    plan: PlannedAnalysis,
    term: str,
    image: Image,
    maps: MapStack,
    chosen: NDArray[np.intp],
    before: NDArray[np.intp] | None = None,
) -> dict[str, Any]:
    """Say how many places a mean map has, and of how many people."""
    has_map = np.array([bool(np.isfinite(maps.values[row]).any()) for row in chosen])
    if before is not None:
        has_map &= np.array([bool(np.isfinite(maps.values[row]).any()) for row in before])
    n_people = int(has_map.sum())
    return base_cells(plan, unit=maps.places.unit, kind="count", role="descriptive") | {
        "term": f"{term}: {maps.places.unit}",
        "estimate": int(np.isfinite(image).sum()),
        "n_subjects": n_people,
        "n_observations": n_people * (1 if before is None else 2),
    }


def label_of(name: str) -> str:
    """Turn a visit or a term into part of a file name."""
    return "".join(letter for letter in name if letter.isalnum()) or "x"
