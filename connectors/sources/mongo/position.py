"""The position of a MongoDB stream: what is stored with the rows, and read when the next run begins."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict

from connectors.base import Position, Say
from connectors.mapping import Mode
from connectors.sources.mongo.ids import BRACKETS


class Phase(StrEnum):
    """Whether the stream is still making its first copy, or follows the changes."""

    COPY = "copy"
    FOLLOW = "follow"


class MongoPosition(BaseModel):
    """Everything of a stream that the next run needs.

    Attributes:
        mode, bookmark: Of the spec that made it; a spec that differs needs a reset.
        phase: Copy or follow.
        bracket: Copy: name of the bracket of id types that is being read.
        after: Copy: text of the last `_id` of the bracket that was copied.
        watermark: The server's clock when the last whole pass began, ISO text with zone. While copying it is the one
            taken before the first chunk, so that the follow pass sees every later change.
        fields: Every field met so far, in that order and as `names.spelled` spells them.
        batch: Number of chunks committed.
        snapshot: Dumping: the migration_snapshot_date of the last whole dump.
    """

    model_config = ConfigDict(frozen=True)

    mode: Mode
    bookmark: str | None = None
    phase: Phase = Phase.COPY
    bracket: str = BRACKETS[0].name
    after: str | None = None
    watermark: datetime | None = None
    fields: tuple[str, ...] = ()
    batch: int = 0
    snapshot: str | None = None

    def dump(self) -> Position:
        """As JSON, without what is not set."""
        return self.model_dump(mode="json", exclude_defaults=True) | {
            "mode": self.mode.value,
            "phase": self.phase.value,
        }

    def moved(self, **changes: Any) -> MongoPosition:
        """A copy with changes, one chunk further."""
        return self.model_copy(update={"batch": self.batch + 1, **changes})

    def in_words(self) -> str:
        """What is copied, for people."""
        if self.snapshot is not None:
            return f"the dump of {self.snapshot}"
        if self.phase is Phase.COPY:
            reached = f"_id {self.after}" if self.after is not None else f"ids of type {self.bracket}"
            return f"an unfinished first copy: {self.batch} chunks in, {reached}"
        return f"changes up to {self.watermark}, {len(self.fields)} fields"

    def place(self, say: Say) -> str:
        """What is copied, for people who do not know how it is stored; `say` writes a moment, given in ISO 8601."""
        if self.snapshot is not None:
            return f"the snapshot of {say(self.snapshot)}"
        if self.phase is Phase.COPY:
            reached = f", documents with _id up to {self.after}" if self.after is not None else ""
            return f"an unfinished first copy: {self.batch:,} chunks{reached}"
        changes = f"changes by {self.bookmark}" if self.bookmark else "documents"
        return f"{changes} up to {say(self.watermark.isoformat())}" if self.watermark else "everything"
