"""Saving a run's results and loading them again."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from connectrial.errors import InputError
from connectrial.io.files import remove_file, write_atomic
from connectrial.io.map_files import MapPlaces, map_paths, read_place_map, write_place_map
from connectrial.io.number_text import EXACT_FLOATS
from connectrial.io.output_tables import COLUMNS_OF, FOLDERS, TABLES
from connectrial.io.provenance import digest_file, read_json, write_json
from connectrial.results import (
    COLUMNS,
    DICTIONARY,
    GroupMap,
    Result,
    Results,
    as_schema,
)

#: Columns of ``scan_files.tsv`` that name files, relative to the output folder.
FILE_COLUMNS = ("matrix", "parcels", "frames", "carpet_before", "carpet_after")
#: Key of ``results.json`` under which stands what the results were made from, and their files.
MADE_FROM = "MadeFrom"
_TEXT_COLUMNS = {"subject", "session", "run"}


def save_results(
    results: Results, output_dir: Path, *, parts: Mapping[str, str] | None = None
) -> None:
    """Write results as tables and JSON, the list of analyses, which vouches for all files, last.

    Parameters
    ----------
    results : Results
        What a run found.
    output_dir : Path
        A folder that is ours (`connectrial.io.folders`). Tables go to ``group/``; tables, edges,
        matrices and maps of an earlier plan that these results do not have are taken away, and so
        are page and figures, which show the earlier ones.
    parts : mapping, optional
        Names and hashes of what the results were made from.
    """
    group = output_dir / "group"
    simulated = bool(results.plan.get("simulated"))
    remove_file(group / "results.json")
    remove_file(output_dir / "report.html")
    written: list[Path] = []
    for name, table in results.tables.items():
        about = {"Description": TABLES.get(name, ""), "Simulated": simulated}
        written += _write_pair(group / f"{name}.tsv", table, about | _column_words(name, table))
    for folder, tables in (("edges", results.edges), ("matrices", results.matrices)):
        for name, table in tables.items():
            path = group / folder / f"{file_label(name)}.tsv"
            about = {"Description": f"{FOLDERS[folder]}: {name}", "Simulated": simulated}
            written += _write_pair(path, table, about, index=folder == "matrices")
    for name, one in results.maps.items():
        written += _save_map(group / "maps", name, one, simulated=simulated)
    means = [
        result.means.assign(analysis=result.name)
        for result in results.analyses
        if result.means is not None
    ]
    if means:
        about = {"Description": "Means of the models by visit", "Simulated": simulated}
        written += _write_pair(group / "means.tsv", pd.concat(means, ignore_index=True), about)
    write_table(group / "results.tsv", results.estimates)
    written.append(group / "results.tsv")
    _remove_stale(group, set(written))
    made = {
        "Parts": dict(parts or {}),
        "Analyses": dict(results.made_from),
        "Files": {path.relative_to(group).as_posix(): digest_file(path) for path in written},
    }
    write_json(group / "results.json", _as_json(results) | {MADE_FROM: made})


def _write_pair(
    path: Path, table: pd.DataFrame, about: Mapping[str, Any], *, index: bool = False
) -> list[Path]:
    """Write a table and what is said of it."""
    write_table(path, table, index=index)
    write_json(path.with_suffix(".json"), about)
    return [path, path.with_suffix(".json")]


def _remove_stale(group: Path, written: set[Path]) -> None:
    """Take away what an earlier plan left: files whose sidecar is one of ours, and figures."""
    for folder in (group, group / "edges", group / "matrices", group / "maps"):
        for sidecar in sorted(folder.glob("*.json")):
            about = read_json(sidecar)
            if sidecar in written or not {"Description", "Simulated"} <= set(about or {}):
                continue
            remove_file(sidecar.with_suffix(".tsv"))
            for key in (about or {}).get("Images", ()):
                image = folder / _map_name(sidecar.stem, key, str((about or {}).get("Extension")))
                for path in map_paths(image):
                    remove_file(path)
            remove_file(sidecar)
    for path in sorted((group / "figures").glob("*")):
        if path.suffix in (".svg", ".pdf", ".png", ".tsv"):
            remove_file(path)


def _save_map(folder: Path, name: str, one: GroupMap, *, simulated: bool) -> list[Path]:
    """Write a group's maps as images, and their clusters as a table."""
    stem = file_label(name)
    for stale in folder.glob(f"{stem}_*") if folder.is_dir() else ():
        own = ("visit-", "term-", "clusters.", "hemi-")
        if stale.name.removeprefix(f"{stem}_").startswith(own):
            stale.unlink()
    places = MapPlaces(affine=one.affine, rows=one.rows, is_pair=one.is_pair)
    written: list[Path] = []
    for key, values in one.images.items():
        path = folder / _map_name(stem, key, places.extension)
        write_place_map(path, values, places, name=f"{name}: {key}")
        written += map_paths(path)
    about = {
        "Description": f"Group maps of {name} (Fisher z, or the statistic that stat- names)",
        "Images": list(one.images),
        "Extension": places.extension,
        "Simulated": simulated,
    }
    write_json(folder / f"{stem}.json", about)
    written.append(folder / f"{stem}.json")
    if len(one.clusters.columns):
        about = {
            "Description": f"Clusters of {name}: voxels that pass and share faces; coordinates in mm"
            if one.rows is None
            else f"Grayordinates of {name} that pass, by structure and sign, and their peak",
            "Simulated": simulated,
        }
        written += _write_pair(folder / f"{stem}_clusters.tsv", one.clusters, about)
    return written


