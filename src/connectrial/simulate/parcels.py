"""Parcels for a simulated study whose atlas is not at hand: those that its hypotheses name."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.data import Atlas
from connectrial.study import RestOf, Study

_N_PER_SIDE = 4
_FILLERS = ("ContA", "SomMotA")  # so that every system has something outside of it


def invent_atlas(study: Study, *, name: str) -> Atlas:
    """Invent parcels that a study's networks and sets find: named as Schaefer's and Tian's are.

    A network has four parcels in each hemisphere; a pattern of a set (``AMY-*``) becomes one parcel
    in each, and more where it names a network's parcels.

    Parameters
    ----------
    study : Study
        Whose ``[sets.*]`` and hypotheses name parcels and networks.
    name : str
        Of the atlas.

    Returns
    -------
    Atlas
        Without an image.
    """
    named: list[str] = []
    for one in study.hypothesis:
        if one.within is not None:
            named.append(one.within)
        elif isinstance(one.between, RestOf):
            named += [one.between.set, one.between.rest_of]
        elif one.between is not None:
            named += one.between
        named += [name for name in (one.gbc, one.participation) if name is not None]
    for exploration in study.exploration:
        named += exploration.networks
    named += [network for one in study.sets.values() for network in one.networks]
    networks = [n for n in dict.fromkeys(named) if n not in study.sets]
    found: dict[str, str | None] = {}
    for network in dict.fromkeys([*networks, *_FILLERS]):
        for side in "LR":
            for n in range(1, _N_PER_SIDE + 1):
                found[f"{side}H_{network}_{n}"] = network
    for one_set in study.sets.values():
        for pattern in one_set.parcels:
            for side in "LR":
                parcel = _concrete(pattern, side)
                inside = next((n for n in networks if f"_{n}_" in parcel), None)
                found.setdefault(parcel, inside)
    for one in study.hypothesis:
        for pair in one.connections:
            found |= {parcel: found.get(parcel) for parcel in pair}
    table = pd.DataFrame(
        {
            "index": np.arange(1, len(found) + 1),
            "network": pd.array(list(found.values()), "str"),
        },
        index=pd.Index(list(found), name="parcel", dtype="str"),
    )
    return Atlas(name=name, parcels=table)


def _concrete(pattern: str, side: str) -> str:
    """Make a name that a pattern matches: wildcards become hemispheres and letters."""
    text = pattern.replace("?", "ap"["LR".index(side)])
    if text.startswith("*"):
        text = f"{side}H_Set{text[1:]}" if text[1:].startswith("_") else f"{side}H_{text[1:]}"
    if text.endswith("-*"):
        text = f"{text[:-1]}{side.lower()}h"
    elif text.endswith("*"):
        text = f"{text[:-1]}{side}1"
    return text.replace("*", "x")
