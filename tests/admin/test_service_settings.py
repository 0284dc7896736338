"""The page of the service settings: tested before they are saved, exported and imported, and shown to readers."""

from __future__ import annotations

import json
import socket
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from controlplane.sandbox import MongoServer
from migrations_app import settings_io
from migrations_app.models import AuditEntry, ServiceSettings
from tests.admin.ends import Answer, ask_test
from tests.admin.people import staff
from tests.controlplane.builders import raw_settings
from tests.controlplane.pages import accepted, errors_of, url
from tests.notify.servers import TOKEN, Clock, SlackServer, serving

pytestmark = pytest.mark.django_db

FORM = {
    "timezone": "Europe/Berlin",
    "encryption_store_url": "mongodb://u:store-secret@store.example",
    "encryption_store_db_name": "dms",
    "encryption_store_collection_name": "state",
    "dashboard_store_url": "env:MONGO_URL",
    "dashboard_store_db_name": "dms",
    "dashboard_store_collection_name": "runs",
    "slack_notif_channel": "#data",
}


def address(name: str) -> str:
    return reverse(f"admin:migrations_app_servicesettings_{name}")


@pytest.fixture
def editor() -> Client:
    return staff("view_servicesettings", "change_servicesettings")


@pytest.fixture
def reader() -> Client:
    return staff("view_servicesettings")


@pytest.fixture
def stored() -> None:
    save(slack_notif={"slack_token": TOKEN, "channel": "#data"}, keepalive_kwargs={"keepalives_idle": 7})


def save(**overrides: Any) -> None:
    settings_io.save_settings(settings_io.parse_settings(raw_settings(**overrides)))


def test_part(client: Client, part: str, **form: str) -> Answer:
    return ask_test(client, address("do_test_part"), FORM | form | {"part": part})


test_part.__test__ = False  # type: ignore[attr-defined]


def outcomes(answer: Answer) -> list[str]:
    return [outcome for outcome, _ in answer.steps.values()]


def run_import(client: Client, text: str, **form: Any) -> Any:
    return client.post(address("do_import_document"), {"text": text} | form, HTTP_HX_REQUEST="true")


def test_store_is_tested_as_it_stands_in_the_form(
    editor: Client, stored: None, mongo: MongoServer, mongo_database_name: str
) -> None:
    answer = test_part(
        editor, "dashboard_store", dashboard_store_url=mongo.url, dashboard_store_db_name=mongo_database_name
    )

    assert outcomes(answer) == ["ok"] * 5
    assert "Everything works." in answer.verdict
    assert answer.verdict.endswith("not saved yet")
    assert settings_io.load_settings().dashboard_store.db_name == "dms"


def test_stored_address_is_tested_when_none_is_entered(editor: Client, mongo: MongoServer) -> None:
    save(encryption_store={"url": mongo.url, "db_name": "dms", "collection_name": "state"})

    answer = test_part(editor, "encryption_store", encryption_store_url="", encryption_store_db_name="")

    assert "encryption_store.db_name: This field is required" in answer.steps["settings"][1]
    answer = test_part(editor, "encryption_store", encryption_store_url="", encryption_store_db_name="test_settings")
    assert outcomes(answer) == ["ok"] * 5


def test_failed_step_tells_its_remedy_and_no_secret(editor: Client, stored: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answer = test_part(editor, "encryption_store", encryption_store_url=f"mongodb://u:entered-now@127.0.0.1:{port}")

    assert answer.steps["connect"][0] == "failed"
    assert "check encryption_store.url and firewalls" in answer.steps["connect"][1]
    assert "entered-now" not in answer.text
    entry = AuditEntry.objects.get(action="test")
    assert entry.details == {"part": "encryption_store", "steps": {"resolve": "ok", "connect": "failed"}}


def test_slack_is_tested_with_what_stands_in_the_form(editor: Client, stored: None, settings: Any) -> None:
    server = SlackServer(Clock())
    with serving(server.answer) as base:
        settings.DMS_SLACK_API_URL = f"{base}/api/"
        answer = test_part(editor, "slack_notif", slack_notif_channel="#ops")

    assert outcomes(answer) == ["ok"] * 4
    assert len(server.texts("#ops")) == 1
    assert TOKEN not in answer.text


def test_slack_that_is_not_entered_is_told(editor: Client) -> None:
    assert "slack_notif: is not filled in" in test_part(editor, "slack_notif", slack_notif_channel="").text


@pytest.mark.parametrize("name", ["do_test_part", "do_import_document", "see_import_page"])
def test_reader_neither_tests_nor_imports(reader: Client, stored: None, name: str) -> None:
    ask = reader.get if "see" in name else reader.post

    assert ask(address(name), {"part": "encryption_store"}).status_code == 403
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["do_test_part", "do_import_document"])
def test_nothing_is_done_by_a_link(editor: Client, stored: None, name: str) -> None:
    assert editor.get(address(name), {"part": "encryption_store"}).status_code == 405


