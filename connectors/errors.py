"""Every error that a connector raises. The type says what to do next; the message says what to change."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Recovery(StrEnum):
    """What the caller does after an error."""

    RETRY = "retry"
    GIVE_UP = "give_up"


class ConnectorError(Exception):
    """Base of all errors that leave the data plane.

    Args:
        message: One sentence that says what happened, one that says what to do. Never a row value or a secret.
        connector: Which side it is, such as ``pgsql source`` or ``pgsql destination``.
        stream: The stream's unique id, or the mapping's id where no stream exists yet.
    """

    recovery: ClassVar[Recovery] = Recovery.GIVE_UP

    def __init__(self, message: str, *, connector: str, stream: str) -> None:
        super().__init__(message)
        self.message = message
        self.connector = connector
        self.stream = stream

    def __str__(self) -> str:
        return f"{self.connector}, stream {self.stream}: {self.message}"


class ConfigError(ConnectorError):
    """The mapping or the settings ask for something that cannot work. Change them."""


class SourceError(ConnectorError):
    """The source's data or structure does not allow the run."""


class SourceUnavailable(SourceError):
    """The source cannot be reached, is restarting or cut the connection. The same call may succeed later."""

    recovery = Recovery.RETRY


class SourceAuthFailed(SourceError):
    """The source refused the credentials, or they lack a right. Change the credentials or grant the right."""


class StreamNotFound(SourceError):
    """The table, collection, topic or a column that the mapping names does not exist at the source."""


class DestinationError(ConnectorError):
    """The destination refuses to take what is written."""


class DestinationUnavailable(DestinationError):
    """The destination cannot be reached, is restarting or cut the connection. The same call may succeed later."""

    recovery = Recovery.RETRY


class DestinationAuthFailed(DestinationError):
    """The destination refused the credentials, or they lack a right. Change the credentials or grant the right."""


class SchemaMismatch(DestinationError):
    """The destination's table and the source's columns do not fit each other. The message has what helps."""


class Fenced(DestinationError):
    """A newer run has taken over this stream; what this one still had open was rolled back."""


class ValueNotRepresentable(ConnectorError):
    """One value has no exact form in the destination's type.

    Args:
        column: The column's name at the destination.
        key: The row's key as text, or None where it is not known.
        expected: What the destination can hold, such as ``numeric(38,9)``.
        connector: See ConnectorError.
        stream: See ConnectorError.
    """

    def __init__(self, column: str, key: str | None, expected: str, *, connector: str, stream: str) -> None:
        at = f" (row with key {key})" if key is not None else ""
        super().__init__(
            f"a value of column {column}{at} does not fit {expected}; change it, or leave the column out",
            connector=connector,
            stream=stream,
        )
        self.column = column
        self.key = key
        self.expected = expected


class DeleteRefused(ConnectorError):
    """Mirroring would delete more rows than the guard lets through. Nothing was deleted."""

    def __init__(self, message: str, *, doomed: int, connector: str, stream: str) -> None:
        super().__init__(message, connector=connector, stream=stream)
        self.doomed = doomed


class Stopped(ConnectorError):
    """The run was asked to stop: the open chunk was rolled back, all earlier commits stand."""
