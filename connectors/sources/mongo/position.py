"""The position of a MongoDB stream: what is stored with the rows, and read when the next run begins."""

from __future__ import annotations

from datetime import datetime

from connectors.base import Say
from connectors.positions import Phase, StreamPosition
from connectors.sources.mongo.ids import BRACKETS
from connectors.wording import counted


class MongoPosition(StreamPosition):
    """Everything of a stream that the next run needs.

    Attributes:
        bracket: Copy: name of the bracket of id types that is being read.
        after: Copy: text of the last `_id` of the bracket that was copied.
        watermark: The server's clock when the last whole pass began, ISO text with zone. While copying it is the one
            taken before the first chunk, so that the follow pass sees every later change.
        fields: Every field met so far, in that order and as `names.spelled` spells them.
    """

    bracket: str = BRACKETS[0].name
    after: str | None = None
    watermark: datetime | None = None
    fields: tuple[str, ...] = ()

    def in_words(self) -> str:
        """What is copied, for people."""
        if self.snapshot is not None:
            return f"the dump of {self.snapshot}"
        if self.phase is Phase.COPY:
            reached = f"_id {self.after}" if self.after is not None else f"ids of type {self.bracket}"
            return f"an unfinished first copy: {counted(self.batch, 'chunk')} in, {reached}"
        return f"changes up to {self.watermark}, {counted(len(self.fields), 'field')}"

    def place(self, say: Say) -> str:
        """What is copied, for people who do not know how it is stored; `say` writes a moment, given in ISO 8601."""
        if self.snapshot is not None:
            return f"the snapshot of {say(self.snapshot)}"
        if self.phase is Phase.COPY:
            reached = f", documents with _id up to {self.after}" if self.after is not None else ""
            return f"an unfinished first copy: {counted(self.batch, 'chunk')}{reached}"
        changes = f"changes by {self.bookmark}" if self.bookmark else "documents"
        return f"{changes} up to {say(self.watermark.isoformat())}" if self.watermark else "everything"
