"""A table's place of its own for each test, and what is opened there."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import faults
from controlplane.sandbox import S3Server
from tests.buckets import Bucket, new_bucket
from tests.destinations.s3.store import Place, Shelf, shelf


@pytest.fixture(scope="session")
def common_bucket(s3: S3Server) -> Iterator[Bucket]:
    """One bucket for all tables of the tests: a store needs a second to make one."""
    with new_bucket(s3) as bucket:
        yield bucket


@pytest.fixture
def place(common_bucket: Bucket) -> Place:
    """Where a test's own table lies."""
    server, suffix = common_bucket.server, f"_{uuid.uuid4().hex[:8]}"
    keys = (server.endpoint_url, server.access_key_id, server.secret_access_key)
    return Place(*keys, common_bucket.name, server.region, suffix)


@pytest.fixture
def one_shelf(place: Place, tmp_path: Path) -> Iterator[Shelf]:
    """Tables in that bucket; they are closed at the end, and no fault point stays armed."""
    with shelf(place, tmp_path) as made:
        yield made
    faults.configure("")
