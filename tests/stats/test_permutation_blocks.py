"""Permutation goes through the edges in blocks.

Laws: what comes out does not depend on the blocks; memory does not grow with the edges.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from connectrial.stats import permutation_measure, permutation_setup
from connectrial.stats.exchange import find_exchange
from connectrial.stats.mixed import fit_mixed
from connectrial.stats.network_permutation import permute_networks
from connectrial.stats.permutation import permute_edges

N_EDGES = 190  # of 20 parcels


@pytest.fixture(scope="module")
def trial() -> tuple[np.ndarray, pd.DataFrame]:
    """Fourteen people, three visits, one edge with a missing value."""
    rng = np.random.default_rng(11)
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(14), 3),
            "visit": np.tile(["a", "b", "c"], 14),
            "arm": np.repeat(["x", "y"] * 7, 3),
            "age": np.repeat(rng.normal(40, 10, 14), 3),
        }
    )
    icc = rng.uniform(0, 0.8, N_EDGES)
    values = rng.normal(size=(42, N_EDGES)) * np.sqrt(1 - icc)
    values += (rng.normal(size=(14, N_EDGES)) * np.sqrt(icc))[table["subject"]]
    values[5, 100] = np.nan
    return values, table


def test_blocks_of_edges_change_nothing(trial, monkeypatch):
    values, table = trial
    monkeypatch.setattr(permutation_setup, "EDGES_AT_ONCE", 16)
    cases = [
        {"formula": "fc ~ visit * arm + age", "term": "visit:arm"},
        {"formula": "fc ~ visit + arm + age", "term": "arm", "alternative": "less"},
        {"formula": "fc ~ visit * arm + (1 | subject)", "term": "visit:arm"},
        {"formula": "fc ~ visit + arm", "term": "arm", "statistic": "tfnbs"},
        {"formula": "fc ~ visit + arm", "term": "arm", "statistic": "nbs-extent", "threshold": 1.0},
    ]
    for case in cases:
        found = []
        for held in (16, 48, 10**6):
            monkeypatch.setattr(permutation_setup, "EDGES_HELD", held)
            formula, settings = case["formula"], {k: v for k, v in case.items() if k != "formula"}
            found.append(
                permute_edges(
                    values, formula, table, n_permutations=30, blocks="subject", rng=1, **settings
                )
            )
        for other in found[1:]:
            for name in ("statistic", "p", "null"):
                np.testing.assert_array_equal(getattr(other, name), getattr(found[0], name))


def test_blocks_of_permutations_change_nothing(trial, monkeypatch):
    values, table = trial
    found = []
    for cells in (1, 1000, 10**6):
        monkeypatch.setattr(permutation_measure, "CELLS_HELD", cells)
        monkeypatch.setattr(permutation_measure, "_CELLS_SCORED", cells)
        found.append(
            permute_edges(
                values, "fc ~ visit + arm", table, term="arm", n_permutations=25, blocks="subject",
                rng=2, statistic="nbs-intensity", threshold=1.0,
            )
        )  # fmt: skip
    for other in found[1:]:
        np.testing.assert_allclose(other.null, found[0].null, rtol=1e-4)  # single precision
        np.testing.assert_array_equal(other.component_of_edge, found[0].component_of_edge)


def test_blocks_of_edges_change_nothing_for_networks(trial, monkeypatch):
    values, table = trial
    labels = [None if k % 7 == 0 else f"n{k % 3}" for k in range(N_EDGES)]
    monkeypatch.setattr(permutation_setup, "EDGES_AT_ONCE", 16)
    found = []
    for held in (16, 10**6):
        monkeypatch.setattr(permutation_setup, "EDGES_HELD", held)
        found.append(
            permute_networks(
                values, "fc ~ visit + arm + (1 | subject)", table, term="arm", labels=labels,
                n_permutations=20, blocks="subject", rng=3,
            ).estimates
        )  # fmt: skip
    pd.testing.assert_frame_equal(*found, rtol=1e-12)


def working_memory(values: np.ndarray, table: pd.DataFrame, **settings: object) -> float:
    """Bytes held at once beyond what is returned."""
    ends = np.column_stack(np.triu_indices(400, 1))[: values.shape[1]]
    tracemalloc.start()
    result = permute_edges(
        values, "fc ~ visit + arm", table, term="arm", n_permutations=3, blocks="subject", rng=0,
        edges=ends, **settings,
    )  # fmt: skip
    after, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.p.size == values.shape[1]
    return peak - after


def test_memory_is_flat_in_the_number_of_edges(trial):
    # the residuals of 60,000 further edges would be 20 MB in double precision
    _, table = trial
    values = np.random.default_rng(0).normal(size=(42, 76_000)).astype(np.float32)
    working_memory(values[:, :500], table)
    few, many = (working_memory(values[:, :n], table) for n in (16_000, 76_000))
    assert (many - few) / 60_000 < 60  # bytes an edge: an index, the statistic and its order


def test_refitted_f_is_that_of_a_mixed_model(trial):
    values, table = trial
    values = values[:, :3]
    formula = "y ~ visit * arm + age + (1 | subject)"
    result = permute_edges(
        values, formula, table, term="visit:arm", n_permutations=4, blocks="subject", rng=4,
        variance="refit",
    )  # fmt: skip
    assert (result.statistic_name, result.statistic.size) == ("F", 3)

    def largest(outcomes: np.ndarray) -> tuple[np.ndarray, list[str]]:
        found = []
        for y in outcomes.T:
            fit = fit_mixed(formula, table.assign(y=y), df="none")
            names = [name for name in fit.estimates.index if ":" in name]
            weights = {name: {name: 1.0} for name in names}
            found.append(fit.contrast(weights, joint="yes")["statistic"].iloc[0])
        return np.array(found), names

    by_hand, names = largest(values)
    np.testing.assert_allclose(result.statistic, by_hand, rtol=1e-6)
    design = result.design
    x = design.matrix[:, [name not in names for name in design.columns]]
    left = values - x @ np.linalg.lstsq(x, values, rcond=None)[0]
    exchange = find_exchange(design, table, term="visit:arm", blocks="subject")
    rows, _ = exchange.draw(np.random.default_rng(4), 4)
    null = [largest(left[np.argsort(order)])[0].max() for order in rows]
    np.testing.assert_allclose(result.null, null, rtol=1e-6)
