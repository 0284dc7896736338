"""Documents as bytes: every BSON type, those that no driver sends any more included, and strategies of documents."""

from __future__ import annotations

import struct
from typing import Any

import bson
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import strategies as st

#: Values whose canonical form is known, by a name for the test.
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=12)
INT64 = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**31), 2**31 - 1),
    INT64.map(Int64),
    st.floats(),
    TEXT,
    st.sampled_from(
        ["12", " 7 ", "1e3", "abc", "true", "NaN", "2024-01-31", "2024-01-31T10:00:00+05:30", "\0", '"', "{}"]
    ),
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.integers(-(10**14), 3 * 10**14).map(DatetimeMS),
    INT64.map(DatetimeMS),
    st.binary(max_size=9).map(Binary),
    st.tuples(st.binary(max_size=20), st.sampled_from([0, 2, 3, 4, 5, 128])).map(lambda both: Binary(*both)),
    st.binary(min_size=16, max_size=16).map(lambda value: Binary(value, 4)),
    st.decimals(allow_nan=True, places=3, min_value=-(10**9), max_value=10**9).map(Decimal128),
    st.sampled_from([Decimal128("1E+6000"), Decimal128("-0"), Decimal128("1.10"), Decimal128("sNaN")]),
    st.builds(Timestamp, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
    st.sampled_from([MinKey(), MaxKey(), Regex('^a.*"', "im"), Code("f()"), Code("g()", {"a": 1})]),
)
NAMES = st.one_of(
    st.sampled_from(["a", "b", "long_name_of_a_field", "ü", "$x", "d.e"]),
    st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=10),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
#: The fields of these documents agree often enough to be read together, and differ often enough.
FIELDS = ("_id", "a", "b", "c", "long_name_of_a_field")


@st.composite
def documents(draw: st.DrawFn) -> list[bytes]:
    """Some documents of one collection."""
    likely = {name: draw(st.sampled_from([SCALARS, TEXT, st.integers(-5, 5), VALUES])) for name in FIELDS}
    found = []
    for _ in range(draw(st.integers(0, 12))):
        names = draw(st.permutations(FIELDS)) if draw(st.booleans()) else list(FIELDS)
        names = [name for name in names if name == "_id" or draw(st.integers(0, 3))]
        fields = {name: draw(likely[name] if draw(st.integers(0, 3)) else VALUES) for name in names}
        found.append(bson.encode(fields | draw(st.dictionaries(NAMES, SCALARS, max_size=1))))
    return found


def raw(*fields: tuple[int, str, bytes]) -> bytes:
    """A document of elements as type, name and the bytes of the value."""
    body = b"".join(bytes([kind]) + name.encode() + b"\0" + value for kind, name, value in fields)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def raw_string(text: bytes) -> bytes:
    """The bytes of a string value."""
    return struct.pack("<i", len(text) + 1) + text + b"\0"


def encoded(**fields: Any) -> bytes:
    """A document with an `_id`."""
    return bson.encode({"_id": 1, **fields})
