"""Pages of single people and of all scans: what stands there, and when they are made."""

from __future__ import annotations

import base64
import html
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

from connectrial import load_results, render_report
from connectrial.figures.rasters import (
    COLOURS,
    GREYS,
    carpet_levels,
    carpet_png,
    matrix_levels,
    png_levels,
    shrink,
)
from connectrial.io.ids import read_codes
from connectrial.report.saving_pages import remove_pages, save_pages
from connectrial.report.scan_drawings import parcel_svg, shared_budget, trace_svg
from connectrial.report.scan_links import with_pages
from connectrial.report.scan_views import pages_table
from rated_trial import BROKEN, RESTLESS, SPIKE, WEAK, pages_of, run_rated, write_rated
from tiny_images import N_FRAMES, NETWORKS, PARCELS


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The trial, its results, and its pages under codes."""
    folder = tmp_path_factory.mktemp("rated")
    study = write_rated(folder)
    out = folder / "out"
    results = run_rated(study, out)
    save_pages(pages_of(results, out), out)
    return study, results, out


class Scans(HTMLParser):
    """The text and the pictures of each scan of a page."""

    def __init__(self):
        super().__init__()
        self.text, self.images, self.here, self.depth = {}, {}, None, 0

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if tag == "section" and "scan" in (named.get("class") or "").split():
            self.here = named["id"]
            self.text[self.here], self.images[self.here] = "", []
        if tag == "img" and self.here:
            self.images[self.here].append(named)

    def handle_endtag(self, tag):
        if tag == "section":
            self.here = None

    def handle_data(self, data):
        if self.here:
            self.text[self.here] += data


def read(page):
    reader = Scans()
    reader.feed(page.read_text())
    reader.close()
    return reader


def scan(out, who, page=None):
    """Text and pictures of one scan on its person's page."""
    code = read_codes(out / "ids.tsv")[who[0]]
    found = read(page or out / "people" / f"{code}.html")
    return found.text[f"{code}-{who[1]}"], found.images[f"{code}-{who[1]}"]


def levels_of(image):
    return png_levels(base64.b64decode(image["src"].partition("base64,")[2]))


def test_every_scan_has_its_numbers_and_its_fate(ran):
    """Law: each scan of the table stands on its page with its reason; numbers are the table's."""
    _, results, out = ran
    codes = read_codes(out / "ids.tsv")
    listed = read(out / "scans.html")
    scans = results.tables["scans"]
    assert set(listed.text) == {f"{codes[row.subject]}-{row.session}" for row in scans.itertuples()}
    for row in scans.itertuples():
        text, _ = scan(out, (row.subject, row.session))
        assert ("analysed" if row.analysed else "left out") in text
        assert row.reason.replace(f"sub-{row.subject}_", f"sub-{codes[row.subject]}_") in text
    quality = results.tables["quality"].set_index(["subject", "session"])
    text, _ = scan(out, SPIKE)
    assert f"mean framewise displacement (mm){quality.loc[SPIKE, 'mean_fd_mm']:.3g}" in text
    assert "at most 0.9" in text
    assert "3 of 60 frames censored" in text
    assert f"temporal degrees of freedom left{quality.loc[SPIKE, 'remaining_df']:.0f}" in text
    assert "1 weak parcel" in scan(out, WEAK)[0]
    assert "S1" in scan(out, WEAK)[0]


def test_scans_that_failed_say_why_and_show_what_is_known(ran):
    _, results, out = ran
    reasons = results.tables["scans"].set_index(["subject", "session"])["reason"]
    assert reasons[RESTLESS]
    assert reasons[BROKEN].startswith("this is no NIfTI image that can be read")
    text, pictures = scan(out, RESTLESS)
    # Never read, but its confounds were: displacement is drawn, with what was censored.
    assert "FD (mm)" in text
    assert "30 of 60 frames censored" in text
    assert pictures == []
    text, pictures = scan(out, BROKEN)
    assert "this is no NIfTI image that can be read" in text
    assert pictures == []


