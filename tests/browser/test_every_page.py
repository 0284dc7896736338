"""Every page of the admin: readable and usable by everybody, light and dark, wide and narrow, without an error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

import controlplane.urls  # noqa: F401 - registers the pages
from tests.browser import scenes
from tests.browser.every_page import AdminPage, address, every_page
from tests.browser.looking import NARROW, WIDE, assert_accessible, assert_fits, set_width, visit
from tests.browser.people import Role
from tests.browser.site import Site
from tests.browser.visiting import assert_no_complaints, visiting


@pytest.fixture(scope="module")
def full_site(running_site: Site) -> Site:
    """The service with one object of everything that has pages."""
    running_site.reset()
    running_site.call(scenes.one_of_each)
    return running_site


@pytest.fixture(scope="module")
def light(chromium_browser: Browser, full_site: Site) -> Iterator[Page]:
    """One page for all tests: it keeps the styles and scripts, which are most of a visit."""
    with visiting(chromium_browser, full_site, Role.SUPERUSER) as page:
        yield page


@pytest.fixture(scope="module")
def dark(chromium_browser: Browser, full_site: Site) -> Iterator[Page]:
    with visiting(chromium_browser, full_site, Role.SUPERUSER, dark=True) as page:
        yield page


@pytest.mark.parametrize("which", every_page(), ids=str)
def test_page_can_be_read_and_used_by_everybody(which: AdminPage, full_site: Site, light: Page, dark: Page) -> None:
    path = full_site.call(address, which.name, which.model, which.of_object)
    if path is None or not _is_whole_page(light, path):
        return
    for page, width in ((light, WIDE), (dark, NARROW)):
        set_width(page, width)
        visit(page, path)
        assert page.evaluate("() => document.documentElement.classList.contains('dark')") == (page is dark)
        assert_accessible(page)
        for each in (WIDE, NARROW):
            set_width(page, each)
            assert_fits(page)
        assert_no_complaints(page)


def _is_whole_page(page: Page, path: str) -> bool:
    """Whether it is a page by itself: not a part of one, not closed to everybody, not another page's address."""
    answer = page.request.get(path, max_redirects=0)
    return answer.status == 200 and "<html" in answer.text()


@pytest.mark.parametrize("end", ["source", "destination"])
def test_viewer_sees_where_an_end_is(chromium_browser: Browser, full_site: Site, end: str) -> None:
    host, pk = full_site.call(scenes.address_of, end)
    with visiting(chromium_browser, full_site, Role.VIEWER) as page:
        visit(page, f"/admin/migrations_app/{end}/{pk}/change/")
        expect(page.locator("#content-main").get_by_text(host, exact=True)).to_be_visible()
        assert_accessible(page)
        assert_no_complaints(page)
