"""Reports in a real browser: opened from disk, read, clicked, filtered, printed, on a phone.

Laws of issue 6: nothing is asked for outside the file, nothing is said on the console, everything
works by keyboard, nothing runs out of the page, and axe-core has no serious finding.
"""

from __future__ import annotations

import pytest

PHONE = {"width": 390, "height": 844}
#: Widest element that runs out of the window though nothing lets it scroll.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const clipped = (one) => { for (let up = one.parentElement; up; up = up.parentElement) {
    const how = getComputedStyle(up).overflowX;
    if (how === "auto" || how === "scroll" || how === "hidden" || how === "clip") return true; }
    return false; };
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !clipped(one) && !one.closest("svg"); });
  return { page: document.documentElement.scrollWidth, width,
           wide: wide.slice(0, 5).map((one) => one.tagName + "." + one.className) }; }"""

OPEN_ALL = """() => document.querySelectorAll("section details").forEach(
  (one) => { one.open = true; })"""


def test_it_opens_alone(report, open_page):
    """No request but the file and data in it, no word on the console, under the page's policy."""
    with open_page(report) as seen:
        page = seen.page
        assert page.title()
        for item in page.locator("section details > summary").all():
            if item.is_visible():
                item.click()
        page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(200)
        assert seen.errors == []
        assert seen.foreign() == []
        # The cut network is really cut, and the policy stops a script that is not the page's own.
        assert (
            page.evaluate("() => fetch('https://example.org/').then(() => 'open', () => 'closed')")
            == "closed"
        )
        page.evaluate(
            "() => { const s = document.createElement('script');"
            " s.textContent = 'window.foreign = 1'; document.body.append(s); }"
        )
        assert page.evaluate("() => window.foreign") is None


def test_contents_lead_to_their_sections(report, open_page):
    with open_page(report) as seen:
        page = seen.page
        links = page.locator(".toc li a").all()
        assert len(links) >= 8
        for link in links:
            link.click()
            key = link.get_attribute("href")[1:]
            page.wait_for_function(
                "(key) => { const top = document.getElementById(key).getBoundingClientRect().top;"
                " return top > -5 && top < window.innerHeight; }",
                arg=key,
            )
        page.wait_for_function("() => document.querySelectorAll('.toc a.here').length === 1")
        assert page.locator(".toc a[aria-current]").count() == 1
        assert seen.errors == []


def test_tables_filter_and_sort(report, open_page):
    with open_page(report) as seen:
        page = seen.page
        area = page.locator("#estimates .filterable")
        shown = area.locator("tbody tr:visible")
        before = shown.count()
        every = area.locator("tbody tr").count()
        assert 0 < before < every
        assert area.locator(".count").text_content() == f"{before} of {every} rows"
        area.locator(".filter-declared").uncheck()
        assert shown.count() == every
        roles = [
            one for one in area.locator(".filter-role option").all_text_contents() if one != "all"
        ]
        area.locator(".filter-role").select_option(roles[0])
        assert {one.strip() for one in shown.locator("td:nth-child(2)").all_text_contents()} == {
            roles[0]
        }
        area.locator(".filter-role").select_option("")
        area.locator(".filter-text").fill("no such row")
        assert shown.count() == 0
        area.locator(".filter-text").fill("")
        head = area.locator("thead th", has_text="statistic")
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        column = head.evaluate("(one) => one.cellIndex")
        values = shown.locator(f"td:nth-child({column + 1})").evaluate_all(
            "(cells) => cells.map((one) => parseFloat(one.dataset.sort ?? 'NaN'))"
        )
        known = [one for one in values if one == one]
        assert known == sorted(known)
        assert len(known) > 3
        assert all(one != one for one in values[len(known) :])
        assert seen.errors == []


def test_data_are_one_click_away(report, open_page, tmp_path):
    """Every figure has its data, a line on how to read it and one on how it was made."""
    with open_page(report) as seen:
        page = seen.page
        figures = page.locator("figure")
        assert figures.count() >= 5
        lacking = figures.evaluate_all(
            "(all) => all.filter((one) => !one.querySelector('a.download')"
            " || one.querySelectorAll(':scope > .how').length !== 2).map((one) => one.id)"
        )
        assert lacking == []
        link = page.locator("#estimates a.download").first
        with page.expect_download() as started:
            link.click()
        path = tmp_path / started.value.suggested_filename
        started.value.save_as(path)
        assert path.name.startswith("results.tsv")
        raw = path.read_bytes()
        if path.suffix == ".gz":
            import gzip

            raw = gzip.decompress(raw)
        rows = raw.decode().splitlines()
        assert rows[0].split("\t")[:2] == ["analysis", "family"]
        assert len(rows) - 1 == page.locator("#estimates tbody tr").count()
        assert seen.errors == []


