"""Names of columns can be undone, and no two ids have one text."""

from __future__ import annotations

import math
import struct
from typing import Any

import bson
import pytest
from bson import Binary, Decimal128, Int64, MaxKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import assume, given
from hypothesis import strategies as st

from connectors.sources.mongo import elements as el
from connectors.sources.mongo.ids import BRACKETS, bracket_of, id_value
from connectors.sources.mongo.names import NameMap, read_back, spelled
from connectors.sources.mongo.texts import id_text
from tests.sources.mongo.bson_bytes import SCALARS, TEXT

#: Also of bytes that are no text, which a server keeps as they are.
ANY_NAME = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
    st.binary(max_size=12).map(lambda name: name.replace(b"\0", b"").decode(errors="surrogateescape")),
)
IDS = st.one_of(
    SCALARS,
    TEXT,
    st.sampled_from(["5", "-5", "true", "null", "0" * 24, '"5"', "{}", '{"$oid":"' + "0" * 24 + '"}']),
    st.integers(-9, 9),
    st.dictionaries(TEXT.filter(lambda name: "\0" not in name and "$" not in name), SCALARS, max_size=2),
)


def text_of(value: Any, *, are_strings: bool = False) -> str:
    data = bson.encode({"_id": value})
    (each,) = el.elements(data, 0, len(data))
    return id_text(data, each.type, each.start, each.end, ids_are_strings=are_strings)


def bytes_of(value: Any) -> bytes:
    """The value, a number of any width as int64."""
    return bson.encode({"_id": Int64(value) if type(value) in {int, Int64} else value})


@given(ANY_NAME)
def test_spelled_names_can_be_read_back(name: str) -> None:
    assert read_back(spelled(name)) == name


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("createdAt", "createdAt"),
        ("first-name", "first-name"),
        ("$set", "_x24_set"),
        ("a.b c", "a_x2e_b_x20_c"),
        ("_x24_", "_x5f_x24_"),
        ("", "_x_"),
    ],
)
def test_spelling(name: str, column: str) -> None:
    assert spelled(name) == column


@given(st.lists(ANY_NAME, unique=True, max_size=8))
def test_no_two_fields_share_a_column_in_any_case(names: list[str]) -> None:
    columns = NameMap({})
    found = [columns.column_of(name) for name in names]
    assert len({column.lower() for column in found}) == len(found)
    assert all(0 < len(column.encode()) <= 63 for column in found)


def test_names_that_differ_only_in_case() -> None:
    columns = NameMap({"Title": "heading"}, taken=["migration_snapshot_date"])
    given_names = ["name", "Name", "NAME", "Title", "title", "xmin", "migration_snapshot_date"]
    assert [columns.column_of(name) for name in given_names] == [
        "name",
        "_x4e_ame",
        "_x4e__x41__x4d__x45_",
        "heading",
        "title",
        "_x78_min",
        "_x6d_igration_snapshot_date",
    ]
    assert "Title" not in columns.changed()


def test_nan_is_read_back_as_nan() -> None:
    odd = struct.unpack("<d", b"\x01\0\0\0\0\0\xf8\x7f")[0]
    for value in (math.nan, odd):
        again = id_value(text_of(value, are_strings=False), ids_are_strings=False)
        assert bytes_of(again) == bytes_of(math.nan)


@given(IDS, st.booleans())
def test_ids_can_be_read_back(value: Any, are_strings: bool) -> None:
    # Of NaN there are many, which are one value to a server and have one text.
    assume("nan" not in repr(value).lower() and "$" not in repr(value))
    assume(not isinstance(value, bson.Code | bson.Regex))
    again = id_value(text_of(value, are_strings=are_strings), ids_are_strings=are_strings)
    assert bytes_of(again) == bytes_of(value)


@given(st.lists(IDS, min_size=2, max_size=2), st.booleans())
def test_different_ids_have_different_texts(values: list[Any], are_strings: bool) -> None:
    one, other = values
    # There is one NaN among ids, whatever its bits.
    assume(bytes_of(one) != bytes_of(other) and "NaN" not in repr(values))
    assert text_of(one, are_strings=are_strings) != text_of(other, are_strings=are_strings)


@pytest.mark.parametrize(
    ("value", "text", "text_where_ids_are_strings"),
    [
        (ObjectId("a" * 24), "a" * 24, '{"$oid":"' + "a" * 24 + '"}'),
        ("a" * 24, '"' + "a" * 24 + '"', "a" * 24),
        (7, "7", '{"$numberInt":"7"}'),
        ("7", '"7"', "7"),
        ("user-7", "user-7", "user-7"),
        ("{", '"{"', '"{"'),
        ("true", '"true"', '"true"'),
        (True, "true", "true"),
        ("nul\0", '"nul\\u0000"', '"nul\\u0000"'),
    ],
)
def test_texts_of_ids(value: Any, text: str, text_where_ids_are_strings: str) -> None:
    assert text_of(value) == text
    assert text_of(value, are_strings=True) == text_where_ids_are_strings


@pytest.mark.parametrize(
    ("value", "bracket"),
    [
        (5, "number"),
        (Int64(5), "number"),
        (5.5, "number"),
        (Decimal128("5"), "number"),
        ("5", "string"),
        ({"a": 1}, "object"),
        (Binary(b"a"), "binary"),
        (b"a", "binary"),
        (ObjectId(), "objectId"),
        (True, "bool"),
        (DatetimeMS(0), "date"),
        (Timestamp(1, 1), "timestamp"),
        (MaxKey(), "rest"),
        (None, "rest"),
        (float("nan"), "rest"),
    ],
)
def test_every_id_has_its_bracket(value: Any, bracket: str) -> None:
    assert bracket_of(id_value(text_of(value))).name == bracket
    assert bracket in {each.name for each in BRACKETS}
