"""One writer a table: whoever opens last may write, all before it are refused or ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, BinaryIO

import psycopg2
import pytest

from connectors.base import Chunk, CopyFormat, RowStream, Write
from connectors.errors import ConfigError, ConnectorError, Fenced
from connectors.testing import text_batches
from tests.builders import dying_at
from tests.databases import PgDatabase
from tests.destinations.support import ORDERS, SCHEMA, bench, make_stream, session_count

if TYPE_CHECKING:
    import pyarrow as pa


class HeldRows(RowStream):
    """Two rows, with a pause between them that lasts until it is released."""

    columns = ORDERS.columns

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def copy_to(self, sink: BinaryIO, copy_format: CopyFormat) -> int:
        assert copy_format is CopyFormat.TEXT
        sink.write(b"1\told\n")
        sink.flush()
        self.reached.set()
        assert self.released.wait(30)
        sink.write(b"2\told\n")
        return 2

    def batches(self, timezone: str) -> Iterator[pa.RecordBatch]:
        return text_batches(self, timezone)


def test_position_of_an_older_epoch_is_refused(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old, bench(pg_database) as new:
        old.start()
        old.write("SELECT 1, 'a'", position={"n": 1})
        # A writer on another host is not ended here: only the epoch stops it.
        pg_database.execute(f"UPDATE {SCHEMA}._dms_state SET writer_pid = NULL")
        new.start()
        with pytest.raises(Fenced, match="newer run has taken over"):
            old.write("SELECT 2, 'b'", position={"n": 2})
        assert new.content() == [(1, "a")]
        assert new.destination.stored_position() == {"n": 1}
        assert new.write("SELECT 2, 'b'", position={"n": 2}).inserted == 1


def test_zombie_in_the_middle_of_a_copy_is_ended_and_leaves_nothing(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old, bench(pg_database) as new:
        old.start()
        rows = HeldRows()
        failures: list[ConnectorError] = []

        def write() -> None:
            try:
                list(old.destination.write([Chunk(Write.APPEND, rows, {"n": 1}, is_first_copy=True)]))
            except ConnectorError as error:
                failures.append(error)

        zombie = threading.Thread(target=write)
        zombie.start()
        assert rows.reached.wait(30)
        started = time.monotonic()
        new.start()
        assert time.monotonic() - started < 5
        assert session_count(pg_database) == 1
        new.write("SELECT g, 'new' FROM generate_series(1, 2) g")
        rows.released.set()
        zombie.join(30)
        assert not zombie.is_alive()
        assert len(failures) == 1
        assert new.content() == [(1, "new"), (2, "new")]


def test_zombie_that_waits_with_an_open_transaction_holds_nobody_up(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old, bench(pg_database) as new:
        old.start()
        old.destination._connected.session.begin()
        old.destination._connected.session.execute(f"INSERT INTO {SCHEMA}.orders VALUES (1, 'old')")
        new.start()
        assert new.write("SELECT 1, 'new'").inserted == 1
        with pytest.raises(ConnectorError):
            old.destination._connected.session.commit()
        assert new.content() == [(1, "new")]


def test_writer_that_may_not_be_ended_is_still_refused(pg_database: PgDatabase) -> None:
    pg_database.execute(f"CREATE SCHEMA {SCHEMA}; CREATE ROLE {pg_database.name} LOGIN PASSWORD 'x'")
    pg_database.execute(f"GRANT ALL ON SCHEMA {SCHEMA} TO {pg_database.name}")
    limited = {"username": pg_database.name, "password": "x"}
    try:
        with bench(pg_database) as old, bench(pg_database, config=limited) as new:
            old.start()
            pg_database.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA {SCHEMA} TO {pg_database.name}")
            pg_database.execute(f"GRANT pg_read_all_stats TO {pg_database.name}")
            new.start()
            assert any("pg_signal_backend" in warning for warning in new.report.warnings)
            with pytest.raises(Fenced):
                old.write("SELECT 1, 'a'")
    finally:
        pg_database.execute(f"DROP OWNED BY {pg_database.name}; DROP ROLE {pg_database.name}")


def test_ddl_of_a_fenced_writer_is_rolled_back(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old:
        old.destination.open(epoch_floor=0)
        pg_database.execute(f"UPDATE {SCHEMA}._dms_state SET epoch = epoch + 1")
        with pytest.raises(Fenced):
            old.destination.prepare(ORDERS)
        assert pg_database.value(f"SELECT to_regclass('{SCHEMA}.orders')") is None


def test_finish_of_a_fenced_writer_does_nothing(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old:
        old.start()
        old.write("SELECT 1, 'a'")
        pg_database.execute(f"UPDATE {SCHEMA}._dms_state SET epoch = epoch + 1")
        with pytest.raises(Fenced):
            old.destination.finish()
        assert old.state("first_copy, indexes_built") == (True, False)


def test_table_of_another_stream_is_refused(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
    other = make_stream(unique_id="other_DMS_orders_main")
    with bench(pg_database, other) as two:
        with pytest.raises(ConfigError, match=r"belongs to shop_DMS_orders_main .*`schema`.*--release"):
            two.start()
        with pytest.raises(ConfigError, match="belongs to"):
            two.destination.reset_state(None)
    with bench(pg_database, other, config={"schema": "elsewhere"}) as three:
        assert three.start().is_fresh


def test_released_table_is_taken_by_another_stream(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        assert one.destination.release()
        assert not one.destination.release()
    with bench(pg_database, make_stream(unique_id="other_DMS_orders_main")) as two:
        assert not two.start().is_fresh
        assert two.resume.position is None
        assert two.write("SELECT g, 'b' FROM generate_series(1, 2) g").updated == 1


def test_dropped_table_is_copied_anew(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
        one.destination.finish()
    pg_database.execute(f"DROP TABLE {SCHEMA}.orders")
    with bench(pg_database) as two:
        assert two.start(epoch_floor=1).is_fresh
        assert two.resume.position is None
        assert any("full copy" in warning for warning in two.report.warnings)
        assert two.content() == []


def test_recreated_table_is_not_taken_for_the_old_one(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'")
    pg_database.execute(f"DROP TABLE {SCHEMA}.orders; CREATE TABLE {SCHEMA}.orders (id bigint PRIMARY KEY, name text)")
    with bench(pg_database) as two:
        two.destination.connect()
        assert two.destination.stored_position() is None
        assert not two.start().is_fresh
        assert two.resume.position is None


def test_reset_fences_the_running_writer_and_leaves_the_rows(pg_database: PgDatabase) -> None:
    with bench(pg_database) as old, bench(pg_database) as other:
        old.start()
        old.write("SELECT 1, 'a'", position={"n": 1})
        other.destination.connect()
        other.destination.reset_state({"n": 0})
        assert other.destination.stored_position() == {"n": 0}
        with pytest.raises(Fenced):
            old.write("SELECT 2, 'b'")
        other.destination.reset_state(None)
        assert other.destination.stored_position() is None
    with bench(pg_database) as new:
        assert not new.start().is_fresh
        assert new.resume.position is None
        assert new.content() == [(1, "a")]


def test_reset_before_the_first_run(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.destination.connect()
        one.destination.reset_state(None)
        assert pg_database.value(f"SELECT to_regnamespace('{SCHEMA}')") is None
        one.destination.reset_state({"n": 5})
    with bench(pg_database) as two:
        two.start()
        assert two.resume.position == {"n": 5}


@pytest.mark.parametrize("point", ["after_stage_copy", "before_dest_commit"])
@pytest.mark.parametrize("write", [Write.APPEND, Write.UPSERT, Write.INSERT])
def test_failure_before_the_commit_leaves_rows_and_position_as_they_were(
    pg_database: PgDatabase, point: str, write: Write
) -> None:
    with bench(pg_database) as one:
        one.start()
        one.write("SELECT 1, 'a'", position={"n": 1})
        with dying_at(point):
            one.write("SELECT 2, 'b'", write, position={"n": 2})
        assert one.content() == [(1, "a")]
        assert one.destination.stored_position() == {"n": 1}
        assert one.write("SELECT 2, 'b'", write, position={"n": 2}).inserted == 1


def test_failure_after_the_commit_is_seen_by_the_next_run(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        with dying_at("after_dest_commit"):
            one.write("SELECT 1, 'a'", position={"n": 1})
    with bench(pg_database) as two:
        assert two.start().is_fresh
        assert two.resume.position == {"n": 1}


def test_terminated_session_is_an_error_that_can_be_retried(pg_database: PgDatabase) -> None:
    with bench(pg_database) as one:
        one.start()
        pg_database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(ConnectorError) as raised:
            one.write("SELECT 1, 'a'")
        assert raised.value.recovery == "retry"
        assert isinstance(raised.value.__cause__, psycopg2.Error)