def test_theme_switches_and_is_remembered(report, open_page):
    with open_page(report, color_scheme="light") as seen:
        page = seen.page
        ground = "() => getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(ground)
        page.locator("#theme").click()
        dark = page.evaluate(ground)
        assert light != dark
        page.reload()
        assert page.evaluate(ground) == dark
        page.locator("#theme").click()
        assert page.evaluate(ground) == light
        assert seen.errors == []


def test_keyboard_reaches_everything_in_order(report, open_page):
    """Skip link, contents, tools, then the text; what has the focus is seen to have it."""
    with open_page(report) as seen:
        page = seen.page
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        order = []
        for _ in range(12):
            page.keyboard.press("Tab")
            order.append(
                page.evaluate(
                    "() => { const one = document.activeElement, box = one.getBoundingClientRect();"
                    " return [one.tagName, !!one.closest('main'), box.width > 0,"
                    " getComputedStyle(one).outlineStyle]; }"
                )
            )
        assert all(
            inside and visible and outline != "none" for _, inside, visible, outline in order
        )
        summary = page.locator("section details > summary").first
        summary.focus()
        page.keyboard.press("Enter")
        assert summary.evaluate("(one) => one.parentElement.open")
        button = page.locator("#estimates th button").first
        button.focus()
        page.keyboard.press("Space")
        assert (
            button.evaluate("(one) => one.closest('th').getAttribute('aria-sort')") == "ascending"
        )
        assert seen.errors == []


def test_paper_shows_what_a_reader_of_paper_needs(report, open_page):
    """Print: no tools, no contents, black on white, nothing wider than the sheet."""
    with open_page(report, color_scheme="dark", viewport={"width": 794, "height": 1123}) as seen:
        page = seen.page
        page.emulate_media(media="print")
        assert not page.locator(".toc").is_visible()
        assert page.locator("section").first.is_visible()
        assert (
            page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            == "rgb(255, 255, 255)"
        )
        page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
        shut = page.locator("section details.printed:not([open])").count()
        assert shut == 0
        # What was folded is on the sheet too now.
        found = page.evaluate(OVERFLOW)
        assert found["page"] <= found["width"] + 1, found
        assert found["wide"] == []
        assert len(page.pdf(format="A4")) > 20_000
        assert seen.errors == []


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, {"width": 1200, "height": 900}], ids=["phone", "desk"])
def test_nothing_runs_out_of_the_page(report, open_page, theme, viewport):
    with open_page(report, viewport=viewport, color_scheme=theme) as seen:
        page = seen.page
        page.evaluate(OPEN_ALL)
        found = page.evaluate(OVERFLOW)
        assert found["page"] <= found["width"] + 1, found
        assert found["wide"] == []
        assert seen.errors == []
        assert seen.foreign() == []


@pytest.mark.parametrize(
    ("theme", "viewport"),
    [("light", {"width": 1200, "height": 900}), ("dark", PHONE)],
    ids=["light-desk", "dark-phone"],
)
def test_axe_has_no_serious_finding(report, open_page, theme, viewport):
    """axe-core 4.12 or later (as axe-playwright-python brings it): none serious, none critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    with open_page(report, viewport=viewport, color_scheme=theme) as seen:
        page = seen.page
        page.evaluate(OPEN_ALL)
        # An image's inside is not read out, and its thousands of lines take axe a minute.
        page.evaluate(
            "() => document.querySelectorAll('svg[role=img]').forEach((one) => one.replaceChildren())"
        )
        told = axe.Axe().run(page, options={"resultTypes": ["violations"]})
        serious = [
            (one["id"], one["help"], [node["html"][:120] for node in one["nodes"][:3]])
            for one in told.response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert told.response["testEngine"]["name"] == "axe-core"
        assert len(told.response["passes"]) > 10
        assert serious == []
        assert seen.errors == []
