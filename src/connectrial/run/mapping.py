"""One session's maps over voxels: each written once, beside the session's matrix."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from connectrial._version import __version__
from connectrial.data import BoolArray, FloatArray, Scan
from connectrial.errors import ConnectrialError, InputError
from connectrial.fc.denoising import build_cleaning
from connectrial.fc.graphs import global_signal_note
from connectrial.fc.orders import ORDERS
from connectrial.fc.seed_maps import global_connectivity_map, map_z, seed_correlations
from connectrial.fc.voxelwise import (
    UnitColumns,
    VoxelOperator,
    join_runs,
    rotate_voxels,
    unit_columns,
    voxel_operator,
)
from connectrial.io.images import extract_with_quality, read_mask
from connectrial.io.names import bids_name
from connectrial.io.nifti import read_header
from connectrial.io.provenance import digest_file, digest_plain, is_current, read_json, write_json
from connectrial.io.voxels import VoxelGrid, read_voxel_blocks, read_voxels, write_map
from connectrial.plan import Plan
from connectrial.plan.map_plans import shown_measure
from connectrial.run.run_confounds import confounds_of
from connectrial.study_checks import map_label

if TYPE_CHECKING:
    from connectrial.run.participant import SessionJob

_GRID_TOLERANCE_MM = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMap:
    """A map that every session gets.

    Attributes
    ----------
    name : str
        As in the study file.
    what : str
        What it shows, in words.
    measure : {"seed", "gbc"}
        A seed's Fisher z, or global connectivity.
    statistic : {"mean_z", "mean_r"}
        Of global connectivity.
    parcels : tuple of str
        Whose mean is the seed; empty for a sphere.
    sphere : tuple of float, or None
        Centre of the seed, mm.
    radius_mm : float or None
        Of the sphere.
    """

    name: str
    what: str
    measure: Literal["seed", "gbc"]
    statistic: Literal["mean_z", "mean_r"] = "mean_z"
    parcels: tuple[str, ...] = ()
    sphere: tuple[float, float, float] | None = None
    radius_mm: float | None = None


def session_maps(plan: Plan) -> tuple[SessionMap, ...]:
    """List the maps that a plan asks of each session."""
    found = []
    for name, section in plan.study.maps.items():
        seed = section.seed
        place = None if seed is None else (seed.set or seed.network)
        parcels = () if place is None else tuple(str(one) for one in plan.sets.get(place, ()))
        found.append(
            SessionMap(
                name=name,
                what=shown_measure(section),
                measure=section.measure,
                statistic=section.statistic,
                parcels=parcels,
                sphere=None if seed is None else seed.sphere,
                radius_mm=None if seed is None else seed.radius_mm,
            )
        )
    return tuple(found)


def map_file(job: SessionJob, one: SessionMap) -> Path:
    """Return the file of a session's map; its sidecar has the ending .json."""
    kind = {"mean_z": "meanz", "mean_r": "meanr"}[one.statistic]
    entities = {
        **{key: value for key, value in job.stem.items() if key != "atlas"},
        "stat": "fisherz" if one.measure == "seed" else kind,
        "desc": ("seed" if one.measure == "seed" else "gbc") + map_label(one.name),
    }
    return job.folder / bids_name(entities, suffix="boldmap", extension=".nii.gz")


def map_sidecar(path: Path) -> Path:
    """Return the file that says what made a map, or why there is none."""
    return path.with_name(path.name.removesuffix(".nii.gz") + ".json")


def map_hash(job: SessionJob, one: SessionMap, *, made_from: str) -> str:
    """Hash everything that a session's map depends on."""
    return digest_plain({"matrix": made_from, "map": asdict(one), "version": __version__})


def finished_map(job: SessionJob, one: SessionMap, *, made_from: str) -> dict[str, Any] | None:
    """Return the sidecar of a map that is whole and current, or of one that could not be made.

    Returns
    -------
    dict or None
        With ``Problem`` where the map could not be made; None where nothing current is there.
    """
    path = map_file(job, one)
    key = map_hash(job, one, made_from=made_from)
    known = is_current(map_sidecar(path), path, made_from=key)
    if known is not None:
        return known
    said = read_json(map_sidecar(path))
    return said if said and said.get("InputHash") == key and "Problem" in said else None


