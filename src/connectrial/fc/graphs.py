"""What a parcel or a network amounts to: global connectivity, strength, participation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd

from connectrial.data import Connectivity, FloatArray
from connectrial.errors import InputError
from connectrial.fc.strategies import find_strategy


def global_connectivity(
    connectivity: Connectivity,
    *,
    mean_of: Literal["z", "r"] = "z",
    strategy: str | None = None,
) -> pd.Series:
    """Return each parcel's mean connectivity with all others (global brain connectivity).

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    mean_of : {"z", "r"}
        Mean Fisher z, or mean correlation.
    strategy : str, optional
        The denoising strategy; if it regresses the global signal, ``attrs["note"]`` says what that
        does to the measure.

    Returns
    -------
    pandas.Series
        Indexed by parcel. The diagonal never counts, missing edges neither; NaN for a parcel
        without data. ``attrs["note"]`` is a sentence or "".

    Raises
    ------
    InputError
        If `mean_of` is another word, or the strategy is unknown.

    References
    ----------
    Cole et al. 2010, NeuroImage 49, 3132-3148.
    """
    if mean_of not in ("z", "r"):
        raise InputError(f"mean_of must be 'z' or 'r'; got {mean_of!r}")
    values = connectivity.z if mean_of == "z" else np.tanh(connectivity.z)
    result = pd.Series(_row_mean(values), index=connectivity.parcels, name=f"mean_{mean_of}")
    result.attrs["note"] = "" if strategy is None else global_signal_note(strategy)
    return result


def global_signal_note(strategy: str) -> str:
    """Say what regressing the global signal does to global connectivity; "" where it was not.

    Parameters
    ----------
    strategy : str
        The denoising strategy.

    Raises
    ------
    InputError
        If the strategy is unknown.
    """
    if "global_signal" not in find_strategy(strategy).columns:
        return ""
    return (
        "the global signal was regressed out, which pulls the mean over all parcels towards 0 by "
        "construction; compare parcels and sessions, not levels, and repeat without it"
    )


def network_strength(
    connectivity: Connectivity, networks: pd.Series | Mapping[str, str]
) -> pd.DataFrame:
    """Tabulate mean connectivity within every network and between every two.

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    networks : pandas.Series or mapping of str
        Network of each parcel, by parcel name; parcels that are missing here, or whose network is,
        belong to none. An ordered Categorical, or else the order of appearance, orders the table.

    Returns
    -------
    pandas.DataFrame
        One row per network and per pair: ``network_a``, ``network_b``, ``kind`` (within or
        between), ``fc_z`` (mean Fisher z over edges, each once; NaN without any), ``n_edges``,
        ``n_missing``.

    Raises
    ------
    InputError
        If no parcel of the matrix has a network.
    """
    labels, names = _labels(connectivity, networks)
    present = ~np.isnan(connectivity.z)
    off_diagonal = ~np.eye(len(labels), dtype=bool)
    values = np.where(present, connectivity.z, 0.0)
    member = (labels[:, np.newaxis] == np.arange(len(names))).astype(np.float64)
    total = member.T @ values @ member
    found = member.T @ present.astype(np.float64) @ member
    possible = member.T @ off_diagonal.astype(np.float64) @ member
    rows = []
    for a, name_a in enumerate(names):
        for b in range(a, len(names)):
            # A network's own edges stand in the matrix twice.
            n_edges, n_found = (
                int(count[a, b]) // (2 if a == b else 1) for count in (possible, found)
            )
            rows.append(
                {
                    "network_a": name_a,
                    "network_b": names[b],
                    "kind": "within" if a == b else "between",
                    "fc_z": total[a, b] / found[a, b] if n_found else np.nan,
                    "n_edges": n_edges,
                    "n_missing": n_edges - n_found,
                }
            )
    return pd.DataFrame(rows)


def participation(
    connectivity: Connectivity,
    networks: pd.Series | Mapping[str, str],
    *,
    sign: Literal["positive", "negative"] = "positive",
    density: float | None = None,
) -> pd.Series:
    """Return each parcel's participation coefficient: how evenly its edges reach all networks.

    With k(m) the sum of a parcel's Fisher z of one sign with the parcels of network m, it is
    1 - sum over m of (k(m) / sum k)^2: 0 if all goes to one network, 1 - 1 / M if evenly to M.

    Parameters
    ----------
    connectivity : Connectivity
        One session.
    networks : pandas.Series or mapping of str
        Network of each parcel, by parcel name; edges with parcels of none are left out.
    sign : {"positive", "negative"}
        Which edges count; the two signs are never mixed.
    density : float, optional
        Only this share of all edges, the strongest of that sign, counts (0 to 1); all by default.

    Returns
    -------
    pandas.Series
        Indexed by parcel; NaN for parcels without a network, without data, or without an edge of
        that sign. Large networks and noise raise it: report it over several densities.

    Raises
    ------
    InputError
        If no parcel has a network, the sign is another word, or the density is not between 0 and 1.

    References
    ----------
    Guimera and Amaral 2005, Nature 433, 895-900; signed weights: Rubinov and Sporns 2011,
    NeuroImage 56, 2068-2079.
    """
    if sign not in ("positive", "negative"):
        raise InputError(f"sign must be 'positive' or 'negative'; got {sign!r}")
    if density is not None and not 0 < density <= 1:
        raise InputError(f"density must be above 0 and at most 1; got {density}")
    labels, names = _labels(connectivity, networks)
    weight = np.nan_to_num(connectivity.z if sign == "positive" else -connectivity.z, nan=0.0)
    weight = np.maximum(weight, 0.0)
    inside = labels >= 0
    weight[~inside] = 0.0
    weight[:, ~inside] = 0.0
    if density is not None:
        upper = np.triu_indices(len(labels), 1)
        possible = upper[0][inside[upper[0]] & inside[upper[1]]].size
        n_strongest = round(density * possible)
        ordered = np.sort(weight[upper])[::-1]
        least = ordered[n_strongest - 1] if n_strongest else np.inf
        weight[weight < least] = 0.0
    member = (labels[:, np.newaxis] == np.arange(len(names))).astype(np.float64)
    by_network = weight @ member
    total = by_network.sum(axis=1)
    share = np.divide(
        by_network,
        total[:, np.newaxis],
        where=total[:, np.newaxis] > 0,
        out=np.full(by_network.shape, np.nan),
    )
    return pd.Series(1 - np.sum(share**2, axis=1), index=connectivity.parcels, name="participation")


def _labels(
    connectivity: Connectivity, networks: pd.Series | Mapping[str, str]
) -> tuple[np.ndarray[tuple[int], np.dtype[np.intp]], list[str]]:
    """Return a number per parcel (-1 for no network) and the networks' names."""
    given = networks if isinstance(networks, pd.Series) else pd.Series(dict(networks))
    if given.index.has_duplicates:
        twice = given.index[given.index.duplicated()][0]
        raise InputError(f"parcel {twice!r} is assigned to a network twice")
    mine = given.reindex(connectivity.parcels)
    if isinstance(mine.dtype, pd.CategoricalDtype):
        used = mine.cat.remove_unused_categories()
        codes, names = used.cat.codes.to_numpy(), list(used.cat.categories)
    else:
        codes, uniques = pd.factorize(mine)
        names = list(uniques)
    if not names:
        raise InputError(
            "no parcel of the matrix has a network; it has "
            f"{', '.join(map(str, connectivity.parcels[:3]))}, ... and the networks name "
            f"{', '.join(map(str, given.index[:3]))}, ..."
        )
    return np.asarray(codes, dtype=np.intp), [str(name) for name in names]


def _row_mean(values: FloatArray) -> FloatArray:
    present = ~np.isnan(values)
    count = present.sum(axis=1)
    total = np.where(present, values, 0.0).sum(axis=1)
    mean = np.full(len(values), np.nan)
    mean[count > 0] = total[count > 0] / count[count > 0]
    return mean
