"""From the study file's ``[atlas]`` and ``[sets.*] spheres`` to an atlas."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from connectrial.data import Atlas, Scan
from connectrial.errors import InputError
from connectrial.io.atlas import atlas_from_names, read_atlas
from connectrial.io.atlas_files import fetched_file, read_registry
from connectrial.io.cifti import is_cifti, read_grayordinates
from connectrial.io.grayordinate_atlas import is_grayordinate_atlas, read_grayordinate_atlas
from connectrial.io.known_atlases import SIEGEL, atlas_table, known_atlases, load_atlas
from connectrial.io.limbic import with_limbic_rows
from connectrial.io.spheres import add_spheres
from connectrial.study import Study


def names_an_atlas(study: Study) -> bool:
    """Tell whether ``[atlas] name`` is one of ours, and no ``atlas-`` entity to look for."""
    return study.data.kind != "time series" and study.atlas.name in known_atlases()


def declare_atlas(study: Study, scans: Sequence[Scan]) -> Atlas | None:
    """Make the atlas that a study file names, by name or by files, for its scans.

    Parameters
    ----------
    study : Study
        With ``[atlas]``, and perhaps ``[sets.NAME] spheres``.
    scans : sequence of Scan
        What it is needed for: images need labels or spheres, ready-made series only names.

    Returns
    -------
    Atlas or None
        None where ready-made series bring their own names.

    Raises
    ------
    InputError
        If the atlas is unknown, not fetched, cannot be read, or a setting does not fit it.
    StudyFileError
        If a path names an environment variable that is not set.
    """
    section = study.atlas
    spheres = {
        name: [one.model_dump() for one in one_set.spheres]
        for name, one_set in study.sets.items()
        if one_set.spheres
    }
    given = (section.image,) if isinstance(section.image, str) else section.image or ()
    images = [study.located(one, key="atlas.image") for one in given]
    image = images[0] if images else None
    on_rows = len(images) > 1 or any(is_grayordinate_atlas(path) for path in images)
    table = None if section.table is None else study.located(section.table, key="atlas.table")
    if section.map_name is not None and not on_rows:
        raise InputError(
            "map_name: only a .dlabel.nii has maps to choose from; take the key out, or name such "
            "a file as image"
        )
    if scans[0].kind != "image":
        _refuse_for_series(study, spheres)
        if image is None and table is None:
            return None
        if on_rows:
            return _read_rows(study, images, table)
        return read_atlas(
            section.name or "atlas",
            image=image,
            table=table,
            name_column=section.name_column,
            network_column=section.network_column,
        )
    if section.name is None and image is None and table is None:
        raise InputError(
            "images need an atlas; name one that is built in (name = 'Seitzman300'; connectrial atlases "
            "lists them all) or a label image of your own (image = ...)"
        )
    space = scans[0].space
    limbic_image, limbic_table = _limbic(study, space)
    cortex = _read_rows(study, images, table) if on_rows else None
    if cortex is not None and section.name == SIEGEL:
        cortex = _with_subcortex(study, cortex, scans)
    if cortex is not None and section.name != SIEGEL:
        if section.radius_mm is not None:
            raise InputError(
                "radius_mm belongs to spheres; this atlas has labels; take the key out"
            )
        atlas = cortex
    else:
        atlas = load_atlas(
            section.name or "atlas",
            image=None if cortex is not None else image,
            table=None if cortex is not None else table,
            cortex=cortex,
            name_column=None if cortex is not None else section.name_column,
            network_column=None if cortex is not None else section.network_column,
            radius_mm=section.radius_mm,
            limbic_image=limbic_image,
            limbic_table=limbic_table,
            hippocampus_split_y_mm=section.hippocampus_split_y_mm,
            limbic_radius_mm=section.limbic_radius_mm,
            space=space,
        )
    atlas = add_spheres(atlas, spheres)
    if atlas.labels is None and atlas.row_labels is None and not atlas.is_sphere.any():
        raise InputError(
            f"atlas {atlas.name!r} only names parcels: images need a label image (image = ...), or a table "
            "with x_mm, y_mm, z_mm and a radius (radius_mm)"
        )
    if section.overlap != "allow" and not atlas.is_sphere.any():
        raise InputError(
            f"overlap = {section.overlap!r} is a rule for spheres, and {atlas.name!r} has none"
        )
    return atlas


def _read_rows(study: Study, images: Sequence[Path], table: Path | None) -> Atlas:
    """Read an atlas of grayordinates: a .dlabel.nii, or label files of both hemispheres."""
    section = study.atlas
    return read_grayordinate_atlas(
        section.name or "atlas",
        image=images,
        table=table,
        name_column=section.name_column,
        network_column=section.network_column,
        map_name=section.map_name,
    )


def _with_subcortex(study: Study, cortex: Atlas, scans: Sequence[Scan]) -> Atlas:
    """Take the limbic structures of a cortical label file from the runs, which name them."""
    if "limbic_radius_mm" in study.atlas.model_fields_set:
        raise InputError(
            "limbic_radius_mm: grayordinates name the whole structures, so there are no such spheres; "
            "take it out"
        )
    dense = [scan for scan in scans if is_cifti(scan.path)]
    if not dense:
        raise InputError(
            f"name = {SIEGEL!r} with labels of grayordinates needs runs with the subcortex "
            f"(.dtseries.nii); {scans[0].path.name} has none: choose [data] space, or for volumes name "
            "a label image of a volume"
        )
    unread: list[str] = []
    for scan in dense:
        try:
            return with_limbic_rows(cortex, read_grayordinates(scan.path), source=scan.path.name)
        except InputError as error:
            unread += error.problems
    raise InputError(unread)


def series_atlas(label: str, names: pd.Index) -> Atlas:
    """Make the atlas of ready-made series by a built-in table, or else by the names alone.

    Parameters
    ----------
    label : str
        The ``atlas-`` entity.
    names : pandas.Index
        Names of the columns, or the parcels' published numbers.

    Returns
    -------
    Atlas
        With networks from the table where all names are in it; a note says so, or that the table
        there is does not fit.
    """
    known = atlas_table(label)
    if known is None:
        return atlas_from_names(label, names)
    own = pd.Index([str(name) for name in names])
    source = f"the built-in table of {label}"
    if own.isin(known.index).all():
        return Atlas(
            name=label, parcels=_names_only(known.loc[own]), notes=(f"networks come from {source}",)
        )
    numbered = known.set_index(known["index"].astype(str))
    if own.isin(numbered.index).all():
        parcels = _names_only(numbered.loc[own])
        note = f"the columns are the parcels' numbers; networks come from {source}"
        return Atlas(name=label, parcels=parcels, notes=(note,))
    first = own[~own.isin(known.index)][0]
    atlas = atlas_from_names(label, names)
    note = (
        f"{source} does not know {first!r}, so it was not used; name the series' own [atlas] table"
    )
    return Atlas(name=label, parcels=atlas.parcels, notes=(note,))


def whole_atlas(label: str) -> Atlas | None:
    """Take a built-in table for series whose columns have no names.

    Parameters
    ----------
    label : str
        The ``atlas-`` entity.

    Returns
    -------
    Atlas or None
        All its parcels in the published order, with a note that columns are taken to be in it; None
        where no table is built in. Series with another number of columns are refused when read.
    """
    known = atlas_table(label)
    if known is None:
        return None
    note = (
        f"the series have no header; their columns are taken to be the {len(known)} parcels of {label} in "
        "the published order"
    )
    return Atlas(name=label, parcels=_names_only(known), notes=(note,))


def _names_only(parcels: pd.DataFrame) -> pd.DataFrame:
    """Leave the radius out: parcels of ready-made series are no spheres to be read."""
    return parcels.drop(columns="radius_mm", errors="ignore").rename_axis("parcel")


def _refuse_for_series(study: Study, spheres: dict[str, list[dict[str, float]]]) -> None:
    if spheres:
        raise InputError(
            f"[sets.{next(iter(spheres))}] spheres: are read out of images, and this study has ready-made "
            "series or matrices; list parcels instead"
        )
    only_images = (
        "radius_mm", "overlap", "limbic_image", "limbic_table", "hippocampus_split_y_mm",
        "limbic_radius_mm",
    )  # fmt: skip
    given = [key for key in only_images if key in study.atlas.model_fields_set]
    if given:
        raise InputError(
            f"{', '.join(given)}: only images are read with it; this study has ready-made series or "
            "matrices, so take it out"
        )


def _limbic(study: Study, space: str | None) -> tuple[Path | None, Path | None]:
    section = study.atlas
    given = section.model_fields_set & {
        "limbic_image", "limbic_table", "hippocampus_split_y_mm", "limbic_radius_mm"
    }  # fmt: skip
    if section.name != SIEGEL and given:
        raise InputError(f"{', '.join(sorted(given))}: belong to name = {SIEGEL!r}")
    if section.limbic_image is None:
        return None, (
            None
            if section.limbic_table is None
            else study.located(section.limbic_table, key="atlas.limbic_table")
        )
    if "limbic_radius_mm" in given:
        raise InputError(
            "limbic_radius_mm: limbic_image gives the whole structures, so there are no such spheres; "
            "take one of the two out"
        )
    if section.limbic_image in set(read_registry()["name"]):
        if section.limbic_table is not None:
            raise InputError("limbic_table: a fetched limbic_image brings its own; take it out")
        image, _ = fetched_file(section.limbic_image, "image", space=space)
        return image, fetched_file(section.limbic_image, "table")[0]
    table = section.limbic_table
    return (
        study.located(section.limbic_image, key="atlas.limbic_image"),
        None if table is None else study.located(table, key="atlas.limbic_table"),
    )
