"""Read an atlas of grayordinates: a CIFTI label file, or a pair of surface label files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, Grayordinates
from connectrial.errors import InputError, did_you_mean
from connectrial.io.atlas import atlas_from_names, read_atlas
from connectrial.io.cifti import (
    grayordinates_of,
    read_cifti_header,
    read_matrix_values,
)
from connectrial.io.cifti_names import label_maps
from connectrial.io.surfaces import is_background, read_surface_labels, rows_of_labels

_ENDINGS = (".dlabel.nii", ".label.gii", ".annot")
# Gordon's label files call their parcels 1_L_Default, 3_L_SMmouth, ...
_GORDON = re.compile(r"^\d+_(?P<hemisphere>[LR])_(?P<network>[A-Za-z]+)$")
_SHOWN = 8


def is_grayordinate_atlas(image: Path) -> bool:
    """Tell by its name whether a file labels grayordinates, not voxels of a volume."""
    return image.name.endswith(_ENDINGS)


def read_grayordinate_atlas(
    name: str,
    *,
    image: Sequence[Path],
    table: Path | None = None,
    name_column: str | None = None,
    network_column: str | None = None,
    map_name: str | None = None,
) -> Atlas:
    """Read an atlas of grayordinates.

    Parameters
    ----------
    name : str
        As in the ``atlas-`` entity.
    image : sequence of Path
        One CIFTI label file (``.dlabel.nii``), or two files of surface labels, the left hemisphere
        first (``.label.gii``, or FreeSurfer's ``.annot``). Key 0, and labels called ``???``,
        ``unknown``, ``medial wall`` and the like, are background.
    table : Path, optional
        TSV or CSV with a row per parcel. Rows are joined to labels by ``index`` (the label's key)
        or, without that column, by name. By default names come from the label table, and networks
        out of names such as Schaefer's (``7Networks_LH_Vis_1``) and Gordon's (``1_L_Default``).
    name_column, network_column : str, optional
        As in `connectrial.io.atlas.read_atlas`.
    map_name : str, optional
        Which map of a label file that has several.

    Returns
    -------
    Atlas
        With ``grayordinates`` and ``row_labels``. Column ``index`` of its parcels holds the keys.
        Where both hemispheres' files use one key for different parcels, the right one's keys are
        moved up; where they use one name, names get ``lh_`` and ``rh_`` before them.

    Raises
    ------
    InputError
        If a file cannot be read, holds no parcel, or labels without a name; if there are several
        maps and none was chosen; if table and labels do not match one to one.
    """
    if len(image) == 1 and image[0].name.endswith(".dlabel.nii"):
        rows, keys, names = _read_dlabel(image[0], map_name)
    elif len(image) == 2 and all(path.name.endswith((".label.gii", ".annot")) for path in image):
        if map_name is not None:
            raise InputError(f"map_name: {image[0].name} has one map; take the key out")
        rows, keys, names = _read_pair(image[0], image[1])
    else:
        given = ", ".join(path.name for path in image) or "none"
        raise InputError(
            f"atlas {name!r}: an atlas of grayordinates is one .dlabel.nii, or two files .label.gii "
            f"or .annot, left hemisphere first; got {given}"
        )
    keys = _without_background(keys, names)
    present = [int(key) for key in np.unique(keys) if key > 0]
    where = " and ".join(str(path) for path in image)
    if not present:
        raise InputError(f"{where}: no parcel is labelled; every row is background (label 0)")
    nameless = [key for key in present if key not in names]
    if nameless:
        raise InputError(
            f"{where}: the label table has no name for {len(nameless)} labels that occur: "
            f"{_some(nameless)}; the file is incomplete, so make it again"
        )
    if table is None:
        parcels = _parcels_by_name(name, present, names)
    else:
        parcels = _parcels_of_table(
            read_atlas(
                name, table=table, name_column=name_column, network_column=network_column
            ).parcels,
            {key: names[key] for key in present},
            table=table,
            where=where,
        )
    return Atlas(name=name, parcels=parcels, grayordinates=rows, row_labels=keys)


def _read_dlabel(
    path: Path, map_name: str | None
) -> tuple[Grayordinates, NDArray[np.int32], dict[int, str]]:
    header = read_cifti_header(path, form="dlabel")
    maps = label_maps(header)
    titles = [title for title, _ in maps]
    if len(maps) != header.n_columns:
        raise InputError(f"{path}: the header names {len(maps)} maps; there are {header.n_columns}")
    if map_name is not None and map_name not in titles:
        raise InputError(
            f"{path}: map_name {map_name!r} is none of its maps{did_you_mean(map_name, titles)}"
        )
    if map_name is None and len(maps) > 1:
        raise InputError(
            f"{path}: there are {len(maps)} maps: {', '.join(map(repr, titles[:_SHOWN]))}; choose one "
            "with map_name"
        )
    chosen = 0 if map_name is None else titles.index(map_name)
    values = read_matrix_values(header)[:, chosen]
    if not np.isfinite(values).all() or (values % 1 != 0).any() or (values < 0).any():
        raise InputError(f"{path}: labels must be whole numbers from 0; this file holds others")
    return grayordinates_of(header), values.astype(np.int32), maps[chosen][1]


def _read_pair(left: Path, right: Path) -> tuple[Grayordinates, NDArray[np.int32], dict[int, str]]:
    """Join two hemispheres' labels; each file numbers its own parcels, often both from 1."""
    sides = []
    for number, path in enumerate((left, right)):
        keys, names = read_surface_labels(path, hemisphere=number)
        sides.append((_without_background(keys, names), names))
    (keys_l, names_l), (keys_r, names_r) = sides
    used_l, used_r = (set(np.unique(keys[keys > 0]).tolist()) for keys, _ in sides)
    if {names_l[key] for key in used_l & set(names_l)} & {
        names_r[key] for key in used_r & set(names_r)
    }:
        names_l = {key: f"lh_{text}" for key, text in names_l.items()}
        names_r = {key: f"rh_{text}" for key, text in names_r.items()}
    shift = max(used_l) if used_l & used_r else 0
    joined = np.concatenate([keys_l, np.where(keys_r > 0, keys_r + shift, 0)]).astype(np.int32)
    names = {key: names_l[key] for key in used_l & set(names_l)}
    names |= {key + shift: names_r[key] for key in used_r & set(names_r)}
    return rows_of_labels((len(keys_l), len(keys_r))), joined, names


def _without_background(keys: NDArray[np.int32], names: Mapping[int, str]) -> NDArray[np.int32]:
    background = [key for key, text in names.items() if is_background(text)]
    return np.where(np.isin(keys, background) | (keys < 0), 0, keys).astype(np.int32)


def _parcels_by_name(name: str, present: Sequence[int], names: Mapping[int, str]) -> pd.DataFrame:
    parcels = atlas_from_names(name, pd.Index([names[key] for key in present])).parcels.copy()
    for text in parcels.index:
        found = _GORDON.match(str(text))
        if found:
            parcels.loc[text, ["network", "hemisphere"]] = found["network"], found["hemisphere"]
    return parcels.assign(index=list(present))


def _parcels_of_table(
    parcels: pd.DataFrame, names: Mapping[int, str], *, table: Path, where: str
) -> pd.DataFrame:
    """Hold a table against the labels, by key or by name, and give every row its key."""
    if "index" not in parcels:
        key_of = {text: key for key, text in names.items()}
        parcels = parcels.assign(index=[key_of.get(str(one), -1) for one in parcels.index])
        absent = [str(one) for one in parcels.index[parcels["index"] < 0]]
        how = "by name, since the table has no column 'index'"
    else:
        absent = [str(one) for one in parcels.index[~parcels["index"].isin(list(names))]]
        how = "by 'index'"
    nameless = [f"{key} ({names[key]})" for key in names if key not in set(parcels["index"])]
    problems = []
    if absent:
        problems.append(
            f"{table}: {len(absent)} rows have no label in {where} (joined {how}): {_some(absent)}; "
            "table and labels belong to different atlases"
        )
    if nameless:
        problems.append(
            f"{where}: {len(nameless)} labels have no row in {table} (joined {how}): "
            f"{_some(nameless)}; table and labels belong to different atlases, or the table is "
            "incomplete"
        )
    if problems:
        raise InputError(problems)
    return parcels


def _some(values: Sequence[object]) -> str:
    shown = ", ".join(str(one) for one in values[:_SHOWN])
    return f"{shown}, ..." if len(values) > _SHOWN else shown
