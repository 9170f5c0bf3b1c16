"""Read an atlas: a table of parcels, a label image, or only names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Atlas, FloatArray
from connectrial.errors import InputError
from connectrial.io.atlas_checks import check_labels_match, check_places
from connectrial.io.nifti import read_volume
from connectrial.reading import MOST_TABLE_BYTES, require_file

_NAME_COLUMNS = ("label", "name", "parcel", "region")
_NETWORK_COLUMNS = ("network_label", "network", "community")
_BACKGROUND = ("background", "unknown", "???")
_SCHAEFER = re.compile(r"^(?:(?:7|17)Networks_)?(?P<hemisphere>[LR])H_(?P<network>[A-Za-z]+)_")
_TIAN_HEMISPHERE = re.compile(r"-(?P<hemisphere>[lr])h$")


def read_atlas(
    name: str,
    *,
    image: Path | None = None,
    table: Path | None = None,
    name_column: str | None = None,
    network_column: str | None = None,
) -> Atlas:
    """Read an atlas from a label image, a table of its parcels, or both.

    Parameters
    ----------
    name : str
        As in the ``atlas-`` entity.
    image : Path, optional
        Label image (NIfTI, 3-D, whole numbers, 0 is background).
    table : Path, optional
        TSV or CSV with one row per parcel: ``index`` (the label in the image), a name, a network.
        Or plain text: one name per line, or the Workbench's pairs of lines. Without a table
        parcels are called by their labels.
    name_column : str, optional
        Column of parcel names; by default the first of label, name, parcel, region. Without any,
        parcels are called by their ``index``.
    network_column : str, optional
        Column of networks; by default the first of network_label, network, community. ``n/a`` and
        empty cells are missing; ``None`` is a network's name.

    Returns
    -------
    Atlas
        Parcels in the table's order (else by label), with ``index``, ``network`` and whatever else
        the table has.

    Raises
    ------
    InputError
        If a file cannot be read, a column is absent, labels and rows do not match one to one, or
        the image is empty, 4-D (a probabilistic atlas), holds values that are no whole numbers, or
        negative labels (an 8-bit integer that wrapped around); or if parcels lie on the other side,
        or elsewhere, than names, hemispheres or centroids in the table say.
    """
    if image is None and table is None:
        raise InputError(f"atlas {name!r} needs an image, a table or both")
    parcels = None if table is None else _read_table(table, name_column, network_column)
    if image is None:
        assert parcels is not None  # noqa: S101  one of the two is there
        return Atlas(name=name, parcels=parcels)
    return attach_image(name, parcels, image=image, table=table)


def attach_image(
    name: str, parcels: pd.DataFrame | None, *, image: Path, table: Path | str | None
) -> Atlas:
    """Join a label image to its parcels, having checked that they belong together.

    Parameters
    ----------
    name : str
        As in the ``atlas-`` entity.
    parcels : pandas.DataFrame or None
        Indexed by name, with ``index`` (the labels) and ``network``; None calls parcels by their
        labels.
    image : Path
        Label image (NIfTI, 3-D, whole numbers, 0 is background).
    table : Path, str or None
        Where `parcels` come from, for messages.

    Returns
    -------
    Atlas

    Raises
    ------
    InputError
        As `read_atlas`.
    """
    labels, affine = _read_labels(image)
    in_image = np.unique(labels)
    in_image = in_image[in_image != 0]
    if len(in_image) == 0:
        raise InputError(f"{image}: the label image is empty (all 0)")
    if parcels is None:
        parcels = pd.DataFrame(
            {
                "index": in_image,
                "network": pd.Series(pd.NA, index=range(len(in_image)), dtype="str"),
            }
        ).set_index(pd.Index([str(label) for label in in_image], name="parcel"))
        return Atlas(name=name, parcels=parcels, labels=labels, affine=affine)
    check_labels_match(parcels, in_image, image=image, table=table)
    # Made before places are compared: two parcels of one name are refused first.
    atlas = Atlas(name=name, parcels=parcels, labels=labels, affine=affine)
    return replace(atlas, notes=check_places(parcels, labels, affine, image=image, table=table))


def atlas_from_names(
    name: str, parcels: pd.Index, *, networks: Literal["auto", "schaefer"] | None = "auto"
) -> Atlas:
    """Make an atlas of the names over ready-made series, reading networks out of them if it can.

    Parameters
    ----------
    name : str
        As in the ``atlas-`` entity.
    parcels : pandas.Index
        Parcel names, in column order.
    networks : {"auto", "schaefer"} or None
        How names tell networks: ``schaefer`` reads ``[7Networks_|17Networks_]LH_Default_PFC_1``;
        ``auto`` does so where a name has this form; None reads nothing.

    Returns
    -------
    Atlas
        Without an image. ``network`` and ``hemisphere`` (L, R) are missing where a name does not
        tell (a hemisphere is also read from ``-lh`` and ``-rh`` as Tian's atlas has them).

    Raises
    ------
    InputError
        If names repeat, or `networks` is ``schaefer`` and no name has that form.
    """
    names = [str(parcel) for parcel in parcels]
    found = [_SCHAEFER.match(text) if networks is not None else None for text in names]
    if networks not in ("auto", "schaefer", None):
        raise InputError(f"networks must be 'auto', 'schaefer' or None; got {networks!r}")
    if networks == "schaefer" and not any(found):
        raise InputError(
            f"atlas {name!r}: no parcel is called like Schaefer's (LH_Default_PFC_1); "
            f"the first is {names[0] if names else 'absent'!r}"
        )
    ends = [_TIAN_HEMISPHERE.search(text) if networks is not None else None for text in names]
    hemispheres = [
        match["hemisphere"].upper() if match else None
        for match in (start or end for start, end in zip(found, ends, strict=True))
    ]
    table = pd.DataFrame(
        {
            "network": pd.array([match["network"] if match else None for match in found], "str"),
            "hemisphere": pd.array(hemispheres, "str"),
        },
        index=pd.Index(names, name="parcel", dtype="str"),
    )
    return Atlas(name=name, parcels=table)


def _read_table(path: Path, name_column: str | None, network_column: str | None) -> pd.DataFrame:
    require_file(path, what="atlas table", most_bytes=MOST_TABLE_BYTES)
    try:
        table = _read_label_list(path) if path.suffix == ".txt" else _read_cells(path)
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(f"{path}: this is not a readable table ({error})") from error
    if table.empty:
        raise InputError(f"{path}: the table names no parcel")
    if "index" in table:
        table["index"] = _whole_numbers(table["index"], path=path)
    names = _pick(table, name_column, _NAME_COLUMNS, path=path, what="parcel names")
    if names is None:
        if "index" not in table:
            raise InputError(
                f"{path}: neither parcel names ({', '.join(_NAME_COLUMNS)}) nor 'index' among its "
                f"columns ({', '.join(table.columns)}); say which with name_column"
            )
        names = table["index"].astype("str")
    if names.isna().any():
        row = int(np.flatnonzero(names.isna())[0]) + 2
        raise InputError(f"{path}, line {row}: the parcel has no name in column {names.name!r}")
    if "index" in table and (table["index"] == 0).any():
        background = table["index"] == 0
        if names[background].iloc[0].lower() not in _BACKGROUND:
            raise InputError(
                f"{path}: parcel {names[background].iloc[0]!r} has index 0, which is the "
                "background of a label image; number parcels from 1"
            )
        table, names = table[~background], names[~background]
    network = _pick(table, network_column, _NETWORK_COLUMNS, path=path, what="networks")
    network = pd.Series(pd.NA, index=table.index, dtype="str") if network is None else network
    rest = table.drop(columns=[c for c in ("network", names.name) if c in table and c != "index"])
    rest = rest.assign(network=network)
    for column in rest.columns.difference(["index", "network"]):
        numbers = pd.to_numeric(rest[column], errors="coerce")
        if numbers.notna().equals(rest[column].notna()) and numbers.notna().any():
            rest[column] = numbers
    return rest.set_index(pd.Index(names.to_numpy(), name="parcel", dtype="str"))


def _read_cells(path: Path) -> pd.DataFrame:
    # "None" is a network in Gordon's atlas, so only n/a and empty cells are missing. Read without
    # a header, because pandas would rename repeated columns and shift rows that are too long.
    cells = pd.read_csv(
        path,
        sep="," if path.suffix == ".csv" else "\t",
        dtype="str",
        header=None,
        keep_default_na=False,
        na_values=["n/a", ""],
        encoding="utf-8-sig",
    )
    names = cells.iloc[0].fillna("").astype("str").str.strip()
    if names.duplicated().any():
        raise InputError(f"{path}: column {names[names.duplicated()].iloc[0]!r} occurs twice")
    return cells.iloc[1:].set_axis(names.to_list(), axis=1).reset_index(drop=True)


def _read_label_list(path: Path) -> pd.DataFrame:
    """Read one name per line, or the Workbench's pairs: a name, then ``label r g b alpha``."""
    lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    lines = [line for line in lines if line]
    keys = [line.split() for line in lines[1::2]]
    paired = len(lines) % 2 == 0 and all(
        len(key) == 5 and all(part.isdigit() for part in key) for key in keys
    )
    if lines and paired:
        return pd.DataFrame({"index": [key[0] for key in keys], "label": lines[0::2]}, dtype="str")
    return pd.DataFrame(
        {"index": [str(number) for number in range(1, len(lines) + 1)], "label": lines}, dtype="str"
    )


def _pick(
    table: pd.DataFrame,
    wanted: str | None,
    candidates: tuple[str, ...],
    *,
    path: Path,
    what: str,
) -> pd.Series | None:
    if wanted is not None and wanted not in table:
        raise InputError(
            f"{path}: no column {wanted!r} for {what}; it has {', '.join(table.columns)}"
        )
    for column in (wanted,) if wanted is not None else candidates:
        if column in table:
            return table[column]
    return None


def _whole_numbers(column: pd.Series, *, path: Path) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() | (numbers % 1 != 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path}, line {row + 2}: index must be a whole number; got {column.iloc[row]!r}"
        )
    if numbers.duplicated().any():
        row = int(np.flatnonzero(numbers.duplicated())[0])
        raise InputError(f"{path}, line {row + 2}: index {int(numbers.iloc[row])} occurs twice")
    beyond = (numbers < 0) | (numbers > np.iinfo(np.int32).max)
    if beyond.any():
        row = int(np.flatnonzero(beyond)[0])
        raise InputError(
            f"{path}, line {row + 2}: index must be the label of a parcel, from 1 on; got "
            f"{column.iloc[row]!r}"
        )
    return numbers.astype("int64")


def _read_labels(path: Path) -> tuple[NDArray[np.int32], FloatArray]:
    try:
        values, affine = read_volume(path)
    except InputError as error:
        if "3-D image is needed" not in str(error):
            raise
        raise InputError(
            f"{error}; an atlas of several volumes holds a probability map for each parcel: make a "
            "label image of it first (each voxel the label of its largest map)"
        ) from None
    if not np.isfinite(values).all() or (values % 1 != 0).any():
        raise InputError(
            f"{path}: a label image holds whole numbers only; this one holds others (an "
            "interpolated or probabilistic atlas?); resample labels with nearest neighbour"
        )
    if values.min() < 0:
        raise InputError(
            f"{path}: the label image holds negative labels down to {int(values.min())}; labels "
            "above 127 were probably saved as 8-bit integers and wrapped around, so save them "
            "with 16 bits"
        )
    if values.max() > np.iinfo(np.int32).max:
        raise InputError(
            f"{path}: the label image holds {values.max():g}, which is no label; 32 bits hold labels "
            f"up to {np.iinfo(np.int32).max}"
        )
    return values.astype(np.int32), affine
