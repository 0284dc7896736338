"""The demo: it passes on a fresh directory, and it does not when one row at the destination was changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controlplane.demo.lake import LAKE
from controlplane.sandbox.keeper import PROJECT_ROOT, read_servers, state_path
from tests.buckets import Bucket
from tests.databases import PgDatabase

# A demo of its own servers, twice in a row, on a machine that does other things too.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Outcome:
    """How a demo ended, and what it said."""

    code: int
    text: str


def demo(directory: Path, *arguments: str) -> Outcome:
    command = [sys.executable, "-m", "controlplane.demo", "--directory", str(directory), *arguments]
    done = subprocess.run(command, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=280, check=False)
    return Outcome(done.returncode, done.stdout + done.stderr)


def database(directory: Path, name: str) -> PgDatabase:
    servers = read_servers(state_path(directory))
    assert servers is not None
    assert servers.postgres is not None
    return PgDatabase(servers.postgres, name)


def lake(directory: Path) -> Bucket:
    servers = read_servers(state_path(directory))
    assert servers is not None
    assert servers.s3 is not None
    return Bucket(servers.s3, LAKE)


# tests/together.py has one worker run all of these tests.
@pytest.fixture(scope="session")
def directory() -> Iterator[Path]:
    """A folder with a space in its name, whose servers are stopped at the end."""
    # Not pytest's own: root runs the servers under another account, which must be able to come here.
    with tempfile.TemporaryDirectory(prefix="demo-") as base:
        Path(base).chmod(0o755)
        place = Path(base) / "with space"
        yield place
        demo(place, "--stop")


@pytest.fixture(scope="session")
def first(directory: Path) -> Outcome:
    return demo(directory, "--rows", "2000", "--keep")


EXPECTED = {
    ("products", "warehouse"): ("dumping", 40, 0, 0, 40, 40),
    ("audit_log", "warehouse"): ("logging", 700, 0, 0, 1040, 1040),
    ("sales.orders", "warehouse"): ("syncing", 500, 20, 0, 890, 900),
    ("events", "warehouse"): ("syncing", 300, 4, 0, 600, 600),
    ("sales.customers", "warehouse"): ("mirroring", 200, 120, 0, 320, 320),
    ("wide_types", "warehouse"): ("mirroring", 0, 2, 2, 18, 18),
    ("products", "lake"): ("dumping", 40, 0, 0, 40, 40),
    ("audit_log", "lake"): ("logging", 700, 0, 0, 1040, 1040),
    ("sales.orders", "lake"): ("syncing", 500, 20, 0, 890, 900),
    ("sales.customers", "lake"): ("syncing", 200, 120, 0, 320, 320),
    ("events", "lake"): ("syncing", 300, 4, 0, 600, 600),
    ("reviews", "warehouse"): ("syncing", 20, 5, 0, 120, 120),
    ("reviews", "lake"): ("syncing", 20, 5, 0, 120, 120),
}


def assert_all_is_equal(outcome: Outcome) -> None:
    assert outcome.code == 0, outcome.text
    table = outcome.text[outcome.text.index("stream  ") :]
    assert "All 15 streams are equal" in outcome.text
    for (name, destination_name), (mode, inserted, updated, deleted, source, destination) in EXPECTED.items():
        counts = rf"{inserted:,}\s+{updated:,}\s+{deleted:,}\s+{source:,}\s+{destination:,}\s+yes"
        assert re.search(
            rf"^{re.escape(name)}\s+{destination_name}\s+{mode}\s+[\d,]+\s+[\d,]+\s+{counts}", table, re.MULTILINE
        ), table


def test_every_mode_ends_equal(first: Outcome) -> None:
    assert_all_is_equal(first)


def test_no_password_is_shown_but_those_of_the_demo_itself(first: Outcome, directory: Path) -> None:
    servers = read_servers(state_path(directory))
    assert servers is not None
    assert servers.postgres is not None
    assert servers.postgres.password not in first.text


def test_masked_and_renamed_columns_arrive_so(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    phones = "SELECT count(*), count(*) FILTER (WHERE phone ~ '^\\+49 30 X{7}$') FROM mirror.customers"
    ((known, masked),) = database(directory, "warehouse").rows(f"{phones} WHERE phone IS NOT NULL")
    assert known == masked > 0
    assert database(directory, "warehouse").value("SELECT count(date_of_birth) FROM mirror.customers") > 0


def test_one_changed_row_at_the_destination_is_found(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    warehouse = database(directory, "warehouse")
    changed = warehouse.execute("UPDATE mirror.order_items SET unit_price = 0 WHERE order_id = 5 AND line_no = 1")
    assert changed == 1
    found = demo(directory, "--compare")
    assert found.code == 1
    assert "NOT EQUAL: shop_mirroring_DMS_sales.order_items_warehouse" in found.text


def test_what_a_plain_reader_of_the_bucket_finds_is_shown(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    assert re.search(r"^ +s3://shop-lake/sql/shop/orders/ +1 file +[\d.]+ MB +900 rows$", first.text, re.MULTILINE)
    assert re.search(r"/products/ +2 files .* 60 rows, 40 in the newest snapshot$", first.text, re.MULTILINE)
    phones = "SELECT count(*), count(*) FILTER (WHERE regexp_matches(phone, '^\\+49 30 X{7}$')), count(date_of_birth)"
    ((known, masked, births),) = lake(directory).query(
        "sql/shop/customers/", f"{phones} FROM parts WHERE phone IS NOT NULL"
    )
    assert known == masked > births > 0


def test_documents_arrive_by_the_types_of_the_mapping(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    assert "values of field stars cannot be cast to int and became 0" in first.text
    arrived = "SELECT count(*), count(answer), min(stars), max(tags) FROM {} WHERE number < 100"
    expected = [(100, 5, 0, "[]")]
    assert database(directory, "warehouse").rows(arrived.format("mongo_shop_dms.reviews")) == expected
    assert lake(directory).query("mongo/shop/reviews/", arrived.format("parts")) == expected


def test_a_file_that_somebody_put_into_the_bucket_is_found(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    bucket = lake(directory)
    (part,) = bucket.visible_parts("sql/shop/audit_log/")
    copy = f"{part.removesuffix('.parquet')}-copy.parquet"
    bucket.put(copy, bucket.get(part))
    try:
        found = demo(directory, "--compare")
    finally:
        bucket.delete(copy)
    assert found.code == 1
    assert "shop_lake_DMS_audit_log_lake: a plain reader finds 2,080 rows with 1,040 keys" in found.text
    assert "NOT EQUAL: " in found.text


def test_a_second_demo_starts_anew(first: Outcome, directory: Path) -> None:
    assert first.code == 0, first.text
    # As many rows as before: the other tests look at what this one leaves, whichever comes first.
    again = demo(directory, "--rows", "2000")
    assert_all_is_equal(again)
    assert "The servers stay up" in again.text
