"""What the API and the commands change is in the audit log: by whom, from where, what before and after, no secret."""

from __future__ import annotations

import getpass
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError
from django.test import Client

from migrations_app import audit, tokens
from migrations_app.enums import Door, Scope
from migrations_app.models import ApiToken, AuditEntry, Mapping, Source
from tests.controlplane.builders import make_run, make_stream, raw_mapping, raw_settings, raw_table

pytestmark = pytest.mark.django_db
API = "/api/v1"


@pytest.fixture
def call(client: Client) -> Any:
    """A program with a token."""
    _, key = tokens.create("ci", list(Scope))

    def send(method: str, path: str, body: Any = None, **headers: str) -> Any:
        answer = client.generic(
            method,
            f"{API}{path}",
            b"" if body is None else json.dumps(body),
            content_type="application/json",
            headers={"authorization": f"Bearer {key}", "x-request-id": "request-7", **headers},
            REMOTE_ADDR="10.1.2.3",
        )
        assert answer.status_code < 300, answer.content
        return answer

    return send


def entries(action: str | None = None) -> list[AuditEntry]:
    found = AuditEntry.objects.order_by("id")
    return list(found if action is None else found.filter(action=action))


def only(action: str) -> AuditEntry:
    (found,) = entries(action)
    return found


def other_source(**more: Any) -> dict[str, Any]:
    source: dict[str, Any] = raw_mapping()["source"]
    return source | more


def test_entry_says_who_and_from_where(call: Any) -> None:
    call("PUT", "/mappings/shop", raw_mapping())

    entry = only("add")
    assert (entry.actor, entry.via, entry.address, entry.request_id) == ("token ci", Door.API, "10.1.2.3", "request-7")
    assert (entry.target_type, entry.target_id) == ("mapping", "shop")
    assert entry.before is None
    assert entry.after is not None
    assert entry.after["tables[orders].mode"] == "syncing"
    assert entry.after["source.password"] == "********"


def test_change_shows_only_what_differs(call: Any) -> None:
    call("PUT", "/mappings/shop", raw_mapping())
    call("PUT", "/mappings/shop", raw_mapping(tables=[raw_table(batch_size=77), raw_table(table_name="customers")]))

    entry = only("change")
    assert entry.before == {}, "a key that was not said has no value before"
    assert entry.after is not None
    assert entry.after["tables[orders].batch_size"] == 77
    assert entry.after["tables[customers].mode"] == "syncing"
    assert not any(path.startswith(("source", "destination")) for path in entry.after)


def test_same_again_and_dry_runs_leave_nothing(call: Any) -> None:
    call("PUT", "/mappings/shop", raw_mapping())
    call("PUT", "/mappings/shop", raw_mapping())
    call("PUT", "/mappings/shop?dry_run=true", raw_mapping(tables=[raw_table(batch_size=77)]))
    call("PUT", "/bundles/team?dry_run=true", {"mappings": {"other": raw_mapping()}})
    call("PUT", "/sources/one?dry_run=true", other_source())

    assert [entry.action for entry in entries()] == ["add"]


def test_changed_secret_says_that_it_changed_and_never_what_it_was(call: Any) -> None:
    call("PUT", "/mappings/shop", raw_mapping())
    call("PUT", "/mappings/shop", raw_mapping(source=other_source(password="another-secret")))

    entry = only("change")
    assert (entry.before, entry.after) == (
        {"source.password": "********"},
        {"source.password": "******** (changed)"},
    )
    everything = json.dumps(list(AuditEntry.objects.values("before", "after", "details")))
    assert "source-secret" not in everything
    assert "another-secret" not in everything


def test_deleted_mapping_leaves_what_it_was(call: Any) -> None:
    call("PUT", "/mappings/shop", raw_mapping())
    call("DELETE", "/mappings/shop")

    entry = only("delete")
    assert entry.target_id == "shop"
    assert entry.before is not None
    assert entry.before["source.url"] == "source.example"


