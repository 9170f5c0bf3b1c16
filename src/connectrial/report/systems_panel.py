"""The systems that hypotheses are about, on the brain."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from textwrap import fill
from typing import Any

import pandas as pd

from connectrial.figures.brains import plot_systems
from connectrial.report.panel import Panel
from connectrial.report.source import table
from connectrial.results import Results

Parts = list[tuple[str, list[str]]]


_PLACE = ["x_mm", "y_mm", "z_mm"]


def systems_placed(results: Results) -> bool:
    """Say whether a table tells where the parcels of hypotheses are, so that they can be drawn."""
    listed = table(results, "parcels")
    known = listed is not None and {"parcel", "network", *_PLACE} <= set(listed.columns)
    return known and bool(results.study.get("hypothesis"))


def systems_panel(results: Results) -> Panel | None:
    """Draw the parcels of each hypothesis in a glass brain; None where nobody knows their places.

    Parameters
    ----------
    results : Results
        With the table ``parcels`` and its ``x_mm``, ``y_mm``, ``z_mm``.
    """
    listed = table(results, "parcels")
    if listed is None or not systems_placed(results):
        return None
    columns = _PLACE
    places = listed.assign(parcel=listed["parcel"].astype(str)).set_index("parcel")
    xyz = places[columns].apply(pd.to_numeric, errors="coerce")
    places = places.assign(**{name: xyz[name] for name in columns})[xyz.notna().all(axis=1)]
    known = {
        str(one["name"]): parts
        for one in results.study.get("hypothesis") or ()
        if (parts := _parts(results, one, listed))
        and any(parcel in places.index for _, own in parts for parcel in own)
    }
    if not known:
        return None
    systems = _each_once(known)
    rows = [
        {"hypothesis": name, "part": part, "parcel": parcel}
        for name, parts in known.items()
        for part, own in parts
        for parcel in own
    ]
    data = pd.DataFrame(rows).merge(
        places[["network", *columns]], left_on="parcel", right_index=True, how="left"
    )
    lost = int(data["x_mm"].isna().sum())
    words = "; ".join(
        f"{name}: " + ", ".join(f"{len(own)} parcels of {part}" for part, own in parts)
        for name, parts in systems.items()
    )
    return Panel(
        name="systems",
        title="The systems on the brain",
        how="Dots are the centres of parcels, seen from the left, behind, the right and above; a hypothesis "
        "between two systems has them in two colours and sizes."
        + (f" {lost} parcels have no known place and are left out." if lost else ""),
        alt=f"Glass brains of the systems that were named in advance. {words}.",
        # Titles stand left of the brains, not on them.
        figure=plot_systems(places, {fill(name, 20): parts for name, parts in systems.items()}),
        data=data,
        methods="Places come from the atlas' table, else from its label image; the outline is that of "
        "nilearn's glass brain in MNI space.",
        min_width_px=620,
    )


def _each_once(systems: Mapping[str, Parts]) -> dict[str, Parts]:
    """Draw what several hypotheses are about once, below the name of the first."""
    alike: dict[str, list[str]] = {}
    for name, parts in systems.items():
        first = next((one for one in alike if systems[one] == parts), name)
        alike.setdefault(first, []).append(name)
    return {
        first + (f" and {len(names) - 1} more" if len(names) > 1 else ""): systems[first]
        for first, names in alike.items()
    }


def _parts(results: Results, hypothesis: Mapping[str, Any], listed: pd.DataFrame) -> Parts:
    """Return the sets of parcels that a hypothesis is about, each with its name."""
    named = listed.assign(parcel=listed["parcel"].astype(str))

    def of(name: object) -> list[str]:
        own = (results.study.get("sets") or {}).get(str(name))
        if own is not None:
            patterns = [str(pattern) for pattern in own.get("parcels") or ()]
            networks = {str(network) for network in own.get("networks") or ()}
            return [
                parcel
                for parcel, network in zip(
                    named["parcel"], named["network"].astype(str), strict=True
                )
                if network in networks or any(fnmatchcase(parcel, one) for one in patterns)
            ]
        return list(named.loc[named["network"].astype(str) == str(name), "parcel"])

    within = hypothesis.get("within") or hypothesis.get("gbc")
    between = hypothesis.get("between")
    if within:
        return [(str(within), of(within))]
    if isinstance(between, Mapping):
        first, rest = between.get("set"), between.get("rest_of")
        seeds = of(first) if first else []
        others = [parcel for parcel in of(rest) if parcel not in seeds] if rest else []
        parts = [(f"rest of {rest}", others)] if rest else []
        return [*parts, *([(str(first), seeds)] if first else [])]
    if isinstance(between, (list, tuple)):
        return [(str(name), of(name)) for name in between]
    edges = hypothesis.get("connections") or ()
    if isinstance(edges, Mapping):  # a table that lies beside the study file: the plan has read it
        own = (results.plan.get("systems") or {}).get(str(hypothesis["name"])) or ()
        return [(f"ends of {edges.get('set') or 'the listed'}", [*map(str, own)])]
    ends = list(dict.fromkeys(str(end) for edge in edges for end in edge))
    return [("ends of the named connections", ends)] if ends else []
