"""What is saved and deleted on the pages is in the audit log: once, with what differs, without secrets."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import Permission
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse

from migrations_app import audit
from migrations_app.admin.posting import url_of
from migrations_app.audit import Actor
from migrations_app.enums import Door
from migrations_app.models import ApiToken, AuditEntry, Mapping, Source
from tests.admin.editing import page, spec, store_ends
from tests.admin.people import make_user
from tests.controlplane.builders import raw_mapping
from tests.controlplane.pages import save_mapping, url

pytestmark = pytest.mark.django_db
FORM = {"source_type": "pgsql", "pgsql__url": "db.example", "pgsql__db_name": "shop", "pgsql__username": "reader"}
LOG = "/admin/migrations_app/auditentry/"


def entry(**fields: Any) -> AuditEntry:
    target = Source(pk=7, name=fields.pop("name", "erp"))
    actor = Actor(fields.pop("actor", "ann"), Door.ADMIN, "10.1.2.3", "r-1")
    return audit.record(actor, fields.pop("action", "change"), target, **fields)


def shown(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    content = b"".join(answer) if answer.streaming else answer.content
    return bytes(content).decode()


def test_source_that_is_added_changed_and_deleted(admin_client: Client) -> None:
    added = FORM | {"name": "erp", "pgsql__password": "first-secret"}
    assert admin_client.post(url(Source, "add"), added).status_code == 302
    source = Source.objects.get()
    changed = FORM | {"name": "erp", "pgsql__username": "other", "pgsql__password": "second-secret"}
    assert admin_client.post(url(Source, "change", source.pk), changed).status_code == 302
    admin_client.post(url(Source, "change", source.pk), FORM | {"name": "erp", "pgsql__username": "other"})
    assert admin_client.post(url(Source, "delete", source.pk), {"post": "yes"}).status_code == 302

    first, second, third = AuditEntry.objects.order_by("id")
    assert (first.action, first.actor, first.via, first.before) == ("add", "admin", Door.ADMIN, None)
    assert first.after is not None
    assert (first.after["password"], first.after["username"]) == ("********", "reader")
    assert second.before == {"username": "reader", "password": "********"}
    assert second.after == {"username": "other", "password": "******** (changed)"}
    assert (third.action, third.target_id, third.after) == ("delete", str(source.pk), None)
    everything = json.dumps(list(AuditEntry.objects.values("before", "after", "details")))
    assert "first-secret" not in everything
    assert "second-secret" not in everything


def test_selected_rows_are_deleted_with_an_entry_each(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        Source.objects.create(name=name, source_type="pgsql", config={"url": "db.example", "db_name": "shop"})
    chosen = list(Source.objects.values_list("pk", flat=True))
    wanted = {"action": "delete_selected", "_selected_action": chosen, "post": "yes"}

    admin_client.post(url(Source, "changelist"), wanted)

    assert [(each.action, each.target_name) for each in AuditEntry.objects.order_by("target_name")] == [
        ("delete", "one"),
        ("delete", "two"),
    ]
    assert not Source.objects.exists()


def test_mapping_is_one_entry_with_its_lists(admin_client: Client) -> None:
    save_mapping()
    before = AuditEntry.objects.count()

    admin_client.post(url(Mapping, "delete", "shop"), {"post": "yes"})

    assert AuditEntry.objects.count() == before + 1
    last = AuditEntry.objects.latest("id")
    assert last.before is not None
    assert last.before["tables[orders].bookmark"] == "updated_at"
    assert last.before["source.password"] == "********"


def test_mapping_that_is_edited_is_one_entry_with_what_differs(admin_client: Client) -> None:
    store_ends(raw_mapping())
    assert admin_client.post(url(Mapping, "add"), page(spec(), spec("customers"))).status_code == 302
    mapping = Mapping.objects.get()
    orders, customers = mapping.tables.order_by("position", "pk")
    named = mapping.named_destinations.get()
    changed = page(
        spec(id=orders.pk, mapping=mapping.pk, batch_size="77"),
        spec("customers", id=customers.pk, mapping=mapping.pk, DELETE="on"),
        description="twice a day",
    )
    changed |= {"tables-INITIAL_FORMS": 2, "named_destinations-INITIAL_FORMS": 1}
    changed |= {"named_destinations-0-id": named.pk, "named_destinations-0-mapping": mapping.pk}
    assert admin_client.post(url(Mapping, "change", mapping.pk), changed).status_code == 302

    first, second = AuditEntry.objects.filter(target_type="mapping").order_by("id")
    assert first.action == "add"
    assert second.before is not None
    assert second.after is not None
    assert second.after == {"description": "twice a day", "tables[orders].batch_size": 77}
    assert second.before["tables[customers].mode"] == "syncing"
    assert all(key.startswith(("description", "tables[")) for key in second.before)


def test_bulk_action_is_an_entry_for_each_row(admin_client: Client) -> None:
    mapping = save_mapping()

    admin_client.post(url(Mapping, "changelist"), {"action": "pause", "_selected_action": [mapping.pk]})

    last = AuditEntry.objects.latest("id")
    assert (last.action, last.target_id) == ("disable", "shop")


def test_save_without_entry_is_not_made(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        message = "the disk is full"
        raise DatabaseError(message)

    monkeypatch.setattr(audit, "record", fail)
    with pytest.raises(DatabaseError):
        admin_client.post(url(Source, "add"), FORM | {"name": "erp"})

    assert not Source.objects.exists()


def test_token_is_recorded_without_its_key(admin_client: Client) -> None:
    fields = {"name": "ci", "scopes": ["run:read"], "expires_at_0": "", "expires_at_1": ""}
    page = admin_client.post(url(ApiToken, "add"), fields)

    key = page.context["key"]
    assert "no-store" in page["Cache-Control"]
    assert key in page.content.decode()
    assert key not in shown(admin_client, url(ApiToken, "changelist"))
    recorded = AuditEntry.objects.get()
    assert recorded.after is not None
    assert recorded.after["scopes"] == ["run:read"]
    assert key not in json.dumps(recorded.after)
    assert ApiToken.objects.get().digest not in json.dumps(recorded.after)


def test_nobody_makes_a_token_that_may_more_than_he(client: Client) -> None:
    user = make_user()
    user.user_permissions.set(Permission.objects.filter(codename__in=("add_apitoken", "view_apitoken", "view_run")))
    client.force_login(user)
    fields = {"name": "ci", "expires_at_0": "", "expires_at_1": ""}

    assert client.post(url(ApiToken, "add"), fields | {"scopes": ["mapping:write"]}).status_code == 200
    assert not ApiToken.objects.exists()
    client.post(url(ApiToken, "add"), fields | {"scopes": ["run:read"]})
    assert ApiToken.objects.get().scopes == ["run:read"]


def test_entries_are_neither_changed_nor_removed(admin_client: Client) -> None:
    kept = entry(after={"a": 1})
    page = f"{LOG}{kept.pk}/change/"

    assert admin_client.post(page, {"actor": "mallory"}).status_code in {200, 403, 405}
    assert admin_client.post(f"{LOG}{kept.pk}/delete/", {"post": "yes"}).status_code == 403
    assert admin_client.get(f"{LOG}add/").status_code == 403
    admin_client.post(LOG, {"action": "delete_selected", "_selected_action": [kept.pk], "post": "yes"})
    for change in (kept.delete, kept.save, AuditEntry.objects.all().delete):
        with pytest.raises(TypeError, match="neither changed nor removed"):
            change()
    with pytest.raises(TypeError, match="neither changed nor removed"):
        AuditEntry.objects.update(actor="mallory")

    assert AuditEntry.objects.get().actor == "ann"


def test_entry_shows_both_sides(admin_client: Client) -> None:
    kept = entry(before={"url": "old.example"}, after={"url": "new.example", "port": 5433}, details={"reason": "moved"})

    page = shown(admin_client, f"{LOG}{kept.pk}/change/")

    for text in ("old.example", "new.example", "5433", "not there", "moved", "10.1.2.3", "r-1", "ann"):
        assert text in page
    assert admin_client.get(f"{LOG}999/change/").status_code == 404


def test_list_finds_by_who_and_what(admin_client: Client) -> None:
    entry(actor="ann", name="erp")
    entry(actor="bob", name="crm", action="delete")

    assert "crm" not in shown(admin_client, f"{LOG}?actor=ann").partition("result_list")[2]
    assert "crm" in shown(admin_client, f"{LOG}?action=delete")
    assert "erp" not in shown(admin_client, f"{LOG}?q=crm").partition("result_list")[2]


def test_downloads_hold_what_the_list_shows(admin_client: Client) -> None:
    entry(actor="ann", after={"description": "plain"})
    entry(actor="=HYPERLINK()", name="@SUM(A1)")

    rows = list(csv.reader(io.StringIO(shown(admin_client, url_of(AuditEntry, "csv")))))
    assert len(rows) == 3
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)
    lines = shown(admin_client, f"{url_of(AuditEntry, 'json_lines')}?actor=ann").splitlines()
    assert [json.loads(line)["after"] for line in lines] == [{"description": "plain"}]


@pytest.mark.parametrize("name", ["csv", "json_lines"])
def test_download_with_a_filter_that_cannot_be_goes_back_to_the_list(admin_client: Client, name: str) -> None:
    entry()

    answer = admin_client.get(f"{url_of(AuditEntry, name)}?at__gte=yesterday")

    assert (answer.status_code, answer["Location"]) == (302, f"{LOG}?e=1")


def test_keys_of_rows_are_hidden_from_who_may_not_see_checkpoints(client: Client) -> None:
    kept = entry(before={"position": "up to key ann@example.org"}, after={"position": "the beginning"})
    user = make_user()
    user.user_permissions.set(Permission.objects.filter(codename="view_auditentry"))
    client.force_login(user)
    places = (f"{LOG}{kept.pk}/change/", LOG, url_of(AuditEntry, "csv"), url_of(AuditEntry, "json_lines"))

    assert all("ann@example.org" not in shown(client, place) for place in places)
    user.user_permissions.add(Permission.objects.get(codename="view_checkpoint"))
    assert "ann@example.org" in shown(client, places[0])


def test_lists_ask_the_same_number_of_queries(
    admin_client: Client, django_assert_num_queries: Any, django_assert_max_num_queries: Any
) -> None:
    for number in range(3):
        entry(name=f"source-{number}")
    with django_assert_max_num_queries(30) as few:
        admin_client.get(LOG)
    for number in range(60):
        entry(name=f"source-{number}")
    with django_assert_num_queries(len(few.captured_queries)):
        admin_client.get(LOG)


def test_page_of_a_target_is_linked_while_it_is_there(admin_client: Client) -> None:
    source = Source.objects.create(name="erp", source_type="pgsql", config={"url": "db.example", "db_name": "shop"})
    kept = audit.record(Actor("ann", Door.API), "change", source)
    target = reverse("admin:migrations_app_source_change", args=(source.pk,))

    assert target in shown(admin_client, f"{LOG}{kept.pk}/change/")
    source.delete()
    assert target not in shown(admin_client, f"{LOG}{kept.pk}/change/")
