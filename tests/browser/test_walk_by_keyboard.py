"""The way of somebody new, with the keyboard alone: from signing in to rows that arrived, page after page."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect

from controlplane.sandbox import MongoServer
from tests.browser import scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import assert_accessible, settle, tab_to
from tests.browser.people import PASSWORD, Role
from tests.browser.site import Site
from tests.databases import PgDatabase

_ROWS = 500
_SHOP = f"""
    CREATE SCHEMA sales;
    CREATE TABLE sales.orders (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        customer text NOT NULL,
        total numeric(12, 2),
        updated_at timestamptz NOT NULL DEFAULT now()
    );
    CREATE INDEX ON sales.orders (updated_at);
    INSERT INTO sales.orders (customer, total) SELECT 'customer ' || n, n FROM generate_series(1, {_ROWS}) AS n;
    ANALYZE sales.orders;
"""
#: A run by a worker, on a machine that does other things too.
_RUN_MS = 60_000


class Keyboard:
    """Hands that reach a page by its keys only."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def press(self, control: Locator, key: str = "Enter") -> None:
        """Go to a control with Tab, and press a key on it."""
        tab_to(self._page, control)
        self._page.keyboard.press(key)

    def follow(self, control: Locator, heading: str) -> None:
        """Press Enter on what leads to another page, and wait for that one."""
        self.press(control)
        expect(self._page.get_by_role("heading", level=1)).to_have_text(heading, use_inner_text=True)
        settle(self._page)

    def write(self, field: Locator, text: str) -> None:
        """Go to a field, and type over what is in it; in a list that is the beginning of a choice."""
        tab_to(self._page, field)
        self._page.keyboard.press("ControlOrMeta+A")
        self._page.keyboard.type(text)


def test_keyboard_alone_leads_from_signing_in_to_rows_that_arrived(
    page_of: PageOf, worker: Site, two_databases: tuple[PgDatabase, PgDatabase], mongo: MongoServer
) -> None:
    shop, warehouse = two_databases
    shop.execute(_SHOP)
    store = {"url": mongo.url, "db_name": "walk", "collection_name": "runs"}
    worker.call(scenes.save_settings, {"encryption_store": store, "dashboard_store": store})
    page = page_of(None)
    keys = Keyboard(page)

    _sign_in(page, keys)
    _add_source(page, keys, shop)
    _add_destination(page, keys, warehouse)
    _tick_table(page, keys)
    _look_before_saving(page, keys)
    assert warehouse.value("SELECT count(*) FROM information_schema.tables WHERE table_name = 'orders'") == 0
    keys.follow(_button(page, "Save"), "Mapping orders")
    _run_and_watch(page, keys)
    assert warehouse.value(f"SELECT count(*) FROM sql_{shop.name}_dms.orders") == _ROWS
    _read_result(page, keys)


