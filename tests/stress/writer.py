"""One writer of the load, a process of its own: python -m tests.stress.writer '<json>'; ends when its input closes.

It works on the rows whose id leaves its number over, so that writers do not wait for each other, and on three tables:
`events` only grows, `orders` is also updated, rows of `stock` are deleted too, and some come back under their old id.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from dataclasses import dataclass

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 - it is a class

GROWING, UPDATED, DELETED_FROM = "events", "orders", "stock"


@dataclass(frozen=True)
class WriterPlan:
    """What one writer does.

    Attributes:
        dsn: The database.
        number: Which of the writers it is.
        writers: How many there are.
        rows: Rows of a statement at most.
        hold_s: A transaction stays open for so long at most.
    """

    dsn: str
    number: int
    writers: int
    rows: int
    hold_s: float


class Writer:
    """Runs random transactions until it is told to stop."""

    def __init__(self, plan: WriterPlan) -> None:
        self._plan = plan
        self._random = random.Random(plan.number)
        self._connection = psycopg2.connect(plan.dsn, application_name=f"stress-writer-{plan.number}")

    def run(self) -> None:
        """Work until standard input closes; the last transaction is finished."""
        steps = (
            self._insert,
            self._insert,
            self._update,
            self._update,
            self._delete,
            self._low_ids_late,
            self._low_ids_late,
        )
        while not select.select([sys.stdin], [], [], 0)[0]:
            with self._connection.cursor() as cursor:
                for _ in range(self._random.randint(1, 4)):
                    self._random.choice(steps)(cursor)
                    self._pause(0.02)
                if self._random.random() < 0.3:
                    self._pause(self._plan.hold_s)
            if self._random.random() < 0.1:
                self._connection.rollback()
            else:
                self._connection.commit()
        self._connection.close()

    def _pause(self, longest_s: float) -> None:
        time.sleep(self._random.random() * longest_s)

    def _insert(self, cursor: Cursor) -> None:
        table = self._random.choice((GROWING, UPDATED, DELETED_FROM))
        cursor.execute(
            f"INSERT INTO {table} (note) SELECT %s || n FROM generate_series(1, %s) n",
            [f"{self._plan.number} ", self._random.randint(1, self._plan.rows)],
        )

    def _update(self, cursor: Cursor) -> None:
        table = self._random.choice((UPDATED, DELETED_FROM))
        cursor.execute(
            f"UPDATE {table} SET version = version + 1, updated_at = now() WHERE id IN ({self._own_ids(table)})",
            [self._random.randint(1, self._plan.rows)],
        )

    def _delete(self, cursor: Cursor) -> None:
        cursor.execute(
            f"DELETE FROM {DELETED_FROM} WHERE id IN ({self._own_ids(DELETED_FROM)}) RETURNING id",
            [self._random.randint(1, max(1, self._plan.rows // 2))],
        )
        gone = [key for (key,) in cursor.fetchall()]
        if self._random.random() < 0.5:
            self._pause(0.02)
            cursor.execute(
                f"INSERT INTO {DELETED_FROM} (id, note) SELECT unnest(%s::bigint[]), 'back'", [gone[: len(gone) // 2]]
            )

    def _low_ids_late(self, cursor: Cursor) -> None:
        """Draw keys, in a savepoint that is given up, and use them after others have drawn higher ones."""
        table = self._random.choice((GROWING, UPDATED, DELETED_FROM))
        cursor.execute("SAVEPOINT drawn")
        cursor.execute(f"SELECT nextval(pg_get_serial_sequence('{table}', 'id')) FROM generate_series(1, 5)")
        drawn = [key for (key,) in cursor.fetchall()]
        cursor.execute("ROLLBACK TO SAVEPOINT drawn")
        self._pause(self._plan.hold_s)
        cursor.execute(f"INSERT INTO {table} (id, note) SELECT unnest(%s::bigint[]), 'late'", [drawn])

    def _own_ids(self, table: str) -> str:
        plan = self._plan
        return (
            f"SELECT id FROM {table} WHERE id %% {plan.writers} = {plan.number} AND id >="
            f" (SELECT floor(random() * max(id)) FROM {table}) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED"
        )


if __name__ == "__main__":
    Writer(WriterPlan(**json.loads(sys.argv[1]))).run()
