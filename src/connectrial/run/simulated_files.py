"""A simulated study as files: tables, matrices, images, and the study files that read them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.dataset import write_images
from connectrial.io.regimens import shipped_regimens
from connectrial.io.simulated import (
    SPACE,
    WARNING,
    write_matrices,
    write_parcels,
    write_plain,
    write_series,
    write_table,
)
from connectrial.plan.scores import item_columns
from connectrial.scales import Scale
from connectrial.simulate import SimulatedStudy
from connectrial.simulate.atlas import label_by_distance
from connectrial.simulate.images import simulate_image

Progress = Callable[[str, int, int], None]
_IMAGES = "derivatives/fmriprep-like"


def readme_of(made: SimulatedStudy) -> str:
    """Say in the dataset's README that nothing in it was measured."""
    odd = "\n".join(f"* {where}: {what}" for where, what in made.odd.items()) or "* nothing"
    return f"""Simulated data: {made.study.study.name}

These data are SIMULATED by 'connectrial simulate' (seed {made.seed}). No person was measured, and
nothing in them is evidence about a drug, a disease or a brain. truth.tsv has what an analysis should
find, truth_scans.tsv what is true of every session, truth.json every value that was asked for with
its source; what has none is an assumption.

Put in on purpose:
{odd}
"""


def write_tables(made: SimulatedStudy, scales: Mapping[str, Scale], out: Path) -> None:
    """Write participants, scores, checklists, samples and the truth."""
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
        write_table(inside(out, regimen, "exposure.regimen"), made.doses)
    for path, samples in made.samples.items():
        write_table(inside(out, path, "exposure.measured.path"), samples)
    if made.volumes is not None and study.volumes is not None:
        write_table(inside(out, study.volumes.table, "volumes.table"), made.volumes)
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


def inside(out: Path, name: str, key: str) -> Path:
    """Return where a file of the study goes in the dataset; outside of it nothing is written."""
    if Path(name).is_absolute() or "${" in name or ".." in Path(name).parts:
        raise InputError(
            f"{key} = {name!r}: simulate writes inside the dataset alone; make the path relative to it"
        )
    return out / name


def write_scans(made: SimulatedStudy, out: Path, progress: Progress, total: int) -> dict[str, str]:
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
        write_parcels(inside(out, table, "atlas.table"), atlas)
        return {}
    name = f"atlases/atlas-{label}/atlas-{label}_dseg.tsv"
    write_parcels(out / name, atlas)
    return {"table": name, "name": label} if study.atlas.name != label else {"table": name}


def write_drawn_images(made: SimulatedStudy, out: Path, n_images: int, progress: Progress) -> None:
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


def images_study(made: SimulatedStudy) -> str:
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
