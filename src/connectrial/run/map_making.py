"""Seed maps and global connectivity of one session, from its runs to the values of every place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from connectrial.data import FloatArray
from connectrial.errors import InputError
from connectrial.fc.denoising import build_cleaning
from connectrial.fc.orders import ORDERS
from connectrial.fc.seed_maps import global_connectivity_map, map_z, seed_correlations
from connectrial.fc.voxelwise import (
    UnitColumns,
    VoxelOperator,
    join_runs,
    leave_as_read,
    rotate_voxels,
    unit_columns,
    voxel_operator,
)
from connectrial.io.images import extract_with_quality
from connectrial.io.map_files import MapPlaces
from connectrial.io.map_sources import (
    MapSource,
    open_source,
    order_of,
    read_blocks,
    sphere_signal,
)
from connectrial.run.run_confounds import confounds_of

if TYPE_CHECKING:
    from connectrial.run.session_jobs import SessionJob

Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceptorMap:
    """A file with a map that the user gives, and what it holds as a digest."""

    name: str
    path: Path
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMap:
    """A map that every session gets.

    Attributes
    ----------
    name : str
        As in the study file.
    what : str
        What it shows, in words.
    measure : {"seed", "gbc", "react"}
        A seed's Fisher z, global connectivity, or REACT's weight of a receptor.
    statistic : {"mean_z", "mean_r"}
        Of global connectivity.
    parcels : tuple of str
        Whose mean is the seed; empty for a sphere.
    sphere : tuple of float, or None
        Centre of the seed, mm.
    radius_mm : float or None
        Of the sphere.
    receptors : tuple of ReceptorMap
        All that enter the regression.
    receptor : str
        The one that is shown.
    reference : ReceptorMap or None
        Mask of the reference region.
    """

    name: str
    what: str
    measure: Literal["seed", "gbc", "react"]
    statistic: Literal["mean_z", "mean_r"] = "mean_z"
    parcels: tuple[str, ...] = ()
    sphere: tuple[float, float, float] | None = None
    radius_mm: float | None = None
    receptors: tuple[ReceptorMap, ...] = ()
    receptor: str = ""
    reference: ReceptorMap | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class MadeMap:
    """A finished map and what is said of it.

    Attributes
    ----------
    values : array, shape (n_places,)
        NaN where there is no value.
    places : MapPlaces
        Where they lie.
    facts : dict
        For the sidecar.
    """

    values: FloatArray
    places: MapPlaces
    facts: dict[str, Any]


def open_run(job: SessionJob, number: int) -> MapSource:
    """Read the header of a session's run."""
    scan = job.scans[number]
    return open_source(scan.path, right=scan.right, mask=scan.mask)


def run_operator(job: SessionJob, number: int, source: MapSource) -> VoxelOperator:
    """Set up the denoising of one run, the same that its parcels go through."""
    scan, kept = job.scans[number], job.kept[number]
    rules = job.study.denoising
    kept = np.ones(source.n_frames, dtype=bool) if kept is None else kept
    if rules.leaves_as_read:
        return leave_as_read(kept)
    confounds, metadata = confounds_of(scan, rules.strategy, rotation_unit=job.study.rotation_unit)
    cleaning, _ = build_cleaning(
        kept,
        confounds,
        repetition_time_s=scan.repetition_time_s or source.repetition_time_s,
        strategy=rules.strategy,
        band_hz=rules.band_hz,
        order=rules.order,
        filter_order=rules.filter_order,
        min_remaining_df=1,  # the session's matrix was judged by the sum over runs
        metadata=metadata or None,
    )
    return voxel_operator(cleaning, n_frames=len(kept), linear=ORDERS[rules.order].linear)


class RunSums:
    """Values of several maps at every place, summed over runs."""

    def __init__(self, n_seeds: int, places: MapPlaces) -> None:
        self.places = places
        self.total = np.zeros((n_seeds, len(places)))
        self.weight = np.zeros((n_seeds, len(places)))

    def add(self, values: FloatArray, at: Indices, weight: float) -> None:
        """Add one run's values at some places."""
        known = np.isfinite(values)
        self.total[:, at] += np.where(known, weight * values, 0.0)
        self.weight[:, at] += np.where(known, weight, 0.0)

    def mean(self, row: int, weight: float) -> FloatArray:
        """Return the mean where every run has a value, NaN elsewhere."""
        whole = self.weight[row] >= weight - 1e-6
        empty = np.full(len(whole), np.nan)
        return np.asarray(np.divide(self.total[row], weight, out=empty, where=whole))


