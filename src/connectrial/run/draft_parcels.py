"""Finding the parcels of a dataset's scans, and the networks that they belong to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from connectrial.data import Scan
from connectrial.errors import ConnectrialError, InputError
from connectrial.io.atlas import atlas_from_names, read_atlas
from connectrial.io.bids import ScanIndex, survey_series
from connectrial.io.cifti import is_cifti
from connectrial.io.grayordinate_atlas import read_grayordinate_atlas
from connectrial.io.known_atlases import atlas_table
from connectrial.io.series import read_matrix

OFFERED = "Seitzman300"  # built in, with networks, subcortex and cerebellum
_MOST_PARCELS_NAMED = 5  # scans whose names are read to find the parcels


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Parcels:
    """The parcels of the scans and where their networks come from.

    Attributes
    ----------
    names : tuple of str
        Parcels in order; empty where nothing names them.
    networks : mapping of str to int
        Parcels by network, in atlas order.
    without : tuple of str
        Parcels without a network.
    built_in : str
        Atlas that is offered by name, because no label image was found; "" otherwise.
    image, table : Path or None
        Atlas files that a study must name.
    values : {"r", "z"}
        What ready-made matrices hold.
    checks : tuple of str
        What was guessed.
    """

    names: tuple[str, ...] = ()
    networks: Mapping[str, int] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    built_in: str = ""
    image: Path | None = None
    table: Path | None = None
    values: str = "r"
    checks: tuple[str, ...] = ()


def find_parcels(dataset: Path, index: ScanIndex) -> Parcels:
    """Find what the parcels are called and which networks they belong to.

    Parameters
    ----------
    dataset : Path
        Folder with the tables; atlas files are looked for here too.
    index : ScanIndex
        The scans, of one atlas.

    Returns
    -------
    Parcels
        Networks come from the names, or from a table of the atlas that names more of them.
    """
    scans = index.scans
    if not scans:
        return Parcels()
    label = scans[0].atlas
    if scans[0].kind == "image":
        return _image_atlas(dataset, index)
    step = max(1, len(scans) // _MOST_PARCELS_NAMED)
    read = [parcel_names(scan) for scan in scans[::step]]
    named = Counter(names for names, _ in read if names)
    values = "z" if any(v == "z" for _, v in read) else "r"
    checks = []
    if values == "z":
        checks.append("values beyond 1 were seen, so the matrices seem to hold Fisher z")
    tables = _atlas_files(dataset, index.root, label, (".tsv", ".csv", ".txt"))
    if not named:
        checks.append(
            "the series do not name their parcels; [atlas] table must name them in column order"
        )
        return Parcels(values=values, checks=tuple(checks))
    names = named.most_common(1)[0][0]
    networks, without = networks_of_names(names)
    for table in tables:
        found = _networks_of_table(table, names)
        if found is not None and len(found[1]) < len(without):
            return Parcels(
                names=names,
                networks=found[0],
                without=found[1],
                table=table,
                values=values,
                checks=tuple(checks),
            )
    return Parcels(
        names=names, networks=networks, without=without, values=values, checks=tuple(checks)
    )


def parcel_names(scan: Scan) -> tuple[tuple[str, ...] | None, str]:
    """Return the parcels that a scan names (None without names), and whether it holds r or z."""
    try:
        if scan.kind == "matrix":
            try:
                return tuple(map(str, read_matrix(scan, values="r").parcels)), "r"
            except InputError:
                return tuple(map(str, read_matrix(scan, values="z").parcels)), "z"
        return survey_series(scan).parcels, "r"
    except InputError:
        return None, "r"


def networks_of_names(names: Iterable[str]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the number of parcels of each network that names tell, and the parcels left over."""
    try:
        return _count_networks(atlas_from_names("atlas", pd.Index(list(names))).parcels)
    except ConnectrialError:
        return {}, tuple(names)


