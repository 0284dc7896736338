"""What all parts of the destination share: the session, the stream, and the names of its table and state table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256

from psycopg2 import sql

from connectors.base import RunReport, Stream
from connectors.errors import ConfigError, ConnectorError
from connectors.mapping import Mode
from connectors.postgres.session import Session

#: Longer names are cut silently by the server.
#: Source: https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS
NAME_BYTES = 63
STATE_TABLE = "_dms_state"
SNAPSHOT_COLUMN = "migration_snapshot_date"


@dataclass(slots=True)
class Target:
    """One stream's table on one connected server.

    Attributes:
        session: The only connection that the destination writes through.
        stream: Whose table it is.
        report: Where warnings and bytes go.
        schema: Name of the schema, unquoted.
        epoch: The epoch of this writer; 0 before it has taken over.
    """

    session: Session
    stream: Stream
    report: RunReport
    schema: str
    epoch: int = 0

    @property
    def table(self) -> str:
        """The table's name, unquoted."""
        return self.stream.name

    @property
    def name(self) -> sql.Composable:
        """The table's name with its schema."""
        return sql.Identifier(self.schema, self.stream.name)

    @property
    def state(self) -> sql.Composable:
        """The state table's name with its schema."""
        return sql.Identifier(self.schema, STATE_TABLE)

    @property
    def qualified(self) -> str:
        """The table's name as to_regclass() takes it."""
        return self.session.text(self.name)

    @property
    def is_dump(self) -> bool:
        """Dumps are appended and so have no key at the destination."""
        return self.stream.mode is Mode.DUMPING

    def relation_oid(self) -> int | None:
        """The oid of whatever has the table's name now."""
        oid = self.session.value("SELECT to_regclass(%s)::oid", [self.qualified])
        return None if oid is None else int(oid)

    def error(self, kind: type[ConnectorError], message: str) -> ConnectorError:
        """An error of this side and stream."""
        return self.session.side.error(kind, message)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit at the end, roll back on any error."""
        self.session.begin()
        try:
            yield
            self.session.commit()
        except BaseException:
            self.session.rollback()
            raise


def check_names(stream: Stream, schema: str) -> None:
    """Refuse names that the server would cut.

    Raises:
        ConfigError: A name is too long, empty or reserved.
    """
    remedies = {
        "schema": (schema, "set a shorter `schema` on the destination"),
        "table": (stream.name, "give the source table a shorter name, or copy it through a view with one"),
    }
    for word, (name, remedy) in remedies.items():
        if not name or len(name.encode()) > NAME_BYTES:
            message = f"the {word} name {name!r} must have 1 to {NAME_BYTES} bytes; {remedy}"
            raise ConfigError(message, connector="pgsql destination", stream=stream.unique_id)
    if stream.name == STATE_TABLE:
        message = f"the table name {STATE_TABLE} is reserved; rename the table at the source or copy it through a view"
        raise ConfigError(message, connector="pgsql destination", stream=stream.unique_id)


def shortened(name: str) -> str:
    """The name, or when it is too long a cut one that a hash keeps unique."""
    encoded = name.encode()
    if len(encoded) <= NAME_BYTES:
        return name
    digest = sha256(encoded).hexdigest()[:8]
    return f"{encoded[: NAME_BYTES - 9].decode(errors='ignore')}_{digest}"


def columns_sql(names: Sequence[str], *, of: str | None = None) -> sql.Composable:
    """Quoted names with commas between, each under the alias `of` when given."""
    return sql.SQL(", ").join(sql.Identifier(of, name) if of else sql.Identifier(name) for name in names)


def same_key(key: Sequence[str], left: str, right: str) -> sql.Composable:
    """``left.k = right.k AND ...``."""
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(sql.Identifier(left, name), sql.Identifier(right, name)) for name in key
    )
