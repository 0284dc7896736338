"""The two MongoDB stores in which others read what became of jobs. We only ever write to them.

A document belongs to a key and carries the order of its news, ``version: [epoch, sequence]``. A write replaces what
is older and leaves what is newer, so that news may arrive late, twice or out of order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import pymongo
from pydantic import SecretStr
from pymongo.collection import Collection
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
)

from connectors import egress
from connectors.errors import (
    ConfigError,
    ConnectorError,
    DestinationAuthFailed,
    DestinationError,
    DestinationUnavailable,
)
from connectors.mongo_servers import refuse_forbidden

#: Codes of MongoDB for wrong credentials and for a missing right.
#: Source: github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_AUTH_CODES = frozenset({13, 18, 8000})

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Version:
    """Order of news under one key: first the run's lease epoch, then a number that grows."""

    epoch: int
    sequence: int


class MongoStore:
    """One collection of a store. Opens no connection before the first write; `close` in any case.

    Args:
        name: The setting that it comes from, such as ``encryption_store``: what errors call it.
        url: Address of the server; may hold credentials.
        db_name: The database.
        collection_name: The collection.
        timeout_s: For each write as a whole, from finding the server to its answer.

    Raises:
        ConfigError: The address is none, or lies where this installation does not connect to.
    """

    def __init__(self, name: str, url: SecretStr, db_name: str, collection_name: str, *, timeout_s: float) -> None:
        self.name = name
        self._timeout_s = timeout_s
        timeout_ms = max(1, int(timeout_s * 1000))
        with self._errors():
            self._check_servers(url.get_secret_value())
            self._client: pymongo.MongoClient[Document] = pymongo.MongoClient(
                url.get_secret_value(),
                serverSelectionTimeoutMS=timeout_ms,
                connectTimeoutMS=timeout_ms,
                socketTimeoutMS=timeout_ms,
                tz_aware=True,
                appname="dms",
            )
            self._collection: Collection[Document] = self._client[db_name][collection_name]

    def _check_servers(self, url: str) -> None:
        try:
            refuse_forbidden(url, self._timeout_s)
        except egress.ConnectionForbidden as refusal:
            message = f"{self.name}.url: {refusal}"
            raise ConfigError(message, connector=f"mongo store {self.name}", stream="all streams") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def put(self, key: Mapping[str, str], fields: Document, version: Version) -> bool:
        """Make the document of that key say this, unless it says something newer.

        Args:
            key: One field and its value, such as ``{"run_id": ...}``. It identifies the document.
            fields: All other fields of the document.
            version: Of these news.

        Returns:
            False when the store holds newer news and kept them.

        Raises:
            DestinationUnavailable, DestinationAuthFailed, DestinationError, ConfigError: As they say.
        """
        ((name, value),) = key.items()
        document = {
            name: value,
            **fields,
            "version": {"epoch": version.epoch, "sequence": version.sequence},
        }
        no_newer = [
            {"version": {"$exists": False}},
            {"version.epoch": {"$lt": version.epoch}},
            {"version.epoch": version.epoch, "version.sequence": {"$lte": version.sequence}},
        ]
        # $and, and a whole document instead of $set: servers that only speak MongoDB's protocol get other forms wrong.
        older = {"$and": [{name: value}, {"$or": no_newer}]}
        with self._errors(), pymongo.timeout(self._timeout_s):
            if self._collection.replace_one(older, document).matched_count:
                return True
            if self._collection.find_one({name: value}, {"_id": 1}) is not None:
                # It may have come between the two questions, and with older news.
                return bool(self._collection.replace_one(older, document).matched_count)
            # Two writers may both find nothing. The id is made of the key, so that one of them fails here.
            try:
                self._collection.insert_one({"_id": f"{name}:{value}", **document})
            except DuplicateKeyError:
                return bool(self._collection.replace_one(older, document).matched_count)
            return True

    def index(self, *names: str) -> None:
        """Make sure that documents are found by these fields without reading the whole collection.

        Raises:
            DestinationUnavailable, DestinationAuthFailed, DestinationError, ConfigError: As they say.
        """
        with self._errors(), pymongo.timeout(self._timeout_s):
            for name in names:
                self._collection.create_index(name, sparse=True)

    def sign_in(self) -> datetime:
        """Connect with the credentials of the address, and write nothing.

        Returns:
            The server's clock.

        Raises:
            DestinationUnavailable, DestinationAuthFailed, DestinationError, ConfigError: As they say.
        """
        with self._errors(), pymongo.timeout(self._timeout_s):
            # A server greets anybody: only a command that needs a login tries it.
            self._collection.database.command("ping")
            self._collection.find_one({}, {"_id": 1})
            clock: datetime = self._client.admin.command("hello")["localTime"]
        return clock if clock.tzinfo else clock.replace(tzinfo=UTC)

    def write_and_delete(self, key: str) -> bool:
        """Write a document that nothing else looks at, read it, and delete it.

        Args:
            key: Of the document; nobody else's.

        Returns:
            False when what was written could not be read.

        Raises:
            DestinationUnavailable, DestinationAuthFailed, DestinationError, ConfigError: As they say.
        """
        with self._errors(), pymongo.timeout(self._timeout_s):
            self._collection.insert_one({"_id": key, "connection_test": True})
            try:
                return self._collection.find_one({"_id": key}) is not None
            finally:
                self._collection.delete_one({"_id": key})

    def close(self) -> None:
        """Close the connections. Never raises."""
        client = getattr(self, "_client", None)
        if client is not None:
            client.close()

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn the driver's errors into ours. Their texts are left out: they can quote the address."""
        try:
            yield
        except PyMongoError as error:
            raise self._translated(error) from None

    def _translated(self, error: PyMongoError) -> ConnectorError:
        where = {"connector": f"mongo store {self.name}", "stream": "all streams"}
        if isinstance(error, (InvalidURI, ConfigurationError)):
            return ConfigError(f"the address is no MongoDB address; correct {self.name}.url", **where)
        if isinstance(error, OperationFailure) and error.code in _AUTH_CODES:
            message = f"the server refused the credentials, or they lack the right to write; check {self.name}.url"
            return DestinationAuthFailed(message, **where)
        if isinstance(error, (ConnectionFailure, ExecutionTimeout)) or error.timeout:
            message = (
                f"not reachable, or no answer in {self._timeout_s:g} s; see that the server of {self.name}.url is up"
            )
            return DestinationUnavailable(message, **where)
        return DestinationError(f"the write failed with {type(error).__name__}", **where)
