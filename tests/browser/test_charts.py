"""The cortex in a real browser: it draws, turns and keeps to the page's policy."""

from __future__ import annotations


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
        # A software renderer takes its time: looked at until it has turned.
        for _ in range(40):
            page.wait_for_timeout(100)
            if canvas.screenshot() != before:
                break
        assert canvas.screenshot() != before
        count = form.locator(".count")
        points = int(count.text_content().split()[0])
        form.locator("input[type=range]").fill("0.5")
        assert 0 < int(count.text_content().split()[0]) < points
        form.locator("select").select_option("1")
        assert seen.errors == []
        assert seen.foreign() == []
