"""What CI keeps is only shown in the admin, and tokens show their key once."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from migrations_app.models import ApiToken, Destination, Mapping, Source
from tests.api.calling import Caller
from tests.controlplane.pages import accepted, save_mapping, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def managed() -> Mapping:
    """A mapping that a repository keeps."""
    save_mapping()
    origin = {"repository": "https://git.example/acme/jobs", "commit": "c0ffee", "path": "shop.py"}
    Mapping.objects.update(managed_by="ci", origin=origin)
    return Mapping.objects.get()


def test_page_of_a_managed_mapping_says_where_it_comes_from_and_cannot_be_saved(
    admin_client: Client, managed: Mapping
) -> None:
    page = admin_client.get(url(Mapping, "change", managed.pk))

    text = page.content.decode()
    assert page.status_code == 200
    assert '<a href="https://git.example/acme/jobs">ci: https://git.example/acme/jobs shop.py c0ffee</a>' in text
    assert 'name="_save"' not in text
    assert 'name="tables-0-table_name"' not in text
    assert admin_client.post(url(Mapping, "change", managed.pk), {}).status_code == 403
    assert admin_client.post(url(Mapping, "delete", managed.pk), {"post": "yes"}).status_code == 403
    assert Mapping.objects.exists()


def test_parts_of_a_managed_mapping_cannot_be_saved_either(admin_client: Client, managed: Mapping) -> None:
    for row in (Source.objects.get(), Destination.objects.get()):
        page = admin_client.get(url(type(row), "change", row.pk))
        assert "kept elsewhere" in page.content.decode()
        assert admin_client.post(url(type(row), "change", row.pk), {}).status_code == 403


def test_origin_is_no_way_to_put_code_into_the_page(admin_client: Client, managed: Mapping) -> None:
    Mapping.objects.update(origin={"repository": "javascript:alert(1)", "commit": "<script>alert(2)</script>"})

    for page in (url(Mapping, "changelist"), url(Mapping, "change", managed.pk)):
        text = admin_client.get(page).content.decode()
        assert 'href="javascript:' not in text
        assert "<script>alert(2)" not in text


def test_managed_mapping_is_still_paused_and_resumed_by_people(admin_client: Client, managed: Mapping) -> None:
    for action, expected in (("pause", False), ("resume", True)):
        chosen: dict[str, Any] = {"action": action, "_selected_action": [managed.pk]}
        assert accepted(admin_client.post(url(Mapping, "changelist"), chosen))
        assert Mapping.objects.get().enabled is expected


def test_token_is_made_on_its_page_and_shown_once(admin_client: Client) -> None:
    form = {
        "name": "jobs",
        "scopes": ["mapping:read", "run:read"],
        "networks": "127.0.0.0/8",
        "expires_at_0": "2999-01-01",
        "expires_at_1": "00:00:00",
    }

    shown = admin_client.post(url(ApiToken, "add"), form, follow=True).content.decode()

    row = ApiToken.objects.get()
    assert (row.scopes, row.networks, row.created_by) == (["mapping:read", "run:read"], ["127.0.0.0/8"], "admin")
    key = row.prefix + shown.partition(row.prefix)[2][:60].partition("<")[0].strip()
    assert Caller(key).get("/mappings").status == 200
    again = admin_client.get(url(ApiToken, "change", row.pk)).content.decode()
    assert key not in again
    assert row.digest not in again
    assert key not in admin_client.get(url(ApiToken, "changelist")).content.decode()


def test_token_for_something_that_is_no_network_is_refused(admin_client: Client) -> None:
    page = admin_client.post(url(ApiToken, "add"), {"name": "x", "scopes": ["run:read"], "networks": "10.0.0.1/8"})

    assert "is no network" in page.content.decode()
    assert not ApiToken.objects.exists()
