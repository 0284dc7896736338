"""From nothing to a mapping, in the browser: a source is added, tested, mended, explored, and its tables ticked."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.browser.looking import NARROW, assert_accessible, at_width, follow, tab_to, visit
from tests.browser.visiting import allowing, sign_in_elsewhere
from tests.databases import PgDatabase
from tests.relay import run_relay

_SHOP = """
CREATE SCHEMA sales;
CREATE TABLE sales.orders (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, updated_at timestamptz NOT NULL);
CREATE TABLE sales.lines (id bigint PRIMARY KEY, updated_at timestamptz);
CREATE TABLE customers (id uuid PRIMARY KEY, code text NOT NULL UNIQUE, updated_at timestamptz NOT NULL);
CREATE TABLE a_table_whose_name_is_as_long_as_postgresql_allows_names_to_be_x (note text);
INSERT INTO sales.orders (updated_at) SELECT now() FROM generate_series(1, 1000);
ANALYZE
"""
_ADD, _TEST = "/admin/migrations_app/source/add/", "Test connection"


def _add(page: Page, database: PgDatabase) -> None:
    """Fill the form of a source and save it."""
    _fill(page, database)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/see/discover/")


def _fill(page: Page, database: PgDatabase) -> None:
    server = database.server
    visit(page, _ADD)
    page.locator("[name=name]").fill("shop")
    page.locator("[name=source_type]").select_option("pgsql")
    page.locator("[name=pgsql__url]").fill(server.host)
    page.locator("[name=pgsql__port]").fill(str(server.port))
    page.locator("[name=pgsql__db_name]").fill(database.name)
    page.locator("[name=pgsql__username]").fill(server.user)
    page.locator("[name=pgsql__password]").fill(server.password)


def test_source_is_tested_and_mended_before_it_is_saved(page: Page, pg_database: PgDatabase) -> None:
    pg_database.execute(_SHOP)
    _fill(page, pg_database)
    for name in ("mongo__url", "kafka__kafka_server", "api__token"):
        expect(page.locator(f"[name={name}]")).to_be_hidden()
    answer = page.locator("#dms-test-answer")
    page.locator("[name=pgsql__password]").fill("wrong-and-secret")
    tab_to(page, page.get_by_role("button", name=_TEST))
    page.keyboard.press("Enter")
    expect(answer).to_contain_text("It does not work: sign in failed.")
    expect(answer).to_contain_text("check `username` and `password`")
    assert_accessible(page)
    page.locator("[name=pgsql__password]").fill(pg_database.server.password)
    expect(answer).to_contain_text("The form has changed since it was tested")
    page.get_by_role("button", name=_TEST).click()
    expect(answer).to_contain_text("the user may read all 4 tables")
    with at_width(page, NARROW):
        assert_accessible(page)
    page.evaluate("navigator.clipboard.writeText = async text => { window.copied = text }")
    tab_to(page, page.get_by_role("button", name="Copy result"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    first, *steps = page.evaluate("window.copied").splitlines()
    assert first.startswith("warning It works; read the warnings."), "words, without the names of icons"
    assert any(step.startswith("ok sign in ") for step in steps)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/see/discover/")
    visit(page, "/admin/migrations_app/source/")
    expect(page.locator("#result_list")).to_contain_text("warning")
    assert "wrong-and-secret" not in page.content()


def test_step_shows_as_running_while_the_earlier_ones_stand_as_ok(page: Page, pg_database: PgDatabase) -> None:
    _fill(page, pg_database)
    with run_relay(pg_database.server.host, pg_database.server.port) as relay:
        # The server falls silent in the step `role`.
        relay.hold(b"pg_is_in_recovery")
        page.locator("[name=pgsql__url]").fill("127.0.0.1")
        page.locator("[name=pgsql__port]").fill(str(relay.port))
        page.get_by_role("button", name=_TEST).click()
        answer = page.locator("#dms-test-answer")
        steps = answer.get_by_role("listitem")
        running = steps.filter(has_text="running")
        expect(running.filter(has_text="role")).to_be_visible()
        expect(steps).to_have_count(6)
        for name, outcome in (("resolve", "ok"), ("TLS", "warning"), ("sign in", "ok"), ("version", "ok")):
            expect(steps.filter(has_text=name).first).to_contain_text(outcome)
        expect(answer.locator("[data-dms-verdict]")).to_have_count(0)
        expect(page.get_by_role("button", name=_TEST)).to_be_disabled()
        # What is there stays where it is, so that it is read aloud once.
        first = steps.first.element_handle()
        relay.release()
        expect(answer.locator("[data-dms-verdict]")).to_contain_text("It works; read the warnings.")
    expect(running).to_have_count(0)
    expect(steps).to_have_count(9)
    assert first.evaluate("element => element === document.querySelector('#dms-test-answer li')")


def test_secret_is_never_shown_and_asked_for_again_when_the_host_changes(page: Page, pg_database: PgDatabase) -> None:
    _add(page, pg_database)
    follow(page, page.get_by_role("link", name="shop").first)
    password = page.locator("[name=pgsql__password]")
    expect(password).to_have_value("")
    expect(password).to_have_attribute("placeholder", "set; kept when empty")
    page.locator("[name=pgsql__url]").fill("localhost")
    page.get_by_role("button", name=_TEST).click()
    expect(page.locator("#dms-test-answer")).to_contain_text("`url` changed: enter this again")
    follow(page, page.get_by_role("button", name="Save", exact=True))
    expect(page.locator("body")).to_contain_text("`url` changed: enter this again")
    page.get_by_label("Environment variable", exact=True).locator("visible=true").check()
    expect(page.locator("[name=pgsql__password]")).to_be_hidden()
    page.locator("[name=pgsql__password__env]").fill("SOURCE_PASSWORD")
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/source/")


def test_ticked_tables_lead_to_a_mapping_by_the_keyboard(page: Page, pg_database: PgDatabase) -> None:
    pg_database.execute(_SHOP)
    _add(page, pg_database)
    follow(page, page.get_by_role("link", name="shop").first)
    follow(page, page.get_by_role("link", name="Discover tables"))
    rows = page.locator("[data-dms-table]")
    expect(rows).to_have_count(4)
    assert_accessible(page)
    with at_width(page, NARROW):
        assert_accessible(page)

    tab_to(page, page.locator('[data-dms-table="customers"] [data-dms-tick]'))
    page.keyboard.press("Space")
    page.locator('[data-dms-table="customers"]').get_by_label("Key").select_option(label="code (str)")
    page.get_by_label("Search by name").fill("sales")
    expect(rows).to_have_count(2)
    page.locator('[data-dms-table="sales.orders"]').get_by_role("checkbox").check()
    page.get_by_label("Search by name").fill("")
    expect(rows).to_have_count(4)
    expect(page.locator('[data-dms-table="customers"]').get_by_role("checkbox")).to_be_checked()
    expect(page.locator('[data-dms-table="customers"]').get_by_label("Key")).to_have_value('["code"]')
    expect(page.locator("#dms-ticked-count")).to_have_text("2 ticked")
    page.get_by_label("All of sales").check()
    expect(page.locator("#dms-ticked-count")).to_have_text("3 ticked")
    page.locator('[data-dms-table="sales.lines"]').get_by_role("checkbox").uncheck()
    expect(page.locator("#dms-ticked-names")).to_have_text("all of sales but sales.lines, customers")
    assert_accessible(page)

    page.get_by_label("Id of the mapping").fill("no id")
    page.get_by_role("button", name="Continue to the mapping").click()
    expect(page.get_by_role("alert")).to_contain_text("Give the mapping an id")
    page.get_by_label("Id of the mapping").fill("shop-copy")
    page.get_by_role("button", name="Continue to the mapping").click()
    page.wait_for_url(re.compile(r"/mapping/add/\?draft="))


def test_schemas_of_a_large_database_are_opened_one_by_one(page: Page, pg_database: PgDatabase) -> None:
    pg_database.execute(
        "CREATE SCHEMA many; CREATE TABLE few (id int PRIMARY KEY); DO $$ BEGIN FOR n IN 1..250 LOOP"
        " EXECUTE format('CREATE TABLE many.t%s (id int PRIMARY KEY)', n); END LOOP; END $$"
    )
    _add(page, pg_database)
    follow(page, page.get_by_role("link", name="shop").first)
    follow(page, page.get_by_role("link", name="Discover tables"))
    schema = page.locator("summary").filter(has_text="many")
    expect(schema).to_be_visible()
    rows = page.locator('[data-dms-of="many"]')
    expect(rows).to_have_count(0)
    page.get_by_label("All of many").check()
    expect(page.locator("#dms-ticked-count")).to_have_text("250 ticked")
    tab_to(page, schema)
    page.keyboard.press("Enter")
    expect(rows).to_have_count(200)
    expect(rows.first.get_by_role("checkbox")).to_be_checked()
    rows.first.get_by_role("checkbox").uncheck()
    page.get_by_role("button", name="Show more of many").click()
    expect(rows).to_have_count(250)
    expect(page.locator("#dms-ticked-count")).to_have_text("249 ticked")
    page.get_by_role("button", name="Continue to the mapping").click()
    expect(page.get_by_role("alert")).to_contain_text("249 tables are ticked")


def test_source_that_cannot_be_asked_leads_to_its_test(page: Page, pg_database: PgDatabase) -> None:
    _add(page, pg_database)
    pg_database.server.drop_database(pg_database.name)
    follow(page, page.get_by_role("link", name="shop").first)
    follow(page, page.get_by_role("link", name="Discover tables"))
    expect(page.locator("#dms-found")).to_contain_text("The database does not exist on the server; check `db_name`")
    follow(page, page.get_by_role("link", name="Test its connection"))
    page.get_by_role("button", name=_TEST).click()
    expect(page.locator("#dms-test-answer")).to_contain_text("sign in failed")
    pg_database.server.create_database(pg_database.name)


def test_form_that_is_saved_signed_out_keeps_what_was_entered(page: Page, pg_database: PgDatabase) -> None:
    _fill(page, pg_database)
    page.context.clear_cookies(name="sessionid")

    with allowing(page, 403):
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("sign in in another tab, then save again")
    expect(page.locator("[name=name]")).to_have_value("shop")
    expect(page.locator("[name=pgsql__password]")).to_have_value(pg_database.server.password)
    sign_in_elsewhere(page)
    page.get_by_role("button", name="Save", exact=True).click()

    page.wait_for_url("**/see/discover/")
