"""Reports in a real browser: opened from disk, read, clicked, filtered, printed, on a phone.

Laws of issue 6: nothing is asked for outside the file, nothing is said on the console, everything
works by keyboard, nothing runs out of the page, and axe-core has no serious finding. A report has
megabytes, so each is opened twice and read through: at a desk, and on a phone that then prints.
"""

from __future__ import annotations

import gzip

import pytest

DESK = {"width": 1200, "height": 900}
PHONE = {"width": 390, "height": 844}
SHEET = {"width": 794, "height": 1123}
#: Widest element that runs out of the window though nothing lets it scroll.
OVERFLOW = """() => {
  const width = document.documentElement.clientWidth;
  const clipped = (one) => { for (let up = one.parentElement; up; up = up.parentElement) {
    const how = getComputedStyle(up).overflowX;
    if (how === "auto" || how === "scroll" || how === "hidden" || how === "clip") return true; }
    return false; };
  const wide = [...document.querySelectorAll("body *:not(svg *)")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.width > 0 && box.right > width + 1 && !clipped(one); });
  return { page: document.documentElement.scrollWidth, width,
           wide: wide.slice(0, 5).map((one) => one.tagName + "." + one.className) }; }"""

OPEN_ALL = """() => document.querySelectorAll("section details").forEach(
  (one) => { one.open = true; })"""
GROUND = "() => getComputedStyle(document.body).backgroundColor"


def test_at_a_desk(report, open_page, tmp_path):
    """Keys, contents, data, tables, charts, both themes, axe-core; and nothing from elsewhere runs."""
    is_stages = any(part.startswith("stages") for part in report.parts)
    assert report.stat().st_size < (8_000_000 if is_stages else 15_000_000)
    with open_page(report, color_scheme="light", viewport=DESK) as seen:
        page = seen.page
        assert page.title()
        keyboard_reaches_everything_in_order(page)
        contents_lead_to_their_sections(page)
        data_are_one_click_away(page, tmp_path)
        tables_filter_and_sort(page)
        charts_draw_and_answer(page)
        for item in page.locator("section details > summary").all()[:5]:
            if item.is_visible():
                item.click()
        page.evaluate(OPEN_ALL)
        nothing_runs_out(page)
        theme_switches_and_is_remembered(page)
        page.evaluate(OPEN_ALL)
        nothing_runs_out(page)
        page.locator("#theme").click()
        axe_has_no_serious_finding(page)
        assert seen.errors == []
        assert seen.foreign() == []
        the_network_is_cut_and_the_policy_holds(page)


def test_on_a_phone_and_on_paper(report, open_page):
    """Both themes fit a phone; printed from the dark one, it is black on white and fits the sheet."""
    with open_page(report, color_scheme="dark", viewport=PHONE) as seen:
        page = seen.page
        page.evaluate(OPEN_ALL)
        nothing_runs_out(page)
        dark = page.evaluate(GROUND)
        page.locator("#theme").click()
        assert page.evaluate(GROUND) != dark
        nothing_runs_out(page)
        page.locator("#theme").click()
        assert page.evaluate(GROUND) == dark
        page.evaluate("() => document.querySelectorAll('section details').forEach("
                      "(one) => { one.open = false; })")  # fmt: skip
        page.set_viewport_size(SHEET)
        paper_shows_what_a_reader_of_paper_needs(page)
        page.emulate_media(media="screen")
        page.set_viewport_size(PHONE)
        page.evaluate(OPEN_ALL)
        axe_has_no_serious_finding(page)
        assert seen.errors == []
        assert seen.foreign() == []


def the_network_is_cut_and_the_policy_holds(page):
    """The cut network is really cut, and the policy stops a script that is not the page's own."""
    asked = "() => fetch('https://example.org/').then(() => 'open', () => 'closed')"
    assert page.evaluate(asked) == "closed"
    page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = 'window.foreign = 1'; document.body.append(s); }"
    )
    assert page.evaluate("() => window.foreign") is None


def contents_lead_to_their_sections(page):
    """A real click at first and last; the others by script, since each frame is drawn in software."""
    links = page.locator(".toc li a")
    assert links.count() >= 8
    there = (
        "(key) => { const top = document.getElementById(key).getBoundingClientRect().top;"
        " return top > -5 && top < window.innerHeight; }"
    )
    lost = page.evaluate(
        """async (there) => { const lost = [];
          for (const link of document.querySelectorAll(".toc li a")) {
            link.click();
            const key = link.getAttribute("href").slice(1);
            for (let i = 0; i < 60 && !THERE(key); i += 1) {
              await new Promise((done) => requestAnimationFrame(done)); }
            if (!THERE(key)) { lost.push(key); } }
          return lost; }""".replace("THERE", f"({there})")
    )
    assert lost == []
    for link in (links.last, links.first):
        link.click()
        page.wait_for_function(there, arg=link.get_attribute("href")[1:])
    page.wait_for_function("() => document.querySelectorAll('.toc a.here').length === 1")
    assert page.locator(".toc a[aria-current]").count() == 1


