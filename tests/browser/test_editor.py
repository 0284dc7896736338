"""A mapping is written in the browser: what the mode needs, what the cron means, what arrives, what is still wrong."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from connectors.mapping import dump_yaml, parse_mapping
from tests.admin.editing import store_ends
from tests.browser import scenes
from tests.browser.looking import NARROW, assert_accessible, at_width, follow, tab_to, visit
from tests.browser.site import Site
from tests.browser.visiting import assert_no_complaints, sign_in_elsewhere
from tests.builders import make_mapping, make_table
from tests.controlplane.builders import raw_table
from tests.databases import PgDatabase

ADD = "/admin/migrations_app/mapping/add/"


@pytest.fixture
def shop(site: Site, two_databases: tuple[PgDatabase, PgDatabase]) -> tuple[PgDatabase, PgDatabase]:
    """Both ends are stored, and no mapping is."""
    two_databases[0].execute(
        "CREATE TABLE orders (id int PRIMARY KEY, card text, updated_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO orders SELECT n, '1234-5678' FROM generate_series(1, 30) n; ANALYZE orders"
    )
    site.call(store_ends, make_mapping(*two_databases, make_table()))
    return two_databases


def choose(page: Page, field: str, text: str) -> None:
    """Choose in a field that searches."""
    page.locator(f".field-{field} .select2-selection").last.click()
    page.locator(".select2-results__option", has_text=text).first.click()


def begin(page: Page) -> None:
    """A new mapping with its source and one empty table."""
    visit(page, ADD)
    expect(page.locator("#tables-group")).to_be_hidden()
    page.fill("#id_id", "jobs")
    choose(page, "source", "ends")
    expect(page.locator("#tables-group")).to_be_visible()
    expect(page.locator("#collections-group")).to_be_hidden()
    page.get_by_role("link", name="Add another Table").or_(page.get_by_role("button", name="Add another Table")).click()


def test_a_mapping_is_written_looked_at_and_saved(page: Page, shop: tuple[PgDatabase, PgDatabase]) -> None:
    begin(page)
    page.fill("#id_tables-0-table_name", "orders")
    page.select_option("#id_tables-0-mode", "syncing")
    page.fill("#id_tables-0-cron", "* * * * mon-fri 9-17 */15 0")
    expect(page.locator(".dms-cron").first).to_contain_text("Every 15 minutes from 09:00 to 17:59, Monday to Friday")
    expect(page.locator(".dms-cron-times li")).to_have_count(5)
    document = page.locator("#dms-document")
    # What is missing leads to its field.
    document.locator("[data-dms-field='id_tables-0-primary_key']").click()
    expect(page.locator("#id_tables-0-primary_key")).to_be_focused()
    page.keyboard.type("id")
    page.fill("#id_tables-0-primary_key_datatype", "int")
    page.fill("#id_tables-0-bookmark", "updated_at")
    expect(document).to_contain_text("no destination yet")
    expect(document).not_to_contain_text("complete")
    expect(page.locator("#tables-group h3 strong").first).to_have_text("Table: orders", use_inner_text=True)
    page.get_by_role("link", name="Add another Destination").or_(
        page.get_by_role("button", name="Add another Destination")
    ).click()
    page.select_option("#id_named_destinations-0-destination", label="ends:dest")
    expect(page.locator("#id_named_destinations-0-name")).to_have_value("dest")
    expect(document).to_contain_text("complete")
    expect(document).to_contain_text("'table_name': 'orders'")
    page.locator("#dms-editor-controls").get_by_label("YAML").check()
    expect(document).to_contain_text("table_name: orders")

    page.get_by_role("button", name="Preview").click()
    answer = page.locator("#dms-editor-answer")
    expect(answer).to_contain_text("20 rows as they would arrive")
    assert_accessible(page, "#dms-editor-result")
    with at_width(page, NARROW):
        expect(answer.locator("table")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Plan").click()
    expect(answer).to_contain_text("orders to dest")
    expect(answer).to_contain_text("CREATE TABLE")
    assert_accessible(page, "#dms-editor-result")
    page.keyboard.press("Escape")
    assert shop[1].value("SELECT to_regnamespace('arrived') IS NULL")

    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert_no_complaints(page)


def test_only_the_keys_of_the_mode_are_asked_for(page: Page, shop: tuple[PgDatabase, PgDatabase]) -> None:
    begin(page)
    for mode, key_is_asked_for in (("dumping", False), ("logging", True), ("mirroring", True)):
        page.select_option("#id_tables-0-mode", mode)
        expect(page.locator("#id_tables-0-primary_key")).to_be_visible(visible=key_is_asked_for)
    page.fill("#id_tables-0-bookmark", "updated_at")
    page.select_option("#id_tables-0-mode", "dumping")
    # What is filled in stays in sight.
    expect(page.locator("#id_tables-0-bookmark")).to_be_visible()
    expect(page.locator("#id_tables-0-primary_key")).to_be_hidden()


def test_pasted_text_fills_the_form(page: Page, shop: tuple[PgDatabase, PgDatabase]) -> None:
    text = dump_yaml(parse_mapping(make_mapping(*shop, make_table(), make_table("b", mode="dumping", bookmark=...))))
    visit(page, ADD)
    page.fill("#id_id", "jobs")
    page.get_by_role("button", name="Paste").click()
    page.get_by_label("Text", exact=True).fill("destination: {}")
    page.get_by_role("button", name="Fill in").click()
    expect(page.locator("#dms-import-answer")).to_contain_text("source: is required")
    assert_accessible(page, "#dms-import")
    page.get_by_label("Text", exact=True).fill(text)
    page.get_by_role("button", name="Fill in").click()
    page.wait_for_url("**?draft=*")
    expect(page.locator("#id_tables-1-table_name")).to_have_value("b")
    expect(page.locator("#id_id")).to_have_value("jobs")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()
    assert_no_complaints(page)


def test_mistakes_are_shown_at_their_fields_in_what_was_folded_away(
    page: Page, shop: tuple[PgDatabase, PgDatabase]
) -> None:
    begin(page)
    page.fill("#id_tables-0-table_name", "orders")
    page.select_option("#id_tables-0-mode", "dumping")
    page.locator("#tables-group summary:visible", has_text="Advanced").click()
    page.fill("#id_tables-0-col_rename", "{'a': 'b'}")
    follow(page, page.get_by_role("button", name="Save", exact=True))
    field = page.locator("#id_tables-0-col_rename")
    expect(field).to_be_visible()
    expect(page.locator(".field-col_rename.errors")).to_contain_text("line 1, column 2")
    assert_accessible(page)
    assert_no_complaints(page)


def test_the_keyboard_is_enough_to_unfold_a_table_among_many(page: Page, site: Site) -> None:
    tables = [raw_table(table_name=name) for name in ("a", "b", "c", "x" * 63)]
    site.call(scenes.save_mapping, "shop", {"tables": tables})
    visit(page, "/admin/migrations_app/mapping/shop/change/")
    field, head = page.locator("#id_tables-1-table_name"), page.get_by_role("button", name="b", exact=True)
    expect(field).to_be_hidden()

    tab_to(page, head)
    page.keyboard.press("Enter")

    expect(field).to_be_visible()
    expect(head).to_have_attribute("aria-expanded", "true")
    assert_accessible(page, "#tables-group")
    page.keyboard.press("Space")
    expect(field).to_be_hidden()
    # A long name leaves the card's own buttons in sight.
    card = page.locator("#tables-group .form-group").nth(3)
    assert card.locator("h3").evaluate("element => element.scrollWidth <= element.clientWidth")


def test_work_goes_on_after_signing_in_in_another_tab(page: Page, site: Site) -> None:
    site.call(scenes.save_mapping, "shop", {})
    visit(page, "/admin/migrations_app/mapping/shop/change/")
    document = page.locator("#dms-document")
    expect(document).to_contain_text("'source'")
    page.context.clear_cookies(name="sessionid")
    page.fill("#id_description", "typed while signed out")
    expect(document).to_contain_text("Sign in in another tab, then go on here")

    sign_in_elsewhere(page)
    page.fill("#id_description", "and finished afterwards")

    expect(document).to_contain_text("'source'")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was changed successfully")).to_be_visible()
    expect(page.get_by_text("and finished afterwards")).to_be_visible()
    assert_no_complaints(page)


def test_the_keyboard_is_enough_to_look(page: Page, shop: tuple[PgDatabase, PgDatabase]) -> None:
    begin(page)
    page.fill("#id_tables-0-table_name", "orders")
    expect(page.locator("#dms-document")).to_contain_text("orders")
    tab_to(page, page.get_by_role("button", name="Plan"))
    page.keyboard.press("Enter")
    expect(page.locator("#dms-editor-answer")).to_contain_text("not complete yet")
    page.keyboard.press("Escape")
    expect(page.locator("#dms-editor-result")).to_be_hidden()
