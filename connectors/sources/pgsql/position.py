"""The position of a PostgreSQL stream: what is stored with the rows, and read when the next run begins."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from connectors.base import Say
from connectors.positions import Phase, StreamPosition
from connectors.wording import counted

Key = tuple[str, ...]

#: A text with a leading zero is none, and no number of that many digits is read by its groups.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,37})")


class Candidate(BaseModel):
    """A key below which nothing can appear once these transactions have ended.

    Attributes:
        key: Highest key when the candidate was taken.
        boot: Start time of the server; a restart ends every transaction but the prepared ones.
        holders: Virtual transaction ids that held a write lock on the table or its sequence then.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    boot: str
    holders: tuple[str, ...]


class ColumnForm(NamedTuple):
    """What decides which value of a column arrives; rows that were read under another form may hold other values.

    Attributes:
        number: pg_attribute.attnum, which is another one after a column was dropped and added again; 0 in a query.
        type: At the source, with its modifier.
        is_cast: True when it arrives as another type.
        mask: How many characters or digits `masking_columns` takes; 0 for none.
    """

    number: int
    type: str
    is_cast: bool = False
    mask: int = 0

    def against(self, was: ColumnForm) -> str:
        """What became of the column, in words."""
        words = []
        if self.number != was.number:
            words.append("dropped and added again, or another column under that name")
        if self.type != was.type:
            words.append(f"type {was.type} -> {self.type}")
        elif self.is_cast != was.is_cast:
            words.append("`strict` changed")
        if self.mask != was.mask:
            words.append(f"masked by {self.mask} instead of {was.mask}")
        return ", ".join(words)


class PgPosition(StreamPosition):
    """Everything of a stream that the next run needs.

    Attributes:
        key: Of the spec that made it; a spec that differs needs a reset.
        cursor: Copy by key: the last key copied.
        next_block: Copy by page range: the first heap page not yet copied.
        heap: Copy by page range: relfilenode of the heap whose pages are counted.
        upto: Copy: the highest key when the copy began; later ones are the follow pass's.
        watermark: No row with a bookmark (or time key) below it can still appear or change; ISO text with zone. While
            copying it is the one taken before the first chunk, so that the follow pass sees every later change.
        safe_key: Every row with a key up to it is copied; None when nothing is known.
        recheck: Chunks of the copy up to this key were read while these writers could still add keys among them; they
            are read again once when the writers have ended.
        candidates: Keys that become safe when their writers have ended, oldest first.
        forms: By its name at the destination, the form under which every copied row has the column's value. When a
            column is not among them or has another form now, syncing and mirroring copy once more by upsert.
        columns: Source columns of which every copied row has the values; only in positions of a time before `forms`.
        is_refill: True while such a second copy is under way.
    """

    key: tuple[str, ...] = ()
    cursor: Key | None = None
    next_block: int | None = None
    heap: int | None = None
    upto: Key | None = None
    watermark: str | None = None
    safe_key: str | None = None
    recheck: Candidate | None = None
    candidates: tuple[Candidate, ...] = ()
    forms: Mapping[str, ColumnForm] = {}
    columns: tuple[str, ...] = ()
    is_refill: bool = False

    def in_words(self) -> str:
        """What is copied, for people."""
        if self.snapshot is not None:
            return f"the dump of {self.snapshot}"
        if self.phase is Phase.COPY:
            reached = f"page {self.next_block}" if self.next_block is not None else f"key {_words(self.cursor)}"
            word = "second copy, for added or changed columns" if self.is_refill else "first copy"
            return f"an unfinished {word}: {counted(self.batch, 'chunk')} in, {reached}"
        parts = [f"changes up to watermark {self.watermark}"] if self.watermark else []
        parts += [f"keys up to {self.safe_key}"] if self.safe_key is not None else []
        return ", ".join(parts) or "a whole copy; every row is compared"

    def place(self, say: Say) -> str:
        """What is copied, for people who do not know how it is stored.

        Args:
            say: Writes a moment, given in ISO 8601.
        """
        if self.snapshot is not None:
            return f"the snapshot of {say(self.snapshot)}"
        key = " and ".join(self.key) or "key"
        if self.phase is Phase.COPY:
            word = "second copy, for added or changed columns" if self.is_refill else "first copy"
            reached = f", rows with {key} up to {_shown(self.cursor)}" if self.cursor is not None else ""
            return f"an unfinished {word}: {counted(self.batch, 'chunk')}{reached}"
        parts = [f"rows with {key} up to {_shown((self.safe_key,))}"] if self.safe_key is not None else []
        changes = f"changes by {self.bookmark}" if self.bookmark else "rows"
        parts += [f"{changes} up to {say(self.watermark)}"] if self.watermark else []
        return " and ".join(parts) or "everything; each run compares all rows"


def _shown(key: Key) -> str:
    return ", ".join(f"{int(part):,}" if _NUMBER.fullmatch(part) else part for part in key)


def _words(key: Key | None) -> str:
    return "none yet" if key is None else ", ".join(key)
