"""Pages of scans in a real browser: paging by keys, ratings, and the list that a run reads."""

from __future__ import annotations

import re

import pytest
from test_pages import OVERFLOW, PHONE

from connectrial.io.ids import read_codes
from connectrial.report.saving_pages import save_pages
from rated_trial import SPIKE, pages_of, run_rated, write_rated


@pytest.fixture(scope="module")
def rated(chromium, tmp_path_factory):
    """The tiny trial with its pages: study file and output folder."""
    folder = tmp_path_factory.mktemp("rated")
    study, out = write_rated(folder), folder / "out"
    save_pages(pages_of(run_rated(study, out), out), out)
    return study, out


def saved(page, button, path):
    with page.expect_download() as started:
        page.locator(button).click()
    started.value.save_as(path)
    return started.value.suggested_filename


def test_ratings_by_keyboard_go_to_the_flow(rated, open_page, tmp_path):
    """Round trip: keys, reason, download, run --exclude; the flow says what the rater said."""
    study, out = rated
    code = read_codes(out / "ids.tsv")[SPIKE[0]]
    listed, ratings = tmp_path / "exclusions.tsv", tmp_path / "ratings.tsv"
    with open_page(out / "scans.html") as seen:
        page = seen.page
        sections = page.locator("#viewer > .scan")
        assert sections.count() == 8
        assert page.locator("#viewer > .scan:visible").count() == 1
        order = page.locator("#scans-table tbody tr").evaluate_all(
            "(rows) => rows.map((one) => one.dataset.scan)"
        )
        for _ in range(order.index(f"{code}-{SPIKE[1]}")):
            page.keyboard.press("ArrowRight")
        assert page.locator("#viewer > .scan:visible").get_attribute("id") == f"{code}-{SPIKE[1]}"
        page.keyboard.press("3")
        page.keyboard.press("r")
        page.keyboard.type("=spikes\tleft 1 3")  # keys in a field are text
        page.keyboard.press("Enter")
        page.keyboard.press("u")
        page.keyboard.press("1")
        page.keyboard.press("n")
        page.keyboard.press("2")
        assert page.locator("#counts").text_content() == (
            "3 of 8 rated: 1 good, 1 uncertain, 1 bad"
        )
        assert page.locator("tr.current .mark-uncertain").count() == 1
        page.locator(".lists summary").click()
        assert saved(page, "#save-excluded", listed) == "exclusions.tsv"
        assert saved(page, "#save-all", ratings) == "ratings.tsv"
        # Kept by the browser over a new visit; forgotten, and read from the file again.
        page.reload()
        assert "3 of 8 rated" in page.locator("#counts").text_content()
        page.on("dialog", lambda asked: asked.accept())
        page.locator(".lists summary").click()
        page.locator("#forget").click()
        assert "0 of 8 rated" in page.locator("#counts").text_content()
        assert page.locator("#save-excluded").is_disabled()
        page.locator("#read").set_input_files(ratings)
        page.wait_for_function("() => document.getElementById('told').textContent !== ''")
        assert "3 ratings read" in page.locator("#told").text_content()
        page.locator(f"#scans-table tr[data-scan='{code}-{SPIKE[1]}'] a").click()
        assert page.locator("#reason").input_value().startswith("=spikes")
        assert seen.errors == []
        assert seen.foreign() == []
    rows = [line.split("\t") for line in listed.read_text().splitlines()]
    assert rows[0] == ["subject", "session", "reason"]
    assert [row[:2] for row in rows[1:]] == [[code, SPIKE[1]]]
    assert rows[1][2].startswith("rated bad: =spikes")
    assert len(ratings.read_text().splitlines()) == 4
    results = run_rated(study, out, exclude=listed)
    assert "rated bad: =spikes" in results.tables["flow"]["left_out"].str.cat()
    scans = results.tables["scans"].set_index(["subject", "session"])
    assert not scans.loc[SPIKE, "included"]
    assert not scans.drop(index=[SPIKE])["reason"].str.contains("rated").any()


def test_paging_follows_the_order_and_the_choice_of_the_list(rated, open_page):
    _, out = rated
    with open_page(out / "scans.html") as seen:
        page = seen.page
        page.locator("#scans-table th button", has_text="mean FD").click()
        page.locator("#scans-table th button", has_text="mean FD").click()
        values = page.locator("#scans-table tbody tr").evaluate_all(
            "(rows) => rows.map((one) => parseFloat(one.querySelector('td.num').dataset.sort))"
        )
        known = [one for one in values if one == one]
        assert known == sorted(known, reverse=True)
        first, second = page.locator("#scans-table tbody tr").evaluate_all(
            "(rows) => rows.slice(0, 2).map((one) => one.dataset.scan)"
        )
        page.locator(f"#scans-table tr[data-scan='{first}'] a").click()
        assert "1 of 8" in page.locator("#now").text_content()
        page.locator("#next").click()
        assert page.locator("#viewer > .scan:visible").get_attribute("id") == second
        page.locator("[data-rating=bad]").click()
        page.locator("#show").select_option("bad")
        assert page.locator("#scans-table tbody tr:visible").count() == 1
        page.locator("#show").select_option("out")
        assert page.locator("#scans-table tbody tr:visible").count() == 2
        thumbs = page.locator("#scans-table .thumb img")
        assert thumbs.count() == 6
        assert seen.errors == []


def test_links_go_there_and_back(rated, open_page):
    _, out = rated
    code = read_codes(out / "ids.tsv")[SPIKE[0]]
    with open_page(out / "people" / f"{code}.html") as seen:
        page = seen.page
        page.locator(f"#{code}-b .rate").click()
        page.wait_for_function("() => document.getElementById('now') !== null")
        assert page.locator("#viewer > .scan:visible").get_attribute("id") == f"{code}-b"
        page.locator("#viewer > .scan:visible h2 a").click()
        page.wait_for_url(re.compile(f"people/{code}.html#{code}-b$"))
        # Nothing of others runs here either.
        page.evaluate(
            "() => { const s = document.createElement('script');"
            " s.textContent = 'window.foreign = 1'; document.body.append(s);"
            " document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.foreign = 2\">'); }"
        )
        page.wait_for_timeout(100)
        assert page.evaluate("() => window.foreign") is None


@pytest.mark.parametrize("which", ["scans.html", "person"])
@pytest.mark.parametrize(
    ("theme", "viewport"),
    [("light", {"width": 1200, "height": 900}), ("dark", PHONE)],
    ids=["light-desk", "dark-phone"],
)
def test_pages_of_scans_fit_and_axe_has_no_serious_finding(
    rated, open_page, which, theme, viewport
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    _, out = rated
    code = read_codes(out / "ids.tsv")[SPIKE[0]]
    path = out / which if which == "scans.html" else out / "people" / f"{code}.html"
    with open_page(path, viewport=viewport, color_scheme=theme) as seen:
        page = seen.page
        page.evaluate(
            "() => document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        )
        if which == "scans.html":
            page.keyboard.press("3")
        found = page.evaluate(OVERFLOW)
        assert found["page"] <= found["width"] + 1, found
        assert found["wide"] == []
        told = axe.Axe().run(page, options={"resultTypes": ["violations"]})
        serious = [
            (one["id"], one["help"], [node["html"][:160] for node in one["nodes"][:3]])
            for one in told.response["violations"]
            if one["impact"] in ("serious", "critical", "moderate")
        ]
        assert serious == []
        page.emulate_media(media="print")
        if which == "scans.html":
            assert page.locator("#viewer > .scan:visible").count() == 8
            assert not page.locator("#rating").is_visible()
        assert seen.errors == []
        assert seen.foreign() == []
