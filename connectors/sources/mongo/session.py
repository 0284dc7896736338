"""The connection to a MongoDB server: every call can be left at once, and batches of raw documents are read ahead."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, TypeVar, cast

import pymongo
from pymongo import ReadPreference
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from connectors.base import Options
from connectors.egress import ConnectionForbidden
from connectors.errors import ConfigError, ConnectorError, Stopped
from connectors.mapping import MongoSource
from connectors.mongo_servers import refuse_forbidden
from connectors.sources.mongo.errors import CONNECTOR, mapped, translate

T = TypeVar("T")
Document = dict[str, Any]

_POLL_S = 0.05
_CLOSE_WITHIN_S = 2.0
_HAS_SCHEME = re.compile(r"mongodb(\+srv)?://")
_HAS_LOGIN = re.compile(r"mongodb(\+srv)?://[^/?]*@")
_SNAPSHOTS_SINCE_WIRE = 13
_MS: Final = 1000


class Session:
    """One client of one stream. `open` first; `close` in any case.

    Args:
        config: Where the server is; resolved.
        stream: For errors.
        options: Timeouts.
    """

    def __init__(self, config: MongoSource, stream: str, options: Options) -> None:
        self.stream = stream
        self._config = config
        self._options = options
        self._stop = threading.Event()
        self._client: pymongo.MongoClient[Document] | None = None
        self._snapshot: ClientSession | None = None
        #: The operation that later reads have to see, whichever member of a cluster answers them.
        self._seen: ClientSession | None = None
        #: What the server says of itself.
        self.hello: Document = {}
        #: By how much its clock and ours differ, in seconds.
        self.clock_difference_s = 0.0

    def open(self) -> None:
        """Connect, and ask the server who it is.

        Raises:
            SourceUnavailable, SourceAuthFailed, ConfigError, SourceError: As they say.
        """
        arguments = client_arguments(self._config, self._options)
        with mapped(self.stream):
            try:
                refuse_forbidden(arguments["host"], self._options.connect_timeout_s)
            except ConnectionForbidden as refusal:
                message = f"`url`: {refusal}"
                raise ConfigError(message, connector=CONNECTOR, stream=self.stream) from None
            self._client = pymongo.MongoClient(**arguments)
        self.now()
        # A login is only tried by a command that needs one.
        self.call(lambda: self.database.command("ping"))

    @property
    def database(self) -> pymongo.database.Database[Document]:
        """The source's database."""
        if self._client is None:
            msg = "open() comes first"
            raise RuntimeError(msg)
        return self._client[self._config.db_name]

    def collection(self, name: str) -> Collection[Document]:
        """A collection of it."""
        return self.database[name]

    def now(self) -> datetime:
        """The server's clock; of a server that follows another, how far it has come.

        Everything that was written before is seen by what is read afterwards.
        """
        before = datetime.now(UTC)
        hello = self.call(self._greet)
        after = datetime.now(UTC)
        self.hello = hello
        self.clock_difference_s = abs((_aware(hello["localTime"]) - before - (after - before) / 2).total_seconds())
        return reached_by(hello)

    def _greet(self) -> Document:
        """Ask one of the servers that are read from, which need not be the primary; and remember how far it was.

        Another secondary may be further behind: it lets later reads wait until it has come as far.
        """
        database = self.database
        preference = database.read_preference
        hello = dict(database.command("hello", read_preference=preference))
        if not is_cluster(hello):
            return hello
        seen = database.client.start_session(causal_consistency=True)
        hello = dict(database.command("hello", read_preference=preference, session=seen))
        if hello.get("msg") == "isdbgrid" and preference != ReadPreference.PRIMARY:
            # A router answers for itself; how far its shards are, only a read of their primaries tells.
            primary = database.with_options(read_preference=ReadPreference.PRIMARY)
            primary["dms.none"].find_one({}, session=seen)
        self._seen = seen
        return hello

    def _behind_seen(self) -> ClientSession | None:
        """A session whose reads see what was there when the clock was read. One for each thread."""
        seen, client = self._seen, self._client
        if seen is None or client is None:
            return None
        session = client.start_session(causal_consistency=True)
        if seen.cluster_time is not None:
            session.advance_cluster_time(seen.cluster_time)
        if seen.operation_time is not None:
            session.advance_operation_time(seen.operation_time)
        return session

    def begin_snapshot(self) -> bool:
        """Read everything from now on as it is now, where the server can; False where it cannot."""
        can = is_cluster(self.hello) and self.hello.get("maxWireVersion", 0) >= _SNAPSHOTS_SINCE_WIRE
        if self._client is None or not can:
            return False
        self._snapshot = self._client.start_session(snapshot=True)
        return True

    def end_snapshot(self) -> None:
        """Read what is there again."""
        snapshot, self._snapshot = self._snapshot, None
        if snapshot is not None:
            self.call(snapshot.end_session)

    def call(self, work: Callable[[], T]) -> T:
        """Have the driver do something, in a thread that is left behind when the run is to stop."""
        box: queue.SimpleQueue[T | BaseException] = queue.SimpleQueue()

        def run() -> None:
            try:
                box.put(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                box.put(error)

        self.check_stop()
        threading.Thread(target=run, name="mongo-call", daemon=True).start()
        answer: T = self._taken(box)
        return answer

    def raw_batches(
        self,
        collection: str,
        filter_: Mapping[str, Any],
        *,
        batch_size: int,
        limit: int = 0,
        sort: tuple[str, int] | None = None,
        fields: tuple[str, ...] = (),
    ) -> Iterator[bytes]:
        """Raw documents, a batch at a time; the next one is fetched while this one is worked on."""
        found: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=1)
        is_left = threading.Event()
        session = self._snapshot or self._behind_seen()

        def put(item: bytes | BaseException | None) -> None:
            while not (is_left.is_set() or self._stop.is_set()):
                with suppress(queue.Full):
                    found.put(item, timeout=_POLL_S)
                    return

        def read() -> None:
            try:
                cursor = self.collection(collection).find_raw_batches(
                    dict(filter_),
                    dict.fromkeys(fields, 1) or None,
                    batch_size=batch_size,
                    limit=limit,
                    sort=[sort] if sort else None,
                    session=session,
                    max_time_ms=int(self._options.statement_timeout_s * _MS) or None,
                )
                with cursor:
                    for batch in cursor:
                        # Typed as a document, which it is not.
                        put(cast("bytes", batch))
                        if is_left.is_set() or self._stop.is_set():
                            return
                put(None)
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that takes the batches
                put(error)

        self.check_stop()
        threading.Thread(target=read, name="mongo-read", daemon=True).start()
        try:
            # A server may answer with an empty batch.
            while (batch := self._taken(found)) is not None:
                if batch:
                    yield batch
        finally:
            is_left.set()

    def pause(self, seconds: float) -> None:
        """Wait, unless the run is to stop."""
        self._stop.wait(seconds)
        self.check_stop()

    def check_stop(self) -> None:
        """Leave off when that was asked for.

        Raises:
            Stopped: It was.
        """
        if self._stop.is_set():
            raise self.error(Stopped, "stopped on request")

    def error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        """An error of this source and stream."""
        return kind(message, connector=CONNECTOR, stream=self.stream)

    def cancel(self) -> None:
        """Let whoever waits for the server go, from another thread."""
        self._stop.set()

    def close(self) -> None:
        """Close the connections. Never raises, and waits for a server that hangs only so long."""
        client, self._client = self._client, None
        if client is None:
            return
        thread = threading.Thread(target=_closed, args=(client,), name="mongo-close", daemon=True)
        thread.start()
        thread.join(_CLOSE_WITHIN_S)

    def _taken(self, box: queue.SimpleQueue[Any] | queue.Queue[Any]) -> Any:
        while True:
            self.check_stop()
            with suppress(queue.Empty):
                answer = box.get(timeout=_POLL_S)
                break
        if isinstance(answer, PyMongoError):
            raise translate(answer, self.stream) from answer
        if isinstance(answer, BaseException):
            raise answer
        return answer


