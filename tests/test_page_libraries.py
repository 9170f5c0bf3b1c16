"""What libraries draw on the page: tables by great_tables, charts by altair, brains by nilearn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from connectrial.figures.brains import cortex, on_cortex, plot_systems
from connectrial.figures.charts import chart_concentration, chart_course, chart_waterfall
from connectrial.figures.waterfall import plot_waterfall
from connectrial.report.cells import Cell, Table
from connectrial.report.clinical_panels import infusion_days
from connectrial.report.endpoint_panels import endpoint_strip, rule_words
from connectrial.report.gt_tables import table_html
from connectrial.report.libraries import niivue_script
from connectrial.report.live import chart
from connectrial.report.live_forest import forest_live
from connectrial.report.live_surface import packed_cortex, surface_live
from connectrial.report.page import _table
from connectrial.report.quantise import unpack, worst
from connectrial.report.results_text import results_text
from report_maps import AFFINE, PEAK, with_maps
from test_report import NASTY, siegel_like


def test_great_tables_escapes_what_comes_from_tables():
    """Cells of text alone, cells with more, heads and captions: markup in them is shown as text."""
    rows = (
        ("declared", (Cell(text=NASTY), Cell(text=NASTY, sub=(NASTY,), sort=1.5, css="num"))),
        ("", (Cell(text="plain"), Cell(text="–", css="num"))),
    )
    shown = str(
        _table(Table(heads=((NASTY, ""), (NASTY, "num")), rows=rows, caption=NASTY, sortable=True))
    )
    assert "<script" not in shown
    assert shown.count("&lt;script&gt;") == 6
    assert '<tr class="declared"><td>' in shown
    assert '<td class="num" data-sort="1.5">' in shown
    assert shown.count("<td") == 4
    assert shown.count("<caption>") == 1
    assert "<style" not in shown


def test_a_table_is_the_same_every_time():
    """great_tables gives each fragment a random id; none of it reaches the page."""
    one = Table(heads=(("a", ""),), rows=(("", (Cell(text="1"),)),), caption="c")
    assert table_html(one, inside=lambda cell: cell.text) == table_html(
        one, inside=lambda cell: cell.text
    )


def test_a_chart_is_the_same_every_time_and_holds_what_it_draws():
    """altair counts views over a process; the page's form does not show it."""
    data = pd.DataFrame(
        {
            "subject": ["a", "b", "c"],
            "percent_change": [-60.0, 10.0, -20.0],
            "level": ["yes", "no", "no"],
        }
    )
    forms = [
        chart(
            chart_waterfall(data, scale="MADRS", levels=["yes", "no"], threshold=50),
            title="t",
            how="h",
        ).json
        for _ in range(2)
    ]
    assert forms[0] == forms[1]
    assert '"change":-60' in forms[0]
    bars = plot_waterfall(data, scale="MADRS", levels=["yes", "no"], threshold=50).axes[0].patches
    heights = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in bars}
    assert heights == {0: 10.0, 1: -20.0, 2: -60.0}  # the largest rise first


def test_a_chart_holds_more_rows_than_altair_allows_by_itself():
    """120 people's concentrations are more than its 5,000 rows."""
    n_people, n_hours = 51, 100
    people = pd.DataFrame(
        {
            "subject": np.repeat([f"s{i}" for i in range(n_people)], n_hours),
            "time_h": np.tile(np.arange(n_hours, dtype=float), n_people),
            "ketamine_ng_ml": 1.0,
        }
    )
    form = chart(chart_concentration(people), title="t", how="h")
    (rows,) = (r for r in form.data["spec"]["datasets"].values() if "person" in r[0])
    assert len(rows) == n_people * n_hours > 5000


def test_rows_of_the_forest_are_told_apart_by_what_is_other_about_them():
    """The mark of stand-ins, which all rows share, names none; long labels keep their ends."""
    row = {
        "analysis": "CLIPST more than non-CLIPST (stand-in)",
        "outcome": "CLIPST more than non-CLIPST (stand-in)",
        "term": "ketamine - placebo, mean of 50 min, 80 min, 165 min", "kind": "contrast",
        "role": "primary", "declared": True, "df_method": "kenward-roger", "estimate": -0.05,
        "ci_low": -0.09, "ci_high": -0.01, "df": 18.0, "p": 0.01, "p_adjusted": np.nan,
        "flags": "stand-in connections",
    }  # fmt: skip
    beside = {"declared": False, "df_method": "satterthwaite"}
    first = {"role": "sensitivity", "flags": "stand-in connections; period 1 alone, between people"}
    live = forest_live(
        siegel_like(), pd.DataFrame([row, row | beside, row | first]), unit="Fisher z"
    )
    (rows,) = (r for r in live.data["spec"]["datasets"].values() if "effect" in r[0])
    short, full = zip(*(one["label"].split("\u241f") for one in rows), strict=True)
    ends = [one.rpartition("· ")[2] for one in full]
    assert ends[1:] == ["Satterthwaite df", "period 1 alone…"]
    assert all(len(one) <= 80 for one in full)
    # Below their estimate rows say what differs, and all of it.
    assert short == (full[0], "Satterthwaite df", "period 1 alone, between people")
    assert rows[2]["effect"].endswith("· period 1 alone, between people")
    assert rows[0]["effect"].startswith("CLIPST more than non-CLIPST (stand-in): ketamine")


