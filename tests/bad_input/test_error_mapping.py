"""Every error class of the driver has one of ours, with a remedy; a new class without one makes this fail."""

from __future__ import annotations

import inspect
import re

import psycopg2
import psycopg2.errorcodes
import psycopg2.errors
import pytest

from connectors.errors import ConnectorError, Recovery
from connectors.postgres.errors import Side, destination_side, source_side, translate

SIDES = [source_side("s"), destination_side("s")]
CODES = {
    name: code
    for name, code in vars(psycopg2.errorcodes).items()
    if isinstance(code, str) and re.fullmatch(r"[0-9A-Z]{5}", code) and not name.startswith("_")
}
#: Codes that are no error, or that no statement of ours can meet.
NO_ERRORS = ("00", "01", "02")
#: Every class of codes, by whether its cause can pass by itself. A class that is missing here has not been thought of.
RETRIED = {"08", "40", "58"}
GIVEN_UP = {
    "03", "09", "0A", "0B", "0F", "0L", "0P", "0Z", "20", "21", "22", "23", "24", "25", "26", "27", "28", "2B", "2D",
    "2F", "34", "38", "39", "3B", "3D", "3F", "42", "44", "54", "55", "72", "F0", "HV", "P0", "XX", "10",
}  # fmt: skip
MIXED = {"53": {"53200", "53300"}, "57": {"57P01", "57P02", "57P03", "57P04", "57P05"}, "55": {"55P03"}}


class ServerError(psycopg2.Error):
    """An error with a SQLSTATE of our choice; the driver's own cannot be given one."""

    pgcode = ""


def made(code: str) -> psycopg2.Error:
    error = ServerError("a message with a value of a row")
    error.pgcode = code
    return error


@pytest.mark.parametrize("side", SIDES, ids=["source", "destination"])
def test_every_sqlstate_becomes_one_of_our_errors(side: Side) -> None:
    assert len(CODES) > 200
    for name, code in CODES.items():
        if code.startswith(NO_ERRORS):
            continue
        translated = translate(made(code), side)
        assert isinstance(translated, ConnectorError), name
        group = code[:2]
        is_retried = group in RETRIED or code in MIXED.get(group, set())
        assert group in RETRIED | GIVEN_UP | set(MIXED), f"think about the new class of errors {group} ({name})"
        assert (translated.recovery is Recovery.RETRY) is is_retried, name
        assert re.search(r"; \w|: \w", translated.message), f"{name} has no remedy: {translated.message}"
        assert "value of a row" not in translated.message


@pytest.mark.parametrize("side", SIDES, ids=["source", "destination"])
def test_every_class_of_the_driver_is_caught(side: Side) -> None:
    classes = [
        each
        for module in (psycopg2, psycopg2.errors, psycopg2.extensions)
        for _, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, psycopg2.Error)
    ]
    assert len(classes) > 200
    for each in classes:
        assert isinstance(translate(each("text of libpq"), side), ConnectorError)


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ('FATAL:  password authentication failed for user "x"', "auth_failed", "`password`"),
        ("fe_sendauth: no password supplied", "auth_failed", "`password`"),
        ('FATAL:  role "x" does not exist', "auth_failed", "`username`"),
        ('FATAL:  no pg_hba.conf entry for host "1.2.3.4", user "x", SSL off', "auth_failed", "pg_hba.conf"),
        ('FATAL:  permission denied for database "x"', "auth_failed", "GRANT CONNECT"),
        ('FATAL:  database "x" does not exist', "missing", "`db_name`"),
        ('could not translate host name "x" to address: Name or service not known', "unavailable", "`url`"),
        ("connection to server failed: Connection refused", "unavailable", "`port`"),
        ("connection to server failed: timeout expired", "unavailable", "in time"),
        ("server certificate for x does not match host name", "refused", "`sslmode`"),
        ('root certificate file "/x/root.crt" does not exist', "refused", "`certificate_file`"),
        ("server does not support SSL, but SSL was required", "refused", "`sslmode`"),
        ("SSL connection has been closed unexpectedly", "unavailable", "lost"),
        ("SSL SYSCALL error: EOF detected", "unavailable", "lost"),
        ("server closed the connection unexpectedly", "unavailable", "lost"),
        ("received invalid response to SSL negotiation: H", "unavailable", "`port`"),
        ("FATAL:  sorry, too many clients already", "unavailable", "slot"),
        ("FATAL:  the database system is starting up", "unavailable", "starting"),
        ("something that nobody has seen", "unavailable", "tried again"),
    ],
)
@pytest.mark.parametrize("side", SIDES, ids=["source", "destination"])
def test_texts_without_a_sqlstate(side: Side, text: str, kind: str, word: str) -> None:
    translated = translate(psycopg2.OperationalError(text), side)
    assert type(translated) is getattr(side, kind)
    assert word in translated.message