def make_maps(job: SessionJob, *, made_from: str, sidecar: dict[str, Any]) -> None:
    """Make those maps of a session that are not there yet; a map that cannot be made says why.

    Parameters
    ----------
    job : SessionJob
        The session; its runs are images.
    made_from : str
        Hash of what its matrix was made from.
    sidecar : dict
        Of the matrix; parcels that are excluded there are left out of seeds, too.
    """
    if not job.maps or job.scans[0].kind != "image":
        return
    missing = []
    for one in job.maps:
        known = finished_map(job, one, made_from=made_from)
        if known is None or "Problem" in known:
            missing.append(one)
    weak = sidecar["WeakParcels"] if sidecar.get("WeakParcelsAction") == "exclude" else []
    without = {str(row["parcel"]) for row in weak}
    for measure in ("seed", "gbc"):
        maps = [one for one in missing if one.measure == measure]
        if not maps:
            continue
        try:
            made = _make_seeds(job, maps, without) if measure == "seed" else _make_gbc(job, maps)
        except ConnectrialError as error:
            made = {one.name: "; ".join(error.problems) for one in maps}
        for one in maps:
            key = map_hash(job, one, made_from=made_from)
            _write(job, one, made[one.name], key)


@dataclass(slots=True, eq=False, kw_only=True)
class _Made:
    """A finished map and what is said of it."""

    volume: NDArray[np.float32]
    affine: FloatArray
    facts: dict[str, Any]


def _write(job: SessionJob, one: SessionMap, made: _Made | str, key: str) -> None:
    path = map_file(job, one)
    if isinstance(made, str):
        path.unlink(missing_ok=True)
        write_json(map_sidecar(path), {"InputHash": key, "Map": one.what, "Problem": made})
        return
    write_map(path, made.volume, made.affine)
    note = global_signal_note(job.study.denoising.strategy) if one.measure == "gbc" else ""
    write_json(
        map_sidecar(path),
        {
            "Description": f"{one.what}, over kept frames; not smoothed",
            "Map": one.name,
            "Sources": [f"bids:preprocessed:{scan.path.name}" for scan in job.scans],
            "Runs": job.study.connectivity.runs if len(job.scans) > 1 else "n/a",
            "NuisanceParameters": job.study.denoising.strategy,
            "SoftwareFilters": job.study.denoising.band_hz or "n/a",
            "Shape": list(made.volume.shape),
            "Affine": np.asarray(made.affine).round(6).tolist(),
            **made.facts,
            "Notes": [note] if note else [],
            "Simulated": job.simulated,
            "Version": __version__,
            "InputHash": key,
            "ContentHash": digest_file(path),
        },
    )


def _operator(job: SessionJob, number: int) -> VoxelOperator:
    """Set up the denoising of one run, the same that its parcels go through."""
    scan, kept = job.scans[number], job.kept[number]
    header = read_header(scan.path, n_dimensions=4)
    rules = job.study.denoising
    confounds, metadata = confounds_of(scan, rules.strategy, rotation_unit=job.study.rotation_unit)
    kept = np.ones(header.n_frames, dtype=bool) if kept is None else kept
    cleaning, _ = build_cleaning(
        kept,
        confounds,
        repetition_time_s=scan.repetition_time_s or header.repetition_time_s,
        strategy=rules.strategy,
        band_hz=rules.band_hz,
        order=rules.order,
        filter_order=rules.filter_order,
        min_remaining_df=1,  # the session's matrix was judged by the sum over runs
        metadata=metadata or None,
    )
    return voxel_operator(cleaning, n_frames=len(kept), linear=ORDERS[rules.order].linear)


class _Sums:
    """Correlations of seeds with every voxel of a grid, summed over runs."""

    def __init__(self, n_seeds: int, grid: VoxelGrid) -> None:
        self.grid = grid
        size = int(np.prod(grid.shape))
        self.total = np.zeros((n_seeds, size))
        self.weight = np.zeros((n_seeds, size))

    def add(self, values: FloatArray, voxels: NDArray[np.intp], weight: float) -> None:
        known = np.isfinite(values)
        self.total[:, voxels] += np.where(known, weight * values, 0.0)
        self.weight[:, voxels] += np.where(known, weight, 0.0)

    def mean(self, row: int, weight: float) -> FloatArray:
        """Return the mean where every run has a value, NaN elsewhere."""
        whole = self.weight[row] >= weight - 1e-6
        empty = np.full(len(whole), np.nan)
        return np.asarray(np.divide(self.total[row], weight, out=empty, where=whole))


