"""Tables and figures of single analyses on the page: their order, what a cell says, who is drawn."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from connectrial.figures.lines import fitted_names
from connectrial.figures.scatter import plot_scatter
from connectrial.figures.svg import MARK_POINTS, MARK_STRIP, draw_svg
from connectrial.report.association_panel import association_panel
from connectrial.report.blocks import analysis_blocks
from connectrial.report.cells import estimates_table, result_sentence
from connectrial.report.explained import share_explained
from connectrial.report.figure_files import Shelf
from connectrial.report.hypothesis_panel import hypothesis_panel
from connectrial.report.panel import Panel
from connectrial.report.qc_fc_table import qc_fc_table
from connectrial.report.systems_panel import systems_panel
from connectrial.report.verdict import verdict_table
from connectrial.results import Result, Results, tidy
from connectrial.stats.anova import repeated_measures_anova

PEOPLE = [f"{number:02d}" for number in range(8)]


def _row(**more) -> dict:
    base = {
        "analysis": "A", "role": "primary", "kind": "coefficient", "outcome": "A", "term": "visit",
        "unit": "Fisher z", "estimate": None, "declared": True, "p": 0.02, "ci_level": 0.95, "n_subjects": 20,
        "n_observations": 40, "df_method": "satterthwaite",
    }  # fmt: skip
    return base | more


def _results(*analyses: Result, **more) -> Results:
    return Results(**({"study": {}, "plan": {}, "tables": {}} | more), analyses=analyses)


def _analysis(rows, *, what="network FC", role="primary", means=None) -> Result:
    return Result(
        name="A", title="A", role=role, what=what, outcome="A", estimates=tidy(rows), means=means
    )


def _f_test(**more) -> dict:
    f = {"kind": "F test", "statistic_name": "F", "statistic": 4.0, "df_numerator": 3.0, "df": 36.0}
    return _row(**(f | more))


def test_a_heading_stands_above_the_figure_of_its_analysis_and_a_rank_correlation_is_a_rho():
    cells = {"kind": "correlation", "term": "a ~ b", "estimate": 0.42, "role": "exploratory"}
    rows = [
        _row(**cells, unit="Spearman's rho"),
        _row(**cells, unit="Pearson's r") | {"declared": False},
    ]
    one = _analysis(rows, what="correlation", role="exploratory")
    pairs = pd.DataFrame(
        {"analysis": "A", "term": "a ~ b", "subject": PEOPLE, "x": range(8), "y": range(8)}
    ).assign(x_name="a", y_name="b")
    found = _results(one, tables={"associations": pairs})
    panel = association_panel(found, one)
    assert panel is not None
    assert "ρ = 0.42, p = .02" in panel.alt
    blocks = analysis_blocks(found, one, panel=panel)
    assert [block.kind for block in blocks][:3] == ["heading", "figure", "table"]


def test_the_answer_has_the_share_that_an_f_test_explains():
    """4 * 3 / (4 * 3 + 36) = .25, and that it is made from F is said."""
    table = verdict_table(_results(_analysis([_f_test()])))
    assert table is not None
    cell = table.rows[0][1][1]
    assert (cell.text, cell.sub) == ("0.250 partial η²", ("from F and its df",))
    sentence = result_sentence(tidy([_f_test()]).iloc[0].to_dict(), title="A")
    assert "partial η² = 0.250 (from F and its df), F(3, 36.0) = 4.00" in sentence
    (row,) = estimates_table(tidy([_f_test()]), caption="").rows
    assert (row[1][1].text, row[1][1].sort) == ("0.250", 0.25)
    assert np.isnan(share_explained(_f_test(df=np.inf)))


def test_partial_eta_squared_of_an_anova_is_that_of_its_f():
    """Its own estimate, from sums of squares, is what F and its degrees of freedom give."""
    rng = np.random.default_rng(3)
    long = pd.DataFrame(
        [{"subject": s, "visit": v, "score": rng.normal(v)} for s in PEOPLE for v in range(3)]
    )
    long["visit"] = pd.Categorical(long["visit"].astype(str), ordered=True)
    found = repeated_measures_anova(long, subject="subject", within="visit", outcome="score").iloc[
        0
    ]
    row = found.to_dict() | {"kind": "F test", "statistic_name": "F"}
    own = row["estimate"]
    assert share_explained(row) == own
    assert share_explained(row | {"estimate": np.nan}) == pytest.approx(own, rel=1e-10)


def test_qc_fc_has_a_row_per_visit():
    rows = [
        _row(term=f"{measure}, {visit}", unit=unit, estimate=value + add, n_subjects=n)
        | ({"flags": "by chance about .05"} if unit == "share" else {})
        for visit, n, add in (("day 1, placebo", 20, 0.0), ("within people", 18, 0.1))
        for measure, unit, value in (
            ("median |r|", "r", 0.2),
            ("edges with p < .05", "share", 0.07),
            ("slope of r over distance", "r per mm", 0.001),
        )
    ]
    table, notes = qc_fc_table(tidy(rows))
    assert notes == ("edges with p < .05: by chance about .05",)
    heads = ["visit", "people", "median |r|", "edges with p < .05"]
    assert [head for head, _ in table.heads] == [*heads, "slope of r over distance (r per mm)"]
    texts = [[cell.text for cell in cells] for _, cells in table.rows]
    assert texts == [
        ["day 1, placebo", "20", "0.200", "7.0 %", "0.00100"],
        ["within people", "18", "0.300", "17.0 %", "0.101"],
    ]


@pytest.mark.parametrize(
    ("visits", "how", "titles"),
    [
        (["80 min", "24 h"], "Thin lines are people", ["placebo", "ketamine", "change, 80 min to 24 h"]),
        (["24 h"], "Dots are people", [""]),
    ],
)  # fmt: skip
def test_a_figure_draws_the_visits_of_its_model_split_by_what_was_given(visits, how, titles):
    """A model whose means are by period, or that has one visit and no means."""
    rng = np.random.default_rng(4)
    fc = pd.DataFrame(
        [
            {"subject": s, "visit": v, "outcome": "A", "fc_z": rng.normal(), "treatment": t}
            for s in PEOPLE
            for v in ("pre", "80 min", "24 h")
            for t in ("placebo", "ketamine")
        ]
    ).assign(period="1", sequence="x")
    means = pd.DataFrame(
        {"visit": visits, "by": "1", "by_factor": "period", "estimate": 0.0, "source": "model"}
    )
    one = _analysis([_row(term="sequence[x]")], means=means if len(visits) > 1 else None)
    plan = {
        "visits": ["pre", "80 min", "24 h"],
        "factors": {"sequence": ["x", "y"], "treatment": ["placebo", "ketamine"]},
    }
    study = {"hypothesis": [{"name": "A", "visits": visits}]}
    panel = hypothesis_panel(_results(one, plan=plan, study=study, tables={"visit_fc": fc}), one)
    assert panel is not None
    assert panel.figure is not None
    assert panel.how.startswith(how)
    assert "means" not in panel.how
    assert set(panel.data["visit"]) == set(visits)
    assert "treatment" in panel.data
    assert [ax.get_title(loc="left") for ax in panel.figure.axes] == titles


def test_connections_of_a_table_have_their_ends_on_the_brain_once(monkeypatch):
    """Two hypotheses on the same connections are one row, two in the data."""
    listed = pd.DataFrame(
        {"parcel": ["a", "b", "c"], "network": "N", "x_mm": 1.0, "y_mm": 2.0, "z_mm": 3.0}
    )
    rule = {"connections": {"table": "edges.tsv", "set": "model"}}
    found = _results(
        study={"hypothesis": [{"name": "acute", **rule}, {"name": "late", **rule}]},
        plan={"systems": {"acute": ["a", "b"], "late": ["a", "b"]}},
        tables={"parcels": listed},
    )
    drawn = []
    monkeypatch.setattr(
        "connectrial.report.systems_panel.plot_systems", lambda _, systems: drawn.append(systems)
    )
    panel = systems_panel(found)
    assert panel is not None
    assert drawn == [{"acute and 1 more": [("ends of model", ["a", "b"])]}]
    assert panel.data["hypothesis"].tolist() == ["acute"] * 2 + ["late"] * 2


def test_the_mark_of_simulated_data_has_a_strip_of_its_own(tmp_path):
    """Below the drawing, in all forms; the drawing itself stays where it was."""
    points = pd.DataFrame({"panel": "a", "title": "", "x": range(5), "y": range(5)})
    figure = plot_scatter(points, x_label="x", y_label="y")
    svg = draw_svg(figure, salt="x")
    wide, tall = (72 * float(one) for one in figure.get_size_inches())
    shelf = Shelf(output_dir=tmp_path, simulated=True, drawn={})
    panel = Panel(name="x", title="", how="", alt="", figure=figure)
    files = {path.suffix: path for path in shelf.save(panel, svg, [])}
    marked = files[".svg"].read_text()
    strip = MARK_POINTS * MARK_STRIP
    assert f'viewBox="0 0 {wide:g} {tall + strip:g}"' in marked
    assert f'height="{tall + strip:g}pt"' in marked
    (y,) = re.findall(r'y="([0-9.]+)"[^>]*>simulated data<', marked)
    assert tall + strip > float(y) > tall + 0.5 * strip
    pdf = re.findall(rb"/MediaBox \[ ?0 0 ([0-9.]+) ([0-9.]+)", files[".pdf"].read_bytes())[0]
    assert [float(one) for one in pdf] == pytest.approx([wide, tall + strip], abs=0.01)
    size = np.frombuffer(files[".png"].read_bytes()[16:24], dtype=">u4")
    assert size == pytest.approx(np.array([wide, tall + strip]) * 300 / 72, abs=1)
    own = Panel(name="y", title="", how="", alt="", svg='<svg viewBox="-2 0 100 50"></svg>')
    assert ">simulated data</text>" in shelf.save(own, "", [])[0].read_text()


@pytest.mark.parametrize(
    ("names", "places", "expected"),
    [
        (["pre", "week 1", "week 2"], [0, 7, 14], (["pre", "week 1", "week 2"], 0)),
        (["hour 1", "hour 4", "day 14"], [1, 4, 20], (["hour\n1", "hour\n4", "day\n14"], 0)),
        (["hour 1", "hour 4", "day 30"], [0.04, 0.17, 30], (["hour 1", "hour 4", "day 30"], 40)),
        (["pre"], [0], (["pre"], 0)),
    ],
)
def test_names_below_an_axis_are_turned_only_where_they_do_not_fit(names, places, expected):
    assert fitted_names(names, places, inches=3.15) == expected
