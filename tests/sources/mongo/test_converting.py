"""Both ways from BSON bytes to columns come to the same, and to what the documentation says."""

from __future__ import annotations

import json
import random
import struct
from datetime import datetime
from pathlib import Path
from typing import Any

import bson
import pyarrow as pa
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp, json_util
from bson.datetime_ms import DatetimeMS
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connectors.mapping import FieldType
from connectors.sources.mongo import elements as el
from connectors.sources.mongo.casts import Casts
from connectors.sources.mongo.converting import Wanted, convert, convert_slowly, scan
from connectors.sources.mongo.texts import json_text
from tests.sources.mongo.bson_bytes import FIELDS, VALUES, documents, encoded, raw, raw_string

#: As mongoexport --jsonFormat=canonical.
CANONICAL = json_util.JSONOptions(json_mode=json_util.JSONMode.CANONICAL)
TYPES = st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(FieldType))


def both_ways(data: bytes, wanted: Wanted) -> tuple[list[pa.Array], Casts]:
    """The columns, which both ways agree on."""
    scanned = scan(data)
    quick, cost = convert(scanned, wanted)
    slow, slow_cost = convert_slowly(scanned, wanted)
    for name, one, other in zip(wanted.names, quick, slow, strict=True):
        one.validate(full=True)
        assert one.type == other.type
        assert [repr(value) for value in one.to_pylist()] == [repr(value) for value in other.to_pylist()], name
    assert (cost.failed, cost.inexact) == (slow_cost.failed, slow_cost.inexact)
    return quick, cost


def column(*values: Any, type_: FieldType = FieldType.STR) -> tuple[list[Any], Casts]:
    """What becomes of the values, each in a document of its own."""
    data = b"".join(encoded(v=value) for value in values)
    arrays, cost = both_ways(data, Wanted(("_id", "v"), {"v": type_}))
    return arrays[1].to_pylist(), cost


def text(value: Any) -> str | None:
    found, _ = column(value)
    return None if found[0] is None else str(found[0])


@pytest.mark.slow
@pytest.mark.timeout(300)
@settings(deadline=None)
@given(documents(), TYPES, st.booleans())
def test_both_ways_agree_on_all_documents(raws: list[bytes], types: dict[str, FieldType], is_key: bool) -> None:
    names = (*FIELDS, "never there")
    # Repeated, so that there are enough of one shape to be taken together.
    both_ways(b"".join(raws * 30), Wanted(names, types, ids_are_text=is_key))


@given(VALUES)
@example({"a": [{"b": {"$c": 1}}, [], {}, None]})
@example({"x": 1.0, "y": -0.0, "z": 1e300})
def test_nested_values_are_extended_json(value: Any) -> None:
    """Read back by MongoDB's own reader it is the same document, bit by bit."""
    data = bson.encode({"v": value})
    (each,) = el.elements(data, 0, len(data))
    written = json_text(data, each.type, each.start, each.end)
    options = json_util.JSONOptions(
        json_mode=json_util.JSONMode.CANONICAL, datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_MS
    )
    if "$" not in str(value) and "NaN" not in written:
        again = bson.encode({"v": json_util.loads(written, json_options=options)})
        assert again == data


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain \u00fc\U0001f600", "plain \u00fc\U0001f600"),
        ("", ""),
        ("holds\0it", '"holds\\u0000it"'),
        (5, "5"),
        (Int64(2**63 - 1), "9223372036854775807"),
        (Int64(-(2**63)), "-9223372036854775808"),
        (1.5, "1.5"),
        (1e22, "1e+22"),
        (-0.0, "-0.0"),
        (float("nan"), "NaN"),
        (float("inf"), "Infinity"),
        (float("-inf"), "-Infinity"),
        (True, "true"),
        (None, None),
        (ObjectId("0" * 23 + "a"), "0" * 23 + "a"),
        (datetime(2024, 1, 31, 10, 0), "2024-01-31T10:00:00Z"),
        (datetime(1960, 2, 29, 23, 59, 59, 999000), "1960-02-29T23:59:59.999Z"),
        (DatetimeMS(253402300800000), '{"$date":{"$numberLong":"253402300800000"}}'),
        (DatetimeMS(-(2**63)), '{"$date":{"$numberLong":"-9223372036854775808"}}'),
        (Decimal128("1.10"), "1.10"),
        (Decimal128("NaN"), "NaN"),
        (Decimal128("9.999999999999999999999999999999999E+6144"), "9.999999999999999999999999999999999E+6144"),
        (Binary(bytes(range(16)), 4), "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (Binary(b"\x00\xff"), '{"$binary":{"base64":"AP8=","subType":"00"}}'),
        (Binary(b"ab", 2), '{"$binary":{"base64":"YWI=","subType":"02"}}'),
        (Regex('^a"', "i"), '{"$regularExpression":{"pattern":"^a\\"","options":"i"}}'),
        (Timestamp(5, 7), '{"$timestamp":{"t":5,"i":7}}'),
        (Code("f()"), '{"$code":"f()"}'),
        (Code("f()", {"a": 1}), '{"$code":"f()","$scope":{"a":{"$numberInt":"1"}}}'),
        (MinKey(), '{"$minKey":1}'),
        (MaxKey(), '{"$maxKey":1}'),
        ({"b": 1, "a": [True, None]}, '{"b":{"$numberInt":"1"},"a":[true,null]}'),
        (
            {"at": datetime(2024, 1, 1), "id": ObjectId("1" * 24)},
            '{"at":{"$date":"2024-01-01T00:00:00Z"},"id":{"$oid":"111111111111111111111111"}}',
        ),
        ({"u": Binary(bytes(16), 4)}, '{"u":{"$uuid":"00000000-0000-0000-0000-000000000000"}}'),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_every_type_has_its_text(value: Any, expected: str | None) -> None:
    assert text(value) == expected


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (el.UNDEFINED, b"", None),
        (el.SYMBOL, raw_string(b"sym"), "sym"),
        (el.DB_POINTER, raw_string(b"c") + bytes(12), '{"$dbPointer":{"$ref":"c","$id":{"$oid":"' + "0" * 24 + '"}}}'),
        (el.STRING, raw_string(b"no \xff utf-8"), "no \ufffd utf-8"),
    ],
)
def test_types_that_no_driver_sends(kind: int, value: bytes, expected: str | None) -> None:
    data = raw((el.INT32, "_id", bytes(4)), (kind, "v", value))
    arrays, _ = both_ways(data * 30, Wanted(("_id", "v")))
    assert arrays[1].to_pylist() == [expected] * 30


