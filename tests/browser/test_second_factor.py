"""The second factor in a browser: set up, asked for at signing in, and readable by everybody on the way."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PageOf
from tests.browser.looking import NARROW, WIDE, assert_accessible, assert_fits, follow, set_width, visit
from tests.browser.people import PASSWORD, Role
from tests.browser.site import Site
from tests.browser.visiting import allowing


def shown_code(username: str, steps: int) -> str:
    """What the user's app shows, or will show some steps later. Runs backstage."""
    from migrations_app.models import AppDevice
    from tests.admin.people import code_of

    return code_of(AppDevice.objects.get(user__username=username), steps)


def look(page: Page) -> None:
    """Usable by everybody, wide and narrow."""
    for width in (NARROW, WIDE):
        set_width(page, width)
        assert_accessible(page)
        assert_fits(page)


def give_password(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Username").fill(name)
    page.locator("input[type=password]").fill(password)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_second_factor_is_set_up_and_then_asked_for(page_of: PageOf, site: Site, dark: bool) -> None:
    page = page_of(Role.OPERATOR, dark=dark)
    visit(page, "/admin/account/two-factor/")
    look(page)
    follow(page, page.get_by_role("button", name="Set it up"))
    code = page.get_by_role("textbox", name="Code")
    expect(code).to_be_visible()
    look(page)
    code.fill(site.call(shown_code, Role.OPERATOR, 0))
    follow(page, page.get_by_role("button", name="Turn on"))
    expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    expect(page.locator("#recovery-codes li")).to_have_count(10)
    look(page)
    page.get_by_role("link", name="I have kept them").click()
    page.wait_for_url(re.compile("/admin/$"))
    visit(page, "/admin/account/two-factor/")
    expect(page.get_by_role("heading", name="It is on")).to_be_visible()
    look(page)

    other = page_of(None, dark=dark)
    visit(other, "/admin/")
    give_password(other, Role.OPERATOR)
    code = other.get_by_role("textbox", name="Code")
    expect(code).to_be_visible()
    look(other)
    code.fill("000000")
    other.keyboard.press("Enter")
    expect(other.get_by_text("This code is not right")).to_be_visible()
    look(other)
    other.wait_for_timeout(1500)
    code = other.get_by_role("textbox", name="Code")
    code.fill(site.call(shown_code, Role.OPERATOR, 1))
    other.keyboard.press("Enter")
    other.wait_for_url(re.compile("/admin/$"))


def test_too_many_wrong_passwords_are_told_with_the_time_to_wait(page_of: PageOf) -> None:
    page = page_of(None)
    visit(page, "/admin/login/")
    for _ in range(4):
        give_password(page, "somebody", "wrong")
        expect(page.get_by_text("Name and password do not go together")).to_be_visible()
    with allowing(page, 429):
        give_password(page, "somebody", "wrong")
        expect(page.get_by_text("15 minutes")).to_be_visible()
        look(page)
