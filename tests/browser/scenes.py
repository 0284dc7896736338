"""What is in the control database when a test begins. These run backstage, where Django is set up."""

from __future__ import annotations

from typing import Any

from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.utils import timezone

from migrations_app import audit, mapping_io, settings_io, tokens
from migrations_app.audit import Actor
from migrations_app.enums import Door, EventLevel, OutboxKind, RunState, Scope, TriggerKind
from migrations_app.models import Checkpoint, Mapping, Run, RunEvent
from migrations_app.outbox import put_newest
from tests.browser.people import Role
from tests.controlplane.builders import raw_mapping, raw_settings, raw_table

_LONG = "a_table_whose_name_is_as_long_as_postgresql_allows_names_to_be_x"


def save_settings(overrides: dict[str, Any]) -> None:
    """Service settings; both stores are at an address that nobody has, unless they are given."""
    settings_io.save_settings(settings_io.parse_settings(raw_settings(**overrides)))


def save_mapping(mapping_id: str, overrides: dict[str, Any]) -> list[int]:
    """A mapping with its source and destinations.

    Returns:
        Ids of its streams.
    """
    mapping_io.save_mapping(mapping_id, mapping_io.parse(raw_mapping(**overrides)))
    return list(Mapping.objects.get(pk=mapping_id).streams.order_by("pk").values_list("pk", flat=True))


def one_of_each() -> None:
    """One object of everything that has pages, some with long names: a run that failed, one that runs, and so on."""
    save_settings({"dashboard_store": raw_settings()["encryption_store"]})
    tables = [raw_table(), raw_table(table_name=_LONG)]
    first, _ = save_mapping("shop", {"tables": tables})
    position = {"phase": "follow", "cursor": [12345], "watermark": "2026-03-01T12:00:00+00:00"}
    Checkpoint.objects.create(stream_id=first, position=position, epoch=1)
    run = _run(first, RunState.FAILED, error_class="SourceUnavailable", reason="the source does not answer; start it")
    for level in EventLevel:
        RunEvent.objects.create(run=run, level=level, message=f"a line of {level} " + "and more " * 20)
    _run(first, RunState.SUCCEEDED, inserted=1_234_567, byte_count=98_765_432)
    put_newest(OutboxKind.RUN, str(run.pk), {"state": "failed"}, 1)
    tokens.create("ci", [Scope.RUN_READ], created_by="superuser")
    user = User.objects.get(username=Role.SUPERUSER)
    ann = Actor("ann", Door.ADMIN, "10.1.2.3", "r-1")
    audit.record(ann, "change", Mapping.objects.get(pk="shop"), before={"enabled": True}, after={"enabled": False})
    LogEntry.objects.log_actions(user.pk, Mapping.objects.all(), CHANGE, "changed by hand", single_object=True)


def address_of(end: str) -> tuple[str, int]:
    """Host and id of the source, or the first destination, of the mapping that `one_of_each` has saved."""
    mapping = Mapping.objects.get(pk="shop")
    row = mapping.source if end == "source" else mapping.destinations.earliest("pk")
    return row.config["url"], row.pk


def _run(stream_id: int, state: RunState, **fields: Any) -> Run:
    now = timezone.now()
    return Run.objects.create(
        stream_id=stream_id,
        trigger=TriggerKind.CLI,
        state=state,
        started_at=now,
        finished_at=now,
        lease_epoch=1,
        plan={"mode": "syncing"},
        **fields,
    )


def permit(role: str, codenames: list[str]) -> None:
    """Give a user single permissions."""
    permissions = Permission.objects.filter(codename__in=codenames)
    User.objects.get(username=role).user_permissions.add(*permissions)
