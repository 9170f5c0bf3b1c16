"""The command ``simulate``: a dataset of a study's design, written so that the study reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from connectrial.data import Atlas
from connectrial.errors import InputError, StudyFileError
from connectrial.fc.networks import NetworkDefinition
from connectrial.io.atlas import read_atlas
from connectrial.io.dataset import write_images
from connectrial.io.files import write_atomic
from connectrial.io.known_atlases import SIEGEL, atlas_table, siegel_parcels
from connectrial.io.regimens import read_regimen, shipped_regimens
from connectrial.io.simulated import (
    SPACE,
    WARNING,
    write_matrices,
    write_parcels,
    write_plain,
    write_root,
    write_series,
    write_table,
)
from connectrial.io.tables import read_table
from connectrial.plan.scores import item_columns
from connectrial.plan.systems import plan_systems
from connectrial.reading import read_toml
from connectrial.run.survey_tables import read_definitions
from connectrial.scales import Scale
from connectrial.simulate import Facts, SimulatedStudy, read_facts, simulate_study
from connectrial.simulate.atlas import ATLAS_NAME, label_by_distance, parcel_table
from connectrial.simulate.images import simulate_image
from connectrial.simulate.parcels import invent_atlas
from connectrial.simulate.scoring import ScoreRange
from connectrial.study import ConnectionTable, Study
from connectrial.study_file import load_study

Progress = Callable[[str, int, int], None]
_IMAGES = "derivatives/fmriprep-like"


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
    write_root(out, name=study.study.name, seed=made.seed, readme=_readme(made))
    _write_tables(made, scales, out)
    _copy_connections(study, study_file, out)
    own = _write_scans(made, out, progress, n_scans * made.settings["n_runs"])
    if n_images:
        _write_images(made, out, n_images, progress)
        write_atomic(out / "images.toml", _images_study(made))
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
            _inside(out, name, "hypothesis.connections.table"), path.read_text(encoding="utf-8-sig")
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


def _readme(made: SimulatedStudy) -> str:
    odd = "\n".join(f"* {where}: {what}" for where, what in made.odd.items()) or "* nothing"
    return f"""Simulated data: {made.study.study.name}

These data are SIMULATED by 'connectrial simulate' (seed {made.seed}). No person was measured, and
nothing in them is evidence about a drug, a disease or a brain. truth.tsv has what an analysis should
find, truth_scans.tsv what is true of every session, truth.json every value that was asked for with
its source; what has none is an assumption.

