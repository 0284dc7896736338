"""Values of every built-in type, chosen for what drivers, casts and copies are known to change."""

from __future__ import annotations

#: Values by type, as text that the type's input function takes.
SCALARS: dict[str, tuple[str, ...]] = {
    "boolean": ("true", "false"),
    "smallint": ("-32768", "32767", "0"),
    "integer": ("-2147483648", "2147483647", "0"),
    "bigint": ("-9223372036854775808", "9223372036854775807", "9007199254740993"),
    "oid": ("0", "4294967295"),
    "xid": ("0", "4294967295"),
    "cid": ("0", "4294967295"),
    "xid8": ("0", "18446744073709551615"),
    "tid": ("(0,1)", "(4294967295,65535)"),
    "real": ("NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1"),
    "double precision": ("NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1"),
    "numeric": ("NaN", "Infinity", "-Infinity", "1.0", "1.00", "0", "0.000", "1e-1000", "9" * 60 + "." + "9" * 60),
    "numeric(38,0)": ("9" * 38, "-" + "9" * 38, "NaN"),
    "numeric(12,2)": ("1.00", "-9999999999.99", "0"),
    "numeric(3,-2)": ("12300", "-99900"),
    "numeric(3,5)": ("0.00999", "-0.00001"),
    "numeric(1000,500)": ("9" * 500 + "." + "9" * 500,),
    "money": ("-92233720368547758.08", "92233720368547758.07", "0"),
    "text": (
        "",
        "\\N",
        "NULL",
        "null",
        "quote ' and \" and \\ and \\t",
        "tab\tline\nreturn\r end",
        "\\.",
        "\u00e9\U0001f600\u202e",
    ),
    "character varying": ("", "  spaces  ", "\\N"),
    "character varying(5)": ("abcde", "     ", "\U0001f600\U0001f600"),
    "character(5)": ("ab", "", "abcde", "a b"),
    '"char"': ("a", "", "\\377"),
    "name": ("Mixed Case", "n" * 63, ""),
    "bytea": ("\\x", "\\x" + bytes(range(256)).hex(), "\\x5c4e0a"),
    "uuid": ("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    "date": ("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "2024-02-29", "0001-01-01"),
    "time without time zone": ("24:00", "00:00", "23:59:59.999999"),
    "time(0) without time zone": ("24:00", "12:34:56"),
    "time with time zone": ("24:00+15:59", "00:00-15:59", "12:34:56.789012+05:30"),
    "timestamp without time zone": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00 BC",
        "294276-12-31 23:59:59.999999",
        "0001-01-01",
    ),
    "timestamp(0) without time zone": ("2024-12-31 23:59:59", "infinity"),
    "timestamp with time zone": (
        "infinity",
        "-infinity",
        "4713-01-01 00:00:00+00 BC",
        "294276-12-31 23:59:59.999999+00",
        "2024-03-31 01:30:00+02",
    ),
    "timestamp(3) with time zone": ("2024-12-31 23:59:59.123+00",),
    "interval": (
        "30 days",
        "1 mon",
        "1 year 2 mons -3 days +04:05:06.789012",
        "-178000000 years",
        "178000000 years",
        "infinity",
        "-infinity",
        "-00:00:00.000001",
    ),
    "interval day to second(3)": ("1 day 00:00:00.123",),
    "bit(3)": ("101", "000"),
    "bit varying": ("", "1", "0" * 65),
    "bit varying(5)": ("10101", ""),
    "json": ('{"a": 1, "a": 2}', "1.10", '  {"b" :1}', "12345678901234567890.123456789", '"\\u0000"', "null"),
    "jsonb": ('{"a": 1, "a": 2}', "1.10", "12345678901234567890.123456789", '"\u00e9\\n"', "null", "[]"),
    "jsonpath": ("$.a[*] ? (@ > 1)",),
    "inet": ("::/0", "192.168.0.1/24", "192.168.0.1", "fe80::1/64"),
    "cidr": ("10.0.0.0/8", "::/0", "192.168.0.1/32"),
    "macaddr": ("ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"),
    "macaddr8": ("ff:ff:ff:ff:ff:ff:ff:ff", "08:00:2b:01:02:03:04:05"),
    "point": ("(1,2)", "(NaN,Infinity)", "(-0,0)", "(0,0)"),
    "line": ("{1,-1,0.1}",),
    "lseg": ("[(1,2),(3,4)]", "[(0,0),(0,0)]"),
    "box": ("(3,4),(1,2)",),
    "path": ("((1,2),(3,4))", "[(1,2),(3,4)]"),
    "polygon": ("((1,2),(3,4),(5,6))",),
    "circle": ("<(1,2),3>", "<(0,0),0>"),
    "tsvector": ("'a':1A,2B 'it''s':3", "", "'\\\\':1"),
    "tsquery": ("'a' & !'b':*A | 'c' <2> 'd'", ""),
    "pg_lsn": ("0/0", "FFFFFFFF/FFFFFFFF"),
    "txid_snapshot": ("10:20:10,14,15",),
    "pg_snapshot": ("10:20:10,14,15",),
    "refcursor": ("a cursor",),
    "int2vector": ("1 2 3", ""),
    "oidvector": ("1 4294967295", ""),
    "int4range": ("empty", "[1,3)", "(,)", "[1,)"),
    "int8range": ("empty", "[-9223372036854775808,9223372036854775807)"),
    "numrange": ("[1.0,1.00]", "(,1.50)", "empty"),
    "tsrange": ("[2024-01-01,2024-01-02]", "[-infinity,infinity]"),
    "tstzrange": ('["2024-01-01 00:00+05:30","2024-01-02")', "(,infinity)"),
    "daterange": ("[2024-01-01,2024-01-31]", "[4713-01-01 BC,infinity)"),
    "int4multirange": ("{}", "{[1,3),[5,)}"),
    "int8multirange": ("{[1,3),[5,7)}",),
    "nummultirange": ("{[1.0,1.00],(3,)}",),
    "tsmultirange": ("{[2024-01-01,2024-01-02]}",),
    "tstzmultirange": ('{["2024-01-01 00:00+00","2024-01-02 00:00+00")}',),
    "datemultirange": ("{[2024-01-01,2024-01-31],[2025-01-01,)}",),
}

