"""Which edges make up a network, and their mean connectivity."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from connectrial.data import Connectivity
from connectrial.errors import InputError
from connectrial.fc.graphs import global_connectivity, participation


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class NetworkDefinition:
    """A named list of edges, each of them once and none from a parcel to itself.

    Attributes
    ----------
    name : str
        What the result is called.
    parcels : pandas.Index
        All parcels of the definition. Edges count in this order, so that no atlas' order matters.
    edges : array of int, shape (n_edges, 2)
        Positions in `parcels`.
    parcels_a, parcels_b : pandas.Index
        The two sides; the same on both for a network within itself.
    description : str
        One sentence for tables and reports.
    measure : {"mean", "gbc", "participation"}
        What is made of the edges: their mean; or the mean over `parcels_a` of each parcel's global
        connectivity, or of its participation coefficient.
    networks : mapping of str, optional
        Network of each parcel, for participation.
    """

    name: str
    parcels: pd.Index
    edges: NDArray[np.intp]
    parcels_a: pd.Index
    parcels_b: pd.Index
    description: str
    measure: Literal["mean", "gbc", "participation"] = "mean"
    networks: Mapping[str, str] | None = None

    @property
    def unit(self) -> str:
        """Return the unit of the measure."""
        return "participation coefficient" if self.measure == "participation" else "Fisher z"

    def __post_init__(self) -> None:
        if self.edges.ndim != 2 or self.edges.shape[1] != 2 or len(self.edges) == 0:
            raise InputError(
                f"network {self.name!r} has no edge; it needs at least two different parcels"
            )
        if self.parcels.has_duplicates:
            raise InputError(f"network {self.name!r} names a parcel twice")
        if self.edges.min() < 0 or self.edges.max() >= len(self.parcels):
            raise InputError(f"network {self.name!r} has an edge to a parcel that it does not name")
        if (self.edges[:, 0] == self.edges[:, 1]).any():
            raise InputError(f"network {self.name!r} has an edge from a parcel to itself")
        if len(np.unique(np.sort(self.edges, axis=1), axis=0)) < len(self.edges):
            raise InputError(f"network {self.name!r} has the same edge twice; each counts once")


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkFC:
    """Mean connectivity (or another measure) of one network in one session, and what it rests on.

    Attributes
    ----------
    name : str
        The definition's.
    fc_z : float
        Mean Fisher z over the edges that are present (or the definition's other measure); NaN if
        all are missing.
    n_edges : int
        Edges of the definition.
    n_missing : int
        Edges of the definition without a value in this session.
    missing_parcels : tuple of str
        Parcels of the definition without data in this session.
    """

    name: str
    fc_z: float
    n_edges: int
    n_missing: int
    missing_parcels: tuple[str, ...]


def within(parcels: Iterable[str], *, name: str = "within") -> NetworkDefinition:
    """Define all edges inside one set of parcels.

    Parameters
    ----------
    parcels : iterable of str
        Two or more parcel names, none twice.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition
        n (n - 1) / 2 edges.

    Raises
    ------
    InputError
        If there are fewer than two parcels, or one is named twice.
    """
    members = named_parcels(parcels, of=name)
    return NetworkDefinition(
        name=name,
        parcels=members,
        edges=_edge_array(combinations(range(len(members)), 2)),
        parcels_a=members,
        parcels_b=members,
        description=f"{name}: mean z within {len(members)} parcels",
    )


def between(a: Iterable[str], b: Iterable[str], *, name: str = "between") -> NetworkDefinition:
    """Define all edges that join two sets of parcels.

    Parameters
    ----------
    a, b : iterable of str
        Parcel names; the sets must not share any.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition
        n_a x n_b edges.

    Raises
    ------
    InputError
        If a set is empty, names a parcel twice, or shares parcels with the other.
    """
    side_a, side_b = named_parcels(a, of=name), named_parcels(b, of=name)
    shared = side_a.intersection(side_b)
    if len(shared):
        raise InputError(
            f"network {name!r}: both sides hold {listed(shared)}; for a set against the rest of "
            "the network that contains it, use between_rest (rest_of in the study file)"
        )
    return NetworkDefinition(
        name=name,
        parcels=side_a.append(side_b),
        edges=_edge_array(
            product(range(len(side_a)), range(len(side_a), len(side_a) + len(side_b)))
        ),
        parcels_a=side_a,
        parcels_b=side_b,
        description=f"{name}: mean z between {len(side_a)} and {len(side_b)} parcels",
    )


def between_rest(
    parcels: Iterable[str], network: Iterable[str], *, name: str = "between rest"
) -> NetworkDefinition:
    """Define all edges that join a set of parcels to the rest of a network.

    Parameters
    ----------
    parcels : iterable of str
        The set.
    network : iterable of str
        The network; members of the set are taken out of it. A set that lies outside leaves the
        network whole.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition

    Raises
    ------
    InputError
        If nothing of the network is left.
    """
    side_a = named_parcels(parcels, of=name)
    whole = named_parcels(network, of=name)
    rest = whole.difference(side_a, sort=False)
    if len(rest) == 0:
        raise InputError(
            f"network {name!r}: the set holds all {len(whole)} parcels of the network, "
            "so there is no rest"
        )
    return between(side_a, rest, name=name)


def connections(
    pairs: Iterable[tuple[str, str]], *, name: str = "connections"
) -> NetworkDefinition:
    """Define a list of single edges by their two parcels.

    Parameters
    ----------
    pairs : iterable of (str, str)
        Two parcel names per edge; their order does not matter.
    name : str
        What the result is called.

    Returns
    -------
    NetworkDefinition

    Raises
    ------
    InputError
        If there is no pair, a pair does not hold two different parcels, or a pair occurs twice.
    """
    listed = [tuple(pair) for pair in pairs]
    if any(len(pair) != 2 for pair in listed):
        raise InputError(f"network {name!r}: each connection must name two parcels")
    parcels = pd.Index(list(dict.fromkeys(parcel for pair in listed for parcel in pair)))
    position = {parcel: number for number, parcel in enumerate(parcels)}
    return NetworkDefinition(
        name=name,
        parcels=parcels,
        edges=_edge_array((position[a], position[b]) for a, b in listed),
        parcels_a=pd.Index(list(dict.fromkeys(a for a, _ in listed))),
        parcels_b=pd.Index(list(dict.fromkeys(b for _, b in listed))),
        description=f"{name}: mean z over {len(listed)} named connections",
    )


def network_fc(
    connectivity: Connectivity,
    definition: NetworkDefinition | None = None,
    *,
    within: Iterable[str] | None = None,
    between: tuple[Iterable[str], Iterable[str]] | None = None,
    between_rest: tuple[Iterable[str], Iterable[str]] | None = None,
) -> float:
    """Return the mean Fisher z over a network's edges, each once and the diagonal never.

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    definition : NetworkDefinition, optional
        The edges. Instead of it, one of the next three defines them on the spot.
    within : iterable of str, optional
        Parcels of a network, as in the builder `within`.
    between, between_rest : pair of iterables of str, optional
        Two sets of parcels, as in the builders of these names.

    Returns
    -------
    float
        Mean over the edges that are present; NaN if none is. `network_fc_detail` counts what is
        missing.

    Raises
    ------
    InputError
        If not exactly one definition is given, or a parcel is not in the matrix.
    """
    # The keywords are called like the builders because they mean the same; here they hide them.
    given: dict[str, object] = {"definition": definition, "within": within}
    given |= {"between": between, "between_rest": between_rest}
    named = [key for key, value in given.items() if value is not None]
    if len(named) != 1:
        raise InputError(
            "network_fc needs exactly one of definition, within, between, between_rest; "
            f"got {', '.join(named) or 'none'}"
        )
    if definition is None:
        definition = _define(within, between, between_rest)
    return network_fc_detail(connectivity, definition).fc_z


def network_fc_detail(connectivity: Connectivity, definition: NetworkDefinition) -> NetworkFC:
    """Return a network's mean Fisher z together with what is missing from it.

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    definition : NetworkDefinition
        The edges.

    Returns
    -------
    NetworkFC

    Raises
    ------
    InputError
        If a parcel of the definition is not in the matrix.
    """
    position = connectivity.parcels.get_indexer(definition.parcels)
    if (position < 0).any():
        unknown = definition.parcels[position < 0]
        by_lower = {str(name).lower(): name for name in connectivity.parcels}
        near = difflib.get_close_matches(str(unknown[0]).lower(), by_lower, n=1)
        hint = f"; did you mean {by_lower[near[0]]!r}?" if near else ""
        raise InputError(
            f"network {definition.name!r} names parcels that the matrix does not have: "
            f"{listed(unknown)} (it has {len(connectivity.parcels)} parcels){hint}"
        )
    values = connectivity.z[position[definition.edges[:, 0]], position[definition.edges[:, 1]]]
    present = values[~np.isnan(values)]
    if definition.measure != "mean":
        per_parcel = _per_parcel(connectivity, definition).to_numpy(dtype=np.float64)
        measured = per_parcel[~np.isnan(per_parcel)]
    else:
        measured = present
    judged = definition.parcels if definition.measure == "mean" else definition.parcels_a
    own = connectivity.z[connectivity.parcels.get_indexer(judged)]
    empty = np.flatnonzero(np.isnan(own).all(axis=1))
    return NetworkFC(
        name=definition.name,
        fc_z=float(measured.mean()) if len(measured) else float("nan"),
        n_edges=len(values),
        n_missing=len(values) - len(present),
        missing_parcels=tuple(str(name) for name in judged[empty]),
    )


def _per_parcel(connectivity: Connectivity, definition: NetworkDefinition) -> pd.Series:
    """Return the measure of every parcel of the set."""
    if definition.measure == "gbc":
        found = global_connectivity(connectivity)
    else:
        assert definition.networks is not None  # noqa: S101 - participation_of gives them
        found = participation(connectivity, definition.networks)
    return found.loc[definition.parcels_a]


def _define(
    inside: Iterable[str] | None,
    joining: tuple[Iterable[str], Iterable[str]] | None,
    to_rest: tuple[Iterable[str], Iterable[str]] | None,
) -> NetworkDefinition:
    if inside is not None:
        return within(inside)
    if joining is not None:
        return between(*joining)
    assert to_rest is not None  # noqa: S101  the caller has counted exactly one
    return between_rest(*to_rest)


def named_parcels(parcels: Iterable[str], *, of: str) -> pd.Index:
    """Return parcels as an index; refuse a single text, an empty set and names that come twice."""
    if isinstance(parcels, str):
        raise InputError(f"network {of!r}: parcels must be a list of names; got {parcels!r}")
    index = pd.Index(list(parcels))
    if index.has_duplicates:
        twice = index[index.duplicated()].unique()
        raise InputError(f"network {of!r} names {listed(twice)} twice")
    if len(index) == 0:
        raise InputError(f"network {of!r} has an empty set of parcels")
    return index


def _edge_array(pairs: Iterable[tuple[int, int]]) -> NDArray[np.intp]:
    return np.array(list(pairs), dtype=np.intp).reshape(-1, 2)


def listed(names: pd.Index | Sequence[str]) -> str:
    """Write names out, the first five of them."""
    shown = ", ".join(repr(str(name)) for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown
