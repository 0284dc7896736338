"""The service settings in the browser: a store is tested as it is entered, corrected, and saved."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from controlplane.sandbox import MongoServer
from tests.browser import scenes
from tests.browser.conftest import PageOf
from tests.browser.looking import NARROW, assert_accessible, at_width, tab_to, visit
from tests.browser.people import Role
from tests.browser.site import Site

_PAGE = "/admin/migrations_app/servicesettings/"


def test_store_is_tested_before_it_is_saved_and_the_remedy_helps(
    page: Page, mongo: MongoServer, mongo_database_name: str
) -> None:
    visit(page, _PAGE)
    page.locator("#id_dashboard_store_url").fill("mongodb://nowhere.invalid")
    page.locator("#id_dashboard_store_db_name").fill(mongo_database_name)
    page.locator("#id_dashboard_store_collection_name").fill("runs")
    test = page.get_by_role("button", name="Test the store of runs")
    test.click()
    steps = page.locator("#tested_dashboard_store li")
    expect(steps.first).to_contain_text("the host name nowhere.invalid is unknown; check dashboard_store.url")
    expect(steps).to_have_count(1)
    expect(page.locator("#tested_dashboard_store [data-dms-verdict]")).to_contain_text("resolve failed")

    page.locator("#id_dashboard_store_url").fill(mongo.url)
    test.click()
    expect(steps).to_have_count(5)
    expect(page.locator("#tested_dashboard_store .dms-step .dms-good")).to_have_count(5)
    expect(page.locator("#tested_dashboard_store [data-dms-verdict]")).to_contain_text("not saved yet")
    with at_width(page, NARROW):
        assert_accessible(page)

    for field, value in (("url", mongo.url), ("db_name", mongo_database_name), ("collection_name", "state")):
        page.locator(f"#id_encryption_store_{field}").fill(value)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("was added successfully")).to_be_visible()


def test_document_is_pasted_checked_and_imported_by_keyboard(page: Page, site: Site) -> None:
    site.call(scenes.save_settings, {})
    visit(page, f"{_PAGE}see/import_page/")
    text = page.get_by_label("Document")
    tab_to(page, text)
    page.keyboard.insert_text("settings = {'timezone': 'Mars'}")
    tab_to(page, page.get_by_role("button", name="Only check"))
    page.keyboard.press("Enter")
    expect(page.locator("#checked")).to_contain_text("timezone: expected a time zone name")
    assert_accessible(page)

    store = "{'url': 'env:MONGO_URL', 'db_name': 'dms', 'collection_name': 'x'}"
    text.fill(f"settings = {{'timezone': 'UTC', 'encryption_store': {store}, 'dashboard_store': {store}}}")
    page.get_by_role("button", name="Only check").click()
    expect(page.get_by_role("region", name="Changes")).to_contain_text("/timezone")
    assert_accessible(page)
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.get_by_text("The settings are imported.")).to_be_visible()
    expect(page.get_by_label("Time zone")).to_have_value("UTC")


def test_viewer_looks_and_changes_nothing(page_of: PageOf, site: Site) -> None:
    site.call(scenes.save_settings, {})
    site.call(scenes.permit, Role.NO_ROLE, ["view_servicesettings"])
    page = page_of(Role.NO_ROLE)
    visit(page, _PAGE)
    expect(page.get_by_text("set; not shown")).to_be_visible()
    expect(page.get_by_role("button", name="Save")).to_have_count(0)
    expect(page.get_by_role("button", name="Test")).to_have_count(0)
    assert_accessible(page)
