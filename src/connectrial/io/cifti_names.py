"""The names in a CIFTI-2 header: of parcels, and of the labels of maps."""

from __future__ import annotations

from connectrial.errors import InputError
from connectrial.io.cifti import CiftiHeader
from connectrial.io.cifti_xml import integer_of, map_of


def parcel_names(header: CiftiHeader) -> tuple[str, ...]:
    """Return the names of a parcellated file's rows, in their order.

    Parameters
    ----------
    header : CiftiHeader
        Of a ``.ptseries.nii`` or ``.pconn.nii``.

    Returns
    -------
    tuple of str

    Raises
    ------
    InputError
        If the header names fewer or more parcels than the matrix has, or, for a matrix of
        connectivity, others along its columns.
    """
    numbers = (0, 1) if header.columns == "parcels" else (1,)
    lists = [
        tuple(str(one.get("Name")) for one in map_of(header.matrix, n, header.path).iter("Parcel"))
        for n in numbers
    ]
    if len(set(lists)) > 1:
        raise InputError(f"{header.path}: rows and columns name different parcels")
    if len(lists[0]) != header.n_rows:
        raise InputError(
            f"{header.path}: the header names {len(lists[0])} parcels for {header.n_rows} rows"
        )
    return lists[0]


def label_maps(header: CiftiHeader) -> list[tuple[str, dict[int, str]]]:
    """Return the maps of a label file: each one's name and its labels.

    Parameters
    ----------
    header : CiftiHeader
        Of a ``.dlabel.nii``.

    Returns
    -------
    list of (str, dict of int to str)
    """
    maps = []
    for named in map_of(header.matrix, 0, header.path).iter("NamedMap"):
        labels = {
            integer_of(one, "Key", header.path, default=0): (one.text or "").strip()
            for one in named.iter("Label")
        }
        maps.append(((named.findtext("MapName") or "").strip(), labels))
    return maps
