"""The list of atlases that are known by name: where each is, its licence and its source."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pandas as pd

from connectrial.io.atlas_files import atlas_folder, read_registry
from connectrial.io.known_atlases import GORDON, SIEGEL, SPHERES, atlas_table, siegel_parcels


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Whom to cite, and under which licence the files are given."""

    citation: str
    licence: str


_SOURCES = {
    "Seitzman300": _Source(
        citation="Seitzman 2020, doi 10.1016/j.neuroimage.2019.116290",
        licence="coordinates; none stated (from nilearn)",
    ),
    "Power264": _Source(
        citation="Power 2011, doi 10.1016/j.neuron.2011.09.006",
        licence="coordinates; none stated (from nilearn)",
    ),
    "Dosenbach160": _Source(
        citation="Dosenbach 2010, doi 10.1126/science.1194144",
        licence="coordinates; none stated (from nilearn)",
    ),
    "Gordon333": _Source(
        citation="Gordon 2016, doi 10.1093/cercor/bhu239", licence="MIT (xcpEngine)"
    ),
    "Schaefer": _Source(
        citation="Schaefer 2018, doi 10.1093/cercor/bhx179", licence="MIT (CBIG, xcpEngine)"
    ),
    "Tian": _Source(
        citation="Tian 2020, doi 10.1038/s41593-020-00711-6", licence="free use, citing the paper"
    ),
}


def list_atlases() -> pd.DataFrame:
    """List every atlas that `load_atlas` knows by name.

    Returns
    -------
    DataFrame
        ``name``, ``parcels``, ``networks`` (how many), ``form``, ``where`` it comes from, ``space``
        of images, ``licence`` and ``source``.
    """
    rows = []
    for name in (*SPHERES, GORDON, SIEGEL):
        parcels = atlas_table(name)
        table = siegel_parcels() if parcels is None else parcels
        form, where = "spheres", "built in"
        if parcels is None or name == GORDON:
            form = "labels" if name == GORDON else "labels and spheres"
            where = f"table built in; image: {_state(GORDON)}"
        rows.append(_line(name, len(table), table["network"].nunique(), form, where))
    for name in dict.fromkeys(read_registry()["name"]):
        if name != GORDON:
            n_parcels, n_networks = _size(name)
            rows.append(_line(name, n_parcels, n_networks, "labels", _state(name)))
    return pd.DataFrame(rows)


def _line(name: str, n_parcels: int, n_networks: int, form: str, where: str) -> dict[str, object]:
    sources = [one for key, one in _SOURCES.items() if key.rstrip("0123456789") in name]
    registry = read_registry()
    files = registry.loc[(registry["name"] == name) & (registry["role"] == "image")]
    if name == SIEGEL:
        files = registry.loc[(registry["name"] == GORDON) & (registry["role"] == "image")]
    return {
        "name": name,
        "parcels": n_parcels,
        "networks": n_networks,
        "form": form,
        "where": where,
        "space": ", ".join(files["space"]) or "MNI",
        "licence": "; ".join(dict.fromkeys(one.licence for one in sources)),
        "source": "; ".join(one.citation for one in sources),
    }


def _state(name: str) -> str:
    registry = read_registry()
    files = registry.loc[registry["name"] == name, "file"]
    present = all((atlas_folder() / name / file).is_file() for file in files)
    return "fetched" if present else f"connectrial fetch {name}"


def _size(name: str) -> tuple[int, int]:
    """Return parcels and networks of a fetched atlas, as its name tells them."""
    cortex = re.search(r"Schaefer(\d+)", name)
    subcortex = re.search(r"TianS(\d)", name)
    n_parcels = int(cortex[1]) if cortex else 0
    n_parcels += {"1": 16, "2": 32, "3": 50, "4": 54}[subcortex[1]] if subcortex else 0
    # The label names of the 17-network files write LimbicA and LimbicB as one.
    n_networks = 16 if name.endswith("-17networks") else 7
    return n_parcels, n_networks if cortex else 0
