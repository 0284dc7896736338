"""The home page while somebody looks at it: it follows what runs, rests when nobody looks, and can be read by all."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser import home_scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import NARROW, assert_accessible, at_width, visit
from tests.browser.people import Role
from tests.browser.site import Site
from tests.browser.visiting import assert_no_complaints

HOME = "/admin/"
#: Longer than a piece waits before it asks again while something runs.
_POLLED_MS = 15_000


def test_page_follows_a_run_to_its_end_without_being_loaded_again(site: Site, page: Page) -> None:
    run = site.call(home_scenes.run_at_work)
    visit(page, HOME)
    page.evaluate("window.isTheSamePage = true")
    link = page.locator(f"#home-run-{run}")
    link.focus()
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "25")

    site.call(home_scenes.go_on, run, 3000)
    expect(page.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "75", timeout=_POLLED_MS)
    expect(link).to_be_focused()

    site.call(home_scenes.end, run)
    expect(page.get_by_text("Nothing runs.")).to_be_visible(timeout=_POLLED_MS)
    # From now on it asks seldom.
    assert "every 30s" in (page.locator("#home-now").get_attribute("hx-trigger") or "")
    assert page.evaluate("window.isTheSamePage")
    assert_no_complaints(page)


def test_page_that_nobody_looks_at_asks_for_nothing(site: Site, page: Page) -> None:
    site.call(home_scenes.run_at_work)
    visit(page, HOME)
    page.evaluate("Object.defineProperty(document, 'hidden', {get: () => window.isAway, configurable: true})")
    page.evaluate("window.isAway = true")
    asked: list[str] = []

    def note(request: Request) -> None:
        if "/see/now/" in request.url:
            asked.append(request.url)

    page.on("request", note)
    page.wait_for_timeout(7_000)
    assert asked == []

    page.evaluate("window.isAway = false")
    with page.expect_request(re.compile("/see/now/"), timeout=_POLLED_MS):
        pass


def test_session_that_has_ended_leads_to_signing_in(site: Site, page: Page) -> None:
    site.call(home_scenes.run_at_work)
    visit(page, HOME)

    page.context.clear_cookies()

    page.wait_for_url("**/admin/login/?next=/admin/", timeout=_POLLED_MS)


#: What the page asks each minute, now.
_ASK_FOR_CHARTS = (
    "htmx.ajax('GET', document.getElementById('home-history').getAttribute('hx-get'),"
    " {source: '#home-history', target: '#home-history', swap: 'none'})"
)


def test_chart_without_figures_is_drawn_when_it_gets_its_first(site: Site, page: Page) -> None:
    site.call(home_scenes.run_at_work)
    visit(page, HOME)
    expect(page.get_by_text("No run has ended in this time.").first).to_be_visible()
    expect(page.locator("canvas.chart").first).to_be_hidden()

    site.call(home_scenes.ended_badly, 1)
    page.evaluate(_ASK_FOR_CHARTS)

    expect(page.locator("canvas.chart").first).to_be_visible()
    expect(page.locator("#home-sum-1-failed")).to_have_text("1 failed")
    page.wait_for_function("Object.values(Chart.instances)[0].width > 100")
    expect(page.get_by_text("No run has ended in this time.").first).to_be_hidden()
    assert_no_complaints(page)


def test_charts_get_new_figures_in_their_place(site: Site, page: Page) -> None:
    site.call(home_scenes.several_streams)
    visit(page, HOME)
    page.wait_for_function("document.querySelectorAll('canvas.chart').length === Object.keys(Chart.instances).length")
    sums = (
        "Object.values(Chart.instances).flatMap(c => c.data.datasets.flatMap(d => d.data)).reduce((a, b) => a + b, 0)"
    )
    before = page.evaluate(
        f"[window.first = document.querySelector('canvas.chart'), Object.keys(Chart.instances).length, {sums}].slice(1)"
    )
    figures = page.get_by_role("group", name=re.compile("Rows inserted")).locator("summary")
    figures.click()
    link = page.locator("#home-sum-1-succeeded")
    link.focus()

    site.call(home_scenes.ended_badly, 3)
    with page.expect_response(re.compile("/see/charts/.*seen=")):
        page.evaluate(_ASK_FOR_CHARTS)
    page.wait_for_function(f"before => {sums} > before", arg=before[1])

    assert page.evaluate("Object.keys(Chart.instances).length") == before[0], "no chart is left behind"
    assert page.evaluate("document.querySelector('canvas.chart') === window.first")
    expect(link).to_be_focused()
    expect(page.get_by_role("region", name=re.compile("Figures: Rows inserted"))).to_be_visible()
    page.evaluate("document.documentElement.classList.toggle('dark')")
    assert_no_complaints(page)


def test_charts_take_the_colours_of_the_theme(site: Site, page: Page) -> None:
    site.call(home_scenes.several_streams)
    visit(page, HOME)
    colours = "() => Chart.getChart(document.querySelector('canvas.chart')).data.datasets.map(d => d.backgroundColor)"
    page.wait_for_function(f"({colours})().every(each => each.startsWith('#'))")
    light = page.evaluate(colours)

    page.evaluate("document.documentElement.classList.add('dark')")

    page.wait_for_function(f"light => ({colours})().every((each, at) => each !== light[at])", arg=light)
    assert len(set(page.evaluate(colours))) == 4, "each outcome has its own"


def test_figures_of_a_chart_are_opened_by_the_keyboard(site: Site, page: Page) -> None:
    site.call(home_scenes.several_streams)
    visit(page, HOME)
    figures = page.get_by_role("group", name=re.compile("Rows inserted")).locator("summary")

    figures.focus()
    page.keyboard.press("Enter")

    expect(page.get_by_role("region", name=re.compile("Figures: Rows inserted"))).to_be_visible()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_with_much_to_tell_can_be_read_by_everybody(site: Site, page_of: PageOf, dark: bool) -> None:
    site.call(home_scenes.several_streams)
    page = page_of(Role.SUPERUSER, dark=dark)
    visit(page, HOME)
    expect(page.get_by_role("heading", name="Failing (25)")).to_be_visible()
    for summary in page.locator(".dms-figures summary").all():
        summary.click()
    assert_accessible(page)
    with at_width(page, NARROW):
        assert_accessible(page)
    assert_no_complaints(page)
