"""What no page tells: secrets to nobody, and values of rows to nobody who may not see them."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from migrations_app import audit, mapping_io, settings_io, snapshots, tokens
from migrations_app.audit import Actor
from migrations_app.enums import Door, EventLevel, OutboxKind, RoleName, Scope
from migrations_app.models import (
    AuditEntry,
    Checkpoint,
    DataCheck,
    Mapping,
    OutboxEntry,
    Run,
    RunProgress,
    ServiceSettings,
    Source,
    Stream,
)
from tests.admin.people import make_user, with_app
from tests.admin.whole import Place, every_place
from tests.controlplane.builders import raw_mapping, raw_settings

pytestmark = pytest.mark.django_db

SECRET = "planted-secret-7f3a"
ROW = "planted-row-value-51c9"


@pytest.fixture
def places() -> list[Place]:
    """Every address, over a control database with secrets and values of rows wherever they may be."""
    found = every_place()
    source = raw_mapping()["source"] | {"password": SECRET}
    destination = {"warehouse": raw_mapping()["destination"]["warehouse"] | {"password": SECRET}}
    mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping(source=source, destination=destination)))
    store = raw_settings()["encryption_store"] | {"url": f"mongodb://dms:{SECRET}@store.example"}
    slack = {"slack_token": SECRET, "channel": "data"}
    settings_io.save_settings(
        settings_io.parse_settings(raw_settings(encryption_store=store, dashboard_store=store, slack_notif=slack))
    )
    ann = Actor("ann", Door.ADMIN)
    for row in (Mapping.objects.get(pk="shop"), *Source.objects.all(), ServiceSettings.objects.get()):
        snapshots.note_saved(ann, None, row)
    audit.record(ann, "change", Source.objects.earliest("pk"), details={"said": f"password={SECRET}"})
    return found


def plant_rows() -> None:
    """Values of rows where runs, checks and news leave them."""
    stream = Stream.objects.earliest("pk")
    position = {"phase": "follow", "cursor": [ROW], "watermark": "2026-03-01T12:00:00+00:00"}
    Checkpoint.objects.update_or_create(stream=stream, defaults={"position": position, "epoch": 1})
    for run in Run.objects.all():
        RunProgress.objects.update_or_create(
            run=run, defaults={"at": timezone.now(), "lower": f"above key {ROW}", "upper": f"up to key {ROW}"}
        )
    asked = {"selection": {"from_key": [ROW], "to_key": [ROW], "since": None, "until": None}}
    message = f"column amount of key ({ROW}) does not fit numeric(38,9)"
    # A value may have lines of its own, and so has a message that quotes it.
    trace = f"  connectors/x.py:1 in go\nconnectors.errors.SourceError: key (1\n{ROW})\n\n{ROW}"
    failed = {"error_class": "ValueNotRepresentable", "error_message": message, "reason": message, "trace": trace}
    Run.objects.update(request=asked, **failed)
    for run in Run.objects.all():
        run.events.create(level=EventLevel.ERROR, message=message)
    differing = [{"difference": "missing", "key": [ROW]}]
    result = {"verdict": "different", "missing": 1, "differing_keys": differing, "error": message}
    check = {"finished_at": timezone.now(), "verdict": "different", "result": result}
    DataCheck.objects.update_or_create(stream=stream, defaults=check)
    OutboxEntry.objects.update(payload={"record_id": ROW, "kind": OutboxKind.LAST_RECORD})
    audit.record(Actor("ann", Door.ADMIN), "reset", stream, before={"position": f"key {ROW}"}, after={})


def seen_by(client: Client, places: list[Place], *hidden: str) -> list[str]:
    """Names of the pages that show one of them."""
    found = []
    for place in [*places, Place("index", "/admin/", frozenset())]:
        if place.own is not None and place.own.is_post:
            continue
        answer = client.get(place.path)
        content = b"".join(answer) if answer.streaming else answer.content
        text = bytes(content).decode()
        found += [place.name for each in hidden if each in text]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("role", [*RoleName, None], ids=str)
def test_secret_is_on_no_page(places: list[Place], role: RoleName | None) -> None:
    _, key = tokens.create("other", [Scope.RUN_READ])
    user = make_user("somebody", role, is_superuser=role is None)
    app = with_app(User.objects.get(username="plain"))
    client = Client()
    client.force_login(user)

    assert (
        seen_by(client, places, SECRET, key, app.shown_key, app.bin_key.hex(), app.secrets["key"], user.password) == []
    )


def test_secret_is_in_no_audit_entry(places: list[Place]) -> None:
    entries = str(list(AuditEntry.objects.values()))

    assert SECRET not in entries
    assert "********" in entries


def test_value_of_a_row_is_on_no_page_of_a_viewer(places: list[Place]) -> None:
    plant_rows()
    viewer = Client()
    viewer.force_login(make_user("viewer", RoleName.VIEWER))

    found = seen_by(viewer, places, ROW)
    assert found == [], "\n".join(found)


def test_value_of_a_row_is_seen_by_who_may(places: list[Place]) -> None:
    plant_rows()
    operator = Client()
    operator.force_login(make_user("operator", RoleName.OPERATOR))

    assert "migrations_app_stream_change" in seen_by(operator, places, ROW)
