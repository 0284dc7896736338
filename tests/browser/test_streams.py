"""A stream by its page: run, watched, paused and reset, in a browser and on real servers."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from controlplane.sandbox import MongoServer
from tests.browser import running, scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import follow, tab_to, visit
from tests.browser.people import Role
from tests.browser.site import Site
from tests.browser.visiting import assert_no_complaints
from tests.builders import make_mapping, make_table
from tests.controlplane.builders import raw_table
from tests.databases import PgDatabase

Databases = tuple[PgDatabase, PgDatabase]
#: How long a process of its own may take to start, copy and be seen.
_RUN_MS = 60_000


@pytest.fixture
def address(site: Site, two_databases: Databases, mongo: MongoServer) -> str:
    """The page of a stream whose table has 100 rows at the source and none at the destination."""
    two_databases[0].execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT '2024-01-01');"
        "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 100) n; ANALYZE orders"
    )
    stores = {"url": mongo.url, "db_name": "dms", "collection_name": "browser"}
    site.call(scenes.save_settings, {"encryption_store": stores, "dashboard_store": stores})
    (stream,) = site.call(scenes.save_mapping, "shop", make_mapping(*two_databases, make_table()))
    return f"/admin/migrations_app/stream/{stream}/change/"


def run_to_its_end(page: Page) -> None:
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("Started shop")).to_be_visible()
    expect(page.locator("#stream-live").get_by_text("On time")).to_be_visible(timeout=_RUN_MS)


def test_stream_is_run_and_its_page_keeps_up(page_of: PageOf, address: str, two_databases: Databases) -> None:
    page = page_of(Role.OPERATOR)
    visit(page, address)
    expect(page.get_by_text("Never run")).to_be_visible()

    run_to_its_end(page)

    expect(page.get_by_text("The last run, the newest to the right: 1 succeeded.")).to_be_visible()
    expect(page.get_by_text("Copied: rows with id up to 100")).to_be_visible()
    assert two_databases[1].value("SELECT count(*) FROM arrived.orders") == 100
    assert_no_complaints(page)


def test_reset_is_typed_and_the_next_run_copies_everything_again(
    page_of: PageOf, address: str, two_databases: Databases
) -> None:
    page = page_of(Role.EDITOR)
    visit(page, address)
    run_to_its_end(page)
    two_databases[0].execute("UPDATE orders SET note = 'changed'")

    follow(page, page.get_by_role("link", name="Reset checkpoint"))
    follow(page, page.get_by_role("button", name="Show what it would do"))
    expect(page.get_by_text("is not paused; pause it first")).to_be_visible()
    follow(page, page.get_by_role("button", name="Pause"))
    expect(page.get_by_text("about 100, by the source's own estimate")).to_be_visible()

    opener = page.get_by_role("button", name="Reset checkpoint")
    tab_to(page, opener)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    submit = dialog.get_by_role("button", name="Reset checkpoint")
    expect(submit).to_be_disabled()
    dialog.get_by_label("Why, for the audit log").fill("a test")
    dialog.get_by_label("to confirm").fill("shop_DMS_orders")
    expect(submit).to_be_disabled()
    dialog.get_by_label("to confirm").fill("shop_DMS_orders_dest")
    submit.click()
    expect(page.get_by_text("is reset: the next run reads the whole table again")).to_be_visible()
    expect(page.get_by_text("Nothing is copied yet.")).to_be_visible()

    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Run now").click()
    expect(page.get_by_text("The last 2 runs, the newest to the right: 2 succeeded.")).to_be_visible(timeout=_RUN_MS)
    assert two_databases[1].value("SELECT count(*) FROM arrived.orders WHERE note = 'changed'") == 100
    assert_no_complaints(page)


def test_viewer_sees_the_stream_and_can_do_nothing_to_it(page_of: PageOf, address: str) -> None:
    page = page_of(Role.VIEWER)
    visit(page, address)

    expect(page.get_by_text("Never run")).to_be_visible()
    for name in ("Run now", "Pause", "Verify"):
        expect(page.get_by_role("button", name=name)).to_have_count(0)
    for name in ("Backfill", "Reset checkpoint"):
        expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_mapping_is_cloned_in_a_dialog(page_of: PageOf, address: str) -> None:
    page = page_of(Role.EDITOR)
    visit(page, "/admin/migrations_app/mapping/shop/see/overview/")

    page.get_by_role("button", name="Clone").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Id of the new mapping").fill("other")
    dialog.get_by_role("button", name="Make the clone").click()

    expect(page.get_by_text("other says what shop says. It is disabled")).to_be_visible()
    expect(page.get_by_text("writes to the same tables as shop")).to_be_visible()
    assert page.url.endswith("/admin/migrations_app/mapping/other/change/")


def test_open_mapping_keeps_up_with_runs_that_begin_and_end(page_of: PageOf, site: Site) -> None:
    site.call(scenes.save_settings, {})
    site.call(scenes.save_mapping, "shop", {"tables": [raw_table(), raw_table(table_name="items")]})
    site.call(running.queue_all, "shop")
    page = page_of(Role.OPERATOR)
    visit(page, "/admin/migrations_app/mapping/shop/see/overview/")
    expect(page.get_by_role("button", name="Stop all")).to_be_visible()
    expect(page.get_by_role("link", name="Queued (2)")).to_be_visible()
    focused = page.get_by_role("button", name="Verify all")
    focused.focus()
    everything = page.get_by_role("region", name="Streams")

    site.call(running.end_all, "shop", "items")

    expect(page.get_by_role("button", name="Stop all")).to_have_count(0, timeout=10_000)
    expect(page.get_by_role("link", name="Failing (1)")).to_be_visible()
    expect(page.get_by_role("link", name="On time (1)")).to_be_visible()
    expect(everything.get_by_role("button", name="Run", exact=True)).to_have_count(2)
    expect(everything.get_by_role("button", name="Stop")).to_have_count(0)
    expect(everything.get_by_role("rowheader").first).to_have_text("items")
    expect(everything.get_by_role("row", name="orders")).to_contain_text("1,234")
    expect(page.locator("#mapping-sums")).to_contain_text("1,234")
    expect(focused).to_be_focused()
    assert_no_complaints(page)