def test_bundle_leaves_an_entry_for_each_mapping(call: Any) -> None:
    call("PUT", "/bundles/team", {"mappings": {"one": raw_mapping(), "two": raw_mapping()}})
    call("PUT", "/bundles/team?prune=true", {"mappings": {"one": raw_mapping()}})

    assert [(entry.action, entry.target_id) for entry in entries()] == [
        ("add", "one"),
        ("add", "two"),
        ("delete", "two"),
    ]
    assert only("delete").details == {"bundle": "team"}


def test_sources_and_settings_leave_entries(call: Any) -> None:
    call("PUT", "/sources/one", other_source())
    call("PUT", "/sources/one", other_source(username="writer"))
    call("DELETE", "/sources/one")
    call("PUT", "/settings", raw_settings())
    call("PUT", "/settings", raw_settings(timezone="Europe/Berlin"))

    assert [(entry.action, entry.target_type) for entry in entries()] == [
        ("add", "source"),
        ("change", "source"),
        ("delete", "source"),
        ("add", "servicesettings"),
        ("change", "servicesettings"),
    ]
    assert entries()[1].before == {"username": "reader"}
    assert entries()[4].after == {"timezone": "Europe/Berlin"}


def test_commands_on_mappings_and_runs_leave_entries(call: Any) -> None:
    run = make_run(make_stream())
    call("POST", "/mappings/shop:pause", {"table": "orders"})
    call("POST", "/mappings/shop:resume")
    call("POST", f"/runs/{run.pk}:stop")

    assert [(entry.action, entry.target_id) for entry in entries()] == [
        ("pause", "shop"),
        ("resume", "shop"),
        ("stop", str(run.pk)),
    ]
    assert only("pause").details == {"table": "orders"}


def test_change_without_entry_is_not_made(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        message = "the disk is full"
        raise DatabaseError(message)

    call("PUT", "/mappings/shop", raw_mapping())
    monkeypatch.setattr(audit, "record", fail)
    for method, path, body in (
        ("PUT", "/mappings/other", raw_mapping()),
        ("DELETE", "/mappings/shop", None),
        ("PUT", "/sources/one", other_source()),
        ("POST", "/mappings/shop:pause", None),
    ):
        with pytest.raises(AssertionError):
            call(method, path, body)

    assert list(Mapping.objects.values_list("pk", "enabled")) == [("shop", True)]
    assert not Source.objects.filter(name="one").exists()


def test_person_who_uses_the_api_is_named(client: Client) -> None:
    client.force_login(User.objects.create_superuser("ann"))
    client.put(f"{API}/mappings/shop", json.dumps(raw_mapping()), content_type="application/json")

    assert (only("add").actor, only("add").via) == ("ann", Door.API)


def test_commands_name_the_user_of_the_system(tmp_path: Path) -> None:
    file = tmp_path / "shop.json"
    file.write_text(json.dumps(raw_mapping()), encoding="utf-8")
    call_command("import_mapping", str(file), verbosity=0)
    call_command("import_mapping", str(file), "--check", verbosity=0)
    file.write_text(json.dumps(raw_mapping(tables=[raw_table(batch_size=77)])), encoding="utf-8")
    call_command("import_mapping", str(file), verbosity=0)
    settings_file = tmp_path / "settings.json"
    settings_file.write_text(json.dumps(raw_settings()), encoding="utf-8")
    call_command("import_settings", str(settings_file))
    call_command("create_token", "jobs")
    call_command("drain", "--host", "nobody", "--undo")

    assert [(entry.action, entry.target_type) for entry in entries()] == [
        ("add", "mapping"),
        ("change", "mapping"),
        ("add", "servicesettings"),
        ("add", "apitoken"),
        ("undrain", "drain"),
    ]
    assert {(entry.actor, entry.via) for entry in entries()} == {(getpass.getuser(), Door.COMMAND)}
    token = ApiToken.objects.get()
    assert token.digest not in json.dumps(entries("add")[2].after)


def test_user_whom_the_system_cannot_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError

    monkeypatch.setattr(getpass, "getuser", nobody)

    assert audit.actor_of_command().name.startswith("uid ")