def _make_seeds(
    job: SessionJob, maps: list[SessionMap], without: set[str]
) -> dict[str, _Made | str]:
    """Correlate all seeds with all voxels, a run and a block of voxels at a time."""
    average = job.study.connectivity.runs == "average" and len(job.scans) > 1
    sums: _Sums | None = None
    weight, n_empty, n_kept, left = 0.0, 0, 0, 0
    problems: dict[str, str] = {}
    voxels_of_seed: dict[str, int] = {}
    for number, scan in enumerate(job.scans):
        operator = _operator(job, number)
        signals = _seed_signals(job, scan, maps, without, problems, voxels_of_seed)
        seeds = _unit(rotate_voxels(signals, operator), operator, signals[0])
        share = 1.0 if average else float(operator.n_kept)
        for block in read_voxel_blocks(scan.path, scan.mask):
            if sums is None:
                sums = _Sums(len(maps), block.grid)
            _same_grid(sums.grid, block.grid, scan)
            columns = rotate_voxels(block.signal, operator)
            r = seed_correlations(_unit(columns, operator, block.signal[0]), seeds)
            sums.add(map_z(r) if average else r, block.grid.voxels, share)
            n_empty += block.n_without_data
        weight += share
        n_kept, left = n_kept + operator.n_kept, left + operator.remaining_df
    assert sums is not None  # noqa: S101 - a session has runs, and a run has blocks
    made: dict[str, _Made | str] = {}
    for row, one in enumerate(maps):
        if one.name in problems:
            made[one.name] = problems[one.name]
            continue
        mean = sums.mean(row, weight)
        values = mean if average else map_z(mean)
        facts = {
            "Seed": _seed_facts(one, without, voxels_of_seed.get(one.name)),
            **_facts(values, n_kept=n_kept, left=left, n_empty=n_empty),
        }
        volume = values.astype(np.float32).reshape(sums.grid.shape, order="F")
        made[one.name] = _Made(volume=volume, affine=sums.grid.affine, facts=facts)
    return made


