"""Matched random sets of edges: by hand, under the null, and with a planted effect."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from connectrial.errors import ModelError
from connectrial.stats.edge_sets import compare_edge_sets, match_strata


def test_p_equals_full_enumeration():
    """Two strata of 4 and 3 edges: all 6 x 3 subsets by hand; 20,000 random sets come near."""
    effect = np.array([0.9, 0.1, -0.3, 0.4, 0.7, -0.2, 0.05])
    strata = np.array(["a"] * 4 + ["b"] * 3, dtype=object)
    chosen = np.array([True, True, False, False, True, False, False])

    def difference(members: set[int]) -> float:
        found = 0.0
        for name, n in (("a", 2), ("b", 1)):
            own = [i for i in range(7) if strata[i] == name]
            inside = [effect[i] for i in own if i in members]
            outside = [effect[i] for i in own if i not in members]
            found += n / 3 * (np.mean(inside) - np.mean(outside))
        return found

    observed = difference({0, 1, 4})
    every = [difference({*a, b}) for a in combinations(range(4), 2) for b in (4, 5, 6)]
    exact = np.mean(np.abs(every) >= abs(observed) - 1e-12)
    test = compare_edge_sets(
        effect, chosen=chosen, strata=strata, n_permutations=20_000, rng=np.random.default_rng(1)
    )
    assert test.estimate == pytest.approx(observed, abs=1e-12)
    assert test.set_mean - test.others_mean == pytest.approx(observed, abs=1e-12)
    assert abs(test.p - exact) < 4 * np.sqrt(exact * (1 - exact) / 20_000)
    # every subset is drawn, and nothing else
    assert set(np.round(test.null, 9)) == set(np.round(every, 9))


def test_level_where_edges_are_exchangeable_within_strata():
    """Strata differ in their effect and the set leans to one of them; matched, the level is held."""
    rng = np.random.default_rng(20250203)
    strata = np.array(["near"] * 60 + ["far"] * 60, dtype=object)
    shift = np.where(strata == "near", 0.5, 0.0)
    rejected, unmatched = [], []
    for _ in range(600):
        chosen = np.zeros(120, dtype=bool)
        chosen[rng.permutation(60)[:18]] = True
        chosen[60 + rng.permutation(60)[:6]] = True
        effect = shift + rng.normal(0, 0.4, 120)
        one = compare_edge_sets(effect, chosen=chosen, strata=strata, n_permutations=199, rng=rng)
        rejected.append(one.p <= 0.05)
        loose = np.full(120, "all", dtype=object)
        two = compare_edge_sets(effect, chosen=chosen, strata=loose, n_permutations=199, rng=rng)
        unmatched.append(two.p <= 0.05)
    # Exact level .05; 600 runs: standard error .0089. Without matching the lean looks like an effect.
    assert 0.05 - 3 * 0.0089 < np.mean(rejected) < 0.05 + 3 * 0.0089
    assert np.mean(unmatched) > 0.25


def test_a_planted_effect_is_found_and_its_direction():
    rng = np.random.default_rng(5)
    effect = rng.normal(0, 0.05, 300)
    chosen = np.arange(300) < 40
    effect[chosen] -= 0.08
    strata = match_strata({"distance": rng.uniform(10, 120, 300)}, n_bins=4)
    found = {
        how: compare_edge_sets(
            effect,
            chosen=chosen,
            strata=strata,
            n_permutations=499,
            rng=np.random.default_rng(6),
            alternative=how,
        ).p
        for how in ("two-sided", "less", "greater")
    }
    assert found == {"two-sided": 1 / 500, "less": 1 / 500, "greater": 1.0}


def test_edges_without_value_or_partner_are_left_out_and_counted():
    effect = np.array([1.0, np.nan, 0.2, 0.1, 5.0, 0.3])
    chosen = np.array([True, True, False, False, True, False])
    strata = np.array(["a", "a", "a", "a", "alone", None], dtype=object)
    test = compare_edge_sets(
        effect, chosen=chosen, strata=strata, n_permutations=99, rng=np.random.default_rng(2)
    )
    assert (test.n_edges, test.n_others, test.n_unmatched) == (1, 2, 2)
    assert test.estimate == pytest.approx(1.0 - 0.15)
    assert dict(zip(test.strata["stratum"], test.strata["n_pool"], strict=True)) == {
        "a": 2,
        "alone": 0,
    }
    with pytest.raises(ModelError, match="no edge of the set"):
        compare_edge_sets(
            effect[4:], chosen=chosen[4:], strata=strata[4:], n_permutations=9,
            rng=np.random.default_rng(2),
        )  # fmt: skip


def test_strata_by_quantiles_and_words():
    strata = match_strata(
        {"distance": [1.0, 2.0, 3.0, np.nan], "networks": ["A-B", "A-B", "A-A", "A-A"]}, n_bins=2
    )
    assert list(strata) == ["distance 1, A-B", "distance 2, A-B", "distance 2, A-A", None]
    with pytest.raises(ModelError, match="no edge has a value of 'strength'"):
        match_strata({"strength": [np.nan, np.nan]}, n_bins=2)
