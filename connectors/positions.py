"""What the positions of all sources have in common: what is stored with the rows, and read when the next run begins."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from connectors.base import Position
from connectors.mapping import Mode

EMPTY_SNAPSHOT = (
    "the source is empty, so this snapshot has no row: whoever takes the newest migration_snapshot_date at the"
    " destination goes on to see the snapshot before it"
)


class Phase(StrEnum):
    """Whether the stream is still making its first copy, or follows the changes."""

    COPY = "copy"
    FOLLOW = "follow"


class StreamPosition(BaseModel):
    """Everything of a stream that the next run needs.

    Attributes:
        mode, bookmark: Of the spec that made it; a spec that differs needs a reset.
        phase: Copy or follow.
        batch: Number of chunks committed.
        snapshot: Dumping: the migration_snapshot_date of the last whole dump, ISO text with zone.
    """

    model_config = ConfigDict(frozen=True)

    mode: Mode
    bookmark: str | None = None
    phase: Phase = Phase.COPY
    batch: int = 0
    snapshot: str | None = None

    @property
    def snapshot_date(self) -> datetime | None:
        """When the last whole dump was taken; None where there is none."""
        return None if self.snapshot is None else datetime.fromisoformat(self.snapshot)

    def dump(self) -> Position:
        """As JSON, without what is not set."""
        return self.model_dump(mode="json", exclude_defaults=True) | {
            "mode": self.mode.value,
            "phase": self.phase.value,
        }

    def moved(self, **changes: Any) -> Self:
        """A copy with changes, one chunk further."""
        return self.model_copy(update={"batch": self.batch + 1, **changes})