def test_reader_sees_what_is_set_and_no_secret(reader: Client, stored: None) -> None:
    page = reader.get(url(ServiceSettings, "change", 1)).content.decode()

    assert "set; not shown" in page
    assert "env:MONGO_URL" in page
    assert "Forget Slack" not in page
    assert "hx-post" not in page
    assert "store-secret" not in page
    assert TOKEN not in page


def test_environment_is_shown_without_secrets(editor: Client, stored: None, settings: Any) -> None:
    settings.DMS_WEBHOOK_URL = "https://user:in-the-user@hook.example/in-the-path?key=in-the-query"
    settings.DMS_WEBHOOK_SECRET = "in-the-variable"
    settings.DMS_BROKER_URL = "redis://:in-the-broker@redis.example"
    page = editor.get(url(ServiceSettings, "change", 1)).content.decode()

    assert "set, at hook.example" in page
    assert "DMS_CLOCK_MARGIN_S" in page
    assert "in-the-" not in page
    assert settings.DMS_SECRET_KEYS[0] not in page


def test_webhook_is_offered_where_there_is_one(editor: Client, stored: None, settings: Any) -> None:
    settings.DMS_WEBHOOK_URL = ""
    assert "Test the webhook" not in editor.get(url(ServiceSettings, "change", 1)).content.decode()
    settings.DMS_WEBHOOK_URL = "https://hook.example"
    assert "Test the webhook" in editor.get(url(ServiceSettings, "change", 1)).content.decode()


def test_keys_without_a_column_are_entered_in_fields(editor: Client, stored: None) -> None:
    form = FORM | {"keepalive_kwargs_keepalives_idle": "12", "clock_margin_s": "5", "cut_off_time": "22:30"}
    assert accepted(editor.post(url(ServiceSettings, "change", 1), form))

    found = settings_io.load_settings()
    assert (found.keepalive_kwargs.keepalives_idle, found.keepalive_kwargs.keepalives_interval) == (12, 5)
    assert (found.clock_margin_s, str(found.cut_off_time)) == (5, "22:30:00")
    page = editor.get(url(ServiceSettings, "change", 1)).content.decode()
    assert 'value="12"' in page
    assert accepted(editor.post(url(ServiceSettings, "change", 1), FORM | {"clock_margin_s": ""}))
    assert settings_io.load_settings().clock_margin_s is None


def test_mistakes_are_shown_at_their_fields(editor: Client, stored: None) -> None:
    form = FORM | {"timezone": "Mars", "keepalive_kwargs_keepalives": "2", "clock_margin_s": "-1"}

    errors = errors_of(editor.post(url(ServiceSettings, "change", 1), form))

    assert set(errors) == {"timezone", "keepalive_kwargs_keepalives", "clock_margin_s"}


def test_slack_is_forgotten_on_demand_and_not_while_it_is_needed(editor: Client, stored: None) -> None:
    form = FORM | {"forget_slack": "on"}
    assert not accepted(editor.post(url(ServiceSettings, "change", 1), form | {"notify": "on"}))
    assert settings_io.load_settings().slack_notif is not None

    assert accepted(editor.post(url(ServiceSettings, "change", 1), form))
    assert settings_io.load_settings().slack_notif is None


@pytest.mark.parametrize("form", ["python", "json", "yaml"])
def test_export_is_read_back_as_the_same_settings(editor: Client, stored: None, form: str) -> None:
    before = settings_io.load_settings()
    answer = editor.get(address("see_export"), {"format": form, "download": ""})
    text = answer.content.decode()

    assert answer.headers["Content-Disposition"].startswith('attachment; filename="settings.')
    assert "store-secret" not in text
    assert TOKEN not in text
    assert run_import(editor, text).headers["HX-Redirect"]
    assert settings_io.load_settings() == before