def _facts(values: NDArray[np.floating], *, n_kept: int, left: int, n_empty: int) -> dict[str, Any]:
    return {
        "KeptFrames": n_kept,
        "RemainingDegreesOfFreedom": left,
        "Voxels": int(np.isfinite(values).sum()),
        "VoxelsWithoutData": n_empty,
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


def _same_grid(first: VoxelGrid, other: VoxelGrid, scan: Scan) -> None:
    if first.shape != other.shape or not np.allclose(
        first.affine, other.affine, rtol=0, atol=_GRID_TOLERANCE_MM
    ):
        raise InputError(
            f"{scan.path.name}: its grid is not that of the session's first run; resample the runs "
            "to one grid"
        )


def _seed_signals(
    job: SessionJob,
    scan: Scan,
    maps: list[SessionMap],
    without: set[str],
    problems: dict[str, str],
    voxels_of_seed: dict[str, int],
) -> FloatArray:
    """Return the raw signal of every seed, (n_frames, n_seeds); NaN, and why, where there is none."""
    parcels: FloatArray | None = None
    columns = []
    n_frames = read_header(scan.path, n_dimensions=4).n_frames
    for one in maps:
        if one.sphere is not None:
            try:
                signal, voxels_of_seed[one.name] = _sphere_signal(scan, one)
            except InputError as error:
                signal = np.full(n_frames, np.nan)
                problems.setdefault(one.name, "; ".join(error.problems))
            columns.append(signal)
            continue
        if parcels is None:
            parcels = extract_with_quality(
                scan.path, job.atlas, mask=scan.mask, min_coverage=job.study.coverage.min_coverage
            ).series.signal
        used = job.atlas.parcels.index.isin([p for p in one.parcels if p not in without])
        used = np.asarray(used & np.isfinite(parcels).all(axis=0), dtype=bool)
        if not used.any():
            problems.setdefault(one.name, f"{scan.path.name}: no parcel of the seed has data")
            columns.append(np.full(n_frames, np.nan))
            continue
        columns.append(parcels[:, used].mean(axis=1))
    return np.stack(columns, axis=1)


def _sphere_signal(scan: Scan, one: SessionMap) -> tuple[FloatArray, int]:
    """Return the mean signal of a sphere's voxels, and their number."""
    assert one.sphere is not None  # noqa: S101 - the caller has looked
    assert one.radius_mm is not None  # noqa: S101 - comes with the sphere
    header = read_header(scan.path, n_dimensions=4)
    everywhere = np.arange(int(np.prod(header.shape)))
    grid = VoxelGrid(shape=header.shape, affine=header.affine, voxels=everywhere)
    inside: BoolArray = grid.within_mm(one.sphere, one.radius_mm)
    if scan.mask is not None:
        inside &= read_mask(scan.mask, header)
    place = f"a sphere of {one.radius_mm:g} mm at {list(one.sphere)}"
    if not inside.any():
        raise InputError(f"{scan.path.name}: no voxel of the mask lies in {place}")
    found = read_voxels(scan.path, inside.reshape(header.shape, order="F"))
    if not found.present.any():
        raise InputError(f"{scan.path.name}: no voxel in {place} has data in every frame")
    signal = found.signal[:, found.present].mean(axis=1, dtype=np.float64)
    return signal, int(found.present.sum())


def _make_gbc(job: SessionJob, maps: list[SessionMap]) -> dict[str, _Made | str]:
    """Map global connectivity; all voxels of a session are in memory, in coordinates."""
    runs: list[tuple[NDArray[np.intp], UnitColumns]] = []
    grid: VoxelGrid | None = None
    n_empty, left = 0, 0
    for number, scan in enumerate(job.scans):
        operator = _operator(job, number)
        voxels, parts = [], []
        for block in read_voxel_blocks(scan.path, scan.mask):
            grid = grid or block.grid
            _same_grid(grid, block.grid, scan)
            columns = rotate_voxels(block.signal, operator)
            unit = _unit(columns, operator, block.signal[0])
            voxels.append(block.grid.voxels[unit.present])
            parts.append(unit.values[:, unit.present] if not unit.present.all() else unit.values)
            n_empty += block.n_without_data
        values = parts[0] if len(parts) == 1 else np.hstack(parts)
        present = np.ones(values.shape[1], dtype=bool)
        one_run = UnitColumns(values=values, present=present, n_frames=operator.n_kept)
        runs.append((np.concatenate(voxels), one_run))
        left += operator.remaining_df
    assert grid is not None  # noqa: S101 - a session has runs, and a run has blocks
    common, units = _common_voxels(runs)
    if job.study.connectivity.runs == "concatenate":
        units = [join_runs(units)]
    made: dict[str, _Made | str] = {}
    for one in maps:
        values = np.full(int(np.prod(grid.shape)), np.nan)
        each = [global_connectivity_map(unit, statistic=one.statistic) for unit in units]
        values[common] = np.mean(each, axis=0)
        n_kept = sum(run.n_frames for _, run in runs)
        made[one.name] = _Made(
            volume=values.astype(np.float32).reshape(grid.shape, order="F"),
            affine=grid.affine,
            facts=_facts(values, n_kept=n_kept, left=left, n_empty=n_empty),
        )
    return made


def _common_voxels(
    runs: list[tuple[NDArray[np.intp], UnitColumns]],
) -> tuple[NDArray[np.intp], list[UnitColumns]]:
    """Return the voxels that every run has, and each run's columns there."""
    common = runs[0][0]
    for voxels, _ in runs[1:]:
        common = np.intersect1d(common, voxels, assume_unique=True)
    units = []
    for voxels, unit in runs:
        if len(voxels) == len(common):
            units.append(unit)
            continue
        values = unit.values[:, np.searchsorted(voxels, common)]
        present = np.ones(len(common), dtype=bool)
        units.append(UnitColumns(values=values, present=present, n_frames=unit.n_frames))
    return common, units
