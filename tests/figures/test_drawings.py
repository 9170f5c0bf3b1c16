"""Figures draw what the tables say: asserted on artists and data, never on pixels."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from connectrial.figures.availability import plot_availability
from connectrial.figures.clinical import plot_course, plot_rates
from connectrial.figures.flow import describe_flow, draw_flow
from connectrial.figures.forest import plot_forest, plot_truth
from connectrial.figures.hypothesis import plot_groups, plot_hypothesis
from connectrial.figures.linked_charts import chart_quality
from connectrial.figures.matrices import order_by_network, plot_edge_matrix, plot_matrices
from connectrial.figures.palette import LEVELS, STYLE, level_colours, swarm
from connectrial.figures.quality import plot_quality
from connectrial.figures.reliability import plot_retest
from connectrial.figures.svg import figure_svg

VISITS = ["pre", "post"]


@pytest.fixture
def values() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "subject": ["a", "a", "b", "b", "c", "d", "d"],
            "visit": ["post", "pre", "pre", "post", "pre", "pre", "post"],
            "value": [0.2, 0.3, 0.4, 0.5, 0.6, 0.1, 0.3],
            "arm": ["drug", "drug", "drug", "drug", "drug", "placebo", "placebo"],
        }
    )


@pytest.fixture
def means() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "visit": ["pre", "post"] * 2,
            "by": ["placebo", "placebo", "drug", "drug"],
            "by_factor": "arm",
            "estimate": [0.10, 0.31, 0.42, 0.33],
            "ci_low": [0.0, 0.2, 0.3, 0.2],
            "ci_high": [0.2, 0.4, 0.5, 0.4],
            "source": "model",
        }
    )


def _lines(ax):
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in ax.lines]


def test_hypothesis_draws_every_person_in_visit_order_and_the_model_means(values, means):
    """Rows come in any order, visits in the study's; a person seen once is an open marker."""
    figure = plot_hypothesis(values, means, visits=VISITS, by="arm", levels=["placebo", "drug"])
    placebo, drug, change = figure.axes
    assert [placebo.get_title(loc="left"), drug.get_title(loc="left")] == ["placebo", "drug"]
    lines = _lines(drug)
    assert ([0.0, 1.0], [0.3, 0.2]) in lines
    assert ([0.0, 1.0], [0.4, 0.5]) in lines
    assert ([0.0], [0.6]) in lines
    assert ([0, 1], [0.42, 0.33]) in lines
    assert [tick.get_text() for tick in drug.get_xticklabels()] == ["pre\nn = 3", "post\nn = 2"]
    assert placebo.get_ylim() == drug.get_ylim()
    assert [tick.get_text() for tick in change.get_xticklabels()] == [
        "placebo\nn = 1",
        "drug\nn = 2",
    ]


def test_change_is_last_minus_first_and_bars_are_the_declared_changes(values, means):
    """Change of a person = post - pre; a bar is the estimate given, else the means' difference."""
    plain = plot_hypothesis(values, means, visits=VISITS, by="arm", levels=["placebo", "drug"])
    points = [p.get_offsets()[:, 1] for p in plain.axes[2].collections]
    assert sorted(np.round(points[1], 12)) == [-0.1, 0.1]
    assert [bar.get_height() for bar in plain.axes[2].patches] == pytest.approx([0.21, -0.09])
    given = pd.DataFrame(
        {"level": ["drug"], "estimate": [-0.5], "ci_low": [-0.7], "ci_high": [-0.3]}
    )
    told = plot_hypothesis(
        values, means, visits=VISITS, by="arm", levels=["placebo", "drug"], changes=given
    )
    assert [bar.get_height() for bar in told.axes[2].patches] == pytest.approx([0.21, -0.5])
    spans = [
        s.get_segments()[0][:, 1].tolist()
        for s in told.axes[2].collections
        if hasattr(s, "get_segments") and len(s.get_segments())
    ]
    assert [pytest.approx([-0.7, -0.3])] == spans


def test_one_panel_and_no_change_where_there_is_one_visit(values):
    """A study of one visit has no change to draw."""
    figure = plot_hypothesis(values[values["visit"] == "pre"], None, visits=VISITS)
    assert len(figure.axes) == 1


def test_observed_means_do_not_mix_with_the_models(values, means):
    """Where both kinds are there the model's are drawn."""
    both = pd.concat([means.assign(source="observed", estimate=0.9), means])
    figure = plot_hypothesis(values, both, visits=VISITS, by="arm", levels=["placebo", "drug"])
    assert ([0, 1], [0.42, 0.33]) in _lines(figure.axes[1])
    assert ([0, 1], [0.9, 0.9]) not in _lines(figure.axes[1])


