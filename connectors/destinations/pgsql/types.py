"""User types at the destination: find them, plan their creation, and write a column type as SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from psycopg2 import sql

from connectors.destinations.pgsql.target import Target
from connectors.errors import ConnectorError, SchemaMismatch
from connectors.types import Column, PgType, UserType, UserTypeKind

#: Types from here on were made by somebody; below, every server has the same.
#: Source: https://www.postgresql.org/docs/current/system-catalog-initial-data.html
FIRST_USER_OID = 16384

_BUILT_IN = re.compile(r'[A-Za-z0-9_ ",()\[\]-]+')
_MODIFIER = re.compile(r"\([^()]*\)")
_MULTIRANGES_SINCE = 14
_KINDS = {
    "e": UserTypeKind.ENUM,
    "d": UserTypeKind.DOMAIN,
    "c": UserTypeKind.COMPOSITE,
    "r": UserTypeKind.RANGE,
    "m": UserTypeKind.MULTIRANGE,
}
_PARTS = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnum FROM pg_type t
  JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE t.oid = %(oid)s AND t.typtype = 'c'
UNION ALL SELECT '', format_type(t.typbasetype, t.typtypmod), 0 FROM pg_type t
 WHERE t.oid = %(oid)s AND t.typtype = 'd'
UNION ALL SELECT '', format_type(r.rngsubtype, NULL), 0 FROM pg_range r WHERE r.rngtypid = %(oid)s
"""
_MULTIRANGE_PARTS = """
UNION ALL SELECT '', format_type(r.rngtypid, NULL), 0 FROM pg_range r WHERE r.rngmultitypid = %(oid)s
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A type at the destination.

    Attributes:
        oid: Of the type.
        array_oid: Of its array type.
        name: Its name with its schema.
    """

    oid: int
    array_oid: int
    name: sql.Composable


@dataclass(slots=True)
class TypePlan:
    """The user types of a stream: those that are there, and the statements for the rest.

    Attributes:
        found: By bare name.
        statements: In the order in which they depend on each other.
        notes: What was found and changed.
    """

    target: Target
    found: dict[str, Found] = field(default_factory=dict)
    statements: list[sql.Composable] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def sql_of(self, pg_type: PgType) -> sql.Composable:
        """The type as it stands in a column definition.

        Raises:
            SchemaMismatch: Its name is none that a built-in type can have.
        """
        if pg_type.user is None:
            if not _BUILT_IN.fullmatch(pg_type.text):
                raise mismatch(self.target, f"the type {pg_type.text!r} is no built-in type")
            return sql.SQL(pg_type.text)
        known = self.found.get(pg_type.user.name)
        name = known.name if known else sql.Identifier(self.target.schema, pg_type.user.name)
        return sql.SQL("{}{}{}").format(name, sql.SQL(modifier(pg_type)), sql.SQL("[]" if pg_type.is_array else ""))

    def oid_of(self, pg_type: PgType) -> int | None:
        """The type's oid; None while it does not exist, and for built-in types, which are compared by name."""
        known = self.found.get(pg_type.user.name) if pg_type.user else None
        if known is None:
            return None
        return known.array_oid if pg_type.is_array else known.oid


def modifier(pg_type: PgType) -> str:
    """What follows a user type's name, such as ``(3)`` in ``vector(3)``."""
    if pg_type.user is None:
        return ""
    rest = pg_type.text.removesuffix("[]").removeprefix(pg_type.user.name)
    return rest if _MODIFIER.fullmatch(rest) else ""


def plan_types(target: Target, columns: Iterable[Column]) -> TypePlan:
    """Look every user type of the columns up, and plan the missing ones.

    Raises:
        SchemaMismatch: A type of that name differs, or an extension is not installed.
    """
    plan = TypePlan(target)
    for user_type in _in_order(column.pg_type for column in columns):
        if user_type.name not in plan.found:
            _plan_one(plan, user_type)
    return plan


def mismatch(target: Target, message: str) -> ConnectorError:
    """A SchemaMismatch of this stream."""
    return target.error(SchemaMismatch, f"table {target.schema}.{target.table}: {message}")


def _in_order(types: Iterable[PgType]) -> Iterator[UserType]:
    """Every user type once, after those it is made of."""
    seen: set[str] = set()
    for pg_type in types:
        yield from _parts(pg_type, seen)


def _parts(pg_type: PgType, seen: set[str]) -> Iterator[UserType]:
    user_type = pg_type.user
    if user_type is None or user_type.name in seen:
        return
    for _, part in user_type.attributes:
        yield from _parts(part, seen)
    if user_type.base is not None:
        yield from _parts(user_type.base, seen)
    seen.add(user_type.name)
    yield user_type


def _plan_one(plan: TypePlan, user_type: UserType) -> None:
    if user_type.kind is UserTypeKind.EXTENSION:
        plan.found[user_type.name] = _extension_type(plan.target, user_type)
        return
    row = plan.target.session.row(
        "SELECT t.oid::bigint, t.typarray::bigint, t.typtype FROM pg_type t"
        " JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = %s AND t.typname = %s",
        [plan.target.schema, user_type.name],
    )
    if row is None:
        plan.statements.extend(_creation(plan, user_type))
        return
    oid, array_oid, kind = row
    found = Found(oid, array_oid, sql.Identifier(plan.target.schema, user_type.name))
    if _KINDS.get(kind) is not user_type.kind:
        raise mismatch(
            plan.target,
            f"the schema has something else of the name of the {user_type.kind} type {user_type.name};"
            " rename it there, or set another `schema` on the destination",
        )
    plan.found[user_type.name] = found
    if user_type.kind is UserTypeKind.ENUM:
        _plan_labels(plan, user_type, found)
    else:
        _check_parts(plan, user_type, found)


