"""What pages have in common for who goes by keyboard or has a narrow window: it is at hand, and nothing is too loud."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser import running, scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import NARROW, assert_accessible, at_width, visit
from tests.browser.people import Role
from tests.browser.site import Site


def test_first_tab_leads_past_the_sidebar(page: Page, site: Site) -> None:
    site.call(scenes.one_of_each)
    for path in ("/admin/", "/admin/migrations_app/mapping/", "/admin/migrations_app/mapping/shop/change/"):
        visit(page, path)
        # Forms put the focus into their first field.
        page.evaluate("document.activeElement.blur()")
        skip = page.get_by_role("link", name="Skip to content")
        page.keyboard.press("Tab")
        expect(skip).to_be_focused()
        expect(skip).to_be_in_viewport(ratio=1)
        assert_accessible(page)
        page.keyboard.press("Enter")
        expect(page.locator("#content")).to_be_focused()
        assert "#" not in page.url, "a fragment would choose a tab of the form"
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.closest('#content') !== null")


def test_deleting_is_quiet_and_asks_first(page: Page, site: Site) -> None:
    site.call(scenes.save_mapping, "shop", {})
    visit(page, "/admin/migrations_app/mapping/shop/change/")
    delete = page.get_by_role("link", name="Delete mapping")
    style = "element => [getComputedStyle(element).backgroundColor, getComputedStyle(element).textDecorationLine]"
    assert delete.evaluate(style) == ["rgba(0, 0, 0, 0)", "underline"]
    with at_width(page, NARROW):
        save = page.get_by_role("button", name="Save", exact=True).bounding_box()
        place = delete.bounding_box()
        assert save
        assert place
        assert save["y"] < place["y"], "the last of the buttons"

    delete.click()

    expect(page.get_by_text("Are you sure you want to delete the mapping")).to_be_visible()


def test_log_of_a_run_is_read_without_scrolling_sideways(page: Page, site: Site) -> None:
    site.call(scenes.save_mapping, "shop", {})
    run_id = site.call(running.make_working, "shop")
    site.call(running.fail, run_id)
    visit(page, f"/admin/migrations_app/run/{run_id}/change/")
    log = page.locator("#run-log .dms-scroll")
    with at_width(page, NARROW):
        assert log.evaluate("element => element.scrollWidth - element.clientWidth") <= 0
        cells = page.locator("#run-log").get_by_role("row").last.get_by_role("cell")
        expect(cells).to_have_count(3)
        time, message = cells.first.bounding_box(), cells.last.bounding_box()
        assert time
        assert message
        assert message["y"] > time["y"], "the message is below its time"
        assert message["width"] > 300
        assert_accessible(page)


def test_button_that_copies_has_its_own_name_again_after_two_clicks(page: Page, site: Site) -> None:
    site.call(scenes.save_mapping, "shop", {})
    run_id = site.call(running.make_working, "shop")
    site.call(running.fail, run_id)
    page.clock.install()
    visit(page, f"/admin/migrations_app/run/{run_id}/change/")
    page.evaluate("navigator.clipboard.writeText = async () => {}")
    button = page.locator("[data-dms-copy=run-diagnostics]")
    label = button.locator("[data-dms-label]")

    button.click()
    button.click()
    expect(label).to_have_text("Copied")
    page.clock.fast_forward(10_000)

    expect(label).to_have_text("Copy diagnostics")


@pytest.mark.parametrize("dark", [False, True])
def test_bar_of_what_is_selected_can_be_read(page_of: PageOf, site: Site, *, dark: bool) -> None:
    site.call(scenes.save_mapping, "shop", {})
    page = page_of(Role.SUPERUSER, dark=dark)
    visit(page, "/admin/migrations_app/mapping/")

    page.locator("#action-toggle").check()

    expect(page.locator("#changelist-actions")).to_be_visible()
    assert_accessible(page, "#changelist-actions")


def test_piece_that_is_asked_for_after_the_session_is_never_the_page_to_sign_in(page: Page) -> None:
    visit(page, "/admin/migrations_app/servicesettings/see/import_page/")
    page.get_by_label("Document").fill("settings = {}")
    page.context.clear_cookies(name="sessionid")

    page.get_by_role("button", name="Only check").click()

    expect(page.locator("#checked")).to_have_text("You are signed out. Sign in in another tab, then go on here.")
    expect(page.get_by_label("Document")).to_have_value("settings = {}")