def test_export_is_shown_to_readers_without_secrets(reader: Client, stored: None) -> None:
    page = reader.get(address("see_export")).content.decode()

    assert "os.getenv(" in page
    assert "MONGO_URL" in page
    assert "store-secret" not in page


def test_export_of_nothing_says_so(reader: Client) -> None:
    assert "the service settings are not set" in reader.get(address("see_export")).content.decode()


def test_file_is_imported_and_recorded_without_secrets(editor: Client, stored: None) -> None:
    document = raw_settings(timezone="UTC") | {"notify": False}
    document["encryption_store"]["url"] = "mongodb://u:new-secret@store.example"
    file = SimpleUploadedFile("mine.json", json.dumps(document).encode())

    assert run_import(editor, "", file=file).headers["HX-Redirect"] == address("changelist")

    found = settings_io.load_settings()
    assert (found.timezone, found.slack_notif) == ("UTC", None)
    assert "new-secret" in found.encryption_store.url.get_secret_value()
    entry = AuditEntry.objects.get(action="change")
    assert entry.before is not None
    assert entry.after is not None
    # What is at its default is left out.
    assert ("timezone" in entry.before, entry.after["timezone"]) == (False, "UTC")
    assert "secret" not in json.dumps([entry.before, entry.after, entry.details])


def test_import_of_another_secret_alone_is_told_and_of_nothing_is_not(editor: Client, stored: None) -> None:
    text = editor.get(address("see_export"), {"format": "yaml", "download": ""}).content.decode()
    assert run_import(editor, text).headers["HX-Redirect"]
    assert not AuditEntry.objects.exists()

    document = raw_settings()
    document["encryption_store"]["url"] = "mongodb://user:new-secret@store.example"
    assert run_import(editor, json.dumps(document)).headers["HX-Redirect"]
    assert run_import(editor, json.dumps(document)).headers["HX-Redirect"]

    entry = AuditEntry.objects.latest("pk")
    assert entry.after is not None
    assert entry.after["encryption_store.url"] == "******** (changed)"
    assert AuditEntry.objects.count() == 1


def test_check_tells_what_would_change_and_changes_nothing(editor: Client, stored: None) -> None:
    text = editor.get(address("see_export"), {"format": "yaml", "download": ""}).content.decode()
    page = run_import(editor, text + "timezone: UTC\n", check="1").content.decode()

    assert "/timezone" in page
    assert "UTC" in page
    assert settings_io.load_settings().timezone == "Asia/Kolkata"
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("settings = {'timezone': 'Mars', 'foo': 1}", "foo: is not a key of the contract"),
        ("settings = {'timezone': open('/etc/passwd')}", "pasted.py"),
        ("{", "pasted.json"),
        ("mapping:\n  source: {}\n", "holds mapping where settings is expected"),
        ("  ", "nothing was given"),
    ],
)
def test_mistakes_of_a_document_are_told_with_their_keys(editor: Client, stored: None, text: str, words: str) -> None:
    page = run_import(editor, text).content.decode()

    assert "Nothing was imported" in page
    assert words in page.replace("&#x27;", "'")
    assert settings_io.load_settings().timezone == "Asia/Kolkata"


def test_secret_of_a_document_with_mistakes_comes_back_in_no_answer(editor: Client, stored: None) -> None:
    document = raw_settings(timezone="Mars")
    document["encryption_store"]["url"] = "mongodb://u:pasted-secret@store.example"

    assert "pasted-secret" not in run_import(editor, json.dumps(document)).content.decode()


def test_mask_is_no_secret_for_another_place(editor: Client, stored: None) -> None:
    text = editor.get(address("see_export"), {"format": "json", "download": ""}).content.decode()

    page = run_import(editor, text.replace("store.example", "evil.example")).content.decode()

    assert "Nothing was imported" in page
    assert "encryption_store.url" in page


def test_first_settings_are_imported(editor: Client) -> None:
    assert run_import(editor, json.dumps(raw_settings())).headers["HX-Redirect"]
    assert ServiceSettings.objects.count() == 1


def test_change_is_recorded_without_secrets(editor: Client, stored: None) -> None:
    form = FORM | {"encryption_store_url": "mongodb://u:new-secret@store.example"}
    assert accepted(editor.post(url(ServiceSettings, "change", 1), form))

    entry = AuditEntry.objects.get()
    assert entry.after is not None
    assert entry.after["timezone"] == "Europe/Berlin"
    assert "-secret" not in json.dumps([entry.before, entry.after, entry.details])
