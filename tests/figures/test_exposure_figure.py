"""The figure of doses and concentrations shows what it is given."""

from __future__ import annotations

import numpy as np
import pandas as pd

from connectrial.figures.charts import chart_concentration, chart_course
from connectrial.figures.exposure import plot_concentration
from connectrial.figures.palette import LEVELS

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


def _doses_apart() -> pd.DataFrame:
    """Two doses, two people each, ten times as much in the second; placebo has none."""
    rows = [
        CURVE.assign(
            subject=f"{level}{i}", level=level, **{k: CURVE[k] * by for k in CURVE.columns[1:]}
        )
        for level, by in (("low", 1.0), ("high", 10.0))
        for i in range(2)
    ]
    people = pd.concat(rows, ignore_index=True)
    levels = ["placebo", "low", "high"]
    return people.assign(level=pd.Categorical(people["level"], categories=levels, ordered=True))


def test_each_dose_has_its_own_median_in_its_arms_colour():
    people = _doses_apart()
    median = people.groupby(["level", "time_h"], as_index=False, observed=True)[
        ["ketamine_ng_ml", "norketamine_ng_ml"]
    ].median()
    (main,) = plot_concentration(median, DOSES.iloc[:0], people=people).axes
    lines = {line.get_label(): line for line in main.lines}
    assert max(lines["low"].get_ydata()) == 100
    assert max(lines["high"].get_ydata()) == 1000
    assert [lines[name].get_color() for name in ("low", "high")] == list(LEVELS[1:3])
    chart = chart_concentration(people).to_dict()
    (medians,) = [layer for layer in chart["layer"] if layer["mark"].get("strokeWidth") == 2.6]
    rows = pd.DataFrame(chart["datasets"][medians["data"]["name"]])
    assert rows.groupby("dose")["level"].max().to_dict() == {"low": 100, "high": 1000}
    assert medians["encoding"]["color"]["scale"] == {
        "domain": ["low", "high"],
        "range": list(LEVELS[1:3]),
    }


def test_doses_of_weeks_are_read_in_days():
    weeks = CURVE.assign(subject="a", time_h=CURVE["time_h"] * 24 * 7)
    for rows, title, last in (
        (weeks, "days from the first dose", 28),
        (CURVE.assign(subject="a"), "hours", 4),
    ):
        chart = chart_concentration(rows).to_dict()
        assert chart["layer"][0]["encoding"]["x"]["title"] == title
        data = pd.DataFrame(chart["datasets"][chart["layer"][0]["data"]["name"]])
        assert data["hours"].max() == last


def test_a_course_of_a_day_is_read_in_hours_and_a_scan_without_score_has_its_place():
    scores = pd.DataFrame({"subject": "a", "visit": ["before", "after"], "score": [30, 20]})
    for days, title, at in (
        ({"before": 0.0, "scan": 0.5, "after": 1.0}, "hour", 12.0),
        ({"before": 0.0, "scan": 1.0, "after": 7.0}, "day", 1.0),
    ):
        chart = chart_course(
            scores, None, visits=["before", "after"], scale="MADRS", days=days, scan_visits=["scan"]
        ).to_dict()
        marks = chart["layer"][-1]
        assert marks["encoding"]["x"]["title"] == title
        assert chart["datasets"][marks["data"]["name"]][0]["day"] == at
