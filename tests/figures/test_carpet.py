"""What a carpet and the figure of QC-FC show: extents, order, marks."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.carpet import plot_carpet
from connectrial.figures.motion_effects import plot_qc_fc


def test_a_carpet_has_traces_above_and_parcels_by_network_below():
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=(30, 4)), rng.normal(size=(30, 4))
    kept = np.ones(30, dtype=bool)
    kept[[3, 4, 20]] = False
    figure = plot_carpet(
        [("before", before), ("after", after)],
        fd_mm=rng.random(30),
        dvars=rng.random(30),
        kept=kept,
        networks=["A", "B", "A", ""],
        repetition_time_s=2.0,
        max_fd_mm=0.5,
        title="sub-01",
    )
    fd, dvars, first, second = figure.axes
    assert [fd.get_ylabel(), dvars.get_ylabel()] == ["FD (mm)", "DVARS"]
    spans = [patch.get_x() for patch in fd.patches]
    assert spans == [5.0, 39.0]  # frames 3 to 4 and frame 20, two seconds each, from half before
    assert np.array_equal(first.images[0].get_array(), before[:, [0, 2, 1, 3]].T)
    assert np.array_equal(second.images[0].get_array(), after[:, [0, 2, 1, 3]].T)
    assert second.images[0].get_extent() == [-1.0, 59.0, 4, 0]
    assert [text.get_text() for text in first.get_yticklabels()] == ["A", "B", "none"]
    assert "3 of 30 frames censored" in figure.get_suptitle()


def test_unknown_traces_are_left_out_and_frames_counted_without_a_time():
    figure = plot_carpet(
        [("as delivered", np.zeros((10, 2)))],
        fd_mm=None,
        dvars=None,
        kept=np.ones(10, dtype=bool),
        networks=["", ""],
    )
    assert len(figure.axes) == 1
    assert figure.axes[0].get_xlabel() == "frame"


def test_qc_fc_draws_a_column_per_sample_and_distance_only_where_known():
    histogram = pd.DataFrame({"sample": ["pre", "post"], "r": 0.0, "density": 1.0, "expected": 0.8})
    near = pd.DataFrame(
        {"sample": ["pre"], "distance_mm": [20.0], "median": [0.1]}
        | {name: [0.0] for name in ("q05", "q25", "q75", "q95")}
    )
    figure = plot_qc_fc(histogram, near, samples=["pre", "post"])
    assert [ax.get_title(loc="left") for ax in figure.axes[:2]] == ["pre", "post"]
    assert figure.axes[2].lines[0].get_xydata().tolist() == [[20.0, 0.1]]
    assert len(plot_qc_fc(histogram, None, samples=["pre", "post"]).axes) == 2


def test_qc_fc_of_many_visits_goes_on_below_and_cuts_no_curve():
    samples = [f"visit {i}" for i in range(7)]
    histogram = pd.DataFrame(
        {"sample": samples, "r": 0.0, "expected": 0.8, "density": [1.0] * 6 + [4.0]}
    )
    figure = plot_qc_fc(histogram, None, samples=samples)
    shown = [ax for ax in figure.axes if ax.axison]
    assert [ax.get_title(loc="left").replace("\n", " ") for ax in shown] == samples
    assert shown[4].get_subplotspec().rowspan.start == 1
    assert {ax.get_ylim() for ax in shown} == {(0.0, 4.2)}
