"""From networks and sets in the study file to lists of edges."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from fnmatch import fnmatchcase

import pandas as pd

from connectrial.data import Atlas
from connectrial.errors import InputError, did_you_mean
from connectrial.fc import networks, parcel_measures
from connectrial.fc.networks import NetworkDefinition
from connectrial.plan.connection_tables import listed_pairs
from connectrial.study import ConnectionTable, HypothesisSection, RestOf, Study


def plan_systems(
    study: Study, atlas: Atlas, tables: Mapping[str, pd.DataFrame] | None = None
) -> tuple[dict[str, NetworkDefinition], dict[str, pd.Index], list[str]]:
    """Resolve every hypothesis to its edges.

    Parameters
    ----------
    study : Study
        Its sets and hypotheses.
    atlas : Atlas
        The parcels and networks there are.
    tables : mapping, optional
        Tables of connections, by what hypotheses call them.

    Returns
    -------
    systems : dict
        Edges of each hypothesis, by its name; a difference of two hypotheses has none of its own.
    sets : dict
        Parcels of each network and set, by name.
    problems : list of str
        Names that do not exist, patterns that match nothing, systems without an edge.
    """
    sets, problems = resolve_sets(study, atlas)
    systems = {}
    for hypothesis in study.hypothesis:
        place = f"[[hypothesis]] {hypothesis.name!r}"
        if hypothesis.difference is not None:
            continue
        listed = hypothesis.connections
        if isinstance(listed, ConnectionTable) and listed.table not in (tables or {}):
            continue  # the survey has said why
        try:
            systems[hypothesis.name] = _define(hypothesis, sets, atlas, tables or {})
        except InputError as error:
            if not any(
                sets.get(name) is not None and sets[name].empty for name in _named(hypothesis)
            ):
                problems += [f"{place}: {problem}" for problem in error.problems]
    known = [str(name) for name in atlas.parcels["network"].dropna().unique()]
    problems += [
        f"[[exploration]] {exploration.name!r} networks: {_unknown(name, known)}"
        for exploration in study.exploration
        for name in exploration.networks
        if name not in known
    ]
    for name, one in study.maps.items():
        if one.seed is not None and one.seed.network is not None and one.seed.network not in known:
            problems.append(f"[maps.{name}] seed: {_unknown(one.seed.network, known)}")
        declared = list(study.sets)
        if one.seed is not None and one.seed.set is not None and one.seed.set not in declared:
            problems.append(f"[maps.{name}] seed: {_unknown(one.seed.set, declared)}")
    return systems, sets, problems


def resolve_sets(study: Study, atlas: Atlas) -> tuple[dict[str, pd.Index], list[str]]:
    """Return the parcels of every network of the atlas and of every set of the study."""
    known = atlas.parcels["network"].dropna().unique()
    sets = {str(network): atlas.network(network) for network in known}
    problems = []
    names = [str(name) for name in atlas.parcels.index]
    for name, section in study.sets.items():
        if name in sets:
            problems.append(
                f"[sets.{name}]: the atlas has a network of this name; give the set another one"
            )
            continue
        chosen: set[str] = set()
        for pattern in section.parcels:
            matched = {parcel for parcel in names if fnmatchcase(parcel, pattern)}
            if not matched:
                close = difflib.get_close_matches(pattern.replace("*", ""), names, n=3, cutoff=0.4)
                hint = f"; names like it: {', '.join(close)}" if close else ""
                problems.append(f"[sets.{name}] parcels: {pattern!r} matches no parcel{hint}")
            chosen |= matched
        for network in section.networks:
            if network not in known:
                problems.append(
                    f"[sets.{name}] networks: {_unknown(network, list(map(str, known)))}"
                )
                continue
            chosen |= {str(parcel) for parcel in atlas.network(network)}
        if section.spheres and "set" in atlas.parcels:
            chosen |= set(atlas.parcels.index[(atlas.parcels["set"] == name).to_numpy(bool)])
        sets[name] = pd.Index([parcel for parcel in names if parcel in chosen])
    return sets, problems


def _named(hypothesis: HypothesisSection) -> tuple[str, ...]:
    """Return the sets that a hypothesis speaks of; one that is empty has its own problem already."""
    if hypothesis.within is not None:
        return (hypothesis.within,)
    over_parcels = hypothesis.gbc or hypothesis.participation
    if over_parcels is not None:
        return (over_parcels,)
    if isinstance(hypothesis.between, RestOf):
        return (hypothesis.between.set, hypothesis.between.rest_of)
    return hypothesis.between or ()


def _define(
    hypothesis: HypothesisSection,
    sets: dict[str, pd.Index],
    atlas: Atlas,
    tables: Mapping[str, pd.DataFrame],
) -> NetworkDefinition:
    name = hypothesis.name
    if hypothesis.within is not None:
        return networks.within(_parcels(hypothesis.within, sets), name=name)
    if isinstance(hypothesis.between, RestOf):
        chosen = _parcels(hypothesis.between.set, sets)
        network = _parcels(hypothesis.between.rest_of, sets)
        return networks.between_rest(chosen, network, name=name)
    if hypothesis.between is not None:
        first, second = (_parcels(one, sets) for one in hypothesis.between)
        shared = first.intersection(second)
        if len(shared):
            raise InputError(
                f"between {hypothesis.between[0]!r} and {hypothesis.between[1]!r}: they share "
                f"{len(shared)} parcels ({', '.join(map(str, shared[:3]))}, ...); write "
                "between = { set = ..., rest_of = ... }"
            )
        return networks.between(first, second, name=name)
    everything = atlas.parcels.index
    if hypothesis.gbc is not None:
        return parcel_measures.global_of(_parcels(hypothesis.gbc, sets), everything, name=name)
    if hypothesis.participation is not None:
        chosen = _parcels(hypothesis.participation, sets)
        own = {str(key): str(value) for key, value in atlas.parcels["network"].dropna().items()}
        return parcel_measures.participation_of(chosen, everything, own, name=name)
    if isinstance(hypothesis.connections, ConnectionTable):
        listed = hypothesis.connections
        pairs = listed_pairs(listed, tables[listed.table], sets=sets, parcels=atlas.parcels.index)
        return networks.connections(pairs, name=name)
    missing = sorted(
        {p for pair in hypothesis.connections for p in pair} - set(atlas.parcels.index)
    )
    if missing:
        raise InputError(
            f"connections: {_unknown(missing[0], list(map(str, atlas.parcels.index)))}"
        )
    return networks.connections(hypothesis.connections, name=name)


def _parcels(name: str, sets: dict[str, pd.Index]) -> pd.Index:
    if name not in sets:
        raise InputError(_unknown(name, list(sets)))
    return sets[name]


def _unknown(name: str, known: list[str]) -> str:
    if not known:
        return (
            f"there is no {name!r}: the atlas names no networks and the study no [sets.*]; give "
            "[atlas] table = ... or declare the set"
        )
    return f"there is no {name!r}{did_you_mean(name, known)}"
