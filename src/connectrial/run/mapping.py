"""One session's maps: which there are, and each written once, beside the session's matrix."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectrial._version import __version__
from connectrial.errors import ConnectrialError
from connectrial.fc.graphs import global_signal_note
from connectrial.io.map_files import map_paths, write_place_map
from connectrial.io.names import bids_name
from connectrial.io.provenance import digest_file, digest_plain, is_current, read_json, write_json
from connectrial.plan import Plan
from connectrial.plan.map_plans import shown_measure
from connectrial.run.map_making import MadeMap, ReceptorMap, SessionMap, make_gbc, make_seeds
from connectrial.run.react_making import make_react
from connectrial.study_checks import map_label

if TYPE_CHECKING:
    from connectrial.run.session_jobs import SessionJob


def session_maps(plan: Plan) -> tuple[SessionMap, ...]:
    """List the maps that a plan asks of each session; over parcels the matrix is enough."""
    if plan.survey.kind not in (None, "image"):
        return ()
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
                receptors=tuple(
                    _given(plan, name, label, text) for label, text in section.receptors.items()
                ),
                receptor=section.receptor or next(iter(section.receptors), ""),
                reference=None
                if section.reference is None
                else _given(plan, name, "reference", section.reference),
            )
        )
    return tuple(found)


def _given(plan: Plan, name: str, label: str, text: str) -> ReceptorMap:
    path = plan.study.located(text, key=f"maps.{name}.{label}")
    return ReceptorMap(name=label, path=path, digest=digest_file(path))


def map_file(job: SessionJob, one: SessionMap) -> Path:
    """Return the file of a session's map; of a surface run, the left hemisphere's."""
    scan = job.scans[0]
    if not scan.on_grayordinates:
        extension = ".nii.gz"
    else:
        extension = ".dscalar.nii" if scan.right is None else ".shape.gii"
    hemisphere = None if scan.right is None else "L"
    return job.folder / _map_name(job, one, hemisphere=hemisphere, extension=extension)


def map_sidecar(job: SessionJob, one: SessionMap) -> Path:
    """Return the file that says what made a session's map, or why there is none."""
    return job.folder / _map_name(job, one, hemisphere=None, extension=".json")


def _map_name(job: SessionJob, one: SessionMap, *, hemisphere: str | None, extension: str) -> str:
    kind = {"mean_z": "meanz", "mean_r": "meanr"}[one.statistic]
    kind = {"seed": "fisherz", "gbc": kind, "react": "weight"}[one.measure]
    entities = {
        **{key: value for key, value in job.stem.items() if key != "atlas"},
        "hemi": hemisphere,
        "stat": kind,
        "desc": one.measure + map_label(one.name),
    }
    return bids_name(entities, suffix="boldmap", extension=extension)


def map_hash(job: SessionJob, one: SessionMap, *, made_from: str) -> str:
    """Hash everything that a session's map depends on."""
    what = asdict(one)
    for given in (*what["receptors"], *([what["reference"]] if what["reference"] else [])):
        del given["path"]  # what a file holds matters, not where it lies
    return digest_plain({"matrix": made_from, "map": what, "version": __version__})


def finished_map(job: SessionJob, one: SessionMap, *, made_from: str) -> dict[str, Any] | None:
    """Return the sidecar of a map that is whole and current, or of one that could not be made.

    Returns
    -------
    dict or None
        With ``Problem`` where the map could not be made; None where nothing current is there.
    """
    left, *right = map_paths(map_file(job, one))
    sidecar = map_sidecar(job, one)
    key = map_hash(job, one, made_from=made_from)
    known = is_current(sidecar, left, made_from=key)
    if known is not None and all(
        other.is_file() and digest_file(other) == known.get("ContentHashRight") for other in right
    ):
        return known
    said = read_json(sidecar)
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
    for measure in ("seed", "gbc", "react"):
        maps = [one for one in missing if one.measure == measure]
        if not maps:
            continue
        made: dict[str, MadeMap | str]
        try:
            if measure == "seed":
                made = make_seeds(job, maps, without)
            else:
                made = make_gbc(job, maps) if measure == "gbc" else make_react(job, maps)
        except ConnectrialError as error:
            made = {one.name: "; ".join(error.problems) for one in maps}
        for one in maps:
            key = map_hash(job, one, made_from=made_from)
            _write(job, one, made[one.name], key)


def _write(job: SessionJob, one: SessionMap, made: MadeMap | str, key: str) -> None:
    paths, sidecar = map_paths(map_file(job, one)), map_sidecar(job, one)
    if isinstance(made, str):
        for path in paths:
            path.unlink(missing_ok=True)
        write_json(sidecar, {"InputHash": key, "Map": one.what, "Problem": made})
        return
    name = f"{one.name}: {one.what}"
    write_place_map(paths[0], made.places.arranged(made.values), made.places, name=name)
    note = global_signal_note(job.study.denoising.strategy) if one.measure == "gbc" else ""
    files = [path for scan in job.scans for path in (scan.path, scan.right) if path is not None]
    hashes = zip(("ContentHash", "ContentHashRight"), map(digest_file, paths), strict=False)
    write_json(
        sidecar,
        {
            "Description": f"{one.what}, over kept frames; not smoothed",
            "Map": one.name,
            "Sources": [f"bids:preprocessed:{path.name}" for path in files],
            "Runs": job.study.connectivity.runs if len(job.scans) > 1 else "n/a",
            "NuisanceParameters": job.study.denoising.strategy,
            "SoftwareFilters": job.study.denoising.band_hz or "n/a",
            **made.places.facts(),
            **made.facts,
            "Notes": [note] if note else [],
            "Simulated": job.simulated,
            "Version": __version__,
            "InputHash": key,
            **dict(hashes),
        },
    )
