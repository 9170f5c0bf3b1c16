"""The interactive forms: what their scripts are given, decoded, is what the results hold."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import t as student

from connectrial.report.quantise import pack, unpack, worst
from connectrial.results import Results
from test_report import NASTY, siegel_like, siegel_page


class Forms(HTMLParser):
    """Collects the interactive forms of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[dict[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        own = dict(attrs)
        if "data-live" in own:
            self.found.append(own)

    def data(self, kind: str, number: int = 0):
        return json.loads([f for f in self.found if f["data-live"] == kind][number]["data-json"])

    def chart(self, title: str, column: str = "declared"):
        """Return the rows of a chart that have a column."""
        (own,) = [f for f in self.found if f["data-title"] == title and f["data-live"] == "vega"]
        tables = json.loads(own["data-json"])["spec"]["datasets"].values()
        return next(rows for rows in tables if rows and column in rows[0])


@pytest.fixture(scope="module")
def results() -> Results:
    return siegel_like()


@pytest.fixture(scope="module")
def page() -> str:
    return siegel_page()


@pytest.fixture(scope="module")
def forms(page) -> Forms:
    return Forms(page)


@given(
    arrays(np.float64, st.integers(0, 40), elements=st.floats(-1e6, 1e6) | st.just(float("nan"))),
    st.sampled_from([8, 16]),
)
def test_packed_numbers_come_back_to_the_stated_rounding(values, bits):
    """Law: |unpacked - given| <= half a step, which is (range / codes) / 2; missing stays missing."""
    packed = pack(values, bits=bits)
    again = unpack(packed)
    assert np.array_equal(np.isnan(again), np.isnan(values))
    known = np.isfinite(values)
    if known.any():
        bound = np.ptp(values[known]) / (2**bits - 2) / 2
        assert worst(packed) == pytest.approx(bound, abs=1e-300)
        off = np.abs(again[known] - values[known]).max()
        # Below the smallest normal number a step is no longer a fraction of the range.
        least = np.finfo(np.float64).tiny
        assert off <= bound * (1 + 1e-9) + 1e-9 * np.abs(values[known]).max() + least


def test_many_numbers_take_one_byte_each():
    """Page weight: 447 parcels in 16 bits, 1000 parcels in 8 bits; 333 parcels x 3 stay under 1 MB."""
    rng = np.random.default_rng(1)
    assert pack(rng.normal(size=1000 * 999 // 2))["bits"] == 8
    one = pack(rng.normal(size=333 * 332 // 2))
    assert one["bits"] == 16
    assert 3 * len(one["data"]) < 1_000_000


def test_an_edge_table_comes_back_from_its_form(results, forms):
    """Every edge at its pair of parcels: estimate, t, p, adjusted p, interval by its own df."""
    data = forms.data("matrix", 1)
    columns = {key: unpack(one) for key, one in data["views"][0]["columns"].items()}
    rounding = {key: worst(one) + 1e-12 for key, one in data["views"][0]["columns"].items()}
    pairs = list(zip(*np.triu_indices(len(data["parcels"]), 1), strict=True))
    at = {frozenset((data["parcels"][i], data["parcels"][j])): k for k, (i, j) in enumerate(pairs)}
    edges = results.edges["all edges"]
    assert len(edges) == len(pairs) == len(columns["t"])
    for row in edges.itertuples():
        k = at[frozenset((row.parcel_a, row.parcel_b))]
        half = student.ppf(0.975, row.df) * row.se
        assert columns["estimate"][k] == pytest.approx(row.estimate, abs=rounding["estimate"])
        assert columns["t"][k] == pytest.approx(row.statistic, abs=rounding["t"])
        assert columns["half"][k] == pytest.approx(half, abs=rounding["half"])
        assert columns["p"][k] == pytest.approx(-np.log10(row.p), abs=rounding["p"])
        adjusted = -np.log10(row.p_adjusted)
        assert columns["adjusted"][k] == pytest.approx(adjusted, abs=rounding["adjusted"])


def test_mean_matrices_come_back_from_their_form(results, forms):
    """Each visit's matrix, parcels by network, to the stated rounding."""
    data = forms.data("matrix", 0)
    assert [view["name"] for view in data["views"]] == list(results.matrices)
    upper = np.triu_indices(len(data["parcels"]), 1)
    for view in data["views"]:
        packed = view["columns"]["estimate"]
        matrix = results.matrices[view["name"]].loc[data["parcels"], data["parcels"]].to_numpy()
        assert np.abs(unpack(packed) - matrix[upper]).max() <= worst(packed) * 1.0001
    spans = [tuple(span) for span in data["spans"]]
    assert spans == [("Default", 0, 6), ("Vis", 6, 12)]


def test_forms_hold_no_markup_and_the_page_two_scripts():
    """Names with markup stand in the data as text; nothing of them is parsed as a tag."""
    page = siegel_page(NASTY)
    assert page.count("\n<script>") == 2  # Vega, once for all charts, and the page's own
    for form in Forms(page).found:
        json.loads(form["data-json"])


def test_scripts_keep_to_the_policy(page):
    """No eval, no markup from text, no request: what default-src 'none' and axe allow."""
    script = page[page.rindex("<script>") :]
    for word in ("eval(", "new Function", "innerHTML", "outerHTML", "insertAdjacentHTML", "fetch("):
        assert word not in script
    assert "XMLHttpRequest" not in script
    assert "document.write" not in script


def test_the_forest_is_given_what_the_static_one_draws(results, forms):
    """Each tested row with its interval, p values and df method, declared ones marked."""
    found = forms.chart("All tested effects (Fisher z)")
    rows = results["Default"].estimates
    name = re.sub(r" \(.*\)$", "", results["Default"].title)
    wanted = rows[rows["term"].isin(["time", "time:response"])]
    own = [row for row in found if row["effect"].startswith(f"{name}: ")]
    assert len(own) == len(wanted) == 4
    assert len({row["label"] for row in found}) == len(found)  # one line each
    # What an axis writes while all rows show: the effect once, below it only what differs.
    short = [row["label"].split("\u241f")[0] for row in own]
    assert [one for one in short if not one.startswith(name)] == ["Satterthwaite df"] * 2
    for row in wanted.itertuples():
        same = [
            one
            for one in own
            if one["estimate"] == row.estimate and one["declared"] == row.declared
        ]
        assert [(one["low"], one["high"], one["p"]) for one in same] == [
            (row.ci_low, row.ci_high, row.p)
        ]
        assert (
            same[0]["method"]
            == {"residual": "residual", "satterthwaite": "Satterthwaite"}[row.df_method]
        )
    assert forms.chart("All tested effects (points)")


def test_charts_are_given_what_the_static_figures_draw(results, forms):
    """Course and waterfall: every person's score, and every percent change once."""
    scores = results.tables["scores"].dropna(subset=["score"])
    own = scores[scores["scale"] == "MADRS"]
    drawn = forms.chart("MADRS over time", column="score")
    known = {(row["person"], row["visit"], row["score"]) for row in drawn}
    assert known <= set(zip(own["subject"], own["visit"].astype(str), own["score"], strict=True))
    assert len(drawn) == len(known) > 20
    for form in forms.found:
        if form["data-live"] == "vega":
            text = form["data-json"]
            assert "http" not in text.replace("https://vega.github.io/schema/vega-lite/", "")
            assert '"url"' not in text


def test_people_have_the_same_number_in_every_figure_and_no_name(results, page):
    """A mark is the row of the table of people; each point of a group has one; ids stay out."""
    marked = re.findall(r'data-who="([\d ]+)"', page)
    order = list(results.tables["subjects"]["subject"])
    assert {int(one) for group in marked for one in group.split()} <= set(range(1, len(order) + 1))
    svg = page[page.index('id="figure-hypothesis-default"') :]
    svg = svg[: svg.index("</svg>")]
    values = results.tables["visit_fc"]
    own = values[(values["outcome"] == "Default") & values["visit"].isin(["pre", "post"])]
    lines = {int(one) for one in re.findall(r'data-who="(\d+)"', svg)}
    assert lines == {order.index(name) + 1 for name in own["subject"]}
    groups = re.findall(r'data-who="(\d+(?: \d+)+)"(.*?)</g>\s*</g>', svg, flags=re.DOTALL)
    assert groups
    both = own.pivot_table(index="subject", columns="visit", values="fc_z").dropna()
    change = both["post"] - both["pre"]
    for people, drawing in groups:
        numbers = [int(one) for one in people.split()]
        height = [float(y) for y in re.findall(r'<use [^>]*y="([\d.]+)"', drawing)]
        assert len(height) == len(numbers)
        sizes = [change[order[number - 1]] for number in numbers]
        assert np.corrcoef(sizes, height)[0, 1] < -0.999
    assert not re.search(r"_people|who_", page)


def test_saved_figures_name_nobody(results):
    """Labels of lines hold names while drawing; no file that is saved has one."""
    from connectrial.report import report_figures
    from connectrial.report.figure_files import figure_bytes

    figure = report_figures(results)["hypothesis_default"]
    saved = figure_bytes(figure, "svg", name="x").decode()
    assert not [
        name
        for name in results.tables["subjects"]["subject"]
        if f">{name}<" in saved or f"_{name}" in saved
    ]
