"""The browser, the service and the pages of the browser tests.

They run in two workers of a parallel test run: the look at every page in one, all others in the other, each one after
the other on one service, whose control database is as new at the start of each test. tests/together.py sees to that.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import chromium
from tests.browser.people import Role
from tests.browser.site import Site, run_site
from tests.browser.visiting import open_pages, visiting

HERE = Path(__file__).parent
#: For pictures of pages on which tests have failed.
PICTURES = HERE.parents[1] / "var" / "browser"

PageOf = Callable[..., Page]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time for them: pages are slow."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.timeout(180))
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Leave a picture of each page on which a test has failed."""
    report = yield
    if report.when == "call" and report.failed:
        PICTURES.mkdir(parents=True, exist_ok=True)
        for number, page in enumerate(open_pages()):
            path = PICTURES / f"{item.name.replace('/', '_')}-{number}.png"
            page.screenshot(path=path, full_page=True)
            report.sections.append(("picture", f"{path} of {page.url}"))
    return report


@pytest.fixture(scope="session")
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service of this test run."""
    with run_site(tmp_path_factory.mktemp("site")) as running:
        yield running


# For the package, not for the session: while Playwright is up its event loop counts as running in this thread, and
# tests that come after these could not use their database.
@pytest.fixture(scope="package")
def chromium_browser() -> Iterator[Browser]:
    """Chromium."""
    program = chromium.find()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail(f"CI skips no browser test: {chromium.REMEDY}")
        pytest.skip(chromium.REMEDY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=chromium.ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def site(running_site: Site) -> Site:
    """The service, with a user for each role and nothing else."""
    running_site.reset()
    return running_site


@pytest.fixture
def worker(site: Site) -> Iterator[Site]:
    """The service with a worker, which takes a few seconds; without one, each run is a process of its own."""
    with site.worker():
        yield site


@pytest.fixture
def page_of(chromium_browser: Browser, site: Site) -> Iterator[PageOf]:
    """Gives a page on which somebody has signed in: `page_of(Role.VIEWER, dark=True)`; None for nobody."""
    with ExitStack() as stack:
        yield lambda role, dark=False: stack.enter_context(visiting(chromium_browser, site, role, dark=dark))


@pytest.fixture
def page(page_of: PageOf) -> Page:
    """A page on which the superuser has signed in."""
    return page_of(Role.SUPERUSER)
