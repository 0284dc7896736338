"""Open writers of a table: below which key nothing can still appear.

Why write locks tell it, for a key whose sequence counts by one and keeps no values back (CACHE 1):

- Whoever draws a value holds a RowExclusiveLock until the transaction ends. INSERT and COPY lock the table, or the
  partition they are sent to, before the first default is computed, whether they come through a view, a rule, a trigger
  or a function. nextval() by itself locks the sequence for the top transaction, before it draws, and a rollback to a
  savepoint does not let go. So nobody can be frozen between drawing and locking, and two tables that share a sequence
  only add holders.
- Values are drawn in order. A row with a lower key than one that is visible was drawn before that one.
- Locks go after the rows have become visible. So: look up the highest key first, the holders second; when those have
  ended, every key up to that one is visible to the next snapshot, or will never be.
- pg_locks shows everybody's locks to everybody, those of the fast path and of prepared transactions included. A
  transaction that was prepared in between goes on under another id, so any prepared holder counts as an open one.

What this cannot see: values drawn in one transaction and inserted in a later one (pooled ids), keys that are given
and not drawn, among them those of logical replication, and rows that come by ATTACH PARTITION. Where keys can be given,
that is unless the column is GENERATED ALWAYS, an overlap below the safe key is read again in the modes that have
nothing but the key to go by. Keys above the sequence's last value were given, so they never make a key safe: a sequence
that was never drawn from is as good as none.
"""

from __future__ import annotations

import time

from psycopg2 import sql

from connectors.postgres.session import Session
from connectors.sources.pgsql.catalog import TREE, Sequence, Table
from connectors.sources.pgsql.position import Candidate

# Stronger locks need not be looked for: a statement that writes takes this one besides.
_HOLDERS = f"""
SELECT DISTINCT virtualtransaction, pid FROM pg_locks
WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND (relation IN ({TREE}) OR relation = %s::oid)
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND pid IS DISTINCT FROM pg_backend_pid()
"""  # noqa: S608 - the only part that is put in is a constant of ours
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

    def highest_key(self, column: str) -> str | None:
        """The highest key that the table shows, None when it is empty."""
        found = self._session.value(
            sql.SQL("SELECT max({})::text FROM {}").format(sql.Identifier(column), self._table.qualified)
        )
        return None if found is None else str(found)

    def candidate(self, column: str) -> Candidate | None:
        """Take a candidate now; None when the table is empty."""
        highest = self.highest_key(column)
        if highest is None:
            return None
        drawn = self.last_drawn()
        key = highest if drawn is None else str(min(int(highest), drawn))
        holders = self._holders()
        return Candidate(key=key, boot=self._boot(), holders=tuple(sorted(holders)))

    def last_drawn(self) -> int | None:
        """The last value that the sequence gave, or will not give any more; None when it never gave one or is hidden.

        After setval(..., false) and RESTART WITH the next value is the one that it shows.
        """
        sequence = self._sequence
        if sequence is None or not self.may_read_sequence():
            return None
        may_select = self._session.value("SELECT has_sequence_privilege(%s::oid, 'SELECT')", [sequence.oid])
        if not may_select:
            found = self._session.value("SELECT pg_sequence_last_value(%s::oid::regclass)", [sequence.oid])
            return None if found is None else int(found)
        # The text of a regclass is quoted, and has its schema where that is needed.
        name = self._session.value("SELECT %s::oid::regclass::text", [sequence.oid])
        last, is_called = self._session.rows(sql.SQL("SELECT last_value, is_called FROM {}").format(sql.SQL(name)))[0]
        if is_called:
            return int(last)
        return None if last == sequence.start else int(last) - sequence.increment

    def may_read_sequence(self) -> bool:
        """True when there is a sequence and its last value may be read."""
        if self._sequence is None:
            return False
        return bool(
            self._session.value("SELECT has_sequence_privilege(%s::oid, 'USAGE, SELECT')", [self._sequence.oid])
        )

    def has_ended(self, candidate: Candidate) -> bool:
        """True when every transaction that the candidate waits for has ended."""
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
        sequence_oid = self._sequence.oid if self._sequence is not None else None
        return dict(self._session.rows(_HOLDERS, [self._table.oid, sequence_oid]))

    def _boot(self) -> str:
        return str(self._session.value(_BOOT))
