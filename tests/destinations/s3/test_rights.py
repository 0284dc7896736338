"""A plan into a bucket says which right is missing and what fails for want of it, and leaves the bucket as it is."""

from __future__ import annotations

import time
from typing import Any

import pytest

from connectors.errors import DestinationAuthFailed, DestinationUnavailable
from migrations_app import mapping_io, settings_io
from migrations_app.dry_run import Description, describe
from migrations_app.plans import build_document
from migrations_app.verbs import drafts
from migrations_app.verbs.drafts import Refusal, Wanted
from tests.buckets import Bucket
from tests.builders import make_bucket_mapping, make_table, run_once
from tests.controlplane.builders import raw_settings
from tests.databases import PgDatabase
from tests.destinations.s3.store import Place
from tests.s3_faults import Fault, How, S3Proxy

pytestmark = pytest.mark.django_db

_READING = {"GetObject", "ListObjectsV2", "ListMultipartUploads"}


@pytest.fixture
def raw(pg_database: PgDatabase, place: Place, s3_proxy: S3Proxy) -> dict[str, Any]:
    """A table of three rows on its way to a place that holds nothing, and is seen through the proxy."""
    pg_database.execute(
        "CREATE TABLE orders (id bigint PRIMARY KEY, updated_at timestamptz NOT NULL);"
        "INSERT INTO orders SELECT n, now() FROM generate_series(1, 3) n"
    )
    bucket = Bucket(s3_proxy.server, place.bucket)
    return make_bucket_mapping(pg_database, bucket, make_table(), s3_suffix=place.suffix)


@pytest.fixture
def wanted(raw: dict[str, Any]) -> Wanted:
    return Wanted("test", mapping_io.parse(raw))


def refuse(proxy: S3Proxy, *operations: str) -> None:
    for operation in operations:
        proxy.add(Fault(How.ANSWER, operation, times=None, status=403, code="AccessDenied"))


def planned(wanted: Wanted) -> Description | Refusal:
    (outcome,) = drafts.plan(wanted).outcomes
    found = outcome.description or outcome.refusal
    assert found is not None
    return found


def warnings_of(wanted: Wanted) -> list[str]:
    found = planned(wanted)
    assert isinstance(found, Description), found
    assert found.statements
    return list(found.warnings)


def refused(wanted: Wanted) -> str:
    found = planned(wanted)
    assert isinstance(found, Refusal)
    assert found.end == "destination dest"
    return found.why


def test_user_with_all_rights_is_not_warned_and_nothing_is_written(wanted: Wanted, s3_proxy: S3Proxy) -> None:
    assert warnings_of(wanted) == []
    assert {each.operation for each in s3_proxy.requests} == _READING


def test_place_that_may_not_be_listed_refuses_the_first_run(
    wanted: Wanted, raw: dict[str, Any], s3_proxy: S3Proxy
) -> None:
    refuse(s3_proxy, "ListObjectsV2")
    (warning,) = warnings_of(wanted)
    assert warning.startswith("a run would be refused: the store refused to list the table's objects")
    assert f"s3:ListBucket on {raw['destination']['dest']['s3_bucket_name']}" in warning
    with pytest.raises(DestinationAuthFailed) as raised:
        run_once(raw)
    assert raised.value.message in warning


def test_place_that_may_not_be_listed_lets_later_runs_through(
    wanted: Wanted, raw: dict[str, Any], s3_proxy: S3Proxy
) -> None:
    assert run_once(raw).inserted == 3
    refuse(s3_proxy, "ListObjectsV2")
    (warning,) = warnings_of(wanted)
    assert "`manifest --check` and `manifest --rebuild` would fail" in warning
    assert "s3:ListBucket" in warning
    run_once(raw)


def test_uploads_that_may_not_be_listed_are_left_over(wanted: Wanted, raw: dict[str, Any], s3_proxy: S3Proxy) -> None:
    refuse(s3_proxy, "ListMultipartUploads")
    (warning,) = warnings_of(wanted)
    assert "those that a killed run began would be left over; grant s3:ListBucketMultipartUploads" in warning
    assert run_once(raw).inserted == 3


@pytest.mark.parametrize(
    ("operations", "right", "other"),
    [
        (["GetObject"], "grant s3:GetObject on", "s3:ListBucket"),
        (["GetObject", "ListObjectsV2"], "grant s3:ListBucket on", ""),
    ],
)
def test_manifest_that_may_not_be_read_names_the_right(
    wanted: Wanted, raw: dict[str, Any], s3_proxy: S3Proxy, operations: list[str], right: str, other: str
) -> None:
    refuse(s3_proxy, *operations)
    why = refused(wanted)
    assert "so no run can begin" in why
    assert right in why
    assert not other or other not in why
    with pytest.raises(DestinationAuthFailed) as raised:
        run_once(raw)
    assert raised.value.message == why


def test_wrong_secret_is_no_missing_right(raw: dict[str, Any]) -> None:
    raw["destination"]["dest"]["secret_access_key"] = "wrong"
    assert "the secret access key does not belong" in refused(Wanted("test", mapping_io.parse(raw)))


def test_store_that_hangs_is_one_sentence_in_time(wanted: Wanted, s3_proxy: S3Proxy) -> None:
    s3_proxy.add(Fault(How.HANG, times=None))
    (plan,) = build_document("test", wanted.document, settings_io.parse_settings(raw_settings()))
    began = time.monotonic()
    with pytest.raises(DestinationUnavailable, match="no answer within 1 s; see whether it can be reached"):
        describe(plan, within_s=1)
    assert time.monotonic() - began < 30