Put in on purpose:
{odd}
"""


def _write_tables(made: SimulatedStudy, scales: Mapping[str, Scale], out: Path) -> None:
    study, recruited = made.study, made.recruited
    people = recruited.people.assign(participant_id="sub-" + recruited.people["subject"])
    words: dict[str, Any] = {
        c: {"Description": f"{c} of a simulated person"} for c in recruited.columns
    }
    write_table(
        out / "participants.tsv",
        people[["participant_id", *recruited.columns]],
        words={"participant_id": {"Description": "Simulated person"}} | words,
    )
    folder = out / study.data.phenotype[0] if study.data.phenotype else out / "phenotype"
    if folder.suffix:
        folder = folder.parent
    sessions = {p.name: p.phenotype_sessions[0] for p in study.places if p.phenotype_sessions}
    for name, section in study.scales.items():
        own = made.scores.loc[made.scores["scale"] == name].reset_index(drop=True)
        if own.empty:
            continue
        scale = scales.get(name)
        if scale is not None and section.items is not None:
            columns = _items(own["score"], item_columns(section, scale), scale, section.score)
        else:
            columns = pd.DataFrame({section.column or name: own["score"]})
        table = pd.concat([_keys(own, sessions), columns], axis=1)
        _write_phenotype(folder / f"{_file_name(name)}.tsv", table, name)
    if made.events is not None:
        rest = made.events.drop(columns=["subject", "place"])
        table = pd.concat([_keys(made.events, sessions), rest], axis=1)
        _write_phenotype(folder / "side_effects.tsv", table, "Checklist of side effects")
    regimen = None if study.exposure is None else study.exposure.regimen
    if made.doses is not None and regimen is not None and regimen not in shipped_regimens():
        write_table(_inside(out, regimen, "exposure.regimen"), made.doses)
    for path, samples in made.samples.items():
        write_table(_inside(out, path, "exposure.measured.path"), samples)
    if made.volumes is not None and study.volumes is not None:
        write_table(_inside(out, study.volumes.table, "volumes.table"), made.volumes)
    write_table(out / "truth.tsv", made.truth)
    if made.wiring is not None:
        write_table(out / "truth_scans.tsv", made.wiring.scans)
    write_plain(
        out / "truth.json",
        {
            "simulated": True,
            "warning": WARNING,
            "seed": made.seed,
            "truth": made.truth.to_dict("records"),
            "asked_for": made.facts.to_dict("records"),
            "odd": made.odd,
            "n_repaired": 0 if made.wiring is None else made.wiring.n_repaired,
        },
    )


def _keys(rows: pd.DataFrame, sessions: Mapping[str, str]) -> pd.DataFrame:
    keys = {
        "participant_id": "sub-" + rows["subject"],
        "session_id": "ses-" + rows["place"].map(sessions),
    }
    return pd.DataFrame(keys).reset_index(drop=True)


def _write_phenotype(path: Path, table: pd.DataFrame, name: str) -> None:
    words: dict[str, Any] = {"MeasurementToolMetadata": {"Description": f"{name}. {WARNING}"}}
    words |= {str(c): {"Description": f"{c}, simulated"} for c in table if c != "participant_id"}
    write_table(path, table, words=words)


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name).strip("_").lower()


def _items(
    totals: pd.Series, columns: Mapping[str, str], scale: Scale, score: str | None
) -> pd.DataFrame:
    """Spread totals over the items that are summed, as evenly as their ranges allow."""
    rule = scale.rule(score or scale.scores[0].name)
    used = [part[0] for part in rule.parts]
    low = [scale.items[k].minimum for k in range(len(scale.items))]
    rows = []
    for total in totals:
        cells = [float(x) for x in low]
        left = float(total) - sum(cells[k] for k in used)
        while left >= 1:
            open_ones = [k for k in used if cells[k] < scale.items[k].maximum]
            if not open_ones:
                break
            for k in open_ones:
                if left < 1:
                    break
                cells[k] += 1
                left -= 1
        rows.append(cells)
    names = [columns[item.name] for item in scale.items]
    return pd.DataFrame(rows, columns=names)


def _inside(out: Path, name: str, key: str) -> Path:
    """Return where a file of the study goes in the dataset; outside of it nothing is written."""
    if Path(name).is_absolute() or "${" in name or ".." in Path(name).parts:
        raise InputError(
            f"{key} = {name!r}: simulate writes inside the dataset alone; make the path relative to it"
        )
    return out / name


def _write_scans(made: SimulatedStudy, out: Path, progress: Progress, total: int) -> dict[str, str]:
    """Write series or matrices and the table of parcels; returns study keys that they need."""
    study, atlas = made.study, made.atlas
    if atlas is None:
        return {}
    label = "".join(c for c in atlas.name if c.isalnum())
    task = study.data.task or "rest"
    progress("simulating", 0, total)
    if study.data.kind == "matrices":
        written = write_matrices(
            made.scans(), out, label=label, task=task, values=study.data.values
        )
    else:
        written = write_series(made.scans(), out, label=label, task=task)
    for n in written:
        progress("simulating", n, total)
    table = study.atlas.table
    if table is not None and not (Path(table).is_absolute() or "${" in table):
        write_parcels(_inside(out, table, "atlas.table"), atlas)
        return {}
    name = f"atlases/atlas-{label}/atlas-{label}_dseg.tsv"
    write_parcels(out / name, atlas)
    return {"table": name, "name": label} if study.atlas.name != label else {"table": name}


def _write_images(made: SimulatedStudy, out: Path, n_images: int, progress: Progress) -> None:
    """Write small 4D images of some people, and the label image that their parcels need."""
    assert made.atlas is not None  # noqa: S101 - refused before without scans
    atlas = label_by_distance(made.atlas)
    chosen = first_of_each(made.recruited.people, made.recruited.scans["subject"], n_images)
    images = (simulate_image(one, atlas) for one in made.scans() if one.subject in chosen)
    total = int(made.recruited.scans["subject"].isin(chosen).sum()) * made.settings["n_runs"]
    for n in write_images(images, atlas, out / _IMAGES, seed=made.seed):
        progress("simulating images", n, total)


def first_of_each(people: pd.DataFrame, scanned: pd.Series, n: int) -> set[str]:
    """Choose n of the people with scans, each arm and the controls in turn: a study compares them."""
    own = people.loc[people["subject"].isin(scanned)].fillna({"arm": ""})
    turn = own.groupby(["is_control", "arm"], sort=False, observed=True).cumcount()
    order = turn.sort_values(kind="stable").index
    return set(own.loc[order, "subject"].iloc[:n])


def _images_study(made: SimulatedStudy) -> str:
    """Write a study file of the people with images: everything else is study.toml's."""
    assert made.atlas is not None  # noqa: S101 - there are scans
    label = "".join(c for c in made.atlas.name if c.isalnum())
    atlas = f"{_IMAGES}/atlases/atlas-{label}/atlas-{label}"
    return f"""# {WARNING} The same study from small images of some of its people.
extends = "study.toml"

[data]
kind = "images"
derivatives = "{_IMAGES}"

[atlas]
name = "{label}"
image = "{atlas}_space-{SPACE}_dseg.nii.gz"
table = "{atlas}_dseg.tsv"

[denoising]
strategy = "36P"
"""


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
