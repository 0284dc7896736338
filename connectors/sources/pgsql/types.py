"""Column types of a PostgreSQL source: what they are, and as what they arrive."""

from __future__ import annotations

from dataclasses import dataclass

from psycopg2 import sql

from connectors.postgres.session import Session
from connectors.types import PgType, UserType, UserTypeKind

# Types with a hand-assigned oid are the same in every server of one version; later ones are made by initdb or users.
# Source: src/include/access/transam.h, FirstGenbkiObjectId
_FIRST_UNSTABLE_OID = 10000
_MULTIRANGES_SINCE = 14

_TYPE_QUERY = """
SELECT t.oid, t.typname, t.typtype::text, t.typelem, t.typbasetype, t.typtypmod, t.typrelid, t.typcategory::text,
       t.typsend <> 0::regproc AND t.typreceive <> 0::regproc, format_type(t.oid, %(typmod)s),
       (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
         WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
           AND d.refclassid = 'pg_extension'::regclass),
       (SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid)
FROM pg_type t WHERE t.oid = %(oid)s
"""

# These name objects of their own database, or have no input, so that their value means nothing elsewhere but as text.
_TEXT_ELSEWHERE = frozenset(
    {
        "aclitem",
        "gtsvector",
        "pg_brin_bloom_summary",
        "pg_brin_minmax_multi_summary",
        "pg_dependencies",
        "pg_mcv_list",
        "pg_ndistinct",
        "pg_node_tree",
        "regclass",
        "regcollation",
        "regconfig",
        "regdatabase",
        "regdictionary",
        "regnamespace",
        "regoper",
        "regoperator",
        "regproc",
        "regprocedure",
        "regrole",
        "regtype",
    }
)
# The server does not take back the binary form that it gives of empty ones.
# Source: src/backend/utils/adt: tsqueryrecv in tsquery.c, int2vectorrecv in int.c, oidvectorrecv in oid.c
_NO_BINARY = frozenset({"tsquery", "int2vector", "oidvector"})


@dataclass(frozen=True, slots=True)
class SourceType:
    """A type as the source's catalog has it.

    Attributes:
        pg: What a destination needs to keep it.
        name: Its bare name, such as ``timestamptz``; an array's is that of its element with ``_`` before it.
        local: The type as a cast on the source's own sessions names it, with its schema where that is needed.
        is_array: True for arrays of anything.
        has_binary: True when its binary form means the same on every server of the version.
    """

    pg: PgType
    name: str
    local: str
    is_array: bool
    has_binary: bool

    @property
    def element(self) -> str:
        """The bare name without the array's underscore."""
        return self.name[1:] if self.is_array else self.name


