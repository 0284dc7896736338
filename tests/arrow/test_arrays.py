"""Arrays in and out of Arrow, and that pandas stays out."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from connectors.arrow.arrays import of_numpy, one_array
from controlplane.sandbox.keeper import PROJECT_ROOT

_WITHOUT_PANDAS = """
import sys
from connectors.arrow.text import TextParser
from connectors.types import Column, PgType
import numpy, pyarrow
TextParser([Column("a", PgType("text"))], "UTC").parse(b"x\\n")
pyarrow.array([1]), pyarrow.array(numpy.arange(3)), pyarrow.scalar("x")
assert "pandas" not in sys.modules
assert list(pyarrow.table({"a": [1, 2]}).to_pandas()["a"]) == [1, 2]
"""


@pytest.mark.parametrize("chunks", [[], [[1, None, 3]], [[1], [None, 3]]])
def test_a_column_becomes_one_array(chunks: list[list[int | None]]) -> None:
    column = pa.chunked_array(chunks, pa.int64())
    one = one_array(column)
    assert isinstance(one, pa.Array)
    assert one.type == pa.int64()
    assert one.to_pylist() == [value for chunk in chunks for value in chunk]


def test_a_column_of_one_chunk_is_not_copied() -> None:
    array = pa.array([1, 2, 3])
    assert one_array(pa.chunked_array([array])).buffers()[1].address == array.buffers()[1].address
    assert one_array(array) is array


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 1000])
def test_flags_keep_their_places(count: int) -> None:
    flags = np.arange(count) % 3 == 0
    array = of_numpy(flags)
    assert array.type == pa.bool_()
    assert array.to_pylist() == flags.tolist()


@pytest.mark.parametrize("type_", [np.int32, np.int64])
def test_numbers_keep_type_and_order_also_of_a_view_with_gaps(type_: type[np.integer]) -> None:
    numbers = np.arange(20, dtype=type_)[::3]
    array = of_numpy(numbers)
    assert array.type == pa.from_numpy_dtype(np.dtype(type_))
    assert array.to_pylist() == numbers.tolist()


def test_pandas_is_not_imported_for_rows_and_there_for_who_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_PANDAS], cwd=PROJECT_ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
