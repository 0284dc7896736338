"""Running from the admin, and what people see of runs, streams and settings."""

from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse

from migrations_app import hosts, settings_io, starting
from migrations_app.enums import EventLevel, RunState
from migrations_app.models import (
    Checkpoint,
    Mapping,
    Run,
    ServiceSettings,
    Stream,
)
from tests.controlplane.builders import make_run, make_stream, raw_settings
from tests.controlplane.pages import accepted, errors_of, save_mapping, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Requests to start a process, in place of the process."""
    requests: list[dict[str, Any]] = []

    def start(mapping_id: str, **options: Any) -> int:
        requests.append({"mapping_id": mapping_id, **options})
        return 0

    monkeypatch.setattr(starting, "start_detached", start)
    monkeypatch.setenv("DEST_PASSWORD", "x")
    monkeypatch.setenv("MONGO_URL", "mongodb://store.example")
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    return requests


def run_now(client: Client, row: Mapping | Stream) -> str:
    form = {"action": "run_now", "_selected_action": [row.pk]}
    return client.post(url(type(row), "changelist"), form, follow=True).content.decode()


def test_mapping_is_run_from_the_admin(admin_client: Client, started: list[dict[str, Any]]) -> None:
    assert "Started shop" in run_now(admin_client, save_mapping())
    assert started == [{"mapping_id": "shop", "table": None, "destination": None, "requested_by": "admin"}]


def test_worker_that_is_up_finds_the_run_in_the_queue(admin_client: Client, started: list[dict[str, Any]]) -> None:
    hosts.beat("here", "holder", {"slots": 2})
    stream = make_stream()

    assert "Queued 1 of 1 stream of shop" in run_now(admin_client, stream)
    assert "Queued 0 of 1 stream of shop for the workers, 1 has a run already" in run_now(admin_client, stream.mapping)

    run = Run.objects.get()
    assert (run.state, run.trigger, run.requested_by, run.owner_pid) == ("queued", "admin", "admin", None)
    assert started == []


def test_stream_is_run_from_the_admin(admin_client: Client, started: list[dict[str, Any]]) -> None:
    run_now(admin_client, make_stream())

    (request,) = started
    assert (request["table"], request["destination"]) == ("orders", "warehouse")


def test_stream_that_left_its_mapping_is_not_run(admin_client: Client, started: list[dict[str, Any]]) -> None:
    stream = make_stream()
    Stream.objects.update(active=False)

    assert "no longer part" in run_now(admin_client, stream)
    assert started == []


def test_what_stops_a_run_is_said_before_it_starts(
    admin_client: Client, started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEST_PASSWORD")

    assert "DEST_PASSWORD is not set" in run_now(admin_client, save_mapping())
    assert started == []


def test_running_needs_its_permission(client: Client, started: list[dict[str, Any]]) -> None:
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_mapping", "change_mapping")))
    client.force_login(user)
    mapping = save_mapping()

    run_now(client, mapping)
    assert started == []

    user.user_permissions.add(Permission.objects.get(codename="run_mapping"))
    run_now(client, mapping)
    assert len(started) == 1


def test_running_is_not_done_by_a_link(admin_client: Client, started: list[dict[str, Any]]) -> None:
    mapping = save_mapping()

    admin_client.get(url(Mapping, "changelist"), {"action": "run_now", "_selected_action": [mapping.pk]})

    assert started == []


def test_runs_are_shown_and_not_changed(admin_client: Client) -> None:
    stream = make_stream()
    Checkpoint.objects.create(stream=stream, position={"cursor": ["5"]}, epoch=1, rows_total=1234)
    run = make_run(stream, read=4321)
    run.events.create(message="committed 4321 rows")

    page = admin_client.get(url(Run, "change", run.pk)).content.decode()
    assert "committed 4321 rows" in page
    assert "4,321 read" in admin_client.get(url(Run, "changelist")).content.decode()
    assert "1,234" in admin_client.get(url(Stream, "changelist")).content.decode()
    assert admin_client.get(url(Stream, "change", stream.pk)).status_code == 200
    assert admin_client.post(url(Run, "change", run.pk), {"state": "failed"}).status_code == 403
    assert admin_client.get(url(Run, "add")).status_code == 403


SETTINGS_FORM = {
    "timezone": "Europe/Paris",
    "encryption_store_url": "mongodb://u:store-secret@store.example",
    "encryption_store_db_name": "dms",
    "encryption_store_collection_name": "state",
    "dashboard_store_url": "env:MONGO_URL",
    "dashboard_store_db_name": "dms",
    "dashboard_store_collection_name": "runs",
    "options": "{}",
}


def test_settings_are_entered_and_changed(admin_client: Client) -> None:
    assert accepted(admin_client.post(url(ServiceSettings, "add"), SETTINGS_FORM))
    form = SETTINGS_FORM | {"encryption_store_url": "", "timezone": "UTC"}
    assert accepted(admin_client.post(url(ServiceSettings, "change", 1), form))

    stored = settings_io.load_settings()
    assert stored.timezone == "UTC"
    assert stored.encryption_store.url.get_secret_value() == "mongodb://u:store-secret@store.example"
    page = admin_client.get(url(ServiceSettings, "changelist"), follow=True).content.decode()
    assert "store-secret" not in page


def test_settings_are_checked_at_their_fields(admin_client: Client) -> None:
    form = SETTINGS_FORM | {"timezone": "Mars", "notify": "on", "encryption_store_url": ""}

    errors = errors_of(admin_client.post(url(ServiceSettings, "add"), form))

    assert {"timezone", "encryption_store_url"} <= set(errors)
    assert not ServiceSettings.objects.exists()


def test_pages_of_the_queue_are_gone() -> None:
    models = list(apps.get_app_config("django_q").get_models())

    assert models
    assert not any(admin.site.is_registered(model) for model in models)


@pytest.mark.parametrize("model", [Run, Stream])
def test_nobody_adds_what_the_program_makes(admin_client: Client, model: type) -> None:
    assert admin_client.get(url(model, "add")).status_code == 403


def test_index_opens(admin_client: Client) -> None:
    assert admin_client.get(reverse("admin:index")).status_code == 200
    assert admin_client.get("/").status_code == 302


def test_mapping_is_deleted_with_its_history(admin_client: Client) -> None:
    make_run(state=RunState.FAILED)

    assert accepted(admin_client.post(url(Mapping, "delete", "shop"), {"post": "yes"}))

    assert not Mapping.objects.exists()
    assert not Run.objects.exists()


def test_deleting_a_mapping_quotes_none_of_its_history(admin_client: Client) -> None:
    run = make_run(state=RunState.FAILED)
    run.events.create(level=EventLevel.ERROR, message="key (4711) does not fit")

    chosen = {"action": "delete_selected", "_selected_action": ["shop"]}
    for page in (
        admin_client.get(url(Mapping, "delete", "shop")),
        admin_client.post(url(Mapping, "changelist"), chosen),
    ):
        text = page.content.decode()
        assert "4711" not in text
        assert "1 run" in text


def test_mapping_that_runs_is_not_deleted(admin_client: Client) -> None:
    make_run(state=RunState.RUNNING)

    admin_client.post(url(Mapping, "delete", "shop"), {"post": "yes"})

    assert Mapping.objects.exists()
