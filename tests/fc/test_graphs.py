"""Global connectivity, network tables and participation against loops over pairs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.data import Connectivity
from connectrial.errors import InputError
from connectrial.fc.graphs import global_connectivity, network_strength, participation
from connectrial.fc.networks import between, network_fc, within

NETWORKS = {"a": "Vis", "b": "Vis", "c": "Vis", "d": "Default", "e": "Default", "f": "Lone"}


def a_matrix(seed=0, names="abcdefg", missing=()) -> Connectivity:
    rng = np.random.default_rng(seed)
    z = rng.normal(0.2, 0.4, (len(names), len(names)))
    z = (z + z.T) / 2
    np.fill_diagonal(z, np.nan)
    for name in missing:
        z[names.index(name)] = z[:, names.index(name)] = np.nan
    return Connectivity(z=z, parcels=pd.Index(list(names)))


def test_global_connectivity_is_the_mean_of_a_row_without_its_diagonal():
    matrix = a_matrix(missing="c")
    z = global_connectivity(matrix)
    r = global_connectivity(matrix, mean_of="r")
    for i, name in enumerate("abcdefg"):
        others = [matrix.z[i, j] for j in range(7) if j != i and j != 2 and i != 2]
        assert z[name] == pytest.approx(np.mean(others) if others else np.nan, nan_ok=True)
        r_others = np.mean(np.tanh(others)) if others else np.nan
        assert r[name] == pytest.approx(r_others, nan_ok=True)
    assert (z - np.arctanh(r)).abs().max() > 1e-3  # two measures, not one
    assert z.attrs["note"] == global_connectivity(matrix, strategy="24P").attrs["note"] == ""
    assert "by construction" in global_connectivity(matrix, strategy="36P").attrs["note"]
    with pytest.raises(InputError, match="'z' or 'r'"):
        global_connectivity(matrix, mean_of="both")


def test_the_network_table_is_network_fc_of_every_network_and_pair():
    matrix = a_matrix(1, missing="b")
    table = network_strength(matrix, NETWORKS).set_index(["network_a", "network_b"])
    assert list(table.index) == [
        ("Vis", "Vis"),
        ("Vis", "Default"),
        ("Vis", "Lone"),
        ("Default", "Default"),
        ("Default", "Lone"),
        ("Lone", "Lone"),
    ]
    assert table.loc[("Vis", "Vis"), "fc_z"] == pytest.approx(
        network_fc(matrix, within(["a", "b", "c"]))
    )
    assert table.loc[("Vis", "Default"), "fc_z"] == pytest.approx(
        network_fc(matrix, between(["a", "b", "c"], ["d", "e"]))
    )
    assert list(table["n_edges"]) == [3, 6, 3, 1, 2, 0]
    assert list(table["n_missing"]) == [2, 2, 1, 0, 0, 0]
    assert np.isnan(table.loc[("Lone", "Lone"), "fc_z"])
    assert set(table["kind"].to_numpy()) == {"within", "between"}


def test_an_ordered_categorical_orders_the_table():
    order = pd.Series(NETWORKS).astype(pd.CategoricalDtype(["Lone", "Default", "Vis", "Empty"]))
    table = network_strength(a_matrix(), order)
    assert list(table.loc[table["kind"] == "within", "network_a"]) == ["Lone", "Default", "Vis"]


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([None, 0.3, 1.0]))
def test_participation_edge_by_edge(seed, density):
    matrix = a_matrix(seed, missing="d")
    for sign, factor in (("positive", 1), ("negative", -1)):
        weights = {}
        for a, b in combinations("abcdef", 2):
            value = factor * matrix.z["abcdefg".index(a), "abcdefg".index(b)]
            weights[a, b] = max(value, 0) if np.isfinite(value) else 0.0
        if density is not None:
            strongest = sorted(weights.values(), reverse=True)[: round(density * 15)]
            weights = {pair: w if w >= min(strongest) else 0.0 for pair, w in weights.items()}
        got = participation(matrix, NETWORKS, sign=sign, density=density)
        for name in "abcdefg":
            mine = {pair: w for pair, w in weights.items() if name in pair}
            total = sum(mine.values())
            if total == 0:
                assert np.isnan(got[name])
                continue
            expected = 1.0
            for network in set(NETWORKS.values()):
                k = sum(
                    w for (a, b), w in mine.items() if NETWORKS[b if a == name else a] == network
                )
                expected -= (k / total) ** 2
            assert got[name] == pytest.approx(expected, abs=1e-12)


def test_participation_at_its_ends():
    """Edges into one network only: 0; evenly into three: 2/3."""
    names = ["seed", "x", "y", "z"]
    networks = dict(zip(names, ["A", "A", "B", "C"], strict=True))
    z = np.zeros((4, 4))
    z[0, 1:] = z[1:, 0] = 0.5
    np.fill_diagonal(z, np.nan)
    matrix = Connectivity(z=z, parcels=pd.Index(names))
    assert participation(matrix, networks)["seed"] == pytest.approx(2 / 3)
    assert participation(matrix, networks)["x"] == pytest.approx(0.0)
    assert participation(matrix, networks, sign="negative").isna().all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda m: participation(m, NETWORKS, density=0.0), "above 0"),
        (lambda m: participation(m, NETWORKS, sign="both"), "'positive' or 'negative'"),
        (lambda m: network_strength(m, {"x": "Vis"}), "no parcel of the matrix has a network"),
        (
            lambda m: network_strength(m, pd.Series(["V", "D"], index=["a", "a"])),
            "'a' is assigned to a network twice",
        ),
    ],
)
def test_refuses(call, said):
    with pytest.raises(InputError, match=said):
        call(a_matrix())