class TypeCatalog:
    """Looks types up once each."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._known: dict[tuple[int, int], SourceType] = {}

    def type_of(self, oid: int, typmod: int = -1) -> SourceType:
        """The type with its modifier, user types resolved down to built-in ones."""
        key = (oid, typmod)
        if key not in self._known:
            self._known[key] = self._load(oid, typmod)
        return self._known[key]

    def _load(self, oid: int, typmod: int) -> SourceType:
        row = self._session.row(_TYPE_QUERY, {"oid": oid, "typmod": typmod})
        if row is None:
            msg = f"type {oid} is not in pg_type"
            raise LookupError(msg)
        name, typtype, element, base, base_typmod, relation, category, has_io, text, extension, subtype = row[1:]
        if category == "A" and element:
            inner = self.type_of(element, typmod)
            return SourceType(
                _array_of(inner.pg, text),
                name if name.startswith("_") else f"_{name}",
                text,
                True,
                inner.has_binary and has_io and name not in _NO_BINARY,
            )
        if extension:
            user = UserType(name, UserTypeKind.EXTENSION, extension=extension)
            return SourceType(PgType(_modified(name, text), user), name, text, False, False)
        if oid < _FIRST_UNSTABLE_OID:
            return SourceType(PgType(text), name, text, False, bool(has_io) and name not in _NO_BINARY)
        return SourceType(
            PgType(name, self._user_type(name, typtype, base, base_typmod, relation, subtype, oid)),
            name,
            text,
            False,
            False,
        )

    def _user_type(
        self,
        name: str,
        typtype: str,
        base: int,
        base_typmod: int,
        relation: int,
        subtype: int | None,
        oid: int,
    ) -> UserType:
        if typtype == "e":
            labels = self._session.rows(
                "SELECT enumlabel FROM pg_enum WHERE enumtypid = %s ORDER BY enumsortorder", [oid]
            )
            return UserType(name, UserTypeKind.ENUM, labels=tuple(str(label) for (label,) in labels))
        if typtype == "d":
            return UserType(name, UserTypeKind.DOMAIN, base=self.type_of(base, base_typmod).pg)
        if typtype == "r" and subtype:
            return UserType(name, UserTypeKind.RANGE, base=self.type_of(subtype).pg, multirange=self._multirange(oid))
        if typtype == "m":
            ranged = self._session.value("SELECT rngtypid FROM pg_range WHERE rngmultitypid = %s", [oid])
            return UserType(name, UserTypeKind.MULTIRANGE, base=self.type_of(ranged).pg)
        if typtype == "c":
            attributes = self._session.rows(
                "SELECT attname, atttypid, atttypmod FROM pg_attribute"
                " WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
                [relation],
            )
            return UserType(
                name,
                UserTypeKind.COMPOSITE,
                attributes=tuple((attname, self.type_of(typ, mod).pg) for attname, typ, mod in attributes),
            )
        side = self._session.side
        raise side.error(
            side.refused,
            f"type {name} is of a kind that cannot be created at a destination; leave the column out with a view,"
            " or cast it to text there",
        )

    def _multirange(self, range_oid: int) -> str | None:
        if self._session.major_version < _MULTIRANGES_SINCE:
            return None
        name: str = self._session.value(
            "SELECT t.typname FROM pg_range r JOIN pg_type t ON t.oid = r.rngmultitypid WHERE r.rngtypid = %s",
            [range_oid],
        )
        return name


def _array_of(inner: PgType, text: str) -> PgType:
    return PgType(inner.text, inner.user, is_array=True) if inner.user else PgType(text)


def _modified(name: str, text: str) -> str:
    """An extension type's name with its modifier: ``geometry(Point,4326)`` without the schema."""
    modifier = text[text.index("(") :] if "(" in text else ""
    return f"{name}{modifier}"


def spelled(pg_type: PgType) -> str:
    """The type with the types that it is made of; without an enum's labels, to which others may be added."""
    if pg_type.user is None:
        return pg_type.text
    parts = [f"{name} {spelled(inner)}" for name, inner in pg_type.user.attributes]
    if pg_type.user.base is not None:
        parts.append(spelled(pg_type.user.base))
    return f"{pg_type.text}({', '.join(parts)})" if parts else pg_type.text


def arriving(source_type: SourceType, *, strict: bool) -> PgType:
    """The type at the destination: json and timestamptz become text and UTC wall time unless the spec is strict."""
    if source_type.element in _TEXT_ELSEWHERE:
        return PgType("text[]" if source_type.is_array else "text")
    if strict:
        return source_type.pg
    if source_type.element in {"json", "jsonb"}:
        return PgType("text[]" if source_type.is_array else "text")
    if source_type.element == "timestamptz":
        return PgType(source_type.pg.text.replace("with time zone", "without time zone"))
    return source_type.pg


def arriving_expression(expression: sql.Composable, source_type: SourceType, *, strict: bool) -> sql.Composable:
    """The expression whose value is the column as it arrives. Sessions run in UTC, so casts of instants do too."""
    target = arriving(source_type, strict=strict)
    if target == source_type.pg:
        return expression
    return sql.SQL("{}::{}").format(expression, sql.SQL(target.text))
