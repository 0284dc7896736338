"""COPY text into Arrow, without a server: any text, any number, any cut."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from typing import BinaryIO

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.arrow import feed
from connectors.arrow.feed import BrokenOff, CopyText, Feed
from connectors.arrow.stream import Origin, record_batches
from connectors.arrow.text import Misfit, TextParser
from connectors.errors import SourceError, SourceUnavailable
from connectors.postgres.copy_text import escaped, unescaped
from connectors.testing import LiteralRows
from tests.arrow.support import column

ORIGIN = Origin("test", "s")
# What PostgreSQL can hold, more often with what COPY escapes and what parsers take for something else.
TEXTS = st.one_of(
    st.none(),
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    st.text(st.sampled_from("\\\b\f\n\r\t\vbfnrtvNx0.\"', \ufeff\u2028\u0085\u00e9")),
    st.sampled_from(["", "NULL", "NA", "nan", "\\N", "\\.", "\ufeff", "\ufeff\ufeff", "t", "1"]),
)
EXACT = Context(prec=2000)
# The first example of a process loads pyarrow's kernels.
IN_ITS_TIME = settings(deadline=None)


def parsed(types: Sequence[str], rows: Sequence[Sequence[object]]) -> pa.RecordBatch:
    parser = TextParser([column(str(number), text) for number, text in enumerate(types)], "UTC")
    block = "".join("\t".join(map(escaped, row)) + "\n" for row in rows).encode()
    batch = parser.parse(block)
    batch.validate(full=True)
    return batch


def copy_of(pieces: Sequence[bytes], row_count: int) -> CopyText:
    def copy(sink: BinaryIO) -> int:
        for piece in pieces:
            sink.write(piece)
        return row_count

    return CopyText(copy, lambda: None)


@IN_ITS_TIME
@given(TEXTS)
def test_escaping_is_undone(text: str | None) -> None:
    assert unescaped(escaped(text)) == text


@IN_ITS_TIME
@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=20))
def test_texts_arrive_unchanged(rows: list[tuple[str | None, str | None]]) -> None:
    batch = parsed(["text", "text"], rows)
    assert list(zip(batch.column(0).to_pylist(), batch.column(1).to_pylist(), strict=True)) == rows


@IN_ITS_TIME
@given(st.lists(TEXTS, min_size=1, max_size=20))
def test_single_column_of_texts_arrives_unchanged(texts: list[str | None]) -> None:
    """Its rows may be empty lines."""
    assert parsed(["text"], [[text] for text in texts]).column(0).to_pylist() == texts


@IN_ITS_TIME
@given(st.lists(st.one_of(st.none(), st.binary()), min_size=1, max_size=20))
def test_bytes_arrive_unchanged(values: list[bytes | None]) -> None:
    rows = [[None if value is None else f"\\x{value.hex()}"] for value in values]
    assert parsed(["bytea"], rows).column(0).to_pylist() == values


@IN_ITS_TIME
@given(
    st.lists(
        st.tuples(
            st.booleans(),
            st.one_of(st.integers(0, 10**30), st.integers(0, 10**90)),
            st.text("0123456789", max_size=12) | st.text("0", max_size=90),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_numbers_arrive_exactly_or_are_refused(parts: list[tuple[bool, int, str]]) -> None:
    """Arrow's own cast lets a number of more than 29 digits before the point wrap around."""
    texts = [f"{'-' * is_negative}{whole}{'.' * bool(rest)}{rest}" for is_negative, whole, rest in parts]
    values = [Decimal(text) for text in texts]
    fits = [abs(value) < 10**29 and value == value.quantize(Decimal("1e-9"), context=EXACT) for value in values]
    if all(fits):
        assert parsed(["numeric"], [[text] for text in texts]).column(0).to_pylist() == values
        return
    with pytest.raises(Misfit) as raised:
        parsed(["integer", "numeric"], [[1, text] for text in texts])
    assert (raised.value.column, raised.value.row) == (1, fits.index(False))


@pytest.mark.parametrize("digits", range(25, 82))
def test_no_number_wraps_around(digits: int) -> None:
    """38 digits fit, of which 9 stand after the point; in 128 and in 256 bits some that do not come out as others."""
    for first in range(1, 10):
        for text in (str(first) * digits, f"{first}{'0' * (digits - 1)}", f"-{first}{'7' * (digits - 1)}.5"):
            if digits > 29:
                with pytest.raises(Misfit):
                    parsed(["numeric"], [[text]])
            else:
                assert parsed(["numeric"], [[text]]).column(0).to_pylist() == [Decimal(text)]


