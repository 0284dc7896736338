"""How tests ask the admin for pages and read the answers."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponseBase
from django.urls import reverse

from migrations_app import mapping_io
from migrations_app.models import Mapping
from tests.controlplane.builders import raw_mapping


def url(model: type, page: str, *arguments: object) -> str:
    return reverse(f"admin:migrations_app_{model.__name__.lower()}_{page}", args=arguments)


def errors_of(response: Any) -> dict[str, list[str]]:
    assert response.status_code == 200, "the form was accepted"
    return dict(response.context["adminform"].form.errors)


def save_mapping(mapping_id: str = "shop", **overrides: Any) -> Mapping:
    return mapping_io.save_mapping(mapping_id, mapping_io.parse(raw_mapping(**overrides)))


def accepted(response: HttpResponseBase) -> bool:
    return response.status_code == 302