def tables_filter_and_sort(page):
    area = page.locator("#estimates .filterable")
    shown = area.locator("tbody tr:visible")
    before = shown.count()
    every = area.locator("tbody tr").count()
    assert 0 < before < every
    assert area.locator(".count").text_content() == f"{before} of {every} rows"
    area.locator(".filter-declared").uncheck()
    assert shown.count() == every
    roles = [one for one in area.locator(".filter-role option").all_text_contents() if one != "all"]
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


def data_are_one_click_away(page, tmp_path):
    """Every figure has its data, a line on how to read it and one on how it was made."""
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
        raw = gzip.decompress(raw)
    rows = raw.decode().splitlines()
    assert rows[0].split("\t")[:2] == ["analysis", "family"]
    assert len(rows) - 1 == page.locator("#estimates tbody tr").count()


def charts_draw_and_answer(page):
    """Every chart draws under the policy; fields of the forest leave rows out; themes reach it."""
    visible = [one for one in page.locator(".live[data-live=vega]").all() if one.is_visible()]
    assert visible
    for one in visible:
        one.scroll_into_view_if_needed()
        one.locator(".chart.drawn svg").first.wait_for()
    forest = page.locator("#effects .live[data-live=vega]").first
    forest.scroll_into_view_if_needed()
    marks = "#effects .live[data-live=vega] svg .mark-symbol path"
    count = "(marks) => document.querySelectorAll(marks).length"
    before = page.evaluate(count, marks)
    forest.locator("input[type=checkbox]").check()
    page.wait_for_timeout(200)
    assert 0 < page.evaluate(count, marks) <= before
    forest.locator("input[type=search]").fill("no such effect")
    page.wait_for_function(f"([marks, before]) => ({count})(marks) < before", arg=[marks, before])
    forest.locator("input[type=search]").fill("")
    page.wait_for_function(f"(marks) => ({count})(marks) > 0", arg=marks)
    label = "() => document.querySelector('#effects .chart svg .role-axis-label text')?.getAttribute('fill')"
    light = page.evaluate(label)
    assert light
    page.locator("#theme").click()
    page.wait_for_function(f"(before) => ({label})() && ({label})() !== before", arg=light)
    page.locator("#theme").click()
    page.wait_for_function(f"(before) => ({label})() === before", arg=light)


def theme_switches_and_is_remembered(page):
    """From light to dark, and dark again after the page was opened anew."""
    light = page.evaluate(GROUND)
    page.locator("#theme").click()
    dark = page.evaluate(GROUND)
    assert light != dark
    page.reload()
    assert page.evaluate(GROUND) == dark


def keyboard_reaches_everything_in_order(page):
    """Skip link, contents, tools, then the text; what has the focus is seen to have it."""
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
    assert all(inside and visible and outline != "none" for _, inside, visible, outline in order)
    summary = page.locator("section details > summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert summary.evaluate("(one) => one.parentElement.open")
    button = page.locator("#estimates th button").first
    button.focus()
    page.keyboard.press("Space")
    assert button.evaluate("(one) => one.closest('th').getAttribute('aria-sort')") == "ascending"


def paper_shows_what_a_reader_of_paper_needs(page):
    """Print: no tools, no contents, black on white, nothing wider than the sheet."""
    # A reader whose whole desktop is dark, and who never chose on this page.
    chosen = page.evaluate("() => document.documentElement.getAttribute('data-theme')")
    page.evaluate("() => document.documentElement.removeAttribute('data-theme')")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("() => getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.locator("details.static > summary").first.is_visible()
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
    page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    if chosen:
        page.evaluate("(one) => document.documentElement.setAttribute('data-theme', one)", chosen)


def nothing_runs_out(page):
    found = page.evaluate(OVERFLOW)
    assert found["page"] <= found["width"] + 1, found
    assert found["wide"] == []


def axe_has_no_serious_finding(page):
    """axe-core 4.12 or later (as axe-playwright-python brings it): none serious, none critical."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    # An image's inside is not read out, and its thousands of lines take axe a minute.
    page.evaluate(
        "() => document.querySelectorAll('svg[role=img]').forEach((one) => one.replaceChildren())"
    )
    # Rows of a table are made alike: some of each are looked at, not the hundreds.
    page.evaluate(
        "() => document.querySelectorAll('tbody tr:nth-child(n+16)').forEach((one) => one.remove())"
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
