"""Charts and the cortex in a real browser: they draw, answer and keep to the page's policy."""

from __future__ import annotations


def test_charts_draw_and_answer(report, open_page):
    """Every chart draws under the policy; a menu of the forest leaves rows out; the theme reaches it."""
    with open_page(report, color_scheme="light") as seen:
        page = seen.page
        charts = page.locator(".live[data-live=vega]")
        visible = [one for one in charts.all() if one.is_visible()]
        assert visible
        for one in visible:
            one.scroll_into_view_if_needed()
            one.locator(".chart svg").first.wait_for()
        forest = page.locator("#effects .live[data-live=vega]").first
        forest.scroll_into_view_if_needed()
        rules = forest.locator("svg .mark-symbol path")
        rules.first.wait_for()
        before = rules.count()
        forest.locator("input[type=checkbox]").check()
        page.wait_for_timeout(300)
        assert 0 < rules.count() <= before
        forest.locator("input[type=search]").fill("no such effect")
        page.wait_for_timeout(300)
        assert rules.count() < before
        label = "() => document.querySelector('#effects .chart svg .role-axis-label text').getAttribute('fill')"
        forest.locator("input[type=search]").fill("")
        page.wait_for_timeout(300)
        light = page.evaluate(label)
        page.locator("#theme").click()
        page.wait_for_function(f"(before) => ({label})() !== before", arg=light)
        assert seen.errors == []
        assert seen.foreign() == []


def test_a_brain_turns(surface_report, open_page):
    """niivue draws fsaverage5 under the policy; keys turn it, the slider leaves points out."""
    with open_page(surface_report) as seen:
        page = seen.page
        form = page.locator(".live[data-live=surface]")
        form.scroll_into_view_if_needed()
        canvas = form.locator("canvas.drawn")
        canvas.wait_for(timeout=120_000)
        canvas.focus()
        before = canvas.screenshot()
        page.keyboard.press("ArrowRight")
        assert canvas.get_attribute("data-azimuth") == "100"
        page.wait_for_timeout(400)
        assert canvas.screenshot() != before
        count = form.locator(".count")
        points = int(count.text_content().split()[0])
        form.locator("input[type=range]").fill("0.5")
        assert 0 < int(count.text_content().split()[0]) < points
        form.locator("select").select_option("1")
        assert seen.errors == []
        assert seen.foreign() == []