@pytest.mark.parametrize(
    ("starts_h", "duration_h", "expected"),
    [
        ([0.0, 48.0], 48.0, (0.0, 4.0)),  # 96 hours, changed once
        ([0.0, 72.0, 336.0], 2 / 3, None),  # infusions weeks apart are no infusion of weeks
        ([0.0], 2 / 3, (0.0, 0.14)),  # 40 minutes on an axis of 28 days: what can be seen, no more
    ],
)
def test_an_infusion_is_shaded_where_it_was_given(starts_h, duration_h, expected):
    doses = pd.DataFrame({"subject": "a", "start_h": starts_h, "duration_h": duration_h})
    results = siegel_like()
    given = replace(results, tables={**results.tables, "doses": doses})
    found = infusion_days(given, [0.0, 7.0, 28.0])
    assert found == (None if expected is None else pytest.approx(expected))


def test_an_infusion_is_drawn_only_on_an_axis_of_days():
    scores = pd.DataFrame({"subject": ["a", "a"], "visit": ["pre", "post"], "score": [30.0, 10.0]})
    how = {"visits": ["pre", "post"], "scale": "MADRS", "infusion": (0.0, 4.0)}
    marks = [
        [layer["mark"]["type"] for layer in made.to_dict()["layer"]]
        for made in (
            chart_course(scores, None, **how, days={"pre": -2.0, "post": 18.0}),
            chart_course(scores, None, **how),
        )
    ]
    assert "rect" in marks[0]
    assert "rect" not in marks[1]


def test_volumes_are_sampled_where_they_lie():
    """A bump in the precuneus is found at the points of the cortex near it, and nowhere far."""
    results = with_maps(siegel_like())
    values = results.maps["seed"].images["visit-pre_stat-mean"]
    sides = on_cortex(values, AFFINE)
    from nilearn import datasets, surface

    pial = surface.load_surf_mesh(datasets.fetch_surf_fsaverage("fsaverage5")["pial_left"])
    far = np.linalg.norm(np.asarray(pial.coordinates) - PEAK, axis=1)
    own = sides["left"]
    near = own[(far < 15) & np.isfinite(own)]
    away = own[(far > 70) & np.isfinite(own)]
    assert len(near) > 20
    assert near.mean() > 0.25
    assert np.abs(away).max() < 0.02


def test_the_cortex_of_a_page_is_fsaverage5():
    """Faces as they are, points to half a step and shifted apart, one value for every point."""
    meshes, _ = cortex()
    packed = packed_cortex()
    for side, sign in (("left", -1), ("right", 1)):
        points = unpack(packed[side]["points"]).reshape(-1, 3)
        given = np.asarray(meshes[side].coordinates)
        off = worst(packed[side]["points"]) * 1.001
        assert np.abs(points[:, 1:] - given[:, 1:]).max() <= off
        assert np.ptp(points[:, 0] - given[:, 0]) <= 2 * off
        assert (sign * points[:, 0]).min() > 0
    values = {side: np.linspace(-1, 1, 10_242).astype(np.float32) for side in ("left", "right")}
    form = surface_live("t", {"m": ("z", values)}, meshes=None)
    drawn = form.data["maps"][0]
    assert np.abs(unpack(drawn["left"]) - values["left"]).max() <= worst(drawn["left"]) * 1.001
    assert "meshes" not in form.data


def test_niivue_comes_from_nilearn():
    """One script, nothing in it that ends its element."""
    script = niivue_script()
    assert len(script) > 1_000_000
    assert "</script" not in script


def test_systems_are_drawn_where_they_are():
    """Each row has its parcels' places; a parcel without one is left out."""
    places = pd.DataFrame(
        {"x_mm": [-5.0, 5.0], "y_mm": [20.0, 20.0], "z_mm": [-8.0, -8.0]}, index=["a", "b"]
    )
    figure = plot_systems(places, {"one": [("set", ["a", "b", "lost"])], "two": [("set", ["a"])]})
    words = [text.get_text() for text in figure.texts]
    assert "● set (2)" in words
    assert "● set (1)" in words


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"scale": "MADRS", "min_percent_decrease": 50.0}, "MADRS down by 50 %"),
        ({"scale": "MADRS", "below": 10.0}, "MADRS < 10"),
        ({"scale": "CGI-I", "at_most": 2.0}, "CGI-I ≤ 2"),
    ],
)
def test_rules_in_words(rule, words):
    assert rule_words(rule) == words


def test_results_in_words_have_the_numbers_of_the_tables():
    """Counts of the strip and of the paragraph are those of the estimates."""
    results = siegel_like()
    rule = {"scale": "MADRS", "visit": "post", "min_percent_decrease": 50.0}
    results = replace(results, study={**results.study, "endpoints": {"response": rule}})
    row = results["response"].estimates.iloc[0]
    n, met = int(row["n_subjects"]), round(row["estimate"] * row["n_subjects"])
    strip = endpoint_strip(results, "MADRS")
    assert strip[["n_met", "n_subjects"]].to_numpy().tolist()[0] == [met, n]
    assert endpoint_strip(results, "another") is None
    text = " ".join(results_text(results))
    assert f"MADRS down by 50 % at post: {met} of {n} people" in text
    assert "Negative controls" in text or "primary tests pass" in text
