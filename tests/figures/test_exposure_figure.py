"""The figure of doses and concentrations shows what it is given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.exposure import plot_concentration

CURVE = pd.DataFrame(
    {
        "time_h": [0.0, 1.0, 2.0, 4.0],
        "ketamine_ng_ml": [0.0, 100.0, 60.0, 20.0],
        "norketamine_ng_ml": [0.0, 20.0, 40.0, 30.0],
    }
)
DOSES = pd.DataFrame({"start_h": [0.0, 2.0], "duration_h": [1.0, 0.0], "amount_mg_kg": [0.5, 0.1]})


def test_doses_concentrations_and_block():
    figure = plot_concentration(
        CURVE,
        DOSES,
        occupancy=[0, 0.2, 0.1, 0.05],
        occupancy_label="assumed block",
        scans_h={"scan": 3.0},
    )
    doses, main, block = figure.axes
    bar = doses.patches[0]
    assert (bar.get_x(), bar.get_width(), bar.get_height()) == (0.0, 1.0, 0.5)
    assert [text.get_text() for text in doses.texts] == ["0.1 mg/kg"]
    lines = {line.get_label(): line.get_ydata() for line in main.lines}
    np.testing.assert_array_equal(lines["ketamine"], CURVE["ketamine_ng_ml"])
    np.testing.assert_array_equal(lines["norketamine"], CURVE["norketamine_ng_ml"])
    np.testing.assert_allclose(block.lines[0].get_ydata(), [0, 20, 10, 5])
    assert "assumed" in block.get_ylabel()
    assert any(text.get_text().strip() == "scan" for text in main.texts)
    assert all(any(line.get_xdata()[0] == 3.0 for line in ax.lines) for ax in figure.axes)


def test_people_samples_and_no_norketamine():
    people = pd.concat([CURVE.assign(subject=name) for name in "ab"])
    measured = pd.DataFrame({"time_h": [1.0], "analyte": ["ketamine"], "value_ng_ml": [90.0]})
    interval = pd.DataFrame(
        {
            "time_h": [0.0, 4.0],
            "analyte": "ketamine",
            "low_ng_ml": [0.0, 10.0],
            "high_ng_ml": [0.0, 40.0],
        }
    )
    figure = plot_concentration(
        CURVE.assign(norketamine_ng_ml=np.nan), DOSES.iloc[:0], people=people, measured=measured,
        interval=interval,
    )  # fmt: skip
    (main,) = figure.axes
    labels = [text.get_text() for text in main.get_legend().get_texts()]
    assert labels == ["ketamine"]
    assert len(main.collections) == 1
    drawn = [list(line.get_xdata()) for line in main.lines]
    assert drawn.count([0.0, 1.0, 2.0, 4.0]) == 3
    assert [1.0] in drawn
