"""Atlases by name: built in, fetched, or composed of both."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from connectrial.data import Atlas, FloatArray
from connectrial.errors import InputError, did_you_mean
from connectrial.io.atlas import atlas_from_names, attach_image, read_atlas
from connectrial.io.atlas_files import fetched_file, read_packaged, read_registry
from connectrial.io.limbic import add_subcortex, read_limbic_labels
from connectrial.io.spheres import CENTRE, sphere_atlas

SIEGEL = "Gordon333+Seitzman-subcortex"
GORDON = "Gordon333"
_RADIUS_MM = 5.0
SPHERES = ("Seitzman300", "Power264", "Dosenbach160")
#: Labels of the ``atlas-`` entity that mean a table which is built in.
_ALIASES = {"Gordon": GORDON}


def known_atlases() -> tuple[str, ...]:
    """Return the names that `load_atlas` knows: built in first, then fetched ones.

    Returns
    -------
    tuple of str
    """
    return tuple(dict.fromkeys((*SPHERES, GORDON, SIEGEL, *read_registry()["name"])))


def load_atlas(
    name: str,
    *,
    image: Path | None = None,
    table: Path | None = None,
    cortex: Atlas | None = None,
    name_column: str | None = None,
    network_column: str | None = None,
    radius_mm: float | None = None,
    limbic_image: Path | None = None,
    limbic_table: Path | None = None,
    hippocampus_split_y_mm: float = -21.0,
    limbic_radius_mm: float = 6.0,
    space: str | None = None,
) -> Atlas:
    """Return an atlas by its name, or from files of one's own.

    Parameters
    ----------
    name : str
        ``Seitzman300``, ``Power264``, ``Dosenbach160`` (spheres, built in); ``Gordon333`` (its
        table is built in, its image is fetched or one's own); ``Gordon333+Seitzman-subcortex``
        (as in Siegel 2021); whatever ``connectrial fetch`` brought; or, with files of one's own,
        any name.
    image : Path, optional
        Label image of one's own (of the cortex, for the composed atlas).
    table : Path, optional
        Parcels of one's own, as `read_atlas` takes them. A table with ``x_mm``, ``y_mm``, ``z_mm``
        (or x, y, z) and a radius, and no image, is a list of spheres.
    cortex : Atlas, optional
        For ``Gordon333+Seitzman-subcortex``, in place of `image`: Gordon's parcels as they are
        read already, such as those of a ``.dlabel.nii``.
    name_column, network_column : str, optional
        Columns of `table`.
    radius_mm : float, optional
        Radius of every sphere, mm. By default the published one (Seitzman: 5 mm in the cortex, 4 mm
        elsewhere) or the table's own; Power's and Dosenbach's lists state none and take 5 mm, a
        stand-in.
    limbic_image, limbic_table : Path, optional
        For ``Gordon333+Seitzman-subcortex``: subcortical label image and its names, as
        `read_limbic_labels` takes them. Without them the eight limbic regions stay spheres.
    hippocampus_split_y_mm : float
        Where a hippocampus in one piece is cut, mm (stand-in).
    limbic_radius_mm : float
        Radius of the eight limbic spheres without an image, mm (stand-in).
    space : str, optional
        Template of the scans, to choose among fetched images.

    Returns
    -------
    Atlas
        With notes on stand-ins and on the space of a fetched image.

    Raises
    ------
    InputError
        If the name is unknown and no file is given, the atlas has yet to be fetched, a setting does
        not fit it, or files cannot be read or contradict each other.
    """
    _refuse_what_does_not_fit(name, radius_mm, limbic_image, limbic_table)
    columns = {"name_column": name_column, "network_column": network_column}
    if name == SIEGEL:
        if cortex is None:
            cortex = _gordon(image, table, columns, space)
        elif cortex.grayordinates is not None:
            cortex = _named_as_gordon(cortex)
            if limbic_image is not None:
                raise InputError(
                    "limbic_image belongs to volumes: grayordinates name amygdala, hippocampus and "
                    "accumbens themselves; take it out"
                )
        grown = None
        if limbic_image is not None:
            grown = read_limbic_labels(
                limbic_image,
                limbic_table=limbic_table,
                hippocampus_split_y_mm=hippocampus_split_y_mm,
            )
        whole = add_subcortex(
            cortex,
            _subcortex(radius_mm),
            limbic=grown,
            limbic_radius_mm=limbic_radius_mm,
            hippocampus_split_y_mm=hippocampus_split_y_mm,
        )
        return replace(whole, name=SIEGEL)
    if cortex is not None:
        raise InputError(f"cortex belongs to the atlas {SIEGEL!r}; this one is {name!r}")
    if table is None and (name_column is not None or network_column is not None):
        raise InputError("name_column and network_column name columns of a table: give table too")
    if table is not None:
        return _own(name, image, table, columns, radius_mm)
    if name == GORDON:
        return _gordon(image, None, columns, space)
    if name in SPHERES:
        spheres, notes = _spheres(name, radius_mm)
        if image is None:
            return sphere_atlas(name, spheres, notes=notes)
        where = f"the built-in table of {name}"
        return attach_image(name, spheres.drop(columns="radius_mm"), image=image, table=where)
    if image is not None:
        return read_atlas(name, image=image)
    return _fetched(name, space)


def atlas_table(name: str) -> pd.DataFrame | None:
    """Return the parcels of an atlas whose table is built in, for series that bear its names.

    Parameters
    ----------
    name : str
        As the ``atlas-`` entity has it; ``Gordon`` is Gordon333.

    Returns
    -------
    DataFrame or None
        Indexed by name, with ``network`` and ``index``; None where nothing is built in.
    """
    name = _ALIASES.get(name, name)
    if name == GORDON:
        return _gordon_parcels()
    return _spheres(name, None)[0] if name in SPHERES else None


def _refuse_what_does_not_fit(
    name: str, radius_mm: float | None, limbic_image: Path | None, limbic_table: Path | None
) -> None:
    if name != SIEGEL and (limbic_image is not None or limbic_table is not None):
        raise InputError(
            f"limbic_image and limbic_table belong to the atlas {SIEGEL!r}; this one is {name!r}"
        )
    if limbic_table is not None and limbic_image is None:
        raise InputError("limbic_table names the labels of an image: give limbic_image too")
    if radius_mm is not None and not 0 < radius_mm <= 50:
        raise InputError(f"radius_mm must lie above 0 and up to 50 mm; got {radius_mm:g}")
    registered = set(read_registry()["name"])
    if radius_mm is not None and name in registered:
        raise InputError(f"radius_mm belongs to spheres; atlas {name!r} has labels")


def _own(
    name: str,
    image: Path | None,
    table: Path,
    columns: dict[str, str | None],
    radius_mm: float | None,
) -> Atlas:
    atlas = read_atlas(name, image=image, table=table, **columns)
    parcels = atlas.parcels
    if image is not None:
        if radius_mm is not None:
            raise InputError(f"radius_mm belongs to spheres; atlas {name!r} has a label image")
        # A radius beside a label image describes the parcel; it does not make it a sphere.
        return replace(atlas, parcels=parcels.drop(columns="radius_mm", errors="ignore"))
    if set("xyz") <= set(parcels.columns) and "x_mm" not in parcels:
        parcels = parcels.rename(columns=dict(zip("xyz", CENTRE, strict=True)))
    has_centres = set(CENTRE) <= set(parcels.columns)
    if radius_mm is not None and not has_centres:
        raise InputError(
            f"{table}: radius_mm makes spheres of centres, and this table has no columns x_mm, y_mm, z_mm"
        )
    if not has_centres or (radius_mm is None and "radius_mm" not in parcels):
        return atlas
    if radius_mm is not None:
        parcels = parcels.assign(radius_mm=radius_mm)
    return sphere_atlas(name, parcels)


def _gordon(
    image: Path | None, table: Path | None, columns: dict[str, str | None], space: str | None
) -> Atlas:
    if table is not None:
        return read_atlas(GORDON, image=image, table=table, **columns)
    note: tuple[str, ...] = ()
    if image is None:
        image, own = fetched_file(GORDON, "image", space=space)
        note = _space_note(GORDON, own, space)
    where = "the built-in table of Gordon333"
    atlas = attach_image(GORDON, _gordon_parcels(), image=image, table=where)
    return replace(atlas, notes=(*atlas.notes, *note))


def _named_as_gordon(cortex: Atlas) -> Atlas:
    """Give a label file of Gordon's parcels the names that they have in volumes."""
    own = _gordon_parcels()
    keys = ["index", "hemisphere", "network"]
    there = set(keys) <= set(cortex.parcels.columns) and len(cortex.parcels) == len(own)
    if not there or (cortex.parcels[keys].to_numpy() != own[keys].to_numpy()).any():
        return cortex
    return replace(cortex, parcels=own)


def _gordon_parcels() -> pd.DataFrame:
    table = read_packaged("gordon333.tsv")
    names = table["hemisphere"] + "_" + table["network"] + "_" + table["index"]
    numbers = ["area_mm2", *CENTRE]
    table = table.astype({"index": "int64", **dict.fromkeys(numbers, float)})
    return table.set_index(pd.Index(names, name="parcel"))


def _spheres(name: str, radius_mm: float | None) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Return a published list of spheres from nilearn's wheel, in the published order."""
    from nilearn import datasets

    stand_in = radius_mm is None
    radius: float | FloatArray = radius_mm or _RADIUS_MM
    structures: list[str] | None = None
    if name == "Seitzman300":
        found = datasets.fetch_coords_seitzman_2018(ordered_regions=False)
        networks = [str(one) for one in found.networks]
        structures = [re.sub(r"(?<=cortex)(L|R|Mid)$", "", str(one)) for one in found.regions]
        radius = radius_mm or np.asarray(found.radius, dtype=np.float64)
        stand_in = False
        stems = structures
    elif name == "Power264":
        found = datasets.fetch_coords_power_2011()
        networks = stems = read_packaged("power264.tsv")["network"].to_list()
    else:
        found = datasets.fetch_coords_dosenbach_2010(ordered_regions=False)
        networks = [str(one) for one in found.networks]
        stems = [str(label).rpartition(" ")[0].replace(" ", "_") for label in found.labels]
    places = found.rois[["x", "y", "z"]].to_numpy(dtype=float)
    numbers = np.arange(1, len(places) + 1)
    sides = np.where(places[:, 0] < 0, "L", np.where(places[:, 0] > 0, "R", "M"))
    table = pd.DataFrame(places, columns=CENTRE).assign(
        index=numbers,
        number=numbers,
        hemisphere=pd.array(["" if one == "M" else one for one in sides], dtype="str"),
        network=pd.array(networks, dtype="str"),
        radius_mm=radius,
    )
    if structures is not None:
        table["structure"] = pd.array(structures, dtype="str")
    names = [f"{side}_{stem}_{n}" for side, stem, n in zip(sides, stems, numbers, strict=True)]
    notes: tuple[str, ...] = ()
    if stand_in:
        notes = (
            f"atlas {name}: spheres of {_RADIUS_MM:g} mm (stand-in: the list of coordinates states no "
            "radius; set [atlas] radius_mm)",
        )
    return table.set_index(pd.Index(names, name="parcel", dtype="str")), notes


def _subcortex(radius_mm: float | None) -> pd.DataFrame:
    spheres, _ = _spheres("Seitzman300", radius_mm)
    return spheres.loc[spheres["structure"] != "cortex"]


def siegel_parcels() -> pd.DataFrame:
    """Return the parcels of Gordon333+Seitzman-subcortex, indexed by name."""
    return add_subcortex(Atlas(name=SIEGEL, parcels=_gordon_parcels()), _subcortex(None)).parcels


def _fetched(name: str, space: str | None) -> Atlas:
    if name not in set(read_registry()["name"]):
        raise InputError(
            f"there is no atlas {name!r}{did_you_mean(name, known_atlases())} 'connectrial atlases' lists "
            "them; for one of your own name its image"
        )
    image, own = fetched_file(name, "image", space=space)
    table, _ = fetched_file(name, "table")
    atlas = read_atlas(name, image=image, table=table)
    told = atlas_from_names(name, atlas.parcels.index).parcels
    parcels = atlas.parcels.assign(network=told["network"], hemisphere=told["hemisphere"])
    notes = (*atlas.notes, *_space_note(name, own, space))
    return replace(atlas, parcels=parcels, notes=notes)


def _space_note(name: str, own: str, space: str | None) -> tuple[str, ...]:
    if space is None or space == own:
        return ()
    return (
        f"atlas {name} is in {own} and the scans are in {space}: the templates differ by some "
        "millimetres, and labels are not warped between them",
    )
