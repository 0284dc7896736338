"""The API's document is what is served, and what callers rely on stays."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.core.management import CommandError, call_command
from django.test import Client
from jsonschema import Draft202012Validator
from pytest_django import Settings

from migrations_app.api.compatibility import breaks
from migrations_app.api.openapi import openapi_document
from tests.api.calling import BASE, Caller
from tests.controlplane.builders import raw_mapping

Document = dict[str, Any]
PUT = ("paths", "/api/v1/mappings/{mapping_id}", "put")


def test_committed_document_is_the_one_that_is_served(client: Client) -> None:
    call_command("openapi", "--check")
    committed = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text())

    assert client.get(f"{BASE}/openapi.json").json() == committed


def test_stale_document_is_noticed(tmp_path: Path, settings: Settings) -> None:
    settings.BASE_DIR = tmp_path
    (tmp_path / "docs").mkdir()

    with pytest.raises(CommandError, match="stale"):
        call_command("openapi", "--check")
    call_command("openapi")
    call_command("openapi", "--check")
    promised = json.loads((tmp_path / "docs" / "openapi.json").read_text())
    promised["paths"]["/api/v1/gone"] = {"get": promised["paths"]["/api/v1/runs"]["get"]}
    (tmp_path / "docs" / "openapi.promised.json").write_text(json.dumps(promised))
    for argument in ("--check", "--promise"):
        with pytest.raises(CommandError, match="GET /api/v1/gone is gone"):
            call_command("openapi", argument)


def test_every_reference_leads_somewhere() -> None:
    document = openapi_document()

    def walk(part: Any) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found: Any = document
                for step in part["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
            for each in part.values():
                walk(each)
        elif isinstance(part, list):
            for each in part:
                walk(each)

    walk(document)


def at(document: Document, *steps: Any) -> Any:
    found: Any = document
    for step in steps:
        found = found[step]
    return found


def _lose_parameter(document: Document) -> None:
    at(document, *PUT)["parameters"].pop()


def _require_parameter(document: Document) -> None:
    at(document, *PUT)["parameters"].append({"in": "query", "name": "why", "required": True, "schema": {}})


def _require_key(document: Document) -> None:
    at(document, "components", "schemas", "TableSpec")["required"].append("bookmark")


def _lose_key_of_answer(document: Document) -> None:
    del at(document, "components", "schemas", "RunShape")["properties"]["state"]


def _lose_choice(document: Document) -> None:
    at(document, "components", "schemas", "Mode")["enum"].remove("syncing")


def _other_type(document: Document) -> None:
    at(document, "components", "schemas", "RunShape")["properties"]["read"] = {"type": "string"}


def _other_scope(document: Document) -> None:
    at(document, *PUT)["x-scope"] = "settings:write"


def _lose_media_type(document: Document) -> None:
    del at(document, *PUT)["requestBody"]["content"]["text/x-python"]


@pytest.mark.parametrize(
    "change",
    [
        _lose_parameter,
        _require_parameter,
        _require_key,
        _lose_key_of_answer,
        _lose_choice,
        _other_type,
        _other_scope,
        _lose_media_type,
    ],
)
def test_change_that_breaks_callers_is_noticed(change: Callable[[Document], None]) -> None:
    old = openapi_document()
    new = copy.deepcopy(old)
    change(new)

    assert breaks(old, new)


def test_addition_breaks_nobody() -> None:
    old = openapi_document()
    new = copy.deepcopy(old)
    new["paths"]["/api/v1/new"] = new["paths"]["/api/v1/runs"]
    at(new, *PUT)["parameters"].append({"in": "query", "name": "why", "required": False, "schema": {}})
    at(new, "components", "schemas", "RunShape")["properties"]["more"] = {"type": "string"}
    at(new, "components", "schemas", "TableSpec")["properties"]["more"] = {"type": "string"}
    at(new, "components", "schemas", "Mode")["enum"].append("guessing")

    assert breaks(old, new) == []


def test_editor_gets_a_schema_that_takes_a_mapping(client: Client) -> None:
    response = client.get(f"{BASE}/schemas/mapping.json")

    schema = response.json()
    Draft202012Validator.check_schema(schema)
    assert not list(Draft202012Validator(schema).iter_errors(raw_mapping()))
    assert list(Draft202012Validator(schema).iter_errors(raw_mapping(tabels=[])))
    assert client.get(f"{BASE}/schemas/settings.json").status_code == 200


def test_page_of_the_document_is_for_people_who_are_signed_in(client: Client, admin_user: User) -> None:
    assert client.get(f"{BASE}/docs").url.startswith("/admin/login/")  # type: ignore[attr-defined]
    client.force_login(admin_user)
    page = client.get(f"{BASE}/docs").content.decode()

    files = [part.partition('"')[0] for part in page.split("/static/")[1:]]
    assert len(files) == 4
    assert all(finders.find(name) for name in files)
    assert "http://" not in page
    assert "https://" not in page


def test_try_it_out_changes_things_with_the_token_of_the_page(admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    page = client.get(f"{BASE}/docs").content.decode()
    token = page.partition('data-csrf="')[2].partition('"')[0]

    answer = Caller(client=client).put("/mappings/shop", raw_mapping(), X_CSRFToken=token)

    assert answer.status == 201
