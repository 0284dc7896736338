"""What `./run screenshots` takes pictures of: a name, and the steps that lead there. A new page is a line here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from playwright.sync_api import Page, expect

from tests.browser.looking import visit

#: What the steps know of the demo: ids of rows, by what they are.
Known = dict[str, str]

_ADMIN = "/admin/migrations_app"
#: A test or a plan asks real servers.
_ANSWER_MS = 40_000


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        name: Of the file, without theme and ending.
        take: Leads the page to where the picture is taken.
    """

    name: str
    take: Callable[[Page, Known], None]


def _at(path: str, known_as: str = "") -> Callable[[Page, Known], None]:
    def go(page: Page, known: Known) -> None:
        visit(page, path.format(known[known_as]) if known_as else path)

    return go


def _connection_test(page: Page, known: Known) -> None:
    visit(page, f"{_ADMIN}/source/{known['source']}/change/")
    page.get_by_role("button", name="Test connection").click()
    answer = page.locator("#dms-test-answer")
    expect(answer.locator("[data-dms-verdict]")).to_be_visible(timeout=_ANSWER_MS)
    answer.scroll_into_view_if_needed()


def _discovery(page: Page, known: Known) -> None:
    visit(page, f"{_ADMIN}/source/{known['source']}/see/discover/")
    page.get_by_role("checkbox", name="orders").first.check(timeout=_ANSWER_MS)


def _editor(page: Page, known: Known) -> None:
    visit(page, f"{_ADMIN}/mapping/{known['mapping']}/change/")
    expect(page.locator("#dms-document")).to_contain_text("'source'")


def _preview(page: Page, known: Known) -> None:
    _editor(page, known)
    page.get_by_role("button", name="Preview").click()
    expect(page.locator("#dms-editor-answer").get_by_role("cell").first).to_be_visible(timeout=_ANSWER_MS)


def _plan(page: Page, known: Known) -> None:
    _editor(page, known)
    page.get_by_role("button", name="Plan").click()
    queries = page.locator("#dms-editor-answer summary").first
    expect(queries).to_be_visible(timeout=_ANSWER_MS)
    queries.click()


def _reset(page: Page, known: Known) -> None:
    visit(page, f"{_ADMIN}/stream/{known['paused']}/see/resetting/?how=whole")
    page.get_by_role("button", name="Reset checkpoint").first.click()


SHOTS = (
    Shot("home", _at("/admin/")),
    # The list of sources shows how the test ended.
    Shot("connection-test", _connection_test),
    Shot("sources", _at(f"{_ADMIN}/source/")),
    Shot("discovery", _discovery),
    Shot("editor", _editor),
    Shot("preview", _preview),
    Shot("plan", _plan),
    Shot("mapping", _at(f"{_ADMIN}/mapping/{{}}/see/overview/", "mapping")),
    Shot("stream", _at(f"{_ADMIN}/stream/{{}}/change/", "stream")),
    Shot("reset", _reset),
    Shot("live-run", _at(f"{_ADMIN}/run/{{}}/change/", "running")),
    Shot("run", _at(f"{_ADMIN}/run/{{}}/change/", "run")),
    Shot("failed-run", _at(f"{_ADMIN}/run/{{}}/change/", "failed")),
    Shot("runs", _at(f"{_ADMIN}/run/")),
    Shot("settings", _at(f"{_ADMIN}/servicesettings/")),
    Shot("audit", _at(f"{_ADMIN}/auditentry/")),
)