def test_pictures_are_the_files_of_the_scan(ran):
    """Carpets and matrix, decoded from the page, are levels of what the run wrote as numbers."""
    _, results, out = ran
    _, (before, after, matrix) = scan(out, SPIKE)
    files = results.tables["scan_files"].set_index(["subject", "session"]).loc[SPIKE]
    series = pd.read_csv(
        next((out / files["matrix"]).parent.glob("*stat-mean_timeseries.tsv")), sep="\t"
    ).to_numpy()
    kept = pd.read_csv(out / files["frames"], sep="\t")["kept"].to_numpy() == 1
    assert (~kept).nonzero()[0].tolist() == [20, 21, 40]
    standard = (series - series[kept].mean(axis=0)) / series[kept].std(axis=0)
    assert sorted(NETWORKS, key=NETWORKS.index) == NETWORKS  # in the order of their networks
    expected = np.clip(np.rint((standard.T / 2.5 + 1) / 2 * (GREYS - 1)), 0, GREYS - 1)
    expected = np.where(np.isfinite(expected), expected, GREYS)
    assert (levels_of(after) == expected).mean() > 0.99  # series on disk have 7 digits
    assert levels_of(before).shape == (len(PARCELS), N_FRAMES)
    r = pd.read_csv(out / files["matrix"], sep="\t", index_col=0).to_numpy()
    limit = pages_of(results, out).study.matrix_limit
    drawn = levels_of(matrix)
    assert (drawn.diagonal() == COLOURS).all()
    off = ~np.eye(len(r), dtype=bool)
    middle = (drawn[off] / (COLOURS - 1) * 2 - 1) * limit
    assert np.abs(middle - np.clip(r[off], -limit, limit)).max() <= limit / (COLOURS - 1) + 1e-9


def test_only_what_changed_is_made_again(ran):
    """Law: nothing is written twice; a changed file makes its person's page and the list anew."""
    _, results, out = ran
    pages = pages_of(results, out)
    assert save_pages(pages, out) == 0
    before = {one.name: one.read_bytes() for one in (out / "people").iterdir()}
    code = read_codes(out / "ids.tsv")["04"]
    frames = out / results.tables["scan_files"].set_index("subject").loc["04", "frames"].iloc[0]
    kept = frames.read_text()
    frames.write_text(kept.replace("0.1\t", "0.2\t", 1))
    assert save_pages(pages, out) == 2
    after = {one.name: one.read_bytes() for one in (out / "people").iterdir()}
    assert [name for name in before if before[name] != after[name]] == [f"{code}.html"]
    frames.unlink()
    save_pages(pages, out)
    assert "The file of frames is lost or damaged" in scan(out, WEAK)[0]
    frames.write_text(kept)
    assert save_pages(pages, out) == 2
    assert {one.name: one.read_bytes() for one in (out / "people").iterdir()} == before


def test_pages_of_people_who_left_are_removed(ran, tmp_path):
    """Also those that bear an identifier once codes are asked for; files of others stay."""
    _, results, out = ran
    pages = pages_of(results, out, keep=True)
    save_pages(pages, tmp_path)
    own = tmp_path / "people" / "notes.html"
    own.write_text("<p>mine")
    assert {one.name for one in (tmp_path / "people").iterdir()} == {
        "smith.html", "02.html", "03.html", "04.html", "notes.html",
    }  # fmt: skip
    assert "smith" in (tmp_path / "scans.html").read_text()
    fewer = replace(pages, people=pages.people[1:])
    save_pages(fewer, tmp_path)
    assert not (tmp_path / "people" / f"{pages.people[0].subject}.html").exists()
    assert remove_pages(tmp_path) == 4
    assert own.is_file()
    assert not (tmp_path / "scans.html").exists()


def test_the_report_leads_to_every_page_and_back(ran):
    _, results, out = ran
    pages = pages_of(results, out)
    tables = {name: results.tables[name] for name in ("subjects", "scans", "quality")}
    few = replace(results, analyses=(), edges={}, matrices={}, tables=tables)
    page = render_report(with_pages(few, pages_table(list(pages.people))))
    targets = set(re.findall(r'href="((?:people/|scans)[^"]*)"', page))
    assert "scans.html" in targets
    linked = {one for one in targets if "#" in one}
    assert len(linked) == 8
    for one in linked:
        file, _, anchor = one.partition("#")
        text = (out / file).read_text()
        assert f'id="{anchor}"' in text
        assert 'href="../report.html"' in text
        assert f'href="../scans.html#{anchor}"' in text
    assert f'id="{anchor}"' in (out / "scans.html").read_text()


