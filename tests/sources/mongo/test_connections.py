"""How a MongoDB server is connected to, and what is said when that fails."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import AutoReconnect, CursorNotFound, InvalidURI, OperationFailure, PyMongoError

from connectors import egress
from connectors.base import Options, RunReport
from connectors.errors import (
    ConfigError,
    ConnectorError,
    Recovery,
    SourceAuthFailed,
    SourceError,
    SourceUnavailable,
)
from connectors.mapping import CollectionSpec, MongoSource
from connectors.sources.mongo.errors import translate
from connectors.sources.mongo.fields import Fields
from connectors.sources.mongo.looking import count_within
from connectors.sources.mongo.reading import Reading
from connectors.sources.mongo.rows import Tally
from connectors.sources.mongo.session import Session, client_arguments, reached_by
from tests.certificates import new_certificate
from tests.collections import Docs, make_collection, stream_of
from tests.relay import run_relay

NOW = datetime(2024, 1, 31, 10, tzinfo=UTC)


def config(url: str, **keys: Any) -> MongoSource:
    return MongoSource.model_validate({"source_type": "mongo", "url": url, "db_name": "shop", **keys})


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that signs itself, with its key in one file."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(b"".join(new_certificate()))
    return path


def test_tls_with_the_certificate_of_the_mapping(docs: Docs, certificate: Path) -> None:
    docs.make()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with run_relay(*docs.host_and_port, context) as relay:
        url = f"mongodb://127.0.0.1:{relay.port}/?directConnection=true"
        session = Session(config(url, certificate_file=str(certificate)), "s", Options(connect_timeout_s=5))
        session.open()
        assert "clusterTime" in session.hello or "localTime" in session.hello
        session.close()
        without = Session(config(f"{url}&tls=true"), "s", Options(connect_timeout_s=1))
        with pytest.raises(SourceError, match="certificate_file") as caught:
            without.open()
        assert caught.value.recovery is Recovery.GIVE_UP
        without.close()
        plain = Session(config(url), "s", Options(connect_timeout_s=1))
        with pytest.raises(SourceUnavailable):
            plain.open()
        plain.close()


def test_count_that_takes_too_long_is_left_off(docs: Docs) -> None:
    docs.make()
    with run_relay(*docs.host_and_port) as relay:
        session = Session(config(f"mongodb://127.0.0.1:{relay.port}/?directConnection=true"), "s", Options())
        session.open()
        assert count_within(session, "none", {}) == 0
        relay.hold(b"aggregate")
        began = time.monotonic()
        assert count_within(session, "none", {}, seconds=0.5) is None
        assert time.monotonic() - began < 30
        session.close()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (config("db.example.org"), {"host": "mongodb://db.example.org"}),
        (
            config("mongodb+srv://db.example.org/?readPreference=secondary"),
            {"host": "mongodb+srv://db.example.org/?readPreference=secondary"},
        ),
        (config("h1,h2,h3/?replicaSet=rs"), {"host": "mongodb://h1,h2,h3/?replicaSet=rs"}),
        (config("h", username="u", password="p@:/"), {"username": "u", "password": "p@:/"}),
        (config("h", certificate_file="/ca.pem"), {"tls": True, "tlsCAFile": "/ca.pem"}),
    ],
)
def test_arguments_of_the_client(source: MongoSource, expected: dict[str, Any]) -> None:
    arguments = client_arguments(source, Options())
    assert {name: arguments[name] for name in expected} == expected


def test_login_of_the_url_is_the_one_that_counts() -> None:
    assert "username" not in client_arguments(config("mongodb://a:b@h/", username="u", password="p"), Options())


@pytest.mark.parametrize(
    ("hello", "expected"),
    [
        ({"localTime": NOW}, NOW),
        ({"localTime": NOW.replace(tzinfo=None)}, NOW),
        ({"localTime": NOW, "isWritablePrimary": True, "lastWrite": {"lastWriteDate": NOW - timedelta(hours=1)}}, NOW),
        # What a secondary has not got yet, it will have later under an earlier time than its clock's.
        (
            {"localTime": NOW, "secondary": True, "lastWrite": {"lastWriteDate": NOW - timedelta(seconds=90)}},
            NOW - timedelta(seconds=90),
        ),
        (
            {
                "localTime": NOW,
                "secondary": True,
                "lastWrite": {
                    "lastWriteDate": NOW - timedelta(seconds=1),
                    "majorityWriteDate": NOW - timedelta(seconds=9),
                },
            },
            NOW - timedelta(seconds=9),
        ),
    ],
)
def test_clock_of_a_server(hello: dict[str, Any], expected: datetime) -> None:
    assert reached_by(hello) == expected


def test_clock_difference_is_measured(docs: Docs) -> None:
    session = Session(config(docs.url), "s", Options(connect_timeout_s=5))
    session.open()
    assert session.clock_difference_s < 5
    assert not session.begin_snapshot()
    session.close()


def test_a_client_may_be_behind_and_its_document_long_on_its_way_as_well() -> None:
    source = config("mongodb://localhost")
    raw = {"source": source.model_dump(exclude_unset=True), "destination": {}, "collections": [make_collection()]}
    stream = stream_of(raw, clock_margin_s=60.0)
    assert isinstance(stream.spec, CollectionSpec)
    report = RunReport()
    session = Session(source, "s", stream.options)
    session.clock_difference_s = 20.0
    reading = Reading(session, stream, stream.spec, Fields(stream, report), Tally(report, {}), report)
    assert reading.lower_bound(NOW) == NOW - timedelta(seconds=80)


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (OperationFailure("Authentication failed: secret", 18), SourceAuthFailed, "authSource"),
        (OperationFailure("not authorized on secret", 13), SourceAuthFailed, "grant the role read"),
        (OperationFailure("snapshot too old", 239), SourceError, "minSnapshotHistoryWindowInSeconds"),
        (OperationFailure("secret", 2), SourceError, "code 2"),
        (OperationFailure("time limit", 50), SourceError, "statement_timeout"),
        (CursorNotFound("cursor id 5 not found", 43), SourceUnavailable, "tried again"),
        (OperationFailure("stepped down", 189), SourceUnavailable, "tried again"),
        (AutoReconnect("secret.example.org:27017: connection closed"), SourceUnavailable, "tried again"),
        (InvalidURI("secret"), ConfigError, "mongodb://host:27017"),
        (InvalidBSON("secret"), SourceError, "validate"),
        (PyMongoError("secret"), SourceUnavailable, "PyMongoError"),
    ],
)
def test_errors_say_what_to_do_and_quote_nothing(error: Exception, kind: type[ConnectorError], words: str) -> None:
    found = translate(error, "stream")
    assert type(found) is kind
    assert words in str(found)
    assert "secret" not in str(found)


def test_address_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigError, match="mongodb://host:27017"):
        Session(config("mongodb://"), "s", Options()).open()


@pytest.mark.parametrize("url", ["127.0.0.1:27017", "mongodb://reader:secret@db.example.org,127.0.0.1/shop"])
def test_servers_that_the_installation_forbids_are_not_connected_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "_policy", lambda: egress.Policy.of(egress.LOOPBACK, ()))
    session = Session(config(url), "shop", Options(connect_timeout_s=2))
    with pytest.raises(ConfigError, match=r"`url`: 127\.0\.0\.1 is at an address .* DMS_ALLOWED_NETWORKS") as raised:
        session.open()
    assert "secret" not in str(raised.value)
    session.close()