def make_seeds(
    job: SessionJob, maps: list[SessionMap], without: set[str]
) -> dict[str, MadeMap | str]:
    """Correlate all seeds with all places, a run and a block of places at a time.

    Parameters
    ----------
    job : SessionJob
        The session.
    maps : list of SessionMap
        Of seeds.
    without : set of str
        Parcels that are left out of seeds.

    Returns
    -------
    dict of str to MadeMap or str
        By the map's name; text says why there is none.

    Raises
    ------
    InputError
        If a file is damaged, or runs do not lie on the same places.
    """
    average = job.study.connectivity.runs == "average" and len(job.scans) > 1
    sums: RunSums | None = None
    weight, n_empty, n_kept, left = 0.0, 0, 0, 0
    problems: dict[str, str] = {}
    voxels_of_seed: dict[str, int] = {}
    for number in range(len(job.scans)):
        source = open_run(job, number)
        sums = sums or RunSums(len(maps), source.places)
        moved = order_of(sums.places, source)
        operator = run_operator(job, number, source)
        signals = _seed_signals(job, number, source, maps, without, problems, voxels_of_seed)
        seeds = _unit(rotate_voxels(signals, operator), operator, signals[0])
        share = 1.0 if average else float(operator.n_kept)
        for block in read_blocks(source):
            columns = rotate_voxels(block.signal, operator)
            r = seed_correlations(_unit(columns, operator, block.signal[0]), seeds)
            at = block.at if moved is None else moved[block.at]
            sums.add(map_z(r) if average else r, at, share)
            n_empty += block.n_without_data
        weight += share
        n_kept, left = n_kept + operator.n_kept, left + operator.remaining_df
    assert sums is not None  # noqa: S101 - a session has runs
    made: dict[str, MadeMap | str] = {}
    for row, one in enumerate(maps):
        if one.name in problems:
            made[one.name] = problems[one.name]
            continue
        mean = sums.mean(row, weight)
        values = mean if average else map_z(mean)
        facts = {
            "Seed": _seed_facts(one, without, voxels_of_seed.get(one.name)),
            **map_facts(job, sums.places, values, n_kept=n_kept, left=left, n_empty=n_empty),
        }
        made[one.name] = MadeMap(values=values, places=sums.places, facts=facts)
    return made


def map_facts(
    job: SessionJob,
    places: MapPlaces,
    values: FloatArray,
    *,
    n_kept: int,
    left: int,
    n_empty: int,
) -> dict[str, Any]:
    """Return what a sidecar says of every map."""
    unit = places.unit.capitalize()
    return {
        "KeptFrames": n_kept,
        "RemainingDegreesOfFreedom": None if job.study.denoising.leaves_as_read else left,
        unit: int(np.isfinite(values).sum()),
        f"{unit}WithoutData": n_empty,
    }


def _unit(
    columns: NDArray[np.floating], operator: VoxelOperator, baseline: NDArray[np.floating]
) -> UnitColumns:
    return unit_columns(
        columns.astype(np.float32, copy=False), n_frames=operator.n_kept, size=baseline
    )


def _seed_facts(one: SessionMap, without: set[str], n_voxels: int | None) -> dict[str, Any]:
    if one.sphere is not None:
        return {"CentreMM": list(one.sphere), "RadiusMM": one.radius_mm, "Voxels": n_voxels}
    used = [name for name in one.parcels if name not in without]
    return {"Parcels": used, "ParcelsLeftOut": [p for p in one.parcels if p in without]}


