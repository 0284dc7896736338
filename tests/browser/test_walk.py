"""The way of somebody new: from the first sign-in to rows that arrived, each page leading to the next."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from controlplane.sandbox import MongoServer
from tests.browser import scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import assert_accessible, visit
from tests.browser.people import Role
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
#: A run of a process of its own, on a machine that does other things too.
_RUN_MS = 60_000


def fill_end(page: Page, kind: str, database: PgDatabase, password: str) -> None:
    """Enter a PostgreSQL source or destination on its page."""
    page.locator("#id_name").fill(kind)
    page.locator(f"#id_{kind}_type").select_option("pgsql")
    for key, value in (
        ("url", f"{database.server.host}:{database.server.port}"),
        ("db_name", database.name),
        ("username", database.server.user),
    ):
        page.locator(f"#id_pgsql__{key}").fill(value)
    page.locator("#id_pgsql__password").fill(password)


def save(page: Page) -> None:
    page.get_by_role("button", name="Save", exact=True).click()


def test_somebody_new_gets_from_the_first_sign_in_to_rows_that_arrived(
    page_of: PageOf, worker: Site, two_databases: tuple[PgDatabase, PgDatabase], mongo: MongoServer
) -> None:
    shop, warehouse = two_databases
    shop.execute(_SHOP)
    store = {"url": mongo.url, "db_name": "walk", "collection_name": "runs"}
    worker.call(scenes.save_settings, {"encryption_store": store, "dashboard_store": store})
    page = page_of(Role.ADMIN)

    visit(page, "/admin/")
    page.get_by_role("link", name="Add a source").first.click()
    fill_end(page, "source", shop, "wrong")
    page.get_by_role("button", name="Test connection").click()
    steps, verdict = page.locator("#dms-test-answer .dms-step"), page.locator("#dms-test-answer [data-dms-verdict]")
    expect(steps.filter(has_text="sign in")).to_contain_text("failed")
    expect(verdict).to_contain_text("sign in failed")
    assert_accessible(page)
    page.locator("#id_pgsql__password").fill(shop.server.password)
    page.get_by_role("button", name="Test connection").click()
    expect(verdict).to_contain_text("It works")
    expect(steps.filter(has_text="sign in")).to_contain_text("ok")
    save(page)
    expect(page.get_by_role("heading", level=1)).to_have_text("Discover source")

    visit(page, "/admin/")
    page.get_by_role("link", name="Add a destination").first.click()
    fill_end(page, "destination", warehouse, warehouse.server.password)
    page.get_by_role("button", name="Test connection").click()
    expect(verdict).to_contain_text("It works")
    expect(steps.filter(has_text="write")).to_contain_text("ok")
    save(page)

    visit(page, "/admin/migrations_app/source/")
    page.get_by_role("link", name="source", exact=True).click()
    page.get_by_role("link", name="Discover tables").click()
    page.get_by_role("checkbox", name="orders").check()
    page.get_by_label("Id of the mapping").fill("orders")
    page.get_by_role("button", name="Continue to the mapping").click()

    expect(page.locator("#id_tables-0-table_name")).to_have_value("sales.orders")
    expect(page.locator("#id_tables-0-bookmark")).to_have_value("updated_at")
    expect(page.locator("#dms-document")).to_contain_text("'table_name': 'sales.orders'")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("cell", name="customer 1", exact=True)).to_be_visible()
    assert_accessible(page, "#dms-editor-result")
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Plan").click()
    expect(page.locator("#dms-editor-answer")).to_contain_text("CREATE TABLE")
    assert_accessible(page, "#dms-editor-result")
    page.get_by_role("button", name="Close").click()
    assert warehouse.value("SELECT count(*) FROM information_schema.tables WHERE table_name = 'orders'") == 0
    save(page)

    expect(page.get_by_role("heading", level=1)).to_have_text("Mapping orders")
    page.get_by_role("button", name="Run all now").click()
    expect(page.get_by_text("Queued 1 of 1 streams")).to_be_visible()
    page.get_by_role("link", name="sales.orders").click()
    expect(page.get_by_role("region", name="Status")).to_contain_text("On time", timeout=_RUN_MS)
    assert warehouse.value(f"SELECT count(*) FROM sql_{shop.name}_dms.orders") == _ROWS
    visit(page, page.url)
    expect(page.get_by_role("region", name="The last runs")).to_contain_text(str(_ROWS))
    page.get_by_role("region", name="The last runs").get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Run of sales.orders")
    expect(page.locator(".dms-stat").filter(has_text="Inserted")).to_contain_text(str(_ROWS))
    expect(page.get_by_text("Every value arrived as it was.")).to_be_visible()
    assert_accessible(page)
    visit(page, "/admin/")
    expect(page.get_by_text("1 succeeded").first).to_be_visible()
