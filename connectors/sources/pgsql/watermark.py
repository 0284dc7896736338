"""The watermark: a time below which no bookmark can still appear at the source.

PostgreSQL's now() is the start of the transaction, and a row appears at its commit. So the bound is not the clock but
the start of the oldest transaction that is still open; docs/delivery.md says what is promised when.

The order of the questions matters. The clock comes first: whoever begins later has a later now(). Then a pause, since
a backend takes its start from the clock some instructions before it shows it; one that is held up there for longer
than the pause is recognised by its state, and counts from the last time it showed. Then the open transactions, and
prepared ones last, because an open one may have become one meanwhile. Whatever is in none of these answers has ended,
and the snapshot that is taken afterwards shows it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from connectors.base import RunReport
from connectors.postgres.session import READER_NAME, Session
from connectors.sources.pgsql.catalog import TREE

#: A watermark further behind the clock than this is worth a warning that names the culprit.
_OLD_AFTER_S = 15 * 60
_STANDBY_GRACE_S = 3600
_WAIT_FOR_WRITERS_S = 30.0
_POLL_S = 0.1
_TO_SHOW_ITSELF_S = 0.02
_LOOKS = 10

_OWN_READER = f"coalesce(application_name, '') LIKE '{READER_NAME}:%' AND usename = current_user"
# A client backend that is `idle` but does not wait for its client is at the edge of a transaction, and counts from the
# end of its last one. One that works without a start is there too, unless it switched track_activities on inside its
# transaction: then it never shows one.
_OPEN_TRANSACTIONS = f"""
WITH others AS (
    SELECT pid, application_name, xact_start,
           state = 'disabled' OR backend_type IS NULL
               OR (backend_type = 'client backend' AND state IS NULL)
               OR (backend_type = 'client backend' AND state NOT IN ('idle', 'starting') AND xact_start IS NULL)
           AS is_hidden,
           CASE WHEN backend_type = 'client backend' AND state = 'idle' AND xact_start IS NULL
                     AND wait_event IS DISTINCT FROM 'ClientRead'
                THEN state_change END AS edge
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'parallel worker')
      AND NOT ({_OWN_READER})
)
SELECT min(coalesce(xact_start, edge)),
       coalesce(bool_or(is_hidden), false),
       count(edge),
       (array_agg(pid ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1],
       (array_agg(application_name ORDER BY xact_start) FILTER (WHERE xact_start IS NOT NULL))[1]
FROM others
"""  # noqa: S608 - the only part that is put in is a constant of ours
_PREPARED_ON_TABLE = f"""
SELECT EXISTS (
    SELECT FROM pg_locks WHERE pid IS NULL AND locktype = 'relation' AND relation IN ({TREE})
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))
"""  # noqa: S608 - as above
_VIRTUAL_TRANSACTIONS = f"""
SELECT l.virtualtransaction, l.pid FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'virtualxid' AND l.pid <> pg_backend_pid()
  AND coalesce(a.datname, current_database()) = current_database()
  AND ({_OWN_READER}) IS NOT TRUE
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Clock:
    """What the source said when it was asked.

    Attributes:
        t0: The source's clock.
        watermark: The bound with the margin taken off; None when it must not move.
    """

    t0: datetime
    watermark: str | None


@dataclass(frozen=True, slots=True)
class _OpenTransactions:
    """What pg_stat_activity shows of the others.

    Attributes:
        oldest: Start of the oldest, None without one.
        is_hidden: True when the start of some cannot be seen.
        at_edge: How many are at the edge of a transaction.
        pid, application: Of the oldest.
    """

    oldest: datetime | None
    is_hidden: bool
    at_edge: int
    pid: int | None
    application: str | None

    @property
    def is_clear(self) -> bool:
        """True when another look would show no more."""
        return not self.is_hidden and self.at_edge == 0


class WatermarkReader:
    """Asks for the watermark.

    Args:
        session: In autocommit: inside a transaction pg_stat_activity stands still.
        table_oid: The table, for prepared transactions.
        margin_s: Taken off.
        report: Gets the warnings.
        is_blind_standby: True when the session is on a standby, which shows no transaction of its primary.
    """

    def __init__(
        self,
        session: Session,
        table_oid: int,
        margin_s: float,
        report: RunReport,
        *,
        is_blind_standby: bool,
    ) -> None:
        self._session = session
        self._table_oid = table_oid
        self._margin_s = margin_s
        self._report = report
        self._is_blind_standby = is_blind_standby

    def read(self) -> Clock:
        """Take the watermark now. It may wait for open transactions when their start cannot be seen."""
        t0: datetime = self._session.value("SELECT now()")
        if self._is_blind_standby:
            self._report.warn(
                "the source is a standby, which shows neither transactions nor locks of its primary: changes of the"
                " last hour are read again in each run; give `primary_url` for an exact watermark"
            )
            return Clock(t0, self._less(t0, _STANDBY_GRACE_S))
        seen = self._look()
        if seen.is_hidden and not self._wait_for_all():
            return Clock(t0, None)
        if self._session.value(_PREPARED_ON_TABLE, [self._table_oid]):
            self._report.warn(
                "a prepared transaction holds a lock on the table, so the watermark stays where it was; see"
                " pg_prepared_xacts, and commit or roll it back"
            )
            return Clock(t0, None)
        if seen.oldest is not None and (t0 - seen.oldest).total_seconds() > _OLD_AFTER_S:
            self._report.warn(
                f"the transaction of pid {seen.pid} (application {seen.application or 'without a name'}) is open since"
                f" {seen.oldest:%Y-%m-%d %H:%M:%S %Z}; all changes since then are read again until it ends"
            )
        return Clock(t0, self._less(min(t0, seen.oldest) if seen.oldest is not None else t0, 0))

    def _look(self) -> _OpenTransactions:
        """Look at the others, again while one is at an edge: that lasts microseconds unless it is frozen there."""
        for _ in range(_LOOKS):
            time.sleep(_TO_SHOW_ITSELF_S)
            row = self._session.row(_OPEN_TRANSACTIONS)
            assert row is not None  # noqa: S101 - an aggregate without GROUP BY always has a row
            seen = _OpenTransactions(*row)
            if seen.is_clear:
                break
        return seen

    def _less(self, moment: datetime, extra_s: float) -> str:
        """The moment less the margin, computed by the server at full precision."""
        return str(
            self._session.value(
                "SELECT (%s::timestamptz - make_interval(secs => %s))::text",
                [moment.isoformat(), self._margin_s + extra_s],
            )
        )

    def _wait_for_all(self) -> bool:
        """Without sight of when others began, wait until every transaction open now has ended; False when some do not.

        Everybody may see virtual transaction ids in pg_locks. A backend takes its own before it shows its start.
        """
        waiting_for = dict(self._session.rows(_VIRTUAL_TRANSACTIONS))
        deadline = time.monotonic() + _WAIT_FOR_WRITERS_S
        while waiting_for and time.monotonic() < deadline:
            time.sleep(_POLL_S)
            still_open = dict(self._session.rows(_VIRTUAL_TRANSACTIONS))
            waiting_for = {vxid: pid for vxid, pid in waiting_for.items() if vxid in still_open}
        if waiting_for:
            pids = ", ".join(str(pid) for pid in sorted(set(waiting_for.values())))
            self._report.warn(
                "the watermark stays where it was: the user may not see when transactions began, and those of pid"
                f" {pids} did not end within {_WAIT_FOR_WRITERS_S:.0f} s; GRANT pg_read_all_stats to the user, or end"
                " them"
            )
        return not waiting_for