def test_groups_join_a_persons_visits_at_their_own_points():
    """A grey line starts and ends where the person's points are."""
    table = pd.DataFrame(
        {"subject": ["c", "p", "p"], "column": ["control", "pre", "post"], "value": [0.1, 0.3, 0.2]}
    )
    columns = ["control", "pre", "post"]
    ax = plot_groups(table, None, columns=columns, colours=["#888888", "#56b4e9", "#d55e00"]).axes[
        0
    ]
    assert ([1.0, 2.0], [0.3, 0.2]) in _lines(ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == [f"{c}\nn = 1" for c in columns]


def test_course_is_true_to_time_and_marks_scans():
    """With days for every visit the axis is time; a triangle stands at each visit with a scan."""
    scores = pd.DataFrame(
        {"subject": ["a"] * 3, "visit": ["w8", "pre", "w2"], "score": [9.0, 30.0, 12.0]}
    )
    days = {"pre": -1.0, "w2": 18.0, "w8": 60.0}
    ax = plot_course(
        scores, None, visits=["pre", "w2", "w8"], scale="MADRS", days=days, scan_visits=["pre"]
    ).axes[0]
    assert ([-1.0, 18.0, 60.0], [30.0, 12.0, 9.0]) in _lines(ax)
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["pre", "w2", "w8"]
    assert ([-1.0], [0.0]) in [
        (list(line.get_xdata()), list(line.get_ydata()))
        for line in ax.lines
        if line.get_marker() == "^"
    ]
    ranks = plot_course(
        scores, None, visits=["pre", "w2", "w8"], scale="MADRS", days={"pre": 1.0}
    ).axes[0]
    assert ([0.0, 1.0, 2.0], [30.0, 12.0, 9.0]) in _lines(ranks)


def test_rates_are_percent():
    """A fraction of .5 is a bar of 50."""
    rates = pd.DataFrame(
        {
            "label": ["response"],
            "estimate": [0.5],
            "ci_low": [0.3],
            "ci_high": [0.7],
            "text": ["6 of 12"],
        }
    )
    ax = plot_rates(rates).axes[0]
    assert ax.patches[0].get_width() == 50
    assert ([30.0, 70.0], [0, 0]) in _lines(ax)


def test_quality_sets_visits_and_arms_apart_and_draws_the_limit():
    """One column of points per visit and arm, in declared order, with its median."""
    table = pd.DataFrame(
        {
            "visit": ["post", "pre", "pre", "pre"],
            "arm": ["a", "b", "a", "a"],
            "mean_fd_mm": [0.3, 0.2, 0.1, 0.5],
        }
    )
    ax = plot_quality(
        table, measure="mean_fd_mm", visits=VISITS, by="arm", levels=["a", "b"], limit=0.4
    ).axes[0]
    columns = [c.get_offsets() for c in ax.collections if len(c.get_offsets())]
    assert [sorted(c[:, 1]) for c in columns] == [[0.1, 0.5], [0.2], [0.3]]
    centres = [c[:, 0].mean() for c in columns]
    assert centres[0] < centres[1] < centres[2]
    medians = [y[0] for x, y in _lines(ax) if len(x) == 2 and x != [0, 1]]
    assert medians == [0.3, 0.2, 0.3]
    assert ([0, 1], [0.4, 0.4]) in _lines(ax)


def test_many_columns_of_quality_are_counted_by_visit():
    """Fourteen regions at eight visits: no room for 112 counts above the columns."""
    regions, visits = [f"region {i}" for i in range(14)], [f"placebo {i} min" for i in range(8)]
    rows = [(v, r, float(k)) for v in visits for r in regions for k in range(3)]
    rows += [(visits[0], regions[0], 3.0)]
    values = pd.DataFrame(rows, columns=["visit", "region", "tsnr"])
    (ax,) = plot_quality(values, measure="tsnr", visits=visits, by="region", levels=regions).axes
    counts = [text.get_text() for text in ax.texts]
    assert counts == ["n = 3–4", *["n = 3"] * 7]


def test_availability_shows_every_cell_once():
    """Counts in the legend are those of the table; blocks keep their people's order."""
    table = pd.DataFrame(
        {
            "subject": ["a", "a", "b", "b"],
            "visit": ["pre", "post"] * 2,
            "what": "scan",
            "state": ["complete", "missing", "partial", "excluded"],
        }
    )
    ax = plot_availability(table, visits=VISITS, blocks={"drug": ["b"], "placebo": ["a"]}).axes[0]
    words = [text.get_text() for text in ax.figure.legends[0].get_texts()]
    assert [re.search(r"\((\d)\)", word).group(1) for word in words] == ["1"] * 4
    places = {
        c.get_label().split(" ")[0].rstrip(":"): c.get_offsets().tolist() for c in ax.collections
    }
    assert places["complete"][0][0] > places["partial"][0][0]
    assert places["partial"][0][1] == places["complete"][0][1] == 0
    assert places["there,"] == [[0.0, 1.0]]


def _forest_rows():
    base = {
        "role": "primary",
        "estimate": -0.08,
        "ci_low": -0.14,
        "ci_high": -0.02,
        "p": 0.012,
        "df": 37.0,
    }
    base |= {
        "df_numerator": np.nan,
        "df_method": "residual",
        "flags": "",
        "label": "Default: time",
        "first": True,
    }
    other = base | {
        "df": 18.4,
        "df_method": "satterthwaite",
        "ci_low": -0.15,
        "first": False,
        "p": 0.02,
    }
    return pd.DataFrame([base, other, base | {"role": "negative control", "label": "Visual: time"}])


def test_forest_rows_keep_order_and_name_their_df():
    """Rows that repeat an estimate stand closer, and every p stands beside its df method."""
    figure = plot_forest(_forest_rows())
    drawing, numbers = figure.axes
    labels = {
        t.get_text(): y
        for t, y in zip(drawing.get_yticklabels(), drawing.get_yticks(), strict=True)
    }
    assert list(labels) == ["Default: time", "Visual: time"]
    ends = [line for line in _lines(drawing) if len(line[0]) == 2 and line[1][0] == line[1][1]]
    assert [x for x, _ in ends] == [[-0.14, -0.02], [-0.15, -0.02], [-0.14, -0.02]]
    heights = [y[0] for _, y in ends]
    assert 0 < heights[1] - heights[0] < heights[2] - heights[1]
    words = [text.get_text() for text in numbers.texts]
    assert "37.0 (residual)" in words
    assert "18.4 (Satterthwaite)" in words
    assert "−0.0800 [−0.140, −0.020]" in words


def test_truth_marks_what_the_intervals_miss():
    """Covered intervals and missed ones differ in colour."""
    truth = pd.DataFrame(
        {"name": ["a", "b"], "term": "time", "truth": [0.0, 0.0], "estimate": [0.1, 0.5], "ci_low": [-0.1, 0.3],
         "ci_high": [0.3, 0.7], "covered": [True, False]}
    )  # fmt: skip
    ax = plot_truth(truth).axes[0]
    spans = {
        tuple(line.get_xdata()): line.get_color() for line in ax.lines if len(line.get_xdata()) == 2
    }
    assert spans[(-0.1, 0.3)] != spans[(0.3, 0.7)]


def test_retest_axes_are_the_same_on_both_sides():
    """The line of equality is the diagonal of a square."""
    pairs = pd.DataFrame({"pre1": [0.1, 0.5, np.nan], "pre2": [0.2, 0.4, 0.3]})
    ax = plot_retest(pairs, first="pre1", second="pre2", title="Default").axes[0]
    assert ax.get_xlim() == ax.get_ylim()
    assert ax.collections[0].get_offsets().tolist() == [[0.1, 0.2], [0.5, 0.4]]


def test_matrix_puts_networks_together_and_leaves_unknown_cells_blank():
    """Parcels of a network are neighbours; cells move with their parcels."""
    names = ["v1", "d1", "v2", "d2"]
    matrix = pd.DataFrame(np.arange(16.0).reshape(4, 4), index=names, columns=names)
    matrix.loc["v1", "v1"] = np.nan
    networks = {"v1": "Vis", "v2": "Vis", "d1": "Default"}
    blocks = order_by_network(names, networks)
    assert blocks.order == ("v1", "v2", "d1", "d2")
    assert blocks.spans == (("Vis", 0, 2), ("Default", 2, 3), ("other", 3, 4))
    image = plot_matrices({"pre": matrix}, networks).axes[0].images[0]
    shown = image.get_array()
    assert shown[0, 1] == matrix.loc["v1", "v2"]
    assert shown[2, 3] == matrix.loc["d1", "d2"]
    assert np.ma.getmaskarray(shown)[0, 0]


def test_names_of_networks_do_not_run_into_one_another():
    """Large networks of a small matrix are named; a network alone has its parcels named."""
    sizes = [40, 30, 2, 2, 2, 25, 1, 1]
    parcels = [f"p{i}" for i in range(sum(sizes))]
    networks = dict(zip(parcels, np.repeat([f"n{i}" for i in range(8)], sizes), strict=True))
    matrix = pd.DataFrame(np.eye(len(parcels)), index=parcels, columns=parcels)
    ax = plot_matrices({"pre": matrix}, networks).axes[0]
    named = [one.get_text() for one in ax.get_yticklabels()]
    assert {"n0", "n1", "n5"} <= set(named)
    assert len(named) < len(sizes)
    assert np.diff(ax.get_yticks()).min() >= len(parcels) * 0.12 / 1.7
    edges = pd.DataFrame(
        {"parcel_a": ["a"], "parcel_b": ["b"], "statistic": [1.0], "p_adjusted": [0.5]}
    )
    alone = plot_edge_matrix(edges, parcels=["a", "b"], networks=dict.fromkeys("ab", "Limbic"))
    assert [one.get_text() for one in alone.axes[0].get_xticklabels()] == ["a", "b"]


def test_edge_matrix_shows_all_below_and_only_what_passes_above():
    """Lower triangle: every edge; upper: adjusted p < .05, whatever the order of a and b."""
    edges = pd.DataFrame(
        {
            "parcel_a": ["b", "a", "c"],
            "parcel_b": ["a", "c", "b"],
            "statistic": [1.0, -4.0, 2.0],
            "p_adjusted": [0.9, 0.01, np.nan],
        }
    )
    shown = (
        plot_edge_matrix(edges, parcels=["a", "b", "c"], networks={}).axes[0].images[0].get_array()
    )
    assert shown[1, 0] == 1.0
    assert shown[2, 0] == -4.0
    assert shown[0, 2] == -4.0
    mask = np.ma.getmaskarray(shown)
    assert mask[0, 1]
    assert mask[1, 2]


def test_flow_says_every_number_and_reason():
    """The drawing and its words hold the same counts; names are escaped."""
    flow = pd.DataFrame(
        {
            "step": [0, 1, 2, 2],
            "box": ["Known", "Analysed <all>", "pre", "post"],
            "n_subjects": [55, 49, 49, 1],
            "n_scans": pd.array([92, 86, pd.NA, 1], dtype="Int64"),
            "left_out": [
                "",
                "6 people: arm & dose not stated\n1 scan: moved",
                "",
                "48 people: no scan",
            ],
        }
    )
    tree = ElementTree.fromstring(draw_flow(flow))
    words = [node.text for node in tree.iter() if node.tag.endswith("text")]
    for expected in (
        "55 people, 92 scans",
        "Analysed <all>",
        "6 people: arm & dose not stated",
        "1 person, 1 scan",
    ):
        assert expected in words
    assert "post: 48 people: no scan" in words
    rects = [node for node in tree.iter() if node.tag.endswith("rect")]
    assert [node.get("class") for node in rects].count("box") == 4
    side_by_side = [float(node.get("y")) for node in rects if node.get("class") == "box"][-2:]
    assert side_by_side[0] == side_by_side[1]
    assert "6 people: arm & dose not stated" in describe_flow(flow)


def test_many_boxes_of_a_flow_stand_in_lines_and_name_their_further_lines():
    """Eight boxes in one line would leave letters of 6 px on a page."""
    flow = pd.DataFrame({"step": [0] + [1] * 6, "box": ["Known", *"abcdef"], "n_subjects": 4})
    flow["more"] = ["", "scan before: 4 people", *[""] * 5]
    tree = ElementTree.fromstring(draw_flow(flow))
    rects = [node for node in tree.iter() if node.tag.endswith("rect")][1:]
    heights = [float(node.get("y")) for node in rects]
    assert heights[0] == heights[1] == heights[2] < heights[3] == heights[4] == heights[5]
    assert float(tree.get("viewBox").split()[2]) < 900
    assert "scan before: 4 people" in [node.text for node in tree.iter()]
    assert "a: 4 people, scan before: 4 people." in describe_flow(flow)


def test_quality_names_the_levels_of_the_chosen_factor_alone_and_in_full():
    sequences = [f"placebo then midazolam then ketamine {i}" for i in range(6)]
    rows = pd.DataFrame({"subject": list("abcdef"), "session": "1", "mean_fd_mm": np.arange(6.0)})
    rows = rows.assign(visit="placebo before", sex=["f", "m"] * 3, sequence=sequences)
    chart = chart_quality(
        rows,
        measures={"mean_fd_mm": "frames above the limit of displacement (share)"},
        visits=[f"{drug} before the infusion" for drug in "abcdef"] + ["placebo before"],
        factors={"sex": ["f", "m"], "sequence": sequences},
        limits={},
    ).to_dict()
    encoding = chart["concat"][0]["layer"][0]["encoding"]
    legend = encoding["color"]["legend"]
    assert legend["labelLimit"] == 0
    assert json.dumps(sequences)[1:-1] in legend["values"]["expr"]
    assert "not stated" not in legend["values"]["expr"]
    assert legend["columns"] == 2
    scale = dict(zip(*(encoding["color"]["scale"][k] for k in ("domain", "range")), strict=True))
    assert scale["f"] == scale[sequences[0]]  # never shown together
    assert encoding["x"]["axis"]["labelAngle"] == -40
    assert len(encoding["y"]["title"]) == 2


def test_svg_is_the_same_every_time_and_follows_the_theme(values, means):
    """No date, no random id; ids carry the figure's name; ink is the page's variable; text is text."""

    def draw(name):
        figure = plot_hypothesis(values, means, visits=VISITS, by="arm", levels=["placebo", "drug"])
        return figure_svg(figure, name=name, alt='a <b> & "c"')

    first = draw("one")
    assert first == draw("one")
    assert "<dc:date>" not in first
    ids = set(re.findall(r'id="([^"]+)"', first))
    assert ids
    assert all(name.startswith("one-") for name in ids)
    assert not ids & set(re.findall(r'id="([^"]+)"', draw("two")))
    assert "var(--ink)" in first
    assert STYLE["text.color"] not in first
    tree = ElementTree.fromstring(first)
    assert tree.get("aria-label") == 'a <b> & "c"'
    assert "change, pre to post" in [node.text for node in tree.iter() if node.tag.endswith("text")]


def test_svg_keeps_the_digits_that_people_read():
    """Coordinates are cut to three decimals, printed numbers never."""
    figure = Figure()
    figure.text(0.123456789, 0.5, "0.0004999 [0.00012345]")
    text = figure_svg(figure, name="x", alt="x")
    assert "0.0004999 [0.00012345]" in text
    assert not re.search(r'x="\d+\.\d{4,}"', text)


def test_names_with_dollar_signs_are_no_formulas(values):
    """A level called '$x^2$' is drawn as it is written."""
    odd = values.assign(arm=values["arm"].replace({"drug": "$x^2$"}))
    figure = plot_hypothesis(odd, None, visits=VISITS, by="arm", levels=["$x^2$"])
    assert "$x^2$" in figure_svg(figure, name="x", alt="x")


def test_drawing_leaves_the_callers_settings_alone(values):
    """rcParams are as before, and any axes given are drawn into."""
    with mpl.rc_context({"font.size": 23, "axes.grid": True}):
        before = dict(mpl.rcParams)
        plot_hypothesis(values, None, visits=VISITS)
        assert dict(mpl.rcParams) == before
    own = Figure()
    ax = own.subplots()
    assert plot_quality(values, measure="value", visits=VISITS, ax=ax) is own
    assert ax.get_ylabel() == "value"


def test_no_figure_needs_pyplot():
    """Figures live without global state: pyplot is never imported."""
    code = (
        "import sys, connectrial.report, connectrial.figures.forest, connectrial.figures.matrices\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_swarm_keeps_points_apart_and_inside():
    """Points of equal value never coincide and stay in the column; a lone point is in the middle."""
    offsets = swarm([1.0] * 7 + [5.0], width=0.6)
    assert len(set(offsets[:7])) == 7
    assert max(map(abs, offsets)) <= 0.3
    assert offsets[7] == 0
    assert swarm([2.0]) == [0.0]
    assert swarm([]) == []


def test_level_colours_follow_declared_order_and_controls_are_grey():
    """Order of the study file, not of the alphabet."""
    colours = level_colours(["placebo", "drug", "control"], controls=["control"])
    assert list(colours.values())[:2] == list(LEVELS[:2])
    assert colours["control"] not in LEVELS


def test_a_sensitivity_of_the_forest_says_which_one_it_is():
    """Below its estimate with its own words; a question that has no estimate above it by its name."""
    rows = pd.DataFrame(
        [
            ["A:\nchange", "primary", True, True, "", 0.1],
            ["period 1 alone", "sensitivity", False, False, "period 1 alone", 0.2],
            ["A: more", "sensitivity", False, True, "", 0.3],
        ],
        columns=["label", "role", "first", "apart", "flags", "estimate"],
    ).assign(ci_low=0.0, ci_high=0.4, p=0.1, df=10.0, df_method="residual")
    drawing = plot_forest(rows).axes[0]
    assert [one.get_text() for one in drawing.get_yticklabels()] == list(rows["label"])
    sizes = [one.get_fontsize() for one in drawing.get_yticklabels()]
    assert sizes[1] < sizes[0] == sizes[2]
    places = drawing.get_yticks()
    assert places[1] - places[0] < places[2] - places[1]
