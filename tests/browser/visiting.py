"""A page that forgives nothing: what goes wrong behind a page fails the test that visits it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request, Response, expect

from tests.browser.people import PASSWORD, Role
from tests.browser.site import Site

_FIRST_ERROR = 400
#: A request that the page itself gave up, as it does with a poll when one goes to another page.
_GIVEN_UP = "net::ERR_ABORTED"
#: Lines of the console that tell of an answer which is looked at by itself.
_OF_ANSWERS = ("Failed to load resource", "Response Status Error Code")
#: How long a step of a test waits for what it needs.
_PATIENCE_MS = 30_000


@dataclass
class Complaints:
    """What went wrong on one page, and what may.

    Attributes:
        found: A line each.
        allowed: Statuses of answers that are what the test is about.
    """

    found: list[str] = field(default_factory=list)
    allowed: set[int] = field(default_factory=set)

    def watch(self, page: Page) -> None:
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.found.append(f"error of a script: {error.stack or error}"))
        page.on("requestfailed", self._failed)
        page.on("response", self._answered)
        page.on("dialog", self._dialog)

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not any(known in message.text for known in _OF_ANSWERS):
            self.found.append(f"console: {message.text} ({message.location.get('url')})")

    def _failed(self, request: Request) -> None:
        if request.failure != _GIVEN_UP:
            self.found.append(f"no answer: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= _FIRST_ERROR and response.status not in self.allowed:
            self.found.append(f"{response.status}: {response.request.method} {response.url}")

    def _dialog(self, dialog: Dialog) -> None:
        """Pages leave their own questions to the page; the browser's stop it."""
        self.found.append(f"dialog: {dialog.message}")
        dialog.dismiss()


# Playwright's own five seconds are short on a machine that does other things too.
expect.set_options(timeout=_PATIENCE_MS)

_complaints: dict[Page, Complaints] = {}


@contextmanager
def visiting(
    browser: Browser, site: Site, role: Role | None, *, dark: bool = False, is_strict: bool = True
) -> Iterator[Page]:
    """A page in a browser of its own, 1280 wide; addresses are those of the site.

    Args:
        browser: Chromium.
        site: The service.
        role: Who has signed in; None for nobody.
        dark: Whether the system is set to dark.
        is_strict: Whether what goes wrong on it counts, at the end.

    Raises:
        AssertionError: Something went wrong on it, at the end.
    """
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": 1280, "height": 900},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        timezone_id="UTC",
        locale="en-GB",
    )
    context.set_default_timeout(_PATIENCE_MS)
    if role is not None:
        context.add_cookies([{"name": "sessionid", "value": site.sessions[role], "url": site.url}])
    page = context.new_page()
    complaints = _complaints[page] = Complaints()
    complaints.watch(page)
    try:
        yield page
        if is_strict:
            assert_no_complaints(page)
    finally:
        del _complaints[page]
        context.close()


def open_pages() -> list[Page]:
    """All pages that are open now."""
    return list(_complaints)


def assert_no_complaints(page: Page) -> None:
    """Nothing has gone wrong on the page since the last look."""
    found = list(_complaints[page].found)
    _complaints[page].found.clear()
    assert not found, f"{page.url}\n" + "\n".join(found)


@contextmanager
def allowing(page: Page, *statuses: int) -> Iterator[None]:
    """In this block, answers with these statuses are what the test is about."""
    complaints = _complaints[page]
    before = set(complaints.allowed)
    complaints.allowed |= set(statuses)
    try:
        yield
    finally:
        complaints.allowed = before


def sign_in_elsewhere(page: Page) -> None:
    """Sign the superuser in anew in another tab, which leaves this one as it is."""
    other = page.context.new_page()
    other.goto("/admin/login/")
    other.get_by_label("Username").fill(Role.SUPERUSER)
    other.locator("input[type=password]").fill(PASSWORD)
    other.keyboard.press("Enter")
    other.wait_for_url("**/admin/")
    other.close()
