"""Two people who have the same page open: the second to save is told, and loses nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from migrations_app import mapping_io, secrets, settings_io
from migrations_app.admin import seen
from migrations_app.models import Destination, Mapping, ServiceSettings, Source
from tests.admin.editing import posted
from tests.controlplane.builders import raw_mapping, raw_settings, raw_table
from tests.controlplane.pages import accepted, save_mapping, url

pytestmark = pytest.mark.django_db

_TOLD = "this was changed since you opened it"


def opened(client: Client, row: Any) -> tuple[str, dict[str, Any]]:
    """The address of a row's page, and what the browser sends when it is saved as it is."""
    address = url(type(row), "change", row.pk)
    found: Any = client.get(address)
    return address, sent(found)


def sent(found: Any) -> dict[str, Any]:
    (seen,) = re.findall(r'name="dms_seen" value="([0-9a-f]+)"', found.content.decode())
    return posted(found) | {"dms_seen": seen}


def test_second_to_save_a_mapping_is_told_and_keeps_what_he_entered(admin_client: Client) -> None:
    mapping = save_mapping()
    address, first = opened(admin_client, mapping)
    _, second = opened(admin_client, mapping)
    assert accepted(admin_client.post(address, first | {"tables-0-batch_size": "7"}))

    answer: Any = admin_client.post(address, second | {"description": "mine"})

    page = answer.content.decode()
    assert _TOLD in page
    assert 'value="mine"' in page
    stored = Mapping.objects.get()
    assert (stored.description, stored.tables.get().batch_size) == ("", 7)

    again = second | {"description": "mine", "dms_seen": sent(answer)["dms_seen"]}
    assert accepted(admin_client.post(address, again))
    assert Mapping.objects.get().description == "mine"


@pytest.mark.parametrize("what", ["disabled by hand", "registered anew", "another destination"])
def test_what_others_do_by_other_doors_counts_too(admin_client: Client, what: str) -> None:
    mapping = save_mapping()
    address, form = opened(admin_client, mapping)
    if what == "disabled by hand":
        Mapping.objects.update(enabled=False)
    elif what == "registered anew":
        tables = [raw_table(), raw_table(table_name="more")]
        mapping_io.save_mapping("shop", mapping_io.parse(raw_mapping(tables=tables)))
    else:
        mapping.named_destinations.update(name="elsewhere")

    assert _TOLD in admin_client.post(address, form).content.decode()


def test_who_saves_in_the_same_moment_is_told_too(admin_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = save_mapping()
    address, form = opened(admin_client, mapping)

    def wait(row: Any) -> None:
        # Where the row is locked until the other one has saved it.
        assert connection.in_atomic_block
        type(row).objects.update(priority=7)

    monkeypatch.setattr(seen, "let_others_wait", wait)

    assert _TOLD in admin_client.post(address, form).content.decode()


def test_what_a_source_says_is_changed_on_its_own_page(admin_client: Client) -> None:
    mapping = save_mapping()
    address, form = opened(admin_client, mapping)
    Source.objects.update(config=Source.objects.get().config | {"db_name": "another"})

    assert accepted(admin_client.post(address, form))


def test_saving_twice_what_one_has_opened_anew_is_nobody_elses_doing(admin_client: Client) -> None:
    mapping = save_mapping()
    for priority in ("1", "2"):
        address, form = opened(admin_client, mapping)
        assert accepted(admin_client.post(address, form | {"priority": priority}))


def test_sources_destinations_and_settings_are_watched_as_well(admin_client: Client) -> None:
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))
    save_mapping()
    models: list[tuple[Any, dict[str, str]]] = [
        (Source, {"name": "renamed"}),
        (Destination, {"name": "renamed"}),
        (ServiceSettings, {"timezone": "Asia/Kathmandu"}),
    ]
    for model, others in models:
        address, form = opened(admin_client, model.objects.get())
        model.objects.update(**others)
        assert _TOLD in admin_client.post(address, form).content.decode()


def test_secret_that_is_another_one_is_a_change_that_tells_nothing(admin_client: Client) -> None:
    save_mapping()
    source = Source.objects.get()
    address, form = opened(admin_client, source)
    source.secrets = {**source.secrets, **secrets.seal_all({"password": "entirely-new"})}
    source.save()

    page = admin_client.post(address, form).content.decode()

    assert _TOLD in page
    assert "entirely-new" not in page
