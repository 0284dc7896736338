"""The verbs besides run, on collections: discover, preview, verify, test, plan, backfill, reset."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from connectors.base import Selection
from connectors.errors import ConfigError
from connectors.mapping import parse_mapping
from connectors.mapping.files import load_text
from connectors.positions import EMPTY_SNAPSHOT
from connectors.registry import create_destination
from tests.buckets import Bucket
from tests.collections import Docs, make_collection, run_collection, source_of, stream_of
from tests.databases import PgDatabase
from tests.verbs.support import command, register

pytestmark = pytest.mark.django_db

LONG_AGO = datetime.now(UTC) - timedelta(days=30)
MappingOf = Callable[..., dict[str, Any]]


@pytest.fixture(params=["pgsql", "s3"])
def mapping_of(request: pytest.FixtureRequest, docs: Docs) -> MappingOf:
    """Makes mappings of the collection to either destination, whose collection has 40 documents."""
    documents = [
        {"_id": n, "note": f"n\t{n}\\", "amount": n / 4, "deep": {"n": n}, "updated_at": LONG_AGO} for n in range(40)
    ]
    docs.collection.insert_many(
        [document | ({"Note": "odd", "a b": 1} if document["_id"] == 7 else {}) for document in documents]
    )
    if request.param == "pgsql":
        database: PgDatabase = request.getfixturevalue("pg_database")
        return lambda *specs: docs.to_pgsql(database, *specs)
    bucket: Bucket = request.getfixturevalue("s3_bucket")
    return lambda *specs: docs.to_bucket(bucket, *specs)


def verified(raw: dict[str, Any], *, code: int) -> dict[str, Any]:
    register(raw)
    outcome = command("verify_migration", "--json")
    assert outcome.code == code, outcome
    (found,) = json.loads(outcome.out)
    return dict(found)


@pytest.mark.parametrize("mode", ["syncing", "logging", "dumping"])
def test_what_was_copied_is_verified_equal(docs: Docs, mapping_of: MappingOf, mode: str) -> None:
    fields = {"amount": "float"}
    bookmark: dict[str, Any] = {} if mode == "syncing" else {"bookmark": ...}
    raw = mapping_of(make_collection(mode=mode, fields=fields, **bookmark))
    run_collection(raw)
    found = verified(raw, code=0)
    assert (found["verdict"], found["source_rows"], found["destination_rows"]) == ("equal", 40, 40)


def test_of_a_dump_the_newest_snapshot_is_verified_when_it_is_empty_too(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of(make_collection(mode="dumping", bookmark=...))
    assert EMPTY_SNAPSHOT not in run_collection(raw).report.warnings
    docs.collection.delete_many({})
    assert EMPTY_SNAPSHOT in run_collection(raw).report.warnings
    found = verified(raw, code=0)
    assert (found["verdict"], found["source_rows"], found["destination_rows"]) == ("equal", 0, 0)
    docs.collection.insert_one({"_id": 3, "note": "new"})
    found = verified(raw, code=5)
    assert [each["difference"] for each in found["differing_keys"]] == ["missing"]


def test_differences_are_found_and_named(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of()
    run_collection(raw)
    docs.set(3, note="changed behind the bookmark's back")
    docs.collection.insert_one({"_id": 99, "note": "missing", "updated_at": LONG_AGO})
    docs.collection.delete_one({"_id": 5})
    found = verified(raw, code=5)
    differing = {tuple(each["key"]): each["difference"] for each in found["differing_keys"]}
    assert differing == {("3",): "different", ("99",): "missing", ("5",): "extra"}


def test_discover_shows_fields_their_types_and_how_many_have_them(docs: Docs, mapping_of: MappingOf) -> None:
    docs.client[docs.db_name]["audit_log"].insert_many([{"line": "a"}, {"line": 5}, {}])
    register(mapping_of())
    outcome = command("discover", "--json")
    assert outcome.code == 0
    found = {table["name"]: table for table in json.loads(outcome.out)}
    assert set(found) == {"orders", "audit_log"}
    fields = {each["name"]: each for each in found["orders"]["fields"]}
    assert fields["Note"] == {"name": "Note", "column": "_x4e_ote", "share": 1 / 40, "types": {"string": 1 / 40}}
    assert fields["a b"]["column"] == "a_x20_b"
    assert fields["deep"]["types"] == {"object": 1.0}
    (line,) = (each for each in found["audit_log"]["fields"] if each["name"] == "line")
    assert line["share"] == pytest.approx(2 / 3)
    assert set(line["types"]) == {"string", "int"}
    assert found["orders"]["proposal"]["spec"] == {
        "collection_name": "orders",
        "cron": "self-managed",
        "mode": "syncing",
        "bookmark": "updated_at",
        "fields": {"amount": "float", "updated_at": "datetime", "a b": "int"},
    }
    assert found["audit_log"]["proposal"]["spec"]["mode"] == "logging"


def test_discover_proposes_a_mapping_that_runs(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of()
    register(raw)
    listed = command("discover")
    assert "a_x20_b" in listed.out
    printed = command("discover", "--as-mapping").out
    proposed = load_text(printed, "proposed.py").data
    assert [spec["collection_name"] for spec in proposed["collections"]] == ["orders"]
    run_collection(raw | {"collections": proposed["collections"]})
    assert verified(raw | {"collections": proposed["collections"]}, code=0)["source_rows"] == 40


def test_preview_shows_the_names_and_types_of_both_ends(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of(make_collection(fields={"amount": "float"}, col_rename={"note": "remark"}))
    register(raw)
    (destination,) = raw["destination"].values()
    outcome = command("preview", "--table", "orders", "--rows", "8", "--json")
    assert outcome.code == 0, outcome
    (found,) = json.loads(outcome.out)
    columns = {each["name"]: each for each in found["columns"]}
    assert columns["Note"]["source_name"] == "Note"
    assert columns["a_x20_b"]["source_name"] == "a b"
    arrives_as = {"pgsql": "double precision", "s3": "double"}[destination["destination_type"]]
    assert (columns["amount"]["source_type"], columns["amount"]["type"]) == ("double", arrives_as)
    assert columns["remark"]["source_name"] == "note"
    assert len(found["rows"]) == 8
    # The sandbox's server sorts numbers as texts when it is asked for everything.
    assert all(row["deep"] == f'{{"n":{{"$numberInt":"{row["_id"]}"}}}}' for row in found["rows"])


def test_connection_is_tested_step_by_step(docs: Docs, mapping_of: MappingOf) -> None:
    register(mapping_of())
    source = json.loads(command("test_connection", "--json").out)[0]
    steps = {step["name"]: step for step in source["steps"]}
    assert steps["sign in"]["outcome"] == "ok"
    assert steps["TLS"]["outcome"] == "warning"
    assert steps["collection orders"] == {"name": "collection orders", "outcome": "ok", "detail": "about 40 documents"}
    register(mapping_of(make_collection("none"), make_collection(bookmark="note")))
    source = json.loads(command("test_connection", "--json").out)[0]
    steps = {step["name"]: step for step in source["steps"]}
    assert steps["collection none"]["outcome"] == "failed"
    assert "40 have no date" in steps["collection orders"]["detail"]


def test_dry_run_tells_what_would_be_read(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of()
    register(raw)
    first = command("run_migration", "--dry-run", "--json")
    assert first.code == 0, first
    (plan,) = json.loads(first.out)
    assert plan["estimated_rows"] == 40
    run_collection(raw)
    (plan,) = json.loads(command("run_migration", "--dry-run", "--json").out)
    assert plan["windows"] == ["changed", "new by _id", "without a bookmark"]
    assert "updated_at" in plan["queries"][0]


def test_backfill_reads_a_range_anew(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of()
    run_collection(raw)
    for key in (3, 20):
        docs.set(key, note="changed behind the bookmark's back")
    changed = [row["key"] for row in verified(raw, code=5)["differing_keys"]]
    assert sorted(changed) == [["20"], ["3"]]
    assert _backfill(raw, Selection(from_key=("0",), to_key=("9",))) == (10, "backfill", 10)
    assert [row["key"] for row in verified(raw, code=5)["differing_keys"]] == [["20"]]
    docs.set(39, updated_at=LONG_AGO - timedelta(days=2))
    assert _backfill(raw, Selection(since=LONG_AGO - timedelta(days=1))) == (39, "backfill", 39)
    docs.set(39, updated_at=LONG_AGO)
    verified(raw, code=0)


def test_nobody_counts_for_a_backfill_that_cannot_be(docs: Docs, mapping_of: MappingOf) -> None:
    source = source_of(mapping_of(make_collection(mode="dumping", bookmark=...)))
    with pytest.raises(ConfigError, match="dumping copies whole snapshots"):
        source.backfill_rows(Selection(from_key=("0",)))


def _backfill(raw: dict[str, Any], selection: Selection) -> tuple[int | None, str, int | None]:
    """What a backfill run does, without recording it; the estimate before, what it said of itself, and meanwhile."""
    source = source_of(raw)
    mapping = parse_mapping(raw)
    destination = create_destination(mapping.destination["dest"], stream_of(raw), source._report)  # type: ignore[attr-defined]
    try:
        source.open()
        resume = destination.open(epoch_floor=0)
        assert resume.position is not None
        destination.prepare(source.describe(resume.position))
        before = source.backfill_rows(selection)
        chunks = source.backfill(selection, resume.position)
        assert chunks is not None
        list(destination.write(chunks))
        report = source._report  # type: ignore[attr-defined]
        return before, report.phase, report.rows_expected
    finally:
        source.close()
        destination.close()


def test_reset_to_a_key_reads_what_is_above_it(docs: Docs, mapping_of: MappingOf) -> None:
    raw = mapping_of()
    run_collection(raw)
    for key in (3, 20):
        docs.set(key, note="changed behind the bookmark's back")
    register(raw)
    outcome = command("reset_checkpoint", "--to-key", "10", "--yes")
    assert outcome.code == 0, outcome
    run = run_collection(raw)
    assert (run.inserted, run.updated) == (0, 1)


def test_another_bookmark_asks_for_a_reset(docs: Docs, mapping_of: MappingOf) -> None:
    run_collection(mapping_of())
    with pytest.raises(ConfigError, match=r"bookmark updated_at -> none.*reset_checkpoint"):
        run_collection(mapping_of(make_collection(bookmark=False)))


def test_id_cannot_be_cast_where_it_is_the_key(docs: Docs, mapping_of: MappingOf) -> None:
    with pytest.raises(ConfigError, match="tell all ids apart"):
        source_of(mapping_of(make_collection(fields={"_id": "int"})))
    docs.collection.insert_one({"_id": ObjectId(), "note": "an id of another type", "updated_at": LONG_AGO})
    run = run_collection(mapping_of(make_collection(fields={"_id": "str"})))
    assert run.inserted == 41