def test_twenty_levels_deep() -> None:
    value: Any = {"leaf": Int64(2**60)}
    for level in range(20):
        value = {"level": value} if level % 2 else [value]
    found = text(value)
    assert found is not None
    assert json_util.loads(found) == value


def test_document_of_fifteen_megabytes() -> None:
    value = "x" * (15 * 1024 * 1024)
    assert text(value) == value


def test_order_of_keys_is_kept() -> None:
    assert text({"z": 1, "a": 1, "m": 1}) == '{"z":{"$numberInt":"1"},"a":{"$numberInt":"1"},"m":{"$numberInt":"1"}}'


def test_of_two_fields_with_one_name_the_first_counts() -> None:
    data = raw((el.INT32, "_id", bytes(4)), (el.STRING, "v", raw_string(b"1st")), (el.STRING, "v", raw_string(b"2nd")))
    arrays, _ = both_ways(data, Wanted(("_id", "v")))
    assert arrays[1].to_pylist() == ["1st"]


@pytest.mark.parametrize(
    ("type_", "value", "expected", "is_failure", "is_inexact"),
    [
        (FieldType.INT, 5, 5, False, False),
        (FieldType.INT, Int64(2**63 - 1), 2**63 - 1, False, False),
        (FieldType.INT, 5.0, 5, False, False),
        (FieldType.INT, 5.9, 5, False, True),
        (FieldType.INT, -5.9, -5, False, True),
        (FieldType.INT, " 12 ", 12, False, False),
        (FieldType.INT, "12.0", 12, False, False),
        (FieldType.INT, "many", 0, True, False),
        (FieldType.INT, "9223372036854775808", 0, True, False),
        (FieldType.INT, float("nan"), 0, True, False),
        (FieldType.INT, Decimal128("7"), 7, False, False),
        (FieldType.INT, True, 1, False, False),
        (FieldType.INT, {"a": 1}, 0, True, False),
        (FieldType.INT, None, None, False, False),
        (FieldType.FLOAT, 1, 1.0, False, False),
        (FieldType.FLOAT, Int64(2**53 + 1), float(2**53), False, True),
        (FieldType.FLOAT, "1.25", 1.25, False, False),
        (FieldType.FLOAT, Decimal128("0.1"), 0.1, False, False),
        (FieldType.FLOAT, Decimal128("0.12345678901234567890"), 0.12345678901234568, False, True),
        (FieldType.FLOAT, Decimal128("Infinity"), float("inf"), False, False),
        (FieldType.FLOAT, "none", None, True, False),
        (FieldType.FLOAT, Decimal128("1.7976931348623157E+308"), 1.7976931348623157e308, False, False),
        (FieldType.FLOAT, Decimal128("1E+309"), None, True, False),
        (FieldType.FLOAT, "-2e308", None, True, False),
        (FieldType.FLOAT, "1e-400", 0.0, False, True),
        (FieldType.DATETIME, datetime(1960, 1, 1), datetime(1960, 1, 1), False, False),
        (FieldType.DATETIME, DatetimeMS(253402300800000), None, True, False),
        (FieldType.DATETIME, DatetimeMS(-62135596800001), None, True, False),
        (FieldType.DATETIME, "2024-01-31T10:00:00+05:30", datetime(2024, 1, 31, 4, 30), False, False),
        (FieldType.DATETIME, "31 Jan 2024 10:00", datetime(2024, 1, 31, 10), False, False),
        (FieldType.DATETIME, Int64(1706695200000), datetime(2024, 1, 31, 10), False, False),
        (FieldType.DATETIME, ObjectId("65ba0000" + "0" * 16), datetime(2024, 1, 31, 8, 8, 0), False, False),
        (FieldType.DATETIME, Timestamp(1706695200, 1), datetime(2024, 1, 31, 10), False, False),
        (FieldType.DATETIME, "soon", None, True, False),
        (FieldType.BOOL, True, True, False, False),
        (FieldType.BOOL, 1, True, False, False),
        (FieldType.BOOL, "No", False, False, False),
        (FieldType.BOOL, 2, None, True, False),
        (FieldType.BOOL, "maybe", None, True, False),
        (FieldType.COMPLEX, "text", '"text"', False, False),
        (FieldType.COMPLEX, {"a": 1}, '{"a":{"$numberInt":"1"}}', False, False),
    ],
)
def test_casts_and_their_documented_defaults(
    type_: FieldType, value: Any, expected: Any, is_failure: bool, is_inexact: bool
) -> None:
    found, cost = column(value, type_=type_)
    if type_ is FieldType.DATETIME and isinstance(value, ObjectId):
        expected = value.generation_time.replace(tzinfo=None)
    assert found == [expected]
    assert (cost.failed["v"], cost.inexact["v"]) == (int(is_failure), int(is_inexact))


