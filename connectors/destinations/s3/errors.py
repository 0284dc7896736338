"""Errors of the S3 destination, and the answers of a store that the commit protocol acts upon."""

from __future__ import annotations

from dataclasses import dataclass

from connectors.errors import ConnectorError, DestinationError

CONNECTOR = "s3 destination"


class ObjectChanged(DestinationError):
    """A conditional request was refused: the object is not in the state that the request named."""


class ObjectMissing(DestinationError):
    """The object that was asked for does not exist."""


class UploadMissing(DestinationError):
    """The multipart upload does not exist: it was completed, aborted or removed by a lifecycle rule."""


@dataclass(frozen=True, slots=True)
class Side:
    """Whose errors they are: this destination's, of one stream."""

    stream: str

    def error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        """An error of this side."""
        return kind(message, connector=CONNECTOR, stream=self.stream)
