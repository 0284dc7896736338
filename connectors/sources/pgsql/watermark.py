"""The watermark: a time below which no bookmark can still appear at the source.

PostgreSQL's now() is the start of the transaction, and a row appears at its commit. So the bound is not the clock but
the start of the oldest transaction that is still open; docs/delivery.md says what is promised when.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from connectors.base import RunReport
from connectors.postgres.session import READER_NAME, Session

#: A watermark further behind the clock than this is worth a warning that names the culprit.
_OLD_AFTER_S = 15 * 60
_STANDBY_GRACE_S = 3600
_WAIT_FOR_WRITERS_S = 30.0
_POLL_S = 0.1

# now() comes first: a transaction that starts while the view is read starts later than it.
_OPEN_TRANSACTIONS = f"""
SELECT now(),
       min(xact_start),
       bool_or(state = 'disabled' OR backend_type IS NULL OR (state IS NULL AND backend_type = 'client backend')),
       (array_agg(pid ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1],
       (array_agg(application_name ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1]
FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
  AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
  AND NOT (coalesce(application_name, '') LIKE '{READER_NAME}:%' AND usename = current_user)
"""  # noqa: S608 - the only part that is put in is a constant of ours
_PREPARED_ON_TABLE = """
SELECT count(*) FROM pg_locks
WHERE pid IS NULL AND locktype = 'relation' AND relation = ANY(%s::oid[])
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_VIRTUAL_TRANSACTIONS = """
SELECT l.virtualtransaction, l.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'virtualxid' AND l.pid <> pg_backend_pid()
  AND coalesce(a.datname, current_database()) = current_database()
"""


@dataclass(frozen=True, slots=True)
class Clock:
    """What the source said when it was asked.

    Attributes:
        t0: The source's clock.
        watermark: The bound with the margin taken off; None when it must not move.
    """

    t0: datetime
    watermark: str | None


class WatermarkReader:
    """Asks for the watermark.

    Args:
        session: In autocommit: inside a transaction pg_stat_activity stands still.
        tree: oids of the table and its partitions, for prepared transactions.
        margin_s: Taken off.
        report: Gets the warnings.
        is_blind_standby: True when the session is on a standby, which shows no transaction of its primary.
    """

    def __init__(
        self,
        session: Session,
        tree: tuple[int, ...],
        margin_s: float,
        report: RunReport,
        *,
        is_blind_standby: bool,
    ) -> None:
        self._session = session
        self._tree = list(tree)
        self._margin_s = margin_s
        self._report = report
        self._is_blind_standby = is_blind_standby

    def read(self) -> Clock:
        """Take the watermark now. It may wait for open transactions when their start cannot be seen."""
        row = self._session.row(_OPEN_TRANSACTIONS)
        assert row is not None  # noqa: S101 - an aggregate without GROUP BY always has a row
        t0, oldest, is_invisible, pid, application = row
        if self._is_blind_standby:
            self._report.warn(
                "the source is a standby, which shows neither transactions nor locks of its primary: changes of the"
                " last hour are read again in each run; give `primary_url` for an exact watermark"
            )
            return Clock(t0, self._less(t0, _STANDBY_GRACE_S))
        if self._session.value(_PREPARED_ON_TABLE, [self._tree]):
            self._report.warn(
                "a prepared transaction holds a lock on the table, so the watermark stays where it was; see"
                " pg_prepared_xacts, and commit or roll it back"
            )
            return Clock(t0, None)
        if is_invisible:
            return self._read_blind(t0)
        if oldest is not None and (t0 - oldest).total_seconds() > _OLD_AFTER_S:
            self._report.warn(
                f"the transaction of pid {pid} (application {application or 'without a name'}) is open since"
                f" {oldest:%Y-%m-%d %H:%M:%S %Z}; all changes since then are read again until it ends"
            )
        return Clock(t0, self._less(min(t0, oldest) if oldest is not None else t0, 0))

    def _less(self, moment: datetime, extra_s: float) -> str:
        """The moment less the margin, computed by the server at full precision."""
        return str(
            self._session.value(
                "SELECT (%s::timestamptz - make_interval(secs => %s))::text",
                [moment.isoformat(), self._margin_s + extra_s],
            )
        )

    def _read_blind(self, t0: datetime) -> Clock:
        """Without the right to see when others began, wait until every transaction open now has ended."""
        waiting_for = dict(self._session.rows(_VIRTUAL_TRANSACTIONS))
        deadline = time.monotonic() + _WAIT_FOR_WRITERS_S
        while waiting_for and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            still_open = dict(self._session.rows(_VIRTUAL_TRANSACTIONS))
            waiting_for = {vxid: pid for vxid, pid in waiting_for.items() if vxid in still_open}
        if waiting_for:
            pids = ", ".join(str(pid) for pid in sorted(set(waiting_for.values())))
            self._report.warn(
                f"the watermark stays where it was: the user may not see when transactions began, and those of pid"
                f" {pids} did not end within {_WAIT_FOR_WRITERS_S:.0f} s; GRANT pg_read_all_stats to the user, or end"
                " them"
            )
            return Clock(t0, None)
        return Clock(t0, self._less(t0, 0))
