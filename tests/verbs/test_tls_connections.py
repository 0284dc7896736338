"""Connection tests of servers that encrypt: what they say of TLS, before and at signing in."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from connectors.base import Options, Step
from connectors.errors import SourceAuthFailed
from connectors.mapping import PgsqlSource
from connectors.postgres.errors import source_side, translate
from connectors.sources.pgsql.probe import probe
from controlplane.sandbox import PostgresServer
from tests.certificates import new_certificate
from tests.relay import run_relay

#: What a client of PostgreSQL begins with when it wants TLS.
_SSL_REQUEST_BYTES = 8


class PgTls(ssl.SSLContext):
    """TLS as PostgreSQL begins it: after a question and an answer in the clear. The sandbox's build has none."""

    def wrap_socket(self, sock: socket.socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        sock.recv(_SSL_REQUEST_BYTES)
        sock.sendall(b"S")
        return super().wrap_socket(sock, *args, **kwargs)


@dataclass(frozen=True)
class Encrypting:
    """A server behind TLS, and the file of its certificate."""

    server: PostgresServer
    port: int
    certificate: Path


@pytest.fixture(scope="module")
def encrypting(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Encrypting]:
    """The server with a certificate of 127.0.0.1 that signs itself."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = directory / "server.crt", directory / "server.key"
    for path, pem in zip((certificate, key), new_certificate(), strict=True):
        path.write_bytes(pem)
    context = PgTls(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with run_relay(postgres.host, postgres.port, context) as relay:
        yield Encrypting(postgres, relay.port, certificate)


def steps(found: Encrypting, **changes: Any) -> dict[str, Step]:
    """The steps of a test of it, by name."""
    server = found.server
    place = {"url": "127.0.0.1", "port": found.port, "db_name": "postgres"}
    login = {"username": server.user, "password": server.password}
    config = PgsqlSource.model_validate({"source_type": "pgsql", **place, **login, **changes})
    return {step.name: step for step in probe(config, (), label="shop", options=Options(connect_timeout_s=5))}


@pytest.mark.parametrize(
    ("sslmode", "outcome", "words"),
    [
        (None, "warning", "the server's certificate is not checked; set `sslmode` to verify-full"),
        ("require", "warning", "the server's certificate is not checked"),
        ("verify-full", "ok", "its certificate is checked"),
    ],
)
def test_encrypted_connection_says_whether_the_certificate_is_checked(
    encrypting: Encrypting, sslmode: str | None, outcome: str, words: str
) -> None:
    found = steps(encrypting, sslmode=sslmode, certificate_file=str(encrypting.certificate) if sslmode else "")
    assert (found["TLS"].outcome, words in found["TLS"].detail) == (outcome, True)
    assert "encrypted by TLSv1" in found["sign in"].detail


def test_server_that_wants_tls_says_so_to_who_does_without() -> None:
    """By the server's words: those of a build with TLS."""
    told = 'connection failed: FATAL:  no pg_hba.conf entry for host "10.0.0.5", user "x", database "y", no encryption'
    error = translate(psycopg2.OperationalError(told), source_side("shop"))
    assert isinstance(error, SourceAuthFailed)
    assert "set `sslmode` to require" in error.message
    assert "10.0.0.5" not in error.message


def test_certificate_that_nobody_vouches_for_is_told_at_signing_in(encrypting: Encrypting, tmp_path: Path) -> None:
    other = tmp_path / "other.crt"
    other.write_bytes(new_certificate()[0])
    found = steps(encrypting, sslmode="verify-full", certificate_file=str(other))
    assert found["sign in"].outcome == "failed"
    assert "`certificate_file`" in found["sign in"].detail
