"""What holds for every answer and every request, whatever its address."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.test import Client

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/api/v1/docs", "/api/v1/mappings", "/nowhere/"])
def test_browsers_load_nothing_from_elsewhere_and_send_nothing_there(client: Client, path: str) -> None:
    policy = dict(rule.split(" ", 1) for rule in client.get(path)["Content-Security-Policy"].split("; "))

    assert policy["default-src"] == policy["form-action"] == "'self'"
    assert policy["object-src"] == policy["base-uri"] == policy["frame-ancestors"] == "'none'"
    assert not {"connect-src", "frame-src", "font-src"} & policy.keys()
    assert {word for words in policy.values() for word in words.split() if not word.startswith("'")} <= {"data:"}


class _Endless(io.RawIOBase):
    """A body that nobody is to read."""

    def read(self, _size: int = -1) -> bytes:
        message = "the body was read"
        raise AssertionError(message)


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/migrations_app/servicesettings/do/import_document/"])
def test_request_that_is_too_large_is_refused_before_it_is_read(client: Client, path: str) -> None:
    body: dict[str, Any] = {"CONTENT_LENGTH": str(2**34), "CONTENT_TYPE": "multipart/form-data; boundary=x"}

    answer = client.generic("POST", path, **(body | {"wsgi.input": _Endless()}))

    assert answer.status_code == 413
    assert "Nothing was changed" in answer.content.decode()
