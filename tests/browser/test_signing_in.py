"""Signing in: with the keyboard alone, and told why when it fails."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PageOf
from tests.browser.looking import NARROW, assert_accessible, at_width, tab_to, visit
from tests.browser.people import PASSWORD, Role
from tests.browser.visiting import assert_no_complaints


def test_keyboard_alone_signs_in_and_leads_to_the_first_page(page_of: PageOf) -> None:
    page = page_of(None)
    visit(page, "/")
    name = page.get_by_label("Username")
    if not name.evaluate("element => element === document.activeElement"):
        tab_to(page, name)
    page.keyboard.type(Role.SUPERUSER)
    tab_to(page, page.locator("input[type=password]"))
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/admin/")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    assert_no_complaints(page)


def test_wrong_password_is_told_and_signs_nobody_in(page_of: PageOf) -> None:
    page = page_of(None)
    visit(page, "/admin/login/")
    page.get_by_label("Username").fill(Role.SUPERUSER)
    page.locator("input[type=password]").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Name and password do not go together")).to_be_visible()
    assert page.context.cookies() == [] or "sessionid" not in {each["name"] for each in page.context.cookies()}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_sign_in_page_can_be_used_by_everybody(page_of: PageOf, dark: bool) -> None:
    page = page_of(None, dark=dark)
    visit(page, "/admin/login/")
    assert_accessible(page)
    with at_width(page, NARROW):
        assert_accessible(page)


def test_page_of_the_admin_is_not_shown_to_who_has_no_right(page_of: PageOf) -> None:
    page: Page = page_of(Role.NO_ROLE)
    visit(page, "/admin/")
    expect(page.get_by_role("link", name="Mappings")).to_have_count(0)
