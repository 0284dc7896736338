"""A caller of the API: a token, and the answers read as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from migrations_app import tokens
from migrations_app.enums import Scope

BASE = "/api/v1"


@dataclass
class Answer:
    """What came back."""

    status: int
    body: Any
    headers: dict[str, str]
    text: str

    @property
    def etag(self) -> str:
        return self.headers["ETag"]

    @property
    def pointers(self) -> list[str]:
        """Where the mistakes of a problem are."""
        return [each.get("pointer", "") for each in self.body["errors"]]


@dataclass
class Caller:
    """Asks the API through Django, without a server in between."""

    key: str = ""
    client: Client = field(default_factory=Client)

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, headers=headers)

    def put(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("PUT", path, body, headers)

    def post(self, path: str, body: Any = None, **headers: str) -> Answer:
        return self.send("POST", path, body, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        return self.send("DELETE", path, headers=headers)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        media_type: str = "application/json",
    ) -> Answer:
        given = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        if self.key:
            given.setdefault("Authorization", f"Bearer {self.key}")
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        response = self.client.generic(method, f"{BASE}{path}", data, content_type=media_type, headers=given or None)
        text = response.content.decode()
        is_json = "json" in response.get("Content-Type", "")
        return Answer(response.status_code, json.loads(text) if is_json else None, dict(response.headers), text)


def caller(name: str = "ci", scopes: Iterable[Scope] = tuple(Scope), **fields: Any) -> Caller:
    """A caller with a token of its own."""
    _, key = tokens.create(name, scopes, **fields)
    return Caller(key)
