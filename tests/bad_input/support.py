"""What every refusal has to be: one message that names connector and stream, without secrets or values of rows."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from connectors.errors import ConnectorError
from tests.builders import make_mapping, make_table
from tests.databases import PgDatabase

SECRET = "pa55-w0rd-of-nobody"
VALUE = "value-of-a-row"

Databases = tuple[PgDatabase, PgDatabase]


def mapping(databases: Databases, **spec: Any) -> dict[str, Any]:
    """Table t from one database to the other, without a bookmark."""
    return make_mapping(*databases, make_table("t", **{"bookmark": False, "strict": True, **spec}))


@contextmanager
def refused(
    caplog: pytest.LogCaptureFixture,
    kind: type[ConnectorError],
    connector: str,
    *words: str,
    within_s: float = 60,
) -> Iterator[None]:
    """The block ends in time with an error of that very type that says all of that, and nothing that it must not."""
    caplog.set_level(logging.DEBUG)
    start = time.monotonic()
    with pytest.raises(ConnectorError) as caught:
        yield
    assert time.monotonic() - start < within_s
    error = caught.value
    assert type(error) is kind, str(error)
    text = str(error)
    assert text.startswith(f"{connector}, stream test_DMS_t_dest: ")
    for word in words:
        assert word in text, text
    said = f"{text} {error!r} {error.args!r} {caplog.text}"
    assert SECRET not in said
    assert VALUE not in said
    assert "\n" not in text
