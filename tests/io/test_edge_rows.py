"""Edges on disk: what is read in blocks is what was put there, and nothing stays behind."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectrial.errors import MachineError
from connectrial.fc.qcfc import qc_fc, qc_fc_of_blocks
from connectrial.io import edge_rows
from connectrial.io.edge_rows import EdgeRows


@given(
    n_rows=st.integers(1, 6),
    n_edges=st.integers(1, 40),
    block=st.integers(1, 9),
    data=st.data(),
)
@settings(deadline=None, max_examples=40)
def test_any_rows_and_columns_come_back(tmp_path_factory, n_rows, n_edges, block, data):
    folder = tmp_path_factory.mktemp("edges")
    rng = np.random.default_rng(n_rows * 100 + n_edges)
    values = rng.normal(size=(n_rows, n_edges))
    values[rng.random(values.shape) < 0.1] = np.nan
    asked = data.draw(st.lists(st.integers(-1, n_rows - 1), min_size=1, max_size=8))
    edges = data.draw(st.none() | st.sets(st.integers(0, n_edges - 1), min_size=1).map(sorted))
    with pytest.MonkeyPatch.context() as patch, EdgeRows(folder, n_edges) as rows:
        patch.setattr(edge_rows, "_FEWEST_EDGES", block)
        patch.setattr(edge_rows, "BLOCK_NUMBERS", 1)
        for number, row in enumerate(values):
            rows.add((str(number), "v"), row)
        chosen = None if edges is None else np.array(edges)
        taken = rows.take([(str(one), "v") for one in asked], edges=chosen)
        whole = np.full((len(asked), n_edges), np.nan)
        for at, one in enumerate(asked):
            if one >= 0:
                whole[at] = values[one]
        expected = whole if chosen is None else whole[:, chosen]
        assert taken.shape == expected.shape
        at = 0
        for here, part in taken.blocks():
            assert here.start == at
            at = here.stop
            np.testing.assert_array_equal(part, expected[:, here])
        assert at == expected.shape[1]
        with taken.mapped() as mapped:
            np.testing.assert_array_equal(mapped, expected)
    assert not list(folder.iterdir())


class _Full:
    def write(self, _content):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_one_message(tmp_path, monkeypatch):
    with EdgeRows(tmp_path, 10) as rows:
        monkeypatch.setattr(rows, "_file", _Full())
        with pytest.raises(MachineError, match="cannot be put there"):
            rows.add(("01", "v"), np.zeros(10**6))
        monkeypatch.undo()


def test_qc_fc_in_blocks_is_qc_fc():
    rng = np.random.default_rng(3)
    fc_z = rng.normal(size=(24, 50))
    fc_z[rng.random(fc_z.shape) < 0.05] = np.nan
    fd_mm, distance = rng.gamma(2, 0.1, 24), rng.uniform(10, 100, 50)
    subjects = np.repeat([f"s{k}" for k in range(12)], 2)
    for who in (None, subjects):
        whole = qc_fc(fc_z, fd_mm, distance_mm=distance, subjects=who)
        parts = qc_fc_of_blocks(
            (fc_z[:, a : a + 7] for a in range(0, 50, 7)), fd_mm, distance_mm=distance, subjects=who
        )
        for name in ("r", "p", "p_adjusted", "df"):
            np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-12)
        pd.testing.assert_series_equal(parts.summary, whole.summary, rtol=1e-12)
