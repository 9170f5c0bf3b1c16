"""REACT of one session: every place's signal that follows a map of receptor density."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from connectrial.data import BoolArray, FloatArray
from connectrial.errors import ConnectrialError, InputError
from connectrial.fc.react import StageOne, scale_receptor_maps, stage_two
from connectrial.fc.voxelwise import VoxelOperator, rotate_voxels
from connectrial.io.map_files import MapPlaces, read_place_map
from connectrial.io.map_sources import MapSource, order_of, read_blocks
from connectrial.io.row_matching import match_rows
from connectrial.run.map_making import (
    MadeMap,
    ReceptorMap,
    RunSums,
    SessionMap,
    map_facts,
    open_run,
    run_operator,
)

if TYPE_CHECKING:
    from connectrial.run.session_jobs import SessionJob

_TOLERANCE_MM = 1e-3


def make_react(job: SessionJob, maps: list[SessionMap]) -> dict[str, MadeMap | str]:
    """Map REACT's weights; maps that share their receptors share the work.

    Stage 1 regresses every frame on the densities over the places that have signal and, of every
    receptor, a density above 0; stage 2 regresses every place on the time courses. Both runs of the
    file are a block of places at a time. The maps of a session's runs are averaged, weighted by
    their kept frames, or equally with runs = "average".

    Parameters
    ----------
    job : SessionJob
        The session.
    maps : list of SessionMap
        Of REACT.

    Returns
    -------
    dict of str to MadeMap or str
        By the map's name; text says why there is none.

    References
    ----------
    Dipasquale et al. 2019, NeuroImage 195, 252-260; masks as in react-fmri's react_masks.
    """
    made: dict[str, MadeMap | str] = {}
    for one in maps:
        alike = [m for m in maps if (m.receptors, m.reference) == (one.receptors, one.reference)]
        if one is not alike[0]:
            continue
        try:
            made |= _alike(job, alike)
        except ConnectrialError as error:
            made |= {m.name: "; ".join(error.problems) for m in alike}
    return made


def _alike(job: SessionJob, maps: list[SessionMap]) -> dict[str, MadeMap]:
    """Map the weights of receptors that enter one regression."""
    receptors, reference = maps[0].receptors, maps[0].reference
    sums: RunSums | None = None
    weight, n_empty, n_kept, left, n_stage_1 = 0.0, 0, 0, 0, 0
    average = job.study.connectivity.runs == "average"
    for number in range(len(job.scans)):
        source = open_run(job, number)
        sums = sums or RunSums(len(receptors), source.places)
        moved = order_of(sums.places, source)
        operator = run_operator(job, number, source)
        density = _densities(receptors, reference, source)
        courses, n_used = _time_courses(source, operator, density)
        share = 1.0 if average else float(operator.n_kept)
        for block in read_blocks(source):
            found = np.full((len(receptors), len(block.at)), np.nan)
            here = _has_signal(block.signal)
            columns = rotate_voxels(block.signal[:, here], operator)
            found[:, here] = stage_two(columns, courses, n_frames=operator.n_kept)
            sums.add(found, block.at if moved is None else moved[block.at], share)
            n_empty += block.n_without_data
        weight, n_stage_1 = weight + share, n_stage_1 + n_used
        n_kept, left = n_kept + operator.n_kept, left + operator.remaining_df
    assert sums is not None  # noqa: S101 - a session has runs
    names = [one.name for one in receptors]
    made = {}
    for one in maps:
        values = sums.mean(names.index(one.receptor), weight)
        facts = {
            "Receptor": one.receptor,
            "Receptors": names,
            "PlacesOfStage1": n_stage_1 // len(job.scans),
            "Units": "signal per standard deviation of the receptor's time course",
            **map_facts(job, sums.places, values, n_kept=n_kept, left=left, n_empty=n_empty),
        }
        made[one.name] = MadeMap(values=values, places=sums.places, facts=facts)
    return made


def _time_courses(
    source: MapSource, operator: VoxelOperator, density: FloatArray
) -> tuple[NDArray[np.floating], int]:
    """Return stage 1 of a run in the operator's coordinates, and how many places it rests on."""
    stage = StageOne(len(density))
    for block in read_blocks(source):
        mine = density[:, block.at]
        used: BoolArray = _has_signal(block.signal) & np.isfinite(mine).all(axis=0)
        # The baseline is the same in every frame and no part of a course; what is small is exact.
        stage.add(block.signal[:, used] - block.signal[0, used], mine[:, used])
    return rotate_voxels(stage.time_courses(), operator), stage.n_places


def _has_signal(signal: NDArray[np.float32]) -> BoolArray:
    """Find the places that have values in every frame, and change."""
    whole = np.isfinite(signal).all(axis=0)
    with np.errstate(invalid="ignore"):
        return np.asarray(whole & (np.ptp(signal, axis=0) > 0), dtype=bool)


def _densities(
    receptors: tuple[ReceptorMap, ...], reference: ReceptorMap | None, source: MapSource
) -> FloatArray:
    """Return scaled densities at a run's places; NaN where a density is not above 0."""
    raw = np.stack([_at_places(one, source) for one in receptors])
    left_out = None
    if reference is not None:
        left_out = np.nan_to_num(_at_places(reference, source)) > 0
    scaled = scale_receptor_maps(raw, reference=left_out)
    return np.where(scaled > 0, scaled, np.nan)


def _at_places(given: ReceptorMap, source: MapSource) -> FloatArray:
    """Read a map the user gives at the places of a run."""
    values, places = read_place_map(given.path)
    mine = source.places
    if mine.rows is not None and places.rows is not None:
        found = match_rows(places.rows, mine.rows)
        if not (found >= 0).any():
            raise InputError(
                f"{given.path.name}: none of its {len(places)} grayordinates is among the run's"
            )
        flat = values.astype(np.float64)
        return np.where(found >= 0, flat[np.maximum(found, 0)], np.nan)
    if not _one_grid(places, mine):
        raise InputError(
            f"{given.path.name}: the map of {given.name} lies on {_words(places)}, the run on "
            f"{_words(mine)}; resample the map to the runs' grid"
        )
    return values.ravel(order="F").astype(np.float64)


def _one_grid(one: MapPlaces, other: MapPlaces) -> bool:
    if one.rows is not None or other.rows is not None or one.shape != other.shape:
        return False
    return np.allclose(np.asarray(one.affine), np.asarray(other.affine), rtol=0, atol=_TOLERANCE_MM)


def _words(places: MapPlaces) -> str:
    if places.rows is not None:
        return f"{len(places)} grayordinates"
    size = np.sqrt((np.asarray(places.affine)[:3, :3] ** 2).sum(axis=0))
    shape = "x".join(map(str, places.shape or ()))
    return f"a grid of {shape} voxels of {' x '.join(f'{mm:g}' for mm in size)} mm"
