"""A real run between real servers, and its page meanwhile."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client

from migrations_app import live
from migrations_app.admin.posting import url_of
from migrations_app.enums import RunState
from migrations_app.models import Run
from migrations_app.runner import Progress
from tests.admin.executing import execute, make_ready
from tests.admin.test_live_record import ROWS, SLOW, raw
from tests.collections import Docs, make_collection
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
        text = _text(answer)
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


def test_casts_of_a_collection_are_on_its_page(admin_client: Client, docs: Docs, pg_database: PgDatabase) -> None:
    at = datetime(2024, 2, 29, 12, 30, tzinfo=UTC)
    values: list[Any] = [1, "2", "many", 3.5, None]
    docs.collection.insert_many([{"_id": n, "v": value, "updated_at": at} for n, value in enumerate(values)])
    fields = {"v": "int", "updated_at": "datetime"}

    run = execute(make_ready(docs.to_pgsql(pg_database, make_collection(fields=fields))))

    assert run.state == RunState.SUCCEEDED, run.reason
    text = _text(admin_client.get(url(type(run), "change", run.pk)))
    assert "Lost digits v such as at key 2 1 1" in text
    assert "1 value of field v cannot be cast to int and became 0" in text
    assert run.events.filter(level="warning").count() == len(run.warnings)


def test_column_that_came_is_on_the_page(
    admin_client: Client,
    raw: dict[str, Any],
    two_databases: tuple[PgDatabase, PgDatabase],
) -> None:
    stream = make_ready(raw)
    first = execute(stream)
    two_databases[0].execute("ALTER TABLE orders ADD COLUMN colour text DEFAULT 'red'")
    second, third = execute(stream), execute(stream)

    def shown(run: Run) -> str:
        return _text(admin_client.get(url(Run, "change", run.pk)))

    assert "Columns that changed First copy: nothing to compare with." in shown(first)
    assert "Columns that changed colour" in shown(second)
    assert "Columns that changed None: the columns are those of the run before" in shown(third)


def _text(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))