def _networks_of_table(
    table: Path, names: Sequence[str]
) -> tuple[dict[str, int], tuple[str, ...]] | None:
    """Return networks by a table; None where it does not name all the parcels."""
    try:
        parcels = read_atlas("atlas", table=table).parcels
    except (ConnectrialError, OSError):
        return None
    if not set(names) <= set(parcels.index):
        return None
    return _count_networks(parcels.loc[list(names)])


def _count_networks(parcels: pd.DataFrame) -> tuple[dict[str, int], tuple[str, ...]]:
    networks = parcels["network"].dropna()
    counts = {str(name): int((networks == name).sum()) for name in networks.unique()}
    return counts, tuple(map(str, parcels.index[parcels["network"].isna()]))


def _image_atlas(dataset: Path, index: ScanIndex) -> Parcels:
    """Find a label image and its table beside the images."""
    if index.scans[0].path.name.endswith(".func.gii"):
        return Parcels(
            checks=(
                "surface runs need two label files of their mesh: .label.gii or .annot, left, right",
            )
        )
    dense = is_cifti(index.scans[0].path)
    images = [
        path
        for path in _atlas_files(dataset, index.root, None, (".nii.gz", ".nii"))
        if path.name.endswith(".dlabel.nii") == dense
    ]
    tables = _atlas_files(dataset, index.root, None, (".tsv",))
    for image in images:
        atlas = next((part for part in image.name.split("_") if part.startswith("atlas-")), "")
        for table in tables:
            if atlas and atlas in table.name.split("_"):
                try:
                    if dense:
                        parcels = read_grayordinate_atlas(
                            "atlas", image=[image], table=table
                        ).parcels
                    else:
                        parcels = read_atlas("atlas", image=image, table=table).parcels
                except (ConnectrialError, OSError):
                    continue
                networks, without = _count_networks(parcels)
                return Parcels(
                    names=tuple(map(str, parcels.index)),
                    networks=networks,
                    without=without,
                    image=image,
                    table=table,
                    checks=("this is an atlas that lies beside the images",),
                )
    if dense and images:
        try:
            parcels = read_grayordinate_atlas("atlas", image=images[:1]).parcels
        except (ConnectrialError, OSError):
            return Parcels(image=images[0], checks=("this label file cannot be read as it stands",))
        networks, without = _count_networks(parcels)
        return Parcels(
            names=tuple(map(str, parcels.index)),
            networks=networks,
            without=without,
            image=images[0],
            checks=("this label file lies beside the images",),
        )
    if images:
        return Parcels(
            image=images[0],
            checks=("this label image lies beside the images; no table names its networks",),
        )
    if dense:
        return Parcels(
            checks=("no label file was found; name a .dlabel.nii of the same mesh",),
        )
    offered = atlas_table(OFFERED)
    assert offered is not None  # noqa: S101 - it is built in
    networks, without = _count_networks(offered)
    return Parcels(
        names=tuple(map(str, offered.index)),
        networks=networks,
        without=without,
        built_in=OFFERED,
        checks=(
            "no label image was found, so this is a built-in atlas of spheres in MNI space; connectrial "
            "atlases lists others",
        ),
    )


def _atlas_files(
    dataset: Path, derivatives: Path, label: str | None, endings: tuple[str, ...]
) -> list[Path]:
    """Return files named ``atlas-<label>..._dseg`` in the places where tools put them."""
    found: list[Path] = []
    for base in dict.fromkeys((derivatives, dataset)):
        for pattern in (
            "*atlas-*_dseg*",
            "atlases/**/*atlas-*_dseg*",
            "sourcedata/atlases/**/*atlas-*_dseg*",
        ):
            found += sorted(p for p in base.glob(pattern) if p.name.endswith(endings))
    wanted = f"atlas-{label}"
    return [
        path
        for path in dict.fromkeys(found)
        if label is None or wanted in path.name.replace(".", "_").split("_")
    ]
