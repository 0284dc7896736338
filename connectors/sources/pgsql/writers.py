"""Open writers of a table: below which key nothing can still appear.

A key from a sequence is drawn before its row is visible. Whoever has drawn one holds a write lock on the table or on
the sequence until the transaction ends, and pg_locks shows that to everybody. So: look up the highest key first, the
lock holders second; when those have ended, every key up to that one is visible or will never be.
"""

from __future__ import annotations

import time

from psycopg2 import sql

from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import Sequence, Table
from connectors.sources.pgsql.position import Candidate

_HOLDERS = """
SELECT DISTINCT virtualtransaction, pid FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = ANY(%s::oid[])
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid IS DISTINCT FROM pg_backend_pid()
"""
_BOOT = "SELECT pg_postmaster_start_time()::text"
_POLL_S = 0.05


class Writers:
    """Watches who writes to a table.

    Args:
        session: In autocommit, on the server where the writers are.
        table: The table.
        sequence: The sequence behind its key, None without one.
    """

    def __init__(self, session: Session, table: Table, sequence: Sequence | None) -> None:
        self._session = session
        self._table = table
        self._sequence = sequence
        self._relations = [*table.tree, *([sequence.oid] if sequence else [])]

    def highest_key(self, column: str) -> str | None:
        """The highest key that the table shows, None when it is empty."""
        found = self._session.value(
            sql.SQL("SELECT max({})::text FROM {}").format(sql.Identifier(column), self._table.qualified)
        )
        return None if found is None else str(found)

    def candidate(self, column: str) -> Candidate | None:
        """Take a candidate now; None when the table is empty.

        A key beyond the sequence's last value was not drawn from it, so the sequence bounds the candidate.
        """
        highest = self.highest_key(column)
        if highest is None:
            return None
        drawn = self.last_drawn()
        key = highest if drawn is None else str(min(int(highest), drawn))
        holders = self._holders()
        return Candidate(key=key, boot=self._boot(), holders=tuple(sorted(holders)))

    def last_drawn(self) -> int | None:
        """The sequence's last value; None when it was never used, or may not be read."""
        if self._sequence is None:
            return None
        found = self._session.value("SELECT pg_sequence_last_value(%s::oid::regclass)", [self._sequence.oid])
        return None if found is None else int(found)

    def may_read_sequence(self) -> bool:
        """True when last_drawn() tells the truth."""
        if self._sequence is None:
            return False
        return bool(
            self._session.value("SELECT has_sequence_privilege(%s::oid, 'USAGE, SELECT')", [self._sequence.oid])
        )

    def has_ended(self, candidate: Candidate) -> bool:
        """True when every transaction that the candidate waits for has ended.

        A transaction that was prepared since then holds its locks under another id, so any prepared one counts.
        """
        holders = self._holders()
        if any(pid is None for pid in holders.values()):
            return False
        if candidate.boot != self._boot():
            return True
        return not set(candidate.holders) & set(holders)

    def wait(self, candidate: Candidate, timeout_s: float) -> bool:
        """Wait for the candidate's transactions to end; False when some were still open at the deadline."""
        deadline = time.monotonic() + timeout_s
        while not self.has_ended(candidate):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_S)
        return True

    def _holders(self) -> dict[str, int | None]:
        return dict(self._session.rows(_HOLDERS, [self._relations]))

    def _boot(self) -> str:
        return str(self._session.value(_BOOT))