#: Needs a server that was built with libxml.
XML = ('<?xml version="1.0"?><a>&lt;\u00e9</a>', "<a/><b/>", "text only", "")

#: Types whose values name objects of their database, so that they arrive as text.
OBJECT_NAMES: dict[str, tuple[str, ...]] = {
    "regclass": ("pg_class", "-"),
    "regtype": ("integer", "character varying"),
    "regproc": ("now",),
    "regprocedure": ("now()",),
    "regoper": ("^@",),
    "regoperator": ("+(integer,integer)",),
    "regrole": ("postgres",),
    "regnamespace": ("public",),
    "regconfig": ("english",),
    "regdictionary": ("simple",),
    "regcollation": ('"C"',),
    "aclitem": ("postgres=r/postgres",),
}

#: Types without an equality that a primary key could use.
NO_KEYS = frozenset(
    {
        "json",
        "point",
        "line",
        "lseg",
        "box",
        "path",
        "polygon",
        "circle",
        "xid",
        "cid",
        "txid_snapshot",
        "pg_snapshot",
        "refcursor",
        "int2vector",
        "jsonpath",
    }
)

#: Every combination of array shapes, from one or two elements.
ARRAY_SHAPES = (
    "'{{}}'::{type}[]",
    "ARRAY[{first}, NULL, {last}]::{type}[]",
    "ARRAY[[{first}, {last}], [NULL, {first}]]::{type}[]",
    "array_fill({first}, ARRAY[2, 1], ARRAY[-3, 5])",
)


def column_name(type_text: str) -> str:
    """A column name for a type."""
    return "c " + type_text.replace('"', "'")


def literal(type_text: str, value: str) -> str:
    """A typed constant."""
    escaped = value.replace("'", "''")
    return f"('{escaped}'::{type_text})"


def array_literals(type_text: str, values: tuple[str, ...]) -> list[str]:
    """Arrays of every shape."""
    first, last = literal(type_text, values[0]), literal(type_text, values[-1])
    return [shape.format(type=type_text, first=first, last=last) for shape in ARRAY_SHAPES]
