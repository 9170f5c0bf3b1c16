"""Whether a scanner can be told apart from visit or arm."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from connectrial.trial.batches import cross_batches, is_inseparable


@pytest.mark.parametrize(
    ("counts", "inseparable"),
    [
        ([[5, 0], [0, 5]], True),
        ([[5, 1], [0, 5]], False),
        ([[3, 3], [2, 4]], False),
        ([[5, 0, 0], [0, 3, 2]], True),
        ([[5, 1, 0], [0, 3, 0], [0, 0, 2]], True),
        ([[5, 1, 0], [0, 3, 1], [0, 0, 2]], False),
        ([[5], [5]], False),
        ([[5, 5]], False),
    ],
)
def test_inseparable_means_that_no_additive_model_is_estimable(counts, inseparable):
    """Law: it is so exactly where the design of level + batch loses rank."""
    table = np.array(counts)
    assert is_inseparable(pd.DataFrame(table)) == inseparable
    cells = [(i, j) for i in range(len(table)) for j in range(table.shape[1]) if table[i, j]]
    design = np.array(
        [
            [*(i == k for k in range(len(table))), *(j == k for k in range(table.shape[1]))]
            for i, j in cells
        ],
        dtype=float,
    )
    full = sum(table.shape) - 1
    several = min(table.shape) > 1
    assert (np.linalg.matrix_rank(design) < full and several) == inseparable


def test_people_and_sessions_are_counted_apart():
    sessions = pd.DataFrame(
        {
            "subject": ["1", "1", "2", "2", "3"],
            "batch": ["A", "A", "A", "B", None],
            "arm": ["x", "x", "y", "y", "y"],
        }
    )
    assert cross_batches(sessions, by="arm", unit="sessions").to_numpy().tolist() == [
        [2, 0],
        [1, 1],
    ]
    assert cross_batches(sessions, by="arm", unit="people").to_numpy().tolist() == [[1, 0], [1, 1]]
