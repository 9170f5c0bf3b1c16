"""Network FC: edges counted by hand, sums written out, laws, and what is missing."""

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectrial.data import Connectivity
from connectrial.errors import InputError
from connectrial.fc.networks import (
    NetworkDefinition,
    between,
    between_rest,
    connections,
    network_fc,
    network_fc_detail,
    within,
)

NAMES = [f"p{number}" for number in range(8)]


def a_matrix(seed=0, *, empty=()) -> Connectivity:
    z = np.random.default_rng(seed).normal(size=(8, 8))
    z = z + z.T
    np.fill_diagonal(z, np.nan)
    for name in empty:
        z[NAMES.index(name)] = z[:, NAMES.index(name)] = np.nan
    return Connectivity(z=z, parcels=pd.Index(NAMES))


def mean_over(fc: Connectivity, pairs) -> float:
    return float(np.mean([fc.z[NAMES.index(a), NAMES.index(b)] for a, b in pairs]))


subsets = st.lists(st.sampled_from(NAMES), min_size=2, unique=True)


@given(st.integers(0, 1000), subsets)
def test_within_is_the_mean_over_unordered_pairs(seed, members):
    fc = a_matrix(seed)
    expected = mean_over(fc, combinations(members, 2))
    assert network_fc(fc, within=members) == pytest.approx(expected, abs=1e-12)
    assert network_fc(fc, within(pd.Index(members[::-1]))) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 1000), st.permutations(NAMES), st.integers(1, 6))
def test_within_a_union_is_the_edge_weighted_mean_of_its_blocks(seed, order, cut):
    """Law: A within, B within and A-B between together are all edges of A and B."""
    fc = a_matrix(seed)
    a, b = order[:cut], order[cut:]
    blocks = [between(a, b)] + [within(part) for part in (a, b) if len(part) > 1]
    n_edges = [len(block.edges) for block in blocks]
    assert sum(n_edges) == 28
    pooled = np.average([network_fc(fc, block) for block in blocks], weights=n_edges)
    assert network_fc(fc, within=NAMES) == pytest.approx(pooled, abs=1e-12)


@given(st.permutations(range(8)))
def test_the_order_of_parcels_in_the_matrix_does_not_matter(order):
    fc = a_matrix(3)
    moved = Connectivity(z=fc.z[np.ix_(order, order)], parcels=fc.parcels[list(order)])
    for definition in (
        within(NAMES[:4]),
        between(NAMES[:2], NAMES[5:]),
        connections([("p1", "p6")]),
    ):
        assert network_fc(moved, definition) == pytest.approx(network_fc(fc, definition), abs=1e-12)


def test_between_rest_takes_the_set_out_of_the_network():
    fc = a_matrix()
    network = ["p0", "p1", "p2", "p3"]
    inside = between_rest(["p0", "p1"], network)
    assert list(inside.parcels_b) == ["p2", "p3"]
    assert network_fc(fc, inside) == pytest.approx(
        mean_over(fc, product(["p0", "p1"], ["p2", "p3"]))
    )
    outside = between_rest(["p6", "p7"], network)
    assert list(outside.parcels_b) == network
    assert network_fc(fc, between_rest=(["p6", "p7"], network)) == pytest.approx(
        network_fc(fc, between=(["p6", "p7"], network)), abs=1e-15
    )
    partly = between_rest(["p0", "p7"], network)
    assert list(partly.parcels_b) == ["p1", "p2", "p3"]
    with pytest.raises(InputError, match="no rest"):
        between_rest(network, network)


def test_edge_counts_of_a_published_trial():
    """Siegel 2021 by Gordon 333: 41 default parcels, 39 visual, 10 limbic, 2 of the default."""
    gordon = [str(number) for number in range(1, 334)]
    assert len(within(gordon[:41]).edges) == 820
    assert len(within(gordon[:39]).edges) == 741
    assert len(within(gordon[:10]).edges) == 45
    assert len(between_rest(gordon[3:5], gordon[:41]).edges) == 78


def test_connections_average_the_listed_edges():
    fc = a_matrix()
    pairs = [("p0", "p5"), ("p7", "p5"), ("p1", "p2")]
    assert network_fc(fc, connections(pairs)) == pytest.approx(mean_over(fc, pairs))


def test_missing_edges_are_counted_and_their_parcels_named():
    fc = a_matrix(empty=["p1"])
    detail = network_fc_detail(fc, within(NAMES[:4], name="four"))
    assert detail.name == "four"
    assert (detail.n_edges, detail.n_missing, detail.missing_parcels) == (6, 3, ("p1",))
    assert detail.fc_z == pytest.approx(mean_over(fc, combinations(["p0", "p2", "p3"], 2)))
    nothing = network_fc_detail(fc, between(["p1"], ["p2", "p3"]))
    assert np.isnan(nothing.fc_z)
    assert nothing.n_missing == nothing.n_edges == 2


def test_one_missing_edge_does_not_make_a_parcel_missing():
    fc = a_matrix()
    fc.z[0, 1] = fc.z[1, 0] = np.nan
    detail = network_fc_detail(fc, within(["p0", "p1", "p2"]))
    assert (detail.n_missing, detail.missing_parcels) == (1, ())


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: within(["p0"]), "no edge"),
        (lambda: within([]), "empty"),
        (lambda: within("p0"), "list of names"),
        (lambda: within(["p0", "p1", "p0"]), "'p0' twice"),
        (lambda: between(["p0", "p1"], ["p1", "p2"]), "'p1'.*between_rest"),
        (lambda: between([], ["p1"]), "empty"),
        (lambda: connections([("p0", "p0")]), "to itself"),
        (lambda: connections([("p0", "p1"), ("p1", "p0")]), "same edge twice"),
        (lambda: connections([("p0", "p1", "p2")]), "two parcels"),
        (lambda: connections([]), "no edge"),
        (lambda: network_fc(a_matrix(), within=["p0", "P1"]), "'P1'.*did you mean 'p1'"),
        (lambda: network_fc(a_matrix()), "exactly one of .* got none"),
        (
            lambda: network_fc(a_matrix(), within(NAMES), within=NAMES),
            "got definition, within",
        ),
    ],
)
def test_refuses(build, said):
    with pytest.raises(InputError, match=said):
        build()


def test_a_definition_refuses_edges_to_nowhere():
    with pytest.raises(InputError, match="does not name"):
        NetworkDefinition(
            name="x",
            parcels=pd.Index(["a", "b"]),
            edges=np.array([[0, 2]]),
            parcels_a=pd.Index(["a"]),
            parcels_b=pd.Index(["b"]),
            description="",
        )
