"""Connected sets of edges: network-based statistic and its threshold-free form."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.cluster import hierarchy
from scipy.sparse import csgraph

Array = NDArray[np.float64]
Index = NDArray[np.intp]


def label_components(above: NDArray[np.bool_], edges: Index, n_parcels: int) -> Index:
    """Label the connected components that edges above a threshold form.

    Parameters
    ----------
    above : bool array, shape (n_edges,)
    edges : int array, shape (n_edges, 2)
        Parcels that each edge joins.
    n_parcels : int

    Returns
    -------
    int array, shape (n_edges,)
        Component of each edge from 0 on, -1 for edges that are not above.
    """
    labels = np.full(above.size, -1, dtype=np.intp)
    chosen = np.flatnonzero(above)
    if chosen.size == 0:
        return labels
    ends = edges[chosen]
    graph = sparse.coo_array(
        (np.ones(chosen.size, dtype=np.int8), (ends[:, 0], ends[:, 1])),
        shape=(n_parcels, n_parcels),
    )
    of_parcel = csgraph.connected_components(graph, directed=False)[1][ends[:, 0]]
    labels[chosen] = np.unique(of_parcel, return_inverse=True)[1]
    return labels


def component_sizes(
    statistic: Array, edges: Index, n_parcels: int, *, threshold: float, intensity: bool
) -> tuple[Array, Index]:
    """Size of every component above a threshold.

    Parameters
    ----------
    statistic : array, shape (n_edges,)
        NaN counts as below.
    edges : int array, shape (n_edges, 2)
    n_parcels : int
    threshold : float
        Edges strictly above it count.
    intensity : bool
        Sum of what exceeds the threshold instead of the number of edges.

    Returns
    -------
    sizes : array, shape (n_components,)
    labels : int array, shape (n_edges,)
        As `label_components`.

    References
    ----------
    Zalesky, Fornito & Bullmore (2010) NeuroImage 53:1197.
    """
    labels = label_components(statistic > threshold, edges, n_parcels)
    chosen = labels >= 0
    weights = statistic[chosen] - threshold if intensity else None
    return np.bincount(labels[chosen], weights=weights).astype(np.float64), labels


def largest_sizes(
    statistics: Array, edges: Index, n_parcels: int, *, threshold: float, intensity: bool
) -> Array:
    """Size of the largest component of each of several sets of statistics.

    Parameters
    ----------
    statistics : array, shape (n_sets, n_edges)
    edges, n_parcels, threshold, intensity
        As for `component_sizes`.

    Returns
    -------
    array, shape (n_sets,)
        0 where no edge is above the threshold.
    """
    largest = np.zeros(len(statistics))
    which, edge = np.nonzero(statistics > threshold)
    if which.size == 0:
        return largest
    # each set has parcels of its own, so that one graph holds them all
    ends = edges[edge] + n_parcels * which[:, None]
    graph = sparse.coo_array(
        (np.ones(which.size, dtype=np.int8), (ends[:, 0], ends[:, 1])),
        shape=(n_parcels * len(statistics), n_parcels * len(statistics)),
    )
    component = csgraph.connected_components(graph, directed=False)[1][ends[:, 0]]
    weights = statistics[which, edge] - threshold if intensity else None
    sizes = np.bincount(component, weights=weights).astype(np.float64)
    np.maximum.at(largest, which, sizes[component])
    return largest


def enhance(
    statistic: Array, edges: Index, n_parcels: int, *, e: float, h: float
) -> tuple[Array, float]:
    """Threshold-free network-based statistic, integrated exactly.

    The score of an edge is the integral over thresholds t from 0 to its statistic of n(t)^e t^h dt,
    n(t) being the number of edges in its component. Components change at the statistics of edges
    only, so the integral is a finite sum; the merges of components are those of single linkage.

    Parameters
    ----------
    statistic : array, shape (n_edges,)
        NaN and values not above 0 score 0.
    edges : int array, shape (n_edges, 2)
    n_parcels : int
    e, h : float
        Exponents of extent and height.

    Returns
    -------
    scores : array, shape (n_edges,)
    highest : float
        The largest of them.

    References
    ----------
    Baggio et al. (2018) Hum Brain Mapp 39:2289; Smith & Nichols (2009) NeuroImage 44:83.
    """
    scores = np.zeros(statistic.size)
    positive = np.flatnonzero(statistic > 0)
    if positive.size == 0:
        return scores, 0.0
    order = positive[np.argsort(-statistic[positive])]
    height = statistic[order]
    component, parent, n_inside = _dendrogram(edges[order], n_parcels)
    # Group edges by the component that they join when they appear, from high to low in each.
    grouped = np.argsort(component, kind="stable")
    own = component[grouped].astype(np.intp)
    first = np.searchsorted(own, np.arange(parent.size))
    end = np.append(first[1:], own.size)
    n_edges = n_inside[own] + np.arange(own.size) - first[own] + 1
    # The integral of t^h, between the height of an edge and that of the next one of the component,
    # or the end of the component, where its parent begins.
    reached = height[grouped] ** (h + 1) / (h + 1)
    until = np.append(reached[1:], 0.0)
    began = np.append(reached[first], 0.0)  # no parent: index -1 holds 0
    until[end - 1] = began[parent]
    piece = _powers(statistic.size, e)[n_edges] * (reached - until)
    # Sum from the end of each component's life back to its edges, then add what its parents have.
    total = np.append(0.0, np.cumsum(piece))
    below = np.append(total[end] - total[first], 0.0)
    for k in range(parent.size - 1, -1, -1):  # parents come after their children
        below[k] += below[parent[k]]
    scores[order[grouped]] = total[end[own]] - total[:-1] + below[parent[own]]
    return scores, float(below.max())


@lru_cache(maxsize=8)
def _powers(largest: int, exponent: float) -> Array:
    """Powers of 0, 1, ..., largest."""
    return np.asarray(np.arange(largest + 1.0) ** exponent, dtype=np.float64)


def _dendrogram(edges: Index, n_parcels: int) -> tuple[NDArray[Any], Index, Index]:
    """Follow components as edges come in, in the order given.

    Returns the component (merge number) that each edge belongs to when it appears, the parent of
    each merge (-1: none), and the number of edges that were inside both parts of a merge before it.
    """
    n_edges = len(edges)
    # An edge that is absent joins last, at a rank beyond every edge that is there.
    arrival = np.full((n_parcels, n_parcels), n_edges + 1.0)
    arrival[edges[:, 0], edges[:, 1]] = arrival[edges[:, 1], edges[:, 0]] = np.arange(n_edges)
    merges = hierarchy.linkage(arrival[_upper(n_parcels)], "single")
    # Parcels in the order of the tree: every component is then an interval of places.
    pairs = merges[:, :2].astype(int).tolist()
    n_leaves = [1] * n_parcels + merges[:, 3].astype(int).tolist()
    low = [0] * len(n_leaves)
    for k in range(len(pairs) - 1, -1, -1):
        left, right = pairs[k]
        low[left] = low[n_parcels + k]
        low[right] = low[left] + n_leaves[left]
    start_place = np.array(low[:n_parcels], dtype=np.intp)[edges[:, 0]]
    n_merges = int(np.count_nonzero(merges[:, 2] < n_edges))
    bounds = [*merges[:n_merges, 2].astype(int).tolist(), n_edges]
    parent = np.full(n_merges, -1, dtype=np.intp)
    inside = np.zeros(n_merges, dtype=np.intp)
    so_far = np.zeros(n_merges, dtype=np.intp)
    # numpy sorts 16 bits by radix
    small = np.dtype(np.int16) if n_parcels < 2**15 else np.dtype(np.int64)
    merge_of = np.full(n_parcels, -1, dtype=small)
    component = np.empty(n_edges, dtype=small)
    for k, parts in enumerate(pairs[:n_merges]):
        for part in parts:
            if part >= n_parcels:
                parent[part - n_parcels] = k
                inside[k] += so_far[part - n_parcels]
        so_far[k] = inside[k]
        first = low[n_parcels + k]
        merge_of[first : first + n_leaves[n_parcels + k]] = k
        arrived = merge_of[start_place[bounds[k] : bounds[k + 1]]]
        component[bounds[k] : bounds[k + 1]] = arrived
        so_far += np.bincount(arrived, minlength=n_merges)
    return component, parent, inside


@lru_cache(maxsize=4)
def _upper(n_parcels: int) -> tuple[Index, Index]:
    return np.triu_indices(n_parcels, 1)
