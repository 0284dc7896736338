"""A table of its own for each test; at its end the manifest and the objects must agree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.buckets import Bucket
from tests.destinations.s3.rows.tables import Table
from tests.destinations.s3.store import Place


@pytest.fixture
def table(place: Place, common_bucket: Bucket) -> Iterator[Table]:
    """A table that nobody else uses."""
    made = Table(place, common_bucket)
    yield made
    if common_bucket.keys(f"{place.prefix}_dms/"):
        made.check()
