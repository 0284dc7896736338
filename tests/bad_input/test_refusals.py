"""Tables, columns, keys and rights that do not fit: refused in one sentence, and nothing is half written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest

from connectors.base import Commit, Options, ReadRequest, RunReport, Stream
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
    SchemaMismatch,
    SourceAuthFailed,
    SourceError,
    StreamNotFound,
)
from connectors.mapping import parse_mapping
from connectors.registry import create_destination, create_source
from tests.bad_input.support import VALUE, Databases, mapping, refused
from tests.builders import run_once
from tests.databases import PgDatabase


@pytest.fixture
def databases(two_databases: Databases) -> Databases:
    two_databases[0].execute(
        "CREATE TABLE t (id int PRIMARY KEY, note text, updated_at timestamptz DEFAULT now());"
        f"INSERT INTO t SELECT n, '{VALUE}' FROM generate_series(1, 100) n"
    )
    return two_databases


@pytest.fixture
def role(databases: Databases) -> Iterator[str]:
    """A role that may sign in to the destination and nothing else."""
    destination = databases[1]
    name = f"weak_{destination.name}"
    destination.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'weak'")
    yield name
    for database in databases:
        database.execute(f"DROP OWNED BY {name} CASCADE")
    destination.execute(f"DROP ROLE {name}")


def nothing_arrived(destination: PgDatabase) -> bool:
    return bool(destination.value("SELECT to_regclass('arrived.t') IS NULL"))


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ({"table_name": "ts"}, StreamNotFound, ["`table_name` ts does not exist"]),
        ({"table_name": "nowhere.t"}, StreamNotFound, ["`table_name` nowhere.t does not exist", "schema.table"]),
        ({"primary_key": "idd"}, StreamNotFound, ["`primary_key` names column idd", "did you mean id"]),
        ({"bookmark": "update_at"}, StreamNotFound, ["`bookmark` names column update_at", "did you mean updated_at"]),
        ({"bookmark": "note"}, ConfigError, ["`bookmark` names column note of type text", "improper_bookmarks"]),
        ({"partition_col": "made"}, StreamNotFound, ["`partition_col` names column made"]),
        ({"col_rename": {"nope": "n"}}, StreamNotFound, ["`col_rename` names column nope"]),
        ({"masking_columns": [["nope", 1]]}, StreamNotFound, ["`masking_columns` names column nope"]),
        ({"masking_columns": [["updated_at", 1]]}, ConfigError, ["`masking_columns` names column updated_at", "view"]),
    ],
)
def test_names_that_are_not_there(
    databases: Databases,
    caplog: pytest.LogCaptureFixture,
    spec: dict[str, Any],
    kind: type[ConnectorError],
    words: list[str],
) -> None:
    raw = mapping(databases, **spec)
    if "table_name" in spec:
        with pytest.raises(kind) as caught:
            run_once(raw)
        assert all(word in str(caught.value) for word in words)
    else:
        with refused(caplog, kind, "pgsql source", *words):
            run_once(raw)
    assert nothing_arrived(databases[1])


@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_key_with_nulls(databases: Databases, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    databases[0].execute("ALTER TABLE t ADD k int; UPDATE t SET k = nullif(id, 50)")
    bookmark = ... if mode == "logging" else False
    with refused(caplog, SourceError, "pgsql source", "`primary_key` column k", "NULL", "name a key without NULLs"):
        run_once(mapping(databases, primary_key="k", mode=mode, bookmark=bookmark))
    assert nothing_arrived(databases[1])


@pytest.mark.parametrize("partitioned", [False, True], ids=["plain", "partitioned"])
@pytest.mark.parametrize("mode", ["logging", "syncing", "mirroring"])
def test_key_with_duplicates(
    databases: Databases, caplog: pytest.LogCaptureFixture, mode: str, partitioned: bool
) -> None:
    databases[0].execute("ALTER TABLE t ADD k int NOT NULL DEFAULT 0; UPDATE t SET k = id / 2")
    spec: dict[str, Any] = {"partition_col": "updated_at", "partition_col_format": "datetime"} if partitioned else {}
    raw = mapping(databases, primary_key="k", mode=mode, bookmark=... if mode == "logging" else False, **spec)
    with refused(caplog, SourceError, "pgsql destination", "keys (k)", "`primary_key`", "unique together"):
        run_once(raw)
    assert databases[1].value("SELECT count(*) FROM arrived.t") == 0


def test_key_that_becomes_ambiguous(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    source.execute("ALTER TABLE t ADD k int NOT NULL DEFAULT 0; UPDATE t SET k = id")
    raw = mapping(databases, primary_key="k")
    run_once(raw)
    source.execute("UPDATE t SET k = 1 WHERE id < 3")
    with refused(caplog, SourceError, "pgsql destination", "`primary_key`"):
        run_once(raw)
    assert destination.value("SELECT count(DISTINCT k) FROM arrived.t") == 100


def test_source_role_without_rights(databases: Databases, role: str, caplog: pytest.LogCaptureFixture) -> None:
    raw = mapping(databases)
    raw["source"] |= {"username": role, "password": "weak"}
    with refused(caplog, SourceAuthFailed, "pgsql source", "may not read public.t", f"GRANT SELECT ON t TO {role}"):
        run_once(raw)


def test_destination_role_that_may_not_create_the_schema(
    databases: Databases, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    raw = mapping(databases)
    raw["destination"]["dest"] |= {"username": role, "password": "weak"}
    with refused(caplog, DestinationAuthFailed, "pgsql destination", "permission denied for database", "`username`"):
        run_once(raw)
    assert databases[1].value("SELECT to_regnamespace('arrived') IS NULL")


def test_read_only_destination_role(databases: Databases, role: str, caplog: pytest.LogCaptureFixture) -> None:
    raw = mapping(databases)
    destination = databases[1]
    destination.execute(f"GRANT CREATE ON DATABASE {destination.name} TO {role}")
    destination.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    raw["destination"]["dest"] |= {"username": role, "password": "weak"}
    with refused(caplog, DestinationAuthFailed, "pgsql destination", "read only", "`username`"):
        run_once(raw)


def test_right_taken_away_later(databases: Databases, role: str, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    destination.execute(f"GRANT CREATE ON DATABASE {destination.name} TO {role}")
    raw = mapping(databases)
    raw["destination"]["dest"] |= {"username": role, "password": "weak"}
    run_once(raw)
    destination.execute("ALTER TABLE arrived.t OWNER TO CURRENT_USER")
    source.execute("UPDATE t SET note = 'changed'")
    with refused(caplog, DestinationAuthFailed, "pgsql destination", "permission denied for table t"):
        run_once(raw)


def test_rows_that_a_constraint_of_the_destination_refuses(
    databases: Databases, caplog: pytest.LogCaptureFixture
) -> None:
    source, destination = databases
    raw = mapping(databases)
    run_once(raw)
    destination.execute("ALTER TABLE arrived.t ADD CONSTRAINT no_new_words CHECK (note = 'value-of-' || 'a-row')")
    source.execute(f"UPDATE t SET note = '{VALUE}!' WHERE id = 5; INSERT INTO t VALUES (101, 'x')")
    with refused(caplog, DestinationError, "pgsql destination", "no_new_words", "table t"):
        run_once(raw)
    assert destination.value("SELECT count(*) FROM arrived.t") == 100


def test_destination_without_space(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    raw = mapping(databases)
    run_once(raw)
    destination.execute(
        "CREATE FUNCTION arrived.full() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;"
        "CREATE TRIGGER full_disk BEFORE INSERT ON arrived.t FOR EACH ROW EXECUTE FUNCTION arrived.full()"
    )
    source.execute("INSERT INTO t VALUES (101, 'x'); UPDATE t SET note = 'changed' WHERE id = 1")
    with refused(caplog, DestinationError, "pgsql destination", "disk full", "free space"):
        run_once(raw)
    assert destination.value("SELECT count(*) FROM arrived.t WHERE note = 'changed'") == 0


def test_trigger_that_drops_rows(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    destination = databases[1]
    raw = mapping(databases, batch_size=10)
    run_once(raw, chunk_bytes=1, stop_after=1)
    destination.execute(
        "CREATE FUNCTION arrived.drop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
        "CREATE TRIGGER dropping BEFORE INSERT ON arrived.t FOR EACH ROW EXECUTE FUNCTION arrived.drop()"
    )
    held = destination.value("SELECT count(*) FROM arrived.t")
    with refused(caplog, DestinationError, "pgsql destination", "trigger", "remove it"):
        run_once(raw)
    assert destination.value("SELECT count(*) FROM arrived.t") == held


def test_statement_timeout(databases: Databases) -> None:
    source, _ = databases
    source.execute("CREATE VIEW slow AS SELECT id, note, pg_sleep(0.2)::text AS pause FROM t")
    raw = mapping(databases)
    raw["tables"][0]["table_name"] = "slow"
    with pytest.raises(SourceError, match=r"statement_timeout.*raise the timeout"):
        run_once(raw, statement_timeout_s=1)


def test_lock_held_by_somebody(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    raw = mapping(databases)
    run_once(raw)
    source.execute("UPDATE t SET note = 'changed'")
    holder = destination.connect()
    try:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE arrived.t IN ACCESS EXCLUSIVE MODE")
        with refused(caplog, DestinationUnavailable, "pgsql destination", "lock not available", "tried again"):
            run_once(raw, lock_timeout_s=1)
    finally:
        holder.close()
    assert run_once(raw).updated == 100


def test_type_changed_at_the_source(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    raw = mapping(databases)
    run_once(raw)
    source.execute("ALTER TABLE t ALTER note TYPE varchar(20), ALTER id TYPE bigint")
    with refused(
        caplog, SchemaMismatch, "pgsql destination", '"id" is integer here and bigint at the source', "ALTER TABLE"
    ):
        run_once(raw)
    assert destination.value("SELECT count(*) FROM arrived.t") == 100


def test_table_dropped_between_chunks(databases: Databases, caplog: pytest.LogCaptureFixture) -> None:
    source, destination = databases
    held: list[int] = []

    def drop_after_the_first(commits: list[Commit]) -> None:
        if not held:
            source.execute("DROP TABLE t")
            held.append(destination.value("SELECT count(*) FROM arrived.t"))

    with refused(caplog, StreamNotFound, "pgsql source", "does not exist"):
        run_watched(mapping(databases, batch_size=10), drop_after_the_first)
    assert 0 < destination.value("SELECT count(*) FROM arrived.t") == held[0] < 100


@pytest.mark.parametrize(
    "change",
    ["ALTER note TYPE bytea USING convert_to(note, 'UTF8')", "ALTER amount TYPE numeric(12,4)"],
    ids=["other type", "other scale"],
)
def test_type_changed_between_chunks(databases: Databases, caplog: pytest.LogCaptureFixture, change: str) -> None:
    """Binary data of bytea would pass for text, and a number of four places would be rounded to two."""
    source, destination = databases
    source.execute("ALTER TABLE t ADD amount numeric(12,2) DEFAULT 1.25")
    raw = mapping(databases, batch_size=10)
    held: list[int] = []

    def change_after_the_first(commits: list[Commit]) -> None:
        if not held:
            source.execute(f"ALTER TABLE t {change}; UPDATE t SET note = note")
            held.append(destination.value("SELECT count(*) FROM arrived.t"))

    with refused(caplog, SourceError, "pgsql source", "was changed while its rows were read", "run again"):
        run_watched(raw, change_after_the_first)
    assert destination.value("SELECT count(*) FROM arrived.t") == held[0] < 100
    with refused(caplog, SchemaMismatch, "pgsql destination", "ALTER TABLE"):
        run_once(raw)


def run_watched(raw: dict[str, Any], after_commit: Callable[[list[Commit]], None]) -> None:
    """As run_once, in small chunks, with a look after each commit."""
    parsed = parse_mapping(raw)
    (spec,) = parsed.tables or ()
    stream = Stream(
        "test_DMS_t_dest", "sql", parsed.source.db_name, "t", spec, options=Options(clock_margin_s=0, chunk_bytes=500)
    )
    source = create_source(parsed.source, stream, RunReport())
    target = create_destination(parsed.destination["dest"], stream, RunReport())
    with closing(source), closing(target):
        source.open()
        resume = target.open(epoch_floor=0)
        prepared = target.prepare(source.describe())
        commits: list[Commit] = []
        for commit in target.write(source.read(ReadRequest(resume.position, prepared, target))):
            commits.append(commit)
            after_commit(commits)