def client_arguments(config: MongoSource, options: Options) -> dict[str, Any]:
    """What a client of this source is made with."""
    url = config.url.get_secret_value()
    if not _HAS_SCHEME.match(url):
        url = f"mongodb://{url}"
    timeout_ms = options.connect_timeout_s * _MS
    arguments: dict[str, Any] = {
        "host": url,
        "appname": "dms",
        "connectTimeoutMS": timeout_ms,
        "serverSelectionTimeoutMS": timeout_ms,
        "tz_aware": True,
        "maxPoolSize": 4,
    }
    if config.username and not _HAS_LOGIN.match(url):
        arguments |= {"username": config.username, "password": config.password.get_secret_value()}
    if config.certificate_file:
        arguments |= {"tls": True, "tlsCAFile": config.certificate_file}
    return arguments


def is_cluster(hello: Mapping[str, Any]) -> bool:
    """Whether a server is a member of a replica set, or a router."""
    return "setName" in hello or hello.get("msg") == "isdbgrid"


def reached_by(hello: Mapping[str, Any]) -> datetime:
    """Up to when a server knows of every write, as its answer to `hello` says."""
    local = _aware(hello["localTime"])
    followed = hello.get("lastWrite", {})
    reached = followed.get("majorityWriteDate") or followed.get("lastWriteDate")
    if hello.get("secondary") and reached is not None:
        return min(local, _aware(reached))
    return local


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _closed(client: pymongo.MongoClient[Document]) -> None:
    with suppress(PyMongoError):
        client.close()
