"""The command ``simulate``: a dataset of a study's design, written so that the study reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from connectrial.data import Atlas
from connectrial.errors import InputError, StudyFileError
from connectrial.fc.networks import NetworkDefinition
from connectrial.io.atlas import read_atlas
from connectrial.io.files import write_atomic
from connectrial.io.known_atlases import SIEGEL, atlas_table, siegel_parcels
from connectrial.io.regimens import read_regimen, shipped_regimens
from connectrial.io.simulated import (
    WARNING,
    write_root,
)
from connectrial.io.tables import read_table
from connectrial.plan.systems import plan_systems
from connectrial.reading import read_toml
from connectrial.run.simulated_files import (
    Progress,
    images_study,
    inside,
    readme_of,
    write_drawn_images,
    write_scans,
    write_tables,
)
from connectrial.run.survey_tables import read_definitions
from connectrial.scales import Scale
from connectrial.simulate import Facts, SimulatedStudy, read_facts, simulate_study
from connectrial.simulate.atlas import ATLAS_NAME, parcel_table
from connectrial.simulate.parcels import invent_atlas
from connectrial.simulate.scoring import ScoreRange
from connectrial.study import ConnectionTable, Study
from connectrial.study_file import load_study


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Simulation:
    """What ``simulate`` made.

    Attributes
    ----------
    folder : Path
        The dataset.
    study : Path
        Study file that reads it.
    simulated : SimulatedStudy
        Data and truth.
    truth_from : Path or None
        Where the truth was stated; None for the defaults.
    """

    folder: Path
    study: Path
    simulated: SimulatedStudy
    truth_from: Path | None


def simulate_dataset(
    study_file: Path,
    out: Path,
    *,
    seed: int | None = None,
    n_images: int = 0,
    truth: Path | None = None,
    progress: Progress = lambda step, done, total: None,
) -> Simulation:
    """Write a dataset of the design that a study file declares.

    Parameters
    ----------
    study_file : Path
        The study; nothing is read from where its data are.
    out : Path
        Folder for the dataset: new, empty, or holding this same simulation.
    seed : int, optional
        Default: the study's own.
    n_images : int
        People who get small 4D images with confounds too, of each arm and the controls in turn.
    truth : Path, optional
        What is to be true; default ``truth.toml`` beside the study, if it is there.
    progress : callable
        Called with (step, done, total).

    Returns
    -------
    Simulation

    Raises
    ------
    StudyFileError
        The study or the truth file is wrong, or they contradict each other.
    InputError
        The folder holds something else, or the study asks for what cannot be made.
    """
    study = load_study(study_file)
    path, facts = _read_truth(study_file, truth)
    problems: list[str] = []
    scales = read_definitions(study, problems)
    atlas = _atlas(study, facts)
    systems: dict[str, NetworkDefinition] = {}
    if atlas is not None:
        listed = _connections(study, study_file, problems)
        systems, _, unknown = plan_systems(study, atlas, listed)
        problems += unknown
    problems += _cannot(study, n_images)
    if problems:
        raise StudyFileError(problems)
    made = simulate_study(
        study,
        facts,
        seed=study.study.seed if seed is None else seed,
        ranges=_ranges(study, scales),
        atlas=atlas,
        systems=systems,
        regimen=_regimen(study, facts),
    )
    n_scans = len(made.recruited.scans) if made.wiring is not None else 0
    write_root(out, name=study.study.name, seed=made.seed, readme=readme_of(made))
    write_tables(made, scales, out)
    _copy_connections(study, study_file, out)
    own = write_scans(made, out, progress, n_scans * made.settings["n_runs"])
    if n_images:
        write_drawn_images(made, out, n_images, progress)
        write_atomic(out / "images.toml", images_study(made))
    file = out / "study.toml"
    write_atomic(file, _study_text(study, study_file, out, own))
    return Simulation(folder=out, study=file, simulated=made, truth_from=path)


def _read_truth(study_file: Path, truth: Path | None) -> tuple[Path | None, Facts]:
    path = truth or study_file.parent / "truth.toml"
    if not path.is_file():
        if truth is not None:
            raise InputError(f"{truth}: there is no such truth file")
        return None, Facts()
    raw = read_toml(path, what="truth file", error=StudyFileError)
    return path, read_facts(raw, where=str(path))


def _beside(study: Study, study_file: Path) -> dict[str, Path]:
    """Return tables of connections that lie beside the study file: its dataset is not read."""
    listed = [one.connections for one in study.hypothesis]
    names = dict.fromkeys(one.table for one in listed if isinstance(one, ConnectionTable))
    return {name: study_file.parent / name for name in names}


def _connections(study: Study, study_file: Path, problems: list[str]) -> dict[str, pd.DataFrame]:
    found = {}
    for name, path in _beside(study, study_file).items():
        try:
            table = read_table(path)
        except InputError as error:
            problems += [f"[[hypothesis]] connections: {text}" for text in error.problems]
            continue
        found[name] = table.frame.set_axis(pd.Index(table.rows, name="line"))
    return found


def _copy_connections(study: Study, study_file: Path, out: Path) -> None:
    """Put tables of connections into the dataset, whose study file looks for them there."""
    for name, path in _beside(study, study_file).items():
        write_atomic(
            inside(out, name, "hypothesis.connections.table"), path.read_text(encoding="utf-8-sig")
        )


def _cannot(study: Study, n_images: int) -> list[str]:
    problems = []
    if study.data.table:
        problems.append(
            "[[data.table]]: simulate writes clinical tables in BIDS's layout alone; take the column maps "
            "out of a copy of the study file"
        )
    if n_images and study.data.derivatives is None:
        problems.append("--images: the study has no derivatives, so nobody is scanned")
    if study.data.kind == "images":
        problems.append(
            "[data] kind = 'images': the simulated data of everybody are parcel series; set kind = 'time "
            "series' in a copy of the study file, and --images N for small images of some people"
        )
    for name, one in study.sets.items():
        if one.spheres:
            problems.append(f"[sets.{name}] spheres: simulated parcel series have no voxels")
    return problems


def _atlas(study: Study, facts: Facts) -> Atlas | None:
    """Return the parcels: the truth file's atlas, the study's own, or invented ones."""
    if study.data.derivatives is None:
        return None
    asked = facts.one("atlas").get("name")
    if asked is not None:
        return Atlas(name=asked, parcels=_built_in(asked))
    section = study.atlas
    if section.table is not None:
        if f"atlas-{ATLAS_NAME}_" in section.table:
            return Atlas(name=ATLAS_NAME, parcels=parcel_table())
        try:
            table = study.located(section.table, key="atlas.table")
        except StudyFileError:
            table = None  # the variable in the path is that of the real data
        if table is not None and table.is_file():
            return read_atlas(
                section.name or "atlas",
                table=table,
                name_column=section.name_column,
                network_column=section.network_column,
            )
    if section.name is not None and atlas_table(section.name) is not None:
        return Atlas(name=section.name, parcels=_built_in(section.name))
    return invent_atlas(study, name=section.name or "Simulated")


def _built_in(name: str) -> pd.DataFrame:
    if name == SIEGEL:
        return siegel_parcels()
    found = atlas_table(name)
    if found is None:
        raise StudyFileError(
            f"[atlas] name is {name!r}; parcels of Seitzman300, Power264, Dosenbach160, Gordon333 and "
            f"{SIEGEL} are built in"
        )
    return found


def _ranges(study: Study, scales: Mapping[str, Scale]) -> dict[str, ScoreRange]:
    found = {}
    for name, section in study.scales.items():
        low, high, whole = section.minimum, section.maximum, True
        scale = scales.get(name)
        if scale is not None:
            item = scale.range_of(section.score or scale.scores[0].name)
            low = item.minimum if low is None else low
            high = item.maximum if high is None else high
        if low is None and high is None:
            low, high, whole = -5.0, 5.0, False
            if not section.unit.startswith("SD"):
                low, high = 0.0, 250.0
        low = 0.0 if low is None else low
        found[name] = ScoreRange(
            minimum=low, maximum=low + 100.0 if high is None else high, whole=whole
        )
    return found


def _regimen(study: Study, facts: Facts) -> pd.DataFrame | None:
    section = study.exposure
    if section is None or (section.regimen is None and not section.measured):
        return None
    name = facts.one("doses").get("regimen") or section.regimen
    if name not in shipped_regimens():
        name = "siegel-96h" if name is None or not Path(name).is_file() else name
    return read_regimen(name).doses


def _study_text(study: Study, study_file: Path, out: Path, atlas: dict[str, str]) -> str:
    """Write the study file of the dataset: the study's own, with its data here."""
    base = os.path.relpath(study_file.resolve(), out.resolve()).replace(os.sep, "/")
    lines = [
        f"# {WARNING} The design is that of the study file named below; its data are these.",
        f'extends = "{base}"',
        "",
        "[study]",
        "simulated = true",
        "",
        "[data]",
        'dataset = "."',
    ]
    if study.data.derivatives is not None:
        lines.append('derivatives = "."')
    if atlas:
        lines += ["", "[atlas]", *(f'{key} = "{value}"' for key, value in atlas.items())]
    return "\n".join(lines) + "\n"
