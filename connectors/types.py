"""The columns of a stream and their types, as PostgreSQL names them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class UserTypeKind(StrEnum):
    """How a type that not every PostgreSQL server has came to be."""

    ENUM = "enum"
    DOMAIN = "domain"
    COMPOSITE = "composite"
    RANGE = "range"
    MULTIRANGE = "multirange"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class UserType:
    """A PostgreSQL type that a destination must create, or must have from an extension, before it can keep it.

    Attributes:
        name: The type's bare name, such as ``mood``.
        kind: What it is.
        labels: An enum's labels, in their order.
        attributes: A composite's attributes as (name, type).
        base: A domain's base type, a range's subtype, or a multirange's range.
        multirange: Name of the multirange type that comes with a range.
        extension: The extension that owns the type, for EXTENSION.
    """

    name: str
    kind: UserTypeKind
    labels: tuple[str, ...] = ()
    attributes: tuple[tuple[str, PgType], ...] = ()
    base: PgType | None = None
    extension: str | None = None
    multirange: str | None = None


@dataclass(frozen=True, slots=True)
class PgType:
    """A PostgreSQL column type.

    Attributes:
        text: ``format_type()`` of it, such as ``numeric(12,2)`` or ``text[]``; for a user type its bare name.
        user: Set when the type, or the element type of the array, is not built into every server.
        is_array: True for an array of the user type. Arrays of built-in types say so in ``text``.
    """

    text: str
    user: UserType | None = None
    is_array: bool = False

    @property
    def scalar(self) -> str | None:
        """The built-in type of single values, of a domain that below it; None for arrays and all other user types."""
        if self.is_array or self.text.endswith("[]"):
            return None
        if self.user is None:
            return self.text
        if self.user.kind is not UserTypeKind.DOMAIN or self.user.base is None:
            return None
        return self.user.base.scalar


@dataclass(frozen=True, slots=True)
class Column:
    """One column as it arrives at the destination: after col_rename, masking and the casts of `strict`.

    Attributes:
        name: Name at the destination.
        pg_type: Its type in a PostgreSQL destination.
        nullable: False only when the source forbids NULL.
        source_name: Name at the source, None for a column that the run adds (migration_snapshot_date).
    """

    name: str
    pg_type: PgType
    nullable: bool = True
    source_name: str | None = None


@dataclass(frozen=True, slots=True)
class Index:
    """A secondary index to build at the destination after the first load.

    Attributes:
        name: The index's name at the source.
        method_and_columns: What follows the table name in CREATE INDEX: ``USING btree (lower(email)) WHERE active``.
    """

    name: str
    method_and_columns: str


@dataclass(frozen=True, slots=True)
class StreamSchema:
    """Everything that a destination must know of the rows before the first of them arrives.

    Attributes:
        columns: In the order in which every chunk that writes rows delivers them.
        key: Destination names of the primary key's columns; empty for dumping without one.
        key_is_unique: True when a unique index at the source guards the key, so that no check is needed here.
        indexes: Secondary indexes, to be built after the first load.
        server_version: The source server's major version when it is PostgreSQL, such as 18.
    """

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    key_is_unique: bool = False
    indexes: tuple[Index, ...] = ()
    server_version: int | None = None

    def column(self, name: str) -> Column:
        """The column of that destination name; KeyError when there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key's columns in key order."""
        return tuple(self.column(name) for name in self.key)
