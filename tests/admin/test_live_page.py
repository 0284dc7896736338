"""A real run between real servers, and its page meanwhile."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from migrations_app import live
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.runner import Progress
from tests.admin.executing import execute, make_ready
from tests.admin.test_live_record import ROWS, SLOW, raw
from tests.controlplane.pages import url
from tests.databases import PgDatabase

pytestmark = pytest.mark.django_db

__all__ = ["raw"]


def test_numbers_of_the_page_move_while_the_run_works(
    admin_client: Client,
    raw: dict[str, Any],
    two_databases: tuple[PgDatabase, PgDatabase],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live, "RECORD_EVERY_S", 0.2)
    two_databases[0].execute(SLOW)
    rows: list[int] = []
    commits: list[int] = []
    windows: set[str] = set()

    def look(progress: Progress) -> None:
        answer = admin_client.get(url_of(progress.run, "live"))
        assert answer.status_code == 200
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))
        rows.extend(int(found.replace(",", "")) for found in re.findall(r"Rows read ([\d,]+)", text))
        commits.extend(int(found) for found in re.findall(r"Commits (\d+) ", text))
        windows.update(re.findall(r"First copy: (.+?)\.", text))

    run = execute(make_ready(raw), look)

    assert run.state == RunState.SUCCEEDED, run.reason
    assert rows == sorted(rows)
    assert len(set(rows)) > 3
    assert len(set(commits)) > 2
    assert any(window.startswith("above key ") and " to key " in window for window in windows)
    last = admin_client.get(url_of(run, "live"))
    assert last.status_code == 286
    assert f">{ROWS}</strong>" in last.content.decode()
    assert "600 inserted" in admin_client.get(url(type(run), "changelist")).content.decode()