@pytest.mark.parametrize("value", ["123\n", "a" * 24 + "\n", "true\n", "null\n", '"\n', "123\n\n", "1\n2"])
@pytest.mark.parametrize("types", [{}, {"_id": FieldType.STR}])
def test_an_id_has_one_text_whichever_way_it_is_read(value: str, types: dict[str, FieldType]) -> None:
    """A document whose fields are odd goes the other way, and would be another row under another text."""
    both_ways(bson.encode({"_id": value}), Wanted(("_id",), types))


def test_damaged_documents_are_refused() -> None:
    whole = encoded(v="text", n={"a": 1})
    # A length that goes beyond the end, in turn at every place.
    for place in range(len(whole)):
        broken = bytearray(whole)
        broken[place] ^= 0xFF
        try:
            scanned = scan(bytes(broken) * 30)
            convert(scanned, Wanted(("_id", "v", "n")))
        except el.NotBsonError:
            continue


def test_documents_in_any_order_of_fields_with_many_optional_ones() -> None:
    random.seed(7)
    raws = []
    for number in range(400):
        fields = {f"f{place}": random.choice([place, str(place), None]) for place in random.sample(range(40), 25)}
        raws.append(bson.encode({"_id": number} | fields))
    arrays, _ = both_ways(b"".join(raws), Wanted(("_id", *(f"f{place}" for place in range(40)))))
    assert sum(len(array) - array.null_count for array in arrays) > 400 * 10


def test_json_of_nested_values_holds_no_character_that_json_escapes() -> None:
    value = {'quote"': "back\\slash", "line\n": "tab\t", "zero": "\0", "astral": "\U0001f600"}
    found, _ = column(*[value] * 40)
    assert [json.loads(each) for each in found if each is not None] == [value] * 40


def test_bytes_that_hold_no_document_are_refused() -> None:
    with pytest.raises(el.NotBsonError):
        scan(struct.pack("<i", 3))
    with pytest.raises(el.NotBsonError):
        scan(encoded(v=1)[:-1])


@pytest.mark.parametrize(
    "value",
    [
        5,
        1.5,
        1e22,
        float("nan"),
        Decimal128("1.10"),
        Decimal128("1E+6000"),
        True,
        datetime(2024, 1, 31, 10, 0),
        DatetimeMS(253402300800000),
        ObjectId("65ba" + "0" * 20),
        Binary(bytes(range(16)), 4),
        Binary(b"\x00\xff"),
        Timestamp(5, 7),
    ],
)
def test_the_page_on_collections_has_these_texts(value: Any) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "collections.md").read_text()
    assert f"`{text(value)}`" in page


@pytest.mark.parametrize(
    "value", [5, Int64(5), 1.5, Decimal128("1.10"), None, datetime(2024, 1, 31, 10, 0), ObjectId("65ba" + "0" * 20)]
)
def test_the_page_on_collections_has_these_forms_inside(value: Any) -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "collections.md").read_text()
    inside = text([value])
    assert inside is not None
    assert f"`{inside[1:-1]}`" in page