def _seed_signals(
    job: SessionJob,
    number: int,
    source: MapSource,
    maps: list[SessionMap],
    without: set[str],
    problems: dict[str, str],
    voxels_of_seed: dict[str, int],
) -> FloatArray:
    """Return the raw signal of every seed, (n_frames, n_seeds); NaN, and why, where there is none."""
    parcels: FloatArray | None = None
    columns = []
    empty = np.full(source.n_frames, np.nan)
    for one in maps:
        if one.sphere is not None:
            assert one.radius_mm is not None  # noqa: S101 - comes with the sphere
            try:
                signal, voxels_of_seed[one.name] = sphere_signal(source, one.sphere, one.radius_mm)
            except InputError as error:
                signal = empty
                problems.setdefault(one.name, "; ".join(error.problems))
            columns.append(signal)
            continue
        if parcels is None:
            parcels = _parcel_signals(job, number)
        used = job.atlas.parcels.index.isin([p for p in one.parcels if p not in without])
        used = np.asarray(used & np.isfinite(parcels).all(axis=0), dtype=bool)
        if not used.any():
            problems.setdefault(one.name, f"{source.path.name}: no parcel of the seed has data")
            columns.append(empty)
            continue
        columns.append(parcels[:, used].mean(axis=1))
    return np.stack(columns, axis=1)


def _parcel_signals(job: SessionJob, number: int) -> FloatArray:
    """Return the raw signal of every parcel of a run, as the session's matrix has it."""
    scan = job.scans[number]
    return extract_with_quality(
        scan.path if scan.right is None else (scan.path, scan.right),
        job.atlas,
        mask=scan.mask,
        min_coverage=job.study.coverage.min_coverage,
        repetition_time_s=scan.repetition_time_s,
        overlap=job.study.atlas.overlap,
    ).series.signal


def make_gbc(job: SessionJob, maps: list[SessionMap]) -> dict[str, MadeMap | str]:
    """Map global connectivity; all places of a session are in memory, in coordinates.

    Parameters
    ----------
    job : SessionJob
        The session.
    maps : list of SessionMap
        Of global connectivity.

    Returns
    -------
    dict of str to MadeMap or str
        By the map's name.

    Raises
    ------
    InputError
        If a file is damaged, or runs do not lie on the same places.
    """
    runs: list[tuple[Indices, UnitColumns]] = []
    places: MapPlaces | None = None
    n_empty, left = 0, 0
    for number in range(len(job.scans)):
        source = open_run(job, number)
        places = places or source.places
        moved = order_of(places, source)
        operator = run_operator(job, number, source)
        at, parts = [], []
        for block in read_blocks(source):
            columns = rotate_voxels(block.signal, operator)
            unit = _unit(columns, operator, block.signal[0])
            at.append(block.at[unit.present])
            parts.append(unit.values[:, unit.present] if not unit.present.all() else unit.values)
            n_empty += block.n_without_data
        values = parts[0] if len(parts) == 1 else np.hstack(parts)
        present = np.ones(values.shape[1], dtype=bool)
        one_run = UnitColumns(values=values, present=present, n_frames=operator.n_kept)
        runs.append(_in_order(np.concatenate(at), one_run, moved))
        left += operator.remaining_df
    assert places is not None  # noqa: S101 - a session has runs
    common, units = _common_places(runs)
    if job.study.connectivity.runs == "concatenate":
        units = [join_runs(units)]
    made: dict[str, MadeMap | str] = {}
    for one in maps:
        whole = np.full(len(places), np.nan)
        each = [global_connectivity_map(unit, statistic=one.statistic) for unit in units]
        whole[common] = np.mean(each, axis=0)
        n_kept = sum(run.n_frames for _, run in runs)
        facts = map_facts(job, places, whole, n_kept=n_kept, left=left, n_empty=n_empty)
        made[one.name] = MadeMap(values=whole, places=places, facts=facts)
    return made


def _in_order(at: Indices, unit: UnitColumns, moved: Indices | None) -> tuple[Indices, UnitColumns]:
    """Bring a run's columns into the order of the session's first run."""
    if moved is None:
        return at, unit
    order = np.argsort(moved[at])
    values = unit.values[:, order]
    return moved[at][order], UnitColumns(
        values=values, present=unit.present, n_frames=unit.n_frames
    )


def _common_places(
    runs: list[tuple[Indices, UnitColumns]],
) -> tuple[Indices, list[UnitColumns]]:
    """Return the places that every run has, and each run's columns there."""
    common = runs[0][0]
    for at, _ in runs[1:]:
        common = np.intersect1d(common, at, assume_unique=True)
    units = []
    for at, unit in runs:
        if len(at) == len(common):
            units.append(unit)
            continue
        values = unit.values[:, np.searchsorted(at, common)]
        present = np.ones(len(common), dtype=bool)
        units.append(UnitColumns(values=values, present=present, n_frames=unit.n_frames))
    return common, units