def _map_name(stem: str, key: str, extension: str) -> str:
    """Name a group's map; of a pair of surfaces, the left hemisphere's file."""
    side = "_hemi-L" if extension.endswith(".gii") else ""
    return f"{stem}{side}_{key}{extension}"


def _load_map(folder: Path, stem: str, keys: Sequence[str]) -> GroupMap:
    about = read_json(folder / f"{stem}.json") or {}
    extension = str(about.get("Extension", ".nii.gz"))
    read = {key: read_place_map(folder / _map_name(stem, key, extension)) for key in keys}
    clusters = folder / f"{stem}_clusters.tsv"
    places = next(iter(read.values()))[1]
    words = {"peak_parcel": "", "structure": ""}
    return GroupMap(
        affine=places.affine,
        images={key: values for key, (values, _) in read.items()},
        clusters=read_tsv(clusters, text={"term", *words}).fillna(words)
        if clusters.is_file()
        else pd.DataFrame(),
        rows=places.rows,
        is_pair=places.is_pair,
    )


def _column_words(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """Describe the columns of a table that has a dictionary, as BIDS sidecars do."""
    words = COLUMNS_OF.get(name, {})
    return {
        column: {"Description": text} | ({"Units": unit} if unit else {})
        for column, (text, unit) in words.items()
        if column in table
    }


def _as_json(results: Results) -> dict[str, Any]:
    return {
        "Description": "Tidy estimates of all analyses (results.tsv), and what they rest on",
        "plan_hash": results.plan.get("hash"),
        "survey_hash": results.plan.get("survey_hash"),
        "seed": results.plan.get("seed"),
        "Simulated": bool(results.plan.get("simulated")),
        "Columns": DICTIONARY,
        "Tables": {name: TABLES.get(name, "") for name in results.tables},
        "Edges": {name: f"edges/{file_label(name)}.tsv" for name in results.edges},
        "Matrices": {name: f"matrices/{file_label(name)}.tsv" for name in results.matrices},
        "Maps": {name: list(one.images) for name, one in results.maps.items()},
        "Plan": _plain(results.plan),
        "Study": _plain(results.study),
        "Software": dict(results.software),
        "Analyses": [
            {
                "name": result.name,
                "title": result.title,
                "role": result.role,
                "what": result.what,
                "outcome": result.outcome,
                "methods": result.methods,
                "citations": list(result.citations),
                "design": _plain(result.design),
                "notes": list(result.notes),
                "estimand": _plain(result.estimand),
            }
            for result in results.analyses
        ],
    }


def load_results(output_dir: str | Path) -> Results:
    """Load the results of an earlier run.

    Parameters
    ----------
    output_dir : str or Path
        Folder that a run wrote.

    Returns
    -------
    Results

    Raises
    ------
    InputError
        There are no results, or a file of them is missing or damaged.
    """
    group = Path(output_dir) / "group"
    known = read_json(group / "results.json")
    if known is None or "Analyses" not in known:
        raise InputError(
            f"{output_dir}: there are no results (group/results.json); run 'connectrial run STUDY "
            f"{output_dir}' first"
        )
    estimates = as_schema(read_tsv(group / "results.tsv", text=set(COLUMNS)))
    means_file = group / "means.tsv"
    means = read_tsv(means_file, text={"visit", "by"}) if means_file.is_file() else None
    analyses = []
    for one in known["Analyses"]:
        rows = estimates.loc[estimates["analysis"] == one["name"]].reset_index(drop=True)
        own = None if means is None else means.loc[means["analysis"] == one["name"]]
        analyses.append(
            Result(
                **{
                    key: one[key] for key in ("name", "title", "role", "what", "outcome", "methods")
                },
                citations=tuple(one["citations"]),
                design=one["design"],
                notes=tuple(one["notes"]),
                estimand=one.get("estimand") or {},
                estimates=rows,
                means=None if own is None or own.empty else _tidy_means(own),
            )
        )
    return Results(
        study=known["Study"],
        plan=known["Plan"],
        analyses=tuple(analyses),
        tables={name: _typed(read_tsv(group / f"{name}.tsv"), known) for name in known["Tables"]},
        edges={name: read_tsv(group / file) for name, file in known["Edges"].items()},
        matrices={name: _square(group / file) for name, file in known["Matrices"].items()},
        maps={
            name: _load_map(group / "maps", file_label(name), keys)
            for name, keys in known.get("Maps", {}).items()
        },
        software=known["Software"],
        made_from=known.get(MADE_FROM, {}).get("Analyses", {}),
    )


def _tidy_means(table: pd.DataFrame) -> pd.DataFrame:
    ready = table.drop(columns=["analysis"]).reset_index(drop=True)
    return ready.assign(by=ready["by"].fillna(""), by_factor=ready["by_factor"].fillna(""))


def _typed(table: pd.DataFrame, known: Mapping[str, Any]) -> pd.DataFrame:
    """Give visits back their order; empty text is empty, not missing."""
    if "visit" in table:
        present = set(table["visit"].dropna().unique())
        plan = known["Plan"]
        for order in (plan["visits"], plan.get("places", ())):
            if present <= set(order):
                table["visit"] = pd.Categorical(table["visit"], categories=order, ordered=True)
                break
    text = ("reason", "reasons", "left_out", "missing_parcels", "session", "run", "by", "by_factor")
    for column in (*text, "from_visit", *FILE_COLUMNS):
        if column in table:
            table[column] = table[column].fillna("")
    return table


def _square(path: Path) -> pd.DataFrame:
    table = read_tsv(path)
    return table.set_index(table.columns[0])


def write_table(path: Path, table: pd.DataFrame, *, index: bool = False) -> None:
    """Write a table as TSV: missing cells as n/a, numbers so that they read back exactly."""
    write_atomic(path, table.to_csv(sep="\t", index=index, na_rep="n/a", lineterminator="\n"))


def read_tsv(path: Path, *, text: set[str] | None = None) -> pd.DataFrame:
    """Read a table of our own back.

    Parameters
    ----------
    path : Path
        The file.
    text : set of str, optional
        Columns that stay text.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    try:
        header = pd.read_csv(path, sep="\t", nrows=0).columns
        as_text = {name: "object" for name in header if name in _TEXT_COLUMNS | (text or set())}
        table: pd.DataFrame = pd.read_csv(
            path,
            sep="\t",
            dtype=as_text,
            na_values=["n/a"],
            keep_default_na=False,
            **EXACT_FLOATS,
        )
        return table
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; run the study again, which makes it anew") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: is damaged ({error}); run the study again, which makes it anew"
        ) from None


def file_label(name: str) -> str:
    """Turn a name into part of a file name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "unnamed"


def _plain(value: Any) -> Any:  # noqa: ANN401 - plain data of any shape
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return json.loads(json.dumps(value))