def test_whoever_rates_sees_neither_arm_nor_name(ran):
    """The arm stands on a person's page, not where scans are rated; names nowhere."""
    _, _, out = ran
    rating = (out / "scans.html").read_text()
    assert "placebo" not in rating
    person = (out / "people" / f"{read_codes(out / 'ids.tsv')['smith']}.html").read_text()
    assert "placebo" in person
    for page in [*(out / "people").iterdir(), out / "scans.html"]:
        text = page.read_text()
        assert "smith" not in text.lower()
        assert text.count("<script") == 1
        assert "Rated &lt;/script&gt;&lt;b&gt;trial" in text
        assert "default-src 'none'" in html.unescape(text)
        assert not re.findall(r"(?:src|href)=\"(?!data:|#|\.\./|people/|report\.html)", text)


def test_a_scan_that_was_rated_bad_can_still_be_looked_at(ran, tmp_path):
    """Excluded by a list of codes: the flow has the reason, and the page keeps the pictures."""
    study, _, made = ran
    out = tmp_path / "out"  # the others look at what was made first
    shutil.copytree(made, out)
    code = read_codes(out / "ids.tsv")["smith"]
    before = scan(out, SPIKE)[1]
    listed = study.parent / "exclusions.tsv"
    listed.write_text(f"subject\tsession\treason\n{code}\tb\trated bad: stripes\n")
    results = run_rated(study, out, exclude=listed)
    row = results.tables["scans"].set_index(["subject", "session"]).loc[SPIKE]
    assert row["reason"] == "rated bad: stripes"
    assert "rated bad: stripes" in results.tables["flow"]["left_out"].str.cat()
    save_pages(pages_of(load_results(out), out), out)
    text, pictures = scan(out, SPIKE)
    assert "left out" in text
    assert "rated bad: stripes" in text
    assert [one["src"] for one in pictures] == [one["src"] for one in before]


def test_shrinking_averages_neighbours():
    """By hand: halves are means of two, all of a picture where it is small, gaps stay gaps."""
    levels = np.array([[0, 4, 8, 8], [4, 8, 9, 9], [9, 9, 2, 2]], dtype=np.uint8)
    assert shrink(levels, rows=3, columns=2, blank=9).tolist() == [[2, 8], [6, 9], [9, 2]]
    assert shrink(levels, rows=9, columns=9, blank=9).tolist() == levels.tolist()
    assert shrink(levels, rows=1, columns=1, blank=9).tolist() == [[4]]  # mean of 36 / 8, 4.5


def test_levels_say_what_is_missing():
    standard = np.array([[0.0, np.nan], [2.5, 0.0], [-9.0, 0.0]])
    levels = carpet_levels(standard, ["b", "a"])
    assert levels.tolist() == [[7, 14, 0], [15, 7, 7]]
    assert png_levels(carpet_png(levels)).tolist() == levels.tolist()
    z = np.array([[1.0, 0.4, np.nan], [0.4, 1, -0.8], [np.nan, -0.8, 1]])
    drawn = matrix_levels(z, ["x", "y", "x"], limit=0.8)
    assert drawn.tolist() == [[31, 31, 22], [31, 31, 0], [22, 0, 31]]
    with pytest.raises(ValueError, match="no picture"):
        png_levels(b"text")


def test_traces_leave_gaps_and_mark_what_is_censored():
    values = np.array([0.0, 1.0, np.nan, 5.0])
    svg = trace_svg(values, np.array([True, False, False, True]), top=2.0, limit=0.5)
    assert 'd="M0.5 100.0L1.5 50.0M3.5 0.0"' in svg
    assert '<path class="censored" d="M1 0H3V100H1Z"/>' in svg
    assert '<path class="limit" d="M0 75.0H4"/>' in svg
    bars = parcel_svg(np.array([0.5, np.nan]), np.array([False, True]), top=1.0)
    assert '<path class="bar" d="M0.06 100v-50.0h.88V100z"/>' in bars
    assert 'class="bar weak"' in bars


@pytest.mark.parametrize("n_scans", [1, 92, 1000])
def test_pictures_of_all_scans_keep_to_their_size(n_scans):
    """Law: two carpets and a matrix of noise, as often as there are scans, stay below 15 MB."""
    budget = shared_budget(n_scans)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(1200, 400))
    levels = carpet_levels(noise, [""] * 400)
    small = shrink(levels, rows=budget.rows, columns=budget.frames, blank=GREYS)
    bytes_each = 2 * len(carpet_png(small)) + 0.7 * budget.matrix**2
    assert n_scans * bytes_each * 4 / 3 < 15e6
