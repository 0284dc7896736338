"""What the tests of streams' and mappings' pages share: who asks, what is posted, and what is answered."""

from __future__ import annotations

import re
from typing import Any

from django.test import Client

from migrations_app import settings_io
from migrations_app.admin.posting import url_of
from migrations_app.models import Stream
from tests.admin.people import staff
from tests.controlplane.builders import raw_settings

#: What each role has of what these pages ask for.
VIEWER = ("view_stream", "view_mapping", "view_run", "view_source", "view_destination")
OPERATOR = (*VIEWER, "run_mapping", "view_checkpoint")
EDITOR = (*OPERATOR, "add_mapping", "change_mapping", "reset_checkpoint")


#: Somebody who has signed in and has these permissions.
person = staff


def post(client: Client, row: Any, name: str, **fields: str) -> list[str]:
    """Post an action and follow where it leads; what the next page says."""
    answer: Any = client.post(url_of(row, name), fields, follow=True)
    assert answer.status_code == 200, answer.status_code
    return [str(message) for message in answer.context["messages"]]


def see(client: Client, row: Any, name: str, **asked: str) -> str:
    """A page of a row."""
    answer = client.get(url_of(row, name), asked)
    assert answer.status_code == 200, answer.status_code
    return answer.content.decode()


def save_settings() -> None:
    """Settings with which runs can start, their variables aside."""
    settings_io.save_settings(settings_io.parse_settings(raw_settings()))


def seen_in(page: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    return found.group(1)


def reset(client: Client, stream: Stream, how: str = "whole", to_key: str = "", **fields: str) -> list[str]:
    """Look at what a reset would do, then do it."""
    page = see(client, stream, "resetting", how=how, to_key=to_key)
    given = {"how": how, "to_key": to_key, "seen": seen_in(page), "reason": "a test", "confirm": str(stream)}
    return post(client, stream, "reset", **given | fields)
