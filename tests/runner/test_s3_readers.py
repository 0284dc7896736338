"""What a plain reader of the prefix sees while runs write there: whole dumps, no key twice, none lost."""

from __future__ import annotations

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq
import pytest

from connectors.mapping import Mode
from controlplane.sandbox import PostgresServer, S3Server
from tests.buckets import Bucket
from tests.runner.lake import Lake, lake_table, new_lake
from tests.runner.plane import Warm
from tests.runner.shop import ROWS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

_POLL_S = 0.05
_RUNS = 20
_SNAPSHOT = "migration_snapshot_date"
#: A dump of four parts may be seen partially for so long, or on a busy machine for so large a part of its run.
_PUBLICATION_S, _PUBLICATION_PART = 1.0, 0.3


@dataclass
class Poll:
    """One look: when the listing began and ended, and the values of a column over all parts."""

    began: float
    ended: float
    values: Counter[Any]


@dataclass
class Reader:
    """Lists a prefix and reads what the listing shows, again and again, as one who knows of no manifest."""

    bucket: Bucket
    prefix: str
    column: str
    polls: list[Poll] = field(default_factory=list)
    error: BaseException | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def loop(self) -> None:
        try:
            while not self._over.is_set():
                self.look()
                self._over.wait(_POLL_S)
        except BaseException as error:  # noqa: BLE001 - raised again by the test
            self.error = error

    def stop(self) -> None:
        self._over.set()

    def look(self) -> None:
        """Keep what there is to be seen now."""
        began = time.monotonic()
        keys = self.bucket.visible_parts(self.prefix)
        ended = time.monotonic()
        values: Counter[Any] = Counter()
        for key in keys:
            table = pq.read_table(io.BytesIO(self.bucket.get(key)), columns=[self.column], use_threads=False)
            values.update(table.column(0).to_pylist())
        self.polls.append(Poll(began, ended, values))


@contextmanager
def _reading(lake: Lake, column: str) -> Iterator[Reader]:
    # A client of its own: boto3's connections are not shared with the test's thread.
    reader = Reader(Bucket(lake.bucket.server, lake.bucket.name), lake.prefix, column)
    thread = threading.Thread(target=reader.loop, daemon=True)
    thread.start()
    try:
        yield reader
        reader.stop()
        thread.join()
        # Once more, since it may have been reading for long.
        reader.look()
    finally:
        reader.stop()
        thread.join()
        reader.bucket.client.close()
    if reader.error is not None:
        raise reader.error


@pytest.fixture(scope="module")
def lasting_lake(
    warm: Warm, tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer, s3: S3Server
) -> Iterator[Lake]:
    """One lake for all readers."""
    with new_lake(warm, tmp_path_factory.mktemp("lake"), postgres, s3) as lake:
        for name, mode in (
            ("dumping", Mode.DUMPING),
            ("dumping_days", Mode.DUMPING),
            ("syncing", Mode.SYNCING),
            ("syncing_days", Mode.SYNCING),
        ):
            each = lake.of(name)
            each.add_table()
            each.use(lake_table(mode, name, partitioned=name.endswith("_days")))
        yield lake


@pytest.mark.parametrize("name", [pytest.param("dumping", marks=pytest.mark.stress), "dumping_days"])
def test_dump_appears_at_once(lasting_lake: Lake, name: str) -> None:
    lake = lasting_lake.of(name)
    runs = _RUNS // 2
    took: list[float] = []

    with _reading(lake, _SNAPSHOT) as reader:
        for _ in range(runs):
            began = time.monotonic()
            assert lake.migrate().code == 0
            took.append(time.monotonic() - began)

    assert len(lake.snapshots()) == runs
    assert len(reader.polls) > 2 * runs
    windows = _partial_windows(reader.polls)
    # Of one part it is there or not; of four they appear one after the other.
    assert max(windows.values(), default=0.0) < max(_PUBLICATION_S, _PUBLICATION_PART * max(took))
    if name == "dumping":
        assert windows == {}


def _partial_windows(polls: list[Poll]) -> dict[Any, float]:
    """For each snapshot that was seen partially, the time from the first such look to the end of the last."""
    first: dict[Any, float] = {}
    last: dict[Any, float] = {}
    whole: set[Any] = set()
    for poll in polls:
        # Once whole, a snapshot stays so.
        assert all(poll.values[snapshot] == ROWS for snapshot in whole)
        for snapshot, rows in poll.values.items():
            assert rows <= ROWS
            if rows == ROWS:
                whole.add(snapshot)
            else:
                first.setdefault(snapshot, poll.began)
                last[snapshot] = poll.ended
    return {snapshot: last[snapshot] - began for snapshot, began in first.items()}


@pytest.mark.parametrize("name", ["syncing", pytest.param("syncing_days", marks=pytest.mark.stress)])
def test_no_key_twice_and_none_lost_while_a_table_is_synced(lasting_lake: Lake, name: str) -> None:
    lake = lasting_lake.of(name)
    runs = _RUNS // 2

    with _reading(lake, "id") as reader:
        for _ in range(runs):
            assert lake.migrate().code == 0
            lake.insert()
            lake.update()

    assert len(reader.polls) > 2 * runs
    seen: set[Any] = set()
    for poll in reader.polls:
        assert [key for key, count in poll.values.items() if count > 1] == []
        assert seen <= poll.values.keys()
        seen = set(poll.values)
    assert len(seen) == ROWS + 60 * (runs - 1)