def _extension_type(target: Target, user_type: UserType) -> Found:
    row = target.session.row(
        "SELECT t.oid::bigint, t.typarray::bigint, n.nspname FROM pg_extension e"
        " JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'"
        " AND d.classid = 'pg_type'::regclass"
        " JOIN pg_type t ON t.oid = d.objid JOIN pg_namespace n ON n.oid = t.typnamespace"
        " WHERE e.extname = %s AND t.typname = %s",
        [user_type.extension, user_type.name],
    )
    if row is None:
        extension = target.session.text(sql.Identifier(user_type.extension or user_type.name))
        raise mismatch(
            target,
            f"the type {user_type.name} comes from the extension {user_type.extension}, which the destination database"
            f" does not have; run CREATE EXTENSION {extension} there, as a user who may",
        )
    return Found(row[0], row[1], sql.Identifier(row[2], user_type.name))


def _creation(plan: TypePlan, user_type: UserType) -> Iterator[sql.Composable]:
    name = sql.Identifier(plan.target.schema, user_type.name)
    match user_type.kind:
        case UserTypeKind.ENUM:
            labels = sql.SQL(", ").join(sql.Literal(label) for label in user_type.labels)
            yield sql.SQL("CREATE TYPE {} AS ENUM ({})").format(name, labels)
        case UserTypeKind.COMPOSITE:
            attributes = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(attribute), plan.sql_of(part))
                for attribute, part in user_type.attributes
            )
            yield sql.SQL("CREATE TYPE {} AS ({})").format(name, attributes)
        case UserTypeKind.DOMAIN:
            yield sql.SQL("CREATE DOMAIN {} AS {}").format(name, plan.sql_of(_base(plan, user_type)))
        case UserTypeKind.RANGE:
            parts = sql.SQL("SUBTYPE = {}").format(plan.sql_of(_base(plan, user_type)))
            if user_type.multirange and plan.target.session.major_version >= _MULTIRANGES_SINCE:
                multirange = sql.Identifier(plan.target.schema, user_type.multirange)
                parts += sql.SQL(", MULTIRANGE_TYPE_NAME = {}").format(multirange)
            yield sql.SQL("CREATE TYPE {} AS RANGE ({})").format(name, parts)
        case UserTypeKind.MULTIRANGE if _base(plan, user_type).text in plan.found:
            raise mismatch(
                plan.target,
                f"the range type {_base(plan, user_type).text} is there without the multirange type {user_type.name};"
                " rename it there, or set another `schema` on the destination",
            )


def _base(plan: TypePlan, user_type: UserType) -> PgType:
    if user_type.base is None:
        raise mismatch(plan.target, f"the {user_type.kind} type {user_type.name} names no type that it is based on")
    return user_type.base


def _plan_labels(plan: TypePlan, user_type: UserType, found: Found) -> None:
    """Add the enum's new labels where they stand at the source; labels that are gone there stay here."""
    rows = plan.target.session.rows(
        "SELECT enumlabel FROM pg_enum WHERE enumtypid = %s ORDER BY enumsortorder", [found.oid]
    )
    present = {row[0] for row in rows}
    previous: str | None = None
    for place, label in enumerate(user_type.labels):
        if label not in present:
            statement = sql.SQL("ALTER TYPE {} ADD VALUE {}").format(found.name, sql.Literal(label))
            following = next((later for later in user_type.labels[place + 1 :] if later in present), None)
            if previous is not None:
                statement += sql.SQL(" AFTER {}").format(sql.Literal(previous))
            elif following is not None:
                statement += sql.SQL(" BEFORE {}").format(sql.Literal(following))
            plan.statements.append(statement)
            plan.notes.append(f"the enum type {user_type.name} got a new label")
        previous = label


def _check_parts(plan: TypePlan, user_type: UserType, found: Found) -> None:
    """Compare what a domain, composite or range is made of with what the source's is made of."""
    expected = [(name, _text(plan, part)) for name, part in user_type.attributes]
    if user_type.base is not None:
        expected.append(("", _text(plan, user_type.base)))
    query = _PARTS
    if plan.target.session.major_version >= _MULTIRANGES_SINCE:
        query += _MULTIRANGE_PARTS
    actual = plan.target.session.rows(query + " ORDER BY 3", {"oid": found.oid})
    if [(name, text) for name, text, _ in actual] != expected:
        raise mismatch(
            plan.target,
            f"the {user_type.kind} type {user_type.name} is made of other types than at the source; change it with"
            " ALTER TYPE or ALTER DOMAIN, or set another `schema` on the destination",
        )


def _text(plan: TypePlan, pg_type: PgType) -> str:
    """format_type() of the type as this session sees it."""
    oid = plan.oid_of(pg_type)
    if pg_type.user is None or oid is None:
        return pg_type.text
    base: str = plan.target.session.value("SELECT format_type(%s::bigint::oid, NULL)", [oid])
    return base.removesuffix("[]") + modifier(pg_type) + ("[]" if base.endswith("[]") else "")