@pytest.mark.parametrize("type_text", ["integer", "date", "timestamp without time zone", "numeric(5,2)"])
def test_misfit_is_found_behind_rows_of_any_shape(type_text: str) -> None:
    rows: list[list[object]] = [
        ["a\nb\r\n", None],
        ["", None],
        [None, None],
        ["\ufeff", None],
        ["x" * 3_000_000, None],
        ["it", "none"],
    ]
    with pytest.raises(Misfit) as raised:
        parsed(["text", type_text], rows)
    assert (raised.value.column, raised.value.row) == (1, 5)
    assert raised.value.__context__ is None


def test_text_that_is_not_utf8_is_a_misfit() -> None:
    with pytest.raises(Misfit) as raised:
        TextParser([column("id", "integer"), column("note", "text")], "UTC").parse(b"1\tok\n2\t\xff\n")
    assert (raised.value.column, raised.value.row) == (1, 1)


@IN_ITS_TIME
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.data())
def test_blocks_hold_whole_lines_however_they_are_written(widths: list[int], data: st.DataObject) -> None:
    lines = [b"x" * width + b"\n" for width in widths]
    rest, pieces = b"".join(lines), []
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        pieces.append(rest[:size])
        rest = rest[size:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "BLOCK_BYTES", 16)
        blocks = list(Feed(copy_of(pieces, len(lines))).blocks())
    assert b"".join(blocks) == b"".join(lines)
    assert all(block.endswith(b"\n") for block in blocks)


def test_waiting_blocks_are_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(feed, "_QUEUE_BYTES", 10_000)
    written = 0
    has_waited = threading.Event()

    def copy(sink: BinaryIO) -> int:
        nonlocal written
        for _ in range(1000):
            sink.write(b"x" * 99 + b"\n")
            written += 100
            if written > 15_000:
                has_waited.set()
        return 1000

    blocks = Feed(CopyText(copy, lambda: None)).blocks()
    taken = len(next(blocks))
    assert not has_waited.wait(0.3)
    # What is taken makes room for as much.
    while taken <= 15_000 - 9_000:
        taken += len(next(blocks))
    assert taken <= 15_000 - 8_000
    assert has_waited.wait(60)
    taken += sum(map(len, blocks))
    assert taken == 100_000


def test_a_block_larger_than_the_queue_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "BLOCK_BYTES", 10)
    monkeypatch.setattr(feed, "_QUEUE_BYTES", 20)
    lines = [b"a\n", b"b" * 1000 + b"\n", b"c\n"]
    assert b"".join(Feed(copy_of(lines, 3)).blocks()) == b"".join(lines)


def test_error_of_the_reader_is_raised_after_its_rows() -> None:
    def copy(sink: BinaryIO) -> int:
        sink.write(b"1\n")
        sink.flush()
        message = "gone"
        raise SourceUnavailable(message, connector="test", stream="s")

    batches = record_batches(Feed(CopyText(copy, lambda: None)), [column("id", "integer")], "UTC", ORIGIN)
    assert next(batches).to_pydict() == {"id": [1]}
    with pytest.raises(SourceUnavailable, match="gone"):
        next(batches)


def test_rows_that_do_not_arrive_are_noticed() -> None:
    batches = record_batches(Feed(copy_of([b"1\n", b"2\n"], 3)), [column("id", "integer")], "UTC", ORIGIN)
    with pytest.raises(SourceError, match="gave 3 rows and 2 arrived"):
        list(batches)


@pytest.mark.parametrize("is_blocked", [True, False])
def test_abandoned_read_ends_its_thread(monkeypatch: pytest.MonkeyPatch, is_blocked: bool) -> None:
    """Whether the reading thread waits for the server or for room in the queue."""
    monkeypatch.setattr(feed, "BLOCK_BYTES", 10)
    monkeypatch.setattr(feed, "_QUEUE_BYTES", 100)
    interrupted = threading.Event()
    broken_off: list[BaseException] = []

    def copy(sink: BinaryIO) -> int:
        try:
            while True:
                sink.write(b"123456789\n")
                if is_blocked:
                    sink.flush()
                    assert interrupted.wait(10)
        except BrokenOff as error:
            broken_off.append(error)
            raise

    batches = record_batches(Feed(CopyText(copy, interrupted.set)), [column("id", "integer")], "UTC", ORIGIN)
    assert next(batches).num_rows > 0
    batches.close()
    assert interrupted.is_set()
    assert len(broken_off) == 1
    assert not [thread for thread in threading.enumerate() if thread.name == "copy-text"]


@pytest.mark.parametrize("make", [lambda rows: rows, lambda rows: rows * 3])
def test_rows_without_columns_are_counted(make: Callable[[list[list[object]]], list[list[object]]]) -> None:
    rows = make([[], []])
    assert sum(batch.num_rows for batch in LiteralRows([], rows).batches("UTC")) == len(rows)


def test_no_rows_are_no_batches() -> None:
    assert list(LiteralRows([column("id", "integer")], []).batches("UTC")) == []
