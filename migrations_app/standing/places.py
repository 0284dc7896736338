"""How far a stream is, in words, from our own record; the destination's wins over it and is asked by runs only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from connectors import registry
from migrations_app.models import Checkpoint, Stream
from migrations_app.zones import zone_name, zone_named


@dataclass(frozen=True, slots=True)
class Place:
    """Where a stream stands.

    Attributes:
        words: What is copied; holds a key of a row, so it is for whoever may see checkpoints.
        rows: Rows that all its runs have written.
        at: When the last commit was recorded.
    """

    words: str
    rows: int
    at: datetime


def place_of(stream: Stream, zone: str) -> Place | None:
    """The stream's place; None before its first commit. The stream comes with checkpoint, mapping and source.

    Args:
        stream: Which stream.
        zone: In which moments are written.
    """
    checkpoint: Checkpoint | None = getattr(stream, "checkpoint", None)
    if checkpoint is None:
        return None
    source_type = stream.mapping.source.source_type
    words = registry.place_in_words(source_type, checkpoint.position, lambda text: moment_in_words(text, zone))
    return Place(words, checkpoint.rows_total, checkpoint.updated_at)


def moment_in_words(text: str, zone: str) -> str:
    """A moment in ISO 8601 in that time zone, to the minute; one without a zone, or unreadable, as it is."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return f"{moment:%Y-%m-%d %H:%M}"
        local = moment.astimezone(zone_named(zone))
        return f"{local:%Y-%m-%d %H:%M} {zone_name(local)}"
    except (ValueError, OverflowError):
        return text
