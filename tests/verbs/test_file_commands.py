"""The commands manifest, compact and verify_migration for tables in a bucket: what they print, and exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from migrations_app.models import Checkpoint, Run, Stream
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_mapping, make_table, run_once
from tests.databases import PgDatabase
from tests.verbs.support import command, register

pytestmark = pytest.mark.django_db


@pytest.fixture
def prefix(pg_database: PgDatabase) -> str:
    pg_database.execute(
        "CREATE TABLE orders (id int PRIMARY KEY, note text, updated_at timestamptz NOT NULL DEFAULT now());"
        "INSERT INTO orders SELECT n, 'order ' || n FROM generate_series(1, 500) n; ANALYZE orders"
    )
    return f"sql/{pg_database.name}/orders/"


@pytest.fixture
def raw(pg_database: PgDatabase, s3_bucket: Bucket, prefix: str) -> dict[str, Any]:
    """A mapping that is registered and was run; several small parts."""
    raw = make_bucket_mapping(pg_database, s3_bucket, make_table())
    register(raw)
    run_once(raw, chunk_bytes=5000, commit_bytes=1)
    return raw


def test_verify_ends_with_0_5_and_1(
    raw: dict[str, Any], pg_database: PgDatabase, s3_bucket: Bucket, prefix: str
) -> None:
    assert command("verify_migration").code == 0
    pg_database.execute("UPDATE orders SET note = NULL WHERE id = 42")
    outcome = command("verify_migration")
    assert outcome.code == 5
    assert "test_DMS_orders_dest   different  42" in outcome.out
    s3_bucket.delete(f"{prefix}_dms/manifest.json")
    outcome = command("verify_migration")
    assert (outcome.code, "is not there yet; run the stream first" in outcome.out) == (1, True)


def test_a_manifest_in_order_ends_with_0(raw: dict[str, Any]) -> None:
    outcome = command("manifest", "--check")
    assert (outcome.code, outcome.error) == (0, "")
    assert outcome.out.split()[-1] == "ok"
    (shown,) = json.loads(command("manifest", "--check", "--json").out)
    assert (shown["in_order"], shown["rows"], shown["findings"]) == (True, 500, [])


def test_what_is_wrong_is_named_and_ends_with_5(raw: dict[str, Any], s3_bucket: Bucket, prefix: str) -> None:
    first, *_ = s3_bucket.visible_parts(prefix)
    s3_bucket.delete(first)
    s3_bucket.put(f"{prefix}stray.csv")
    outcome = command("manifest", "--check")
    assert outcome.code == 5
    assert "2 findings" in outcome.out
    assert f"test_DMS_orders_dest missing  {first.removeprefix(prefix)}: " in outcome.out
    assert "test_DMS_orders_dest foreign  stray.csv: not written by this service" in outcome.out
    outcome = command("manifest", "--check", "--json", "--table", "orders")
    assert outcome.code == 5
    assert {each["problem"] for each in json.loads(outcome.out)[0]["findings"]} == {"missing", "foreign"}


def test_a_rebuild_lets_the_next_run_read_everything(
    raw: dict[str, Any], pg_database: PgDatabase, s3_bucket: Bucket, prefix: str
) -> None:
    assert command("manifest", "--check").code == 0
    Checkpoint.objects.create(stream=Stream.objects.get(), position={"stale": True}, epoch=1)
    s3_bucket.delete(f"{prefix}_dms/manifest.json")
    outcome = command("manifest", "--rebuild")
    assert (outcome.code, outcome.error) == (0, "")
    assert "with 500 rows" in outcome.out
    assert "note: the parts do not say how far the stream had come" in outcome.out
    assert not Checkpoint.objects.exists()
    pg_database.execute("UPDATE orders SET note = 'unnoticed' WHERE id = 7")
    assert run_once(raw).updated == 1
    assert command("verify_migration").code == 0
    again = command("manifest", "--rebuild", "--json")
    assert (again.code, "nothing to rebuild" in again.error) == (2, True)


def test_compact_says_what_it_merged(raw: dict[str, Any], s3_bucket: Bucket, prefix: str) -> None:
    count = len(s3_bucket.visible_parts(prefix))
    assert count > 2
    outcome = command("compact", "--dry-run")
    assert (outcome.code, "nothing was changed" in outcome.out) == (0, True)
    assert len(s3_bucket.visible_parts(prefix)) == count
    (shown,) = json.loads(command("compact", "--json").out)
    assert shown == {
        "stream": "test_DMS_orders_dest",
        "merged": count,
        "made": 1,
        "rows": 500,
        "partitions": 1,
        "done": True,
    }
    assert len(s3_bucket.visible_parts(prefix)) == 1
    assert command("manifest", "--check").code == 0
    assert command("verify_migration").code == 0


@pytest.mark.parametrize("name", ["manifest --rebuild", "compact"])
def test_a_table_is_not_taken_from_an_active_run(raw: dict[str, Any], s3_bucket: Bucket, name: str) -> None:
    assert command("manifest", "--check").code == 0
    Run.objects.create(stream=Stream.objects.get(), state="queued")
    before = s3_bucket.etags()
    outcome = command(*name.split())
    assert (outcome.code, outcome.out) == (3, "")
    assert "queued; wait for it or stop it" in outcome.error
    assert s3_bucket.etags() == before
    assert command("compact", "--dry-run").code == 0


@pytest.mark.parametrize("name", ["manifest --check", "manifest --rebuild", "compact", "compact --dry-run"])
def test_a_destination_without_files_is_refused(two_databases: tuple[PgDatabase, PgDatabase], name: str) -> None:
    two_databases[0].execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz)")
    register(make_mapping(*two_databases, make_table()))
    outcome = command(*name.split())
    assert outcome.code == 2
    assert "destination dest is of type pgsql, which keeps no files; choose one of type s3" in outcome.error


def test_either_check_or_rebuild_has_to_be_said(raw: dict[str, Any]) -> None:
    assert command("manifest").code == 1
    assert command("manifest", "--check", "--rebuild").code == 1