def _sign_in(page: Page, keys: Keyboard) -> None:
    page.goto("/")
    settle(page)
    keys.write(page.get_by_label("Username"), Role.ADMIN)
    keys.write(page.locator("input[type=password]"), PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")
    settle(page)


def _add_source(page: Page, keys: Keyboard, shop: PgDatabase) -> None:
    keys.press(page.get_by_role("link", name="Add a source"))
    page.wait_for_url("**/source/add/")
    settle(page)
    _enter(page, keys, "source", shop)
    keys.write(page.locator("#id_pgsql__password"), "wrong")
    keys.press(_button(page, "Test connection"))
    expect(_steps(page).filter(has_text="sign in")).to_contain_text("failed")
    expect(_verdict(page)).to_contain_text("sign in failed")
    assert_accessible(page)
    keys.write(page.locator("#id_pgsql__password"), shop.server.password)
    keys.press(_button(page, "Test connection"))
    expect(_verdict(page)).to_contain_text("It works")
    expect(_steps(page).filter(has_text="sign in")).to_contain_text("ok")
    keys.follow(_button(page, "Save"), "Discover source")


def _add_destination(page: Page, keys: Keyboard, warehouse: PgDatabase) -> None:
    keys.follow(page.get_by_role("link", name="Home", exact=True), "Home")
    keys.press(page.get_by_role("link", name="Add a destination"))
    page.wait_for_url("**/destination/add/")
    settle(page)
    _enter(page, keys, "destination", warehouse)
    keys.write(page.locator("#id_pgsql__password"), warehouse.server.password)
    keys.press(_button(page, "Test connection"))
    expect(_verdict(page)).to_contain_text("It works")
    expect(_steps(page).filter(has_text="write")).to_contain_text("ok")
    keys.press(_button(page, "Save"))
    expect(page.get_by_text("was added successfully")).to_be_visible()
    settle(page)


def _enter(page: Page, keys: Keyboard, kind: str, database: PgDatabase) -> None:
    """The fields of a PostgreSQL source or destination, but for its password."""
    keys.write(page.locator("#id_name"), kind)
    keys.write(page.locator(f"#id_{kind}_type"), "pgsql")
    keys.write(page.locator("#id_pgsql__url"), f"{database.server.host}:{database.server.port}")
    keys.write(page.locator("#id_pgsql__db_name"), database.name)
    keys.write(page.locator("#id_pgsql__username"), database.server.user)


def _tick_table(page: Page, keys: Keyboard) -> None:
    """The one destination that there is is ticked already."""
    keys.press(page.get_by_role("link", name="Sources", exact=True))
    page.wait_for_url("**/source/")
    settle(page)
    keys.press(page.get_by_role("link", name="source", exact=True))
    page.wait_for_url("**/change/")
    settle(page)
    keys.follow(page.get_by_role("link", name="Discover tables"), "Discover source")
    orders = page.get_by_role("checkbox", name="orders")
    expect(orders).to_be_visible()
    keys.press(orders, "Space")
    keys.write(page.get_by_label("Id of the mapping"), "orders")
    keys.press(_button(page, "Continue to the mapping"))
    page.wait_for_url("**/mapping/add/?draft=*")
    settle(page)


def _look_before_saving(page: Page, keys: Keyboard) -> None:
    document = page.locator("#dms-document")
    expect(document).to_contain_text("'table_name': 'sales.orders'")
    expect(page.locator("#id_tables-0-bookmark")).to_have_value("updated_at")
    keys.press(page.get_by_role("radio", name="Python"), "ArrowRight")
    expect(document).to_contain_text('"table_name": "sales.orders"')
    answer = page.locator("#dms-editor-answer")
    for button, shown in (("Preview", "customer 1"), ("Plan", "CREATE TABLE")):
        keys.press(_button(page, button))
        expect(answer).to_contain_text(shown)
        assert_accessible(page, "#dms-editor-result")
        keys.press(_button(page, "Close"))
        expect(answer).to_be_hidden()


def _run_and_watch(page: Page, keys: Keyboard) -> None:
    keys.press(_button(page, "Run all now"))
    expect(page.get_by_text("Queued 1 of 1 stream")).to_be_visible()
    expect(page.get_by_role("region", name="Streams").get_by_role("row", name="sales.orders")).to_contain_text(
        "On time", timeout=_RUN_MS
    )


def _read_result(page: Page, keys: Keyboard) -> None:
    keys.follow(page.get_by_role("link", name="sales.orders"), "Stream sales.orders to destination")
    runs = page.get_by_role("region", name="The last runs")
    expect(runs).to_contain_text(str(_ROWS))
    keys.follow(runs.get_by_role("link").first, "Run of sales.orders")
    expect(page.locator(".dms-stat").filter(has_text="Inserted")).to_contain_text(str(_ROWS))
    expect(page.get_by_text("Every value arrived as it was.")).to_be_visible()
    assert_accessible(page)
    keys.follow(page.get_by_role("link", name="Home", exact=True), "Home")
    expect(page.get_by_text("1 succeeded").first).to_be_visible()


def _button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def _steps(page: Page) -> Locator:
    return page.locator("#dms-test-answer .dms-step")


def _verdict(page: Page) -> Locator:
    """What a test of a connection came to; there once all its steps have ended."""
    return page.locator("#dms-test-answer [data-dms-verdict]")
