"""Measures of a set's parcels as definitions: global connectivity and participation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.errors import InputError
from connectrial.fc.networks import NetworkDefinition, listed, named_parcels


def global_of(
    parcels: Iterable[str], everything: Iterable[str], *, name: str = "global"
) -> NetworkDefinition:
    """Define the global connectivity of a set: each parcel's mean z with all others, then averaged.

    Parameters
    ----------
    parcels : iterable of str
        The set; one parcel is enough.
    everything : iterable of str
        All parcels of the atlas, those of the set among them.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition
        Its edges touch the set, each once. The mean takes an edge inside the set twice, as both of
        its parcels do.

    Raises
    ------
    InputError
        If the set is empty, or holds a parcel that is not among all.

    References
    ----------
    Cole et al. 2010, NeuroImage 49, 3132-3148.
    """
    members, edges, whole = _touching(parcels, everything, name)
    return NetworkDefinition(
        name=name,
        parcels=whole,
        edges=edges,
        parcels_a=members,
        parcels_b=whole,
        description=f"{name}: mean over {len(members)} parcels of their mean z with all "
        f"{len(whole) - 1} others",
        measure="gbc",
    )


def participation_of(
    parcels: Iterable[str],
    everything: Iterable[str],
    networks: Mapping[str, str],
    *,
    name: str = "participation",
) -> NetworkDefinition:
    """Define the mean participation coefficient of a set: how evenly positive edges reach networks.

    Parameters
    ----------
    parcels : iterable of str
        The set; each of its parcels needs a network.
    everything : iterable of str
        All parcels of the atlas.
    networks : mapping of str
        Network of each parcel, by parcel name.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition
        `connectrial.fc.graphs.participation` says what is computed: positive edges, all of them.

    Raises
    ------
    InputError
        As `global_of`; or if a parcel of the set belongs to no network, or there is one network.
    """
    members, _, _ = _touching(parcels, everything, name)
    homeless = members[[parcel not in networks for parcel in members]]
    if len(homeless):
        raise InputError(
            f"network {name!r}: participation needs a network of every parcel; {listed(homeless)} "
            "have none"
        )
    n_networks = len(set(networks.values()))
    if n_networks < 2:
        raise InputError(
            f"network {name!r}: participation tells how edges spread over networks; the atlas has "
            f"{n_networks}"
        )
    members, edges, inside = _touching(
        members, (parcel for parcel in everything if parcel in networks), name
    )
    return NetworkDefinition(
        name=name,
        parcels=inside,
        edges=edges,
        parcels_a=members,
        parcels_b=inside,
        description=f"{name}: mean participation coefficient of {len(members)} parcels over "
        f"{n_networks} networks",
        measure="participation",
        networks=dict(networks),
    )


def _touching(
    parcels: Iterable[str], everything: Iterable[str], name: str
) -> tuple[pd.Index, NDArray[np.intp], pd.Index]:
    """Return a set, every edge with an end in it (once, by place in the whole), and the whole."""
    members, whole = named_parcels(parcels, of=name), named_parcels(everything, of=name)
    position = whole.get_indexer(members)
    if (position < 0).any():
        raise InputError(f"network {name!r}: {listed(members[position < 0])} not among all parcels")
    inside = np.zeros(len(whole), dtype=bool)
    inside[position] = True
    first, second = np.triu_indices(len(whole), k=1)
    chosen = inside[first] | inside[second]
    return members, np.column_stack([first[chosen], second[chosen]]).astype(np.intp), whole
