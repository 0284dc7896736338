"""One mapping from pymongo's errors to ours. Their texts can quote values and addresses, and are never passed on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from bson.errors import BSONError
from pymongo.errors import (
    ConfigurationError,
    ConnectionFailure,
    CursorNotFound,
    ExecutionTimeout,
    InvalidURI,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from connectors.errors import ConfigError, ConnectorError, SourceAuthFailed, SourceError, SourceUnavailable
from connectors.sources.mongo.elements import NoIdError, NotBsonError

CONNECTOR = "mongo source"
#: Codes of MongoDB, by what to do about them.
#: Source: github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_AUTH_CODES = frozenset({11, 13, 18, 8000})
_SNAPSHOT_GONE = frozenset({239, 246, 50915})
_PASSING = frozenset({6, 7, 43, 64, 89, 91, 136, 175, 189, 237, 262, 317, 9001, 10107, 11600, 11602, 13435, 13436})
_TOO_SLOW = 50
_INTERRUPTED = 11601


def translate(error: Exception, stream: str) -> ConnectorError:
    """Our error for one of pymongo's, or of bytes that are no documents."""
    kind, sentence = _cause(error)
    return kind(sentence, connector=CONNECTOR, stream=stream)


@contextmanager
def mapped(stream: str) -> Iterator[None]:
    """Turn whatever the driver raises inside into an error of ours."""
    try:
        yield
    except (PyMongoError, BSONError, NotBsonError) as error:
        raise translate(error, stream) from error


def _cause(error: Exception) -> tuple[type[ConnectorError], str]:
    if isinstance(error, NoIdError):
        return SourceError, "documents have no _id, so they cannot be told apart; use mode dumping"
    if isinstance(error, (BSONError, NotBsonError)):
        return SourceError, "a document is damaged; run validate on the collection at the server"
    if isinstance(error, ServerSelectionTimeoutError) and re.search(r"certificate|SSL|TLS", str(error)):
        return SourceError, (
            "TLS failed; check `certificate_file`, the tls options of `url`, and that the host name is in the server's"
            " certificate"
        )
    if isinstance(error, (InvalidURI, ConfigurationError)):
        return ConfigError, (
            "`url` is no address of a MongoDB server; write mongodb://host:27017 or mongodb+srv://host, and"
            " check the options behind it"
        )
    if isinstance(error, ExecutionTimeout) or getattr(error, "code", None) in {_TOO_SLOW, _INTERRUPTED}:
        return SourceError, (
            "the query ran longer than statement_timeout, or an administrator ended it; raise the timeout, or"
            " make an index on the bookmark"
        )
    if isinstance(error, (ConnectionFailure, CursorNotFound)) or getattr(error, "code", None) in _PASSING:
        return SourceUnavailable, (
            "not reachable, or the connection was lost; it can succeed when tried again; check `url` if it repeats"
        )
    if isinstance(error, OperationFailure):
        return _refusal(error)
    return SourceUnavailable, f"the server's answer failed with {type(error).__name__}; it can succeed when tried again"


def _refusal(error: OperationFailure) -> tuple[type[ConnectorError], str]:
    if error.code in _AUTH_CODES:
        return SourceAuthFailed, (
            "the server refused the credentials, or they lack the right to read; check `username`, `password` and the"
            " authSource option of `url`, and grant the role read on the database"
        )
    if error.code in _SNAPSHOT_GONE:
        return SourceError, (
            "the server no longer keeps the snapshot that a dump reads; raise minSnapshotHistoryWindowInSeconds at the"
            " server above the time of a dump, or use mode syncing"
        )
    return SourceError, f"the server refused a query with code {error.code}; look into its log for appName dms"
